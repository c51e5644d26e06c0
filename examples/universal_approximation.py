"""Width: a shallow network fits a curve better and better with more hidden units.

A wide enough layer follows any continuous curve: the universal approximation theorem. Prince,
*Understanding Deep Learning* (2023), sec. 3.2 and fig. 3.5; Cybenko, *Approximation by
superpositions of a sigmoidal function* (1989); Leshno et al., *Multilayer feedforward networks with
a nonpolynomial activation function can approximate any function* (1993), for ReLU.
"""

import numpy as np
from matplotlib import pyplot as plt
from rich.console import Console
from rich.table import Table

import graphnn as gn
from graphnn import nn, optim

plt.style.use("tableau-colorblind10")
gn.set_seed(0)

X = np.linspace(-1, 1, 512, dtype=np.float32)[:, None]
Y = np.sin(3 * np.pi * X) * np.exp(-X) / 2 + 0.5 * np.abs(X)
ACTIVATIONS = {"ReLU": nn.ReLU(), "tanh": nn.Tanh()}
WIDTHS = (1, 3, 10, 30, 100)


def fitted(width, activation):
    """The root mean square error of a shallow network after training, and its curve."""
    x = gn.Input((None, 1), name="x")
    net = nn.Sequential(nn.Linear(1, width), activation, nn.Linear(width, 1))
    model = gn.Model(inputs=x, outputs=net(x))
    rule = optim.Adam(lr=0.03)
    model.compile(rule, loss="mse")
    for rate in (0.03, 0.01, 0.003, 0.001, 0.0003):  # small steps last
        rule.lr = rate
        model.fit(X, Y, epochs=300, batch_size=64, verbose=0)
    return model.evaluate(X, Y)["loss"] ** 0.5, model.predict(X)


def best(width, activation):
    """The better of some starts: the theorem is about what a network can do."""
    return min((fitted(width, activation) for _ in range(3)), key=lambda fit: fit[0])


results = {name: [best(width, act) for width in WIDTHS] for name, act in ACTIVATIONS.items()}
errors = {name: [error for error, _ in fits] for name, fits in results.items()}
assert errors["ReLU"] == sorted(errors["ReLU"], reverse=True)
for found in errors.values():
    assert found[-1] < found[0] / 10

table = Table(title="Root mean square error of a shallow network")
for name in ("hidden units", "parameters", *errors):
    table.add_column(name, justify="right")
for width, row in zip(WIDTHS, zip(*errors.values(), strict=True), strict=True):
    table.add_row(str(width), str(3 * width + 1), *(f"{error:.4f}" for error in row))
Console().print(table)

figure, axes = plt.subplots(1, 4, figsize=(13, 3.4), layout="constrained")
for panel, (error, curve), width in zip(axes, results["ReLU"][1:4], WIDTHS[1:4], strict=False):
    panel.plot(X, Y, color="0.7", linewidth=5, label="target")
    panel.plot(X, curve, color="C1", linewidth=2, label="network")
    panel.set(xlabel="x", title=f"{width} ReLUs: error {error:.3f}")
axes[0].set_ylabel("y")
axes[0].legend()
for (name, found), mark in zip(errors.items(), "os", strict=True):
    axes[3].loglog(WIDTHS, found, f"{mark}-", label=name)
axes[3].set(xlabel="hidden units", ylabel="root mean square error", title="Error against width")
axes[3].set_ylim(0.008, 1)
axes[3].legend()
figure.savefig("universal_approximation.png", dpi=150)
print("universal_approximation.png")
