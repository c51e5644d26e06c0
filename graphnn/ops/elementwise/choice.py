"""Comparisons, logic, and the choice between values."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from graphnn.node import Node
from graphnn.ops.declare.elementwise import REAL, elementwise
from graphnn.spec import FLOATS

__all__ = [
    "copysign",
    "equal",
    "greater",
    "greater_equal",
    "isfinite",
    "isinf",
    "isnan",
    "less",
    "less_equal",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "maximum",
    "minimum",
    "not_equal",
    "where",
]

CHOICE = "#e0e7ff"


@elementwise(reference=np.maximum, formula="max(a, b)", color=CHOICE)
def maximum(a, b):  # type: ignore[no-untyped-def]
    """The larger one, nan if one is. Equal ones share the cotangent.

    >>> gn.function([], gn.maximum([1.0, 5.0], 3.0))()
    array([3., 5.], dtype=float32)
    """
    return a if a > b or a != a else b


@maximum.backward
def _(dy, a, b, y):  # type: ignore[no-untyped-def]
    return (
        dy if a > b else (dy / 2 if a == b else 0),
        dy if b > a else (dy / 2 if a == b else 0),
    )


@elementwise(reference=np.minimum, formula="min(a, b)", color=CHOICE)
def minimum(a, b):  # type: ignore[no-untyped-def]
    """The smaller one, nan if one is. Equal ones share the cotangent.

    >>> gn.function([], gn.minimum([1.0, 5.0], 3.0))()
    array([1., 3.], dtype=float32)
    """
    return a if a < b or a != a else b


@minimum.backward
def _(dy, a, b, y):  # type: ignore[no-untyped-def]
    return (
        dy if a < b else (dy / 2 if a == b else 0),
        dy if b < a else (dy / 2 if a == b else 0),
    )


def _where_vjp(node: Node, dy: Node) -> list[Node | None]:
    condition, a, _b = node.inputs
    zero = 0.0 if a.dtype in FLOATS else 0
    return [None, where(condition, dy, zero), where(condition, zero, dy)]


def _where_jvp(node: Node, tangents: Sequence[Node | None]) -> Node | None:
    _, da, db = tangents
    if da is None and db is None:
        return None
    return where(node.inputs[0], 0.0 if da is None else da, 0.0 if db is None else db)


@elementwise(
    domain=["bool", REAL, REAL], reference=np.where, floats=False, formula="c ? a : b",
    color=CHOICE, vjp=_where_vjp, jvp=_where_jvp,
)  # fmt: skip
def where(condition, a, b):  # type: ignore[no-untyped-def]
    """The one value where the condition holds, the other elsewhere.

    >>> gn.function([], gn.where([True, False], [1.0, 2.0], -1.0))()
    array([ 1., -1.], dtype=float32)
    """
    return a if condition else b


@elementwise(reference=np.greater, result="bool", floats=False, formula="a > b", color=CHOICE)
def greater(a, b):  # type: ignore[no-untyped-def]
    """Whether a is above b.

    >>> gn.function([], gn.greater([1.0, 2.0, 3.0], 2.0))()
    array([False, False,  True])
    """
    return a > b


@elementwise(reference=np.less, result="bool", floats=False, formula="a < b", color=CHOICE)
def less(a, b):  # type: ignore[no-untyped-def]
    """Whether a is below b.

    >>> gn.function([], gn.less([1.0, 2.0, 3.0], 2.0))()
    array([ True, False, False])
    """
    return a < b


@elementwise(reference=np.greater_equal, result="bool", floats=False, formula="a ≥ b", color=CHOICE)
def greater_equal(a, b):  # type: ignore[no-untyped-def]
    """Whether a is b or above it.

    >>> gn.function([], gn.greater_equal([1.0, 2.0, 3.0], 2.0))()
    array([False,  True,  True])
    """
    return a >= b


@elementwise(reference=np.less_equal, result="bool", floats=False, formula="a ≤ b", color=CHOICE)
def less_equal(a, b):  # type: ignore[no-untyped-def]
    """Whether a is b or below it.

    >>> gn.function([], gn.less_equal([1.0, 2.0, 3.0], 2.0))()
    array([ True,  True, False])
    """
    return a <= b


@elementwise(reference=np.equal, result="bool", floats=False, formula="a = b", color=CHOICE)
def equal(a, b):  # type: ignore[no-untyped-def]
    """Whether two values are equal; nan equals nothing.

    >>> gn.function([], gn.equal([1.0, np.nan], [1.0, np.nan]))()
    array([ True, False])
    """
    return a == b


@elementwise(reference=np.not_equal, result="bool", floats=False, formula="a ≠ b", color=CHOICE)
def not_equal(a, b):  # type: ignore[no-untyped-def]
    """Whether two values differ; nan differs from everything.

    >>> gn.function([], gn.not_equal([1.0, np.nan], [1.0, np.nan]))()
    array([False,  True])
    """
    return a != b


@elementwise(
    domain=["bool", "bool"], reference=np.logical_and, floats=False, formula="a ∧ b", color=CHOICE
)
def logical_and(a, b):  # type: ignore[no-untyped-def]
    """Whether both hold.

    >>> gn.function([], gn.logical_and([True, True, False], [True, False, False]))()
    array([ True, False, False])
    """
    return a and b


@elementwise(
    domain=["bool", "bool"], reference=np.logical_or, floats=False, formula="a ∨ b", color=CHOICE
)
def logical_or(a, b):  # type: ignore[no-untyped-def]
    """Whether one holds, or both.

    >>> gn.function([], gn.logical_or([True, True, False], [True, False, False]))()
    array([ True,  True, False])
    """
    return a or b


@elementwise(
    domain=["bool", "bool"], reference=np.logical_xor, floats=False, formula="a ≠ b", color=CHOICE
)
def logical_xor(a, b):  # type: ignore[no-untyped-def]
    """Whether one holds, and not the other.

    >>> gn.function([], gn.logical_xor([True, True, False], [True, False, False]))()
    array([False,  True, False])
    """
    return a != b


@elementwise(domain=["bool"], reference=np.logical_not, floats=False, formula="¬a", color=CHOICE)
def logical_not(a):  # type: ignore[no-untyped-def]
    """Whether it does not hold.

    >>> gn.function([], gn.logical_not([True, False]))()
    array([False,  True])
    """
    return not a


@elementwise(reference=np.isnan, result="bool", formula="x is nan", color=CHOICE)
def isnan(x):  # type: ignore[no-untyped-def]
    """Whether x is no number.

    >>> gn.function([], gn.isnan([1.0, np.inf, np.nan]))()
    array([False, False,  True])
    """
    return math.isnan(x)


@elementwise(reference=np.isinf, result="bool", formula="|x| = ∞", color=CHOICE)
def isinf(x):  # type: ignore[no-untyped-def]
    """Whether x is inf or -inf.

    >>> gn.function([], gn.isinf([1.0, -np.inf, np.nan]))()
    array([False,  True, False])
    """
    return math.isinf(x)


@elementwise(reference=np.isfinite, result="bool", formula="|x| < ∞", color=CHOICE)
def isfinite(x):  # type: ignore[no-untyped-def]
    """Whether x is a number that is not infinite.

    >>> gn.function([], gn.isfinite([1.0, np.inf, np.nan]))()
    array([ True, False, False])
    """
    return math.isfinite(x)


@elementwise(
    domain=[(-2, 2, 0), (-2, 2, 0)],
    reference=np.copysign,
    formula="|a| with the sign of b",
    color=CHOICE,
)
def copysign(a, b):  # type: ignore[no-untyped-def]
    """The size of a under the sign of b; -0.0 has one, too.

    >>> gn.function([], gn.copysign([1.0, 2.0], [-0.0, 3.0]))()
    array([-1.,  2.], dtype=float32)
    """
    return math.copysign(a, b)


@copysign.backward
def _(dy, a, b, y):  # type: ignore[no-untyped-def]
    return 0 if a == 0 else (dy if y == a else -dy), 0
