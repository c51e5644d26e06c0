"""Where in the mirrored lanes each box belongs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from graphnn.render.grid import Place, places
from graphnn.render.model import BoxKind
from graphnn.render.rows import settled
from graphnn.render.sketch import Piece, Sketch

_OFFSET: Mapping[BoxKind, float] = {"sum": 0.3, "delay": 0.6}  # in columns, to the right of an op


@dataclass(frozen=True)
class Lanes:
    """The place of every box.

    Parameters
    ----------
    places
        Column and row.
    homes
        For inputs and parameters beside the road: the leftmost forward op that reads them.
    aside
        Inputs and parameters beside the road.
    """

    places: Mapping[str, Place]
    homes: Mapping[str, str]
    aside: frozenset[str]


def lanes_of(sketch: Sketch) -> Lanes:
    """Give every box its column and row."""
    pieces = sketch.pieces
    known = _forward(sketch)
    aside = frozenset(one for one, piece in pieces.items() if piece.given and one not in known)
    homes = _homes(sketch, known)
    for leaf in aside:
        known[leaf] = known[homes[leaf]] if leaf in homes else (0, 0)
    known |= _reverse(sketch, known)
    last_column = max((column for column, _ in known.values()), default=0)
    for one, piece in pieces.items():
        if piece.lane == "update":
            known[one] = known.get(piece.home or "", (last_column, 0))
    return Lanes(known, homes, aside)


def _reverse(sketch: Sketch, forward: Mapping[str, Place]) -> dict[str, Place]:
    """Places of the reverse lane: each box under its forward op, in a row near to its."""
    lane = {one: piece for one, piece in sketch.pieces.items() if piece.lane == "backward"}
    if not lane:
        return {}
    first = _beneath(sketch, lane, forward)
    columns = {one: column for one, (column, _) in first.items()}
    across = {one: columns[one] + _OFFSET.get(lane[one].kind, 0.0) for one in lane}
    rows = {one: row - 0.5 for one, (_, row) in first.items() if lane[one].home is not None}
    taken: set[tuple[float, float]] = set()
    free: list[list[str]] = []
    for one in lane:
        if one in rows:
            continue
        row = first[one][1]
        if row or (across[one], row) in taken:
            free.append([one])
        rows[one] = _nearest(across[one], row, taken)
    links = [(k.source, k.target) for k in sketch.links_of("gradient") if k.target in lane]
    found = settled({one: rows[one] for one in lane}, free, across, links)
    return {
        one: (columns[one], first[one][1] if piece.home is not None else int(found[one]))
        for one, piece in lane.items()
    }


def _nearest(across: float, row: int, taken: set[tuple[float, float]]) -> int:
    """The free row at or beyond one; it is taken."""
    while (across, row) in taken:
        row += 1
    taken.add((across, row))
    return row


def _beneath(
    sketch: Sketch, lane: Mapping[str, Piece], forward: Mapping[str, Place]
) -> dict[str, Place]:
    """The place of the forward op that each box belongs to, or left of the gradients it reads."""
    known = dict(forward)
    last_column = max((column for column, _ in known.values()), default=0)
    known |= {
        one: forward[piece.of] for one, piece in lane.items() if piece.of and piece.of in forward
    }
    known |= _entries(lane, known)
    reads: dict[str, dict[str, list[str]]] = {one: {} for one in lane}
    for link in sketch.links_of("saved", "gradient", "turn"):
        if link.target in reads:
            reads[link.target].setdefault(link.kind, []).append(link.source)
    for one in lane:
        kinds = (reads[one].get(kind, ()) for kind in ("gradient", "turn", "saved"))
        values = next((found for found in kinds if found), ())
        columns = [known[value][0] for value in values if value in known]
        known.setdefault(one, (min(columns, default=last_column), 0))
    return {one: known[one] for one in lane}


def _entries(lane: Mapping[str, Piece], known: Mapping[str, Place]) -> dict[str, Place]:
    """States stand where the reverse pass comes into their loop: at the right."""
    found: dict[str, Place] = {}
    for state, piece in lane.items():
        if piece.kind == "delay":
            depth = len(piece.scope)
            inside = [one for one in lane if lane[one].scope[:depth] == piece.scope]
            columns = [known[one][0] for one in inside if one in known]
            found |= {state: (max(columns), 0)} if columns else {}
    return found


def _forward(sketch: Sketch) -> dict[str, Place]:
    """Places of forward ops, and of the input at which the main road starts."""
    pieces = sketch.pieces
    lane = [one for one, piece in pieces.items() if piece.lane == "forward" and not piece.given]
    sources = [one for one, piece in pieces.items() if piece.kind == "input"]
    if not lane:
        return {one: (i, 0) for i, one in enumerate(sources)}
    losses = [one for one in lane if pieces[one].kind == "loss"]
    results = [one for one in lane if set(pieces[one].nodes) & set(sketch.flat.outputs)]
    inside = {*lane, *sources}
    order = [one for one in pieces if one in inside]
    inputs: dict[str, list[str]] = {one: [] for one in order}
    for link in sketch.links_of("data"):
        if link.source in inside and link.target in inside:
            inputs[link.target].append(link.source)
    end = [*losses, *results, *lane[-1:]][0]
    loops = _loops(sketch, inputs)
    delays = [one for one in order if pieces[one].kind == "delay"]
    return places(order, inputs, set(sources), end, _layers(sketch, inputs), loops, delays)


def _loops(sketch: Sketch, boxes: Iterable[str]) -> dict[str, list[str]]:
    """The loops that each box is in, outer ones first."""
    pieces = sketch.pieces
    frames = {piece.scope for piece in pieces.values() if piece.kind == "delay"}
    found: dict[str, list[str]] = {}
    for box in boxes:
        scope = pieces[box].scope
        around = [scope[:i] for i in range(1, len(scope) + 1) if scope[:i] in frames]
        if around:
            found[box] = [".".join(one) for one in around]
    return found


def _layers(sketch: Sketch, inputs: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The outermost layer of each forward op."""
    scopes = {one: sketch.pieces[one].scope for one in inputs}
    return {one: scope[0] if scope else "" for one, scope in scopes.items()}


def _homes(sketch: Sketch, known: Mapping[str, Place]) -> dict[str, str]:
    readers: dict[str, list[str]] = {}
    for link in sketch.links_of("data"):
        if link.target in known:
            readers.setdefault(link.source, []).append(link.target)
    homes = {
        one: min(readers[one], key=lambda other: known[other][0])
        for one, piece in sketch.pieces.items()
        if piece.given and one in readers and one not in known
    }
    return homes | _homes_by_update(sketch, known, homes)


def _homes_by_update(
    sketch: Sketch, known: Mapping[str, Place], homes: Mapping[str, str]
) -> dict[str, str]:
    """A running average stands beside what moves it, or another parameter of its layer."""
    pieces = sketch.pieces
    moved_by = {
        link.target: link.source for link in sketch.links_of("saved") if link.source in known
    }
    of_layer = {pieces[one].scope: home for one, home in homes.items()}
    found: dict[str, str] = {}
    for one, piece in pieces.items():
        if piece.kind == "update" and piece.home is not None and piece.home not in homes:
            home = moved_by.get(one) or of_layer.get(pieces[piece.home].scope)
            if home is not None and piece.home not in known:
                found[piece.home] = of_layer[pieces[piece.home].scope] = home
    return found
