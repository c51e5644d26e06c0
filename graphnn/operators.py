"""What ``a + b``, ``a @ b``, ``x[key]`` and their like declare."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from graphnn.errors import ShapeError
from graphnn.spec import format_shape

if TYPE_CHECKING:
    from graphnn.context import SourceLine
    from graphnn.node import Node
    from graphnn.spec import TensorSpec

# What ``x[key]`` and ``a @ b`` mean, and how an op is applied by name ("call"): functions of the
# rooms above, which enter themselves here.
operators: dict[str, Callable[..., Node]] = {}


class Operators:
    """The operators of nodes: each declares a node, by the name of its op."""

    __slots__ = ()

    if TYPE_CHECKING:
        origin: SourceLine
        spec: TensorSpec

        @property
        def name(self) -> str:
            """As of a node."""

        @property
        def ndim(self) -> int:
            """As of a node."""

    def _called(self, name: str, *values: Any, **attrs: Any) -> Node:
        raise NotImplementedError(name)

    @property
    def T(self: Node) -> Node:  # type: ignore[misc]  # noqa: N802 - NumPy's and torch's name
        """The axes in reverse order."""
        order = tuple(range(self.ndim))[::-1]
        return self if self.ndim < 2 else self._called("transpose", self, axes=order)

    @property
    def mT(self) -> Node:  # noqa: N802 - NumPy's and torch's name
        """The last two axes exchanged: each matrix of a batch transposed."""
        if self.ndim < 2:
            raise ShapeError(
                f"{self.name}: mT needs at least two axes; got {format_shape(self.spec.shape)}. "
                f"Declared at {self.origin}."
            )
        *batch, rows, columns = range(self.ndim)
        return self._called("transpose", self, axes=(*batch, columns, rows))

    def __add__(self, other: Any) -> Node:
        return self._called("add", self, other)

    def __radd__(self, other: Any) -> Node:
        return self._called("add", other, self)

    def __sub__(self, other: Any) -> Node:
        return self._called("subtract", self, other)

    def __rsub__(self, other: Any) -> Node:
        return self._called("subtract", other, self)

    def __mul__(self, other: Any) -> Node:
        return self._called("multiply", self, other)

    def __rmul__(self, other: Any) -> Node:
        return self._called("multiply", other, self)

    def __truediv__(self, other: Any) -> Node:
        return self._called("divide", self, other)

    def __rtruediv__(self, other: Any) -> Node:
        return self._called("divide", other, self)

    def __floordiv__(self, other: Any) -> Node:
        return self._called("floor_divide", self, other)

    def __rfloordiv__(self, other: Any) -> Node:
        return self._called("floor_divide", other, self)

    def __mod__(self, other: Any) -> Node:
        return self._called("remainder", self, other)

    def __rmod__(self, other: Any) -> Node:
        return self._called("remainder", other, self)

    def __pow__(self, other: Any) -> Node:
        if type(other) in (int, float) and other == 2:
            return self._called("square", self)  # a product instead of a call of libm's pow
        return self._called("power", self, other)

    def __rpow__(self, other: Any) -> Node:
        return self._called("power", other, self)

    def __neg__(self) -> Node:
        return self._called("negative", self)

    def __abs__(self) -> Node:
        return self._called("abs", self)

    def __matmul__(self, other: Any) -> Node:
        return operators["matmul"](self, other)

    def __rmatmul__(self, other: Any) -> Node:
        return operators["matmul"](other, self)

    def __getitem__(self, key: object) -> Node:
        return operators["getitem"](self, key)

    # Of conditions; whole numbers are refused, since graphnn has no arithmetic of bits.

    def __and__(self, other: Any) -> Node:
        return self._called("logical_and", self, other)

    def __rand__(self, other: Any) -> Node:
        return self._called("logical_and", other, self)

    def __or__(self, other: Any) -> Node:
        return self._called("logical_or", self, other)

    def __ror__(self, other: Any) -> Node:
        return self._called("logical_or", other, self)

    def __xor__(self, other: Any) -> Node:
        return self._called("logical_xor", self, other)

    def __rxor__(self, other: Any) -> Node:
        return self._called("logical_xor", other, self)

    def __invert__(self) -> Node:
        return self._called("logical_not", self)

    def __gt__(self, other: Any) -> Node:
        return self._called("greater", self, other)

    def __lt__(self, other: Any) -> Node:
        return self._called("less", self, other)

    def __ge__(self, other: Any) -> Node:
        return self._called("greater_equal", self, other)

    def __le__(self, other: Any) -> Node:
        return self._called("less_equal", self, other)
