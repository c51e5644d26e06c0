"""From drawing and layout to DOT, byte for byte the same on every run."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import graphviz

from graphnn.render.layout import LINE, SMALL, TITLE, Frame, Layout, Rect
from graphnn.render.model import Box, BoxKind, Drawing, Edge, EdgeKind

FONT = "Helvetica"
_Attributes = dict[str, str]

_BLUE, _RED, _AMBER, _GREY = "#2563eb", "#dc2626", "#b45309", "#64748b"

_FORWARD: _Attributes = {"fillcolor": "#dbeafe", "color": "#3b82f6"}
_BACKWARD: _Attributes = {"fillcolor": "#fee2e2", "color": "#ef4444"}
_KINDS: Mapping[BoxKind, _Attributes] = {
    "input": {"fillcolor": "#ffffff", "color": _BLUE, "penwidth": "1.4"},
    "parameter": {"shape": "cylinder", "style": "filled", "fillcolor": "#fef3c7", "color": "#ca8a04"},
    "state": {"shape": "cylinder", "style": "filled", "fillcolor": "#fefce8", "color": "#a8a29e"},
    "op": {},
    "loss": {"penwidth": "2.2", "fillcolor": "#bfdbfe", "color": "#1d4ed8"},
    "sum": {"shape": "circle", "style": "filled", "fillcolor": "#ffffff", "color": _RED},
    "update": {"fillcolor": "#fcd34d", "color": "#b45309"},
    "saved": {"fillcolor": "#f1f5f9", "color": "#94a3b8", "fontcolor": "#475569"},
}
_EDGES: Mapping[EdgeKind, _Attributes] = {
    "data": {"color": _BLUE},
    "saved": {"color": "#94a3b8", "style": "dashed", "penwidth": "0.7"},
    "gradient": {"color": _RED},
    "turn": {"color": _RED, "penwidth": "2"},
    "update": {"color": _AMBER, "penwidth": "1.4"},
}


def dot_of(drawing: Drawing, layout: Layout) -> str:
    """The picture in DOT, every box and frame at its place.

    ``neato -n2`` keeps the places and draws the edges around the boxes.
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
            "esep": "+4",
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
        edge_attr={"arrowsize": "0.55", "penwidth": "1.1", "fontname": FONT, "fontsize": str(LINE)},
    )
    by_id = {box.id: box for box in drawing.boxes}
    framed: set[str] = set()
    for number, frame in enumerate(layout.frames):
        _add_frame(dot, number, frame)
        framed.update(frame.boxes)
    for box in drawing.boxes:
        _add_box(dot, box, layout.rects[box.id])
    for edge in drawing.edges:
        _add_edge(dot, edge, by_id)
    return str(dot.source)


def _numbers(*values: float) -> str:
    """Numbers as DOT lists them, without noise in the last digits."""
    return ",".join(f"{value:.2f}".rstrip("0").rstrip(".") for value in values)


def _add_frame(dot: graphviz.Digraph, number: int, frame: Frame) -> None:
    rect = frame.rect
    with dot.subgraph(name=f"cluster_{number}") as cluster:
        cluster.attr(
            label=_html([frame.label], LINE) if frame.label else "",
            tooltip=_tooltip([".".join(frame.scope)]),
            bb=_numbers(rect.left, rect.bottom, rect.right, rect.top),
            lp=_numbers(rect.left + 8 + len(frame.label) * 2.5, rect.top - 8),
            style="rounded,filled",
            fillcolor="#f8fafc",
            color="#cbd5e1",
            fontcolor=_GREY,
        )
        for box in frame.boxes:
            cluster.node(box)


def _add_box(dot: graphviz.Digraph, box: Box, rect: Rect) -> None:
    x, y = rect.center
    lane = _BACKWARD if box.lane == "backward" else _FORWARD
    dot.node(
        box.id,
        label=_label(box),
        tooltip=_tooltip(box.tooltip),
        pos=_numbers(x, y) + "!",
        width=_numbers((rect.right - rect.left) / 72),
        height=_numbers((rect.top - rect.bottom) / 72),
        **lane | _KINDS[box.kind],
    )


def _label(box: Box) -> str:
    if box.kind == "sum":
        return _html(["Σ"], TITLE)
    title, line = (LINE, SMALL) if box.kind == "saved" else (TITLE, LINE)
    head = f'<font point-size="{title:g}"><b>{escape(box.title)}</b></font>'
    return f"<{'<br/>'.join([head, _lines(box.lines, line)] if box.lines else [head])}>"


def _lines(lines: tuple[str, ...], size: float) -> str:
    inside = "<br/>".join(escape(line) for line in lines)
    return f'<font point-size="{size:g}">{inside}</font>'


def _html(lines: list[str], size: float) -> str:
    return f"<{_lines(tuple(lines), size)}>"


def _tooltip(lines: tuple[str, ...] | list[str]) -> str:
    r"""Plain text: backslashes mean nothing in it, and lines end with ``\n``."""
    return str(graphviz.nohtml("\\n".join(str(graphviz.escape(line)) for line in lines)))


def _add_edge(dot: graphviz.Digraph, edge: Edge, boxes: Mapping[str, Box]) -> None:
    kind = dict(_EDGES[edge.kind])
    if edge.kind == "data" and boxes[edge.source].kind in ("parameter", "state"):
        kind["color"] = "#ca8a04"
    if edge.kind == "gradient" and boxes[edge.target].kind == "update":
        kind["color"] = "#ea580c"
    dot.edge(edge.source, edge.target, edgetooltip=_tooltip([edge.tooltip]), **kind)
