"""The pages and docstrings that a reader meets are there, and true."""

from __future__ import annotations

import inspect
import runpy
from pathlib import Path

import pytest

import graphnn as gn
from graphnn import nn, optim
from graphnn.ops.elementwise import Elementwise

DOCS = Path(__file__).parent.parent / "docs"
PUBLIC = [
    (module.__name__, name)
    for module in (gn, nn, nn.init, optim, optim.schedule)
    for name in getattr(module, "__all__", ())
    if callable(getattr(module, name))
]


def test_the_page_of_ops_is_what_the_registry_says(request):
    written = runpy.run_path(str(DOCS / "generate_ops.py"))["main"]()
    if request.config.getoption("--update-golden"):
        (DOCS / "ops.md").write_text(written, encoding="utf-8")
    assert written == (DOCS / "ops.md").read_text(encoding="utf-8"), "python docs/generate_ops.py"


@pytest.mark.parametrize(("module", "name"), PUBLIC, ids=lambda value: str(value))
def test_every_public_name_has_a_docstring_with_an_example(module, name):
    thing = getattr({m.__name__: m for m in (gn, nn, nn.init, optim, optim.schedule)}[module], name)
    text = inspect.getdoc(thing) or ""
    assert text
    if isinstance(thing, Elementwise):  # its example is its formula, which tests run
        assert thing.op.formula
    elif not (inspect.isclass(thing) and issubclass(thing, Exception | Warning)):
        assert ">>> " in text, f"{module}.{name} has no example"
