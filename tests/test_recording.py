"""``fit(capture=)`` beside all else that fit takes."""

from __future__ import annotations

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(20, 3)).astype(np.float32), rng.normal(size=(20, 1)).astype(np.float32)


def declared():
    gn.set_seed(0)
    x = gn.Input((None, 3), name="x")
    model = gn.Model(x, nn.Linear(3, 1)(x))
    model.compile("sgd", loss="mse", lr=0.1)
    return model


def steps(seen):
    return [one.step for one in seen.document.captured.snapshots]


def test_the_first_samples_of_the_data_are_looked_at():
    model, seen = declared(), gn.Capture(every=2, mode="full")
    model.fit(X, Y, epochs=1, batch_size=5, verbose=0, capture=seen)
    assert steps(seen) == [0, 2, 4]
    document = seen.document
    node = next(one.id for one in document.graph.nodes if one.name == "x")
    for one in document.captured.snapshots:
        np.testing.assert_array_equal(np.float32(one.values[node].data).reshape(5, 3), X[:5])


def test_a_stream_has_no_first_samples():
    model = declared()
    with pytest.raises(gn.DataError, match=r"comes in batches: give it some samples, gn\.Capture"):
        model.fit([(X, Y)].__iter__(), verbose=0, capture=gn.Capture())
    seen = gn.Capture(every=1, data=(X[:4], Y[:4]))
    model.fit([(X, Y)].__iter__(), verbose=0, capture=seen)
    assert steps(seen) == [0, 1]


def test_beside_weights_of_samples():
    model, seen = declared(), gn.Capture(every=4)
    model.fit(X, Y, batch_size=5, verbose=0, capture=seen, sample_weight=np.ones(20))
    assert steps(seen) == [0, 4]
    assert "sample_weight" in [one.name for one in seen.document.graph.nodes]


def test_a_run_that_goes_on_counts_on(tmp_path):
    declared().fit(
        X, Y, epochs=1, batch_size=5, verbose=0, callbacks=gn.callbacks.ModelCheckpoint(tmp_path)
    )
    seen = gn.Capture(every=2)
    declared().fit(X, Y, epochs=2, batch_size=5, verbose=0, resume=tmp_path, capture=seen)
    assert steps(seen) == [4, 6, 8]
