"""The textbook's deltas are nodes of the reverse pass: δₗ = (Wₗ₊₁ᵀ δₗ₊₁) ⊙ σ'(zₗ).

Nielsen, *Neural Networks and Deep Learning* (2015), ch. 2, BP1-BP4; Goodfellow, Bengio, Courville,
*Deep Learning* (2016), algorithm 6.4; Prince, *Understanding Deep Learning* (2023), sec. 7.4.
"""

from itertools import pairwise

import numpy as np
from rich.console import Console
from rich.table import Table

import graphnn as gn
from graphnn import nn

gn.set_seed(0)
rng = np.random.default_rng(0)
SIZES = (4, 6, 5, 3)
X, Y = rng.normal(size=4), rng.uniform(size=3)

# Layers: z = W h + b, h = σ(z); the loss is half the squared error of the last h.
x = gn.Input((4,), dtype="float64", name="x")
y = gn.Input((3,), dtype="float64", name="y")
layers = [
    nn.Linear(m, n, dtype="float64", name=f"layer{i + 1}")
    for i, (m, n) in enumerate(pairwise(SIZES))
]
h, zs = x, []
for layer in layers:
    zs.append(layer(h))
    h = gn.sigmoid(zs[-1])
loss = 0.5 * gn.sum((h - y) ** 2.0)

deltas = gn.grad(loss, zs)
weights, biases = [p.weight for p in layers], [p.bias for p in layers]
found = gn.function([x, y], [*zs, *deltas, *gn.grad(loss, weights), *gn.grad(loss, biases)])(X, Y)
z, delta, d_weight, d_bias = (found[i : i + 3] for i in (0, 3, 6, 9))


# The recursion in NumPy, from the last layer to the first.
def sigma(z):
    return 1 / (1 + np.exp(-z))


def slope(z):
    return sigma(z) * (1 - sigma(z))


W = [p.value for p in weights]
by_hand = [(sigma(z[2]) - Y) * slope(z[2])]  # BP1
for i in (1, 0):
    by_hand.insert(0, W[i + 1].T @ by_hand[0] * slope(z[i]))  # BP2
hs = [X, sigma(z[0]), sigma(z[1])]

table = Table(title="The reverse pass beside the recursion; the largest differences")
for name in ("layer", "δ of neuron 1", "by hand", "|Δδ|", "|ΔdW|", "|Δdb|"):
    table.add_column(name, justify="right")
for i in (2, 1, 0):
    gaps = [
        np.abs(delta[i] - by_hand[i]).max(),
        np.abs(d_weight[i] - np.outer(by_hand[i], hs[i])).max(),  # BP4: dl/dW = δ hᵀ
        np.abs(d_bias[i] - by_hand[i]).max(),  # BP3: dl/db = δ
    ]
    assert max(gaps) < 1e-16
    first = [f"{delta[i][0]:+.12f}", f"{by_hand[i][0]:+.12f}"]
    table.add_row(str(i + 1), *first, *(f"{gap:.0e}" for gap in gaps))
Console().print(table)
