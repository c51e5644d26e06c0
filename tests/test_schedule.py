"""One order for everything: random graphs against the oracle, barriers, memory, updates, the table."""

from __future__ import annotations

import ctypes
import itertools
import re
from collections.abc import Sequence
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import graphnn as gn
from graphnn.backends import reference
from graphnn.backends.cpu import blas, executor
from graphnn.backends.cpu.binding import Bound, address_of
from graphnn.barriers import overlaps
from graphnn.errors import GraphError, PlanError, ShapeError
from graphnn.fusion import fuse, root
from graphnn.graph import needed
from graphnn.memory import ALIGNMENT
from graphnn.node import Constant, Input, Parameter, Size
from graphnn.plan import Plan, readable_bytes, readable_count
from graphnn.schedule import dependencies, schedule, step_of
from graphnn.spec import broadcast_shapes, divide, evaluate

LANES = 3


@pytest.fixture(autouse=True, scope="module")
def _three_lanes():
    """However small: three lanes, on as many threads as a test sets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(executor, "SPLIT_SECONDS", -1.0)
        patch.setattr(executor, "THREAD_SECONDS", -1.0)
        patch.setattr(executor, "machine_lanes", lambda: LANES)
        yield


# ------------------------------------------------------------------------------ random graphs

PARAMETERS = [(4, 4), (3, 4), (4,), (4,)]


class Program:
    """Inputs, parameters, outputs and updates of a random function, and values for them."""

    def __init__(self, steps, picks, outputs: int, trained: bool = False, seed: int = 5) -> None:
        self.rng = np.random.default_rng(seed)
        self.inputs = [
            gn.Input((None, 4), "float64", name="x"),
            gn.Input((4,), "float64", name="v"),
        ]
        self.parameters = [
            gn.Parameter(self.rng.uniform(-1, 1, shape), name=f"p{i}")
            for i, shape in enumerate(PARAMETERS)
        ]
        self.first = [p.value.copy() for p in self.parameters]
        nodes: list[gn.Node] = [*self.parameters, *self.inputs]
        for kind, i, j in steps:
            a = nodes[-1 - i % len(nodes)]
            fitting = [b for b in nodes if fits(kind, a, b)]
            if fitting:
                nodes.append(grown(kind, a, fitting[-1 - j % len(fitting)], j))
        if trained:  # gradients are new values like others
            loss = gn.mean(gn.tanh(nodes[-1]))
            reached = [p for p in self.parameters if p in needed([loss])]
            nodes += [*gn.grad(loss, reached), loss]
        self.outputs = [nodes[-1], *(nodes[i % len(nodes)] for i in range(outputs))]
        self.updates = []
        for parameter, pick in zip(self.parameters, picks, strict=True):
            new = new_value(parameter, nodes, pick)
            if new is not None:
                self.updates.append((parameter, new))
        self.function = gn.function(self.inputs, self.outputs, updates=self.updates)

    def arrays(self, batch: int) -> list[np.ndarray]:
        return [self.rng.uniform(-1, 1, (batch, 4)), self.rng.uniform(-1, 1, 4)]

    def reset(self) -> None:
        for parameter, value in zip(self.parameters, self.first, strict=True):
            parameter.value = value

    def state(self) -> list[np.ndarray]:
        return [p.value.copy() for p in self.parameters]

    def expected(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Outputs and all parameters after a call, all from the old values."""
        given = dict(zip(self.inputs, arrays, strict=True))
        new = dict(self.updates)
        nodes = [*self.outputs, *(new.get(p, p) for p in self.parameters)]
        return reference.evaluate(nodes, given)


def fits(kind: str, a: gn.Node, b: gn.Node) -> bool:
    """Whether an op of a kind takes a node (and another)."""
    if kind == "join":
        return broadcast_shapes(a.spec.shape, b.spec.shape) is not None
    if kind == "matmul":
        return a.ndim == b.ndim == 2 and a.spec.shape[1] == b.spec.shape[0]
    if kind == "matmul of a transpose":
        return a.ndim == b.ndim == 2 and a.spec.shape[0] == b.spec.shape[0]
    return a.ndim > 0 and (kind != "reshape" or divide(a.spec.size, 4) is not None)


def grown(kind: str, a: gn.Node, b: gn.Node, number: int) -> gn.Node:
    if kind == "join":
        return a * b if number % 2 else gn.tanh(a + b)
    if kind == "matmul":
        return a @ b / 4.0
    if kind == "matmul of a transpose":
        return gn.tanh(gn.transpose(a) @ b)
    if kind == "reduce":
        name = ("sum", "mean", "max")[number % 3]
        axis = None if number % 5 == 0 else number % a.ndim
        return gn.tanh(getattr(gn, name)(a, axis, keepdims=number % 2 == 0))
    if kind == "reshape":
        return gn.reshape(a, (divide(a.spec.size, 4), 4) if number % 2 else (-1,))
    return gn.transpose(a) if kind == "transpose" else gn.softmax(a)


def new_value(parameter, nodes, pick: int) -> gn.Node | None:
    """A node of the parameter's own shape: maybe another parameter, maybe its own transpose."""
    if pick == 0:
        return None
    fitting = [node for node in nodes if node.spec == parameter.spec]
    if pick % 2:
        return fitting[pick % len(fitting)]
    return parameter * 0.5 + fitting[pick % len(fitting)]


KINDS = ["join", "matmul", "matmul of a transpose", "reduce", "transpose", "reshape", "softmax"]
programs = st.builds(
    Program,
    steps=st.lists(
        st.tuples(st.sampled_from(KINDS), st.integers(0, 5), st.integers(0, 9)),
        min_size=4,
        max_size=12,
    ),
    picks=st.tuples(*[st.integers(0, 9)] * len(PARAMETERS)),
    outputs=st.integers(0, 2),
    trained=st.booleans(),
)


def on_an_arena(program: Program, plan: Plan, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Run a plan's steps with NumPy, each value where the plan puts it: order and places alone."""
    arena = np.full(plan.layout.nbytes, 0xAB, np.uint8)
    offsets = plan.layout.offsets
    where = {
        node: target
        for step in plan.steps
        for node, target in zip(step.group.outputs, step.targets, strict=True)
    }

    def place(node: gn.Node) -> np.ndarray:
        source = where.get(root(node), root(node))
        shape = node.spec.concrete(plan.sizes)
        if isinstance(source, Parameter):
            return source.value.reshape(shape)
        if isinstance(source, Input):
            return np.asarray(arrays[program.inputs.index(source)]).reshape(shape)
        if isinstance(source, Constant):
            return source.array.reshape(shape)
        if isinstance(source, Size):
            return np.array(evaluate(source.dim, plan.sizes), source.dtype)
        start = offsets[source]
        stop = start + evaluate(source.spec.nbytes, plan.sizes)
        return arena[start:stop].view(source.dtype).reshape(shape)

    for step in plan.steps:
        given = {value: place(value).copy() for value in step.group.inputs}
        for node, made in zip(
            step.group.outputs,
            reference.evaluate(list(step.group.outputs), given, plan.sizes),
            strict=True,
        ):
            place(node)[...] = made
    results = [place(program.function.result(i)).copy() for i in range(len(program.outputs))]
    return [*results, *program.state()]


@settings(max_examples=150)
@given(programs, st.sampled_from([1, 2, 5]))
def test_order_and_places_suffice(program, batch):
    """Each step after its inputs, no live value overwritten, updates after the last reader."""
    arrays = program.arrays(batch)
    plan = program.function.plan_for({"N": batch})
    plan.check()
    assert not overlaps(plan.layout)
    expected = program.expected(arrays)
    for found, wanted in zip(on_an_arena(program, plan, arrays), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)


@settings(max_examples=150)
@given(programs)
def test_every_barrier_is_needed(program):
    """Without any one of them, check() finds the race."""
    plan = program.function.plan_for({"N": 6})
    barriers = plan.layout.barriers
    for i, wait in enumerate(barriers):
        if wait:
            fewer = replace(plan.layout, barriers=(*barriers[:i], False, *barriers[i + 1 :]))
            with pytest.raises(PlanError, match=f"step {i} meets the work of other threads"):
                replace(plan, layout=fewer).check()


@settings(max_examples=100)
@given(programs)
def test_the_order_keeps_to_the_dependencies(program):
    plan = program.function.plan
    graph = dependencies(plan.steps)
    assert nx.is_directed_acyclic_graph(graph)
    assert all(before < after for before, after in graph.edges)


def run_lanes(bound: Bound, arrays, function, order: Sequence[int]) -> None:
    """Run a bound plan's kernels, each lane as far as the next barrier before another one starts."""
    for node, array in zip(function.inputs, arrays, strict=True):
        if node in bound.inputs:
            bound.give(*bound.inputs[node], address_of(array))
    call = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)
    rows = [tuple(map(int, row)) for row in bound.table[: 4 * bound.rows].reshape(-1, 4)]
    segments: list[list[tuple[int, ...]]] = [[]]
    for row in rows:
        if row[3]:
            segments.append([])
        segments[-1].append(row)
    with blas.single_threaded():
        for segment in segments:
            for lane in order:
                for kernel, data, meta, _ in segment:
                    call(kernel)(data, meta, lane, LANES)


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(programs, st.sampled_from([1, 2, 5, 7]))
def test_the_compiled_function(program, batch):
    """Kernels = oracle; the same bits on 1, 2, 3 threads and in the worst orders of lanes."""
    arrays = program.arrays(batch)
    function = program.function
    program.reset()
    expected = program.expected(arrays)

    def call() -> list[np.ndarray]:
        program.reset()
        return [*function(*arrays), *program.state()]

    gn.set_num_threads(1)
    alone = call()
    for found, wanted in zip(alone, expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)
    for threads in (2, 3):
        gn.set_num_threads(threads)
        assert [a.tobytes() for a in call()] == [a.tobytes() for a in alone]
    bound = function.bind({"N": batch})
    assert bound.plan.lanes == LANES
    for order in itertools.permutations(range(LANES)):
        program.reset()
        run_lanes(bound, arrays, function, order)
        found = [
            function.read(function.result(i), bound, arrays) for i in range(len(program.outputs))
        ]
        for one, other in zip([*found, *program.state()], alone, strict=True):
            assert one.tobytes() == other.tobytes(), f"lanes in the order {order}"


def two(op):
    return lambda x, y: op(gn.exp(x), gn.exp(y))


def labels(y):
    return gn.cast(gn.max(gn.softmax(y), 1) * 5.0, "int64")


FORMS = {
    "rows after rows": two(lambda a, b: gn.softmax(a) + b),
    "product": two(lambda a, b: a @ gn.transpose(b)),
    "product with a transpose": two(lambda a, b: gn.transpose(a) @ b),
    "both transposed": two(lambda a, b: gn.transpose(a) @ gn.transpose(b)),
    "a product with itself": two(lambda a, b: a @ a),
    "product of batches": two(lambda a, b: gn.reshape(a, (3, 2, 6)) @ gn.reshape(b, (3, 6, 2))),
    "batches by one matrix": two(lambda a, b: gn.reshape(a, (3, 2, 6)) @ b),
    "a batch of one": two(lambda a, b: gn.reshape(a, (1, 6, 6)) @ b),
    "transpose": two(lambda a, b: gn.transpose(a) * gn.transpose(b)),
    "transpose of batches": two(lambda a, b: gn.transpose(gn.reshape(a, (2, 3, 6)), (0, 2, 1))),
    "transpose by the second axis": two(
        lambda a, b: gn.transpose(gn.softmax(gn.reshape(a, (1, 6, 6))), (0, 2, 1))
    ),
    "sums of rows": two(lambda a, b: gn.softmax(a + gn.sum(b, 1, keepdims=True))),
    "sums of columns": two(lambda a, b: gn.softmax(a) + gn.sum(gn.softmax(b), 0)),
    "sum of all": two(lambda a, b: a / gn.sum(gn.softmax(b))),
    "middle of three": two(lambda a, b: gn.max(gn.softmax(gn.reshape(a, (2, 3, 6))), 1)),
    "first of three": two(lambda a, b: gn.max(gn.softmax(gn.reshape(a, (2, 3, 6))), 0)),
    "one row": two(lambda a, b: gn.softmax(gn.reshape(a, (1, 36))) * 2.0),
    "rows of one": two(lambda a, b: gn.softmax(gn.reshape(a, (36, 1))) * 2.0),
    "a computed bias": two(lambda a, b: gn.softmax(a) + gn.softmax(gn.max(b, 0))),
    "a computed column": two(lambda a, b: gn.softmax(a) * gn.mean(gn.softmax(b), 1, keepdims=True)),
    "other rows by a reshape": two(lambda a, b: gn.softmax(gn.reshape(gn.softmax(a), (12, 3)))),
    "flat": two(lambda a, b: gn.softmax(gn.reshape(a, (36,))) + gn.reshape(gn.softmax(b), (36,))),
    "labels": lambda x, y: gn.cross_entropy(gn.softmax(x) * 1.0, labels(y), reduction="none"),
    "derivative": lambda x, y: gn.grad(gn.cross_entropy(gn.softmax(x) * 1.0, labels(y)), x),
    "accuracy": lambda x, y: gn.accuracy(gn.softmax(x), labels(y)),
    "one_hot": lambda x, y: gn.one_hot(labels(x), 4, "float64"),
    "dropout": two(lambda a, b: gn.dropout(gn.softmax(a)) + gn.dropout(gn.transpose(b))),
}


@pytest.mark.parametrize("form", FORMS)
def test_what_each_form_of_kernel_reads(form, rng):
    """A kernel that reads more of its input than its own part waits for the other lanes."""
    x, y = gn.Input((6, 6), "float64", name="x"), gn.Input((6, 6), "float64", name="y")
    arrays = [rng.uniform(-1, 1, (6, 6)) for _ in range(2)]
    node = FORMS[form](x, y)
    gn.set_seed(1)
    wanted = reference.evaluate(node, dict(zip([x, y], arrays, strict=True)))
    function = gn.function([x, y], [node, gn.softmax(gn.reshape(node, (-1,)))], training=True)
    function.plan.check()
    bound = function.bind({})
    found = set()
    for order in itertools.permutations(range(LANES)):
        gn.set_seed(1)
        function._memory.arena[:] = 0xAB
        run_lanes(bound, arrays, function, order)
        results = [function.read(function.result(i), bound, arrays) for i in (0, 1)]
        np.testing.assert_allclose(results[0], wanted, rtol=1e-9, atol=1e-12)
        found.add(tuple(result.tobytes() for result in results))
    assert len(found) == 1


def test_the_order_of_lanes_shows_a_missing_barrier():
    """That the test above can fail: a kernel that reads what other lanes have not written yet."""
    x = gn.Input((6, 4), "float64", name="x")
    function = gn.function([x], gn.transpose(gn.exp(x)))
    bound = function.bind({})
    array = np.random.default_rng(0).standard_normal((6, 4))
    run_lanes(bound, [array], function, (2, 1, 0))
    np.testing.assert_allclose(function.read(function.result(0), bound), np.exp(array).T)
    assert bound.table[4 + 3] == 1
    bound.table[4 + 3] = 0
    function._memory.arena[:] = 0
    run_lanes(bound, [array], function, (2, 1, 0))
    assert not np.allclose(function.read(function.result(0), bound), np.exp(array).T)


def test_calls_follow_one_another():
    """The second call starts from what the first has left."""
    program = Program(
        [("join", 0, 1), ("matmul", 5, 5), ("tanh", 0, 0), ("reduce", 0, 5)], (2, 4, 6, 3), 1
    )
    for batch in (3, 5, 3):
        arrays = program.arrays(batch)
        expected = program.expected(arrays)
        found = [*program.function(*arrays), *program.state()]
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9)


# ------------------------------------------------------------------------------------ updates


def parameters(*values) -> list[gn.Parameter]:
    return [gn.Parameter(np.array(v, np.float64), name=f"p{i}") for i, v in enumerate(values)]


def updated(pairs, outputs=(), times: int = 1) -> list[np.ndarray]:
    function = gn.function([], list(outputs), updates=pairs)
    function.plan.check()
    results = [function() for _ in range(times)]
    return results[-1]


@pytest.fixture(params=[1, 2, 3], ids=lambda n: f"{n} threads")
def threads(request):
    gn.set_num_threads(request.param)


def test_a_swap(threads):
    a, b = parameters([1, 2], [3, 4])
    updated([(a, b), (b, a)])
    assert (a.value.tolist(), b.value.tolist()) == ([3, 4], [1, 2])


def test_a_ring_of_three(threads):
    a, b, c = parameters([1, 2], [3, 4], [5, 6])
    updated([(a, b), (b, c), (c, a)])
    assert [p.value.tolist() for p in (a, b, c)] == [[3, 4], [5, 6], [1, 2]]


def test_updates_that_read_each_other(threads):
    a, b = parameters([1, 2], [3, 4])
    updated([(a, a + gn.sum(b)), (b, b * gn.sum(a))])
    assert (a.value.tolist(), b.value.tolist()) == ([8, 9], [9, 12])


def test_elementwise_updates_that_read_each_other(threads):
    """They may fuse into one kernel: all loads of an element come before its stores."""
    n = 1000
    a, b = parameters(np.arange(n), np.arange(n)[::-1])
    updated([(a, a + b), (b, a - b)])
    np.testing.assert_array_equal(a.value, np.full(n, n - 1))
    np.testing.assert_array_equal(b.value, 2 * np.arange(n) - (n - 1))


def test_a_product_of_itself(threads):
    (a,) = parameters([[1, 2], [3, 4]])
    updated([(a, a @ a)])
    assert a.value.tolist() == [[7, 10], [15, 22]]


@pytest.mark.parametrize("shape", [(3, 3), (40, 40)])
def test_its_own_transpose_softmax_and_sums(shape, threads, rng):
    start = rng.standard_normal(shape)
    for update, expected in [
        (gn.transpose, start.T),
        (lambda p: gn.softmax(p), np.exp(start) / np.exp(start).sum(1, keepdims=True)),
        (lambda p: p - gn.mean(p, 0), start - start.mean(0)),
        (lambda p: p + gn.transpose(p), start + start.T),
        (lambda p: gn.reshape(gn.transpose(p), shape) * p, start.T * start),
    ]:
        (a,) = parameters(start)
        updated([(a, update(a))])
        np.testing.assert_allclose(a.value, expected, rtol=1e-12)


def test_a_reshape_of_another_parameter(threads):
    a, b = parameters([[1, 2], [3, 4]], [0, 0, 0, 0])
    updated([(b, gn.reshape(a, (4,))), (a, a * 2.0)])
    assert b.value.tolist() == [1, 2, 3, 4]
    assert a.value.tolist() == [[2, 4], [6, 8]]


def test_one_new_value_for_two_parameters(threads):
    a, b = parameters([1, 2], [3, 4])
    total = a + b
    (result,) = updated([(a, total), (b, total)], [total])
    assert a.value.tolist() == b.value.tolist() == result.tolist() == [4, 6]
    total = a + b
    updated([(a, total), (b, gn.reshape(gn.reshape(total, (2, 1)), (2,)))])
    assert a.value.tolist() == b.value.tolist() == [8, 12]


def test_values_that_are_given(threads):
    (a,) = parameters([1, 2])
    x = gn.Input((2,), "float64", name="x")
    updated([(a, gn.Constant(np.array([7.0, 8.0])))])
    assert a.value.tolist() == [7, 8]
    gn.function([x], [], updates=[(a, x)])([5, 6])
    assert a.value.tolist() == [5, 6]
    updated([(a, a)])
    assert a.value.tolist() == [5, 6]


def test_what_is_returned_is_computed_from_old_values(threads):
    """Also where the parameter itself is returned, or another view of it."""
    (a,) = parameters([1, 2])
    results = updated([(a, a * 10.0)], [a, a + 0.5, gn.reshape(a, (2, 1)), gn.sum(a)])
    assert [r.tolist() for r in results] == [[1, 2], [1.5, 2.5], [[1], [2]], 3]
    assert a.value.tolist() == [10, 20]


def test_a_new_value_that_is_returned_and_read_on(threads):
    (a,) = parameters([1, 2])
    new = a * 10.0
    results = updated([(a, new)], [new, new + 1.0, gn.sum(new)])
    assert [r.tolist() for r in results] == [[10, 20], [11, 21], 30]


def test_a_scalar_that_counts(threads):
    (a,) = parameters(0)
    assert updated([(a, a + 1.0)], [a * 1.0], times=5)[0] == 4
    assert a.value == 5


def test_updates_are_a_mapping_or_pairs():
    a, b = parameters([1, 2], [3, 4])
    gn.function([], [], updates={a: b})()
    gn.function([], [], updates=((p, p * 2.0) for p in (a, b)))()
    assert a.value.tolist() == [6, 8]


def test_impossible_updates():
    (a,) = parameters([1, 2])
    x = gn.Input((2,), "float64", name="x")
    with pytest.raises(GraphError, match=r"an update is a pair \(Parameter, Node\); got \(<x"):
        gn.function([x], [], updates=[(x, x)])
    with pytest.raises(GraphError, match="p0 is updated twice; declared at test_schedule.py"):
        gn.function([], [], updates=[(a, a), (a, a * 2.0)])
    with pytest.raises(
        ShapeError, match=r"the update of p0 must be float64 \(2,\); got float64 \(\)"
    ):
        gn.function([], [], updates=[(a, gn.sum(a))])


# ------------------------------------------------------------------------------------- memory


def test_the_arena_is_smaller_than_all_buffers():
    x = gn.Input((None, 64), name="x")
    h = x
    for _ in range(20):
        h = gn.softmax(gn.tanh(h))
    function = gn.function([x], gn.sum(h))
    plan = function.plan_for({"N": 100})
    layout = plan.layout
    one = 100 * 64 * 4
    assert plan.memory.total >= 40 * one
    assert plan.memory.peak <= 3 * one + ALIGNMENT
    assert layout.nbytes == max(buffer.end + -buffer.end % ALIGNMENT for buffer in layout.buffers)
    assert all(buffer.offset % ALIGNMENT == 0 for buffer in layout.buffers)
    assert "saved" in str(function.memory)


def test_elementwise_steps_write_over_their_inputs():
    x = gn.Input((None, 8), name="x")
    h = gn.exp(gn.softmax(x))
    plan = gn.function([x], gn.softmax(h)).plan
    step = next(step for step in plan.steps if step.group.name == "exp")
    (over,) = step.over
    assert over.op.name == "softmax"
    assert plan.layout.offsets[h] == plan.layout.offsets[over]


def test_gradients_lie_together_at_the_front():
    x = gn.Input((None, 8), name="x")
    W, b = gn.Parameter(np.ones((8, 5), np.float32)), gn.Parameter(np.ones(5, np.float32))
    loss = gn.mean(gn.square(gn.tanh(x @ W + b)))
    gradients = gn.grad(loss, [W, b])
    updates = [(p, p - 0.1 * g) for p, g in zip([W, b], gradients, strict=True)]
    layout = gn.function([x], loss, updates=updates).plan.layout
    front = [buffer for buffer in layout.buffers if buffer.offset < layout.gradient_bytes]
    assert layout.gradient_bytes == 192 + 64  # 8 · 5 and 5 floats, each rounded up to 64 bytes
    assert {node.spec.shape for buffer in front for node in buffer.nodes} == {(8, 5), (5,)}


def test_check_finds_values_that_overlap():
    x = gn.Input((4, 8), name="x")
    plan = gn.function([x], [gn.softmax(x), gn.log_softmax(x)]).plan
    moved = tuple(replace(buffer, offset=0) for buffer in plan.layout.buffers)
    with pytest.raises(PlanError, match="softmax and log_softmax share memory while alive"):
        replace(plan, layout=replace(plan.layout, buffers=moved)).check()


def test_check_finds_a_wrong_order():
    x = gn.Input((4, 8), name="x")
    plan = gn.function([x], gn.softmax(gn.softmax(gn.exp(x)))).plan
    with pytest.raises(PlanError, match="step 0 reads softmax before it is computed"):
        replace(plan, steps=plan.steps[::-1]).check()
    with pytest.raises(PlanError, match="step 1 computes exp again"):
        replace(plan, steps=(plan.steps[0], *plan.steps)).check()
    with pytest.raises(PlanError, match="no step computes softmax"):
        replace(plan, steps=plan.steps[:1]).check()


def test_check_finds_an_update_that_comes_too_early():
    (a,) = parameters([[1, 2], [3, 4]])
    plan = gn.function([], gn.max(gn.softmax(a)), updates=[(a, a * 2.0)]).plan
    late = next(i for i, step in enumerate(plan.steps) if a in step.targets)
    early = (plan.steps[late], *(s for i, s in enumerate(plan.steps) if i != late))
    with pytest.raises(PlanError, match="step 0 overwrites p0 before its last reader"):
        replace(plan, steps=early).check()


def test_a_cycle_of_steps_is_reported():
    """Two kernels that overwrite what the other one reads, both in place: no order exists."""
    a, b = parameters(np.ones((3, 3)), np.ones((3, 3)))
    new_a, new_b = gn.transpose(b), gn.transpose(a)
    groups = fuse([new_a, new_b])
    with pytest.raises(
        PlanError, match="no order exists in which these steps can run: transpose -> tr"
    ):
        schedule(groups, {new_a: a, new_b: b})
    assert dependencies([step_of(g, {new_a: a, new_b: b}) for g in groups]).number_of_edges() == 2


# ----------------------------------------------------------------------------------- the table


def classifier() -> gn.Function:
    x, y = gn.Input((None, 20), name="x"), gn.Input((None,), "int64", name="y")
    with gn.scope("hidden"):
        W = gn.Parameter(np.zeros((16, 20), np.float32), name="W")
        b = gn.Parameter(np.zeros(16, np.float32), name="b")
        h = gn.relu(x @ gn.transpose(W) + b)
    with gn.scope("out"):
        V = gn.Parameter(np.zeros((16, 10), np.float32), name="W")
    loss = gn.cross_entropy(h @ V, y)
    pairs = zip([W, b, V], gn.grad(loss, [W, b, V]), strict=True)
    return gn.function([x, y], loss, updates=[(p, p - 0.5 * g) for p, g in pairs])


def test_the_table(golden):
    plan = classifier().plan_for({"N": 32})
    plan.check()
    golden("plan.txt", str(plan))


def test_the_plan_shown_is_that_of_the_last_call():
    function = classifier()
    assert "N = 32 (a guess, until a call tells)" in str(function.plan)
    assert repr(function.plan).endswith("kernels; N = 32 (a guess, until a call tells)>")
    function(np.zeros((7, 20), np.float32), np.zeros(7, np.int64))
    assert "N = 7\n" in str(function.plan)
    assert repr(function.plan).endswith("kernels; N = 7>")
    assert function.memory == function.plan.memory


def test_the_table_is_at_most_120_wide():
    text = str(classifier().plan)
    assert max(map(len, text.splitlines())) <= 120
    x = gn.Input((None, 3), name="an_input_whose_name_is_long")
    with gn.scope("a_long_scope.of_many_parts"):
        deep = gn.exp(gn.softmax(x * 2.0, -1) @ np.ones((3, 3), np.float32))
    text = str(gn.function(x, deep).plan)
    assert max(map(len, text.splitlines())) <= 120
    assert "a_long_scope.of_many_parts.exp@" in text


def test_the_legend_explains_what_is_there():
    x = gn.Input((None, 3), name="x")
    text = str(gn.function(x, gn.sum(x)).plan)
    assert "h@3: h lies in slot 3 of the arena" in text
    assert "W!" not in text
    assert "96 FLOP, " in text
    assert "W!: W is overwritten; wait: all threads meet" in str(classifier().plan)


def test_updates_by_hand_are_the_update_pass():
    function = classifier()
    rows = function.plan.rows()
    assert {row[1] for row in rows if "!" in row[5]} == {"update"}
    assert {row[1] for row in rows} == {"forward", "backward", "update"}


def test_what_is_asked_for_is_no_update():
    w = gn.Parameter(np.ones(3, np.float32), name="w")
    loss = gn.sum(w * w)
    new = w - 0.1 * gn.grad(loss, w)
    function = gn.function([], new, updates=[(w, new)])
    assert {step.group.role for step in function.plan.steps if w in step.targets} <= {
        "forward", "update",
    }  # fmt: skip
    np.testing.assert_allclose(function(), np.full(3, 0.8), rtol=1e-6)
    np.testing.assert_allclose(w.value, np.full(3, 0.8), rtol=1e-6)


def test_the_source_of_a_kernel_by_name_and_of_none():
    plan = classifier().plan
    kernel = plan.kernels[2].name
    assert plan.source(kernel) == plan.source([k.name for k in plan.kernels].index(kernel))
    assert plan.source(-1) == plan.source(len(plan.steps) - 1)
    with pytest.raises(gn.GraphError, match=rf"the plan has {len(plan.steps)} steps, .*; got 99"):
        plan.source(99)
    with pytest.raises(gn.GraphError, match=r"no kernel 'add_rel'; it has .* mean 'add_relu'\?"):
        plan.source("add_rel")


def test_rows_of_the_table():
    plan = classifier().plan_for({"N": 32})
    rows = plan.rows()
    assert [row[0] for row in rows] == [str(i) for i in range(len(plan.steps))]
    assert {row[1] for row in rows} <= {"forward", "backward", "update"}
    assert [bool(row[8]) for row in rows] == list(plan.layout.barriers)
    product = next(i for i, row in enumerate(rows) if row[3] == "hidden.matmul")
    assert plan.flops(plan.steps[product].group) == 2 * 32 * 20 * 16
    assert plan.nbytes(plan.steps[product].group) == 4 * (32 * 20 + 20 * 16 + 32 * 16)


def test_the_source_of_each_step():
    """Python that compiles, below the equations that it computes."""
    plan = classifier().plan_for({"N": 32})
    for i, (step, kernel) in enumerate(zip(plan.steps, plan.kernels, strict=True)):
        text = plan.source(i)
        compile(text, f"<step {i}>", "exec")
        equations = re.findall(r"^# (\S+) = (\w+)\(", text, re.MULTILINE)
        names = plan.graph.names()
        assert equations == [(names[node], node.op.name) for node in step.group.nodes]
        assert f"def {kernel.name}(data, meta, lane, lanes):" in text
        assert max(map(len, text.splitlines())) < 120


def test_the_schedule_is_the_same_every_time():
    one, other = classifier().plan, classifier().plan
    assert str(one) == str(other)
    assert [k.source for k in one.kernels] == [k.source for k in other.kernels]


def test_readable_numbers():
    assert [readable_bytes(n) for n in (0, 1023, 1536, 5 << 20, 3 << 30)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "5.0 MiB",
        "3.0 GiB",
    ]
    assert [readable_count(n) for n in (7, 1500, 51_380_224, 2.5e9)] == [
        "7",
        "1.5 k",
        "51.4 M",
        "2.5 G",
    ]
