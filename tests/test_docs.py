"""The pages and docstrings that a reader meets are there, and true."""

from __future__ import annotations

import doctest
import inspect
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, optim
from graphnn.ops.declare.elementwise import Elementwise

DOCS = Path(__file__).parent.parent / "docs"
PUBLIC = [
    (module.__name__, name)
    for module in (gn, gn.callbacks, nn, nn.init, optim, optim.schedule)
    for name in getattr(module, "__all__", ())
    if callable(getattr(module, name))
]


def test_the_page_of_ops_is_what_the_registry_says(request, monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    written = runpy.run_path(str(DOCS / "generate_ops.py"))["main"]()
    if request.config.getoption("--update-golden"):
        (DOCS / "ops.md").write_text(written, encoding="utf-8")
    assert written == (DOCS / "ops.md").read_text(encoding="utf-8"), "python docs/generate_ops.py"


@pytest.mark.parametrize(("module", "name"), PUBLIC, ids=lambda value: str(value))
def test_every_public_name_has_a_docstring_with_an_example(module, name):
    thing = getattr(
        {m.__name__: m for m in (gn, gn.callbacks, nn, nn.init, optim, optim.schedule)}[module],
        name,
    )
    text = inspect.getdoc(thing) or ""
    assert text
    if not (inspect.isclass(thing) and issubclass(thing, Exception | Warning)):
        assert ">>> " in text, f"{module}.{name} has no example"


class Numbers(doctest.OutputChecker):
    """Compares numbers to six digits: another processor may round the last one otherwise."""

    def check_output(self, want, got, optionflags):
        split = re.compile(r"(-?\d+\.\d*(?:e[-+]\d+)?)")
        wanted, found = split.split(want), split.split(got)
        if [" ".join(part.split()) for part in wanted[::2]] != [
            " ".join(part.split()) for part in found[::2]
        ]:
            return False
        return np.allclose(np.float64(wanted[1::2]), np.float64(found[1::2]), 1e-6, 1e-37)


@pytest.mark.parametrize(
    "name", [name for name in gn.__all__ if isinstance(getattr(gn, name), Elementwise)]
)
def test_the_examples_of_elementwise_ops_are_true(name):
    """doctest looks for functions and classes only, and these are instances."""
    names = {"gn": gn, "np": np}
    parsed = doctest.DocTestParser().get_doctest(
        inspect.getdoc(getattr(gn, name)), names, f"gn.{name}", None, None
    )
    told = []
    runner = doctest.DocTestRunner(Numbers(), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert parsed.examples
    assert runner.run(parsed, out=told.append).failed == 0, "".join(told)
