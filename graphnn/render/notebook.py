"""How graphs, functions and models show themselves in a notebook."""

from __future__ import annotations

from html import escape

from graphnn.errors import GraphError
from graphnn.graph import Graph
from graphnn.render.document import document_of
from graphnn.render.drawing import drawing_of
from graphnn.render.model import Passes
from graphnn.render.static import drawn, graphviz_program, pictured

MOST_NODES = 2000  # of a graph that is drawn without being asked: a second on an ordinary machine


def html_of(target: object) -> str:
    """A graph, function or model as HTML: forward and reverse pass, where it has a loss.

    Notebooks keep every form that an object offers, so there is this one alone: unlike an image it
    has tool-tips, keeps its size, and can be scrolled. Nothing is loaded, no script runs.

    Parameters
    ----------
    target
        A :class:`gn.Graph`, a :class:`gn.function`, or a model.

    Returns
    -------
    str
        The picture; of a graph of more than 2,000 nodes, or without Graphviz, what to write to get
        one.
    """
    count = _count(target)
    if count > MOST_NODES:
        return _told(
            f"{type(target).__name__} of {count:,} nodes",
            f"{count:,} nodes are not drawn unasked: gn.render(it, 'graph.svg') draws them "
            "folded, 'graph.html' as a page to walk through.",
        )
    try:
        graphviz_program()
    except GraphError as error:
        return _told(repr(target), str(error))
    passes: Passes = "joint"
    try:
        document = document_of(target, reverse=True)
    except GraphError:  # no loss, or nothing to differentiate by
        passes, document = "forward", document_of(target)
    source = pictured(drawing_of(document, passes), "light")
    svg = drawn(source, "svg").decode()
    return f'<div style="overflow:auto;max-height:80vh">{svg[svg.index("<svg") :]}</div>'


def _count(target: object) -> int:
    """How many nodes would be drawn."""
    whole = getattr(target, "training", None)
    graph = getattr(whole, "graph", None) or getattr(target, "graph", target)
    return len(graph.nodes) if isinstance(graph, Graph) else 0


def _told(what: str, why: str) -> str:
    return f"<pre>{escape(what)}</pre><p>{escape(why)}</p>"
