"""Delay edges: along the edge of their loop's frame, not across the loop.

In the forward lane they run above all boxes of the loop, in the reverse lane beneath them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from graphnn.render.frames import LABEL, RAIL, Frame, Scope
from graphnn.render.geometry import Rect
from graphnn.render.model import Box, Edge
from graphnn.render.routes import Point, Route
from graphnn.render.systems import Key

_ROUND = 7.0  # radius of a corner
_BESIDE = (4.0, 7.0, 10.0, 13.0, 16.0)  # from the side of a box, where the way above it is not free
_CLEAR = 2.0  # of other boxes


def rails_of(boxes: Sequence[Box], edges: Sequence[Edge]) -> dict[Scope, list[Edge]]:
    """The delay edges of each loop whose ends are both among some boxes."""
    by_id = {box.id: box for box in boxes}
    found: dict[Scope, list[Edge]] = {}
    for edge in edges:
        if edge.kind == "delay" and edge.source in by_id and edge.target in by_id:
            found.setdefault(by_id[edge.target].scope, []).append(edge)
    return found


def railed(
    rails: Mapping[Scope, Sequence[Edge]],
    boxes: Sequence[Box],
    rects: Mapping[str, Rect],
    frames: Sequence[Frame],
) -> dict[Key, Route]:
    """The way of each delay edge: shorter ones nearer to the boxes."""
    lanes = {box.id: box.lane for box in boxes}
    frame_of = {frame.scope: frame.rect for frame in reversed(frames)}
    found: dict[Key, Route] = {}
    for scope, edges in rails.items():

        def far(edge: Edge) -> float:
            return abs(rects[edge.source].center[0] - rects[edge.target].center[0])

        above = lanes[edges[0].target] == "forward"
        frame = frame_of[scope]
        for place, edge in enumerate(sorted(edges, key=far, reverse=True)):
            y = frame.top - LABEL if above else frame.bottom
            y += (-1 if above else 1) * RAIL * (place + 0.5)
            way = _around(rects, edge, y)
            found[edge.source, edge.target] = _rounded(way)
    return found


def _around(rects: Mapping[str, Rect], edge: Edge, y: float) -> list[Point]:
    """The corners: out of a box, along ``y``, and into the other."""
    source, target = rects[edge.source], rects[edge.target]
    right = source.center[0] > target.center[0]
    out = _exit(rects, edge.source, y, [1, -1] if right else [-1, 1])
    into = _exit(rects, edge.target, y, [-1, 1] if right else [1, -1])
    return [*out, *into[::-1]]


def _exit(rects: Mapping[str, Rect], box: str, y: float, sides: Sequence[int]) -> list[Point]:
    """From the border of a box to ``y``: straight if nothing is in the way, else beside it."""
    rect = rects[box]
    x, middle = rect.center
    others = [other for one, other in rects.items() if one != box]
    straight = x, (rect.top if y > middle else rect.bottom)
    if _is_free(others, x, straight[1], y):
        return [straight, (x, y)]
    for side, beside in ((side, beside) for side in sides for beside in _BESIDE):
        edge = rect.right if side > 0 else rect.left
        x = edge + side * beside
        if _is_free(others, x, middle, y):
            return [(edge, middle), (x, middle), (x, y)]
    return [straight, (straight[0], y)]


def _is_free(others: Sequence[Rect], x: float, start: float, end: float) -> bool:
    way = Rect(x, min(start, end), x, max(start, end)).grown(_CLEAR)
    return not any(way.meets(other) for other in others)


def _rounded(way: Sequence[Point]) -> Route:
    """Straight lines with round corners, as Bézier curves."""
    points = [*_turns(way)]
    route: list[Point] = [points[0]]
    for i, (a, b) in enumerate(pairwise(points)):
        if i % 2:  # a corner: both handles in it
            corner = way[(i + 1) // 2]
            route += [_between(a, corner, 0.55), _between(b, corner, 0.55), b]
        else:
            route += [_between(a, b, 1 / 3), _between(a, b, 2 / 3), b]
    return tuple(route)


def _turns(way: Sequence[Point]) -> Iterator[Point]:
    """Both ends, and where each corner begins and ends."""
    yield way[0]
    for before, corner, after in zip(way, way[1:], way[2:], strict=False):
        for other in (before, after):
            length = abs(other[0] - corner[0]) + abs(other[1] - corner[1])
            yield _between(corner, other, min(_ROUND, length / 2) / length if length else 0.0)
    yield way[-1]


def _between(a: Point, b: Point, share: float) -> Point:
    return a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])
