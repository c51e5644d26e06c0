"""The graphs of docs/gallery.md, small enough to be read."""

from __future__ import annotations

import graphnn as gn
from graphnn import nn


def neuron() -> gn.Captured:
    """A sigmoid of w·x + b, with the numbers of the lecture's example."""
    x = gn.Input((2,), name="x")
    t = gn.Input((), name="t")
    w, b = gn.Parameter([2.0, -3.0], name="w"), gn.Parameter(-3.0, name="b")
    y = gn.sigmoid(gn.sum(w * x) + b)
    return gn.capture(gn.square(y - t, name="loss"), {"x": [-1.0, -2.0], "t": 0.0})


def xor() -> gn.Captured:
    """2-2-1 on the four cases of XOR, with given weights."""
    x, y = gn.Input((None, 2), name="x"), gn.Input((None, 1), name="y")
    V, a = gn.Parameter([[1.0, -1.0], [-1.0, 1.0]], name="V"), gn.Parameter([-0.5] * 2, name="a")
    w, b = gn.Parameter([[1.5], [1.0]], name="w"), gn.Parameter([-0.5], name="b")
    with gn.scope("hidden"):
        h = gn.tanh(x @ V + a)
    with gn.scope("output"):
        out = h @ w + b
    loss = gn.mse_loss(out, y, name="loss")
    return gn.capture(loss, {"x": [[0, 0], [0, 1], [1, 0], [1, 1]], "y": [[0], [1], [1], [0]]})


def chain_rule() -> gn.Captured:
    """Sine, exponential, cosine of one number: where ways part, gradients are added."""
    x = gn.Input((), name="x")
    f = gn.sin(x, name="f")
    g = gn.exp(f, name="g")
    return gn.capture(gn.add(gn.cos(g), f * g, name="y"), {"x": 0.8})


def mlp() -> gn.Model:
    """784-256-128-10 with Adam."""
    x = gn.Input((None, 784), name="x")
    net = nn.Sequential(
        nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)
    )
    model = gn.Model(inputs=x, outputs=net(x))
    model.compile("adam", loss="cross_entropy")
    return model


def lenet() -> gn.Model:
    """LeNet-5 (LeCun et al., 1998) with SGD."""
    x = gn.Input((None, 1, 28, 28), name="x")
    net = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.Tanh(),
        nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
    )  # fmt: skip
    model = gn.Model(inputs=x, outputs=net(x))
    model.compile("sgd", loss="cross_entropy")
    return model


def residual() -> gn.Node:
    """A residual block (He et al., 2016)."""
    x = gn.Input((None, 16, 32, 32), name="x")
    block = nn.Residual(
        nn.Sequential(
            nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16),
        )
    )  # fmt: skip
    return gn.mean(gn.relu(block(x)), name="loss")


def lstm() -> gn.Node:
    """An LSTM over four steps."""
    x, t = gn.Input((None, 4, 8), name="x"), gn.Input((None, 16), name="t")
    output, _ = nn.LSTM(8, 16)(x)
    return gn.mse_loss(output[:, -1], t, name="loss")


def transformer() -> gn.Node:
    """Encoder and decoder of six layers each (Vaswani et al., 2017)."""
    source, target = gn.Input((None, 10, 64), name="source"), gn.Input((None, 9, 64), name="target")
    words = gn.Input((None, 9), dtype="int64", name="words")
    net = nn.Transformer(64, 4, 6, 6, 128, dropout=0.0)
    logits = nn.Linear(64, 50)(net(source, target))
    return gn.cross_entropy(gn.reshape(logits, (-1, 50)), gn.reshape(words, (-1,)), name="loss")
