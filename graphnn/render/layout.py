"""From the drawing model to a place for every box: the two lanes, mirrored, and what is between.

From top to bottom a column holds: branches of the forward lane, its main road, the parameters and
inputs that it reads, their updates, their gradients, the main road of the reverse pass, its branches.
So a gradient stands under the op that it belongs to, and a parameter between its op and its update.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TypeAlias

from graphnn.render.model import Box, Drawing
from graphnn.render.typography import width_of

TITLE, LINE, SMALL = 11.0, 9.0, 8.0  # font sizes in points
_LEADING = 1.22  # distance of lines in font sizes
_PAD_X, _PAD_Y = 7.0, 5.0  # around the text of a box
_GAP_X, _GAP_Y = 22.0, 20.0  # between boxes
_STACK = 10.0  # between boxes of one cell
_FRAME = 8.0  # around the boxes of a layer
_LABEL = 13.0  # room for its name
_SUM = 17.0  # diameter of a sum
_MARGIN = 8.0


@dataclass(frozen=True)
class Rect:
    """A rectangle, in points; y grows upwards, as in Graphviz."""

    left: float
    bottom: float
    right: float
    top: float

    @property
    def center(self) -> tuple[float, float]:
        """x and y of the middle."""
        return (self.left + self.right) / 2, (self.bottom + self.top) / 2

    def grown(self, by: float, top: float = 0.0) -> Rect:
        """With a margin on every side, and more above."""
        return Rect(self.left - by, self.bottom - by, self.right + by, self.top + by + top)

    def meets(self, other: Rect) -> bool:
        """Whether the two overlap."""
        across = self.left < other.right and other.left < self.right
        return across and self.bottom < other.top and other.bottom < self.top


def around(rects: Iterable[Rect]) -> Rect:
    """The smallest rectangle that holds all."""
    left, bottom, right, top = zip(*((r.left, r.bottom, r.right, r.top) for r in rects), strict=True)
    return Rect(min(left), min(bottom), max(right), max(top))


@dataclass(frozen=True)
class Frame:
    """What is drawn around a layer, or around one lane of it.

    Parameters
    ----------
    scope
        Path of the layer.
    label
        Its name; empty on all but the first frame of a layer.
    rect
        Where it is.
    boxes
        Ids of the boxes of this layer that lie in it, without those of inner layers.
    """

    scope: tuple[str, ...]
    label: str
    rect: Rect
    boxes: tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """Where everything stands; points, y upwards."""

    rects: Mapping[str, Rect]
    frames: tuple[Frame, ...]
    bounds: Rect


Band: TypeAlias = tuple[int, int]  # lane and row in it: sorted from top to bottom
Cells: TypeAlias = dict[tuple[int, Band], list[Box]]  # what stands in a column and a band
Size: TypeAlias = tuple[float, float]
_FORWARD, _BETWEEN, _REVERSE = range(3)


def laid_out(drawing: Drawing) -> Layout:
    """Give every box its place."""
    if not drawing.boxes:
        return Layout({}, (), Rect(0, 0, _MARGIN, _MARGIN))
    sizes = {box.id: size_of(box) for box in drawing.boxes}
    cells = _cells(drawing.boxes)
    middles = _middles(cells, sizes)
    axes = _axes(cells, sizes)
    rects: dict[str, Rect] = {}
    for (column, band), boxes in cells.items():
        rects |= _stacked(boxes, sizes, middles[column], axes[band])
    frames = tuple(_frames(drawing.boxes, rects))
    bounds = around([*rects.values(), *(frame.rect for frame in frames)])
    return Layout(rects, frames, bounds.grown(_MARGIN))


def size_of(box: Box) -> Size:
    """Width and height of a box that holds its text."""
    if box.kind == "sum":
        return _SUM, _SUM
    title, line = (LINE, SMALL) if box.kind == "saved" else (TITLE, LINE)
    widths = [width_of(box.title, title, bold=True), *(width_of(t, line) for t in box.lines)]
    height = _LEADING * (title + line * len(box.lines)) + 2 * _PAD_Y
    lid = 8.0 if box.kind in ("parameter", "state") else 0.0  # of the cylinder
    return max(widths) + 2 * _PAD_X, height + lid


# Cells: what stands in which column and band.


def _cells(boxes: Sequence[Box]) -> Cells:
    slots = _slots(boxes)
    cells: Cells = {}
    for box in boxes:
        cells.setdefault((_column(box), _band(box, slots)), []).append(box)
    return cells


def _column(box: Box) -> int:
    """Twice the column; a sum stands in the gap to the right, where the gradient comes from."""
    return 2 * box.column + (1 if box.kind == "sum" and box.home is None else 0)


def _slots(boxes: Sequence[Box]) -> dict[tuple[int, str], int]:
    """Between the lanes: each parameter of a column, with its update and gradient, has a slot."""
    slots: dict[tuple[int, str], int] = {}
    taken: dict[int, int] = {}
    for box in boxes:
        if not (box.aside or box.home):
            continue
        key = box.column, box.home or box.id
        if key not in slots:
            slots[key] = taken.get(box.column, 0)
            taken[box.column] = slots[key] + 1
    return slots


def _band(box: Box, slots: Mapping[tuple[int, str], int]) -> Band:
    if box.aside or box.home:
        place = 0 if box.aside else 1 if box.lane == "update" else 2
        return _BETWEEN, 3 * slots[box.column, box.home or box.id] + place
    return (_FORWARD, -box.row) if box.lane == "forward" else (_REVERSE, box.row)


# Coordinates.


def _middles(cells: Cells, sizes: Mapping[str, Size]) -> dict[int, float]:
    """The x of every column: as near to the one before as boxes and frames allow."""
    columns = sorted({column for column, _ in cells})
    inside = {
        column: [box for (other, _), boxes in cells.items() if other == column for box in boxes]
        for column in columns
    }
    middles: dict[int, float] = {}
    right, before = 0.0, ()
    for column in columns:
        scope = max((box.scope for box in inside[column]), key=len)
        half = max(sizes[box.id][0] for box in inside[column]) / 2
        gap = _gap(before, scope) if middles else 0.0
        middles[column] = right + gap + half
        right, before = middles[column] + half, scope
    return middles


def _gap(before: tuple[str, ...], after: tuple[str, ...]) -> float:
    """Room between columns, with that for the frames that end and begin there."""
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, after, strict=False)))
    return _GAP_X + _FRAME * (len(before) + len(after) - 2 * shared)


def _axes(cells: Cells, sizes: Mapping[str, Size]) -> dict[Band, float]:
    """The y at which the first boxes of a band are centred."""
    framed = any(box.scope for boxes in cells.values() for box in boxes)
    axes: dict[Band, float] = {}
    bottom = 0.0
    for band in sorted({band for _, band in cells}):
        stacks = [[sizes[box.id][1] for box in b] for (_, other), b in cells.items() if other == band]
        above = max(heights[0] / 2 for heights in stacks)
        below = max(sum(h + _STACK for h in heights) - _STACK - heights[0] / 2 for heights in stacks)
        branch = band[0] == _FORWARD and axes and framed
        gap = _GAP_Y + (_LABEL + 2 * _FRAME if branch else 0.0)
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


# Frames of layers.


def _frames(boxes: Sequence[Box], rects: Mapping[str, Rect]) -> Iterator[Frame]:
    """Frames of all layers, outer ones first."""
    scopes = {box.scope[:depth] for box in boxes for depth in range(1, len(box.scope) + 1)}
    for scope in sorted(scopes, key=lambda scope: (len(scope), scope)):
        inside = [box for box in boxes if box.scope[: len(scope)] == scope]
        outside = [rects[box.id] for box in boxes if box.scope[: len(scope)] != scope]
        levels = max(len(box.scope) for box in inside) - len(scope)
        label = scope[-1]
        for part in _parts(inside, rects, outside):
            rect = _framed([rects[box.id] for box in part], levels)
            own = tuple(box.id for box in part if box.scope == scope)
            yield Frame(scope, label, rect, own)
            label = ""


def _framed(rects: Sequence[Rect], levels: int) -> Rect:
    return around(rects).grown(_FRAME * (levels + 1), top=_LABEL * (levels + 1))


def _parts(
    inside: Sequence[Box], rects: Mapping[str, Rect], outside: Sequence[Rect]
) -> Iterator[list[Box]]:
    """All boxes of a layer, or as few lanes at a time as it takes to hold no stranger."""
    part: list[Box] = []
    for lane in (_FORWARD, _BETWEEN, _REVERSE):
        more = [box for box in inside if _lane(box) == lane]
        whole = around([rects[box.id] for box in (*part, *more)]) if part or more else None
        if part and more and whole and any(whole.meets(rect) for rect in outside):
            yield part
            part = []
        part += more
    if part:
        yield part


def _lane(box: Box) -> int:
    return _band(box, {(box.column, box.home or box.id): 0})[0]
