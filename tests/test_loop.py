"""``step.loop``: the epochs of ``fit`` for a function of one's own, without a model."""

from __future__ import annotations

import signal
import threading
import time

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, optim
from graphnn.ops.random.generator import GENERATOR


def samples(n, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 5)).astype(np.float32), rng.integers(0, 3, n)


def declared(seed=0):
    gn.set_seed(seed)
    x, y = gn.Input((None, 5), name="x"), gn.Input((None,), "int64", name="y")
    net = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))
    logits = net(x)
    return x, y, net, logits, gn.cross_entropy(logits, y, name="loss")


def stepping():
    """A compiled step, and what it trains."""
    x, y, net, logits, loss = declared()
    accuracy = gn.mean(gn.cast(gn.equal(gn.argmax(logits, axis=1), y), "float32"), name="accuracy")
    rule = optim.Adam(lr=1e-2)
    step = gn.function([x, y], [loss, accuracy], updates=rule.updates(loss, net.parameters()))
    return step, net, rule


def state(net, rule):
    arrays = [p.value.copy() for p in (*net.parameters(), *rule.state, GENERATOR)]
    return [array.tobytes() for array in arrays]


@pytest.mark.parametrize(("n", "batch_size"), [(24, 8), (21, 8), (5, 8)])
@pytest.mark.parametrize("shuffle", [True, False])
def test_it_is_the_loop_of_fit(n, batch_size, shuffle):
    X, y = samples(n)
    step, net, rule = stepping()
    history = step.loop([X, y], batch_size, 4, shuffle=shuffle, verbose=0)

    a, _, other, logits, loss = declared()
    model = gn.Model(a, logits)
    theirs = optim.Adam(lr=1e-2)
    model.compile(theirs, loss=loss, metrics=["accuracy"])
    expected = model.fit(X, y, epochs=4, batch_size=batch_size, shuffle=shuffle, verbose=0)
    assert history.history == expected.history
    assert list(history) == ["loss", "accuracy"]
    assert state(net, rule) == state(other, theirs)
    assert step.history is history
    assert step.epochs == 4


@pytest.mark.parametrize("form", [lambda X, y: {"y": y, "x": X}, lambda X, y: (X, y.tolist())])
def test_the_form_of_the_data_does_not_matter(form):
    X, y = samples(20)
    found = []
    for data in ([X, y], form(X, y)):
        step, net, rule = stepping()
        step.loop(data, 8, 2, verbose=0)
        found.append(state(net, rule))
    assert found[0] == found[1]


def test_a_second_loop_goes_on():
    X, y = samples(21)
    found = []
    for parts in [(5,), (2, 3), (1, 1, 1, 1, 1)]:
        step, net, rule = stepping()
        losses = [v for e in parts for v in step.loop([X, y], 8, e, verbose=0).history["loss"]]
        found.append((state(net, rule), losses))
    assert found[1:] == found[:1] * 2


def test_on_epoch_is_told_and_changes_no_bit():
    X, y = samples(21)
    step, net, rule = stepping()
    whole = step.loop([X, y], 8, 3, verbose=0)
    expected = state(net, rule)

    step, net, rule = stepping()
    told = []
    history = step.loop([X, y], 8, 3, on_epoch=lambda *given: told.append(given), verbose=0)
    assert state(net, rule) == expected
    assert history.history == whole.history
    assert [epoch for epoch, _ in told] == [0, 1, 2]
    assert [logs["loss"] for _, logs in told] == whole["loss"]
    assert [logs["accuracy"] for _, logs in told] == whole["accuracy"]


@pytest.mark.parametrize("yes", [True, np.True_])
def test_true_ends_the_loop(yes, capsys):
    X, y = samples(20)
    step, *_ = stepping()
    history = step.loop([X, y], 8, 9, on_epoch=lambda epoch, logs: yes if epoch == 1 else False)
    assert history.epochs == step.epochs == 2
    assert capsys.readouterr().out.splitlines()[-1].startswith("epoch 2/9 ")


def test_a_rate_that_falls_between_epochs(rng):
    x = gn.Input((None, 2), name="x")
    w = gn.Parameter(np.float32([1, 1]), name="w")
    loss = gn.mean((x @ w - 3.0) ** 2, name="loss")
    rule = optim.SGD(lr=0.05)
    plateau = optim.ReduceLROnPlateau(rule, factor=0.1, patience=0)
    step = gn.function(x, loss, updates=rule.updates(loss, [w]))
    X = rng.normal(size=(16, 2)).astype(np.float32) + np.float32([2, 0])
    history = step.loop(
        X, 4, 30, on_epoch=lambda epoch, logs: plateau.step(logs["loss"]), verbose=0
    )
    assert rule.lr < 0.04
    assert history["loss"][-1] < history["loss"][0]


def test_a_function_without_outputs_or_updates():
    x = gn.Input((None, 2), name="x")
    seen = gn.Parameter(np.float32(0), name="seen", trainable=False)
    count = gn.function(x, [], updates=[(seen, seen + gn.sum(x))])
    assert count.loop(np.ones((5, 2), np.float32), 2, 3, verbose=0).epochs == 3
    assert seen.value == 30
    mean = gn.function(x, gn.mean(x, name="m"))
    assert mean.loop(np.arange(10, dtype=np.float32).reshape(5, 2), 2, verbose=0)["m"] == [4.5]


def test_what_cannot_be_looped_is_said():
    x, y, _, logits, loss = declared()
    X, labels = samples(6)
    step = gn.function([x, y], [loss, logits])
    with pytest.raises(
        gn.GraphError, match=r"averages .*\.1?.*must be a float scalar.*\(None, 3\)"
    ):
        step.loop([X, labels], verbose=0)
    right = gn.sum(gn.cast(gn.equal(gn.argmax(logits, axis=1), y), "int64"))
    with pytest.raises(gn.GraphError, match=r"must be a float scalar; it is int64 \(\)\. Declared"):
        gn.function([x, y], right).loop([X, labels], verbose=0)
    with pytest.raises(gn.GraphError, match="an output stands there twice"):
        gn.function([x, y], [loss, loss]).loop([X, labels], verbose=0)
    w = gn.Parameter(np.float32(1))
    with pytest.raises(gn.GraphError, match="the function has no input: call it"):
        gn.function([], w * 2.0).loop([], verbose=0)
    fixed = gn.Input((4, 5), name="fixed")
    with pytest.raises(gn.GraphError, match=r"input fixed must be declared \(None, \.\.\.\)"):
        gn.function(fixed, gn.sum(fixed)).loop(X[:4], verbose=0)
    step = gn.function([x, y], loss)
    with pytest.raises(gn.DataError, match=r"give a list of 2 arrays \(x, y\) or a dict"):
        step.loop(X, verbose=0)
    with pytest.raises(gn.DataError, match=r"the data must have the names \['x', 'y'\]"):
        step.loop({"x": X}, verbose=0)
    with pytest.raises(gn.DataError, match="there is no sample"):
        step.loop([X[:0], labels[:0]], verbose=0)
    with pytest.raises(gn.ShapeError, match="another input has 6 there"):
        step.loop([X, labels[:5]], verbose=0)
    for wrong in ({"batch_size": 0}, {"epochs": 1.5}, {"verbose": 3}):
        with pytest.raises(gn.GraphError, match=next(iter(wrong))):
            step.loop([X, labels], **wrong)
    with pytest.raises(gn.GraphError, match="on_epoch is a function"):
        step.loop([X, labels], on_epoch=3, verbose=0)
    with pytest.raises(gn.GraphError, match=r"returns True to stop.*got 0\.5 after epoch 0"):
        step.loop([X, labels], on_epoch=lambda *_: 0.5, verbose=0)


def test_a_lost_loss_is_warned_of_by_its_name():
    x = gn.Input((None,), name="x")
    f = gn.function(x, gn.mean(gn.log(x), name="score"))
    with pytest.warns(gn.NotFiniteWarning, match=r"epoch 1: the score is -inf") as caught:
        f.loop(np.float32([1, 0]), epochs=2, verbose=0)
    assert caught[0].filename == __file__


@pytest.fixture
def interrupting():
    """Ctrl-C, pressed a moment from now."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timers = []

    def soon(seconds):
        timers.append(threading.Timer(seconds, signal.raise_signal, [signal.SIGINT]))
        timers[-1].start()

    yield soon
    for timer in timers:
        timer.cancel()
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_keeps_whole_steps(interrupting):
    X, y = samples(40)
    step, net, rule = stepping()
    step.loop([X, y], 8, 1, verbose=0)
    interrupting(0.3)
    with pytest.raises(KeyboardInterrupt):
        step.loop([X, y], 8, 10**7, verbose=0)
    found = state(net, rule)
    time.sleep(0.05)
    assert state(net, rule) == found
    assert 0 < step.history.epochs < 10**7
    assert step.epochs == 1 + step.history.epochs
    assert all(np.isfinite(p.value).all() for p in net.parameters())
    assert abs(int(rule.state[0].value) // 5 - step.epochs) <= 1


def test_an_error_of_on_epoch_goes_on():
    X, y = samples(20)
    step, *_ = stepping()

    def fails(epoch, logs):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        step.loop([X, y], epochs=3, on_epoch=fails, verbose=0)
    assert step.history.epochs == step.epochs == 1
