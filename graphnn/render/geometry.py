"""Rectangles."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Rect:
    """A rectangle, in points; y grows upwards, as in Graphviz."""

    left: float
    bottom: float
    right: float
    top: float

    @property
    def center(self) -> tuple[float, float]:
        """The middle."""
        return (self.left + self.right) / 2, (self.bottom + self.top) / 2

    def grown(self, by: float, top: float = 0.0) -> Rect:
        """With a margin on every side, and more above."""
        return Rect(self.left - by, self.bottom - by, self.right + by, self.top + by + top)

    def moved(self, x: float, y: float) -> Rect:
        """The same elsewhere."""
        return Rect(self.left + x, self.bottom + y, self.right + x, self.top + y)

    def meets(self, other: Rect) -> bool:
        """Whether the two overlap."""
        across = self.left < other.right and other.left < self.right
        return across and self.bottom < other.top and other.bottom < self.top


def around(rects: Iterable[Rect]) -> Rect:
    """The smallest rectangle that holds all."""
    left, bottom, right, top = zip(
        *((r.left, r.bottom, r.right, r.top) for r in rects), strict=True
    )
    return Rect(min(left), min(bottom), max(right), max(top))
