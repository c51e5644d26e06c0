"""Large graphs as pictures: equal layers drawn once, and long ones broken into rows."""

from __future__ import annotations

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, optim
from graphnn.render.collapse import MOST
from graphnn.render.document import document_of
from graphnn.render.drawing import drawing_of
from graphnn.render.layout import laid_out
from graphnn.render.static import dot_source
from graphnn.render.systems import WIDEST, _apart, broken


def drawn(target, passes="joint", **options):
    return drawing_of(document_of(target, reverse=passes != "forward"), passes, **options)


def encoder(layers, *, updates=False):
    x = gn.Input((None, 6, 16), name="x")
    net = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32), layers)
    loss = gn.mean(gn.square(net(x)), name="loss")
    if not updates:
        return loss
    return gn.function(x, loss, optim.SGD(0.1).updates(loss, net.parameters()))


def blocks(kinds):
    h = gn.Input((None, 4), name="x")
    for i, kind in enumerate(kinds):
        with gn.scope(f"block{i}"):
            w, b = (gn.Parameter(np.zeros(s, np.float32)) for s in ((4, 4), (4,)))
            h = h + kind(h @ w + b)
    return gn.mean(h)


# Equal layers.


@pytest.mark.parametrize("updates", [False, True])
def test_twelve_equal_layers_are_drawn_once(updates):
    drawing = drawn(encoder(12, updates=updates))
    assert len(drawing.boxes) <= MOST
    frames = {box.scope[:2] for box in drawing.boxes if box.scope[:1] == ("layers",)}
    assert frames == {("layers", "0 … 11 ×12")}
    lanes = {box.lane for box in drawing.boxes if "0 … 11 ×12" in box.scope}
    assert lanes == ({"forward", "backward", "update"} if updates else {"forward", "backward"})
    (note,) = [note for note in drawing.notes if "×12" in note]
    assert note.startswith("layers.0 … 11 ×12: equal layers, drawn once; ")


def test_few_layers_are_drawn_each():
    drawing = drawn(blocks([gn.tanh] * 4))
    assert {box.scope[0] for box in drawing.boxes if box.scope} == {f"block{i}" for i in range(4)}
    assert drawing.notes == ()


def test_only_what_is_equal_is_folded():
    drawing = drawn(blocks([gn.tanh] * 12 + [gn.sigmoid] + [gn.tanh] * 10))
    frames = {box.scope[0] for box in drawing.boxes if box.scope}
    assert frames == {"block0 … block11 ×12", "block12", "block13 … block22 ×10"}


def test_layers_of_other_sizes_are_others():
    h = gn.Input((None, 4), name="x")
    for i, width in enumerate([4] * 12 + [5] * 12):
        with gn.scope(f"block{i}"):
            h = gn.tanh(nn.Linear(h.shape[-1], width)(h))
    frames = {box.scope[0] for box in drawn(gn.mean(h)).boxes if box.scope}
    # the thirteenth has a weight of (5, 4), those after it of (5, 5)
    assert frames == {"block0 … block11 ×12", "block12", "block13 … block23 ×11"}


def test_numbers_of_a_folded_chain_are_those_of_one_layer():
    one, all_ = drawn(blocks([gn.tanh] * 2)), drawn(blocks([gn.tanh] * 30))
    (frame,) = {box.scope for box in all_.boxes if box.scope}
    boxes = [box for box in all_.boxes if box.scope == frame and box.lane == "forward"]
    first = [box for box in one.boxes if box.scope == ("block0",) and box.lane == "forward"]
    assert [box.title for box in boxes] == [box.title for box in first]
    assert [box.figures[-1] for box in boxes] == [box.figures[-1] for box in first]
    saved = {edge.label for edge in all_.edges if edge.label}
    assert saved == {edge.label for edge in one.edges if edge.label}


def test_all_layers_are_drawn_on_request():
    drawing = drawn(blocks([gn.tanh] * 30), collapse="none")
    assert len({box.scope for box in drawing.boxes if box.scope}) == 30


def test_an_unrolled_loop_has_its_steps():
    x = gn.Input((12, 3), name="x")
    w = gn.Parameter(np.zeros(3, np.float32), name="w")
    start = gn.Constant(np.zeros(3, np.float32))

    def step(h, x):
        for _ in range(4):
            h = gn.tanh(h * w + x)
        return h, None

    last, _ = gn.scan(step, start, x)
    drawing = drawn(gn.sum(last), rolled=False)
    steps = [box for box in drawing.boxes if box.title.startswith("t=")]
    assert [box.title for box in steps if box.lane == "forward"] == [f"t={i}" for i in range(12)]
    columns = {box.title: box.column for box in steps}
    for i in range(12):  # each step of the reverse pass stands beneath its own
        assert columns[f"t={i}'"] == columns[f"t={i}"]


def test_the_scale_of_gradients_stands_beneath_all_else():
    w = gn.Parameter([2.0], name="w")
    seen = gn.capture(gn.sum(gn.tanh(w)), [])
    layout = laid_out(drawing_of(seen.document))
    lowest = min(caption.rect.bottom for caption in layout.legend)
    assert lowest >= layout.bounds.bottom + 8 + 14  # where it is drawn
    assert layout.bounds.right - layout.bounds.left >= 8 + 90 + 5 * 40


# What only looks at a value.


def test_views_belong_to_what_alone_reads_them():
    x = gn.Input((None, 4), name="x")
    drawing = drawn(gn.mean(gn.tanh(gn.reshape(x, (-1, 2, 2)))))
    forward = [box for box in drawing.boxes if box.lane == "forward"]
    assert [box.title for box in forward] == ["x", "tanh", "mean"]
    assert forward[1].lines[0] == "reshape · tanh"
    shared = gn.reshape(x, (-1, 2, 2))
    titles = [box.title for box in drawn(gn.mean(gn.tanh(shared) * shared)).boxes]
    assert "reshape" in titles


def test_a_layer_that_reshapes_has_its_box():
    x = gn.Input((None, 2, 2), name="x")
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    assert ("0",) in {box.scope for box in drawn(gn.mean(net(x)), "forward").boxes}


# Normalisation.


def test_batch_normalisation_is_one_box():
    x = gn.Input((None, 3, 4, 4), name="x")
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 1))
    drawing = drawn(gn.mean(net(x)))
    layers = [box for box in drawing.boxes if box.kind == "layer"]
    assert [(box.title, box.lane) for box in layers] == [("1", "forward"), ("1'", "backward")]
    assert layers[0].lines[0] == "BatchNorm2d"
    assert 'normalisation layers are one box each; collapse="none" draws their ops' in drawing.notes
    whole = drawn(gn.mean(net(x)), collapse="none")
    assert not [box for box in whole.boxes if box.kind == "layer"]
    assert whole.notes == ()


def test_a_normalisation_of_few_ops_is_drawn():
    x = gn.Input((None, 4), name="x")
    drawing = drawn(gn.mean(nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))(x)))
    assert "standardize" in {box.title for box in drawing.boxes}
    assert drawing.notes == ()


def test_equal_layers_with_normalisation_are_drawn_once():
    x = gn.Input((None, 4), name="x")
    blocks = [nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU()) for _ in range(20)]
    drawing = drawn(gn.mean(nn.Sequential(*blocks)(x)))
    assert any("×" in note and "drawn once" in note for note in drawing.notes)
    assert len(drawing.boxes) <= MOST


# Rows.


def long_chain(count):
    h = gn.Input((None, 4), name="x")
    for _ in range(count):
        h = gn.tanh(h) * 2.0
    return gn.sum(h)


@pytest.mark.parametrize("count", [3, 12, 40])
@pytest.mark.parametrize("passes", ["forward", "backward", "joint"])
def test_no_row_is_wider_than_can_be_read(count, passes):
    layout = laid_out(drawn(long_chain(count), passes, collapse="none"))
    rects = layout.rects.values()
    assert max(r.right for r in rects) - min(r.left for r in rects) <= WIDEST
    assert (layout.bounds.right - layout.bounds.left) * 9 / 8 < 1800  # 8 points, 8 pixels at least


def test_rows_are_read_like_lines():
    drawing = drawn(long_chain(20), collapse="none")
    layout = laid_out(drawing)
    forward = [box for box in drawing.boxes if box.lane == "forward"]
    corners = [(-layout.rects[box.id].top, layout.rects[box.id].left) for box in forward]
    rows = sorted({round(y, -2) for y, _ in corners})
    assert len(rows) > 1
    assert layout.ports
    into = [port for port in layout.ports if not port.outgoing]
    for port in layout.ports:
        lanes = {edge.kind for edge in port.edges}
        data = lanes <= {"data"}
        assert port.right == (
            port.outgoing == data
        )  # values leave at the right, gradients at the left
        assert port.words.startswith("to " if port.outgoing else "from ")
    assert 2 * len(into) == len(layout.ports)


def test_edges_between_rows_have_two_legs():
    drawing = drawn(long_chain(20), collapse="none")
    layout = laid_out(drawing)
    split = {(edge.source, edge.target) for port in layout.ports for edge in port.edges}
    for key, legs in layout.routes.items():
        assert len(legs) == (2 if key in split else 1)
        assert legs[0][0] != legs[-1][-1]
    source = dot_source(long_chain(20), collapse="none")
    assert source.count(";e,") == len(split)


def test_boxes_and_ports_keep_apart():
    layout = laid_out(drawn(encoder(2), collapse="none"))
    rects = [*layout.rects.values(), *(port.rect for port in layout.ports)]
    for i, one in enumerate(rects):
        assert not any(one.meets(other) for other in rects[:i])


def test_labels_of_saved_values_keep_apart():
    drawing = drawn(encoder(2), collapse="none")
    layout = laid_out(drawing)
    labelled = [edge for edge in drawing.edges if edge.label]
    assert len(layout.labels) == len(labelled) > 10
    spots = [*layout.labels.values()]
    near = [
        (a, b)
        for i, a in enumerate(spots)
        for b in spots[:i]
        if abs(a[0] - b[0]) < 20 and abs(a[1] - b[1]) < 7
    ]
    assert len(near) < 0.05 * len(spots)


def test_rows_are_broken_where_little_is_cut():
    spans = {i: (100.0 * i, 100.0 * i + 80) for i in range(20)}
    assert broken([], [], spans, 5000) == [set(range(20))]
    assert broken([], [], spans, 1200) == [set(range(10)), set(range(10, 20))]
    assert [len(row) for row in broken([], [], spans, 600)] == [5, 5, 5, 5]
    wide = {0: (0.0, 900.0), 1: (910.0, 1900.0), 2: (1910.0, 2500.0)}
    assert broken([], [], wide, 500) == [{0}, {1}, {2}]  # a box is never broken


@pytest.mark.parametrize(
    ("wished", "found"),
    [([50, 40, 20], [50, 39, 20]), ([10, 10], [15.5, 4.5]), ([30, 0], [30, 0]), ([], [])],
)
def test_ends_at_a_margin_are_spread(wished, found):
    apart = _apart(wished)
    assert all(a - b >= 11 - 1e-9 for a, b in zip(apart, apart[1:], strict=False))
    if wished != [50, 40, 20]:
        assert apart == found


def test_a_decoder_stands_to_the_right_of_its_encoder():
    x, y = gn.Input((None, 4), name="x"), gn.Input((None, 4), name="y")
    with gn.scope("encoder"):
        memory = gn.tanh(gn.tanh(gn.tanh(x)))
    with gn.scope("decoder"):
        loss = gn.mean(gn.sigmoid(gn.sigmoid(y)) * memory)
    drawing = drawn(loss, "forward")
    columns = {"encoder": [], "decoder": []}
    for box in drawing.boxes:
        if box.scope:
            columns[box.scope[0]].append(box.column)
    assert max(columns["encoder"]) < min(columns["decoder"])


def test_running_averages_stand_in_their_layer():
    x = gn.Input((None, 3, 4, 4), name="x")
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 1))
    drawing = drawn(gn.mean(net(x)), collapse="none")
    of_layer = [box.column for box in drawing.boxes if box.scope == ("1",) and box.kind == "op"]
    states = [box for box in drawing.boxes if box.kind == "state"]
    assert len(states) == 3
    assert all(min(of_layer) <= box.column <= max(of_layer) for box in states)
    closed = drawn(gn.mean(net(x)), collapse=["1"])
    assert not [box for box in closed.boxes if box.kind == "state"]
    (update,) = [box for box in closed.boxes if box.kind == "update"]
    assert update.lines == ("3 parameters ← …",)
