"""Python functions read as source: what a body may hold, and how it is emitted for one dtype."""

from __future__ import annotations

import ast
import cmath
import functools
import math

import numpy as np
import pytest

import graphnn as gn
from graphnn.errors import KernelError
from graphnn.source import MATH_FUNCTIONS, SUFFIX, Body, math_name

SLOPE = 0.25
COUNT = 3
TABLE = [1.0, 2.0]
half_of_numpy = np.float32(0.5)


def doubled(x):
    return 2 * x


def leaky(x):
    """The docstring is no statement."""
    y = doubled(x) * SLOPE
    return x if x > 0 else y + math.exp(-COUNT) + math.pi


def countdown(n):
    return countdown(n - 1) if n > 0 else 0


def even(n):
    return odd(n - 1) if n > 0 else 1


def odd(n):
    return even(n - 1) if n > 0 else 0


def test_what_a_body_knows():
    body = Body(leaky)
    assert body.name == "leaky"
    assert body.params == ("x",)
    assert body.constants == {"SLOPE": 0.25, "COUNT": 3}
    assert list(body.callees) == ["doubled"]
    assert body.modules == {"math"}
    assert body.is_straight_line
    assert len(body.statements) == 2


def test_numbers_are_typed():
    """Literals, constants and functions carry the dtype: nothing promotes behind one's back."""
    text = Body(leaky).definition("f", "float32")
    assert "float32(0.25)" in text
    assert "float32(3)" in text
    assert f"float32({math.pi!r})" in text
    assert "exp_f32(" in text
    assert "math" not in text
    assert "docstring" not in text
    wide = Body(leaky).definition("f", "float64")
    assert "float32" not in wide
    assert "exp_f64(" in wide


def test_infinities_and_nan():
    def limits(x):
        return math.inf if x > 0 else (-math.inf if x < 0 else math.nan)

    text = Body(limits).definition("f", "float32")
    assert "float32(INF)" in text
    assert "float32(NAN)" in text
    huge = 1e999

    def closure(x):
        return x + huge

    assert "float32(INF)" in Body(closure).definition("f", "float32")


def test_indices_are_not_typed():
    def kernel(start, stop, x, out, *, width):
        for i in range(start, stop):
            out[i, 0] = x[i, 1] * 0.5 + width

    body = Body(kernel)
    assert body.params == ("start", "stop", "x", "out")
    assert body.keywords == ("width",)
    text = body.definition("f", "float64", "float")
    assert "out[i, 0] = x[i, 1] * float64(0.5) + width" in text
    assert not body.is_straight_line


def test_whole_exponents_stay_whole():
    def powers(x):
        return x**3 + x**0.5

    text = Body(powers).definition("f", "float32")
    assert "x ** 3" in text
    assert "x ** float32(0.5)" in text


def test_annotations_and_decorators_are_dropped():
    def annotated(x: float) -> float:
        y: float = x + 1
        return y

    text = Body(annotated).definition("f", "float32")
    assert text.startswith("def f(x):")
    assert "-> float" not in text


def test_inlining_renames_locals():
    lines = Body(leaky).inline(["a0"], "v3", "_3", "float32")
    assert lines[0].startswith("y_3 = doubled_")
    assert lines[1].startswith("v3 = a0 if a0 > float32(0) else y_3 + ")


def test_inlining_a_parameter_that_gets_a_new_value():
    def again(x, k):
        x = x * k
        x += 1
        return x

    lines = Body(again).inline(["a0", "a1"], "v0", "_0", "float64")
    names = {"a0": 3.0, "a1": 4.0, "float64": float}
    exec("\n".join(lines), names)
    assert names["v0"] == 13.0
    assert names["a0"] == 3.0


def test_helpers_of_one_name_stay_apart():
    def makes(k):
        def helper(x):
            return x * k

        return helper

    two, three = Body(makes(2)), Body(makes(3))
    assert two.symbol("helper", "float32") != three.symbol("helper", "float32")
    assert two.symbol("helper", "float32") == Body(makes(2)).symbol("helper", "float32")
    assert two.symbol("helper", "float32").endswith("_f32")


def test_callees_of_callees_come_first():
    def inner(x):
        return x + 1

    def middle(x):
        return inner(x) * 2

    def outer(x):
        return middle(x) + inner(x)

    names = [name for name, _ in Body(outer).all_callees()]
    assert names.index("inner") < names.index("middle")


def test_constants_of_numpy_and_closures():
    local = 7

    def uses(x):
        return x * local + half_of_numpy + np.pi

    body = Body(uses)
    assert body.constants == {"local": 7, "half_of_numpy": 0.5}
    assert f"float32({math.pi!r})" in body.definition("f", "float32")


def test_the_parts_of_a_tuple():
    def backward(dy, a, b, y):
        shared = dy * y
        unused = a + b
        return shared / a, shared / b + unused

    body = Body(backward)
    first, second = body.returned(0, 2), body.returned(1, 2)
    assert "unused" not in ast.unparse(first.tree)
    assert "unused" in ast.unparse(second.tree)
    assert first.used_params() == ("dy", "a", "y")
    assert body.used_params() == ("dy", "a", "b", "y")
    with pytest.raises(KernelError, match="a tuple of 3 derivatives"):
        body.returned(0, 3)


def test_a_renamed_body():
    body = Body(doubled).renamed("other", ("z",))
    assert body.name == "other"
    assert body.params == ("z",)
    assert Body(doubled).name == "doubled"


def test_math_names():
    assert math_name("exp", "float32", "f") == "exp_f32"
    with pytest.raises(
        KernelError, match=r"f: math.exp takes floats; got int64. Cast with gn.cast"
    ):
        math_name("exp", "int64", "f")
    assert all(hasattr(math, name) or name == "rint" for name in MATH_FUNCTIONS)
    assert set(SUFFIX) == {"float32", "float64", "int64", "int32", "uint8", "bool"}


def tripled(x): return gn.elementwise(lambda y: y * 3)(x)  # fmt: skip


@functools.wraps(doubled)
def doubled_again(x):
    return x * 4


def test_the_lines_of_another_function_are_not_read():
    with pytest.raises(KernelError, match=r"the lambda at test_source\.py:\d+ .* with `def`"):
        tripled(gn.Input((2,)))
    assert "x * 4" in ast.unparse(Body(doubled_again).tree)


# --------------------------------------------------------------------- what no body may hold


def uses_a_list(x):
    return x * TABLE[0]


def uses_nothing_known(x):
    return x * nowhere  # noqa: F821


def uses_another_builtin(x):
    print(x)
    return x


def with_a_default(x, k=2):
    return x * k


def with_a_star(*x):
    return x[0]


class Callable:
    def __call__(self, x):
        return x


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (uses_a_list, r"uses_a_list: a kernel body may use .*; 'TABLE' is list. Pass it as an arg"),
        (uses_nothing_known, "uses_nothing_known: the name 'nowhere' is not defined"),
        (uses_another_builtin, "the name 'print' is not defined"),
        (with_a_default, r"with_a_default: the parameters .* are plain names.*got \(x, k=2\)"),
        (with_a_star, r"with_a_star: the parameters of a kernel body are plain names.*got \(\*x\)"),
        (lambda x: x, r"the lambda at test_source\.py:\d+ has no lines .* define it with `def`"),
        (math.exp, "must be a plain Python function; got builtin_function_or_method"),
        (Callable(), "must be a plain Python function; got Callable"),
        (countdown, "countdown: a kernel body cannot call itself, by 'countdown'"),
        (even, "odd: a kernel body cannot call itself, by 'even'"),
    ],
    ids=lambda case: getattr(case, "__name__", None),
)
def test_bodies_that_no_kernel_can_hold(function, message):
    with pytest.raises(KernelError, match=message):
        Body(function)


def test_a_function_without_source():
    names: dict = {}
    exec("def made(x):\n    return x", names)
    with pytest.raises(KernelError, match="made: its source cannot be read"):
        Body(names["made"])


def test_a_math_function_without_a_kernel():
    def gamma(x):
        return math.gamma(x)

    with pytest.raises(KernelError, match=r"gamma: math.gamma has no kernel form; use one of acos"):
        Body(gamma).definition("f", "float32")


def test_a_fraction_among_whole_numbers():
    def half(x):
        return x * 0.5

    with pytest.raises(
        KernelError, match=r"half: 0.5 is no int64, and nothing is rounded silently"
    ):
        Body(half).definition("f", "int64")

    def infinite(x):
        return x + math.inf

    with pytest.raises(KernelError, match="infinite: inf is no int32"):
        Body(infinite).definition("f", "int32")
    assert "int64(2.0)" in Body(doubled_exactly).definition("f", "int64")


def doubled_exactly(x):
    return x * 2.0


def test_what_a_module_holds():
    """``gn.sigmoid`` inside a formula is the op; a number of a module is a number."""
    import graphnn as gn

    def gated(x):
        return x * gn.sigmoid(x) + cmath.e

    body = Body(gated)
    assert list(body.callees) == ["gn.sigmoid"]
    assert body.constants == {"cmath.e": math.e}
    text = body.definition("f", "float32")
    assert "x * gn_sigmoid_" in text
    assert f"float32({math.e!r})" in text

    def wrong(x):
        return gn.Model(x)

    with pytest.raises(KernelError, match=r"wrong: .*'gn.Model' is type\. Pass it as an argument"):
        Body(wrong)
