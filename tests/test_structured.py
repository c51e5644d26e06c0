"""``gn.op``: an op with a kernel of its own, declared in one place; and ``check_op``, which checks it."""

from __future__ import annotations

import math

import numpy as np
import pytest

import graphnn as gn
from graphnn.errors import DTypeError, GraphError, KernelError, ShapeError
from graphnn.op import Draw, Example, Mismatch, registry
from graphnn.spec import TensorSpec
from graphnn.testing import check_grads, check_op


def same(x: TensorSpec, **_attrs: object) -> TensorSpec:
    return x


def sums_vjp(node: gn.Node, dy: gn.Node) -> list[gn.Node]:
    """Each element is in all sums behind it: Σ dy - running sum + own."""
    return [gn.sum(dy, -1, keepdims=True) - running_sum(dy) + dy]


@gn.op(
    spec=same,
    views=("rows", "rows"),
    reference=lambda x: np.cumsum(x, axis=-1),
    vjp=sums_vjp,
    flops=lambda out, x: x.size,
    examples=[Example((Draw((3, 5)),)), Example((Draw((2, 3, 4)),)), Example((Draw((7,)),))],
    formula="Σⱼ≤ᵢ xⱼ",
)
def running_sum(start, stop, x, out):
    for i in range(start, stop):
        total = 0.0
        for j in range(x.shape[1]):
            total += x[i, j]
            out[i, j] = total


def scale(x):
    return x * 0.5


@gn.op(
    spec=lambda x, table, *, width, slope: x,
    views=("flat", "all", "flat"),
    reference=lambda x, table, *, width, slope: (
        np.where(x > 0, x, slope * x) * table[0, width] + scale(x)
    ),
    examples=[
        Example((Draw((4, 6)), Draw((1, 3))), {"width": 2, "slope": 0.25}),
        Example((Draw(()), Draw((1, 3))), {"width": 0, "slope": -1.5}),
    ],
)
def with_attributes(start, stop, x, table, out, *, width, slope):
    for i in range(start, stop):
        value = x[i] if x[i] > 0 else slope * x[i]
        out[i] = value * table[0, width] + scale(x[i])


def counts_spec(x: TensorSpec) -> TensorSpec:
    if x.ndim != 2:
        raise Mismatch("two axes", "Use gn.reshape.")
    return TensorSpec(x.shape[:1], "int64")


@gn.op(
    spec=counts_spec,
    views=("rows", "each"),
    reference=lambda x: (x > 0).sum(-1),
    examples=[Example((Draw((6, 5)),))],
)
def count_positive(start, stop, x, out):
    for i in range(start, stop):
        n = 0
        for j in range(x.shape[1]):
            if x[i, j] > 0:
                n += 1
        out[i] = n


def test_checked_by_their_examples():
    check_op(running_sum)
    check_op(with_attributes, order=0)
    check_op(count_positive)


def test_a_call(many_lanes):
    x = gn.Input((None, 3), name="x")
    node = running_sum(x, name="sums")
    assert (node.name, node.op.name) == ("sums", "running_sum")
    array = np.arange(12, dtype=np.float32).reshape(4, 3)
    for threads in (1, 2, 3):
        gn.set_num_threads(threads)
        np.testing.assert_array_equal(gn.function(x, node)(array), array.cumsum(1))


def test_attributes_are_arguments():
    """Other values compile nothing: they come at run time, like sizes."""
    x, table = gn.Input((4,), "float64"), gn.Input((1, 3), "float64")
    X, T = np.array([-1.0, 2, -3, 4]), np.array([[1.0, 10, 100]])
    sources = set()
    for width, slope in [(0, 0.1), (1, 0.5), (2, -2.0)]:
        function = gn.function([x, table], with_attributes(x, table, width=width, slope=slope))
        expected = np.where(X > 0, X, slope * X) * T[0, width] + X / 2
        np.testing.assert_allclose(function(X, T), expected)
        sources.add(function.plan.kernels[0].source)
    assert len(sources) == 1


def test_its_gradient_in_a_network(rng):
    check_grads(
        lambda x, w: gn.mean(gn.tanh(running_sum(gn.matmul(x, w)))),
        rng.standard_normal((3, 4)),
        rng.standard_normal((4, 5)),
        order=2,
    )


def test_a_gradient_by_other_ops():
    @gn.op(
        spec=same,
        views=("flat", "flat"),
        reference=lambda x: np.log1p(np.exp(x)),
        expand=lambda x: gn.log(1.0 + gn.exp(x)),
        examples=[Example((Draw((5,)),))],
    )
    def soft_plus(start, stop, x, out):
        for i in range(start, stop):
            out[i] = math.log1p(math.exp(x[i]))

    check_op(soft_plus)


def test_without_a_gradient():
    x = gn.Input((2, 3), name="x")
    with pytest.raises(GraphError, match="does not depend on x"):
        gn.grad(gn.sum(gn.cast(count_positive(x), "float32")), x)


def test_its_shape_rule_speaks():
    with pytest.raises(
        ShapeError, match=r"count_positive needs two axes; got \(3,\) for 'v'.*gn.reshape"
    ):
        count_positive(gn.Input((3,), name="v"))


def test_declarations_that_do_not_fit():
    def kernel(start, stop, x, out):
        pass

    with pytest.raises(
        GraphError,
        match="kernel: a view is one of rows, planes, each, flat, all, around; got 'columns'",
    ):
        gn.op(spec=same, views=("columns", "rows"), reference=np.copy)(kernel)
    with pytest.raises(
        GraphError, match=r"the kernel takes \(start, stop, \*inputs, out\).*3 views"
    ):
        gn.op(spec=same, views=("rows", "rows", "rows"), reference=np.copy)(kernel)
    assert "kernel" not in registry


def test_a_kernel_that_cannot_be_compiled():
    @gn.op(spec=same, views=("flat", "flat"), reference=np.copy)
    def stringly(start, stop, x, out):
        for i in range(start, stop):
            out[i] = "a"

    x = gn.Input((3,))
    with pytest.raises(KernelError, match="stringly: numba cannot compile this kernel"):
        gn.function(x, stringly(x))(np.ones(3, np.float32))


# ---------------------------------------------------------------------------- check_op itself


def made(name, *, factor=2.0, slope=2.0, dtype=None, examples=None):
    """An op that doubles, with whatever is wrong about it."""

    def doubled(start, stop, x, out):
        for i in range(start, stop):
            out[i] = x[i] * factor

    return gn.op(
        spec=lambda x: x if dtype is None else x.with_dtype(dtype),
        views=("flat", "flat"),
        reference=lambda x: x * 2.0,
        vjp=lambda node, dy: [dy * slope],
        examples=[Example((Draw((2, 3)),))] if examples is None else examples,
        name=name,
    )(doubled)


def test_check_op_accepts_what_is_right():
    check_op(made("doubled_right"))
    check_op(made("doubled_right").op, order=1)


def test_check_op_finds_a_wrong_kernel():
    with pytest.raises(AssertionError, match="wrong_kernel"):
        check_op(made("wrong_kernel", factor=2.001))


def test_check_op_finds_a_wrong_gradient():
    with pytest.raises(AssertionError, match="the first derivative differs"):
        check_op(made("wrong_gradient", slope=2.001))
    check_op(made("wrong_gradient", slope=2.001), order=0)


def test_check_op_needs_examples():
    with pytest.raises(GraphError, match="without_examples has no examples to be checked by"):
        check_op(made("without_examples", examples=[]))


def test_check_op_on_an_elementwise_op():
    @gn.elementwise(domain=[(0.1, 2.0), (0.1, 2.0)])
    def log_ratio(a, b):
        return math.log(a / b)

    check_op(log_ratio)
    with pytest.raises(DTypeError):
        log_ratio(gn.Input((2,), "int64"), 1)
