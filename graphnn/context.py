"""Where a node is declared: the scope it stands in, the pass it belongs to, the user's line."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from graphnn.node import Node

Pass: TypeAlias = Literal["forward", "backward", "update"]

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


@dataclass(frozen=True)
class SourceLine:
    """Where the user declared a node."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{os.path.basename(self.file)}:{self.line}"


@dataclass(frozen=True, eq=False)
class Layer:
    """The module that declares a node; each module has one of its own.

    Parameters
    ----------
    kind
        Name of the module's class.
    """

    kind: str


@dataclass(frozen=True)
class Context:
    """What nodes declared now take from where they stand."""

    scope: tuple[str, ...] = ()
    role: Pass = "forward"
    forward_of: Node | None = None
    layer: Layer | None = None


context: ContextVar[Context] = ContextVar("graphnn_context", default=Context())  # noqa: B039 - frozen


@contextmanager
def scope(name: str) -> Iterator[None]:
    """Nodes declared inside carry ``name`` in front of their own.

    Examples
    --------
    >>> import graphnn as gn
    >>> with gn.scope("encoder"):
    ...     x = gn.Input((None, 3), name="x")
    >>> x.scope
    'encoder'
    """
    with _within(replace(context.get(), scope=(*context.get().scope, *name.split(".")))):
        yield


@contextmanager
def layer(made: Layer, name: str) -> Iterator[None]:
    """Nodes declared inside belong to a module, and carry its name unless that is empty."""
    with scope(name) if name else nullcontext(), _within(replace(context.get(), layer=made)):
        yield


@contextmanager
def role(name: Pass, forward_of: Node | None = None) -> Iterator[None]:
    """Nodes declared inside belong to a pass, and to the forward node whose gradient they make."""
    here = context.get()
    path = here.scope if forward_of is None else tuple(filter(None, forward_of.scope.split(".")))
    owner = here.layer if forward_of is None else forward_of.layer
    with _within(Context(path, name, forward_of, owner)):
        yield


@contextmanager
def _within(place: Context) -> Iterator[None]:
    token = context.set(place)
    try:
        yield
    finally:
        context.reset(token)


def declared_at() -> SourceLine:
    """The line of the user's that is being run: the innermost one outside of graphnn."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return SourceLine(frame.f_code.co_filename, frame.f_lineno)
