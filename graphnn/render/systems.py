"""A picture that is too wide is broken into rows, as music is into systems.

Each row has both lanes: data runs right through the first row, then through the next; blame comes
back from the end of the last row to the start of the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from graphnn.render.geometry import Rect
from graphnn.render.model import Box, Edge
from graphnn.render.text import clean
from graphnn.render.typography import width_of

WIDEST = 1400.0  # points: text of 8 points is then 9 pixels high in a picture 1,600 pixels wide
_ENDS = 110.0  # of that for the text at both margins, where there are several rows
PORT = 8.0  # size of the text at the margin
_MARGIN = 12.0  # between a row and the ends of edges that go on in another
_APART = 11.0  # of two such ends
_LONGEST = 16  # characters
_FRAME_COST = 3  # a frame that is broken, in edges that are
_DELAY_COST = 6  # a delay edge that is broken: it no longer shows the loop
_ROW = 5.0  # one more row
_UNEVEN = 10.0  # a row of no width, in edges that are broken

Key: TypeAlias = tuple[str, str]


@dataclass(frozen=True)
class Port:
    """Where edges leave a row, or come from another.

    Parameters
    ----------
    at
        The point.
    words
        What is at the other end.
    edges
        Those that end or start here.
    outgoing
        Whether they leave the row.
    right
        Whether it is at the right margin.
    """

    at: tuple[float, float]
    words: str
    edges: tuple[Edge, ...]
    outgoing: bool
    right: bool

    @property
    def rect(self) -> Rect:
        """Where the words stand."""
        x, y = self.at
        width = width_of(self.words, PORT) + 4
        left, right = (x + 2, x + 2 + width) if self.right else (x - 2 - width, x - 2)
        return Rect(left, y - 0.6 * PORT, right, y + 0.6 * PORT)


def broken(
    boxes: Sequence[Box],
    edges: Sequence[Edge],
    spans: Mapping[int, tuple[float, float]],
    widest: float = WIDEST,
) -> list[set[int]]:
    """The columns of each row.

    Parameters
    ----------
    boxes, edges
        Of the picture.
    spans
        Left and right end of each column in one long row.
    widest
        How wide a row may be.

    Returns
    -------
    list of set of int
        As few rows of about one width as there can be, broken where few edges and frames are.
        A column that is too wide has a row of its own.
    """
    columns = sorted(spans)
    whole = spans[columns[-1]][1] - spans[columns[0]][0]
    if whole <= widest:
        return [set(columns)]
    widest = max(widest - _ENDS, widest / 2)
    target = whole / -int(-whole // widest)
    costs = _costs(boxes, edges, columns)
    best: list[tuple[float, int]] = [(0.0, 0)]  # of the first columns: the price, the row's start
    for end in range(1, len(columns) + 1):
        prices: list[tuple[float, int]] = []
        for start in range(end - 1, -1, -1):
            width = spans[columns[end - 1]][1] - spans[columns[start]][0]
            if width > widest and start < end - 1:
                break
            price = best[start][0] + _ROW
            if end < len(columns):
                price += costs[columns[end]] + _UNEVEN * abs(width - target) / target
            prices.append((price, start))
        best.append(min(prices, key=lambda one: (one[0], one[1])))
    rows: list[set[int]] = []
    end = len(columns)
    while end:
        start = best[end][1]
        rows.append(set(columns[start:end]))
        end = start
    return rows[::-1]


def _costs(boxes: Sequence[Box], edges: Sequence[Edge], columns: Sequence[int]) -> dict[int, int]:
    """What a break before each column would cut."""
    column = {box.id: box.column for box in boxes}
    spans = [sorted((column[edge.source], column[edge.target])) for edge in edges]
    scopes: dict[tuple[str, ...], list[int]] = {}
    for box in boxes:
        for depth in range(1, len(box.scope) + 1):
            scopes.setdefault(box.scope[:depth], []).append(box.column)
    weights = [_DELAY_COST if edge.kind == "delay" else 1 for edge in edges]
    spans += [[min(found), max(found)] for found in scopes.values()]
    weights += [_FRAME_COST] * len(scopes)
    cut = dict.fromkeys([*columns, columns[-1] + 1], 0)
    for (first, last), weight in zip(spans, weights, strict=True):
        for one in range(first + 1, last + 1):
            if one in cut:
                cut[one] += weight
    return cut


def ports_of(
    boxes: Mapping[str, Box],
    edges: Sequence[Edge],
    row_of: Mapping[str, int],
    rects: Mapping[str, Rect],
    bounds: Sequence[Rect],
) -> list[Port]:
    """Where each edge between rows leaves one and comes into the other.

    Edges from one box to one row leave together, and come in together: first the port where they
    leave, then that where they come in.
    """
    together: dict[tuple[str, int, str], list[Edge]] = {}
    for edge in edges:
        if row_of[edge.source] != row_of[edge.target]:
            key = edge.source, row_of[edge.target], edge.kind
            together.setdefault(key, []).append(edge)
    ports: list[Port] = []
    margins: dict[tuple[int, bool], list[int]] = {}
    for (source, there, _), found in together.items():
        here = row_of[source]
        for row, outgoing in ((here, True), (there, False)):
            right = (there > here) == outgoing
            margins.setdefault((row, right), []).append(len(ports))
            ports.append(_port(boxes, rects, bounds[row], found, outgoing=outgoing, right=right))
    for members in margins.values():
        members.sort(key=lambda i: -ports[i].at[1])
        heights = _apart([ports[i].at[1] for i in members])
        for i, y in zip(members, heights, strict=True):
            ports[i] = replace(ports[i], at=(ports[i].at[0], y))
    return ports


def _port(
    boxes: Mapping[str, Box],
    rects: Mapping[str, Rect],
    row: Rect,
    edges: Sequence[Edge],
    *,
    outgoing: bool,
    right: bool,
) -> Port:
    ends = [edge.source if outgoing else edge.target for edge in edges]
    others = dict.fromkeys(edge.target if outgoing else edge.source for edge in edges)
    height = sum(rects[end].center[1] for end in ends) / len(ends)
    more = f" +{len(others) - 1}" if len(others) > 1 else ""
    title = clean(_name(boxes[next(iter(others))]), _LONGEST) + more
    words = f"to {title}" if outgoing else f"from {title}"
    x = row.right + _MARGIN if right else row.left - _MARGIN
    return Port((x, height), words, tuple(edges), outgoing, right)


def _name(box: Box) -> str:
    """The op, with the number of its step, which tells it from others."""
    number = next((word for word in " ".join(box.figures).split() if word.startswith("#")), "")
    return "Σ" if box.kind == "sum" else f"{box.title} {number}".strip()


def _apart(heights: Sequence[float]) -> list[float]:
    """Falling heights, moved as little as needed to keep apart."""
    groups: list[list[float]] = []  # of each group its wished heights
    tops: list[float] = []
    for height in heights:
        groups.append([height])
        tops.append(height)
        while len(groups) > 1 and tops[-2] - len(groups[-2]) * _APART < tops[-1]:
            last = groups.pop()
            tops.pop()
            groups[-1] += last
            wished = [h + i * _APART for i, h in enumerate(groups[-1])]
            tops[-1] = sum(wished) / len(wished)
    return [
        top - i * _APART for top, group in zip(tops, groups, strict=True) for i in range(len(group))
    ]
