"""From drawing and layout to DOT, byte for byte the same on every run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import cast

import graphviz

from graphnn.render.frames import FRAME, Frame
from graphnn.render.geometry import Rect
from graphnn.render.layout import LINE, SMALL, TITLE, Caption, Layout
from graphnn.render.model import Box, BoxKind, Drawing, Edge, EdgeKind
from graphnn.render.routes import Route
from graphnn.render.text import clean
from graphnn.render.typography import width_of

FONT = "Helvetica"
_ARROW = 5.5  # length of an arrow's head in points; Graphviz makes it 10 times arrowsize
_Attributes = dict[str, str]

_BLUE, _RED, _AMBER, _GREY = "#2563eb", "#dc2626", "#b45309", "#64748b"

_FORWARD: _Attributes = {"fillcolor": "#dbeafe", "color": "#3b82f6"}
_BACKWARD: _Attributes = {"fillcolor": "#fee2e2", "color": "#ef4444"}
_KINDS: Mapping[BoxKind, _Attributes] = {
    "input": {"fillcolor": "#ffffff", "color": _BLUE, "penwidth": "1.4"},
    "parameter": {"style": "filled", "fillcolor": "#fef3c7", "color": "#ca8a04"},
    "state": {"style": "filled", "fillcolor": "#fefce8", "color": "#a8a29e"},
    "op": {},
    "loss": {"penwidth": "2.2", "fillcolor": "#bfdbfe", "color": "#1d4ed8"},
    "sum": {"shape": "circle", "style": "filled", "fillcolor": "#ffffff", "color": _RED},
    "update": {"fillcolor": "#fcd34d", "color": "#b45309"},
    "saved": {"fillcolor": "#f1f5f9", "color": "#94a3b8", "fontcolor": "#475569"},
}
_EDGES: Mapping[EdgeKind, _Attributes] = {
    "data": {"color": _BLUE},
    "saved": {"color": _GREY, "style": "dashed", "penwidth": "0.6"},
    "gradient": {"color": _RED},
    "turn": {"color": _RED, "penwidth": "2"},
    "update": {"color": _AMBER, "penwidth": "1.4"},
}


def dot_of(drawing: Drawing, layout: Layout) -> str:
    """The picture in DOT, every box and frame at its place.

    ``neato -n2`` keeps the places of boxes, frames and edges.
    """
    bounds = layout.bounds
    dot = graphviz.Digraph(
        "graphnn",
        comment="Drawn by graphnn; lay out with: dot -Kneato -n2",
        graph_attr={
            "layout": "neato",
            "inputscale": "72",
            "bb": _numbers(bounds.left, bounds.bottom, bounds.right, bounds.top),
            "splines": "true",
            "outputorder": "edgesfirst",
            "bgcolor": "white",
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
            "fontcolor": "#0f172a",
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
    for number, frame in enumerate(layout.frames):
        _add_frame(dot, number, frame)
    for box in drawing.boxes:
        _add_box(dot, box, layout.rects[box.id])
    for edge in drawing.edges:
        _add_edge(dot, edge, by_id, layout.routes[edge.source, edge.target])
    for caption in layout.legend:
        _add_caption(dot, caption)
    return str(dot.source)


def _numbers(*values: float) -> str:
    """Numbers as DOT lists them, without noise in the last digits."""
    return ",".join(f"{value:.2f}".rstrip("0").rstrip(".") for value in values)


def _add_frame(dot: graphviz.Digraph, number: int, frame: Frame) -> None:
    rect, label = frame.rect, clean(frame.label)
    middle = rect.left + FRAME + width_of(label, LINE) / 2, rect.top - FRAME
    with dot.subgraph(name=f"cluster_{number}") as cluster:
        cluster.attr(
            label=_html([label], LINE) if label else "",
            tooltip=_tooltip([".".join(frame.scope)]),
            bb=_numbers(rect.left, rect.bottom, rect.right, rect.top),
            lp=_numbers(*middle),
            style="rounded,filled",
            fillcolor="#f8fafc",
            color="#cbd5e1",
            fontcolor=_GREY,
        )
        for box in frame.boxes:
            cluster.node(box)


def _add_box(dot: graphviz.Digraph, box: Box, rect: Rect) -> None:
    lane = _BACKWARD if box.lane == "backward" else _FORWARD
    dot.node(
        box.id,
        label=_label(box),
        tooltip=_tooltip(box.tooltip),
        **_place(rect) | lane | _KINDS[box.kind],
    )


def _label(box: Box) -> str:
    if box.kind == "sum":
        return _html(["Σ"], TITLE)
    title, line = (LINE, SMALL) if box.kind == "saved" else (TITLE, LINE)
    head = f'<font point-size="{title:g}"><b>{_escaped(box.title)}</b></font>'
    return f"<{'<br/>'.join([head, _lines(box.lines, line)] if box.lines else [head])}>"


def _lines(lines: tuple[str, ...], size: float) -> str:
    inside = "<br/>".join(_escaped(line) for line in lines)
    return f'<font point-size="{size:g}">{inside}</font>'


def _escaped(text: str) -> str:
    r"""Text for a label: no markup; each backslash apart, or Graphviz reads ``\N`` as a name."""
    return escape(text, quote=False).replace("\\", "<font>&#92;</font>")


def _html(lines: list[str], size: float) -> str:
    return f"<{_lines(tuple(lines), size)}>"


def _tooltip(lines: tuple[str, ...] | list[str]) -> str:
    r"""Plain text: backslashes mean nothing in it, and lines end with ``\n``."""
    escaped = "\\n".join(graphviz.escape(line) for line in lines)
    return cast(str, graphviz.nohtml(escaped))  # else <b> would be taken for markup


def _add_edge(dot: graphviz.Digraph, edge: Edge, boxes: Mapping[str, Box], route: Route) -> None:
    kind = dict(_EDGES[edge.kind])
    if edge.kind == "data" and boxes[edge.source].kind in ("parameter", "state"):
        kind["color"] = "#ca8a04"
    if edge.kind == "gradient" and boxes[edge.target].kind == "update":
        kind["color"] = "#ea580c"
    tooltip = _tooltip([edge.tooltip])
    dot.edge(edge.source, edge.target, edgetooltip=tooltip, pos=_spline(route), **kind)


def _spline(route: Route) -> str:
    """A curve as Graphviz has it: the tip of the arrow, then the points up to the arrow's foot."""
    tip, handle = route[-1], route[-2]
    length = math.dist(tip, handle) or 1.0
    share = min(_ARROW / length, 0.9)
    foot = tip[0] + share * (handle[0] - tip[0]), tip[1] + share * (handle[1] - tip[1])
    return " ".join(["e," + _numbers(*tip), *(_numbers(*point) for point in (*route[:-1], foot))])


def _add_caption(dot: graphviz.Digraph, caption: Caption) -> None:
    dot.node(
        f"legend_{caption.kind}",
        label=_html([caption.words], LINE),
        shape="plaintext",
        style="",
        fontcolor=_EDGES[caption.kind]["color"],
        tooltip=_tooltip([caption.words]),
        **_place(caption.rect),
    )


def _place(rect: Rect) -> _Attributes:
    """Where a node stands, pinned, and how large it is in inches."""
    return {
        "pos": _numbers(*rect.center) + "!",
        "width": _numbers((rect.right - rect.left) / 72),
        "height": _numbers((rect.top - rect.bottom) / 72),
    }
