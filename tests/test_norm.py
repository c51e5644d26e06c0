"""Normalisation beside torch: values, gradients, running statistics over several steps, inference."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, optim
from graphnn.backends import reference
from graphnn.errors import DTypeError, GraphError, ShapeError
from graphnn.testing import check_grads

RNG = np.random.default_rng(2)
LAYERS = [
    ("BatchNorm1d", (6,), {}, (8, 6)),
    ("BatchNorm1d", (6,), {"momentum": 0.3, "eps": 1e-2}, (3, 6, 5)),
    ("BatchNorm1d", (6,), {"momentum": None}, (8, 6)),
    ("BatchNorm1d", (6,), {"affine": False}, (8, 6)),
    ("BatchNorm1d", (6,), {"track_running_stats": False}, (8, 6)),
    ("BatchNorm2d", (3,), {}, (4, 3, 5, 2)),
    ("BatchNorm2d", (3,), {"momentum": None, "affine": False}, (4, 3, 1, 2)),
    ("LayerNorm", (7,), {}, (4, 7)),
    ("LayerNorm", ((3, 7),), {"eps": 1e-2}, (4, 2, 3, 7)),
    ("LayerNorm", (7,), {"bias": False}, (4, 5, 7)),
    ("LayerNorm", (7,), {"elementwise_affine": False}, (4, 7)),
    ("RMSNorm", (7,), {}, (4, 7)),
    ("RMSNorm", ((3, 7),), {"eps": 1e-2}, (4, 3, 7)),
    ("RMSNorm", (7,), {"elementwise_affine": False}, (4, 7)),
    ("GroupNorm", (2, 6), {}, (4, 6, 3, 2)),
    ("GroupNorm", (6, 6), {"affine": False, "eps": 1e-2}, (4, 6, 5)),
    ("GroupNorm", (1, 6), {}, (4, 6)),
    ("InstanceNorm1d", (3,), {}, (4, 3, 5)),
    ("InstanceNorm2d", (3,), {"affine": True}, (4, 3, 5, 2)),
]  # fmt: skip


def pair(name, arguments, options, dtype):
    """A layer of ours and torch's with the same drawn parameters."""
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.nn, name)(*arguments, **options, dtype=getattr(torch, dtype))
    ours = getattr(nn, name)(*arguments, **options, dtype=dtype)
    for label, parameter in ours.named_parameters():
        if parameter.trainable:
            parameter.value = RNG.uniform(0.5, 2, parameter.value.shape).astype(dtype)
            dict(theirs.named_parameters())[label].data[...] = torch.tensor(parameter.value)
    return ours, theirs


@pytest.mark.torch
@pytest.mark.parametrize(("name", "arguments", "options", "shape"), LAYERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_three_steps_and_inference_are_torchs(name, arguments, options, shape, dtype):
    import torch

    ours, theirs = pair(name, arguments, options, dtype)
    x, dy = gn.Input((None, *shape[1:]), dtype), gn.Input((None, *shape[1:]), dtype)
    y = ours(x)
    wrt = [x, *(p for p in ours.parameters() if p.trainable)]
    outputs = [y, *gn.vjp(y, wrt, dy)]
    if dtype == "float64":  # three steps of the compiled function; else one by the oracle

        def run(training):
            return gn.function([x, dy], outputs, training=training)

        train, ask, steps, rtol = run(True), run(False), 3, 1e-9
    else:
        train = ask = gn.function([x, dy], outputs, training=True)
        steps, rtol = 1, 1e-4
    for _ in range(steps):
        X, D = (RNG.normal(1, 3, shape).astype(dtype) for _ in range(2))
        compare(train(X, D), theirs, X, D, rtol)
    state = theirs.state_dict()
    assert set(ours.state_dict()) == set(state)
    for label, value in ours.state_dict().items():
        np.testing.assert_allclose(value, state[label].numpy(), rtol=rtol, atol=rtol)
    if ask is not train:
        compare(ask(X, D), copy.deepcopy(theirs).eval(), X, D, rtol)
        assert torch is not None


def compare(found, theirs, X, D, rtol):
    import torch

    leaf = torch.tensor(X, requires_grad=True)
    y = theirs(leaf)
    wrt = [leaf, *theirs.parameters()]
    wanted = [y, *torch.autograd.grad(y, wrt, torch.tensor(D))]
    for a, b in zip(found, wanted, strict=True):
        b = b.detach().numpy()
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * max(1, np.abs(b).max()))


@pytest.mark.parametrize(
    ("norm", "shape"),
    [
        (lambda x: gn.batch_norm(x), (4, 3)),
        (lambda x: gn.batch_norm(x, weight=np.arange(1.0, 3), bias=np.ones(2)), (3, 2, 2, 2)),
        (lambda x: gn.layer_norm(x, (2, 3), np.full((2, 3), 1.5), np.ones((2, 3))), (2, 2, 3)),
        (lambda x: gn.group_norm(x, 2, np.arange(1.0, 5)), (2, 4, 3)),
        (lambda x: gn.instance_norm(x, np.arange(1.0, 3), np.ones(2)), (2, 2, 4)),
        (lambda x: gn.rms_norm(x, 4, np.arange(1.0, 5)), (3, 4)),
    ],
)
def test_second_derivatives(norm, shape):
    check_grads(norm, RNG.normal(size=shape), order=2, backend="reference")


def test_a_large_mean_does_not_cancel_the_variance():
    x = gn.Input((None, 64), name="x")
    X = (RNG.normal(size=(64, 64)) + 1e4).astype(np.float32)
    exact = X.astype(np.float64)
    for axis, y in ((0, gn.batch_norm(x)), (1, gn.layer_norm(x, 64))):
        centred = exact - exact.mean(axis, keepdims=True)
        wanted = centred / np.sqrt((centred**2).mean(axis, keepdims=True) + 1e-5)
        np.testing.assert_allclose(gn.function(x, y)(X), wanted, atol=5e-3)


def test_long_rows_are_summed_well_and_alike_on_every_number_of_threads(on_each_number_of_threads):
    x = gn.Input((None, 50_000), name="x")
    X = RNG.normal(3, 1, (7, 50_000)).astype(np.float32)
    y = gn.layer_norm(x, 50_000)
    function = gn.function(x, [y, gn.grad(gn.sum(y * y * y), x)])
    found = on_each_number_of_threads(lambda: function(X))
    np.testing.assert_allclose(found[0], reference.evaluate(y, {x: X}), rtol=1e-4, atol=1e-4)


# ---------------------------------------------------------------------- phases and updates


def trained(*, calls=1, momentum=0.1):
    """A small network with batch normalisation, called once or twice."""
    x = gn.Input((None, 4), name="x")
    first, norm = nn.Linear(4, 3, name="first"), nn.BatchNorm1d(3, momentum=momentum, name="norm")
    h = first(x)
    for _ in range(calls):
        h = gn.tanh(norm(h))
    return x, gn.mean(h * h), first, norm


def test_training_moves_the_averages_and_inference_does_not():
    x, loss, first, norm = trained()
    X = RNG.normal(size=(16, 4)).astype(np.float32)
    ask = gn.function(x, loss)
    before = norm.state_dict()
    ask(X)
    assert all(np.array_equal(before[k], v) for k, v in norm.state_dict().items())
    step = gn.function(
        x, loss, optim.SGD(lr=0.1).updates(loss, [*first.parameters(), *norm.parameters()])
    )
    for _ in range(3):
        step(X)
    assert norm.num_batches_tracked.value == 3
    assert not np.array_equal(before["running_mean"], norm.running_mean.value)


def test_no_step_of_one_phase_in_the_other():
    x, loss, first, norm = trained()
    gradients = gn.grad(loss, [x, *first.parameters(), norm.weight, norm.bias])
    asked = gn.function(x, [loss, *gradients])
    names = {n.op.name for s in asked.plan.steps for n in s.group.nodes}
    assert not names & {"squared_distance", "running_average", "squared_distance_backward_x"}
    assert norm.num_batches_tracked not in asked.parameters
    step = gn.function(x, [loss, *gradients], training=True)
    reads = {v for s in step.plan.steps if s.group.role != "update" for v in s.group.inputs}
    assert norm.running_mean not in reads
    assert norm.running_var not in reads


def test_a_step_that_returns_only_gradients_moves_the_averages_too():
    x, loss, first, norm = trained()
    gn.function(x, gn.grad(loss, first.weight), training=True)(np.ones((4, 4), np.float32))
    assert norm.num_batches_tracked.value == 1


@pytest.mark.torch
@pytest.mark.parametrize("momentum", [0.1, None])
def test_a_layer_that_is_called_twice_moves_twice_as_in_torch(momentum):
    torch = pytest.importorskip("torch")
    x, loss, first, norm = trained(calls=2, momentum=momentum)
    theirs = torch.nn.BatchNorm1d(3, momentum=momentum)
    step = gn.function(x, loss, training=True)
    for _ in range(3):
        X = RNG.normal(size=(16, 4)).astype(np.float32)
        step(X)
        h = torch.tensor(X @ first.weight.value.T + first.bias.value)
        for _ in range(2):
            h = torch.tanh(theirs(h))
    assert norm.num_batches_tracked.value == 6
    for name in ("running_mean", "running_var"):
        wanted = getattr(theirs, name).numpy()
        np.testing.assert_allclose(getattr(norm, name).value, wanted, rtol=1e-4, atol=1e-6)


def test_a_checkpointed_layer_moves_once():
    x = gn.Input((None, 3), name="x")
    norm = nn.BatchNorm1d(3)
    w = gn.Parameter(np.ones(3, np.float32), name="w")
    loss = gn.mean(gn.square(gn.checkpoint(lambda h: gn.tanh(norm(h * w)), x)))
    step = gn.function(x, loss, optim.SGD(lr=0.1).updates(loss, [w]))
    step(RNG.normal(size=(8, 3)).astype(np.float32))
    assert norm.num_batches_tracked.value == 1


def test_a_tail_batch_of_one_sample_poisons_nothing():
    x, loss, _, norm = trained()
    gn.function(x, loss, training=True)(np.ones((1, 4), np.float32))
    np.testing.assert_allclose(norm.running_var.value, 0.9, rtol=1e-6)
    assert np.isfinite(norm.running_mean.value).all()


def test_fit_evaluate_save_and_load(tmp_path):
    x = gn.Input((None, 4), name="x")
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    model = gn.Model(x, net(x))
    model.compile(optim.Adam(lr=0.05), loss="cross_entropy", metrics=["accuracy"])
    X = RNG.normal(size=(90, 4)).astype(np.float32)
    Y = (X[:, 0] > 0).astype(np.int64)
    model.fit(X, Y, epochs=20, batch_size=32, verbose=0)
    scores = model.evaluate(X, Y)
    assert scores["accuracy"] > 0.9
    assert net[1].num_batches_tracked.value == 20 * 3
    assert {"1.running_mean", "1.running_var", "1.num_batches_tracked"} <= set(model.state_dict())
    path = model.save(tmp_path / "net.safetensors")
    again = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    other = gn.Model(x, again(x))
    other.load(path)
    np.testing.assert_array_equal(other.predict(X), model.predict(X))
    for passes in ("forward", "backward", "joint"):
        assert model.render(tmp_path / "net.svg", passes=passes).exists()
    model.summary()
    assert "running_average" in str(gn.Graph(model.loss))


def test_no_derivative_goes_through_the_averages():
    x, loss, _, norm = trained()
    assert not norm.running_mean.trainable
    slope = gn.grad(loss, x)
    X = RNG.normal(size=(5, 4)).astype(np.float32)
    norm.running_mean.value, norm.running_var.value = np.float32([1, 2, 3]), np.float32([4, 5, 6])
    found = gn.function(x, slope)(X)

    def at(X):
        return float(gn.function(x, loss)(X))

    moved = X.copy()
    moved[2, 1] += 1e-2
    np.testing.assert_allclose((at(moved) - at(X)) / 1e-2, found[2, 1], rtol=0.05)


# -------------------------------------------------------------------------------- what teaches


def test_what_does_not_fit():
    x = gn.Input((None, 6), name="x")
    image = gn.Input((None, 6, 4, 4), name="image")
    for call, error, match in (
        (lambda: nn.BatchNorm1d(5)(x), ShapeError, r"BatchNorm1d needs x.shape\[1\] == 5; got \(None, 6\).*nn.BatchNorm1d\(6\)"),
        (lambda: nn.BatchNorm1d(6)(image), ShapeError, r"BatchNorm1d needs \(batch, features\)"),
        (lambda: nn.BatchNorm2d(6)(x), ShapeError, "BatchNorm2d needs images"),
        (lambda: nn.InstanceNorm2d(6)(x), ShapeError, "InstanceNorm2d needs images"),
        (lambda: nn.LayerNorm(5)(x), ShapeError, r"layer_norm needs x.shape\[-1:\] == normalized_shape.*normalized_shape=\(6,\)"),
        (lambda: nn.LayerNorm((6, 6))(x), ShapeError, "layer_norm needs"),
        (lambda: gn.group_norm(image, 4), ShapeError, "split into num_groups=4.*divisor of 6"),
        (lambda: gn.group_norm(image, 0), ShapeError, "num_groups=0"),
        (lambda: nn.GroupNorm(4, 6), ShapeError, "divisible by num_groups"),
        (lambda: gn.instance_norm(x), ShapeError, "at least one axis of places"),
        (lambda: gn.layer_norm(gn.Input((None, 6), "int64"), 6), DTypeError, "layer_norm needs float32 or float64"),
        (lambda: gn.layer_norm(x, 6, np.ones(6)), DTypeError, r"layer_norm: weight must be float32 \(6,\)"),
        (lambda: gn.batch_norm(x, weight=np.ones(5, np.float32)), ShapeError, "batch_norm: weight must be"),
        (lambda: gn.batch_norm(x, nn.BatchNorm1d(6).running_mean), GraphError, "together, or neither"),
        (lambda: gn.batch_norm(x, *(nn.BatchNorm1d(6).running_mean for _ in "mv"), momentum=None), GraphError, "num_batches_tracked to count"),
        (lambda: nn.BatchNorm1d(6)(gn.Input((1, 6))), ShapeError, "more than one value a channel"),
    ):  # fmt: skip
        with pytest.raises(error, match=match):
            call()
