"""What a function is given: its inputs, and the arrays that fit them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from numpy.typing import ArrayLike, NDArray

from graphnn.errors import GraphError
from graphnn.feed import (
    check_fits,
    check_known,
    check_limits,
    check_shape,
    fitting,
    limits_of,
    solve,
    symbols,
)
from graphnn.graph import Graph
from graphnn.loop import Slot, with_bodies
from graphnn.node import Input, Node
from graphnn.spec import format_shape, symbols_in

MOST_SHAPES = 64  # for which sizes are kept

Shapes: TypeAlias = tuple[tuple[int, ...], ...]


def check_declared(inputs: Sequence[Input], needed: Sequence[Node]) -> None:
    """Check that a function of these inputs can compute what is needed.

    Raises
    ------
    GraphError
        For what is no input or stands there twice; for an input that is needed and not given; for
        a size that no input tells; for what is there only in the steps of a scan.
    """
    for node in inputs:
        if not isinstance(node, Input):
            raise GraphError(
                f"the inputs of a function are gn.Input nodes; got {node!r}. To compute from a "
                "node in the middle, declare an Input in its place."
            )
    if len(set(inputs)) < len(inputs):
        raise GraphError("an input is given twice")
    graph = Graph(needed)
    unknown = [node for node in graph.inputs if node not in inputs]
    if unknown:
        found = ", ".join(f"{node.name} (declared at {node.origin})" for node in unknown)
        raise GraphError(f"the outputs need inputs that are not given: {found}")
    for value in graph.nodes:
        for slot in value.inputs:
            if isinstance(slot, Slot):
                raise GraphError(
                    f"{value.name} (declared at {value.origin}) reads {slot.name}, which is "
                    "there only in the steps of a scan. Return it from the step as y."
                )
    known = symbols(inputs)
    for value in dict.fromkeys([*inputs, *with_bodies(graph.nodes)]):
        missing = {name for dim in value.spec.shape for name in symbols_in(dim)} - known
        if missing:
            raise GraphError(
                f"{value.name} has shape {format_shape(value.spec.shape)} (declared at "
                f"{value.origin}), but no input tells the size {missing.pop()}: declare one "
                "that has an axis of just that size."
            )


class Signature:
    """The inputs of a function, and what its graph allows them to hold.

    Parameters
    ----------
    inputs
        In the order in which arrays are given.
    graph
        What runs.
    """

    def __init__(self, inputs: Sequence[Input], graph: Graph) -> None:
        self.inputs, self.graph = tuple(inputs), graph
        self._limits = limits_of(graph)
        self._sizes: dict[Shapes, dict[str, int]] = {}
        check_known(self._limits, {})

    def checked(self, values: Sequence[ArrayLike]) -> tuple[list[NDArray[Any]], dict[str, int]]:
        """Arrays that fit the inputs, and the size of each symbol.

        Raises
        ------
        GraphError
            For another number of arrays than there are inputs.
        ShapeError, DTypeError, DataError
            If one does not fit its input.
        """
        if len(values) != len(self.inputs):
            names = ", ".join(node.name for node in self.inputs)
            raise GraphError(
                f"the function takes {len(self.inputs)} arrays ({names}); got {len(values)}"
            )
        arrays = [fitting(node, v) for node, v in zip(self.inputs, values, strict=True)]
        sizes = self._solved(tuple(array.shape for array in arrays))
        for node, array in zip(self.inputs, arrays, strict=True):
            if node in self._limits:
                check_limits(node, array, self._limits[node], sizes)
        return arrays, sizes

    def check_sizes(self, sizes: Mapping[str, int]) -> None:
        """Check that the graph can run for the sizes of its symbols."""
        check_fits(self.graph, sizes)
        check_known(self._limits, sizes)

    def _solved(self, shapes: Shapes) -> dict[str, int]:
        """The size of each symbol for arrays of some shapes; those that fitted once fit again."""
        known = self._sizes.get(shapes)
        if known is not None:
            return known
        sizes: dict[str, int] = {}
        for node, shape in zip(self.inputs, shapes, strict=True):
            solve(node, shape, sizes)
        for node, shape in zip(self.inputs, shapes, strict=True):
            check_shape(node, shape, sizes)
        if len(self._sizes) >= MOST_SHAPES:
            self._sizes.clear()
        self._sizes[shapes] = sizes
        return sizes
