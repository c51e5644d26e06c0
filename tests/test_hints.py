"""Names, settings and data that are not quite right: the message says what to write."""

from __future__ import annotations

import copy
import pickle
import re

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, optim
from graphnn.backends import reference
from graphnn.hints import (
    ATTRIBUTES,
    ELSEWHERE,
    KEYWORDS,
    OF_MODEL,
    OF_MODULE,
    OF_OPTIMIZER,
    OF_PARAMETER,
    OF_SETTING,
    closest,
)

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
        (gn, "zeros", r"np\.zeros\(\.\.\., dtype=np\.float32\); gn\.zeros_like\(x\)"),
        (gn, "linspace", r"np\.linspace\(\.\.\."),
        (gn, "randn", r"Draw with NumPy"),
        (gn, "no_grad", r"Nothing is needed"),
        (gn, "save", r"model\.save\(path\) writes weights\.$"),
        (nn, "functional", r"Functions are gn\.relu"),
        (nn, "Parameter", r"Write gn\.Parameter\.$"),
        (
            nn.init,
            "kaiming_normal_",
            r"value = nn\.init\.he_normal\(layer\.weight\.shape, layout='oi'\)",
        ),
        (nn.init, "xavier_uniform_", r"nn\.init\.xavier_uniform\(layer"),
        (nn.init, "glorot_normal", r"nn\.init\.xavier_normal\(layer"),
        (nn.init, "zeros_", r"nn\.init\.zeros\(layer\.weight\.shape\)\?"),
        (nn.init, "quantum", r"'graphnn\.nn\.init' has no attribute 'quantum'\.$"),
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
    with pytest.raises(gn.GraphError, match=r"before model\.compile"):
        made.render(tmp_path / "a.svg", passes="joint")


# --------------------------------------------------------------------------- optimizers


def test_settings_of_optimizers():
    with pytest.raises(TypeError, match=r"Adam has no setting 'learning_rate'; .* mean lr=\?"):
        optim.Adam(learning_rate=1e-3)
    with pytest.raises(TypeError, match=r"SGD has no setting 'momentun'; .* mean momentum=\?"):
        optim.SGD(0.1, momentun=0.9)
    layer = nn.Linear(2, 1)
    for rule in (optim.Adam, optim.SGD):
        with pytest.raises(
            gn.GraphError, match=r"takes a number at first; got list.*updates\(loss"
        ):
            rule(layer.parameters(), lr=1e-3)
    with pytest.raises(AttributeError, match=r"Adam has no attribute 'zero_grad': gradients are"):
        optim.Adam().zero_grad()
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


# --------------------------------------------------------------------------- torch's and Keras's hands

ROWS = gn.Input((None, 20), name="x")
IMAGE = gn.Input((None, 3, 32, 32), name="image")
LAST = gn.Input((None, 32, 32, 3), name="image")  # channels last


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: gn.sum(ROWS, dim=1), r"^sum has no argument 'dim'; it takes x, axis.* mean axis=\?$"),
        (lambda: gn.mean(ROWS, 1, keepdim=True), r"mean has .* Did you mean keepdims=\?$"),
        (lambda: gn.softmax(ROWS, dim=1), r"softmax has .* Did you mean axis=\?$"),
        (lambda: gn.concat([ROWS, ROWS], dim=1), r"Did you mean axis=\?$"),
        (lambda: gn.argmax(ROWS, dim=1), r"Did you mean axis=\?$"),
        (lambda: gn.squeeze(ROWS, axis=1), r"squeeze has no argument 'axis'.* mean axes=\?$"),
        (lambda: gn.function(ROWS, ROWS, train=True), r"function has .* Did you mean training=\?$"),
        (lambda: nn.Linear(3, units=4), r"nn\.Linear has no argument 'units'.* mean out_features=\?"),
        (lambda: nn.Linear(3, 4, activation="relu"), r"'activation'; .* nn\.Sequential\(layer, nn\.ReLU"),
        (lambda: nn.Conv2d(3, 8, 3, strides=2), r"nn\.Conv2d has .* Did you mean stride=\?"),
        (lambda: nn.Dropout(rate=0.5), r"nn\.Dropout has no argument 'rate'.* Did you mean p=\?"),
        (lambda: nn.ReLU(inplace=True), r"'inplace'; it takes name\. Leave it out: the memory"),
        (lambda: nn.Linear(20, 3)(ROWS, training=True), r"Linear\.forward has .* 'training'.* chooses"),
        (lambda: model().fit(X20, LABELS, batchsize=2), r"Model\.fit has .* Did you mean batch_size=\?"),
        (lambda: model().compile("sgd", learning_rate=1), r"SGD has no setting .* Did you mean lr=\?"),
        (lambda: nn.ReLU().load_state_dict({}, strict=False), r"load_torch_state_dict\(state, strict"),
    ],
)  # fmt: skip
def test_arguments_by_other_packages_names(call, said):
    with pytest.raises(TypeError, match=said):
        call()


def test_a_type_error_of_another_kind_passes():
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        gn.sum()
    with pytest.raises(
        TypeError,
        match="sum takes x, axis, keepdims, name: x is given twice, by its name and.* as a Input",
    ):
        gn.sum(ROWS, x=ROWS)

    class Free(nn.Module):
        def __init__(self, size, **options):
            super().__init__()
            self.options = options

        def forward(self, x, **options):
            return x

    assert Free(3, anything=1).options == {"anything": 1}
    assert Free(size=3)(ROWS, more=2) is ROWS
    with pytest.raises(AttributeError, match="^Free has no attribute 'nonsense'$"):
        Free(3).nonsense  # noqa: B018
    assert pickle.loads(pickle.dumps(nn.Lambda(gn.flatten))).function is gn.flatten


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda net: net.eval(), r"^Sequential has no attribute 'eval': a graph is declared for both"),
        (lambda net: net.train(), r"a graph is declared for both phases: fit"),
        (lambda net: net.zero_grad(), r"gradients are nodes"),
        (lambda net: net.to("cuda"), r"everything runs on the CPU"),
        (lambda net: net.register_buffer("a", 1), r"gn\.Parameter\(value, trainable=False\)"),
        (lambda net: net.add(nn.ReLU()), r"net\.append\(module\)"),
        (lambda net: net[0].weight.requires_grad, r"p\.trainable says it"),
        (lambda net: setattr(net[0].weight, "requires_grad", False),
         r"requires_grad_\(False\), or freeze a whole module: net\.freeze\(\)"),
        (lambda net: setattr(net[0].weight, "trainable", False), r"Write p\.requires_grad_\(False\)"),
        (lambda net: setattr(net[0].weight, "data", 1), r"Write p\.value = array"),
        (lambda net: net[0].weight.numpy(), r"p\.value, a live view"),
        (lambda net: gn.Model(ROWS, net(ROWS)).eval(), r"^Model has no attribute 'eval': model\.eval"),
        (lambda net: gn.Model(ROWS, net(ROWS)).get_weights(), r"model\.state_dict\(\)"),
        (lambda net: gn.Model(ROWS, net(ROWS)).save_weights("a"), r"model\.save\(path\)"),
    ],
)  # fmt: skip
def test_attributes_of_modules_parameters_and_models(ask, said):
    with pytest.raises(AttributeError, match=said):
        ask(nn.Sequential(nn.Linear(20, 3)))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4096, 10))(IMAGE),
         r"got \(None, 4, 32, 32\).* Flatten it first: nn\.Flatten\(\) before the layer"),
        (lambda: nn.Linear(4096, 10)(nn.Conv2d(3, 4, 3)(IMAGE)),
         r"Flatten it first: nn\.Flatten\(\), nn\.Linear\(3600, 10\)\.$"),
        (lambda: nn.Linear(8, 2)(gn.Input((None, 5, 4))), r"Did you mean nn\.Linear\(4, 2\)\?$"),
        (lambda: nn.Linear(20, 2)(gn.Input((None, 5, 4))), r"Flatten it first: nn\.Flatten\(\) before"),
        (lambda: nn.Conv2d(3, 4, 3)(LAST),
         r"Channels come before the other axes: gn\.transpose\(x, \(0, 3, 1, 2\)\)\.$"),
        (lambda: nn.Conv2d(6, 4, 3, groups=2)(gn.Input((None, 8, 8, 6))), r"\(0, 3, 1, 2\)"),
        (lambda: nn.Conv1d(3, 4, 3)(gn.Input((None, 9, 3))), r"gn\.transpose\(x, \(0, 2, 1\)\)\.$"),
        (lambda: nn.Conv2d(5, 4, 3)(LAST), r"Did you mean a weight of shape \(4, 32, 3, 3\)\?$"),
        (lambda: nn.BatchNorm2d(3)(LAST), r"gn\.transpose\(x, \(0, 3, 1, 2\)\)\.$"),
        (lambda: nn.BatchNorm2d(8)(IMAGE), r"Did you mean nn\.BatchNorm2d\(3\)\?$"),
        (lambda: nn.BatchNorm2d(20)(ROWS), r"Did you mean nn\.BatchNorm1d\(20\)\?$"),
        (lambda: nn.InstanceNorm1d(3)(IMAGE), r"Did you mean nn\.InstanceNorm2d\(3\)\?$"),
        (lambda: nn.InstanceNorm2d(20)(ROWS), r"Declared at test_hints\.py:\d+\.$"),
        (lambda: nn.Conv2d(1, 4, 3)(ROWS), r"gn\.reshape\(x, \(-1, channels, height, width\)\)"),
        (lambda: gn.cross_entropy(IMAGE, gn.Input((None, 32, 32), "int64", name="y")),
         r"Classes come last, unlike in torch: gn\.transpose\(logits, \(0, 2, 3, 1\)\)\.$"),
        (lambda: gn.function(IMAGE, gn.sum(IMAGE))(np.zeros((2, 32, 32, 3), np.float32)),
         r"Give image\.transpose\(0, 3, 1, 2\)\.$"),
        (lambda: gn.function(LAST, gn.sum(LAST))(np.zeros((2, 3, 32, 32), np.float32)),
         r"Give image\.transpose\(0, 2, 3, 1\)\.$"),
        (lambda: gn.function(IMAGE, gn.sum(IMAGE))(np.zeros((2, 3, 32, 31), np.float32)),
         r"has 31, the input has 32 there\.$"),
        (lambda: gn.function(a := gn.Input((20,), name="a"), gn.sum(a))(X20),
         r"A batch\? Declare gn\.Input\(\(None, 20\)\)\.$"),
    ],
)  # fmt: skip
def test_shapes_of_images(call, said):
    with pytest.raises(gn.ShapeError, match=said):
        call()


def test_the_fixes_of_images_fit():
    assert nn.Conv2d(3, 4, 3)(gn.transpose(LAST, (0, 3, 1, 2))).shape == (None, 4, 30, 30)
    assert nn.BatchNorm2d(3)(gn.transpose(LAST, (0, 3, 1, 2))).shape == (None, 3, 32, 32)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(3600, 10))
    assert net(IMAGE).shape == (None, 10)
    y = gn.Input((None, 32, 32), "int64", name="y")
    assert gn.cross_entropy(gn.transpose(IMAGE, (0, 2, 3, 1)), y).shape == ()


def test_modules_are_made_before_they_are_called():
    for make in (nn.ReLU, nn.Flatten, nn.Softmax):
        with pytest.raises(gn.GraphError, match=rf"Write nn\.{make.__name__}\(\.\.\.\)\(x\)\.$"):
            make(ROWS)
    with pytest.raises(gn.GraphError, match=r"A class\? Make one of it: nn\.ReLU\(\.\.\.\)\."):
        nn.Sequential(nn.Linear(20, 3), nn.ReLU)
    with pytest.raises(gn.GraphError, match=r"x: nodes are immutable, .*gn\.where"):
        ROWS[0] = 1.0
    for block in (nn.Linear(20, 20), lambda x: x, gn.relu):
        with pytest.raises(gn.GraphError, match=r"not gn\.checkpoint\(block\)\(x\)"):
            gn.checkpoint(block)(ROWS)
    assert gn.checkpoint(lambda: gn.tanh(ROWS)).shape == (None, 20)
    with pytest.raises(TypeError, match="positional argument"):
        gn.checkpoint(lambda x: x, ROWS, ROWS)


@pytest.mark.parametrize("front", ["module.", "net."])
def test_states_whose_names_have_something_in_front(front):
    net = nn.Sequential(nn.Linear(2, 2))
    state = {front + name: array for name, array in net.state_dict().items()}
    with pytest.raises(
        gn.DataError, match=rf"Names differ by '{front}': {{name\.removeprefix\('{front}"
    ):
        net.load_state_dict(state)
    net.load_state_dict({name.removeprefix(front): v for name, v in state.items()})

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(2, 2))

    state = net.state_dict()
    with pytest.raises(gn.DataError, match=r"Names differ by 'net\.': {'net\.' \+ name: v for"):
        Outer().load_state_dict(state)
    Outer().load_state_dict({"net." + name: v for name, v in state.items()})
    with pytest.raises(gn.DataError, match=r"unknown \['a'\]\.$"):
        net.load_state_dict({"a": 1})


@pytest.mark.parametrize("dtype", [None, "float64", "int64", "bool"])
def test_values_like_a_node(dtype):
    x = gn.Input((None, 2), name="x")
    array = np.ones((3, 2), np.float32)
    made = [gn.zeros_like(x, dtype), gn.ones_like(x, dtype)]
    made.append(gn.full_like(x, True if dtype == "bool" else 7, dtype))
    wanted = [np.zeros_like(array, dtype), np.ones_like(array, dtype)]
    wanted.append(np.full_like(array, 7, dtype))
    for run in (gn.function(x, made), lambda a: reference.evaluate(made, {x: a})):
        for found, other in zip(run(array), wanted, strict=True):
            assert found.dtype == other.dtype
            np.testing.assert_array_equal(found, other)
    assert gn.function(x, gn.ones_like(x))(array[:0]).shape == (0, 2)
    with pytest.raises(gn.DTypeError, match=r"full_like: a float beside a int64 value"):
        gn.full_like(x, 0.5, "int64")


def test_what_the_tables_name_is_there():
    tables = (ATTRIBUTES, KEYWORDS, ELSEWHERE, OF_MODEL, OF_MODULE, OF_OPTIMIZER, OF_PARAMETER)
    texts = [text for table in (*tables, OF_SETTING) for text in table.values()]
    for package, own in (("gn", gn), ("nn", nn), ("optim", optim)):
        named = {n for text in texts for n in re.findall(rf"\b{package}\.(\w+)", text)}
        assert named
        assert not [name for name in named if not hasattr(own, name)]
    made, net, p = model(), nn.Sequential(), gn.Parameter([1.0])
    for name, thing in (("model", made), ("net", net), ("p", p), ("optimizer", optim.Adam())):
        named = {n for text in texts for n in re.findall(rf"\b{name}\.(\w+)", text)}
        assert not [name for name in named if not hasattr(thing, name)]
    assert not [name for name in OF_MODULE if hasattr(net, name)]
    assert not [name for name in OF_MODEL if hasattr(made, name)]
    assert not [name for name in OF_OPTIMIZER if hasattr(optim.Adam(), name)]


class Heads(nn.Module):
    """Gives a dict, or forgets to give anything."""

    def __init__(self, forgets=False):
        super().__init__()
        self.forgets = forgets
        self.a = nn.Linear(20, 3)

    def forward(self, x):
        out = {"a": self.a(x)}
        return None if self.forgets else out


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: gn.Model(ROWS, nn.Linear(20, 3)), r"got Linear\(20, 3\)\. Call the network: .*net\(x\)\)"),
        (lambda: gn.Model(nn.Linear(20, 3), ROWS), r"Call the network"),
        (lambda: gn.Model(ROWS, Heads()(ROWS)), r"Give a list: list\(outputs\.values\(\)\)"),
        (lambda: Heads(forgets=True)(ROWS), r"^Heads\.forward returned None at test_hints\.py:\d+"),
        (lambda: model().compile("sgd", nn.CrossEntropyLoss()), r"Call it, and pass the node: y ="),
        (lambda: model().compile("sgd", nn.CrossEntropyLoss), r"Call it, and pass the node"),
        (lambda: model().compile("sgd", lambda a, b: a), r"Call it, and pass the node"),
        (lambda: model().compile("sgd", gn.mean(nn.Linear(20, 3)(ROWS))),
         r"depends on no parameter of the model, such as weight \(declared at .*another network"),
        (lambda: optim.SGD(0.1).updates(gn.sum(ROWS), nn.Sequential(nn.ReLU())), r"got ReLU\(\)\. Write"),
        (lambda: optim.SGD(0.1).updates(gn.sum(ROWS), nn.ReLU()), r"a list of parameters; got ReLU\(\)"),
        (lambda: optim.SGD(0.1).updates(gn.sum(ROWS), []), r"no trainable parameter to update\.$"),
        (lambda: optim.SGD(0.1).updates(gn.sum(ROWS), nn.Linear(2, 2).freeze().parameters()),
         r"All are frozen: net\.requires_grad_\(True\) releases them\.$"),
        (lambda: gn.function(ROWS, ROWS, updates=optim.SGD(0.1)), r"updates=optimizer\.updates\(loss"),
        (lambda: gn.nll_loss(nn.Linear(20, 3)(ROWS), LABELS), r"of a log_softmax; .* is raw: .*cross_e"),
    ],
)  # fmt: skip
def test_graphs_that_are_not_what_was_meant(call, said):
    with pytest.raises(gn.GraphError, match=said):
        call()


def test_what_stays_possible():
    """A loss of a part of the model, one parameter alone, log-probabilities of any make."""
    body, head = nn.Linear(20, 4), nn.Linear(4, 3)
    made = gn.Model(ROWS, head(body(ROWS)))
    made.compile("sgd", gn.mean(gn.square(body(ROWS))))
    made.fit(X20, verbose=0)
    body.freeze()
    head.freeze()
    made.compile("sgd", gn.mean(gn.square(nn.Linear(20, 3)(ROWS))))
    p, y = gn.Parameter([1.0]), gn.Input((None,), "int64", name="y")
    assert optim.SGD(0.1).updates(gn.sum(p * p), p)[0][0] is p
    assert gn.nll_loss(gn.log_softmax(nn.Linear(20, 3)(ROWS)), y).shape == ()
    assert gn.nll_loss(gn.log(gn.softmax(nn.Linear(20, 3)(ROWS))), y).shape == ()
    assert gn.nll_loss(ROWS, y).shape == ()


def test_data_that_comes_piece_by_piece_and_weights_that_lie_the_other_way():
    made = model()
    with pytest.raises(gn.DataError, match=r"takes an array; got a generator\. Collect what comes"):
        gn.function(ROWS, gn.sum(ROWS))(X20 for _ in range(3))
    with pytest.raises(
        gn.DataError, match=r"batches bring their own targets, \(x, y\): leave y out"
    ):
        made.fit((X20 for _ in range(3)), LABELS)
    layer = nn.Linear(20, 3)
    with pytest.raises(
        gn.ShapeError, match=r"keeps its shape \(3, 20\).* Transpose it: array\.T\.$"
    ):
        layer.weight.value = np.zeros((20, 3), np.float32)
    with pytest.raises(gn.ShapeError, match=r"Declared at test_hints\.py:\d+\.$"):
        layer.weight.value = np.zeros((20, 4), np.float32)


@pytest.mark.parametrize(
    ("call", "kind", "said"),
    [
        (lambda: gn.reshape(ROWS, -1, 20), TypeError, r"Give one tuple: gn\.reshape\(x, \(-1, 20\)\)\.$"),
        (lambda: gn.transpose(IMAGE, 0, 2, 3, 1), TypeError, r"gn\.transpose\(x, \(0, 2, 3, 1\)\)"),
        (lambda: gn.dropout(ROWS, 0.5, training=True), TypeError, r"gn\.function\(.*training=True\)"),
        (lambda: gn.pad(IMAGE, (1, 2, 3, 4)), gn.ShapeError,
         r"unlike in torch: \[\(0, 0\), \(0, 0\), \(3, 4\), \(1, 2\)\]\.$"),
        (lambda: gn.pad(IMAGE, (1, 2, 3)), gn.ShapeError, r"Declared at test_hints\.py:\d+\.$"),
        (lambda: gn.clamp, AttributeError, r"Did you mean gn\.clip\?"),
        (lambda: f"{ROWS:.3f}", gn.GraphError, r"so it has no format '\.3f'"),
        (lambda: gn.Parameter([1.0]).freeze(), AttributeError, r"p\.requires_grad_\(False\)"),
        (lambda: nn.BatchNorm1d(0), gn.GraphError, r"num_features, .* got 0\. Declared at test_hints"),
        (lambda: nn.BatchNorm2d(3.5), gn.GraphError, r"nn\.BatchNorm2d: num_features.* got 3\.5"),
        (lambda: nn.Linear(3.0, 4), gn.GraphError, r"two whole numbers >= 1; got \(3\.0, 4\)"),
        (lambda: nn.Sequential({"a": nn.ReLU()}), gn.GraphError, r"Sequential\(\*modules\.values\(\)\)"),
        (lambda: nn.Linear(2, 2).load_torch_state_dict({"module.weight": X20, "module.bias": X20}),
         gn.DataError, r"Names differ by 'module\.': {name\.removeprefix"),
        (lambda: nn.Linear(2, 2).load_torch_state_dict({"weight": X20}), gn.DataError, r"strict=False to"),
        (lambda: nn.Linear(20, 64).load_torch_state_dict(
            {"weight": X20.astype("f2"), "bias": X20[:, 0]}), gn.DTypeError, r"torch\.float32\)\.$"),
        (lambda: nn.Linear(20, 64).load_torch_state_dict(
            {"weight": X20.astype("f8"), "bias": X20[:, 0]}), gn.DTypeError, r"dtype='float64'\.$"),
    ],
)  # fmt: skip
def test_more_of_torchs_hands(call, kind, said):
    with pytest.raises(kind, match=said):
        call()


def test_numpys_whole_numbers_are_sizes():
    three, four = np.int64(3), np.int32(4)
    assert repr(nn.Linear(three, four)) == "Linear(3, 4)"
    assert nn.Linear(three, four)(gn.Input((None, 3))).shape == (None, 4)
    assert nn.BatchNorm1d(three)(gn.Input((None, 3))).shape == (None, 3)
    assert nn.LayerNorm(three).weight.shape == nn.RMSNorm(three).weight.shape == (3,)
    assert nn.Conv2d(three, four, np.int64(3))(IMAGE).shape == (None, 4, 30, 30)
    assert f"{ROWS}" == str(ROWS)


def test_widths_in_torchs_order_are_written_for_numpys():
    torch = pytest.importorskip("torch")
    array = np.arange(24.0).reshape(1, 2, 3, 4)
    x = gn.Input(array.shape, "float64")
    found = gn.function(x, gn.pad(x, [(0, 0), (0, 0), (3, 4), (1, 2)]))(array)
    wanted = torch.nn.functional.pad(torch.tensor(array), (1, 2, 3, 4))
    np.testing.assert_array_equal(found, wanted)
