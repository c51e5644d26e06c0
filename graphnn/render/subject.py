"""What is to be drawn: any target as a graph, with its results, updates and reverse pass."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from graphnn.autodiff import grad
from graphnn.errors import GraphError
from graphnn.graph import Graph, needed
from graphnn.node import Node, Parameter
from graphnn.op import Op
from graphnn.render.model import Passes
from graphnn.spec import FLOATS


@dataclass(frozen=True)
class Subject:
    """A graph with all that a picture of it needs to know.

    Parameters
    ----------
    graph
        All nodes.
    results
        What is computed for its own sake: losses, predictions, gradients.
    updates
        Pairs (parameter, node of its new value); both are nodes of ``graph``.
    """

    graph: Graph
    results: tuple[Node, ...]
    updates: tuple[tuple[Parameter, Node], ...]

    @cached_property
    def _became(self) -> dict[Node, Node | None]:
        """What declared nodes have become, as far as it was asked for."""
        return {node: node for node in self.graph.nodes}

    @cached_property
    def _by_origin(self) -> dict[int, Node]:
        return {id(node.origin): node for node in self.graph.nodes}

    @cached_property
    def _by_equation(self) -> dict[tuple[Op, tuple[Node | None, ...]], Node]:
        return {(node.op, node.inputs): node for node in self.graph.nodes if node.inputs}

    def present(self, node: Node) -> Node | None:
        """The node of this graph that ``node`` has become; None if it is gone.

        Rewrites replace nodes, while ``forward_of`` and ``updates`` still name the declared ones.
        A rewritten node keeps the very ``origin`` object of the node that it replaces, and no other
        declared node has it; a duplicate that was merged away computes what the one kept computes.
        """
        for one in [] if node in self._became else needed([node]):
            if one not in self._became:
                equation = one.op, tuple(self._became[value] for value in one.inputs)
                known = self._by_equation.get(equation)
                self._became[one] = self._by_origin.get(id(one.origin), known)
        return self._became[node]

    def forward_of(self, node: Node) -> Node | None:
        """The node of the forward pass whose gradient ``node`` makes, as it is in this graph."""
        of = node.forward_of
        while of is not None and of.role == "backward":  # a gradient of a gradient
            of = of.forward_of
        return None if of is None else self.present(of)


def subject_of(target: object, passes: Passes) -> Subject:
    """Whatever a user wants drawn, as a :class:`Subject`.

    Parameters
    ----------
    target
        A node, several nodes, a graph, or anything with a ``graph`` and ``updates``, or with a
        ``training`` function that has them.
    passes
        If it shows a reverse pass and there is none, the gradients are derived.

    Raises
    ------
    GraphError
        For any other target, and where there is nothing to differentiate.
    """
    if isinstance(target, Node):
        subject = _declared(Graph(target))
    elif isinstance(target, Graph):
        subject = _declared(target)
    elif isinstance(target, Sequence):
        subject = _declared(Graph(target))
    else:
        subject = _compiled(target)
    if passes != "forward" and not _has_reverse(subject.graph):
        return _declared(Graph([*subject.graph.outputs, *_gradients(subject)]))
    return subject


def _compiled(target: object) -> Subject:
    """A function, or a model that has one for training."""
    found = target if hasattr(target, "graph") else getattr(target, "training", None)
    graph = getattr(found, "graph", None)
    if not isinstance(graph, Graph):
        raise GraphError(
            "render draws a node, several nodes, a gn.Graph, a gn.function or a compiled gn.Model; "
            f"got {type(target).__name__}."
        )
    results = graph.outputs[: len(getattr(found, "outputs", ()))]
    lost = _lost(graph)
    plain = Subject(Graph([*graph.outputs, *lost]), (*results, *lost), ())
    pairs = [(p, plain.present(new)) for p, new in getattr(found, "updates", ())]
    return replace(plain, updates=tuple((p, new) for p, new in pairs if new is not None))


def _declared(graph: Graph) -> Subject:
    """A graph as the user declared it: what it updates is told by its update nodes."""
    graph = Graph([*graph.outputs, *_lost(graph)])
    pairs: dict[Parameter, Node] = {}
    for node in graph.outputs:
        target = _updated_by(node)
        if target is not None:
            pairs[target] = node
    results = tuple(node for node in graph.outputs if node.role != "update")
    return Subject(graph, results, tuple(pairs.items()))


def _updated_by(node: Node) -> Parameter | None:
    """The parameter that an update node, being an output, gives a new value."""
    if node.role != "update":
        return None
    named = [node.forward_of] if node.forward_of in node.inputs else []
    read = [value for value in (*named, *node.inputs) if isinstance(value, Parameter)]
    return next((value for value in read if value.spec == node.spec), None)


def _lost(graph: Graph) -> list[Node]:
    """Forward nodes whose gradients a graph holds, while their own values are read by nobody."""
    plain = Subject(graph, (), ())
    named = [node.forward_of for node in graph.nodes if node.role == "backward"]
    found = [(of, plain.present(of)) for of in dict.fromkeys(named) if of is not None]
    if any(now is not None and now is not of for of, now in found):
        return []  # a rewritten graph: its nodes and the declared ones do not fit together
    return [of for of, now in found if now is None]


def _has_reverse(graph: Graph) -> bool:
    return any(node.role == "backward" for node in graph.nodes)


def _gradients(subject: Subject) -> Iterable[Node]:
    loss = next((n for n in subject.results if n.spec.shape == () and n.dtype in FLOATS), None)
    if loss is None:
        found = ", ".join(f"{node.name} {node.spec}" for node in subject.results) or "nothing"
        raise GraphError(
            f"a reverse pass starts at a float scalar, the loss; this graph computes {found}. "
            "Draw the loss, or only the forward pass: passes='forward'."
        )
    graph = Graph(loss)
    wrt: list[Node] = [node for node in graph.parameters if node.trainable]
    wrt = wrt or [node for node in graph.inputs if node.dtype in FLOATS]
    if not wrt:
        raise GraphError(
            f"{loss.name} depends on no trainable parameter and on no float input, so that there "
            "is no reverse pass to draw. Use passes='forward'."
        )
    return grad(loss, wrt)
