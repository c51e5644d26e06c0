"""Edges as smooth curves around the boxes.

An edge that a straight line serves is straight. Any other takes the shortest way around the corners
of the boxes that it would cross (Lozano-Pérez & Wesley, *An algorithm for planning collision-free
paths among polyhedral obstacles*, CACM 1979), and is bent into a curve through its turning points.
Only the boxes that an edge meets are looked at: Graphviz's own router, which looks at all of them,
took 5.5 s for 20 layers.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from graphnn.render.geometry import Rect

Point: TypeAlias = tuple[float, float]
Route: TypeAlias = tuple[
    Point, ...
]  # cubic Bézier curves: start, two controls, end, two controls, …
_Rows: TypeAlias = NDArray[np.float64]  # (n, 4): left, bottom, right, top of rectangles

_CLEAR = 4.0  # no edge comes nearer to a box, in points
_TURN = 4.9  # where it turns around a corner; less than half the distance of any two boxes
_MOST_TRIALS = 12
_BEND = 0.4  # length of a curve's handles, in parts of the way between turning points


@dataclass(frozen=True)
class End:
    """Where an edge starts or ends: at a box, or at the margin.

    ``box`` is the box that may be crossed on the way, being its own.
    """

    rect: Rect
    box: str | None = None
    is_round: bool = False


def routed(ways: Sequence[tuple[End, End]], rects: Mapping[str, Rect]) -> list[Route]:
    """A curve for each way, from border to border, around all other boxes."""
    index = {box: i for i, box in enumerate(rects)}
    clear = np.array([_row(rect.grown(_CLEAR)) for rect in rects.values()]).reshape(-1, 4)
    routes: list[Route] = []
    for source, target in ways:
        own = [index[end.box] for end in (source, target) if end.box is not None]
        others = np.delete(clear, own, axis=0)
        way = _way(source.rect.center, target.rect.center, others)
        start = _border(source.rect, way[1], source.is_round)
        end = _border(target.rect, way[-2], target.is_round)
        routes.append(_clear_curve([start, *way[1:-1], end], others))
    return routes


def along(route: Route, count: int = 21) -> NDArray[np.float64]:
    """Points on a curve: (count of each piece, 2)."""
    t = np.linspace(0, 1, count)[:, None]
    s = 1 - t
    points = np.array(route)
    pieces = [points[i : i + 4] for i in range(0, len(points) - 1, 3)]
    return np.concatenate(
        [s**3 * a + 3 * s**2 * t * b + 3 * s * t**2 * c + t**3 * d for a, b, c, d in pieces]
    )


def _clear_curve(way: Sequence[Point], others: _Rows) -> Route:
    """The most bent curve through the turning points that no box is in the way of."""
    if len(way) == 2:
        return _curve(way, _BEND)
    inner = others + np.array([_CLEAR, _CLEAR, -_CLEAR, -_CLEAR])
    bends = (_BEND, _BEND / 2, _BEND / 4)
    found = (_curve(way, bend) for bend in bends)
    return next((curve for curve in found if not _meets(curve, inner)), _curve(way, 0.0))


def _meets(curve: Route, rects: _Rows) -> bool:
    """Whether a curve goes through a box."""
    on = along(curve)
    x, y = on[:, :1], on[:, 1:]
    left, bottom, right, top = rects.T
    return bool(((left < x) & (x < right) & (bottom < y) & (y < top)).any())


def _row(rect: Rect) -> tuple[float, float, float, float]:
    return rect.left, rect.bottom, rect.right, rect.top


def _way(start: Point, end: Point, others: _Rows) -> list[Point]:
    """The turning points of the shortest way; boxes are taken into account as they are met."""
    met = np.zeros(len(others), bool)
    way = [start, end]
    for _ in range(_MOST_TRIALS):
        hit = np.zeros(len(others), bool)
        for a, b in pairwise(way):
            hit |= _crossed(a, np.array([b]), others)[0]
        if not (hit & ~met).any():
            break
        met |= hit
        way = _shortest(start, end, others[met])
    return way


def _crossed(start: Point, ends: _Rows, rects: _Rows) -> NDArray[np.bool_]:
    """Which rectangles the lines from ``start`` to each of ``ends`` cross: (ends, rects)."""
    enter = np.zeros((len(ends), len(rects)))
    leave = np.ones((len(ends), len(rects)))
    for axis in (0, 1):
        way = ends[:, axis] - start[axis]
        way = np.where(np.abs(way) < 1e-9, 1e-9, way)[:, None]
        low, high = (rects[:, axis] - start[axis]) / way, (rects[:, axis + 2] - start[axis]) / way
        enter = np.maximum(enter, np.minimum(low, high))
        leave = np.minimum(leave, np.maximum(low, high))
    return enter < leave - 1e-9


def _shortest(start: Point, end: Point, rects: _Rows) -> list[Point]:
    """A* over the corners of ``rects``; the straight line where there is no way."""
    points = np.array([start, end, *_corners(rects, upwards=start[0] < end[0])])
    left = np.hypot(*(points - points[1]).T)
    far, before = {0: 0.0}, {0: 0}
    queue, done = [(float(left[0]), 0)], set[int]()
    while queue:
        _, here = heapq.heappop(queue)
        if here == 1:
            return _traced(points, before)
        if here in done:
            continue
        done.add(here)
        seen = ~_crossed(tuple(points[here]), points, rects).any(axis=1)
        steps = np.hypot(*(points - points[here]).T)
        for there in np.flatnonzero(seen):
            length = far[here] + float(steps[there])
            if length < far.get(int(there), math.inf) - 1e-9:
                far[int(there)], before[int(there)] = length, here
                heapq.heappush(queue, (round(length + float(left[there]), 6), int(there)))
    return [start, end]


def _corners(rects: _Rows, *, upwards: bool) -> list[Point]:
    """Those first by which an edge goes where two ways have one length.

    Right ones: there it is free of what comes from x. Upper ones for what flows forward, lower ones
    for what flows back: away from what is between the lanes.
    """
    out = _TURN - _CLEAR
    return [
        (x, y)
        for left, bottom, right, top in rects.tolist()
        for x in (right + out, left - out)
        for y in ((top + out, bottom - out) if upwards else (bottom - out, top + out))
    ]


def _traced(points: _Rows, before: Mapping[int, int]) -> list[Point]:
    here, way = 1, [1]
    while here:
        here = before[here]
        way.append(here)
    return [(float(points[i, 0]), float(points[i, 1])) for i in reversed(way)]


def _border(rect: Rect, toward: Point, is_round: bool) -> Point:
    """Where the line from the middle of a box to ``toward`` leaves it."""
    x, y = rect.center
    dx, dy = toward[0] - x, toward[1] - y
    half = (rect.right - rect.left) / 2, (rect.top - rect.bottom) / 2
    if is_round:
        share = half[0] / (math.hypot(dx, dy) or 1.0)
    else:
        share = min(half[0] / (abs(dx) or 1e-9), half[1] / (abs(dy) or 1e-9))
    return x + share * dx, y + share * dy


def _curve(way: Sequence[Point], bend: float) -> Route:
    """Through all turning points, bulging away from the corners: Catmull-Rom with short handles."""
    ahead = [_direction(way[max(i - 1, 0)], way[min(i + 1, len(way) - 1)]) for i in range(len(way))]
    curve = [way[0]]
    for i, (a, b) in enumerate(pairwise(way)):
        reach = bend * math.dist(a, b)
        curve.append((a[0] + reach * ahead[i][0], a[1] + reach * ahead[i][1]))
        curve.append((b[0] - reach * ahead[i + 1][0], b[1] - reach * ahead[i + 1][1]))
        curve.append(b)
    return tuple(curve)


def _direction(a: Point, b: Point) -> Point:
    length = math.dist(a, b) or 1.0
    return (b[0] - a[0]) / length, (b[1] - a[1]) / length
