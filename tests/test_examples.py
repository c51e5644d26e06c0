"""Every example runs, in its quick mode, and says what it shows; a warning would fail it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "examples"
EXAMPLES = sorted(FOLDER.glob("*.py"))
PNG = b"\x89PNG\r\n\x1a\n"

# What each lecture's example has to find: part of what it prints, without the lines of its tables.
FACTS = {
    "adding_problem": ["always 1 0 0.1707 81.8%", "LSTM 17,473"],
    "augmentation": ["as they are 1.00 0.0 px 0%", "rotation 1.00 0.2 px 15%"],
    "chain_rule": ["ω0 +0.0519104949175", "β3 -0.1234110208800"],
    "custom_op": ["running_sum: first and second derivatives agree"],
    "delta_recursion": ["3 -0.043960903740 -0.043960903740"],
    "dropout_ridge": ["x1 +1.8554 +0.9711 +0.97"],
    "edge_detection": ["left side +4.0 +0.0", "lower side +0.0 -4.0", "inside +0.0 +0.0"],
    "esl_spambase": ["300 e-mails held out", "linear logistic regression 5.0"],
    "folding": ["1 3 3 at most 4", "2 6 9 at most 7", "5 15 243 at most 16"],
    "forward_and_reverse": ["8 8 20", "64 8,452 2.0 65.5"],
    "gates": ["0 0 0 0 1 1 0 0.0", "0 1 0 1 1 1 1 0.9", "1 0 0 1 1 0 1 0.9", "1 1 1 1 0 0 0 0.0"],
    "gradients_through_time": ["RNN 6.3e-04 2.5e-17 0.52", "LSTM, forget gate open 3.2e-02"],
    "initial_variance": ["0.02 (He) 0.98"],
    "isl_default": ["nobody defaults 0 9.45 ± 0.01 0.0", "logistic regression 4 6.00"],
    "language_model": [
        "all characters alike 0 5.492",
        "3-grams 690 3.948",
        "LSTM 11,373",
        "GPT 8,333",
    ],
    "linear_regions": ["1 20 61 21 21", "2 5 21 16 16", "2 8 33 37 37"],
    "minimum_norm": ["the shortest solution has norm 0.985", "From w₀: norm 3.900"],
    "mnist_mlp": ["test error:"],
    "mnist_table": [
        "512 images to train on, 500 to judge by",
        "LDA (scikit-learn) 7,850 - - - -",
        "784-256-128-10, ridge 235,146 1",
        "784-256-128-10, dropout 235,146 1",
        "mean of 5 such networks 1,175,730 5 × 1",
        "CNN 188,906 1",
        "CNN, images augmented 188,906 1",
    ],
    "nyse": ["AR(5), least squares 16 0.382", "AR(5), least squares + day of week 20 0.451"],
    "optimizers_valley": ["gradient descent 0.0392 116 115", "momentum 0.0614 30 16"],
    "perceptron": ["XOR: 1000 epochs, none without a mistake"],
    "reversal": ["of 976 new sequences"],
    "see_backprop": ["predictions [0. 1. 1. 0.]"],
    "translation": ["convolution, circular 0.000 0.000 0.000 0.000", "global maximum 0.000 0.000"],
    "universal_approximation": ["1 4 0.4", "30 91 0.0", "100 301 0.0"],
    "vanishing_gradients": ["<= 0.25^10 = 9.5e-07"],
}


def test_every_example_has_a_fact_and_a_line_in_the_list():
    assert [path.stem for path in EXAMPLES] == sorted(FACTS)
    listed = re.findall(
        r"^\| \[(\w+)\.py\]\(\1\.py\)", (FOLDER / "README.md").read_text("utf-8"), re.M
    )
    assert sorted(listed) == sorted(FACTS)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example(path, tmp_path):
    if "matplotlib" in path.read_text(encoding="utf-8"):
        # Imported here, too, so that its cache of fonts is built outside of the example.
        pytest.importorskip(
            "matplotlib.font_manager",
            reason="figures need matplotlib: pip install 'graphnn[examples]'",
        )
    if "sklearn" in path.read_text(encoding="utf-8"):
        pytest.importorskip(
            "sklearn", reason="it needs scikit-learn: pip install 'graphnn[sklearn]'"
        )
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
            "COLUMNS": "80",
            "MPLBACKEND": "agg",
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
    assert done.stderr == ""
    said = " ".join(re.sub("[│┃]", " ", done.stdout).split())
    for fact in FACTS[path.stem]:
        assert fact in said, done.stdout
    figures = re.findall(r"^\w+\.png$", done.stdout, re.M)
    assert figures == sorted(file.name for file in tmp_path.glob("*.png"))
    for name in figures:
        assert (tmp_path / name).read_bytes().startswith(PNG)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example_says_what_it_shows(path):
    docstring = compile(path.read_text(encoding="utf-8"), str(path), "exec").co_consts[0]
    assert isinstance(docstring, str)
    assert len(docstring) > 20
