"""Frames around the boxes of a layer, in both lanes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from graphnn.render.geometry import Rect, around
from graphnn.render.model import Box

FRAME = 8.0  # around the boxes of a layer, in points
LABEL = 13.0  # room for its name
RAIL = 9.0  # between delay edges that run along it

Scope: TypeAlias = tuple[str, ...]
Rails: TypeAlias = Mapping[Scope, tuple[int, int]]  # how many run above, and how many beneath


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


def frames_of(
    boxes: Sequence[Box], rects: Mapping[str, Rect], rails: Rails | None = None
) -> Iterator[Frame]:
    """Frames of all layers, outer ones first, with room for ``rails``."""
    scopes = {box.scope[:depth] for box in boxes for depth in range(1, len(box.scope) + 1)}
    for scope in sorted(scopes, key=lambda scope: (len(scope), scope)):
        inside = [box for box in boxes if box.scope[: len(scope)] == scope]
        outside = [rects[box.id] for box in boxes if box.scope[: len(scope)] != scope]
        levels = max(len(box.scope) for box in inside) - len(scope) + 1
        label = scope[-1]
        for part in _parts(inside, rects, outside):
            rect = around(rects[box.id] for box in part).grown(FRAME * levels, top=LABEL * levels)
            rect = _with_rails(rect, part, scope, rails or {})
            yield Frame(scope, label, rect, tuple(b.id for b in part if b.scope == scope))
            label = ""


def _with_rails(rect: Rect, part: Sequence[Box], scope: Scope, rails: Rails) -> Rect:
    inner = [count for one, count in rails.items() if one[: len(scope)] == scope]
    lanes = {box.lane for box in part}
    above = sum(count for count, _ in inner) if "forward" in lanes else 0
    beneath = sum(count for _, count in inner) if "backward" in lanes else 0
    return Rect(rect.left, rect.bottom - RAIL * beneath, rect.right, rect.top + RAIL * above)


def _parts(
    inside: Sequence[Box], rects: Mapping[str, Rect], outside: Sequence[Rect]
) -> Iterator[list[Box]]:
    """All boxes of a layer, or its lanes apart where a common frame would take in strangers."""
    part: list[Box] = []
    for lane in ("forward", "update", "backward"):
        more = [box for box in inside if box.lane == lane]
        if part and more:
            alone = _strangers(part, rects, outside) | _strangers(more, rects, outside)
            if _strangers([*part, *more], rects, outside) - alone:
                yield part
                part = []
        part += more
    yield part


def _strangers(
    boxes: Iterable[Box], rects: Mapping[str, Rect], outside: Iterable[Rect]
) -> set[Rect]:
    whole = around(rects[box.id] for box in boxes)
    return {rect for rect in outside if whole.meets(rect)}
