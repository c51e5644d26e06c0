"""Gates: one neuron makes AND, OR, NAND and NOT; XOR takes two layers, set by hand or learned.

Prince, *Understanding Deep Learning* (2023), ch. 3; Goodfellow, Bengio, Courville, *Deep Learning*
(2016), sec. 6.1, which learns XOR; McCulloch and Pitts, *A logical calculus of the ideas immanent
in nervous activity* (1943), for the neuron with a step.
"""

import numpy as np
from rich.console import Console
from rich.table import Table

import graphnn as gn
from graphnn import nn, optim

gn.set_seed(0)  # a net this small has bad minima: seed 1 ends in one
X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
XOR = np.array([0, 1, 1, 0], np.float32)

x = gn.Input((None, 2), name="x")


def neuron(x, weights, bias):
    return gn.step(x @ np.float32(weights) + bias)


# One neuron: a straight line between the corners of the square.
AND = neuron(x, [1, 1], -1.5)
OR = neuron(x, [1, 1], -0.5)
NAND = neuron(x, [-1, -1], 1.5)
NOT_FIRST = neuron(x, [-1, 0], 0.5)

# XOR = OR and NAND: two neurons, and one that reads them.
hidden = neuron(x, [[1, -1], [1, -1]], np.float32([-0.5, 1.5]))
by_hand = neuron(hidden, [1, 1], -1.5)

# The step has slope 0 wherever it has one, so nothing could learn it: the learned net is smooth.
slope = gn.function(x, gn.grad(gn.sum(by_hand), x))
assert not slope(X).any()

net = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1), nn.Sigmoid())
model = gn.Model(inputs=x, outputs=net(x))
model.compile(optim.Adam(lr=0.1), loss="mse")
model.fit(X, XOR[:, None], epochs=500, batch_size=4, verbose=0)
learned = model.predict(X)[:, 0]

expected = {
    "AND": [0, 0, 0, 1],
    "OR": [0, 1, 1, 1],
    "NAND": [1, 1, 1, 0],
    "NOT x₁": [1, 1, 0, 0],
    "XOR by hand": [0, 1, 1, 0],
}
values = gn.function(x, [AND, OR, NAND, NOT_FIRST, by_hand])(X)
for (name, truth), value in zip(expected.items(), values, strict=True):
    assert np.array_equal(value, truth), name
assert np.abs(learned - XOR).max() < 0.05

table = Table("x₁", "x₂", *expected, "XOR learned", title="Truth tables of neurons")
for row, outputs, probability in zip(X, np.transpose(values), learned, strict=True):
    table.add_row(*(f"{v:.0f}" for v in (*row, *outputs)), f"{probability:.3f}")
Console().print(table)
for layer, place in ((net[0], "hidden"), (net[2], "output")):
    weight = np.array2string(layer.weight.value, precision=2, separator=", ").replace("\n", "")
    print(f"learned, {place}: weight {weight}, bias {layer.bias.value.round(2)}")
