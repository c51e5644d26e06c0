"""``gn.debug.nan_check``: the first node that makes NaN or Inf, where and of what."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, optim
from graphnn.function import inspecting


def here():
    """The number of the line that calls."""
    return inspect.currentframe().f_back.f_lineno


def message(call):
    with gn.debug.nan_check(), pytest.raises(gn.NotFiniteError) as caught:
        call()
    return caught.value


def test_the_logarithm_of_zero():
    x = gn.Input((None, 3), name="x")
    logs, line = gn.log(x * 2.0), here()
    f = gn.function(x, gn.sum(gn.relu(logs) + 1.0) + gn.mean(logs))  # fused into reductions
    assert np.isneginf(f(np.zeros((1, 3), np.float32)))  # outside nothing is looked at
    error = message(lambda: f(np.float32([[1, 2, 3], [4, 0, 6]])))
    said = str(error)
    assert said.startswith(
        "log (forward) has -inf in 1 of 6 elements, first at [1, 1]. Declared at"
    )
    assert f"test_debug.py:{line}." in said
    assert "multiply: float32 (2, 3), from 0 to 12, 6 of 6 finite" in said
    assert error.node.op.name == "log"
    assert isinstance(error, gn.GraphnnError)
    with gn.debug.nan_check():
        assert np.isfinite(f(np.ones((2, 3), np.float32)))


def test_only_in_reverse():
    """The square root of 0 is finite, and its slope is not; 0 times that is nan further on."""
    x = gn.Input((None,), name="x")
    w = gn.Parameter(np.float32(0), name="w")
    root, line = gn.sqrt(x * w), here()
    loss = gn.sum(root)
    rule = optim.Adam(lr=0.1)
    step = gn.function(x, loss, updates=rule.updates(loss, [w]))
    with gn.debug.nan_check():
        assert gn.function(x, loss)(np.ones(3, np.float32)) == 0
    error = message(lambda: step(np.ones(3, np.float32)))
    said = str(error)
    assert re.match(r"\S+ \(backward\), of the gradient of sqrt, has inf in 3 of 3", said), said
    assert f"Declared at test_debug.py:{line}, differentiated at test_debug.py:" in said
    assert error.node.role == "backward"
    assert all(np.isfinite(value).all() for value in error.inputs.values())
    # The step is undone: weights, the optimizer's state.
    assert w.value == 0
    assert all(
        np.isfinite(p.value).all() and not p.value.any() for p in rule.state if p.dtype == "float32"
    )


def test_an_overflow():
    x = gn.Input((None, 2), name="x")
    f = gn.function(x, gn.log(gn.sum(gn.exp(x), axis=1)))
    error = message(lambda: f(np.float32([[1, 2], [3, 100]])))
    assert str(error).startswith("exp (forward) has inf in 1 of 4 elements, first at [1, 1].")
    assert "x: float32 (2, 2), from 1 to 100, 4 of 4 finite" in str(error)
    g = gn.Input((None, 2), "float64", name="x")
    with gn.debug.nan_check():
        gn.function(g, gn.exp(g))(np.full((1, 2), 100.0))
    total = gn.function(x, gn.sum(x * 3e38))
    assert message(lambda: total(np.float32([[0.9, 0.9]]))).node.op.name == "sum"


def test_what_no_result_shows_is_no_error():
    x = gn.Input((None,), name="x")
    f = gn.function(x, gn.sum(gn.exp(gn.log(x))))
    with gn.debug.nan_check():
        assert f(np.float32([0, 1])) == 1
    masked = gn.function(x, gn.softmax(gn.where(x > 0.0, x, -np.inf)))
    with gn.debug.nan_check():
        masked(np.float32([0, 1]))
    # The infinity on the way to what is wrong is named, the harmless one is not.
    g = gn.function(x, [gn.sum(gn.exp(gn.log(x))) + gn.sum(gn.log(1.0 - x))])
    assert re.search(
        r"subtract: float32 \(2,\), from 0 to 1", str(message(lambda: g(np.float32([0, 1]))))
    )


def classifier():
    gn.set_seed(0)
    x, y = gn.Input((None, 4), name="x"), gn.Input((None,), "int64", name="y")
    logits = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))(x)
    model = gn.Model(x, logits)
    model.compile(optim.Adam(lr=1e-2), loss=gn.cross_entropy(logits, y), metrics=["accuracy"])
    return model


def samples(n=20, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 4)).astype(np.float32), rng.integers(0, 3, n)


@pytest.mark.parametrize("shuffle", [True, False])
def test_nan_in_the_data_is_named_with_its_sample(shuffle):
    X, y = samples()
    X[13, 2] = np.nan
    model = classifier()
    before = model.state_dict()
    seen = []
    for _ in range(2):
        error = message(lambda: model.fit(X, y, epochs=2, batch_size=8, shuffle=shuffle, verbose=0))
        said = str(error)
        assert said.startswith("input x has nan in 1 of ")
        found = re.search(r"In epoch 1, batch (\d)\. Row (\d) is sample 13 of the data\.", said)
        assert found, said
        if not shuffle:
            assert found.groups() == ("2", "5")
        seen.append(found.groups())
        assert f"row {found.group(2)} of the batch" in said
        model.load_state_dict(before)
    assert all(np.isfinite(p.value).all() for p in model.optimizer.state)


def test_the_step_at_which_training_is_lost():
    x = gn.Input((None, 2), name="x")
    w = gn.Parameter(np.ones((2, 1), np.float32), name="w")
    loss = gn.mean(gn.square(x @ w), name="loss")
    rule = optim.SGD(lr=1e12)
    step = gn.function(x, loss, updates=rule.updates(loss, [w]))
    X = np.ones((8, 2), np.float32)
    error = message(lambda: step.loop(X, 4, 50, verbose=0))
    epoch, batch = map(int, re.search(r"In epoch (\d+), batch (\d+)\.", str(error)).groups())
    assert np.isfinite(w.value).all()
    assert (epoch - 1) * 2 + batch - 1 == 2  # two steps of 1e12 were finite in float32
    with gn.debug.nan_check(), pytest.raises(gn.NotFiniteError):
        step(X[:4])


def test_a_parameter_that_was_lost_before():
    model = classifier()
    X, _ = samples()
    weight = next(iter(model.parameters.values()))
    weight.value[0, 0] = np.inf
    said = str(message(lambda: model.predict(X)))
    assert said.startswith(f"parameter {weight.name} has inf in 1 of 32 elements, first at [0, 0].")
    assert "It was so before the step" in said


def test_it_changes_no_bit():
    X, y = samples(21)
    found = []
    for looking in (False, True):
        model = classifier()
        data = {"epochs": 3, "batch_size": 8, "verbose": 0, "validation_data": (X, y)}
        if looking:
            with gn.debug.nan_check():
                history = model.fit(X, y, **data)
        else:
            history = model.fit(X, y, **data)
        state = [*model.state_dict().values(), *(p.value for p in model.optimizer.state)]
        found.append(([a.tobytes() for a in state], history.history))
    assert found[0] == found[1]
    assert inspecting.get() is None


def test_batches_and_validation():
    X, y = samples()
    bad = X.copy()
    bad[3] = np.inf
    model = classifier()
    said = str(message(lambda: model.fit(lambda: [(X, y), (bad, y)], verbose=0)))
    assert "In epoch 1, batch 2." in said
    assert "row 3 of the batch" in said
    said = str(message(lambda: model.fit(X, y, verbose=0, validation_data=(bad, y))))
    assert said.startswith("input x has inf in 4 of 80")
    assert "In batch 1. Row 3 is sample 3 of the data." in said


def test_a_step_of_a_scan():
    x = gn.Input(("T", None), name="x")
    with gn.scope("walk"):
        inner = []

        def step(s, x):
            inner.append(gn.sqrt(s - x))
            return inner[0], gn.exp(inner[0])

        last, ys = gn.scan(step, gn.zeros_like(x[0]) + 4.0, x, name="walk")
    f = gn.function(x, [last, gn.sum(ys)])
    X = np.zeros((5, 2), np.float32)
    X[3, 1] = 3.0
    error = message(lambda: f(X))
    said = str(error)
    assert said.startswith("walk.sqrt (forward) has nan in 1 of 2 elements, first at [1].")
    assert re.search(r"In step 3 of \S*walk", said), said
    assert "from -" in said


def test_inside_an_lstm(rng):
    x = gn.Input((None, 6, 3), name="x")
    y = gn.Input((None, 4), name="y")
    output, _ = nn.LSTM(3, 4, batch_first=True)(x)
    loss = gn.mean(gn.square(output[:, -1] - y))
    parameters = [p for p in gn.Graph(loss).parameters if p.trainable]
    step = gn.function([x, y], loss, updates=optim.SGD(0.1).updates(loss, parameters))
    X, Y = rng.normal(size=(5, 6, 3)).astype(np.float32), np.zeros((5, 4), np.float32)
    with gn.debug.nan_check():
        step(X, Y)
    X[2, 4, 1] = np.nan
    said = str(message(lambda: step(X, Y)))
    assert said.startswith("input x has nan in 1 of 90 elements, first at [2, 4, 1]")


def test_back_through_the_time_of_an_lstm():
    """At rest nothing saturates: a gradient of 5e36 times weights of 1000 overflows in one step."""
    x = gn.Input((None, 6, 3), name="x")
    output, _ = nn.LSTM(3, 4, batch_first=True)(x)
    loss = gn.mean(output[:, -1]) * 1e38
    parameters = [p for p in gn.Graph(loss).parameters if p.trainable]
    for p in parameters:
        p.value[...] = 1000.0 if p.shape == (16, 4) else 0.0
    step = gn.function(x, loss, updates=optim.SGD(0.1).updates(loss, parameters))
    error = message(lambda: step(np.zeros((5, 6, 3), np.float32)))
    said = str(error)
    assert error.node.op.name == "matmul"
    assert error.node.role == "backward"
    assert re.search(r"matmul \(backward\).* has inf in 20 of 20 elements", said), said
    assert "In step 5 of" in said
    assert all(np.isfinite(value).all() for value in error.inputs.values())


def test_the_error_is_public():
    assert "NotFiniteError" in gn.__all__
    assert issubclass(gn.NotFiniteError, ArithmeticError)
