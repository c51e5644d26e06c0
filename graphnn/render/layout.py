"""From the drawing model to a place for every box: the two lanes, mirrored, and what is between.

From top to bottom a column holds: branches of the forward lane, its main road, the parameters and
inputs that it reads, their updates, their gradients, the road of the reverse pass, its branches. So
a gradient stands under the op that it belongs to, and a parameter between its op and its update.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TypeAlias

from graphnn.render.frames import FRAME, LABEL, Frame, frames_of
from graphnn.render.geometry import Rect, around
from graphnn.render.model import Box, Drawing, EdgeKind
from graphnn.render.routes import Route, routed
from graphnn.render.typography import width_of

TITLE, LINE, SMALL = 11.0, 9.0, 8.0  # font sizes in points
BARS = 14.0  # height of a histogram
_LEADING = 1.22  # distance of lines in font sizes
_PAD_X, _PAD_Y = 7.0, 5.0  # around the text of a box
_GAP_X, _GAP_Y = 22.0, 20.0  # between boxes
_STACK = 10.0  # between boxes of one cell
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
    """Where everything stands; points, y upwards."""

    rects: Mapping[str, Rect]
    routes: Mapping[tuple[str, str], Route]
    frames: tuple[Frame, ...]
    legend: tuple[Caption, ...]
    bounds: Rect
    notes: tuple[Caption, ...] = ()


Band: TypeAlias = tuple[int, int, int]  # sorted from top to bottom
Cells: TypeAlias = dict[tuple[int, Band], list[Box]]  # what stands in a column and a band
Size: TypeAlias = tuple[float, float]
_FORWARD, _REVERSE = 0, 1


def laid_out(drawing: Drawing) -> Layout:
    """Give every box its place."""
    if not drawing.boxes:
        return Layout({}, {}, (), (), Rect(0, 0, _MARGIN, _MARGIN))
    sizes = {box.id: size_of(box) for box in drawing.boxes}
    cells = _cells(drawing.boxes)
    middles = _middles(cells, sizes)
    axes = _axes(cells, sizes)
    rects: dict[str, Rect] = {}
    for (column, band), boxes in cells.items():
        rects |= _stacked(boxes, sizes, middles[column], axes[band])
    frames = tuple(frames_of(drawing.boxes, rects))
    picture = around([*rects.values(), *(frame.rect for frame in frames)])
    legend = tuple(_legend(drawing, picture))
    routes = routed(drawing.boxes, drawing.edges, rects)
    bends = [Rect(x, y, x, y) for route in routes.values() for x, y in route]
    bounds = around([picture, *bends, *(caption.rect for caption in legend)])
    notes = tuple(_noted(drawing, bounds))
    bounds = around([bounds, *(caption.rect for caption in notes)])
    return Layout(rects, routes, frames, legend, bounds.grown(_MARGIN), notes)


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


def _cells(boxes: Sequence[Box]) -> Cells:
    slots = _slots(boxes)
    cells: Cells = {}
    for box in boxes:
        cells.setdefault((_column(box), _band(box, slots)), []).append(box)
    return {cell: sorted(found, key=lambda box: box.kind != "sum") for cell, found in cells.items()}


def _column(box: Box) -> int:
    """Twice the column; a sum stands in the gap to the right, where the gradient comes from."""
    return 2 * box.column + (1 if box.kind == "sum" and box.home is None else 0)


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
        return _REVERSE, box.row, slots[box.home] if box.home else len(slots)
    if box.aside or box.home:
        return _FORWARD, -box.row, 1 + 2 * slots[box.home or box.id] + (not box.aside)
    return _FORWARD, -box.row, 0


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


def _axes(cells: Cells, sizes: Mapping[str, Size]) -> dict[Band, float]:
    """The y at which the first boxes of a band are centred."""
    framed = any(box.scope for boxes in cells.values() for box in boxes)
    axes: dict[Band, float] = {}
    bottom = 0.0
    for band in sorted({band for _, band in cells}):
        stacks = [
            [sizes[box.id][1] for box in b] for (_, other), b in cells.items() if other == band
        ]
        above = max(heights[0] / 2 for heights in stacks)
        below = max(
            sum(h + _STACK for h in heights) - _STACK - heights[0] / 2 for heights in stacks
        )
        branch = axes and framed and band[0] == _FORWARD and band[2] == 0
        gap = _GAP_Y + (LABEL + 2 * FRAME if branch else 0.0)
        axes[band] = bottom - gap - above
        bottom = axes[band] - below
    return axes


def _stacked(
    boxes: Sequence[Box], sizes: Mapping[str, Size], x: float, axis: float
) -> dict[str, Rect]:
    """The boxes of a cell: the first on the axis, the others beneath."""
    rects: dict[str, Rect] = {}
    top = axis + sizes[boxes[0].id][1] / 2
    for box in boxes:
        width, height = sizes[box.id]
        rects[box.id] = Rect(x - width / 2, top - height, x + width / 2, top)
        top -= height + _STACK
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
