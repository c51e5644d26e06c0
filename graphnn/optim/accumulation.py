"""Gradient accumulation: the mean of several calls' gradients moves the weights once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from graphnn.context import role
from graphnn.node import Node, Parameter
from graphnn.ops.elementwise.choice import equal, where

if TYPE_CHECKING:
    from graphnn.optim.optimizer import Optimizer, Pairs


class Accumulation:
    """Sums gradients over ``steps`` calls, and holds all updates back until the last of them.

    Every update is a choice between the new value and the old one, in the kernel that makes the new
    value. One step: nothing is added to the graph.
    """

    def __init__(self, optimizer: Optimizer, steps: int) -> None:
        self.optimizer, self.steps = optimizer, steps
        self.own: Pairs = []
        self.due: Node | None = None

    def added(self, gradients: Sequence[Node], parameters: Sequence[Parameter]) -> list[Node]:
        """The means of the gradients so far, each over all ``steps`` calls."""
        if self.steps == 1:
            return list(gradients)
        count = Parameter(np.float64(0), name="calls", trainable=False)
        self.optimizer.state.append(count)
        with role("update"):
            calls = count + 1.0
            self.due = equal(calls, float(self.steps))
            self.own = [(count, where(self.due, 0.0, calls))]
        totals = []
        for gradient, parameter in zip(gradients, parameters, strict=True):
            kept = self.optimizer.keep(parameter, "gradient")
            with role("update", forward_of=parameter):
                total = kept + gradient / self.steps
                self.own.append((kept, where(self.due, 0.0, total)))
            totals.append(total)
        return totals

    def held(self, pairs: Pairs) -> Pairs:
        """The updates, each of which happens only when it is due."""
        if self.due is None:
            return pairs
        made: Pairs = []
        for target, new in pairs:
            with role("update", forward_of=new.forward_of):
                made.append((target, where(self.due, new, target)))
        return [*made, *self.own]
