"""Modules around modules, losses as modules, freezing, sharing, weights from torch and to torch."""

from __future__ import annotations

import copy
import sys

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, optim
from graphnn.errors import DataError, DTypeError, GraphError, ShapeError

RNG = np.random.default_rng(3)


def ask(node, *pairs):
    inputs, arrays = zip(*pairs, strict=True)
    return gn.function(list(inputs), node)(*arrays)


# ---------------------------------------------------------------------------------- branches


def test_residual():
    x = gn.Input((None, 3), name="x")
    block = nn.Residual(nn.Linear(3, 3))
    X = RNG.normal(size=(4, 3)).astype(np.float32)
    inner = block.module
    wanted = X + X @ inner.weight.value.T + inner.bias.value
    np.testing.assert_allclose(ask(block(x), (x, X)), wanted, rtol=1e-5)
    assert [name for name, _ in block.named_parameters()] == ["module.weight", "module.bias"]
    with pytest.raises(
        ShapeError,
        match=r"must be alike; got x float32 \(None, 3\) and f\(x\) float32 \(None, 1\).*project",
    ):
        nn.Residual(nn.Linear(3, 1))(x)
    with pytest.raises(GraphError, match="nn.Residual takes modules; got function.*nn.Lambda"):
        nn.Residual(lambda x: x)


def test_concat():
    x = gn.Input((None, 3), name="x")
    wide = nn.Concat(nn.Linear(3, 2), nn.Identity(), nn.Sequential(nn.Linear(3, 1), nn.Tanh()))
    X = RNG.normal(size=(4, 3)).astype(np.float32)
    y = ask(wide(x), (x, X))
    assert y.shape == (4, 6)
    np.testing.assert_array_equal(y[:, 2:5], X)
    assert [name for name, _ in wide.named_parameters()] == [
        "0.weight",
        "0.bias",
        "2.0.weight",
        "2.0.bias",
    ]
    image = gn.Input((None, 2, 4, 4))
    assert nn.Concat(nn.Identity(), nn.Identity(), dim=1)(image).shape == (None, 4, 4, 4)
    with pytest.raises(ShapeError):
        nn.Concat(nn.Identity(), nn.Flatten(0))(x)
    with pytest.raises(GraphError, match="at least one module"):
        nn.Concat()
    with pytest.raises(GraphError, match="nn.Concat takes modules; item 0 is int"):
        nn.Concat(3)


def test_lambda():
    x = gn.Input((None, 3), name="x")
    net = nn.Sequential(nn.Lambda(gn.square), nn.Lambda(lambda x: x + 1.0))
    np.testing.assert_array_equal(ask(net(x), (x, np.float32([[1, 2, 3]]))), [[2, 5, 10]])
    with pytest.raises(GraphError, match="must return a node; got float"):
        nn.Lambda(lambda x: 1.0)(x)
    with pytest.raises(GraphError, match="takes a function of nodes"):
        nn.Lambda(nn.Identity())
    with pytest.raises(GraphError, match=r"nn.Lambda\(function\)"):
        nn.Sequential(gn.tanh)


@pytest.mark.torch
def test_bilinear_is_torchs():
    torch = pytest.importorskip("torch")
    ours, theirs = (
        nn.Bilinear(3, 4, 2, dtype="float64"),
        torch.nn.Bilinear(3, 4, 2, dtype=torch.float64),
    )
    ours.load_torch_state_dict(theirs.state_dict())
    a, b = gn.Input((None, 5, 3), "float64"), gn.Input((None, 5, 4), "float64")
    A, B = RNG.normal(size=(2, 5, 3)), RNG.normal(size=(2, 5, 4))
    y = ours(a, b)
    found = ask([y, *gn.grad(gn.sum(y * y), [ours.weight, ours.bias, a, b])], (a, A), (b, B))
    leaves = [torch.tensor(v, requires_grad=True) for v in (A, B)]
    t = theirs(*leaves)
    wanted = [t, *torch.autograd.grad((t * t).sum(), [theirs.weight, theirs.bias, *leaves])]
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other.detach().numpy(), rtol=1e-9)
    with pytest.raises(ShapeError, match=r"Bilinear needs x2.shape\[-1\] == 4"):
        ours(a, a)


# -------------------------------------------------------------------------------- losses

P = gn.Input((None, 3), name="p")
T = gn.Input((None, 3), name="t")
Y = gn.Input((None,), "int64", name="y")
LOSSES = [
    (nn.MSELoss("sum"), (P, T), gn.mse_loss(P, T, "sum")),
    (nn.L1Loss(), (P, T), gn.l1_loss(P, T)),
    (nn.HuberLoss(delta=0.5), (P, T), gn.huber_loss(P, T, delta=0.5)),
    (nn.SmoothL1Loss(beta=0.5), (P, T), gn.smooth_l1_loss(P, T, beta=0.5)),
    (nn.KLDivLoss("batchmean", True), (P, T), gn.kl_div(P, T, "batchmean", True)),
    (nn.PoissonNLLLoss(full=True), (P, T), gn.poisson_nll_loss(P, T, full=True)),
    (nn.GaussianNLLLoss(full=True), (P, T, gn.exp(P)), gn.gaussian_nll_loss(P, T, gn.exp(P), full=True)),
    (nn.BCELoss(), (gn.sigmoid(P), T), gn.binary_cross_entropy(gn.sigmoid(P), T)),
    (nn.BCEWithLogitsLoss(pos_weight=2.0), (P, T), gn.binary_cross_entropy_with_logits(P, T, pos_weight=2.0)),
    (nn.CrossEntropyLoss(ignore_index=1, label_smoothing=0.1), (P, Y), gn.cross_entropy(P, Y, ignore_index=1, label_smoothing=0.1)),
    (nn.NLLLoss(np.float32([1, 2, 3])), (P, Y), gn.nll_loss(P, Y, weight=np.float32([1, 2, 3]))),
    (nn.HingeEmbeddingLoss(0.5), (P, T), gn.hinge_embedding_loss(P, T, 0.5)),
    (nn.SoftMarginLoss(), (P, T), gn.soft_margin_loss(P, T)),
    (nn.MultiMarginLoss(2, 0.5), (P, Y), gn.multi_margin_loss(P, Y, 2, 0.5)),
    (nn.CosineEmbeddingLoss(0.1), (P, T, gn.sum(T, 1)), gn.cosine_embedding_loss(P, T, gn.sum(T, 1), 0.1)),
    (nn.CosineSimilarity(0), (P, T), gn.cosine_similarity(P, T, 0)),
]  # fmt: skip


@pytest.mark.parametrize(("module", "values", "wanted"), LOSSES, ids=lambda v: type(v).__name__)
def test_a_module_is_its_function(module, values, wanted):
    from graphnn.backends import reference

    given = {P: RNG.uniform(0.1, 0.9, (4, 3)), T: RNG.uniform(0.1, 0.9, (4, 3)), Y: [0, 1, 2, 2]}
    found, expected = reference.evaluate([module(*values), wanted], given)
    np.testing.assert_array_equal(found, expected)
    assert not module.parameters()
    assert type(module).__name__ in repr(module)


# ---------------------------------------------------------------------- freezing and sharing


def test_optimizers_leave_frozen_parameters_alone():
    x = gn.Input((None, 3), name="x")
    net = nn.Sequential(nn.Linear(3, 4).freeze(), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 1))
    model = gn.Model(x, net(x))
    model.compile(optim.SGD(lr=0.1), loss="mse")
    X = RNG.normal(size=(16, 3)).astype(np.float32)
    before = net.state_dict()
    model.fit(X, X[:, :1], epochs=2, batch_size=8, verbose=0)
    after = net.state_dict()
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {name for name in before if not name.startswith("0.")}
    net.requires_grad_(True)
    assert net[0].weight.trainable
    assert not net[1].running_mean.trainable
    model.compile(optim.SGD(lr=0.1), loss="mse")
    model.fit(X, X[:, :1], epochs=1, batch_size=8, verbose=0)
    assert not np.array_equal(net[0].weight.value, after["0.weight"])
    with pytest.raises(GraphError, match="running_mean was made with trainable=False and stays so"):
        net[1].running_mean.requires_grad_(True)
    net.freeze()
    with pytest.raises(GraphError, match="no trainable parameter"):
        model.compile(optim.SGD(lr=0.1), loss="mse")


@pytest.mark.parametrize("options", [{}, {"affine": False}, {"momentum": None}])
def test_a_frozen_batch_norm_normalises_by_its_running_averages(options):
    x = gn.Input((None, 3), name="x")
    norm, head = nn.BatchNorm1d(3, **options), nn.Linear(3, 1)
    before, y = norm(x), head(norm(x))
    X = RNG.normal(3.0, 2.0, size=(16, 3)).astype(np.float32)
    slope = gn.grad(gn.sum(gn.square(y)), x)
    batch, moved = gn.function(x, [before, slope], training=True)(X)
    np.testing.assert_allclose(batch.mean(0), 0, atol=1e-5)
    calls = norm.num_batches_tracked.value.copy()
    assert calls == 2  # declared twice
    norm.freeze()  # the same nodes, compiled anew
    state = norm.state_dict()
    found = gn.function(x, [before, slope], training=True)(X)
    wanted = gn.function(x, [before, slope], training=False)(X)
    for array, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(array, other, rtol=1e-6)
    assert not np.allclose(found[1], moved)
    model = gn.Model(x, y)
    model.compile("sgd", "mse")
    model.fit(X, X[:, :1], verbose=0)
    for name, array in norm.state_dict().items():
        np.testing.assert_array_equal(array, state[name])

    norm.requires_grad_(True)
    with pytest.raises(GraphError, match=r"was released after compile"):
        model.fit(X, X[:, :1], verbose=0)
    model.compile("sgd", "mse")
    model.fit(X, X[:, :1], verbose=0)
    assert norm.num_batches_tracked.value == calls + 1
    norm.requires_grad_(False)  # as in torch
    model.compile("sgd", "mse")
    model.fit(X, X[:, :1], verbose=0)
    assert norm.num_batches_tracked.value == calls + 2
    norm.freeze()
    with pytest.raises(GraphError, match=r"running_mean was frozen after compile"):
        model.fit(X, X[:, :1], verbose=0)


def test_a_frozen_batch_norm_in_a_checkpoint_and_in_forward_mode():
    x = gn.Input((5, 3), name="x")
    norm = nn.BatchNorm1d(3).freeze()
    norm.running_mean.value = [1, 2, 3]
    y = gn.tanh(gn.checkpoint(norm, x))
    slope = gn.grad(gn.sum(y * y), x)
    change = gn.jvp(y, x, np.ones((5, 3), np.float32))
    X = RNG.normal(size=(5, 3)).astype(np.float32)
    found = gn.function(x, [y, slope, change], training=True)(X)
    wanted = gn.function(x, [y, slope, change], training=False)(X)
    for array, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(array, other, rtol=1e-6)
    assert norm.num_batches_tracked.value == 0


def test_a_copy_of_a_frozen_layer_is_frozen_and_can_be_released():
    layer = copy.deepcopy(nn.BatchNorm1d(3).freeze())
    assert not layer.weight.trainable
    assert layer.running_mean.held
    layer.requires_grad_(True)
    assert layer.weight.trainable
    assert not layer.running_mean.trainable
    assert not layer.running_mean.held


def test_a_frozen_parameter_still_has_a_gradient():
    x = gn.Input((None, 3), name="x")
    layer = nn.Linear(3, 2).freeze()
    found = ask(gn.grad(gn.sum(layer(x)), layer.weight), (x, np.ones((4, 3), np.float32)))
    np.testing.assert_array_equal(found, np.full((2, 3), 4))


def test_gradients_of_a_shared_layer_add_up():
    x, z = gn.Input((None, 3), name="x"), gn.Input((None, 3), name="z")
    layer = nn.Linear(3, 3)
    X, Z = (RNG.normal(size=(4, 3)).astype(np.float32) for _ in range(2))
    both = gn.grad(gn.sum(gn.square(layer(x))) + gn.sum(gn.tanh(layer(z))), layer.weight)
    one, other = (
        gn.grad(loss, layer.weight)
        for loss in (gn.sum(gn.square(layer(x))), gn.sum(gn.tanh(layer(z))))
    )
    found = ask([both, one + other], (x, X), (z, Z))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5, atol=1e-6)
    assert len(nn.Sequential(layer, nn.Tanh(), layer).parameters()) == 2


# ----------------------------------------------------------------------------------- torch


def network():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


@pytest.mark.torch
def test_weights_from_torch_and_back():
    torch = pytest.importorskip("torch")
    theirs = torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.ReLU(), torch.nn.Linear(4, 2)
    )
    X = RNG.normal(size=(8, 3)).astype(np.float32)
    theirs(torch.tensor(X))  # moves the running averages
    ours = network()
    assert ours.load_torch_state_dict(theirs.state_dict()) == ([], [])
    x = gn.Input((None, 3), name="x")
    wanted = theirs.eval()(torch.tensor(X)).detach().numpy()
    np.testing.assert_allclose(ask(ours(x), (x, X)), wanted, rtol=1e-4, atol=1e-6)
    state = network().to_torch_state_dict()
    theirs.load_state_dict(state)
    assert all(torch.equal(value, state[name]) for name, value in theirs.state_dict().items())
    with pytest.raises(DTypeError, match="bfloat16.*tensor.float"):
        ours.load_torch_state_dict(theirs.to(torch.bfloat16).state_dict())


def test_a_state_that_does_not_fit_changes_nothing():
    net = network()
    before, state = net.state_dict(), network().state_dict()
    small = {name: value for name, value in state.items() if name != "3.bias"}
    cases = [
        (
            {**small, "4.bias": state["3.bias"]},
            DataError,
            r"missing \['3.bias'\], unknown \['4.bias'\].*strict=False",
        ),
        (
            {**state, "3.bias": np.zeros(3, np.float32)},
            ShapeError,
            r"3.bias has shape \(2,\); the state has \(3,\)",
        ),
        (
            {**state, "3.bias": np.zeros(2)},
            DTypeError,
            r"3.bias is float32; the state has float64.*astype\('float32'\)",
        ),
    ]
    for bad, error, match in cases:
        with pytest.raises(error, match=match):
            net.load_torch_state_dict(bad)
        assert all(np.array_equal(before[k], v) for k, v in net.state_dict().items())
    found = net.load_torch_state_dict({**small, "4.bias": np.zeros(9)}, strict=False)
    assert found == (["3.bias"], ["4.bias"])
    np.testing.assert_array_equal(net[0].weight.value, state["0.weight"])
    np.testing.assert_array_equal(net[3].bias.value, before["3.bias"])


def test_without_torch_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(GraphError, match="torch is not installed"):
        network().to_torch_state_dict()
    network().load_torch_state_dict(network().state_dict())
