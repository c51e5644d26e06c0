"""From the drawing model to a place for every box: the two lanes, mirrored, and what is between.

From top to bottom a column holds: branches of the forward lane, its main road, the parameters and
inputs that it reads, their updates, their gradients, the road of the reverse pass, its branches. So
a gradient stands under the op that it belongs to, and a parameter between its op and its update.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile

from graphnn.render.connections import Legs, connected, labelled
from graphnn.render.frames import FRAME, Frame, frames_of
from graphnn.render.geometry import Rect, around
from graphnn.render.heights import FORWARD, OPS, REVERSE, STACK, Band, Cells, Size, axes_of
from graphnn.render.model import Box, Drawing, Edge, EdgeKind
from graphnn.render.rails import railed, rails_of
from graphnn.render.routes import Point, Route
from graphnn.render.systems import WIDEST, Key, Port, broken
from graphnn.render.typography import width_of

TITLE, LINE, SMALL = 11.0, 9.0, 8.0  # font sizes in points
BARS = 14.0  # height of a histogram
SCALE = 300.0, 24.0  # room for the colours of gradients, beneath all else
_LEADING = 1.22  # distance of lines in font sizes
_PAD_X, _PAD_Y = 7.0, 5.0  # around the text of a box
_GAP_X, _GAP_Y = 22.0, 20.0  # between boxes
_GAP_ROWS = 34.0  # between rows
_SUM = 17.0  # diameter of a sum
_MARGIN = 8.0


LEGEND: Mapping[EdgeKind, str] = {
    "data": "values → forward",
    "gradient": "← gradients, in reverse",
    "saved": "- - - saved for the reverse pass",
    "update": "↑ updates",
    "delay": "→ to the next step of the loop",
}


@dataclass(frozen=True)
class Caption:
    """A line of the legend, for one kind of edge, or of the notes."""

    kind: EdgeKind | None
    words: str
    rect: Rect


@dataclass(frozen=True)
class Layout:
    """Where everything stands; points, y upwards.

    An edge from row to row has two legs; ``labels`` are the middles of what is written at edges.
    """

    rects: Mapping[str, Rect]
    routes: Mapping[Key, Legs]
    frames: tuple[Frame, ...]
    legend: tuple[Caption, ...]
    bounds: Rect
    notes: tuple[Caption, ...] = ()
    ports: tuple[Port, ...] = ()
    labels: Mapping[Key, Point] = field(default_factory=dict)


def laid_out(drawing: Drawing, widest: float = WIDEST) -> Layout:
    """Give every box its place.

    Parameters
    ----------
    drawing
        What is shown.
    widest
        Points from which on it is broken into rows.
    """
    if not drawing.boxes:
        return Layout({}, {}, (), (), Rect(0, 0, _MARGIN, _MARGIN))
    sizes, slots = {box.id: size_of(box) for box in drawing.boxes}, _slots(drawing.boxes)
    spans = _spans(_cells(drawing.boxes, slots), sizes)
    rows: list[_Row] = []
    top = 0.0
    for columns in broken(drawing.boxes, drawing.edges, spans, widest):
        boxes = [box for box in drawing.boxes if box.column in columns]
        rows.append(_row_of(boxes, drawing.edges, slots, sizes, top))
        top = rows[-1].bounds.bottom - _GAP_ROWS
    rects = {box: rect for row in rows for box, rect in row.rects.items()}
    rails = {key: way for row in rows for key, way in row.rails.items()}
    other = replace(
        drawing, edges=tuple(e for e in drawing.edges if (e.source, e.target) not in rails)
    )
    ports, routes = connected(other, [row.rects for row in rows], [row.bounds for row in rows])
    routes |= {key: (way,) for key, way in rails.items()}
    frames = tuple(frame for row in rows for frame in row.frames)
    picture = around([*(row.bounds for row in rows), *(port.rect for port in ports)])
    legend = tuple(_legend(drawing, picture))
    bends = [Rect(x, y, x, y) for legs in routes.values() for leg in legs for x, y in leg]
    bounds = around([picture, *bends, *(caption.rect for caption in legend)])
    notes = tuple(_noted(drawing, bounds))
    bounds = around([bounds, *(caption.rect for caption in notes)])
    if any(box.seen is not None and box.lane == "backward" for box in drawing.boxes):
        left, bottom = bounds.left, bounds.bottom - SCALE[1]
        bounds = around([bounds, Rect(left, bottom, left + SCALE[0], bottom + SCALE[1])])
    labels = labelled(drawing.edges, routes, rects, [port.rect for port in ports])
    return Layout(rects, routes, frames, legend, bounds.grown(_MARGIN), notes, tuple(ports), labels)


@dataclass(frozen=True)
class _Row:
    """The boxes of a row at their places, and the frames around them."""

    rects: Mapping[str, Rect]
    frames: tuple[Frame, ...]
    bounds: Rect
    rails: Mapping[Key, Route]


def _row_of(
    boxes: Sequence[Box],
    edges: Sequence[Edge],
    slots: Mapping[str, int],
    sizes: Mapping[str, Size],
    top: float,
) -> _Row:
    cells, rails = _cells(boxes, slots), rails_of(boxes, edges)
    lanes = {box.id: box.lane for box in boxes}
    counts = {
        scope: (len(found), 0) if lanes[found[0].target] == "forward" else (0, len(found))
        for scope, found in rails.items()
    }
    middles, axes = _middles(cells, sizes), axes_of(cells, edges, sizes, counts)
    rects: dict[str, Rect] = {}
    for (column, band), found in cells.items():
        rects |= _stacked(found, sizes, middles[column], axes[column, band])
    frames = [*frames_of(boxes, rects, counts)]
    bounds = around([*rects.values(), *(frame.rect for frame in frames)])
    x, y = -bounds.left, top - bounds.top
    rects = {box: rect.moved(x, y) for box, rect in rects.items()}
    frames = [replace(frame, rect=frame.rect.moved(x, y)) for frame in frames]
    ways = railed(rails, boxes, rects, frames)
    return _Row(rects, tuple(frames), bounds.moved(x, y), ways)


def _spans(cells: Cells, sizes: Mapping[str, Size]) -> dict[int, tuple[float, float]]:
    """Left and right end of each column, were all in one row."""
    middles = _middles(cells, sizes)
    spans: dict[int, tuple[float, float]] = {}
    for (column, _), boxes in cells.items():
        half = max(sizes[box.id][0] for box in boxes) / 2
        left, right = middles[column] - half, middles[column] + half
        before = spans.get(column // 4, (left, right))
        spans[column // 4] = min(left, before[0]), max(right, before[1])
    return spans


def size_of(box: Box) -> Size:
    """Width and height of a box that holds its text."""
    if box.kind == "sum":
        return _SUM, _SUM
    title, line = (LINE, SMALL) if box.kind == "saved" else (TITLE, LINE)
    widths = [width_of(box.title, title, bold=True), *(width_of(t, line) for t in box.lines)]
    small = [*box.figures, *(box.seen.lines if box.seen is not None else ())]
    widths += [width_of(text, SMALL) for text in small]
    height = _LEADING * (title + line * len(box.lines) + SMALL * len(small)) + 2 * _PAD_Y
    if box.seen is not None and box.seen.bars:
        height += BARS
        widths.append(2.5 * len(box.seen.bars))
    return max(widths) + 2 * _PAD_X, height


# Cells: what stands in which column and band.


def _cells(boxes: Sequence[Box], slots: Mapping[str, int]) -> Cells:
    cells: dict[tuple[int, Band], list[Box]] = {}
    for box in boxes:
        cells.setdefault((_column(box), _band(box, slots)), []).append(box)
    return {cell: sorted(found, key=lambda box: box.kind != "sum") for cell, found in cells.items()}


def _column(box: Box) -> int:
    """Four to a column: between others are sums, where the gradient comes from, and states.

    The states of a loop stand before all else of it, in the reverse pass at the right.
    """
    if box.kind == "delay":
        return 4 * box.column + (0 if box.lane == "forward" else 3)
    return 4 * box.column + (2 if box.kind == "sum" and box.home is None else 1)


def _slots(boxes: Sequence[Box]) -> dict[str, int]:
    """Parameters and inputs beneath one op stand one beneath the other, each with its update."""
    slots: dict[str, int] = {}
    taken: dict[tuple[int, int], int] = {}
    for box in boxes:
        if box.aside or box.home:
            place = box.column, box.row
            if (box.home or box.id) not in slots:
                slots[box.home or box.id] = taken.get(place, 0)
                taken[place] = slots[box.home or box.id] + 1
    return slots


def _band(box: Box, slots: Mapping[str, int]) -> Band:
    """The lane, the row in it, and the place in that row, all counted from the top."""
    if box.lane == "backward":
        return REVERSE, box.row, slots[box.home] if box.home else OPS
    if box.aside or box.home:
        return FORWARD, -box.row, 1 + 2 * slots[box.home or box.id] + (not box.aside)
    return FORWARD, -box.row, 0


# Coordinates.


def _middles(cells: Cells, sizes: Mapping[str, Size]) -> dict[int, float]:
    """The x of every column: as near to the one before as boxes and frames allow."""
    columns = sorted({column for column, _ in cells})
    inside = {
        column: [box for (other, _), boxes in cells.items() if other == column for box in boxes]
        for column in columns
    }
    middles: dict[int, float] = {}
    right, before = 0.0, tuple[str, ...]()
    for column in columns:
        scope = max((box.scope for box in inside[column]), key=len)
        half = max(sizes[box.id][0] for box in inside[column]) / 2
        gap = _gap(before, scope) if middles else 0.0
        middles[column] = right + gap + half
        right, before = middles[column] + half, scope
    return middles


def _gap(before: tuple[str, ...], after: tuple[str, ...]) -> float:
    """Room between columns, with that for the frames that end and begin there."""
    shared = sum(
        1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, after, strict=False))
    )
    return _GAP_X + FRAME * (len(before) + len(after) - 2 * shared)


def _stacked(
    boxes: Sequence[Box], sizes: Mapping[str, Size], x: float, axis: float
) -> dict[str, Rect]:
    """The boxes of a cell: the first on the axis, the others beneath."""
    rects: dict[str, Rect] = {}
    top = axis + sizes[boxes[0].id][1] / 2
    for box in boxes:
        width, height = sizes[box.id]
        rects[box.id] = Rect(x - width / 2, top - height, x + width / 2, top)
        top -= height + STACK
    return rects


# The legend.


def _legend(drawing: Drawing, bounds: Rect) -> Iterator[Caption]:
    """What the edges mean, in a row beneath the picture."""
    shown = {edge.kind for edge in drawing.edges}
    x, y = bounds.left, bounds.bottom - _GAP_Y - LINE
    for kind, words in LEGEND.items():
        if kind not in shown:
            continue
        width = width_of(words, LINE) + _PAD_X
        if x > bounds.left and x + width > bounds.right:
            x, y = bounds.left, y - 2 * LINE
        yield Caption(kind, words, Rect(x, y, x + width, y + 2 * LINE))
        x += width + _GAP_X


def _noted(drawing: Drawing, bounds: Rect) -> Iterator[Caption]:
    """What the picture does not show, a line each beneath all else."""
    y = bounds.bottom - 2 * LINE
    for words in drawing.notes:
        yield Caption(
            None,
            words,
            Rect(bounds.left, y, bounds.left + width_of(words, LINE) + _PAD_X, y + 2 * LINE),
        )
        y -= 2 * LINE
