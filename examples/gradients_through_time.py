"""How much of the gradient is left t steps back: an RNN loses it, open gates keep it.

The loss sees the last state alone. ∂l/∂hₜ, over all ways from step t to the loss, shrinks by about
the same factor in each step back: in an RNN by what W and tanh' leave of it, in an LSTM by the
forget gate, in a GRU by the update gate. Gates begin half open, σ(0) = ½, unless their bias says
otherwise: with a bias of 3 they keep σ(3) = 0.95 of it. Hochreiter (1991); Bengio, Simard, Frasconi
(1994); Gers, Schmidhuber, Cummins, *Learning to Forget* (2000); Jozefowicz, Zaremba, Sutskever
(ICML 2015).
"""

import numpy as np
from matplotlib import pyplot as plt
from rich.console import Console
from rich.table import Table

import graphnn as gn
from graphnn import nn

plt.style.use("tableau-colorblind10")
STEPS, INPUTS, WIDTH = 60, 8, 32
X = np.random.default_rng(0).normal(size=(16, STEPS, INPUTS))


def norms(kind, open_gate):
    """‖∂l/∂hₜ‖ at every step, and for the LSTM ‖∂l/∂cₜ‖."""
    gn.set_seed(0)
    layer = kind(INPUTS, WIDTH, dtype="float64")
    if open_gate:  # second in both orders: i, f, g, o and r, z, n
        layer.bias_ih_l0.value[WIDTH : 2 * WIDTH] = 3.0
    x = gn.Input((None, STEPS, INPUTS), dtype="float64", name="x")
    probe = layer.probe(x)  # zeros, added to the states: (1, N, T, H)
    output, _ = layer(x, probe=probe)
    loss = gn.mean(gn.sum(output[:, -1] ** 2.0, axis=1))
    parts = probe if kind is nn.LSTM else [probe]
    found = [gn.norm(d[0], axis=(0, 2)) for d in gn.grad(loss, list(parts))]
    return gn.function(x, found)(X)


nets = {
    "RNN": norms(nn.RNN, open_gate=False)[0],
    "GRU": norms(nn.GRU, open_gate=False)[0],
    "LSTM": norms(nn.LSTM, open_gate=False)[0],
    "GRU, update gate open": norms(nn.GRU, open_gate=True)[0],
}
nets["LSTM, forget gate open"], nets["LSTM's cell c, the same"] = norms(nn.LSTM, open_gate=True)

factors = {name: (norm[0] / norm[-1]) ** (1 / (STEPS - 1)) for name, norm in nets.items()}
assert factors["RNN"] < 0.6
assert all(0.4 < factors[name] < 0.8 for name in ("GRU", "LSTM"))
assert all(factor > 0.9 for name, factor in factors.items() if "open" in name or "cell" in name)

table = Table(title="‖∂l/∂h‖, relative to the last step")
for name in ("", "10 steps back", f"{STEPS - 1} steps back", "factor a step"):
    table.add_column(name, justify="right" if name else "left")
for name, norm in nets.items():
    left = norm / norm[-1]
    table.add_row(name, f"{left[-11]:.1e}", f"{left[0]:.1e}", f"{factors[name]:.2f}")
Console().print(table)

figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
for (name, norm), dash in zip(nets.items(), ("-", "-", "-", "--", "--", ":"), strict=True):
    axes.semilogy(np.arange(1, STEPS + 1), norm / norm[-1], dash, label=name)
axes.set(xlabel="t", ylabel="‖∂l/∂hₜ‖ relative to the last step", ylim=(1e-20, 3))
axes.set_title("The gradient on its way back through time")
axes.legend(fontsize="small")
figure.savefig("gradients_through_time.png", dpi=150)
print("gradients_through_time.png")
