"""Modules around modules: branches that are added or laid side by side, and plain functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphnn.context import declared_at
from graphnn.errors import GraphError, ShapeError
from graphnn.nn.container import Listed
from graphnn.nn.module import Module
from graphnn.node import Node
from graphnn.ops.movement.joining import concat


class Residual(Module):
    """``y = x + f(x)`` (He et al., *Deep residual learning*, 2016).

    Parameters
    ----------
    module
        f: its output has the shape of its input.

    Raises
    ------
    ShapeError
        When called, if the module changes the shape.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> block = nn.Residual(nn.Sequential(nn.Linear(8, 8), nn.ReLU()))
    >>> block(gn.Input((None, 8))).shape
    (None, 8)
    """

    def __init__(self, module: Module, *, name: str | None = None) -> None:
        super().__init__(name)
        _check_module("nn.Residual", module)
        self.module = module

    def forward(self, x: Node) -> Node:
        """Declare the module and the sum."""
        y: Node = self.module(x)
        if y.spec != x.spec:
            raise ShapeError(
                f"nn.Residual adds x and f(x), which must be alike; got x {x.spec} and f(x) "
                f"{y.spec} of {self.module!r}. Declared at {declared_at()}. Let the module keep "
                "the shape, or add a projection yourself: project(x) + f(x)."
            )
        return x + y


class Concat(Listed):
    """Networks side by side: ``y = [f₁(x), f₂(x), ...]``, joined along ``dim``.

    Parameters
    ----------
    *modules
        Called with the same input; their scopes are ``0``, ``1``, ...
    dim
        Axis along which the outputs are joined: the last one, or 1 for channels.

    Raises
    ------
    ShapeError
        When called, if the outputs differ in another axis.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> wide = nn.Concat(nn.Linear(4, 2), nn.Identity())
    >>> wide(gn.Input((None, 4))).shape
    (None, 6)
    """

    def __init__(self, *modules: Module, dim: int = -1, name: str | None = None) -> None:
        super().__init__(modules, name)
        if not modules:
            raise GraphError(f"nn.Concat needs at least one module. Declared at {declared_at()}.")
        self.dim = dim

    def forward(self, x: Node) -> Node:
        """Declare all modules and the joining."""
        return concat([module(x) for module in self], self.dim)

    def __repr__(self) -> str:
        return f"Concat({', '.join(map(repr, self))}, dim={self.dim})"


class Lambda(Module):
    """A function of nodes as a module, for a place in :class:`Sequential`.

    Parameters
    ----------
    function
        Takes nodes, returns a node; it holds no parameters.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> net = nn.Sequential(nn.Linear(2, 3), nn.Lambda(lambda x: x * x))
    >>> net(gn.Input((None, 2))).shape
    (None, 3)
    """

    def __init__(self, function: Callable[..., Node], *, name: str | None = None) -> None:
        super().__init__(name)
        if isinstance(function, Module) or not callable(function):
            raise GraphError(
                f"nn.Lambda takes a function of nodes; got {function!r}. "
                f"Declared at {declared_at()}."
            )
        self.function = function

    def forward(self, *values: Any) -> Node:
        """Call the function."""
        found = self.function(*values)
        if not isinstance(found, Node):
            raise GraphError(
                f"the function of nn.Lambda must return a node; got {type(found).__name__}. "
                f"Declared at {declared_at()}."
            )
        return found

    def __repr__(self) -> str:
        return f"Lambda({getattr(self.function, '__name__', self.function)!s})"


def _check_module(what: str, module: object) -> None:
    if not isinstance(module, Module):
        raise GraphError(
            f"{what} takes modules; got {type(module).__name__}. Declared at {declared_at()}. "
            "A function? Use nn.Lambda."
        )
