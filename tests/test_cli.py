"""The command line, as a process of its own and as a function."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

import pytest

import graphnn as gn
from graphnn import cli
from graphnn.backends.cpu import cache


def run(folder, *arguments, status=0, **changes):
    """Run ``python -m graphnn`` in a folder, with warnings as errors; its output and complaints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "graphnn", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **changes},
        capture_output=True,
        encoding="utf-8",
        timeout=500,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout, done.stderr


def test_error_of(output):
    """The share of test images that the demo got wrong, as its output says it."""
    (found,) = re.findall(r"^test error on 2,000 images: (\d+\.\d\d)%$", output, re.MULTILINE)
    return float(found) / 100


test_error_of.__test__ = False


# --------------------------------------------------------------------------- info


def test_info(tmp_path):
    out, err = run(tmp_path, "info", GRAPHNN_NUM_THREADS="3")
    assert err == ""
    facts = dict(re.split(r" {2,}", line, maxsplit=1) for line in out.splitlines())
    assert facts["graphnn"] == gn.__version__
    assert facts["python"].startswith(".".join(map(str, sys.version_info[:3])))
    assert set(facts) == {
        "graphnn", "python", "numba", "llvmlite", "numpy", "scipy", "networkx", "processor",
        "lanes", "threads", "BLAS", "kernel cache", "CUDA", "kernels",
    }  # fmt: skip
    for package in ("numba", "llvmlite", "numpy", "scipy", "networkx"):
        assert re.match(r"\d+\.\d+", facts[package]), facts[package]
    assert facts["threads"] == "3"
    assert facts["kernel cache"].startswith(str(cache.folder()))
    assert re.search(r"\(\d+ kernels, \d+\.\d MB\)$", facts["kernel cache"])
    assert facts["kernels"] == "0 compiled, 0 from the cache"
    assert list(tmp_path.iterdir()) == []


def test_info_without_a_cache(tmp_path):
    out, _ = run(tmp_path, "info", GRAPHNN_CACHE_DIR=str(tmp_path / "nowhere"))
    assert "nowhere (0 kernels, 0.0 MB)" in out
    assert list(tmp_path.iterdir()) == []


def test_info_with_a_bad_number_of_threads(tmp_path):
    _, err = run(tmp_path, "info", status=1, GRAPHNN_NUM_THREADS="many")
    assert err == "graphnn: GRAPHNN_NUM_THREADS is a whole number >= 1; got 'many'\n"


# --------------------------------------------------------------------------- demo


def test_demo_of_one_epoch(tmp_path):
    out, err = run(tmp_path, "demo", "--epochs", "1", "--out", "tmp.svg")
    assert err == ""
    assert "235,146 parameters: 235,146 trainable" in out
    assert re.search(r"^epoch 1/1  \d+\.\d\d s  loss=\d\.\d{4}  accuracy=0\.\d{4}$", out, re.M)
    assert re.search(r"^trained on 8,000 images for 1 epochs in \d+\.\d s$", out, re.M)
    assert re.search(r"^the backprop picture: tmp\.svg$", out, re.M)
    assert 0.04 < test_error_of(out) < 0.2
    assert "\x1b" not in out
    assert [file.name for file in tmp_path.iterdir()] == ["tmp.svg"]
    picture = ElementTree.parse(tmp_path / "tmp.svg").getroot()
    assert picture.tag.endswith("svg")
    text = " ".join(picture.itertext())
    assert "matmul" in text
    assert "0.weight" in text or "weight" in text


def test_demo_reaches_five_per_cent(tmp_path):
    """Twenty epochs, as a new user runs it: nothing given but the command."""
    out, err = run(tmp_path, "demo")
    assert err == ""
    assert out.count("\nepoch ") == 20
    assert test_error_of(out) < 0.05
    assert [file.name for file in tmp_path.iterdir()] == ["graphnn-demo.svg"]


def test_demo_repeats_by_seed_on_any_threads(tmp_path):
    def losses(*options):
        out, _ = run(tmp_path, "demo", "--epochs", "2", "--out", "tmp.svg", *options)
        return re.findall(r"loss=\S+  accuracy=\S+|test error.*", out)

    first = losses("--seed", "3", "--threads", "1")
    assert len(first) == 3
    assert losses("--seed", "3", "--threads", "2") == first
    assert losses("--seed", "4", "--threads", "2") != first


def test_demo_with_another_batch_size(tmp_path):
    out, _ = run(tmp_path, "demo", "--epochs", "1", "--batch-size", "1000", "--out", "picture.dot")
    assert 0.05 < test_error_of(out) < 0.6
    assert (tmp_path / "picture.dot").stat().st_size > 1000


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_ctrl_c_stops_the_demo(tmp_path):
    command = [sys.executable, "-m", "graphnn", "demo", "--epochs", "100000"]
    child = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # Whoever started the tests may have told them to ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    try:
        while not (line := child.stdout.readline()).endswith("trainable, 0 frozen\n"):
            assert child.poll() is None
            assert not line.startswith("epoch ")  # the summary comes before
        time.sleep(1.5)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
    finally:
        child.kill()
        child.wait()
    assert err == "graphnn: stopped\n"
    assert child.returncode == 130


# --------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--frobnicate"], "the following arguments are required: COMMAND"),
        (["demo", "--frobnicate"], "unrecognized arguments: --frobnicate"),
        (["demo", "--epochs", "two"], "argument --epochs: invalid int value: 'two'"),
        (["train"], "invalid choice: 'train'"),
        ([], "the following arguments are required: COMMAND"),
    ],
)
def test_unknown_options(arguments, message, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: graphnn")
    assert message in err


def test_unknown_option_of_the_process(tmp_path):
    _, err = run(tmp_path, "demo", "--frobnicate", status=2)
    assert "unrecognized arguments: --frobnicate" in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--epochs", "0"], "epochs is a whole number >= 1; got 0"),
        (["--batch-size", "-5"], "batch_size is a whole number >= 1; got -5"),
        (["--threads", "0"], "the number of threads is a whole number >= 1 or None; got 0"),
        (["--seed", "-1"], "a seed is a whole number in [0, 2**63); got -1"),
    ],
)
def test_settings_out_of_range(options, message, capsys, tmp_path):
    assert cli.main(["demo", "--out", str(tmp_path / "a.svg"), *options]) == 1
    assert capsys.readouterr().err == f"graphnn: {message}\n"


@pytest.mark.parametrize("name", ["nowhere/a.svg", "a.jpeg", "a"])
def test_a_picture_that_cannot_be_written_costs_no_training(name, capsys, tmp_path):
    assert cli.main(["demo", "--out", str(tmp_path / name)]) == 1
    out, err = capsys.readouterr()
    assert err.startswith("graphnn: ")
    assert name.rsplit("/", 1)[-1] in err
    assert "epoch" not in out
    assert list(tmp_path.iterdir()) == []


def test_help_names_the_commands(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    for word in ("demo", "info", "MNIST"):
        assert word in out


def test_the_installed_command(tmp_path):
    """The console script of the wheel, beside the interpreter."""
    folder = os.path.dirname(sys.executable)
    script = os.path.join(folder, "graphnn.exe" if sys.platform == "win32" else "graphnn")
    assert os.path.exists(script), "install the package: pip install -e ."
    done = subprocess.run(
        [script, "info"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("graphnn ")
