"""Slices that kernels read in place, concats that they write in place, and sums of pads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphnn as gn
from graphnn import fusion, walks
from graphnn.backends import reference
from graphnn.backends.cpu import compile as compiler
from graphnn.backends.cpu.kernels import kernel_of
from graphnn.fusion import fuse
from graphnn.graph import needed
from graphnn.node import apply, rebuilt
from graphnn.op import Gemm, Reduction, registry
from graphnn.parts import leading
from graphnn.passes import simplified, with_early_slices, with_joined_pads, without_new_axes
from graphnn.pieces import in_order
from graphnn.schedule import step_of
from graphnn.spec import BATCH, evaluate
from graphnn.testing import check_values


def kernels(outputs) -> list[list[str]]:
    """The ops of each kernel, after all passes."""
    return [[node.op.name for node in group.nodes] for group in fuse(simplified(outputs))]


def elementwise(outputs, role: str) -> list[list[str]]:
    """The kernels of a pass that are no product and no reduction."""
    groups = [group for group in fuse(simplified(outputs)) if group.role == role]
    others = Gemm | Reduction
    return [
        [n.op.name for n in g.nodes] for g in groups if not isinstance(g.last.op.kernel, others)
    ]


def values(nodes, seed: int = 0, n: int = 5) -> dict[gn.Node, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {x: rng.standard_normal(x.spec.concrete({"N": n})).astype(x.dtype) for x in nodes}


@pytest.fixture
def short_runs(monkeypatch):
    """Slices of any length are read in place."""
    monkeypatch.setattr(walks, "SHORTEST_RUN", 1)
    monkeypatch.setattr(walks, "LONG_RUN", 1)


# -------------------------------------------------------------------------------------- networks


def lstm(units: int, dtype: str = "float64"):
    """One step of an LSTM; its gates are the pieces of one sum of products."""
    x, h, c = (gn.Input((None, units), dtype, name=name) for name in "xhc")
    W, U = (gn.Input((units, 4 * units), dtype, name=name) for name in "WU")
    b = gn.Input((4 * units,), dtype, name="b")
    i, f, g, o = gn.split(x @ W + h @ U + b, 4, axis=-1)
    new = gn.sigmoid(f) * c + gn.sigmoid(i) * gn.tanh(g)
    return [x, h, c, W, U, b], [gn.sigmoid(o) * gn.tanh(new), new]


def gru(units: int):
    """One step of a GRU, with slices: two sums of products in three pieces each."""
    x, h = (gn.Input((None, units), "float64", name=name) for name in "xh")
    W, U = (gn.Input((units, 3 * units), "float64", name=name) for name in "WU")
    b, d = (gn.Input((3 * units,), "float64", name=name) for name in "bd")
    p, q = x @ W + b, h @ U + d
    r = gn.sigmoid(p[:, :units] + q[:, :units])
    z = gn.sigmoid(p[:, units : 2 * units] + q[:, units : 2 * units])
    n = gn.tanh(p[:, 2 * units :] + r * q[:, 2 * units :])
    return [x, h, W, U, b, d], [(1 - z) * n + z * h]


@pytest.mark.parametrize("cell", [lstm, gru])
def test_a_recurrent_step_is_one_kernel_forward_and_one_backward(cell):
    inputs, outputs = cell(32)
    total = gn.sum(gn.square(outputs[0])) + gn.sum(gn.sin(outputs[-1]))
    both = [*outputs, *gn.grad(total, inputs)]
    assert len(elementwise(outputs, "forward")) == 1
    backward = elementwise(both, "backward")
    # What the products give h is added to what it got before them.
    assert len([ops for ops in backward if ops != ["accumulate"]]) == 1
    assert {"slice", "concat", "pad"} & {op for ops in kernels(outputs) for op in ops} == {"slice"}
    for role in ("forward", "backward"):
        assert "pad" not in {op for ops in elementwise(both, role) for op in ops}
    check_values(both, values(inputs))


def test_a_gated_unit(short_runs):
    x = gn.Input((None, 8), "float64", name="x")
    y = gn.glu(x)
    assert kernels([y]) == [["slice", "sigmoid", "slice", "multiply"]] or len(kernels([y])) == 1
    dx = gn.grad(gn.sum(gn.sin(y)), x)
    assert [ops[-1] for ops in elementwise([y, dx], "backward")] == ["concat"]
    check_values([y, dx], values([x]))


@pytest.mark.parametrize("axis", [1, 2])
def test_the_gates_of_planes(axis, short_runs):
    x = gn.Input((None, 4, 6, 3), "float64", name="x")
    y = gn.glu(x, axis)
    check_values([y, gn.grad(gn.sum(gn.sin(y)), x)], values([x]))


def test_queries_keys_and_values():
    """Three pieces of one product with a bias: each is one kernel, and the gradient one concat."""
    x = gn.Input((None, 7, 32), "float64", name="x")
    W, b = gn.Input((32, 96), "float64", name="W"), gn.Input((96,), "float64", name="b")
    q, k, v = gn.split(x @ W + b, 3, axis=-1)
    y = gn.softmax(q @ gn.swapaxes(k, 1, 2)) @ v
    grads = gn.grad(gn.sum(gn.sin(y)), [x, W, b])
    assert [ops for ops in kernels([y]) if "add" in ops] == [["slice", "slice", "add"]] * 3
    ops = [op for ops in kernels([y, *grads]) for op in ops]
    assert "pad" not in ops
    assert ops.count("concat") == 1
    check_values([y, *grads], values([x, W, b], n=3))


def test_a_fused_step_gives_the_same_bits_on_any_number_of_threads(on_each_number_of_threads):
    inputs, outputs = lstm(32, "float32")
    total = gn.sum(gn.square(outputs[0])) + gn.sum(outputs[1])
    made = gn.function(inputs, [*outputs, *gn.grad(total, inputs)])
    arrays = list(values(inputs, n=17).values())
    made.plan_for({"N": 17}).check()
    on_each_number_of_threads(lambda: made(*arrays))


def test_the_loop_of_a_step_compares_no_addresses(monkeypatch, tmp_path):
    """It is vectors throughout: LLVM knows that what is stored is apart from what is loaded."""
    monkeypatch.setenv("GRAPHNN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(compiler, "_addresses", {})
    inputs, outputs = lstm(64, "float32")
    total = gn.sum(gn.square(outputs[0])) + gn.sum(outputs[1])
    plan = gn.function(inputs, [*outputs, *gn.grad(total, inputs)]).plan
    fused = [
        k for k, s in zip(plan.kernels, plan.steps, strict=True) if s.group.loads or s.group.stores
    ]
    assert len(fused) == 2
    for kernel in fused:
        compiler.kernel_address(kernel.source, kernel.name)
        text = compiler._libraries[-1]._library.get_llvm_str()
        assert " x float>" in text, "no vectors"
        assert "vector.memcheck" not in text, "addresses are compared"


# ------------------------------------------------------------------------------- what is loaded


def test_what_is_read_backwards_is_not_written_over(short_runs, many_lanes):
    x = gn.Input((6, 4), "float64", name="x")
    for axis in (0, 1, None):
        h = gn.exp(x) * gn.sum(x)
        outputs = [h + gn.flip(h, axis), gn.tanh(x) + gn.flip(gn.tanh(x), axis)]
        groups = fuse(outputs)
        assert any("slice" in [n.op.name for n in g.nodes][:-1] for g in groups)
        check_values(outputs, values([x]))
        once = gn.function(x, h + gn.flip(h, axis))  # h is read nowhere else
        once.plan.check()
        (array,) = values([x]).values()
        expected = np.exp(array) * array.sum()
        turned = np.flip(expected, axis)
        np.testing.assert_allclose(once(array), expected + turned, rtol=1e-12)


@pytest.mark.parametrize(
    "new",
    [
        lambda w: w + gn.flip(w),
        lambda w: gn.flip(w) * 2.0,
        lambda w: gn.concat([gn.exp(w[20:]), gn.tanh(w[:20])]),
        lambda w: gn.concat([gn.exp(gn.reshape(w, (2, 20))[1]), gn.tanh(w[:20])]),
        lambda w: gn.roll(w, 13) - w,
    ],
)
def test_a_parameter_is_not_moved_while_it_is_read_elsewhere(new, short_runs, many_lanes):
    w = gn.Parameter(np.linspace(-1, 1, 40), name="w")
    expected = reference.evaluate(new(w), {})
    step = gn.function([], [], updates=[(w, new(w))])
    step.plan.check()
    step()
    np.testing.assert_allclose(w.value, expected, rtol=1e-12)


def test_slices_of_slices_steps_and_empty_ones(short_runs):
    x = gn.Input((None, 12), "float64", name="x")
    outputs = [
        gn.tanh(x[:, 2:10])[:, 1:5] * 2.0,
        gn.sin(x[:, 2:10][:, 1:5][:, ::-1]) + x[:, 4:8],
        gn.sin(x[:, ::2]) * x[:, 1::2],
        gn.exp(x[:, 3:3]) + 1.0,
        gn.concat([gn.exp(x[:, 3:3]), gn.sin(x[:, 5:5])], 1),
        gn.exp(x[1:]) - x[:-1],
        gn.exp(x[::-1, 1:-1]) * x[:, 1:-1],
        gn.sum(gn.exp(x[:, 4:]), 1),
        gn.mean(x[:, 4:], 0),
        gn.max(x[:, 6:] * x[:, :6]),
        gn.sum(x[:, ::-1] * x),
    ]
    grads = [gn.grad(gn.sum(gn.sin(y)), x) for y in outputs]
    for n in (2, 5):
        check_values([*outputs, *grads], values([x], n=n))


def test_runs_that_are_no_whole_vectors_are_copied_for_long_formulas():
    x, y = gn.Input((None, 6), "float64", name="x"), gn.Input((None, 64), "float64", name="y")
    z = gn.Input((None, 66), "float64", name="z")
    assert kernels([gn.tanh(y[:, :32])]) == [["slice", "tanh"]]
    assert kernels([gn.tanh(z[:, :33])]) == [["slice"], ["tanh"]]
    assert kernels([z[:, :33] + 1.0]) == [["slice", "add"]]
    assert kernels([x[:, :3] + 1.0]) == [["slice"], ["add"]]
    assert kernels([gn.tanh(x[1:])]) == [["slice", "tanh"]]
    assert kernels([gn.tanh(y[:, ::2])]) == [["slice"], ["tanh"]]
    inputs, outputs = lstm(33)
    parts = [["slice", "slice", "slice", "add", "add"]] * 4
    assert [ops for ops in kernels(outputs) if "slice" in ops] == parts
    check_values(outputs, values(inputs))


def test_a_slice_that_others_read_is_stored_too(short_runs):
    x, W = gn.Input((4, 6), "float64", name="x"), gn.Input((3, 2), "float64", name="W")
    part = x[:, :3]
    outputs = [gn.tanh(part), part @ W]
    assert kernels(outputs) == [["slice", "tanh"], ["matmul"]]
    assert fuse(outputs)[0].outputs[0] is part
    check_values(outputs, values([x, W]))


def test_a_broadcast_slice_belongs_to_its_only_reader(short_runs):
    x, b = gn.Input((None, 4), "float64", name="x"), gn.Input((8,), "float64", name="b")
    assert kernels([x * b[4:]]) == [["slice", "multiply"]]
    other = gn.exp(b[4:])
    assert sorted(map(tuple, kernels([x * b[4:], other]))) == [("multiply",), ("slice", "exp")]
    check_values([x * b[4:], other, gn.exp(x) - b[:4]], values([x, b]))


@given(data=st.data())
def test_a_thread_reads_and_writes_only_the_parts_that_it_says(data):
    """Every element that part i of the work touches lies in part i of the value, where it says so."""
    shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    x = gn.Input(shape, "float64", name="x")
    cut = tuple(
        slice(*sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n)))), None)
        if data.draw(st.booleans())
        else slice(None, None, data.draw(st.sampled_from([1, -1])))
        for n in shape
    )
    part = x[cut] if x[cut] is not x else gn.flip(x, 0)
    axis = data.draw(st.integers(0, len(shape) - 1))
    joined = gn.concat([gn.exp(part), gn.sin(part)], axis)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(walks, "SHORTEST_RUN", 1)
        patched.setattr(walks, "LONG_RUN", 1)
        groups = fuse([joined])
    for group in groups:
        step, (place, parts) = step_of(group, {}), leading(group.shape)
        every = np.indices(group.shape).reshape(len(group.shape), -1).T
        for access in step.accesses:
            walk = _walk_of(group, access.node)
            if walk is None or access.parts is None or not every.size:
                continue
            assert access.parts == parts
            run = access.node.spec.size // parts
            for index in every:
                at = walk.offset + sum(i * s for i, s in zip(index, walk.strides, strict=True))
                assert at // run == index[place]


def _walk_of(group, node):
    for load, walk in group.walks.items():
        if load.inputs[0] is node:
            return walk
    for store in group.stores:
        if store is node:
            return walks.store_walks(store)[1][1]
    return None


# ------------------------------------------------------------------------------- what is stored


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_pieces_are_written_where_they_belong(axis, short_runs, many_lanes):
    a, b = gn.Input((None, 3, 4), "float64", name="a"), gn.Input((4,), "float64", name="b")
    pieces = [gn.exp(a), gn.sin(a * b), gn.exp(a)]
    joined = gn.concat(pieces, axis)
    (group,) = fuse([joined])
    assert group.stores == (joined,)
    assert group.outputs == (joined,)
    assert group.last.op.name in {"exp", "sin"}
    check_values([joined], values([a, b]))
    both = fuse([joined, pieces[1]])
    assert len(both) == 1
    assert set(both[0].outputs) == {joined, pieces[1]}
    after = gn.tanh(joined) + 1.0
    check_values([joined, pieces[1], after, gn.sum(joined, 0)], values([a, b]))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_stacks_and_what_is_taken_of_them(axis, short_runs):
    a = gn.Input((None, 4), "float64", name="a")
    stacked = gn.stack([gn.exp(a), gn.sin(a), a * 2.0], axis)
    kinds = kernels([stacked])
    assert (len(kinds) == 1) == (axis < 2)
    place = (slice(None),) * axis
    picked = gn.tanh(stacked[(*place, 0)]) * stacked[(*place, -1)]
    grads = gn.grad(gn.sum(picked * picked), a)
    check_values([stacked, picked, grads], values([a]))


def test_what_cannot_be_stored_in_place_is_copied(short_runs):
    a, W = gn.Input((3, 4), "float64", name="a"), gn.Input((4, 4), "float64", name="W")
    unequal = gn.concat([gn.exp(a), gn.sin(a)[:, :2]], 1)
    product = gn.concat([gn.exp(a), a @ W], 1)
    given = gn.concat([gn.exp(a), a], 1)
    one = apply(registry["concat"], [gn.exp(a)], {"axis": 0})
    itself = gn.concat([gn.exp(a), gn.exp(a)], 0)
    back = itself[:3] * gn.exp(a)
    outputs = [unequal, product, given, one, gn.sin(one) * gn.exp(a), itself, back]
    assert all("concat" not in ops or len(ops) == 1 for y in outputs[:4] for ops in kernels([y]))
    check_values(outputs, values([a, W]))


def test_kernels_serve_all_sizes():
    """Sizes are numbers in a table: another batch, another width and other layers share a kernel."""

    def source(*sizes: int) -> set[str]:
        n, units = sizes
        x = gn.Input((n, 2 * units), name="x")
        y = gn.glu(x)
        groups = fuse(simplified([y, gn.grad(gn.sum(gn.sin(y)), x)]))
        made = [kernel_of(step_of_own(group)) for group in groups if group.loads or group.stores]
        assert len(made) == 2
        return {kernel.source for kernel in made}

    assert source(3, 32) == source(5, 64)


def step_of_own(group):
    step = step_of(group, {})
    return type(step)(
        step.group, step.parts, step.accesses, step.targets, (None,) * len(step.targets)
    )


# --------------------------------------------------------------------------------- sums of pads


def padded(x: gn.Node, low: int, high: int, value: float = 0.0) -> gn.Node:
    ends = (0,) * (x.ndim - 1)
    attrs = {"low": (*ends, low), "high": (*ends, high), "interior": (0, *ends), "value": value}
    return apply(registry["pad"], [x], attrs)


def summed(*terms: gn.Node) -> gn.Node:
    total = terms[0]
    for term in terms[1:]:
        total = apply(registry["accumulate"], [total, term])
    return total


def pieces_of(node: gn.Node) -> list[str]:
    """The shapes of what a concat joins."""
    assert node.op.name == "concat"
    return [str(piece.spec.shape[-1]) for piece in node.inputs]


@pytest.fixture
def parts():
    return [gn.Input((None, n), "float32", name=f"p{n}") for n in (2, 3, 4)]


def test_pads_side_by_side_are_one_concat(parts):
    p, q, r = parts
    total = summed(padded(q, 2, 4), padded(p, 0, 7), padded(r, 5, 0))
    (made,) = with_joined_pads([total])
    assert made.op.name == "concat"
    assert made.inputs == (p, q, r)
    assert made.role == total.role
    assert made.origin == total.origin
    assert made.scope == total.scope
    assert_same_bits([total], [made], parts)


def test_gaps_are_zeros(parts):
    p, q, _ = parts
    total = summed(padded(q, 6, 1), padded(p, 1, 7))
    (made,) = with_joined_pads([total])
    assert pieces_of(made) == ["1", "2", "3", "3", "1"]
    assert_same_bits([total], [made], parts)
    twins = summed(padded(q, 0, 12), padded(gn.exp(q), 9, 3))
    (made,) = with_joined_pads([twins])
    assert pieces_of(made) == ["3"] * 5  # equal ones, so that one kernel may write them all
    assert_same_bits([twins], [made], parts)


def test_one_other_term_is_added_to_the_concat(parts):
    p, q, r = parts
    z = gn.Input((None, 9), "float32", name="z")
    w = gn.Input((None, 9), "float32", name="w")
    pads = [padded(p, 0, 7), padded(q, 2, 4), padded(r, 5, 0)]
    for terms in ([z, *pads], [pads[0], z, *pads[1:]], [*pads, z], [*pads, z, w]):
        (made,) = with_joined_pads([summed(*terms)])
        assert not [n for n in needed([made]) if n.op.name == "pad"]
        assert_same_bits([summed(*terms)], [made], [*parts, z, w])
    between = summed(pads[0], z, w, *pads[1:])  # the first must be there before w is added
    (made,) = with_joined_pads([between])
    assert [n for n in needed([made]) if n.op.name == "pad"] == pads[:1]
    assert_same_bits([between], [made], [*parts, z, w])


def test_pads_that_overlap_or_hold_no_zeros_stay(parts):
    p, q, _ = parts
    for total in (
        summed(padded(p, 0, 3), padded(q, 1, 1)),
        summed(padded(p, 0, 3), padded(q, 2, 0, value=1.0)),
        summed(padded(p, 0, 0), padded(p, 0, 0)),
        summed(padded(q, -1, 3), padded(q, 2, 0)),
    ):
        (made,) = with_joined_pads([total])
        assert made is total
    turned = summed(padded(gn.Input((2, 2)), 0, 2), gn.transpose(padded(gn.Input((4, 1)), 0, 1)))
    assert with_joined_pads([turned])[0] is turned


def test_lengths_that_a_batch_tells():
    x = gn.Input((None, 4), "float32", name="x")
    head = x[:1]
    y = gn.sin(x[1:]) * gn.cos(head)
    dx = gn.grad(gn.sum(gn.concat([y, gn.exp(head)])), x)
    assert "pad" not in {op for ops in kernels([dx]) for op in ops}
    check_values([y, dx], values([x], n=4))
    assert in_order([(BATCH, BATCH), (0, BATCH)], 2 * BATCH) == [(1, BATCH), (0, BATCH)]
    assert in_order([(0, BATCH), (3, BATCH)], 3 + BATCH) is None  # they overlap where N > 3
    assert in_order([(BATCH, 2)], BATCH + 2) == [(None, BATCH), (0, 2)]
    assert in_order([(2, 2), (0, 3)], 4) is None
    assert in_order([(2, 0), (2, 1), (0, 2)], 4) == [(2, 2), (0, 0), (1, 1), (None, 1)]


def assert_same_bits(before, after, inputs):
    given = values(inputs)
    for old, new in zip(before, after, strict=True):
        a, b = reference.evaluate(old, given), reference.evaluate(new, given)
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes()


# -------------------------------------------------------------------------------- early slices


def test_slices_go_before_what_only_they_read(short_runs):
    x, b = gn.Input((None, 6), "float32", name="x"), gn.Input((6,), "float32", name="b")
    column = gn.Input((None, 1), "float32", name="column")
    z = gn.tanh(x * b + column)
    halves = gn.split(z, 2, axis=1)
    made = with_early_slices(halves)
    assert [n.op.name for n in made] == ["tanh", "tanh"]
    assert made[0].spec == halves[0].spec
    assert {n.inputs[0] for n in needed(made) if n.op.name == "slice"} == {x, b}
    assert made[0].origin == z.origin
    assert_same_bits(halves, made, [x, b, column])
    one = gn.tanh(gn.Input((1, 6), "float32", name="one") + b)
    assert with_early_slices([one[1:]])[0].spec.shape == (0, 6)
    for others in ([z], [gn.sum(z)], [z[:, 2:5]], [z[:, ::2]]):
        outputs = [*halves, *others]
        assert with_early_slices(outputs) == outputs
    chain = x
    for _ in range(20):
        chain = gn.sin(chain)
    cut = with_early_slices([chain[:, :3], chain[:, 3:]])
    assert sum(n.op.name == "sin" for n in needed(cut)) < 40, "kernels would grow without end"
    assert_same_bits([chain[:, :3]], cut[:1], [x])


def test_short_slices_are_taken_late():
    x = gn.Input((None, 6), "float32", name="x")
    outputs = gn.split(gn.tanh(x), 2, axis=1)
    assert with_early_slices(outputs) == outputs


def test_picks_and_stacks_need_no_axis_of_their_own():
    x = gn.Input((None, 5, 7), "float32", name="x")
    picks = [x[:, 2], x[:, -1], gn.reshape(x[:, 1:2, 2:5], (None, 3)), x[:, :, 3], x[1], x[:, 0, 0]]
    stacks = [gn.stack([picks[0], picks[1]], axis) for axis in (0, 1, 2)]
    made = without_new_axes([*picks, *stacks])
    assert [n.op.name for n in made[:3]] == ["slice"] * 3
    assert [n.op.name for n in made[6:]] == ["reshape", "reshape", "concat"]
    assert_same_bits([*picks, *stacks], made, [x])


def test_a_group_keeps_its_form():
    """Loads and stores stand around what is computed, wherever they were declared."""
    x, y = gn.Input((4, 64), name="x"), gn.Input((4, 32), name="y")
    a = gn.exp(y)
    late = x[:, 32:]
    joined = gn.concat([gn.sin(a), a * late], 1)
    (group,) = fuse([joined])
    assert group.last.op.name == "multiply"
    assert group.shape == (4, 32)
    assert group.loads == (late,)
    assert group.stores == (joined,)
    assert group.inputs == (y, x)
    assert group.operands == (y,)
    assert group.name == "exp_sin_multiply"
    assert evaluate(group.walks[late].offset, {}) == 32
    (alone,) = fuse([x[:, 32:]])
    assert alone.last.op.name == "slice"
    assert alone.loads == ()
    assert fusion.MOST_NODES == 64
    assert rebuilt(joined, joined.inputs) is joined
