"""Arithmetic, and functions of one variable."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from graphnn.node import Node
from graphnn.op import register
from graphnn.ops.declare.elementwise import REAL, elementwise
from graphnn.ops.declare.tangents import added, bilinear, linear

__all__ = [
    "abs",
    "add",
    "cos",
    "divide",
    "exp",
    "floor_divide",
    "log",
    "mod",
    "multiply",
    "negative",
    "pow",
    "power",
    "reciprocal",
    "remainder",
    "sin",
    "sqrt",
    "square",
    "subtract",
]

ARITHMETIC = "#e0e7ff"

# Gradients are nodes, so that they can be differentiated again.


def _add_vjp(node: Node, dy: Node) -> list[Node | None]:
    return [dy, dy]


def _add_jvp(_node: Node, tangents: Sequence[Node | None]) -> Node | None:
    return added([tangent for tangent in tangents if tangent is not None])


def _subtract_vjp(node: Node, dy: Node) -> list[Node | None]:
    return [dy, -dy]


def _subtract_jvp(_node: Node, tangents: Sequence[Node | None]) -> Node | None:
    da, db = tangents
    if da is None or db is None:
        return da if db is None else -db
    return da - db


def _multiply_vjp(node: Node, dy: Node) -> list[Node | None]:
    a, b = node.inputs
    return [dy * b, dy * a]


def _negative_vjp(node: Node, dy: Node) -> list[Node | None]:
    return [-dy]


@elementwise(
    reference=np.add, floats=False, formula="a + b", color=ARITHMETIC, vjp=_add_vjp, jvp=_add_jvp
)
def add(a, b):  # type: ignore[no-untyped-def]
    """The sum; shapes broadcast.

    >>> gn.function([], gn.add([1.0, 2.0], 10.0))()
    array([11., 12.], dtype=float32)
    """
    return a + b


@elementwise(
    reference=np.add, floats=False, formula="Σ", color="#fae8ff", vjp=_add_vjp, jvp=_add_jvp
)
def accumulate(a, b):  # type: ignore[no-untyped-def]
    return a + b


@elementwise(
    reference=np.subtract,
    floats=False,
    formula="a - b",
    color=ARITHMETIC,
    vjp=_subtract_vjp,
    jvp=_subtract_jvp,
)
def subtract(a, b):  # type: ignore[no-untyped-def]
    """The difference; shapes broadcast.

    >>> gn.function([], gn.subtract([1.0, 2.0], 10.0))()
    array([-9., -8.], dtype=float32)
    """
    return a - b


@elementwise(
    reference=np.multiply,
    floats=False,
    formula="a b",
    color=ARITHMETIC,
    vjp=_multiply_vjp,
    jvp=bilinear,
)
def multiply(a, b):  # type: ignore[no-untyped-def]
    """The product; shapes broadcast.

    >>> gn.function([], gn.multiply([1.0, 2.0], 10.0))()
    array([10., 20.], dtype=float32)
    """
    return a * b


@elementwise(
    reference=np.negative,
    floats=False,
    formula="-x",
    color=ARITHMETIC,
    vjp=_negative_vjp,
    jvp=linear,
)
def negative(x):  # type: ignore[no-untyped-def]
    """The number on the other side of 0.

    >>> gn.function([], gn.negative([1.0, -2.0]))()
    array([-1.,  2.], dtype=float32)
    """
    return -x


@elementwise(domain=[REAL, (0.5, 2.0)], reference=np.divide, formula="a / b", color=ARITHMETIC)
def divide(a, b):  # type: ignore[no-untyped-def]
    """The quotient; a number by 0 is ±inf, and 0 by 0 is nan.

    >>> gn.function([], gn.divide([1.0, -1.0], [4.0, 0.0]))()
    array([0.25, -inf], dtype=float32)
    """
    return a / b


@divide.backward
def _(dy, a, b, y):  # type: ignore[no-untyped-def]
    return dy / b, -dy * y / b


divide.op = register(replace(divide.op, vanishes=(0,)), replace=True)


@elementwise(domain=[(0.5, 2.0), REAL], reference=np.power, formula="a^b", color=ARITHMETIC)
def power(a, b):  # type: ignore[no-untyped-def]
    """What is raised to 0 is 1; a fraction of a negative number is nan.

    >>> gn.function([], gn.power([2.0, 9.0], [3.0, 0.5]))()
    array([8., 3.], dtype=float32)
    """
    return math.pow(a, b)


@power.backward
def _(dy, a, b, y):  # type: ignore[no-untyped-def]
    # x⁰ is 1 everywhere: its slope is 0 also where 0 · pow(0, -1) would be nan. So is 0ᵇ 0.
    return (
        dy * b * math.pow(a, b - 1) if b != 0 else 0,
        0 if a == 0 and b >= 0 else dy * y * math.log(a),
    )


pow = power  # torch's name


@elementwise(
    domain=[REAL, (-2, 2, 0)],
    reference=np.floor_divide,
    floats=False,
    formula="⌊a / b⌋",
    color=ARITHMETIC,
)
def floor_divide(a, b):  # type: ignore[no-untyped-def]
    """The quotient, rounded down.

    >>> gn.function([], gn.floor_divide([7.0, -7.0], 2.0))()
    array([ 3., -4.], dtype=float32)
    """
    return a // b


@floor_divide.backward
def _(dy, a, b, y):  # type: ignore[no-untyped-def]
    return 0, 0


@elementwise(
    domain=[(2.2, 2.8), (0.9, 1.1)],
    reference=np.remainder,
    floats=False,
    formula="a - b ⌊a / b⌋",
    color=ARITHMETIC,
)
def remainder(a, b):  # type: ignore[no-untyped-def]
    """What a division that rounds down leaves: it has the sign of b.

    >>> gn.function([], gn.remainder([7.0, -7.0], 3.0))()
    array([1., 2.], dtype=float32)
    """
    return a % b


@remainder.backward
def _(dy, a, b, y):  # type: ignore[no-untyped-def]
    return dy, -dy * (a // b)


mod = remainder  # NumPy's other name


@elementwise(domain=[(0.1, 4.0)], reference=np.reciprocal, formula="1 / x", color=ARITHMETIC)
def reciprocal(x):  # type: ignore[no-untyped-def]
    """Of 0 it is inf.

    >>> gn.function([], gn.reciprocal([4.0, 0.0]))()
    array([0.25,  inf], dtype=float32)
    """
    return 1 / x


@reciprocal.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return -dy * y * y


@elementwise(reference=np.square, floats=False, formula="x²", color=ARITHMETIC)
def square(x):  # type: ignore[no-untyped-def]
    """The number times itself.

    >>> gn.function([], gn.square([-3.0, 2.0]))()
    array([9., 4.], dtype=float32)
    """
    return x * x


@square.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return 2 * x * dy


@elementwise(
    domain=[(-2, 2, 0)], reference=np.abs, floats=False, formula="|x|", color=ARITHMETIC
)  # fmt: skip
def abs(x):  # type: ignore[no-untyped-def]
    """The distance from 0.

    >>> gn.function([], gn.abs([-2.0, 0.0, 3.0]))()
    array([2., 0., 3.], dtype=float32)
    """
    # x x is nan or 0, never -0: kernels do not keep the sign that 0 - x has.
    return x if x > 0 else (-x if x < 0 else x * x)


@abs.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return dy if x > 0 else (-dy if x < 0 else 0)


# Functions of one variable.


@elementwise(reference=np.exp, formula="eˣ", color=ARITHMETIC)
def exp(x):  # type: ignore[no-untyped-def]
    """Grows to inf, where x passes 88.7 (float32) or 709.7 (float64).

    >>> gn.function([], gn.exp([0.0, 1.0, 100.0]))()
    array([1.       , 2.7182817,       inf], dtype=float32)
    """
    return math.exp(x)


@exp.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return dy * y


@elementwise(domain=[(0.1, 4.0)], reference=np.log, formula="ln x", color=ARITHMETIC)
def log(x):  # type: ignore[no-untyped-def]
    """The natural logarithm; -inf at 0, and nan below.

    >>> gn.function([], gn.log([1.0, 0.0]))()
    array([  0., -inf], dtype=float32)
    """
    return math.log(x)


@log.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return dy / x


@elementwise(domain=[(0.1, 4.0)], reference=np.sqrt, formula="√x", color=ARITHMETIC)
def sqrt(x):  # type: ignore[no-untyped-def]
    """The root that is not negative; nan below 0.

    >>> gn.function([], gn.sqrt([4.0, 2.0]))()
    array([2.       , 1.4142135], dtype=float32)
    """
    return math.sqrt(x)


@sqrt.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return dy / (2 * y)


@elementwise(reference=np.sin, formula="sin x", color=ARITHMETIC)
def sin(x):  # type: ignore[no-untyped-def]
    """Of an angle in radians.

    >>> gn.function([], gn.sin([0.0, np.pi / 2]))()
    array([0., 1.], dtype=float32)
    """
    return math.sin(x)


@sin.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return dy * math.cos(x)


@elementwise(reference=np.cos, formula="cos x", color=ARITHMETIC)
def cos(x):  # type: ignore[no-untyped-def]
    """Of an angle in radians.

    >>> gn.function([], gn.cos([0.0, np.pi]))()
    array([ 1., -1.], dtype=float32)
    """
    return math.cos(x)


@cos.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return -dy * math.sin(x)
