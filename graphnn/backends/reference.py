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
from graphnn.graph import Constant, Input, Node, Parameter, Size
from graphnn.spec import Dim, format_shape, symbol_name
from graphnn.spec import evaluate as size_of

# Any: a mapping is invariant in its keys, and inputs alone are given as often as any nodes.
Given = Mapping[Any, ArrayLike]


@overload
def evaluate(outputs: Node, given: Given = ...) -> NDArray[Any]: ...


@overload
def evaluate(outputs: Sequence[Node], given: Given = ...) -> list[NDArray[Any]]: ...


def evaluate(
    outputs: Node | Sequence[Node], given: Given | None = None
) -> NDArray[Any] | list[NDArray[Any]]:
    """The values of nodes.

    Parameters
    ----------
    outputs
        One node, or several.
    given
        An array for each input that the outputs need. Any other node may be given too: its value
        is then taken, not computed. Parameters that are not given have their present value.

    Returns
    -------
    array or list of arrays
        Of the shape and dtype that the nodes declare.

    Raises
    ------
    GraphError
        If an input is not given.
    ShapeError
        If an array does not fit its node, or a reference computes another shape than declared.

    Examples
    --------
    >>> import graphnn as gn
    >>> x = gn.Input((None, 2), name="x")
    >>> evaluate(gn.sum(x * x), {x: [[1, 2], [3, 4]]})
    array(30., dtype=float32)
    """
    values, sizes = _given(given or {})
    wanted = [outputs] if isinstance(outputs, Node) else list(outputs)
    for node in _missing(wanted, values):
        values[node] = _computed(node, values, sizes)
    found = [values[node] for node in wanted]
    return found[0] if isinstance(outputs, Node) else found


def _given(given: Given) -> tuple[dict[Node, NDArray[Any]], dict[str, int]]:
    """The given arrays in their dtypes, and the size of each symbol in their shapes."""
    values = {node: np.array(value, dtype=node.dtype) for node, value in given.items()}
    sizes: dict[str, int] = {}
    for node, array in values.items():
        if array.ndim == node.ndim:
            found = zip(map(symbol_name, node.spec.shape), array.shape, strict=True)
            sizes.update((name, size) for name, size in found if name)
    for node, array in values.items():
        _check_shape(node, array, sizes)
    return values, sizes


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


def _check_shape(node: Node, array: NDArray[Any], sizes: Mapping[str, int]) -> None:
    declared = node.spec.concrete(sizes)
    if array.shape != declared:
        raise ShapeError(
            f"{node.name} ({node.op.name}) is declared {format_shape(declared)} at {node.origin}; "
            f"its value has shape {format_shape(array.shape)}"
        )


def _computed(
    node: Node, values: Mapping[Node, NDArray[Any]], sizes: Mapping[str, int]
) -> NDArray[Any]:
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


def _in_numbers(attribute: Any, sizes: Mapping[str, int]) -> Any:
    """An attribute without symbols: dimensions, and shapes made of them, become numbers."""
    if isinstance(attribute, Dim):
        return attribute.evaluate(sizes)
    if isinstance(attribute, tuple):
        return tuple(_in_numbers(part, sizes) for part in attribute)
    return attribute
