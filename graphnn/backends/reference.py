"""The oracle: any graph, evaluated node by node with the NumPy references of its ops.

Slow and plain on purpose. It shares nothing with the kernels: no fusion, no schedule, no arena, no
generated code. Each node is computed in float64 from its inputs and rounded once to its own dtype.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphnn.errors import GraphError, ShapeError
from graphnn.loop import LAST, STACK, LoopBody
from graphnn.node import Constant, Input, Node, Parameter, Size
from graphnn.op import Loop, Part
from graphnn.spec import Dim, format_shape, symbol_name, symbols_in
from graphnn.spec import evaluate as size_of

# Any: a mapping is invariant in its keys, and inputs alone are given as often as any nodes.
Given = Mapping[Any, ArrayLike]
Sizes = Mapping[str, int]


@overload
def evaluate(outputs: Node, given: Given = ..., sizes: Sizes = ...) -> NDArray[Any]: ...


@overload
def evaluate(
    outputs: Sequence[Node], given: Given = ..., sizes: Sizes = ...
) -> list[NDArray[Any]]: ...


def evaluate(
    outputs: Node | Sequence[Node], given: Given | None = None, sizes: Sizes | None = None
) -> NDArray[Any] | list[NDArray[Any]]:
    """The values of nodes.

    Parameters
    ----------
    outputs
        One node, or several.
    given
        An array for each input that the outputs need. Any other node may be given too: its value
        is then taken, not computed. Parameters that are not given have their present value.
    sizes
        The size of each symbol that no given array tells.

    Returns
    -------
    array or list of arrays
        Of the shape and dtype that the nodes declare.

    Raises
    ------
    GraphError
        If an input is not given, or nothing tells a size.
    ShapeError
        If an array does not fit its node, or a reference computes another shape than declared.

    Examples
    --------
    >>> import graphnn as gn
    >>> x = gn.Input((None, 2), name="x")
    >>> evaluate(gn.sum(x * x), {x: [[1, 2], [3, 4]]})
    array(30., dtype=float32)
    """
    values, known = _given(given or {}, sizes or {})
    wanted = [outputs] if isinstance(outputs, Node) else list(outputs)
    _evaluate(_missing(wanted, values), values, known)
    found = [values[node] for node in wanted]
    return found[0] if isinstance(outputs, Node) else found


def _evaluate(order: Sequence[Node], values: dict[Node, NDArray[Any]], sizes: Sizes) -> None:
    """Add the values of nodes, in their order; those of a loop's parts come with the loop."""
    parts: dict[Node, list[Node]] = {}
    for node in order:
        if isinstance(node.op.kernel, Part):
            parts.setdefault(node.inputs[0], []).append(node)
    for node in order:
        if isinstance(node.op.kernel, Loop):
            values.update(_looped(node, parts.get(node, ()), values, sizes))
            values[node] = np.zeros((), node.dtype)
        elif node not in values:
            values[node] = _computed(node, values, sizes)


def _looped(
    loop: Node, parts: Sequence[Node], values: Mapping[Node, NDArray[Any]], sizes: Sizes
) -> dict[Node, NDArray[Any]]:
    """The parts of a loop: its body, evaluated at each step."""
    body: LoopBody = loop.attrs["body"]
    inputs = [values[value] for value in loop.inputs]
    states, sequences, others = body.shares(inputs)
    turns = size_of(body.length, sizes)
    along = [part for part in parts if part.op is STACK]
    wanted = [*body.nexts, *(part.attrs["of"] for part in along)]
    order = _missing(wanted, dict.fromkeys(body.slots))
    kept = {part: np.zeros(part.spec.concrete(sizes), part.dtype) for part in parts}
    for turn in range(turns):
        place = turns - 1 - turn if body.reverse else turn
        now = dict(zip(body.carries, states, strict=True))
        now.update((s, x[place]) for s, x in zip(body.slices, sequences, strict=True))
        now.update(zip(body.outers, others, strict=True))
        _evaluate(order, now, sizes)
        for part in along:
            kept[part][place] = now[part.attrs["of"]]
        states = [now[node] for node in body.nexts]
    for part in parts:
        if part.op is LAST:
            kept[part] = states[part.attrs["carry"]]
    return kept


def _given(given: Given, sizes: Sizes) -> tuple[dict[Node, NDArray[Any]], dict[str, int]]:
    """The given arrays in their dtypes, and the size of each symbol in their shapes."""
    values = {node: np.array(value, dtype=node.dtype) for node, value in given.items()}
    known = dict(sizes)
    for node, array in values.items():
        if array.ndim == node.ndim:
            found = zip(map(symbol_name, node.spec.shape), array.shape, strict=True)
            known.update((name, size) for name, size in found if name)
    for node, array in values.items():
        _check_shape(node, array, known)
    return values, known


def _missing(wanted: Sequence[Node], known: Mapping[Node, object]) -> list[Node]:
    """The nodes to compute, in the order of declaration; nothing behind a known one."""
    found: set[Node] = set()
    stack = list(wanted)
    while stack:
        node = stack.pop()
        if node not in found and node not in known:
            found.add(node)
            stack.extend(node.inputs)
    return sorted(found, key=lambda node: node.serial)


def _check_shape(node: Node, array: NDArray[Any], sizes: Sizes) -> None:
    missing = {name for dim in node.spec.shape for name in symbols_in(dim)} - set(sizes)
    if missing:
        raise GraphError(f"{node.name}: nothing that is given tells the size {missing.pop()}")
    declared = node.spec.concrete(sizes)
    if array.shape != declared:
        raise ShapeError(
            f"{node.name} ({node.op.name}) is declared {format_shape(declared)} at {node.origin}; "
            f"its value has shape {format_shape(array.shape)}"
        )


def _computed(node: Node, values: Mapping[Node, NDArray[Any]], sizes: Sizes) -> NDArray[Any]:
    if isinstance(node, Input):
        raise GraphError(f"input {node.name} (declared at {node.origin}) is not given")
    if isinstance(node, Parameter):
        return node.value.copy()
    if isinstance(node, Constant):
        return node.array
    if isinstance(node, Size):
        return np.array(size_of(node.dim, sizes), node.dtype)
    arguments = [_wide(values[value]) for value in node.inputs]
    attrs = {key: _in_numbers(value, sizes) for key, value in node.attrs.items()}
    with np.errstate(all="ignore"):  # infinities and nan are values like others
        array = np.asarray(node.op.reference(*arguments, **attrs)).astype(node.dtype)
    _check_shape(node, array, sizes)
    return array


def _wide(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(np.float64) if array.dtype == np.float32 else array


def _in_numbers(attribute: Any, sizes: Sizes) -> Any:
    """An attribute without symbols: dimensions, and shapes made of them, become numbers."""
    if isinstance(attribute, Dim):
        return attribute.evaluate(sizes)
    if isinstance(attribute, tuple):
        return tuple(_in_numbers(part, sizes) for part in attribute)
    return attribute
