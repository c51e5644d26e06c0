"""Dropout."""

from __future__ import annotations

from graphnn.errors import GraphError
from graphnn.nn.module import Module
from graphnn.node import Node
from graphnn.ops.random import dropout


class Dropout(Module):
    """Sets elements to 0 with probability ``p`` in training; the identity in inference.

    Srivastava et al., *Dropout* (JMLR 2014), inverted: survivors are scaled by 1 / (1 - p).

    Raises
    ------
    GraphError
        If ``p`` is not in [0, 1).
    """

    def __init__(self, p: float = 0.5, *, name: str | None = None) -> None:
        super().__init__(name)
        if not 0 <= p < 1:
            raise GraphError(f"nn.Dropout needs 0 <= p < 1; got p={p}")
        self.p = p

    def forward(self, x: Node) -> Node:
        """Declare the mask and its application."""
        return dropout(x, self.p)

    def __repr__(self) -> str:
        return f"Dropout({self.p})"
