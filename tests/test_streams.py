"""Training on batches that come one after the other, and on arrays that lie on disk."""

from __future__ import annotations

import io
import itertools
import signal
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from functools import partial

import numpy as np
import pytest
from rich.console import Console

import graphnn as gn
from graphnn import nn, optim
from graphnn.ops.random.generator import GENERATOR
from graphnn.train import stream_run, streams
from graphnn.train.progress import Bar


def samples(n, width=5, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, width)).astype(np.float32), rng.integers(0, classes, n)


def classifier(rule=None, width=5):
    gn.set_seed(0)
    x, y = gn.Input((None, width), name="x"), gn.Input((None,), "int64", name="y")
    logits = nn.Sequential(nn.Linear(width, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))(x)
    model = gn.Model(x, logits)
    rule = optim.Adam(lr=1e-2) if rule is None else rule
    model.compile(rule, loss=gn.cross_entropy(logits, y), metrics=["accuracy"])
    return model


def everything(model):
    arrays = [*model.state_dict().values(), *(p.value for p in model.optimizer.state)]
    return [array.tobytes() for array in (*arrays, GENERATOR.value)]


def pieces(X, y, size):
    for i in range(0, len(X), size):
        yield X[i : i + size], y[i : i + size]


class Loader:
    """Begins anew each epoch."""

    def __init__(self, X, y, size, form=lambda x, y: (x, y)):
        self.X, self.y, self.size, self.form = X, y, size, form

    def __iter__(self):
        return (self.form(*batch) for batch in pieces(self.X, self.y, self.size))


class Sized(Loader):
    def __len__(self):
        return -(-len(self.X) // self.size)


def no_thread_is_left():
    for _ in range(100):
        if not any(t.name == "graphnn-data" for t in threading.enumerate()):
            return True
        time.sleep(0.01)
    return False


@pytest.fixture(autouse=True)
def _threads_end():
    yield
    assert no_thread_is_left()


# --------------------------------------------------------------------------- the bits of arrays


@pytest.mark.parametrize("n", [24, 21, 5, 1])
@pytest.mark.parametrize("at_once", [1, 2, 1024])
def test_batches_train_as_arrays_do(n, at_once, monkeypatch):
    X, y = samples(n)
    model = classifier()
    expected = model.fit(X, y, epochs=3, batch_size=8, shuffle=False, verbose=0)
    bits = everything(model)
    monkeypatch.setattr(streams, "MOST_BATCHES", at_once)
    model = classifier()
    history = model.fit(Loader(X, y, 8), epochs=3, verbose=0)
    assert everything(model) == bits
    assert history.history == expected.history
    assert history.epochs == 3
    assert all(seconds > 0 for seconds in history.seconds)


@pytest.mark.parametrize(
    "form",
    [
        lambda x, y: [x, y],
        lambda x, y: {"y": y, "x": x},
        lambda x, y: (x.tolist(), y.astype(np.int32)),
        lambda x, y: ([x], [y]),
        lambda x, y: (np.asfortranarray(x), y),
        lambda x, y: ({"x": x}, y),
    ],
)
def test_the_form_of_a_batch_does_not_matter(form):
    X, y = samples(20)
    found = []
    for loader in (Loader(X, y, 8), Sized(X, y, 8, form)):
        model = classifier()
        model.fit(loader, epochs=2, verbose=0)
        found.append(everything(model))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "given",
    [
        lambda X, y: partial(pieces, X, y, 8),
        lambda X, y: lambda: list(pieces(X, y, 8)),
        lambda X, y: Sized(X, y, 8),
    ],
    ids=["partial", "lambda", "loader"],
)
def test_what_begins_anew(given):
    X, y = samples(20)
    model = classifier()
    model.fit(X, y, epochs=2, batch_size=8, shuffle=False, verbose=0)
    expected = everything(model)
    model = classifier()
    model.fit(given(X, y), epochs=2, verbose=0)
    assert everything(model) == expected


def test_a_slow_or_fast_thread_changes_no_bit(monkeypatch):
    X, y = samples(100)

    def hesitating():
        for i, batch in enumerate(pieces(X, y, 4)):
            time.sleep(0.012 if i % 7 == 3 else 0)
            yield batch

    found = []
    for patience in (0.005, 0.0, 10.0):
        monkeypatch.setattr(streams, "PATIENCE", patience)
        model = classifier()
        history = model.fit(hesitating, epochs=2, verbose=0)
        found.append((everything(model), history.history))
    assert found[0] == found[1] == found[2]


def test_an_array_that_is_filled_again_and_again():
    """Many loaders hand out one buffer: what was handed out must not be read later."""
    X, y = samples(64)

    def reusing():
        room, labels = np.empty((8, 5), np.float32), np.empty(8, np.int64)
        for a, b in pieces(X, y, 8):
            room[...], labels[...] = a, b
            yield room, labels

    found = []
    for given in (partial(pieces, X, y, 8), reusing):
        model = classifier()
        model.fit(given, epochs=2, verbose=0)
        found.append(everything(model))
    assert found[0] == found[1]


def test_batches_of_any_size():
    X, y = samples(60)
    cuts = [0, 3, 11, 12, 28, 30, 46, 60]

    def uneven():
        for a, b in itertools.pairwise(cuts):
            yield X[a:b], y[a:b]

    model = classifier(optim.SGD(lr=0.1))
    start = model.state_dict()
    history = model.fit(uneven, epochs=2, verbose=0)
    found = model.state_dict()
    # By hand, a call a batch; small graphs have one lane, so that the bits are the same.
    model.load_state_dict(start)
    gn.set_seed(0)
    rule = optim.SGD(lr=0.1)
    step = gn.function(
        [*model.inputs, *model.targets],
        model.loss,
        updates=rule.updates(model.loss, list(model.parameters.values())),
    )
    losses = [(len(b), float(step(a, b))) for _ in range(2) for a, b in uneven()]
    for name, array in model.state_dict().items():
        assert array.tobytes() == found[name].tobytes()
    for epoch in (0, 1):
        own = losses[epoch * 7 : epoch * 7 + 7]
        mean = sum(n * loss for n, loss in own) / 60
        assert history["loss"][epoch] == pytest.approx(mean, rel=1e-12)


def test_sequences_of_any_length(rng):
    x, y = gn.Input((None, "T", 2), name="x"), gn.Input((None, "T", 1), name="y")
    out = nn.Linear(2, 1)(x)
    model = gn.Model(x, out)
    model.compile("sgd", loss=gn.mse_loss(out, y), lr=0.1)
    data = [
        rng.normal(size=(n, t, 2)).astype(np.float32) for n, t in [(3, 4), (2, 7), (3, 4), (5, 1)]
    ]
    batches = [(a, a.sum(-1, keepdims=True)) for a in data]
    losses = model.fit(lambda: iter(batches), epochs=60, verbose=0)["loss"]
    assert losses[-1] < 0.1 * losses[0]


def test_threads_change_no_bit(many_lanes):
    X, y = samples(50)
    found = []
    for threads in (1, 3):
        gn.set_num_threads(threads)
        for given in ((X, y), (partial(pieces, X, y, 8),)):
            model = classifier()
            model.fit(*given, epochs=2, batch_size=8, shuffle=False, verbose=0)
            found.append(everything(model))
    assert found.count(found[0]) == 4


def test_several_inputs_and_no_target(rng):
    a, b = gn.Input((None, 2), name="a"), gn.Input((None, 3), name="b")
    out = nn.Linear(2, 1)(a) + nn.Linear(3, 1)(b)
    model = gn.Model([a, b], out)
    model.compile("sgd", loss=gn.mean(out * out))
    A, B = rng.normal(size=(8, 2)).astype(np.float32), rng.normal(size=(8, 3)).astype(np.float32)
    before = model.evaluate([A, B])["loss"]
    assert model.evaluate(iter([[A[:5], B[:5]], [A[5:], B[5:]]]))["loss"] == pytest.approx(before)
    model.fit(lambda: [[A, B]], epochs=9, verbose=0)
    assert model.evaluate([A, B])["loss"] < before
    one = gn.Input((None, 2), name="one")
    coder = gn.Model(one, nn.Linear(2, 2)(one))
    coder.compile("sgd", loss=gn.mse_loss(coder.outputs[0], one))
    assert coder.evaluate(iter([A])) == coder.evaluate(iter([(A,)])) == coder.evaluate(A)


# --------------------------------------------------------------------------- how long an epoch is


def test_an_endless_generator():
    X, y = samples(40)
    taken = []

    def endless():
        for i in itertools.count():
            taken.append(i)
            k = i % 5 * 8
            yield X[k : k + 8], y[k : k + 8]

    model = classifier()
    model.fit(X, y, epochs=3, batch_size=8, shuffle=False, verbose=0)
    expected = everything(model)

    model = classifier()
    generator = endless()
    model.fit(generator, epochs=2, steps_per_epoch=5, verbose=0)
    assert len(taken) == 10  # none in advance: the next fit goes on with the next one
    model.fit(generator, steps_per_epoch=5, verbose=0)
    assert everything(model) == expected


def test_what_ends_too_early():
    X, y = samples(20)
    model = classifier()
    with pytest.raises(
        gn.DataError, match=r"gone through once, and there are 2 epochs.*fit\(batches\)"
    ):
        model.fit(pieces(X, y, 8), epochs=2, verbose=0)
    said = r"ended after 3 batches, in epoch 2 of 4 with steps_per_epoch=2\..*makes the generator"
    with pytest.raises(gn.DataError, match=said):
        model.fit(pieces(X, y, 8), epochs=4, steps_per_epoch=2, verbose=0)
    assert model.history.epochs == 1
    assert model.optimizer.state[0].value == 3  # what came was trained
    with pytest.raises(gn.DataError, match="there is no batch in epoch 1"):
        model.fit(lambda: [], verbose=0)
    with pytest.raises(gn.DataError, match="ended after 0 batches"):
        model.fit(lambda: [], steps_per_epoch=2, verbose=0)
    used = pieces(X, y, 8)
    model.fit(used, verbose=0)
    with pytest.raises(gn.DataError, match="there is no batch in epoch 1"):
        model.fit(used, verbose=0)
    with pytest.raises(gn.DataError, match="arrays have as many as they have"):
        model.fit(X, y, steps_per_epoch=2, verbose=0)
    with pytest.raises(gn.GraphError, match="steps_per_epoch is a whole number >= 1; got 0"):
        model.fit(Loader(X, y, 8), steps_per_epoch=0, verbose=0)


def test_a_loader_that_is_cut_goes_on_in_the_next_epoch():
    X, y = samples(24)
    seen = []

    def given():
        for i, batch in enumerate(pieces(X, y, 8)):
            seen.append(i)
            yield batch

    classifier().fit(given, epochs=3, steps_per_epoch=2, verbose=0)
    assert seen == [0, 1, 2, 0, 1, 2]


def test_schedules_in_epochs():
    X, y = samples(20)
    rates = []
    for given in (Sized(X, y, 8), X, partial(pieces, X, y, 8)):
        schedule = optim.schedule.StepLR(0.1, step_size=1, gamma=0.5, per="epoch")
        model = classifier(optim.SGD(lr=schedule))
        model.compile(model.optimizer, loss=model.loss, metrics=["lr"])
        if callable(given):
            with pytest.raises(gn.DataError, match=r"StepLR.* counts epochs.*steps_per_epoch"):
                model.fit(given, epochs=3, verbose=0)
            more = {"steps_per_epoch": 3}
        else:
            more = {} if given is not X else {"y": y, "batch_size": 8}
        rates.append(model.fit(given, epochs=3, verbose=0, **more)["lr"])
    assert rates[0] == rates[1] == rates[2] == pytest.approx([0.1, 0.05, 0.025])


# --------------------------------------------------------------------------- data sets of samples


class Numbered:
    """A map-style data set, as torch has it."""

    def __init__(self, X, y):
        self.X, self.y = X, y

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        return self.X[i], int(self.y[i])


@pytest.mark.parametrize("shuffle", [True, False])
def test_samples_by_number_train_as_arrays_do(shuffle):
    X, y = samples(21)
    found = []
    for given in ((X, y), (Numbered(X, y),)):
        model = classifier()
        history = model.fit(*given, epochs=3, batch_size=8, shuffle=shuffle, verbose=0)
        found.append((everything(model), history.history, model.evaluate(*given)))
    assert found[0] == found[1]


def test_samples_as_dicts():
    X, y = samples(9)

    class Named(Numbered):
        def __getitem__(self, i):
            return {"x": self.X[i], "y": self.y[i]}

    model = classifier()
    assert model.evaluate(Named(X, y)) == model.evaluate(X, y)


def test_torch_loaders():
    torch = pytest.importorskip("torch")
    X, y = samples(20)
    data = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(y))
    found = []
    for given in ((X, y), (torch.utils.data.DataLoader(data, batch_size=8),), (data,)):
        model = classifier()
        model.fit(*given, epochs=2, batch_size=8, shuffle=False, verbose=0)
        found.append(everything(model))
    assert found[0] == found[1] == found[2]


# --------------------------------------------------------------------------- evaluate and predict


def test_evaluate_validate_and_predict():
    X, y = samples(21)
    model = classifier()
    wanted = model.evaluate(X, y)
    assert model.evaluate(Loader(X, y, 21)) == wanted
    assert model.evaluate(pieces(X, y, 8)) == pytest.approx(wanted, rel=1e-6)
    history = model.fit(X, y, epochs=3, validation_data=Loader(X, y, 21), verbose=0)
    assert history["val_loss"][-1] == model.evaluate(X, y)["loss"]
    streamed = classifier().fit(
        partial(pieces, X, y, 32), epochs=3, validation_data=(X, y), verbose=0
    )
    assert len(streamed["val_loss"]) == 3
    expected = model.predict(X)
    assert model.predict(a for a, _ in pieces(X, y, 8)).tobytes() == expected.tobytes()
    assert model.predict([a] for a, _ in pieces(X, y, 8)).tobytes() == expected.tobytes()
    assert model.predict({"x": a} for a, _ in pieces(X, y, 8)).tobytes() == expected.tobytes()
    with pytest.raises(gn.DataError, match=r"got a tuple of 2\. Leave the targets out"):
        model.predict(pieces(X, y, 8))
    with pytest.raises(gn.DataError, match="validation_data: a generator is gone through once"):
        model.fit(X, y, validation_data=pieces(X, y, 8), verbose=0)


def test_a_loop_over_batches():
    X, y = samples(20)
    found = []
    for given in ([X, y], Sized(X, y, 8), Loader(X, y, 8, lambda x, y: {"x": x, "y": y})):
        model = classifier()
        rule = optim.SGD(lr=0.1)
        pairs = rule.updates(model.loss, list(model.parameters.values()))
        step = gn.function([*model.inputs, *model.targets], model.loss, updates=pairs)
        history = step.loop(given, 8, 3, shuffle=False, verbose=0, on_epoch=lambda e, logs: e == 1)
        found.append((history.history, [a.tobytes() for a in model.state_dict().values()]))
    assert found[0] == found[1] == found[2]
    assert [len(values) for values in found[0][0].values()] == [2]


# --------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        (
            (np.zeros((2, 4), np.float32), np.zeros(2, np.int64)),
            "batch 2 of epoch 1: input x is decl",
        ),
        ((np.zeros((2, 5)), np.zeros(2, np.int64)), "batch 2 of epoch 1.*array of float64"),
        ((np.zeros((2, 5), np.float32), np.array([0, 3])), "batch 2 of epoch 1.*3"),
        (
            (np.zeros((0, 5), np.float32), np.zeros(0, np.int64)),
            "batch 2.*there is no sample in it",
        ),
        (np.zeros((2, 5), np.float32), r"batch 2.*a batch is \(x, y\).*got a ndarray"),
        ((1, 2, 3), r"batch 2.*a batch is \(x, y\).*got a tuple of 3"),
        ({"x": np.zeros((2, 5), np.float32)}, r"batch 2.*must have the names \['x', 'y'\]"),
        ((np.zeros(5, np.float32), 1), r"batch 2.*One sample\? Give x\[None\]"),
    ],
)
def test_a_batch_that_does_not_fit(batch, said):
    X, y = samples(8)
    model = classifier()
    with pytest.raises(gn.GraphnnError, match=said):
        model.fit(lambda: [(X, y), batch], verbose=0)
    assert model.optimizer.state[0].value == 1  # the batch before it was trained


def test_an_error_in_the_generator_is_the_users_own():
    X, y = samples(8)

    def breaks():
        yield X, y
        yield X, y
        raise ZeroDivisionError("the third batch")  # here

    model = classifier()
    with pytest.raises(ZeroDivisionError, match="the third batch") as caught:
        model.fit(breaks, verbose=0)
    lines = traceback.extract_tb(caught.value.__traceback__)
    assert lines[-1].line == 'raise ZeroDivisionError("the third batch")  # here'
    assert lines[0].filename == __file__  # the call of fit
    assert model.optimizer.state[0].value == 2
    model.fit(X, y, verbose=0)


def test_data_that_is_none():
    X, y = samples(8)
    model = classifier()
    with pytest.raises(gn.DataError, match="batches bring their own targets"):
        model.fit(Loader(X, y, 8), y, verbose=0)
    with pytest.raises(gn.DataError, match="returns batches to go through; got 3"):
        model.fit(lambda: 3, verbose=0)
    with pytest.raises(gn.DataError, match="find_lr draws its batches from all samples"):
        model.find_lr(Loader(X, y, 8))


# --------------------------------------------------------------------------- Ctrl-C


@pytest.fixture
def interrupting():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timers = []

    def soon(seconds):
        timers.append(threading.Timer(seconds, signal.raise_signal, [signal.SIGINT]))
        timers[-1].start()

    yield soon
    for timer in timers:
        timer.cancel()
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("pause", [0.0, 0.05])
def test_ctrl_c_stops_both(pause, interrupting):
    X, y = samples(8)
    ended = []

    def endless():
        try:
            while True:
                time.sleep(pause)
                yield X, y
        finally:
            ended.append(True)

    model = classifier()
    model.fit(X, y, verbose=0)
    interrupting(0.3)
    began = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        model.fit(endless, epochs=10, steps_per_epoch=10**7, verbose=0)
    assert time.perf_counter() - began < 1.3
    assert no_thread_is_left()
    steps, bits = int(model.optimizer.state[0].value), everything(model)
    time.sleep(0.05)
    assert everything(model) == bits
    assert steps > 1
    assert ended == [True]
    model.fit(X, y, verbose=0)


def test_ctrl_c_while_the_data_hangs(interrupting):
    hang = threading.Event()

    def hanging():
        hang.wait(30)
        yield from ()

    interrupting(0.2)
    began = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        classifier().fit(hanging, verbose=0)
    assert time.perf_counter() - began < 5
    hang.set()


# --------------------------------------------------------------------------- pieces of a run


def test_hooks_between_steps_change_no_bit():
    X, y = samples(44)

    class Looks(gn.callbacks.Callback):
        every = 4

        def __init__(self):
            self.seen = []

        def on_step_end(self, step, logs):
            self.seen.append((step, logs["loss"]))

    found = []
    for data in ((X, y), (Loader(X, y, 8),), (Sized(X, y, 8),)):
        model, looks = classifier(), Looks()
        history = model.fit(
            *data, epochs=3, batch_size=8, shuffle=False, verbose=0, callbacks=[looks]
        )
        found.append((everything(model), history.history, looks.seen))
    assert found[0] == found[1] == found[2]
    assert [step for step, _ in found[0][2]] == [4, 8, 12, 16]


@pytest.mark.parametrize("batch", [0, 2, 5, 6])
def test_a_run_goes_on_from_the_middle_of_an_epoch(batch):
    """Six batches an epoch: the second epoch is cut, and done by another stream."""
    X, y = samples(44)
    model = classifier()
    source = model._compiled().reader.read(Loader(X, y, 8), None, 8)

    def run_of(first, epochs, stream):
        return stream_run.run_over(model.training, stream, 8, epochs, first_epoch=first)

    def opened():
        return stream_run.opened(model.training, source, 3, batch_size=8)

    with opened() as stream:
        run = run_of(0, 3, stream)
        run.run()
        expected, means = everything(model), run.brought(0, 3)[0]
    model = classifier()
    source = model._compiled().reader.read(Loader(X, y, 8), None, 8)
    with opened() as stream:
        run = run_of(0, 3, stream)
        run.run(epochs=1)
        run.run(batches=batch)
        assert run.done == 6 + batch
        assert run.progress == ((1, batch) if batch < 6 else (2, 0))
        sums, seconds = run.sums[1].copy(), 0.5
    with opened() as stream:
        later = run_of(1, 2, stream)
        if batch < 6:
            later.go_on_from(batch, sums, seconds)
            later.run()
            np.testing.assert_array_equal(later.brought(0, 2)[0], [column[1:] for column in means])
            assert everything(model) == expected
        else:
            with pytest.raises(gn.DataError, match="fewer than 7 batches"):
                later.go_on_from(7, sums, seconds)


# --------------------------------------------------------------------------- what is shown


def test_lines_of_a_stream(capsys):
    X, y = samples(20)
    classifier().fit(Loader(X, y, 8), epochs=2, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert [line[:10] for line in lines if not line.startswith("compiled")] == [
        "epoch 1/2 ",
        "epoch 2/2 ",
    ]


@pytest.mark.parametrize("kind", [Loader, Sized])
def test_a_bar_over_a_stream(kind):
    """Drawn between the batches of a slow loader, whose end is known or not."""
    X, y = samples(40)
    drawn = []

    class Slow(kind):
        def __iter__(self):
            for batch in super().__iter__():
                time.sleep(0.05)
                yield batch

    shown = Bar(Console(file=io.StringIO(), force_terminal=True, width=150), 2, ["loss"])
    model = classifier()
    source = model._compiled().reader.read(Slow(X, y, 8), None, 8)
    with stream_run.opened(model.training, source, 2, batch_size=8) as stream, shown:
        run = stream_run.StreamRun(stream, 2)

        def watch():
            shown.watch(run, 0)
            task = shown.bar.tasks[0]
            drawn.append((task.fields["epoch"], task.completed, task.total, task.fields["place"]))

        run.run(watch)
    assert drawn[-1] == (2, 5, 5, "5/5")
    first = [row for row in drawn if row[0] == 1 and row[1] in (1, 2, 3)]
    known = kind is Sized
    assert {row[2:] for row in first} <= {
        (5, f"{i}/5") if known else (None, f"{i}/?") for i in (1, 2, 3)
    }
    assert first


# --------------------------------------------------------------------------- arrays on disk


@pytest.fixture
def on_disk(tmp_path):
    def saved(name, array):
        np.save(tmp_path / name, array)
        return np.load(tmp_path / f"{name}.npy", mmap_mode="r")

    return saved


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(
    "kind",
    [
        lambda X: X,
        lambda X: X.astype(np.float16).astype(np.float32),
        lambda X: X.astype(np.float16),
        lambda X: np.asfortranarray(X),
        lambda X: X.astype(">f4"),
    ],
    ids=["as declared", "rounded", "half", "Fortran", "big-endian"],
)
def test_memory_maps_train_as_arrays_do(kind, shuffle, on_disk):
    X, y = samples(21)
    X = kind(X)
    found = []
    for given in (
        (X, y),
        (on_disk("x", X), on_disk("y", y)),
        (on_disk("a", X), y.astype(np.int32)),
    ):
        model = classifier()
        history = model.fit(*given, epochs=3, batch_size=8, shuffle=shuffle, verbose=0)
        predicted = model.predict(given[0], batch_size=5)
        found.append((everything(model), history.history, predicted.tobytes()))
    assert found[0] == found[1] == found[2]


def test_memory_maps_that_do_not_fit(on_disk):
    X, y = samples(8)
    model = classifier()
    with pytest.raises(gn.DTypeError, match=r"got an array of float64\. Convert it"):
        model.fit(on_disk("x", X.astype(np.float64)), y, verbose=0)
    half = on_disk("h", X.astype(np.float16))
    with pytest.raises(
        gn.DataError, match=r"as many samples as each other; got \{'x': 8, 'y': 7\}"
    ):
        model.fit(half, y[:7], verbose=0)
    with pytest.raises(gn.ShapeError, match=r"input x is declared \(None, 5\)"):
        model.fit(half[:, :4], y, verbose=0)
    with pytest.raises(gn.DataError, match="there is no sample"):
        model.fit(half[:0], y[:0], verbose=0)


LARGE = textwrap.dedent(
    """
    import resource, sys
    import numpy as np
    import graphnn as gn
    from graphnn import nn

    path, dtype, rows = sys.argv[1], sys.argv[2], int(sys.argv[3])
    big = np.memmap(path, dtype, "w+", shape=(rows, 64))  # sparse: takes no room on the disk
    big = np.memmap(path, dtype, "r", shape=(rows, 64))
    x = gn.Input((None, 64), name="x")
    model = gn.Model(x, nn.Linear(64, 1)(x))
    model.compile("sgd", loss=gn.mean(model.outputs[0] ** 2))
    small = np.zeros((512, 64), np.dtype(dtype))
    model.fit(small, batch_size=256, verbose=0)  # compiles
    model.predict(small)

    def private():
        with open("/proc/self/status") as lines:
            found = dict(line.split(":", 1) for line in lines)
        return int(found["VmData"].split()[0]) * 1024

    limit = private() + int(sys.argv[4])
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    for shuffle in (False, True):
        model.fit(big, batch_size=4096, shuffle=shuffle, verbose=0)
    assert model.predict(big, batch_size=4096).shape == (rows, 1)
    print(model.evaluate(big)["loss"] >= 0, big.nbytes // int(sys.argv[4]))
    try:
        np.array(big)
    except MemoryError:
        print("too large to copy")
    """
)


@pytest.mark.skipif(sys.platform != "linux", reason="needs RLIMIT_DATA and /proc of Linux")
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_file_larger_than_the_memory(dtype, tmp_path):
    """The child may take 192 MiB more; the file has 512 MiB, and as float32 up to 1 GiB."""
    rows = (512 << 20) // 64 // np.dtype(dtype).itemsize
    child = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-c",
            LARGE,
            str(tmp_path / "big"),
            dtype,
            str(rows),
            str(192 << 20),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert child.returncode == 0, child.stdout + child.stderr
    assert child.stdout == "True 2\ntoo large to copy\n"
