"""Callbacks: when they are called, what they see, how they end training, what they leave behind."""

from __future__ import annotations

import csv
import json
import math
import sys
import warnings

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, optim
from graphnn.backends.cpu.executor import Job
from graphnn.ops.random.generator import GENERATOR
from graphnn.train.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    JSONLogger,
    LambdaCallback,
    ReduceLROnPlateau,
    TensorBoard,
    TerminateOnNaN,
)
from graphnn.train.epochs import EpochRun

HOOKS = ("on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end", "on_step_end")


def classifier(optimizer=None, p=0.3):
    """Dropout, Adam under a schedule in epochs, an accuracy: all that has state."""
    x = gn.Input((None, 5), name="x")
    y = gn.Input((None,), dtype="int64", name="y")
    net = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Dropout(p), nn.Linear(8, 3))
    model = gn.Model(inputs=x, outputs=net(x))
    rule = optimizer or optim.Adam(lr=optim.schedule.StepLR(0.05, 2, per="epoch"))
    model.compile(rule, loss=gn.cross_entropy(model.outputs[0], y), metrics=["accuracy"])
    return model


def samples(n, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 5)).astype(np.float32), rng.integers(0, 3, n)


X, Y = samples(21)  # three batches of 8, the last of 5


def everything(model):
    state = {f"{i} {p.label}": p.value.copy() for i, p in enumerate(model.optimizer.state)}
    return {**model.state_dict(), **state, "generator": GENERATOR.value.copy()}


def assert_same_bits(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].tobytes() == array.tobytes(), f"{name} differs"


def trained(callbacks=(), epochs=4, model=None, **options):
    gn.set_seed(0)
    model = model or classifier()
    model.fit(X, Y, epochs=epochs, batch_size=8, verbose=0, callbacks=callbacks, **options)
    return model


class Diary(Callback):
    """Writes down what it is called with."""

    def __init__(self, every=1):
        self.every = every
        self.entries = []
        for hook in HOOKS:
            setattr(self, hook, lambda *given, hook=hook: self.entries.append((hook, *given)))

    @property
    def names(self):
        return [entry[:-1] for entry in self.entries]


def line(slope=1.0, lr=0.25, **options):
    """``w x`` with w = slope, to be 0: its loss is w², and a step takes w to w (1 - 2 lr)."""
    x = gn.Input((None, 1), name="x")
    w = gn.Parameter(slope, name="w")
    model = gn.Model(x, x * w)
    model.compile(optim.SGD(lr=lr, **options), loss="mse")
    return model, w


ONES = np.ones((4, 1), np.float32)
ZEROS = 0 * ONES

# --------------------------------------------------------------------------- the loop in pieces


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("every", [1, 2, 5, 100])
def test_a_run_in_pieces_has_the_bits_of_one_run(many_lanes, threads, shuffle, every):
    gn.set_num_threads(threads)
    expected = trained(shuffle=shuffle)
    found = trained([Diary(every)], shuffle=shuffle)
    assert_same_bits(everything(found), everything(expected))
    assert found.history.history == expected.history.history
    assert found.training.plan.lanes == 3


def test_pieces_of_any_length(rng):
    """Batches and epochs at which the loop returns, drawn at random."""
    model = classifier()
    function, start = model.training, everything(model)
    data = dict(zip(function.inputs, (X, Y), strict=True))

    def run():
        for name, value in start.items():
            if name == "generator":
                GENERATOR.value = value
        model.load_state_dict({n: v for n, v in start.items() if n in model.parameters})
        for i, p in enumerate(model.optimizer.state):
            p.value = start[f"{i} {p.label}"]
        return EpochRun(function, data, 8, 6, shuffle=True, first_epoch=2)

    whole = run()
    whole.run()
    expected = everything(model)
    for _ in range(8):
        pieces = run()
        while pieces.progress[0] < 6:
            before = pieces.done
            batches, epochs = int(rng.integers(0, 7)), int(rng.integers(0, 7))
            pieces.run(batches=batches, epochs=epochs)
            assert pieces.done == max(before, min(before + batches, 3 * epochs))
        assert_same_bits(everything(model), expected)
        assert pieces.sums.tobytes() == whole.sums.tobytes()
        assert len(pieces.seconds) == 6
        assert min(pieces.seconds) > 0


def test_seconds_are_those_inside_the_loop():
    import time

    slow = LambdaCallback(on_step_end=lambda step, logs: time.sleep(0.02))
    model = trained([slow], epochs=2)
    assert all(0 < seconds < 0.04 for seconds in model.history.seconds)


def returns(callbacks, monkeypatch, **options):
    """How often the loop came back to Python."""
    seen = []
    run = Job.run
    monkeypatch.setattr(Job, "run", lambda job, *given: (seen.append(1), run(job, *given))[1])
    trained(callbacks, epochs=6, **options)
    return len(seen)


@pytest.mark.parametrize(
    ("callbacks", "count"),
    [
        ([], 1),
        ([LambdaCallback(on_train_begin=print, on_train_end=lambda logs: None)], 1),
        ([LambdaCallback(on_epoch_end=lambda epoch, logs: None)], 6),
        ([LambdaCallback(on_epoch_begin=lambda epoch, logs: None)], 6),
        ([LambdaCallback(on_step_end=lambda step, logs: None)], 18),
        ([LambdaCallback(on_step_end=lambda step, logs: None, every=3)], 6),
        ([LambdaCallback(on_step_end=lambda step, logs: None, every=9)], 6),
        ([LambdaCallback(on_step_end=lambda step, logs: None, every=4)], 9),  # 4 8 12 16, and edges
        ([TerminateOnNaN(every=None)], 6),
    ],
)
def test_python_is_called_as_seldom_as_can_be(callbacks, count, monkeypatch):
    assert returns(callbacks, monkeypatch) == count


# --------------------------------------------------------------------------- hooks


def test_the_order_of_the_hooks():
    diary = Diary(every=2)
    trained([diary], epochs=2)
    assert diary.names == [
        ("on_train_begin",),
        ("on_epoch_begin", 0), ("on_step_end", 2), ("on_epoch_end", 0),
        ("on_epoch_begin", 1), ("on_step_end", 4), ("on_step_end", 6), ("on_epoch_end", 1),
        ("on_train_end",),
    ]  # fmt: skip


def test_what_the_logs_have():
    diary = Diary()
    model = trained([diary], validation_data=(X[:5], Y[:5]))
    history = model.history
    ends = [entry for entry in diary.entries if entry[0] == "on_epoch_end"]
    assert [epoch for _, epoch, _ in ends] == [0, 1, 2, 3]
    assert ends[-1][2] == {name: column[-1] for name, column in history.history.items()}
    assert (
        diary.params["names"] == list(history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    )
    assert (diary.params["epochs"], diary.params["steps"], diary.params["batch_size"]) == (4, 3, 8)
    assert diary.model is model
    steps = {entry[1]: entry[2] for entry in diary.entries if entry[0] == "on_step_end"}
    assert list(steps) == list(range(1, 13))
    for epoch in range(4):  # the means so far: behind the last step those of the epoch
        assert steps[3 * epoch + 3]["loss"] == history["loss"][epoch]
        assert list(steps[3 * epoch + 1]) == ["loss", "accuracy"]
    assert diary.entries[-1][1] == ends[-1][2]


def test_the_logs_of_a_step_are_the_means_so_far():
    model, w = line()
    seen = []
    step = LambdaCallback(
        on_step_end=lambda step, logs: seen.append((logs["loss"], w.value.item()))
    )
    model.fit(ONES, ZEROS, batch_size=1, verbose=0, callbacks=step)
    losses = 0.25 ** np.arange(4)  # w is halved by each step
    np.testing.assert_allclose([loss for loss, _ in seen], np.cumsum(losses) / [1, 2, 3, 4])
    assert [value for _, value in seen] == [0.5, 0.25, 0.125, 0.0625]


def test_several_callbacks_each_in_its_turn():
    said = []
    two, three = (
        LambdaCallback(on_step_end=lambda step, logs, k=k: said.append((k, step)), every=k)
        for k in (2, 3)
    )
    trained([three, two], epochs=2)
    assert said == [(2, 2), (3, 3), (2, 4), (3, 6), (2, 6)]


def test_training_goes_on_from_what_a_callback_changed():
    model, w = line()

    class Set(Callback):
        every = None

        def on_epoch_end(self, epoch, logs):
            w.value = np.float32(8.0)
            self.model.predict(ONES)  # a plan of another size, and of another function
            self.model.evaluate(ONES[:1], ZEROS[:1])

    history = model.fit(ONES, ZEROS, epochs=3, verbose=0, callbacks=[Set()])
    assert history["loss"] == [1.0, 64.0, 64.0]


# --------------------------------------------------------------------------- ends


def test_a_callback_stops_at_an_epochs_edge_or_behind_a_step():
    class AtEpoch(Callback):
        def on_epoch_end(self, epoch, logs):
            self.stop = epoch == 1

    class AtStep(Callback):
        every = 5

        def on_step_end(self, step, logs):
            self.stop = True

    class AsKeras(Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    diary = Diary(None)
    model = trained([AtEpoch(), diary], epochs=9)
    assert (model.history.epochs, model.optimizer.state[0].value) == (2, 6)
    assert diary.names[-2:] == [("on_epoch_end", 1), ("on_train_end",)]
    model = trained([AtStep()], epochs=9)
    assert (model.history.epochs, model.optimizer.state[0].value) == (1, 5)
    assert model.fit(X, Y, epochs=2, verbose=0).epochs == 2  # it is not stopped for ever
    assert trained([AsKeras()], epochs=9).history.epochs == 1


@pytest.mark.parametrize("hook", HOOKS)
def test_an_exception_ends_training_cleanly(hook):
    def fail(*given):
        if hook != "on_epoch_end" or given[0] == 1:
            raise ZeroDivisionError("mine")

    diary = Diary(None)
    every = {"every": 5} if hook == "on_step_end" else {}
    model = classifier()
    with pytest.raises(ZeroDivisionError, match="mine"):
        trained([diary, LambdaCallback(**{hook: fail}, **every)], epochs=3, model=model)
    steps = {"on_train_begin": 0, "on_epoch_begin": 0, "on_epoch_end": 6, "on_step_end": 5}
    done = steps.get(hook, 9)
    assert model.optimizer.state[0].value == done
    assert model.history.epochs == model._epochs_done == done // 3
    assert {len(column) for column in model.history.history.values()} == {done // 3}
    assert diary.names[-1] == ("on_train_end",)  # it has begun, so it ends
    assert model.fit(X, Y, verbose=0).epochs == 1


def test_every_callback_ends_though_one_fails():
    def fail(logs):
        raise ZeroDivisionError("the first")

    diary = Diary(None)
    with pytest.raises(ZeroDivisionError, match="the first"):
        trained([LambdaCallback(on_train_end=fail), diary])
    assert diary.names[-1] == ("on_train_end",)


def test_an_exception_before_validation_leaves_columns_of_one_length(monkeypatch):
    model = classifier()
    monkeypatch.setattr(model._learning, "evaluated", lambda data: {"loss": 1.0, "accuracy": 0.5})

    def interrupt(step, logs):
        raise KeyboardInterrupt

    # Behind the last step of the second epoch: it counts, and was not validated.
    late = LambdaCallback(on_step_end=interrupt, every=6)
    with pytest.raises(KeyboardInterrupt):
        trained([late], model=model, validation_data=(X, Y))
    assert model.history.epochs == 2
    np.testing.assert_array_equal(model.history["val_loss"], [1.0, np.nan])


def test_what_is_no_callback_is_refused():
    for given, said in [
        ([3], r"callbacks are gn\.callbacks\.Callback objects; got 3\.$"),
        ([EarlyStopping], r"Make one: EarlyStopping\(\.\.\.\)\."),
        (print, "got <built-in function print>"),
    ]:
        with pytest.raises(gn.GraphError, match=said):
            trained(given)
    one = Diary()
    with pytest.raises(gn.GraphError, match="is given twice"):
        trained([one, one])
    for every in (0, -1, 1.5, True, "2"):
        with pytest.raises(gn.GraphError, match="every is a whole number of steps >= 1, or None"):
            trained([Diary(every)])


def test_hooks_of_other_names_are_refused_where_they_are_written():
    with pytest.raises(gn.GraphError, match=r"on_train_batch_end: there is no such.*Write on_step"):
        type("Mine", (Callback,), {"on_train_batch_end": print})
    with pytest.raises(gn.GraphError, match=r"Did you mean 'on_epoch_end'\?"):
        type("Mine", (Callback,), {"on_epoch_ended": print})
    with pytest.raises(gn.GraphError, match="on_epoch_end is a function; got 3"):
        LambdaCallback(on_epoch_end=3)
    with pytest.raises(TypeError, match="on_batch_end"):
        LambdaCallback(on_batch_end=print)


# --------------------------------------------------------------------------- validation_split


def test_validation_split_holds_the_last_samples_back():
    expected = classifier()
    gn.set_seed(0)
    held = expected.fit(
        X[:16], Y[:16], epochs=2, batch_size=8, verbose=0, validation_data=(X[16:], Y[16:])
    )
    gn.set_seed(0)
    found = classifier()
    split = found.fit(X, Y, epochs=2, batch_size=8, verbose=0, validation_split=0.2)
    assert split.history == held.history
    for name, value in expected.state_dict().items():
        assert value.shape == found.state_dict()[name].shape


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"validation_split": 1.0}, gn.GraphError, r"validation_split=1.0 is out of range"),
        ({"validation_split": -0.1}, gn.GraphError, r"it must be in \[0, 1\)"),
        ({"validation_split": "a"}, gn.GraphError, "is no number"),
        ({"validation_split": 0.001}, gn.DataError, None),
        ({"validation_split": 0.99}, gn.DataError, "of 21 samples leaves 0 to train and 21"),
        ({"validation_split": 0.5, "validation_data": (X, Y)}, gn.GraphError, "not both"),
    ],
)
def test_splits_that_are_none(options, error, said):
    if said is None:  # one of 21 is the least that is held back
        assert trained(**options).history.epochs == 4
        return
    with pytest.raises(error, match=said):
        trained(**options)


# --------------------------------------------------------------------------- early stopping


def scripted(values, **options):
    """A model whose validation loss is told, and whose weight says which epoch it is of."""
    model, w = line(lr=0.25)
    told = iter(values)
    model._learning.evaluated = lambda data: {"loss": next(told)}
    stop = EarlyStopping(**options)
    data = {"validation_data": (ONES, ZEROS), "batch_size": 4, "verbose": 0}
    model.fit(ONES, ZEROS, epochs=len(values), callbacks=[stop], **data)
    return stop, model.history.epochs, -math.log2(w.value)


@pytest.mark.parametrize(
    ("options", "values", "best", "epochs"),
    [
        ({"patience": 2}, [3, 2, 2, 1, 1, 1, 1, 0], 3, 6),
        ({"patience": 0}, [3, 2, 2, 1], 1, 3),
        ({"patience": 1}, [3, 2, 2, 1], 1, 3),
        ({"patience": 3}, [3, 2, 4, 4], 1, 4),
        ({"patience": 2, "min_delta": 0.5}, [3, 2.6, 2.4, 2, 1.9, 1], 2, 5),
        ({"patience": 2, "mode": "max"}, [3, 4, 2, 2, 9], 1, 4),
        ({"patience": 2}, [3, math.nan, math.nan, 1], 0, 3),
        ({"patience": 1, "start_from_epoch": 3}, [3, 4, 5, 6, 7, 1], 3, 5),
    ],
)
def test_early_stopping(options, values, best, epochs):
    for restore in (False, True):
        stop, done, halvings = scripted(values, restore_best_weights=restore, **options)
        assert (stop.best_epoch, stop.best, done) == (best, values[best], epochs)
        assert stop.stopped_epoch == (done - 1 if epochs < len(values) else None)
        assert halvings == (best + 1 if restore else done)


def test_the_best_weights_come_back_after_ctrl_c_too():
    model, w = line()
    told = iter([3.0, 2.0, 4.0, KeyboardInterrupt])

    def evaluated(data):
        value = next(told)
        if value is KeyboardInterrupt:
            raise value
        return {"loss": value}

    model._learning.evaluated = evaluated
    stop = EarlyStopping(patience=9, restore_best_weights=True)
    with pytest.raises(KeyboardInterrupt):
        model.fit(ONES, ZEROS, epochs=9, verbose=0, callbacks=[stop], validation_data=(ONES, ZEROS))
    assert w.value == 0.25
    assert model.history["val_loss"][:3] == [3.0, 2.0, 4.0]


def test_what_early_stopping_watches():
    for stop, said in [
        (EarlyStopping(), r"monitors 'val_loss'; there is loss, accuracy\. Give validation_data="),
        (EarlyStopping("los"), r"Did you mean 'loss'\?"),
    ]:
        model = classifier()
        with pytest.raises(gn.GraphError, match=said):
            model.fit(X, Y, verbose=0, callbacks=[stop])
        assert model.history.epochs == 0
    with pytest.raises(gn.GraphError, match="mode is one of"):
        EarlyStopping(mode="larger")
    with pytest.raises(gn.GraphError, match="patience is a whole number >= 0; got -1"):
        EarlyStopping(patience=-1)
    with pytest.raises(gn.GraphError, match="min_delta=-1 is out of range"):
        EarlyStopping(min_delta=-1)
    assert EarlyStopping("val_accuracy").monitor.mode == "max"
    assert EarlyStopping("val_loss").monitor.mode == "min"


def test_early_stopping_begins_anew_with_each_fit():
    model, _ = line()
    stop = EarlyStopping("loss", patience=2)
    model.fit(ONES, ZEROS, epochs=3, verbose=0, callbacks=[stop])
    best = stop.best
    model.fit(10 * ONES, ZEROS, epochs=1, verbose=0, callbacks=[stop])
    assert stop.best_epoch == 0
    assert stop.best > best


# --------------------------------------------------------------------------- rates


def test_the_rate_falls_inside_the_compiled_step():
    """At lr = 1 the weight jumps between 1 and -1; at 0.5 it is 0 after one step."""
    for given in ("callback", "optimizer's"):
        model, w = line(lr=1.0)
        if given == "callback":
            falling = ReduceLROnPlateau("loss", factor=0.5, patience=1)
        else:
            falling = optim.ReduceLROnPlateau(model.optimizer, factor=0.5, patience=1)
        history = model.fit(ONES, ZEROS, epochs=5, verbose=0, callbacks=[falling])
        assert history["loss"] == [1.0, 1.0, 1.0, 1.0, 0.0]
        assert model.optimizer.lr == 0.5
        assert w.value == 0


def test_the_rate_follows_torchs_rule():
    """The same scores through the optimizer's own object."""
    scores = [3, 2.5, 2.5, 2.5, 2.5, 2, 3, 3, 3, 3, 3, 1]
    model, _ = line(lr=1.0)
    told = iter(scores)
    model._learning.evaluated = lambda data: {"loss": next(told)}
    rates = []
    model.fit(
        ONES, ZEROS, epochs=len(scores), verbose=0, validation_data=(ONES, ZEROS),
        callbacks=[
            ReduceLROnPlateau(factor=0.1, patience=1, cooldown=1),
            LambdaCallback(on_epoch_end=lambda epoch, logs: rates.append(model.optimizer.lr)),
        ],
    )  # fmt: skip
    rule = optim.SGD(lr=1.0)
    plateau = optim.ReduceLROnPlateau(rule, factor=0.1, patience=1, cooldown=1)
    expected = []
    for score in scores:
        plateau.step(score)
        expected.append(rule.lr)
    assert rates == expected
    assert len(set(rates)) > 2


def test_plateaus_that_cannot_be():
    with pytest.raises(gn.GraphError, match="factor=2 is out of range"):
        ReduceLROnPlateau(factor=2)
    with pytest.raises(gn.GraphError, match="has a schedule, which decides its rate"):
        trained([ReduceLROnPlateau("loss")])
    model, _ = line()
    other = optim.ReduceLROnPlateau(optim.SGD(lr=1.0))
    with pytest.raises(gn.GraphError, match="the model was compiled with another optimizer"):
        model.fit(ONES, ZEROS, verbose=0, callbacks=[other])


# --------------------------------------------------------------------------- not finite


def test_nan_ends_training_behind_a_step():
    model, _ = line(lr=1e15)
    with pytest.warns(
        gn.NotFiniteWarning, match=r"^after \d steps the loss is (inf|nan): tr"
    ) as said:
        model.fit(
            np.ones((1000, 1), np.float32), np.zeros((1000, 1), np.float32), epochs=9, batch_size=1,
            verbose=0, callbacks=[TerminateOnNaN(every=2)],
        )  # fmt: skip
    assert len(said) == 1
    assert said[0].filename == __file__
    assert model.history.epochs == 0


def test_nan_ends_training_at_an_epochs_edge():
    model, _ = line(lr=1e15)
    with pytest.warns(gn.NotFiniteWarning, match=r"^epoch \d: the loss is") as said:
        model.fit(ONES, ZEROS, epochs=99, batch_size=4, verbose=0, callbacks=[TerminateOnNaN(None)])
    assert len(said) == 1
    assert 1 <= model.history.epochs < 9
    assert not math.isfinite(model.history["loss"][-1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert trained([TerminateOnNaN(1)]).history.epochs == 4


# --------------------------------------------------------------------------- logs


def test_a_csv_file_has_a_line_an_epoch(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("of another run\n")
    model = trained([CSVLogger(path)], validation_data=(X[:5], Y[:5]))
    rows = list(csv.DictReader(path.read_text().splitlines()))
    history = model.history
    assert [int(row["epoch"]) for row in rows] == [0, 1, 2, 3]
    for name in history:
        assert [float(row[name]) for row in rows] == history[name]  # every digit
    trained([CSVLogger(path, append=True)], validation_data=(X[:5], Y[:5]), epochs=1)
    assert len(list(csv.DictReader(path.read_text().splitlines()))) == 5


def test_json_lines(tmp_path):
    path = tmp_path / "log.jsonl"
    model = trained([JSONLogger(path, every=2)], epochs=2)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line.get("step", ("epoch", line.get("epoch"))) for line in lines] == [
        2, ("epoch", 0), 4, 6, ("epoch", 1),
    ]  # fmt: skip
    assert [line["loss"] for line in lines if "epoch" in line] == model.history["loss"]


def test_json_has_no_nan(tmp_path):
    path = tmp_path / "log.jsonl"
    model, _ = line(lr=1e20)
    with pytest.warns(gn.NotFiniteWarning):
        model.fit(ONES, ZEROS, epochs=9, verbose=0, callbacks=[JSONLogger(path)])

    def refuse(constant):
        raise AssertionError(constant)

    lines = [json.loads(line, parse_constant=refuse) for line in path.read_text().splitlines()]
    np.testing.assert_array_equal([float(line["loss"]) for line in lines], model.history["loss"])


def test_logs_that_cannot_be_written(tmp_path):
    for logger in (CSVLogger, JSONLogger):
        model = classifier()
        with pytest.raises(gn.DataError, match=r"the folder .*nowhere does not exist"):
            trained([logger(tmp_path / "nowhere" / "log")], model=model)
        assert model.history.epochs == 0
        with pytest.raises(gn.DataError, match="is no regular file"):
            trained([logger(tmp_path)], model=model)


def test_tensorboard_without_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    model = classifier()
    with pytest.raises(gn.GraphnnError, match=r"pip install 'graphnn\[tensorboard\]'"):
        trained([TensorBoard("logs")], model=model)
    assert model.history.epochs == 0


def scalars(folder):
    """What the event files of a run have: (tag, step) to value."""
    from tensorboardX.event_file_writer import EventsWriter  # noqa: F401 - says what is missing
    from tensorboardX.proto.event_pb2 import Event

    found = {}
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        while data:
            size = int.from_bytes(data[:8], "little")
            event = Event.FromString(data[12 : 12 + size])
            data = data[12 + size + 4 :]
            for value in event.summary.value:
                found[value.tag, event.step] = value.simple_value
    return found


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboardX", reason="needs graphnn[tensorboard]")
    held = {"validation_data": (X[:5], Y[:5])}
    history = trained([TensorBoard(tmp_path, every=5)], epochs=3, **held).history
    for run, prefix in (("train", ""), ("validation", "val_")):
        found = scalars(tmp_path / run)
        assert set(found) == {(name, e) for name in ("loss", "accuracy") for e in range(3)}
        for (name, epoch), value in found.items():
            assert value == np.float32(history[prefix + name][epoch])
    assert {step for _, step in scalars(tmp_path / "steps")} == {5}
