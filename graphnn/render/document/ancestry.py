"""What declared nodes have become in the graph that runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from graphnn.graph import needed
from graphnn.node import Node
from graphnn.op import Alias, Op
from graphnn.ops.training.phase import PHASE

_Equation: TypeAlias = tuple[Op, tuple[Node | None, ...], tuple[object, ...]]


class Ancestry:
    """Finds the node of a rewritten graph that stands for a declared one.

    Rewrites replace nodes, while ``forward_of``, ``updates`` and notes still name the declared
    ones. A rewritten node keeps the very ``origin`` object of the node that it replaces, and no
    other declared node has it; a duplicate that was merged away computes what the one kept does.

    Parameters
    ----------
    nodes
        Of the graph that runs.
    training
        The phase that was chosen.
    """

    def __init__(self, nodes: Sequence[Node], training: bool) -> None:
        self.training = training
        self._became: dict[Node, Node | None] = {node: node for node in nodes}
        self._by_origin = {id(node.origin): node for node in reversed(nodes)}
        self._by_equation = {_equation(node, node.inputs): node for node in nodes if node.inputs}

    def present(self, node: Node) -> Node | None:
        """The node of this graph that ``node`` has become; None if it is gone."""
        if node not in self._became:
            for one in needed([node], self._became):
                self._became[one] = self._found(one)
        return self._became[node]

    def _found(self, node: Node) -> Node | None:
        same = self._by_origin.get(id(node.origin))
        if same is not None:
            return same
        inputs = tuple(self._became[value] for value in node.inputs)
        if node.op is PHASE:
            return inputs[0 if self.training else 1]
        if isinstance(node.op.kernel, Alias) and node.spec == node.inputs[0].spec:
            return inputs[0]
        return self._by_equation.get(_equation(node, inputs)) if inputs else None


def _equation(node: Node, inputs: Sequence[Node | None]) -> _Equation:
    return node.op, tuple(inputs), tuple(sorted(node.attrs.items(), key=lambda item: item[0]))
