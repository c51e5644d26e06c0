"""Composing networks folds the input space: 3 × 3 regions from 3 + 3 units, and one deep network.

Prince, *Understanding Deep Learning* (2023), sec. 4.1-4.2, figs. 4.1-4.3; Montúfar, Pascanu, Cho,
Bengio, *On the number of linear regions of deep neural networks* (NeurIPS 2014).
"""

import numpy as np
from matplotlib import pyplot as plt
from rich.console import Console
from rich.table import Table

import graphnn as gn

plt.style.use("tableau-colorblind10")
x = gn.Input((None, 1), dtype="float64", name="x")


def shallow(x, joints, weights, bias):
    """Y = bias + Σ weights relu(x - joints): y is (batch, 1), three hidden units."""
    return gn.relu(x - np.array(joints)) @ np.array(weights)[:, None] + bias


def fold(x):
    """A zigzag that maps [-1, 1] three times onto [-1, 1]."""
    return shallow(x, [-1, -1 / 3, 1 / 3], [3.0, -6, 6], -1.0)


def second(y):
    return shallow(y, [-1, -0.4, 0.5], [2.0, -3.5, 2.7], -0.6)


# One deep network: the outer weights of the first net times the inner ones of the second.
V = np.array([[3.0], [-6], [6]])  # (3, 1), out of the first net
inner = np.ones((1, 3))  # (1, 3), into the second
h1 = gn.relu(x - np.array([-1, -1 / 3, 1 / 3]))
h2 = gn.relu(h1 @ (V @ inner) + (-1.0 * inner - np.array([[-1, -0.4, 0.5]]))[0])
deep = h2 @ np.array([[2.0], [-3.5], [2.7]]) - 0.6

grid = np.linspace(-1, 1, 90_001)[:-1, None] + 1 / 90_000  # no point of it is a joint
first, composed, one_net = gn.function(x, [fold(x), second(fold(x)), deep])(grid)
assert np.abs(composed - one_net).max() < 1e-14


def regions(y):
    """One more than the changes of slope on the grid."""
    slope = gn.function(x, gn.grad(gn.sum(y), x))(grid)
    return 1 + np.count_nonzero(np.abs(np.diff(slope[:, 0])) > 1e-6)


found = [regions(y) for y in (fold(x), second(x), second(fold(x)), deep)]
assert found == [3, 3, 9, 9]

table = Table(title="Linear regions on [-1, 1]")
for name in ("folds", "hidden units", "regions", "a shallow net with as many units"):
    table.add_column(name, justify="right")
y = x
for depth in range(1, 6):
    y = fold(y)
    count = regions(y)
    assert count == 3**depth
    table.add_row(str(depth), str(3 * depth), str(count), f"at most {3 * depth + 1}")
Console().print(table)

figure, axes = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained")
axes[0].plot(grid, first, linewidth=2)
axes[0].set(xlabel="x", ylabel="y", title="First network: 3 regions")
axes[1].plot(grid, gn.function(x, second(x))(grid), color="C1", linewidth=2)
axes[1].set(xlabel="y", ylabel="y′", title="Second network: 3 regions")
axes[2].plot(grid, composed, linewidth=2, label="second(first(x))")
axes[2].plot(grid, one_net, "--", linewidth=2, label="one deep network")
axes[2].set(xlabel="x", ylabel="y′", title="Composed: 9 regions")
axes[2].legend(loc="lower left", fontsize="small")
axes[2].set_ylim(-1.25, None)
figure.savefig("folding.png", dpi=150)
print("folding.png")
