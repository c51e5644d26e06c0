"""What every peer trains on, with what, and how it reports: the part that must not differ.

NumPy only, so that any peer's environment can run it.
"""

import argparse
import gzip
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np

# The MNIST network: 784-256-128-10, ReLU, softmax cross-entropy, Adam.
LAYERS = (784, 256, 128, 10)
IMAGES = 60_000
BATCH = 128
ADAM_LR = 1e-3

# XOR: 2-4-1, tanh, then sigmoid, mean-squared error, the four rows as one batch, plain SGD.
XOR_X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
XOR_Y = np.array([[0], [1], [1], [0]], np.float32)
SGD_LR = 0.5

# Sequences: (batch, steps, features, hidden units, classes), of the encoder (batch, steps, width,
# heads, layers). The class is told by the last output; the encoder learns to say a fixed target.
SEQUENCES = {
    "lstm": (128, 28, 28, 128, 10),
    "gru": (128, 28, 28, 128, 10),
    "transformer": (32, 64, 128, 4, 2),
}


def arguments(description, *, warmup, repeats):
    """Parse the command line that all peers share; `warmup` and `repeats` are its defaults."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--warmup", type=int, default=warmup, help="untimed repeats, at least 1")
    parser.add_argument("--repeats", type=int, default=repeats, help="timed repeats")
    parser.add_argument("--synthetic", action="store_true", help="random data of MNIST's shape")
    return parser


def mnist(*, synthetic):
    """Return images (60000, 784) float32 in [0, 1] and labels (60000,) int64."""
    if synthetic:
        draw = np.random.default_rng(0)
        images = draw.random((IMAGES, LAYERS[0]), dtype=np.float32)
        return images, draw.integers(0, LAYERS[-1], IMAGES)
    home = os.environ.get("GRAPHNN_DATA_HOME")
    if home is None:
        raise SystemExit("set GRAPHNN_DATA_HOME to the folder that holds mnist/, or: --synthetic")
    folder = Path(home) / "mnist"
    images = _idx(folder / "train-images-idx3-ubyte.gz", header=16).reshape(IMAGES, LAYERS[0])
    labels = _idx(folder / "train-labels-idx1-ubyte.gz", header=8)
    return images.astype(np.float32) / 255, labels.astype(np.int64)


def _idx(path, header):
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), np.uint8, offset=header)


def xor_weights():
    """Return W1 (2, 4), b1 (4,), W2 (4, 1), b2 (1,): a start from which XOR is learnt."""
    draw = np.random.default_rng(4)
    first, second = draw.standard_normal((2, 4)), draw.standard_normal((4, 1))
    return [a.astype(np.float32) for a in (first, np.zeros(4), second, np.zeros(1))]


def sequences(kind):
    """Return one batch: x (batch, steps, features) float32, and what is to be said of it."""
    draw = np.random.default_rng(0)
    batch, steps, features, *_, classes = SEQUENCES[kind]
    x = draw.standard_normal((batch, steps, features)).astype(np.float32)
    if kind == "transformer":
        return x, draw.standard_normal(x.shape).astype(np.float32)
    return x, draw.integers(0, classes, batch)


def cross_entropy(logits, labels):
    """Mean over the rows of -log softmax(logits)[label], in float64: the same judge for all."""
    z = np.asarray(logits, np.float64)
    z = z - z.max(axis=1, keepdims=True)
    return float(np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), labels]))


def mean_squared_error(outputs, targets):
    """Mean of (outputs - targets)², in float64."""
    return float(np.mean((np.asarray(outputs, np.float64) - targets) ** 2))


def report(*, peer, task, threads, unit, seconds, loss, packages, **more):
    """Print the one JSON line; `seconds` holds one time per `unit` ("epoch" or "step")."""
    versions = {"python": platform.python_version()} | {name: version(name) for name in packages}
    line = {
        "peer": peer,
        "task": task,
        "threads": threads,
        "unit": unit,
        "seconds": seconds,
        "loss": loss,
        "versions": versions,
    }
    print(json.dumps(line | more), flush=True)
