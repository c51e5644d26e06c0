"""Weights of samples and classes: Keras' mean, by torch and by hand; state that goes on."""

from __future__ import annotations

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, optim
from graphnn.errors import DataError, GraphError
from graphnn.weighting import weighted_loss


def drawn(samples=50, features=4, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(samples, features)).astype("f")
    return X, rng.integers(0, classes, samples), rng.uniform(0, 3, samples).astype("f")


def classifier(loss="cross_entropy", optimizer="sgd", outputs=3, metrics=(), **settings):
    gn.set_seed(0)
    x = gn.Input((None, 4), name="x")
    layer = nn.Linear(4, outputs)
    model = gn.Model(x, layer(x))
    model.compile(optimizer, loss, metrics=metrics, **settings)
    return model, layer


# ------------------------------------------------------------------------------- by torch


@pytest.mark.torch
@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "bce_with_logits", "huber"])
def test_a_fit_is_torchs_with_weighted_means(loss):
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    X, Y, weights = drawn()
    model, layer = classifier(loss, lr=0.3)
    w, b = (torch.tensor(p.value.copy(), requires_grad=True) for p in (layer.weight, layer.bias))
    if loss != "cross_entropy":
        Y = (np.eye(3)[Y]).astype("f")
    functions = {
        "cross_entropy": F.cross_entropy,
        "mse": F.mse_loss,
        "bce_with_logits": F.binary_cross_entropy_with_logits,
        "huber": F.huber_loss,
    }
    batches, losses = [(0, 20), (20, 40), (40, 50)], []
    history = model.fit(
        X, Y, sample_weight=weights, epochs=3, batch_size=20, shuffle=False, verbose=0
    )
    for _ in range(3):
        total = 0.0
        for start, stop in batches:
            part = slice(start, stop)
            out = torch.tensor(X[part]) @ w.T + b
            each = functions[loss](out, torch.tensor(Y[part]), reduction="none")
            each = each if each.ndim == 1 else each.mean(1)
            value = (each * torch.tensor(weights[part])).sum() / (stop - start)
            value.backward()
            total += value.item() * (stop - start)
            with torch.no_grad():
                for p in (w, b):
                    p -= 0.3 * p.grad
                    p.grad = None
        losses.append(total / 50)
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-5)
    np.testing.assert_allclose(layer.weight.value, w.detach().numpy(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(layer.bias.value, b.detach().numpy(), rtol=1e-4, atol=1e-6)


# -------------------------------------------------------------------------------- by hand


def trained(X, Y, **given):
    model, layer = classifier(lr=0.5)
    history = model.fit(X, Y, epochs=4, batch_size=16, verbose=0, **given)
    return history["loss"], layer.weight.value.copy()


def same(a, b):
    assert a[0] == b[0]
    np.testing.assert_array_equal(a[1], b[1])


def test_weights_of_classes_are_those_of_their_samples():
    X, Y, weights = drawn()
    by_class = np.array([1.0, 5.0, 0.25], np.float32)[Y]
    of_classes = {0: 1.0, 1: 5.0, 2: 0.25}
    same(trained(X, Y, class_weight=of_classes), trained(X, Y, sample_weight=by_class))
    same(  # a class that is not named counts 1; NumPy's numbers name classes too
        trained(X, Y, class_weight={np.int64(1): 5, 2: 0.25}),
        trained(X, Y, class_weight=of_classes),
    )
    same(
        trained(X, Y, class_weight=of_classes, sample_weight=weights),
        trained(X, Y, sample_weight=by_class * weights),
    )
    assert trained(X, Y)[0] != trained(X, Y, class_weight=of_classes)[0]


def test_a_weight_of_none_is_a_sample_that_is_not_there():
    X, Y, _ = drawn(40)
    kept = np.arange(40) < 20
    model, layer = classifier(lr=0.5)
    model.fit(X, Y, sample_weight=kept * 2, batch_size=40, verbose=0)  # n is 40: twice the mean
    other, alone = classifier(lr=0.5)
    other.fit(X[kept], Y[kept], batch_size=20, verbose=0)
    np.testing.assert_allclose(layer.weight.value, alone.weight.value, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("kind", ["floats", "column", "probabilities"])
def test_classes_of_other_targets(kind):
    X, _, _ = drawn(30)
    labels = np.random.default_rng(1).integers(0, 2, 30)
    shape = {"floats": (), "column": (1,), "probabilities": (2,)}[kind]
    Y = np.eye(2)[labels] if shape == (2,) else labels.reshape(30, *shape)
    found = []
    for given in ({"class_weight": {1: 4.0}}, {"sample_weight": np.where(labels, 4.0, 1.0)}):
        gn.set_seed(0)
        x, y = gn.Input((None, 4), name="x"), gn.Input((None, *shape), name="y")
        out = gn.reshape(nn.Linear(4, *(shape or (1,)))(x), (None, *shape))
        model = gn.Model(x, out)
        model.compile("sgd", gn.binary_cross_entropy_with_logits(out, y))
        found.append(model.fit(X, Y.astype("f"), verbose=0, epochs=2, **given)["loss"])
    assert found[0] == found[1]


def test_penalties_metrics_and_validation_count_as_before():
    X, Y, _ = drawn()
    gn.set_seed(0)
    x, y = gn.Input((None, 4), name="x"), gn.Input((None,), "int64", name="y")
    layer = nn.Linear(4, 3)
    out = layer(x)
    loss = gn.cross_entropy(out, y) + 0.1 * gn.sum(layer.weight**2)
    model = gn.Model(x, out)
    model.compile("sgd", loss, metrics=["accuracy"], lr=1e-30)
    plain = model.evaluate(X, Y)
    history = model.fit(
        X, Y, sample_weight=np.full(50, 3.0), verbose=0, validation_data=(X, Y)
    )  # fmt: skip
    penalty = 0.1 * np.sum(layer.weight.value.astype(float) ** 2)
    assert history["loss"][0] == pytest.approx(3 * (plain["loss"] - penalty) + penalty, rel=1e-5)
    assert history["accuracy"][0] == pytest.approx(plain["accuracy"])
    assert history["val_loss"][0] == pytest.approx(plain["loss"])
    assert model.evaluate(X, Y) == plain


@pytest.mark.parametrize(
    "made",
    [
        lambda rows: gn.sum(rows) / gn.sum(gn.ones_like(gn.Constant(np.zeros(8)))),
        lambda rows: -gn.mean(-rows),
        lambda rows: gn.mean(rows) * 3.0 - gn.mean(2.0 * rows),
        lambda rows: gn.mean(gn.stack([rows, rows], 1)),
        lambda rows: gn.mean(gn.mean(gn.stack([rows, rows], 0), 0)),
        lambda rows: gn.mean(gn.stack([rows, rows], 0)),
        lambda rows: gn.reshape(gn.mean(rows, keepdims=True), ()),
    ],
)
def test_means_in_all_their_spellings(made):
    r, w = gn.Input((None,), "float64", name="r"), gn.Input((None,), "float64", name="w")
    loss = made(r)
    rng = np.random.default_rng(0)
    R, W = rng.normal(size=8), rng.uniform(size=8)
    found = gn.function([r, w], weighted_loss(loss, w))(R, W)
    np.testing.assert_allclose(found, np.mean(R * W), rtol=1e-12)


# -------------------------------------------------------------------------- going on and mixing


@pytest.mark.parametrize(
    "rule",
    [
        lambda: optim.Adam(0.05, ema_momentum=0.9),
        lambda: optim.SGD(0.1, momentum=0.9, gradient_accumulation_steps=2),
        lambda: optim.NAdam(optim.schedule.ExponentialLR(0.1, gamma=0.9)),
        lambda: optim.RMSprop(0.01, groups=[{"params": optim.biases_and_norms, "lr": 0.1}]),
    ],
)
def test_the_optimizers_state_goes_on_when_weights_come_and_go(rule):
    X, Y, _ = drawn(48)
    losses = []
    for given in ([{}, {}, {}], [{}, {"sample_weight": np.ones(48)}, {}]):
        model, layer = classifier(optimizer=rule(), metrics=["lr", "grad_norm", "f1_macro"])
        found = [model.fit(X, Y, epochs=2, batch_size=16, verbose=0, **one) for one in given]
        losses.append([[one[name] for name in ("loss", "lr", "f1_macro")] for one in found])
        state = len(model.optimizer.state)
        losses[-1].append(layer.weight.value.tolist())
    assert state == len(rule_state(rule, X, Y))  # no dead state is left
    np.testing.assert_allclose(np.concatenate(losses[0][:3]), np.concatenate(losses[1][:3]), 1e-5)
    np.testing.assert_allclose(losses[0][3], losses[1][3], rtol=1e-4, atol=1e-6)


def rule_state(rule, X, Y):
    model, _ = classifier(optimizer=rule())
    model.fit(X, Y, verbose=0)
    return model.optimizer.state


def test_callbacks_split_and_the_rest_of_a_model_work_beside_weights(on_each_number_of_threads):
    X, Y, weights = drawn(90)

    def run():
        model, layer = classifier(metrics=["accuracy"])
        stop = gn.callbacks.EarlyStopping("val_loss", patience=2)
        model.fit(
            X, Y, epochs=3, batch_size=8, validation_split=0.25, callbacks=[stop],
            class_weight={0: 2.0}, sample_weight=weights, verbose=0,
        )  # fmt: skip
        model.fit({"x": X, "y": Y}, verbose=0)
        assert model.predict(X).shape == (90, 3)
        assert set(model.evaluate(X, Y)) == {"loss", "accuracy"}
        assert len(model.find_lr(X, Y, steps=5).losses) >= 3
        return [layer.weight.value.copy()]

    on_each_number_of_threads(run)


@pytest.mark.parametrize("steps", [None, 3])
def test_classes_of_a_stream_have_weights(steps):
    """The bits of arrays in the same order; with steps_per_epoch, too."""
    X, Y, _ = drawn(24)
    found = []
    for data in ((X, Y), (lambda: ((X[i : i + 8], Y[i : i + 8]) for i in range(0, 24, 8)),)):
        model, layer = classifier()
        options = {"steps_per_epoch": steps} if len(data) == 1 else {"shuffle": False}
        history = model.fit(
            *data, epochs=2, batch_size=8, class_weight={0: 3.0, 2: 0.5}, verbose=0, **options
        )
        found.append((layer.weight.value.tobytes(), history.history))
    assert found[0] == found[1]


def test_class_weights_of_a_stream_are_checked_at_once():
    model, _ = classifier()
    asked = []

    def batches():
        asked.append(1)
        yield drawn()[:2]

    with pytest.raises(GraphError, match="class_weight is a dict of classes"):
        model.fit(batches, class_weight=[1, 2], verbose=0)
    assert not asked
    assert [node.name for node in model.training.inputs] == ["x", "y"]


def test_a_new_compile_forgets_weights():
    X, Y, weights = drawn()
    model, _ = classifier()
    parts = [(X[:20], Y[:20]), (X[20:], Y[20:])]
    batches = lambda: iter(parts)  # noqa: E731
    with pytest.raises(DataError, match="sample_weight is for arrays in memory"):
        model.fit(batches, sample_weight=weights, verbose=0)
    model.fit(X, Y, sample_weight=weights, verbose=0)
    model.fit(batches, verbose=0)
    assert [node.name for node in model.training.inputs] == ["x", "y", "sample_weight"]
    assert set(model.evaluate(batches)) == {"loss"}
    model.compile("sgd", "cross_entropy")
    assert [node.name for node in model.training.inputs] == ["x", "y"]
    model.fit(batches, verbose=0)


# ------------------------------------------------------------------------------- messages


def test_what_does_not_fit():
    X, Y, weights = drawn()
    x, y = gn.Input((None, 4), name="x"), gn.Input((None,), "int64", name="y")
    out = nn.Linear(4, 3)(x)

    def fit(loss="cross_entropy", **given):
        model = gn.Model(x, out)
        model.compile("sgd", loss)
        target = np.zeros((50, 3), np.float32) if loss == "mse" else Y
        model.fit(X, target, verbose=0, **given)

    own = gn.cross_entropy(out, y, weight=np.float32([1, 2, 3]))
    squared = gn.cross_entropy(out, y) ** 2
    for call, error, match in (
        (lambda: fit(sample_weight=weights[:-1]), DataError, "sample_weight has 49 weights for 50 samples"),
        (lambda: fit(sample_weight=weights * np.nan), DataError, "sample_weight has NaN or Inf"),
        (lambda: fit(sample_weight=weights[:, None]), gn.ShapeError, "sample_weight"),
        (lambda: fit(sample_weight=["a"] * 50), gn.DTypeError, "input sample_weight is declared float32"),
        (lambda: fit(class_weight=[1, 2]), GraphError, r"class_weight is a dict of classes and finite weights.*got \[1, 2\]"),
        (lambda: fit(class_weight={"a": 1}), GraphError, "class_weight is a dict"),
        (lambda: fit(class_weight={0: np.inf}), GraphError, "class_weight is a dict"),
        (lambda: fit(own, sample_weight=weights), GraphError, "weights need a loss that is a mean over the samples.*divide.*give fit class_weight="),
        (lambda: fit(squared, sample_weight=weights), GraphError, r"has square .* between"),
    ):  # fmt: skip
        with pytest.raises(error, match=match):
            call()
    model = gn.Model(x, out)
    model.compile("sgd", "mse")
    with pytest.raises(GraphError, match="class_weight needs a class for each sample"):
        z = gn.Input((None,), name="z")
        single = gn.Model(x, gn.mean(out, 1))
        single.compile("sgd", gn.mse_loss(gn.mean(out, 1), z))
        single.fit(X, np.linspace(0, 1, 50).astype("f"), class_weight={0: 2}, verbose=0)
