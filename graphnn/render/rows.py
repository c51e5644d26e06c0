"""Which row each branch takes: one where its edges cross few others and run through no box.

Chains are moved to other rows, or change places with what is there, as long as that makes the
picture plainer: a local search over the crossings of straight edges, in place of the sweeps over
columns of Sugiyama, Tagawa & Toda (*Methods for visual understanding of hierarchical system
structures*, IEEE SMC 1981), because a chain must stay on one line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

MOST = 300  # boxes of a lane; the branches of a larger one stay where they are
_SWEEPS = 4
_CROSSING, _HIT, _BENT, _HIGHER, _ASTRAY = 2.0, 6.0, 1.5, 0.5, 0.3  # in rows that an edge climbs
_NEAR = 0.45  # rows: an edge that comes so near to the middle of a box runs through it
_Floats = NDArray[np.float64]
_Ints = NDArray[np.int64]


def settled(
    rows: Mapping[str, float],
    units: Sequence[Sequence[str]],
    across: Mapping[str, float],
    links: Sequence[tuple[str, str]],
    least: int = 0,
) -> dict[str, float]:
    """Better rows.

    Parameters
    ----------
    rows
        Where each box is; those of ``units`` would best stay near there.
    units
        Boxes that move together; all others stay.
    across
        Where in its row each box is, in columns.
    links
        From box to box.
    least
        The first row that may be taken.

    Returns
    -------
    dict
        The row of every box.
    """
    if not units or len(rows) > MOST:
        return dict(rows)
    search = _Search(rows, units, across, links, least)
    for _ in range(_SWEEPS):
        if not search.swept():
            break
    return {box: float(row) for box, row in zip(rows, search.rows.tolist(), strict=True)}


class _Search:
    """Rows as an array, what moves, and what the picture costs."""

    def __init__(
        self,
        rows: Mapping[str, float],
        units: Sequence[Sequence[str]],
        across: Mapping[str, float],
        links: Sequence[tuple[str, str]],
        least: int,
    ) -> None:
        index = {box: i for i, box in enumerate(rows)}
        self.rows = np.array([*rows.values()], float)
        self.wished, self.least = self.rows.copy(), least
        self.across = np.array([across[box] for box in rows])
        self.units = [np.array([index[box] for box in unit]) for unit in units]
        self.unit_of = {int(i): number for number, unit in enumerate(self.units) for i in unit}
        self.tangle = _Tangle(
            self.across, np.array([(index[a], index[b]) for a, b in links], int).reshape(-1, 2)
        )
        self.best = self.cost(self.rows)

    def cost(self, rows: _Floats) -> float:
        """How tangled it is, how high, and how far from where boxes were."""
        astray = float(np.abs(rows - self.wished).sum())
        return self.tangle.cost(rows) + _HIGHER * float(rows.max()) + _ASTRAY * astray

    def swept(self) -> bool:
        """Try every unit in every row; whether anything was better."""
        before = self.best
        for number in range(len(self.units)):
            found: list[_Floats] = []
            for row in range(self.least, int(self.rows.max()) + 2):
                found += self.moved(number, row)
                found += [self.inserted(number, row)] if row else []
            costs = [self.cost(rows) for rows in found]
            least = int(np.argmin(costs))
            if costs[least] < self.best - 1e-9:
                self.rows, self.best = found[least], costs[least]
        return self.best < before

    def inserted(self, number: int, row: int) -> _Floats:
        """The rows with a unit in a new one."""
        rows = self.rows + (self.rows >= row)
        rows[self.units[number]] = row
        return _packed(rows)

    def moved(self, number: int, row: int) -> list[_Floats]:
        """The rows with a unit in another, and what stood there in its, if that can be."""
        unit = self.units[number]
        old = self.rows[unit[0]]
        if old == row:
            return []
        there = self._in_the_way(self.rows, unit, row)
        if any(int(i) not in self.unit_of for i in there):
            return []
        rows = self.rows.copy()
        rows[unit] = row
        for other in sorted({self.unit_of[int(i)] for i in there}):
            members = self.units[other]
            rows[members] = old
            if len(self._in_the_way(rows, members, old)):
                return []
        return [_packed(rows)]

    def _in_the_way(self, rows: _Floats, unit: _Ints, row: float) -> _Ints:
        """Boxes of others in a row that stand where those of a unit would."""
        same = (rows == row) & np.isin(self.across, self.across[unit])
        same[unit] = False
        return np.flatnonzero(same)


def _packed(rows: _Floats) -> _Floats:
    """The same without empty rows; what stands above the first stays there."""
    found = np.unique(rows)
    found = found[found > 0]
    packed: _Floats = np.where(rows > 0, 1.0 + np.searchsorted(found, rows), rows)
    return packed


class _Tangle:
    """Edges as straight lines: which can meet, given where boxes stand in their rows.

    The only edge that leaves a box should run along its row.
    """

    def __init__(self, across: _Floats, links: _Ints) -> None:
        self.start, self.end = links.T
        self.alone = np.bincount(self.start, minlength=len(across))[self.start] == 1
        left = np.minimum(across[self.start], across[self.end])
        right = np.maximum(across[self.start], across[self.end])
        pairs = [
            (i, j)
            for i, j in combinations(range(len(links)), 2)
            if left[i] < right[j] and left[j] < right[i] and not set(links[i]) & set(links[j])
        ]
        self.one, self.other = np.array(pairs, int).reshape(-1, 2).T
        first = np.maximum(left[self.one], left[self.other])
        last = np.minimum(right[self.one], right[self.other])
        way = across[self.end] - across[self.start]
        way = np.where(way == 0, 1e-9, way)
        self.shares = [
            (x - across[self.start[edge]]) / way[edge]
            for x in (first, last)
            for edge in (self.one, self.other)
        ]
        passed = (left[:, None] < across[None]) & (across[None] < right[:, None])
        self.by, self.box = np.nonzero(passed)
        self.at = (across[self.box] - across[self.start[self.by]]) / way[self.by]

    def cost(self, rows: _Floats) -> float:
        """Crossings, boxes that are run through, and heights that are climbed."""
        start, climb = rows[self.start], rows[self.end] - rows[self.start]

        def height(edge: _Ints, share: _Floats) -> _Floats:
            found: _Floats = start[edge] + share * climb[edge]
            return found

        a, b, c, d = self.shares
        first = height(self.one, a) - height(self.other, b)
        last = height(self.one, c) - height(self.other, d)
        crossed = (first * last < -1e-9) | ((np.abs(first) < 1e-9) & (np.abs(last) < 1e-9))
        hit = np.abs(height(self.by, self.at) - rows[self.box]) < _NEAR
        tangled = _CROSSING * crossed.sum() + _HIT * hit.sum()
        return float(tangled + np.abs(climb).sum() + _BENT * (climb[self.alone] != 0).sum())
