"""What is known of a value before it is computed: its shape and its dtype.

A dimension is a whole number or a :class:`Dim`, a polynomial in named sizes that are bound when a
function is called. ``None`` in a shape is the batch size, the symbol ``N``; reshaping a batch of
28x28 images to rows gives ``28*N``. Arithmetic on dimensions is exact, so that two shapes are equal
only if they are equal for every batch size.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce as fold
from typing import Any, TypeAlias

import numpy as np

from graphnn.errors import DTypeError, ShapeError

Monomial: TypeAlias = tuple[str, ...]

DTYPES = ("float32", "float64", "int64", "int32", "uint8", "bool")
FLOATS = ("float32", "float64")


@dataclass(frozen=True)
class Dim:
    """A dimension that is known only at run time: a polynomial in named sizes.

    Parameters
    ----------
    terms
        Sorted pairs (monomial, coefficient); a monomial is the sorted tuple of its symbols, and
        ``()`` is the constant term. Never built directly: use :func:`symbol` and arithmetic.
    """

    terms: tuple[tuple[Monomial, int], ...]

    def __add__(self, other: DimLike) -> DimLike:
        total = dict(self.terms)
        for monomial, coefficient in _terms(other):
            total[monomial] = total.get(monomial, 0) + coefficient
        return _simplest(total)

    __radd__ = __add__

    def __sub__(self, other: DimLike) -> DimLike:
        return self + (-1 * other)

    def __rsub__(self, other: DimLike) -> DimLike:
        return (-1 * self) + other

    def __mul__(self, other: DimLike) -> DimLike:
        product: dict[Monomial, int] = {}
        for left, a in self.terms:
            for right, b in _terms(other):
                monomial = tuple(sorted(left + right))
                product[monomial] = product.get(monomial, 0) + a * b
        return _simplest(product)

    __rmul__ = __mul__

    def evaluate(self, sizes: Mapping[str, int]) -> int:
        """The dimension as a number, given the size of each symbol."""
        return sum(
            coefficient * fold(lambda a, b: a * b, (sizes[name] for name in monomial), 1)
            for monomial, coefficient in self.terms
        )

    def __str__(self) -> str:
        if self == BATCH:
            return "None"
        return " + ".join(
            "*".join(([str(c)] if c != 1 or not m else []) + list(m)) for m, c in self.terms
        )

    __repr__ = __str__


DimLike: TypeAlias = int | Dim
Shape: TypeAlias = tuple[DimLike, ...]


def _terms(dim: DimLike) -> tuple[tuple[Monomial, int], ...]:
    return dim.terms if isinstance(dim, Dim) else (((), dim),)


def _simplest(terms: Mapping[Monomial, int]) -> DimLike:
    kept = tuple(sorted((m, c) for m, c in terms.items() if c != 0))
    if not kept:
        return 0
    if len(kept) == 1 and kept[0][0] == ():
        return kept[0][1]
    return Dim(kept)


def symbol(name: str) -> Dim:
    """A dimension known only at run time, by name."""
    return Dim((((name,), 1),))


BATCH = symbol("N")


def symbol_name(dim: DimLike) -> str | None:
    """The name of a plain symbol; None for numbers and for anything computed from symbols."""
    if isinstance(dim, Dim) and len(dim.terms) == 1:
        ((monomial, coefficient),) = dim.terms
        if len(monomial) == 1 and coefficient == 1:
            return monomial[0]
    return None


def symbols_in(dim: DimLike) -> set[str]:
    """The names of all symbols of a dimension."""
    return {name for monomial, _ in _terms(dim) for name in monomial}


def evaluate(dim: DimLike, sizes: Mapping[str, int]) -> int:
    """``dim`` as a number, given the size of each symbol."""
    return dim.evaluate(sizes) if isinstance(dim, Dim) else dim


def product(dims: Iterable[DimLike]) -> DimLike:
    """The product of dimensions; 1 for none."""
    result: DimLike = 1
    for dim in dims:
        result = result * dim
    return result


def divide(total: DimLike, part: DimLike) -> DimLike | None:
    """``total / part`` where it is exact for every size, else None: long division."""
    if part == 0:
        return None
    divisor, by = max(_terms(part), key=_order)
    quotient: DimLike = 0
    while total != 0:
        monomial, coefficient = max(_terms(total), key=_order)
        left = list(monomial)
        for name in divisor:
            if name not in left:
                return None
            left.remove(name)
        if coefficient % by:
            return None
        term = _simplest({tuple(left): coefficient // by})
        quotient, total = quotient + term, total - term * part
    return quotient


def _order(term: tuple[Monomial, int]) -> tuple[int, Monomial]:
    """Degree first: a product of two terms comes before that of two smaller ones."""
    return len(term[0]), term[0]


@dataclass(frozen=True)
class TensorSpec:
    """Shape and dtype of a value.

    Parameters
    ----------
    shape
        Whole numbers and :class:`Dim`.
    dtype
        One of ``float32 float64 int64 int32 uint8 bool``.
    """

    shape: Shape
    dtype: str = "float32"

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> DimLike:
        """Number of elements."""
        return product(self.shape)

    @property
    def itemsize(self) -> int:
        """Bytes an element."""
        return np.dtype(self.dtype).itemsize

    @property
    def nbytes(self) -> DimLike:
        """Bytes of the whole value, stored without gaps."""
        return self.size * self.itemsize

    def with_shape(self, shape: Sequence[DimLike]) -> TensorSpec:
        """The same dtype with another shape."""
        return TensorSpec(tuple(shape), self.dtype)

    def with_dtype(self, dtype: str) -> TensorSpec:
        """The same shape with another dtype."""
        return TensorSpec(self.shape, dtype)

    def concrete(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The shape in numbers, given the size of each symbol."""
        return tuple(evaluate(dim, sizes) for dim in self.shape)

    def __str__(self) -> str:
        return f"{self.dtype} {format_shape(self.shape)}"


def format_shape(shape: Sequence[DimLike | None]) -> str:
    """A shape as a user writes it: ``(None, 784)``."""
    inside = ", ".join(str(dim) for dim in shape)
    return f"({inside},)" if len(shape) == 1 else f"({inside})"


def as_shape(shape: int | Sequence[int | str | Dim | None]) -> Shape:
    """A user's shape as dimensions: ``None`` is the batch size, a string another named size.

    Raises
    ------
    ShapeError
        For anything but non-negative whole numbers, ``None``, names and :class:`Dim`.
    """
    if isinstance(shape, int | np.integer):
        shape = (int(shape),)
    if isinstance(shape, str) or not isinstance(shape, Sequence):
        raise ShapeError(f"a shape is a tuple such as (None, 784); got {shape!r}")
    return tuple(_as_dim(dim, shape) for dim in shape)


def _as_dim(dim: int | str | Dim | None, shape: Sequence[object]) -> DimLike:
    if dim is None:
        return BATCH
    if isinstance(dim, Dim):
        return dim
    if isinstance(dim, str) and dim.isidentifier() and dim != "None":
        return symbol(dim)
    if isinstance(dim, int | np.integer) and not isinstance(dim, bool) and dim >= 0:
        return int(dim)
    raise ShapeError(
        f"a dimension is a whole number >= 0, None for the batch axis or a name; "
        f"got {dim!r} in {tuple(shape)!r}"
    )


def as_dtype(dtype: object) -> str:
    """The name of a dtype that graphnn knows.

    Raises
    ------
    DTypeError
        For any other dtype.
    """
    try:
        given = np.dtype(dtype)  # type: ignore[call-overload]
        name = f"text ({given.str})" if given.kind in "SU" else given.name
    except TypeError:
        name = repr(dtype)
    if name not in DTYPES:
        raise DTypeError(f"dtype must be one of {', '.join(DTYPES)}; got {name}")
    return str(name)


def lossless(given: np.dtype[Any], own: np.dtype[Any]) -> bool:
    """Whether every number of one dtype is one of another of its kind: whole numbers, floats."""
    same_kind = given.kind.replace("u", "i") == own.kind.replace("u", "i")
    return same_kind and np.can_cast(given, own, "safe")


def broadcast_shapes(*shapes: Shape) -> Shape | None:
    """The shape that NumPy's broadcasting gives, or None where the shapes do not fit."""
    ndim = max((len(shape) for shape in shapes), default=0)
    padded = [(1,) * (ndim - len(shape)) + shape for shape in shapes]
    result: list[DimLike] = []
    for dims in zip(*padded, strict=True):
        wide = {dim for dim in dims if dim != 1}
        if len(wide) > 1:
            return None
        result.append(wide.pop() if wide else 1)
    return tuple(result)
