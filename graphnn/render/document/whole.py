"""The document of a target: its levels, and what holds for all of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from graphnn.graph import Graph, needed
from graphnn.loop import with_bodies
from graphnn.node import Input, Node, Parameter
from graphnn.op import Leaf
from graphnn.render.document import records
from graphnn.render.document.ancestry import Ancestry
from graphnn.render.document.level import Place, Scribe, body_graph, level_of, line_of
from graphnn.render.document.plain import from_plain, to_plain
from graphnn.render.document.planned import Planned, planned, unread
from graphnn.render.document.records import Document, Edge, Id, Level, Pass
from graphnn.schedule import Step


def to_json(target: object, *, reverse: bool = False, indent: int | None = None) -> str:
    """A graph and all that is known of it, as JSON: nodes, schedule, memory, who reads what.

    Parameters
    ----------
    target
        A node, several nodes, a :class:`gn.Graph`, a :class:`gn.function`, or a model.
    reverse
        Whether the gradients of the loss are derived where the graph has no reverse pass.
    indent
        Spaces an indentation; None: all on one line.

    Returns
    -------
    str
        The same bytes on every run. ``graphnn.render.document.records`` describes each field.

    Examples
    --------
    >>> import json
    >>> import graphnn as gn
    >>> x = gn.Input((None, 2), name="x")
    >>> found = json.loads(gn.to_json(gn.sum(x * 2.0)))
    >>> found["version"], [node["name"] for node in found["graph"]["nodes"]]
    (1, ['x', '2', 'multiply', 'sum'])
    >>> found["graph"]["steps"][0]["name"]
    'multiply_sum_rows'
    """
    return dumped(document_of(target, reverse=reverse), indent)


def dumped(document: Document, indent: int | None = None) -> str:
    """A document as JSON."""
    spaces = (",", ":") if indent is None else None
    return json.dumps(to_plain(document), ensure_ascii=False, indent=indent, separators=spaces)


def loaded(text: str) -> Document:
    """The document that JSON holds."""
    found: Document = from_plain(Document, json.loads(text))
    return found


def document_of(target: object, *, reverse: bool = False) -> Document:
    """A graph and all that is known of it.

    Parameters
    ----------
    target, reverse
        As for :func:`to_json`.
    """
    return described(planned(target, reverse=reverse))[0]


def described(found: Planned) -> tuple[Document, dict[Node, Id]]:
    """The document of what is planned, and the id of each node in it."""
    plan, program = found.plan, found.program
    ancestry = Ancestry(program.graph.nodes, found.training)
    graph = Graph([*program.graph.outputs, *_beside(found, ancestry)])
    scribe = Scribe(ancestry, plan.sizes)
    scribe.enter(graph.nodes)
    _enter_bodies(scribe, plan.steps, scribe.ids)
    lanes = _lanes(found, graph)
    level = level_of(scribe, graph, lanes, plan.steps, plan.kernels, plan.layout, Place())
    losses = _losses(level)
    level = replace(level, edges=(*level.edges, *_turns(level, losses)))
    outputs = [scribe.ids[node] for node in program.results]
    scoped = [node for node in with_bodies(graph.nodes) if node.scope]
    document = Document(
        sizes=dict(plan.sizes),
        guessed=plan.guessed,
        passes=tuple(dict.fromkeys(sorted((n.pass_ for n in level.nodes), key=PASSES.index))),
        inputs=tuple(scribe.ids[node] for node in graph.nodes if isinstance(node, Input)),
        outputs=tuple(outputs),
        losses=tuple(losses),
        updates=tuple(_updates(scribe, program.new, lanes)),
        cuts=tuple(_cuts(scribe, found.declared)),
        scopes=tuple(_scopes(scoped)),
        graph=level,
        ops=scribe.ops,
        kernels=scribe.kernels,
    )
    return document, dict(scribe.ids)


PASSES: tuple[Pass, ...] = ("forward", "backward", "update")


def _beside(found: Planned, ancestry: Ancestry) -> list[Node]:
    """Losses that a function only differentiates; not those that rewrites would have changed."""
    lost = [node for node in unread(found.declared) if ancestry.present(node) is None]
    known = set(found.program.graph.nodes)
    apart = [node for node in needed(lost, known) if ancestry.present(node) is not None]
    return [] if apart else lost


def _enter_bodies(scribe: Scribe, steps: Sequence[Step], ids: Mapping[Node, Id]) -> None:
    for step in steps:
        if step.inner is not None:
            nodes, prefix = body_graph(step.inner).nodes, f"{ids[step.inner.loop]}/"
            scribe.enter(nodes, prefix)
            _enter_bodies(scribe, step.inner.steps, scribe.within(nodes, prefix).ids)


def _lanes(found: Planned, graph: Graph) -> dict[Node, Pass]:
    """The lane of each node: what only new values need is an update, whoever declared it."""
    results = [node for node in graph.outputs if node not in found.program.new]
    reverse = [node for node in graph.nodes if node.role == "backward"]
    live = set(needed([*results, *found.program.results, *reverse]))
    lanes: dict[Node, Pass] = {}
    for node in graph.nodes:
        before = {lanes[value] for value in node.inputs}
        if node.role == "backward":
            lanes[node] = "backward"
        elif isinstance(node, Input) or getattr(node, "trainable", False):
            lanes[node] = "forward"
        elif node not in live or "update" in before:
            lanes[node] = "update"
        else:
            lanes[node] = "backward" if "backward" in before else "forward"
    return lanes


def _losses(level: Level) -> list[Id]:
    """Forward nodes of which gradients are taken."""
    lanes = {node.id: node.pass_ for node in level.nodes}
    named = [one.loss for node in level.nodes for one in node.gradient_of if one.loss is not None]
    return [node for node in dict.fromkeys(named) if lanes.get(node) == "forward"]


def _turns(level: Level, losses: Sequence[Id]) -> Iterator[Edge]:
    """From each loss to the first nodes of its reverse pass.

    A sum of losses has no reverse node of its own: the pass then starts with several at once.
    """
    lanes = {node.id: node.pass_ for node in level.nodes}
    given = {node.id for node in level.nodes if node.kind in ("constant", "size")}
    starts = [
        node
        for node in level.nodes
        if node.pass_ == "backward"
        and node.id not in given
        and node.forward_of is not None
        and not any(lanes[value] == "backward" and value not in given for value in node.inputs)
    ]
    own = [node for node in starts if node.forward_of in losses]
    for node in own:
        yield Edge(str(node.forward_of), node.id, "turn")
    if not own and len(losses) == 1:
        ones = {n.id for n in level.nodes if n.kind == "constant" and n.pass_ == "backward"}
        for node in starts:
            if not ones.isdisjoint(node.inputs):
                yield Edge(losses[0], node.id, "turn")


def _updates(
    scribe: Scribe, new: Mapping[Node, Parameter], lanes: Mapping[Node, Pass]
) -> list[records.Update]:
    found = [_update(scribe, parameter, node, lanes) for node, parameter in new.items()]
    within = {
        state: update.parameter
        for update in found
        for state in update.state
        if state != update.parameter
    }
    trained = {scribe.ids[p] for p in new.values() if p.trainable}
    return [
        update
        if update.parameter in trained
        else replace(update, within=within.get(update.parameter))
        for update in found
    ]


def _update(
    scribe: Scribe, parameter: Parameter, new: Node, lanes: Mapping[Node, Pass]
) -> records.Update:
    nodes: set[Node] = set()
    read: dict[Node, None] = {}
    waiting = [new]
    while waiting:
        node = waiting.pop()
        if node in nodes:
            continue
        if lanes[node] != "update" or isinstance(node.op.kernel, Leaf):
            read[node] = None
            continue
        nodes.add(node)
        waiting += node.inputs
    state = [n for n in read if isinstance(n, Parameter) and n is not parameter and not n.trainable]
    order = {node: node.serial for node in (*nodes, *read)}
    return records.Update(
        parameter=scribe.ids[parameter],
        new=scribe.ids[new],
        nodes=tuple(scribe.ids[n] for n in sorted(nodes, key=order.__getitem__)),
        state=tuple(
            scribe.ids[n] for n in sorted(state, key=order.__getitem__) if lanes[n] == "update"
        )
        if nodes
        else (),
        gradients=tuple(
            scribe.ids[n]
            for n in sorted(read, key=order.__getitem__)
            if lanes[n] == "backward" and not isinstance(n.op.kernel, Leaf)
        ),
    )


STOPPED = "stop_gradient"


def _cuts(scribe: Scribe, declared: Graph) -> Iterator[records.Cut]:
    """Where the user stopped gradients; the graph that runs has no node for it."""
    readers: dict[Node, dict[Id, None]] = {}
    for node in declared.nodes:
        for value in node.inputs:
            if value.op.name == STOPPED and value.role == "forward":
                now = scribe.find(node)
                if now is not None and node.op.name != STOPPED and node.role == "forward":
                    readers.setdefault(value, {})[now] = None
    for stop, found in readers.items():
        source = scribe.find(stop.inputs[0])
        if source is not None:
            yield records.Cut(source, tuple(found), line_of(stop.origin))


def _scopes(nodes: Sequence[Node]) -> Iterator[records.Scope]:
    layers: dict[str, str | None] = {}
    for node in nodes:
        parts = node.scope.split(".")
        for depth in range(1, len(parts) + 1):
            layers.setdefault(".".join(parts[:depth]), None)
        if node.layer is not None:
            layers[node.scope] = layers[node.scope] or node.layer.kind
    for path in sorted(layers, key=lambda path: (path.count("."), path)):
        yield records.Scope(path, layers[path])
