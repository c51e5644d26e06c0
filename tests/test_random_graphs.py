"""Random graphs, 520 a run: what the compiled plan computes is what the NumPy references compute.

Forward and backward, in both dtypes, with broadcasting, a batch axis and several outputs: shapes,
fusion, scheduling, memory and kernels are at stake all at once.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

import graphnn as gn
from graphnn import walks
from graphnn.backends import reference
from graphnn.node import Node
from graphnn.spec import BATCH, broadcast_shapes, divide

SIZES = {"N": 3}
UNARY: tuple[Callable[[Node], Node], ...] = (
    gn.tanh,
    gn.sigmoid,
    gn.sin,
    gn.relu,
    gn.square,
    lambda x: gn.exp(gn.sin(x)),
    lambda x: gn.log(gn.square(x) + 0.5),
    lambda x: x / (1.0 + gn.abs(x)),
)
BINARY: tuple[Callable[[Node, Node], Node], ...] = (
    gn.add,
    gn.subtract,
    gn.multiply,
    gn.maximum,
    lambda a, b: a / (1.5 + gn.sin(b)),
    lambda a, b: gn.where(gn.greater(a, b), a * 0.5, b),
)
KINDS = (
    *("map", "join", "join", "reduce", "weigh", "weigh", "move", "product", "softmax"),
    *("part", "pieces", "pieces"),
)
REDUCTIONS = (gn.sum, gn.mean, gn.max)


@st.composite
def graphs(draw):
    """Inputs, and some outputs that are computed from them."""
    dtype = draw(st.sampled_from(["float32", "float64"]))
    full = [BATCH, *draw(st.lists(st.sampled_from([5, 4, 2, 1]), min_size=1, max_size=3))]

    def shape() -> list:  # each axis of the full shape or 1, and at times fewer axes
        chosen = [dim if draw(st.booleans()) else 1 for dim in full]
        return chosen[draw(st.sampled_from([0, 0, 0, 1, len(chosen) - 1])) :]

    inputs = [gn.Input(s, dtype, name=f"x{i}") for i, s in enumerate([full, shape(), shape()])]
    nodes: list[Node] = list(inputs)

    def one() -> Node:  # mostly a late one: deep graphs, not wide ones
        return nodes[-1 - draw(st.integers(0, min(4, len(nodes) - 1)))]

    for _ in range(draw(st.integers(2, 7))):
        made = _applied(draw, one)
        if made is not None:
            nodes.append(made)
    others = draw(st.lists(st.sampled_from(nodes[3:]), max_size=2)) if len(nodes) > 3 else []
    return inputs, [nodes[-1], *others]


def _applied(draw, one: Callable[[], Node]) -> Node | None:
    a = one()
    match draw(st.sampled_from(KINDS)):
        case "map":
            return draw(st.sampled_from(UNARY))(a)
        case "join":
            b = one()
            fits = broadcast_shapes(a.spec.shape, b.spec.shape) is not None
            return draw(st.sampled_from(BINARY))(a, b) if fits else None
        case "reduce" if a.ndim:
            axes = sorted(draw(st.sets(st.integers(0, a.ndim - 1), min_size=1)))
            return draw(st.sampled_from(REDUCTIONS))(a, axes, keepdims=draw(st.booleans()))
        case "weigh" if a.ndim:  # a product that only its reduction reads: one kernel
            b = one()
            if broadcast_shapes(a.spec.shape, b.spec.shape) is None:
                return None
            both = a * b
            axes = sorted(draw(st.sets(st.integers(0, both.ndim - 1), min_size=1, max_size=2)))
            return draw(st.sampled_from(REDUCTIONS))(both, axes)
        case "move" if a.ndim > 1:
            order = draw(st.permutations(range(a.ndim)))
            return gn.transpose(a, order) if draw(st.booleans()) else gn.flatten(a, a.ndim - 2)
        case "product" if a.ndim > 1:
            return gn.matmul(a, gn.transpose(a, [*range(a.ndim - 2), a.ndim - 1, a.ndim - 2])) * 0.3
        case "part" if a.ndim:
            return _part(draw, a)
        case "pieces" if a.ndim:
            return _pieces(draw, a, one())
        case "softmax" if a.ndim:
            return draw(st.sampled_from([gn.softmax, gn.log_softmax]))(a)
    return None


def _part(draw, a: Node) -> Node:
    """Some of a value, backwards, or each second element."""
    axis = draw(st.integers(0, a.ndim - 1))
    cuts = [slice(1, None), slice(None, -1), slice(None, None, -1), slice(0, 1)]
    size = a.spec.shape[axis]
    if isinstance(size, int) and size % 2 == 0:
        cuts += [slice(None, None, 2), slice(size // 2, None), slice(None, size // 2)] * 2
    return a[(*[slice(None)] * axis, draw(st.sampled_from(cuts)))]


def _pieces(draw, a: Node, b: Node) -> Node:
    """What is computed of several values of one shape, joined; or of the pieces of one."""
    axis = draw(st.integers(0, a.ndim - 1))
    count = next((n for n in (2, 5) if divide(a.spec.shape[axis], n) is not None), 1)
    pieces = gn.split(a, count, axis) if draw(st.booleans()) else [a, a]
    if b.spec.shape == pieces[0].spec.shape:
        pieces.append(b)
    made = [draw(st.sampled_from(UNARY))(piece) for piece in pieces]
    if draw(st.booleans()):
        made = [one * made[0] for one in made]
    return draw(st.sampled_from([gn.concat, gn.stack]))(made, axis)


@pytest.mark.parametrize("part", range(4))
def test_random_graphs_compute_what_their_references_do(part, many_lanes, monkeypatch):
    monkeypatch.setattr(walks, "SHORTEST_RUN", 1)
    monkeypatch.setattr(walks, "LONG_RUN", 1)

    @seed(part)
    @settings(max_examples=130)
    @given(graphs())
    def check(graph):
        inputs, outputs = graph
        total = gn.sum(gn.square(outputs[0]))
        for node in outputs[1:]:
            total = total + gn.sum(node)
        pulled = gn.vjp(total, inputs, gn.Constant(1, dtype=total.dtype))
        wanted = [*outputs, *(node for node in pulled if node is not None)]
        rng = np.random.default_rng(part)
        arrays = [rng.standard_normal(x.spec.concrete(SIZES)).astype(x.dtype) for x in inputs]
        function = gn.function(inputs, wanted)
        function.plan_for(SIZES).check()
        expected = reference.evaluate(wanted, dict(zip(inputs, arrays, strict=True)))
        rtol = 2e-4 if total.dtype == "float32" else 1e-9
        for node, found, value in zip(wanted, function(*arrays), expected, strict=True):
            scale = max(1.0, float(np.abs(value).max(initial=0.0)))
            np.testing.assert_allclose(
                found / scale, value / scale, rtol=rtol, atol=rtol, err_msg=repr(node)
            )

    check()
