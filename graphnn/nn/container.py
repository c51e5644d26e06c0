"""Modules made of modules."""

from __future__ import annotations

from collections.abc import Iterator

from graphnn.errors import GraphError
from graphnn.nn.module import Module
from graphnn.node import Node


class Sequential(Module):
    """Modules applied one after the other; their scopes are ``0``, ``1``, ...

    Examples
    --------
    >>> from graphnn import nn
    >>> net = nn.Sequential(nn.Linear(784, 10), nn.ReLU())
    >>> len(net), net[0]
    (2, Linear(784, 10))
    """

    def __init__(self, *modules: Module, name: str | None = None) -> None:
        super().__init__(name)
        for i, module in enumerate(modules):
            if not isinstance(module, Module):
                raise GraphError(
                    f"nn.Sequential takes modules; item {i} is {type(module).__name__}. "
                    "A function? Wrap it: nn.Lambda(function)."
                )
            setattr(self, str(i), module)

    def forward(self, x: Node) -> Node:
        """Declare all modules in order."""
        for module in self:
            x = module(x)
        return x

    def __iter__(self) -> Iterator[Module]:
        return (module for _, module in self.named_children())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, index: int) -> Module:
        return list(self)[index]

    def __repr__(self) -> str:
        return f"Sequential({', '.join(map(repr, self))})"
