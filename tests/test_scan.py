"""Loops over time: values, both modes, second derivatives, memory, beside the same unrolled."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.backends import reference
from graphnn.backends.cpu import executor
from graphnn.testing import check_grads

T, B, F, H = 5, 3, 4, 6


def unrolled(step, init, xs, length=None, reverse=False, **_more):
    """The same by a loop of Python's."""
    from graphnn.nest import flatten_nest, rebuild_nest

    leaves, form = flatten_nest(xs)
    count = length if not leaves else leaves[0].shape[0]
    state, found = init, []
    for t in range(count)[:: -1 if reverse else 1]:
        state, y = step(state, rebuild_nest(form, [x[t] for x in leaves]))
        found.append(flatten_nest(y))
    found = found[::-1] if reverse else found
    stacks = [gn.stack(values) for values in zip(*(leaves for leaves, _ in found), strict=True)]
    return state, rebuild_nest(found[0][1], stacks)


def rnn(dtype="float64", length=T):
    """Inputs and a step: h tanh, with weights and a bias from outside."""
    rng = np.random.default_rng(0)
    x = gn.Input((length, B, F), dtype, name="x")
    h = gn.Input((B, H), dtype, name="h")
    w = gn.Parameter(rng.normal(size=(F, H)).astype(dtype), name="w")
    u = gn.Parameter(rng.normal(size=(H, H)).astype(dtype) / 2, name="u")
    b = gn.Parameter(rng.normal(size=H).astype(dtype), name="b")

    def step(h, x):
        new = gn.tanh(x @ w + h @ u + b)
        return new, gn.sin(new)

    return (x, h), (w, u, b), step


def lstm(dtype="float64"):
    rng = np.random.default_rng(0)
    x = gn.Input((T, B, F), dtype, name="x")
    h, c = (gn.Input((B, H), dtype, name=name) for name in "hc")
    w = gn.Parameter(rng.normal(size=(F, 4 * H)).astype(dtype), name="w")
    u = gn.Parameter(rng.normal(size=(H, 4 * H)).astype(dtype) / 2, name="u")
    b = gn.Parameter(rng.normal(size=4 * H).astype(dtype), name="b")

    def step(state, x):
        h, c = state["h"], state["c"]
        i, f, g, o = gn.split(x @ w + h @ u + b, 4, axis=-1)
        c = gn.sigmoid(f) * c + gn.sigmoid(i) * gn.tanh(g)
        h = gn.sigmoid(o) * gn.tanh(c)
        return {"h": h, "c": c}, h

    return (x, h, c), (w, u, b), step


def given(nodes, seed=1):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=node.spec.concrete({"T": T})).astype(node.dtype) for node in nodes]


def loss_of(last, ys):
    total = gn.sum(ys * ys)
    for value in last.values() if isinstance(last, dict) else [last]:
        total = total + gn.sum(gn.sin(value))
    return total


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("more", [{}, {"checkpoint": True}])
def test_rnn_is_the_same_as_unrolled(reverse, more):
    (x, h), params, step = rnn()
    results = []
    for run in (gn.scan, unrolled):
        last, ys = run(step, h, x, reverse=reverse, **(more if run is gn.scan else {}))
        wrt = [x, h, *params]
        loss = loss_of(last, ys)
        grads = gn.grad(loss, wrt)
        outputs = [last, ys, loss, *grads]
        values = given((x, h))
        f = gn.function([x, h], outputs)
        results.append(f(*values))
        f.plan.check()
        oracle = reference.evaluate(outputs, dict(zip((x, h), values, strict=True)))
        for a, b in zip(results[-1], oracle, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_lstm_is_the_same_as_unrolled():
    (x, h, c), params, step = lstm()
    results = []
    for run in (gn.scan, unrolled):
        last, ys = run(step, {"h": h, "c": c}, x)
        loss = loss_of(last, ys)
        grads = gn.grad(loss, [x, h, c, *params])
        f = gn.function([x, h, c], [last["h"], last["c"], ys, *grads])
        results.append(f(*given((x, h, c))))
        f.plan.check()
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_gradients_are_difference_quotients():
    (x, h), params, step = rnn()
    last, ys = gn.scan(step, h, x)
    assert params
    check_grads(loss_of(last, ys), *given((x, h)))


@pytest.mark.parametrize("reverse", [False, True])
def test_forward_mode_agrees_with_reverse_mode(reverse):
    (x, h), params, step = rnn()
    last, ys = gn.scan(step, h, x, reverse=reverse)
    outputs, wrt = [last, ys], [x, h, *params]
    rng = np.random.default_rng(3)
    tangents = [rng.normal(size=n.spec.shape) for n in wrt]
    cotangents = [rng.normal(size=n.spec.shape) for n in outputs]
    pushed = gn.jvp(outputs, wrt, tangents)
    loss = sum(gn.sum(o * gn.Constant(c)) for o, c in zip(outputs, cotangents, strict=True))
    pulled = gn.grad(loss, wrt)
    f = gn.function([x, h], [*pushed, *pulled])
    found = f(*given((x, h)))
    left = sum(np.sum(a * b) for a, b in zip(found[:2], cotangents, strict=True))
    right = sum(np.sum(a * b) for a, b in zip(found[2:], tangents, strict=True))
    np.testing.assert_allclose(left, right, rtol=1e-12)


@pytest.mark.parametrize("more", [{}, {"checkpoint": True}])
def test_second_derivatives(more):
    (x, h), params, step = rnn()
    last, ys = gn.scan(step, h, x, **more)
    loss = loss_of(last, ys)
    for wrt in (x, params[1]):
        direction = np.random.default_rng(5).normal(size=wrt.spec.shape)
        check_grads(gn.sum(gn.grad(loss, wrt) * direction), *given((x, h)))
    vectors = [np.random.default_rng(i).normal(size=p.spec.shape) for i, p in enumerate(params)]
    product = gn.hvp(loss, params, vectors)
    pairs = zip(gn.grad(loss, params), vectors, strict=True)
    backward = gn.grad(sum(gn.sum(g * v) for g, v in pairs), params)
    f = gn.function([x, h], [*product, *backward])
    found = f(*given((x, h)))
    for a, b in zip(found[:3], found[3:], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("pieces", [1, 2, 5, 7])
def test_truncation_cuts_the_gradient_between_pieces(pieces, reverse):
    (x, h), params, step = rnn()
    last, ys = gn.scan(step, h, x, truncate=pieces, reverse=reverse)
    grads = gn.grad(loss_of(last, ys), [x, *params])
    curved = gn.grad(sum(gn.sum(g * g) for g in grads), [x, *params])
    f = gn.function([x, h], [last, ys, *grads, *curved])
    found = f(*given((x, h)))
    f.plan.check()

    count = itertools.count()

    def stopping(h, x):
        return step(gn.stop_gradient(h) if next(count) % pieces == 0 else h, x)

    last, ys = unrolled(stopping, h, x, reverse=reverse)
    grads = gn.grad(loss_of(last, ys), [x, *params])
    curved = gn.grad(sum(gn.sum(g * g) for g in grads), [x, *params])
    expected = gn.function([x, h], [last, ys, *grads, *curved])(*given((x, h)))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_a_scan_in_a_scan():
    x = gn.Input((3, 4, 2), "float64", name="x")
    w = gn.Parameter(np.array([[0.5, 0.1], [0.2, -0.4]]), name="w")

    def inner(h, x):
        h = gn.tanh(h @ w + x)
        return h, h * x

    results = []
    for run in (gn.scan, unrolled):

        def outer(h, row, run=run):
            h, ys = run(inner, h * 0.5, row)
            return h, gn.sum(ys, axis=0) * h

        last, ys = run(outer, gn.Constant(np.ones(2)), x)
        loss = gn.sum(last) + gn.sum(ys * ys)
        grads = gn.grad(loss, [x, w])
        curved = gn.grad(gn.sum(grads[0] * grads[0]), [x, w])
        outputs = [last, ys, *grads, *curved, gn.jvp(ys, w, np.ones((2, 2)))]
        f = gn.function(x, outputs)
        results.append(f(*given([x])))
        f.plan.check()
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("length", [0, 1, 2, 7])
def test_the_length_may_come_with_the_call(length):
    (x, h), params, step = rnn(length="T")
    last, ys = gn.scan(step, h, x)
    outputs = [last, ys, *gn.grad(loss_of(last, ys), [x, h, *params])]
    f = gn.function([x, h], outputs)
    rng = np.random.default_rng(2)
    values = [rng.normal(size=(length, B, F)), rng.normal(size=(B, H))]
    oracle = reference.evaluate(outputs, dict(zip((x, h), values, strict=True)))
    for a, b in zip(f(*values), oracle, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_lanes_and_threads_change_no_bit(monkeypatch):
    rng = np.random.default_rng(0)
    x = gn.Input(("T", None, 16), name="x")
    u = gn.Parameter(rng.normal(size=(16, 64)).astype(np.float32) / 4, name="u")

    def step(state, x):
        h, c = state
        i, f, g, o = gn.split(h @ u + gn.concat([x] * 4, axis=-1), 4, axis=-1)
        c = gn.sigmoid(f) * c + gn.sigmoid(i) * gn.tanh(g)
        return (gn.sigmoid(o) * gn.tanh(c), c), gn.sum(c, axis=-1)

    zero = gn.zeros_like(x[0]) if hasattr(gn, "zeros_like") else x[0] * 0.0
    (h, _), ys = gn.scan(step, (zero, zero), x)
    loss = gn.sum(h) + gn.sum(ys * ys)
    values = rng.normal(size=(20, 33, 16)).astype(np.float32)
    monkeypatch.setattr(executor, "machine_lanes", lambda: 3)
    monkeypatch.setattr(executor, "SPLIT_SECONDS", -1.0)
    monkeypatch.setattr(executor, "THREAD_SECONDS", 0.0)
    outputs = [h, ys, *gn.grad(loss, [x, u])]
    results = []
    for threads in (1, 2, 3):
        gn.set_num_threads(threads)
        f = gn.function(x, outputs)
        results.append(f(values))
        f.plan.check()
        assert f.plan.lanes == 3
    gn.set_num_threads(None)
    for found in results[1:]:
        for a, b in zip(results[0], found, strict=True):
            np.testing.assert_array_equal(a, b)
    oracle = reference.evaluate(outputs, {x: values})
    for a, b in zip(results[0], oracle, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4)


def test_without_sequences():
    total, ys = gn.scan(lambda s, _: (s * 2.0, s), gn.Constant(1.0), length=5)
    np.testing.assert_array_equal(gn.function([], ys)(), [1, 2, 4, 8, 16])
    assert float(gn.function([], total)()) == 32.0


def test_states_may_swap_stay_or_count():
    def step(state, x):
        a, b, n, fixed = state
        return (b, a, n + 1, fixed), (a, n, fixed)

    x = gn.Input((4,), name="x")
    init = (gn.Constant(1.0), gn.Constant(2.0), gn.Constant(0, dtype="int64"), gn.Constant(7.0))
    last, ys = gn.scan(step, init, x)
    f = gn.function(x, [*last, *ys])
    a, b, n, fixed, along_a, along_n, along_fixed = f(np.zeros(4, np.float32))
    assert (float(a), float(b), int(n), float(fixed)) == (1, 2, 4, 7)
    np.testing.assert_array_equal(along_a, [1, 2, 1, 2])
    np.testing.assert_array_equal(along_n, [0, 1, 2, 3])
    np.testing.assert_array_equal(along_fixed, [7] * 4)
    f.plan.check()


def test_what_is_read_of_slices_and_of_outside():
    x = gn.Input((3, 2), name="x")
    w = gn.Parameter(np.float32([1, 2]), name="w")
    _, (same, outside, both) = gn.scan(lambda s, x: (s, (x, w, x * w)), gn.Constant(0.0), x)
    f = gn.function(x, [same, outside, both, *gn.grad(gn.sum(same * outside * both), [x, w])])
    value = np.float32([[1, 2], [3, 4], [5, 6]])
    found = f(value)
    np.testing.assert_array_equal(found[0], value)
    np.testing.assert_array_equal(found[1], [[1, 2]] * 3)
    np.testing.assert_array_equal(found[2], value * [1, 2])
    np.testing.assert_allclose(found[3], 2 * value * np.float32([1, 4]))
    np.testing.assert_allclose(found[4], (2 * value**2 * np.float32([1, 2])).sum(0))


def test_dropout_is_drawn_anew_at_each_step():
    x = gn.Input((50, 40), name="x")
    _, ys = gn.scan(lambda s, x: (s, gn.dropout(x, 0.5)), gn.Constant(0.0), x)
    f = gn.function(x, [ys, gn.grad(gn.sum(ys), x)], training=True)
    value, slope = f(np.ones((50, 40), np.float32))
    assert set(np.unique(value)) == {0, 2}
    np.testing.assert_array_equal(value, slope)
    assert len({row.tobytes() for row in value}) == 50
    still = gn.function(x, ys)(np.ones((50, 40), np.float32))
    np.testing.assert_array_equal(still, 1)


def test_one_mask_for_all_steps_when_it_is_drawn_outside():
    x = gn.Input((9, 40), name="x")
    mask = gn.dropout(gn.Constant(np.ones(40, np.float32)), 0.5)
    _, ys = gn.scan(lambda s, x: (s, x * mask), gn.Constant(0.0), x)
    value = gn.function(x, ys, training=True)(np.ones((9, 40), np.float32))
    assert len({row.tobytes() for row in value}) == 1


def test_indices_in_the_body_are_checked():
    tokens = gn.Input(("T", None), "int64", name="tokens")
    table = nn.Embedding(10, 3)

    def step(h, token):
        h = gn.tanh(h + table(token))
        return h, h

    zero = gn.gather(gn.Constant(np.zeros((10, 3), np.float32)), tokens[0]) if False else None
    del zero
    first = table(tokens[0]) * 0.0
    _, ys = gn.scan(step, first, tokens)
    f = gn.function(tokens, ys)
    assert f(np.ones((4, 2), np.int64)).shape == (4, 2, 3)
    with pytest.raises(gn.DataError, match="tokens"):
        f(np.full((4, 2), 10))


def test_a_training_step_with_an_optimizer():
    (x, h), params, step = rnn("float32")
    last, ys = gn.scan(step, h, x)
    loss = loss_of(last, ys)
    fn = gn.function([x, h], loss, updates=gn.optim.Adam(lr=0.01).updates(loss, list(params)))
    values = given((x, h))
    losses = [float(fn(*values)) for _ in range(30)]
    fn.plan.check()
    assert losses[-1] < 0.7 * losses[0]


def test_it_compiles_once_whatever_the_length():
    from graphnn.backends.cpu.compile import counts

    def kernels(length):
        (x, h), params, step = rnn("float32", length)
        last, ys = gn.scan(step, h, x)
        f = gn.function([x, h], [last, *gn.grad(loss_of(last, ys), list(params))])
        return f, {k.source for s in f._kernels for k in getattr(s, "kernels", [s])}

    f10, ten = kernels(10)
    f1000, thousand = kernels(1000)
    assert ten == thousand
    assert len(f10.plan.steps) == len(f1000.plan.steps)
    rng = np.random.default_rng(0)
    f10(rng.normal(size=(10, B, F)).astype(np.float32), np.zeros((B, H), np.float32))
    before = dict(counts)
    f1000(rng.normal(size=(1000, B, F)).astype(np.float32), np.zeros((B, H), np.float32))
    assert counts == before


def arena(length, **more):
    (x, h, c), params, step = lstm("float32")
    x = gn.Input((length, B, F), name="x")
    last, _ = gn.scan(step, {"h": h, "c": c}, x, **more)
    loss = gn.sum(last["h"])
    return gn.function([x, h, c], gn.grad(loss, list(params))).plan.memory.peak


def test_memory_grows_by_the_stored_states_and_truncation_bounds_it():
    a_step = (arena(1000) - arena(500)) / 500
    stored = 4 * B * H * (4 + 4 + 1 + 2) + 3 * 64  # gates twice (value, cotangent), c, h, tanh c
    assert a_step <= stored
    bounded = (arena(1000, truncate=10) - arena(500, truncate=10)) / 500
    assert bounded <= a_step / 5


def test_inference_keeps_no_states():
    peaks = []
    for length in (10, 500):
        (x, h, c), _, step = lstm("float32")
        x = gn.Input((length, B, F), name="x")
        last, _ = gn.scan(step, {"h": h, "c": c}, x)
        peaks.append(gn.function([x, h, c], last["h"]).plan.memory.peak)
    assert peaks[0] == peaks[1]


def test_weight_gradients_are_one_product_of_all_steps():
    (x, h), params, step = rnn()
    last, ys = gn.scan(step, h, x)
    f = gn.function([x, h], gn.grad(loss_of(last, ys), list(params)))
    inner = [step.inner for step in f.plan.steps if step.inner is not None]
    assert len(inner) == 2
    products = [
        [s.group.last for s in one.steps if s.group.last.op.name == "matmul"] for one in inner
    ]
    assert [len(found) for found in products] == [2, 1]  # x W + h U; and the cotangent of h
    outside = [s.group.last for s in f.plan.steps if s.group.last.op.name == "matmul"]
    assert len(outside) == 2


class TestErrors:
    x = gn.Input((4, 3), name="x")
    zero = gn.Constant(np.zeros(3, np.float32))

    def test_no_pair(self):
        with pytest.raises(gn.GraphError, match=r"returns \(new state, y\).*test_scan.py"):
            gn.scan(lambda s, x: s + x, self.zero, self.x)

    def test_another_form(self):
        with pytest.raises(gn.GraphError, match="keeps the form of the state"):
            gn.scan(lambda s, x: ((s, s), None), self.zero, self.x)

    def test_another_shape(self):
        with pytest.raises(
            gn.ShapeError, match="keeps the shape.*float32 \\(\\).*float32 \\(3,\\)"
        ):
            gn.scan(lambda s, x: (s + x, None), gn.Constant(0.0), self.x)

    def test_another_dtype(self):
        with pytest.raises(gn.DTypeError, match=r"float64 .*gn.cast\(state, 'float32'\)"):
            gn.scan(lambda s, x: (gn.cast(s, "float64"), None), self.zero, self.x)

    def test_forms_in_a_users_words(self):
        with pytest.raises(gn.GraphError, match=r"begins as node; the new state is \(node, node\)"):
            gn.scan(lambda s, x: ((s, s), None), self.zero, self.x)

    def test_no_function(self):
        with pytest.raises(gn.GraphError, match=r"step\(state, x\) first; got 5"):
            gn.scan(5, self.zero, self.x)

    def test_two_lengths(self):
        with pytest.raises(gn.ShapeError, match=r"one length.*x \(4, 3\), y \(5,\)"):
            gn.scan(lambda s, x: (s, None), self.zero, (self.x, gn.Input((5,), name="y")))

    def test_no_length(self):
        with pytest.raises(gn.GraphError, match="Give length=10"):
            gn.scan(lambda s, x: (s, None), self.zero)

    def test_a_scalar_sequence(self):
        with pytest.raises(gn.ShapeError, match="first axis of its sequences; y has none"):
            gn.scan(lambda s, x: (s, None), self.zero, gn.Input((), name="y"))

    def test_a_bad_length(self):
        with pytest.raises(gn.GraphError, match="whole number >= 0; got -1"):
            gn.scan(lambda s, x: (s, None), self.zero, length=-1)

    def test_a_bad_truncation(self):
        with pytest.raises(gn.GraphError, match="truncate is a whole number"):
            gn.scan(lambda s, x: (s, None), self.zero, self.x, truncate=0)
        with pytest.raises(gn.ShapeError, match="truncate=3 needs a length"):
            gn.scan(lambda s, x: (s, None), self.zero, gn.Input(("T", 3), name="x"), truncate=3)

    def test_running_averages(self):
        norm = nn.BatchNorm1d(3)
        with pytest.raises(gn.GraphError, match="moves running averages"):
            gn.scan(
                lambda s, x: (norm(s) + x, None),
                gn.Constant(np.zeros((4, 3), np.float32)),
                gn.Input((5, 4, 3)),
            )
