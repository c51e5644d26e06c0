"""Recurrent layers and cells: loops, lengths, gradients, probes, and refusals."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.testing import check_grads

KINDS = ("RNN", "LSTM", "GRU")
IN, HIDDEN = 3, 4


def as_tuple(value):
    return tuple(value) if isinstance(value, list | tuple) else (value,)


# --------------------------------------------------------------------------------- loops and lengths


def steps_of(layer):
    """A cell with the layer's weights."""
    cell = getattr(nn, type(layer).__name__ + "Cell")(IN, HIDDEN, dtype="float64")
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in layer.state_dict().items()})
    return cell


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_is_a_loop_over_its_cell(kind):
    gn.set_seed(0)
    layer = getattr(nn, kind)(IN, HIDDEN, dtype="float64")
    cell = steps_of(layer)
    x = gn.Input((None, 6, IN), "float64", name="x")
    output, last = layer(x)
    state, states = None, []
    for t in range(6):
        state = cell(x[:, t], state)
        states.append(as_tuple(state)[0])
    loop = gn.stack(states, axis=1)
    whole = gn.function(x, [output, *as_tuple(last), gn.grad(gn.sum(output**2.0), x)])
    steps = gn.function(x, [loop, *as_tuple(state), gn.grad(gn.sum(loop**2.0), x)])
    data = np.random.default_rng(0).standard_normal((4, 6, IN))
    for a, b in zip(whole(data), steps(data), strict=True):
        np.testing.assert_allclose(a.reshape(b.shape), b, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_is_never_read(kind):
    """Each sequence alone, cut to its length, gives the same; NaN behind it changes nothing."""
    gn.set_seed(0)
    layer = getattr(nn, kind)(IN, HIDDEN, num_layers=2, bidirectional=True, dtype="float64")
    x, marks = gn.Input((None, 5, IN), "float64", name="x"), gn.Input((None,), "int32", name="l")
    output, last = layer(x, lengths=marks)
    loss = gn.sum(output**2.0) + sum(gn.sum(part) for part in as_tuple(last))
    f = gn.function([x, marks], [output, *as_tuple(last), gn.grad(loss, x)])
    data, lengths = np.random.default_rng(0).standard_normal((4, 5, IN)), np.int32([5, 2, 0, 1])
    behind = np.arange(5) >= lengths[:, None]
    data[behind] = np.nan
    found = f(data, lengths)
    assert all(np.isfinite(value).all() for value in found)
    assert np.all(found[0][behind] == 0)
    assert np.all(found[-1][behind] == 0)
    assert np.all([part[:, 2] == 0 for part in found[1:-1]])  # of length 0: as it began
    for i, length in enumerate(lengths):
        if length:
            short = gn.Input((None, int(length), IN), "float64", name="short")
            alone, ends = layer(short)
            parts = gn.function(short, [alone, *as_tuple(ends)])(data[i : i + 1, :length])
            np.testing.assert_allclose(found[0][i, :length], parts[0][0], rtol=1e-12)
            for a, b in zip(found[1:-1], parts[1:], strict=True):
                np.testing.assert_allclose(a[:, i], b[:, 0], rtol=1e-12)


def test_known_lengths_are_constants():
    layer = nn.GRU(IN, HIDDEN)
    x = gn.Input((3, 5, IN), name="x")
    data = np.random.default_rng(0).standard_normal((3, 5, IN)).astype(np.float32)
    marks = gn.Input((3,), "int64", name="l")
    known = gn.function(x, layer(x, lengths=[5, 1, 4])[0])(data)
    given = gn.function([x, marks], layer(x, lengths=marks)[0])(data, [5, 1, 4])
    np.testing.assert_array_equal(known, given)


@pytest.mark.parametrize("kind", KINDS)
def test_finite_differences(kind):
    gn.set_seed(0)
    layer = getattr(nn, kind)(2, 3, bidirectional=True, dtype="float64")
    x, marks = gn.Input((2, 3, 2), "float64", name="x"), gn.Constant([3, 2])
    output, last = layer(x, lengths=marks)
    loss = gn.sum(output * output) + sum(gn.sum(part) for part in as_tuple(last))
    check_grads(loss, np.random.default_rng(0).normal(size=(2, 3, 2)), order=2)


@pytest.mark.parametrize("kind", KINDS)
def test_any_number_of_steps_is_one_graph(kind):
    gn.set_seed(0)
    layer = getattr(nn, kind)(IN, HIDDEN, num_layers=2, bidirectional=True, dtype="float64")
    marks = gn.Input((None,), "int64", name="lengths")

    def run(x):
        output, last = layer(x, lengths=marks)
        loss = gn.sum(output**2.0) + sum(gn.sum(part) for part in as_tuple(last))
        return gn.function([x, marks], [output, *as_tuple(last), gn.grad(loss, x)])

    free = run(gn.Input((None, "T", IN), "float64", name="x"))
    for steps in (1, 2, 7):
        fixed = run(gn.Input((None, steps, IN), "float64", name="x"))
        data = np.random.default_rng(0).standard_normal((3, steps, IN))
        lengths = np.array([steps, 1, (steps + 1) // 2])
        for a, b in zip(free(data, lengths), fixed(data, lengths), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_is_one_product_and_one_loop_for_each_direction(kind):
    layer = getattr(nn, kind)(IN, HIDDEN, num_layers=2, bidirectional=True)
    x = gn.Input((None, 50, IN), name="x")
    ops = [node.op.name for node in gn.Graph(layer(x)[0]).nodes]
    assert ops.count("scan") == ops.count("matmul") == 4
    step = gn.function(x, gn.grad(gn.sum(layer(x)[0]), layer.parameters()))
    assert len(step.plan.steps) < 100  # whatever the number of steps in time


def test_truncation_stops_gradients_and_changes_no_value():
    gn.set_seed(0)
    whole = nn.LSTM(IN, HIDDEN, dtype="float64")
    cut = nn.LSTM(IN, HIDDEN, truncate=4, dtype="float64")
    cut.load_state_dict(whole.state_dict())
    x = gn.Input((None, 12, IN), "float64", name="x")
    data = np.random.default_rng(0).standard_normal((2, 12, IN))
    (a, da), (b, db) = (
        gn.function(x, [layer(x)[0], gn.grad(gn.sum(layer(x)[0][:, -1]), x)])(data)
        for layer in (whole, cut)
    )
    np.testing.assert_allclose(a, b, rtol=1e-12)
    np.testing.assert_allclose(da[:, 8:], db[:, 8:], rtol=1e-10)
    assert np.all(db[:, :8] == 0)
    assert np.all(da[:, :8] != 0)


@pytest.mark.parametrize(("batch", "steps"), [(2, 0), (0, 3), (0, 0)])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_to_read(kind, batch, steps):
    layer = getattr(nn, kind)(IN, HIDDEN, bidirectional=True)
    x = gn.Input((None, steps, IN), name="x")
    output, last = layer(x)
    loss = gn.sum(output * output) + sum(gn.sum(part * part) for part in as_tuple(last))
    weights = layer.parameters()
    f = gn.function(x, [output, *as_tuple(last), *gn.grad(loss, weights)])
    found = f(np.ones((batch, steps, IN), np.float32))
    assert found[0].shape == (batch, steps, 2 * HIDDEN)
    assert found[1].shape == (2, batch, HIDDEN)
    assert all(np.all(value == 0) for value in found)


def test_dropout_stands_between_layers_alone():
    x = gn.Input((None, 4, IN), name="x")
    one, two = nn.LSTM(IN, 5, dropout=0.5), nn.LSTM(IN, 5, num_layers=3, dropout=0.5)
    kinds = [node.op.name for node in gn.Graph(one(x)[0]).nodes]
    assert not any("dropout" in kind or "mask" in kind for kind in kinds)
    data = np.ones((8, 4, IN), np.float32)
    f = gn.function(x, two(x)[0], training=True)
    assert not np.array_equal(f(data), f(data))
    g = gn.function(x, two(x)[0])
    np.testing.assert_array_equal(g(data), g(data))


# ----------------------------------------------------------------------------- initial weights, names


@pytest.mark.parametrize("kind", KINDS)
def test_first_weights_are_uniform_over_the_root_of_the_hidden_size(kind):
    gn.set_seed(0)
    for module in (getattr(nn, kind)(30, 25), getattr(nn, kind + "Cell")(30, 25)):
        for p in module.parameters():
            assert 0.15 < np.abs(p.value).max() <= 0.2
            assert abs(p.value.mean()) < 4 * 0.2 / np.sqrt(3 * p.value.size)


def test_reprs():
    assert repr(nn.RNN(3, 5)) == "RNN(3, 5)"
    assert repr(nn.LSTM(3, 5, 2, dropout=0.1)) == "LSTM(3, 5, num_layers=2, dropout=0.1)"
    assert repr(nn.GRU(3, 5, bias=False, truncate=8)) == "GRU(3, 5, bias=False, truncate=8)"
    assert repr(nn.GRUCell(3, 5, bias=False)) == "GRUCell(3, 5, bias=False)"


# ------------------------------------------------------------------------------------------ probes


def test_a_probe_has_a_place_for_each_layer_and_direction():
    x = gn.Input((None, 7, IN), name="x")
    layer = nn.LSTM(IN, 5, num_layers=2, bidirectional=True, proj_size=2)
    assert [part.shape for part in layer.probe(x)] == [(4, None, 7, 2), (4, None, 7, 5)]
    output, _ = layer(x, probe=layer.probe(x))
    assert output.shape == (None, 7, 4)


def test_the_page_about_sequences_runs_as_written():
    page = (Path(__file__).parent.parent / "docs" / "sequences.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    names: dict[str, object] = {}
    exec("\n".join(blocks), names)
    assert str(names["output"].shape) == "(None, T, 64)"
    assert str(names["norms"].shape) == "(4, T)"


# ---------------------------------------------------------------------------------------- refusals


def test_what_does_not_fit_is_refused():
    x, lstm, gru = gn.Input((None, 5, IN), name="x"), nn.LSTM(IN, 4), nn.GRU(IN, 4)
    with pytest.raises(gn.ShapeError, match=r"GRU needs x \(batch, time, 3\); got \(None, 5, 7\)"):
        gru(gn.Input((None, 5, 7)))
    with pytest.raises(gn.ShapeError, match=r"One sequence\? Give gn.expand_dims\(x, 0\)"):
        gru(gn.Input((5, IN)))
    with pytest.raises(gn.DTypeError, match=r"GRU has float32 weights; x is float64"):
        gru(gn.Input((None, 5, IN), "float64"))
    with pytest.raises(gn.GraphError, match=r"the state of LSTM is a pair \(h, c\)"):
        lstm(x, gn.Input((1, None, 4)))
    with pytest.raises(gn.ShapeError, match=r"the state of GRU needs \(1, None, 4\); got"):
        gru(x, gn.Input((2, None, 4)))
    with pytest.raises(gn.ShapeError, match=r"the probe of GRU needs \(1, None, 5, 4\); got"):
        gru(x, probe=gn.Input((1, None, 6, 4)))
    with pytest.raises(gn.DTypeError, match=r"nn.GRU: lengths are whole numbers, int64 or int32"):
        gru(x, lengths=gn.Input((None,)))
    with pytest.raises(gn.ShapeError, match=r"nn.GRU: lengths have shape \(None,\), one for each"):
        gru(x, lengths=gn.Input((3,), "int64"))
    with pytest.raises(gn.ShapeError, match=r"GRUCell needs x \(batch, 3\).*Use nn.GRU"):
        nn.GRUCell(IN, 4)(x)
    with pytest.raises(gn.ShapeError, match=r"the state of RNNCell needs \(None, 4\); got"):
        nn.RNNCell(IN, 4)(gn.Input((None, IN)), gn.Input((None, 5)))


@pytest.mark.parametrize("after", [nn.Linear(4, 2), nn.ReLU()], ids=repr)
def test_a_sequential_says_that_a_recurrent_layer_gives_two_values(after):
    x = gn.Input((None, 5, IN), name="x")
    wanted = rf"item 1 of nn.Sequential, {type(after).__name__}.* all 2 values of LSTM\(3, 4\)"
    with pytest.raises(gn.GraphError, match=wanted):
        nn.Sequential(nn.LSTM(IN, 4), after)(x)
    last = nn.Lambda(lambda values: values[0][:, -1])
    assert nn.Sequential(nn.LSTM(IN, 4), last, after)(x).shape[0] is None


def test_lengths_that_are_no_steps_are_refused():
    x, marks = gn.Input((None, 5, IN), name="x"), gn.Input((None,), "int64", name="marks")
    f = gn.function([x, marks], nn.RNN(IN, 2)(x, lengths=marks)[0])
    data = np.zeros((2, 5, IN), np.float32)
    for wrong in (6, -1):
        with pytest.raises(
            gn.DataError, match=rf"marks\[1\] = {wrong} .*lengths.*needs 0 <= length < 6"
        ):
            f(data, [5, wrong])
    for wrong in (6, -1):
        with pytest.raises(gn.DataError, match=rf"= {wrong} is out of range"):
            nn.RNN(IN, 2)(gn.Input((2, 5, IN)), lengths=[5, wrong])


def test_settings_that_do_not_exist_are_refused():
    with pytest.raises(gn.GraphError, match=r"nn.GRU: hidden_size is a whole number >= 1; got 0"):
        nn.GRU(3, 0)
    with pytest.raises(gn.GraphError, match=r"nn.LSTM: num_layers is a whole number"):
        nn.LSTM(3, 4, num_layers=1.0)
    with pytest.raises(gn.GraphError, match=r"nonlinearity is 'tanh' or 'relu'; got 'gelu'"):
        nn.RNN(3, 4, nonlinearity="gelu")
    with pytest.raises(gn.GraphError, match=r"nonlinearity is 'tanh' or 'relu'"):
        nn.RNNCell(3, 4, nonlinearity=True)
    with pytest.raises(
        gn.GraphError, match=r"proj_size is smaller than hidden_size=4, or 0; got 4"
    ):
        nn.LSTM(3, 4, proj_size=4)
    with pytest.raises(gn.GraphError, match=r"nn.GRU needs"):
        nn.GRU(3, 4, dropout=1.0)
