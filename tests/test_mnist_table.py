"""The script behind docs/mnist.md, by its arguments, and what the document says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "examples" / "mnist_table.py"


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-W", "error", str(SCRIPT), "--quick", *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        timeout=500,
        check=False,
    )


def rows(text):
    """The cells of the first table in Markdown by their column, for each row's first cell."""
    table = text[text.index("| by |") :].split("\n\n")[0].splitlines()
    lines = [line.strip("| ").split(" | ") for line in table if line.startswith("| ")]
    return {cells[0]: dict(zip(lines[0], cells, strict=True)) for cells in lines[1:]}


DOCUMENT = """\
Before.

| by | parameters | epochs | s/epoch | cores | seed | error % | aim % |
|---|---|---|---|---|---|---|---|
| logistic regression | 1 | 1 | 1 | 1 | 0 | 99 | 7.60 |
| CNN | 2 | 2 | 2 | 2 | 0 | 0.10 | 0.70 |

Behind.

| by | remark |
|---|---|
| CNN | small |
| logistic regression | plain |
"""
BEHIND = DOCUMENT[DOCUMENT.index("\n\nBehind.") :]


@pytest.mark.parametrize("judged", [(), ("--validate",)], ids=["tested", "validated"])
def test_rows_are_put_into_a_document(judged, tmp_path):
    pytest.importorskip("sklearn", reason="it needs scikit-learn: pip install 'graphnn[sklearn]'")
    path = tmp_path / "table.md"
    path.write_text(DOCUMENT, "utf-8")
    done = run("--row", "logistic", "--row", "ridge", "--markdown", path, *judged)
    assert done.returncode == 0, done.stderr
    assert "512 images to train on, 500 to judge by" in done.stdout
    found = path.read_text("utf-8")
    assert found.startswith("Before.\n\n| by |")
    assert found.endswith(f" |{BEHIND}")
    table = rows(found)
    assert list(table) == ["logistic regression", "CNN", "784-256-128-10, ridge"]
    assert table["logistic regression"]["parameters"] == "7,850"
    assert float(table["logistic regression"]["error %"]) < 60
    assert table["CNN"]["error %"] == "0.10"
    assert table["784-256-128-10, ridge"]["parameters"] == "235,146"
    assert table["784-256-128-10, ridge"]["epochs"] == "1"


def test_the_document_meets_the_lectures_aims():
    table = rows((ROOT / "docs" / "mnist.md").read_text("utf-8"))
    aims = {
        "LDA (scikit-learn)": 12.75,
        "logistic regression": 7.6,
        "784-256-128-10, ridge": 2.1,
        "784-256-128-10, dropout": 1.7,
        "CNN": 0.7,
        "CNN, images augmented": 0.45,
    }
    for name, aim in aims.items():
        assert float(table[name]["error %"]) <= aim == float(table[name]["aim %"])
    together = table["mean of 5 such networks"]
    assert float(together["error %"]) < float(together["aim %"])  # their errors, on average
    assert table["784-256-128-10, dropout"]["parameters"] == "235,146"
