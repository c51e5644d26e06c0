"""A shallow ReLU network is piecewise linear: its regions counted, against Zaslavsky's bound.

D hidden units cut a space of Dᵢ <= D dimensions into at most Σ_{j <= Dᵢ} C(D, j) regions, and the
network has one slope in each. Prince, *Understanding Deep Learning* (2023), sec. 3.1-3.4,
figs. 3.8-3.10; Zaslavsky, *Facing up to arrangements* (1975).
"""

import math

import numpy as np
from matplotlib import pyplot as plt
from rich.console import Console
from rich.table import Table

import graphnn as gn
from graphnn import nn

gn.set_seed(5)
plt.style.use("tableau-colorblind10")


def network(inputs, units):
    """A shallow net, as a function of x: output, its slopes, and which units are active."""
    x = gn.Input((None, inputs), dtype="float64", name="x")
    hidden = nn.Linear(inputs, units, dtype="float64")
    # Units of all directions, so that all their borders cross near the origin.
    angle = 0.3 + np.pi * np.arange(units) * (units - 1) / units
    hidden.weight.value = np.column_stack([np.cos(angle), np.sin(angle)])[:, :inputs]
    hidden.bias.value = nn.init.uniform((units,), -1, 1, "float64")
    z = hidden(x)
    y = nn.Linear(units, 1, dtype="float64")(gn.relu(z))
    slopes = gn.grad(gn.sum(y), x)
    active = gn.cast(z > 0.0, "float64") @ 2.0 ** np.arange(units)  # as bits of a number
    return hidden, gn.function(x, [y, slopes, active])


def joints(hidden):
    """Where units begin or end: points of a line, or the crossings of lines in a plane."""
    weight, bias = hidden.weight.value, hidden.bias.value
    if weight.shape[1] == 1:
        return -bias[:, None] / weight
    pairs = [[i, j] for i in range(len(bias)) for j in range(i)]
    return np.array([np.linalg.solve(weight[pair], -bias[pair]) for pair in pairs])


table = Table(title="Regions of a ReLU network of D hidden units")
for name in ("inputs", "D", "parameters", "regions", "bound Σ C(D, j)"):
    table.add_column(name, justify="right")
shown = {}
for inputs, units in [(1, 4), (1, 8), (1, 20), (2, 3), (2, 5), (2, 8)]:
    hidden, run = network(inputs, units)
    reach = 1.1 * np.abs(joints(hidden)).max()  # all crossings lie in the picture
    axis = np.linspace(-reach, reach, 100_001 if inputs == 1 else 801)
    points = np.stack(np.meshgrid(*[axis] * inputs), axis=-1).reshape(-1, inputs)
    y, slopes, active = run(points)
    _, first, region = np.unique(active, return_index=True, return_inverse=True)
    regions = len(first)
    bound = sum(math.comb(units, j) for j in range(inputs + 1))
    assert regions == bound  # it is reached: the borders lie in general position
    assert np.allclose(slopes, slopes[first][region])  # one slope in each region
    table.add_row(*map(str, (inputs, units, (inputs + 2) * units + 1, regions, bound)))
    shown[inputs, units] = (axis, y[:, 0], region, joints(hidden)[:, 0])
Console().print(table)

figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4.2), layout="constrained")
axis, y, _, at = shown[1, 4]
left.plot(axis, y, linewidth=2)
left.plot(at, np.interp(at, axis, y), "o", color="C1", label="joints")
left.set(xlabel="x", ylabel="y", title="1 input, 4 hidden units: 5 linear regions")
left.legend()
axis, y, region, _ = shown[2, 5]
square = (len(axis), len(axis))
filled = right.contourf(axis, axis, y.reshape(square), levels=24, cmap="cividis")
figure.colorbar(filled, label="y")
for one in range(region.max() + 1):
    inside = (region == one).reshape(square)
    right.contour(axis, axis, inside, levels=[0.5], colors="white", linewidths=1)
right.set(xlabel="x₁", ylabel="x₂", title="2 inputs, 5 hidden units: 16 linear regions")
figure.savefig("linear_regions.png", dpi=150)
print("linear_regions.png")
