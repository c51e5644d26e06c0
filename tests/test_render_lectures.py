"""Pictures of what a lecture shows: truncated loops, checkpoints, stopped gradients."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.errors import GraphError
from graphnn.render import render
from graphnn.render.document import document_of
from graphnn.render.drawing import drawing_of
from graphnn.render.palette import LEAST_CONTRAST, THEMES, contrast, legible


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
    assert inside == [True] * 5


# What goes wrong.


def dense(name="w"):
    x = gn.Input((None, 2), name="x")
    w = gn.Parameter(np.ones((2, 2), np.float32), name=name)
    return gn.mean(gn.tanh(x @ w))


def test_control_characters_in_names(tmp_path):
    with gn.scope("a\tb\0c\nd"):
        loss = dense("a\0b\n\tc\x1b[31m")
    for suffix in (".svg", ".png"):
        assert render(loss, tmp_path / f"odd{suffix}").stat().st_size > 1000
    ET.parse(tmp_path / "odd.svg")


def test_values_without_elements_are_drawn(tmp_path):
    file = render(dense(), tmp_path / "empty.svg", capture=np.zeros((0, 2), np.float32))
    text = file.read_text("utf-8")
    assert "no elements" in text
    assert "1 NaN" in text  # the mean of nothing
    assert "0 infinite" not in text


@pytest.mark.parametrize("dpi", [0, -1, "high", True, 100_000, 1.5])
def test_dpi_that_is_none(tmp_path, dpi):
    with pytest.raises(GraphError, match="dpi is a whole number from 1 to 2,400"):
        render(dense(), tmp_path / "a.png", dpi=dpi)


def test_a_page_takes_no_folding_of_pictures(tmp_path):
    for more in ({"level": "layer"}, {"collapse": "none"}, {"rolled": False}):
        with pytest.raises(
            GraphError, match=r"leave out level, collapse and rolled, or write an .svg"
        ):
            render(dense(), tmp_path / "a.html", **more)
    with pytest.raises(GraphError, match="theme is 'light' or 'dark'; got 'blue'"):
        render(dense(), tmp_path / "a.html", theme="blue")
    assert not [*tmp_path.iterdir()]


def test_captures_as_pictures(tmp_path):
    loss, data = dense(), np.ones((3, 2), np.float32)
    render(loss, tmp_path / "a.svg", capture=gn.capture(loss, data))
    render(loss, tmp_path / "b.svg", capture=data)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    with pytest.raises(GraphError, match=r"many steps of a training, .* draw a page"):
        render(loss, tmp_path / "c.svg", capture=gn.Capture())


def test_what_to_do_instead(tmp_path):
    x = gn.Input((None, 2), name="x")
    net = nn.Linear(2, 2)
    model = gn.Model(x, net(x))
    with pytest.raises(GraphError, match=r"no reverse pass to draw: .* passes='forward'"):
        model.render(tmp_path / "a.svg")
    with pytest.raises(GraphError, match=r"got Linear. Call it, net\(x\)"):
        render(net, tmp_path / "a.svg")
    with pytest.raises(GraphError, match="no scope 'encoder' to collapse; this graph has none"):
        render(dense(), tmp_path / "a.svg", collapse=["encoder"])


def test_one_is_singular(tmp_path):
    text = render(distilled(), tmp_path / "a.dot", level="layer").read_text("utf-8")
    assert ">1 op<" not in text  # both are linear layers of two
    x = gn.Input((None, 2), name="x")
    with gn.scope("act"):
        y = gn.tanh(x * gn.Parameter(1.0, name="w"))
    text = render(gn.mean(y), tmp_path / "b.dot", "forward", level="layer").read_text("utf-8")
    assert "1 parameter<" in text


def test_a_page_of_nothing(tmp_path):
    with pytest.raises(GraphError, match="nothing to step through: the graph has no nodes"):
        render([], tmp_path / "a.html", "forward")
    assert not [*tmp_path.iterdir()]
    assert "<svg" in gn.Graph([])._repr_html_()


@pytest.mark.browser
def test_running_averages_stand_at_their_layer_on_a_page(visit):
    x = gn.Input((None, 3), name="x")
    net = nn.Sequential(nn.BatchNorm1d(3, name="norm"), nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1))
    model = gn.Model(x, net(x))
    model.compile("sgd", loss="mse")
    page = visit(model)
    page.click("text=Expand all")
    states, right = page.evaluate(
        "(() => { const all = [...graphnn.view.units.values()];"
        "const of = (kind) => all.filter(one => one.last?.name.includes(kind));"
        "return [['running_mean', 'running_var'].map(of).map(some => some.map(one => one.x)),"
        "Math.min(...of('tanh').map(one => one.x))]; })()"
    )
    assert all(len(some) >= 1 for some in states)
    assert all(x < right for some in states for x in some)


def test_a_sum_tells_what_no_arrow_does():
    x, y = gn.Input((), name="x"), gn.Parameter(2.0, name="y")
    z = gn.tanh(x * y)
    drawing = drawing_of(document_of(z * z + gn.exp(z), reverse=True))
    (total,) = [box.id for box in drawing.boxes if box.kind == "sum"]
    labels = {edge.label for edge in drawing.edges if edge.target == total}
    assert "2 ×" in labels
    drawing = drawing_of(document_of(z + gn.exp(z), reverse=True))
    (total,) = [box.id for box in drawing.boxes if box.kind == "sum"]
    assert [edge.label for edge in drawing.edges if edge.target == total] == ["+ 1"]


def test_what_is_computed_again_is_no_gradient():
    seen = gn.capture(checkpointed(), {"x": np.float32([[1, 2, 3], [0, -1, 1]])})
    drawing = drawing_of(seen.document)
    again = {box.title: box for box in drawing.boxes if "computed again" in box.lines}
    assert {"matmul", "add"} <= set(again)
    assert {box.seen.tone for box in again.values()} == {"again"}
    kept = [box.lines[0] for box in drawing.boxes if box.title == "after"]
    assert "x, kept for it" in kept
    for box in drawing.boxes:
        whole = box.lane == "backward" and box.seen is not None and box.seen.tone == "again"
        assert whole == (box in again.values() or box.title == "after")


@pytest.mark.browser
def test_a_page_calls_no_value_a_gradient(visit):
    page = visit(checkpointed())
    number = page.evaluate(
        "1 + graphnn.graph.moments.findIndex(one => one.node && "
        "graphnn.graph.nodes.get(one.node).name === 'block.0.add_2')"
    )
    assert number > 0
    page.evaluate(f"go(graphnn, {number})")
    text = page.inner_text("#inspector")
    assert "reverse pass · computed again" in text
    assert "Incoming gradient" not in text


def test_a_stopped_gradient_is_explained():
    bar = "an arrow with a bar: stop_gradient, nothing comes back"
    assert bar in drawing_of(document_of(distilled(), reverse=True)).notes
    assert bar not in drawing_of(document_of(dense(), reverse=True)).notes


def test_loops_in_loops_are_unrolled(tmp_path):
    for passes in ("forward", "joint"):
        render(truncated(), tmp_path / "a.svg", passes, rolled=False)
        assert (tmp_path / "a.svg").stat().st_size > 1000


@pytest.mark.parametrize("palette", THEMES.values(), ids=THEMES)
def test_numbers_can_be_read_on_every_gradient(palette):
    for fill in palette.scale:
        for color in (palette.ink, palette.figures, palette.gradient, palette.value):
            assert contrast(legible(color, fill, palette), fill) >= LEAST_CONTRAST
    assert legible(palette.gradient, palette.scale[0], palette) == palette.gradient


def test_a_sum_of_losses_starts_several():
    x = gn.Input((None, 2), name="x")
    one, other = gn.mean(gn.tanh(x), name="one"), gn.sum(gn.exp(x), name="other")
    drawing = drawing_of(document_of(one + 0.5 * other, reverse=True))
    (loss,) = [box.id for box in drawing.boxes if box.kind == "loss"]
    turns = [edge for edge in drawing.edges if edge.kind == "turn"]
    assert {edge.source for edge in turns} == {loss}
    names = {box.id: box.tooltip for box in drawing.boxes if box.lane == "backward"}
    assert {edge.target for edge in turns} <= names.keys()
    assert len(turns) == 2
