"""Gradient clipping: torch's norms, the extremes, by functions and as settings of optimizers."""

from __future__ import annotations

import math

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, optim
from graphnn.testing import check_grads

SHAPES = [(), (1,), (7,), (5, 3), (1, 4), (4, 1), (2, 3, 4), (0,), (0, 3), (2, 2, 2, 2)]
TYPES = [2.0, 1.0, 3.0, 0.5, math.inf]


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="compares with PyTorch: install graphnn[torch]")


def with_gradients(torch, arrays):
    made = []
    for array in arrays:
        parameter = torch.nn.Parameter(
            torch.zeros(array.shape, dtype=getattr(torch, str(array.dtype)))
        )
        parameter.grad = torch.from_numpy(array.copy())
        made.append(parameter)
    return made


@pytest.mark.torch
@pytest.mark.parametrize("norm_type", TYPES)
@pytest.mark.parametrize("max_norm", [0.5, 1e4])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_clipping_by_norm_equals_torch(torch, rng, dtype, max_norm, norm_type):
    # The largest element of nothing is asked of nobody.
    shapes = [s for s in SHAPES if 0 not in s or norm_type != math.inf]
    arrays = [np.asarray(rng.normal(size=s).astype(dtype)) for s in shapes]
    nodes = [gn.Constant(array) for array in arrays]
    clipped, norm = optim.clip_grad_norm(nodes, max_norm, norm_type)
    *found, total = gn.function([], [*clipped, norm])()
    peers = with_gradients(torch, arrays)
    peer_total = torch.nn.utils.clip_grad_norm_(peers, max_norm, norm_type)
    near = {"rtol": 1e-5} if dtype == "float32" else {"rtol": 1e-12}
    assert total.dtype == np.float64
    np.testing.assert_allclose(total, peer_total.item(), **near)
    for array, peer in zip(found, peers, strict=True):
        assert array.dtype == dtype
        np.testing.assert_allclose(array, peer.grad.numpy(), **near)


@pytest.mark.torch
@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_what_is_not_finite_passes_as_in_torch(torch, bad):
    arrays = [np.float32([1.0, bad]), np.float32([2.0])]
    clipped, norm = optim.clip_grad_norm([gn.Constant(a) for a in arrays], 1.0)
    *found, total = gn.function([], [*clipped, norm])()
    peers = with_gradients(torch, arrays)
    np.testing.assert_array_equal(total, torch.nn.utils.clip_grad_norm_(peers, 1.0).item())
    for array, peer in zip(found, peers, strict=True):
        np.testing.assert_array_equal(array, peer.grad.numpy())


def test_the_norm_of_huge_and_tiny_float32_numbers():
    for scale in (1e30, 1e-30):
        (clipped,), norm = optim.clip_grad_norm(
            [gn.Constant(np.float32([3 * scale, 4 * scale]))], 1.0
        )
        value, total = gn.function([], [clipped, norm])()
        assert total == pytest.approx(5 * scale, rel=1e-6)
        if scale > 1:
            np.testing.assert_allclose(value, [0.6, 0.8], rtol=1e-6)


def test_both_dtypes_at_once():
    grads = [gn.Constant(np.float32([3.0])), gn.Constant(np.float64([4.0]))]
    clipped, norm = optim.clip_grad_norm(grads, 1.0)
    *found, total = gn.function([], [*clipped, norm])()
    assert [array.dtype.name for array in found] == ["float32", "float64"]
    assert total == 5.0


@pytest.mark.torch
def test_clipping_by_value_equals_torch(torch, rng):
    arrays = [np.asarray(rng.normal(size=s).astype(np.float32)) for s in SHAPES]
    arrays[2][:3] = np.inf, -np.inf, np.nan
    found = gn.function([], optim.clip_grad_value([gn.Constant(a) for a in arrays], 0.5))()
    peers = with_gradients(torch, arrays)
    torch.nn.utils.clip_grad_value_(peers, 0.5)
    for array, peer in zip(found, peers, strict=True):
        np.testing.assert_array_equal(array, peer.grad.numpy())


def test_clipping_can_be_differentiated():
    x = gn.Input((3,), dtype="float64", name="x")
    (clipped,), norm = optim.clip_grad_norm([gn.square(x)], 0.7)
    check_grads(gn.sum(gn.square(clipped + 1.0)) + norm, np.array([0.6, -1.1, 2.0]))


# --------------------------------------------------------------------------- as settings


def recurrent(dtype="float64"):
    """Ten steps of one layer, whose gradients explode."""
    x = gn.Input((None, 4), dtype=dtype, name="x")
    layer = nn.Linear(4, 4, dtype=dtype)
    layer.weight.value = 2 * np.eye(4, dtype=dtype)
    h = x
    for _ in range(10):
        h = layer(h)
    return x, layer, gn.mean(gn.square(h))


@pytest.mark.torch
@pytest.mark.parametrize("way", ["global_clipnorm", "clipnorm", "clipvalue"])
def test_an_optimizer_clips_as_torch_does(torch, rng, way):
    x, layer, loss = recurrent()
    peer = torch.nn.Linear(4, 4, dtype=torch.float64)
    peer.load_state_dict({k: torch.from_numpy(v) for k, v in layer.state_dict().items()})
    rule = optim.SGD(lr=0.1, momentum=0.9, weight_decay=0.1, **{way: 0.3})
    updates = rule.updates(loss, layer.parameters())
    step = gn.function(x, [loss, rule.grad_norm], updates=updates)
    peer_rule = torch.optim.SGD(peer.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    utils = torch.nn.utils
    X = rng.normal(size=(8, 4))
    for _ in range(30):
        _, norm = step(X)
        h = torch.from_numpy(X)
        for _ in range(10):
            h = peer(h)
        peer_rule.zero_grad()
        (h**2).mean().backward()
        total = utils.get_total_norm([p.grad for p in peer.parameters()])
        if way == "global_clipnorm":
            utils.clip_grad_norm_(peer.parameters(), 0.3)
        elif way == "clipnorm":
            for p in peer.parameters():
                utils.clip_grad_norm_([p], 0.3)
        else:
            utils.clip_grad_value_(peer.parameters(), 0.3)
        np.testing.assert_allclose(norm, total.item(), rtol=1e-8)
        peer_rule.step()
    for name, value in layer.state_dict().items():
        np.testing.assert_allclose(value, peer.state_dict()[name].numpy(), rtol=1e-8, atol=1e-12)


def test_the_norm_is_computed_once():
    x, layer, loss = recurrent()
    rule = optim.SGD(lr=0.1, global_clipnorm=1.0)
    updates = rule.updates(loss, layer.parameters())
    without = gn.function(x, loss, updates=updates).plan
    watched = gn.function(x, [loss, rule.grad_norm], updates=updates).plan
    assert len(watched.steps) == len(without.steps)


def test_clipped_training_has_the_same_bits_on_any_number_of_threads(rng):
    X, Y = rng.normal(size=(96, 200)).astype(np.float32), rng.integers(0, 5, 96)

    def trained(threads):
        gn.set_seed(5)
        gn.set_num_threads(threads)
        x = gn.Input((None, 200), name="x")
        model = gn.Model(x, nn.Sequential(nn.Linear(200, 150), nn.ReLU(), nn.Linear(150, 5))(x))
        rule = optim.AdamW(
            lr=optim.schedule.OneCycleLR(0.01, 12), global_clipnorm=0.1, ema_momentum=0.9
        )
        model.compile(rule, metrics=["grad_norm"])
        history = model.fit(X, Y, epochs=4, batch_size=32, verbose=0)
        with rule.averaged():
            return [*model.state_dict().values(), np.array(history["grad_norm"])]

    try:
        for one, two in zip(trained(1), trained(2), strict=True):
            np.testing.assert_array_equal(one, two)
    finally:
        gn.set_num_threads(None)


def test_the_norm_before_there_are_gradients():
    with pytest.raises(gn.GraphError, match="is there after updates"):
        optim.SGD().grad_norm  # noqa: B018


def test_model_compile_takes_settings_of_a_named_optimizer(rng):
    x, layer, loss = recurrent("float32")
    model = gn.Model(x, layer(x))
    model.compile("sgd", loss, metrics=["grad_norm", "lr"], lr=0.5, global_clipnorm=0.01)
    assert model.optimizer.lr == 0.5
    old = [p.value.copy() for p in layer.parameters()]
    X = rng.normal(size=(8, 4)).astype(np.float32)
    history = model.fit(X, epochs=1, batch_size=8, verbose=0, validation_data={"x": X})
    moved = [np.abs(p.value - was) for p, was in zip(layer.parameters(), old, strict=True)]
    assert np.sqrt(sum((m**2).sum() for m in moved)) == pytest.approx(0.005, rel=1e-3)
    assert history["grad_norm"][0] > 1
    assert history["lr"] == [0.5]
    assert list(history) == ["loss", "grad_norm", "lr", "val_loss"]
    assert list(model.evaluate(X)) == ["loss"]  # what belongs to training is not measured there


def test_the_mean_norm_of_an_epoch(rng):
    x = gn.Input((None, 3), dtype="float64", name="x")
    w = gn.Parameter(np.zeros(3), name="w")
    model = gn.Model(x, gn.sum(x * w, 1))
    model.compile("sgd", gn.mean(gn.sum(x * w, 1)), metrics=["grad_norm"], lr=0.1)
    X = rng.normal(size=(10, 3))
    history = model.fit(X, batch_size=5, shuffle=False, verbose=0)
    norms = [np.linalg.norm(half.mean(0)) for half in (X[:5], X[5:])]
    assert history["grad_norm"][0] == pytest.approx(np.mean(norms))


def test_settings_beside_an_optimizer():
    x, layer, loss = recurrent("float32")
    model = gn.Model(x, layer(x))
    with pytest.raises(gn.GraphError, match=r"lr is a setting of the optimizer: optim.SGD\(lr=0.5"):
        model.compile(optim.SGD(), loss, lr=0.5)
    with pytest.raises(TypeError, match=r"SGD has no setting 'metric'.*"):
        model.compile("sgd", loss, metric=["accuracy"])


# --------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optim.clip_grad_norm([], 1.0), "needs at least one gradient"),
        (lambda: optim.clip_grad_value([], 1.0), "clip_grad_value needs at least one gradient"),
        (lambda: optim.clip_grad_norm([gn.Constant([1])], 1.0), "takes float nodes; got <"),
        (lambda: optim.clip_grad_norm([np.ones(3)], 1.0), "takes float nodes; got array"),
        (lambda: optim.clip_grad_norm([gn.Constant([1.0])], 0.0), "max_norm=0.0 is out of range"),
        (lambda: optim.clip_grad_norm([gn.Constant([1.0])], 1.0, 0), "norm_type=0 is out of range"),
        (
            lambda: optim.clip_grad_norm([gn.Constant([1.0])], 1.0, "fro"),
            "norm_type='fro' is no nu",
        ),
        (
            lambda: optim.clip_grad_value([gn.Constant([1.0])], -1.0),
            "clip_value=-1.0 is out of ran",
        ),
        (lambda: optim.SGD().apply_gradients([]), "there is no gradient to apply"),
    ],
)
def test_what_cannot_be_clipped(make, message):
    with pytest.raises(gn.GraphError, match=message):
        make()
