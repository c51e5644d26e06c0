"""Every example runs, in its quick mode, and says something; a warning would fail it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))


def test_there_are_examples():
    assert EXAMPLES


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example(path, tmp_path):
    kept = {k: v for k, v in os.environ.items() if k != "GRAPHNN_DATA_HOME"}
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        cwd=tmp_path,  # an example may not rely on where it is started
        env={
            **kept,
            "GRAPHNN_QUICK": "1",
            "PYTHONIOENCODING": "utf-8",
            "TMPDIR": str(scratch),
            # Nothing is downloaded: the quick mode makes do with what is in the package.
            "GRAPHNN_DATA_HOME": str(scratch),
            "http_proxy": "http://127.0.0.1:9",
            "https_proxy": "http://127.0.0.1:9",
        },
        capture_output=True,
        encoding="utf-8",
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()
    assert done.stderr == ""


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example_says_what_it_shows(path):
    docstring = compile(path.read_text(encoding="utf-8"), str(path), "exec").co_consts[0]
    assert isinstance(docstring, str)
    assert len(docstring) > 20
