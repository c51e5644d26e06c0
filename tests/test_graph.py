"""Declaring a graph: operators, names, the user's line, and errors that teach."""

from __future__ import annotations

import inspect
import itertools
import operator
import re

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphnn as gn
from graphnn.backends import reference
from graphnn.context import role
from graphnn.errors import DTypeError, GraphError, GraphnnError, ShapeError
from graphnn.graph import needed
from graphnn.node import as_node, rebuilt


def next_line() -> int:
    """The number of the line after the one that calls."""
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno + 1


def classifier() -> tuple[gn.Node, list[gn.Parameter]]:
    """Two layers in a scope, cross-entropy: the graph of the golden files."""
    x = gn.Input((None, 4), name="x")
    y = gn.Input((None,), "int64", name="y")
    with gn.scope("encoder"):
        W = gn.Parameter(np.zeros((3, 4), np.float32), name="W")
        b = gn.Parameter(np.zeros(3, np.float32), name="b")
        h = gn.relu(x @ gn.transpose(W) + b)
    V = gn.Parameter(np.zeros((3, 2), np.float32), name="V")
    return gn.cross_entropy(h @ V, y), [W, b, V]


# -------------------------------------------------------------------------------- operators

BINARY = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.pow,
    operator.gt,
    operator.lt,
    operator.ge,
    operator.le,
]


@pytest.mark.parametrize("op", BINARY, ids=lambda op: op.__name__)
@pytest.mark.parametrize(
    "other", ["node", "number", "array", "reflected number", "reflected array"]
)
def test_operators_are_numpys(op, other, rng):
    """On nodes, numbers and arrays, from either side."""
    a = rng.uniform(0.5, 2, (3, 4)).astype(np.float32)
    b = rng.uniform(0.5, 2, (3, 4)).astype(np.float32)
    x, y = gn.Input((3, 4), name="x"), gn.Input((3, 4), name="y")
    cases = {
        "node": (op(x, y), op(a, b)),
        "number": (op(x, 1.5), op(a, np.float32(1.5))),
        "array": (op(x, b), op(a, b)),
        "reflected number": (op(1.5, x), op(np.float32(1.5), a)),
        "reflected array": (op(b, x), op(b, a)),
    }
    node, expected = cases[other]
    assert isinstance(node, gn.Node)
    assert node.dtype == expected.dtype.name
    given = {n: v for n, v in ((x, a), (y, b)) if n in needed([node])}
    np.testing.assert_allclose(reference.evaluate(node, given), expected, rtol=1e-6)


def test_matmul_and_negation(rng):
    a, b = rng.standard_normal((3, 4)), rng.standard_normal((4, 2))
    x = gn.Input((3, 4), "float64")
    for node, expected in [(x @ b, a @ b), (b.T @ gn.transpose(x), b.T @ a.T), (-x, -a)]:
        np.testing.assert_allclose(reference.evaluate(node, {x: a}), expected)


def test_numbers_take_the_dtype_of_the_node_beside_them():
    for dtype in ("float32", "float64"):
        x = gn.Input((2,), dtype)
        assert {(x + 1).dtype, (2.5 * x).dtype, (x**2).dtype, (1 - x).dtype} == {dtype}
    count = gn.Input((2,), "int64")
    assert (count + 1).dtype == "int64"
    assert gn.where(count > 0, count, 0).dtype == "int64"
    assert gn.where(gn.Input((2,), "bool"), gn.Input((2,), "float64"), 0.5).dtype == "float64"


def test_a_node_of_a_node_is_the_node():
    x = gn.Input((2,))
    assert as_node(x) is x
    assert gn.reshape(x, (2,)) is x
    assert gn.broadcast_to(x, (2,)) is x
    assert gn.transpose(x) is x
    assert gn.cast(x, "float32") is x
    assert gn.dropout(x, 0.0) is x


# ---------------------------------------------------------------------- names, scopes, lines


def test_names_and_scopes():
    with gn.scope("encoder"), gn.scope("layer.0"):
        x = gn.Input((None, 3), name="x")
        y = gn.relu(x)
        z = gn.relu(x, name="z")
    assert (x.scope, x.label, x.name) == ("encoder.layer.0", "x", "encoder.layer.0.x")
    assert y.name == "encoder.layer.0.relu"
    assert z.name == "encoder.layer.0.z"
    assert gn.relu(x).name == "relu"


def test_a_scope_ends_with_an_error():
    with pytest.raises(RuntimeError), gn.scope("inside"):
        raise RuntimeError
    assert gn.Input((), name="x").name == "x"


@given(st.lists(st.sampled_from(["h", "h_2", "h_3", "h_2_2", None]), max_size=7))
def test_names_in_a_graph_are_unique(labels):
    x = gn.Input((), name="x")
    graph = gn.Graph([gn.relu(x, name=label) for label in labels])
    names = graph.names()
    assert len(set(names.values())) == len(graph.nodes)
    assert len(graph.to_networkx()) == len(graph.nodes)


def test_each_node_knows_the_users_line():
    line = next_line()
    x = gn.Input((None, 3), name="x")
    assert (x.origin.file, x.origin.line) == (__file__, line)
    line = next_line()
    loss = gn.cross_entropy(x, gn.Input((None,), "int64"))
    assert {str(node.origin) for node in needed([loss])} == {
        f"test_graph.py:{line - 3}",
        f"test_graph.py:{line}",
    }
    line = next_line()
    gradient = gn.grad(loss, x)
    assert gradient.origin.line == line
    line = next_line()
    weight = gn.Parameter([1.0])
    assert weight.origin.line == line


def test_a_rebuilt_node_keeps_what_the_user_gave():
    with gn.scope("here"):
        node = gn.relu(gn.Input((2,)), name="h")
    again = rebuilt(node, [gn.Input((2,))])
    assert again is not node
    assert (again.name, again.origin, again.role) == (node.name, node.origin, node.role)
    assert rebuilt(node, node.inputs) is node


def test_roles():
    with role("update"):
        assert gn.Input(()).role == "update"
    assert gn.Input(()).role == "forward"


def test_shapes_as_declared():
    x = gn.Input((None, "T", 3))
    assert x.shape[0] is None
    assert str(x.shape[1]) == "T"
    assert x.shape[2] == 3
    assert x.ndim == 3
    assert gn.flatten(x, 0).shape == (x.spec.size,)
    assert str(gn.flatten(gn.Input((None, 28, 28))).spec) == "float32 (None, 784)"
    assert str(gn.reshape(gn.Input((None, 28)), (-1,)).spec) == "float32 (28*N,)"


# ---------------------------------------------------------------------------- immutability


@pytest.mark.parametrize("name", ["op", "inputs", "spec", "label", "serial", "anything"])
def test_a_node_is_immutable(name):
    x = gn.Input((2,), name="x")
    with pytest.raises(
        AttributeError, match=f"a node is immutable; cannot set '{name}' of <x: input"
    ):
        setattr(x, name, None)
    with pytest.raises(TypeError):
        gn.sum(x).attrs["axes"] = ()
    assert isinstance(gn.sum(x).inputs, tuple)


def test_a_constant_is_immutable_and_a_copy():
    array = np.ones(3)
    constant = gn.Constant(array)
    array[:] = 7
    assert constant.array.tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="read-only"):
        constant.array[0] = 2


def test_a_parameters_value_is_a_copy_and_live():
    array = np.ones(3, np.float32)
    weight = gn.Parameter(array, name="w")
    array[:] = 7
    assert weight.value.tolist() == [1, 1, 1]
    weight.value = [1, 2, 3]
    weight.value[0] = 5
    assert weight.value.tolist() == [5, 2, 3]
    with pytest.raises(
        ShapeError, match=r"w: the value of a parameter keeps its shape \(3,\); got"
    ):
        weight.value = np.ones(4)


def test_dtypes_of_values():
    assert gn.Parameter([1.0, 2.0]).dtype == "float32"
    assert gn.Parameter(np.ones(2)).dtype == "float64"
    assert gn.Parameter([1.0], dtype="float64").dtype == "float64"
    assert gn.Parameter(np.ones(2, np.int64)).trainable is False
    assert gn.Constant(3).dtype == "int64"
    assert gn.Constant(3.0).dtype == "float32"
    with pytest.raises(DTypeError, match="dtype must be one of float32"):
        gn.Parameter(np.ones(2, np.float16))
    with pytest.raises(GraphError, match="a value is expected here, not a node"):
        gn.Parameter(gn.Input((2,)))


# ------------------------------------------------------------------------ errors that teach


def test_bool_of_a_node():
    x = gn.Input((), name="x")
    line = next_line()
    positive = x > 0
    with pytest.raises(GraphError, match=r"greater has no value while the graph is declared") as e:
        if positive:
            pass
    assert "gn.where(condition, a, b)" in str(e.value)
    assert f"Declared at test_graph.py:{line}." in str(e.value)


def test_iterating_a_node():
    line = next_line()
    x = gn.Input((3,), name="x")
    with pytest.raises(GraphError, match=rf"x is a node and cannot be iterated. .*py:{line}\."):
        list(x)


X, W = gn.Input((None, 100), name="x"), gn.Input((784, 32), name="W")
COUNT, DOUBLE = gn.Input((None, 100), "int64", name="n"), gn.Input((None, 100), "float64", name="d")

ERRORS = {
    "matmul": (
        lambda: X @ W,
        ShapeError,
        r"matmul needs a.shape\[-1\] == b.shape\[-2\]; got \(None, 100\) @ \(784, 32\) for 'x' and "
        r"'W'\..*A factor b of shape \(100, 32\) would fit",
    ),
    "broadcast": (
        lambda: X + W,
        ShapeError,
        r"add needs shapes that broadcast .*; got \(None, 100\), \(784, 32\) for 'x' and 'W'\..*"
        r"gn.reshape",
    ),
    "dtypes": (
        lambda: X * DOUBLE,
        DTypeError,
        r"multiply needs one dtype; got float32 \(None, 100\), float64 \(None, 100\).*gn.cast",
    ),
    "no promotion of a count": (
        lambda: COUNT + 0.5,
        DTypeError,
        r"add: a float beside a int64.*cast",
    ),
    "floats only": (lambda: gn.tanh(COUNT), DTypeError, r"tanh needs float32 or float64.*gn.cast"),
    "condition": (lambda: gn.where(X, X, X), DTypeError, r"where needs a bool condition.*x > 0"),
    "reshape": (
        lambda: gn.reshape(X, (7, -1)),
        ShapeError,
        r"reshape needs a number of elements divisible by 7 .*\(None, 100\) for 'x'",
    ),
    "reshape to another size": (
        lambda: gn.reshape(W, (3, 5)),
        ShapeError,
        r"as many elements before \(25088\) as after \(15\); got \(784, 32\).*Let one axis be -1",
    ),
    "two unknowns": (lambda: gn.reshape(W, (-1, -1)), ShapeError, r"at most one -1"),
    "axes of a sum": (
        lambda: gn.sum(X, 2),
        ShapeError,
        r"sum: axis=2 is no axis of x",
    ),
    "axis twice": (lambda: gn.mean(X, (0, -2)), ShapeError, r"axes must be different"),
    "permutation": (lambda: gn.transpose(X, (0, 0)), ShapeError, r"Name each axis once"),
    "target of a broadcast": (
        lambda: gn.broadcast_to(X, (3,)),
        ShapeError,
        r"a shape that broadcasts to \(3,\); got \(None, 100\) for 'x'",
    ),
    "labels": (
        lambda: gn.cross_entropy(X, gn.Input((None, 100), "int64", name="hot")),
        ShapeError,
        r"labels.shape == logits.shape\[:-1\].*\(None, 100\), \(None, 100\) for 'x' and 'hot'.*argmax",
    ),
    "labels are whole numbers": (
        lambda: gn.cross_entropy(X, gn.Input((None,), name="y")),
        DTypeError,
        r"whole-number labels; got float32 \(None, 100\), float32 \(None,\).*dtype='int64'",
    ),
    "mse_loss": (
        lambda: gn.mse_loss(gn.Input((None, 1), name="p"), gn.Input((None,), name="t")),
        ShapeError,
        r"prediction.shape == target.shape; got \(None, 1\), \(None,\) for 'p' and 't'.*expand_dims",
    ),
    "softmax of a scalar": (lambda: gn.softmax(gn.Input(())), ShapeError, "at least one axis"),
    "a mean of counts": (lambda: gn.mean(COUNT), DTypeError, r"float32 or float64; got int64"),
    "a sum of bools": (lambda: gn.sum(X > 0), DTypeError, r"numbers; got bool \(None, 100\).*cast"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors_say_node_shapes_line_and_fix(case):
    declare, kind, message = ERRORS[case]
    with pytest.raises(kind, match=message) as error:
        declare()
    line = declare.__code__.co_firstlineno
    declared = re.search(r"Declared at test_graph\.py:(\d+)\.", str(error.value))
    assert declared, str(error.value)
    assert line <= int(declared[1]) <= line + 1
    assert isinstance(error.value, GraphnnError)


def test_an_error_names_the_scope():
    with gn.scope("encoder"), gn.scope("0"):
        with pytest.raises(ShapeError, match=r"^encoder\.0\.hidden: maximum needs shapes"):
            gn.maximum(X, W, name="hidden")
        with pytest.raises(ShapeError, match=r"^encoder\.0: matmul needs"):
            gn.matmul(X, W)


def test_errors_are_also_pythons():
    """So that code that knows nothing of graphnn can catch them."""
    assert issubclass(ShapeError, ValueError)
    assert issubclass(DTypeError, TypeError)
    assert issubclass(GraphError, ValueError)


def test_wrong_calls():
    with pytest.raises(GraphError, match=r"relu takes 1 values \(x\); got 2"):
        gn.relu(X, X)
    with pytest.raises(GraphError, match=r"add takes nodes, numbers and arrays; got 'a' \(str\)"):
        X + "a"
    with pytest.raises(GraphError, match=r"dropout needs 0 <= p < 1; got p=1"):
        gn.dropout(X, 1)
    with pytest.raises(GraphError, match="reduction is 'mean', 'sum' or 'none'; got 'max'"):
        gn.mse_loss(X, X, reduction="max")


# ----------------------------------------------------------------------------------- graphs


def test_a_graph_is_what_its_outputs_need():
    x = gn.Input((2,), name="x")
    used, dead = gn.exp(x), gn.log(x)
    graph = gn.Graph(used)
    assert used in graph.nodes
    assert dead not in graph.nodes
    assert graph.inputs == (x,)
    assert graph.parameters == ()
    assert repr(graph) == "<Graph of 2 nodes>"


def test_nodes_stand_in_the_order_of_declaration():
    loss, parameters = classifier()
    serials = [node.serial for node in gn.Graph([loss, *gn.grad(loss, parameters)]).nodes]
    assert serials == sorted(serials)


def test_two_inputs_of_one_name():
    line = next_line()
    a = gn.Input((), name="x")
    b = gn.Input((), name="x")
    pattern = rf"two inputs are named 'x': declared at test_graph.py:{line} and at test_graph.py:{line + 1}\."
    with pytest.raises(GraphError, match=pattern):
        gn.Graph(a + b)
    with gn.scope("other"):
        c = gn.Input((), name="x")
    gn.Graph(a + c)
    gn.Graph(gn.Input(()) + gn.Input(()))


def test_a_graph_of_something_else():
    with pytest.raises(GraphError, match=r"a graph is made of nodes; got 3 \(int\)"):
        gn.Graph([3])


def test_a_cycle_is_reported():
    """Nodes cannot be declared in a cycle; one made by force is named."""
    x = gn.Input((), name="x")
    a = gn.exp(x, name="a")
    b = gn.log(a, name="b")
    object.__setattr__(a, "inputs", (b,))
    with pytest.raises(GraphError, match=r"a depends on itself: [ab] -> [ab]"):
        gn.Graph(b)


def test_to_networkx():
    loss, parameters = classifier()
    graph = gn.Graph([loss, *gn.grad(loss, parameters)])
    digraph = graph.to_networkx()
    assert isinstance(digraph, nx.DiGraph)
    assert nx.is_directed_acyclic_graph(digraph)
    assert len(digraph) == len(graph.nodes)
    assert digraph.nodes["encoder.relu"]["op"] == "relu"
    assert digraph.nodes["encoder.relu"]["shape"] == (None, 3)
    assert digraph.nodes["encoder.relu"]["scope"] == "encoder"
    assert digraph.nodes["encoder.relu"]["dtype"] == "float32"
    assert digraph.nodes["encoder.relu_backward"]["role"] == "backward"
    assert digraph.nodes["x"]["origin"].startswith("test_graph.py:")
    assert digraph.nodes["loss"]["node"] is loss
    assert digraph.edges["encoder.matmul", "encoder.add"]["position"] == (0,)
    assert digraph.edges["encoder.b", "encoder.add"]["position"] == (1,)
    order = list(nx.topological_sort(digraph))
    assert order.index("x") < order.index("encoder.matmul") < order.index("loss")
    for node, value in ((n, v) for n in graph.nodes for v in n.inputs):
        names = {data["node"]: name for name, data in digraph.nodes(data=True)}
        assert digraph.has_edge(names[value], names[node])


def test_one_value_in_two_places():
    x = gn.Input((), name="x")
    digraph = gn.Graph(x * x).to_networkx()
    assert digraph.edges["x", "multiply"]["position"] == (0, 1)


def test_constants_of_one_value_are_separate_nodes():
    x = gn.Input((), name="x")
    digraph = gn.Graph(x * 2.0 + 2.0).to_networkx()
    assert sum(data["op"] == "constant" for _, data in digraph.nodes(data=True)) == 2


def test_one_long_equation_does_not_move_the_others():
    x = gn.Input((None, 1, 8, 8), name="x")
    w = gn.Parameter(np.zeros((1, 1, 3, 3), np.float32), name="w")
    lines = str(gn.Graph(gn.tanh(gn.conv2d(x, w)))).splitlines()
    assert max(len(line) for line in lines if "conv2d(" not in line) < 60
    assert any(len(line) > 100 for line in lines)


def test_print(golden):
    loss, parameters = classifier()
    golden("graph.txt", str(gn.Graph([loss, *gn.grad(loss, parameters)])))


def test_print_counts():
    x = gn.Input((), name="x")
    assert str(gn.Graph(x)) == "1 input, 0 parameters, 0 ops\n  x = input  float32 ()"
    lines = str(gn.Graph(gn.sum(gn.Input((3,), name="v"), keepdims=True))).splitlines()
    assert "sum(v, axis=0, keepdims=True)" in lines[2]


def test_serial_numbers_are_unique_over_threads():
    from concurrent.futures import ThreadPoolExecutor

    def declare(_: int) -> list[int]:
        with gn.scope("t"):
            return [gn.Input(()).serial for _ in range(200)]

    with ThreadPoolExecutor(4) as pool:
        serials = list(itertools.chain(*pool.map(declare, range(8))))
    assert len(set(serials)) == len(serials)
