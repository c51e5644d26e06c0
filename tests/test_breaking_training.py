"""What once went wrong when somebody tried to break training: each stays mended."""

from __future__ import annotations

import json
import os
import signal
import threading

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.train.callbacks import CSVLogger, JSONLogger, LambdaCallback

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
