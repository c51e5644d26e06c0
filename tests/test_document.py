"""The document of a graph: whole, true to the plan, the same bytes on every run."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, optim
from graphnn.errors import GraphError
from graphnn.pairing import pairs_of
from graphnn.render.document import VERSION, document_of
from graphnn.render.document.whole import dumped, loaded


def parameter(*shape, name=None):
    return gn.Parameter(np.zeros(shape, np.float32), name=name)


def mlp():
    x = gn.Input((None, 8), name="x")
    y = gn.Input((None,), dtype="int64", name="y")
    net = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 3))
    loss = gn.cross_entropy(net(x), y)
    return gn.function([x, y], loss, optim.Adam().updates(loss, net.parameters()))


def shared():
    x, w = gn.Input((None, 4), name="x"), parameter(4, 4, name="W")
    loss = gn.mean(gn.tanh(gn.tanh(x @ w) @ w) @ w)
    return gn.function(x, [loss, gn.grad(loss, w)])


def lstm():
    x = gn.Input((None, 5, 3), name="x")
    out, _ = nn.LSTM(3, 4, batch_first=True)(x)
    loss = gn.mean(gn.square(out))
    return gn.function(x, [loss, *gn.grad(loss, gn.Graph(loss).parameters)])


def normed():
    x = gn.Input((None, 4), name="x")
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    loss = gn.mean(gn.square(net(x)))
    return gn.function(x, loss, optim.SGD(0.1, momentum=0.9).updates(loss, net.parameters()))


def second_derivative():
    x = gn.Input((), name="x")
    f = gn.sin(x) * x
    return [f, gn.grad(gn.grad(f, x), x)]


MADE = {f.__name__: f for f in (mlp, shared, lstm, normed, second_derivative)}
every = pytest.mark.parametrize("make", MADE.values(), ids=MADE)


def named(document):
    return {node.name: node for node in document.graph.nodes}


def levels(level):
    yield level
    for loop in level.loops:
        yield from levels(loop.body)


@every
def test_goes_to_json_and_back(make):
    document = document_of(make())
    text = dumped(document)
    assert loaded(text) == document
    plain = json.loads(text)
    assert (plain["format"], plain["version"]) == ("graphnn", VERSION)
    assert not [line for line in text.split('"') if " at 0x" in line or os.getcwd() in line]


@every
def test_every_reference_leads_somewhere(make):
    document = document_of(make())
    known = {node.id for level in levels(document.graph) for node in level.nodes}
    for level in levels(document.graph):
        own = {node.id for node in level.nodes}
        for node in level.nodes:
            assert set(node.inputs) <= own
            ends = {node.forward_of, node.view_of, node.home, *(g.node for g in node.gradient_of)}
            assert ends - {None} <= known
            assert node.op in document.ops
        for edge in level.edges:
            assert {edge.source, edge.target} <= own
        for step in level.steps:
            assert {*step.nodes, *step.inputs, *step.outputs} <= own
            assert (step.kernel is None) == (step.loop is not None)
            assert step.kernel is None or step.kernel in document.kernels
        for buffer in level.memory.buffers:
            assert set(buffer.nodes) <= own
            assert 0 <= buffer.offset <= buffer.offset + buffer.bytes <= level.memory.arena


@every
def test_schedule_is_that_of_the_plan(make):
    target = make()
    function = (
        target if isinstance(target, gn.Function) else gn.function(target[0].inputs[1], target)
    )
    document = document_of(function)
    steps = [step for level in levels(document.graph) for step in level.steps]
    rows = {row[0]: row for row in function.plan.rows()}
    assert {step.number for step in steps} == set(rows)
    for step in steps:
        assert (step.pass_, step.name, "wait" * step.wait) == (
            *rows[step.number][1:3],
            rows[step.number][-1],
        )
        assert step.kernel is None or document.kernels[step.kernel].source in function.plan.source(
            step.number
        )
    assert document.graph.memory.arena == function.memory.peak
    assert sum(step.flops for step in document.graph.steps) == function.plan.work[0]
    made = [
        node.step for level in levels(document.graph) for node in level.nodes if node.kind == "op"
    ]
    assert set(made) <= set(rows)


def test_gradients_know_their_values():
    document = document_of(mlp())
    names = {node.id: node.name for node in document.graph.nodes}
    of = {n.name: [names[g.node] for g in n.gradient_of if g.whole] for n in document.graph.nodes}
    assert of["0.d_matmul"] == ["0.weight"]
    assert of["0.d_sum"] == ["0.bias"]
    assert of["1.relu_backward"] == ["0.add", "0.matmul"]
    assert of["cross_entropy_backward"] == ["3.add", "3.matmul"]
    assert [names[loss] for loss in document.losses] == ["loss"]
    assert {g.loss for node in document.graph.nodes for g in node.gradient_of} == set(
        document.losses
    )


@every
def test_what_is_called_a_gradient_is_one(make):
    """Each whole gradient has the shape of its value."""
    document = document_of(make())
    for level in levels(document.graph):
        by_id = {node.id: node for other in levels(document.graph) for node in other.nodes}
        for node in level.nodes:
            for one in node.gradient_of:
                if one.whole and document.ops[node.op].form != "Loop":
                    assert np.prod(node.dims) <= np.prod(by_id[one.node].dims)


def test_declared_pairs():
    x = gn.Input((3,), name="x")
    y = gn.exp(x)
    dx, dy = gn.grad(gn.sum(y * y), [x, y])
    assert [(p.value, p.whole) for p in pairs_of(dx)] == [(x, True)]
    assert y in [pair.value for pair in pairs_of(dy)]


def test_sums_name_their_terms():
    document = document_of(shared())
    (one,) = document.graph.sums
    by_id = {node.id: node for node in document.graph.nodes}
    assert len(one.terms) == 3
    assert len(one.nodes) == 2
    assert one.of is not None
    assert by_id[one.of].name == "W"
    assert {by_id[term].op for term in one.terms} == {"matmul"}
    assert all(not g.whole for term in one.terms for g in by_id[term].gradient_of)


def test_updates_and_their_state():
    document = document_of(normed())
    names = {node.id: node.name for node in document.graph.nodes}
    found = {names[update.parameter]: update for update in document.updates}
    weight = found["0.weight"]
    assert [names[one] for one in weight.gradients] == ["0.d_matmul"]
    assert [names[one] for one in weight.state] == ["lr", "0.weight.momentum"]
    assert weight.within is None
    inner = [update for update in document.updates if update.within == weight.parameter]
    assert [names[update.parameter] for update in inner] == ["0.weight.momentum"]
    assert "1.running_mean" in found
    writes = {(e.source, e.target) for e in document.graph.edges if e.kind == "write"}
    assert {(update.new, update.parameter) for update in document.updates} == writes


def test_saved_values_live_until_they_are_read():
    document = document_of(mlp())
    names = {node.id: node.name for node in document.graph.nodes}
    saved = {names[one.node]: one for one in document.graph.saved}
    assert "1.relu" in saved
    assert "x" not in saved
    for one in saved.values():
        assert int(one.first) < int(one.last)
        (node,) = [node for node in document.graph.nodes if node.id == one.node]
        buffer = document.graph.memory.buffers[node.slot] if node.slot is not None else None
        assert buffer is None or buffer.first <= int(one.first) <= int(one.last) <= buffer.last


def test_loops_are_nested():
    document = document_of(lstm())
    forward, backward = document.graph.loops
    assert (forward.length, forward.reverse, backward.reverse) == (5, False, True)
    assert {carry.slot.split("/")[0] for carry in forward.carries} == {forward.node}
    by_id = {n.id: n for level in levels(document.graph) for n in level.nodes}
    inside = {n.id for n in forward.body.nodes}
    reverse = [n for n in backward.body.nodes if n.gradient_of]
    assert any(g.node in inside for n in reverse for g in n.gradient_of)
    for stacked in forward.stacks:
        assert by_id[stacked.part].kind in ("part", "view")
        assert by_id[stacked.part].dims == (5, *by_id[stacked.node].dims)


def test_stopped_gradients_are_cuts():
    x = gn.Input((2,), name="x")
    y = gn.sum(x * gn.stop_gradient(gn.exp(x)))
    document = document_of([y, gn.grad(y, x)])
    (cut,) = document.cuts
    names = {node.id: node.name for node in document.graph.nodes}
    assert (names[cut.value], [names[one] for one in cut.readers]) == ("exp", ["multiply"])
    assert cut.at.file.endswith("test_document.py")


def test_texts_of_ops_and_lines():
    document = document_of(mlp())
    assert document.ops["relu"].gradient == ("∂x0 = 0 if y <= 0 else dy",)
    assert "def relu" in document.ops["relu"].source
    assert "def " in document.ops["matmul"].source
    relu = named(document)["1.relu"]
    assert os.path.basename(relu.at.file) == "test_document.py"
    assert relu.layer == "ReLU"
    assert named(document)["1.relu_backward"].at == relu.at
    assert ("1", "ReLU") in [(scope.path, scope.layer) for scope in document.scopes]


def test_targets_and_reverse():
    x, w = gn.Input((None, 2), name="x"), parameter(2, 1, name="w")
    loss = gn.mean(x @ w)
    assert gn.Graph(loss).to_json() == gn.to_json(loss) == gn.to_json([loss])
    assert gn.function(x, loss).to_json() == gn.to_json(loss)
    assert document_of(loss).passes == ("forward",)
    assert document_of(loss, reverse=True).passes == ("forward", "backward")
    model = gn.Model(x, nn.Linear(2, 1)(x))
    assert "matmul" in model.to_json()
    model.compile("sgd", loss="mse")
    assert model.to_json() == gn.to_json(model.training)
    assert "update" in json.loads(model.to_json())["passes"]


def test_describing_moves_no_parameter():
    w = parameter(2, 1, name="w")
    gn.to_json(gn.mean(gn.Input((None, 2)) @ w), reverse=True)
    assert not w.settled


@pytest.mark.parametrize("target", [3, "loss", None, True])
def test_other_targets(target):
    with pytest.raises(GraphError, match=r"take a node, several nodes, a gn\.Graph"):
        gn.to_json(target)


def test_same_bytes_in_every_process():
    code = "from test_document import *\nprint([gn.to_json(make()) for make in MADE.values()])"
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.path.dirname(__file__)
                 + os.pathsep + os.environ.get("PYTHONPATH", "")},
            capture_output=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(found) == 1


def test_unknown_fields_are_refused():
    with pytest.raises(GraphError, match="a Document of a document has no 'pages'"):
        loaded('{"pages": 1}')
