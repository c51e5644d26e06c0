"""The dense layer."""

from __future__ import annotations

import math

import numpy as np

from graphnn.context import declared_at
from graphnn.errors import GraphError, ShapeError
from graphnn.nn import init
from graphnn.nn.module import Module
from graphnn.node import Node, Parameter
from graphnn.ops.linalg.matmul import matmul, product_of
from graphnn.spec import format_shape, product


class Linear(Module):
    """``y = x Wᵀ + b``: x (..., in), W (out, in), b (out,), y (..., out).

    Initialised as in torch: weight and bias uniform over ±1/√in.

    Parameters
    ----------
    in_features, out_features
        Sizes of the last axis before and after.
    bias
        Whether b is added.
    dtype
        float32 or float64.
    name
        Scope of its nodes.

    Attributes
    ----------
    weight
        Parameter (out, in).
    bias
        Parameter (out,), or None.

    Raises
    ------
    ShapeError
        When called with another last axis: names the layer that would fit.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.Linear(784, 10)(gn.Input((None, 784))).shape
    (None, 10)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: object = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        for size in (in_features, out_features):
            whole = isinstance(size, int | np.integer) and not isinstance(size, bool)
            if not whole or size < 1:
                raise GraphError(
                    "nn.Linear takes two whole numbers >= 1; "
                    f"got ({in_features!r}, {out_features!r}). "
                    f"Declared at {declared_at()}."
                )
        self.in_features, self.out_features = int(in_features), int(out_features)
        bound = 1 / math.sqrt(in_features)
        shape = (self.out_features, self.in_features)
        self.weight = Parameter(init.uniform(shape, -bound, bound, dtype))
        self.bias = Parameter(init.uniform(shape[:1], -bound, bound, dtype)) if bias else None

    def forward(self, x: Node) -> Node:
        """Declare the product and the sum."""
        if x.ndim == 0 or x.spec.shape[-1] != self.in_features:
            raise ShapeError(
                f"{self.weight.scope or 'linear'}: Linear needs x.shape[-1] == in_features; got "
                f"{format_shape(x.spec.shape)} @ weightᵀ of weight "
                f"{format_shape(self.weight.spec.shape)}. Declared at {declared_at()}. "
                f"{self._fix(x)}"
            )
        vector = x.ndim == 1
        z = matmul(self.weight, x) if vector else product_of(x, self.weight, False, True)
        return z if self.bias is None else z + self.bias

    def _fix(self, x: Node) -> str:
        """What fits: images are flattened first, sequences keep their axes."""
        width = x.spec.shape[-1] if x.ndim else 1
        whole = product(x.spec.shape[1:])
        if x.ndim > 2 and whole == self.in_features:
            return "Flatten it first: nn.Flatten() before the layer, or gn.flatten(x, 1)."
        if x.ndim > 3 and isinstance(whole, int):
            return f"Flatten it first: nn.Flatten(), nn.Linear({whole}, {self.out_features})."
        return f"Did you mean nn.Linear({width}, {self.out_features})?"

    def __repr__(self) -> str:
        extra = "" if self.bias is not None else ", bias=False"
        return f"Linear({self.in_features}, {self.out_features}{extra})"
