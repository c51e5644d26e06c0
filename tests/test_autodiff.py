"""The reverse pass is a graph: its nodes, its sums, its links, and its own derivatives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphnn as gn
from graphnn.backends import reference
from graphnn.errors import DTypeError, GraphError, ShapeError
from graphnn.graph import needed
from graphnn.testing import check_grads


def value(node, given):
    return reference.evaluate(node, given)


def ops_of(node) -> list[str]:
    return [other.op.name for other in needed([node])]


def test_the_gradient_is_made_of_nodes():
    x = gn.Input((3,), "float64", name="x")
    gradient = gn.grad(gn.sum(x * x), x)
    assert isinstance(gradient, gn.Node)
    assert gradient.shape == (3,)
    assert gradient.dtype == "float64"
    assert gradient.role == "backward"
    np.testing.assert_array_equal(value(gradient, {x: [1, 2, 3]}), [2, 4, 6])


def test_one_or_several():
    x, y = gn.Input((), name="x"), gn.Input((), name="y")
    assert isinstance(gn.grad(x * y, x), gn.Node)
    dx, dy = gn.grad(x * y, [x, y])
    assert [value(d, {x: 3, y: 5}).item() for d in (dx, dy)] == [5, 3]
    (alone,) = gn.grad(x * y, (x,))
    assert isinstance(alone, gn.Node)


def test_gradients_accumulate_through_explicit_sums():
    """A value that is used n times gets n - 1 sums, which can be seen."""
    x = gn.Input((), "float64", name="x")
    loss = gn.exp(x) + gn.sin(x) + x * x
    gradient = gn.grad(loss, x)
    sums = [node for node in needed([gradient]) if node.op.name == "accumulate"]
    assert len(sums) == 3
    assert all(node.role == "backward" and node.forward_of is x for node in sums)
    expected = np.exp(0.5) + np.cos(0.5) + 1
    np.testing.assert_allclose(value(gradient, {x: 0.5}), expected)


def test_a_value_used_once_needs_no_sum():
    x = gn.Input((3,))
    assert "accumulate" not in ops_of(gn.grad(gn.sum(gn.tanh(x)), x))


def test_every_backward_node_knows_its_forward_node():
    x = gn.Input((None, 4), name="x")
    with gn.scope("layer"):
        W = gn.Parameter(np.ones((4, 3), np.float32), name="W")
        z = x @ W
        h = gn.tanh(z)
    loss = gn.mean(gn.square(h))
    forward = set(needed([loss]))
    backward = [node for node in needed([gn.grad(loss, W)]) if node.role == "backward"]
    assert backward
    assert all(node.forward_of in forward for node in backward)
    origin = {node.op.name: node.forward_of for node in backward}
    assert origin["tanh_backward"] is h
    assert next(n for n in backward if n.op.name == "matmul").forward_of is z
    assert all(n.scope == "layer" for n in backward if n.forward_of in (h, z))


def test_scope_and_role_are_left_as_they_were():
    x = gn.Input((), name="x")
    with gn.scope("outer"):
        gn.grad(x * x, x)
        node = gn.exp(x)
    assert (node.scope, node.role, node.forward_of) == ("outer", "forward", None)


def test_broadcasting_is_undone():
    row, column = gn.Input((4,), "float64"), gn.Input((3, 1), "float64")
    scalar = gn.Input((), "float64")
    gradients = gn.grad(gn.sum(row * column + scalar), [row, column, scalar])
    assert [g.shape for g in gradients] == [(4,), (3, 1), ()]
    given = {row: np.arange(4.0), column: np.arange(3.0)[:, None], scalar: 1.0}
    found = value(gradients, given)
    np.testing.assert_array_equal(found[0], np.full(4, 3.0))
    np.testing.assert_array_equal(found[1], np.full((3, 1), 6.0))
    assert found[2] == 12


def test_with_respect_to_a_node_in_the_middle():
    x = gn.Input((3,), "float64", name="x")
    h = gn.exp(x)
    loss = gn.sum(h * h)
    dh, dx = gn.grad(loss, [h, x])
    point = np.array([0.1, 0.2, -0.3])
    found = value([dh, dx], {x: point})
    np.testing.assert_allclose(found[0], 2 * np.exp(point))
    np.testing.assert_allclose(found[1], 2 * np.exp(2 * point))


def test_with_respect_to_the_loss_itself():
    x = gn.Input((), name="x")
    loss = x * x
    assert value(gn.grad(loss, loss), {x: 3}) == 1


def test_the_same_node_twice():
    x = gn.Input((), name="x")
    a, b = gn.grad(x * x, [x, x])
    assert value(a, {x: 3}) == value(b, {x: 3}) == 6


def test_the_shape_of_a_gradient_is_that_of_its_node():
    """Also where the loss does not depend on the values: d sum / dx is ones."""
    x = gn.Input((None, 3), name="x")
    gradient = gn.grad(gn.sum(x), x)
    assert gradient.shape == (None, 3)
    assert value(gradient, {x: np.zeros((2, 3))}).tolist() == [[1, 1, 1], [1, 1, 1]]


# --------------------------------------------------------------------- derivatives of derivatives


def test_higher_derivatives():
    x = gn.Input((), "float64", name="x")
    node = gn.sin(x) * x
    point = 0.7
    expected = [
        point * np.sin(point),
        np.sin(point) + point * np.cos(point),
        2 * np.cos(point) - point * np.sin(point),
        -3 * np.sin(point) - point * np.cos(point),
        -4 * np.cos(point) + point * np.sin(point),
    ]
    for true in expected:
        np.testing.assert_allclose(value(node, {x: point}), true, rtol=1e-12)
        node = gn.grad(node, x)


def test_the_second_derivative_of_swish():
    """A user's op with a declared gradient: y'' = s'(2 + x (1 - 2 s)), s = σ(x)."""
    import math

    @gn.elementwise
    def smooth_step(x):
        return x / (1 + math.exp(-x))

    @smooth_step.backward
    def _(dy, x, y):
        s = 1 / (1 + math.exp(-x))
        return dy * (s + y * (1 - s))

    x = gn.Input((None,), "float64")
    first = gn.grad(gn.sum(smooth_step(x)), x)
    second = gn.grad(gn.sum(first), x)
    points = np.linspace(-4, 4, 9)
    s = 1 / (1 + np.exp(-points))
    found = gn.function([x], [first, second])(points)
    np.testing.assert_allclose(found[0], s + points * s * (1 - s), rtol=1e-13)
    np.testing.assert_allclose(
        found[1], s * (1 - s) * (2 + points * (1 - 2 * s)), rtol=1e-12, atol=1e-14
    )
    check_grads(smooth_step, points, order=2)


def test_a_hessian_by_rows():
    x = gn.Input((3,), "float64")
    A = np.array([[2.0, 1, 0], [1, 3, -1], [0, -1, 4]])
    loss = gn.sum(x * gn.matmul(gn.Constant(A), x)) / 2.0
    first = gn.grad(loss, x)
    rows = [gn.grad(gn.sum(first * gn.Constant(unit)), x) for unit in np.eye(3)]
    np.testing.assert_allclose(value(rows, {x: [1, 2, 3]}), A)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_a_network(order, backend, rng):
    x, y = gn.Input((None, 4), "float64"), gn.Input((None,), "int64")
    W = gn.Parameter(rng.standard_normal((4, 5)), name="W")
    b = gn.Parameter(rng.standard_normal(5), name="b")
    V = gn.Parameter(rng.standard_normal((3, 5)), name="V")
    h = gn.tanh(x @ W + b)
    loss = gn.cross_entropy(h @ gn.transpose(V), y) + 0.01 * gn.sum(gn.square(W))
    check_grads(loss, rng.standard_normal((6, 4)), [0, 2, 1, 1, 0, 2], order=order, backend=backend)


# ------------------------------------------------------------------------------ random graphs

UNARY = ["tanh", "sin", "exp", "square", "sigmoid", "negative"]
BINARY = ["add", "multiply", "subtract", "maximum"]


@st.composite
def recipes(draw):
    """Steps of a random graph over nodes of shapes (3, 2), (2,), (3, 1) and ()."""
    steps = []
    for _ in range(draw(st.integers(1, 7))):
        kind = draw(st.sampled_from(["unary", "binary", "sum", "mean", "softmax", "transpose"]))
        steps.append(
            (
                kind,
                draw(st.sampled_from(BINARY if kind == "binary" else UNARY)),
                draw(st.integers(0, 99)),
                draw(st.integers(0, 99)),
            )
        )
    return steps


def built(steps, inputs) -> gn.Node:
    nodes = list(inputs)
    for kind, name, i, j in steps:
        a, b = nodes[i % len(nodes)], nodes[j % len(nodes)]
        try:
            if kind == "unary":
                node = getattr(gn, name)(a * 0.5)
            elif kind == "binary":
                node = getattr(gn, name)(a, b)
            elif kind == "transpose":
                node = gn.transpose(a)
            elif kind == "softmax":
                node = gn.softmax(a)
            else:
                node = getattr(gn, kind)(a, j % a.ndim if a.ndim and j % 3 else None)
        except ShapeError:
            continue
        nodes.append(node)
    total = gn.sum(nodes[-1])
    for node in nodes[:-1]:
        total = total + gn.mean(node) * 0.1
    return total


@given(recipes())
def test_gradients_of_random_graphs(steps):
    rng = np.random.default_rng(11)
    arrays = [rng.uniform(-1, 1, shape) for shape in [(3, 2), (2,), (3, 1), ()]]
    check_grads(lambda *inputs: built(steps, inputs), *arrays, backend="reference", rtol=1e-5)


# ------------------------------------------------------------------------------------- errors


def test_the_loss_is_a_scalar():
    x = gn.Input((3,), name="x")
    with pytest.raises(
        ShapeError,
        match=r"grad needs a scalar loss; tanh has shape \(3,\)\. Declared at test_autodiff.py:\d+\. Take gn.mean or gn.sum",
    ):
        gn.grad(gn.tanh(x), x)


def test_unreachable():
    x, y = gn.Input((), name="x"), gn.Input((), name="y")
    with pytest.raises(
        GraphError,
        match=r"multiply does not depend on y \(declared at test_autodiff.py:\d+\).*Leave it out of wrt",
    ):
        gn.grad(x * x, y)
    with pytest.raises(GraphError, match="does not depend on"):
        gn.grad(x, gn.exp(x))


def test_through_ops_without_a_gradient():
    x = gn.Input((3,), name="x")
    steps = gn.cast(x > 0, "float32")
    with pytest.raises(
        GraphError, match="does not depend on x .*or only through ops without a grad"
    ):
        gn.grad(gn.sum(steps), x)
    # Beside a way that has one, it counts as constant.
    gradient = gn.grad(gn.sum(steps * x), x)
    assert value(gradient, {x: [-1, 2, 3]}).tolist() == [0, 1, 1]


def test_whole_numbers_have_no_gradient():
    n, x = gn.Input((3,), "int64", name="n"), gn.Input((3,), name="x")
    with pytest.raises(DTypeError, match=r"only floats have gradients; n is int64\. Declared at"):
        gn.grad(gn.sum(gn.cast(n, "float32") * x), n)
    with pytest.raises(DTypeError, match="only floats have gradients"):
        gn.grad(gn.sum(n), x)


def test_something_that_is_no_node():
    x = gn.Input((), name="x")
    with pytest.raises(GraphError, match=r"grad takes nodes; got 1\.0 \(float\)"):
        gn.grad(x * x, [1.0])


def test_vjp():
    x = gn.Input((2, 3), "float64", name="x")
    other = gn.Input((2, 3), "float64", name="other")
    y = gn.exp(x)
    v = gn.Constant(np.arange(6.0).reshape(2, 3))
    dx, none = gn.vjp(y, [x, other], v)
    assert none is None
    np.testing.assert_allclose(value(dx, {x: np.ones((2, 3))}), np.arange(6).reshape(2, 3) * np.e)


# --------------------------------------------------------------------------- check_grads itself


@gn.elementwise
def wrong_cube(x):
    return x * x * x


@wrong_cube.backward
def _(dy, x, y):
    return dy * (3 * x * x if x < 1 else 2 * x * x)


def test_check_grads_finds_the_wrong_element():
    with pytest.raises(AssertionError) as error:
        check_grads(wrong_cube, np.array([[-1.0, 0.5], [2.0, 0.0]]))
    text = str(error.value)
    assert "the first derivative differs from finite differences" in text
    assert "most of all at input 0[1, 0]: gradient " in text
    for word in ("finite differences ", "difference ", "tolerance "):
        assert word in text.splitlines()[-1]


def test_check_grads_finds_a_wrong_second_derivative():
    from dataclasses import replace

    from graphnn.node import apply
    from graphnn.op import registry

    exp = registry["exp"]
    halved = replace(exp, name="halved_exp", vjp=lambda node, dy: [dy * node * 0.5])
    op = replace(exp, name="half_exp", vjp=lambda node, dy: [dy * apply(halved, node.inputs)])
    check_grads(lambda x: apply(op, [x]), [0.3, 0.4], backend="reference")
    with pytest.raises(AssertionError, match="the second derivative differs"):
        check_grads(lambda x: apply(op, [x]), [0.3, 0.4], order=2, backend="reference")


def test_check_grads_finds_a_missing_gradient():
    from dataclasses import replace

    from graphnn.node import apply
    from graphnn.op import registry

    op = replace(registry["exp"], name="deaf_exp", vjp=lambda node, dy: [None])
    with pytest.raises(AssertionError, match=r"most of all at input 0\[1\]: gradient 0,"):
        check_grads(lambda x: apply(op, [x]), [0.3, 0.4], backend="reference")


def test_check_grads_needs_float64():
    x = gn.Input((2,), name="x")
    with pytest.raises(DTypeError, match="finite differences need float64; .* is float32"):
        check_grads(gn.sum(x), [1, 2])
    with pytest.raises(GraphError, match="has no float input to differentiate"):
        check_grads(lambda n: gn.cast(n, "float64"), np.array([1, 2]))
    with pytest.raises(GraphError, match=r"sum needs 1 inputs \(x\); got 2 values"):
        check_grads(gn.sum(x), [1, 2], [3])


# ------------------------------------------------------------------------------ forward mode


def test_jvp_is_the_change_along_a_direction(rng):
    x = gn.Input((4, 3), "float64", name="x")
    w = gn.Parameter(rng.standard_normal((3, 2)), name="w")
    y = gn.tanh(x @ w)
    dx, dw = rng.standard_normal((4, 3)), rng.standard_normal((3, 2))
    at, h = rng.standard_normal((4, 3)), 1e-5
    slope = gn.function(x, gn.jvp(y, [x, w], [dx, dw]))(at)
    before = w.value.copy()

    def value(t: float) -> np.ndarray:
        w.value = before + t * dw
        return gn.function(x, y)(at + t * dx)

    np.testing.assert_allclose(slope, (value(h) - value(-h)) / (2 * h), rtol=1e-8, atol=1e-9)


def test_jvp_of_what_does_not_depend_is_zero():
    x, z = gn.Input((3,), name="x"), gn.Input((3,), name="z")
    found = gn.jvp([gn.sum(x), z], [z], [np.ones(3, np.float32)])
    assert [node.shape for node in found] == [(), (3,)]
    total, same = gn.function([x, z], found)(np.ones(3, np.float32), np.ones(3, np.float32))
    assert total == 0
    np.testing.assert_array_equal(same, 1)


def test_jvp_says_which_tangent_does_not_fit():
    x = gn.Input((3,), name="x")
    with pytest.raises(ShapeError, match=r"the tangent of x must be float32 \(3,\); got"):
        gn.jvp(gn.sum(x), [x], [np.ones(4, np.float32)])
    with pytest.raises(GraphError, match="1 nodes, 0 tangents"):
        gn.jvp(gn.sum(x), [x], [])


def test_hvp_is_the_hessian_times_the_vector(rng):
    a = rng.standard_normal((5, 5))
    x = gn.Input((5,), "float64", name="x")
    quartic = gn.sum(gn.square(gn.matmul(x, gn.Constant(a)))) + gn.sum(x * x * x)
    v, at = rng.standard_normal(5), rng.standard_normal(5)
    found = gn.function(x, gn.hvp(quartic, x, v))(at)
    np.testing.assert_allclose(found, (2 * a @ a.T + np.diag(6 * at)) @ v, rtol=1e-10)


def test_stop_gradient_cuts_both_modes():
    x = gn.Input((3,), name="x")
    y = gn.sum(gn.stop_gradient(x) * x)
    one = np.float32([1, 2, 3])
    np.testing.assert_array_equal(gn.function(x, gn.grad(y, x))(one), one)
    assert gn.function(x, gn.jvp(y, [x], [np.ones(3, np.float32)]))(one) == 6
    with pytest.raises(GraphError, match="does not depend on"):
        gn.grad(gn.sum(gn.stop_gradient(x)), x)


@pytest.mark.parametrize("mode", ["forward", "reverse", None])
@pytest.mark.parametrize(("n", "m"), [((3,), (2, 2)), ((2, 2), ()), ((), (3,)), ((5,), (2,))])
def test_jacobian_of_a_quadratic_map(mode, n, m, rng):
    size, count = int(np.prod(n)), int(np.prod(m))
    a = rng.standard_normal((count, size))
    x = gn.Input(n, "float64", name="x")
    flat = gn.reshape(x, (size,))
    y = gn.reshape(gn.matmul(gn.Constant(a), flat * flat), m)
    at = rng.standard_normal(n)
    found = gn.function(x, gn.jacobian(y, x, mode))(at)
    np.testing.assert_allclose(found, (a * 2 * at.reshape(-1)).reshape(*m, *n), rtol=1e-12)


def test_jacobian_takes_the_cheaper_mode():
    x = gn.Input((6,), name="x")
    wide = gn.jacobian(gn.sum(gn.tanh(x)), x)  # one row: one reverse pass
    assert any(node.role == "backward" for node in gn.Graph(wide).nodes)
    s = gn.Input((), name="s")
    tall = gn.jacobian(gn.tanh(s * np.ones(6, np.float32)), s)
    assert not any(node.role == "backward" for node in gn.Graph(tall).nodes)


def test_jacobian_of_nothing_and_of_what_does_not_depend():
    x, z = gn.Input((3,), name="x"), gn.Input((2,), name="z")
    assert gn.jacobian(gn.Input((0,)), x).shape == (0, 3)
    for mode in ("forward", "reverse"):
        found = gn.function([x, z], gn.jacobian(x * 2.0, z, mode))
        np.testing.assert_array_equal(
            found(np.ones(3, np.float32), np.ones(2, np.float32)), np.zeros((3, 2))
        )
    with pytest.raises(ShapeError, match=r"needs known sizes; b has shape \(None, 2\)"):
        gn.jacobian(gn.Input((None, 2), name="b"), x)


def test_hessian_of_a_network_is_symmetric_and_right(rng):
    w1, w2 = rng.standard_normal((4, 3)), rng.standard_normal(4)
    x = gn.Input((3,), "float64", name="x")
    f = gn.sum(gn.tanh(gn.matmul(gn.Constant(w1), x)) * w2)
    at = rng.standard_normal(3)
    found = gn.function(x, gn.hessian(f, x))(at)
    t = np.tanh(w1 @ at)
    wanted = w1.T @ np.diag(w2 * -2 * t * (1 - t * t)) @ w1
    np.testing.assert_allclose(found, wanted, rtol=1e-10)
    np.testing.assert_allclose(found, found.T, rtol=1e-12)


def differences(function, arrays, step=1e-6):
    """Central differences of a NumPy function of several arrays: an array for each of them."""
    found = []
    for i, array in enumerate(arrays):
        slopes = []
        for j in range(array.size):
            ends = []
            for by in (step, -step):
                moved = array.ravel().copy()
                moved[j] += by
                ends.append(function(*arrays[:i], moved.reshape(array.shape), *arrays[i + 1 :]))
            slopes.append((ends[0] - ends[1]) / (2 * step))
        out = np.asarray(function(*arrays))
        found.append(np.reshape(np.stack(slopes, -1), (*out.shape, *array.shape)))
    return found


@pytest.fixture
def two_layers(rng):
    """Inputs, outputs of a network of two of them, and where it is looked at."""
    x, w = gn.Input((3,), "float64", name="x"), gn.Input((2, 3), "float64", name="w")
    y = gn.tanh(gn.matmul(w, x)) * x[:2]
    return (x, w), y, [rng.standard_normal(3), rng.standard_normal((2, 3))]


@pytest.mark.parametrize("mode", ["forward", "reverse", None])
@pytest.mark.parametrize("several", [list, tuple])
def test_jacobians_of_several_nodes(mode, several, two_layers):
    inputs, y, at = two_layers
    made = gn.jacobian(y, several(inputs), mode)
    assert isinstance(made, list)
    found = gn.function(inputs, made)(*at)
    wanted = differences(gn.function(inputs, y), at)
    for array, other in zip(found, wanted, strict=True):
        assert array.shape == other.shape
        np.testing.assert_allclose(array, other, rtol=1e-7, atol=1e-9)
    (only,) = gn.jacobian(y, [inputs[0]], mode)
    assert only.shape == (2, 3)


def test_hessian_of_several_nodes(two_layers):
    inputs, y, at = two_layers
    loss = gn.sum(y * y)
    blocks = gn.hessian(loss, inputs)
    assert [[block.shape for block in row] for row in blocks] == [
        [(3, 3), (3, 2, 3)],
        [(2, 3, 3), (2, 3, 2, 3)],
    ]
    found = gn.function(inputs, [block for row in blocks for block in row])(*at)
    slopes = gn.grad(loss, inputs)
    wanted = [part for slope in slopes for part in differences(gn.function(inputs, slope), at)]
    for array, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(array, other, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(found[1], found[2].transpose(2, 0, 1), rtol=1e-12)
    ((alone,),) = gn.hessian(loss, [inputs[0]])
    np.testing.assert_allclose(gn.function(inputs, alone)(*at), found[0], rtol=1e-12)


def test_several_nodes_of_a_jacobian_that_is_zero_or_not_known():
    x, z, none = gn.Input((3,), name="x"), gn.Input((2,), name="z"), gn.Input((0,), name="none")
    for mode in ("forward", "reverse", None):
        made = gn.jacobian(x * 2.0, [z, x, none], mode)
        assert [node.shape for node in made] == [(3, 2), (3, 3), (3, 0)]
        found = gn.function([x, z, none], made[:2])(*(np.ones(n, np.float32) for n in (3, 2, 0)))
        np.testing.assert_array_equal(found[0], np.zeros((3, 2)))
        np.testing.assert_array_equal(found[1], 2 * np.eye(3))
    with pytest.raises(ShapeError, match=r"needs known sizes; b has shape \(None, 2\)"):
        gn.jacobian(x, [x, gn.Input((None, 2), name="b")])
    with pytest.raises(GraphError, match="does not depend on z"):
        gn.hessian(gn.sum(x * x), [x, z])
