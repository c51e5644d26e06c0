"""Pictures of what a lecture shows: truncated loops, checkpoints, stopped gradients."""

from __future__ import annotations

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.errors import GraphError
from graphnn.render import render
from graphnn.render.document import document_of
from graphnn.render.drawing import drawing_of


def truncated():
    """A loop within a loop, whose inner one is run again in the reverse pass."""

    def step(state, x):
        h = gn.tanh(w * state + x)
        return h, h

    x, w = gn.Input((6,), name="x"), gn.Parameter(0.5, name="w")
    _, ys = gn.scan(step, gn.Constant(0.0), x, truncate=3, name="rnn")
    return gn.mean(ys * ys)


def checkpointed():
    gn.set_seed(0)
    x = gn.Input((None, 3), name="x")
    block = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), name="block")
    return gn.mean(nn.Linear(2, 1, name="out")(gn.checkpoint(block, x)))


def distilled():
    gn.set_seed(0)
    x = gn.Input((None, 3), name="x")
    student, teacher = nn.Linear(3, 2, name="student"), nn.Linear(3, 2, name="teacher")
    return gn.mean(gn.square(student(x) - gn.stop_gradient(teacher(x))))


def levels(level):
    yield level
    for loop in level.loops:
        yield from levels(loop.body)


def test_a_body_that_is_run_again_has_ids_of_its_own():
    document = document_of(truncated(), reverse=True)
    ids = [node.id for level in levels(document.graph) for node in level.nodes]
    assert len(ids) == len(set(ids))
    for level in levels(document.graph):
        for loop in level.loops:
            assert all(node.id.startswith(f"{loop.node}/") for node in loop.body.nodes)
    forward, reverse = document.graph.loops
    first, again = forward.body.loops[0].body, reverse.body.loops[0].body
    assert {node.pass_ for node in first.nodes} == {"forward"}
    assert {node.pass_ for node in again.nodes} == {"backward"}
    by_op = {node.op: node.id for node in first.nodes}
    assert {n.op: n.forward_of for n in again.nodes if n.kind == "op"} == {
        op: by_op[op] for op in ("multiply", "add", "tanh")
    }


@pytest.mark.parametrize("level", ["op", "layer", "block"])
def test_truncated_loop_is_drawn_in_both_passes(level):
    drawing = drawing_of(document_of(truncated(), reverse=True), level=level)
    lanes = [box.lane for box in drawing.boxes if box.title == "tanh"]
    assert lanes == (["forward", "backward"] if level == "op" else [])


def test_only_what_gradients_reach_has_them(tmp_path):
    drawing = drawing_of(document_of(distilled(), reverse=True))
    scopes = {box.scope for box in drawing.boxes if box.lane == "backward"}
    assert ("student",) in scopes
    assert ("teacher",) not in scopes
    x = gn.Input((None, 3), name="x")
    held = gn.mean(gn.stop_gradient(nn.Linear(3, 2, name="teacher")(x)))
    with pytest.raises(GraphError, match=r"no gradient flows from mean to .*passes='forward'"):
        render(held, tmp_path / "held.svg")
    assert render(held, tmp_path / "held.svg", "forward").exists()


def test_differences_of_what_is_computed_again():
    seen = gn.capture(checkpointed(), {"x": np.float32([[1, 2, 3], [0, -1, 1]])}, differences=True)
    values = seen.document.captured.snapshots[0].values
    measured = {k: v for k, v in values.items() if v.difference is not None}
    assert measured
    for one in measured.values():
        np.testing.assert_allclose(one.data, one.difference, rtol=1e-2, atol=1e-3)


@pytest.mark.browser
def test_a_loop_within_a_loop_on_a_page(visit):
    page = visit(truncated(), "#step=9")
    page.click("text=Expand all")
    titles = page.locator(".box text").all_text_contents()
    assert sum("tanh" in title for title in titles) >= 2
    inside = page.evaluate(
        "[...graphnn.graph.loops.keys()].map(id => graphnn.graph.groups.get("
        "loopPath(graphnn.graph, id)).loop === id)"
    )
    assert inside == [True] * 4
