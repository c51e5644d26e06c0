"""What follows from the nodes of a level: edges, sums of gradients, values that are saved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from graphnn.render.document.records import Edge, EdgeKind, Id, Node, Saved, Sum

ADDED = "accumulate"  # the op in which gradients meet


def edges_of(nodes: Sequence[Node]) -> Iterator[Edge]:
    """One edge for each value that a node reads, and each new value that a parameter takes."""
    by_id = {node.id: node for node in nodes}
    for node in nodes:
        for value in dict.fromkeys(node.inputs):
            source = by_id[value]
            places = tuple(i for i, one in enumerate(node.inputs) if one == value)
            yield Edge(value, node.id, kind_of(source, node), places, source.bytes)
        if node.home is not None:
            yield Edge(node.id, node.home, "write", (), node.bytes)


def kind_of(source: Node, target: Node) -> EdgeKind:
    """What flows from one node to another."""
    if source.pass_ == "backward":
        return "gradient"
    if target.pass_ == "forward":
        return "data"
    return "saved" if target.pass_ == "backward" else "update"


def sums_of(nodes: Sequence[Node]) -> Iterator[Sum]:
    """Chains of additions of cotangents, each as one sum of all its terms."""
    by_id = {node.id: node for node in nodes}
    readers: dict[Id, list[Id]] = {}
    for node in nodes:
        for value in dict.fromkeys(node.inputs):
            readers.setdefault(value, []).append(node.id)

    def inner(value: Id, of: Id | None) -> bool:
        node = by_id[value]
        alone = len(readers.get(value, ())) == 1
        return node.op == ADDED and alone and node.forward_of == of

    for node in nodes:
        if node.op != ADDED or node.pass_ != "backward":
            continue
        above = [by_id[reader] for reader in readers.get(node.id, ())]
        if any(one.op == ADDED and inner(node.id, one.forward_of) for one in above):
            continue  # it lies within another sum
        made, terms, left = [node.id], list[Id](), list(reversed(node.inputs))
        while left:
            value = left.pop()
            if inner(value, node.forward_of):
                made.append(value)
                left += reversed(by_id[value].inputs)
            else:
                terms.append(value)
        whole = [one.node for one in node.gradient_of if one.whole]
        of = whole[0] if whole else node.forward_of
        yield Sum(node.id, tuple(made[::-1]), tuple(terms), of)


def saved_of(nodes: Sequence[Node], order: Mapping[str, int]) -> Iterator[Saved]:
    """Computed forward values that the reverse pass reads, through views too."""
    by_id = {node.id: node for node in nodes}
    readers: dict[Id, list[Node]] = {}
    for node in nodes:
        if node.pass_ != "backward":
            continue
        for value in dict.fromkeys(node.inputs):
            source = by_id[by_id[value].view_of or value]
            if source.pass_ == "forward" and source.kind in ("op", "part"):
                readers.setdefault(source.id, []).append(node)
    for value in (node.id for node in nodes if node.id in readers):
        steps = [one.step for one in readers[value] if one.step is not None]
        yield Saved(
            value,
            by_id[value].bytes,
            tuple(one.id for one in readers[value]),
            by_id[value].step,
            max(steps, key=lambda number: order[number], default=None),
        )
