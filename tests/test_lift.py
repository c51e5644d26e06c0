"""Gradients derived from scalar code: every statement and function that can be, and the rest named."""

from __future__ import annotations

import itertools
import linecache
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphnn as gn
from graphnn.errors import KernelError
from graphnn.source import MATH_FUNCTIONS
from graphnn.testing import check_grads, check_values

POINTS = np.array([-1.7, -0.62, 0.31, 0.83, 1.6])
UNIT = np.array([-0.8, -0.3, 0.2, 0.75])
LIMIT, ON = 1.2, 1
_count = itertools.count()


def op_of(text: str) -> gn.elementwise:
    """An op from source text, as if it stood in a file."""
    name = f"made_{next(_count)}"
    text = text.replace("def f(", f"def {name}(")
    file = f"<test_lift {name}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    names = {"math": math, "np": np, "LIMIT": LIMIT}
    exec(compile(text, file, "exec"), names)
    return gn.elementwise(names[name])


def checked(op, *arrays: np.ndarray, order: int = 2) -> None:
    check_grads(op, *arrays, order=order, backend="reference", rtol=1e-5, step=1e-4)
    inputs = [gn.Input(array.shape, "float64") for array in arrays]
    check_values(op(*inputs), dict(zip(inputs, arrays, strict=True)))


# ------------------------------------------------------------------------------- functions

INSIDE = dict.fromkeys(("asin", "acos"), UNIT)
INSIDE |= {name: np.abs(POINTS) for name in ("log", "log2", "log10", "sqrt")}
INSIDE |= {"log1p": UNIT}
SINGLE = sorted(MATH_FUNCTIONS - {"pow", "atan2", "copysign", "isnan", "isinf", "isfinite", "rint"})


@pytest.mark.parametrize("name", SINGLE)
def test_every_math_function(name):
    op = op_of(f"def f(x):\n    return math.{name}(x) * x")
    checked(op, INSIDE.get(name, POINTS))


def test_functions_of_two_and_numpys_names():
    checked(
        op_of("def f(x, y):\n    return math.pow(x, y) + np.power(x, 2)"), np.abs(POINTS), POINTS
    )
    checked(op_of("def f(x, y):\n    return math.atan2(x, y) * np.arctan2(y, x)"), POINTS, -POINTS)
    checked(op_of("def f(x, y):\n    return math.copysign(x, y) * y"), POINTS, -POINTS)
    checked(op_of("def f(x):\n    return np.rint(x) * np.abs(x) + np.arctan(x)"), POINTS)
    checked(op_of("def f(x):\n    return np.arcsin(x) * np.arccos(x)"), UNIT)


def test_questions():
    op = op_of("def f(x):\n    return 0 if math.isnan(x) or math.isinf(x) else x * x")
    checked(op, POINTS)
    op = op_of("def f(x):\n    return x * x if math.isfinite(x) and not math.isnan(x) else 0")
    checked(op, POINTS)


# ----------------------------------------------------------------- expressions, statements

EXPRESSIONS = [
    "+x * -x",
    "x if -0.5 < x < LIMIT else x * x",
    "x if x > 1 or x < -1 else 3 * x",
    "x if not x > 0.5 else x ** 2",
    "x if not (x > 0.5 and x < 1) else x ** 3",
    "(x > 0) * x + x * (x < 0) / 2",
    "min(x, x * x, 0.9) + max(0.5, x)",
    "abs(x) ** 3 + abs(-2) * x",
    "x ** -2 + x ** 0 + x ** 5 + 2.0 ** x",
    "x % 1 + x // 1 * x",
    "7 // 2 * x + 7 % 4",
    "float(x) * math.pi + math.sin(1) + np.pi",
    "math.exp(x) if LIMIT > 1 else math.log(x)",
    "x and x * x",
    "(x > 0 and 2) * x",
    "(x * 0 or 3) * x",
    "1 if x else x",
    "x if 1 < 2 < 3 else 0",
    "(x if x > 0 else 2) if x > -1 else (x * x if x < -2 else 4 * x)",
]


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_expressions(text):
    check_grads(
        op_of(f"def f(x):\n    return {text}"), POINTS, order=2, backend="reference", rtol=1e-5
    )


STATEMENTS = {
    "two returns": "if x > 1:\n    return 2 * x - 1\nreturn x * x",
    "three ways": "if x > 1:\n    return x\nelif x > 0:\n    return x * x\nelse:\n    return 2",
    "assigned in both": "if x > 0.5:\n    y = x * x\nelse:\n    y = -x\nreturn y * x",
    "assigned before": "y = x\nif x > 0.5:\n    y = y * x\n    y += 1\nreturn y * x",
    "nested": "y = x\nif x > 0:\n    if x > 1:\n        y = y * y\n    y *= 2\nreturn y",
    "one returns": "y = 3 * x\nif x > 0:\n    y = y * x\n    if x > 1:\n        return y\nreturn y + x",
    "a constant condition": "if LIMIT > 1:\n    return x * x\nreturn x",
    "a name of one branch": "if x > 0:\n    z = x * x\n    y = z\nelse:\n    y = x\nreturn y",
    "several names": "a, b = x * x, 2 * x\na, b = b, a\nreturn a * b + a",
    "docstring, pass": '"""Text."""\npass\ny: float = x * x\nreturn y',
    "a chain": "y = z = x * x\nreturn y * z",
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_statements(name):
    lines = "".join(f"    {line}\n" for line in STATEMENTS[name].splitlines())
    checked(op_of(f"def f(x):\n{lines}"), POINTS)


def hinge(t, width):
    if t > width:
        return t - width / 2
    return t * t / (2 * width) if t > 0 else 0


def twice(t):
    return hinge(t, 0.4) + hinge(-t, 0.6)


def test_functions_that_call_functions():
    @gn.elementwise
    def outer(x):
        return twice(x) * x + hinge(1.0, 0.5)

    checked(outer, POINTS)


def test_an_op_inside_a_formula_keeps_its_own_gradient():
    """Sigmoid's formula has |x|, whose slope at 0 would be 0: its declared derivative is right."""

    @gn.elementwise
    def gated(x):
        return x * gn.sigmoid(x) + gn.softplus(x, 1, 20)

    checked(gated, POINTS)
    x = gn.Input((), "float64")
    twice = gn.grad(gn.grad(gated(x), x), x)
    np.testing.assert_allclose(gn.function(x, twice)(0.0), 0.75, rtol=1e-14)
    assert "sigmoid_backward" in str(gn.Graph(gn.grad(gated(x), x)))


def test_a_result_of_fewer_axes():
    op = op_of("def f(x, y):\n    return y * y if 1 < 2 else x")
    check_grads(op, np.ones((3, 2)), np.array([0.5, 2.0]), order=2, backend="reference")
    flat = op_of("def f(x):\n    return 3")
    x = gn.Input((2,), "float64")
    np.testing.assert_array_equal(gn.function(x, flat(x))(np.ones(2)), [3, 3])


def test_a_slope_of_0_is_there():
    @gn.elementwise
    def stairs(x):
        return math.floor(x)

    @stairs.backward
    def _(dy, x, y):
        return 0

    x = gn.Input((None, 2), "float64")
    slope = gn.grad(gn.sum(stairs(x) * x), x)
    array = np.array([[np.inf, 1.5], [-2.5, 0.25]])
    np.testing.assert_array_equal(gn.function(x, slope)(array), np.floor(array))
    check_grads(stairs, POINTS, order=2)


# -------------------------------------------------------------------------------- formulas

LEAVES = st.sampled_from(["x", "y", "a", "0.7", "2", "LIMIT", "-1.3"])
CONDITIONS = st.sampled_from(
    ["x > 0.1", "y < 0.4", "-1 < x < 0.6", "x > 0.1 or y > 1.2", "not (x > 0.6 and y > 0.1)"]
)
SMOOTH = ("sin", "cos", "tanh", "atan", "erf", "fabs")


def deeper(parts):
    two = st.tuples(parts, parts)
    return st.one_of(
        two.map(lambda p: f"({p[0]} + {p[1]})"),
        two.map(lambda p: f"({p[0]} - {p[1]})"),
        two.map(lambda p: f"({p[0]} * {p[1]})"),
        two.map(lambda p: f"({p[0]} / (1.5 + ({p[1]}) ** 2))"),
        parts.map(lambda p: f"(-{p})"),
        parts.map(lambda p: f"({p}) ** 3"),
        parts.map(lambda p: f"math.exp(math.tanh({p}))"),
        parts.map(lambda p: f"math.log1p(({p}) * ({p}))"),
        parts.map(lambda p: f"math.expm1(math.sin({p}))"),
        st.tuples(st.sampled_from(SMOOTH[:-1]), parts).map(lambda p: f"math.{p[0]}({p[1]})"),
        st.tuples(parts, CONDITIONS, parts).map(lambda p: f"({p[0]} if {p[1]} else {p[2]})"),
    )


FORMULA = st.recursive(LEAVES, deeper, max_leaves=5)
# None of these coordinates is near a number that a condition compares with.
WHERE_X, WHERE_Y = np.array([-1.4, -0.5, 0.3, 0.9]), np.array([-0.9, 0.25, 0.7, 1.5])


@settings(max_examples=60)
@given(st.tuples(*[FORMULA] * 5), CONDITIONS, CONDITIONS)
def test_random_formulas(parts, first, second):
    """Assignments, branches, early returns: derived gradient = finite differences."""
    a, b, c, d, e = (p.replace("a", "x") if p == "a" else p for p in parts)
    a = a.replace("(a", "(x").replace(" a", " x")
    text = (
        f"def f(x, y):\n    a = x * y\n    a = {a}\n"
        f"    if {first}:\n        a = {b}\n        b = {c}\n    else:\n        b = a * y\n"
        f"    if {second}:\n        return b * ({d})\n    return a + b + ({e}) + 0 * x"
    )
    op = op_of(text)
    check_grads(op, WHERE_X, WHERE_Y, backend="reference", rtol=1e-5, atol=1e-6, step=1e-4)


# ---------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("total = x\nfor i in range(3):\n    total = total * x\nreturn total", "for i in range"),
        ("while x > 1:\n    x = x / 2\nreturn x", "while x > 1:"),
        ("return int(x) * x", r"int\(x\)"),
    ],
)
def test_what_cannot_be_derived_is_named(body, named):
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    op = op_of(f"def f(x):\n{lines}")
    x = gn.Input((4,), "float64")
    with pytest.raises(
        KernelError,
        match=rf"(?s)made_\d+: the gradient can be derived.*{named}.*@made_\d+.backward",
    ):
        gn.grad(gn.sum(op(x)), x)


def test_a_second_derivative_that_cannot_be_derived():
    @gn.elementwise
    def looped(x):
        return x * x * x

    @looped.backward
    def _(dy, x, y):
        total = 0.0
        for _ in range(3):
            total += x * x
        return dy * total

    x = gn.Input((), "float64")
    slope = gn.grad(looped(x), x)
    with pytest.raises(
        KernelError, match=r"looped_backward: .*Its derivative was declared by hand"
    ):
        gn.grad(slope, x)


@pytest.mark.parametrize(
    "body",
    [
        "y = x",
        "return",
        "return None",
        "if x > 0:\n    return x",
        "if x > 0:\n    return x\nelse:\n    y = x",
        "if x > 0:\n    return\nreturn x",
        "for i in range(3):\n    return x",
    ],
)
def test_a_formula_has_a_value_on_every_way(body):
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    with pytest.raises(
        KernelError, match=r"made_\d+: the formula must return a value on every way .*test_lift.py:"
    ):
        op_of(f"def f(x):\n{lines}")


def test_a_backward_has_a_value_on_every_way():
    @gn.elementwise
    def half(x):
        return x / 2

    with pytest.raises(KernelError, match=r"half.backward: the formula must return a value"):

        @half.backward
        def _(dy, x, y):
            dy / 2
