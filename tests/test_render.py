"""Pictures: what they show, that it is readable, and that it is the same on every run."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, optim
from graphnn.errors import GraphError
from graphnn.node import Constant, Size
from graphnn.render import render, static
from graphnn.render.document import document_of
from graphnn.render.drawing import drawing_of
from graphnn.render.layout import laid_out
from graphnn.render.static import dot_source, graphviz_program

PASSES = ("forward", "backward", "joint")

# Compiled under a name of its own, so that the lines in the golden files are these.
TINY = """
x = gn.Input((None, 2), name="x")
y = gn.Input((None, 2), name="y")
with gn.scope("dense"):
    w = gn.Parameter(np.zeros((2, 2), np.float32), name="w")
    z = x @ w
h = gn.tanh(z * 2.0 + z)
loss = gn.mse_loss(h, y)
pairs = optim.SGD(lr=0.1, momentum=0.9).updates(loss, [w])
"""


def tiny():
    names = {"gn": gn, "np": np, "optim": optim}
    exec(compile(TINY, "tiny.py", "exec"), names)
    return names


def parameter(*shape, name=None):
    return gn.Parameter(np.zeros(shape, np.float32), name=name)


def mlp():
    """784-256-128-10 with dropout and Adam, as a function that trains it."""
    x = gn.Input((None, 784), name="x")
    y = gn.Input((None,), dtype="int64", name="y")
    net = nn.Sequential(
        nn.Linear(784, 256), nn.ReLU(), nn.Dropout(0.4),
        nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip
    loss = gn.cross_entropy(net(x), y)
    return gn.function([x, y], loss, optim.Adam().updates(loss, net.parameters()))


def residual():
    x = gn.Input((None, 4), name="x")
    h = x
    for i in range(3):
        with gn.scope(f"block{i}"):
            h = h + gn.relu(h @ parameter(4, 4, name="W") + parameter(4, name="b"))
    return gn.mean(h)


def branches():
    x = gn.Input((None, 4), name="x")
    c = gn.Input((None, 4), name="c")
    with gn.scope("cell"):
        gates = [gn.sigmoid(x @ parameter(4, 4, name=n) + parameter(4, name=n)) for n in "ifo"]
        new = gates[1] * c + gates[0] * gn.tanh(x @ parameter(4, 4, name="g"))
    return gn.mean(gates[2] * gn.tanh(new))


def shared():
    x = gn.Input((None, 4), name="x")
    w = parameter(4, 4, name="W")
    return gn.mean(gn.tanh(gn.tanh(x @ w) @ w) @ w)


def second_derivative():
    x = gn.Input((), name="x")
    f = gn.sin(x) * x
    return [f, gn.grad(gn.grad(f, x), x)]


GRAPHS = {
    "mlp": mlp,
    "residual": residual,
    "branches": branches,
    "shared": shared,
    "second derivative": second_derivative,
}
every_graph = pytest.mark.parametrize("make", GRAPHS.values(), ids=GRAPHS)
every_pass = pytest.mark.parametrize("passes", PASSES)


def drawn(target, passes="joint"):
    return drawing_of(document_of(target, reverse=passes != "forward"), passes)


def box_named(drawing, name):
    (found,) = [box for box in drawing.boxes if name in box.nodes]
    return found


# What is drawn.


@every_pass
def test_golden(passes, golden):
    graph = tiny()
    target = [graph["loss"], *(new for _, new in graph["pairs"])]
    golden(f"render_{passes}.dot", dot_source(target, passes))


def test_every_parameter_has_one_box():
    function = mlp()
    titles = [f"{'.'.join(box.scope)}.{box.title}" for box in drawn(function).boxes]
    for layer in "035":
        for name in ("weight", "bias"):
            assert titles.count(f"{layer}.{name}") == 1
    assert sum(box.kind == "parameter" for box in drawn(function).boxes) == 6


def test_optimizer_is_one_box_at_each_parameter():
    drawing = drawn(mlp())
    updates = [box for box in drawing.boxes if box.kind == "update"]
    assert [box.title for box in updates] == ["Adam"] * 6
    assert updates[0].lines == ("weight ← …", "moment · square", "m · v · lr · step")
    parameters = [box.id for box in drawing.boxes if box.kind == "parameter"]
    assert [box.home for box in updates] == parameters
    assert not [box for box in drawing.boxes if box.kind == "state"]


def test_constants_and_generators_are_text_in_their_readers():
    function = mlp()
    drawing = drawn(function)
    names = function.graph.names()
    written = {
        names[node] for node in function.graph.nodes if isinstance(node, Constant | Size)
    } | {"rng", "2.dropout_mask"}
    assert not written & {box.nodes[-1] for box in drawing.boxes}
    assert box_named(drawing, "2.dropout").lines == ("mask ~ rng", "scale = 1.66667", "(None, 256)")


def test_reverse_nodes_that_serve_one_op_share_a_box():
    box = box_named(drawn(mlp()), "d_broadcast_to")
    assert box.title == "mean'"
    assert box.nodes == ("d_divide", "d_reshape", "d_broadcast_to")
    assert box.lines == ("∂loss/∂loss = 1", "divide · reshape", "broadcast_to", "(None,)")


def test_gradients_say_what_they_are_by():
    drawing = drawn(mlp())
    assert box_named(drawing, "0.d_matmul").lines[0] == "∂weight"
    assert box_named(drawing, "0.d_sum").lines[0] == "∂bias"


def test_lanes_turn_at_the_loss():
    drawing = drawn(mlp())
    (turn,) = [edge for edge in drawing.edges if edge.kind == "turn"]
    assert turn.source == box_named(drawing, "loss").id
    assert turn.target == box_named(drawing, "d_divide").id
    assert [box.kind for box in drawing.boxes if box.id == turn.source] == ["loss"]


def test_saved_values_cross_the_lanes():
    drawing = drawn(mlp())
    lanes = {box.id: box.lane for box in drawing.boxes}
    saved = [edge for edge in drawing.edges if edge.kind == "saved"]
    assert {(lanes[edge.source], lanes[edge.target]) for edge in saved} == {("forward", "backward")}
    mask = [edge for edge in saved if "dropout_mask" in edge.tooltip]
    assert [edge.source for edge in mask] == [box_named(drawing, "2.dropout").id]


def test_tooltips_hold_equation_formula_and_line():
    text = "\n".join(box_named(drawn(tiny()["loss"]), "tanh").tooltip)
    assert "tanh = tanh(add)   [tanh x]" in text
    assert "float32 (None, 2)" in text
    assert "declared at tiny.py:7" in text
    reverse = box_named(drawn(tiny()["loss"]), "tanh_backward").tooltip
    assert reverse[-1] == "reverse of tanh, declared at tiny.py:7"


def test_gradients_meet_in_one_sum():
    sums = [box for box in drawn(shared()).boxes if box.kind == "sum"]
    assert len(sums) == 1  # two additions of three gradients
    assert len(sums[0].nodes) == 2


def test_forward_shows_nothing_of_the_reverse_pass():
    drawing = drawn(mlp(), "forward")
    assert {box.lane for box in drawing.boxes} == {"forward"}
    assert {edge.kind for edge in drawing.edges} == {"data"}


def test_backward_shows_the_forward_values_that_it_reads():
    drawing = drawn(mlp(), "backward")
    kinds = {box.kind for box in drawing.boxes if box.lane == "forward"}
    assert kinds == {"saved", "parameter"}
    assert "data" not in {edge.kind for edge in drawing.edges}
    assert box_named(drawing, "1.relu").kind == "saved"
    assert "3.add" not in {name for box in drawing.boxes for name in box.nodes}


def test_pairs_written_by_hand_are_updates():
    x = gn.Input((None, 2), name="x")
    w, count = parameter(2, 1, name="w"), gn.Parameter(0.0, name="count", trainable=False)
    loss = gn.mean(gn.square(x @ w))
    new = w - 0.1 * gn.grad(loss, w)
    drawing = drawn(gn.function(x, loss, [(w, new), (count, count + 1.0)]))
    updates = {box.title: box for box in drawing.boxes if box.kind == "update"}
    assert sorted(updates) == ["add", "subtract"]
    assert updates["subtract"].lines == ("w ← …", "multiply")
    assert box_named(drawing, "count").kind == "state"


def test_gradients_alone_find_their_forward_pass():
    x, w = gn.Input((None, 2), name="x"), parameter(2, 1, name="w")
    loss = gn.mean(gn.square(x @ w), name="loss")
    drawing = drawn(gn.grad(loss, w))
    assert box_named(drawing, "loss").kind == "loss"


def test_training_without_outputs_shows_its_loss():
    x, w = gn.Input((None, 2), name="x"), parameter(2, 1, name="w")
    loss = gn.mean(gn.square(x @ w), name="loss")
    drawing = drawn(gn.function(x, [], optim.SGD(0.1).updates(loss, [w])))
    assert box_named(drawing, "loss").kind == "loss"
    assert [box.title for box in drawing.boxes if box.kind == "update"] == ["SGD"]


def test_duplicates_that_were_merged_are_found_again():
    x, w = gn.Input((None, 2), name="x"), parameter(2, 1, name="w")
    loss = gn.mean(gn.tanh(x @ w) * gn.tanh(x @ w))
    drawing = drawn(gn.function(x, loss, optim.SGD(0.1).updates(loss, [w])))
    assert box_named(drawing, "d_matmul").column == box_named(drawing, "matmul").column
    (total,) = [box for box in drawing.boxes if box.kind == "sum"]  # twice the same product
    found = [edge.target for edge in drawing.edges if edge.source == total.id]
    assert found == [box.id for box in drawing.boxes if box.kind == "update"]


def test_rewritten_nodes_are_found_again():
    """A product absorbs the transpose, so that all that reads it is another node than declared."""
    x, w = gn.Input((None, 2), name="x"), parameter(3, 2, name="w")
    loss = gn.mean(gn.tanh(gn.tanh(x @ gn.transpose(w))))
    function = gn.function(x, loss, optim.SGD(0.1).updates(loss, [w]))
    assert loss not in function.graph.nodes
    drawing = drawn(function)
    columns = {box.title: box.column for box in drawing.boxes if box.lane == "forward"}
    assert [edge.kind for edge in drawing.edges].count("turn") == 1
    assert box_named(drawing, "mean").column == box_named(drawing, "d_divide").column
    assert columns["mean"] == 4
    assert [box.title for box in drawing.boxes if box.kind == "update"] == ["SGD"]


def test_metrics_are_a_branch_beside_the_road():
    x, y = gn.Input((None, 4), name="x"), gn.Input((None,), "int64", name="y")
    logits = nn.Linear(4, 3)(x)
    drawing = drawn([gn.cross_entropy(logits, y), gn.accuracy(logits, y)])
    assert box_named(drawing, "loss").row == 0
    assert box_named(drawing, "accuracy").row == 1


def test_targets():
    x, w = gn.Input((None, 2), name="x"), parameter(2, 1, name="w")
    loss = gn.mean(x @ w)
    pictures = {
        dot_source(target, "forward")
        for target in (loss, [loss], (loss,), gn.Graph(loss), gn.function(x, loss))
    }
    assert len(pictures) == 1


def test_inference_function_is_drawn_without_dropout():
    x = gn.Input((None, 2), name="x")
    function = gn.function(x, gn.dropout(x * 2.0, 0.5), training=False)
    assert {box.title for box in drawn(function, "forward").boxes} == {"x", "multiply"}


def test_model_draws_its_training(tmp_path):
    x = gn.Input((None, 4), name="x")
    model = gn.Model(inputs=x, outputs=nn.Linear(4, 3)(x))
    model.compile("sgd", loss="cross_entropy")
    source = model.render(tmp_path / "model.dot").read_text(encoding="utf-8")
    assert source == dot_source(model.training)
    assert source.count("<b>SGD</b>") == 2


# Where it stands.


@every_pass
@every_graph
def test_boxes_keep_apart(make, passes):
    drawing = drawn(make(), passes)
    layout = laid_out(drawing)
    rects = [rect.grown(4.5) for rect in layout.rects.values()]
    rects += [caption.rect for caption in layout.legend]
    for i, one in enumerate(rects):
        assert not any(one.meets(other) for other in rects[:i])


@every_graph
def test_gradients_stand_beneath_their_ops(make):
    drawing = drawn(make())
    rects = laid_out(drawing).rects
    bottom = min(rects[box.id].bottom for box in drawing.boxes if box.lane == "forward")
    middle = {box.column: rects[box.id].center[0] for box in drawing.boxes if box.lane == "forward"}
    for box in drawing.boxes:
        if box.lane == "backward":
            assert rects[box.id].top < bottom
        if box.lane == "backward" and box.kind != "sum":
            assert rects[box.id].center[0] == pytest.approx(middle[box.column])


def test_forward_runs_right_and_gradients_run_left():
    drawing = drawn(mlp())
    columns = {box.id: box.column for box in drawing.boxes}
    for edge in drawing.edges:
        if edge.kind == "data":
            assert columns[edge.source] <= columns[edge.target]
        if edge.kind == "gradient":
            assert columns[edge.source] >= columns[edge.target]


@every_graph
def test_edges_go_around_boxes(make):
    drawing = drawn(make())
    layout = laid_out(drawing)
    for (source, target), route in layout.routes.items():
        others = [r for box, r in layout.rects.items() if box not in (source, target)]
        for i in range(0, len(route) - 1, 3):
            for x, y in bezier(route[i : i + 4]):
                crossed = [r for r in others if r.left < x < r.right and r.bottom < y < r.top]
                assert not crossed, (source, target)


def bezier(points):
    a, b, c, d = map(np.array, points)
    for t in np.linspace(0, 1, 21):
        s = 1 - t
        yield s**3 * a + 3 * s**2 * t * b + 3 * s * t**2 * c + t**3 * d


def test_frames_hold_their_layers_and_no_others():
    drawing = drawn(mlp())
    layout = laid_out(drawing)
    scopes = {box.id: box.scope for box in drawing.boxes}
    assert [frame.label for frame in layout.frames] == list("012345")
    for frame in layout.frames:
        inside = {box for box, rect in layout.rects.items() if rect.meets(frame.rect)}
        assert {scopes[box] for box in inside} == {frame.scope}


def test_mlp_is_readable_at_1600_pixels():
    bounds = laid_out(drawn(mlp())).bounds
    assert (bounds.right - bounds.left) * 96 / 72 < 1750  # 9-point text is 11 pixels high


# Large graphs, loops, values, themes.


def deep(blocks):
    h = x = gn.Input((None, 4), name="x")
    for i in range(blocks):
        with gn.scope(f"block{i}"):
            h = h + gn.tanh(h @ parameter(4, 4, name="W") + parameter(4, name="b"))
    assert x in gn.Graph(h).nodes
    return gn.mean(h)


def flat_chain(count):
    h = gn.Input((None, 4), name="x")
    for _ in range(count):
        h = gn.tanh(h) * 2.0
    return gn.sum(h)


def document(target):
    return document_of(target, reverse=True)


@pytest.mark.parametrize("make", [lambda: deep(60), lambda: flat_chain(200)])
def test_no_picture_has_more_than_150_boxes(make):
    drawing = drawing_of(document(make()))
    assert 10 < len(drawing.boxes) <= 150
    (note,) = drawing.notes
    folded = [box for box in drawing.boxes if box.kind == "layer"]
    assert note.startswith(f"{len(folded)} boxes stand for ")
    assert len(drawing_of(document(make()), collapse="none").boxes) > 150
    columns = {box.id: box.column for box in drawing.boxes}
    assert all(columns[e.source] <= columns[e.target] for e in drawing.edges if e.kind == "data")


def test_layers_and_blocks_are_boxes():
    by_layer = drawing_of(document(mlp()), level="layer")
    layers = [box for box in by_layer.boxes if box.kind == "layer" and box.lane == "forward"]
    assert next((box.title, box.lines[0]) for box in layers) == ("0", "Linear")
    assert not [box for box in by_layer.boxes if box.kind == "parameter"]
    updates = [box for box in by_layer.boxes if box.kind == "update"]
    assert [box.lines for box in updates] == [("2 parameters ← …",)] * 3
    closed = drawing_of(document(mlp()), collapse=["3"])
    assert [box.title for box in closed.boxes if box.kind == "layer"] == ["3", "3'"]
    with pytest.raises(GraphError, match=r"no scope 'encoder' to collapse; there are 0, 1"):
        drawing_of(document(mlp()), collapse=["encoder"])


def loop():
    x = gn.Input((5, 3), name="x")
    w = parameter(3, name="w")
    last, _ = gn.scan(
        lambda h, x: (gn.tanh(h * w + x), None), gn.Constant(np.zeros(3, np.float32)), x
    )
    return gn.sum(last)


def test_a_loop_is_drawn_once_or_unrolled():
    rolled = drawing_of(document(loop()))
    delays = [edge for edge in rolled.edges if edge.kind == "delay"]
    kinds = {box.id: (box.kind, box.lane) for box in rolled.boxes}
    assert {kinds[edge.target] for edge in delays} == {("delay", "forward"), ("delay", "backward")}
    assert [box.title for box in rolled.boxes].count("tanh") == 1
    unrolled = drawing_of(document(loop()), rolled=False)
    assert [box.title for box in unrolled.boxes].count("tanh") == 5
    assert not [edge for edge in unrolled.edges if edge.kind == "delay"]


def test_captured_values_are_drawn():
    x = gn.Input((None, 2), name="x")
    w = gn.Parameter([[1.0], [2.0]], name="w")
    loss = gn.mean(gn.relu(x @ w))
    seen = gn.capture(loss, np.float32([[1, 1], [2, 0]]))
    drawing = drawing_of(seen.document)
    assert box_named(drawing, "matmul").seen.lines == ("3, 2",)
    assert box_named(drawing, "d_matmul").seen.lines == ("1.5, 0.5",)
    source = dot_source(seen)
    assert source == dot_source(loss, capture=np.float32([[1, 1], [2, 0]]))
    assert "RMS of gradients:" in source
    assert (
        box_named(
            drawing_of(gn.capture(loss, -np.ones((2, 2), np.float32)).document), "d_matmul"
        ).seen.tone
        == "zero"
    )
    lost = dot_source(loss, capture=np.full((2, 2), np.nan, np.float32))
    assert "style=striped" in lost


def test_large_values_have_histograms(tmp_path):
    x = gn.Input((None, 40), name="x")
    seen = gn.capture(
        gn.mean(gn.tanh(x)), np.linspace(-1, 1, 400, dtype=np.float32).reshape(10, 40)
    )
    box = box_named(drawing_of(seen.document), "tanh")
    assert box.seen.lines[0].startswith("mean ")
    assert max(box.seen.bars) == 1.0
    ET.parse(render(seen, tmp_path / "tanh.svg", theme="dark"))


def test_stopped_gradients_are_cut():
    x = gn.Input((2,), name="x")
    loss = gn.sum(x * gn.stop_gradient(gn.exp(x)))
    assert [edge.cut for edge in drawn(loss).edges].count(True) == 1


def test_boxes_tell_step_bytes_and_flops():
    box = box_named(drawn(mlp()), "0.matmul")
    assert box.figures == ("#0 · 32.0 KiB", "12.8 MFLOP")
    saved = [edge.label for edge in drawn(mlp()).edges if edge.kind == "saved" and edge.label]
    assert "32.0 KiB" in saved


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"level": "module"}, "level is 'op', 'layer' or 'block'; got 'module'"),
        ({"collapse": "all"}, "collapse is 'auto', 'none' or a list of scopes; got 'all'"),
        ({"theme": "blue"}, "theme is 'light' or 'dark'; got 'blue'"),
    ],
)
def test_settings_that_mean_nothing(tmp_path, options, said):
    with pytest.raises(GraphError, match=said):
        render(tiny()["loss"], tmp_path / "tiny.svg", **options)


# Files.


@pytest.mark.parametrize("suffix", [".svg", ".SVG"])
def test_svg(tmp_path, suffix):
    file = render(mlp(), tmp_path / f"mlp{suffix}")
    assert file == tmp_path / f"mlp{suffix}"
    root = ET.parse(file).getroot()
    texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"matmul", "weight", "Adam", "(None, 784)", "values → forward"} <= texts
    titles = [value for e in root.iter() for key, value in e.attrib.items() if "title" in key]
    assert any("test_render.py:" in title for title in titles)


@every_pass
def test_png(tmp_path, passes):
    data = render(tiny()["loss"], str(tmp_path / "tiny.png"), passes).read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(data) > 2000


def test_dots_per_inch(tmp_path):
    loss = tiny()["loss"]
    wide = [
        int.from_bytes(render(loss, tmp_path / "tiny.png", dpi=dpi).read_bytes()[16:20], "big")
        for dpi in (72, 144)
    ]
    assert wide[1] == pytest.approx(2 * wide[0], rel=0.01)


@pytest.mark.parametrize("suffix", [".dot", ".gv"])
def test_dot_needs_no_program(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(static, "_candidates", lambda: iter([None]))
    loss = tiny()["loss"]
    file = render(loss, tmp_path / f"tiny{suffix}")
    assert file.read_text(encoding="utf-8") == dot_source(loss)


def test_program_of_the_wheel_is_found(monkeypatch):
    monkeypatch.setenv("PATH", "")
    program = graphviz_program()
    assert "graphviz-pure" in os.path.basename(program)
    assert os.access(program, os.X_OK)


def test_same_bytes_in_every_process():
    code = (
        "from test_render import *\n"
        "print([dot_source(make(), passes) for make in GRAPHS.values() for passes in PASSES])"
    )
    folder = os.path.dirname(__file__)
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": folder},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "tiny.svg"
    file.write_text("before")

    def full(*_args):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(gn.DataError, match=r"tiny\.svg: cannot be written: no space left"):
        render(tiny()["loss"], file)
    assert file.read_text() == "before"
    assert os.listdir(tmp_path) == ["tiny.svg"]


# Any name is text.


NAMES = [
    '<b>"quoted"</b>',
    "back\\slash\\n\\N\\G",
    "<script>alert(1)</script>",
    "&amp; & &lt;",
    "∂ Σ 日本語 😀",
    "\x00\x1b[31m\n",
    " ",
    "<",
    "x" * 10_000,
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_any_name_is_text(tmp_path, name):
    x = gn.Input((None, 2), name=name)
    with gn.scope(name):
        w = parameter(2, 1, name=name)
        loss = gn.mean(x @ w, name=name)
    for passes in PASSES:
        root = ET.parse(render(loss, tmp_path / "name.svg", passes)).getroot()
        tags = {element.tag.rpartition("}")[2] for element in root.iter()}
        assert tags <= {"svg", "g", "title", "polygon", "path", "text", "a", "ellipse", "polyline"}
        shown = "".join(e.text or "" for e in root.iter() if e.tag.endswith("}text"))
        if name.isprintable() and len(name) <= 24:
            assert name in shown.replace("\N{NO-BREAK SPACE}", " ")


# Errors.


@pytest.mark.parametrize("name", ["graph.pdf", "graph", "graph.svg.txt"])
def test_other_suffixes(tmp_path, name):
    with pytest.raises(GraphError, match=r"one of \.svg, \.png, \.dot, \.gv, \.html; got .*graph"):
        render(tiny()["loss"], tmp_path / name)
    assert not os.listdir(tmp_path)


def test_missing_folder(tmp_path):
    with pytest.raises(GraphError, match=r"folder '.*nowhere' does not exist. Make it first"):
        render(tiny()["loss"], tmp_path / "nowhere" / "graph.svg")


def test_unknown_pass(tmp_path):
    with pytest.raises(GraphError, match="'forward', 'backward' or 'joint'; got 'both'"):
        render(tiny()["loss"], tmp_path / "graph.svg", "both")


@pytest.mark.parametrize("target", [3, "loss", None, [1]])
def test_other_targets(tmp_path, target):
    with pytest.raises(GraphError, match=r"take a node, several nodes|a graph is made of nodes"):
        render(target, tmp_path / "graph.svg")


def test_reverse_pass_needs_a_loss(tmp_path):
    x = gn.Input((None, 2), name="x")
    with pytest.raises(GraphError, match=r"starts at a float scalar.*relu float32 \(None, 2\)"):
        render(gn.relu(x), tmp_path / "graph.svg")
    render(gn.relu(x), tmp_path / "graph.svg", "forward")


def test_reverse_pass_needs_something_to_differentiate_by(tmp_path):
    x = gn.Input((3,), "int64", name="x")
    with pytest.raises(GraphError, match=r"no trainable parameter and on no float input"):
        render(gn.mean(gn.cast(x, "float32")), tmp_path / "graph.svg")


def test_missing_program(tmp_path, monkeypatch):
    monkeypatch.setattr(static, "_candidates", lambda: iter([None]))
    with pytest.raises(GraphError, match=r"pip install graphviz-pure; or write a \.dot file"):
        render(tiny()["loss"], tmp_path / "graph.svg")


def test_program_that_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(static, "_candidates", lambda: iter([sys.executable]))
    with pytest.raises(GraphError, match="could not draw the graph: "):
        render(tiny()["loss"], tmp_path / "graph.svg")
    assert not os.listdir(tmp_path)


def test_graphs_without_ops(tmp_path):
    render(gn.Input((None, 2), name="x"), tmp_path / "input.svg", "forward")
    render(gn.Constant(1.0), tmp_path / "constant.svg", "forward")
    ET.parse(tmp_path / "constant.svg")
