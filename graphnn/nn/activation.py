"""Activations as modules."""

from __future__ import annotations

from graphnn.nn.module import Module
from graphnn.node import Node
from graphnn.ops.activation import relu, sigmoid, tanh
from graphnn.ops.softmax import log_softmax, softmax


class Identity(Module):
    """``y = x``."""

    def forward(self, x: Node) -> Node:
        """The node itself."""
        return x


class ReLU(Module):
    """``y = max(x, 0)``."""

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return relu(x)


class Sigmoid(Module):
    """``y = 1 / (1 + exp(-x))``."""

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return sigmoid(x)


class Tanh(Module):
    """``y = tanh x``."""

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return tanh(x)


class Softmax(Module):
    """Probabilities along ``dim``. Losses take the logits in front of it."""

    def __init__(self, dim: int = -1, *, name: str | None = None) -> None:
        super().__init__(name)
        self.dim = dim

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return softmax(x, self.dim)


class LogSoftmax(Module):
    """Logarithms of probabilities along ``dim``."""

    def __init__(self, dim: int = -1, *, name: str | None = None) -> None:
        super().__init__(name)
        self.dim = dim

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return log_softmax(x, self.dim)
