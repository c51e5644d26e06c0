"""R², the share of the variance that is explained."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from graphnn.context import declared_at
from graphnn.errors import GraphError, ShapeError
from graphnn.metrics.metric import Metric
from graphnn.node import Node
from graphnn.ops.elementwise.cast import cast
from graphnn.ops.movement.filled import ones_like
from graphnn.ops.movement.joining import stack
from graphnn.ops.movement.reshape import reshape
from graphnn.ops.reduction.reduce import sum
from graphnn.spec import BATCH, Dim, format_shape, product

MultiOutput: TypeAlias = Literal["uniform_average", "variance_weighted", "raw_values"]
Float64: TypeAlias = NDArray[np.float64]


class R2Score(Metric):
    """``1 - Σ (y - ŷ)² / Σ (y - ȳ)²`` over the whole set, as scikit-learn's ``r2_score``.

    The sums are float64: of a target whose mean is 10⁴ times its deviation, eight digits are left.

    Parameters
    ----------
    multioutput
        Of several outputs: ``"uniform_average"`` or ``"variance_weighted"``, their mean;
        ``"raw_values"``, an array.
    name
        What the history calls it.

    Raises
    ------
    GraphError, ShapeError
        For other settings, and when output and target differ in shape.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((None, 1), name="x")
    >>> model = gn.Model(x, x * gn.Parameter(np.float32(1), name="w"))
    >>> model.compile("sgd", "mse", metrics=["r2"])
    >>> X = np.float32([[0], [1], [2], [3]])
    >>> model.evaluate(X, X + 0.5)["r2"]
    0.8
    """

    def __init__(self, multioutput: MultiOutput = "uniform_average", name: str = "r2") -> None:
        each = multioutput == "raw_values"
        super().__init__(self._summed, self._measured, name, array=each)
        if multioutput not in get_args(MultiOutput):
            raise GraphError(
                f"{name}: multioutput is one of {', '.join(get_args(MultiOutput))}; got "
                f"{multioutput!r}"
            )
        self.multioutput = multioutput

    def _summed(self, output: Node, target: Node) -> Node:
        if output.spec.shape != target.spec.shape or output.spec.shape[:1] != (BATCH,):
            raise ShapeError(
                f"{self.name} needs output.shape == target.shape, samples along the first axis; "
                f"got {format_shape(output.spec.shape)}, {format_shape(target.spec.shape)}. "
                f"Declared at {declared_at()}."
            )
        width = product(output.spec.shape[1:])
        if isinstance(width, Dim):
            raise ShapeError(
                f"{self.name} needs a known number of outputs; got "
                f"{format_shape(output.spec.shape)}. Declared at {declared_at()}."
            )
        said, true = (reshape(cast(one, "float64"), (BATCH, width)) for one in (output, target))
        wrong = true - said
        return stack([sum(one, 0) for one in (ones_like(true), true, true * true, wrong * wrong)])

    def _measured(self, total: Float64) -> float | Float64:
        count, true, squares, wrong = total
        spread = squares - true * true / count
        spread = np.where(spread > 1e-13 * squares, spread, 0.0)  # what is left is rounding
        with np.errstate(divide="ignore", invalid="ignore"):
            each = 1 - wrong / spread
        each = np.where(spread > 0, each, np.where(wrong == 0, 1.0, 0.0))  # as scikit-learn
        if self.multioutput == "raw_values":
            return np.asarray(each)
        if self.multioutput == "variance_weighted" and spread.any():
            return float(each @ spread / spread.sum())
        return float(each.mean())
