"""Sequences made one element at a time equal those that are computed whole."""

from __future__ import annotations

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.backends import reference
from graphnn.backends.cpu import compile as compiling
from graphnn.decode import probabilities
from graphnn.errors import DataError, DTypeError, GraphError, ShapeError

WORDS, WIDTH, LONGEST, BATCH = 11, 8, 9, 2


def tokens(length, batch=BATCH, seed=0):
    return np.random.default_rng(seed).integers(0, WORDS, (batch, length))


def language_model(norm_first=False):
    embed = nn.Embedding(WORDS, WIDTH, dtype="float64")
    place = nn.SinusoidalPositionalEncoding(WIDTH, max_len=LONGEST, dtype="float64")
    layer = nn.TransformerEncoderLayer(WIDTH, 2, 12, norm_first=norm_first, dtype="float64")
    net = nn.TransformerEncoder(layer, 2, nn.LayerNorm(WIDTH, dtype="float64"))
    head = nn.Linear(WIDTH, WORDS, dtype="float64")

    def step(token, position, state):
        x = place(gn.expand_dims(embed(token), 1), gn.reshape(position, (1,)))
        y, state = net.extend(x, state, position)
        return head(y[:, 0]), state

    x = gn.Input((None, LONGEST), "int64", name="x")
    whole = gn.function(x, head(net(place(embed(x)), is_causal=True)))
    decoder = gn.Decoder(step, net.empty(BATCH, LONGEST), BATCH, LONGEST)
    return decoder, whole


@pytest.mark.parametrize("norm_first", [False, True])
def test_kept_keys_and_values_give_what_the_whole_sequence_gives(norm_first):
    decoder, whole = language_model(norm_first)
    given = tokens(LONGEST)
    wanted = whole(given)
    counts = None
    for _ in range(2):  # a second start finds nothing of the first
        decoder.start()
        for t in range(LONGEST):
            np.testing.assert_allclose(
                decoder.step(given[:, t]), wanted[:, t], rtol=1e-10, atol=1e-10
            )
            assert counts in (None, dict(compiling.counts))
            counts = dict(compiling.counts)
    with pytest.raises(GraphError, match="room for 9 elements"):
        decoder.step(given[:, 0])


def test_the_cache_is_written_where_it_lies():
    decoder, _ = language_model()
    plan = decoder._step.plan
    written = [t for step in plan.steps for t in step.targets if isinstance(t, gn.Parameter)]
    assert set(decoder._state) == set(written)
    copies = [n for step in plan.steps for n in step.group.nodes if n.op.name == "copy"]
    assert not copies


def test_encoder_and_decoder():
    net = nn.Transformer(WIDTH, 2, 1, 2, 12, dtype="float64")
    embed = nn.Embedding(WORDS, WIDTH, dtype="float64")
    source = gn.Input((BATCH, 5), "int64", name="source")
    memory = net.encoder(embed(source))
    target = gn.Input((BATCH, LONGEST), "int64", name="target")
    y = net.decoder(embed(target), memory, tgt_is_causal=True)
    whole = gn.function([source, target], gn.matmul(y, embed.weight.T))

    def step(token, position, state):
        y, state = net.decoder.extend(gn.expand_dims(embed(token), 1), state, position)
        return gn.matmul(y[:, 0], embed.weight.T), state

    decoder = gn.Decoder(step, net.decoder.begin(memory, LONGEST), BATCH, LONGEST)
    assert decoder.inputs == (source,)
    for seed in (1, 2):
        sources, targets = tokens(5, seed=seed), tokens(LONGEST, seed=seed + 9)
        wanted = whole(sources, targets)
        decoder.start(sources)
        for t in range(LONGEST):
            found = decoder.step(targets[:, t])
            np.testing.assert_allclose(found, wanted[:, t], rtol=1e-10, atol=1e-10)


def test_greedy_is_the_likeliest_of_the_whole():
    decoder, whole = language_model()
    made = decoder.greedy(tokens(3), LONGEST - 3)
    assert made.shape == (BATCH, LONGEST)
    likeliest = whole(made).argmax(-1)
    np.testing.assert_array_equal(made[:, 3:], likeliest[:, 2:-1])
    stop = int(made[0, 4])
    short = decoder.greedy(tokens(3), LONGEST - 3, stop=stop)
    at = int(np.argmax(short[0, 3:] == stop)) + 3
    assert (short[0, at:] == stop).all()
    np.testing.assert_array_equal(short[0, : at + 1], made[0, : at + 1])


def counting():
    """A recurrent step whose state is a number: it likes the sum of what it saw, modulo 4."""
    table = gn.Constant(8.0 * np.eye(4, dtype=np.float32))

    def step(token, position, state):
        total = gn.remainder(state[0] + token, 4)
        return gn.take(table, total, axis=0), [total]

    return gn.Decoder(step, [np.zeros(2, np.int64)], batch=2)


def test_recurrent_state_in_and_out():
    np.testing.assert_array_equal(
        counting().greedy([[1, 2], [3, 3]], 4), [[1, 2, 3, 2, 0, 0], [3, 3, 2, 0, 0, 0]]
    )


def test_cells_give_what_the_layer_gives():
    """An LSTM's states in and out, beside the loop over the whole sequence."""
    embed, head = nn.Embedding(WORDS, 6, dtype="float64"), nn.Linear(5, WORDS, dtype="float64")
    layer, cell = nn.LSTM(6, 5, dtype="float64"), nn.LSTMCell(6, 5, dtype="float64")
    state = {name.removesuffix("_l0"): value for name, value in layer.state_dict().items()}
    cell.load_state_dict(state)
    x = gn.Input((BATCH, LONGEST), "int64", name="x")
    whole = gn.function(x, head(layer(embed(x))[0]))

    def step(token, position, state):
        hidden, memory = cell(embed(token), state)
        return head(hidden), [hidden, memory]

    decoder = gn.Decoder(step, [np.zeros((BATCH, 5))] * 2, BATCH)
    given = tokens(LONGEST)
    wanted = whole(given)
    for t in range(LONGEST):
        np.testing.assert_allclose(decoder.step(given[:, t]), wanted[:, t], rtol=1e-10, atol=1e-12)


def test_samples_follow_the_probabilities():
    decoder = counting()
    first = decoder.sample([[1], [2]], 5, temperature=4.0, seed=3)
    np.testing.assert_array_equal(first, decoder.sample([[1], [2]], 5, temperature=4.0, seed=3))
    drawn = [decoder.sample([[1], [2]], 1, temperature=8.0, seed=i)[:, 1] for i in range(400)]
    shares = np.mean(np.array(drawn)[:, 0, None] == np.arange(4), axis=0)
    wanted = probabilities(np.float32([[0, 8, 0, 0]]), 8.0)[0]
    np.testing.assert_allclose(shares, wanted, atol=0.08)
    np.testing.assert_array_equal(
        decoder.sample([[1, 2], [3, 3]], 4, top_k=1), counting().greedy([[1, 2], [3, 3]], 4)
    )


def test_probabilities_of_the_likely_alone():
    logits = np.log([[0.5, 0.25, 0.15, 0.1]])
    np.testing.assert_allclose(probabilities(logits), [[0.5, 0.25, 0.15, 0.1]])
    np.testing.assert_allclose(probabilities(logits, top_k=2), [[2 / 3, 1 / 3, 0, 0]])
    np.testing.assert_allclose(probabilities(logits, top_p=0.7), [[2 / 3, 1 / 3, 0, 0]])
    np.testing.assert_allclose(probabilities(logits, top_p=0.4), [[1, 0, 0, 0]])
    np.testing.assert_allclose(probabilities(logits, top_p=1.0), [[0.5, 0.25, 0.15, 0.1]])
    np.testing.assert_allclose(probabilities(np.zeros((1, 4)), top_k=2), [[0.5, 0.5, 0, 0]])
    assert np.isfinite(probabilities(np.array([[1e4, -1e4]]), 0.01)).all()


def test_messages():
    def step(token, position, state):
        return gn.cast(token, "float32"), state

    with pytest.raises(
        ShapeError, match=r"returns logits \(2, words\), floats; got float32 \(2,\)"
    ):
        gn.Decoder(step, [], batch=2)
    with pytest.raises(ShapeError, match=r"a state like the one it takes, .*int64 \(2,\); got "):
        gn.Decoder(lambda t, p, s: (gn.Constant(np.zeros((2, 3))), []), [np.zeros(2, int)], 2)
    with pytest.raises(ShapeError, match=r"known shapes; got \(None, 3\) for 'x'"):
        gn.Decoder(step, [gn.Input((None, 3), name="x")], 2)
    decoder = counting()
    with pytest.raises(DataError, match=r"a prompt is \(2, length\), at least one.*got \(2, 0\)"):
        decoder.greedy(np.zeros((2, 0), int), 3)
    for given, said in (
        ({"temperature": 0}, "temperature is a finite number > 0; got 0"),
        ({"top_k": 0}, "top_k is a whole number >= 1"),
        ({"top_p": 1.5}, r"top_p is a number in \(0, 1\]"),
    ):
        with pytest.raises(GraphError, match=said):
            decoder.sample([[1], [1]], 3, **given)
    layer = nn.MultiheadAttention(8, 2, add_bias_kv=True)
    with pytest.raises(GraphError, match="extend has no add_bias_kv"):
        layer.extend(gn.Input((2, 1, 8)), *layer.empty(2, 5), gn.Input((), "int64"))


# ---------------------------------------------------------------------------- writing at a place


@pytest.mark.parametrize(("axis", "size"), [(0, 1), (1, 1), (-1, 1), (1, 3), (-1, 2), (0, 4)])
def test_dynamic_update_slice(axis, size):
    x = np.arange(60.0).reshape(4, 5, 3)
    shape = list(x.shape)
    shape[axis] = size
    update = -np.ones(shape)
    nodes = gn.Input(x.shape, "float64"), gn.Input(tuple(shape), "float64"), gn.Input((), "int64")
    y = gn.dynamic_update_slice(*nodes, axis=axis)
    grads = gn.grad(gn.sum(y * y * y), list(nodes[:2]))
    run = gn.function(nodes, [y, *grads])
    for start in range(-2, x.shape[axis] + 1):
        places = [start + i for i in range(size) if 0 <= start + i < x.shape[axis]]
        wanted = x.copy()
        np.moveaxis(wanted, axis, 0)[places] = -1
        for found in (
            run(x, update, start),
            reference.evaluate([y, *grads], dict(zip(nodes, (x, update, start), strict=True))),
        ):
            np.testing.assert_array_equal(found[0], wanted)
            np.testing.assert_array_equal(found[1], np.where(wanted == -1, 0, 3 * x * x))
            assert found[2].sum() == 3 * (wanted == -1).sum()


def test_dynamic_update_slice_says_what_it_needs():
    x, at = gn.Input((None, 5, 3), name="x"), gn.Input((), "int64")
    with pytest.raises(ShapeError, match=r"like \(None, 5, 3\) but for axis 1.*got \(None, 1, 4\)"):
        gn.dynamic_update_slice(x, gn.Input((None, 1, 4)), at, axis=1)
    with pytest.raises(DTypeError, match="a start of whole numbers; got float32 and float32"):
        gn.dynamic_update_slice(x, x, gn.Input(()), axis=1)


def plain(token, position, state):
    """Logits of equal size, from a state of the same batch."""
    return state[0] * 0.0, state


FIRST = [np.zeros((2, 3), np.float32)]


@pytest.mark.parametrize(
    ("step", "state", "said"),
    [
        (3, FIRST, r"takes a function step\(token, position, state\) first; got 3"),
        (plain, FIRST[0], r"the state of a Decoder is a list"),
        (lambda t, p, s: s[0], FIRST, r"returns \(logits, new state\).*it returned node\."),
        (lambda t, p, s: [], FIRST, r"returns \(logits, new state\).*it returned \[\]"),
        (lambda t, p, s: (s[0], s[0]), FIRST, r"the state in a list; it returned \(node, node\)"),
        (lambda t, p, s: (s[0], ["h"]), FIRST, "step of a Decoder returns nodes; got 'h'"),
    ],
)
def test_what_is_no_step(step, state, said):
    with pytest.raises(GraphError, match=said + ".*test_decode.py"):
        gn.Decoder(step, state, batch=2)


def test_a_state_of_another_batch():
    def step(token, position, state):
        return gn.concat([gn.cast(gn.expand_dims(token, 1), "float32"), state[0]], -1), state

    said = r"concat needs equal sizes.*made for batch=2, and its state is \(3, 4\)"
    with pytest.raises(ShapeError, match=said):
        gn.Decoder(step, [np.zeros((3, 4), np.float32)], batch=2)
    with pytest.raises(ShapeError, match=r"logits \(3, words\).*made for batch=3, and its st"):
        gn.Decoder(plain, FIRST, batch=3)
    with pytest.raises(ShapeError, match="words\\), floats; got int64"):
        gn.Decoder(lambda t, p, s: (gn.expand_dims(t, 1), s), FIRST, batch=2)
    for wrong in ({"batch": 0}, {"batch": 2.0}, {"max_len": -1}):
        with pytest.raises(GraphError, match=f"{next(iter(wrong))} is a whole number >= 1"):
            gn.Decoder(plain, FIRST, **{"batch": 2, **wrong})


def test_what_a_decoder_cannot_be_called_with():
    decoder = gn.Decoder(plain, FIRST, batch=2)
    for call in (decoder.greedy, decoder.sample):
        for steps in (-1, 1.5, True):
            with pytest.raises(GraphError, match=f"steps is a whole number >= 0; got {steps}"):
                call([[1], [1]], steps)
        with pytest.raises(DTypeError, match=r"a prompt is of whole numbers.*array.astype"):
            call([[1.7], [1.0]], 2)
        with pytest.raises(GraphError, match="stop is a whole number >= 0; got 0.5"):
            call([[1], [1]], 2, stop=0.5)
    with pytest.raises(DTypeError, match="a token is of whole numbers; got an array of float64"):
        decoder.step([1.5, 1.0])
    for seed in (-1, 0.5):
        with pytest.raises(GraphError, match=f"seed is a whole number >= 0; got {seed}"):
            decoder.sample([[1], [1]], 2, seed=seed)
    with pytest.raises(TypeError, match="sample has no argument 'top'.*Did you mean top_p"):
        decoder.sample([[1], [1]], 2, top=1)
    np.testing.assert_array_equal(decoder.greedy([[1], [1]], 0), [[1], [1]])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nothing_is_chosen_among_what_is_no_number(bad):
    state = [np.array([[0.0, 1.0, 0.0], [bad, -np.inf, -np.inf]])]
    decoder = gn.Decoder(lambda t, p, s: (s[0], s), state, batch=2)
    for call in (decoder.greedy, decoder.sample):
        with pytest.raises(DataError, match="after 1 elements the logits of sequence 1 hold NaN"):
            call([[1], [1]], 2)
    impossible = [np.array([[0.0, -np.inf, -np.inf]] * 2)]
    decoder = gn.Decoder(lambda t, p, s: (s[0], s), impossible, batch=2)
    np.testing.assert_array_equal(decoder.sample([[1], [1]], 3)[:, 1:], 0)
