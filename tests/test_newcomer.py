"""What a person brings along from NumPy, torch and Keras: it works, or it says what to write."""

from __future__ import annotations

import copy
import pickle
import re

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.hints import ATTRIBUTES, COMPOSED

X = gn.Input((None, 3), name="x")
COUNT = gn.Input((None,), dtype="uint8", name="count")
ROW = np.arange(1, 4, dtype=np.float32)


class Frame:
    """A table of another package: it has a dtype and becomes an array when asked."""

    def __init__(self, array):
        self.array = array
        self.dtype, self.shape = array.dtype, array.shape

    def __array__(self, dtype=None, copy=None):
        return self.array if dtype is None else self.array.astype(dtype)

    def __len__(self):
        return len(self.array)


# --------------------------------------------------------------------------- == and values


@pytest.mark.parametrize("other", [1, 0.5, True, ROW, np.float32(1), np.int64(0), [1, 2], (1,)])
def test_comparing_a_node_with_a_value(other):
    for compare, name in [
        (lambda a, b: a == b, "equal"),
        (lambda a, b: b == a, "equal"),
        (lambda a, b: a != b, "not_equal"),
        (lambda a, b: b != a, "not_equal"),
    ]:
        with pytest.raises(gn.GraphError, match=rf"x: .*by identity|x: np\..*gn\.{name}\(a, b\)"):
            compare(X, other)


def test_nodes_are_equal_if_they_are_one():
    z = gn.Input((None, 3), name="z")
    assert X == X
    assert (X != X) is False
    assert z != X
    assert X is not None
    assert X != "x"
    assert {X: 1, z: 2}[X] == 1
    assert X in (z, X)


@pytest.mark.parametrize("ask", [float, int, complex, np.asarray, len, range, list, bool])
def test_a_node_has_no_value(ask):
    with pytest.raises(gn.GraphError, match=r"^x (has no value|is a node).* test_newcomer\.py:\d+"):
        ask(X)


# --------------------------------------------------------------------------- NumPy


def same(node, expected):
    array = np.linspace(0.1, 2, 12).reshape(4, 3).astype(np.float32)
    found = gn.function(X, node)(array)
    np.testing.assert_allclose(found, expected(array), rtol=1e-5)
    assert found.dtype == expected(array).dtype


@pytest.mark.parametrize(
    "name",
    ["exp", "log", "sqrt", "tanh", "sin", "cos", "negative", "square", "absolute"],
)
def test_numpys_functions_of_one_node(name):
    function = getattr(np, name)
    assert isinstance(function(X), gn.Node)
    same(function(X), function)


@pytest.mark.parametrize(
    "name",
    [
        "add", "subtract", "multiply", "divide", "true_divide", "maximum", "minimum", "power",
        "greater", "greater_equal", "less", "less_equal",
    ],
)  # fmt: skip
def test_numpys_functions_of_two(name):
    function = getattr(np, name)
    same(function(X, ROW), lambda array: function(array, ROW))
    same(function(ROW, X), lambda array: function(ROW, array))


def test_arrays_beside_nodes():
    matrix = np.ones((3, 2), np.float32)
    same(ROW * X, lambda array: ROW * array)
    same(ROW - X, lambda array: ROW - array)
    same(X @ matrix, lambda array: array @ matrix)
    same(np.matmul(X, matrix), lambda array: array @ matrix)
    same(np.float32(2) * X, lambda array: 2 * array)
    same(np.float64(2) * X, lambda array: 2 * array)  # a Python float, which takes x's dtype
    same(ROW > X, lambda array: array < ROW)
    same(abs(-X), np.abs)
    same(np.rint(X), np.rint)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: np.nextafter(X, X), r"np\.nextafter takes no nodes in this way; got x, declared"),
        (lambda: np.sum(X), r"Write gn\.sum\."),
        (lambda: np.add.reduce(X), r"np\.add\.reduce .* Write gn\.sum\."),
        (lambda: np.exp(X, out=ROW), r"np\.exp .* Write gn\.exp\."),
        (lambda: np.where(X > 0, X, X), r"np\.where .* Write gn\.where\."),
        (lambda: np.fft.fft(X), r"with functions of graphnn: dir\(gn\)"),
    ],
)
def test_numpys_other_functions(call, message):
    with pytest.raises(TypeError, match=message):
        call()


def test_an_op_of_the_users_is_not_numpys():
    @gn.elementwise
    def cbrt(x):
        return x * x

    with pytest.raises(TypeError, match=r"np\.cbrt takes no nodes"):
        np.cbrt(X)


def test_remainders_and_conditions():
    same(X % 2, lambda array: array % 2)
    same(3 // X, lambda array: 3 // array)
    same(3 % X, lambda array: 3 % array)
    same(X // 0.5, lambda array: array // np.float32(0.5))
    low, high = X < 1.5, X > 0.5
    same(low & high, lambda array: (array < 1.5) & (array > 0.5))
    same(~(low | high), lambda array: ~((array < 1.5) | (array > 0.5)))
    mask = np.array([True, False, True])
    same(mask ^ low, lambda array: mask ^ (array < 1.5))
    same(np.logical_not(low & True), lambda array: ~(array < 1.5))
    same(mask & low | mask, lambda array: mask & (array < 1.5) | mask)
    with pytest.raises(gn.DTypeError, match="logical_and needs"):
        COUNT & 1


# --------------------------------------------------------------------------- attributes


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sum", r"gn\.sum\(x\)"),
        ("mean", r"gn\.mean\(x\)"),
        ("reshape", r"gn\.reshape\(x\)"),
        ("backward", r"gn\.grad\(loss, \[W, b\]\)"),
        ("detach", r"gn\.stop_gradient\(x\)"),
        ("view", r"gn\.reshape\(x, shape\)"),
        ("item", r"gn\.function\(inputs, x\)\(arrays\) computes it"),
        ("pow", r"gn\.power\(x\)"),
        ("std", r"gn\.std\(x\)"),
        ("nonsense", r"has no attribute 'nonsense'$"),
    ],
)
def test_attributes_that_others_have(name, said):
    with pytest.raises(AttributeError, match=f"a node has no attribute '{name}'.*{said}|{said}"):
        getattr(X, name)
    assert not hasattr(X, name)


def test_what_the_hints_name_is_there():
    named = {name for text in ATTRIBUTES.values() for name in re.findall(r"gn\.(\w+)", text)}
    assert len(named) > 5
    assert not [name for name in named | COMPOSED if not hasattr(gn, name)]


def test_transposes():
    same(X.T, lambda array: array.T)
    cube = gn.Input((2, None, 4))
    assert cube.T.shape == (4, None, 2)
    assert cube.mT.shape == (2, 4, None)
    assert COUNT.T is COUNT
    with pytest.raises(gn.ShapeError, match=r"count: mT needs at least two axes; got \(None,\)"):
        COUNT.mT  # noqa: B018


# --------------------------------------------------------------------------- operands


@pytest.mark.parametrize(
    ("declare", "kind", "message"),
    [
        (lambda: X + None, gn.GraphError, r"^add takes nodes, numbers and arrays; got None \(None"),
        (lambda: "a" * X, gn.GraphError, r"^multiply takes .*; got 'a' \(str\) beside x\. Declared"),
        (lambda: X * [[1], [1, 2]], gn.GraphError, r"multiply takes .* got \[\[1\], \[1, 2\]\] \(list"),
        (lambda: gn.exp("a"), gn.GraphError, r"exp takes .* got 'a' \(str\)\. Declared at test_new"),
        (lambda: X + True, gn.DTypeError, r"add: a bool beside a float32 value.* Write 1, or"),
        (lambda: (X > 0) + 1, gn.DTypeError, r"^add needs one dtype; got bool.*int64"),
        (lambda: COUNT + 256, gn.DTypeError, r"^add: count is uint8, which cannot hold 256\."),
        (lambda: COUNT - 1.5, gn.DTypeError, r"a float beside a uint8 value.*gn\.cast"),
        (lambda: X + np.ones(3), gn.DTypeError, r"add needs one dtype; got float32.*float64"),
        (lambda: X + Frame(np.ones(3)), gn.DTypeError, r"add needs one dtype; got .*float64"),
        (lambda: X @ np.ones((2, 3), "f4"), gn.ShapeError, r"^matmul needs .* Transpose b: b\.mT\."),
        (lambda: X @ np.ones((2, 5), "f4"), gn.ShapeError, r"A factor b of shape \(3, 5\) would f"),
        (lambda: gn.sum(X, axis=5), gn.ShapeError, r"^sum: axis=5 is no axis of .* from -2 to 1\.$"),
        (lambda: gn.mse_loss(X, gn.sum(X, 1)), gn.ShapeError,
         r"^mse_loss needs prediction\.shape == target\.shape"),
    ],
)  # fmt: skip
def test_operands(declare, kind, message):
    with pytest.raises(kind, match=message):
        declare()


def test_lists_are_pythons_numbers():
    same(X * [1.0, 2.0, 3.0], lambda array: array * np.float32([1, 2, 3]))
    assert (COUNT + 255).dtype == "uint8"


def test_a_table_keeps_its_dtype():
    assert gn.Constant(Frame(np.ones(3))).dtype == "float64"
    assert gn.Parameter(Frame(np.ones(3, np.float32))).dtype == "float32"


# --------------------------------------------------------------------------- parameters' values


@pytest.mark.parametrize("value", [np.ones(3), np.ones(3, int), Frame(np.ones(3)), ["a"] * 3])
def test_a_parameter_takes_no_other_dtype(value):
    p = gn.Parameter(np.zeros(3, np.float32), name="p")
    with pytest.raises(gn.DTypeError, match=r"^p: a float32 parameter .*astype\('float32'\)"):
        p.value = value
    with pytest.raises(gn.DataError, match=r"p is float32 \(3,\), the state has"):
        nn.module.load_parameters({"p": p}, {"p": value})
    np.testing.assert_array_equal(p.value, np.zeros(3))


def test_a_parameter_takes_what_fits_without_loss():
    p = gn.Parameter(np.zeros(2), name="p")
    for value in ([1, 2], (1.5, 2.5), np.float32([3, 4]), [np.float64(5), 6]):
        p.value = value
        np.testing.assert_array_equal(p.value, np.array(value, np.float64))
        nn.module.load_parameters({"p": p}, {"p": value})
        np.testing.assert_array_equal(p.value, np.array(value, np.float64))
    scalar = gn.Parameter(np.float32(0))
    scalar.value = 0.1
    assert scalar.value == np.float32(0.1)
    count = gn.Parameter(np.int64(0))
    with pytest.raises(gn.DTypeError, match="int64 parameter takes no float64"):
        count.value = 0.5


# --------------------------------------------------------------------------- copies


def test_nodes_are_not_copied():
    for act in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(
            gn.GraphError, match=r"cannot be copied or pickled.*model\.save\(path\)"
        ):
            act(X)
        with pytest.raises(gn.GraphError, match=r"cannot be copied or pickled"):
            act(gn.exp(X))


@pytest.mark.parametrize("act", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_modules_are_copied_with_parameters_of_their_own(act):
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2), name="net")
    net(X)
    other = act(net)
    before = net.state_dict()
    assert list(other.state_dict()) == list(before)
    for name, p in other.named_parameters():
        np.testing.assert_array_equal(p.value, before[name])
        p.value = np.zeros_like(p.value)
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    assert not set(net.parameters()) & set(other.parameters())
    assert gn.Graph(other(X)).parameters[0].name == "net.0.weight"


def test_copies_of_a_layer_get_places_of_their_own():
    class Deep(nn.Module):
        def __init__(self, block):
            super().__init__()
            self.first = block
            self.rest = [copy.deepcopy(block) for _ in range(2)]

        def forward(self, x):
            for block in (self.first, *self.rest):
                x = block(x)
            return x

    deep = Deep(nn.Linear(3, 3))
    names = [p.name for p in gn.Graph(deep(X)).parameters if "weight" in p.name]
    assert names == ["first.weight", "rest.0.weight", "rest.1.weight"]


def test_a_tied_parameter_stays_tied_in_a_copy():
    layer = nn.Linear(3, 3)
    layer.again = layer.weight
    other = copy.deepcopy(layer)
    assert other.again is other.weight


def test_parameters_and_constants_are_copied():
    p = gn.Parameter([1.0, 2.0], name="p", trainable=False)
    q = copy.deepcopy(p)
    assert (q.label, q.trainable, q.value.tolist()) == ("p", False, [1.0, 2.0])
    q.value = [3, 4]
    assert p.value.tolist() == [1.0, 2.0]
    c = pickle.loads(pickle.dumps(gn.Constant([1.0], name="c")))
    assert (c.label, c.array.tolist()) == ("c", [1.0])


# --------------------------------------------------------------------------- modules in lists


class Tower(nn.Module):
    """Modules in every kind of container."""

    def __init__(self, container):
        super().__init__()
        self.blocks = container([nn.Linear(3, 3), nn.Linear(3, 3)])

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x


NAMES = ["blocks.0.weight", "blocks.0.bias", "blocks.1.weight", "blocks.1.bias"]


@pytest.mark.parametrize("container", [list, tuple, nn.ModuleList, nn.Sequential])
def test_modules_in_a_list_are_found(container):
    tower = Tower(container)
    assert [name for name, _ in tower.named_parameters()] == NAMES
    assert list(tower.state_dict()) == NAMES
    assert len(tower.parameters()) == 4
    graph = gn.Graph(tower(X))
    assert [p.name for p in graph.parameters] == NAMES
    assert [n.scope for n in graph.nodes if n.op.name == "matmul"] == ["blocks.0", "blocks.1"]
    other = Tower(container)
    other.load_state_dict(tower.state_dict())
    for name, array in tower.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name], array)


def test_names_of_children():
    inner = "blocks.0=Linear(3, 3), blocks.1=Linear(3, 3)"
    assert repr(Tower(list)) == f"Tower({inner})"
    assert [name for name, _ in Tower(list).named_children()] == ["blocks.0", "blocks.1"]
    assert repr(Tower(nn.ModuleList)) == ("Tower(blocks=ModuleList(Linear(3, 3), Linear(3, 3)))")
    assert [name for name, _ in Tower(nn.ModuleList).named_children()] == ["blocks"]
    assert [name for name, _ in Tower(nn.ModuleList).named_modules()] == [
        "", "blocks", "blocks.0", "blocks.1",
    ]  # fmt: skip


@pytest.mark.parametrize("container", [list, nn.ModuleList])
def test_modules_appended_later_are_found(container):
    tower = Tower(container)
    tower.blocks.append(nn.Linear(3, 3))
    assert [p.name for p in gn.Graph(tower(X)).parameters][4:] == [
        "blocks.2.weight", "blocks.2.bias",
    ]  # fmt: skip
    assert list(tower.state_dict()) == [*NAMES, "blocks.2.weight", "blocks.2.bias"]


def test_nested_containers_and_parameters_in_them():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.heads = {"mean": [nn.Linear(3, 1)], "scale": (nn.Linear(3, 1),), 3: "no module"}
            self.scales = [gn.Parameter([1.0]), gn.Parameter([2.0])]
            self.deep = nn.ModuleList([nn.ModuleList([nn.Linear(3, 3)])])

        def forward(self, x):
            x = self.deep[0][0](x)
            mean, scale = self.heads["mean"][0](x), self.heads["scale"][0](x)
            return mean * self.scales[0] + scale * self.scales[1]

    net = Net()
    names = [
        "scales.0", "scales.1", "heads.mean.0.weight", "heads.mean.0.bias",
        "heads.scale.0.weight", "heads.scale.0.bias", "deep.0.0.weight", "deep.0.0.bias",
    ]  # fmt: skip
    assert list(net.state_dict()) == names
    assert sorted(p.name for p in gn.Graph(net(X)).parameters) == sorted(names)


def test_model_and_network_agree_on_names():
    tower = Tower(list)
    model = gn.Model(X, tower(X))
    assert list(model.state_dict()) == list(tower.state_dict())


def test_a_layer_called_past_its_owners_has_its_whole_name():
    tower = Tower(nn.Sequential)
    assert tower.blocks[1](X).scope == "blocks.1"
    shared = nn.Linear(3, 3)

    class Second(nn.Module):
        def __init__(self):
            super().__init__()
            self.own = shared

        def forward(self, x):
            return self.own(x)

    first, second = nn.Sequential(shared, name="first"), Second()
    second.place = "of no module"
    assert second(X).scope == "0"  # the first owner's name for it
    assert first(X).scope == "first.0"


def test_a_list_that_holds_itself_and_a_module_that_keeps_its_owner():
    tower = Tower(list)
    tower.blocks.append(tower.blocks)
    assert [name for name, _ in tower.named_parameters()] == NAMES
    tower.blocks.pop()
    tower.blocks[0].owner = tower
    assert tower(X).scope == "blocks.1"
    assert [name for name, _ in tower.named_parameters()] == NAMES


def test_modules_in_a_set():
    module = nn.Module()
    with pytest.raises(gn.GraphError, match="parts keeps modules in a set.*use a list"):
        module.parts = {nn.ReLU()}
    module = nn.Module()
    module.flags = {"no", "modules"}
    assert module.parameters() == []


def test_module_list_is_a_list():
    a, b, c = (nn.Linear(3, 3) for _ in range(3))
    blocks = nn.ModuleList([a]).append(b).extend([c])
    assert list(blocks) == [a, b, c]
    assert len(blocks) == 3
    assert blocks[-1] is c
    assert list(blocks[1:]) == [b, c]
    assert isinstance(blocks[1:], nn.ModuleList)
    blocks[1] = nn.ReLU()
    assert repr(blocks) == "ModuleList(Linear(3, 3), ReLU(), Linear(3, 3))"
    with pytest.raises(gn.GraphError, match=r"nn\.ModuleList takes modules; item 3 is Elementwise"):
        blocks.append(gn.relu)
    with pytest.raises(gn.GraphError, match=r"nn\.ModuleList only keeps modules: call each"):
        blocks(X)


def test_module_dict_is_a_dict():
    heads = nn.ModuleDict({"a": nn.Linear(3, 1)})
    heads["b"] = nn.ReLU()
    heads.update({"c": nn.Tanh()})
    assert list(heads) == list(heads.keys()) == ["a", "b", "c"]
    assert [key for key, _ in heads.items()] == ["a", "b", "c"]
    assert "a" in heads
    assert "d" not in heads
    assert len(heads) == len(list(heads.values())) == 3
    assert repr(heads) == "ModuleDict(a=Linear(3, 1), b=ReLU(), c=Tanh())"
    for key in ("a.b", "", 3):
        with pytest.raises(gn.GraphError, match="takes names without a point"):
            heads[key] = nn.ReLU()
    with pytest.raises(gn.GraphError, match=r"takes modules; item 'f' is Elementwise"):
        heads["f"] = gn.relu


def test_sequential_takes_a_list_as_in_keras():
    layers = [nn.Linear(3, 4), nn.ReLU()]
    for given in (layers, tuple(layers), nn.ModuleList(layers)):
        net = nn.Sequential(given)
        assert list(net) == layers
        assert repr(net) == "Sequential(Linear(3, 4), ReLU())"
    net = nn.Sequential(layers).append(nn.Linear(4, 2))
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert net[:2](X).shape == (None, 4)


def test_a_function_of_arrays_alone_is_a_node():
    array = np.float32([-1, 2])
    for made in (gn.relu(array), gn.maximum(array, 0.0), gn.sum(gn.relu(array), 0, keepdims=True)):
        assert isinstance(made, gn.Node)
        for ask in (float, np.asarray):
            with pytest.raises(gn.GraphError, match=r"Compute it: gn\.function\(\[\], x\)\(\)\.$"):
                ask(made)
    np.testing.assert_array_equal(gn.function([], gn.relu(array))(), [0, 2])
    with pytest.raises(gn.GraphError, match=r"Compute it: gn\.function\(inputs, x\)\(arrays\)"):
        float(gn.sum(X * ROW))
    assert isinstance(nn.MSELoss()(X, np.ones((1, 3), np.float32) + gn.zeros_like(X)), gn.Node)


@pytest.mark.parametrize("array", [np.ones((64, 3)), [[1.0, 2.0, 3.0]], Frame(np.ones((64, 3)))])
def test_a_module_called_with_an_array(array):
    for net in (nn.Linear(3, 2), nn.Sequential(nn.Linear(3, 2)), nn.ReLU()):
        with pytest.raises(gn.GraphError) as caught:
            net(array)
        assert f"{type(net).__name__} declares a graph from nodes; got a" in str(caught.value)
        assert "x = gn.Input((None, 3))" in str(caught.value)
        assert "predict(array)" in str(caught.value)
