"""The command line: ``graphnn demo`` and ``graphnn info``, also ``python -m graphnn``."""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import graphnn as gn
from graphnn import nn, optim
from graphnn.backends.cpu import blas, cache, executor
from graphnn.backends.cpu.compile import counts, processor
from graphnn.errors import GraphnnError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except GraphnnError as error:
        print(f"graphnn: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("graphnn: stopped", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="graphnn", description="Numba-compiled computational graphs: see backprop, train fast."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    demo = commands.add_parser(
        "demo", help="train 784-256-128-10 on 10,000 MNIST images and draw its reverse pass"
    )
    demo.add_argument("--epochs", type=int, default=20, help="default: %(default)s")
    demo.add_argument("--batch-size", type=int, default=128, help="default: %(default)s")
    demo.add_argument("--threads", type=int, default=None, help="default: all processors")
    demo.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    demo.add_argument(
        "--out", type=Path, default=Path("graphnn-demo.svg"), help="picture: %(default)s"
    )
    demo.set_defaults(run=demonstrate)
    info = commands.add_parser("info", help="versions, processor, threads, BLAS, cache, CUDA")
    info.set_defaults(run=inform)
    return parser


def demonstrate(options: argparse.Namespace) -> int:
    """Train the network of the lectures on the embedded images, and draw what was executed."""
    gn.set_seed(options.seed)
    gn.set_num_threads(options.threads)
    (x_train, y_train), (x_test, y_test) = gn.datasets.mnist10k()
    x = gn.Input((None, 784), name="x")
    y = gn.Input((None,), dtype="int64", name="y")
    network = nn.Sequential(
        nn.Linear(784, 256), nn.ReLU(), nn.Dropout(0.4),
        nn.Linear(256, 128), nn.ReLU(), nn.Dropout(0.3),
        nn.Linear(128, 10),
    )  # fmt: skip
    logits = network(x)
    model = gn.Model(inputs=x, outputs=logits)
    model.compile(optim.Adam(lr=1e-3), loss=gn.cross_entropy(logits, y), metrics=["accuracy"])
    model.summary()
    picture = model.render(options.out, passes="joint")  # first: a bad path costs no training
    started = time.perf_counter()
    model.fit({"x": x_train, "y": y_train}, epochs=options.epochs, batch_size=options.batch_size)
    seconds = time.perf_counter() - started
    error = 1 - model.evaluate({"x": x_test, "y": y_test})["accuracy"]
    print(f"trained on {len(x_train):,} images for {options.epochs} epochs in {seconds:.1f} s")
    print(f"test error on {len(x_test):,} images: {error:.2%}")
    print(f"the backprop picture: {picture}")
    return 0


def inform(_options: argparse.Namespace) -> int:
    """Print what matters in a bug report."""
    rows = {
        "graphnn": gn.__version__,
        "python": f"{platform.python_version()} ({platform.platform()})",
        **{name: _version(name) for name in ("numba", "llvmlite", "numpy", "scipy", "networkx")},
        "processor": processor(),
        "lanes": f"{executor.machine_lanes()} (results depend on them, not on threads)",
        "threads": str(gn.get_num_threads()),
        "BLAS": blas.description(),
        "kernel cache": f"{cache.folder()} ({_entries()})",
        "CUDA": "not in this version",
    }
    wide = max(map(len, rows))
    for name, value in rows.items():
        print(f"{name:<{wide}}  {value}")
    print(f"{'kernels':<{wide}}  {counts['compiled']} compiled, {counts['loaded']} from the cache")
    return 0


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _entries() -> str:
    try:
        files = list(cache.folder().glob("*.kernel"))
        size = sum(file.stat().st_size for file in files)
    except OSError as error:
        return f"unreadable: {error}"
    return f"{len(files)} kernels, {size / 1e6:.1f} MB"
