"""XOR with two hidden neurons: the reverse pass of a whole network, with its numbers."""

import tempfile
from pathlib import Path

import numpy as np

import graphnn as gn
from graphnn import optim

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
Y = np.array([[0], [1], [1], [0]], np.float32)

x = gn.Input((None, 2), name="x")
y = gn.Input((None, 1), name="y")
with gn.scope("hidden"):
    W = gn.Parameter([[1.0, -1.0], [-1.2, 0.9]], name="W")
    b = gn.Parameter([0.1, -0.1], name="b")
    h = gn.tanh(x @ W + b)
with gn.scope("output"):
    V = gn.Parameter([[0.8], [1.1]], name="V")
    c = gn.Parameter([0.0], name="c")
    prediction = gn.sigmoid(h @ V + c)
loss = gn.mse_loss(prediction, y)
parameters = [W, b, V, c]

# The reverse pass is nodes like any others: they print, and they run.
gradients = gn.grad(loss, parameters)
print(gn.Graph(gradients), "\n")
values = gn.function([x, y], [loss, *gradients])(X, Y)
print(f"loss {values[0]:.4f}")
for parameter, value in zip(parameters, values[1:], strict=True):
    print(f"dloss/d{parameter.label} = {np.array2string(value, precision=4, prefix='dloss/dW = ')}")

# One training step is one call; its schedule is a table.
step = gn.function([x, y], loss, updates=optim.SGD(lr=2.0, momentum=0.9).updates(loss, parameters))
print(f"\n{step.plan}\n")
print(step.plan.source(1), "\n")

for _ in range(2000):
    error = step(X, Y)
predict = gn.function(x, prediction)
print(f"after 2000 steps: loss {error:.5f}, predictions {predict(X).ravel().round(2)}")

picture = gn.render(step, Path(tempfile.gettempdir()) / "xor.svg", passes="joint")
print(f"the joint picture of both passes: {picture}")
