"""A node knows its op, its inputs, its shape, and the line that declared it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

from numpy.typing import ArrayLike

from graphnn.context import Layer, Pass, SourceLine, context, declared_at
from graphnn.errors import GraphError
from graphnn.hints import OF_SETTING
from graphnn.interop import Foreign
from graphnn.op import Attrs, Op
from graphnn.operators import Operators, operators
from graphnn.spec import (
    DimLike,
    TensorSpec,
)

NodeLike: TypeAlias = "Node | ArrayLike"

_serial = itertools.count()


class Node(Operators, Foreign):
    """A value of the graph: an op applied to other nodes. Immutable.

    ``==`` is identity, so that nodes can be keys; ``gn.equal`` compares values. Operators and
    NumPy's elementwise functions (``np.exp(x)``) declare nodes.

    Attributes
    ----------
    op, inputs, attrs
        What is computed, from what.
    spec
        Shape and dtype of the result.
    label
        The name that the user gave, or None.
    scope
        Dotted path of the module that declared it.
    origin
        The user's file and line.
    role
        The pass it belongs to: forward, backward or update.
    forward_of
        For a backward node: the forward node whose gradient it makes.
    layer
        The module that declared it, or None.

    Examples
    --------
    >>> import graphnn as gn
    >>> x = gn.Input((None, 3), name="x")
    >>> y = gn.exp(x) + 1.0
    >>> y.shape, y.dtype, y.op.name
    ((None, 3), 'float32', 'add')
    >>> print(gn.Graph(y))
    1 input, 0 parameters, 2 ops
      x   = input        float32 (None, 3)
      exp = exp(x)       float32 (None, 3)
      add = add(exp, 1)  float32 (None, 3)
    """

    __slots__ = (
        "__weakref__",
        "attrs",
        "forward_of",
        "inputs",
        "label",
        "layer",
        "op",
        "origin",
        "role",
        "scope",
        "serial",
        "spec",
    )

    def __init__(
        self,
        op: Op,
        inputs: Sequence[Node] = (),
        attrs: Attrs | None = None,
        *,
        spec: TensorSpec,
        name: str | None = None,
    ) -> None:
        if name is not None and not isinstance(name, str):
            raise GraphError(
                f"a name is text, or None; got {name!r} for {op.name}. Declared at {declared_at()}."
            )
        here = context.get()
        fields = {
            "op": op,
            "inputs": tuple(inputs),
            "attrs": MappingProxyType(dict(attrs or {})),
            "spec": spec,
            "label": name,
            "scope": ".".join(here.scope),
            "origin": declared_at(),
            "role": here.role,
            "forward_of": here.forward_of,
            "layer": here.layer,
            "serial": next(_serial),
        }
        for key, value in fields.items():
            object.__setattr__(self, key, value)

    op: Op
    inputs: tuple[Node, ...]
    attrs: Mapping[str, Any]
    spec: TensorSpec
    label: str | None
    scope: str
    origin: SourceLine
    role: Pass
    forward_of: Node | None
    layer: Layer | None
    serial: int

    def __setattr__(self, key: str, value: object) -> None:
        hint = f". Write {OF_SETTING[key]}" if key in OF_SETTING else ""
        raise AttributeError(f"a node is immutable; cannot set {key!r} of {self}{hint}")

    @property
    def shape(self) -> tuple[DimLike | None, ...]:
        """The shape as declared; ``None`` is the batch size."""
        return tuple(None if str(dim) == "None" else dim for dim in self.spec.shape)

    @property
    def dtype(self) -> str:
        """Name of the dtype."""
        return self.spec.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.spec.ndim

    @property
    def name(self) -> str:
        """Scope and label: unique only within a printed graph."""
        base = self.label or _plain_name(self)
        return f"{self.scope}.{base}" if self.scope else base

    def __repr__(self) -> str:
        return f"<{self.name}: {self.op.name} {self.spec}>"

    def _called(self, name: str, *values: NodeLike, **attrs: Any) -> Node:
        """What an operator means, or NumPy's function of that name."""
        return operators["call"](name, *values, **attrs)


def _plain_name(node: Node) -> str:
    backward = node.role == "backward" and not node.op.name.endswith("_backward")
    return f"d_{node.op.name}" if backward else node.op.name
