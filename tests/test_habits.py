"""Training as people write it who come from Keras, torch and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, optim
from graphnn.callbacks import CSVLogger, EarlyStopping, ModelCheckpoint

X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
Y = X[:, 0].argsort() % 4


def model():
    gn.set_seed(0)
    x = gn.Input((None, 3), name="x")
    made = gn.Model(x, nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 4))(x))
    made.compile("adam", loss="cross_entropy")
    return made


class Sparse:
    """A matrix as SciPy has them."""

    def __iter__(self):
        return iter(X)

    def toarray(self):
        return X


def test_rooms_are_imported_by_the_names_that_they_have():
    import graphnn.callbacks
    from graphnn.data import datasets
    from graphnn.datasets import mnist10k
    from graphnn.train import callbacks

    assert gn.callbacks is graphnn.callbacks
    assert gn.callbacks.__all__ == callbacks.__all__
    assert all(getattr(gn.callbacks, n) is getattr(callbacks, n) for n in callbacks.__all__)
    assert gn.datasets.mnist10k is mnist10k is datasets.mnist10k
    own = {n for n, thing in vars(datasets).items() if callable(thing) and n[0].islower()}
    own = {n for n in own if getattr(datasets, n).__module__ == datasets.__name__}
    assert set(gn.datasets.__all__) == own


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        (lambda: optim.OneCycleLR, "optim.schedule.OneCycleLR"),
        (lambda: optim.ExponentialDecay, "optim.schedule.ExponentialLR"),
        (lambda: gn.CosineAnnealingLR, "optim.schedule.CosineAnnealingLR"),
        (lambda: gn.EarlyStopping, "gn.callbacks.EarlyStopping"),
        (lambda: model().predict_classes, r"model.predict\(x\).argmax"),
        (lambda: model().load_checkpoint, r"model.load\(path\) takes its weights"),
    ],
)
def test_names_that_stand_elsewhere(asked, meant):
    with pytest.raises(AttributeError, match=meant):
        asked()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: ModelCheckpoint(filepath="a"), "has no argument 'filepath'; it takes folder"),
        (lambda: ModelCheckpoint("a", save_best_only=True), "monitor= keeps the weights"),
        (lambda: ModelCheckpoint("a", save_weights_only=True), r"model.save\(path\) writes"),
        (lambda: EarlyStopping(patient=1), "Did you mean patience="),
        (lambda: CSVLogger("a", separator=";"), "CSVLogger has no argument 'separator'"),
        (lambda: gn.callbacks.ReduceLROnPlateau(min_delta=1), "Did you mean threshold="),
        (lambda: gn.callbacks.TensorBoard(log_dir="a"), "Did you mean folder="),
        (lambda: gn.callbacks.TerminateOnNaN(each=1), "it takes every"),
        (lambda: gn.callbacks.JSONLogger("a", filename="b"), "JSONLogger has no argument"),
    ],
)
def test_arguments_of_callbacks_that_are_none(call, said):
    with pytest.raises(TypeError, match=said):
        call()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: ModelCheckpoint("best.h5"), r"Give ModelCheckpoint\('best'\)"),
        (lambda: EarlyStopping(restore_best_weights=1), "restore_best_weights is True or False"),
        (lambda: model().fit(X, Y, resume=True), "resume is the folder .* got True"),
        (
            lambda: model().fit(X, Y, class_weight={4: 2.0}),
            "has the class 4; the target y has the classes 0 to 3",
        ),
    ],
)
def test_settings_that_are_none(call, said):
    with pytest.raises(gn.GraphError, match=said):
        call()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (Sparse(), r"x is a Sparse, which is no NumPy array. Give x.toarray\(\)"),
        ("x.npy", r"x is the name of a file, 'x.npy'.* np.load\(path"),
        ((row for row in X), "x is a generator, and batches bring their own targets"),
    ],
)
def test_data_beside_targets_that_is_no_array(given, said):
    with pytest.raises(gn.DataError, match=said):
        model().fit(given, Y)


def test_arrays_of_a_loop_are_one_argument():
    x, y = gn.Input((None, 3), name="x"), gn.Input((None,), "int64", name="y")
    step = gn.function([x, y], gn.cross_entropy(x, y))
    with pytest.raises(gn.GraphError, match=r"1-dimensional data where batch_size .* loop\(\[x, y"):
        step.loop(X, Y)
    with pytest.raises(TypeError, match="batch_size is given twice, by its name and.* a ndarray"):
        step.loop(X, Y, batch_size=8)


def test_the_weights_of_a_checkpoint_are_loaded(tmp_path):
    trained = model()
    trained.fit(X, Y, epochs=2, verbose=0, callbacks=[ModelCheckpoint(tmp_path)])
    other = model()
    other.load(max(tmp_path.glob("checkpoint-*.safetensors")))
    for name, value in trained.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name], value)
    damaged = tmp_path / "damaged.safetensors"
    data = bytearray(max(tmp_path.glob("checkpoint-*.safetensors")).read_bytes())
    data[-1] ^= 1
    damaged.write_bytes(data)
    with pytest.raises(gn.DataError, match="its digest is not that"):
        other.load(damaged)


def test_a_part_of_what_lies_on_disk_is_held_back(tmp_path):
    np.save(tmp_path / "x.npy", X.astype(np.float16))
    on_disk = np.load(tmp_path / "x.npy", mmap_mode="r")
    options = {"epochs": 2, "batch_size": 7, "validation_split": 0.25, "verbose": 0}
    found = model().fit(on_disk, Y, **options)
    expected = model().fit(np.asarray(on_disk, np.float32), Y, **options)
    assert found.history == expected.history
    with pytest.raises(gn.DataError, match="there must be some of each"):
        model().fit(on_disk, Y, validation_split=0.999, verbose=0)


def test_a_table_of_rates_is_short_where_it_is_shown():
    table = model().find_lr(X, Y)
    assert repr(table).startswith(f"<RateTable of {len(table.rates)} rates from 1e-06 to ")
    assert len(repr(table)) < 120


def test_what_is_to_be_done_first():
    x = gn.Input((None, 3), name="x")
    with pytest.raises(gn.GraphError, match=r"the forward pass alone, passes='forward'"):
        gn.Model(x, gn.relu(x)).render("backprop.svg")

    class Called(nn.Module):
        def call(self, x):
            return x

    with pytest.raises(NotImplementedError, match="Called has no forward: name its method call f"):
        Called()(x)
