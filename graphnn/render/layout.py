"""From the drawing model to a place for every box: the two lanes, mirrored, and what is between.

From top to bottom a column holds: branches of the forward lane, its main road, the parameters and
inputs that it reads, their updates, their gradients, the main road of the reverse pass, its branches.
So a gradient stands under the op that it belongs to, and a parameter between its op and its update.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from graphnn.render.model import Box, Drawing
from graphnn.render.typography import width_of

TITLE, LINE, SMALL = 11.0, 9.0, 8.0  # font sizes in points
_LEADING = 1.22  # distance of lines in font sizes
_PAD_X, _PAD_Y = 7.0, 5.0  # around the text of a box
_GAP_X, _GAP_Y = 22.0, 20.0  # between boxes
_STACK = 10.0  # between boxes of one cell
_CLUSTER = 8.0  # around the boxes of a layer
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
class Cluster:
    """The frame around a layer, or around one lane of it.

    Parameters
    ----------
    scope
        Its path.
    label
        Its name; empty on all but the first frame of a layer.
    rect
        Where it is.
    boxes
        Ids of the boxes that lie in it and in no inner one.
    inner
        Frames inside.
    """

    scope: tuple[str, ...]
    label: str
    rect: Rect


@dataclass(frozen=True)
class Layout:
    """Where everything stands."""

    rects: Mapping[str, Rect]
    clusters: tuple[Cluster, ...]
    frame: Rect


Cell = tuple[int, tuple[int, int]]  # column, band and row in it: sorted from top to bottom
_FORWARD, _BETWEEN, _REVERSE = range(3)


def laid_out(drawing: Drawing) -> Layout:
    """Give every box its place."""
    if not drawing.boxes:
        return Layout({}, (), Rect(0, 0, _MARGIN, _MARGIN))
    cells = _cells(drawing)
    sizes = {box.id: size_of(box) for box in drawing.boxes}
    middles = _middles(drawing, cells, sizes)
    axes = _axes(drawing, cells, sizes)
    rects: dict[str, Rect] = {}
    for cell, boxes in cells.items():
        rects.update(_stacked(boxes, sizes, middles[cell[0]], axes[cell[1]]))
    sums = [box for box in drawing.boxes if box.kind == "sum"]
    rects |= _sums(sums, cells, middles, axes, sizes)
    clusters = tuple(_clusters(drawing.boxes, rects))
    frame = around([*rects.values(), *(cluster.rect for cluster in clusters)])
    return Layout(rects, clusters, frame.grown(_MARGIN))
