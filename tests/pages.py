"""Graphs that the tests of pages share."""

import numpy as np

import graphnn as gn
from graphnn import nn, optim

EVIL = [
    "<script>alert(1)</script>", "</script><img src=x onerror=alert(2)>", "\"'><b id=injected>",
    "x" * 10_000, "🦜🧮", "\u202egnp.exe", "${alert(3)}", "constructor",
]  # fmt: skip


def xor():
    gn.set_seed(0)
    x, y = gn.Input((None, 2), name="x"), gn.Input((None, 1), name="y")
    net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
    logits = net(x)
    model = gn.Model(inputs=x, outputs=logits)
    loss = gn.binary_cross_entropy_with_logits(logits, y)
    model.compile(optimizer=optim.SGD(lr=0.5), loss=loss)
    return model


X = np.float32([[0, 0], [0, 1], [1, 0], [1, 1]])
Y = np.float32([[0], [1], [1], [0]])


def many(layers=1020):
    """A graph that runs 5,000 ops, reverse pass included."""
    h = gn.Input((None, 8), name="x")
    for layer in range(layers):
        with gn.scope(f"block{layer * 12 // layers}.l{layer}"):
            h = gn.tanh(h * gn.Parameter([1.0] * 8, name="w"))
    return gn.mean(h)
