"""The guides of docs/: their Python blocks run as written, each page as one program."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.parametrize("page", ["data.md", "debugging.md", "training.md"])
def test_the_blocks_of_a_page_run(page, tmp_path, monkeypatch):
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert blocks
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for number, code in enumerate(blocks):
        exec(compile(code, f"{page}, block {number}", "exec"), names)


def test_the_message_that_is_shown_is_the_one_that_comes(capsys):
    text = (DOCS / "debugging.md").read_text(encoding="utf-8")
    code, shown = re.search(
        r"^```python\n(.*?)^```\n\n```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL
    ).groups()
    exec(compile(code, "train.py", "exec"), {"__name__": "__main__"})
    printed = capsys.readouterr().out
    found = printed[printed.index("sqrt_backward") :]
    assert found == shown
