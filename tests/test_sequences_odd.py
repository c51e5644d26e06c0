"""Sequences where they are odd: lengths that come with the call, nothing at all, wrong arguments."""

from __future__ import annotations

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, optim
from graphnn.backends import reference
from graphnn.decode import probabilities
from graphnn.errors import DataError, DTypeError, GraphError, ShapeError
from graphnn.testing import check_grads

WIDTH = 4


def drawn(*shape, dtype="float64", seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


# --------------------------------------------------------------- positions, whatever the length

ENCODINGS = {
    "sinusoidal": lambda: nn.SinusoidalPositionalEncoding(WIDTH, max_len=9, dtype="float64"),
    "learned": lambda: nn.LearnedPositionalEncoding(WIDTH, max_len=9, dtype="float64"),
    "rotary": lambda: lambda x: gn.rotary(x, max_len=9),
}


@pytest.mark.parametrize("kind", ENCODINGS)
def test_positions_of_a_length_that_comes_with_the_call(kind):
    layer = ENCODINGS[kind]()
    weights = layer.parameters() if kind == "learned" else []

    def results(x):
        y = gn.sin(layer(x))
        slopes = gn.grad(gn.sum(y * y), [x, *weights])
        twice = gn.grad(gn.sum(gn.sin(slopes[-1])), [x, *weights])
        thrice = gn.grad(gn.sum(gn.sin(twice[-1])), x)
        return [y, *slopes, *twice, thrice]

    free = gn.Input((None, "T", WIDTH), "float64", name="x")
    f = gn.function(free, results(free))
    for steps in (0, 1, 5, 9):
        fixed = gn.Input((None, steps, WIDTH), "float64", name="x")
        given = drawn(3, steps, WIDTH)
        wanted = reference.evaluate(results(fixed), {fixed: given})
        for one, two in zip(f(given), wanted, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-10, atol=1e-13)
    with pytest.raises(ShapeError, match=r"of \(9, \d\) needs 9 >= T; got T = 10"):
        f(drawn(3, 10, WIDTH))


def test_a_transformer_is_fitted_to_sequences_of_every_length():
    gn.set_seed(0)
    x = gn.Input((None, "T", 3), name="x")
    net = nn.Sequential(
        nn.Linear(3, 8),
        nn.LearnedPositionalEncoding(8, max_len=20),
        nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1), 1),
    )
    model = gn.Model(x, nn.Linear(8, 1)(gn.mean(net(x), axis=1)))
    model.compile(optim.Adam(lr=1e-2), loss="mse")
    losses = []
    for steps in (4, 11, 1, 20, 7, 3):
        X = drawn(64, steps, 3, dtype="float32", seed=steps)
        losses += model.fit(X, X[:, :, :1].mean(1), epochs=8, batch_size=16, verbose=0)["loss"]
    assert np.isfinite(losses).all()
    X = drawn(64, 9, 3, dtype="float32", seed=99)
    assert model.evaluate(X, X[:, :, :1].mean(1))["loss"] < 0.5 * X[:, :, 0].mean(1).var()
    with pytest.raises(ShapeError, match="got T = 21"):
        model.predict(drawn(2, 21, 3, dtype="float32"))


def test_a_part_longer_than_the_whole_for_every_size_is_refused_at_once():
    x = gn.Input((None, 3), name="x")
    size = x.spec.shape[0]
    with pytest.raises(ShapeError, match="parts that lie within the array"):
        gn.narrow(x, 0, 0, size * 2)
    with pytest.raises(ShapeError, match="parts that lie within the array"):
        gn.narrow(x, 0, size + 1, 0)
    cut = gn.narrow(gn.Constant(np.arange(6.0)), 0, 2, size)
    f = gn.function(x, [cut, gn.sum(x)])
    np.testing.assert_array_equal(f(np.zeros((4, 3), np.float32))[0], [2, 3, 4, 5])
    with pytest.raises(ShapeError, match=r"needs 4 >= N; got N = 5.*Give less, or slice"):
        f(np.zeros((5, 3), np.float32))
    table = gn.Parameter(drawn(6), name="table")

    def weighed(v):
        return gn.narrow(table * table, 0, 1, v.spec.shape[0]) * gn.sin(v)

    check_grads(weighed(gn.Input((None,), "float64")), drawn(4), order=2)


# ------------------------------------------------------------------------------ wrong arguments

x = gn.Input((None, 5, 3), name="x")
wide = gn.Input((None, 5, WIDTH), name="wide")
start = gn.Constant(np.zeros(3, np.float32))


def told(lengths):
    return nn.MultiheadAttention(WIDTH, 2)(wide, wide, wide, key_padding_mask=lengths)


@pytest.mark.parametrize(
    ("declare", "error", "message"),
    [
        (lambda: nn.LSTM(3, "4"), GraphError, "LSTM: hidden_size is a whole number >= 1; got '4'"),
        (lambda: nn.LSTM(3, 0), GraphError, "LSTM: hidden_size is a whole number >= 1; got 0"),
        (lambda: nn.LSTM(3, 4, proj_size=True), GraphError, "proj_size is smaller.*got True"),
        (
            lambda: nn.GRU(3, 4)(gn.Input((None, 5, 3), "int64")),
            DTypeError,
            r"GRU has float32 weights; x is int64.*gn.cast\(x, 'float32'\)\. Words\? nn.Embedding",
        ),
        (
            lambda: nn.GRU(3, 4)(gn.Input((None, 5, 3), "float64")),
            DTypeError,
            r"Write nn.GRU\(..., dtype='float64'\)",
        ),
        (
            lambda: nn.GRU(3, 4)(x, gn.Input((1, None, 4), "float64")),
            DTypeError,
            "the state of GRU is float32, as x is; got float64",
        ),
        (
            lambda: nn.LSTMCell(3, 4)(x[:, 0], (np.zeros((1, 4)),) * 2),
            ShapeError,
            r"the state of LSTMCell needs \(None, 4\)",
        ),
        (
            lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer, 2),
            GraphError,
            r"a module, which is copied.*made: nn.TransformerEncoderLayer\(512, 8\)",
        ),
        (
            lambda: nn.TransformerDecoder(None, 2),
            GraphError,
            "a module, which is copied; got None",
        ),
        (
            lambda: told(np.zeros((2, 5), bool)),
            ShapeError,
            r"key_padding_mask needs shape \(None, 5\).*gn.Input\(\(None, 5\), 'bool'\)",
        ),
        (
            lambda: gn.rotary(gn.Input((None, "T", 4))),
            ShapeError,
            r"a known length before that of the features, or max_len; got \(None, T, 4\)",
        ),
    ],
)
def test_messages(declare, error, message):
    with pytest.raises(error, match=message):
        declare()


def test_whole_numbers_of_numpy_are_lengths():
    _, ys = gn.scan(lambda s, _: (s + 1.0, s), start, length=np.int64(3))
    assert ys.shape == (3, 3)
    given = gn.Input((5, 3), name="given")
    end, _ = gn.scan(lambda s, x: (s + x, None), start, given, truncate=np.int64(2))
    np.testing.assert_array_equal(gn.function(given, end)(np.ones((5, 3), np.float32)), [5, 5, 5])
    with pytest.raises(GraphError, match=r"the length of a scan is a whole number >= 0; got -1"):
        gn.scan(lambda s, _: (s, s), start, length=np.int64(-1))


def test_decoding_what_cannot_be():
    embed, head = nn.Embedding(5, 4), nn.Linear(4, 5)
    decoder = gn.Decoder(lambda token, _, state: (head(embed(token)), state), [], batch=2)
    with pytest.raises(DataError, match="a prompt is an array: rows of one length"):
        decoder.greedy([[1, 2], [3]], 2)
    with pytest.raises(ShapeError, match=r"logits \(2, words\), floats; got float32 \(2, 0\)"):
        gn.Decoder(lambda token, _, state: (head(embed(token))[:, :0], state), [], batch=2)


def test_a_tiny_temperature_leaves_the_likeliest_alone():
    logits = np.float32([[1, 3, -np.inf, 2], [0, 0, -5, -5]])
    for temperature in (1e-320, 1e-30, 1e-3):
        found = probabilities(logits, temperature)
        np.testing.assert_allclose(found, [[0, 1, 0, 0], [0.5, 0.5, 0, 0]])
    np.testing.assert_allclose(probabilities(logits, 1e300)[0], [1 / 3, 1 / 3, 0, 1 / 3])
