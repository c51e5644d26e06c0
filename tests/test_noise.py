"""Dropout of channels, alpha dropout and Gaussian noise: statistics, phases, threads."""

from __future__ import annotations

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.backends import reference
from graphnn.errors import DTypeError, GraphError, ShapeError

KINDS = [
    (nn.Dropout1d(0.3), (None, 8, 5)),
    (nn.Dropout2d(0.3), (None, 8, 5, 5)),
    (nn.AlphaDropout(0.3), (None, 40)),
    (nn.GaussianNoise(0.3), (None, 40)),
]


@pytest.mark.parametrize(("layer", "shape"), KINDS, ids=lambda v: repr(v))
def test_the_identity_in_inference_with_its_slope(layer, shape):
    x = gn.Input(shape, name="x")
    y = layer(x)
    X = np.random.default_rng(0).normal(size=(3, *shape[1:])).astype(np.float32)
    asked = gn.function(x, [y, gn.grad(gn.sum(y * 3.0), x)])
    found, slope = asked(X)
    np.testing.assert_array_equal(found, X)
    np.testing.assert_array_equal(slope, np.full_like(X, 3))
    names = {n.op.name for s in asked.plan.steps for n in s.group.nodes}
    assert not names & {"dropout_mask", "random_normal", "where"}
    train = gn.function(x, y, training=True)
    first, second = train(X), train(X)
    assert not np.array_equal(first, X)
    assert not np.array_equal(first, second)
    gn.set_seed(0)
    np.testing.assert_array_equal(train(X), first)


@pytest.mark.parametrize(("layer", "shape"), KINDS, ids=lambda v: repr(v))
def test_every_number_of_threads_draws_alike(layer, shape, on_each_number_of_threads):
    x = gn.Input(shape, name="x")
    y = layer(x)
    X = np.ones((33, *shape[1:]), np.float32)

    def run():
        gn.set_seed(7)
        return gn.function(x, [y, gn.grad(gn.sum(y * y), x)], training=True)(X)

    found = on_each_number_of_threads(run)
    gn.set_seed(7)
    np.testing.assert_allclose(found[0], reference.evaluate(y, {x: X}), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("places", [(5,), (3, 4)])
def test_whole_channels_are_dropped(places):
    x = gn.Input((None, 200, *places), name="x")
    layer = nn.Dropout1d(0.25) if len(places) == 1 else nn.Dropout2d(0.25)
    y = layer(x)
    found, slope = gn.function(x, [y, gn.grad(gn.sum(y), x)], training=True)(
        np.ones((50, 200, *places)).astype("f")
    )
    channels = found.reshape(50 * 200, -1)
    assert (channels == channels[:, :1]).all()
    np.testing.assert_allclose(np.unique(channels), [0, 4 / 3], rtol=1e-6)
    assert abs((channels[:, 0] == 0).mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 10_000)
    np.testing.assert_array_equal(slope, found)


def test_alpha_dropout_keeps_mean_and_variance():
    x = gn.Input((None, 1000), "float64", name="x")
    X = np.random.default_rng(0).normal(size=(200, 1000))
    for p in (0.1, 0.5):
        y = gn.function(x, gn.alpha_dropout(x, p), training=True)(X)
        assert abs(y.mean()) < 0.02
        assert abs(y.var() - 1) < 0.02
        low = -1.7580993408473766  # SELU's limit, -λα
        dropped = np.isclose(y, low * (1 - p) / np.sqrt((1 - p) * (1 + p * low**2)))
        assert abs(dropped.mean() - p) < 0.005


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_noise_is_gaussian(dtype):
    x = gn.Input((None, 1000), dtype, name="x")
    noise = (
        gn.function(x, gn.gaussian_noise(x, 0.5), training=True)(np.zeros((200, 1000), dtype)) / 0.5
    )
    assert noise.dtype == dtype
    z = noise.astype(np.float64).ravel()
    n = z.size
    assert abs(z.mean()) < 4 / np.sqrt(n)
    assert abs(z.var() - 1) < 4 * np.sqrt(2 / n)
    assert abs((z**3).mean()) < 4 * np.sqrt(15 / n)
    assert abs((z**4).mean() - 3) < 4 * np.sqrt(96 / n)
    for bound, share in ((1, 0.682689), (2, 0.954500), (3, 0.997300)):
        found = (np.abs(z) < bound).mean()
        assert abs(found - share) < 4 * np.sqrt(share * (1 - share) / n)
    lags = [np.corrcoef(z[:-k], z[k:])[0, 1] for k in (1, 16, 32, 48, 64)]
    assert np.abs(lags).max() < 5 / np.sqrt(n)


def test_two_layers_draw_apart():
    x = gn.Input((None, 64), name="x")
    one = nn.GaussianNoise(1.0)
    a, b = gn.function(x, [one(x), one(x)], training=True)(np.zeros((4, 64), np.float32))
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.3


def test_settings_that_do_not_fit():
    x = gn.Input((None, 6), name="x")
    for call, error, match in (
        (lambda: nn.Dropout2d(1.0), GraphError, "nn.Dropout2d needs 0 <= p < 1; got p=1.0"),
        (lambda: gn.alpha_dropout(x, -0.1), GraphError, "alpha_dropout needs 0 <= p < 1"),
        (lambda: nn.GaussianNoise(-1), GraphError, "finite std >= 0; got std=-1"),
        (lambda: gn.gaussian_noise(x, np.nan), GraphError, "finite std >= 0"),
        (lambda: nn.Dropout2d()(x), ShapeError, r"dropout2d needs \(batch, channels, height, width\)"),
        (lambda: nn.Dropout1d()(x), ShapeError, r"dropout1d needs \(batch, channels, length\)"),
        (lambda: gn.gaussian_noise(gn.Input((3,), "int64")), DTypeError, "gaussian_noise needs float32"),
    ):  # fmt: skip
        with pytest.raises(error, match=match):
            call()
    assert gn.gaussian_noise(x, 0) is x
    assert gn.alpha_dropout(x, 0) is x
    assert repr(nn.Dropout1d(0.2)) == "Dropout1d(0.2)"
    assert repr(nn.GaussianNoise(0.2)) == "GaussianNoise(0.2)"
