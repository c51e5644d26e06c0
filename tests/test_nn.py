"""Layers: names and scopes, shapes, sharing, initial weights, dropout, and what they refuse."""

from __future__ import annotations

import inspect
import math
import re

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn


def run(node, *pairs, training=False):
    """The value of a node for (input, array) pairs."""
    inputs, arrays = zip(*pairs, strict=True) if pairs else ((), ())
    return gn.function(list(inputs), node, training=training)(*arrays)


def next_line():
    """``file:line`` of the statement below the one that calls this."""
    frame = inspect.currentframe().f_back
    return f"{frame.f_code.co_filename.rsplit('/', 1)[-1]}:{frame.f_lineno + 1}"


# --------------------------------------------------------------------------- names, scopes


class Block(nn.Module):
    """A residual block, the usual user's module: attributes, a list of options, a forward."""

    def __init__(self, width, name=None):
        super().__init__(name)
        self.scale = gn.Parameter(np.ones(width, np.float32))
        self.inner = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU())
        self.outer = nn.Linear(2 * width, width, bias=False)
        self.slope = 0.5

    def forward(self, x):
        return x + self.scale * self.outer(self.inner(x))


def ops_of(node):
    return [n for n in gn.Graph(node).nodes if n.inputs]


def test_sequential_scopes_are_numbers():
    x = gn.Input((None, 4), name="x")
    y = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))(x)
    assert [(n.scope, n.op.name) for n in ops_of(y)] == [
        ("0", "matmul"), ("0", "add"), ("1", "relu"), ("2", "matmul"), ("2", "add"),
    ]  # fmt: skip
    assert [p.name for p in gn.Graph(y).parameters] == [
        "0.weight", "0.bias", "2.weight", "2.bias",
    ]  # fmt: skip
    assert {n.role for n in gn.Graph(y).nodes} == {"forward"}


def test_a_name_is_a_scope_around_everything():
    x = gn.Input((None, 4), name="x")
    net = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2, name="head"), name="encoder")
    with gn.scope("model"):
        y = net(x)
    assert {n.scope for n in ops_of(y)} == {"model.encoder.0", "model.encoder.head"}
    assert [p.name for p in gn.Graph(y).parameters] == [
        "model.encoder.0.weight", "model.encoder.0.bias",
        "model.encoder.head.weight", "model.encoder.head.bias",
    ]  # fmt: skip


def test_a_subclassed_module_names_by_attributes():
    x = gn.Input((None, 4), name="x")
    block = Block(4)
    y = block(x)
    expected = ["scale", "inner.0.weight", "inner.0.bias", "outer.weight"]
    assert [name for name, _ in block.named_parameters()] == expected
    assert sorted(p.name for p in gn.Graph(y).parameters) == sorted(expected)
    assert {n.scope for n in ops_of(y)} == {"", "inner.0", "inner.1", "outer"}
    assert [name for name, _ in block.named_children()] == ["inner", "outer"]


def test_a_named_block_in_a_block():
    class Two(nn.Module):
        def __init__(self):
            super().__init__("net")
            self.first, self.second = Block(4), Block(4, name="last")

        def forward(self, x):
            return self.second(self.first(x))

    x = gn.Input((None, 4), name="x")
    names = {p.name for p in gn.Graph(Two()(x)).parameters}
    assert {"net.first.inner.0.weight", "net.last.outer.weight"} < names


def test_two_nameless_layers_have_distinct_names_in_a_graph():
    x = gn.Input((None, 4), name="x")
    y = nn.Linear(4, 4)(nn.Linear(4, 4)(x))
    graph = gn.Graph(y)
    names = [graph.names()[p] for p in graph.parameters]
    assert len(set(names)) == 4


def test_state_dict_has_the_names_of_torch():
    net = nn.Sequential(
        nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Dropout(0.5),
        nn.Sequential(nn.Linear(3, 3), nn.Tanh()), nn.Linear(3, 2, bias=False),
    )  # fmt: skip
    shapes = {name: array.shape for name, array in net.state_dict().items()}
    assert shapes == {
        "1.weight": (3, 4), "1.bias": (3,), "4.0.weight": (3, 3), "4.0.bias": (3,),
        "5.weight": (2, 3),
    }  # fmt: skip


@pytest.mark.torch
def test_state_dict_loads_into_torch_and_back(rng):
    torch = pytest.importorskip("torch", reason="compares with PyTorch: install graphnn[torch]")
    t = torch.nn
    net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Sequential(nn.Linear(3, 3), nn.Sigmoid()))
    peer = t.Sequential(t.Linear(4, 3), t.ReLU(), t.Sequential(t.Linear(3, 3), t.Sigmoid()))
    assert list(net.state_dict()) == list(peer.state_dict())
    net.load_state_dict({name: value.numpy() for name, value in peer.state_dict().items()})
    x = gn.Input((None, 4), name="x")
    array = rng.normal(size=(5, 4)).astype(np.float32)
    expected = peer(torch.from_numpy(array)).detach().numpy()
    np.testing.assert_allclose(run(net(x), (x, array)), expected, rtol=1e-5, atol=1e-6)


def test_state_dict_holds_copies():
    layer = nn.Linear(2, 2)
    layer.state_dict()["weight"][...] = 7
    assert (layer.weight.value != 7).all()


# --------------------------------------------------------------------------- shapes, values


def test_linear_is_x_wt_plus_b(rng):
    x = gn.Input((None, 5), name="x")
    layer = nn.Linear(5, 3)
    assert layer.weight.shape == (3, 5)
    assert layer.bias.shape == (3,)
    y = layer(x)
    assert y.shape == (None, 3)
    assert y.dtype == "float32"
    array = rng.normal(size=(4, 5)).astype(np.float32)
    expected = array @ layer.weight.value.T + layer.bias.value
    np.testing.assert_allclose(run(y, (x, array)), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(5,), (None, 5), (None, 7, 5), (2, None, 7, 5), ("T", 5)])
def test_linear_keeps_all_axes_but_the_last(shape, rng):
    x = gn.Input(shape, name="x")
    layer = nn.Linear(5, 3)
    y = layer(x)
    assert y.spec.shape == (*x.spec.shape[:-1], 3)
    array = rng.normal(size=[d if isinstance(d, int) else 2 for d in shape]).astype(np.float32)
    expected = array @ layer.weight.value.T + layer.bias.value
    np.testing.assert_allclose(run(y, (x, array)), expected, rtol=1e-5, atol=1e-6)


def test_linear_without_bias():
    layer = nn.Linear(2, 3, bias=False)
    assert layer.bias is None
    assert list(layer.state_dict()) == ["weight"]
    x = gn.Input((None, 2), name="x")
    assert not run(layer(x), (x, np.zeros((4, 2), np.float32))).any()


def test_float64_layers(rng):
    x = gn.Input((None, 5), dtype="float64", name="x")
    layer = nn.Linear(5, 3, dtype="float64")
    y = nn.Sequential(layer, nn.Tanh(), nn.Dropout(0.5), nn.LogSoftmax())(x)
    assert {layer.weight.dtype, layer.bias.dtype, y.dtype} == {"float64"}
    array = rng.normal(size=(4, 5))
    z = np.tanh(array @ layer.weight.value.T + layer.bias.value)
    expected = z - np.log(np.exp(z).sum(-1, keepdims=True))
    np.testing.assert_allclose(run(y, (x, array)), expected, rtol=1e-12)
    # The weights were drawn in float64, not widened from float32.
    assert (layer.weight.value.astype(np.float32) != layer.weight.value).any()


def _softmax(z, axis):
    powers = np.exp(z - z.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


@pytest.mark.parametrize(
    ("module", "formula"),
    [
        (nn.Identity(), lambda z: z),
        (nn.ReLU(), lambda z: np.maximum(z, 0)),
        (nn.Sigmoid(), lambda z: 1 / (1 + np.exp(-z))),
        (nn.Tanh(), np.tanh),
        (nn.Softmax(), lambda z: _softmax(z, -1)),
        (nn.Softmax(dim=1), lambda z: _softmax(z, 1)),
        (nn.LogSoftmax(), lambda z: np.log(_softmax(z, -1))),
        (nn.LogSoftmax(1), lambda z: np.log(_softmax(z, 1))),
    ],
    ids=lambda value: repr(value) if isinstance(value, nn.Module) else "",
)
def test_activations(module, formula, rng):
    x = gn.Input((None, 3, 4), name="x")
    y = module(x)
    assert y.shape == (None, 3, 4)
    array = rng.normal(size=(5, 3, 4)).astype(np.float32) * 3
    np.testing.assert_allclose(
        run(y, (x, array)), formula(array.astype(np.float64)), rtol=1e-5, atol=1e-6
    )
    assert module.parameters() == []


@pytest.mark.parametrize(
    ("shape", "start", "expected"),
    [
        ((None, 1, 28, 28), 1, (None, 784)),
        ((None, 2, 3, 4), 2, (None, 2, 12)),
        ((None, 5), 1, (None, 5)),
        ((None,), 1, (None, 1)),
        ((2, 3, 4), 0, (24,)),
    ],
)
def test_flatten(shape, start, expected, rng):
    x = gn.Input(shape, name="x")
    y = nn.Flatten(start)(x)
    assert y.shape == expected
    array = rng.normal(size=[6 if d is None else d for d in shape]).astype(np.float32)
    flat = array.reshape([6 if d is None else d for d in expected])
    np.testing.assert_array_equal(run(y, (x, array)), flat)


# --------------------------------------------------------------------------- containers, sharing


def test_sequential_is_a_sequence():
    a, b = nn.Linear(4, 3), nn.ReLU()
    net = nn.Sequential(a, b)
    assert len(net) == 2
    assert list(net) == [a, b]
    assert net[0] is a
    assert net[-1] is b
    with pytest.raises(IndexError):
        net[2]


def test_an_empty_sequential_is_the_identity():
    x = gn.Input((None, 4), name="x")
    assert nn.Sequential()(x) is x


def test_calling_twice_shares_parameters():
    x, z = gn.Input((None, 3), name="x"), gn.Input((None, 3), name="z")
    layer = nn.Linear(3, 2)
    loss = gn.sum(layer(x)) + 2.0 * gn.sum(layer(z))
    assert set(gn.Graph(loss).parameters) == {layer.weight, layer.bias}
    gradient = gn.function([x, z], gn.grad(loss, layer.weight))
    ones = np.ones((4, 3), np.float32)
    np.testing.assert_array_equal(gradient(ones, ones), np.full((2, 3), 4.0 + 8.0, np.float32))


def test_a_shared_layer_keeps_its_first_name():
    x = gn.Input((None, 3), name="x")
    layer = nn.Linear(3, 3)
    net = nn.Sequential(layer, nn.ReLU(), layer)
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias"]
    assert len(net.parameters()) == 2
    assert [p.name for p in gn.Graph(net(x)).parameters] == ["0.weight", "0.bias"]


def test_a_parameter_of_two_modules_is_listed_once():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.encode, self.decode = nn.Linear(3, 3), nn.Linear(3, 3)
            self.decode.weight = self.encode.weight

        def forward(self, x):
            return self.decode(self.encode(x))

    tied = Tied()
    names = [name for name, _ in tied.named_parameters()]
    assert names == ["encode.weight", "encode.bias", "decode.bias"]
    assert set(gn.Graph(tied(gn.Input((None, 3)))).parameters) == set(tied.parameters())


def test_load_state_dict_round_trip():
    a, b = Block(3), Block(3)
    assert (a.outer.weight.value != b.outer.weight.value).any()
    b.load_state_dict(a.state_dict())
    for name, array in a.state_dict().items():
        np.testing.assert_array_equal(b.state_dict()[name], array)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("outer.weight"), r"missing \['outer.weight'\], unknown nothing"),
        (lambda s: s.update(extra=np.ones(2)), r"missing nothing, unknown \['extra'\]"),
        (
            lambda s: s.update({"outer.weight": np.ones((3, 5), np.float32)}),
            r"outer\.weight is float32 \(3, 6\), the state has float32 \(3, 5\)",
        ),
        (
            lambda s: s.update({"outer.weight": np.full((3, 6), "w")}),
            r"outer\.weight is float32 \(3, 6\), the state has <U1 \(3, 6\)",
        ),
        (
            lambda s: s.update({"outer.weight": np.ones((3, 6), np.complex64)}),
            r"outer\.weight is float32 \(3, 6\), the state has complex64",
        ),
    ],
    ids=["missing", "unknown", "shape", "text", "complex"],
)
def test_load_state_dict_all_or_nothing(change, message):
    block = Block(3)
    before = block.state_dict()
    state = {name: array + 1 for name, array in before.items()}
    change(state)
    with pytest.raises(gn.DataError, match=message):
        block.load_state_dict(state)
    for name, array in block.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


# --------------------------------------------------------------------------- initial weights

SHAPE = (400, 300)  # (in, out); 120,000 draws: the standard error of a standard deviation is 0.2 %


@pytest.mark.parametrize(
    ("draw", "std", "bound"),
    [
        (nn.init.uniform, 0.1 / math.sqrt(12), 0.05),
        (nn.init.normal, 0.05, None),
        (nn.init.xavier_uniform, math.sqrt(2 / 700), math.sqrt(6 / 700)),
        (nn.init.xavier_normal, math.sqrt(2 / 700), None),
        (nn.init.he_uniform, math.sqrt(2 / 400), math.sqrt(6 / 400)),
        (nn.init.he_normal, math.sqrt(2 / 400), None),
    ],
)
def test_statistics_of_initial_weights(draw, std, bound):
    values = draw(SHAPE, seed=3)
    assert values.shape == SHAPE
    assert values.dtype == np.float32
    assert abs(values.mean()) < 4 * std / math.sqrt(values.size)
    assert values.std() == pytest.approx(std, rel=0.01)
    kurtosis = np.mean((values / std) ** 4)
    if bound is None:
        assert kurtosis == pytest.approx(3.0, rel=0.03)  # Gaussian
    else:
        assert kurtosis == pytest.approx(1.8, rel=0.03)  # uniform
        assert np.abs(values).max() <= np.float32(bound)
        assert np.abs(values).max() > 0.99 * bound


def test_init_settings():
    np.testing.assert_array_equal(nn.init.zeros((2, 3)), np.zeros((2, 3)))
    np.testing.assert_array_equal(nn.init.constant((2, 3), 1.5), np.full((2, 3), 1.5))
    drawn = nn.init.uniform((10_000,), 2.0, 5.0, seed=1)
    assert 2.0 <= drawn.min() < 2.01 < 4.99 < drawn.max() <= 5.0
    drawn = nn.init.normal((10_000,), mean=-3.0, std=0.5, seed=1)
    assert drawn.mean() == pytest.approx(-3.0, abs=0.02)
    assert drawn.std() == pytest.approx(0.5, rel=0.03)
    one, two = (nn.init.xavier_normal(SHAPE, gain=g, seed=1, dtype="float64") for g in (1, 2))
    np.testing.assert_allclose(two, 2 * one)
    gained = nn.init.he_normal(SHAPE, gain=1.0, seed=1)
    assert gained.std() == pytest.approx(math.sqrt(1 / 400), rel=0.01)


@pytest.mark.parametrize(
    ("shape", "layout", "expected"),
    [
        ((784, 256), None, (784, 256)),  # x @ W
        ((784, 256), "oi", (256, 784)),  # nn.Linear
        ((32, 3, 5, 5), None, (75, 800)),  # (out, in, height, width)
        ((3, 32, 5, 5), "io", (75, 800)),
        ((8, 4, 3), None, (12, 24)),
    ],
)
def test_fans(shape, layout, expected):
    assert nn.init.fans(shape, layout) == expected


def test_layout_decides_the_fan_in():
    assert nn.init.he_uniform((100, 400), seed=0, layout="oi").std() == pytest.approx(
        math.sqrt(2 / 400), rel=0.02
    )


@pytest.mark.parametrize("draw", [nn.init.xavier_uniform, nn.init.he_normal])
def test_fans_of_a_vector(draw):
    with pytest.raises(gn.ShapeError, match=r"at least two axes; got \(5,\)"):
        draw((5,))


def test_init_dtypes():
    assert nn.init.normal((3,), dtype="float64").dtype == np.float64
    assert nn.init.zeros((3,), "float64").dtype == np.float64
    with pytest.raises(gn.DTypeError, match="dtype must be one of float32, float64"):
        nn.init.normal((3,), dtype="float16")


def test_seeds():
    np.testing.assert_array_equal(nn.init.normal((9,), seed=5), nn.init.normal((9,), seed=5))
    assert (nn.init.normal((9,), seed=5) != nn.init.normal((9,), seed=6)).all()
    # Without a seed each call draws fresh numbers...
    assert (nn.init.normal((9,)) != nn.init.normal((9,))).all()
    # ...which follow from gn.set_seed.
    runs = []
    for seed in (1, 1, 2):
        gn.set_seed(seed)
        runs.append([nn.init.normal((9,)), nn.init.uniform((9,))])
    np.testing.assert_array_equal(runs[0], runs[1])
    assert (np.array(runs[0]) != np.array(runs[2])).all()


def test_layers_repeat_after_set_seed():
    gn.set_seed(7)
    first = Block(8).state_dict()
    second = Block(8).state_dict()
    gn.set_seed(7)
    again = Block(8).state_dict()
    for name in ("inner.0.weight", "inner.0.bias", "outer.weight"):
        np.testing.assert_array_equal(again[name], first[name])
        assert (first[name] != second[name]).any()


def test_linear_starts_as_in_torch():
    """Weight and bias uniform over ±1/√in."""
    layer = nn.Linear(400, 300)
    bound = 1 / 20
    for values in (layer.weight.value, layer.bias.value):
        assert np.abs(values).max() <= np.float32(bound)
        assert np.abs(values).max() > 0.95 * bound
    assert layer.weight.value.std() == pytest.approx(bound / math.sqrt(3), rel=0.01)
    assert abs(layer.weight.value.mean()) < 4 * bound / math.sqrt(3 * 120_000)
    assert layer.bias.value.std() == pytest.approx(bound / math.sqrt(3), rel=0.1)


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, True, "one"])
def test_bad_seeds(seed):
    with pytest.raises(gn.GraphError, match=r"a seed is a whole number in \[0, 2\*\*63\)"):
        gn.set_seed(seed)


# --------------------------------------------------------------------------- dropout


def dropped(p, shape, training=True, **options):
    """A compiled dropout of ones: (y, dy/dx weighted with 3) a call."""
    x = gn.Input(shape, name="x", **options)
    y = nn.Dropout(p)(x)
    return gn.function(x, [y, gn.grad(gn.sum(y * 3.0), x)], training=training)


@pytest.mark.parametrize("p", [0.1, 0.4, 0.5, 0.9])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dropout_statistics(p, dtype):
    call = dropped(p, (None, 250), dtype=dtype)
    y, _ = call(np.ones((400, 250), dtype))
    assert y.dtype == dtype
    kept = y != 0
    np.testing.assert_array_equal(y[kept], np.array(1 / (1 - p), dtype))
    deviation = math.sqrt(p * (1 - p) / y.size)
    assert abs(kept.mean() - (1 - p)) < 4 * deviation
    assert y.mean() == pytest.approx(1.0, abs=4 * deviation / (1 - p))
    # No row, column or neighbour knows of another.
    for axis in (0, 1):
        spread = kept.mean(axis).std()
        assert spread == pytest.approx(math.sqrt(p * (1 - p) / kept.shape[axis]), rel=0.25)
        left = kept.take(range(kept.shape[axis] - 1), axis).ravel()
        right = kept.take(range(1, kept.shape[axis]), axis).ravel()
        assert abs(np.corrcoef(left, right)[0, 1]) < 4 / math.sqrt(left.size)


def test_dropout_backward_uses_the_same_mask():
    call = dropped(0.3, (None, 50))
    y, dx = call(np.ones((20, 50), np.float32))
    assert 0 < (y == 0).sum() < y.size
    np.testing.assert_array_equal(dx, 3 * y)


def test_dropout_is_the_identity_in_inference(rng):
    call = dropped(0.5, (None, 50), training=False)
    x = rng.normal(size=(20, 50)).astype(np.float32)
    y, dx = call(x)
    assert y.tobytes() == x.tobytes()
    np.testing.assert_array_equal(dx, np.full_like(x, 3))


def test_dropout_draws_a_new_mask_each_call_and_repeats_after_set_seed():
    call = dropped(0.5, (None, 64))
    ones = np.ones((4, 64), np.float32)
    gn.set_seed(11)
    first = [call(ones)[0] for _ in range(3)]
    gn.set_seed(11)
    again = [call(ones)[0] for _ in range(3)]
    gn.set_seed(12)
    other = call(ones)[0]
    np.testing.assert_array_equal(first, again)
    for a, b in [(0, 1), (0, 2), (1, 2)]:
        assert (first[a] != first[b]).any()
    assert (other != first[0]).any()


def test_two_dropouts_draw_different_masks():
    x = gn.Input((None, 64), name="x")
    layer = nn.Dropout(0.5)
    one, two = run([layer(x), layer(x)], (x, np.ones((8, 64), np.float32)), training=True)
    agree = (one == two).mean()
    assert 0.3 < agree < 0.7


def test_dropout_masks_do_not_depend_on_the_size_of_the_batch():
    """Sample i of a step has the same mask, whatever comes after it."""
    call = dropped(0.5, (None, 33))
    gn.set_seed(3)
    large, _ = call(np.ones((9, 33), np.float32))
    gn.set_seed(3)
    small, _ = call(np.ones((5, 33), np.float32))
    np.testing.assert_array_equal(large[:5], small)


def test_inference_does_not_advance_the_generator():
    train, ask = dropped(0.5, (None, 64)), dropped(0.5, (None, 64), training=False)
    ones = np.ones((4, 64), np.float32)
    gn.set_seed(1)
    expected = [train(ones)[0] for _ in range(2)]
    gn.set_seed(1)
    found = [train(ones)[0]]
    ask(ones)
    found.append(train(ones)[0])
    np.testing.assert_array_equal(found, expected)


def test_dropout_of_nothing():
    x = gn.Input((None, 3), name="x")
    assert nn.Dropout(0.0)(x) is x


@pytest.mark.parametrize("p", [1.0, -0.1, 1.5, float("nan")])
def test_bad_p(p):
    with pytest.raises(gn.GraphError, match=rf"nn\.Dropout needs 0 <= p < 1; got p={p}"):
        nn.Dropout(p)
    with pytest.raises(gn.GraphError, match=rf"dropout needs 0 <= p < 1; got p={p}"):
        gn.dropout(gn.Input((3,)), p)


# --------------------------------------------------------------------------- errors, repr


def test_linear_teaches():
    x = gn.Input((None, 100), name="x")
    net = nn.Sequential(nn.Linear(784, 32), nn.ReLU(), name="encoder")
    with pytest.raises(gn.ShapeError) as caught:
        here = next_line()
        net(x)
    assert str(caught.value) == (
        "encoder.0: Linear needs x.shape[-1] == in_features; got (None, 100) @ weightᵀ of weight "
        f"(32, 784). Declared at {here}. Did you mean nn.Linear(100, 32)?"
    )


def test_linear_without_a_name_teaches_too():
    with pytest.raises(gn.ShapeError, match=r"^linear: .* got \(\) .* mean nn\.Linear\(1, 2\)\?$"):
        nn.Linear(5, 2)(gn.Input((), name="x"))


def test_linear_of_another_dtype():
    x = gn.Input((None, 4), name="x")
    with pytest.raises(
        gn.DTypeError, match=r"got float32 \(None, 4\) @ float64 \(2, 4\) for 'x' and 'weight'"
    ):
        nn.Linear(4, 2, dtype="float64")(x)
    with pytest.raises(gn.DTypeError, match="dtype must be one of"):
        nn.Linear(4, 2, dtype="float16")


@pytest.mark.parametrize("sizes", [(0, 3), (3, -1), (2.0, 3), (True, 3), ("3", 3), (None, 3)])
def test_linear_takes_whole_numbers(sizes):
    said = re.escape(f"nn.Linear takes two whole numbers >= 1; got {sizes!r}")
    with pytest.raises(gn.GraphError, match=said):
        nn.Linear(*sizes)


def test_sequential_takes_modules():
    with pytest.raises(
        gn.GraphError, match=r"takes modules; item 1 is Elementwise\. .* A function\?"
    ):
        nn.Sequential(nn.Linear(2, 2), gn.relu)


def test_a_module_without_super_init():
    class Careless(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(2, 2)

        def forward(self, x):
            return self.layer(x)

    with pytest.raises(gn.GraphError, match=r"Careless\.__init__ must call super\(\)\.__init__"):
        Careless()(gn.Input((None, 2)))


def test_a_module_without_forward():
    class Empty(nn.Module):
        pass

    with pytest.raises(NotImplementedError, match="Empty has no forward"):
        Empty()(gn.Input((None, 2)))


@pytest.mark.parametrize("start", [3, -3])
def test_flatten_teaches(start):
    said = rf"flatten: start={start} is no axis of x, which has shape \(None, 2\)\. Declared at t"
    with pytest.raises(gn.ShapeError, match=said):
        nn.Flatten(start)(gn.Input((None, 2), name="x"))


def test_repr():
    net = nn.Sequential(
        nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Dropout(0.4), nn.Linear(3, 2, bias=False)
    )
    assert repr(net) == (
        "Sequential(Flatten(), Linear(4, 3), ReLU(), Dropout(0.4), Linear(3, 2, bias=False))"
    )
    assert repr(Block(2)) == (
        "Block(inner=Sequential(Linear(2, 4), ReLU()), outer=Linear(4, 2, bias=False))"
    )
