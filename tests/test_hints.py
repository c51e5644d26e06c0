"""Names, settings and data that are not quite right: the message says what to write."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, optim
from graphnn.hints import closest

X20 = np.zeros((64, 20), np.float32)
LABELS = np.zeros(64, int)


def model(kind="labels"):
    """A compiled model whose target is whole numbers, a column, or a row of floats."""
    x = gn.Input((None, 20), name="x")
    if kind == "labels":
        made = gn.Model(x, nn.Linear(20, 3)(x))
        made.compile("sgd")
        return made
    out = nn.Linear(20, 1)(x)
    made = gn.Model(x, out if kind == "column" else gn.sum(out, -1))
    made.compile("sgd", "mse")
    return made


# --------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("package", "name", "said"),
    [
        (gn, "Dense", r"Did you mean nn\.Linear\?"),
        (gn, "Linear", r"Did you mean nn\.Linear\?"),
        (gn, "sigmod", r"Did you mean gn\.sigmoid\?"),
        (gn, "reduce_mean", r"Did you mean gn\.mean\?"),
        (gn, "Placeholder", r"Did you mean gn\.Input\?"),
        (gn, "testing_", r"has no attribute 'testing_'\.$"),
        (gn, "__wrapped__", r"has no attribute '__wrapped__'\.$"),
        (nn, "Dense", r"Did you mean nn\.Linear\?"),
        (nn, "Relu", r"Did you mean nn\.ReLU\?"),
        (nn, "Quantum", r"module 'graphnn\.nn' has no attribute 'Quantum'\.$"),
        (optim, "Adamm", r"Did you mean optim\.Adam\?"),
    ],
)
def test_names_that_are_not_there(package, name, said):
    with pytest.raises(AttributeError, match=said):
        getattr(package, name)
    assert not hasattr(package, name)


def test_the_closest_name():
    assert closest("Conv2D", ["Conv2d", "Linear"]) == "Conv2d"
    assert closest("crossentropy", ["cross_entropy", "mse"]) == "cross_entropy"
    assert closest("banana", ["cross_entropy", "mse"]) is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"optimizer": "Adam"}, r"got 'Adam'\. Did you mean 'adam'\?"),
        ({"optimizer": optim.Adam}, r"got <class.*\. Make one: optim\.Adam\(\)\."),
        ({"loss": "crossentropy"}, r"Did you mean 'cross_entropy'\?"),
        ({"loss": "mean_squared_error"}, r"Did you mean 'mse'\?"),
        ({"loss": gn.cross_entropy}, r"Call it: gn\.cross_entropy\(output, target\)\."),
        ({"metrics": ["acc"]}, r"got 'acc'\. Did you mean 'accuracy'\?"),
    ],
)
def test_names_that_compile_takes(options, said):
    with pytest.raises(gn.GraphError, match=said):
        model().compile(**{"optimizer": "sgd", **options})


def test_render_complains_of_passes_before_compile(tmp_path):
    x = gn.Input((None, 2), name="x")
    made = gn.Model(x, nn.Linear(2, 1)(x))
    with pytest.raises(gn.GraphError, match=r"passes is 'forward', .*; got 'foo'"):
        made.render(tmp_path / "a.svg", passes="foo")
    with pytest.raises(gn.GraphError, match=r"call model\.compile"):
        made.render(tmp_path / "a.svg", passes="joint")


# --------------------------------------------------------------------------- optimizers


def test_settings_of_optimizers():
    with pytest.raises(TypeError, match=r"Adam has no setting 'learning_rate'; .* mean lr=\?"):
        optim.Adam(learning_rate=1e-3)
    with pytest.raises(TypeError, match=r"SGD has no setting 'momentun'; .* mean momentum=\?"):
        optim.SGD(0.1, momentun=0.9)
    layer = nn.Linear(2, 1)
    with pytest.raises(gn.GraphError, match=r"Adam\(lr=\.\.\.\) takes a number at first; got list"):
        optim.Adam(layer.parameters())


def test_optimizers_show_their_settings():
    assert repr(optim.SGD(0.1, momentum=0.9)) == (
        "SGD(lr=0.1, momentum=0.9, nesterov=False, weight_decay=0.0, dampening=0.0)"
    )
    adam = optim.Adam()
    adam.lr = 0.5
    assert (
        repr(adam) == "Adam(lr=0.5, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0, amsgrad=False)"
    )


# --------------------------------------------------------------------------- models


def test_a_model_is_not_called():
    with pytest.raises(gn.GraphError, match=r"model\.predict\(array\).*net\(x\)"):
        model()(X20)


@pytest.mark.parametrize("act", [copy.copy, copy.deepcopy, pickle.dumps])
def test_compiled_things_are_not_copied(act):
    made = model()
    with pytest.raises(gn.GraphError, match=r"a model is not copied or pickled.*model\.save\(path"):
        act(made)
    with pytest.raises(gn.GraphError, match="a compiled function is not copied or pickled"):
        act(made.training)


@pytest.mark.parametrize("suffix", [".h5", ".pt", ".pkl", ".npz", ".keras"])
def test_weights_under_the_suffix_of_another_format(suffix, tmp_path):
    made = model()
    with pytest.raises(gn.DataError, match=rf"w{suffix}: .*Did you mean '.*w\.safetensors'\?"):
        made.save(tmp_path / f"w{suffix}")
    assert not list(tmp_path.iterdir())
    assert made.save(tmp_path / "w.safetensors").exists()
    assert made.save(tmp_path / "weights").exists()


# --------------------------------------------------------------------------- data

SHAPES = {
    "one sample": ("labels", X20[0], r"got .* \(20,\)\. One sample\? Give x\[None\]\."),
    "one sample in a list": ("labels", X20[0].tolist(), r"One sample\? Give x\[None\]\."),
    "images": ("labels", X20.reshape(64, 4, 5), r"Give x\.reshape\(len\(x\), -1\)\."),
    "a width": ("labels", X20[:, :19], r"its axis 1 has 19, the input has 20 there\."),
    "a scalar": ("labels", 3.0, r"It needs 2 axes\."),
    "one axis too many": ("labels", X20[None], r"It needs 2 axes\."),
}
TARGETS = {
    "a column": ("labels", LABELS[:, None], r"Give y\.ravel\(\)\."),
    "one-hot": ("labels", np.eye(3, dtype=np.float32)[LABELS], r"One-hot labels\? Give their argm"),
    "one-hot whole": ("labels", np.eye(3, dtype=int)[LABELS], r"One-hot labels\? Give their argmax"),
    "a column of floats": ("row", X20[:, :1], r"Give y\.ravel\(\)\."),
    "a row": ("column", X20[:, 0], r"Give y\[\.\.\., None\]\."),
    "another count": ("labels", LABELS[:60], r"its axis 0 has 60, another input has 64 there\."),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_inputs_of_another_shape(name):
    kind, X, said = SHAPES[name]
    with pytest.raises(gn.ShapeError, match=said):
        model(kind).predict(X)


@pytest.mark.parametrize("name", TARGETS)
def test_targets_of_another_shape(name):
    kind, y, said = TARGETS[name]
    made = model(kind)
    with pytest.raises(gn.ShapeError, match=said):
        made.fit(X20, y, verbose=0)
    with pytest.raises(gn.ShapeError, match=rf"^validation_data: input y .*{said}"):
        good = LABELS if kind == "labels" else X20[:, :1] if kind == "column" else X20[:, 0]
        made.fit(X20, good, validation_data=(X20, y), verbose=0)


def test_the_fix_fits():
    """What the messages say is what works."""
    made = model()
    assert made.predict(X20[0][None]).shape == (1, 3)
    assert made.predict(X20.reshape(64, 4, 5).reshape(64, -1)).shape == (64, 3)
    made.fit(X20, LABELS[:, None].ravel(), verbose=0)
    made.fit(X20, np.eye(3)[LABELS].argmax(axis=-1), verbose=0)
    model("column").fit(X20, X20[:, 0][..., None], verbose=0)
    image = gn.Input((None, 1, 4, 5), name="x")
    with pytest.raises(gn.ShapeError, match=r"Give x\.reshape\(len\(x\), 1, 4, 5\)\."):
        gn.function(image, gn.sum(image))(X20)


def test_validation_data_of_no_form_and_of_another_dtype():
    made = model()
    with pytest.raises(gn.DataError, match=r"^validation_data is \(x, y\) or a dict"):
        made.fit(X20, LABELS, validation_data=X20)
    with pytest.raises(gn.DTypeError, match=r"^validation_data: input x is declared float32"):
        made.fit(X20, LABELS, validation_data=(X20.astype(float), LABELS))


def test_one_input_in_a_list():
    made = model()
    np.testing.assert_array_equal(made.predict([X20]), made.predict(X20))
    made.fit([X20], [LABELS], verbose=0)
    assert made.predict([X20[0]]).shape == (1, 3)  # a list of one sample, as before
    assert made.predict(X20.tolist()).shape == (64, 3)


class Table:
    """What pandas hands over: a dtype, and an array when asked."""

    def __init__(self, array):
        self.array, self.dtype = array, array.dtype

    def __array__(self, dtype=None, copy=None):
        return self.array if dtype is None else self.array.astype(dtype)


def test_a_table_is_the_array_that_it_is():
    made = model()
    np.testing.assert_array_equal(made.predict(Table(X20)), made.predict(X20))
    for wrong in (Table(X20.astype(float)), list(X20.astype(float))):
        with pytest.raises(gn.DTypeError, match=r"got an array of float64\. Convert it: array\.as"):
            made.predict(wrong)
    made.fit(Table(X20), Table(LABELS), verbose=0)


def test_a_function_takes_inputs_that_it_does_not_need():
    x, unused = gn.Input((None, 2), name="x"), gn.Input((None, 3), name="unused")
    f = gn.function([x, unused], gn.sum(x))
    assert f(np.ones((2, 2), np.float32), np.ones((2, 3), np.float32)) == 4
    with pytest.raises(gn.ShapeError, match="input unused"):
        f(np.ones((2, 2), np.float32), np.ones((2, 4), np.float32))


@pytest.mark.parametrize("package", [gn, nn, optim])
def test_every_exported_name_is_there(package):
    assert [name for name in package.__all__ if not hasattr(package, name)] == []
    assert len(set(package.__all__)) == len(package.__all__)
