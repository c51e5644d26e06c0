"""Attention in tiles: beside torch, its memory, its bits, extreme scores, messages."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import graphnn as gn
from graphnn.backends import reference
from graphnn.errors import DTypeError, GraphError, ShapeError
from graphnn.ops.attention.tiles import OPS, TILE
from graphnn.testing import check_grads, check_values

attention = gn.scaled_dot_product_attention
TOLERANCE = {"float32": (1e-4, 2e-5), "float64": (1e-9, 1e-11)}


def drawn(*shapes, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def mask_of(shape, dtype=None, seed=1):
    rng = np.random.default_rng(seed)
    found = rng.random(shape) < 0.7 if dtype is None else rng.standard_normal(shape).astype(dtype)
    return found


# ---------------------------------------------------------------------------------- beside torch

SHAPES = {
    "plain": ((5, 4), (7, 4), (7, 3)),
    "batch": ((3, 5, 4), (3, 7, 4), (3, 7, 3)),
    "heads": ((2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 3)),
    "many axes": ((2, 1, 3, 5, 4), (2, 2, 3, 7, 4), (2, 2, 3, 7, 3)),
    "broadcast": ((2, 3, 5, 4), (1, 3, 7, 4), (3, 7, 2)),
    "one": ((1, 1, 1, 1), (1, 1, 1, 1), (1, 1, 1, 1)),
    "several tiles": ((1, 2, 150, 8), (1, 2, 600, 8), (1, 2, 600, 5)),
    "many samples": ((9, 2, 6, 8), (9, 2, 6, 8), (9, 2, 6, 8)),
}


def options_for(queries, keys, dtype):
    return {
        "nothing": {},
        "causal": {"is_causal": True},
        "scale": {"scale": -0.3},
        "bools": {"attn_mask": mask_of((queries, keys))},
        "floats": {"attn_mask": mask_of((queries, keys), dtype)},
        "one a key": {"attn_mask": mask_of((1, keys))},
        "one a query": {"attn_mask": mask_of((queries, 1))},
    }


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shapes", SHAPES)
def test_beside_torch(shapes, dtype):
    torch = pytest.importorskip("torch", reason="torch is not installed: parity is not tested")
    theirs = torch.nn.functional.scaled_dot_product_attention
    arrays = drawn(*SHAPES[shapes], dtype=dtype)
    rtol, atol = TOLERANCE[dtype]
    table = options_for(arrays[0].shape[-2], arrays[1].shape[-2], dtype)
    compiled = shapes in ("several tiles", "many samples", "heads")
    for what, options in table.items():
        inputs = [gn.Input(a.shape, dtype, name=n) for a, n in zip(arrays, "qkv", strict=True)]
        y = attention(*inputs, **options)
        tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
        given = {k: torch.tensor(v) if k == "attn_mask" else v for k, v in options.items()}
        wanted = theirs(*tensors, **given)
        (dy,) = drawn(wanted.shape, dtype=dtype, seed=5)
        wanted.backward(torch.tensor(dy))
        grads = gn.vjp(y, inputs, gn.Constant(dy))
        if compiled and what in ("nothing", "causal", "floats", "one a key"):
            found = gn.function(inputs, [y, *grads])(*arrays)
        else:
            found = reference.evaluate([y, *grads], dict(zip(inputs, arrays, strict=True)))
        results = [wanted.detach(), *(t.grad for t in tensors)]
        for mine, other in zip(found, results, strict=True):
            np.testing.assert_allclose(mine, other.numpy(), rtol=rtol, atol=atol, err_msg=what)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_gradient_of_a_mask(backend):
    torch = pytest.importorskip("torch", reason="torch is not installed: parity is not tested")
    arrays = drawn((2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 4), (3, 1, 7))
    inputs = [gn.Input(a.shape, "float64") for a in arrays]
    loss = gn.sum(gn.sin(attention(*inputs)))
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    torch.sin(torch.nn.functional.scaled_dot_product_attention(*tensors)).sum().backward()
    grads = gn.grad(loss, inputs)
    if backend == "cpu":
        found = gn.function(inputs, grads)(*arrays)
    else:
        found = reference.evaluate(grads, dict(zip(inputs, arrays, strict=True)))
    for mine, tensor in zip(found, tensors, strict=True):
        np.testing.assert_allclose(mine, tensor.grad.numpy(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["bool", "float"])
def test_a_query_without_a_key_is_zero_as_in_torch(kind, dtype):
    torch = pytest.importorskip("torch", reason="torch is not installed: parity is not tested")
    arrays = drawn(*[(1, 1, 4, 3)] * 3, dtype=dtype)
    mask = np.ones((4, 4), bool)
    mask[1] = False
    mask = mask if kind == "bool" else np.where(mask, 0, -np.inf).astype(dtype)
    inputs = [gn.Input(a.shape, dtype) for a in arrays]
    y = attention(*inputs, attn_mask=mask)
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    wanted = torch.nn.functional.scaled_dot_product_attention(
        *tensors, attn_mask=torch.tensor(mask)
    )
    wanted.sum().backward()
    function = gn.function(inputs, [y, *gn.grad(gn.sum(y), inputs)])
    found = function(*arrays)
    assert not found[0][0, 0, 1].any()
    assert not found[1][0, 0, 1].any()
    for mine, other in zip(found, [wanted.detach(), *(t.grad for t in tensors)], strict=True):
        np.testing.assert_allclose(mine, other.numpy(), rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------------------------------- memory


def test_a_long_sequence_trains_in_little_memory():
    """All weights of 4,096 queries and keys would be 64 MiB, and their gradient as much."""
    shape = (1, 1, 4096, 64)
    q, k, v = (gn.Parameter(a) for a in drawn(*[shape] * 3, dtype="float32"))
    target = gn.Input(shape, name="target")
    loss = gn.mean((attention(q, k, v, dropout_p=0.1) - target) ** 2)
    updates = gn.optim.SGD(lr=0.1).updates(loss, [q, k, v])
    memory = gn.function([target], [loss], updates=updates).plan.memory
    assert memory.peak + memory.parameters < 32 << 20


def test_memory_grows_with_the_length_not_with_its_square():
    def peak(length, training):
        x = gn.Input((1, 1, length, 64), name="x")
        y = attention(x, x, x, is_causal=True)
        outputs = gn.grad(gn.sum(y * y), x) if training else y
        return gn.function(x, outputs).plan.memory.peak

    for training in (False, True):
        short, double, longer = (peak(n, training) for n in (4096, 8192, 16384))
        assert longer - double == 2 * (double - short)


def test_results_of_the_same_tiles_are_one_kernel():
    def kernels(shape):
        q, k, v = (gn.Input(shape, name=n) for n in "qkv")
        y = attention(q, k, v)
        plan = gn.function([q, k, v], gn.grad(gn.sum(y * y), [q, k, v])).plan
        named = [[node.op.name for node in step.group.nodes] for step in plan.steps]
        return [names for names in named if names[0].startswith("attention")]

    forward = ["attention", "attention_logsumexp"]
    gradients = [f"attention_{one}_gradient" for one in ("query", "key", "value")]
    assert kernels((None, 4, 64, 32)) == [forward, gradients]
    assert kernels((1, 2, 64, 32)) in (
        [forward, gradients[:1], gradients[1:]],
        [forward, gradients[1:], gradients[:1]],
    )


def test_values_that_are_made_of_gradients_are_computed_apart():
    """The second attention has the tiles of the first, but waits for what those gave."""
    q, k, v = (gn.Input((9, 1, 4, 4), "float64", name=n) for n in "qkv")
    y = attention(q, k, v)
    again = attention(q, k, gn.grad(gn.sum(y * y), v))
    arrays = drawn(*[(9, 1, 4, 4)] * 3)
    check_values(
        [again, *gn.grad(gn.sum(again * y), [q, v])], dict(zip((q, k, v), arrays, strict=True))
    )


# ------------------------------------------------------------------------------------------ bits


@pytest.mark.parametrize("shape", [(1, 1, 300, 16), (1, 3, 130, 16), (9, 2, 40, 16)])
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_same_bits_on_every_number_of_threads(shape, dropout, on_each_number_of_threads):
    arrays = drawn(*[shape] * 4, dtype="float32")
    q, k, v, dy = (gn.Input(shape, name=n) for n in ("q", "k", "v", "dy"))
    y = attention(q, k, v, is_causal=True, dropout_p=dropout)
    function = gn.function([q, k, v, dy], [y, *gn.vjp(y, [q, k, v], dy)], training=True)

    def run():
        gn.set_seed(3)
        return function(*arrays)

    on_each_number_of_threads(run)


def test_the_way_of_sharing_changes_no_bit():
    """With a batch axis lanes take samples, with few samples they take blocks: the same tiles."""
    shape = (4, 1, 300, 16)
    arrays = drawn(*[shape] * 4, dtype="float32")
    found = []
    for first in (None, 4):
        q, k, v, dy = (gn.Input((first, *shape[1:])) for _ in range(4))
        y = attention(q, k, v)
        found.append(gn.function([q, k, v, dy], [y, *gn.vjp(y, [q, k, v], dy)])(*arrays))
    for one, other in zip(*found, strict=True):
        assert one.tobytes() == other.tobytes()


# --------------------------------------------------------------------------------------- dropout


def test_dropout_is_the_same_forward_and_in_reverse():
    """A mask that is drawn again is that of the forward pass: finite differences see it."""
    shapes = [(2, 2, 5, 3), (2, 2, 70, 3), (2, 2, 70, 3)]

    def dropped(q, k, v):
        return attention(q, k, v, dropout_p=0.4)

    arrays = drawn(*shapes)
    check_grads(dropped, *arrays, order=2, backend="reference")
    inputs = [gn.Input(shape, "float64") for shape in shapes]
    y = dropped(*inputs)
    outputs = [y, *gn.grad(gn.sum(y * y), inputs)]
    wanted = reference.evaluate(outputs, dict(zip(inputs, arrays, strict=True)))
    found = gn.function(inputs, outputs, training=True)(*arrays)  # and draws others from now on
    for mine, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-10, atol=1e-12)


def test_dropout_drops_its_share_and_rests_in_inference():
    gn.set_seed(0)
    x = gn.Input((1, 200, 4), name="x")
    eye = np.eye(200, dtype=np.float32)[None]
    weights = attention(x, x, eye, dropout_p=0.25)
    (given,) = drawn((1, 200, 4), dtype="float32")
    plain = gn.function(x, attention(x, x, eye))(given)
    assert gn.function(x, weights)(given).tobytes() == plain.tobytes()
    step = gn.function(x, weights, training=True)
    first, second = step(given), step(given)
    kept = first != 0
    assert abs(kept.mean() - 0.75) < 0.01
    assert abs((kept == (second != 0)).mean() - 0.625) < 0.02  # drawn anew: 0.75² + 0.25²
    np.testing.assert_allclose(first[kept], plain[kept] / 0.75, rtol=1e-5)


def test_the_mask_of_dropout_is_nowhere_kept():
    x = gn.Input((None, 4, 64, 8))
    y = attention(x, x, x, dropout_p=0.1)
    function = gn.function(x, [y, gn.grad(gn.sum(y * y), x)], training=True)
    assert all(
        node.op.name != "dropout_mask" for step in function.plan.steps for node in step.group.nodes
    )


# ------------------------------------------------------------------------- derivatives and sizes


def test_second_derivatives_and_forward_mode():
    def masked(q, k, v, m):
        return attention(q, k, v, attn_mask=m, scale=0.7)

    check_grads(masked, *drawn((2, 3, 4), (2, 5, 4), (2, 5, 2), (3, 5)), order=2)
    q, k, v = (gn.Input((3, 4), "float64") for _ in range(3))
    y = attention(q, k, v, is_causal=True)
    arrays = drawn((3, 4), (3, 4), (3, 4), (3, 4), (3, 4))
    pushed = gn.jvp(y, [q], [gn.Constant(arrays[3])])
    pulled = gn.vjp(y, [q], gn.Constant(arrays[4]))[0]
    given = dict(zip((q, k, v), arrays, strict=False))
    a, b = reference.evaluate([pushed, pulled], given)
    np.testing.assert_allclose((a * arrays[4]).sum(), (b * arrays[3]).sum(), rtol=1e-10)


@pytest.mark.parametrize(
    "shapes",
    [
        ((0, 2, 3, 4), (0, 2, 5, 4), (0, 2, 5, 4)),
        ((2, 2, 0, 4), (2, 2, 5, 4), (2, 2, 5, 4)),
        ((2, 2, 3, 4), (2, 2, 0, 4), (2, 2, 0, 4)),
        ((2, 2, 3, 0), (2, 2, 5, 0), (2, 2, 5, 4)),
        ((2, 2, 3, 4), (2, 2, 5, 4), (2, 2, 5, 0)),
    ],
    ids=str,
)
def test_sizes_of_nothing(shapes):
    arrays = drawn(*shapes, dtype="float32")
    inputs = [gn.Input(a.shape) for a in arrays]
    y = attention(*inputs, is_causal=True)
    found = gn.function(inputs, [y, *gn.grad(gn.sum(y), inputs)])(*arrays)
    wanted = reference.evaluate(
        [y, *gn.grad(gn.sum(y), inputs)], dict(zip(inputs, arrays, strict=True))
    )
    for mine, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)


def test_lengths_that_only_the_call_knows():
    q = gn.Input((None, 2, "queries", 4), name="q")
    k, v = (gn.Input((None, 2, "keys", 4), name=n) for n in "kv")
    y = attention(q, k, v)
    function = gn.function([q, k, v], [y, *gn.grad(gn.sum(y * y), [q, k, v])])
    before = None
    for batch, queries, keys in ((2, 3, 5), (1, 140, 530), (3, 1, 1)):
        arrays = drawn(
            (batch, 2, queries, 4), (batch, 2, keys, 4), (batch, 2, keys, 4), dtype="float32"
        )
        found = function(*arrays)
        wanted = reference.evaluate(
            [y, *gn.grad(gn.sum(y * y), [q, k, v])], dict(zip((q, k, v), arrays, strict=True))
        )
        for mine, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-5)
        sources = [kernel.source for kernel in function.plan.kernels]
        assert before in (None, sources)
        before = sources


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_scores(dtype):
    q, k = np.array([[1e4], [-1e4], [0.0]], dtype), np.array([[1.0], [-1.0], [0.5]], dtype)
    v = np.array([[1.0], [2.0], [4.0]], dtype)
    nodes = [gn.Input(a.shape, dtype) for a in (q, k, v)]
    y = attention(*nodes, scale=1.0)
    run = gn.function(nodes, [y, *gn.grad(gn.sum(y * y), nodes)])
    found = run(q, k, v)
    assert all(np.isfinite(part).all() for part in found)
    np.testing.assert_allclose(found[0][:, 0], [1, 2, 7 / 3], rtol=1e-6)
    nan = q.copy()
    nan[1] = np.nan
    found = run(nan, k, v)[0]
    np.testing.assert_array_equal(np.isnan(found[:, 0]), [False, True, False])
    infinite = v.copy()
    infinite[2] = np.inf
    found = run(q, k, infinite)[0]
    assert np.isnan(found[0, 0])  # 0 · ∞
    assert found[2, 0] == np.inf


def test_tiles_of_every_shape_agree():
    """Lengths just below, at and above the size of a tile."""
    rows, columns = TILE
    for queries, keys in itertools.product((rows - 1, rows, rows + 1), (columns, columns + 1)):
        arrays = drawn((1, 1, queries, 4), (1, 1, keys, 4), (1, 1, keys, 4), dtype="float32")
        inputs = [gn.Input(a.shape) for a in arrays]
        y = attention(*inputs, is_causal=True)
        grads = gn.grad(gn.sum(y * y), inputs)
        given = dict(zip(inputs, arrays, strict=True))
        check_values([y, *grads], given, rtol=1e-4, atol=1e-4)


# -------------------------------------------------------------------------------------- messages


def test_messages():
    q, k = gn.Input((None, 5, 8), name="q"), gn.Input((None, 7, 8), name="k")
    with pytest.raises(ShapeError, match=r"query.shape\[-1\] == key.shape\[-1\]; got .*'odd'.*py:"):
        attention(q, gn.Input((None, 7, 6), name="odd"), k)
    with pytest.raises(ShapeError, match=r"key.shape\[-2\] == value.shape\[-2\]"):
        attention(q, k, q)
    with pytest.raises(ShapeError, match="leading axes that broadcast"):
        attention(gn.Input((2, 5, 8)), gn.Input((3, 5, 8)), gn.Input((3, 5, 8)))
    with pytest.raises(ShapeError, match="at least two axes"):
        attention(gn.Input((8,)), k, k)
    with pytest.raises(DTypeError, match=r"one dtype.*got float32, float64 and float32.*gn.cast"):
        attention(q, gn.Input((None, 7, 8), "float64"), k)
    with pytest.raises(ShapeError, match=r"attn_mask needs .*\(None, 5, 7\); got \(6, 7\)"):
        attention(q, k, k, attn_mask=np.ones((6, 7), bool))
    with pytest.raises(DTypeError, match=r"attn_mask is of bools, or float32 .*int64"):
        attention(q, k, k, attn_mask=np.ones((5, 7), np.int64))
    with pytest.raises(GraphError, match="attn_mask or is_causal=True, not both"):
        attention(q, k, k, attn_mask=np.ones((5, 7), bool), is_causal=True)
    with pytest.raises(GraphError, match="0 <= p < 1; got p=1"):
        attention(q, k, k, dropout_p=1)
    with pytest.raises(GraphError, match="scale is a finite number; got nan"):
        attention(q, k, k, scale=float("nan"))


def test_ops_say_what_they_need():
    four = [gn.Input((2, 3, 5, 4), name=n) for n in "qkv"]
    attrs = {"scale": 1.0, "causal": False, "dropout": 0.0, "heads": 1, "tile": TILE}

    def made(inputs, kind="output", **other):
        return gn.node.apply(OPS[kind], inputs, {**attrs, **other})

    with pytest.raises(ShapeError, match="four axes"):
        made([gn.Input((5, 4))] * 3)
    with pytest.raises(ShapeError, match="one batch and one number of heads"):
        made([gn.Input((2, 3, 5, 4)), *[gn.Input((2, 4, 5, 4))] * 2])
    with pytest.raises(ShapeError, match="a generator where there is dropout"):
        made(four, dropout=0.5, stream=0)
    with pytest.raises(ShapeError, match=r"broadcasts to \(2, 3, 5, 5\)"):
        made([*four, gn.Input((2, 3, 4, 5))])
    with pytest.raises(ShapeError, match="a logsumexp and a delta for each query"):
        made([*four, *[gn.Input((2, 3, 4))] * 2, four[0]], "query")


# --------------------------------------------------------------------- in loops and checkpoints


def test_attention_at_each_step_of_a_loop():
    q, k = gn.Input((3, 2, 4, 5), "float64"), gn.Input((2, 6, 5), "float64")
    start = gn.Input((2, 4, 5), "float64")

    def step(state, x):
        y = attention(x, k + state[:, :1] * 0.1, k)
        return state + y, y

    _, ys = gn.scan(step, start, q)
    outputs = [ys, *gn.grad(gn.sum(ys * ys), [q, k, start])]
    given = dict(zip((q, k, start), drawn((3, 2, 4, 5), (2, 6, 5), (2, 4, 5)), strict=True))
    check_values(outputs, given)


def test_a_checkpoint_draws_the_same_mask_again():
    x = gn.Input((9, 2, 6, 4), "float64")
    plain = attention(x, x, x, dropout_p=0.3)

    def held(z):
        y = gn.sin(plain_like(z))
        return y * y

    def plain_like(z):
        return gn.node.rebuilt(plain, [z, z, z, *plain.inputs[3:]])

    (given,) = drawn((9, 2, 6, 4))
    found = []
    for y in (held(x), gn.checkpoint(held, x)):
        gn.set_seed(5)
        found.append(gn.function(x, gn.grad(gn.sum(y), x), training=True)(given))
    assert found[0].any()
    np.testing.assert_array_equal(*found)
