"""README: its Python blocks run as written, each alone; its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"


def blocks(language):
    """(line, code) of each fenced block of a language."""
    text = README.read_text(encoding="utf-8")
    found = re.finditer(rf"^```{language}[^\n]*\n(.*?)^```[ \t]*$", text, re.MULTILINE | re.DOTALL)
    return [(text[: match.start(1)].count("\n") + 1, match.group(1)) for match in found]


def test_python_blocks_run(tmp_path, monkeypatch):
    found = blocks("python")
    assert found, "README has no Python block"
    monkeypatch.chdir(tmp_path)
    for line, code in found:
        namespace = {"__name__": "__main__"}  # each block imports what it needs
        # Blank lines in front, so that a traceback names README's own lines.
        exec(compile("\n" * (line - 1) + code, str(README), "exec"), namespace)
    written = re.findall(
        r"\"([\w.-]+\.(?:svg|png|dot|safetensors))\"", "".join(c for _, c in found)
    )
    for name in written:
        assert (tmp_path / name).stat().st_size > 0, f"{name} was not written"


def test_blocks_are_found_where_they_are():
    """The reader of this test reads what a person reads: no fence is missed."""
    text = README.read_text(encoding="utf-8")
    assert len(blocks("python")) == text.count("\n```python")
    assert text.count("\n```") % 2 == 0
    for line, code in blocks("python"):
        assert text.splitlines()[line - 1 :][: code.count("\n")] == code.splitlines()


def test_the_first_commands_train_and_test():
    """What .ci/run and the issue rely on."""
    first, second = (code for _, code in blocks("sh")[:2])
    assert "-m graphnn demo" in first
    assert "-m pytest" in second


def test_links_lead_somewhere():
    text = README.read_text(encoding="utf-8")
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text)]
    local = [link for link in links if link and not re.match(r"[a-z]+:", link)]
    assert local, "README links to nothing of its own"
    missing = [link for link in local if not (README.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("word", ["TODO", "FIXME", "_TABLE", "XXX"])
def test_nothing_is_left_to_fill_in(word):
    assert word not in README.read_text(encoding="utf-8")
