"""Convolutions: torch's values and gradients, both derivatives, scratch memory, threads, messages."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import graphnn as gn
from graphnn.backends import reference
from graphnn.barriers import overlaps, races
from graphnn.errors import DTypeError, GraphError, PlanError, ShapeError
from graphnn.node import apply
from graphnn.ops.convolution import correlation
from graphnn.ops.convolution.correlation import FAMILIES, tile_of
from graphnn.spec import TensorSpec
from graphnn.testing import check_grads

torch = pytest.importorskip("torch")
F = pytest.importorskip("torch.nn.functional")

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")

TOLERANCE = {"float32": {"rtol": 1e-4, "atol": 1e-4}, "float64": {"rtol": 1e-9, "atol": 1e-11}}
OURS = {
    name: getattr(gn, name) for name in ("conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d")
}

# (x, weight, arguments)
CONV1D = [
    ((2, 3, 9), (4, 3, 3), {}),
    ((2, 3, 10), (4, 3, 4), {"stride": 2, "padding": 1}),
    ((1, 4, 11), (6, 2, 3), {"groups": 2, "dilation": 2, "padding": "same"}),
    ((3, 2, 8), (2, 1, 2), {"groups": 2, "padding": "same"}),
    ((2, 3, 7), (5, 3, 1), {}),
    ((2, 3, 1), (5, 3, 3), {"padding": 1}),
]
CONV2D = [
    ((2, 3, 8, 8), (4, 3, 3, 3), {}),
    ((2, 3, 8, 7), (4, 3, 3, 3), {"padding": 1}),
    ((2, 3, 9, 8), (4, 3, 3, 2), {"stride": 2, "padding": (1, 0)}),
    ((2, 3, 9, 8), (4, 3, 2, 3), {"stride": (1, 3), "padding": (0, 2)}),
    ((3, 4, 7, 7), (6, 2, 3, 3), {"groups": 2, "padding": 2}),
    ((2, 4, 7, 6), (8, 1, 3, 3), {"groups": 4, "padding": 1, "stride": 2}),
    ((2, 4, 7, 6), (4, 1, 3, 2), {"groups": 4, "padding": "same"}),
    ((2, 3, 11, 10), (2, 3, 3, 3), {"dilation": 2}),
    ((2, 2, 11, 10), (2, 2, 3, 2), {"dilation": (3, 2), "padding": "same"}),
    ((2, 3, 6, 5), (4, 3, 4, 2), {"padding": "same"}),
    ((2, 3, 6, 5), (4, 3, 1, 1), {}),
    ((4, 6, 6, 5), (4, 3, 1, 1), {"groups": 2}),
    ((2, 3, 6, 5), (4, 3, 1, 1), {"stride": 2}),
    ((2, 3, 6, 5), (4, 3, 1, 1), {"padding": 1}),
    ((2, 3, 5, 5), (4, 3, 5, 5), {"padding": "valid"}),
    ((2, 3, 3, 3), (1, 3, 3, 3), {"padding": 3, "stride": 3}),
    ((1, 1, 4, 4), (1, 1, 2, 2), {"padding": 3}),
    ((1, 3, 8, 8), (4, 3, 3, 3), {"padding": 1}),
    ((0, 3, 8, 8), (4, 3, 3, 3), {"padding": 1}),
]
TRANSPOSED1D = [
    ((2, 3, 5), (3, 4, 3), {}),
    ((2, 4, 5), (4, 3, 4), {"stride": 3, "padding": 1, "output_padding": 2, "groups": 2}),
    ((2, 3, 6), (3, 2, 2), {"dilation": 3, "output_padding": 1, "stride": 2}),
    ((2, 3, 6), (3, 2, 2), {"dilation": 4, "output_padding": 3, "stride": 2, "padding": 1}),
    ((2, 3, 6), (3, 2, 1), {"dilation": 3, "output_padding": 2, "padding": 1}),
]
TRANSPOSED2D = [
    ((2, 3, 4, 5), (3, 4, 3, 3), {}),
    ((2, 3, 4, 5), (3, 4, 4, 4), {"stride": 2, "padding": 1}),
    ((2, 4, 3, 4), (4, 2, 3, 2), {"stride": (2, 3), "output_padding": (1, 2), "groups": 2}),
    ((2, 4, 3, 4), (4, 1, 3, 3), {"groups": 4, "padding": 2, "dilation": 2}),
    ((2, 3, 4, 5), (3, 4, 1, 1), {}),
]
TABLE = [
    *(("conv1d", *row) for row in CONV1D),
    *(("conv2d", *row) for row in CONV2D),
    *(("conv_transpose1d", *row) for row in TRANSPOSED1D),
    *(("conv_transpose2d", *row) for row in TRANSPOSED2D),
]
every_row = pytest.mark.parametrize(("name", "x", "w", "options"), TABLE, ids=map(str, TABLE))


def outputs_of(name, w, options) -> int:
    return w[1] * options.get("groups", 1) if "transpose" in name else w[0]


def theirs(name, arrays, cotangent, options):
    """Torch's result, and its gradients with respect to x, weight and bias."""
    tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
    y = getattr(F, name)(*tensors, **options)
    return [y, *torch.autograd.grad(y, tensors, torch.tensor(cotangent[: y.numel()]).view(y.shape))]


@every_row
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_values_and_gradients_are_torchs(name, x, w, options, dtype, rng):
    shapes = (x, w, (outputs_of(name, w, options),))
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    flat = rng.standard_normal(5000).astype(dtype)
    expected = theirs(name, arrays, flat, options)
    inputs = [gn.Input(shape, dtype) for shape in ((None, *x[1:]), *shapes[1:])]
    y = OURS[name](*inputs, **options)
    dy = gn.Input((None, *expected[0].shape[1:]), dtype)
    function = gn.function([*inputs, dy], [y, *gn.vjp(y, inputs, dy)])
    cotangent = flat[: expected[0].numel()].reshape(expected[0].shape)
    found = function(*arrays, cotangent)
    function.plan.check()
    for ours, wanted in zip(found, expected, strict=True):
        assert ours.shape == tuple(wanted.shape)
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours, wanted.detach().numpy(), **TOLERANCE[dtype])


@every_row
def test_both_derivatives_by_finite_differences(name, x, w, options, rng):
    if x[0] == 0:
        return  # nothing to move
    arrays = [rng.standard_normal(shape) for shape in (x, w, (outputs_of(name, w, options),))]
    check_grads(
        lambda a, b, c: OURS[name](a, b, c, **options), *arrays, order=2, backend="reference"
    )


@pytest.mark.parametrize(
    ("name", "x", "w", "options"),
    [("conv1d", *CONV1D[1]), ("conv2d", *CONV2D[4]), ("conv_transpose2d", *TRANSPOSED2D[2])],
    ids=["conv1d", "conv2d", "conv_transpose2d"],
)
def test_the_second_derivative_runs_compiled(name, x, w, options, rng):
    arrays = [rng.standard_normal(shape) for shape in (x, w)]
    check_grads(lambda a, b: gn.tanh(OURS[name](a, b, **options)), *arrays, order=2)


def test_torchs_second_derivative(rng):
    x, w, options = CONV2D[2]
    arrays = [rng.standard_normal(shape) for shape in (x, w)]
    t = [torch.tensor(array, requires_grad=True) for array in arrays]
    loss = torch.conv2d(*t, **options).tanh().sum()
    first = torch.autograd.grad(loss, t, create_graph=True)
    second = torch.autograd.grad(sum((g * g).sum() for g in first), t)

    inputs = [gn.Input(shape, "float64") for shape in (x, w)]
    ours = gn.sum(gn.tanh(gn.conv2d(*inputs, **options)))
    slopes = gn.grad(ours, inputs)
    squared = gn.sum(slopes[0] * slopes[0]) + gn.sum(slopes[1] * slopes[1])
    for a, b in zip(gn.function(inputs, gn.grad(squared, inputs))(*arrays), second, strict=True):
        np.testing.assert_allclose(a, b.numpy(), rtol=1e-9, atol=1e-11)


def test_symmetric_padding_is_not_same_for_even_kernels():
    """Torch puts the odd zero behind: [1, 2, 3] with taps (1, 10) meets [1, 2], [2, 3], [3, 0]."""
    x = gn.Input((1, 1, 3))
    y = gn.conv1d(x, np.float32([[[1, 10]]]), padding="same")
    assert gn.function(x, y)(np.float32([[[1, 2, 3]]])).ravel().tolist() == [21, 32, 3]


# -------------------------------------------------------------------------- sizes not known


@pytest.mark.parametrize("length", [3, 4, 17, 1100])
def test_lengths_that_are_known_only_at_run_time(length, rng):
    """A signal of any length by one function, in tiles of a fixed number of pixels."""
    x, w = gn.Input((None, 2, "L"), "float64"), gn.Input((3, 2, 3), "float64")
    y = gn.conv1d(x, w, padding=1)
    assert y.shape[2] == x.shape[2]
    up = gn.conv_transpose1d(y, w, stride=2)
    again = gn.conv1d(up, w, stride=2)
    inputs = [rng.standard_normal((2, 2, length)), rng.standard_normal((3, 2, 3))]
    nodes = [again, *gn.grad(gn.sum(gn.square(again)), [x, w])]
    function = gn.function([x, w], nodes)
    found = function(*inputs)
    function.plan.check()
    wanted = reference.evaluate(nodes, dict(zip([x, w], inputs, strict=True)))
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


def test_one_kernel_serves_all_layers(rng):
    """Sizes, strides and groups come at run time: layers of one form share their code."""
    x = gn.Input((None, 4, 12, 12))
    h = gn.conv2d(x, np.ones((8, 4, 3, 3), np.float32), padding=1)
    h = gn.conv2d(h, np.ones((8, 2, 5, 5), np.float32), stride=2, groups=4)
    h = gn.conv2d(h, np.ones((3, 8, 1, 1), np.float32))
    kernels = [k for k in gn.function(x, h).plan.kernels if k.name.startswith("convolution")]
    assert len(kernels) == 3
    assert len({kernel.source for kernel in kernels}) == 1


# ---------------------------------------------------------------------- scratch and threads


def network(dtype="float32"):
    """Tiles smaller than an image, several lanes, all three ops twice."""
    x = gn.Input((None, 3, 20, 24), dtype)
    rng = np.random.default_rng(5)
    W = gn.Parameter(rng.standard_normal((8, 3, 3, 3)).astype(dtype))
    V = gn.Parameter(rng.standard_normal((6, 4, 5, 5)).astype(dtype))
    h = gn.relu(gn.conv2d(x, W, padding=1))
    h = gn.conv2d(h, V, stride=2, groups=2)
    loss = gn.mean(gn.square(h))
    return x, loss, [loss, *gn.grad(loss, [x, W, V])]


@pytest.mark.parametrize("batch", [1, 2, 7])
@pytest.mark.parametrize("small", [False, True])
def test_same_bits_on_every_number_of_threads(
    batch, small, rng, monkeypatch, on_each_number_of_threads
):
    if small:  # tiles of three rows
        monkeypatch.setattr(correlation, "TILE_BYTES", 0)
        monkeypatch.setattr(correlation, "TILE_PIXELS", 72)
    x, _, nodes = network()
    array = rng.standard_normal((batch, 3, 20, 24)).astype(np.float32)
    function = gn.function(x, nodes)
    found = on_each_number_of_threads(lambda: function(array))
    function.plan.check()
    for ours, wanted in zip(found, reference.evaluate(nodes, {x: array}), strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("pixels", [1, 5, 24, 50])
def test_any_tile_gives_the_same_result(pixels, rng, monkeypatch):
    """Columns cut within a row, at its end, and after several rows."""
    monkeypatch.setattr(correlation, "TILE_BYTES", 0)
    monkeypatch.setattr(correlation, "TILE_PIXELS", pixels)
    x, _, nodes = network("float64")
    array = rng.standard_normal((2, 3, 20, 24))
    found = gn.function(x, nodes)(array)
    for ours, wanted in zip(found, reference.evaluate(nodes, {x: array}), strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-9, atol=1e-9)


def test_tiles_are_numbers_and_bounded():
    w = TensorSpec((64, 32, 3, 3))
    assert tile_of(w, TensorSpec((128, 64, 28, 28))) == (28, 28)
    rows, columns = tile_of(w, TensorSpec((1, 64, 1080, 1920)))
    assert (rows, columns) == (1, 910)
    assert rows * columns * 32 * 9 * 4 <= correlation.TILE_BYTES
    signal = gn.Input((None, 64, "L")).spec
    assert tile_of(TensorSpec((64, 32, 9)), signal) == (1, 910)
    assert tile_of(TensorSpec((64, 512, 3, 3)), TensorSpec((1, 64, 7, 7))) == (7, 7)


def test_scratch_stands_in_the_plan(many_lanes):
    x, _, nodes = network()
    plan = gn.function(x, nodes).plan_for({"N": 4})
    plan.check()
    needs = {i: step.scratch for i, step in enumerate(plan.steps) if step.scratch}
    assert sorted(plan.layout.scratch) == sorted(needs)
    assert len(needs) == 6  # two layers, each forward and with respect to both
    each = -(-max(needs.values()) // 64) * 64
    assert plan.layout.lane_bytes == each
    for i, buffer in plan.layout.scratch.items():
        assert (buffer.first, buffer.last, buffer.nbytes, buffer.parts) == (i, i, 3 * each, 3)
    assert plan.memory.scratch == 3 * each
    assert f"scratch {3 * each / 1024:.1f} KiB" in str(plan.memory)
    assert [i for i, row in enumerate(plan.rows()) if "scratch@" in " ".join(row)] == sorted(needs)
    assert not overlaps(plan.layout)
    assert not races(plan.steps, plan.layout)


def test_layers_share_their_scratch_without_a_barrier(many_lanes):
    """Each lane has its own part, the same in every layer: twenty layers need no more than one."""
    x = gn.Input((None, 4, 12, 12))
    h, kernel = x, np.ones((4, 4, 3, 3), np.float32)
    for _ in range(20):
        h = gn.relu(gn.conv2d(h, kernel, padding=1))
    plan = gn.function(x, h).plan_for({"N": 6})
    plan.check()
    assert not any(plan.layout.barriers)
    assert len({buffer.offset for buffer in plan.layout.scratch.values()}) == 1
    image = 6 * 4 * 144 * 4
    assert plan.layout.nbytes <= plan.memory.scratch + 3 * image


def test_products_of_pixels_need_no_scratch():
    x = gn.Input((None, 3, 5, 5))
    y = gn.conv2d(x, np.ones((4, 3, 1, 1), np.float32))
    plan = gn.function(x, y).plan
    assert plan.memory.scratch == 0
    assert "scratch" not in str(plan)


def with_scratch(plan, step, **changes):
    """The plan with another place for the scratch of a step."""
    place = plan.layout.scratch[step]
    buffers = tuple(replace(b, **changes) if b is place else b for b in plan.layout.buffers)
    return replace(plan, layout=replace(plan.layout, buffers=buffers))


def test_check_finds_scratch_that_is_wrong(many_lanes):
    x, _, nodes = network()
    plan = gn.function(x, nodes).plan_for({"N": 4})
    step, place = next(iter(plan.layout.scratch.items()))
    value = next(b for b in plan.layout.buffers if b.nodes and b.first <= step <= b.last)
    with pytest.raises(PlanError, match=f"the scratch of step {step}.* share memory while alive"):
        with_scratch(plan, step, offset=value.offset).check()
    with pytest.raises(PlanError, match="bytes of scratch for each lane, has"):
        with_scratch(plan, step, nbytes=place.nbytes // 2).check()
    with pytest.raises(PlanError, match="bytes of scratch for each lane, has 64"):
        replace(plan, layout=replace(plan.layout, lane_bytes=64)).check()


def test_races_finds_scratch_that_meets_other_threads(many_lanes):
    """Two steps with nothing between them, and the lanes' scratch where others' lanes write."""
    x = gn.Input((None, 2, 6, 6))
    kernel = np.ones((2, 2, 3, 3), np.float32)
    nodes = [gn.conv2d(x, kernel), gn.conv2d(x, 2 * kernel)]
    plan = gn.function(x, nodes).plan_for({"N": 5})
    first, second = sorted(plan.layout.scratch)
    assert not plan.layout.barriers[second]
    assert plan.layout.scratch[first].offset == plan.layout.scratch[second].offset
    plan.check()  # lane by lane the same place
    shifted = with_scratch(plan, second, offset=plan.layout.scratch[first].offset + 64)
    assert races(shifted.steps, shifted.layout) == [second]


# ----------------------------------------------------------------------------------- messages

IMAGE, WEIGHT = (None, 3, 8, 8), (4, 3, 3, 3)
WRONG = [
    (IMAGE, (4, 5, 3, 3), {}, r"x.shape\[1\] == weight.shape\[1\]; got .*Did you mean a weight of "
     r"shape \(4, 3, 3, 3\)"),
    ((None, 4, 8, 8), (6, 4, 3, 3), {"groups": 2}, r"shape \(6, 2, 3, 3\)"),
    (IMAGE, (4, 1, 3, 3), {"groups": 2}, "2 groups cannot share 3 channels"),
    ((None, 4, 8, 8), (5, 2, 3, 3), {"groups": 2}, "that groups=2 divides: weight.shape.0. is 5"),
    ((3, 8, 8), WEIGHT, {}, r"4 axes \(batch, channels, height, width\).*gn.expand_dims"),
    (IMAGE, (4, 3, 3), {}, "a weight .* of 4 axes"),
    (IMAGE, (4, 3, 9, 9), {}, "it spans 9, the input is 8, padded by 0 and 0.*more padding"),
    (IMAGE, WEIGHT, {"dilation": 4}, r"it spans 9 \(3 taps, 4 apart\)"),
    ((None, 3, "H", 8), WEIGHT, {"stride": 2}, "a size that is known where the stride is 2"),
    (IMAGE, (4, 3, 0, 3), {}, "at least one tap"),
]  # fmt: skip


@pytest.mark.parametrize(("x", "w", "options", "message"), WRONG, ids=[m for *_, m in WRONG])
def test_shapes_that_do_not_fit(x, w, options, message):
    with pytest.raises(ShapeError, match=message) as caught:
        gn.conv2d(gn.Input(x, name="x"), gn.Input(w, name="w"), **options)
    assert "conv2d needs" in str(caught.value)
    assert "test_conv.py:" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride": 0}, "conv2d: stride is a whole number >= 1, or 2 of them; got 0"),
        ({"stride": (1, 2, 3)}, "or 2 of them"),
        ({"stride": 1.5}, "whole number"),
        ({"dilation": "2"}, "dilation is a whole number"),
        ({"groups": 0}, "groups is a whole number >= 1; got 0"),
        ({"padding": -1}, "padding is a whole number >= 0"),
        ({"padding": "full"}, "'valid', 'same' or 'circular'; got 'full'"),
        ({"padding": "same", "stride": 2}, "padding='same' keeps the size, so it needs stride=1"),
    ],
)
def test_arguments_that_are_no_such_numbers(options, message):
    with pytest.raises(GraphError, match=message) as caught:
        gn.conv2d(gn.Input(IMAGE), gn.Input(WEIGHT), **options)
    assert "Declared at test_conv.py:" in str(caught.value)


def test_other_messages():
    x, w = gn.Input(IMAGE), gn.Input(WEIGHT)
    with pytest.raises(ShapeError, match=r"one number for each of 4 output channels; got \(3,\)"):
        gn.conv2d(x, w, np.ones(3, np.float32))
    with pytest.raises(DTypeError, match="two values of one dtype"):
        gn.conv2d(x, gn.Input(WEIGHT, "float64"))
    with pytest.raises(ShapeError, match=r"conv_transpose2d: .*x.shape\[1\] == weight.shape\[0\]"):
        gn.conv_transpose2d(x, w)
    with pytest.raises(ShapeError, match=r"leaves something of the result; its size .*\(-1,\)"):
        gn.conv_transpose1d(gn.Input((1, 2, 2)), gn.Input((2, 2, 2)), padding=2)
    shorter = gn.conv_transpose1d(gn.Input((1, 2, "L")), gn.Input((2, 2, 2)), padding=2)
    with pytest.raises(ShapeError, match="conv1d_input of .* needs L >= 3; got L = 2"):
        gn.function(list(gn.Graph(shorter).inputs), shorter)(
            np.ones((1, 2, 2), np.float32), np.ones((2, 2, 2), np.float32)
        )
    with pytest.raises(GraphError, match="output_padding is less than the stride or the dilation"):
        gn.conv_transpose1d(gn.Input((1, 2, 3)), gn.Input((2, 2, 3)), output_padding=1)
    with pytest.raises(ShapeError, match=r"conv1d needs an input of 3 axes \(batch, channels, len"):
        gn.conv1d(gn.Input((2, 3)), gn.Input((4, 2, 3)))
    with pytest.raises(ShapeError, match="a weight whose sizes are numbers"):
        gn.conv1d(gn.Input((2, 3, 4)), gn.Input((None, 3, 3)))


def test_names(rng):
    x, w = gn.Input(IMAGE), gn.Input(WEIGHT)
    bias = np.ones(4, np.float32)
    assert gn.conv2d(x, w).name == "conv2d"
    assert gn.conv2d(x, w, name="first").name == "first"
    assert gn.conv2d(x, w, bias, name="first").name == "first"
    assert gn.conv_transpose2d(gn.conv2d(x, w), w).name == "conv_transpose2d"


def test_ops_that_do_not_fit_each_other():
    """The gradients' own rules: they too may be applied, and say what they need."""
    x, w = gn.Input(IMAGE), gn.Input(WEIGHT)
    window = {"stride": (1, 1), "padding": ((0, 0),) * 2, "dilation": (1, 1), "groups": 1}
    dy = gn.conv2d(x, w)
    with pytest.raises(ShapeError, match="of the size that a convolution of"):
        apply(FAMILIES[2].input, [dy, w], {"size": (9, 9), **window})
    with pytest.raises(ShapeError, match="a cotangent of the size"):
        apply(FAMILIES[2].weight, [x, dy], {"kernel": (5, 5), **window})
    with pytest.raises(ShapeError, match="that groups=2 divides"):
        apply(FAMILIES[2].weight, [x, dy], {"kernel": (3, 3), **window, "groups": 2})
    with pytest.raises(ShapeError, match="one batch"):
        apply(FAMILIES[2].weight, [gn.Input((3, 3, 8, 8)), dy], {"kernel": (3, 3), **window})


def test_circular_padding_joins_the_edges(rng):
    x, w = gn.Input((2, 3, 5, 6), "float64"), gn.Input((4, 3, 3, 4), "float64")
    arrays = rng.standard_normal((2, 3, 5, 6)), rng.standard_normal((4, 3, 3, 4))
    y = gn.conv2d(x, w, padding="circular")
    assert y.shape == (2, 4, 5, 6)
    wide = np.pad(arrays[0], ((0, 0), (0, 0), (1, 1), (1, 2)), mode="wrap")
    plain = gn.conv2d(gn.Constant(wide), w)
    found, wanted = gn.function([x, w], [y, plain])(*arrays)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    rolled = gn.function([x, w], y)(np.roll(arrays[0], (2, 3), (2, 3)), arrays[1])
    np.testing.assert_allclose(rolled, np.roll(found, (2, 3), (2, 3)), rtol=1e-12)
    with pytest.raises(GraphError, match="padding='circular' keeps the size, so it needs stride=1"):
        gn.conv2d(x, w, padding="circular", stride=2)
