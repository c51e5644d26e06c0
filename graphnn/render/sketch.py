"""Boxes and edges before they have a text or a place: no more than ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from graphnn.render.document.records import Id, Pass
from graphnn.render.flat import Flat, scope_of
from graphnn.render.folding import SUM, Folding, Update, is_leaf
from graphnn.render.model import BoxKind, EdgeKind


@dataclass(frozen=True)
class Piece:
    """A box to be.

    Parameters
    ----------
    id, kind, lane, scope, home
        As those of a box.
    nodes
        What it stands for, the last of which names it.
    of
        For one of the reverse pass the box of the forward pass that it belongs to.
    update
        Of an update, what it does.
    merged
        How many boxes it stands for, where a scope is drawn as one.
    path
        That scope.
    """

    id: str
    kind: BoxKind
    lane: Pass
    nodes: tuple[Id, ...]
    scope: tuple[str, ...] = ()
    of: str | None = None
    home: str | None = None
    update: Update | None = None
    merged: int = 1
    path: tuple[str, ...] = ()

    @property
    def last(self) -> Id:
        """The node that names it."""
        return self.nodes[-1]

    @property
    def given(self) -> bool:
        """Whether it is an input or a parameter."""
        return self.kind in ("input", "parameter", "state")


@dataclass(frozen=True)
class Link:
    """An edge to be: the values that flow from one box to another."""

    source: str
    target: str
    kind: EdgeKind
    values: tuple[Id, ...] = ()
    cut: bool = False


@dataclass(frozen=True)
class Sketch:
    """Boxes in an order in which each comes after those that it reads, and edges.

    ``repeated`` names the chains of equal layers that are drawn once, and what each hides;
    ``norms`` counts the normalisation layers that are single boxes though nobody asked.
    """

    flat: Flat
    folding: Folding
    pieces: Mapping[str, Piece]
    links: tuple[Link, ...]
    started: Mapping[str, Id]
    repeated: tuple[tuple[str, int], ...] = ()
    norms: int = 0

    def links_of(self, *kinds: EdgeKind) -> list[Link]:
        """The edges of some kinds."""
        return [link for link in self.links if link.kind in kinds]


def sketch_of(flat: Flat, folding: Folding) -> Sketch:
    """A box for each group of nodes."""
    ids = {node: f"box{i}" for i, node in enumerate(folding.drawn)}
    made = [*_pieces(flat, folding, ids)]
    links = merged([*_links(flat, folding, ids)])
    started: dict[str, Id] = {}
    nodes_of = {piece.id: piece.nodes for piece in made}
    for link in links:
        own = {flat.nodes[node].forward_of for node in nodes_of[link.target]}
        if link.kind == "turn" and link.values[0] in own:  # what is written, were it no constant
            started[link.target] = link.values[0]
    return Sketch(flat, folding, {piece.id: piece for piece in made}, tuple(links), started)


def _pieces(flat: Flat, folding: Folding, ids: Mapping[Id, str]) -> Iterator[Piece]:
    losses = _losses(flat, folding)
    for key in folding.drawn:
        node = flat.nodes[key]
        if is_leaf(node):
            kind: BoxKind = "input"
            if node.kind != "input":
                kind = "parameter" if node.kind == "parameter" else "state"
            yield Piece(ids[key], kind, "forward", (key,), scope_of(node))
            continue
        above = folding.shown_by(node.forward_of)
        parameter = _gradient_of(flat, key)
        yield Piece(
            ids[key],
            _kind(flat, key, losses),
            node.pass_,
            folding.groups[key],
            scope_of(node),
            ids.get(above) if above is not None else None,
            ids.get(parameter) if parameter is not None else None,
        )
    for update in folding.updates:
        yield Piece(
            f"{ids[update.parameter]}_update",
            "update",
            "update",
            (*update.nodes, *update.state) or (update.new,),
            scope_of(flat.nodes[update.parameter]),
            home=ids[update.parameter],
            update=update,
        )


def _losses(flat: Flat, folding: Folding) -> set[Id]:
    """What is differentiated; without a reverse pass the first float scalar."""
    if flat.losses:
        return set(flat.losses)
    nodes = [one for one in flat.outputs if one in folding.groups]
    scalars = (n for n in nodes if not flat.nodes[n].shape and "float" in flat.nodes[n].dtype)
    return set([*scalars][:1])


def _kind(flat: Flat, key: Id, losses: set[Id]) -> BoxKind:
    node = flat.nodes[key]
    if node.op == SUM and node.pass_ == "backward":
        return "sum"
    if node.kind == "slot":
        return "delay"
    return "loss" if key in losses else "op"


def _gradient_of(flat: Flat, key: Id) -> Id | None:
    """The parameter whose gradient a node holds."""
    found = [one.node for one in flat.nodes[key].gradient_of if one.whole]
    return next((one for one in found if flat.nodes[one].kind == "parameter"), None)


def _links(flat: Flat, folding: Folding, ids: Mapping[Id, str]) -> Iterator[Link]:
    cuts = {(cut.value, reader) for cut in flat.document.cuts for reader in cut.readers}
    for last in folding.groups:
        saved: EdgeKind = "saved" if folding.lane(last) == "backward" else "data"
        for value in folding.inputs(last):
            shown = folding.shown_by(value)
            if shown is None or shown == last:
                continue
            kind = "gradient" if folding.lane(value) == "backward" else saved
            is_cut = any((value, node) in cuts for node in folding.groups[last])
            yield Link(ids[shown], ids[last], kind, (value,), is_cut)
    for source, target in flat.delays:
        shown = folding.shown_by(source)
        if shown is not None and target in ids:
            yield Link(ids[shown], ids[target], "delay", (source,))
    for edge in flat.turns:
        loss, first = folding.shown_by(edge.source), folding.shown_by(edge.target)
        if loss is not None and first is not None:
            yield Link(ids[loss], ids[first], "turn", (edge.source,))
    for update in folding.updates:
        box = f"{ids[update.parameter]}_update"
        for value in update.reads:
            shown = folding.shown_by(value)
            if shown is not None:
                kind = "gradient" if folding.lane(value) == "backward" else "saved"
                yield Link(ids[shown], box, kind, (value,))
        yield Link(box, ids[update.parameter], "update", (update.parameter,))


def merged(links: Iterable[Link]) -> list[Link]:
    """One edge for all values that go from one box to another in one way."""
    found: dict[tuple[str, str, bool], Link] = {}
    for link in links:
        key = link.source, link.target, link.kind == "delay"
        before = found.get(key)
        if before is None:
            found[key] = link
        else:
            values = tuple(dict.fromkeys((*before.values, *link.values)))
            found[key] = replace(before, values=values, cut=before.cut and link.cut)
    return list(found.values())
