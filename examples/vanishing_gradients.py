"""Ten sigmoid layers lose the gradient; ReLU with He's weights and residual layers keep it.

σ' <= 1/4: ten layers multiply the gradient by slopes whose product is at most 0.25¹⁰ ≈ 10⁻⁶.
Hochreiter (1991); Bengio, Simard, Frasconi (1994); Glorot, Bengio (2010); He et al., ICCV 2015 and
CVPR 2016; Prince, *Understanding Deep Learning* (2023), sec. 7.5, 11.2 and 11.3.
"""

import numpy as np
from matplotlib import pyplot as plt
from rich.console import Console
from rich.table import Table

import graphnn as gn
from graphnn import nn

plt.style.use("tableau-colorblind10")
DEPTH, WIDTH = 10, 64
X = np.random.default_rng(0).normal(size=(128, WIDTH))


def gradients(next_layer, init):
    """Norm of dl/dz in each layer, and the mean slope of σ at its z."""
    gn.set_seed(0)
    h = x = gn.Input((None, WIDTH), dtype="float64", name="x")
    zs = []
    for k in range(DEPTH):
        z = h @ gn.Parameter(init((WIDTH, WIDTH), dtype="float64"), name=f"W{k + 1}")
        h = next_layer(h, z)
        zs.append(z)
    loss = gn.mean(gn.sum(h * h, axis=1))
    norms = [gn.sqrt(gn.sum(dz * dz)) for dz in gn.grad(loss, zs)]
    slopes = [gn.mean(gn.sigmoid(z) * (1.0 - gn.sigmoid(z))) for z in zs]
    found = np.array(gn.function(x, [*norms, *slopes])(X))
    return found[:DEPTH], found[DEPTH:]


layers = {  # h is the value before a layer; √2 keeps the variance of a sum of two
    "sigmoid, Xavier": (lambda _, z: gn.sigmoid(z), nn.init.xavier_normal),
    "ReLU, He": (lambda _, z: gn.relu(z), nn.init.he_normal),
    "residual, He": (lambda h, z: (h + gn.relu(z)) / 2**0.5, nn.init.he_normal),
}
nets = {name: gradients(*layer) for name, layer in layers.items()}
product = np.prod(nets["sigmoid, Xavier"][1])
assert product <= 0.25**DEPTH
kept = {name: norms[0] / norms[-1] for name, (norms, _) in nets.items()}
assert kept["sigmoid, Xavier"] < 1e-4
assert 0.1 < kept["ReLU, He"] < 10
assert 0.1 < kept["residual, He"] < 10

table = Table("layer", *nets, title="‖∂l/∂z‖ of each layer")
for k in range(DEPTH):
    table.add_row(str(k + 1), *(f"{norms[k]:.2e}" for norms, _ in nets.values()))
table.add_section()
table.add_row("first / last", *(f"{ratio:.1e}" for ratio in kept.values()))
Console().print(table)
print(f"mean slopes of the sigmoids, multiplied: {product:.1e} <= 0.25^10 = {0.25**DEPTH:.1e}")

figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
number = np.arange(1, DEPTH + 1)
for (name, (norms, _)), mark in zip(nets.items(), "os^", strict=True):
    axes.semilogy(number, norms / norms[-1], f"{mark}-", label=name)
axes.semilogy(number, 0.25 ** (DEPTH - number), "k:", label="¼ a layer")
axes.set(xlabel="layer", ylabel="‖∂l/∂z‖ relative to the last layer", xticks=number)
axes.set_title("The gradient on its way back through ten layers")
axes.legend()
figure.savefig("vanishing_gradients.png", dpi=150)
print("vanishing_gradients.png")
