"""A new op in a few lines of plain Python: it runs compiled, fuses, and differentiates."""

import math

import numpy as np

import graphnn as gn
from graphnn.testing import check_grads


@gn.elementwise
def swish(x):
    return x / (1 + math.exp(-x))


# With a gradient of one's own: dy is dloss/dy, y the output.
@gn.elementwise
def inverse_root_unit(x):
    return x / math.sqrt(1 + x * x)


@inverse_root_unit.backward
def _(dy, x, y):
    square = 1 + x * x
    return dy / (square * math.sqrt(square))


# An op with a kernel of its own: rows start..stop of the output are this thread's.
@gn.op(
    spec=lambda x: x,
    views=("rows", "rows"),
    reference=lambda x: np.cumsum(x, axis=-1),
    vjp=lambda node, dy: [reversed_sum(dy)],
)
def running_sum(start, stop, x, out):
    for i in range(start, stop):
        total = x[i, 0] * 0
        for j in range(x.shape[1]):
            total += x[i, j]
            out[i, j] = total


@gn.op(
    spec=lambda x: x,
    views=("rows", "rows"),
    reference=lambda x: np.cumsum(x[..., ::-1], axis=-1)[..., ::-1],
    vjp=lambda node, dy: [running_sum(dy)],
)
def reversed_sum(start, stop, x, out):
    last = x.shape[1] - 1
    for i in range(start, stop):
        total = x[i, 0] * 0
        for j in range(x.shape[1]):
            total += x[i, last - j]
            out[i, last - j] = total


x = gn.Input((None, 5), name="x", dtype="float64")
for op in (swish, inverse_root_unit, running_sum):
    y = op(x)
    loss = gn.sum(y * y)
    check_grads(loss, np.linspace(-2, 1.9, 15).reshape(3, 5), order=2)
    print(f"{op.__name__}: first and second derivatives agree with finite differences")

fused = gn.function(x, swish(x) * 2.0 + 1.0)
print(fused.plan)
print(fused.plan.source(0))
