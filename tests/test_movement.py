"""Moving data: slices, borders, joins, x[key]; against NumPy, with gradients and batch axes."""

from __future__ import annotations

import numpy as np
import pytest

import graphnn as gn
from graphnn.backends import reference
from graphnn.errors import GraphError, ShapeError
from graphnn.node import apply
from graphnn.op import registry
from graphnn.testing import check_grads

ARRAY = np.arange(120.0).reshape(4, 5, 6)


def value(node: gn.Node, *arrays: np.ndarray) -> np.ndarray:
    """By the references: the kernels are compared with them in test_ops, and below."""
    return reference.evaluate(node, dict(zip(gn.Graph(node).inputs, arrays, strict=True)))


def compiled(node: gn.Node, *arrays: np.ndarray) -> np.ndarray:
    return gn.function(list(gn.Graph(node).inputs), node)(*arrays)


KEYS = [
    np.s_[1],
    np.s_[-1],
    np.s_[1:3],
    np.s_[::-1],
    np.s_[:, ::2],
    np.s_[:, 4:0:-2],
    np.s_[..., 2],
    np.s_[..., None],
    np.s_[None, :, 1, None],
    np.s_[2, 3, 4],
    np.s_[-3:-1, 1:99, ::3],
    np.s_[3:1],
    np.s_[:, :, 5:2:-1],
    np.s_[:, [0, 2, -1]],
    np.s_[:, np.array([[0, 1], [4, 4]])],
    np.s_[1:, :, [5, 0]],
    np.s_[...],
    np.s_[()],
    np.s_[:, 99:],
    np.s_[-99:2, ::-99],
]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_getitem_is_numpys(key):
    x = gn.Input(ARRAY.shape, "float64")
    expected = ARRAY[key]
    assert x[key].shape == expected.shape
    np.testing.assert_array_equal(value(x[key], ARRAY), expected)


def test_getitem_compiled():
    x = gn.Input((None, 5, 6), "float64")
    keys = [
        np.s_[1:],
        np.s_[-2:],
        np.s_[:, ::-1, ::2],
        np.s_[-1, 1:3],
        np.s_[::-1],
        np.s_[:, [3, 0]],
    ]
    found = gn.function(x, [x[key] for key in keys])(ARRAY)
    for array, key in zip(found, keys, strict=True):
        np.testing.assert_array_equal(array, ARRAY[key])


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        (np.s_[1:], (3, 5, 6)),
        (np.s_[:-2], (2, 5, 6)),
        (np.s_[1:-1], (2, 5, 6)),
        (np.s_[:3], (3, 5, 6)),
        (np.s_[-3:], (3, 5, 6)),
        (np.s_[2::-1], (3, 5, 6)),
        (np.s_[-1], (5, 6)),
        (np.s_[0], (5, 6)),
    ],
    ids=str,
)
def test_getitem_along_the_batch(key, shape):
    x = gn.Input((None, 5, 6), "float64")
    found = value(x[key], ARRAY)
    assert found.shape == shape
    np.testing.assert_array_equal(found, ARRAY[key])
    check_grads(lambda y: gn.square(y[key]), ARRAY / 50, order=2, backend="reference")


def test_getitem_by_a_node():
    x, i = gn.Input((4, 5, 6), "float64"), gn.Input((None, 2), "int64")
    index = np.array([[0, 4], [2, 2], [1, 0]])
    assert x[:, i].shape == (4, None, 2, 6)
    np.testing.assert_array_equal(value(x[:, i], ARRAY, index), ARRAY[:, index])


def test_even_steps_along_a_batch_of_pairs():
    x = gn.reshape(gn.Input((None, 2), "float64"), (-1,))
    pairs = np.arange(8.0).reshape(4, 2)
    np.testing.assert_array_equal(value(x[::2], pairs), pairs[:, 0])
    np.testing.assert_array_equal(value(x[1::2], pairs), pairs[:, 1])


@pytest.mark.parametrize(
    ("key", "error", "message"),
    [
        (np.s_[4], ShapeError, r"index 4 is out of range for axis 0 of \(4, 5\).*from -4 to 3"),
        (np.s_[:, -6], ShapeError, "index -6 is out of range for axis 1"),
        (np.s_[0, 0, 0], ShapeError, "x has 2 axes.*got 3 indices.*Leave out 1"),
        (np.s_[..., ...], GraphError, "one '...' is enough"),
        (np.s_[::0], GraphError, "a step of 0"),
        (np.s_[1.5], GraphError, "an index is a whole number.*got 1.5"),
        (np.s_[True], GraphError, "an index is a whole number.*got True"),
        (np.array([True, False, True, True]), GraphError, "gn.where"),
        (([0, 1], [1, 2]), GraphError, "one list of indices at a time"),
        ([7], ShapeError, "index 7 is out of range for an axis of 4"),
    ],
    ids=str,
)
def test_getitem_errors(key, error, message):
    x = gn.Input((4, 5), name="x")
    with pytest.raises(error, match=message):
        x[key]


def test_a_length_that_is_no_polynomial():
    x = gn.Input((None, 5), name="x")
    with pytest.raises(GraphError, match=r"\[::2\] takes of an axis of None is not known"):
        x[::2]


def test_a_batch_that_is_too_small_for_its_slice():
    x = gn.Input((None, 2), name="x")
    function = gn.function(x, x[:3])
    with pytest.raises(ShapeError, match=r"slice of \(None, 2\) needs .* got N = 2.*Declared at"):
        function(np.ones((2, 2), np.float32))
    assert function(np.ones((3, 2), np.float32)).shape == (3, 2)


# -------------------------------------------------------------------------------- borders

MODES = {"constant": {}, "reflect": {}, "edge": {}, "wrap": {}}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("widths", [1, (2, 1), ((0, 1), (3, 0), (2, 2))], ids=str)
def test_pad_is_numpys(mode, widths):
    x = gn.Input(ARRAY.shape, "float64")
    expected = np.pad(ARRAY, widths, mode=mode)
    node = gn.pad(x, widths, mode=mode)
    assert node.shape == expected.shape
    np.testing.assert_array_equal(value(node, ARRAY), expected)
    check_grads(
        lambda y: gn.square(gn.pad(y, widths, mode)), ARRAY / 60, order=2, backend="reference"
    )


def test_pad_of_a_batch():
    x = gn.Input((None, 3), "float64")
    array = ARRAY[0, :, :3]
    for mode in MODES:
        node = gn.pad(x, ((1, 2), (0, 1)), mode)
        np.testing.assert_array_equal(compiled(node, array), np.pad(array, ((1, 2), (0, 1)), mode))
    np.testing.assert_array_equal(
        compiled(gn.pad(x, 1, constant_values=2.5), array), np.pad(array, 1, constant_values=2.5)
    )


def test_negative_borders_cut_away():
    x = gn.Input((4, 5), "float64")
    np.testing.assert_array_equal(
        value(gn.pad(x, ((-1, 2), (1, -3))), ARRAY[0, :4, :5]),
        np.pad(ARRAY[0, 1:4, :2], ((0, 2), (1, 0))),
    )


def test_pad_errors():
    x = gn.Input((4, 5), name="x")
    with pytest.raises(ShapeError, match=r"at least 4 elements.*axis 0 of x, which has 4"):
        gn.pad(x, ((4, 0), (0, 0)), "reflect")
    with pytest.raises(ShapeError, match=r"widths >= 0; got widths \(-1, -1\)"):
        gn.pad(x, -1, "wrap")
    with pytest.raises(GraphError, match="mode is one of constant"):
        gn.pad(x, 1, "mirror")
    with pytest.raises(ShapeError, match="a pair .* for each of 2 axes"):
        gn.pad(x, ((1, 1), (1, 1), (1, 1)))
    with pytest.raises(ShapeError, match="more elements than are cut away"):
        gn.pad(x, -3)
    with pytest.raises(gn.DTypeError, match="0.5 is no int64"):
        gn.pad(gn.Input((3,), "int64"), 1, constant_values=0.5)


# ----------------------------------------------------------------------- joined and taken apart

COMPOSED = {
    "concat": (lambda x: gn.concat([x, x[:1], x], 0), lambda a: np.concatenate([a, a[:1], a], 0)),
    "concat -1": (lambda x: gn.concat([x, x], -1), lambda a: np.concatenate([a, a], -1)),
    "stack": (lambda x: gn.stack([x, x, x], 1), lambda a: np.stack([a, a, a], 1)),
    "stack -1": (lambda x: gn.stack([x, x], -1), lambda a: np.stack([a, a], -1)),
    "split": (lambda x: gn.split(x, 3, 2)[1], lambda a: np.split(a, 3, 2)[1]),
    "split at": (lambda x: gn.split(x, [1, 4], 1)[1], lambda a: np.split(a, [1, 4], 1)[1]),
    "roll": (lambda x: gn.roll(x, 2, 1), lambda a: np.roll(a, 2, 1)),
    "roll back": (lambda x: gn.roll(x, (-7, 1), (0, 2)), lambda a: np.roll(a, (-7, 1), (0, 2))),
    "roll all": (lambda x: gn.roll(x, 11), lambda a: np.roll(a, 11)),
    "tile": (lambda x: gn.tile(x, (2, 1, 3)), lambda a: np.tile(a, (2, 1, 3))),
    "tile wide": (lambda x: gn.tile(x, (2, 1, 1, 2)), lambda a: np.tile(a, (2, 1, 1, 2))),
    "repeat": (lambda x: gn.repeat(x, 2, 1), lambda a: np.repeat(a, 2, 1)),
    "repeat all": (lambda x: gn.repeat(x, 3), lambda a: np.repeat(a, 3)),
    "flip": (lambda x: gn.flip(x, (0, -1)), lambda a: np.flip(a, (0, -1))),
    "flip all": (gn.flip, np.flip),
    "narrow": (lambda x: gn.narrow(x, -1, 2, 3), lambda a: a[..., 2:5]),
    "swapaxes": (lambda x: gn.swapaxes(x, 0, -1), lambda a: np.swapaxes(a, 0, -1)),
    "moveaxis": (
        lambda x: gn.moveaxis(x, (0, 1), (-1, 0)),
        lambda a: np.moveaxis(a, (0, 1), (-1, 0)),
    ),
    "expand": (
        lambda x: gn.expand(x[:, :1], (2, -1, 5, 6)),
        lambda a: np.broadcast_to(a[:, :1], (2, *a.shape)),
    ),
}


@pytest.mark.parametrize("name", COMPOSED)
def test_composed(name):
    ours, theirs = COMPOSED[name]
    x = gn.Input(ARRAY.shape, "float64")
    expected = theirs(ARRAY)
    assert ours(x).shape == expected.shape
    np.testing.assert_array_equal(value(ours(x), ARRAY), expected)
    check_grads(lambda y: gn.square(ours(y)), ARRAY / 60, order=2, backend="reference")


@pytest.mark.parametrize("name", [n for n in COMPOSED if n not in ("roll back", "split at")])
@pytest.mark.parametrize("batch", [1, 4])
def test_composed_of_a_batch(name, batch):
    ours, theirs = COMPOSED[name]
    x = gn.Input((None, 5, 6), "float64")
    array = ARRAY[:batch]
    if name in ("roll all",):
        array = ARRAY  # rolls by 11: one image has 30 elements
    np.testing.assert_array_equal(value(ours(x), array), theirs(array))


def test_composed_compiled():
    x = gn.Input((None, 5, 6), "float64")
    names = ["concat", "concat -1", "stack", "stack -1", "roll", "tile", "repeat", "flip"]
    found = gn.function(x, [COMPOSED[name][0](x) for name in names])(ARRAY)
    for array, name in zip(found, names, strict=True):
        np.testing.assert_array_equal(array, COMPOSED[name][1](ARRAY), err_msg=name)


@pytest.mark.parametrize("sizes", [(0, 3), (3, 0), (0,), (1, 0, 1)])
@pytest.mark.parametrize("axis", [0, 1])
def test_concat_of_nothing(sizes, axis):
    shapes = [(size, 2) if axis == 0 else (2, size) for size in sizes]
    arrays = [np.ones(shape, np.float32) * i for i, shape in enumerate(shapes)]
    inputs = [gn.Input(shape) for shape in shapes]
    node = apply(registry["concat"], inputs, {"axis": axis})
    np.testing.assert_array_equal(gn.function(inputs, node)(*arrays), np.concatenate(arrays, axis))


@pytest.mark.parametrize("dtype", ["float32", "int64", "int32", "uint8", "bool"])
def test_moving_every_dtype(dtype):
    array = (np.arange(20).reshape(4, 5) % 3).astype(dtype)
    x = gn.Input((4, 5), dtype)
    nodes = [
        x[1:, ::-2],
        gn.pad(x, 1, constant_values=1),
        gn.concat([x, x], 1),
        gn.take(x, [0, 3], 0),
    ]
    expected = [
        array[1:, ::-2],
        np.pad(array, 1, constant_values=1),
        np.hstack([array] * 2),
        array[[0, 3]],
    ]
    for found, wanted in zip(gn.function(x, nodes)(array), expected, strict=True):
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)


def test_many_inputs_are_one_kernel():
    x = gn.Input((None, 3))
    node = gn.stack([x * float(i) for i in range(40)], 1)
    function = gn.function(x, node)
    array = ARRAY[0, :, :3].astype(np.float32)
    np.testing.assert_allclose(function(array), np.stack([array * i for i in range(40)], 1))
    assert [k.name for k in function.plan.kernels].count("concat_f32") == 1


def test_joining_errors():
    a, b = gn.Input((2, 3), name="a"), gn.Input((2, 4), name="b")
    with pytest.raises(ShapeError, match="concat needs equal sizes along all axes but 0"):
        gn.concat([a, b])
    with pytest.raises(ShapeError, match="concat: axis=2 is no axis of a.*from -2 to 1"):
        gn.concat([a, b], 2)
    with pytest.raises(gn.DTypeError, match="one dtype"):
        gn.concat([a, gn.Input((2, 3), "float64")])
    with pytest.raises(
        ShapeError, match=r"stack needs arrays of one shape; got \(2, 3\), \(2, 4\)"
    ):
        gn.stack([a, b])
    with pytest.raises(GraphError, match="concat takes a list"):
        gn.concat(a)
    with pytest.raises(GraphError, match="stack takes a list of at least one"):
        gn.stack([])
    with pytest.raises(ShapeError, match="3 elements, which make no 2 equal parts"):
        gn.split(a, 2, 1)
    with pytest.raises(ShapeError, match="parts that lie within"):
        gn.narrow(a, 1, 2, 5)
    with pytest.raises(GraphError, match="whole numbers >= 0"):
        gn.tile(a, -1)
    with pytest.raises(ShapeError, match="axes must be different"):
        gn.moveaxis(a, (0, 0), (1, 0))


# ------------------------------------------------------------------------- kernels and threads


@pytest.mark.parametrize("shape", [(70, 33), (1, 70, 33), (0, 5), (3, 1)])
def test_transposes_by_tiles(shape):
    array = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    node = gn.transpose(gn.Input(shape))
    np.testing.assert_array_equal(compiled(node, array), array.T)


def test_every_order_of_axes():
    import itertools

    array = ARRAY.reshape(2, 20, 3).astype(np.float32)
    x = gn.Input(array.shape)
    orders = [order for order in itertools.permutations(range(3)) if order != (0, 1, 2)]
    found = gn.function(x, [gn.transpose(x, order) for order in orders])(array)
    for one, order in zip(found, orders, strict=True):
        np.testing.assert_array_equal(one, np.transpose(array, order))


def test_parts_that_belong_to_a_lane_need_no_barrier():
    """A slice of the columns reads only the rows that the lane wrote itself."""
    x = gn.Input((None, 64))
    y = gn.tanh(x)[:, 8:40] * 2.0
    z = gn.concat([y, y[:, ::-1]], 1) + 1.0
    plan = gn.function(x, gn.pad(z, ((0, 0), (1, 1))))
    plan(np.ones((64, 64), np.float32))
    assert sum(plan.plan.layout.barriers) == 0


def test_moving_on_every_number_of_threads(on_each_number_of_threads):
    x = gn.Input((None, 37, 16))
    h = gn.concat([x[1:], gn.pad(x, ((0, 0), (1, 0), (0, 0)))[:-1, 1:]], 1)
    loss = gn.sum(gn.square(gn.roll(h[..., ::-3], 1, 0)) * gn.repeat(h[:, :, :6], 1, 2))
    function = gn.function(x, [loss, gn.grad(loss, x)])
    array = np.random.default_rng(1).standard_normal((50, 37, 16)).astype(np.float32)
    found = on_each_number_of_threads(lambda: function(array))
    wanted = reference.evaluate([loss, gn.grad(loss, x)], {x: array})
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_divide_polynomials():
    from graphnn.spec import divide, symbol

    n, m = symbol("N"), symbol("M")
    assert divide((n - 1) * 12, n - 1) == 12
    assert divide((n - 1) * (m + 2) * n, m + 2) == (n - 1) * n
    assert divide(n * n - 1, n + 1) == n - 1
    assert divide(n * n + 1, n + 1) is None
    assert divide(n + 1, 2) is None
    assert divide(0, n) == 0
    assert divide(5, 0) is None


def on_cpu(outputs, given):
    """As ``reference.evaluate``, by the kernels."""
    return gn.function(list(given), outputs)(*given.values())


ROLLED = {
    "one": (1, 0),
    "back": (-2, 0),
    "further than there is": (5, 0),
    "as one row": (2, None),
    "two axes": ((4, 1), (0, 1)),
}


@pytest.mark.parametrize("run", [on_cpu, reference.evaluate])
@pytest.mark.parametrize("name", ROLLED)
def test_roll_along_an_axis_of_unknown_size(name, run):
    x = gn.Input((None, 3), name="x")
    shift, axis = ROLLED[name]
    rolled = gn.roll(x, shift, axis)
    slope = gn.grad(gn.sum(rolled * rolled * x), x)
    for count in (0, 1, 2, 6):
        array = np.arange(1, 3 * count + 1, dtype=np.float32).reshape(count, 3)
        moved = np.roll(array, shift, axis)
        found, dx = run([rolled, slope], {x: array})
        np.testing.assert_array_equal(found, moved)
        back = np.negative(shift).tolist()
        np.testing.assert_allclose(dx, moved**2 + 2 * array * np.roll(array, back, axis))


@pytest.mark.parametrize("run", [on_cpu, reference.evaluate])
@pytest.mark.parametrize("axis", [0, -2])
def test_cumprod_along_an_axis_of_unknown_size(axis, run):
    x = gn.Input((None, 2), name="x")
    products = gn.cumprod(x, axis)
    slope = gn.grad(gn.sum(products), x)
    for count in (0, 1, 2, 5):
        array = np.linspace(-1, 2, 2 * count, dtype=np.float32).reshape(count, 2)
        array[count // 2 :, :1] = 0
        found, dx = run([products, slope], {x: array})
        np.testing.assert_allclose(found, np.cumprod(array, axis), rtol=1e-6)
        sums = [
            sum(np.delete(array[: j + 1], i, 0).prod(0) for j in range(i, count))
            for i in range(count)
        ]
        np.testing.assert_allclose(dx, np.reshape(sums, (count, 2)), rtol=1e-5, atol=1e-6)
