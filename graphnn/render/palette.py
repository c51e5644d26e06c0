"""Colours: of Okabe and Ito's kind, told apart by all eyes, in a light and a dark theme.

Forward is blue, the reverse pass vermilion, parameters yellow, updates amber: hues that also people
with red-green blindness tell apart, and no meaning rests on hue alone (lanes, dashes, shapes say it
too). Gradients are graded from pale to dark by the logarithm of their size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from graphnn.render.model import Box, BoxKind, EdgeKind, Theme

Pair = tuple[str, str]  # fill, border
LEAST_CONTRAST = 4.5  # of text, WCAG AA


@dataclass(frozen=True)
class Palette:
    """The colours of a theme."""

    page: str
    ink: str
    quiet: str
    frame: Pair
    forward: Pair
    backward: Pair
    boxes: Mapping[BoxKind, Pair]
    edges: Mapping[EdgeKind, str]
    of_parameter: str
    of_update: str
    figures: str
    value: str
    gradient: str
    scale: tuple[str, ...]  # of gradients, from small to large
    zero: Pair
    lost: Pair
    bars: str


LIGHT = Palette(
    page="#ffffff",
    ink="#0f172a",
    quiet="#64748b",
    frame=("#f8fafc", "#cbd5e1"),
    forward=("#dbeafe", "#0072b2"),
    backward=("#fde4d6", "#d55e00"),
    boxes={
        "input": ("#ffffff", "#0072b2"),
        "parameter": ("#fef3c7", "#a16207"),
        "state": ("#fefce8", "#a8a29e"),
        "loss": ("#bfdbfe", "#003f7f"),
        "sum": ("#ffffff", "#d55e00"),
        "update": ("#fcd34d", "#92400e"),
        "saved": ("#f1f5f9", "#94a3b8"),
        "delay": ("#ffffff", "#0072b2"),
    },
    edges={
        "data": "#0072b2",
        "saved": "#64748b",
        "gradient": "#d55e00",
        "turn": "#d55e00",
        "update": "#92400e",
        "delay": "#0072b2",
    },
    of_parameter="#a16207",
    of_update="#b45309",
    figures="#475569",
    value="#00694b",
    gradient="#b91c1c",
    scale=("#fff3e8", "#fdd9b8", "#fbb384", "#f2894f", "#d55e00"),
    zero=("#e5e7eb", "#9ca3af"),
    lost=("#fecaca", "#b91c1c"),
    bars="#475569",
)
DARK = Palette(
    page="#0f172a",
    ink="#f1f5f9",
    quiet="#94a3b8",
    frame=("#162033", "#334155"),
    forward=("#12395c", "#56b4e9"),
    backward=("#5b2a10", "#f08a4b"),
    boxes={
        "input": ("#0f172a", "#56b4e9"),
        "parameter": ("#463a0c", "#e0b83a"),
        "state": ("#292524", "#a8a29e"),
        "loss": ("#1d5a92", "#9bd3f7"),
        "sum": ("#0f172a", "#f08a4b"),
        "update": ("#6b4a06", "#f0b429"),
        "saved": ("#1e293b", "#64748b"),
        "delay": ("#0f172a", "#56b4e9"),
    },
    edges={
        "data": "#56b4e9",
        "saved": "#94a3b8",
        "gradient": "#f08a4b",
        "turn": "#f08a4b",
        "update": "#f0b429",
        "delay": "#56b4e9",
    },
    of_parameter="#e0b83a",
    of_update="#f0b429",
    figures="#cbd5e1",
    value="#5fd6b0",
    gradient="#fca5a5",
    scale=("#2b1a10", "#472610", "#6b3510", "#964610", "#ad5413"),
    zero=("#374151", "#9ca3af"),
    lost=("#7f1d1d", "#fca5a5"),
    bars="#cbd5e1",
)
THEMES: Mapping[Theme, Palette] = {"light": LIGHT, "dark": DARK}


@dataclass(frozen=True)
class Scale:
    """From the size of a gradient to a colour: equal steps of log₁₀ of its root mean square."""

    low: float
    high: float
    colors: tuple[str, ...]

    def color(self, rms: float) -> str:
        """The colour for a root mean square."""
        return self.colors[self.step(rms)]

    def step(self, rms: float) -> int:
        """Which of the colours it is."""
        if not rms > 0 or not self.high > self.low:
            return len(self.colors) // 2 if rms > 0 else 0
        share = (math.log10(rms) - self.low) / (self.high - self.low)
        return min(max(int(share * len(self.colors)), 0), len(self.colors) - 1)

    @property
    def labels(self) -> tuple[tuple[str, str], ...]:
        """The legend: a colour, and where it begins."""
        width = (self.high - self.low) / len(self.colors)
        return tuple((c, f"{10 ** (self.low + i * width):.2g}") for i, c in enumerate(self.colors))


def scale_of(boxes: tuple[Box, ...], palette: Palette) -> Scale | None:
    """The scale for all gradients of a picture; None where nothing was captured."""
    seen = [b.seen for b in boxes if b.lane == "backward" and b.seen is not None]
    sizes = [one.rms for one in seen if one.tone != "again"]
    logs = [math.log10(rms) for rms in sizes if rms > 0 and math.isfinite(rms)]
    if not logs:
        return None
    return Scale(math.floor(min(logs)), math.ceil(max(logs) + 1e-9), palette.scale)


def fill_of(box: Box, palette: Palette, scale: Scale | None) -> Pair:
    """Fill and border of a box."""
    fill, border = palette.boxes.get(
        box.kind, palette.backward if box.lane == "backward" else palette.forward
    )
    if box.seen is None or (box.lane != "backward" and box.seen.tone != "lost"):
        return fill, border
    if box.seen.tone == "again":
        return fill, border
    if box.seen.tone == "lost":
        return palette.lost
    if box.seen.tone == "zero":
        return palette.zero
    return (fill if scale is None else scale.color(box.seen.rms)), border


def contrast(one: str, other: str) -> float:
    """How far apart two colours are in brightness, from 1 to 21: WCAG asks text for 4.5."""
    dark, bright = sorted((_luminance(one), _luminance(other)))
    return (bright + 0.05) / (dark + 0.05)


def _luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def legible(color: str, fill: str, palette: Palette) -> str:
    """A colour for text on a fill: the theme's ink where the wanted one cannot be read."""
    return color if contrast(color, fill) >= LEAST_CONTRAST else palette.ink
