"""Where in the mirrored lanes each box belongs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphnn.render.grid import Place, places
from graphnn.render.sketch import Sketch


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
    last_column = max((column for column, _ in known.values()), default=0)
    reads: dict[str, list[str]] = {one: [] for one in pieces}
    for link in sketch.links_of("saved", "gradient", "turn"):
        reads[link.target].append(link.source)
    for one, piece in pieces.items():
        if piece.lane == "backward":
            place = known.get(piece.of) if piece.of is not None else None
            columns = [known[value][0] for value in reads[one] if value in known]
            known[one] = place or (min(columns, default=last_column), 0)
    for one, piece in pieces.items():
        if piece.lane == "update":
            known[one] = known.get(piece.home or "", (last_column, 0))
    return Lanes(known, homes, aside)


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
    return places(order, inputs, set(sources), [*losses, *results, *lane[-1:]][0])


def _homes(sketch: Sketch, known: Mapping[str, Place]) -> dict[str, str]:
    readers: dict[str, list[str]] = {}
    for link in sketch.links_of("data"):
        if link.target in known:
            readers.setdefault(link.source, []).append(link.target)
    return {
        one: min(readers[one], key=lambda other: known[other][0])
        for one, piece in sketch.pieces.items()
        if piece.given and one in readers and one not in known
    }
