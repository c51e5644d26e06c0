"""The adding problem: add two marked numbers of a long sequence of numbers.

Each step shows a number, uniform over [0, 1], and a mark; two marks are 1, one in each half of the
sequence, all others 0. Who says 1 every time has a squared error of 1/6 = 0.167. The marks are so
far apart that a simple recurrent network never learns more, while gates that begin open carry the
gradient to them. Hochreiter, Schmidhuber, *Long Short-Term Memory* (Neural Computation 9, 1997),
experiment 4; first biases as in Tallec, Ollivier, *Can recurrent neural networks warp time?* (ICLR
2018). GRAPHNN_QUICK=1 takes short sequences and two epochs.
"""

import os

import numpy as np
from rich.console import Console
from rich.table import Table

import graphnn as gn
from graphnn import nn, optim

quick = bool(os.environ.get("GRAPHNN_QUICK"))
STEPS, SAMPLES, EPOCHS = (8, 512, 2) if quick else (100, 10_000, 20)
WIDTH = 64


def sequences(samples, seed):
    """Numbers and marks (samples, STEPS, 2), and sums (samples,)."""
    rng = np.random.default_rng(seed)
    x = np.zeros((samples, STEPS, 2), np.float32)
    x[..., 0] = rng.uniform(size=(samples, STEPS))
    rows, half = np.arange(samples), STEPS // 2
    for first, last in ((0, half), (half, STEPS)):
        x[rows, rng.integers(first, last, samples), 1] = 1
    return x, (x[..., 0] * x[..., 1]).sum(axis=1)


class Adder(nn.Module):
    """A recurrent layer, and a line through its last state."""

    def __init__(self, kind):
        super().__init__()
        self.layer, self.line = kind(2, WIDTH), nn.Linear(WIDTH, 1)
        if kind is not nn.RNN:  # units that keep for 1 to STEPS steps: σ(log k) = k / (k + 1)
            keep = np.log(np.random.default_rng(0).uniform(1, STEPS - 1, WIDTH))
            gates = self.layer.bias_ih_l0.value.reshape(-1, WIDTH)
            gates[1] = keep  # the second gate keeps: i, f, g, o, and r, z, n
            if kind is nn.LSTM:
                gates[0] = -keep  # what keeps long takes in little

    def forward(self, x):
        """The sum, (N,), from numbers and marks (N, STEPS, 2)."""
        output, _ = self.layer(x)
        return self.line(output[:, -1])[:, 0]


train, test = sequences(SAMPLES, seed=0), sequences(2_000, seed=1)
alone = np.mean((test[1] - 1) ** 2)
table = Table(title=f"Adding two of {STEPS} numbers: squared error")
for name in ("", "parameters", "training", "test", "off by > 0.1"):
    table.add_column(name, justify="right" if name else "left")
table.add_row("always 1", "0", "", f"{alone:.4f}", f"{np.mean(abs(test[1] - 1) > 0.1):.1%}")
errors = {}
for kind in (nn.RNN, nn.GRU, nn.LSTM):
    gn.set_seed(0)
    x, y = gn.Input((None, STEPS, 2), name="x"), gn.Input((None,), name="y")
    output = Adder(kind)(x)
    model = gn.Model(x, output)
    model.compile(optim.Adam(lr=2e-3), loss=gn.mse_loss(output, y))
    history = model.fit(*train, epochs=EPOCHS, batch_size=100, verbose=0)
    wrong = model.predict(test[0]) - test[1]
    errors[kind] = np.mean(wrong**2)
    table.add_row(
        kind.__name__,
        f"{sum(p.size for p in model.state_dict().values()):,}",
        f"{history['loss'][-1]:.4f}",
        f"{errors[kind]:.4f}",
        f"{np.mean(abs(wrong) > 0.1):.1%}",
    )
Console().print(table)

assert abs(alone - 1 / 6) < 0.01
if not quick:
    assert errors[nn.RNN] > 0.1
    assert errors[nn.GRU] < 0.01
    assert errors[nn.LSTM] < 0.01
