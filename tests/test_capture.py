"""Captured values: those that the function computes, and statistics that NumPy confirms."""

from __future__ import annotations

import json

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, optim
from graphnn.errors import GraphError
from graphnn.ops.random.generator import GENERATOR
from graphnn.render.capture import statistics


def xor():
    x, y = gn.Input((None, 2), name="x"), gn.Input((None, 1), name="y")
    net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
    loss = gn.binary_cross_entropy_with_logits(net(x), y)
    return x, y, net, loss


X = np.float32([[0, 0], [0, 1], [1, 0], [1, 1]])
Y = np.float32([[0], [1], [1], [0]])


def test_values_are_those_of_the_function():
    x, y, net, loss = xor()
    parameters = net.parameters()
    function = gn.function([x, y], loss, optim.SGD(0.5).updates(loss, parameters))
    before = [p.value.copy() for p in parameters]
    seen = gn.capture(function, {"x": X, "y": Y})
    assert all((p.value == old).all() for p, old in zip(parameters, before, strict=True))
    wanted = gn.function([x, y], [loss, *gn.grad(loss, parameters)])(X, Y)
    names = {n.id: n.name for n in seen.document.graph.nodes}
    by = {g.node: n.name for n in seen.document.graph.nodes for g in n.gradient_of if g.whole}
    found = [seen["loss"]]
    for update in seen.document.updates:
        found.append(seen[by[update.parameter]])
        assert names[update.gradients[0]] == by[update.parameter]
    for value, one in zip(found, wanted, strict=True):
        np.testing.assert_allclose(value, one, rtol=1e-6)
    assert seen.document.sizes == {"N": 4}
    assert not seen.document.guessed


def test_every_computed_node_is_there():
    *_, loss = xor()
    seen = gn.capture(loss, (X, Y))
    (snapshot,) = seen.document.captured.snapshots
    for node in seen.document.graph.nodes:
        if node.kind in ("constant", "size"):
            continue
        found = snapshot.values[node.id]
        assert found.count == seen[node.name].size == np.prod(node.dims)
        assert (found.data is not None) == (found.count <= 16)


def test_random_draws_are_not_used_up():
    x = gn.Input((None, 8), name="x")
    w = gn.Parameter(np.ones((8, 8), np.float32), name="w")
    loss = gn.mean(gn.dropout(x @ w, 0.5))
    function = gn.function(x, loss, optim.SGD(0.1).updates(loss, [w]))
    state = GENERATOR.value.copy()
    seen = gn.capture(function, X.repeat(4, axis=1))
    assert (GENERATOR.value == state).all()
    assert function(X.repeat(4, axis=1)) == pytest.approx(float(seen["mean"]))


def test_loops_and_models_and_running_averages():
    x = gn.Input((None, 5, 3), name="x")
    out, _ = nn.LSTM(3, 4, batch_first=True)(x)
    seen = gn.capture(gn.mean(out), np.ones((2, 5, 3), np.float32))
    assert seen["mean"] == pytest.approx(
        gn.function(x, gn.mean(out))(np.ones((2, 5, 3), np.float32))
    )
    x = gn.Input((None, 4), name="x")
    model = gn.Model(x, nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 1))(x))
    model.compile("sgd", loss="mse")
    average = model.parameters["0.running_mean"].value.copy()
    data = np.arange(8, dtype=np.float32).reshape(2, 4)
    seen = gn.capture(model, {"x": data, "y": data[:, :1]})
    assert (model.parameters["0.running_mean"].value == average).all()
    assert np.isfinite(seen["loss"])


def over_time(length=4, **how):
    """h[t] = tanh(x[t] + h[t-1] w), in the loss at its last step."""
    x = gn.Input((length, 2, 3), name="x")
    w = gn.Parameter(np.float32([[0.5, -1, 0], [0.25, 1, 2], [-1, 0, 0.5]]), name="w")
    h0 = gn.Parameter(np.full((2, 3), 0.5, np.float32), name="h0")
    last, _ = gn.scan(lambda h, xt: (gn.tanh(xt + h @ w),) * 2, h0, x, **how)
    return gn.sum(last), w.value, h0.value


@pytest.mark.parametrize("reverse", [False, True])
def test_values_in_a_loop_are_those_of_each_step(rng, reverse):
    loss, w, h0 = over_time(reverse=reverse)
    data = rng.normal(size=(4, 2, 3)).astype(np.float32)
    seen = gn.capture(loss, data, mode="full")
    order = range(4)[::-1] if reverse else range(4)
    h, before, after = h0.astype(np.float64), {}, {}
    for t in order:
        before[t] = h
        h = after[t] = np.tanh(data[t] + h @ w)
    blame, slopes = np.ones((2, 3)), {}
    for t in reversed(order):
        slopes[t] = blame * (1 - after[t] ** 2)
        blame = slopes[t] @ w.T
    wanted = {"scan/h0": before, "scan/tanh": after, "d_scan/tanh_backward": slopes}
    for name, steps in wanted.items():
        found = [steps[t] for t in range(4)]
        np.testing.assert_allclose(seen[name], found, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(seen["scan/x"], data)
    (snapshot,) = seen.document.captured.snapshots
    body = seen.document.graph.loops[0].body
    tanh = next(node for node in body.nodes if node.name == "tanh")
    assert snapshot.values[tanh.id].count == 24
    assert snapshot.values[tanh.id].data == tuple(map(float, seen["scan/tanh"].astype(str).ravel()))


def test_in_a_loop_few_elements_are_few_at_each_step():
    for length, kept in ((4, True), (200, False)):  # 6 a step: 24 or 1,200 of all
        seen = gn.capture(over_time(length)[0], np.zeros((length, 2, 3), np.float32))
        tanh = next(n.id for n in seen.document.graph.loops[0].body.nodes if n.name == "tanh")
        (snapshot,) = seen.document.captured.snapshots
        assert (snapshot.values[tanh].data is not None) == kept


@pytest.mark.parametrize("how", [{"truncate": 2}, {"checkpoint": True}])
def test_loops_within_loops_are_left_out(how):
    loss, w, h0 = over_time(**how)
    data = np.ones((4, 2, 3), np.float32)
    seen = gn.capture(loss, data)
    h = h0.astype(np.float64)
    for t in range(4):
        h = np.tanh(data[t] + h @ w)
    np.testing.assert_allclose(seen["sum"], h.sum(), rtol=1e-5)
    inner = [loop for outer in seen.document.graph.loops for loop in outer.body.loops]
    (snapshot,) = seen.document.captured.snapshots
    assert not any(n.id in snapshot.values for loop in inner for n in loop.body.nodes)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
def test_statistics(dtype, rng):
    array = (rng.normal(size=(40, 5)).clip(0, None) * 3).astype(dtype)
    found = statistics(array, "stats")
    wide = array.astype(np.float64)
    wanted = [wide.mean(), wide.std(), wide.min(), wide.max(), np.sqrt((wide**2).mean())]
    got = [found.mean, found.std, found.min, found.max, found.rms]
    np.testing.assert_allclose(got, wanted, rtol=1e-6)
    assert (found.zeros, found.nans, found.infs) == ((wide == 0).sum(), 0, 0)
    assert sum(found.histogram.counts) == 200
    assert found.data is None
    assert len(statistics(array, "full").data) == 200


def test_statistics_of_what_is_not_finite():
    found = statistics(np.float32([np.nan, np.inf, -np.inf, 0, 2]), "values")
    assert (found.nans, found.infs, found.zeros, found.mean, found.max) == (1, 2, 1, 1.0, 2.0)
    assert statistics(np.float32([np.nan]), "stats").histogram is None
    assert statistics(np.zeros((0, 3), np.float32), "values").data == ()
    assert statistics(np.float32([1e-30, 1e-30]), "stats").rms == pytest.approx(1e-30)


def test_elements_are_written_shortly_and_exactly():
    array = np.float32([0.1, 1 / 3, 1e-8])
    assert statistics(array, "values").data == (0.1, 0.33333334, 1e-8)
    assert (np.float32(statistics(array, "values").data) == array).all()


def test_json_has_no_infinities():
    x = gn.Input((2,), name="x")
    text = gn.capture(gn.log(x), [0.0, -1.0], reverse=False).to_json()
    values = json.loads(text, parse_constant=pytest.fail)["captured"]["snapshots"][0]["values"]
    assert ["-Infinity", "NaN"] in [value.get("data") for value in values.values()]


def test_errors():
    *_, loss = xor()
    with pytest.raises(GraphError, match="mode is one of stats, values, full; got 'all'"):
        gn.capture(loss, (X, Y), mode="all")
    with pytest.raises(gn.DataError, match=r"give a list of 2 arrays \(x, y\)"):
        gn.capture(loss, X)
    with pytest.raises(GraphError, match="nothing named 'z' was captured"):
        gn.capture(loss, (X, Y))["z"]
