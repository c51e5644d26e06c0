"""Pictures of loops: branches in rows of their own, states at the side, delays along the frame."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.render.document import document_of
from graphnn.render.drawing import drawing_of
from graphnn.render.flat import flat_of
from graphnn.render.layout import laid_out
from graphnn.render.mermaid import mermaid_of
from graphnn.render.routes import along
from graphnn.render.rows import settled

RECURRENT = [nn.RNN, nn.GRU, nn.LSTM]


def drawn(target, passes="joint", **options):
    return drawing_of(document_of(target, reverse=passes != "forward"), passes, **options)


def recurrent(kind):
    x, t = gn.Input((None, 4, 8), name="x"), gn.Input((None, 16), name="t")
    output, _ = kind(8, 16)(x)
    return gn.mse_loss(output[:, -1], t, name="loss")


def crossings(layout, edges):
    """How many pairs of edges cross that do not meet in a box."""
    lines = [along(leg, 9) for e in edges for leg in layout.routes[e.source, e.target]]
    ends = [{e.source, e.target} for e in edges for _ in layout.routes[e.source, e.target]]
    return sum(
        any(_cross(*a, *b) for a in pairwise(one) for b in pairwise(other))
        for (one, at), (other, to) in combinations(zip(lines, ends, strict=True), 2)
        if not at & to and _near(one, other)
    )


def _near(one, other):
    return (one.min(0) <= other.max(0)).all() and (other.min(0) <= one.max(0)).all()


def _cross(a, b, c, d):
    def side(p, q, r):
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0


def flow(drawing):
    return [e for e in drawing.edges if e.kind in ("data", "gradient", "delay", "turn")]


# Before rows were searched for, 73 pairs of edges of the LSTM crossed, and it was 1,914 points high.
@pytest.mark.parametrize(
    ("kind", "most", "highest"), [(nn.RNN, 6, 850), (nn.GRU, 40, 2050), (nn.LSTM, 25, 1600)]
)
def test_pictures_of_loops_are_low_and_cross_little(kind, most, highest):
    drawing = drawn(recurrent(kind))
    layout = laid_out(drawing)
    assert crossings(layout, flow(drawing)) <= most
    assert layout.bounds.top - layout.bounds.bottom <= highest


@pytest.mark.parametrize("kind", RECURRENT)
def test_states_stand_where_their_loop_is_entered(kind):
    drawing = drawn(recurrent(kind))
    rects = laid_out(drawing).rects
    for state in (box for box in drawing.boxes if box.kind == "delay"):
        others = [
            rects[box.id]
            for box in drawing.boxes
            if box.scope == state.scope and box.kind not in ("delay", "sum")
        ]
        if state.lane == "forward":
            assert rects[state.id].right < min(rect.left for rect in others)
            assert state.title.endswith("(t−1)")
        else:
            assert rects[state.id].left > max(rect.right for rect in others)
            assert state.title.endswith("(t+1)")
        assert state.lines == ("starts at 0", "(None, 16)")


@pytest.mark.parametrize("kind", RECURRENT)
def test_delays_run_along_the_frame(kind):
    drawing = drawn(recurrent(kind))
    layout = laid_out(drawing)
    lanes = {box.id: box.lane for box in drawing.boxes}
    for edge in (edge for edge in drawing.edges if edge.kind == "delay"):
        (leg,) = layout.routes[edge.source, edge.target]
        points = along(leg)
        for x, y in points[1:-1]:
            for box, rect in layout.rects.items():
                own = box in (edge.source, edge.target)
                assert own or not (rect.left < x < rect.right and rect.bottom < y < rect.top)
        level = points[:, 1].max() if lanes[edge.target] == "forward" else points[:, 1].min()
        loop = next(box.scope for box in drawing.boxes if box.id == edge.target)
        inside = [layout.rects[box.id] for box in drawing.boxes if box.scope == loop]
        near = [r for r in inside if points[:, 0].min() < r.center[0] < points[:, 0].max()]
        if lanes[edge.target] == "forward":
            assert level > max(rect.top for rect in near)
        else:
            assert level < min(rect.bottom for rect in near)


def test_gates_are_rows():
    """Each gate of an LSTM is one straight line."""
    drawing = drawn(recurrent(nn.LSTM), "forward")
    rows = {box.id: box.row for box in drawing.boxes}
    kinds = {box.id: box.title for box in drawing.boxes}
    gates = [e for e in drawing.edges if kinds[e.target] in ("sigmoid", "tanh")]
    gates = [
        e for e in gates if kinds[e.source] == "add" and "slice · add" in str(box_of(drawing, e))
    ]
    assert len(gates) == 4
    assert all(rows[e.source] == rows[e.target] for e in gates)
    assert len({rows[e.source] for e in gates}) == 4


def box_of(drawing, edge):
    return next(box.lines for box in drawing.boxes if box.id == edge.source)


@pytest.mark.parametrize("kind", RECURRENT)
@pytest.mark.parametrize("passes", ["forward", "backward", "joint"])
def test_boxes_keep_apart(kind, passes):
    rects = [*laid_out(drawn(recurrent(kind), passes)).rects.values()]
    assert not any(a.meets(b) for a, b in combinations(rects, 2))


def test_states_before_each_step_are_the_states():
    """The reverse pass reads them from the loop, not from a view of all steps."""
    drawing = drawn(recurrent(nn.LSTM))
    assert "view" not in {box.title for box in drawing.boxes}
    states = {box.id for box in drawing.boxes if box.kind == "delay" and box.lane == "forward"}
    saved = {edge.source for edge in drawing.edges if edge.kind == "saved"}
    assert states <= saved


# The search for rows.


def test_rows_that_cross_change_places():
    rows = {"a": 0.0, "b": 1.0, "c": 2.0, "x": 2.0, "y": 1.0}
    across = {"a": 0.0, "b": 0.0, "c": 0.0, "x": 1.0, "y": 1.0}
    found = settled(rows, [["x"], ["y"]], across, [("b", "x"), ("c", "y")], least=1)
    assert (found["x"], found["y"]) == (1.0, 2.0)
    assert {box: found[box] for box in "abc"} == {box: rows[box] for box in "abc"}


def test_an_edge_goes_through_no_box():
    rows = {"a": 0.0, "b": 0.0, "c": 0.0}
    across = {"a": 0.0, "b": 1.0, "c": 2.0}
    links = [("a", "c"), ("a", "b"), ("b", "c")]
    found = settled(rows, [["b"]], across, links)
    assert found["b"] == 1.0


def test_what_may_not_move_stays():
    rows = {str(i): float(i % 3) for i in range(9)}
    across = {str(i): float(i // 3) for i in range(9)}
    assert settled(rows, [], across, [("0", "8")]) == rows


# Loops in loops.


def nested():
    xs = gn.Input((3, 2, 4), name="xs")
    w = gn.Parameter(np.full(4, 0.5, np.float32), name="w")

    def inner(h, x):
        h = gn.tanh(h * w + x)
        return h, h

    def outer(h, x):
        last, each = gn.scan(inner, h, x)
        return last + gn.sum(each, axis=0), last

    last, each = gn.scan(outer, gn.Constant(np.zeros(4, np.float32)), xs)
    return gn.sum(last * last) + gn.sum(each)


@pytest.mark.parametrize("reverse", [False, True])
def test_unrolled_loops_in_loops_have_every_step_once(reverse):
    flat = flat_of(document_of(nested(), reverse=reverse), rolled=False)
    assert all(value in flat.nodes for node in flat.nodes.values() for value in node.inputs)
    steps = [node for node in flat.nodes.values() if node.op == "tanh"]
    places = [tuple(node.scope.split(".")[1::2]) for node in steps]
    assert places == [(f"t={i}", f"t={j}") for i in range(3) for j in range(2)]
    for before, after in pairwise(steps):  # each step reads the one before
        assert before.id in _behind(flat, after.id)
    stacks = [node.inputs for node in flat.nodes.values() if node.op == "stack"]
    assert len(set(stacks)) == len(stacks)
    if reverse:
        slopes = [node for node in flat.nodes.values() if node.op == "tanh_backward"]
        assert {node.forward_of for node in slopes} == {node.id for node in steps}


def _behind(flat, node):
    found, waiting = set(), [node]
    while waiting:
        new = [value for value in flat.nodes[waiting.pop()].inputs if value not in found]
        found.update(new)
        waiting += new
    return found


def test_a_loop_in_a_loop_starts_to_the_right_of_it():
    drawing = drawn(nested(), "forward")
    states = sorted((box for box in drawing.boxes if box.kind == "delay"), key=lambda b: b.scope)
    assert [len(box.scope) for box in states] == [1, 2]
    rects = laid_out(drawing).rects
    assert rects[states[0].id].right < rects[states[1].id].left


# The loss.


def test_a_loss_that_is_a_sum_turns_into_each_of_its_terms():
    """Its gradient by itself is a constant that several boxes begin with."""
    x = gn.Input((), name="x")
    g = gn.exp(gn.sin(x))
    y = gn.add(gn.cos(g), gn.sin(x) * g, name="y")
    drawing = drawn([y, gn.grad(y, x)])
    titles = {box.id: box.title for box in drawing.boxes}
    turns = [edge for edge in drawing.edges if edge.kind == "turn"]
    assert {titles[edge.source] for edge in turns} == {"add"}
    assert sorted(titles[edge.target] for edge in turns) == ["cos'", "multiply", "multiply"]
    assert mermaid_of(drawing).count("==>") == 3
    document = document_of([y, gn.grad(y, x)])
    assert len([edge for edge in document.graph.edges if edge.kind == "turn"]) == 3
