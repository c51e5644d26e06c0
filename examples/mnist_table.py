"""The MNIST table of the lectures: from discriminant analysis to a convolutional network.

James, Witten, Hastie, Tibshirani, *An Introduction to Statistical Learning* (2nd ed.), table 10.1,
has the first four rows; LeCun et al., *Gradient-based learning applied to document recognition*
(1998), the convolutional network; Hastie, Tibshirani, Friedman, *The Elements of Statistical
Learning* (2nd ed.), sec. 11.5.1, the mean of networks from several first weights.

Settings were chosen on the last 10,000 images of the training set (``--validate``), never on the
test set. ``docs/mnist.md`` has what this found:

    python examples/mnist_table.py --markdown docs/mnist.md

``--row cnn`` makes that row alone; ``--quick`` (or GRAPHNN_QUICK=1) takes a few embedded images and
one epoch.
"""

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

import graphnn as gn
from graphnn import nn, optim

RESTARTS, CLASSES = 5, 10
# Columns and their widths; "cores" says how many processors worked, on average.
COLUMNS = {
    "by": 24, "parameters": 10, "epochs": 6, "s/epoch": 7, "cores": 5, "seed": 4, "error %": 7,
    "aim %": 5,
}  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """A network and how it is trained; the optimizer is told how many steps there will be."""

    network: Callable[[], nn.Module]
    optimizer: Callable[[int], optim.Optimizer]
    epochs: int
    batch_size: int = 128


@dataclass(frozen=True)
class Result:
    """What one training brought: probabilities of the images to be judged, and what they cost."""

    probabilities: np.ndarray
    parameters: int
    seconds: float  # an epoch: the median
    cores: float  # fewer than there are where other programs work, too


def linear():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, CLASSES))


def dense(*dropout):
    layers = [nn.Flatten()]
    for inputs, units, p in zip((784, 256), (256, 128), dropout or (0.0, 0.0), strict=True):
        layers += [nn.Linear(inputs, units), nn.ReLU(), *([nn.Dropout(p)] if p else [])]
    return nn.Sequential(*layers, nn.Linear(128, CLASSES))


def convolution(channels, filters, size):
    """Convolution without a bias, since the normalisation behind it takes away each mean."""
    return [nn.Conv2d(channels, filters, size, bias=False), nn.BatchNorm2d(filters), nn.ReLU()]


def convolutional(*augmentation):
    return nn.Sequential(
        *augmentation,
        *convolution(1, 32, 5), nn.MaxPool2d(2), nn.Dropout(0.1),
        *convolution(32, 64, 3), *convolution(64, 64, 3), nn.MaxPool2d(2), nn.Flatten(),
        nn.Dropout(0.3), nn.Linear(64 * 4 * 4, 128), nn.ReLU(), nn.Dropout(0.3),
        nn.Linear(128, CLASSES),
    )  # fmt: skip


def augmented():
    """Turned, scaled, sheared, moved by up to two pixels, and bent a little, anew in every step."""
    return convolutional(
        nn.RandomAffine(10, translate=(0.08, 0.08), scale=(0.9, 1.1), shear=8),
    )


def descent(lr, **settings):
    """Nesterov's momentum, its rate falling to 0 along half a cosine."""
    free = {"params": optim.biases_and_norms, "weight_decay": 0.0}
    return lambda steps: optim.SGD(
        optim.schedule.CosineAnnealingLR(lr, T_max=steps), momentum=0.9, nesterov=True,
        groups=[free], **settings,
    )  # fmt: skip


def adam(lr):
    """Adam, its rate rising for three tenths of the steps and then falling."""
    return lambda steps: optim.Adam(optim.schedule.OneCycleLR(lr, total_steps=steps))


SETTINGS = {
    "logistic": Setting(linear, adam(5e-3), epochs=15),
    "ridge": Setting(dense, descent(0.1, weight_decay=2e-4), epochs=30),
    "dropout": Setting(lambda: dense(0.2, 0.2), descent(0.1), epochs=40),
    "cnn": Setting(convolutional, adam(3e-3), epochs=10),
    "augmented": Setting(augmented, adam(3e-3), epochs=15),
}
NAMES = {
    "lda": "LDA (scikit-learn)",
    "logistic": "logistic regression",
    "ridge": "784-256-128-10, ridge",
    "dropout": "784-256-128-10, dropout",
    "restarts": f"mean of {RESTARTS} such networks",
    "cnn": "CNN",
    "augmented": "CNN, images augmented",
}
AIMS = {
    "lda": 12.75, "logistic": 7.6, "ridge": 2.1, "dropout": 1.7, "cnn": 0.7, "augmented": 0.45,
}  # fmt: skip


def arguments():
    quick = bool(os.environ.get("GRAPHNN_QUICK"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--row", choices=NAMES, action="append", help="that row alone; repeatable")
    parser.add_argument("--quick", action="store_true", default=quick, help="few images, one epoch")
    parser.add_argument("--validate", action="store_true", help="judge by held-out training images")
    parser.add_argument("--markdown", type=Path, help="a file in whose table the rows are put")
    return parser.parse_args()


options = arguments()


@cache
def images():
    """Images and labels to train on, and to judge by."""
    load = gn.datasets.mnist10k if options.quick else gn.datasets.mnist
    (x, y), (x_judged, y_judged) = load(flatten=False)
    if options.validate:
        rest = len(x) * 5 // 6
        x, y, x_judged, y_judged = x[:rest], y[:rest], x[rest:], y[rest:]
    if options.quick:
        return x[:512], y[:512], x_judged[:500], y_judged[:500]
    return x, y, x_judged, y_judged


def error(probabilities):
    """In per cent."""
    return 100 * np.mean(probabilities.argmax(axis=1) != images()[3])


@cache
def trained(key, seed):
    """One training; the same seed finds the same weights."""
    setting = SETTINGS[key]
    x_train, y_train, x_judged, _ = images()
    gn.set_seed(seed)
    x = gn.Input((None, 1, 28, 28), name="x")
    y = gn.Input((None,), dtype="int64", name="y")
    logits = setting.network()(x)
    model = gn.Model(x, gn.softmax(logits))
    steps = epochs_of(key) * -(-len(x_train) // setting.batch_size)
    score = {"accuracy": gn.accuracy(logits, y)}
    model.compile(setting.optimizer(steps), gn.cross_entropy(logits, y), metrics=score)
    worked, started = time.process_time(), time.perf_counter()
    history = model.fit(
        {"x": x_train, "y": y_train}, epochs=epochs_of(key), batch_size=setting.batch_size,
        verbose=0 if options.quick else 1,
    )  # fmt: skip
    cores = (time.process_time() - worked) / (time.perf_counter() - started)
    return Result(
        model.predict(x_judged),
        sum(p.value.size for p in model.parameters.values() if p.trainable),
        float(np.median(history.seconds)),
        cores,
    )


def epochs_of(key):
    return 1 if options.quick else SETTINGS[key].epochs


def discriminant():
    """Ten normal distributions with one covariance: the border of two classes is a plane."""
    x, y, x_judged, _ = images()
    method = LinearDiscriminantAnalysis().fit(x.reshape(len(x), -1), y)
    wrong = error(method.predict_proba(x_judged.reshape(len(x_judged), -1)))
    return [f"{method.coef_.size + method.intercept_.size:,}", *"----"], wrong, AIMS["lda"]


def measured(key):
    """The cells of a row, its error, and what it should not be above."""
    if key == "lda":
        return discriminant()
    several = key == "restarts"
    key, seeds = ("dropout", range(RESTARTS)) if several else (key, range(1))
    runs = [trained(key, seed) for seed in seeds]
    wrong = error(np.mean([run.probabilities for run in runs], axis=0))
    each = [error(run.probabilities) for run in runs]
    cells = [
        f"{sum(run.parameters for run in runs):,}",
        f"{RESTARTS} × {epochs_of(key)}" if several else f"{epochs_of(key)}",
        f"{np.median([run.seconds for run in runs]):.2f}",
        f"{np.mean([run.cores for run in runs]):.1f}",
        f"0–{seeds[-1]}" if several else "0",
    ]
    return cells, wrong, np.mean(each) if several else AIMS[key]


def shown(cells):
    """A line of the table."""
    return "  ".join(
        cell.ljust(width) if i == 0 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(cells, COLUMNS.values(), strict=True))
    )


def keep(path, cells):
    """Put a row into the table of a file, in the place of the one with the same first cell."""
    head = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    lines = path.read_text("utf-8").splitlines() if path.exists() else head
    first = lines.index(head[0])
    behind = first + 1
    while behind < len(lines) and lines[behind].startswith("|"):
        behind += 1
    names = [line.split(" | ")[0] for line in lines[first:behind]]
    name = f"| {cells[0]}"
    at = first + names.index(name) if name in names else behind
    lines[at : at + (at < behind)] = [f"| {' | '.join(cells)} |"]
    path.write_text("\n".join(lines) + "\n", "utf-8")


print(f"{len(images()[0]):,} images to train on, {len(images()[2]):,} to judge by")
print(shown(list(COLUMNS)))
missed = []
for key in options.row or NAMES:
    cells, wrong, aim = measured(key)
    cells = [NAMES[key], *cells, f"{wrong:.2f}", f"{aim:.2f}"]
    print(shown(cells), flush=True)
    if options.markdown:
        keep(options.markdown, cells)
    # A mean of networks has to be better than they are, and not as good.
    if wrong >= aim if key == "restarts" else wrong > aim:
        missed.append(NAMES[key])
if missed and not options.quick:
    raise SystemExit(f"above the aim: {'; '.join(missed)}")
