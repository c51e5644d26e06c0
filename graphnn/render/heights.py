"""The y of every row: as near to the road as boxes and frames allow, column by column.

The road and the parameters beneath it are bands through the whole picture. A row of branches lies
only where it has boxes or edges, so that one tall column does not push all others away.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from graphnn.render.frames import FRAME, LABEL, RAIL, Rails, Scope
from graphnn.render.model import Box, Edge, Lane

Size: TypeAlias = tuple[float, float]
Band: TypeAlias = tuple[int, int, int]  # lane, row, place in the row; from top to bottom
Cells: TypeAlias = Mapping[tuple[int, Band], Sequence[Box]]  # what stands in a column and a band
FORWARD, REVERSE = 0, 1
OPS = 1_000_000  # the place of the ops of the reverse lane: after all that is given
STACK = 10.0  # between boxes of one cell
_GAP = 20.0  # between boxes
_LANES = 48.0  # between forward and reverse pass where nothing is between
_CLEAR = 8.0  # between a box and an edge that runs along the row beside it


@dataclass(frozen=True)
class Cell:
    """The boxes that stand together in a column of a row: an op, and what it is given.

    Parameters
    ----------
    column, row
        Where; rows are counted from the road on, in both lanes.
    band
        Of the ops.
    ops
        From the axis of the row downwards.
    given
        What stands between them and the road: parameters, updates, their gradients; by band.
    """

    column: int
    row: int
    band: Band
    ops: tuple[Box, ...]
    given: tuple[tuple[Band, tuple[Box, ...]], ...]

    @property
    def boxes(self) -> tuple[Box, ...]:
        """All."""
        return *self.ops, *(box for _, boxes in self.given for box in boxes)

    def above(self, sizes: Mapping[str, Size]) -> float:
        """From the axis to the top of the first op."""
        return sizes[self.ops[0].id][1] / 2 if self.ops else 0.0

    def below(self, sizes: Mapping[str, Size]) -> float:
        """From the axis to the bottom of the last op."""
        return _height(self.ops, sizes) - self.above(sizes) if self.ops else 0.0

    def room(self, sizes: Mapping[str, Size]) -> float:
        """For what is given."""
        return sum(_height(boxes, sizes) + _GAP for _, boxes in self.given)


def _height(boxes: Sequence[Box], sizes: Mapping[str, Size]) -> float:
    return sum(sizes[box.id][1] + STACK for box in boxes) - STACK


def axes_of(
    cells: Cells, edges: Sequence[Edge], sizes: Mapping[str, Size], rails: Rails
) -> dict[tuple[int, Band], float]:
    """The y at which the first box of each cell is centred.

    Parameters
    ----------
    cells
        What stands in each column and band.
    edges
        Those of the picture; what runs along a row keeps others away.
    sizes
        Of boxes.
    rails
        How many delay edges run along each frame.
    """
    found: dict[tuple[int, Band], float] = {}
    up, down = _cells(cells, FORWARD), _cells(cells, REVERSE)
    above = _rows_apart(up, edges, sizes, "forward", {s: n for s, (n, _) in rails.items()})
    hang = [cell.below(sizes) + cell.room(sizes) - above[cell.row] for cell in up]
    bottom = -max(hang, default=0.0)
    for cell in up:
        found |= _beneath(cell, above[cell.row], sizes)
    middle = sorted({band for _, band in cells if _is_between(band)})
    for band in middle:
        here = [key for key in cells if key[1] == band]
        halves = {key: sizes[cells[key][0].id][1] / 2 for key in here}
        axis = bottom - _GAP - max(halves.values())
        found |= dict.fromkeys(here, axis)
        bottom = axis - max(_height(cells[key], sizes) - halves[key] for key in here)
    if not down:
        return found
    beneath = _rows_apart(down, edges, sizes, "backward", {s: n for s, (_, n) in rails.items()})
    start = bottom - (_GAP if middle else _LANES) - _room(cells, down, sizes)
    for cell in down:
        found |= _above(cell, start - beneath[cell.row], sizes)
    return found


def _is_between(band: Band) -> bool:
    """Whether a band is one of those between the roads: what is given, and its gradients."""
    return band[1] == 0 and band[2] != (0 if band[0] == FORWARD else OPS)


def _cells(cells: Cells, lane: int) -> list[Cell]:
    """The cells of a lane, each with what stands between it and the road."""
    ops: dict[tuple[int, int], Sequence[Box]] = {}
    given: dict[tuple[int, int], list[tuple[Band, Sequence[Box]]]] = {}
    for (column, band), boxes in cells.items():
        if band[0] != lane or _is_between(band):
            continue
        place = column, abs(band[1])
        if band[2] == (0 if lane == FORWARD else OPS):
            ops[place] = boxes
        else:
            given.setdefault(place, []).append((band, boxes))
    return [
        Cell(
            *place,
            (lane, -place[1] if lane == FORWARD else place[1], 0 if lane == FORWARD else OPS),
            tuple(ops.get(place, ())),
            tuple((band, tuple(boxes)) for band, boxes in sorted(given.get(place, ()))),
        )
        for place in sorted({*ops, *given})
    ]


def _beneath(cell: Cell, axis: float, sizes: Mapping[str, Size]) -> dict[tuple[int, Band], float]:
    """The axes of a cell of the forward lane: what is given beneath the ops."""
    found = {(cell.column, cell.band): axis}
    bottom = axis - cell.below(sizes)
    for band, boxes in cell.given:
        found[cell.column, band] = bottom - _GAP - sizes[boxes[0].id][1] / 2
        bottom -= _GAP + _height(boxes, sizes)
    return found


def _above(cell: Cell, axis: float, sizes: Mapping[str, Size]) -> dict[tuple[int, Band], float]:
    """The axes of a cell of the reverse lane: what is given above the ops."""
    found = {(cell.column, cell.band): axis}
    top = axis + cell.above(sizes)
    for band, boxes in reversed(cell.given):
        top += _GAP + _height(boxes, sizes)
        found[cell.column, band] = top - sizes[boxes[0].id][1] / 2
    return found


def _room(cells: Cells, down: Sequence[Cell], sizes: Mapping[str, Size]) -> float:
    """From what is above the reverse lane to the axis of its first row, with that for frames."""
    row = min(cell.row for cell in down)
    first = [cell for cell in down if cell.row == row]
    lane = {box.id for cell in down for box in cell.boxes}
    others = [box for boxes in cells.values() for box in boxes if box.id not in lane]
    alone = [s for s in _scopes(first) if not any(_within(s, box) for box in others)]
    levels = max((_Span(scope, down, {}).levels for scope in alone), default=0)
    near = max(cell.above(sizes) + cell.room(sizes) for cell in first)
    return near + levels * (FRAME + LABEL)


def _rows_apart(
    cells: Sequence[Cell],
    edges: Sequence[Edge],
    sizes: Mapping[str, Size],
    lane: Lane,
    rails: Mapping[Scope, int],
) -> dict[int, float]:
    """How far each row of a lane lies from its first one."""
    found: dict[int, float] = {}
    state = _Reached(cells, sizes, lane, rails)
    passing = _passing(cells, edges)
    for row in sorted({cell.row for cell in cells}):
        here = [cell for cell in cells if cell.row == row]
        through = passing.get(row, set())
        near = [state.beyond(cell) for cell in here]
        near += [state.top[column] + _CLEAR for column in through if column in state.top]
        found[row] = max(near) if found else 0.0
        for cell in here:
            state.put(cell, found[row])
        for column in through:
            state.top[column] = max(state.top.get(column, found[row]), found[row] + _CLEAR / 2)
    return found


class _Reached:
    """How far out each column and each frame reaches so far."""

    def __init__(
        self,
        cells: Sequence[Cell],
        sizes: Mapping[str, Size],
        lane: Lane,
        rails: Mapping[Scope, int],
    ) -> None:
        self.sizes, self.forward = sizes, lane == "forward"
        self.top: dict[int, float] = {}
        self.frames = {scope: _Span(scope, cells, rails) for scope in _scopes(cells)}
        self.of_frame: dict[Scope, float] = {}

    def beyond(self, cell: Cell) -> float:
        """The least distance of a cell's axis."""
        near = cell.below(self.sizes) if self.forward else cell.above(self.sizes)
        near += cell.room(self.sizes) + _GAP
        found = [self.top[cell.column]] if cell.column in self.top else []
        for scope, span in self.frames.items():
            if _holds(scope, cell):
                if span.rows[0] == cell.row:
                    start = (FRAME if self.forward else FRAME + LABEL) * span.levels
                    found += [self.top[c] + start for c in self.top if span.holds(c)]
            elif span.holds(cell.column) and span.rows[1] < cell.row:
                end = (FRAME + LABEL if self.forward else FRAME) * span.levels
                found.append(self.of_frame[scope] + end + RAIL * span.rails)
        return max(found) + near if found else 0.0

    def put(self, cell: Cell, axis: float) -> None:
        """A cell has its place."""
        reached = axis + (cell.above(self.sizes) if self.forward else cell.below(self.sizes))
        self.top[cell.column] = max(self.top.get(cell.column, reached), reached)
        for scope in _scopes([cell]):
            self.of_frame[scope] = max(self.of_frame.get(scope, reached), reached)


class _Span:
    """The columns and rows that a frame takes in one lane."""

    def __init__(self, scope: Scope, cells: Sequence[Cell], rails: Mapping[Scope, int]) -> None:
        inside = [cell for cell in cells if _holds(scope, cell)]
        self.columns = min(c.column for c in inside), max(c.column for c in inside)
        self.rows = min(c.row for c in inside), max(c.row for c in inside)
        deepest = max(len(b.scope) for c in inside for b in c.boxes if _within(scope, b))
        self.levels = deepest - len(scope) + 1
        self.rails = sum(count for one, count in rails.items() if one[: len(scope)] == scope)

    def holds(self, column: int) -> bool:
        """Whether a column is one of those."""
        return self.columns[0] <= column <= self.columns[1]


def _within(scope: Scope, box: Box) -> bool:
    return box.scope[: len(scope)] == scope


def _holds(scope: Scope, cell: Cell) -> bool:
    return any(_within(scope, box) for box in cell.boxes)


def _scopes(cells: Sequence[Cell]) -> Iterator[Scope]:
    """All scopes, in a fixed order."""
    found = {
        box.scope[:depth]
        for cell in cells
        for box in cell.boxes
        for depth in range(1, len(box.scope) + 1)
    }
    yield from sorted(found)


def _passing(cells: Sequence[Cell], edges: Sequence[Edge]) -> dict[int, set[int]]:
    """The columns that edges along each row run through."""
    place = {box.id: (cell.column, cell.row) for cell in cells for box in cell.ops}
    columns = sorted({cell.column for cell in cells})
    found: dict[int, set[int]] = {}
    for edge in edges:
        start, end = place.get(edge.source), place.get(edge.target)
        if start is not None and end is not None and start[1] == end[1] and edge.kind != "delay":
            low, high = sorted((start[0], end[0]))
            found.setdefault(start[1], set()).update(c for c in columns if low < c < high)
    return found
