"""Pooling: torch's values and gradients over a table of windows, ties, nan, threads, messages."""

from __future__ import annotations

import numpy as np
import pytest

import graphnn as gn
from graphnn.backends import reference
from graphnn.errors import DTypeError, GraphError, ShapeError
from graphnn.testing import check_grads

torch = pytest.importorskip("torch")
F = pytest.importorskip("torch.nn.functional")

TOLERANCE = {"float32": {"rtol": 1e-4, "atol": 1e-5}, "float64": {"rtol": 1e-9, "atol": 1e-12}}

MAX = [
    ((2, 3, 8, 8), (2,), {}),
    ((2, 3, 9, 7), (2,), {}),
    ((2, 3, 9, 7), (2,), {"ceil_mode": True}),
    ((2, 3, 9, 7), (3,), {"stride": 1, "padding": 1}),
    ((2, 3, 9, 7), ((3, 2),), {"stride": (2, 3), "padding": (1, 0)}),
    ((2, 3, 9, 8), (3,), {"stride": 2, "padding": 1, "ceil_mode": True}),
    ((2, 3, 9, 8), (2,), {"stride": 3, "padding": 1, "ceil_mode": True}),
    ((2, 3, 9, 10), (3,), {"dilation": (2, 3), "stride": 1, "padding": 1}),
    ((2, 3, 5, 5), (5,), {}),
    ((2, 3, 4, 5), (5,), {"stride": 2, "ceil_mode": True}),
    ((0, 3, 4, 4), (2,), {}),
]
AVERAGE = [
    *(row for row in MAX if "dilation" not in row[2]),
    ((2, 3, 9, 8), (3,), {"stride": 2, "padding": 1, "count_include_pad": False}),
    (
        (2, 3, 9, 8),
        (3,),
        {"stride": 2, "padding": 1, "ceil_mode": True, "count_include_pad": False},
    ),
    ((2, 3, 9, 8), ((2, 4),), {"padding": (1, 2), "divisor_override": 3}),
]
ADAPTIVE = [
    ((2, 3, 8, 6), (2,), {}),
    ((2, 3, 8, 7), ((3, 5),), {}),
    ((2, 3, 8, 7), ((None, 2),), {}),
    ((2, 3, 8, 7), (1,), {}),
    ((2, 3, 2, 3), (4,), {}),
]


def of_signals(rows):
    """The same windows along one axis."""

    def last(value):
        return value[-1] if isinstance(value, tuple) else value

    for x, (size,), options in rows:
        kept = {key: last(value) for key, value in options.items() if key != "divisor_override"}
        yield (*x[:2], x[-1]), (last(size),), kept


TABLE = [
    (f"{name}{dims}d", *row)
    for name, rows in (
        ("max_pool", MAX),
        ("avg_pool", AVERAGE),
        ("adaptive_max_pool", ADAPTIVE),
        ("adaptive_avg_pool", ADAPTIVE),
    )
    for dims, table in ((2, rows), (1, list(of_signals(rows))))
    for row in table
]
every_row = pytest.mark.parametrize(("name", "x", "size", "options"), TABLE, ids=map(str, TABLE))


@every_row
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_values_and_gradients_are_torchs(name, x, size, options, dtype, rng):
    array = rng.standard_normal(x).astype(dtype)
    tensor = torch.tensor(array, requires_grad=True)
    expected = getattr(F, name)(tensor, *size, **options)
    cotangent = rng.standard_normal(expected.shape).astype(dtype)
    (wanted,) = torch.autograd.grad(expected, tensor, torch.tensor(cotangent))

    node = gn.Input((None, *x[1:]), dtype)
    y = getattr(gn, name)(node, *size, **options)
    dy = gn.Input((None, *expected.shape[1:]), dtype)
    function = gn.function([node, dy], [y, *gn.vjp(y, [node], dy)])
    value, gradient = function(array, cotangent)
    function.plan.check()
    assert (value.shape, value.dtype) == (tuple(expected.shape), np.dtype(dtype))
    np.testing.assert_allclose(value, expected.detach().numpy(), **TOLERANCE[dtype])
    np.testing.assert_allclose(gradient, wanted.numpy(), **TOLERANCE[dtype])


@every_row
def test_both_derivatives_by_finite_differences(name, x, size, options, rng):
    if x[0] == 0:
        return  # nothing to move
    array = rng.permutation(int(np.prod(x))).reshape(x) / 10  # no two are close
    check_grads(
        lambda v: gn.square(getattr(gn, name)(v, *size, **options)),
        array,
        order=2,
        backend="reference",
    )


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
def test_the_second_derivative_runs_compiled(name, rng):
    array = rng.permutation(2 * 3 * 7 * 6).reshape(2, 3, 7, 6) / 10
    check_grads(lambda v: gn.square(getattr(gn, name)(v, 3, stride=2, padding=1)), array, order=2)


def test_of_equals_the_first_gets_the_gradient():
    x = gn.Input((1, 1, 2, 4))
    y = gn.max_pool2d(x, 2)
    value, gradient = gn.function(x, [y, gn.grad(gn.sum(y), x)])(np.ones((1, 1, 2, 4), np.float32))
    assert value.ravel().tolist() == [1, 1]
    assert gradient.tolist() == [[[[1, 0, 1, 0], [0, 0, 0, 0]]]]


def test_overlapping_windows_add_their_gradients():
    x = gn.Input((1, 5))
    y = gn.max_pool1d(x, 3, stride=1)
    gradient = gn.function(x, gn.grad(gn.sum(y), x))(np.float32([[0, 1, 5, 2, 0]]))
    assert gradient.tolist() == [[0, 0, 3, 0, 0]]


def test_nan_and_infinity():
    """Nan wins wherever it stands; a window of -inf has -inf as its largest."""
    x = gn.Input((6,))
    array = np.float32([np.nan, 1, 2, np.nan, -np.inf, -np.inf])
    largest = gn.max_pool1d(x, 2)
    value, gradient = gn.function(x, [largest, gn.grad(gn.sum(largest), x)])(array)
    np.testing.assert_array_equal(value, np.float32([np.nan, np.nan, -np.inf]))
    assert gradient.tolist() == [1, 0, 0, 1, 1, 0]
    mean = gn.function(x, gn.avg_pool1d(x, 2))(array)
    np.testing.assert_array_equal(mean, np.float32([np.nan, np.nan, -np.inf]))


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
@pytest.mark.parametrize("batch", [1, 2, 7])
def test_same_bits_on_every_number_of_threads(name, batch, rng, on_each_number_of_threads):
    x = gn.Input((None, 3, 9, 8))
    y = getattr(gn, name)(gn.tanh(x), 3, stride=2, padding=1)
    nodes = [y, gn.grad(gn.sum(gn.square(y)), x)]
    array = rng.standard_normal((batch, 3, 9, 8)).astype(np.float32)
    function = gn.function(x, nodes)
    found = on_each_number_of_threads(lambda: function(array))
    function.plan.check()
    for ours, wanted in zip(found, reference.evaluate(nodes, {x: array}), strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-4, atol=1e-5)


def test_any_leading_axes(rng):
    """Planes may stand alone, or in a batch of batches."""
    array = rng.standard_normal((2, 1, 3, 6, 4))
    t = torch.tensor(array)
    for shape in ((2, 1, 3, 6, 4), (6, 4)):
        x = gn.Input(shape, "float64")
        given = array if len(shape) == 5 else array[0, 0, 0]
        found = gn.function(x, [gn.max_pool2d(x, 2), gn.avg_pool2d(x, 2)])(given)
        planes = t.reshape(1, 6, 6, 4) if len(shape) == 5 else t[:1, 0, :1]
        wanted = [F.max_pool2d(planes, 2), F.avg_pool2d(planes, 2)]
        for ours, theirs in zip(found, wanted, strict=True):
            np.testing.assert_allclose(ours.ravel(), theirs.numpy().ravel(), rtol=1e-12)


def test_the_mean_of_planes_of_any_size(rng):
    x = gn.Input((None, 3, "H", "W"), "float64")
    array = rng.standard_normal((2, 3, 5, 4))
    found = gn.function(x, gn.adaptive_avg_pool2d(x, 1))(array)
    np.testing.assert_allclose(found, array.mean((2, 3), keepdims=True))


def test_names():
    x = gn.Input((None, 3, 8, 8))
    assert gn.max_pool2d(x, 2).name == "max_pool2d"
    assert gn.avg_pool2d(x, 2, name="smaller").name == "smaller"
    assert gn.adaptive_avg_pool2d(x, 1).name == "adaptive_avg_pool2d"


IMAGE = (None, 3, 8, 8)
WRONG = [
    (ShapeError, IMAGE, (9,), {}, r"spans 9, but an axis of x has 8 .*shape is \(None, 3, 8, 8\)"),
    (ShapeError, (None, 3, 1, 1), (2,), {"dilation": 3, "padding": 1}, "spans 4"),
    (ShapeError, (8,), (2,), {}, r"max_pool2d needs \(..., height, width\).*got \(8,\)"),
    (ShapeError, (None, 3, "H", 8), (2,), {}, "sizes that are known.*gn.max or gn.mean"),
    (
        GraphError,
        IMAGE,
        (2,),
        {"padding": 2},
        "at most half of the kernel.*padding=2 and kernel_size=2",
    ),
    (GraphError, IMAGE, (0,), {}, "kernel_size is a whole number >= 1, or 2 of them; got 0"),
    (GraphError, IMAGE, ((2, 2, 2),), {}, "or 2 of them"),
    (GraphError, IMAGE, (2,), {"stride": 0}, "stride is a whole number >= 1"),
]


@pytest.mark.parametrize(
    ("error", "x", "size", "options", "message"), WRONG, ids=[w[-1] for w in WRONG]
)
def test_messages(error, x, size, options, message):
    with pytest.raises(error, match=message) as caught:
        gn.max_pool2d(gn.Input(x, name="x"), *size, **options)
    assert "Declared at test_pool.py:" in str(caught.value)


def test_other_messages():
    with pytest.raises(DTypeError, match="max_pool_places needs float32 or float64.*Cast it"):
        gn.max_pool2d(gn.Input(IMAGE, "uint8"), 2)
    with pytest.raises(DTypeError, match="needs float32 or float64"):
        gn.avg_pool2d(gn.Input(IMAGE, "int64"), 2)
    with pytest.raises(GraphError, match="divisor_override is a whole number >= 1; got 0"):
        gn.avg_pool2d(gn.Input(IMAGE), 2, divisor_override=0)
    with pytest.raises(GraphError, match="output_size is a whole number >= 1, or 2 of them"):
        gn.adaptive_avg_pool2d(gn.Input(IMAGE), (2, 3, 4))
    with pytest.raises(GraphError, match="output_size is a whole number"):
        gn.adaptive_max_pool2d(gn.Input(IMAGE), 0)
    with pytest.raises(ShapeError, match="no element along an axis"):
        gn.adaptive_max_pool1d(gn.Input((2, 0)), 3)


def test_global_pools(rng):
    x = gn.Input((None, 3, 4, 5), name="x")
    array = rng.standard_normal((2, 3, 4, 5)).astype(np.float32)
    mean, top = gn.function(x, [gn.global_avg_pool(x), gn.global_max_pool(x, keepdims=True)])(array)
    np.testing.assert_allclose(mean, array.mean((2, 3)), rtol=1e-5)
    np.testing.assert_array_equal(top, array.max((2, 3), keepdims=True))
    with pytest.raises(gn.ShapeError, match=r"global_avg_pool needs \(batch, channels, \.\.\.\)"):
        gn.global_avg_pool(gn.Input((2, 3)))
