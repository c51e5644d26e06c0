"""Which nodes one kernel computes together, and how it walks over its operands."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphnn as gn
from graphnn.context import role
from graphnn.fusion import Group, fuse, is_computed, root
from graphnn.spec import BATCH, broadcast_shapes, evaluate
from graphnn.testing import check_values
from graphnn.walks import nested


def kernels(*outputs: gn.Node) -> list[list[str]]:
    return [[node.op.name for node in group.nodes] for group in fuse(outputs)]


def check_groups(groups: list[Group], outputs) -> None:
    """Each node in one group; each group after those that it needs; outputs are what others read."""
    made: set[gn.Node] = set()
    everything = [node for group in groups for node in group.nodes]
    assert len(everything) == len(set(everything))
    kept = {root(node) for node in outputs}
    for group in groups:
        inside = set(group.nodes)
        for value in group.inputs:
            assert value not in inside
            if is_computed(root(value)):
                assert root(value) in made, "a group runs before one that it needs"
        made |= set(group.outputs)
        needed_outside = {
            node
            for node in group.nodes
            if node in kept
            or any(node in map(root, other.inputs) for other in groups if other is not group)
        }
        assert needed_outside == set(group.outputs) & needed_outside
        assert needed_outside <= set(group.outputs)


# ------------------------------------------------------------------------------ what is joined


def test_a_chain_is_one_kernel():
    x = gn.Input((4, 3), name="x")
    assert kernels(gn.tanh(gn.exp(x) * 2.0 + 1.0)) == [["exp", "multiply", "add", "tanh"]]


def test_a_value_read_twice_is_computed_once():
    x = gn.Input((4, 3), name="x")
    h = gn.exp(x)
    (group,) = fuse([gn.sin(h) + gn.cos(h)])
    assert [node.op.name for node in group.nodes] == ["exp", "sin", "cos", "add"]
    assert len(group.outputs) == 1


def test_several_outputs():
    x = gn.Input((4, 3), name="x")
    h = gn.exp(x)
    y = gn.sin(h)
    (group,) = fuse([h, y])
    assert group.outputs == (h, y)
    assert group.name == "exp_sin"


def test_a_reduction_takes_in_what_only_it_reads():
    x = gn.Input((4, 3), name="x")
    assert kernels(gn.sum(gn.square(x - 1.0))) == [["subtract", "square", "sum"]]
    h = gn.square(x)
    assert kernels(gn.sum(h), h) == [["square"], ["sum"]]
    assert kernels(gn.sum(h), gn.max(h, 1)) == [["square"], ["sum"], ["max"]]


def test_products_and_rows_are_kernels_of_their_own():
    x, W = gn.Input((4, 3), name="x"), gn.Input((3, 5), name="W")
    assert kernels(gn.softmax(gn.relu(x @ W + 1.0))) == [["matmul"], ["add", "relu"], ["softmax"]]


def test_other_shapes_and_other_passes_stay_apart():
    x, b = gn.Input((4, 3), name="x"), gn.Input((3,), name="b")
    assert kernels(x + gn.exp(b)) == [["exp"], ["add"]]
    with role("backward"):
        y = gn.exp(x)
    assert kernels(gn.sin(y)) == [["exp"], ["sin"]]


def test_reshapes_are_looked_through():
    x = gn.Input((4, 3), name="x")
    flat = gn.reshape(gn.exp(x), (12,))
    groups = fuse([gn.sin(flat)])
    assert [[n.op.name for n in g.nodes] for g in groups] == [["exp"], ["sin"]]
    assert root(flat) is groups[0].last
    check_groups(groups, [gn.sin(flat)])


def test_a_path_that_leaves_the_kernel_and_comes_back():
    x = gn.Input((4, 3), name="x")
    h = gn.exp(x)
    y = h - gn.max(h)  # needs all of h before it can begin
    assert kernels(y) == [["exp"], ["max"], ["subtract"]]


def test_two_groups_that_need_each_other():
    """Each is free of cycles alone; joined as they are, each would wait for the other."""
    x, z = gn.Input((4, 3), name="x"), gn.Input((5,), name="z")
    a1, b1 = gn.exp(x), gn.exp(z)
    b2 = b1 + gn.sum(a1)  # b's group needs a's
    a2 = gn.sin(x)
    a3 = a1 * a2 + gn.sum(b1)  # and a's group b's
    groups = fuse([a3, b2])
    check_groups(groups, [a3, b2])
    check_values([a3, b2], {x: np.ones((4, 3)), z: np.ones(5)})

    c1, d1 = gn.cos(x), gn.cos(z)
    c2 = gn.tanh(x + gn.sum(d1))
    d2 = gn.tanh(z + gn.sum(c1))
    outputs = [c1 + c2, d1 + d2]
    check_groups(fuse(outputs), outputs)
    check_values(outputs, {x: np.ones((4, 3)), z: np.ones(5)})


def test_a_group_knows_its_form():
    x = gn.Input((None, 3), name="x")
    (group,) = fuse([gn.sum(gn.exp(x), 0)])
    assert group.last.op.name == "sum"
    assert group.shape == (BATCH, 3)
    assert group.role == "forward"
    (long,) = fuse([gn.tanh(gn.sin(gn.cos(gn.exp(gn.tanh(x) * 2.0))))])
    assert long.name == "tanh_multiply_3_more_tanh"


def test_equal_layers_share_kernels(rng):
    """A hundred layers compile no more than five."""

    def sources(layers: int) -> set[str]:
        x = gn.Input((None, 8), name="x")
        h = x
        parameters = []
        for _ in range(layers):
            W = gn.Parameter(rng.standard_normal((8, 8)).astype(np.float32))
            b = gn.Parameter(np.zeros(8, np.float32))
            parameters += [W, b]
            h = gn.relu(h @ W + b)
        loss = gn.mean(gn.square(h))
        updates = [
            (p, p - 0.1 * g) for p, g in zip(parameters, gn.grad(loss, parameters), strict=True)
        ]
        plan = gn.function([x], loss, updates=updates).plan
        plan.check()
        return {kernel.source for kernel in plan.kernels}

    assert sources(100) == sources(5)


# ------------------------------------------------------------------------------ random graphs

SHAPES = [(3, 4), (4,), (3, 1), ()]


@st.composite
def graphs(draw):
    """A random graph, and values for its inputs."""
    inputs = [gn.Input(shape, "float64", name=f"x{i}") for i, shape in enumerate(SHAPES)]
    nodes: list[gn.Node] = list(inputs)

    def one() -> gn.Node:  # mostly a late one: deep graphs, not wide ones
        return nodes[-1 - draw(st.integers(0, min(5, len(nodes) - 1)))]

    for _ in range(draw(st.integers(4, 16))):
        kind = draw(st.sampled_from(["map", "join", "join", "reduce"]))
        a, b = one(), one()
        if kind == "join" and broadcast_shapes(a.spec.shape, b.spec.shape) is not None:
            nodes.append(a * b if draw(st.booleans()) else a + b)
        elif kind == "reduce" and a.ndim:
            nodes.append(gn.sum(a, draw(st.sampled_from([None, -1]))))
        else:
            nodes.append(gn.tanh(a) if draw(st.booleans()) else gn.sin(a))
    return inputs, [nodes[-1], *draw(st.lists(st.sampled_from(nodes), max_size=2))]


@settings(max_examples=500)
@given(graphs())
def test_random_graphs_are_grouped_soundly(graph):
    _, outputs = graph
    check_groups(fuse(outputs), outputs)


# ----------------------------------------------------------------------------------- the loops


@given(
    shape=st.lists(st.integers(1, 4), max_size=4).map(tuple),
    data=st.data(),
)
def test_loops_walk_every_element_once(shape, data):
    """The product of the loops is the size; each operand is found by its own loops."""
    broadcast = st.tuples(*[st.sampled_from([1, n]) for n in shape]) if shape else st.just(())
    operands = data.draw(st.lists(broadcast, max_size=3))
    apart = data.draw(st.sets(st.integers(0, max(len(shape) - 1, 0))))
    loops = nested(shape, operands, sorted(apart))
    assert math.prod(loops.sizes) == math.prod(shape)
    assert sorted(axis for joined in loops.axes for axis in joined) == [
        i for i, n in enumerate(shape) if n != 1
    ]
    for size, joined in zip(loops.sizes, loops.axes, strict=True):
        assert size == math.prod(shape[axis] for axis in joined)
        assert len({axis in apart for axis in joined}) == 1
    for operand, moves in zip(operands, loops.operands, strict=True):
        assert math.prod(operand) == math.prod(loops.sizes[i] for i in moves)


def test_neighbouring_axes_are_one_loop():
    loops = nested((BATCH, 28, 28), [(BATCH, 28, 28), (28, 28), ()])
    assert [evaluate(n, {"N": 3}) for n in loops.sizes] == [3, 784]
    assert loops.operands == ((0, 1), (1,), ())
    assert nested((4, 1, 5), [(4, 1, 5)]).sizes == (20,)
    assert nested((), [()]).sizes == ()
    assert nested((4, 5), [(4, 5)], apart=[1]).axes == ((0,), (1,))


@pytest.mark.parametrize("op", ["sum", "mean", "max"])
def test_a_reduction_fuses_in_every_form(op):
    """Before, in and after the reduced axes, with operands that are broadcast along each."""
    x = gn.Input((2, 3, 4), "float64", name="x")
    rng = np.random.default_rng(2)
    for shape in [(2, 1, 1), (3, 1), (4,), (2, 3, 1), (2, 1, 4), (3, 4), ()]:
        other = gn.Input(shape, "float64", name="other")
        given = {x: rng.standard_normal((2, 3, 4)), other: rng.standard_normal(shape)}
        outputs = [
            getattr(gn, op)(gn.tanh(x * other), axes)
            for axes in [0, 1, 2, (0, 1), (1, 2), (0, 2), None]
        ]
        check_values(outputs, given)
