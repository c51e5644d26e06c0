"""``gn.op``: an op with a kernel of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphnn.context import declared_at
from graphnn.errors import GraphError
from graphnn.node import Node, NodeLike, apply, as_nodes
from graphnn.op import Example, Jvp, Op, Rows, Vjp, check_name, no_flops, register
from graphnn.source import Body
from graphnn.spec import DimLike, TensorSpec

VIEWS = ("rows", "planes", "each", "flat", "all", "around")


class StructuredOp:
    """An op made by :func:`op`; call it on nodes, keyword arguments are its attributes."""

    def __init__(self, declared: Op) -> None:
        self.op = declared
        self.__name__ = declared.name
        self.__doc__ = declared.formula or declared.name

    def __call__(self, *values: NodeLike, name: str | None = None, **attrs: Any) -> Node:
        """A node that applies the op."""
        return apply(self.op, as_nodes(*values), attrs, name=name)


def op(
    *,
    spec: Callable[..., TensorSpec],
    views: Sequence[str],
    reference: Callable[..., NDArray[Any]],
    vjp: Vjp | None = None,
    jvp: Jvp | None = None,
    expand: Callable[..., Node] | None = None,
    cuda: Callable[..., object] | None = None,
    flops: Callable[..., DimLike] = no_flops,
    examples: Sequence[Example] = (),
    name: str | None = None,
    formula: str = "",
    color: str = "#dbeafe",
) -> Callable[[Callable[..., object]], StructuredOp]:
    """Declare an op with a kernel of its own: everything about it in one place.

    The decorated function is the CPU kernel, plain Python that is compiled:
    ``kernel(start, stop, *inputs, out)`` fills rows start..stop of ``out``; threads share the rows.
    Keyword-only parameters of it are filled from the node's attributes (whole numbers and floats).

    Parameters
    ----------
    spec
        Shape and dtype rule, ``spec(*input specs, **attrs) -> TensorSpec``.
    views
        For each input, then the output: ``"rows"``, (rows, last axis);
        ``"planes"``, (planes, last but one, last axis); ``"each"``, one value a row;
        ``"flat"``, (elements,); ``"all"``, own shape, any part may be read;
        ``"around"``, (before, ``attrs["axis"]``, after), any part may be read.
    reference
        The same in NumPy, slow and plain.
    vjp
        ``vjp(node, dy)`` returns the gradient node of each input, or None.
    jvp
        ``jvp(node, tangents)`` returns the node's tangent, given one for each input, or None.
    expand
        The op in terms of other ops, ``expand(*inputs, **attrs)``, from which derivatives are made
        if ``vjp`` or ``jvp`` is missing.
    cuda
        A CUDA kernel of its own.
    flops
        Arithmetic operations, ``flops(out spec, *input specs, **attrs)``.
    examples
        Calls that ``graphnn.testing`` makes to verify the op.
    name, formula, color
        How it is called and drawn.

    Returns
    -------
    decorator
        Makes a :class:`StructuredOp` of the kernel.

    Raises
    ------
    GraphError
        If the views do not fit the kernel.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> @gn.op(
    ...     spec=lambda x: x, views=("rows", "rows"), reference=lambda x: np.cumsum(x, axis=-1)
    ... )
    ... def running_sum(start, stop, x, out):
    ...     for i in range(start, stop):
    ...         total = x[i, 0] * 0
    ...         for j in range(x.shape[1]):
    ...             total += x[i, j]
    ...             out[i, j] = total
    >>> x = gn.Input((None, 3), name="x")
    >>> gn.function(x, running_sum(x))(np.ones((1, 3), np.float32))
    array([[1., 2., 3.]], dtype=float32)
    """

    def decorate(kernel: Callable[..., object]) -> StructuredOp:
        body = Body(kernel)
        label = body.name if name is None else name
        check_name(label, str(declared_at()))
        _check(label, body, views)
        declared = Op(
            name=label,
            spec=spec,
            kernel=Rows(body, tuple(views)),
            cuda=Body(cuda) if cuda is not None else None,
            vjp=vjp,
            jvp=jvp,
            expand=expand,
            reference=lambda *arrays, **attrs: np.asarray(reference(*arrays, **attrs)),
            flops=flops,
            examples=tuple(examples),
            formula=formula,
            label=label,
            color=color,
        )
        return StructuredOp(register(declared))

    return decorate


def _check(label: str, body: Body, views: Sequence[str]) -> None:
    wrong = [view for view in views if view not in VIEWS]
    if wrong:
        raise GraphError(f"{label}: a view is one of {', '.join(VIEWS)}; got {wrong[0]!r}")
    if len(body.params) != len(views) + 2:
        raise GraphError(
            f"{label}: the kernel takes (start, stop, *inputs, out), and views has one entry for "
            f"each input and the output; got ({', '.join(body.params)}) and {len(views)} views"
        )
