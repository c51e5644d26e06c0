"""The graph: some outputs, and every node that they need.

Everything else - printing, scheduling, drawing, differentiating - is a walk over those nodes.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

import networkx as nx

from graphnn.calls import no_node
from graphnn.errors import GraphError
from graphnn.looks import Describable
from graphnn.node import Constant, Input, Node, Parameter, Size
from graphnn.op import Leaf, Reduction

LONGEST = 64  # characters of an equation behind which all specs stand in one column


class Graph(Describable):
    """All nodes that some outputs need, in the order of their declaration.

    Parameters
    ----------
    outputs
        One node or several.

    Raises
    ------
    GraphError
        If an output is no node, two inputs bear one name, or there is a cycle.

    Examples
    --------
    >>> import graphnn as gn
    >>> x = gn.Input((None, 2), name="x")
    >>> print(gn.Graph(gn.sum(x * 2.0)))
    1 input, 0 parameters, 2 ops
      x         = input                       float32 (None, 2)
      multiply  = multiply(x, 2)              float32 (None, 2)
      sum       = sum(multiply, axis=(0, 1))  float32 ()
    """

    def __init__(self, outputs: Node | Iterable[Node]) -> None:
        self.outputs: tuple[Node, ...] = (outputs,) if isinstance(outputs, Node) else tuple(outputs)
        for node in self.outputs:
            if not isinstance(node, Node):
                raise no_node("a graph is made of nodes", node)
        self.nodes: tuple[Node, ...] = tuple(needed(self.outputs))
        self.check()

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What must be given at a call."""
        return tuple(node for node in self.nodes if isinstance(node, Input))

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """What lives from call to call."""
        return tuple(node for node in self.nodes if isinstance(node, Parameter))

    def check(self) -> None:
        """Prove that the graph is well formed.

        Raises
        ------
        GraphError
            If not: names the nodes.
        """
        for node in self.nodes:
            late = [value for value in node.inputs if value.serial >= node.serial]
            if late:
                around = nx.find_cycle(self.to_networkx(), orientation="original")
                path = " -> ".join(str(edge[0]) for edge in around)
                raise GraphError(f"{node.name} depends on itself: {path}")
        named: dict[str, Input] = {}
        for node in self.inputs:
            if node.label is None:
                continue
            if node.name in named:
                raise GraphError(
                    f"two inputs are named {node.name!r}: declared at {named[node.name].origin} "
                    f"and at {node.origin}. Give one of them another name."
                )
            named[node.name] = node

    def names(self) -> dict[Node, str]:
        """A name for each node that no other node of this graph has."""
        taken: set[str] = set()
        counts: dict[str, int] = {}
        result: dict[Node, str] = {}
        for node in self.nodes:
            base = node.name
            if isinstance(node, Constant | Size) and node.label:
                result[node] = node.label
                continue
            name, count = base, counts.get(base, 1)
            while name in taken:  # also what somebody called "h_2" himself
                count += 1
                name = f"{base}_{count}"
            counts[base] = count
            taken.add(name)
            result[node] = name
        return result

    def to_networkx(self) -> nx.DiGraph[str]:
        """The graph for analysis: edges run from a value to what is computed from it.

        Returns
        -------
        networkx.DiGraph
            Nodes are unique names (constants are numbered), with ``op``, ``shape``, ``dtype``,
            ``role``, ``scope``, ``origin`` and ``node``; edges carry ``position``, the place of
            the value among the inputs, as a tuple, since one value can stand in several places.
        """
        names = {node: self._key(node, name) for node, name in self.names().items()}
        digraph: nx.DiGraph[str] = nx.DiGraph()
        for node, name in names.items():
            digraph.add_node(
                name,
                node=node,
                op=node.op.name,
                shape=node.shape,
                dtype=node.dtype,
                role=node.role,
                scope=node.scope,
                origin=str(node.origin),
            )
        for node, name in names.items():
            for value in dict.fromkeys(node.inputs):
                places = tuple(i for i, other in enumerate(node.inputs) if other is value)
                digraph.add_edge(names[value], name, position=places)
        return digraph

    @staticmethod
    def _key(node: Node, name: str) -> str:
        return f"{name}#{node.serial}" if isinstance(node, Constant | Size) else name

    def __str__(self) -> str:
        names = self.names()
        rows = [
            (names[node], equation(node, names), str(node.spec), node.role)
            for node in self.nodes
            if not isinstance(node, Constant | Size)
        ]
        ops = sum(not isinstance(node.op.kernel, Leaf) for node in self.nodes)
        head = (
            f"{_count(len(self.inputs), 'input')}, {_count(len(self.parameters), 'parameter')}, "
            f"{_count(ops, 'op')}"
        )
        wide = max((len(row[0]) for row in rows), default=0)
        middle = max((len(row[1]) for row in rows if len(row[1]) <= LONGEST), default=0)
        lines = [
            f"  {name:<{wide}} = {text:<{middle}}  {spec}"
            + (f"  [{part}]" if part != "forward" else "")
            for name, text, spec, part in rows
        ]
        return "\n".join([head, *lines])

    def __repr__(self) -> str:
        return f"<Graph of {len(self.nodes)} nodes>"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def equation(node: Node, names: Mapping[Node, str]) -> str:
    """The right-hand side of a node's equation: ``relu(z)``."""
    if isinstance(node.op.kernel, Leaf):
        return node.op.name
    arguments = [names[value] for value in node.inputs]
    arguments += [
        _argument(node, key, value)
        for key, value in node.attrs.items()
        if not key.startswith("_") and (isinstance(value, Node) or value not in (None, False))
    ]
    return f"{node.op.name}({', '.join(arguments)})"


def _argument(node: Node, key: str, value: object) -> str:
    """An attribute as the function's keyword says it: ``axis=0``."""
    if key == "axes" and isinstance(node.op.kernel, Reduction):
        return f"axis={value[0] if isinstance(value, tuple) and len(value) == 1 else value}"
    if isinstance(value, Node):
        return f"{key}={value.name}"
    return f"{key}={value}"


def needed(outputs: Iterable[Node], given: Container[Node] = ()) -> list[Node]:
    """Every node that ``outputs`` need, in the order of declaration; nothing behind ``given``."""
    seen: set[Node] = set()
    stack = list(outputs)
    while stack:
        node = stack.pop()
        if node not in seen and node not in given:
            seen.add(node)
            stack.extend(node.inputs)
    return sorted(seen, key=lambda node: node.serial)
