"""What once went wrong when somebody tried to break training: each stays mended."""

from __future__ import annotations

import json
import os
import signal
import threading
import time

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.backends.cpu import compile as compile_room
from graphnn.train.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    JSONLogger,
    LambdaCallback,
    ModelCheckpoint,
)

rng = np.random.default_rng(0)
X = rng.normal(size=(20, 3)).astype(np.float32)
Y = rng.integers(0, 2, 20)


def classifier(metrics=()):
    gn.set_seed(0)
    x = gn.Input((None, 3), name="x")
    model = gn.Model(x, nn.Linear(3, 2)(x))
    model.compile("sgd", loss="cross_entropy", metrics=metrics)
    return model


@pytest.fixture
def small_files():
    """A file may have 1000 bytes: a disk that is full soon."""
    resource = pytest.importorskip("resource", reason="POSIX")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


# ---------------------------------------------------------------------------- one at a time


@pytest.mark.parametrize("again", ["fit", "find_lr"])
def test_a_model_is_trained_by_one_at_a_time(again):
    """The history was another fit's, and a checkpoint of what was trained beside."""
    model = classifier()
    beside = LambdaCallback(on_epoch_end=lambda _epoch, _logs: getattr(model, again)(X, Y))
    with pytest.raises(gn.GraphError, match=rf"model\.{again} was called while .* being trained"):
        model.fit(X, Y, epochs=3, verbose=0, callbacks=[beside])
    assert model.history.epochs == 1
    assert model.fit(X, Y, epochs=2, verbose=0).epochs == 2  # and all is as before


def test_other_threads_wait_their_turn():
    model, found = classifier(), []

    def meanwhile(_epoch, _logs):
        def fit():
            with pytest.raises(gn.GraphError, match="or another thread"):
                model.fit(X, Y, verbose=0)
            found.append(model.predict(X).shape)  # asking is nobody's turn

        thread = threading.Thread(target=fit)
        thread.start()
        thread.join()

    model.fit(X, Y, verbose=0, callbacks=[LambdaCallback(on_epoch_end=meanwhile)])
    assert found == [(20, 2)]


# ---------------------------------------------------------------------------- fork


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_trains_what_a_thread_of_its_parent_was_training():
    """The child waited for ever for a lock that nobody held any more."""
    model = classifier()
    model.fit(X, Y, verbose=0)
    held, go_on = threading.Event(), threading.Event()

    def hold():
        with model.training.lock, model._turns.taken("fit"):
            held.set()
            go_on.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        trained = model.fit(X, Y, verbose=0).epochs == 1
        os._exit(0 if trained else 1)
    go_on.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0


# ---------------------------------------------------------------------------- full disks, logs


@pytest.mark.parametrize("kind", [CSVLogger, JSONLogger])
def test_a_full_disk_leaves_whole_lines(kind, tmp_path, small_files):
    """The last number of half a line is another number."""
    log = tmp_path / "log"
    with pytest.raises(gn.DataError, match="log: cannot be written"):
        classifier().fit(X, Y, epochs=200, verbose=0, callbacks=[kind(log)])
    text = log.read_text()
    assert len(text) > 900
    assert text.endswith("\n")


def test_a_full_disk_keeps_the_older_picture(tmp_path, small_files):
    pytest.importorskip("matplotlib", reason="needs graphnn[plot]")
    picture = tmp_path / "curves.png"
    picture.write_bytes(b"older")
    with pytest.raises(gn.DataError, match=r"curves\.png: cannot be written"):
        gn.History({"loss": [2.0, 1.0]}, [0.1, 0.1]).plot(picture)
    assert picture.read_bytes() == b"older"
    assert [file.name for file in tmp_path.iterdir()] == ["curves.png"]


def test_logs_that_other_callbacks_have_filled(tmp_path):
    """NumPy's numbers are no JSON, and a word is not finite nor infinite."""

    def fill(_epoch, logs):
        logs.update(a=np.float32(0.5), b=np.float64("inf"), c="word", d=np.arange(2), e=None)

    log = tmp_path / "log.jsonl"
    classifier().fit(
        X, Y, verbose=0, callbacks=[LambdaCallback(on_epoch_end=fill), JSONLogger(log)]
    )
    found = json.loads(log.read_text())
    del found["loss"]
    assert found == {"epoch": 0, "a": 0.5, "b": "inf", "c": "word", "d": [0, 1], "e": None}


# ---------------------------------------------------------------------------- checkpoints


class Keeps(Callback):
    """Has a state."""

    passive = True

    def __init__(self, state):
        self.state = state

    def state_dict(self):
        return self.state

    def load_state_dict(self, state):
        self.state = state


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (None, "got None"),
        ({"a": object()}, r"'a' is <object .*not JSON serializable"),
        ({"a": np.array([object()])}, "'a' is array"),
        ({"a": np.array(["x"])}, "'a' is array"),
        ({3: 4}, "the name 3 is no text"),
        ({"a": 1j}, r"'a' is 1j"),
    ],
)
def test_states_that_no_file_can_hold(state, why, tmp_path):
    keep = [Keeps(state), ModelCheckpoint(tmp_path)]
    with pytest.raises(gn.DataError, match=rf"^<Keeps>: a callback's state_dict .*; {why}"):
        classifier().fit(X, Y, verbose=0, callbacks=keep)


def test_states_of_numpys_numbers(tmp_path):
    state = {"a": np.float32(0.5), "b": np.int64(3), "c": np.bool_(True), "d": np.arange(3)}
    classifier().fit(X, Y, verbose=0, callbacks=[Keeps(state), ModelCheckpoint(tmp_path)])
    found = Keeps({})
    keep = [found, ModelCheckpoint(tmp_path)]
    classifier().fit(X, Y, verbose=0, epochs=2, callbacks=keep, resume=tmp_path)
    np.testing.assert_array_equal(found.state.pop("d"), [0, 1, 2])
    assert found.state == {"a": 0.5, "b": 3, "c": True}


# ---------------------------------------------------------------------------- odd arguments


@pytest.mark.parametrize(
    ("attempt", "said"),
    [
        (lambda m: m.save(None), "a path is a text or .*; got None"),
        (lambda m: m.save(b"w.safetensors"), "a path is a text"),
        (lambda m: m.save("a" * 300), "cannot be written: .*File name too long"),
        (lambda m: m.load(3), "a path is a text or .*; got 3"),
        (lambda m: m.fit(X, Y, resume=3), "resume is the folder .*; got 3"),
        (lambda m: ModelCheckpoint(None), "a path is a text or .*; got None"),
        (lambda m: CSVLogger(None), "a path is a text or .*; got None"),
        (lambda m: m.fit(X, Y, capture="page"), r"capture is gn\.Capture\(.*; got 'page'"),
        (lambda m: gn.Capture("a"), "every is a whole number >= 1; got 'a'"),
        (lambda m: m.find_lr(X, Y, lowest="a"), "lowest='a' is no number"),
        (lambda m: m.fit([(X, Y)].__iter__, steps_per_epoch="3"), "steps_per_epoch is a whole"),
        (lambda m: EarlyStopping(None), "monitor is the name of a measure.*; got None"),
        (lambda m: m.fit(X, Y, class_weight={7: 2.0}), "the class 7; .* y has the classes 0 to 1"),
        (lambda m: m.fit(X, Y, class_weight={-1: 2.0}), "has the class -1"),
        (lambda m: m.fit(None, Y), "NoneType is no array"),
        (lambda m: m.fit([[1, None, 2]], [0]), "hold numbers alone"),
        (lambda m: m.fit([[1, 2, 3], [1, 2]], [0, 1]), "Pad sequences to one length"),
        (lambda m: m.fit(X, ["a"] * 20), "Words become numbers by np.unique"),
        (lambda m: m.fit(X, Y + 0.5), "cuts off what is behind the point"),
    ],
)
def test_what_is_said_of_odd_arguments(attempt, said):
    with pytest.raises(gn.GraphnnError, match=said):
        attempt(classifier())


def test_tensors_that_want_a_gradient():
    torch = pytest.importorskip("torch")
    with pytest.raises(gn.DataError, match=r"input x is no array: .*detach\(\)"):
        classifier().predict(torch.ones(2, 3, requires_grad=True))


def test_weights_of_classes_that_no_sample_has():
    """They are no slip, nor is the label that is ignored."""
    model = classifier()
    plain = model.evaluate(X, 0 * Y)["loss"]
    history = model.fit(X, 0 * Y, class_weight={1: 5.0}, verbose=0)
    np.testing.assert_allclose(history["loss"], [plain], rtol=1e-6)
    x, y = gn.Input((None, 3), name="x"), gn.Input((None,), dtype="int64", name="y")
    model = gn.Model(x, nn.Linear(3, 2)(x))
    loss = gn.sum(gn.cross_entropy(model.outputs[0], y, ignore_index=9, reduction="none"))
    model.compile("sgd", loss=loss)
    model.fit(X, Y, class_weight={9: 0.0, 1: 2.0}, verbose=0)


# ---------------------------------------------------------------------------- samples


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        ((X[0, :2], 0), r"sample 0 is an array of shape \(3,\), and sample 2 .* shape \(2,\)"),
        ({"x": X[0], "y": 0}, r"sample 0 is a sequence of 2, and sample 2 is a dict with \['x',"),
        ((X[0],), "sample 2 is a sequence of 1"),
    ],
)
def test_samples_of_several_forms(odd, said):
    class Data:
        def __len__(self):
            return 4

        def __getitem__(self, i):
            return odd if i == 2 else (X[i], Y[i])

    with pytest.raises(gn.DataError, match=said):
        classifier().fit(Data(), shuffle=False, verbose=0)


def test_a_length_that_no_machine_counts():
    class Endless:
        def __len__(self):
            return 10**30

        def __iter__(self):
            while True:
                yield X, Y

    assert classifier().fit(Endless(), steps_per_epoch=2, verbose=0).epochs == 1


def test_what_is_said_of_odd_files(tmp_path):
    pa = pytest.importorskip("pyarrow", reason="needs graphnn[arrow]")
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs graphnn[arrow]")
    columns = {"x": ["a", "b", "c"], "y": "y"}
    (tmp_path / "empty").mkdir()
    with pytest.raises(gn.DataError, match="no Parquet file"):
        classifier().fit(gn.Columns(tmp_path / "empty", columns), verbose=0)
    folder = tmp_path / "two"
    folder.mkdir()
    whole = pa.table({"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "y": Y})
    parquet.write_table(whole, folder / "0.parquet")
    parquet.write_table(whole.rename_columns(["a", "b", "z", "y"]), folder / "1.parquet")
    with pytest.raises(gn.DataError, match=r"1\.parquet cannot be read: .* columns are a, b, z, y"):
        classifier().fit(gn.Columns(folder, columns), verbose=0)
    damaged = bytearray((folder / "0.parquet").read_bytes())
    damaged[4:30] = b"\xff" * 26  # the header of a page
    (folder / "1.parquet").write_bytes(damaged)
    with pytest.raises(gn.DataError, match=r"1\.parquet cannot be read"):
        classifier().fit(gn.Columns(folder, columns), verbose=0)


def test_another_learning_rate_is_said(tmp_path):
    """It was put back without a word: the rate is a part of the state."""

    def fitted(lr, callbacks=(), **options):
        model = classifier()
        model.compile("sgd", loss="cross_entropy", lr=lr)
        keep = [ModelCheckpoint(tmp_path), *callbacks]
        return model, model.fit(X, Y, verbose=0, callbacks=keep, resume=tmp_path, **options)

    def lower(_epoch, _logs):
        model.optimizer.lr = 0.05

    model = classifier()
    model.compile("sgd", loss="cross_entropy", lr=0.1)
    keep = [LambdaCallback(on_epoch_end=lower), ModelCheckpoint(tmp_path)]
    model.fit(X, Y, verbose=0, callbacks=keep)
    with pytest.raises(gn.DataError, match=r"the learning rate was 0\.1, and is 0\.5"):
        fitted(0.5, epochs=2)
    model.fit(X, Y, verbose=0, epochs=2, callbacks=keep[1], resume=tmp_path)  # here it is 0.05
    again, _ = fitted(0.1, epochs=3)  # and in a new process 0.1, as the run began
    assert again.optimizer.lr == 0.05
    with pytest.raises(gn.DataError, match=r"the learning rate was 0\.1, and is 0\.5"):
        fitted(0.5, epochs=4)


def test_ctrl_c_while_a_thread_is_being_started(monkeypatch):
    """It came out as a RuntimeError of a thread that cannot be joined."""

    def interrupted(self):
        raise KeyboardInterrupt

    model = classifier()
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.predict(iter([X]))


def test_a_compilation_is_not_torn():
    """Numba knew one half of its types after Ctrl-C, and no kernel compiled any more."""
    done = []

    def compiling():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.3)
        done.append("whole")
        return 1

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # pytest-xdist ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            compile_room._whole(compiling)
    finally:
        signal.signal(signal.SIGINT, before)
    assert done == ["whole"]
    assert compile_room._whole(lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        compile_room._whole(lambda: 1 // 0)
