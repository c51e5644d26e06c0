"""Edges at their places: within a row, or by way of the margins into another; and their labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from graphnn.render.geometry import Rect
from graphnn.render.model import Drawing, Edge
from graphnn.render.routes import End, Point, Route, along, routed
from graphnn.render.systems import PORT, Key, Port, ports_of
from graphnn.render.typography import width_of

Legs: TypeAlias = tuple[Route, ...]
_SHARES = (0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74, 0.18, 0.82)  # of a way, where a label may stand


def connected(
    drawing: Drawing, rows: Sequence[Mapping[str, Rect]], bounds: Sequence[Rect]
) -> tuple[list[Port], dict[Key, Legs]]:
    """The ends at the margins, and the legs of each edge.

    Parameters
    ----------
    drawing
        What is shown.
    rows
        The boxes of each row.
    bounds
        Of each row.
    """
    boxes = {box.id: box for box in drawing.boxes}
    row_of = {box: i for i, row in enumerate(rows) for box in row}
    rects = {box: rect for row in rows for box, rect in row.items()}
    ports = ports_of(boxes, drawing.edges, row_of, rects, bounds)
    ways: list[list[tuple[Edge, End, End]]] = [[] for _ in rows]

    def at(box: str) -> End:
        return End(rects[box], box, boxes[box].kind == "sum")

    for edge in drawing.edges:
        if row_of[edge.source] == row_of[edge.target]:
            ways[row_of[edge.source]].append((edge, at(edge.source), at(edge.target)))
    for port in ports:
        x, y = port.at
        margin = End(Rect(x, y, x, y))
        for edge in port.edges:
            if port.outgoing:
                ways[row_of[edge.source]].append((edge, at(edge.source), margin))
            else:
                ways[row_of[edge.target]].append((edge, margin, at(edge.target)))
    legs: dict[Key, list[Route]] = {(edge.source, edge.target): [] for edge in drawing.edges}
    order = [row for row, found in enumerate(ways) for _ in found]
    flat = [way for found in ways for way in found]
    routes = [
        route
        for row, found in enumerate(ways)
        for route in routed([(start, end) for _, start, end in found], rows[row])
    ]
    for row, (edge, _, _), route in zip(order, flat, routes, strict=True):
        key = edge.source, edge.target
        first = row == row_of[edge.source]
        legs[key].insert(0 if first else len(legs[key]), route)
    return ports, {key: tuple(found) for key, found in legs.items()}


def labelled(
    edges: Sequence[Edge],
    routes: Mapping[Key, Legs],
    rects: Mapping[str, Rect],
    taken: Sequence[Rect],
) -> dict[Key, Point]:
    """Where the labels of edges stand: near the middle, and free of boxes and other labels."""
    boxes = np.array([(r.left, r.bottom, r.right, r.top) for r in rects.values()]).reshape(-1, 4)
    busy = [*taken]
    found: dict[Key, Point] = {}
    for edge in edges:
        if not edge.label:
            continue
        points = along(max(routes[edge.source, edge.target], key=_length))
        half = width_of(edge.label, PORT) / 2 + 1, 0.6 * PORT
        spots = [points[int(share * (len(points) - 1))] for share in _SHARES]
        places = [Rect(x - half[0], y - half[1], x + half[0], y + half[1]) for x, y in spots]
        free = (one for one in places if not _meets(one, boxes) and not _any(one, busy))
        place = next(free, places[0])
        busy.append(place)
        found[edge.source, edge.target] = place.center
    return found


def _length(route: Route) -> float:
    return float(np.hypot(*np.diff(along(route), axis=0).T).sum())


def _meets(one: Rect, boxes: NDArray[np.float64]) -> bool:
    left, bottom, right, top = boxes.T
    across = (left < one.right) & (one.left < right)
    return bool((across & (bottom < one.top) & (one.bottom < top)).any())


def _any(one: Rect, others: Sequence[Rect]) -> bool:
    return any(one.meets(other) for other in others)
