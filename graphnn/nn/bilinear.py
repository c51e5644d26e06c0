"""The bilinear layer."""

from __future__ import annotations

import math

from graphnn.context import declared_at
from graphnn.errors import ShapeError
from graphnn.nn import init
from graphnn.nn.module import Module
from graphnn.node import Node, Parameter
from graphnn.ops.linalg.matmul import matmul
from graphnn.ops.movement.reshape import expand_dims, reshape
from graphnn.ops.movement.transpose import transpose
from graphnn.ops.reduction.reduce import sum
from graphnn.spec import format_shape


class Bilinear(Module):
    """``yₖ = x₁ᵀ Aₖ x₂ + bₖ``: x₁ (..., in1), x₂ (..., in2), A (out, in1, in2), y (..., out).

    Initialised as in torch: uniform over ±1/√in1.

    Parameters
    ----------
    in1_features, in2_features, out_features
        Sizes of the last axes.
    bias
        Whether b is added.
    dtype
        float32 or float64.
    name
        Scope of its nodes.

    Examples
    --------
    >>> import graphnn as gn
    >>> a, b = gn.Input((None, 4), name="a"), gn.Input((None, 5), name="b")
    >>> gn.nn.Bilinear(4, 5, 3)(a, b).shape
    (None, 3)
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: object = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.sizes = (in1_features, in2_features, out_features)
        bound = 1 / math.sqrt(in1_features)
        shape = (out_features, in1_features, in2_features)
        self.weight = Parameter(init.uniform(shape, -bound, bound, dtype))
        self.bias = Parameter(init.uniform((out_features,), -bound, bound, dtype)) if bias else None

    def forward(self, x1: Node, x2: Node) -> Node:
        """Declare the product with A, and the sum over x₂."""
        first, second, out = self.sizes
        for label, x, size in (("x1", x1, first), ("x2", x2, second)):
            if x.ndim == 0 or x.spec.shape[-1] != size:
                raise ShapeError(
                    f"Bilinear needs {label}.shape[-1] == {size}; got "
                    f"{format_shape(x.spec.shape)} for {x.name!r}. Declared at {declared_at()}."
                )
        matrix = reshape(transpose(self.weight, (1, 0, 2)), (first, out * second))
        product = matmul(x1, matrix)
        split = reshape(product, (*x1.spec.shape[:-1], out, second))
        y = sum(split * expand_dims(x2, -2), -1)
        return y if self.bias is None else y + self.bias

    def __repr__(self) -> str:
        extra = "" if self.bias is not None else ", bias=False"
        return f"Bilinear({', '.join(map(str, self.sizes))}{extra})"
