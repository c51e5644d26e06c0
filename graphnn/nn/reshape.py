"""Modules that only rename axes."""

from __future__ import annotations

from graphnn.nn.module import Module
from graphnn.node import Node
from graphnn.ops.movement.reshape import flatten


class Flatten(Module):
    """Joins the axes from ``start_dim`` on: (batch, 1, 28, 28) to (batch, 784).

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.Flatten()(gn.Input((None, 1, 28, 28))).shape
    (None, 784)
    """

    def __init__(self, start_dim: int = 1, *, name: str | None = None) -> None:
        super().__init__(name)
        self.start_dim = start_dim

    def forward(self, x: Node) -> Node:
        """Declare the reshape."""
        return flatten(x, self.start_dim)
