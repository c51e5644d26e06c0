"""From the drawing model to Mermaid, the diagrams that GitHub, GitLab and many wikis draw.

Mermaid places the boxes itself: layers are subgraphs, and so is the reverse pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from graphnn.render.model import Box, BoxKind, Drawing, EdgeKind, Theme
from graphnn.render.palette import THEMES, fill_of, scale_of

_SHAPES: Mapping[BoxKind, tuple[str, str]] = {
    "input": ("([", "])"),
    "parameter": ("[", "]"),
    "state": ("[", "]"),
    "sum": ("((", "))"),
    "delay": ("[/", "/]"),
    "layer": ("[[", "]]"),
}
_ARROWS: Mapping[EdgeKind, str] = {"saved": "-.->", "turn": "==>", "update": "==>"}
_LANES = {"forward": "", "update": "", "backward": "reverse pass"}
# What means something to Mermaid, Markdown or HTML within quotes.
_CODES = {ord(char): f"#{ord(char)};" for char in '"#&;<>`*\\'}


def mermaid_of(drawing: Drawing, theme: Theme = "light") -> str:
    """The picture as a Mermaid flowchart.

    Parameters
    ----------
    drawing
        What is shown.
    theme
        Whose colours the boxes have.

    Returns
    -------
    str
        The same on every run; every name in it is text, whatever its characters.
    """
    ids = {box.id: f"b{i}" for i, box in enumerate(drawing.boxes)}
    lines = ["flowchart LR", *(f"  %% {_text(note)}" for note in drawing.notes)]
    for lane, label in _LANES.items():
        boxes = [box for box in drawing.boxes if box.lane == lane]
        if label and boxes:
            lines += [f'  subgraph {lane}["{label}"]', *_inside(boxes, (), ids, lane, "    ")]
            lines.append("  end")
        else:
            lines += _inside(boxes, (), ids, lane, "  ")
    kinds = []
    for edge in drawing.edges:
        label = f'|"{_text(edge.label)}"|' if edge.label else ""
        arrow = "--x" if edge.cut else _ARROWS.get(edge.kind, "-->")
        lines.append(f"  {ids[edge.source]} {arrow}{label} {ids[edge.target]}")
        kinds.append(edge.kind)
    return "\n".join([*lines, *_looks(drawing, ids, kinds, theme)]) + "\n"


def _inside(
    boxes: Sequence[Box], scope: tuple[str, ...], ids: Mapping[str, str], lane: str, pad: str
) -> Iterator[str]:
    """The boxes of a scope, then its inner scopes as subgraphs."""
    depth = len(scope)
    yield from (pad + _box(box, ids[box.id]) for box in boxes if len(box.scope) == depth)
    for inner in dict.fromkeys(box.scope[: depth + 1] for box in boxes if len(box.scope) > depth):
        found = [box for box in boxes if box.scope[: depth + 1] == inner]
        yield f'{pad}subgraph {lane}_{ids[found[0].id]}_{depth}["{_text(inner[-1])}"]'
        yield from _inside(found, inner, ids, lane, pad + "  ")
        yield f"{pad}end"


def _box(box: Box, name: str) -> str:
    before, after = _SHAPES.get(box.kind, ("(", ")"))
    seen = box.seen.lines if box.seen is not None else ()
    lines = ["Σ"] if box.kind == "sum" else [box.title, *box.lines, *box.figures, *seen]
    return f'{name}{before}"{"<br>".join(map(_text, lines))}"{after}'


def _text(text: str) -> str:
    """Text without anything that Mermaid would read as its own."""
    return text.translate(_CODES) or " "


def _looks(
    drawing: Drawing, ids: Mapping[str, str], kinds: Sequence[EdgeKind], theme: Theme
) -> Iterator[str]:
    """Colours: a class for all boxes of one look, a style for all edges of one kind."""
    colors = THEMES[theme]
    scale = scale_of(drawing.boxes, colors)
    found: dict[tuple[str, str], list[str]] = {}
    for box in drawing.boxes:
        found.setdefault(fill_of(box, colors, scale), []).append(ids[box.id])
    for i, ((fill, border), members) in enumerate(found.items()):
        yield f"  classDef look{i} fill:{fill},stroke:{border},color:{colors.ink}"
        yield f"  class {','.join(members)} look{i}"
    for kind in dict.fromkeys(kinds):
        numbers = ",".join(str(i) for i, one in enumerate(kinds) if one == kind)
        yield f"  linkStyle {numbers} stroke:{colors.edges[kind]}"
