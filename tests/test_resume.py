"""Checkpoints: a run that is cut off anywhere goes on with the bits of one that was not."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, optim
from graphnn.ops.random.generator import GENERATOR
from graphnn.train import checkpoint as files
from graphnn.train.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    JSONLogger,
    LambdaCallback,
    ModelCheckpoint,
    ReduceLROnPlateau,
)

RULES = {
    "adam, schedule in epochs": lambda: optim.Adam(lr=optim.schedule.StepLR(0.05, 2, per="epoch")),
    "momentum, schedule in steps": lambda: optim.SGD(
        lr=optim.schedule.CosineAnnealingLR(0.1, 30), momentum=0.9, nesterov=True
    ),
    "accumulation and averages": lambda: optim.AdamW(
        lr=0.01, gradient_accumulation_steps=2, ema_momentum=0.9
    ),
}


def declared(rule="adam, schedule in epochs", p=0.3, width=8, metrics=("accuracy",), seed=0):
    """Dropout, batch normalisation, an optimizer with state: as a new process declares it."""
    gn.set_seed(seed)
    x = gn.Input((None, 5), name="x")
    y = gn.Input((None,), dtype="int64", name="y")
    net = nn.Sequential(
        nn.Linear(5, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(p), nn.Linear(width, 3)
    )
    model = gn.Model(inputs=x, outputs=net(x))
    loss = gn.cross_entropy(model.outputs[0], y)
    model.compile(RULES[rule]() if isinstance(rule, str) else rule, loss=loss, metrics=metrics)
    return model


rng = np.random.default_rng(0)
X, Y = rng.normal(size=(21, 5)).astype(np.float32), rng.integers(0, 3, 21)
HELD = (X[:6], Y[:6])  # three batches of 8 an epoch, the last of 5


def everything(model):
    state = {f"{i} {p.label}": p.value.copy() for i, p in enumerate(model.optimizer.state)}
    columns = {
        f"history {name}": np.array(column) for name, column in model.history.history.items()
    }
    return {**model.state_dict(), **state, **columns, "generator": GENERATOR.value.copy()}


def assert_same_bits(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].tobytes() == array.tobytes(), f"{name} differs"


def fitted(model, callbacks=(), epochs=5, data=(X, Y), **options):
    options = {"batch_size": 8, "verbose": 0, **options}
    model.fit(*data, epochs=epochs, callbacks=callbacks, **options)
    return model


class Cut(Callback):
    """Ends a run as a killed process does: behind a step, by an exception that nobody expects."""

    passive = True

    def __init__(self, step):
        self.every = step

    def on_step_end(self, step, logs):
        raise ConnectionAbortedError


def cut_and_resumed(folder, step, rule, **options):
    """A run that is cut behind a step, and goes on in a model that is declared anew."""
    with pytest.raises(ConnectionAbortedError):
        fitted(declared(rule), [Cut(step), ModelCheckpoint(folder)], **options)
    return fitted(declared(rule), [ModelCheckpoint(folder)], resume=folder, **options)


# --------------------------------------------------------------------------- the same bits


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("step", [1, 2, 3, 7, 12, 14])
def test_a_run_that_is_cut_goes_on_with_the_same_bits(tmp_path, rule, step):
    """In the middle of an epoch, and between its last step and its validation (3, 12)."""
    expected = everything(fitted(declared(rule), validation_data=HELD))
    found = cut_and_resumed(tmp_path, step, rule, validation_data=HELD)
    assert_same_bits(everything(found), expected)
    assert found.history.epochs == 5
    assert len(found.history.seconds) == 5
    assert min(found.history.seconds) > 0


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("shuffle", [False, True])
def test_on_several_lanes(tmp_path, many_lanes, threads, shuffle):
    gn.set_num_threads(threads)
    rule = "adam, schedule in epochs"
    expected = everything(fitted(declared(rule), shuffle=shuffle))
    found = cut_and_resumed(tmp_path, 8, rule, shuffle=shuffle)
    assert_same_bits(everything(found), expected)


def batches():
    for start in range(0, 21, 8):
        yield X[start : start + 8], Y[start : start + 8]


class Loader:
    """Batches that begin anew each epoch."""

    def __iter__(self):
        return batches()

    def __len__(self):
        return 3


def without_end():
    """An epoch of four steps does not end where the data does."""
    while True:
        yield from batches()


class Rows:
    """A data set of samples."""

    def __len__(self):
        return 21

    def __getitem__(self, i):
        return X[i], Y[i]


STREAMS = {
    "a function": (batches, {}),
    "a loader": (Loader(), {}),
    "samples, shuffled": (Rows(), {}),
    "without end": (without_end, {"steps_per_epoch": 4}),
    "in rounds": (Loader(), {"steps_per_epoch": 4}),
}


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize("step", [1, 3, 4, 10, 12])
@pytest.mark.parametrize("held", [None, HELD], ids=["alone", "validated"])
def test_a_stream_goes_on_where_it_was(tmp_path, kind, step, held):
    given, options = STREAMS[kind]
    rule = "momentum, schedule in steps"  # a function does not say how long an epoch is
    options = {**options, "data": (given,), "validation_data": held}
    expected = everything(fitted(declared(rule), **options))
    found = cut_and_resumed(tmp_path, step, rule, **options)
    assert_same_bits(everything(found), expected)


def test_a_stream_cut_otherwise_is_another_run(tmp_path):
    options = {"data": (without_end,), "epochs": 2}
    fitted(declared(), [ModelCheckpoint(tmp_path)], steps_per_epoch=4, **options)
    with pytest.raises(gn.DataError, match="steps_per_epoch was 4, and is 5"):
        fitted(declared(), resume=tmp_path, steps_per_epoch=5, **options)


@pytest.mark.parametrize("step", [2, 3, 7])
def test_weights_and_metrics_of_whole_sets_go_on(tmp_path, step):
    options = {"class_weight": {0: 2.0}, "sample_weight": np.linspace(0, 1, 21), "epochs": 4}
    options["validation_data"] = HELD

    def model():
        return declared(metrics=["f1_macro", "confusion_matrix"])

    expected = everything(fitted(model(), **options))
    with pytest.raises(ConnectionAbortedError):
        fitted(model(), [Cut(step), ModelCheckpoint(tmp_path)], **options)
    found = everything(fitted(model(), resume=tmp_path, **options))
    assert_same_bits(found, expected)
    assert found["history confusion_matrix"].shape == (4, 3, 3)


def test_cut_again_and_again(tmp_path):
    """Every run makes two steps."""
    rule = "adam, schedule in epochs"
    expected = everything(fitted(declared(rule)))
    for _ in range(100):
        model, cut = declared(rule), []

        class After(Callback):
            passive = True

            def on_train_begin(self, logs):
                self.end = self.step + 2

            def on_step_end(self, step, logs):
                if step == self.end and step < 15:
                    cut.append(step)  # noqa: B023
                    raise ConnectionAbortedError

        try:
            fitted(model, [After(), ModelCheckpoint(tmp_path, keep=1)], resume=tmp_path)
        except ConnectionAbortedError:
            assert cut
        else:
            break
    assert_same_bits(everything(model), expected)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-000000000015.safetensors"]


def test_a_finished_run_can_be_made_longer(tmp_path):
    expected = everything(fitted(declared(), epochs=5))
    model = fitted(declared(), epochs=2)
    model.save_checkpoint(tmp_path / "two.safetensors")
    again = fitted(declared(), epochs=2, resume=tmp_path / "two.safetensors")
    assert_same_bits(everything(again), everything(model))  # nothing is left to do
    found = fitted(declared(), epochs=5, resume=tmp_path / "two.safetensors")
    assert_same_bits(everything(found), expected)
    assert found._epochs_done == 5


def test_the_second_fit_of_a_model(tmp_path):
    """Its epochs have orders of their own, which go on behind those of the first."""
    model = fitted(fitted(declared(), epochs=2), epochs=4)
    expected = everything(model)
    with pytest.raises(ConnectionAbortedError):
        fitted(fitted(declared(), epochs=2), [Cut(5), ModelCheckpoint(tmp_path)], epochs=4)
    found = fitted(declared(), epochs=4, resume=tmp_path)
    assert_same_bits(everything(found), expected)
    assert found._epochs_done == model._epochs_done == 6


def test_ctrl_c_leaves_a_checkpoint_of_its_step(tmp_path):
    def interrupt(step, logs):
        raise KeyboardInterrupt

    expected = everything(fitted(declared()))
    with pytest.raises(KeyboardInterrupt):
        fitted(
            declared(),
            [ModelCheckpoint(tmp_path, every=100), LambdaCallback(on_step_end=interrupt, every=4)],
        )
    assert list(files.steps_in(tmp_path)) == [4]
    assert_same_bits(everything(fitted(declared(), resume=tmp_path)), expected)


def test_callbacks_that_steer_go_on_too(tmp_path):
    """Patience that has run for some epochs, a rate that fell, the best weights so far."""

    def callbacks():
        return [
            ReduceLROnPlateau("val_loss", factor=0.5, patience=0),
            EarlyStopping("val_loss", patience=4, restore_best_weights=True),
        ]

    def model():
        return declared(optim.SGD(lr=2.0, momentum=0.5))

    options = {"epochs": 40, "validation_data": HELD}
    whole = callbacks()
    trained = fitted(model(), whole, **options)
    expected, rate = everything(trained), trained.optimizer.lr
    stopped = whole[1].stopped_epoch
    assert stopped is not None
    assert rate < 2.0
    for step in (4, 3 * stopped + 2, 3 * stopped + 3):  # the last: before the edge that stops it
        folder = tmp_path / str(step)
        with pytest.raises(ConnectionAbortedError):
            fitted(model(), [*callbacks(), Cut(step), ModelCheckpoint(folder)], **options)
        again = callbacks()
        found = fitted(model(), [*again, ModelCheckpoint(folder)], resume=folder, **options)
        assert_same_bits(everything(found), expected)
        assert found.optimizer.lr == rate
        assert (again[1].best_epoch, again[1].stopped_epoch) == (whole[1].best_epoch, stopped)
    # A run that early stopping has ended stays ended, and has its best weights.
    again = callbacks()
    found = fitted(model(), [*again, ModelCheckpoint(folder)], resume=folder, **options)
    assert_same_bits(everything(found), expected)


def test_logs_have_each_line_once(tmp_path):
    def logs(name):
        return [
            CSVLogger(tmp_path / f"{name}.csv"),
            JSONLogger(tmp_path / f"{name}.jsonl", every=2),
        ]

    fitted(declared(), logs("whole"))
    folder = tmp_path / "kept"
    keep = {"every": 4, "per": "step"}

    class Killed(Callback):
        """Nothing is done when it ends: the last checkpoint is that of step 8, the logs are later."""

        passive = True
        every = 11

        def on_step_end(self, step, logs):
            ModelCheckpoint.on_train_end = lambda self, logs: None
            raise ConnectionAbortedError

    own = ModelCheckpoint.on_train_end
    try:
        with pytest.raises(ConnectionAbortedError):
            fitted(declared(), [*logs("cut"), Killed(), ModelCheckpoint(folder, **keep)])
    finally:
        ModelCheckpoint.on_train_end = own
    assert max(files.steps_in(folder)) == 8
    assert (tmp_path / "cut.jsonl").read_text().count("step") == 5
    fitted(declared(), [*logs("cut"), ModelCheckpoint(folder, **keep)], resume=folder)
    for suffix in ("csv", "jsonl"):
        whole, cut = (tmp_path / f"{name}.{suffix}" for name in ("whole", "cut"))
        assert cut.read_text() == whole.read_text()


# --------------------------------------------------------------------------- folders


def test_the_last_k_are_kept(tmp_path):
    fitted(declared(), [ModelCheckpoint(tmp_path, every=2, per="step", keep=3)])
    assert list(files.steps_in(tmp_path)) == [12, 14, 15]  # the last one where training ended
    folder = tmp_path / "epochs"
    fitted(declared(), [ModelCheckpoint(folder, every=2, keep=None)])
    assert list(files.steps_in(folder)) == [6, 12, 15]
    assert sorted(p.name for p in folder.iterdir()) == [
        p.name for p in files.steps_in(folder).values()
    ]


def test_the_best_weights_are_kept_beside(tmp_path):
    model = declared()
    best = EarlyStopping("val_loss", patience=99, restore_best_weights=True)
    keep = ModelCheckpoint(tmp_path, monitor="val_loss", keep=1)
    fitted(model, [best, keep], validation_data=HELD, epochs=12)
    assert 0 < best.best_epoch < 11  # or it would be the first or the last by chance
    other = declared(seed=5)
    other.load(tmp_path / "best.safetensors")
    for name, value in model.state_dict().items():
        assert value.tobytes() == other.state_dict()[name].tobytes()
    with pytest.raises(gn.GraphError, match="ModelCheckpoint monitors 'val_loss'; there is loss"):
        fitted(declared(), [ModelCheckpoint(tmp_path / "other", monitor="val_loss")])


def damaged(path, way):
    data = bytearray(path.read_bytes())
    if way == "cut off":
        data = data[: len(data) * 2 // 3]
    elif way == "empty":
        data = bytearray()
    elif way == "a bit of a weight":
        data[-5] ^= 1
    elif way == "a digit of the facts":
        place = bytes(data).index(b'\\"step\\": 1') + len(b'\\"step\\": ')
        data[place] ^= 1
    elif way == "other weights":
        data = bytearray((path.parent / "weights.safetensors").read_bytes())
    path.write_bytes(data)


WAYS = ["cut off", "empty", "a bit of a weight", "a digit of the facts", "other weights"]


@pytest.mark.parametrize("way", WAYS)
def test_a_damaged_checkpoint_is_never_chosen(tmp_path, way):
    model = fitted(declared(), [ModelCheckpoint(tmp_path, keep=2)])
    expected = everything(model)
    model.save(tmp_path / "weights.safetensors")
    steps = files.steps_in(tmp_path)
    assert list(steps) == [12, 15]
    damaged(steps[15], way)
    found = fitted(declared(), [ModelCheckpoint(tmp_path, keep=2)], resume=tmp_path)
    assert_same_bits(everything(found), expected)
    assert files.is_whole(steps[15])  # written anew
    with pytest.raises(gn.DataError, match="is no whole checkpoint|is damaged|is no checkpoint"):
        damaged(steps[15], way)
        fitted(declared(), resume=steps[15])
    damaged(steps[12], way)
    with pytest.raises(gn.DataError, match="no checkpoint in it is whole; the last one: .*15"):
        fitted(declared(), resume=tmp_path)


def test_every_single_byte_counts(tmp_path):
    """Whatever byte is changed, the file is refused or says the same."""
    model = fitted(declared(), epochs=1)
    path = model.save_checkpoint(tmp_path / "one.safetensors")
    data, whole = path.read_bytes(), files.read_checkpoint(path)
    draw = random.Random(0)
    refused = 0
    for place in [*range(8), *(draw.randrange(len(data)) for _ in range(400))]:
        changed = bytearray(data)
        changed[place] ^= 1 << draw.randrange(8)
        path.write_bytes(changed)
        try:
            found = files.read_checkpoint(path)
        except gn.DataError:
            refused += 1
            continue
        assert found.facts == whole.facts
        assert_same_bits(found.arrays, whole.arrays)
    assert refused > 390


def test_where_there_is_no_checkpoint(tmp_path):
    model = declared()
    with pytest.raises(gn.DataError, match=r"there is no checkpoint\. A run that is to be resumed"):
        fitted(model, resume=tmp_path / "nowhere")
    with pytest.raises(gn.DataError, match="there is no checkpoint"):
        fitted(model, [ModelCheckpoint(tmp_path / "other")], resume=tmp_path)
    assert model.history.epochs == 0
    fitted(model, [ModelCheckpoint(tmp_path / "new")], resume=tmp_path / "new", epochs=1)
    assert model.history.epochs == 1
    with pytest.raises(gn.GraphError, match="nothing to go on from before model.fit"):
        declared().save_checkpoint(tmp_path / "a.safetensors")


def test_a_new_run_does_not_write_among_the_checkpoints_of_another(tmp_path):
    fitted(declared(), [ModelCheckpoint(tmp_path)], epochs=4)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    model = declared()
    with pytest.raises(gn.DataError, match=r"has checkpoints of another run.*resume="):
        fitted(model, [ModelCheckpoint(tmp_path)], epochs=2)
    assert model.history.epochs == 0
    first = files.steps_in(tmp_path)[6]
    with pytest.raises(gn.DataError, match="training begins after 6 steps"):
        fitted(declared(), [ModelCheckpoint(tmp_path)], resume=first)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    fitted(declared(), [ModelCheckpoint(tmp_path / "branch")], resume=first)


# --------------------------------------------------------------------------- what does not fit


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    path = tmp_path_factory.mktemp("kept") / "two.safetensors"
    return fitted(declared(), epochs=2).save_checkpoint(path)


OTHERS = {
    "batch_size": (declared, {"batch_size": 7}, r"batch_size was 8, and is 7\."),
    "samples": (declared, {"data": (X[:20], Y[:20])}, "the number of samples was 21, and is 20"),
    "shuffle": (declared, {"shuffle": False}, "shuffle was True, and is False"),
    "seed": (lambda: declared(seed=3), {}, r"the seed \(gn\.set_seed\) was 0, and is 3"),
    "metrics": (
        lambda: declared(metrics=()), {}, r"what is measured was \['loss', 'accuracy'\], and is \['l"
    ),
    "validation": (declared, {"validation_data": HELD}, "what is measured was"),
    "width": (
        lambda: declared(width=9), {}, r"parameter 0\.weight was float32 \(8, 5\), and is .*\(9, 5\)"
    ),
    "optimizer": (lambda: declared(optim.SGD(0.1)), {}, r"the optimizer\'s lr was not there, and is float64 \(\)"),
    "dropout": (lambda: declared(p=0.4), {}, "another training step.*: 3.dropout_mask = drop"),
    "its settings": (
        lambda: declared(optim.Adam(optim.schedule.StepLR(0.05, 3, per="epoch"))),
        {}, "is of another training step: .* = divide",
    ),
    "callbacks": (
        declared, {"callbacks": [EarlyStopping("loss")]}, "the callback EarlyStopping was not there"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_another_run_is_refused_and_nothing_changes(kept, name):
    made, options, said = OTHERS[name]
    model = made()
    before = everything(model)
    with pytest.raises(gn.DataError, match=said):
        fitted(model, resume=kept, **options)
    assert_same_bits(everything(model), before)
    assert model._epochs_done == 0


def test_a_callback_that_is_missing_is_named(tmp_path):
    fitted(declared(), [EarlyStopping("loss"), ModelCheckpoint(tmp_path)], epochs=2)
    with pytest.raises(gn.DataError, match="the callback EarlyStopping was there, and is not"):
        fitted(declared(), resume=tmp_path)


def test_a_state_that_no_file_can_hold(tmp_path):
    class Odd(Callback):
        def state_dict(self):
            return {"thing": object()}

    with pytest.raises(gn.DataError, match="state_dict has numbers, texts, lists and NumPy arrays"):
        fitted(declared(), [Odd(), ModelCheckpoint(tmp_path)])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"every": 0}, "every is a whole number >= 1; got 0"),
        ({"keep": 0}, "keep is a whole number >= 1; got 0"),
        ({"per": "batch"}, "per is 'epoch' or 'step'; got 'batch'"),
        ({"monitor": "loss", "mode": "best"}, "mode is one of"),
    ],
)
def test_settings_that_cannot_be(options, said):
    with pytest.raises(gn.GraphError, match=said):
        ModelCheckpoint("folder", **options)


# --------------------------------------------------------------------------- disks


def test_a_full_disk_ends_training_and_keeps_what_was_written(tmp_path, monkeypatch):
    expected = everything(fitted(declared()))
    real = os.fsync

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fill(epoch, logs):
        if epoch == 2:
            monkeypatch.setattr(os, "fsync", full)

    model = declared()
    with pytest.raises(gn.DataError, match="cannot be written: .*No space left on device"):
        fitted(model, [ModelCheckpoint(tmp_path), LambdaCallback(on_epoch_end=fill)])
    assert model.history.epochs == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"checkpoint-{step:012d}.safetensors" for step in (3, 6)
    ]
    monkeypatch.setattr(os, "fsync", real)
    found = fitted(declared(), [ModelCheckpoint(tmp_path)], resume=tmp_path)
    assert_same_bits(everything(found), expected)


def test_a_folder_that_cannot_be_written_is_found_before_training(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        model = declared()
        with pytest.raises(gn.DataError, match="cannot be written"):
            fitted(model, [ModelCheckpoint(folder)])
        assert model.history.epochs == 0

    def refuse(self, *given, **options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "touch", refuse)  # root may write anywhere
    with pytest.raises(gn.DataError, match="Read-only file system"):
        fitted(declared(), [ModelCheckpoint(tmp_path)])


def test_what_a_killed_process_left_is_cleared_away(tmp_path):
    left, young = tmp_path / ".writing-abc", tmp_path / ".writing-def"
    left.write_bytes(b"half")
    os.utime(left, (1.0, 1.0))
    young.write_bytes(b"half")  # another process may be writing it
    fitted(declared(), [ModelCheckpoint(tmp_path)], epochs=1)
    whole = "checkpoint-000000000003.safetensors"
    assert sorted(path.name for path in tmp_path.iterdir()) == [young.name, whole]


# --------------------------------------------------------------------------- SIGKILL

CHILD = textwrap.dedent(
    """
    import os, sys, time, traceback
    import numpy as np
    import graphnn as gn
    from graphnn import nn, optim
    from graphnn.ops.random.generator import GENERATOR
    from graphnn.train.callbacks import Callback, EarlyStopping, ModelCheckpoint

    class Slowly(Callback):  # a millisecond a step more, so that there is something to cut off
        passive = True

        def __init__(self, ready):
            self.ready = ready

        def on_step_end(self, step, logs):
            if self.ready:
                open(self.ready, "w").close()  # it has begun
                self.ready = ""
            time.sleep(0.001)

    def train(folder, ready, done):
        gn.set_seed(3)
        x = gn.Input((None, 16), name="x")
        y = gn.Input((None,), dtype="int64", name="y")
        net = nn.Sequential(
            nn.Linear(16, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 4)
        )
        model = gn.Model(x, net(x))
        rate = optim.schedule.CosineAnnealingLR(0.01, 600)
        rule = optim.NAdam(rate, ema_momentum=0.99)
        model.compile(rule, gn.cross_entropy(model.outputs[0], y), metrics=["accuracy"])
        rng = np.random.default_rng(0)
        X, Y = rng.normal(size=(203, 16)).astype(np.float32), rng.integers(0, 4, 203)
        model.fit(
            X, Y, epochs=40, batch_size=16, verbose=0, resume=folder,
            validation_data=(X[:50], Y[:50]),
            callbacks=[
                Slowly(ready), EarlyStopping("val_loss", patience=99, restore_best_weights=True),
                ModelCheckpoint(folder, every=3, per="step", keep=3),
            ],
        )
        state = {f"{i}": p.value for i, p in enumerate(model.optimizer.state)}
        history = {f"history {name}": np.array(v) for name, v in model.history.history.items()}
        np.savez(done, rng=GENERATOR.value, **model.state_dict(), **state, **history)

    if len(sys.argv) > 1:
        train(*sys.argv[1:])
    for line in sys.stdin:  # a process that has imported everything, and forks one for each line
        child = os.fork()
        if not child:
            try:
                train(*line.split())
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    """
)

KILLS = 50


def afresh(folder, ready, done):
    """The training from its beginning, or from where it is, by a process of its own."""
    command = [sys.executable, "-W", "error", "-c", CHILD, folder, ready, done]
    subprocess.run(command, check=True, timeout=120, stdin=subprocess.DEVNULL)


@pytest.fixture
def forking():
    """A process that has imported graphnn, and forks: children that begin at once."""
    command = [sys.executable, "-W", "error", "-c", CHILD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as one:
        yield one
        one.stdin.close()


def killed(forking, line, seconds):
    """How a child ends that is killed so many seconds after its first step."""
    ready = Path(line[1])
    ready.unlink(missing_ok=True)
    print(*line, file=forking.stdin, flush=True)
    number = int(forking.stdout.readline())
    started = time.monotonic()
    while not ready.exists():
        assert time.monotonic() - started < 60
        time.sleep(0.001)
    time.sleep(seconds)
    os.kill(number, signal.SIGKILL)
    return int(forking.stdout.readline())


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_killed_at_fifty_random_moments_and_resumed(tmp_path, forking):
    """Each kill falls within the first steps of a child, also into the writing of a file."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    afresh(str(whole), str(tmp_path / "ready"), f"{whole}.npz")
    draw = random.Random(1)
    line = (str(cut), str(tmp_path / "ready"), f"{cut}.npz")
    reached = []
    for _ in range(KILLS):
        assert killed(forking, line, draw.uniform(0.0, 0.04)) == -signal.SIGKILL
        kept = files.steps_in(cut)
        assert all(files.is_whole(path) for path in kept.values())
        reached.append(max(kept, default=0))
    assert reached == sorted(reached)  # none was lost
    assert len(set(reached)) > KILLS / 4
    assert not Path(f"{cut}.npz").exists()
    afresh(*line)
    with np.load(f"{whole}.npz") as expected, np.load(f"{cut}.npz") as found:
        assert expected.files == found.files
        for name in expected.files:
            assert expected[name].tobytes() == found[name].tobytes(), f"{name} differs"
