"""Attention with dropout in the steps of a loop: each step draws a mask of its own, and keeps none."""

from __future__ import annotations

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.backends import reference
from graphnn.loop import with_bodies
from graphnn.node import apply
from graphnn.ops.attention.tiles import OPS, attend
from graphnn.ops.random.generator import GENERATOR, GENERATORS
from graphnn.testing import check_grads

T, B, Q, W = 5, 2, 4, 3
P = 0.4
attention = gn.scaled_dot_product_attention


def arrays(*shapes, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def inputs_of(*shapes, dtype="float64"):
    return [gn.Input(shape, dtype, name=n) for shape, n in zip(shapes, "xsk", strict=False)]


def keys_of(length, stream=0):
    """The generators that the steps of a loop draw from."""
    return apply(GENERATORS, [GENERATOR], {"shape": (length, 2), "stream": stream})


def mixed(q, k, v, key=None):
    """Attention that draws its mask; from ``key`` if that is given."""
    if key is None:
        return attend(q, k, v, None, P, False, 0.7, 1)
    attrs = {
        "scale": 0.7,
        "causal": False,
        "dropout": P,
        "heads": 1,
        "stream": 0,
        "tile": (128, 512),
    }
    return apply(OPS["output"], [q, k, v, key], attrs)


def plain_step(k):
    def step(s, x, key=None):
        y = mixed(x, k + s * 0.1, k, key)
        return gn.tanh(s + y), y

    return step


def slope_step(k):
    """A step that reads the gradient of its own attention."""

    def step(s, x, key=None):
        y = mixed(x, k + s * 0.1, k, key)
        return gn.tanh(s + gn.grad(gn.sum(gn.sin(y)), x)), y

    return step


def curve_step(k):
    """A step with a second derivative, which is composed of plain ops."""

    def step(s, x, key=None):
        y = mixed(x, k + s * 0.1, k, key)
        slope = gn.grad(gn.sum(y * y), x)
        return gn.tanh(s + gn.grad(gn.sum(gn.sin(slope)), x)), y

    return step


def moved_step(k):
    """A step in forward mode."""

    def step(s, x, key=None):
        y = mixed(x, k + s * 0.1, k, key)
        return gn.tanh(s + gn.jvp(y, x, gn.sin(x))), y

    return step


def held_step(k):
    """A step that computes its attention again, and differentiates it."""

    def step(s, x, key=None):
        y = gn.checkpoint(lambda x, s: gn.sin(mixed(x, k + s * 0.1, k, key)), x, s)
        return gn.tanh(s + gn.grad(gn.sum(y * y), x)), y

    return step


STEPS = {
    "plain": plain_step,
    "gradient": slope_step,
    "second derivative": curve_step,
    "forward mode": moved_step,
    "checkpoint": held_step,
}
SHAPES = ((T, B, 1, Q, W), (B, 1, Q, W), (B, 1, Q, W))


def unrolled(step, state, x, keys, order):
    found = {}
    for t in order:
        state, found[t] = step(state, x[t], keys[t])
    return state, gn.stack([found[t] for t in sorted(found)])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", STEPS)
def test_the_same_as_unrolled_with_the_same_masks(kind, reverse):
    nodes = inputs_of(*SHAPES)
    x, s, k = nodes
    gn.set_seed(3)
    looped = gn.scan(STEPS[kind](k), s, x, reverse=reverse)
    order = range(T)[:: -1 if reverse else 1]
    plain = unrolled(STEPS[kind](k), s, x, keys_of(T), order)
    found = []
    for end, ys in (looped, plain):
        loss = gn.sum(end * end) + gn.sum(gn.sin(ys))
        outputs = [end, ys, *gn.grad(loss, nodes)]
        gn.set_seed(3)
        found.append(reference.evaluate(outputs, dict(zip(nodes, arrays(*SHAPES), strict=True))))
        if kind != "second derivative":
            gn.set_seed(3)
            found.append(gn.function(nodes, outputs, training=True)(*arrays(*SHAPES)))
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("more", [{"checkpoint": True}, {"truncate": 5}])
def test_what_is_computed_again_draws_the_same_masks(more):
    nodes = x, s, k = inputs_of(*SHAPES)
    found = []
    for given in ({}, more):
        gn.set_seed(3)
        end, ys = gn.scan(plain_step(k), s, x, **given)
        loss = gn.sum(end * end) + gn.sum(gn.sin(ys))
        outputs = [end, ys, *gn.grad(loss, [x, k])]
        found.append(gn.function(nodes, outputs, training=True)(*arrays(*SHAPES)))
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("reverse", [False, True])
def test_truncated(reverse):
    """Two pieces of two steps and one left over, against the same unrolled and cut."""
    nodes = x, s, k = inputs_of(*SHAPES)
    gn.set_seed(3)
    looped = gn.scan(plain_step(k), s, x, truncate=2, reverse=reverse)
    # The step is declared twice: for the pieces, and for what is left over.
    whole = range(1, 5) if reverse else range(4)
    keys = dict(zip(whole, gn.split(keys_of(4), 4), strict=True))
    left = 0 if reverse else 4
    keys = {t: gn.reshape(key, (2,)) for t, key in keys.items()}
    state, ys = s, {}
    for i, t in enumerate(list(whole)[:: -1 if reverse else 1]):
        state = gn.stop_gradient(state) if i % 2 == 0 else state
        state, ys[t] = plain_step(k)(state, x[t], keys[t])
    attrs = {"scale": 0.7, "causal": False, "dropout": P, "heads": 1, "tile": (128, 512)}
    state = gn.stop_gradient(state)
    key = gn.reshape(keys_of(1, stream=1), (2,))
    y = apply(OPS["output"], [x[left], k + state * 0.1, k, key], {**attrs, "stream": 1})
    ys[left] = y
    plain = gn.tanh(state + y), gn.stack([ys[t] for t in range(T)])
    found = []
    for end, stack in (looped, plain):
        loss = gn.sum(end * end) + gn.sum(gn.sin(stack))
        outputs = [end, stack, *gn.grad(loss, [x, k])]
        gn.set_seed(3)
        found.append(gn.function(nodes, outputs, training=True)(*arrays(*SHAPES)))
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-11)


def test_loops_in_loops():
    """Six steps in two loops draw as six steps in one."""
    nodes = x, s, k = inputs_of((6, *SHAPES[0][1:]), *SHAPES[1:])
    found = []
    for nested in (False, True):
        gn.set_seed(3)
        if nested:
            pairs = gn.reshape(x, (2, 3, *x.shape[1:]))
            inner = plain_step(k)
            end, ys = gn.scan(lambda s, xs, inner=inner: gn.scan(inner, s, xs), s, pairs)
            ys = gn.reshape(ys, (6, *ys.shape[2:]))
        else:
            end, ys = gn.scan(plain_step(k), s, x)
        loss = gn.sum(end * end) + gn.sum(gn.sin(ys))
        slopes = gn.grad(loss, list(nodes))
        more = gn.grad(gn.sum(gn.sin(slopes[0])), [x, k])
        given = dict(zip(nodes, arrays(*(n.shape for n in nodes)), strict=True))
        found.append(reference.evaluate([end, ys, *slopes, *more], given))
        compiled = gn.function(nodes, [end, ys, *slopes], training=True)
        found.append([*compiled(*given.values()), *found[0][5:]])
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kind", ["plain", "gradient", "checkpoint"])
@pytest.mark.parametrize("more", [{}, {"reverse": True}, {"checkpoint": True}])
def test_differences(kind, more):
    """First and second derivatives of the loop see the masks that its result was made with."""

    def summed(x, s, k):
        end, ys = gn.scan(STEPS[kind](k), s, x, **more)
        return gn.concat([gn.reshape(end, (-1,)), gn.reshape(ys, (-1,))])

    shapes = ((3, 1, 1, 3, 2), (1, 1, 3, 2), (1, 1, 3, 2))
    check_grads(summed, *arrays(*shapes), order=2, backend="reference")


def test_forward_mode_through_the_loop():
    nodes = x, s, k = inputs_of(*SHAPES)
    end, ys = gn.scan(plain_step(k), s, x)
    loss = gn.sum(end * end) + gn.sum(gn.sin(ys))
    direction = arrays(*SHAPES, seed=4)
    pushed = gn.jvp(loss, list(nodes), direction)
    pulled = gn.grad(loss, list(nodes))
    given = dict(zip(nodes, arrays(*SHAPES), strict=True))
    slope, *gradients = reference.evaluate([pushed, *pulled], given)
    wanted = sum((g * d).sum() for g, d in zip(gradients, direction, strict=True))
    np.testing.assert_allclose(slope, wanted, rtol=1e-10)


def test_a_gradient_of_attention_outside_keeps_its_one_mask():
    """What was declared before the loop has one mask, also where a step differentiates it."""
    x, k = inputs_of(SHAPES[0], SHAPES[2])
    first = x[0] * 1.0
    y = mixed(first, k, k)
    held = gn.checkpoint(lambda v: gn.dropout(gn.sin(v), 0.5), first)

    def step(_, weight):
        once = gn.grad(gn.sum(y * weight), first)
        twice = gn.grad(gn.sum(gn.sin(once)), first)
        return _, (y * weight, once, gn.grad(gn.sum(held * weight), first), twice)

    _, found = gn.scan(step, gn.Constant(0.0), x)
    steps = [step(None, x[t])[1] for t in range(T)]
    wanted = [gn.stack(list(parts)) for parts in zip(*steps, strict=True)]
    given = arrays(SHAPES[0], SHAPES[2])
    in_numpy = reference.evaluate([*found, *wanted], dict(zip((x, k), given, strict=True)))
    # Second derivatives of attention are many plain kernels, slow to compile.
    compiled = gn.function([x, k], [*found[:3], *wanted[:3]], training=True)(*given)
    for values in (in_numpy, compiled):
        half = len(values) // 2
        for one, two in zip(values[:half], values[half:], strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-11)
            assert np.abs(one).max() > 0


def test_dropout_in_a_checkpoint_of_a_step_that_is_differentiated_there():
    x, s = gn.Input((T, 40), "float64", name="x"), gn.Input((40,), "float64", name="s")

    def step(s, x):
        y = gn.checkpoint(lambda x: gn.dropout(gn.sin(x), 0.5), x)
        return s + y, (y, gn.grad(gn.sum(y), x))

    _, (ys, slopes) = gn.scan(step, s, x)
    f = gn.function([x, s], [ys, slopes], training=True)
    value, slope = f(np.ones((T, 40)), np.zeros(40))
    np.testing.assert_allclose(slope, value / np.tan(1))
    assert len({row.tobytes() for row in value}) == T


def drawn_weights(length=40, size=50):
    """The weights of each step after dropout, of equal scores: 1/(size (1 - P)), or 0."""
    x = gn.Input((length, 1, size, 4), name="x")
    eye = np.eye(size, dtype=np.float32)[None]
    _, ys = gn.scan(lambda s, x: (s, attention(x, x, eye, dropout_p=P)), gn.Constant(0.0), x)
    return x, ys, np.zeros((length, 1, size, 4), np.float32)


def test_each_step_draws_its_own_mask_again_and_again():
    x, ys, zeros = drawn_weights()
    step = gn.function(x, ys, training=True)
    gn.set_seed(5)
    first, second = step(zeros), step(zeros)
    gn.set_seed(5)
    assert step(zeros).tobytes() == first.tobytes()
    kept = np.concatenate([first, second]).reshape(80, -1) != 0
    np.testing.assert_allclose(first[first != 0], 1 / 50 / (1 - P), rtol=1e-6)
    assert abs(kept.mean() - (1 - P)) < 5 * np.sqrt(P * (1 - P) / kept.size)
    # Any two of the 80 masks are independent: they agree at (1-P)² + P² of the places.
    agree = kept.astype(float) @ kept.T + (1.0 - kept) @ (1.0 - kept).T
    share = (agree / kept.shape[1])[np.triu_indices(80, 1)]
    chance = (1 - P) ** 2 + P**2
    assert abs(share - chance).max() < 6 * np.sqrt(chance * (1 - chance) / kept.shape[1])
    # And so are the places of one mask.
    places = abs(kept.mean(0) - (1 - P)).max()
    assert places < 6 * np.sqrt(P * (1 - P) / 80)


def test_nothing_is_dropped_in_inference():
    x, ys, zeros = drawn_weights(3, 8)
    f = gn.function(x, ys)
    np.testing.assert_allclose(f(zeros), 1 / 8, rtol=1e-6)
    names = {n.op.name for step in f.plan.steps for n in with_bodies(step.group.nodes)}
    assert "random_generators" not in names
    value, slope = gn.function(x, [ys, gn.grad(gn.sum(ys * ys), x)])(zeros)
    np.testing.assert_allclose(value, 1 / 8, rtol=1e-6)
    assert not slope.any()


def test_no_mask_is_kept():
    x = gn.Input((T, None, 4, 64, 8))
    _, ys = gn.scan(lambda s, x: (s, attention(x, x, x, dropout_p=0.1)), gn.Constant(0.0), x)
    f = gn.function(x, [ys, gn.grad(gn.sum(ys * ys), x)], training=True)
    names = [n.op.name for step in f.plan.steps for n in with_bodies(step.group.nodes)]
    assert "dropout_mask" not in names
    assert names.count("random_generators") == 1


@pytest.mark.parametrize("shape", [(3, 9, 2, 7, 4), (3, 1, 1, 40, 4)])
def test_same_bits_on_every_number_of_threads(shape, on_each_number_of_threads):
    x = gn.Input(shape, name="x")

    def step(s, x):
        y = attention(x, x + s, x, dropout_p=0.3)
        return gn.tanh(s + y), y

    end, ys = gn.scan(step, x[0] * 0.0, x)
    slope = gn.grad(gn.sum(ys * ys) + gn.sum(end), x)
    (given,) = arrays(shape, dtype="float32")

    def call():
        gn.set_seed(1)
        return gn.function(x, [end, ys, slope], training=True)(given)

    on_each_number_of_threads(call)


def test_a_length_that_comes_with_the_call():
    """One function; the steps of a longer sequence begin with the masks of a shorter one."""
    x = gn.Input(("T", 1, 30, 4), name="x")
    eye = np.eye(30, dtype=np.float32)[None]
    _, ys = gn.scan(lambda s, x: (s, attention(x, x, eye, dropout_p=P)), gn.Constant(0.0), x)
    f = gn.function(x, ys, training=True)
    found = []
    for length in (0, 1, 3, 6):
        gn.set_seed(2)
        found.append(f(np.zeros((length, 1, 30, 4), np.float32)))
    assert [len(ys) for ys in found] == [0, 1, 3, 6]
    for one, other in zip(found, found[1:], strict=False):
        np.testing.assert_array_equal(one, other[: len(one)])


def test_layers_with_dropout_in_a_loop_learn():
    """A transformer layer over each frame of a sequence, its result the state: as written in a loop."""
    gn.set_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.2)
    attend_to = nn.MultiheadAttention(8, 2, dropout=0.2)
    x = gn.Input((None, 4, 3, 8), name="x")

    def step(state, frame):
        seen, _ = attend_to(state, frame, frame, need_weights=False)
        state = layer(state + seen)
        return state, None

    state, _ = gn.scan(step, x[:, 0] * 0.0, gn.swapaxes(x, 0, 1))
    out = gn.mean(state, axis=1)
    model = gn.Model(x, out)
    model.compile("adam", loss="mse")
    (given,) = arrays((64, 4, 3, 8), dtype="float32")
    target = np.tanh(given[:, -1].mean(1))
    history = model.fit(given, target, epochs=30, batch_size=16, verbose=0)
    assert history["loss"][-1] < 0.7 * history["loss"][0]
    first, second = model.predict(given), model.predict(given)
    np.testing.assert_array_equal(first, second)
