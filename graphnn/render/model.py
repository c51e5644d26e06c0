"""The drawing model: what a picture of a graph shows, before anything has a place or a colour.

Only text and numbers, so that every way to show a graph - a file, a page, a terminal - starts from
the same thing and can be tested without looking.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from graphnn.errors import GraphError

Passes: TypeAlias = Literal["forward", "backward", "joint"]
Lane: TypeAlias = Literal["forward", "backward", "update"]
BoxKind: TypeAlias = Literal[
    "input", "parameter", "state", "op", "loss", "sum", "update", "saved", "delay", "layer"
]
EdgeKind: TypeAlias = Literal["data", "saved", "gradient", "turn", "update", "delay"]
Theme: TypeAlias = Literal["light", "dark"]

THEMES: tuple[Theme, ...] = ("light", "dark")
PASSES: tuple[Passes, ...] = ("forward", "backward", "joint")


@dataclass(frozen=True)
class Box:
    """One box of the picture; it stands for one node, or for several that belong together.

    Parameters
    ----------
    id
        Unique in the drawing.
    kind
        What it is, which decides how it looks.
    lane
        The pass that it belongs to.
    title, lines
        What is written in it: the op, then name, constants, shape.
    figures
        Number of its step, bytes, FLOPs.
    tooltip
        Equations, formula, and the user's line.
    scope
        Names of the layers around it, outermost first.
    nodes
        Names of the nodes that it stands for, as ``print(graph)`` gives them.
    column, row
        Its place in the mirrored lanes. Columns count from left to right, and a backward box has
        the column of the forward box that it belongs to. Row 0 is the main road; branches run in
        rows 1, 2, ... above it, and in the reverse pass as far beneath it.
    aside
        Whether it is given and stands beside the road: a parameter, an input that joins later.
    home
        For an update and for the gradient of a parameter: the box of that parameter, which a
        picture of one pass may leave out.
    seen
        What was captured of its value.
    """

    id: str
    kind: BoxKind
    lane: Lane
    title: str
    lines: tuple[str, ...] = ()
    tooltip: tuple[str, ...] = ()
    scope: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    column: int = 0
    row: int = 0
    aside: bool = False
    home: str | None = None
    figures: tuple[str, ...] = ()
    seen: Seen | None = None


@dataclass(frozen=True)
class Seen:
    """What a captured value looks like in a box.

    Parameters
    ----------
    lines
        Its elements, or mean and standard deviation, least and largest.
    bars
        Heights of its histogram, from 0 to 1.
    tone
        ``"zero"``, ``"lost"`` (NaN or infinite) or ``"value"``; ``"again"`` for a forward value in
        the reverse pass, which is no gradient.
    rms
        Root mean square.
    """

    lines: tuple[str, ...]
    bars: tuple[float, ...]
    tone: Literal["zero", "lost", "value", "again"]
    rms: float


@dataclass(frozen=True)
class Edge:
    """A value on its way from one box to another.

    Parameters
    ----------
    source, target
        Ids of boxes.
    kind
        ``data`` flows forward, ``gradient`` back, ``saved`` is a forward value that the reverse
        pass reads, ``turn`` is where the loss becomes a gradient, ``update`` is a new value,
        ``delay`` a state that the next step of a loop reads.
    tooltip
        The values that flow.
    label
        What is written at it: the bytes of what is saved.
    bytes
        Of the values.
    cut
        Whether no gradient flows back along it: ``stop_gradient``.
    """

    source: str
    target: str
    kind: EdgeKind
    tooltip: str = ""
    label: str = ""
    bytes: int = 0
    cut: bool = False


@dataclass(frozen=True)
class Drawing:
    """Boxes and edges, each in a fixed order; ``notes`` say what is not shown.

    ``captured``: values are shown, and edges are as wide as theirs are large.
    """

    passes: Passes
    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]
    notes: tuple[str, ...] = ()
    captured: bool = False

    def check(self) -> None:
        """Prove that the drawing is whole.

        Raises
        ------
        GraphError
            If an id stands twice, or an edge leads nowhere.
        """
        ids = [box.id for box in self.boxes]
        if len(set(ids)) < len(ids):
            raise GraphError("two boxes of the drawing have one id")
        known = set(ids)
        for edge in self.edges:
            if not {edge.source, edge.target} <= known:
                raise GraphError(f"the edge {edge.source} -> {edge.target} leads nowhere")
