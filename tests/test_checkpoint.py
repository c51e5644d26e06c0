"""Recomputing instead of storing: the same bits, less memory, in the right order."""

from __future__ import annotations

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.errors import GraphError
from graphnn.testing import check_grads

WIDTH, DEPTH = 16, 12


def chain(depth: int) -> nn.Module:
    return nn.Sequential(*(m for _ in range(depth) for m in (nn.Linear(WIDTH, WIDTH), nn.Tanh())))


def gradients(blocks: list[nn.Module], held: bool) -> gn.Function:
    x = gn.Input((None, WIDTH), name="x")
    y = x
    for block in blocks:
        y = gn.checkpoint(block, y) if held else block(y)
    loss = gn.mean(y * y)
    wrt = [p for block in blocks for p in block.parameters()]
    return gn.function(x, [loss, *gn.grad(loss, [x, *wrt])])


def test_the_same_bits_in_less_memory(rng):
    gn.set_seed(0)
    blocks = [chain(DEPTH) for _ in range(4)]
    stored, held = gradients(blocks, False), gradients(blocks, True)
    x = rng.standard_normal((256, WIDTH)).astype(np.float32)
    for a, b in zip(stored(x), held(x), strict=True):
        np.testing.assert_array_equal(a, b)
    stored.plan.check()
    held.plan.check()
    values = [f.memory.peak - sum(p.value.nbytes for p in f.parameters) for f in (stored, held)]
    assert values[1] < 0.6 * values[0], f"stored {values[0]}, recomputed {values[1]}"


def test_it_is_recomputed_after_the_cotangent_has_arrived():
    x = gn.Input((8, 4), name="x")
    inner = gn.checkpoint(lambda v: gn.exp(gn.sin(v) @ np.eye(4, dtype=np.float32)), x)
    late = gn.sum(gn.softmax(inner) * inner)
    order = [
        node.op.name
        for step in gn.function(x, gn.grad(late, x)).plan.steps
        for node in step.group.nodes
    ]
    assert order.count("sin") == 2
    assert order.count("matmul") == 3  # forward, again, and the gradient
    first, second = (i for i, name in enumerate(order) if name == "sin")
    assert first < order.index("softmax") < second


def test_checkpoints_within_checkpoints_and_second_derivatives(rng):
    w = gn.Constant(rng.standard_normal((3, 3)))

    def inner(x):
        return gn.sin(x @ w)

    def outer(x):
        return gn.exp(gn.checkpoint(inner, gn.tanh(x)))

    def held(x):
        return gn.checkpoint(outer, x)

    at = rng.standard_normal((2, 3))
    check_grads(held, at, order=2)
    x = gn.Input((2, 3), "float64")
    plain = gn.exp(gn.sin(gn.tanh(x) @ w))
    given = [gn.grad(gn.sum(y), x) for y in (plain, held(x))]
    np.testing.assert_allclose(*gn.function(x, given)(at), rtol=1e-14)
    moved = [gn.jvp(y, [x], [np.ones((2, 3))]) for y in (plain, held(x))]
    np.testing.assert_allclose(*gn.function(x, moved)(at), rtol=1e-14)


def test_several_results_and_values_from_outside(rng):
    x, s = gn.Input((3,), "float64", name="x"), gn.Input((), "float64", name="s")
    twice = x * 2.0

    def two(v):
        return gn.sin(v) * s, gn.cos(v) + twice

    def loss(a, b):
        return gn.sum(a * b)

    found = gn.grad(loss(*gn.checkpoint(two, x)), [x, s])
    wanted = gn.grad(loss(*two(x)), [x, s])
    values = gn.function([x, s], [*found, *wanted])(rng.standard_normal(3), 0.7)
    np.testing.assert_allclose(values[0], values[2])
    np.testing.assert_allclose(values[1], values[3])


def test_dropout_inside_drops_the_same_again():
    gn.set_seed(3)
    x = gn.Input((64,), name="x")
    y = gn.checkpoint(lambda v: gn.dropout(v, 0.5) * 1.5, x)
    both = gn.function(x, [y, gn.grad(gn.sum(y), x)], training=True)
    ones = np.ones(64, np.float32)
    for _ in range(3):
        value, slope = both(ones)
        np.testing.assert_array_equal(value, slope)


def test_only_nodes_can_be_held():
    with pytest.raises(GraphError, match="returns nodes; got 3"):
        gn.checkpoint(lambda x: 3, gn.Input((2,)))
