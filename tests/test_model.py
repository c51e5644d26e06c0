"""``gn.Model``: how it is declared, compiled, summed up, kept and drawn."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, optim
from graphnn.backends.cpu.compile import counts


def network(*widths, p=0.0):
    """Linear layers with ReLU and dropout between them."""
    layers = []
    for i, (a, b) in enumerate(pairwise(widths)):
        layers += [nn.ReLU(), nn.Dropout(p)] if i else []
        layers.append(nn.Linear(a, b))
    return nn.Sequential(*layers)


def declared(*widths, p=0.0):
    x = gn.Input((None, widths[0]), name="x")
    return gn.Model(inputs=x, outputs=network(*widths, p=p)(x))


def state_of(model):
    """What compile() sets."""
    return (
        model.optimizer, model.loss, model.targets, model.metrics, model.training,
        model._learning, model.updates,
    )  # fmt: skip


# --------------------------------------------------------------------------- compile


def test_cross_entropy_by_name_declares_its_target(rng):
    model = declared(4, 3)
    model.compile("adam", loss="cross_entropy")
    (target,) = model.targets
    assert target.name == "y"
    assert target.shape == (None,)
    assert target.dtype == "int64"
    assert isinstance(model.optimizer, optim.Adam)
    assert model.optimizer.lr == 1e-3
    X, y = rng.normal(size=(30, 4)).astype(np.float32), rng.integers(0, 3, 30)
    assert len(model.fit(X, y, epochs=5, verbose=0).history["loss"]) == 5
    model.fit({"x": X, "y": y}, verbose=0)


@pytest.mark.parametrize("name", ["mse", "mse_loss"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_mse_by_name_declares_its_target(name, dtype, rng):
    x = gn.Input((None, 4), dtype=dtype, name="x")
    model = gn.Model(x, nn.Linear(4, 2, dtype=dtype)(x))
    model.compile("sgd", loss=name)
    (target,) = model.targets
    assert (target.name, target.shape, target.dtype) == ("y", (None, 2), dtype)
    X = rng.normal(size=(30, 4)).astype(dtype)
    losses = model.fit(X, X[:, :2], epochs=50, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]


def test_the_target_of_sequences():
    """One label a place: (batch, time, classes) wants (batch, time)."""
    x = gn.Input((None, 7, 4), name="x")
    model = gn.Model(x, nn.Linear(4, 3)(x))
    model.compile(loss="cross_entropy", metrics=["accuracy"])
    assert model.targets[0].shape == (None, 7)
    history = model.fit(np.ones((6, 7, 4), np.float32), np.zeros((6, 7), int), verbose=0)
    assert 0 <= history.history["accuracy"][0] <= 1


def test_a_loss_node_brings_its_inputs_as_targets():
    x = gn.Input((None, 4), name="x")
    y, weight = gn.Input((None,), dtype="int64", name="y"), gn.Input((None,), name="weight")
    logits = nn.Linear(4, 3)(x)
    loss = gn.mean(weight * gn.cross_entropy(logits, y, reduction="none"))
    model = gn.Model(x, logits)
    model.compile("sgd", loss=loss)
    assert model.targets == (y, weight)
    X, labels = np.ones((8, 4), np.float32), np.zeros(8, int)
    history = model.fit({"x": X, "y": labels, "weight": np.zeros(8, np.float32)}, verbose=0)
    assert history.history["loss"] == [0.0]


@pytest.mark.parametrize(
    ("metrics", "names"),
    [
        ((), []),
        (["accuracy"], ["accuracy"]),
        ("accuracy", ["accuracy"]),
        (("accuracy",), ["accuracy"]),
    ],
)
def test_metrics_by_name(metrics, names):
    model = declared(4, 3)
    model.compile("sgd", metrics=metrics)
    values = model.evaluate(np.ones((5, 4), np.float32), np.array([0, 1, 2, 0, 1]))
    assert list(values) == ["loss", *names]


def test_the_mse_metric_is_the_mse_loss():
    model = declared(4, 2)
    model.compile("sgd", loss="mse", metrics=["mse"])
    values = model.evaluate(np.ones((5, 4), np.float32), np.ones((5, 2), np.float32))
    assert values["mse"] == values["loss"] > 0


def test_metrics_as_nodes(rng):
    x, y = gn.Input((None, 4), name="x"), gn.Input((None, 1), name="y")
    out = nn.Linear(4, 1)(x)
    model = gn.Model(x, out)
    metrics = {"mae": gn.mean(gn.abs(out - y)), "size": gn.mean(out * out)}
    model.compile("sgd", loss=gn.mse_loss(out, y), metrics=metrics)
    X, Y = (rng.normal(size=(9, k)).astype(np.float32) for k in (4, 1))
    values = model.evaluate(X, Y)
    predicted = model.predict(X)
    assert list(values) == ["loss", "mae", "size"]
    assert values["mae"] == pytest.approx(np.abs(predicted - Y).mean(), rel=1e-5)
    assert values["size"] == pytest.approx((predicted**2).mean(), rel=1e-5)


def test_compiling_again_starts_the_optimizer_anew_and_keeps_the_weights():
    model = declared(4, 3)
    model.compile("adam")
    X, y = np.ones((6, 4), np.float32), np.zeros(6, int)
    model.fit(X, y, verbose=0)
    kept, first = model.state_dict(), model.optimizer
    model.compile(optim.SGD(lr=0.5), loss="cross_entropy", metrics=["accuracy"])
    assert model.optimizer is not first
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, kept[name])
    assert list(model.fit(X, y, verbose=0).history) == ["loss", "accuracy"]


def test_parameters_that_are_not_trainable_stay():
    x = gn.Input((None, 2), name="x")
    scale = gn.Parameter(np.array([3.0, 4.0], np.float32), name="scale", trainable=False)
    layer = nn.Linear(2, 1)
    out = layer(x * scale)
    model = gn.Model(x, out)
    model.compile(optim.SGD(lr=0.1), loss="mse")
    before = layer.weight.value.copy()
    model.fit(np.ones((4, 2), np.float32), np.zeros((4, 1), np.float32), verbose=0)
    np.testing.assert_array_equal(scale.value, [3.0, 4.0])
    assert (layer.weight.value != before).all()
    assert "scale" in model.state_dict()


X_Y = (gn.Input((None, 4), name="x"), gn.Input((None, 3), name="z"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "adamm"}, r"optimizer is one of .*'adam', .*'sgd'.*; got 'adamm'"),
        ({"optimizer": optim.Adam}, r"optimizer is optim\.Adam\(lr=1e-3\), or a name; got <class"),
        ({"optimizer": None}, r"optimizer is optim\.Adam\(lr=1e-3\), or a name; got None"),
        (
            {"loss": "hinges"},
            r"loss is a node or one of \[.*'cross_entropy', .*'mse'.*got 'hinges'",
        ),
        ({"loss": gn.cross_entropy}, r"loss is a node or one of .*; got <function cross_entropy"),
        ({"loss": None}, r"loss is a node or one of .*; got None"),
        ({"loss": gn.mean(X_Y[1])}, "there is no trainable parameter to update"),
        ({"metrics": ["f2"]}, r"a metric is one of \['accuracy', .*'mse', .*\]; got 'f2'"),
        ({"metrics": {"f1": 1.0}}, r"metrics\['f1'\] is a node; got 1\.0"),
        ({"metrics": {"f1": X_Y[1]}}, r"metrics\['f1'\] must be a float scalar.*\(None, 3\)"),
        ({"metrics": {"sum": gn.mean(X_Y[1])}}, r"the outputs need inputs that are not given: z"),
        ({"device": "cuda"}, r"device='cuda' is not there.* never falls back silently"),
    ],
)
def test_compile_refuses_and_leaves_the_model_as_it_was(options, message):
    model = declared(4, 3)
    model.compile(optim.SGD(lr=0.1), loss="cross_entropy", metrics=["accuracy"])
    before = state_of(model)
    with pytest.raises((gn.GraphError, gn.ShapeError), match=message):
        model.compile(**{"optimizer": "sgd", "loss": "cross_entropy", **options})
    assert all(a is b or a == b for a, b in zip(state_of(model), before, strict=True))
    model.fit(np.ones((5, 4), np.float32), np.zeros(5, int), verbose=0)


def test_a_loss_that_is_no_scalar():
    model = declared(4, 3)
    with pytest.raises(
        gn.ShapeError, match=r"grad needs a scalar loss; 0\.add has shape \(None, 3\)\. Declared at"
    ):
        model.compile(loss=model.outputs[0])
    assert model.training is None


def test_names_need_one_output():
    a = gn.Input((None, 4), name="a")
    left, right = nn.Linear(4, 1)(a), nn.Linear(4, 1)(a)
    model = gn.Model(a, [left, right])
    with pytest.raises(gn.GraphError, match=r"loss='mse' needs a model with one output; it has 2"):
        model.compile(loss="mse")
    y = gn.Input((None, 1), name="y")
    with pytest.raises(gn.GraphError, match=r"metrics=\['mse'\] needs a model with one output"):
        model.compile(loss=gn.mse_loss(left + right, y), metrics=["mse"])


def test_a_metric_by_name_needs_one_target():
    x = gn.Input((None, 4), name="x")
    out = nn.Linear(4, 3)(x)
    model = gn.Model(x, out)
    a, b = (gn.Input((None,), dtype="int64", name=name) for name in "ab")
    loss = gn.cross_entropy(out, a) + gn.cross_entropy(out, b)
    with pytest.raises(
        gn.GraphError,
        match=r"metrics=\['accuracy'\] needs a loss with one target; it has a, b\. Pass metrics=\{",
    ):
        model.compile(loss=loss, metrics=["accuracy"])
    with pytest.raises(gn.GraphError, match=r"needs a loss with one target; it has none"):
        model.compile(loss=gn.mean(out * out), metrics=["accuracy"])


def test_a_model_whose_input_has_the_name_of_the_target():
    x = gn.Input((None, 4), name="y")
    model = gn.Model(x, nn.Linear(4, 3)(x))
    with pytest.raises(gn.GraphError, match=r"two inputs are named 'y': declared at test_model\.p"):
        model.compile("sgd")


def test_outputs_need_their_inputs():
    x, z = gn.Input((None, 4), name="x"), gn.Input((None, 4), name="z")
    with pytest.raises(gn.GraphError, match=r"need inputs that are not given: z \(declared at"):
        gn.Model(inputs=x, outputs=x + z)


# --------------------------------------------------------------------------- inputs, outputs


def test_one_output_is_an_array_and_several_are_a_list(rng):
    x = gn.Input((None, 4), name="x")
    h = nn.Linear(4, 3)(x)
    X = rng.normal(size=(6, 4)).astype(np.float32)
    alone = gn.Model(x, h).predict(X)
    assert isinstance(alone, np.ndarray)
    assert alone.shape == (6, 3)
    (listed,) = gn.Model([x], [h]).predict(X)
    np.testing.assert_array_equal(listed, alone)
    first, second = gn.Model(x, [h, gn.tanh(h)]).predict(X)
    np.testing.assert_array_equal(first, alone)
    np.testing.assert_allclose(second, np.tanh(alone), rtol=1e-5)


def test_inputs_without_a_batch(rng):
    """A model of fixed shapes predicts in one call."""
    x = gn.Input((3, 4), name="x")
    model = gn.Model(x, nn.Linear(4, 2)(x))
    X = rng.normal(size=(3, 4)).astype(np.float32)
    assert model.predict(X, batch_size=1).shape == (3, 2)


def test_predict_sees_the_weights_as_they_are_now():
    x = gn.Input((None, 2), name="x")
    layer = nn.Linear(2, 1, bias=False)
    model = gn.Model(x, layer(x))
    X = np.ones((3, 2), np.float32)
    layer.weight.value = [[1.0, 2.0]]
    np.testing.assert_array_equal(model.predict(X), np.full((3, 1), 3.0))
    layer.weight.value[...] = 5.0
    np.testing.assert_array_equal(model.predict(X), np.full((3, 1), 10.0))


def test_repr():
    assert repr(declared(4, 3)) == "<Model: x -> 0.add>"


# --------------------------------------------------------------------------- summary


def test_summary_counts_the_mnist_network(capsys):
    declared(784, 256, 128, 10, p=0.4).summary()
    out = capsys.readouterr().out
    assert "235,146 parameters: 235,146 trainable, 0 frozen" in out
    assert "buffers" not in out
    assert "\x1b" not in out
    rows = {}
    for line in out.splitlines():
        cells = [cell.strip() for cell in re.split(r"[│|]", line)]
        if len(cells) == 7 and cells[0].isdigit():
            rows[cells[0]] = cells[1:]
    assert {scope: (row[1], row[2]) for scope, row in rows.items()} == {
        "0": ("(None, 256)", "200,960"),
        "1": ("(None, 256)", "0"),
        "2": ("(None, 256)", "0"),
        "3": ("(None, 128)", "32,896"),
        "4": ("(None, 128)", "0"),
        "5": ("(None, 128)", "0"),
        "6": ("(None, 10)", "1,290"),
    }
    assert (rows["0"][0], rows["1"][0]) == ("Linear", "ReLU")
    assert (rows["0"][3], rows["1"][3]) == ("yes", "")
    assert max(map(len, out.splitlines())) <= 80
    assert rows["0"][4] == "401.7 k"  # 2 · 784 · 256 + 256
    assert rows["0"][5] == "2.0 KiB"  # x @ W and that + b: twice 256 numbers


def summary_rows(model, capsys):
    """Name, type, parameters and trainable of each row."""
    model.summary()
    cells = [re.split(r"\s*[│|┃]\s*", line) for line in capsys.readouterr().out.splitlines()]
    rows = [(row[0], row[1], row[3], row[4]) for row in cells if len(row) == 7]
    return [row for row in rows if row[0] != "layer"]


def test_summary_tells_unnamed_modules_apart(capsys):
    """Two siblings have one scope; functions between modules are rows of their own."""
    x = gn.Input((None, 4), name="x")
    a, b = nn.Linear(4, 3), nn.Linear(3, 2)
    model = gn.Model(x, gn.softmax(b(gn.tanh(a(x)))))
    assert summary_rows(model, capsys) == [
        ("-", "Linear", "15", "yes"),
        ("-", "tanh", "0", ""),
        ("-", "Linear", "8", "yes"),
        ("-", "softmax", "0", ""),
    ]


def test_summary_of_nested_modules_and_of_none(capsys):
    class Residual(nn.Module):
        def __init__(self):
            super().__init__(name="residual")
            self.blocks = [nn.Linear(4, 4)]

        def forward(self, x):
            return x + gn.relu(self.blocks[0](x))

    x = gn.Input((None, 4), name="x")
    assert summary_rows(gn.Model(x, Residual()(x)), capsys) == [
        ("residual.blocks.0", "Linear", "20", "yes"),
        ("residual", "Residual", "0", ""),
    ]
    w = gn.Parameter(np.ones((4, 2), np.float32), name="w")
    with gn.scope("head"):
        out = gn.tanh(x @ w)
    assert summary_rows(gn.Model(x, out * 2.0), capsys) == [
        ("head", "matmul, tanh", "8", "yes"),
        ("-", "multiply", "0", ""),
    ]


def test_summary_of_a_shared_layer_and_of_named_sizes(capsys):
    x = gn.Input((None, "T", 4), name="x")
    layer = nn.Linear(4, 4, name="shared")
    gn.Model(x, layer(gn.tanh(layer(x)))).summary()
    out = capsys.readouterr().out
    assert "20 parameters: 20 trainable, 0 frozen" in out
    assert re.search(r"shared .* 20 .*depends on T", out)


def test_summary_of_networks_that_share_names(capsys):
    x = gn.Input((None, 4), name="x")
    for names, said in ((("a", "b"), None), ((None, None), "0.weight_2 shares its name")):
        parts = [nn.Sequential(nn.Linear(4, 4), name=name) for name in names]
        gn.Model(x, parts[1](parts[0](x))).summary()
        *_, before, last = capsys.readouterr().out.splitlines()
        assert before.startswith(said) if said else last.endswith("trainable, 0 frozen")
    assert last == "nn.Sequential(..., name='encoder')"


@pytest.mark.parametrize("columns", [80, 120])
def test_summary_of_frozen_layers_and_running_statistics(columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    net = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5).freeze(), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 10),
    )  # fmt: skip
    net[9].bias.requires_grad_(False)
    x = gn.Input((None, 1, 28, 28), name="x")
    model = gn.Model(x, net(x))
    rows = summary_rows(model, capsys)
    assert [row[0] for row in rows] == [str(i) for i in range(10)]  # each layer once
    assert [row[1:] for row in rows if row[2] != "0"] == [
        ("Conv2d", "156", "yes"),
        ("BatchNorm2d", "12", "yes"),
        ("Conv2d", "2,416", "no"),
        ("BatchNorm2d", "32", "yes"),
        ("Linear", "4,010", "in part"),
    ]
    model.summary()
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= columns
    assert lines[-2:] == [
        "6,626 parameters: 4,200 trainable, 2,426 frozen",
        "46 numbers in buffers (running statistics), never trained",
    ]


# --------------------------------------------------------------------------- weights


def test_state_dict_is_that_of_the_network(rng):
    """Names of torch; the generator of the dropout masks is nobody's weight."""
    x = gn.Input((None, 4), name="x")
    net = network(4, 5, 3, p=0.5)
    model = gn.Model(x, net(x))
    found, expected = model.state_dict(), net.state_dict()
    assert list(found) == list(expected) == ["0.weight", "0.bias", "3.weight", "3.bias"]
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
    found["0.bias"][...] = 9.0  # a copy
    assert (net.state_dict()["0.bias"] != 9.0).all()


def test_load_state_dict(rng):
    first, second = declared(4, 5, 3), declared(4, 5, 3)
    X = rng.normal(size=(6, 4)).astype(np.float32)
    assert (first.predict(X) != second.predict(X)).any()
    second.load_state_dict(first.state_dict())
    assert first.predict(X).tobytes() == second.predict(X).tobytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("3.bias"), r"missing \['3\.bias'\], unknown nothing"),
        (lambda s: s.update(rng=np.zeros(2)), r"missing nothing, unknown \['rng'\]"),
        (
            lambda s: s.update({"3.bias": np.zeros(4, np.float32)}),
            r"3\.bias is float32 \(3,\), the state has float32 \(4,\)",
        ),
    ],
)
def test_load_state_dict_all_or_nothing(change, message):
    model = declared(4, 5, 3)
    before = model.state_dict()
    state = {name: array + 1 for name, array in before.items()}
    change(state)
    with pytest.raises(gn.DataError, match=message):
        model.load_state_dict(state)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_weights_loaded_between_fits_are_trained_further(rng):
    """The compiled step reads the parameters where they live: loading moves nothing."""
    X, y = rng.normal(size=(12, 4)).astype(np.float32), rng.integers(0, 3, 12)
    model = declared(4, 5, 3)
    model.compile(optim.SGD(lr=0.1))
    start = model.state_dict()
    runs = []
    for _ in range(2):
        model.load_state_dict(start)
        model.fit(X, y, epochs=3, shuffle=False, verbose=0)
        runs.append(model.state_dict())
    for name, array in runs[0].items():
        assert array.tobytes() == runs[1][name].tobytes()
        assert (array != start[name]).any()


# --------------------------------------------------------------------------- compiling little


def trained(depth):
    """A model of equal Linear+ReLU layers after two epochs with a tail."""
    model = declared(*[16] * (depth + 1))
    model.compile(optim.Adam(lr=1e-3), metrics=["accuracy"])
    X = np.random.default_rng(0).normal(size=(20, 16)).astype(np.float32)
    model.fit(X, np.arange(20) % 16, epochs=2, batch_size=8, verbose=0)
    assert all(np.isfinite(array).all() for array in model.state_dict().values())
    return model


def sources(model):
    return {kernel.source for kernel in model.training.plan.kernels}


def test_a_hundred_equal_layers_compile_no_more_than_five():
    five = trained(5)
    before = dict(counts)
    hundred = trained(100)
    assert counts["compiled"] == before["compiled"]
    assert counts["loaded"] == before["loaded"]
    assert sources(hundred) == sources(five)
    steps = len(hundred.training.plan.steps)
    assert steps > 300
    assert len(sources(hundred)) < steps / 10


def test_another_batch_size_compiles_nothing():
    model = trained(5)
    before = dict(counts)
    X, y = np.ones((50, 16), np.float32), np.zeros(50, int)
    for batch_size in (1, 3, 50):
        model.fit(X, y, batch_size=batch_size, verbose=0)
    assert dict(counts) == before


def test_declaring_compiles_nothing():
    before = dict(counts)
    x = gn.Input((None, 4), name="x")
    layer = nn.Linear(4, 3)
    gn.Model(x, gn.sin(layer(x) * 0.12345)).compile("adam")
    assert dict(counts) == before


# --------------------------------------------------------------------------- drawing

BEGINNINGS = {".svg": b"<?xml", ".png": b"\x89PNG\r\n\x1a\n", ".dot": b"digraph graphnn {"}


@pytest.mark.parametrize("passes", ["forward", "backward", "joint"])
@pytest.mark.parametrize("suffix", BEGINNINGS)
def test_render_writes_a_file(tmp_path, passes, suffix):
    model = declared(4, 5, 3, p=0.5)
    model.compile("sgd", metrics=["accuracy"])
    path = model.render(tmp_path / f"picture{suffix}", passes=passes)
    assert path == tmp_path / f"picture{suffix}"
    lines = [line for line in path.read_bytes().splitlines(True) if not line.startswith(b"//")]
    assert b"".join(lines).startswith(BEGINNINGS[suffix])
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_render_before_compile(tmp_path):
    model = declared(4, 3)
    assert model.render(tmp_path / "forward.svg", passes="forward").stat().st_size > 500
    for passes in ("backward", "joint"):
        with pytest.raises(gn.GraphError, match=r"before model\.compile\(optimizer, loss\)"):
            model.render(tmp_path / "other.svg", passes=passes)
    assert not (tmp_path / "other.svg").exists()
    model.compile("sgd")
    with pytest.raises(gn.GraphError, match=r"'forward', 'backward' or 'joint'; got 'sideways'"):
        model.render(tmp_path / "other.svg", passes="sideways")


def test_freezing_after_compile_is_not_overlooked():
    x = gn.Input((None, 2), name="x")
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    model = gn.Model(x, net(x))
    model.compile("sgd", loss="mse")
    X, Y = np.ones((8, 2), np.float32), np.zeros((8, 1), np.float32)
    model.fit(X, Y, verbose=0)
    net[0].freeze()
    with pytest.raises(gn.GraphError, match=r"0\.weight was frozen after compile.*compile.* again"):
        model.fit(X, Y, verbose=0)
    model.compile("sgd", loss="mse")
    before = net[0].weight.value.copy()
    model.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(net[0].weight.value, before)
    net[0].requires_grad_(True)
    with pytest.raises(gn.GraphError, match="was released after compile"):
        model.fit(X, Y, verbose=0)
