"""``gn.elementwise``: a new op in plain scalar Python, its derivative, and its native code."""

from __future__ import annotations

import math
import re
import runpy
import textwrap

import numpy as np
import pytest

import graphnn as gn
from graphnn.backends.cpu import compile as compiler
from graphnn.errors import DTypeError, GraphError, KernelError
from graphnn.op import registry
from graphnn.testing import check_grads, check_values

SLOPE = 0.1
POINTS = np.array([-2.0, -0.3, 0.4, 1.7])


@gn.elementwise
def swish(x):
    return x / (1 + math.exp(-x))


@swish.backward
def _(dy, x, y):
    s = 1 / (1 + math.exp(-x))
    return dy * (s + y * (1 - s))


@gn.elementwise
def derived_swish(x):
    s = 1 / (1 + math.exp(-x))
    return x * s


@gn.elementwise(domain=[(-2, 2), (0.5, 2)], formula="a / (1 + b²)")
def ratio(a, b):
    square = b**2
    return a / (1 + square)


def scaled(x):
    return x * SLOPE


def softplus_part(x):
    return math.log(1 + math.exp(-math.fabs(x))) + max(x, 0)


@gn.elementwise
def with_a_helper(x):
    return scaled(softplus_part(x))


@gn.elementwise
def leaky(x):
    return x if x > 0 else SLOPE * x


@gn.elementwise
def stepped(x):
    if x > 1:
        return 2 * x - 1
    if x > 0:
        return x * x
    return 0


@stepped.backward
def _(dy, x, y):
    if x > 1:
        return 2 * dy
    if x > 0:
        return 2 * x * dy
    return 0


@gn.elementwise
def iterated(x):
    total = x
    for _ in range(3):
        total = total * x + 1
    return total


def run(node: gn.Node, *arrays: np.ndarray):
    return gn.function(list(gn.Graph(node).inputs), node)(*arrays)


# -------------------------------------------------------------------- what users can declare


def swish_in_numpy(x):
    return x / (1 + np.exp(-x))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (4,), (None, 2)])
def test_an_op_for_every_shape_and_dtype(shape, dtype):
    x = gn.Input(shape, dtype)
    array = np.resize(POINTS, tuple(2 if n is None else n for n in shape)).astype(dtype)
    found = run(swish(x), array)
    assert found.dtype == dtype
    assert found.shape == array.shape
    np.testing.assert_allclose(found, swish_in_numpy(array), rtol=1e-6)


@pytest.mark.parametrize(
    "op", [swish, derived_swish, with_a_helper, leaky, stepped], ids=lambda op: op.op.name
)
def test_derivatives(op):
    """Declared for swish and stepped, derived for the others."""
    check_grads(op, POINTS)
    check_values(op(x := gn.Input((4,), "float64")), {x: POINTS})


@pytest.mark.parametrize("op", [swish, derived_swish, ratio, leaky], ids=lambda op: op.op.name)
def test_second_derivatives(op):
    """The declared derivative is a formula too: it is lifted and differentiated again."""
    arrays = (POINTS, np.abs(POINTS) + 0.5) if op is ratio else (POINTS,)
    check_grads(op, *arrays, order=2)


def test_a_derived_gradient_equals_the_declared_one():
    x = gn.Input((None,), "float64")
    one, other = (gn.grad(gn.sum(op(x)), x) for op in (swish, derived_swish))
    found = gn.function([x], [one, other])(POINTS)
    np.testing.assert_allclose(*found, rtol=1e-14)
    assert any(node.op.name == "swish_backward" for node in gn.Graph(one).nodes)
    assert all("backward" not in node.op.name for node in [one] if node.op.name == "swish")


def test_one_input_in_both_places():
    check_grads(lambda x: ratio(x, x), np.abs(POINTS) + 0.5, order=2)


def test_an_input_computed_from_the_other():
    check_grads(lambda x: ratio(x, ratio(x, x) + 1.0), np.abs(POINTS) + 0.5, order=2)


def test_several_inputs_broadcast():
    a, b = gn.Input((3, 1), "float64"), gn.Input((2,), "float64")
    node = ratio(a, b)
    assert node.shape == (3, 2)
    check_grads(ratio, np.arange(3.0)[:, None], np.array([0.5, 1.5]), order=2)


def test_a_backward_of_several_inputs():
    @gn.elementwise
    def weighted(a, b, c):
        return a * b + c * c

    @weighted.backward
    def _(dy, a, b, c, y):
        da = dy * b
        return da, dy * a, 2 * c * dy

    check_grads(weighted, POINTS, POINTS + 1, POINTS - 1, order=2)
    # Each derivative is an op of its own, which reads only what it needs.
    assert len(registry["user.weighted_backward_a"].kernel.body.params) == 2
    assert registry["user.weighted_backward_c"].kernel.body.params == ("dy", "c")


def test_statements_run_but_are_not_derived():
    x = gn.Input((4,), "float64")
    np.testing.assert_allclose(run(iterated(x), POINTS), POINTS**4 + POINTS**2 + POINTS + 1)
    with pytest.raises(
        KernelError,
        match=r"iterated: the gradient can be derived from .*Declare it: @iterated.backward",
    ):
        gn.grad(gn.sum(iterated(x)), x)


def test_constants_are_taken_at_the_declaration():
    rate = 3.0

    @gn.elementwise
    def grown(x):
        return x * rate + SLOPE

    rate = 5.0
    x = gn.Input((4,), "float64")
    np.testing.assert_allclose(run(grown(x), POINTS), POINTS * 3.0 + SLOPE)
    assert rate == 5.0


def test_helpers_of_one_name_in_one_kernel():
    def makes(factor):
        def helper(x):
            return x * factor

        @gn.elementwise(name=f"times_{factor}")
        def op(x):
            return helper(x) + 0

        return op

    two, three = makes(2), makes(3)
    x = gn.Input((4,), "float64")
    function = gn.function([x], three(two(x)))
    assert len(function.plan.steps) == 1
    np.testing.assert_array_equal(function(POINTS), POINTS * 6)


def test_branching_bodies_of_one_name_in_one_kernel():
    def makes(factor):
        @gn.elementwise(name=f"branches_{factor}")
        def op(x):
            if x > 0:
                return x * factor
            return x

        return op

    two, three = makes(2), makes(3)
    x = gn.Input((4,), "float64")
    np.testing.assert_array_equal(
        run(three(two(x)), POINTS), np.where(POINTS > 0, POINTS * 6, POINTS)
    )


def test_a_helper_named_like_a_math_function():
    def exp(x):
        return x + 1

    @gn.elementwise
    def both(x):
        return exp(x) * math.exp(x)

    x = gn.Input((4,), "float64")
    np.testing.assert_allclose(run(both(x), POINTS), (POINTS + 1) * np.exp(POINTS), rtol=1e-14)
    check_grads(both, POINTS)


@pytest.mark.parametrize("name", ["share", "helper", "float64", "range", "data", "meta"])
def test_an_op_may_have_any_name(name):
    def formula(x):
        return 2 * x

    op = gn.elementwise(name=f"{name}")(formula) if name not in registry else None
    assert op is not None
    x = gn.Input((4,), "float64")
    np.testing.assert_array_equal(run(op(x), POINTS), 2 * POINTS)


def test_a_parameter_that_gets_a_new_value():
    @gn.elementwise
    def again(x):
        x = x * 2
        x += 1
        return x

    check_grads(again, POINTS)
    x = gn.Input((4,), "float64")
    np.testing.assert_array_equal(run(again(x), POINTS), 2 * POINTS + 1)


def test_comparisons_and_logic():
    @gn.elementwise
    def window(x):
        return 1 if (x > -1 and x < 1) or x == 1.7 else 0

    @gn.elementwise
    def chained(x):
        return x if -1 < x < 1 else 0.0

    x = gn.Input((4,), "float64")
    np.testing.assert_array_equal(run(window(x), POINTS), [0, 1, 1, 1])
    np.testing.assert_array_equal(run(chained(x), POINTS), [0, -0.3, 0.4, 0])


def test_a_bool_result():
    @gn.elementwise(result="bool")
    def is_small(x):
        return math.fabs(x) < 1

    x = gn.Input((4,), "float64")
    node = is_small(x)
    assert node.dtype == "bool"
    assert run(node, POINTS).tolist() == [False, True, True, False]
    np.testing.assert_array_equal(run(gn.where(node, x, 0.0), POINTS), [0, -0.3, 0.4, 0])


def test_nan_infinity_and_powers():
    @gn.elementwise
    def guarded(x):
        return math.nan if x > 1 else (math.inf if x > 0 else x**2 + x**-1)

    x = gn.Input((4,), "float64")
    found = run(guarded(x), POINTS)
    np.testing.assert_allclose(found[:2], POINTS[:2] ** 2 + 1 / POINTS[:2])
    assert np.isinf(found[2])
    assert np.isnan(found[3])


# ---------------------------------------------------------------------------- the registry


def test_declaring_it_again_replaces_it():
    """A notebook cell may run twice; graphnn's own ops stand apart from its users'."""

    def declare():
        @gn.elementwise
        def once_more(x):
            return x + 1

        return once_more

    declare()
    op = declare()
    assert registry["user.once_more"] is op.op

    def relu(x):
        return x + 1

    own = gn.elementwise(relu)
    x = gn.Input((2,), "float64", name="x")
    both = gn.function(
        x, [own(x), gn.relu(x), gn.grad(gn.sum(own(x)), x), gn.grad(gn.sum(gn.relu(x)), x)]
    )
    found = both(np.array([-3.0, 2.0]))
    np.testing.assert_array_equal(found, [[-2, 3], [0, 2], [1, 1], [0, 1]])


def test_what_a_user_op_says_of_itself():
    assert swish.__name__ == "swish"
    assert ratio.op.formula == "a / (1 + b²)"
    assert "a / (1 + b²)" in ratio.__doc__
    assert len(ratio.op.examples) > 3
    assert swish.op.flops(gn.Input((2, 3)).spec) == 6 * 4


def test_wrong_declarations():
    with pytest.raises(GraphError, match="domain has 1 entries for 2 inputs"):

        @gn.elementwise(domain=[(0, 1)])
        def pair(a, b):
            return a + b

    with pytest.raises(KernelError, match=r"leaky.backward takes \(dy, x, y\); got \(dy, x\)"):

        @leaky.backward
        def _(dy, x):
            return dy

    with pytest.raises(
        KernelError, match="backward of an op of 2 inputs returns a tuple of 2 deriv"
    ):

        @ratio.backward
        def _(dy, a, b, y):
            return dy

    with pytest.raises(KernelError, match=r"'TABLE' is list\. Pass it as an argument"):
        TABLE = [1]

        @gn.elementwise
        def tabled(x):
            return x * TABLE[0]

    # None of these has changed what was there.
    check_grads(leaky, POINTS)
    check_grads(ratio, POINTS, POINTS)


def test_wrong_calls():
    with pytest.raises(GraphError, match=r"ratio takes 2 values \(a, b\); got 1"):
        ratio(gn.Input(()))
    with pytest.raises(DTypeError, match="swish needs float32 or float64"):
        swish(gn.Input((2,), "int64"))


def test_a_body_that_cannot_be_compiled_is_shown():
    @gn.elementwise
    def textual(x):
        return "a"

    x = gn.Input((4,))
    with pytest.raises(
        KernelError, match=r"textual: numba cannot compile this kernel:\s+def textual\("
    ):
        run(textual(x), POINTS.astype(np.float32))


def test_whole_numbers():
    @gn.elementwise(floats=False)
    def next_even(n):
        return 2 * (n // 2) + 2

    n = gn.Input((3,), "int64")
    assert run(next_even(n), np.array([1, 2, 5])).tolist() == [2, 4, 6]
    assert next_even(n).dtype == "int64"

    @gn.elementwise(floats=False)
    def halved(n):
        return n * 0.5

    with pytest.raises(KernelError, match="0.5 is no int64, and nothing is rounded silently"):
        run(halved(n), np.array([1, 2, 5]))


# --------------------------------------------------------------------------------- its code


def llvm_of(function: gn.Function, tmp_path, monkeypatch) -> str:
    """The optimised LLVM code of all kernels of a function, compiled afresh."""
    monkeypatch.setenv("GRAPHNN_CACHE_DIR", str(tmp_path))
    texts = []
    for i, kernel in enumerate(function.plan.kernels):
        compiler._compiled(kernel.source, kernel.name, "kernel", f"{i:040d}")
        texts.append(compiler._libraries.pop().inspect_llvm())
    return "\n".join(texts)


@gn.elementwise
def everything(x):
    wave = math.sin(x) + math.cos(x) + math.tanh(x) + math.exp(x) + math.log(x) + math.sqrt(x)
    whole = math.floor(x) + math.ceil(x) + math.trunc(x)
    rest = x**2 + x**3 + x**0.5 + math.pow(x, 1.5) + abs(x) + min(x, 1) + max(x, 0.5) + x % 2
    return wave + whole + rest + (1 if x > 0.5 else 0) + math.pi + SLOPE


@gn.op(spec=lambda x: x, views=("flat", "flat"), reference=lambda x: x / (1 + np.exp(-x)))
def gate_rows(start, stop, x, out):
    """A kernel with loops that calls elementwise ops: theirs are formulas, 1 is typed there."""
    for i in range(start, stop):
        out[i] = x[i] * gn.sigmoid(x[i])


def test_a_kernel_with_loops_may_call_ops():
    x = gn.Input((None, 2), "float64")
    array = POINTS.reshape(2, 2)
    np.testing.assert_allclose(run(gate_rows(x), array), swish_in_numpy(array), rtol=1e-14)


@pytest.mark.parametrize(
    "case", ["everything", "swish gradient", "softmax", "max", "sigmoid", "rows"]
)
def test_float32_stays_float32(case, tmp_path, monkeypatch):
    """No conversion to float64 anywhere in a float32 kernel but in sums, which are kept in it."""
    x = gn.Input((None, 4), name="x")
    nodes = {
        "everything": lambda: everything(x),
        "swish gradient": lambda: gn.grad(gn.sum(swish(x) * x), x),
        "softmax": lambda: gn.log_softmax(gn.softmax(x)),
        "max": lambda: gn.max(gn.maximum(x, 0.5), 0),
        "rows": lambda: gate_rows(x),
        "sigmoid": lambda: gn.grad(gn.sum(gn.sigmoid(x) * gn.tanh(x)), x),
    }
    code = llvm_of(gn.function([x], nodes[case]()), tmp_path, monkeypatch)
    assert "float" in code
    wide = [line for line in code.splitlines() if re.search(r"\bdouble\b|fpext", line)]
    assert wide == []


def test_the_check_for_float64_can_fail(tmp_path, monkeypatch):
    x = gn.Input((None, 4), "float64")
    assert "double" in llvm_of(gn.function([x], swish(x)), tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("if x > 0:\n    y = x\nreturn y", "y"),
        ("if x > 0:\n    y = x\nelse:\n    z = x\nreturn y * 2", "y"),
        ("total += x\nreturn total", "total"),
    ],
)
def test_a_name_without_a_value_on_some_way_is_refused(text, name, tmp_path):
    path = tmp_path / "body.py"
    path.write_text("def f(x):\n" + textwrap.indent(text, "    ") + "\n")
    names = runpy.run_path(str(path))
    with pytest.raises(KernelError, match=f"'{name}' is read where not every way"):
        gn.elementwise(names["f"])


def test_a_name_with_a_value_on_every_way_is_not():
    @gn.elementwise
    def assigned_on_both(x):
        if x > 1:
            return x
        if x > 0:  # noqa: SIM108 - statements are meant
            y = x
        else:
            y = -x
        return y * 2

    x = gn.Input((3,), "float64")
    np.testing.assert_array_equal(run(assigned_on_both(x), np.array([2.0, 0.5, -1.0])), [2, 1, 2])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_absolute_value_of_0_has_no_sign(dtype):
    x = gn.Input((38,), dtype)  # vectors, and a rest
    values = np.array([0.0, -0.0] * 19, dtype)
    assert (gn.function(x, 1.0 / gn.abs(x))(values) == np.inf).all()
