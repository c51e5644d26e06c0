"""Arithmetic, functions of one variable, and the change of dtype."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from graphnn.node import Node, NodeLike, apply, as_nodes
from graphnn.op import Draw, Example, Op, Scalar, register
from graphnn.ops.declare.elementwise import REAL, elementwise
from graphnn.ops.declare.tangents import added, bilinear, linear
from graphnn.source import Body
from graphnn.spec import FLOATS, TensorSpec, as_dtype

__all__ = [
    "abs",
    "add",
    "cast",
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
    return -x


@elementwise(domain=[REAL, (0.5, 2.0)], reference=np.divide, formula="a / b", color=ARITHMETIC)
def divide(a, b):  # type: ignore[no-untyped-def]
    return a / b


@divide.backward
def _(dy, a, b, y):  # type: ignore[no-untyped-def]
    return dy / b, -dy * y / b


divide.op = register(replace(divide.op, vanishes=(0,)), replace=True)


@elementwise(domain=[(0.5, 2.0), REAL], reference=np.power, formula="a^b", color=ARITHMETIC)
def power(a, b):  # type: ignore[no-untyped-def]
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
    return a % b


@remainder.backward
def _(dy, a, b, y):  # type: ignore[no-untyped-def]
    return dy, -dy * (a // b)


mod = remainder  # NumPy's other name


@elementwise(domain=[(0.1, 4.0)], reference=np.reciprocal, formula="1 / x", color=ARITHMETIC)
def reciprocal(x):  # type: ignore[no-untyped-def]
    return 1 / x


@reciprocal.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return -dy * y * y


@elementwise(reference=np.square, floats=False, formula="x²", color=ARITHMETIC)
def square(x):  # type: ignore[no-untyped-def]
    return x * x


@square.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return 2 * x * dy


@elementwise(
    domain=[(-2, 2, 0)], reference=np.abs, floats=False, formula="|x|", color=ARITHMETIC
)  # fmt: skip
def abs(x):  # type: ignore[no-untyped-def]
    return x if x > 0 else 0 - x  # not -x: |0| is no -0


@abs.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return dy if x > 0 else (-dy if x < 0 else 0)


# Functions of one variable.


@elementwise(reference=np.exp, formula="eˣ", color=ARITHMETIC)
def exp(x):  # type: ignore[no-untyped-def]
    return math.exp(x)


@exp.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return dy * y


@elementwise(domain=[(0.1, 4.0)], reference=np.log, formula="ln x", color=ARITHMETIC)
def log(x):  # type: ignore[no-untyped-def]
    return math.log(x)


@log.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return dy / x


@elementwise(domain=[(0.1, 4.0)], reference=np.sqrt, formula="√x", color=ARITHMETIC)
def sqrt(x):  # type: ignore[no-untyped-def]
    return math.sqrt(x)


@sqrt.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return dy / (2 * y)


@elementwise(reference=np.sin, formula="sin x", color=ARITHMETIC)
def sin(x):  # type: ignore[no-untyped-def]
    return math.sin(x)


@sin.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return dy * math.cos(x)


@elementwise(reference=np.cos, formula="cos x", color=ARITHMETIC)
def cos(x):  # type: ignore[no-untyped-def]
    return math.cos(x)


@cos.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return -dy * math.sin(x)


# Dtype: the one place where it changes, and only on request.


def _same(x):  # type: ignore[no-untyped-def]
    return x


def _cast_spec(x: TensorSpec, *, dtype: str) -> TensorSpec:
    return x.with_dtype(dtype)


def _cast_vjp(node: Node, dy: Node) -> list[Node | None]:
    (x,) = node.inputs
    return [cast(dy, x.dtype) if x.dtype in FLOATS and node.dtype in FLOATS else None]


def _cast_jvp(node: Node, tangents: Sequence[Node | None]) -> Node | None:
    (dx,) = tangents
    return None if dx is None or node.dtype not in FLOATS else cast(dx, node.dtype)


CAST = register(
    Op(
        name="cast",
        spec=_cast_spec,
        kernel=Scalar(Body(_same)),
        reference=lambda x, *, dtype: x.astype(dtype),
        vjp=_cast_vjp,
        jvp=_cast_jvp,
        vanishes=(0,),
        examples=tuple(
            Example((Draw((3, 5)),), {"dtype": d}) for d in ("float32", "float64", "int64", "bool")
        ),
        formula="(dtype) x",
        color=ARITHMETIC,
    )
)


def cast(x: NodeLike, dtype: object) -> Node:
    """``x`` with another dtype; the only way in which a dtype changes.

    A gradient comes back in the dtype of ``x``; between floats and whole numbers none flows.

    Raises
    ------
    DTypeError
        For a dtype that graphnn does not know.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.cast(gn.Input((None, 3), dtype="uint8"), "float32").dtype
    'float32'
    """
    (node,) = as_nodes(x)
    name = as_dtype(dtype)
    return node if node.dtype == name else apply(CAST, [node], {"dtype": name})
