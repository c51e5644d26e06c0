"""From a document to the drawing model."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypeAlias

from graphnn.errors import GraphError
from graphnn.plan import readable_bytes
from graphnn.render.collapse import LEVELS, MOST, Level, at_level, closed, fitted, without_norms
from graphnn.render.document.records import Document
from graphnn.render.flat import flat_of
from graphnn.render.folding import fold
from graphnn.render.lanes import Lanes, lanes_of
from graphnn.render.model import PASSES, Box, Drawing, Edge, Passes, Seen
from graphnn.render.seen import seen_of
from graphnn.render.sketch import Link, Piece, Sketch, sketch_of
from graphnn.render.text import Writer, clean, names_of, value_text

Collapse: TypeAlias = "Literal['auto', 'none'] | tuple[str, ...] | list[str]"


def drawing_of(
    document: Document,
    passes: Passes = "joint",
    *,
    level: Level = "op",
    collapse: Collapse = "auto",
    rolled: bool = True,
) -> Drawing:
    """What a picture of a graph shows.

    Parameters
    ----------
    document
        The graph.
    passes
        ``"forward"``, ``"backward"`` (with the forward values that it reads), or ``"joint"``.
    level, collapse, rolled
        As for :func:`graphnn.render`.
    """
    check_options(passes, level, collapse)
    flat = flat_of(document, rolled=rolled)
    sketch = at_level(sketch_of(flat, fold(flat)), level)
    if collapse == "auto":
        sketch = without_norms(sketch) if level == "op" else sketch
        sketch = fitted(sketch, MOST, rolled=rolled)
    elif not isinstance(collapse, str):
        sketch = closed(sketch, tuple(collapse))
    drawing = _shown(_drawn(sketch), passes)
    drawing.check()
    return drawing


def check_options(passes: object, level: object, collapse: object) -> None:
    """Complain of settings that mean nothing."""
    if passes not in PASSES:
        raise GraphError(f"passes is 'forward', 'backward' or 'joint'; got {passes!r}")
    if level not in LEVELS:
        raise GraphError(f"level is 'op', 'layer' or 'block'; got {level!r}")
    listed = isinstance(collapse, tuple | list) and all(isinstance(one, str) for one in collapse)
    if not listed and collapse not in ("auto", "none"):
        raise GraphError(f"collapse is 'auto', 'none' or a list of scopes; got {collapse!r}")


def _drawn(sketch: Sketch) -> Drawing:
    writer, lanes = Writer(sketch.flat, sketch.folding), lanes_of(sketch)
    boxes = tuple(_box(sketch, lanes, writer, piece) for piece in sketch.pieces.values())
    edges = tuple(_edge(sketch, link) for link in sketch.links)
    return Drawing(
        "joint",
        boxes,
        edges,
        tuple(_notes(sketch)),
        sketch.flat.document.captured is not None,
    )


def _box(sketch: Sketch, lanes: Lanes, writer: Writer, piece: Piece) -> Box:
    column, row = lanes.places[piece.id]
    return Box(
        id=piece.id,
        kind=piece.kind,
        lane=piece.lane,
        title=writer.title(piece),
        lines=writer.lines(piece, sketch.started.get(piece.id)),
        figures=writer.figures(piece),
        tooltip=writer.tooltip(piece),
        scope=_scope(sketch, lanes, piece),
        nodes=names_of(piece, sketch.flat.nodes),
        column=column,
        row=row,
        aside=piece.id in lanes.aside,
        home=piece.home,
        seen=_seen(sketch, writer, piece),
    )


def _seen(sketch: Sketch, writer: Writer, piece: Piece) -> Seen | None:
    seen = seen_of(sketch.flat.document, piece)
    if seen is None or seen.tone != "value" or not writer.again(sketch.flat.nodes[piece.last]):
        return seen
    return replace(seen, tone="again")


def _scope(sketch: Sketch, lanes: Lanes, piece: Piece) -> tuple[str, ...]:
    """The layers around a box; a parameter without any is in the layer that reads it."""
    home = lanes.homes.get(piece.home if piece.kind == "update" and piece.home else piece.id)
    own = piece.given and piece.kind != "input"
    if not piece.scope and home is not None and (own or piece.kind == "update"):
        return sketch.pieces[home].scope
    return piece.scope


def _edge(sketch: Sketch, link: Link) -> Edge:
    nodes = sketch.flat.nodes
    values = [nodes[value] for value in link.values if value in nodes]
    if link.kind == "turn":
        tooltip = "the gradient of the loss by itself is 1"
    elif link.kind == "update":
        tooltip = f"new value of {', '.join(map(value_text, values))}"
    else:
        tooltip = ", ".join(map(value_text, values))
    total = sum(node.bytes for node in values)
    computed = [n.bytes for n in values if n.kind not in ("parameter", "state", "input")]
    saved = link.kind == "saved" and computed and sketch.pieces[link.target].kind != "update"
    label = readable_bytes(sum(computed)) if saved else _terms(sketch, link)
    return Edge(link.source, link.target, link.kind, clean(tooltip, 400), label, total, link.cut)


def _terms(sketch: Sketch, link: Link) -> str:
    """What an arrow into a Σ does not say: that a value counts twice, that a constant is added."""
    target = sketch.pieces[link.target]
    if target.kind != "sum" or link.kind != "gradient":
        return ""
    nodes, texts = sketch.flat.nodes, sketch.folding.texts
    read = [value for node in target.nodes for value in nodes[node].inputs]
    times = max(read.count(value) for value in link.values)
    first = next(one for one in sketch.links_of("gradient") if one.target == link.target)
    constants = [f"+ {texts[value]}" for value in read if value in texts and link is first]
    return " ".join([*([f"{times} ×"] if times > 1 else []), *constants])


def _notes(sketch: Sketch) -> list[str]:
    """How much of the graph the picture shows."""
    pieces, flat = sketch.pieces.values(), sketch.flat
    notes = []
    merged = [piece for piece in pieces if piece.kind == "layer"]
    if merged:
        inside = sum(piece.merged for piece in merged)
        notes.append(f"{len(merged)} boxes stand for {inside} that are folded")
    if sketch.norms:
        notes.append('normalisation layers are one box each; collapse="none" draws their ops')
    for path, hidden in sketch.repeated:
        notes.append(f"{path}: equal layers, drawn once; {hidden} boxes are not shown")
    if any(link.cut for link in sketch.links):
        notes.append("an arrow with a bar: stop_gradient, nothing comes back")
    return [*notes, *(f"not drawn: {text}" for text in flat.left_out)]


# Which part of the whole a picture shows.


def _shown(whole: Drawing, passes: Passes) -> Drawing:
    if passes == "joint":
        return whole
    kept = _in_forward(whole) if passes == "forward" else _in_backward(whole)
    boxes = [box for box in whole.boxes if box.id in kept]
    edges = [edge for edge in whole.edges if {edge.source, edge.target} <= kept]
    if passes == "backward":
        boxes = [_as_saved(box) for box in boxes]
        edges = [edge for edge in edges if edge.kind != "data"]
    return replace(whole, passes=passes, boxes=tuple(boxes), edges=tuple(edges))


def _in_forward(whole: Drawing) -> set[str]:
    read = {edge.source for edge in whole.edges if edge.kind == "data"}
    return {
        box.id
        for box in whole.boxes
        if box.lane == "forward" and (box.id in read or box.kind not in ("parameter", "state"))
    }


def _in_backward(whole: Drawing) -> set[str]:
    crossing = [edge for edge in whole.edges if edge.kind in ("saved", "turn", "update")]
    ends = {end for edge in crossing for end in (edge.source, edge.target)}
    return ends | {box.id for box in whole.boxes if box.lane != "forward"}


def _as_saved(box: Box) -> Box:
    """A forward value, of which the reverse pass only needs to know what it is."""
    if box.lane != "forward" or box.kind in ("parameter", "state"):
        return box
    return replace(box, kind="saved", lines=box.lines if box.kind == "loss" else box.lines[-1:])
