"""Rosenblatt's perceptron: separable data are learned in at most (R / γ)² mistakes; XOR never is.

At a mistake, y wᵀx <= 0, the rule is w ← w + y x. R is the length of the longest sample, γ the
margin with which a unit vector separates the data. Rosenblatt, *The perceptron* (1958); Novikoff,
*On convergence proofs for perceptrons* (1962); Minsky and Papert, *Perceptrons* (1969), for XOR;
Bishop, *Pattern Recognition and Machine Learning* (2006), sec. 4.1.7.
"""

import numpy as np
from rich.console import Console
from rich.table import Table

import graphnn as gn

x = gn.Input((3,), dtype="float64", name="x")  # (x₁, x₂, 1): the bias is a weight like the others
y = gn.Input((), dtype="float64", name="y")  # +1 or -1
w = gn.Parameter(np.zeros(3), name="w")

mistake = y * gn.sum(w * x) <= 0.0
new_w = gn.where(mistake, w + y * x, w)
learn = gn.function([x, y], mistake, updates=[(w, new_w)])


def train(samples, labels, epochs):
    """The mistakes of each epoch, up to the first one without any."""
    w.value = np.zeros(3)
    mistakes = []
    for _ in range(epochs):
        mistakes.append(sum(int(learn(*pair)) for pair in zip(samples, labels, strict=True)))
        if not mistakes[-1]:
            break
    return mistakes


def separable(rng, margin, count=200):
    """Points beside a known line: at least the margin away from it, at most a little more."""
    line = np.array([0.6, 0.64, 0.48])  # a unit vector
    samples = np.column_stack([rng.uniform(-1, 1, (200 * count, 2)), np.ones(200 * count)])
    distance = samples @ line
    near = (np.abs(distance) >= margin) & (np.abs(distance) <= margin + 0.05)
    samples, distance = samples[near][:count], distance[near][:count]
    return samples, np.sign(distance), np.abs(distance).min()


table = Table(title="Mistakes until none is left (200 samples)")
for name in ("margin γ", "epochs", "mistakes", "bound (R / γ)²"):
    table.add_column(name, justify="right")
for margin in (0.3, 0.1, 0.03, 0.01, 0.003):
    samples, labels, gamma = separable(np.random.default_rng(0), margin)
    mistakes = train(samples, labels, epochs=1000)
    radius = np.linalg.norm(samples, axis=1).max()
    bound = (radius / gamma) ** 2
    assert mistakes[-1] == 0
    assert sum(mistakes) <= bound
    assert (labels * (samples @ w.value) > 0).all()
    table.add_row(f"{gamma:.4f}", str(len(mistakes)), str(sum(mistakes)), f"{bound:,.0f}")
Console().print(table)

corners = np.array([[0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]], float)
mistakes = train(corners, np.array([-1.0, 1, 1, -1]), epochs=1000)
assert len(mistakes) == 1000
assert min(mistakes) > 0
print(f"XOR: 1000 epochs, none without a mistake; the last had {mistakes[-1]} of 4")
