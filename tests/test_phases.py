"""Training and inference: one declared graph, two functions, and nothing of the other in either."""

from __future__ import annotations

import numpy as np
import pytest

import graphnn as gn
from graphnn import optim
from graphnn.errors import DTypeError, GraphError, ShapeError
from graphnn.graph import needed
from graphnn.phases import in_phase
from graphnn.testing import check_grads

X = np.float32([[1, -2, 3], [0.5, 0.25, -1]])


def both(x: gn.Node) -> gn.Node:
    """Sines in training, cosines in inference."""
    return gn.phase(gn.sin(x), gn.cos(x))


def ops_of(function: gn.Function) -> set[str]:
    return {node.op.name for step in function.plan.steps for node in step.group.nodes}


def test_forward_and_gradient_follow_the_phase():
    x = gn.Input((None, 3), name="x")
    loss = gn.sum(both(x) * 3.0)
    outputs = [loss, gn.grad(loss, x)]
    trained = gn.function(x, outputs, training=True)
    asked = gn.function(x, outputs, training=False)
    for function, value, slope in (
        (trained, np.sin, np.cos),
        (asked, np.cos, lambda x: -np.sin(x)),
    ):
        found, gradient = function(X)
        np.testing.assert_allclose(found, 3 * value(X).sum(), rtol=1e-5)
        np.testing.assert_allclose(gradient, 3 * slope(X), rtol=1e-5)


def test_no_step_of_the_other_phase_is_left():
    x = gn.Input((None, 3), name="x")
    W, V = (gn.Parameter(np.ones((3, 3), np.float32), name=name) for name in "WV")
    hidden = gn.phase(gn.exp(gn.reshape(x @ W, (-1, 3))), gn.tanh(x @ V))
    loss = gn.mean(gn.softmax(hidden / 2.0) * hidden)
    grads = gn.grad(loss, [x, W, V])
    trained = gn.function(x, [loss, *grads[:2]], training=True)
    asked = gn.function(x, [loss, grads[0], grads[2]], training=False)
    assert "exp" in ops_of(trained)
    assert not {"tanh", "tanh_backward"} & ops_of(trained)
    assert "tanh_backward" in ops_of(asked)
    assert not {"exp", "exp_backward"} & ops_of(asked)
    assert V not in trained.parameters
    assert W not in asked.parameters


def test_the_other_phases_gradient_is_zero_and_costs_a_fill():
    x = gn.Input((None, 3), name="x")
    W = gn.Parameter(np.ones((3, 3), np.float32), name="W")
    loss = gn.sum(gn.phase(x @ W, x))
    asked = gn.function(x, gn.grad(loss, W), training=False)
    np.testing.assert_array_equal(asked(X), np.zeros((3, 3)))
    assert ops_of(asked) == {"broadcast_to"}


@pytest.mark.parametrize(
    "through",
    [
        lambda z: gn.reshape(z, (3, -1)),
        lambda z: gn.transpose(z),
        lambda z: gn.broadcast_to(gn.reshape(z, (-1, 3, 1)), (2, 3, 4)),
        lambda z: gn.sum(z, 0),
        lambda z: gn.mean(z, 1, keepdims=True),
        lambda z: -z,
        lambda z: gn.cast(z, "float64"),
        lambda z: gn.exp(z),
        lambda z: z / 3.0,
        lambda z: 3.0 / (z + 10.0),
        lambda z: z * z,
        lambda z: z - 2.0,
        lambda z: 2.0 - z,
        lambda z: gn.where(z > 0, z, 1.0),
        lambda z: gn.softmax(z),
        lambda z: gn.max(z, 1),
        lambda z: z @ np.ones((3, 2), np.float32),
        lambda z: gn.cross_entropy(z, gn.Constant(np.array([0, 1]))),
        lambda z: gn.dropout(z, 0.5),
    ],
)  # fmt: skip
def test_zeros_are_followed_through_every_kind_of_op(through):
    x = gn.Input((2, 3), name="x")
    through_it = gn.cast(gn.sum(through(gn.sin(x))), "float32")
    loss = gn.phase(through_it, gn.sum(gn.cos(x)))
    asked = gn.function(x, [loss, gn.grad(loss, x)], training=False)
    assert ops_of(asked) <= {"cos", "sum", "cos_backward", "broadcast_to"}
    trained = gn.function(x, [loss, gn.grad(loss, x)], training=True)
    assert "sin_backward" in ops_of(trained)
    assert not {"cos", "cos_backward"} & ops_of(trained)


def test_a_users_own_zero_stays_what_ieee_says():
    x = gn.Input((2,), name="x")
    zero = gn.phase(x * 0.0, x * 0.0)
    found = gn.function(x, zero, training=True)(np.float32([np.inf, 1]))
    np.testing.assert_array_equal(found, [np.nan, 0])


def test_second_derivatives_and_forward_mode_follow_the_phase():
    x = gn.Input((3,), name="x")
    loss = gn.sum(gn.phase(x * x * x, gn.sin(x)))
    slope = gn.grad(loss, x)
    second = gn.grad(gn.sum(slope), x)
    moved = gn.jvp(loss, [x], [np.ones(3, np.float32)])
    value = np.float32([0.5, 1, 2])
    for training, d1, d2 in (
        (True, 3 * value**2, 6 * value),
        (False, np.cos(value), -np.sin(value)),
    ):
        found = gn.function(x, [moved, second], training=training)(value)
        np.testing.assert_allclose(found[0], d1.sum(), rtol=1e-5)
        np.testing.assert_allclose(found[1], d2, rtol=1e-5)
    check_grads(lambda x: gn.phase(gn.exp(x), x), np.float64([0.1, 0.2]), order=2)


def test_the_default_phase_is_training_only_with_updates():
    x = gn.Input((None, 3), name="x")
    w = gn.Parameter(np.ones(3, np.float32), name="w")
    loss = gn.sum(both(x * w))
    assert not gn.function(x, loss).training
    step = gn.function(x, loss, optim.SGD(lr=0.1).updates(loss, [w]))
    assert step.training
    np.testing.assert_allclose(step(X), np.sin(X).sum(), rtol=1e-5)
    still = gn.function(x, loss, optim.SGD(lr=0.1).updates(loss, [w]), training=False)
    np.testing.assert_allclose(still(X * 0), X.size, rtol=1e-5)


def test_what_does_not_fit_both_phases():
    x = gn.Input((None, 3), name="x")
    with pytest.raises(
        ShapeError, match="phase needs one shape in both phases; got .*broadcast_to"
    ):
        gn.phase(x, gn.sum(x))
    with pytest.raises(DTypeError, match="phase needs one dtype in both phases"):
        gn.phase(x, gn.cast(x, "float64"))


# ---------------------------------------------------------------------------------- updates


def counter(value=0.0, name="seen") -> gn.Parameter:
    return gn.Parameter(np.float32(value), name=name, trainable=False)


def test_training_moves_and_inference_does_not():
    x = gn.Input((None, 3), name="x")
    seen = counter()
    y = gn.updating(x * 2.0, [(seen, seen + gn.mean(x))])
    ask = gn.function(x, y)
    np.testing.assert_array_equal(ask(X), 2 * X)
    assert seen.value == 0
    train = gn.function(x, y, training=True)
    train(X)
    train(X)
    np.testing.assert_allclose(seen.value, 2 * X.mean(), rtol=1e-6)
    assert "mean" not in ops_of(ask)


def test_all_new_values_of_one_node_come_from_the_old_ones():
    x = gn.Input((2,), name="x")
    a, b = counter(1, "a"), counter(2, "b")
    gn.function(x, gn.updating(x, [(a, b + 0.0), (b, a + 0.0)]), training=True)([0, 0])
    assert (a.value, b.value) == (2, 1)


def test_two_nodes_for_one_parameter_act_one_after_the_other():
    x = gn.Input((2,), name="x")
    a, n = counter(3, "a"), counter(0, "n")
    first = gn.updating(x, [(a, a * 2.0 + n), (n, n + 1.0)])
    second = gn.updating(first * 1.0, [(a, a * 10.0 + n), (n, n + 1.0)])
    gn.function(x, second, training=True)([0, 0])
    assert (a.value, n.value) == (61, 2)  # (3·2 + 0)·10 + 1
    gn.function(x, first, training=True)([0, 0])
    assert (a.value, n.value) == (124, 3)


def test_what_an_update_returns_is_the_old_value_and_users_updates_run_too():
    x = gn.Input((2,), name="x")
    a, w = counter(1, "a"), gn.Parameter(np.float32(5), name="w")
    y = gn.updating(x * w, [(a, a + 1.0)])
    step = gn.function(x, [a, w, y], updates=[(w, w + a)])
    assert [v.tolist() for v in step([1, 2])] == [1, 5, [5, 10]]
    assert (a.value, w.value) == (2, 6)
    with pytest.raises(GraphError, match="a is updated twice"):
        gn.function(x, y, updates=[(a, a * 2.0)])


def test_no_derivative_flows_through_new_values():
    x = gn.Input((2,), name="x")
    a = counter()
    y = gn.updating(x * x, [(a, gn.sum(gn.exp(x)))])
    gradient = gn.grad(gn.sum(y), x)
    assert not [node for node in needed([gradient]) if node.op.name == "exp_backward"]
    with pytest.raises(GraphError, match="does not depend on"):
        gn.grad(gn.sum(y), a)


def test_what_cannot_be_updated():
    x, a = gn.Input((2,), name="x"), counter()
    w = gn.Parameter(np.float32(5), name="w")
    with pytest.raises(GraphError, match="no optimizer moves.*trainable=False"):
        gn.updating(x, [(w, w + 1.0)])
    with pytest.raises(GraphError, match="stands there twice"):
        gn.updating(x, [(a, a + 1.0), (a, a + 1.0)])
    with pytest.raises(
        ShapeError, match=r"new value of seen must be float32 \(\); got float32 \(2,\)"
    ):
        gn.updating(x, [(a, x)])


def test_an_update_in_a_branch_of_training_is_one_of_training():
    x = gn.Input((2,), name="x")
    a = counter()
    chosen = in_phase([gn.phase(gn.updating(x, [(a, a + 1.0)]), x * 2.0)], training=False)
    assert not chosen.updates
    chosen = in_phase([gn.phase(gn.updating(x, [(a, a + 1.0)]), x * 2.0)], training=True)
    assert list(chosen.updates) == [a]
