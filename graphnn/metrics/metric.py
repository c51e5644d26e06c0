"""What a measure over a whole set is: sums over batches in the graph, and a formula at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from graphnn.context import declared_at
from graphnn.errors import GraphError, ShapeError
from graphnn.node import Node
from graphnn.ops.elementwise.cast import cast
from graphnn.ops.training.tally import Finish, tally
from graphnn.spec import FLOATS, Dim, format_shape

Sums: TypeAlias = Callable[[Node, Node], Node]


class Metric:
    """A measure that is no mean over samples, exact over the whole set, however it is cut.

    The compiled loop adds up ``sums`` of all batches in float64; ``finish`` makes the measure of
    the total when an epoch ends.

    Parameters
    ----------
    sums
        ``sums(output, target)`` returns a node: numbers of any shape without the batch axis, each a
        sum over the batch. float32 counts exactly up to 2²⁴ a batch; large sums are float64.
    finish
        ``finish(total)`` takes a float64 array of that shape, and returns a number or an array.
    name
        What the history calls it.
    array
        Whether ``finish`` returns an array. The history has it as nested lists; progress, logs and
        curves leave it out.

    Raises
    ------
    GraphError, ShapeError
        When it is called with a function that returns no such node, and for what is no function.

    Examples
    --------
    The root of the mean square, which is no mean of roots:

    >>> import numpy as np
    >>> import graphnn as gn
    >>> def sums(output, target):
    ...     square = gn.sum((output - target) ** 2)
    ...     return gn.stack([square, gn.sum(gn.ones_like(target))])
    >>> rmse = gn.metrics.Metric(sums, lambda total: np.sqrt(total[0] / total[1]), name="rmse")
    >>> x = gn.Input((None, 1), name="x")
    >>> model = gn.Model(x, x * gn.Parameter(np.float32(1), name="w"))
    >>> model.compile("sgd", loss="mse", metrics=[rmse])
    >>> X = np.arange(100, dtype=np.float32)[:, None]
    >>> model.evaluate(X, X + 3)["rmse"]
    3.0
    """

    def __init__(
        self, sums: Sums, finish: Finish, name: str = "metric", *, array: bool = False
    ) -> None:
        if not callable(sums) or not callable(finish) or not isinstance(name, str):
            raise GraphError(
                "a metric is Metric(sums, finish, name): two functions and a text; got "
                f"{sums!r}, {finish!r}, {name!r}"
            )
        self.sums, self.finish, self.name, self.array = sums, finish, name, array

    def __call__(self, output: Node, target: Node, loss: Node | None = None) -> Node:
        """Its sums over a batch as a node, to be tallied over an epoch.

        Parameters
        ----------
        output, target
            Of the model.
        loss
            Beside which it is measured: it tells whether outputs are logits or probabilities.
        """
        total = self._declared(output, target, loss)
        if not isinstance(total, Node):
            raise GraphError(f"{self.name}: sums returns a node; got {total!r}")
        if any(isinstance(dim, Dim) for dim in total.spec.shape):
            raise ShapeError(
                f"{self.name}: sums must not have the batch axis; they are "
                f"{format_shape(total.spec.shape)} ({total.name}, declared at {total.origin}). "
                f"Declared at {declared_at()}. Sum over axis 0."
            )
        total = total if total.dtype in FLOATS else cast(total, "float64")
        return tally(total, self.finish, self.array, name=self.name)

    def _declared(self, output: Node, target: Node, _loss: Node | None) -> Node:
        return self.sums(output, target)

    def __repr__(self) -> str:
        return f"<metric {self.name}>"
