"""What is shown and written down of a run: lines, figures, history, epochs that count."""

from __future__ import annotations

import threading
import time
import warnings

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, optim
from graphnn.backends.cpu.team import Signal
from graphnn.train.epochs import EpochRun
from graphnn.train.progress import Bar, Lines, Rarely, figure


def regression(lr=0.01):
    x = gn.Input((None, 2), name="x")
    model = gn.Model(x, nn.Linear(2, 1)(x))
    model.compile(optim.SGD(lr=lr), loss="mse", metrics=["mse"])
    return model


X = np.linspace(-1, 1, 16, dtype=np.float32).reshape(8, 2)
Y = X[:, :1].copy()

# --------------------------------------------------------------------------- figures and lines


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.30214, "0.3021"), (1.0, "1.0000"), (0.0, "0.0000"), (3.1811e-05, "3.181e-05"),
        (-2e-4, "-2.000e-04"), (1234.5, "1234.5000"), (1.5e6, "1.500e+06"),
        (float("nan"), "nan"), (float("inf"), "inf"),
    ],
)  # fmt: skip
def test_figures_keep_their_digits(value, text):
    assert figure(value) == text


def test_rarely_is_a_hundred_of_many_and_the_last():
    rarely = Rarely(12_345, seconds=1e9)
    chosen = [epoch for epoch in range(12_345) if rarely.now(epoch)]
    assert len(chosen) <= 101
    assert chosen[-1] == 12_344
    few = Rarely(99, seconds=1e9)
    assert all(few.now(epoch) for epoch in range(99))
    slow = Rarely(10_000, seconds=0.0)
    assert all(slow.now(epoch) for epoch in range(50))


def test_thousands_of_epochs_off_a_terminal(capsys):
    regression().fit(X, Y, epochs=5000, verbose=1)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 120
    assert lines[-1].startswith("epoch 5000/5000  ")


def test_verbose_2_is_a_line_an_epoch(capsys):
    regression().fit(X, Y, epochs=300, verbose=2)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert [line.split()[1] for line in lines] == [f"{i + 1}/300" for i in range(300)]


def test_compiling_is_said_and_is_no_part_of_an_epoch(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHNN_CACHE_DIR", str(tmp_path))

    @gn.elementwise
    def never_before(x):
        return x * 0.7316420531 + 0.2

    x = gn.Input((None, 2), name="x")
    out = never_before(nn.Linear(2, 1)(x))
    model = gn.Model(x, out)
    model.compile("sgd", loss="mse")
    model.fit(X, Y, epochs=2)
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith("compiled ")
    assert first.split()[2] == "kernels"
    assert float(first.split()[4]) >= 0.1
    assert len(lines) == 2
    assert sum(float(line.split()[2]) for line in lines) < 0.1


def test_lines_and_bars_say_what_they_are_told(capsys):
    Lines(3).begin(13, 2.2)
    Lines(3).begin(0, 0.1)
    Lines(3).epoch_done(0, ["loss", "val_loss"], [3.181e-05, 0.5], 0.25)
    assert capsys.readouterr().out.splitlines() == [
        "compiled 13 kernels in 2.2 s",
        "epoch 1/3  0.25 s  loss=3.181e-05  val_loss=0.5000",
    ]


def test_a_line_above_the_bar_fits_80_columns():
    from io import StringIO

    from rich.console import Console

    out = StringIO()
    bar = Bar(Console(file=out, width=80, force_terminal=False), 100, ["loss", "accuracy"])
    names = ["loss", "accuracy", "val_loss", "val_accuracy"]
    bar.epoch_done(99, names, [0.3021, 0.9134, 0.2911, 0.92], 12.345)
    assert out.getvalue() == (
        "epoch 100/100   12.35 s  loss 0.3021 val 0.2911  accuracy 0.9134 val 0.9200\n"
    )


# --------------------------------------------------------------------------- history


def test_history_is_asked_by_name():
    history = regression().fit(X, Y, epochs=3, validation_data=(X, Y), verbose=0)
    assert history["loss"] is history.history["loss"]
    assert history.epochs == 3
    assert list(history) == list(history.keys()) == ["loss", "mse", "val_loss", "val_mse"]
    assert dict(history) == history.history
    assert "val_loss" in history
    assert "accuracy" not in history
    with pytest.raises(KeyError, match=r"the history has loss, .*'val_los'\. Did you mean 'val_l"):
        history["val_los"]


def test_an_interrupted_validation_leaves_columns_of_one_length(monkeypatch):
    model = regression()
    calls = []

    def interrupted(data):
        calls.append(data)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return {"loss": 1.0, "mse": 2.0}

    monkeypatch.setattr(model._learning, "evaluated", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, epochs=5, validation_data=(X, Y), verbose=0)
    assert model.history.epochs == model._epochs_done == 2
    assert [len(column) for column in model.history.history.values()] == [2, 2, 2, 2]
    np.testing.assert_array_equal(model.history["val_mse"], [2.0, np.nan])


@pytest.mark.parametrize("threads", [1, 3])
def test_an_epoch_that_is_stopped_after_its_last_batch_counts(many_lanes, threads):
    """STOP is seen at the end of the first step, which is the end of the first epoch."""
    gn.set_num_threads(threads)
    model = regression()
    function = model.training
    data = dict(zip(function.inputs, (X, Y), strict=True))
    run = EpochRun(function, data, batch_size=8, epochs=50)
    run.job.stop()
    run.run()
    assert run.progress == (1, 0)
    assert len(run.seconds) == 1
    assert run.means()[0] > 0
    half = EpochRun(function, data, batch_size=4, epochs=50)
    half.job.stop()
    half.run()
    assert half.progress == (0, 1)
    assert half.seconds == []


# --------------------------------------------------------------------------- not finite


def test_a_loss_that_is_not_finite_is_said_once():
    model = regression(lr=1e20)
    with pytest.warns(gn.NotFiniteWarning, match=r"^epoch \d: the loss is (inf|nan)") as caught:
        history = model.fit(X, Y, epochs=20, verbose=0)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert history.epochs == 20
    first = int(str(caught[0].message).split()[1].rstrip(":"))
    assert np.isfinite(history["loss"][: first - 1]).all()
    assert not np.isfinite(history["loss"][first - 1])


def test_as_an_error_it_stops_training():
    model = regression(lr=1e20)
    with warnings.catch_warnings():
        warnings.simplefilter("error", gn.NotFiniteWarning)
        with pytest.raises(gn.NotFiniteWarning, match=r"^epoch \d: the loss is"):
            model.fit(X, Y, epochs=10**7, verbose=0)
    assert 0 < model.history.epochs < 10**7


def test_finite_losses_warn_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        regression().fit(X, Y, epochs=3, validation_data=(X, Y), verbose=0)


# --------------------------------------------------------------------------- signals


def test_a_signal_is_given_once_and_seen_ever_after():
    signal = Signal()
    assert not signal.wait(0.001)
    thread = threading.Timer(0.05, signal.give)
    started = time.perf_counter()
    thread.start()
    while not signal.wait(5):
        pass
    assert time.perf_counter() - started < 2
    assert signal.wait(0)
    assert signal.wait(5)


def test_a_signal_given_while_its_waiter_was_torn_away_is_not_lost():
    """A KeyboardInterrupt between waking up and returning: the flag still says it."""
    signal = Signal()
    signal.give()
    assert signal._asleep.acquire(blocking=False)  # the waiter woke, and was interrupted
    assert signal.wait(5)
