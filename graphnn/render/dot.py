"""From drawing and layout to DOT, byte for byte the same on every run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import cast

import graphviz

from graphnn.render.frames import FRAME, Frame
from graphnn.render.geometry import Rect
from graphnn.render.layout import BARS, LINE, SMALL, TITLE, Caption, Layout
from graphnn.render.model import Box, BoxKind, Drawing, Edge, EdgeKind, Theme
from graphnn.render.palette import THEMES, Palette, Scale, fill_of, legible, scale_of
from graphnn.render.routes import Route
from graphnn.render.systems import PORT
from graphnn.render.text import LONGEST_TOOLTIP, clean
from graphnn.render.typography import width_of

FONT = "Helvetica"
_ARROW = 5.5  # length of an arrow's head in points; Graphviz makes it 10 times arrowsize
_Attributes = dict[str, str]

# What does not depend on the theme.
_KINDS: Mapping[BoxKind, _Attributes] = {
    "input": {"penwidth": "1.4"},
    "parameter": {"style": "filled"},
    "state": {"style": "filled"},
    "loss": {"penwidth": "2.2"},
    "sum": {"shape": "circle", "style": "filled"},
    "delay": {"style": "rounded,filled,dashed"},
    "layer": {"penwidth": "1.6"},
}
_EDGES: Mapping[EdgeKind, _Attributes] = {
    "saved": {"style": "dashed", "penwidth": "0.6"},
    "turn": {"penwidth": "2"},
    "update": {"penwidth": "1.4"},
    "delay": {"style": "bold", "penwidth": "1.4"},
}


def dot_of(drawing: Drawing, layout: Layout, theme: Theme = "light") -> str:
    """The picture in DOT, every box and frame at its place.

    ``neato -n2`` keeps the places of boxes, frames and edges.
    """
    bounds, colors = layout.bounds, THEMES[theme]
    dot = graphviz.Digraph(
        "graphnn",
        comment="Drawn by graphnn; lay out with: dot -Kneato -n2",
        graph_attr={
            "layout": "neato",
            "inputscale": "72",
            "bb": _numbers(bounds.left, bounds.bottom, bounds.right, bounds.top),
            "splines": "true",
            "outputorder": "edgesfirst",
            "bgcolor": colors.page,
            "fontname": FONT,
            "fontsize": str(TITLE),
            "pad": "0.05",
        },
        node_attr={
            "shape": "box",
            "style": "rounded,filled",
            "fixedsize": "true",
            "fontname": FONT,
            "fontsize": str(LINE),
            "fontcolor": colors.ink,
            "margin": "0",
            "penwidth": "1",
        },
        edge_attr={
            "arrowsize": str(_ARROW / 10),
            "penwidth": "1.1",
            "fontname": FONT,
            "fontsize": str(LINE),
        },
    )
    by_id = {box.id: box for box in drawing.boxes}
    scale = scale_of(drawing.boxes, colors)
    for number, frame in enumerate(layout.frames):
        _add_frame(dot, number, frame, colors)
    for box in drawing.boxes:
        _add_box(dot, box, layout.rects[box.id], fill_of(box, colors, scale), colors)
    widest = max((edge.bytes for edge in drawing.edges), default=0)
    for edge in drawing.edges:
        width = _width(edge.bytes, widest) if drawing.captured else ""
        _add_edge(dot, edge, by_id, layout, width, colors)
    for caption in layout.legend:
        _add_caption(dot, caption, colors)
    for i, port in enumerate(layout.ports):
        _add_note(dot, f"port_{i}", port.words, port.rect, colors.edges[port.edges[0].kind], PORT)
    for i, caption in enumerate(layout.notes):
        _add_note(dot, f"note_{i}", caption.words, caption.rect, colors.quiet)
    if scale is not None:
        _add_scale(dot, layout, scale, colors)
    return str(dot.source)


def _numbers(*values: float) -> str:
    """Numbers as DOT lists them, without noise in the last digits."""
    return ",".join(f"{value:.2f}".rstrip("0").rstrip(".") for value in values)


def _add_frame(dot: graphviz.Digraph, number: int, frame: Frame, colors: Palette) -> None:
    rect, label = frame.rect, clean(frame.label)
    middle = rect.left + FRAME + width_of(label, LINE) / 2, rect.top - FRAME
    with dot.subgraph(name=f"cluster_{number}") as cluster:
        cluster.attr(
            label=_html([label], LINE) if label else "",
            tooltip=_tooltip([".".join(frame.scope)]),
            bb=_numbers(rect.left, rect.bottom, rect.right, rect.top),
            lp=_numbers(*middle),
            style="rounded,filled",
            fillcolor=colors.frame[0],
            color=colors.frame[1],
            fontcolor=colors.quiet,
        )
        for box in frame.boxes:
            cluster.node(box)


def _add_box(
    dot: graphviz.Digraph, box: Box, rect: Rect, fill: tuple[str, str], colors: Palette
) -> None:
    looks = {"fillcolor": fill[0], "color": fill[1]} | _KINDS.get(box.kind, {})
    if box.seen is not None and box.seen.tone == "lost":
        looks |= {"style": "striped", "fillcolor": ":".join([colors.lost[0], colors.page] * 4)}
    dot.node(
        box.id,
        label=_label(box, colors, fill[0]),
        tooltip=_tooltip(box.tooltip),
        **_place(rect) | looks,
    )
    if box.seen is not None and box.kind != "sum":
        _add_bars(dot, box.id, box.seen.bars, rect, colors)


def _add_bars(
    dot: graphviz.Digraph, name: str, bars: tuple[float, ...], rect: Rect, colors: Palette
) -> None:
    """A histogram along the bottom of a box."""
    width = (rect.right - rect.left - 14) / max(len(bars), 1)
    for i, height in enumerate(bars):
        if height <= 0:
            continue
        left, bottom = rect.left + 7 + i * width, rect.bottom + 3
        bar = Rect(left, bottom, left + 0.8 * width, bottom + max(height * (BARS - 2), 0.6))
        looks = {"style": "filled", "fillcolor": colors.bars, "color": colors.bars}
        dot.node(f"{name}_bar{i}", label="", penwidth="0", tooltip=" ", **_place(bar), **looks)


def _label(box: Box, colors: Palette, fill: str) -> str:
    if box.kind == "sum":
        return _html(["Σ"], TITLE)
    title, line = (LINE, SMALL) if box.kind == "saved" else (TITLE, LINE)
    parts = [f'<font point-size="{title:g}"><b>{_escaped(box.title)}</b></font>']
    parts += [_lines(box.lines, line)] if box.lines else []
    if box.figures:
        parts.append(_lines(box.figures, SMALL, legible(colors.figures, fill, colors)))
    if box.seen is not None:
        gradient = box.lane == "backward" and box.seen.tone != "again"
        tone = colors.gradient if gradient else colors.value
        parts.append(_lines(box.seen.lines, SMALL, legible(tone, fill, colors)))
        if box.seen.bars:
            parts.append(f'<font point-size="{BARS / 1.22:g}"> </font>')
    return f"<{'<br/>'.join(parts)}>"


def _lines(lines: tuple[str, ...], size: float, color: str = "") -> str:
    inside = "<br/>".join(_escaped(line) for line in lines)
    tone = f' color="{color}"' if color else ""
    return f'<font point-size="{size:g}"{tone}>{inside}</font>'


def _escaped(text: str) -> str:
    r"""Text for a label: no markup; each backslash apart, or Graphviz reads ``\N`` as a name."""
    return escape(text, quote=False).replace("\\", "<font>&#92;</font>")


def _html(lines: list[str], size: float) -> str:
    return f"<{_lines(tuple(lines), size)}>"


def _tooltip(lines: tuple[str, ...] | list[str]) -> str:
    r"""Plain text: backslashes mean nothing in it, and lines end with ``\n``."""
    shown = (clean(line, LONGEST_TOOLTIP) for line in lines)
    escaped = "\\n".join(graphviz.escape(line) for line in shown)
    return cast(str, graphviz.nohtml(escaped))  # else <b> would be taken for markup


def _add_edge(
    dot: graphviz.Digraph,
    edge: Edge,
    boxes: Mapping[str, Box],
    layout: Layout,
    width: str,
    colors: Palette,
) -> None:
    kind = {"color": colors.edges[edge.kind]} | _EDGES.get(edge.kind, {})
    if edge.kind == "data" and boxes[edge.source].kind in ("parameter", "state"):
        kind["color"] = colors.of_parameter
    if edge.kind == "gradient" and boxes[edge.target].kind == "update":
        kind["color"] = colors.of_update
    if edge.kind == "delay" and boxes[edge.target].lane == "backward":
        kind["color"] = colors.edges["gradient"]
    if width and edge.kind != "turn":
        kind["penwidth"] = width
    if edge.cut:
        kind |= {"arrowhead": "teenormal", "style": "bold"}
    if edge.label:
        kind |= {
            "label": _on_page(edge.label, colors),
            "lp": _numbers(*layout.labels[edge.source, edge.target]),
            "fontcolor": colors.quiet,
        }
    words = f"{edge.tooltip}{'; no gradient flows back: stop_gradient' * edge.cut}"
    legs = layout.routes[edge.source, edge.target]
    pos = ";".join(map(_spline, legs))
    dot.edge(edge.source, edge.target, edgetooltip=_tooltip([words]), pos=pos, **kind)


def _width(count: int, widest: int) -> str:
    """How wide an edge is drawn for so many bytes: by their logarithm, from 0.6 to 4 points."""
    share = math.log1p(count) / math.log1p(widest) if widest else 0.0
    return f"{0.6 + 3.4 * share**2:.2f}"


def _on_page(text: str, colors: Palette) -> str:
    """A label that hides the line that it stands on."""
    cell = f'<td bgcolor="{colors.frame[0]}">{_lines((text,), SMALL)}</td>'
    table = '<table border="0" cellborder="0" cellspacing="0" cellpadding="0">'
    return f"<{table}<tr>{cell}</tr></table>>"


def _spline(route: Route) -> str:
    """A curve as Graphviz has it: the tip of the arrow, then the points up to the arrow's foot."""
    tip, handle = route[-1], route[-2]
    length = math.dist(tip, handle) or 1.0
    share = min(_ARROW / length, 0.9)
    foot = tip[0] + share * (handle[0] - tip[0]), tip[1] + share * (handle[1] - tip[1])
    return " ".join(["e," + _numbers(*tip), *(_numbers(*point) for point in (*route[:-1], foot))])


def _add_caption(dot: graphviz.Digraph, caption: Caption, colors: Palette) -> None:
    assert caption.kind is not None
    color = colors.edges[caption.kind]
    _add_note(dot, f"legend_{caption.kind}", caption.words, caption.rect, color)


def _add_note(
    dot: graphviz.Digraph, name: str, words: str, rect: Rect, color: str, size: float = LINE
) -> None:
    looks = {"shape": "plaintext", "style": "", "fontcolor": color}
    tooltip = _tooltip([words])
    dot.node(name, label=_html([words], size), tooltip=tooltip, **looks, **_place(rect))


def _add_scale(dot: graphviz.Digraph, layout: Layout, scale: Scale, colors: Palette) -> None:
    """The colours of the gradients, from small to large, in a line beneath all else."""
    left, bottom = layout.bounds.left + 8, layout.bounds.bottom + 8
    for i, (color, label) in enumerate(scale.labels):
        rect = Rect(left + 90 + 40 * i, bottom, left + 130 + 40 * i, bottom + 14)
        looks = {"style": "filled", "fillcolor": color, "color": colors.quiet}
        tooltip = f"gradients from {label}"
        dot.node(
            f"scale_{i}", label=_html([label], SMALL), tooltip=tooltip, **looks, **_place(rect)
        )
    rect = Rect(left, bottom, left + 86, bottom + 14)
    _add_note(dot, "scale", "RMS of gradients:", rect, colors.quiet)


def _place(rect: Rect) -> _Attributes:
    """Where a node stands, pinned, and how large it is in inches."""
    return {
        "pos": _numbers(*rect.center) + "!",
        "width": _numbers((rect.right - rect.left) / 72),
        "height": _numbers((rect.top - rect.bottom) / 72),
    }
