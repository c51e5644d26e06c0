"""The same numbers as PyTorch: one table, op by op, forward and backward; and a network's step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

import graphnn as gn
from graphnn.node import apply
from graphnn.op import registry

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install graphnn[torch]")

pytestmark = pytest.mark.torch
TOLERANCE = {"float32": {"rtol": 1e-4, "atol": 1e-5}, "float64": {"rtol": 1e-9, "atol": 1e-11}}
F = torch.nn.functional


@dataclass(frozen=True)
class Case:
    """The same function twice, and where its inputs are drawn from: (shape, low, high)."""

    name: str
    ours: Callable
    theirs: Callable
    inputs: tuple[tuple[tuple[int, ...], float, float], ...]
    arguments: tuple = ()

    def __str__(self) -> str:
        return self.name


def drawn(*shapes: tuple[int, ...], low: float = -2.0, high: float = 2.0):
    return tuple((shape, low, high) for shape in shapes)


def positive(*shapes: tuple[int, ...]):
    return drawn(*shapes, low=0.2, high=3.0)


LABELS = np.array([0, 3, 1, 6, 2])
MASK = np.random.default_rng(5).random((4, 6)) < 0.7
CONDITION = np.random.default_rng(6).random((3, 5)) < 0.5
A, B = (3, 4), (4, 5)


def gemm(transpose_a: bool, transpose_b: bool) -> Case:
    def ours(a, b):
        attrs = {"transpose_a": transpose_a, "transpose_b": transpose_b}
        return apply(registry["matmul"], [a, b], attrs)

    def theirs(a, b):
        return (a.mT if transpose_a else a) @ (b.mT if transpose_b else b)

    shapes = (A[::-1] if transpose_a else A, B[::-1] if transpose_b else B)
    name = "a" + "ᵀ" * transpose_a + " b" + "ᵀ" * transpose_b
    return Case(name, ours, theirs, drawn(*shapes))


def same(name: str, inputs=drawn((3, 5)), theirs: str | None = None) -> Case:  # noqa: B008 - a tuple
    return Case(name, getattr(gn, name), getattr(torch, theirs or name), inputs)


TWO = drawn((3, 5), (3, 5))
OVER_ROWS = drawn((3, 5), (5,))
AWAY = drawn((3, 5), low=2.1, high=2.9)
FUNCTIONS = [
    *(same(name) for name in ("expm1", "sinh", "cosh", "arctan", "erf", "sign", "floor", "ceil")),
    *(same(name) for name in ("trunc", "round")),
    *(same(name, positive((3, 5))) for name in ("log1p", "log2", "log10", "rsqrt", "reciprocal")),
    *(same(name, drawn((3, 5), low=-0.9, high=0.9)) for name in ("tan", "arcsin", "arccos")),
    *(same(name, (*drawn((3, 5)), *positive((5,)))) for name in ("arctan2", "copysign")),
    same("remainder", (*AWAY, *drawn((5,), low=-1.05, high=-0.95))),
    Case("round, 2", lambda x: gn.round(x, 2), lambda x: torch.round(x, decimals=2), drawn(A)),
    Case("round, -1", lambda x: gn.round(x, -1), lambda x: torch.round(x, decimals=-1), drawn(A)),
    Case(
        "floor_divide",
        gn.floor_divide,
        lambda a, b: torch.div(a, b, rounding_mode="floor"),
        (*AWAY, *drawn((5,), low=-1.05, high=-0.95)),
    ),
    Case("clip", lambda x: gn.clip(x, -1, 0.5), lambda x: x.clamp(-1, 0.5), drawn(A)),
    Case("clip, max", lambda x: gn.clip(x, max=0.5), lambda x: x.clamp(max=0.5), drawn(A)),
    Case("clip by nodes", gn.clip, torch.clamp, drawn((3, 5), (5,), (3, 1))),
    Case("clip of ties", lambda x: gn.clip(x, x, x), lambda x: x.clamp(x, x), drawn(A)),
]
ACTIVATIONS = [
    *(
        Case(f"{name} {arguments}", getattr(gn, name), getattr(F, theirs), drawn((3, 5)), arguments)
        for name, theirs, arguments in (
            *((name, name, ()) for name in ("softsign", "tanhshrink", "selu", "mish", "silu")),
            *((name, name, ()) for name in ("gelu", "softplus", "elu", "celu", "leaky_relu")),
            *((name, name, ()) for name in ("relu6", "softshrink", "hardshrink")),
            *((name, name, (0.3,)) for name in ("elu", "leaky_relu", "softshrink", "hardshrink")),
            ("log_sigmoid", "logsigmoid", ()),
            ("celu", "celu", (0.5,)),
            ("softplus", "softplus", (2.0, 1.0)),
            ("threshold", "threshold", (0.3, -1.0)),
            ("hard_tanh", "hardtanh", ()),
            ("hard_tanh", "hardtanh", (-0.5, 1.5)),
        )
    ),
    Case(
        "gelu tanh", lambda x: gn.gelu(x, "tanh"), lambda x: F.gelu(x, approximate="tanh"), TWO[:1]
    ),
    Case("prelu", gn.prelu, F.prelu, drawn((2, 3, 4), (3,))),
    Case("prelu of one", gn.prelu, F.prelu, drawn((2, 3, 4), (1,))),
    # Torch keeps 1/6 in float32, so its own modules would not do in float64.
    Case(
        "hard_sigmoid", gn.hard_sigmoid, lambda x: F.relu6(x + 3) / 6, drawn((3, 5), low=-5, high=5)
    ),
    Case(
        "hard_swish", gn.hard_swish, lambda x: x * F.relu6(x + 3) / 6, drawn((3, 5), low=-5, high=5)
    ),
]
CASES = [
    *FUNCTIONS,
    *ACTIVATIONS,
    same("add", TWO),
    same("add", drawn((2, 1, 5), (3, 1))),
    same("subtract", OVER_ROWS),
    same("multiply", drawn((3, 1), (1, 5))),
    same("divide", (*drawn((3, 5)), *positive((5,)))),
    same("power", (*positive((3, 5)), *drawn((3, 5))), "pow"),
    same("negative"),
    same("square"),
    same("abs"),
    same("exp"),
    same("log", positive((3, 5))),
    same("sqrt", positive((3, 5))),
    same("sin"),
    same("cos"),
    same("tanh"),
    same("sigmoid"),
    same("relu"),
    same("maximum", TWO),
    same("minimum", OVER_ROWS),
    Case("ties", lambda a: gn.maximum(a, a * 1.0), lambda a: torch.maximum(a, a * 1.0), drawn(A)),
    Case(
        "where",
        lambda a, b: gn.where(gn.Constant(CONDITION), a, b),
        lambda a, b: torch.where(torch.tensor(CONDITION), a, b),
        TWO,
    ),
    *(gemm(a, b) for a in (False, True) for b in (False, True)),
    same("matmul", drawn((2, 3, 4), (4, 5))),
    same("matmul", drawn((2, 3, 4), (2, 4, 5))),
    same("matmul", drawn((2, 1, 3, 4), (5, 4, 2))),
    same("matmul", drawn((4,), (4, 5))),
    same("matmul", drawn((3, 4), (4,))),
    same("matmul", drawn((4,), (4,))),
    Case("sum", gn.sum, torch.sum, drawn((3, 5))),
    Case("sum over 0", lambda x: gn.sum(x, 0), lambda x: x.sum(0), drawn((3, 5))),
    Case(
        "sum over 0, 2",
        lambda x: gn.sum(x, (0, 2), keepdims=True),
        lambda x: x.sum((0, 2), keepdim=True),
        drawn((3, 5, 4)),
    ),
    Case("mean over -1", lambda x: gn.mean(x, -1), lambda x: x.mean(-1), drawn((3, 5))),
    Case("max over 1", lambda x: gn.max(x, 1), lambda x: x.amax(1), drawn((3, 5))),
    Case("max over all", gn.max, torch.amax, drawn((3, 5))),
    Case(
        "max of equals",
        lambda x: gn.max(x * 0.0, 1),
        lambda x: (x * 0.0).amax(1),
        drawn((3, 5)),
    ),
    Case("softmax", gn.softmax, lambda x: x.softmax(-1), drawn((3, 5), low=-9, high=9)),
    Case("softmax of axis 1", lambda x: gn.softmax(x, 1), lambda x: x.softmax(1), drawn((2, 3, 4))),
    Case("log_softmax", gn.log_softmax, lambda x: x.log_softmax(-1), drawn((3, 5), low=-9, high=9)),
    *(
        Case(
            f"cross_entropy, {reduction}",
            lambda x, r=reduction: gn.cross_entropy(x, gn.Constant(LABELS), reduction=r),
            lambda x, r=reduction: F.cross_entropy(x, torch.tensor(LABELS), reduction=r),
            drawn((5, 7), low=-5, high=5),
        )
        for reduction in ("mean", "sum", "none")
    ),
    *(
        Case(
            f"mse_loss, {reduction}",
            lambda a, b, r=reduction: gn.mse_loss(a, b, reduction=r),
            lambda a, b, r=reduction: F.mse_loss(a, b, reduction=r),
            TWO,
        )
        for reduction in ("mean", "sum", "none")
    ),
    Case("reshape", lambda x: gn.reshape(x, (5, -1)), lambda x: x.reshape(5, -1), drawn((3, 5))),
    Case("flatten", gn.flatten, lambda x: x.flatten(1), drawn((3, 5, 2))),
    Case(
        "transpose",
        lambda x: gn.transpose(x, (2, 0, 1)),
        lambda x: x.permute(2, 0, 1),
        drawn((3, 5, 2)),
    ),
    Case(
        "broadcast_to",
        lambda x: gn.broadcast_to(x, (4, 3, 5)),
        lambda x: x.broadcast_to(4, 3, 5),
        drawn((3, 1)),
    ),
    Case("expand_dims", lambda x: gn.expand_dims(x, 1), lambda x: x.unsqueeze(1), drawn((3, 5))),
    Case("squeeze", lambda x: gn.squeeze(x, 1), lambda x: x.squeeze(1), drawn((3, 1, 5))),
    Case(
        "dropout with a given mask",
        lambda x: apply(
            registry["dropout"],
            [x, gn.Constant(MASK), gn.Constant(1 / 0.7, dtype=x.dtype)],
        ),
        lambda x: x * torch.tensor(MASK) / 0.7,
        drawn((4, 6)),
    ),
]


def numbers(case: Case, dtype: str) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.uniform(low, high, shape).astype(dtype) for shape, low, high in case.inputs]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_forward_and_backward(case, dtype):
    arrays = numbers(case, dtype)
    tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
    expected = case.theirs(*tensors, *case.arguments)
    cotangent = np.random.default_rng(4).standard_normal(expected.shape).astype(dtype)
    gradients = torch.autograd.grad(expected, tensors, torch.tensor(cotangent))

    inputs = [gn.Input(array.shape, dtype) for array in arrays]
    dy = gn.Input(cotangent.shape, dtype)
    node = case.ours(*inputs, *case.arguments)
    pulled = gn.vjp(node, inputs, dy)
    found = gn.function([*inputs, dy], [node, *pulled], training=True)(*arrays, cotangent)
    wanted = [expected, *gradients]
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.shape == tuple(theirs.shape)
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours, theirs.detach().numpy(), **TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_a_networks_loss_and_all_gradients(dtype, rng):
    """784-style classifier in small: two hidden layers, cross-entropy, torch's weight layout."""
    sizes = (20, 16, 12, 5)
    weights = [
        (rng.standard_normal((n_out, n_in)) / np.sqrt(n_in)).astype(dtype)
        for n_in, n_out in zip(sizes, sizes[1:], strict=False)
    ]
    biases = [rng.standard_normal(n).astype(dtype) for n in sizes[1:]]
    X, labels = rng.standard_normal((9, sizes[0])).astype(dtype), rng.integers(0, sizes[-1], 9)

    W = [torch.tensor(w, requires_grad=True) for w in weights]
    b = [torch.tensor(v, requires_grad=True) for v in biases]
    h = torch.tensor(X)
    for i in range(3):
        h = F.linear(h, W[i], b[i])
        h = torch.tanh(h) if i == 0 else torch.relu(h) if i == 1 else h
    expected = F.cross_entropy(h, torch.tensor(labels))
    expected.backward()

    x, y = gn.Input((None, sizes[0]), dtype), gn.Input((None,), "int64")
    P = [gn.Parameter(w, name=f"W{i}") for i, w in enumerate(weights)]
    q = [gn.Parameter(v, name=f"b{i}") for i, v in enumerate(biases)]
    z = x
    for i in range(3):
        z = z @ gn.transpose(P[i]) + q[i]
        z = gn.tanh(z) if i == 0 else gn.relu(z) if i == 1 else z
    loss = gn.cross_entropy(z, y)
    found = gn.function([x, y], [loss, *gn.grad(loss, [*P, *q])])(X, labels)
    for ours, theirs in zip(found, [expected, *(t.grad for t in [*W, *b])], strict=True):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), **TOLERANCE[dtype])


def test_second_derivatives(rng):
    x = rng.standard_normal((5, 7))
    v = rng.standard_normal((5, 7))
    t = torch.tensor(x, requires_grad=True)
    theirs = (t.softmax(-1) ** 2).sum() + t.tanh().sum() + F.cross_entropy(t, torch.tensor(LABELS))
    (first,) = torch.autograd.grad(theirs, t, create_graph=True)
    (second,) = torch.autograd.grad((first * torch.tensor(v)).sum(), t)

    node = gn.Input((5, 7), "float64")
    loss = gn.sum(gn.softmax(node) ** 2.0) + gn.sum(gn.tanh(node))
    loss = loss + gn.cross_entropy(node, gn.Constant(LABELS))
    slope = gn.sum(gn.grad(loss, node) * gn.Constant(v))
    found = gn.function([node], gn.grad(slope, node))(x)
    np.testing.assert_allclose(found, second.numpy(), rtol=1e-9, atol=1e-12)


EDGES = {
    "relu": [0.0, -0.0, -1.0, np.inf, -np.inf],
    "abs": [0.0, -0.0, -1.0, np.inf],
    "sigmoid": [100.0, -100.0, 1000.0, -1000.0, 0.0],
    "tanh": [50.0, -50.0, 0.0, 1e-300, np.inf],
    "exp": [-1000.0, 1000.0, 0.0, -np.inf],
    "log": [0.0, 1.0, np.inf],
    "sqrt": [0.0, 1.0, np.inf],
}


@pytest.mark.parametrize("name", EDGES)
def test_at_the_edges(name):
    """Kinks, saturation, overflow, infinities: torch's value and torch's choice of derivative."""
    array = np.array(EDGES[name])
    t = torch.tensor(array, requires_grad=True)
    expected = getattr(torch, name)(t)
    expected.sum().backward()
    x = gn.Input((None,), "float64")
    y = getattr(gn, name)(x)
    value, gradient = gn.function([x], [y, gn.grad(gn.sum(y), x)])(array)
    np.testing.assert_allclose(value, expected.detach().numpy(), rtol=1e-14)
    np.testing.assert_allclose(gradient, t.grad.numpy(), rtol=1e-12, atol=1e-300)


def test_powers_at_the_edges():
    base = np.array([0.0, 0.0, 0.0, -2.0, -2.0, 2.0, 0.0])
    exponent = np.array([0.0, 1.0, 2.0, 2.0, 3.0, 0.0, 3.0])
    t = torch.tensor(base, requires_grad=True)
    expected = t ** torch.tensor(exponent)
    expected.sum().backward()
    x, n = gn.Input((7,), "float64"), gn.Input((7,), "float64")
    y = x**n
    value, gradient = gn.function([x, n], [y, gn.grad(gn.sum(y), x)])(base, exponent)
    np.testing.assert_allclose(value, expected.detach().numpy())
    np.testing.assert_allclose(gradient, t.grad.numpy())


@pytest.mark.parametrize("row", [[1000.0, 0.0, -1000.0], [-1000.0] * 3, [88.0, 89.0, 710.0]])
def test_softmax_does_not_overflow(row):
    array = np.array([row])
    x = gn.Input((1, 3), "float64")
    found = gn.function(
        [x], [gn.softmax(x), gn.log_softmax(x), gn.cross_entropy(x, gn.Constant([2]))]
    )
    t = torch.tensor(array)
    wanted = [t.softmax(-1), t.log_softmax(-1), F.cross_entropy(t, torch.tensor([2]))]
    for ours, theirs in zip(found(array), wanted, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-12)
