"""What the sums of an epoch mean: a mean over samples, or a formula of the whole set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from graphnn.errors import GraphError
from graphnn.node import Node
from graphnn.ops.training.tally import TALLY
from graphnn.spec import evaluate

Value: TypeAlias = "float | list[Any]"


class Measures:
    """The outputs of a function as columns of the sums of an epoch, and what they mean.

    Parameters
    ----------
    outputs
        Scalars, means over a batch; or tallies, sums over it, of any shape.
    """

    def __init__(self, outputs: Sequence[Node]) -> None:
        self.outputs = tuple(outputs)
        self.counts = [evaluate(node.spec.size, {}) for node in outputs]

    @property
    def width(self) -> int:
        """How many columns there are."""
        return sum(self.counts)

    def values(self, sums: NDArray[np.float64], samples: int) -> list[Value]:
        """The value of each output, given the sums over ``samples``."""
        return [column[0] for column in self.columns(sums[None], samples)]

    def columns(
        self, sums: NDArray[np.float64], samples: int | NDArray[np.int64]
    ) -> list[list[Value]]:
        """The values of each output in each epoch, given sums (epochs, width); arrays as lists.

        ``samples`` is a number, or one for each epoch.
        """
        found: list[list[Value]] = []
        at = 0
        for node, count in zip(self.outputs, self.counts, strict=True):
            if node.op is TALLY:
                found.append([_finished(node, row[at : at + count]) for row in sums])
            else:
                found.append((sums[:, at] / samples).tolist())
            at += count
        return found


def is_array(node: Node) -> bool:
    """Whether the value of an output is an array, not a number."""
    return node.op is TALLY and bool(node.attrs["_array"])


def _finished(node: Node, total: NDArray[np.float64]) -> Value:
    shaped = total.reshape([evaluate(n, {}) for n in node.spec.shape])
    found = np.asarray(node.attrs["_finish"](shaped))
    if (found.ndim > 0) != is_array(node):
        raise GraphError(
            f"{node.name}: finish returns shape {found.shape}, and array={is_array(node)} "
            f"says otherwise: Metric(..., array={found.ndim > 0}). Declared at {node.origin}."
        )
    return found.tolist()  # type: ignore[no-any-return]


def figures(values: Mapping[str, Value]) -> dict[str, float]:
    """Those that are numbers, as lines and logs show them."""
    return {name: value for name, value in values.items() if not isinstance(value, list)}
