"""The variance of the first weights decides whether signals explode or vanish with depth.

50 layers of Dₕ = 100 ReLUs, weights with variance σ²: each layer multiplies the variance of its
values, and on the way back that of the gradients, by Dₕ σ² / 2. It is 1 for He's σ² = 2 / Dₕ.
Prince, *Understanding Deep Learning* (2023), sec. 7.5, fig. 7.7; He et al., ICCV
2015, eqs. 10 and 14.
"""

import numpy as np
from matplotlib import pyplot as plt
from rich.console import Console
from rich.table import Table

import graphnn as gn
from graphnn import nn

gn.set_seed(0)
plt.style.use("tableau-colorblind10")
DEPTH, WIDTH = 50, 100
VARIANCES = (0.001, 0.01, 0.02, 0.1, 1.0)

# The initial variance is an input, so that one graph serves all: float64 holds the extremes.
x = gn.Input((None, WIDTH), dtype="float64", name="x")
variance = gn.Input((), dtype="float64", name="variance")
f, h = [], x
for _ in range(DEPTH):
    unit = gn.Parameter(nn.init.normal((WIDTH, WIDTH), std=1.0, dtype="float64"))
    f.append(h @ (unit * gn.sqrt(variance)))
    h = gn.relu(f[-1])
output = h @ gn.Parameter(nn.init.he_normal((WIDTH, 1), dtype="float64"))
loss = gn.mean(output * output)


def spread(node):
    return gn.mean(node * node)  # the means are 0


measure = gn.function([x, variance], [spread(node) for node in (*f, *gn.grad(loss, f))])
X = np.random.default_rng(0).normal(size=(256, WIDTH))
measured = {v: np.array(measure(X, v)).reshape(2, DEPTH) for v in VARIANCES}

table = Table(title="Factor by which the variance changes, a layer")
for name in ("σ²", "forward", "backward", "theory: Dₕ σ² / 2"):
    table.add_column(name, justify="right")
for v, (values, gradients) in measured.items():
    forward = (values[-1] / values[0]) ** (1 / (DEPTH - 1))
    backward = (gradients[0] / gradients[-1]) ** (1 / (DEPTH - 1))
    theory = WIDTH * v / 2
    assert abs(forward / theory - 1) < 0.1
    assert abs(backward / theory - 1) < 0.1
    he = " (He)" if v == 2 / WIDTH else ""
    table.add_row(f"{v}{he}", f"{forward:.3f}", f"{backward:.3f}", f"{theory:.2f}")
Console().print(table)

figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained", sharex=True)
layers = np.arange(1, DEPTH + 1)
for (v, pair), dash in zip(measured.items(), ("-", "--", "-", "-.", ":"), strict=True):
    he = v == 2 / WIDTH
    for panel, values in zip(axes, pair, strict=True):
        label = f"σ² = {v}" + (" = 2 / Dₕ" if he else "")
        panel.semilogy(layers, values, dash, linewidth=3 if he else 1.5, label=label)
axes[0].set(xlabel="layer", ylabel="variance of pre-activations f", title="Forward pass")
axes[0].set_yticks(10.0 ** np.arange(-60, 90, 30))
axes[1].set(xlabel="layer", ylabel="variance of gradients ∂l/∂f", title="Reverse pass")
axes[1].set_yticks(10.0 ** np.arange(-150, 200, 50))
axes[0].legend(fontsize="small")
figure.savefig("initial_variance.png", dpi=150)
print("initial_variance.png")
