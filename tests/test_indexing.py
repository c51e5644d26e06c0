"""Taking, scattering, sorting, scanning, and what reductions add up to: against NumPy and torch."""

from __future__ import annotations

import numpy as np
import pytest

import graphnn as gn
from graphnn.backends import reference
from graphnn.errors import DataError, DTypeError, GraphError, ShapeError
from graphnn.testing import check_grads

DTYPES = {"float32": {"rtol": 1e-4, "atol": 1e-5}, "float64": {"rtol": 1e-9, "atol": 1e-11}}


def value(node: gn.Node, *arrays: np.ndarray) -> np.ndarray:
    return reference.evaluate(node, dict(zip(gn.Graph(node).inputs, arrays, strict=True)))


def compiled(node: gn.Node, *arrays: np.ndarray) -> np.ndarray:
    return gn.function(list(gn.Graph(node).inputs), node)(*arrays)


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


# -------------------------------------------------------------------------- taken and scattered


@pytest.mark.parametrize("shape", [(), (3,), (2, 4), (0,), (2, 0)], ids=str)
@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_take_is_numpys(shape, axis):
    array = drawn(4, 5, 6)
    size = array.size if axis is None else array.shape[axis]
    index = np.random.default_rng(1).integers(0, size, shape)
    x, i = gn.Input(array.shape, "float64"), gn.Input(shape, "int64")
    node = gn.take(x, i, axis)
    expected = np.take(array, index, axis)
    assert node.shape == expected.shape
    np.testing.assert_array_equal(value(node, array, index), expected)


def test_take_by_known_indices():
    array = drawn(4, 5)
    x = gn.Input((4, 5), "float64", name="x")
    np.testing.assert_array_equal(value(gn.take(x, [-1, 2], 1), array), array[:, [-1, 2]])
    np.testing.assert_array_equal(value(gn.take(x, -1, 0), array), array[-1])
    with pytest.raises(
        ShapeError, match=r"take: index 5 is out of range.*Use indices from -5 to 4"
    ):
        gn.take(x, [1, 5], 1)
    with pytest.raises(DTypeError, match="int64 or int32 indices.*gn.cast"):
        gn.take(x, gn.Input((3,)), 1)
    with pytest.raises(ShapeError, match="take: axis=2 is no axis of x"):
        gn.take(x, [0], 2)


def test_given_indices_out_of_range_raise():
    x, i = gn.Input((4, 5)), gn.Input((None,), "int64", name="i")
    function = gn.function([x, i], gn.take(x, i, 0))
    with pytest.raises(DataError, match=r"i\[1\] = 4 is out of range.*needs 0 <= index < 4"):
        function(np.zeros((4, 5), np.float32), np.array([0, 4]))


def test_computed_indices_out_of_range_take_nothing_and_add_nothing():
    array = drawn(4, 3).astype(np.float32)
    x, i = gn.Input((4, 3)), gn.Input((4,), "int64")
    shifted = i + 2
    nodes = [
        gn.take(x, shifted, 0),
        gn.scatter_add(x * 0.0, shifted, x, 0),
        gn.take_along_axis(x, gn.reshape(shifted, (4, 1)), 1),
    ]
    index = np.array([0, 1, 2, -3])
    taken, scattered, along = gn.function([x, i], nodes)(array, index)
    np.testing.assert_array_equal(taken, [array[2], array[3], 0 * array[0], 0 * array[0]])
    np.testing.assert_array_equal(scattered, [0 * array[0], 0 * array[0], array[0], array[1]])
    np.testing.assert_array_equal(along[:, 0], [array[0, 2], 0, 0, 0])


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_take_and_its_gradient(axis):
    array, index = drawn(4, 5, 3), np.array([[0, 2], [2, 2], [1, 0]])
    check_grads(
        lambda x: gn.square(gn.take(x, gn.Constant(index), axis)),
        array,
        order=2,
        backend="reference",
    )


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_scatter_add_is_numpys(axis):
    array, index = drawn(4, 5, 3), np.array([[0, 2], [2, 2], [1, 0]])
    shape = list(array.shape)
    shape[axis % 3 : axis % 3 + 1] = index.shape
    updates = drawn(*shape, seed=1)
    place = (slice(None),) * (axis % 3) + (index,)
    expected = array.copy()
    np.add.at(expected, place, updates)
    x, u = gn.Input(array.shape, "float64"), gn.Input(shape, "float64")
    node = gn.scatter_add(x, index, u, axis)
    np.testing.assert_allclose(value(node, array, updates), expected, rtol=1e-12)
    np.testing.assert_allclose(compiled(node, array, updates), expected, rtol=1e-12)
    check_grads(
        lambda a, b: gn.square(gn.scatter_add(a, index, b, axis)),
        array,
        updates,
        order=2,
        backend="reference",
    )


def test_gradient_of_an_embedding_on_every_number_of_threads(on_each_number_of_threads):
    weight, i = gn.Input((50, 24)), gn.Input((None, 7), "int64")
    loss = gn.sum(gn.square(gn.embedding(weight, i)) * 0.5)
    table = drawn(50, 24).astype(np.float32)
    index = np.random.default_rng(2).integers(0, 50, (300, 7))
    function = gn.function([weight, i], gn.grad(loss, weight))
    (found,) = on_each_number_of_threads(lambda: function(table, index))
    np.testing.assert_allclose(
        found, table * np.bincount(index.ravel(), minlength=50)[:, None], rtol=1e-4
    )


def test_embedding_is_torchs():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    table, index = drawn(9, 4), np.array([[0, 3, 3], [8, 2, 3]])
    for padding in (None, 3, -1):
        w = torch.tensor(table, requires_grad=True)
        out = torch.nn.functional.embedding(torch.tensor(index), w, padding_idx=padding)
        (out**3).sum().backward()
        weight, i = gn.Input((9, 4), "float64"), gn.Input((2, 3), "int64")
        node = gn.embedding(weight, i, padding_idx=padding)
        gradient = gn.grad(gn.sum(node * node * node), weight)
        found = reference.evaluate([node, gradient], {weight: table, i: index})
        np.testing.assert_allclose(found[0], out.detach())
        np.testing.assert_allclose(found[1], w.grad)
    with pytest.raises(ShapeError, match="padding_idx=9 is no row of a table of 9"):
        gn.embedding(weight, i, padding_idx=9)
    with pytest.raises(ShapeError, match=r"a weight \(entries, features\)"):
        gn.embedding(gn.Input((3,)), i)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_take_along_axis_is_numpys(axis):
    array = drawn(4, 5, 3)
    shape = list(array.shape)
    shape[axis] = 2
    index = np.random.default_rng(1).integers(0, array.shape[axis], shape)
    x, i = gn.Input(array.shape, "float64"), gn.Input(shape, "int64")
    node = gn.take_along_axis(x, i, axis)
    np.testing.assert_array_equal(value(node, array, index), np.take_along_axis(array, index, axis))
    check_grads(
        lambda a: gn.square(gn.take_along_axis(a, gn.Constant(index), axis)),
        array,
        order=2,
        backend="reference",
    )


def test_take_along_axis_broadcasts():
    array, index = drawn(4, 5), np.array([[0, -2]])
    x = gn.Input((4, 5), "float64")
    expected = np.take_along_axis(array, index, 1)
    np.testing.assert_array_equal(value(gn.take_along_axis(x, index, 1), array), expected)
    with pytest.raises(ShapeError, match="indices of as many axes as x.*Use gn.take"):
        gn.take_along_axis(x, [0, 1])
    with pytest.raises(ShapeError, match=r"indices.shape\[:-1\] == x.shape\[:-1\]"):
        gn.take_along_axis(x, np.zeros((3, 2), int))


# ------------------------------------------------------------------------------------- order

TIES = np.array(
    [[3.0, 1, 2, 1, np.nan, 3, -np.inf, np.inf], [0, -0.0, 0, -0.0, 1, 1, np.nan, np.nan]]
)


@pytest.mark.parametrize("descending", [False, True])
def test_sort_is_stable_and_nan_is_last(descending):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = gn.Input(TIES.shape, "float64")
    nodes = [gn.sort(x, descending=descending), gn.argsort(x, descending=descending)]
    values, places = torch.sort(torch.tensor(TIES), stable=True, descending=descending)
    for found in (gn.function(x, nodes)(TIES), reference.evaluate(nodes, {x: TIES})):
        np.testing.assert_array_equal(found[0], values)
        np.testing.assert_array_equal(found[1], places)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 31, 64, 1000])
def test_sort_of_every_length(count):
    array = np.random.default_rng(count).integers(0, 40, (3, count)).astype(np.float32)
    x = gn.Input((3, None))
    y = gn.Input((3, 1))  # tells nothing: N comes from x
    function = gn.function([x, y], [gn.argsort(x), gn.sort(x), gn.argsort(x, descending=True)])
    places, ordered, down = function(array, np.zeros((3, 1), np.float32))
    np.testing.assert_array_equal(places, np.argsort(array, -1, kind="stable"))
    np.testing.assert_array_equal(ordered, np.sort(array))
    np.testing.assert_array_equal(down, np.argsort(-array, -1, kind="stable"))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_sort_of_any_axis_and_its_gradient(axis):
    array = drawn(3, 4, 5)
    x = gn.Input(array.shape, "float64")
    np.testing.assert_array_equal(value(gn.sort(x, axis), array), np.sort(array, axis))
    np.testing.assert_array_equal(value(gn.argsort(x, axis), array), np.argsort(array, axis))
    check_grads(lambda a: gn.square(gn.sort(a, axis)), array, order=2, backend="reference")


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("axis", [0, -1])
def test_topk_is_torchs(largest, axis):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    array = drawn(6, 7)
    array[2, 3] = np.nan
    values, places = torch.topk(torch.tensor(array), 3, dim=axis, largest=largest)
    x = gn.Input(array.shape, "float64")
    found = reference.evaluate(gn.topk(x, 3, axis, largest), {x: array})
    np.testing.assert_array_equal(found[0], values)
    np.testing.assert_array_equal(found[1], places)
    check_grads(
        lambda a: gn.square(gn.topk(a, 3, axis, largest)[0]),
        drawn(6, 7, seed=1),
        order=2,
        backend="reference",
    )


def test_topk_of_too_few():
    with pytest.raises(ShapeError, match="topk: k=4 of 3 elements along axis -1"):
        gn.topk(gn.Input((None, 3)), 4)
    x = gn.Input((None,))
    with pytest.raises(ShapeError, match="needs N >= 4; got N = 3"):
        gn.function(x, gn.topk(x, 4)[0])(np.zeros(3, np.float32))


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_places_are_numpys(name, axis):
    x = gn.Input(TIES.shape, "float64")
    ours, theirs = getattr(gn, name), getattr(np, name)
    for array in (TIES, np.array([[1.0, 3, 3, 1, 0, 0, 3, 0]] * 2), -TIES):
        node = ours(x, axis)
        np.testing.assert_array_equal(value(node, array), theirs(array, axis))
        np.testing.assert_array_equal(compiled(node, array), theirs(array, axis))
        kept = ours(x, axis, keepdims=True)
        assert kept.shape == theirs(array, axis, keepdims=True).shape


def test_the_place_of_nothing():
    with pytest.raises(ShapeError, match="at least one element to choose from"):
        gn.argmax(gn.Input((3, 0)), 1)
    x = gn.Input((None,))
    with pytest.raises(ShapeError, match="got N = 0"):
        gn.function(x, gn.argmax(x))(np.zeros(0, np.float32))


# ------------------------------------------------------------------------------ along an axis


@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_running_sums_and_products(name, axis):
    ours, theirs = getattr(gn, name), getattr(np, name)
    array = drawn(4, 5, 3)
    x = gn.Input((None, 5, 3), "float64")
    for given in (array, array[:1], array[:0]) if axis != 0 or name == "cumsum" else (array,):
        np.testing.assert_allclose(value(ours(x, axis), given), theirs(given, axis), rtol=1e-12)
    np.testing.assert_allclose(compiled(ours(x, axis), array), theirs(array, axis), rtol=1e-12)
    with_zeros = np.where(np.abs(array) < 0.5, 0.0, array)
    for given in (array, with_zeros):
        check_grads(lambda a: gn.square(ours(a, axis)), given, order=2, backend="reference")


def test_cumprod_of_nothing():
    assert gn.cumprod(gn.Input((3, 0)), 1).shape == (3, 0)


@pytest.mark.parametrize("zeros", [0, 1, 2, 5])
@pytest.mark.parametrize("axis", [None, 0, (0, 2), -1])
def test_prod_and_its_gradient(zeros, axis):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    array = drawn(3, 2, 4)
    array.flat[np.arange(zeros) * 4] = 0.0
    x = gn.Input((None, 2, 4), "float64")
    node = gn.prod(x, axis)
    np.testing.assert_allclose(value(node, array), np.prod(array, axis))
    check_grads(lambda a: gn.prod(a, axis), array, order=2, backend="reference")
    if not isinstance(axis, tuple):
        given = torch.tensor(array, requires_grad=True)
        (given.prod() if axis is None else given.prod(axis)).sum().backward()
        found = gn.function(x, gn.grad(gn.sum(node), x))(array)
        np.testing.assert_allclose(found, given.grad, rtol=1e-12, atol=1e-14)


# -------------------------------------------------------------------------------- reductions

AXES = [None, 0, 1, (0, 2), -1]
PARITY = {
    "min": (gn.min, np.min),
    "prod": (gn.prod, np.prod),
    "var": (gn.var, np.var),
    "std": (gn.std, np.std),
    "var, correction 1": (
        lambda x, a, keepdims=False: gn.var(x, a, keepdims, correction=1),
        lambda x, a, keepdims=False: np.var(x, axis=a, ddof=1, keepdims=keepdims),
    ),
    "std, correction 1": (
        lambda x, a, keepdims=False: gn.std(x, a, keepdims, correction=1),
        lambda x, a, keepdims=False: np.std(x, axis=a, ddof=1, keepdims=keepdims),
    ),
    "logsumexp": (gn.logsumexp, lambda x, a, keepdims=False: np.log(np.sum(np.exp(x), axis=a, keepdims=keepdims))),
    **{
        f"norm {p}": (
            lambda x, a, keepdims=False, p=p: gn.norm(x, p, a, keepdims),
            lambda x, a, keepdims=False, p=p: norm_of(x, p, a, keepdims),
        )
        for p in (0.5, 1, 2, 3, -1, np.inf, -np.inf)
    },
}  # fmt: skip


def norm_of(x, p, axis, keepdims=False):
    size = np.abs(x)
    if np.isinf(p):
        return (np.max if p > 0 else np.min)(size, axis=axis, keepdims=keepdims)
    return np.sum(size**p, axis=axis, keepdims=keepdims) ** (1 / p)


@pytest.mark.parametrize("name", PARITY)
@pytest.mark.parametrize("axis", AXES, ids=str)
def test_reductions_and_their_gradients(name, axis):
    ours, theirs = PARITY[name]
    array = drawn(3, 4, 5)
    x = gn.Input((None, 4, 5), "float64")
    np.testing.assert_allclose(value(ours(x, axis), array), theirs(array, axis), rtol=1e-11)
    kept = ours(x, axis, keepdims=True)
    assert value(kept, array).shape == theirs(array, axis, keepdims=True).shape
    if axis in (None, 1):
        order = 2 if name != "norm 0.5" else 1
        check_grads(
            lambda a: ours(a, axis), array, order=order, backend="reference", rtol=1e-5, step=1e-5
        )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "name", ["std, correction 1", "logsumexp", "norm 2", "norm 3", "prod", "min"]
)
def test_reductions_compiled_and_torchs(name, dtype):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs = {
        "std, correction 1": lambda x: x.std(1),
        "logsumexp": lambda x: x.logsumexp(1),
        "norm 2": lambda x: torch.linalg.vector_norm(x, 2, 1),
        "norm 3": lambda x: torch.linalg.vector_norm(x, 3, 1),
        "prod": lambda x: x.prod(1),
        "min": lambda x: x.amin(1),
    }[name]
    array = drawn(3, 6).astype(dtype)
    x = gn.Input((None, 6), dtype)
    node = PARITY[name][0](x, 1)
    found = gn.function(x, [node, gn.grad(gn.sum(gn.sin(node)), x)])(array)
    given = torch.tensor(array, requires_grad=True)
    result = theirs(given)
    result.sin().sum().backward()
    np.testing.assert_allclose(found[0], result.detach(), **DTYPES[dtype])
    np.testing.assert_allclose(found[1], given.grad, **DTYPES[dtype])


def test_extreme_values():
    x = gn.Input((None, 3))
    nodes = [gn.norm(x, 2, 1), gn.norm(x, 3, 1), gn.logsumexp(x, 1), gn.std(x, 1)]
    big = np.array(
        [[3e30, 4e30, 0], [3e-30, 4e-30, 0], [0, 0, 0], [np.inf, 1, 1], [np.nan, 1, 1]], np.float32
    )
    two, three, total, spread = gn.function(x, nodes)(big)
    np.testing.assert_allclose(two, [5e30, 5e-30, 0, np.inf, np.nan], rtol=1e-6)
    np.testing.assert_allclose(
        three, [91 ** (1 / 3) * 1e30, 91 ** (1 / 3) * 1e-30, 0, np.inf, np.nan], rtol=1e-5
    )
    np.testing.assert_allclose(total, [4e30, np.log(3), np.log(3), np.inf, np.nan], rtol=1e-6)
    assert spread[2] == 0
    gradients = gn.function(x, [gn.grad(gn.sum(node), x) for node in nodes])(
        np.zeros((1, 3), np.float32)
    )
    for gradient, expected in zip(gradients, (0, 0, 1 / 3, 0), strict=True):
        np.testing.assert_allclose(gradient, np.full((1, 3), expected), rtol=1e-6)


def test_logsumexp_of_rows_of_minus_infinity():
    x = gn.Input((2, 3), "float64")
    array = np.array([[-np.inf] * 3, [-np.inf, 1e4, 1e4]])
    node = gn.logsumexp(x, 1)
    found, gradient = gn.function(x, [node, gn.grad(gn.sum(node), x)])(array)
    np.testing.assert_allclose(found, [-np.inf, 1e4 + np.log(2)])
    np.testing.assert_allclose(gradient, [[0, 0, 0], [0, 0.5, 0.5]])


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool", "uint8"])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_truth(dtype, axis):
    array = np.array([[0, 1, 0], [0, 1, 2], [0, 3, 0]]).astype(dtype)
    x = gn.Input(array.shape, dtype)
    for name in ("any", "all", "count_nonzero"):
        found = compiled(getattr(gn, name)(x, axis), array)
        expected = getattr(np, name)(array, axis)
        assert found.dtype == np.asarray(expected).dtype
        np.testing.assert_array_equal(found, expected)


def test_truth_of_nothing_and_of_fractions():
    x = gn.Input((None,))
    nothing = np.zeros(0, np.float32)
    assert not compiled(gn.any(x), nothing)
    assert compiled(gn.all(x), nothing)
    assert compiled(gn.all(x), np.float32([0.25, -0.5, np.nan]))


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_median_is_numpys(axis):
    array = drawn(3, 4, 5)
    x = gn.Input(array.shape, "float64")
    np.testing.assert_allclose(value(gn.median(x, axis), array), np.median(array, axis))
    assert gn.median(x, axis, True).shape == np.median(array, axis, keepdims=True).shape
    array[1, 2, 3] = np.nan
    np.testing.assert_allclose(value(gn.median(x, axis), array), np.median(array, axis))
    check_grads(lambda a: gn.square(gn.median(a, axis)), drawn(3, 4, 5), backend="reference")


def test_statistics_errors():
    whole = gn.Input((3,), "int64", name="n")
    for function in (gn.var, gn.norm, gn.logsumexp, gn.median):
        with pytest.raises(DTypeError, match="needs float32 or float64; n is int64.*gn.cast"):
            function(whole)
    with pytest.raises(ShapeError, match="var: axis=1 is no axis of"):
        gn.var(gn.Input((3,)), 1)
    with pytest.raises(GraphError, match="median needs an axis of known length"):
        gn.median(gn.Input((None, 3)), 0)


@pytest.mark.parametrize("shape", [(1_000_000, 3), (300_000, 5), (2, 200_000, 3)])
def test_long_columns_keep_their_digits(shape, on_each_number_of_threads):
    """Added naively in float32, a million numbers near 1 lose two to three digits."""
    array = np.random.default_rng(0).uniform(0, 1, shape).astype(np.float32)
    axis = len(shape) - 2
    x = gn.Input(shape)
    function = gn.function(x, [gn.sum(x, axis), gn.mean(x * 2.0, axis)])
    total, mean = on_each_number_of_threads(lambda: function(array))
    np.testing.assert_allclose(total, array.sum(axis, dtype=np.float64), rtol=1e-7)
    np.testing.assert_allclose(mean, 2 * array.mean(axis, dtype=np.float64), rtol=1e-7)


@pytest.mark.parametrize("width", [1, 7, 255, 256, 257, 600])
def test_columns_of_every_width(width):
    array = drawn(33, width).astype(np.float32)
    x = gn.Input((None, width))
    functions = [
        gn.sum(x, 0),
        gn.mean(gn.tanh(x), 0),
        gn.max(x, 0),
        gn.min(x, 0),
        gn.prod(x * 1.1, 0),
    ]
    found = gn.function(x, functions)(array)
    expected = reference.evaluate(functions, {x: array})
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["int64", "int32"])
def test_reductions_of_whole_numbers(dtype):
    array = np.array([[3, -1, 2], [5, 0, -4]], dtype)
    x = gn.Input((2, 3), dtype)
    for axis in (None, 0, 1):
        for name in ("sum", "max", "min", "prod"):
            found = compiled(getattr(gn, name)(x, axis), array)
            assert found.dtype == dtype
            np.testing.assert_array_equal(found, getattr(np, name)(array, axis=axis))


def test_gather_is_torchs_order_of_arguments():
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    index = np.array([[2, 0], [1, 1]])
    node = gn.Input((2, 3))
    found = gn.function(node, gn.gather(node, 1, index))(x)
    np.testing.assert_array_equal(found, np.take_along_axis(x, index, 1))


def test_embedding_module_keeps_its_padding_row():
    gn.set_seed(0)
    table = gn.nn.Embedding(10, 4, padding_idx=-1)
    assert repr(table) == "Embedding(10, 4, padding_idx=9)"
    np.testing.assert_array_equal(table.weight.value[9], 0)
    assert 0.5 < table.weight.value[:9].std() < 1.5
    words = gn.Input((None, 3), "int64", name="words")
    rows = table(words)
    assert rows.shape == (None, 3, 4)
    loss = gn.sum(rows)
    step = gn.function(words, loss, gn.optim.SGD(lr=1.0).updates(loss, table.parameters()))
    before = table.weight.value.copy()
    step(np.array([[1, 9, 1]]))
    moved = before - table.weight.value
    np.testing.assert_allclose(moved[1], 2, rtol=1e-5)  # chosen twice
    np.testing.assert_array_equal(moved[9], 0)
    with pytest.raises(gn.GraphError, match="padding_idx=10 is no row of 10"):
        gn.nn.Embedding(10, 4, padding_idx=10)


@pytest.mark.parametrize(("dtype", "error"), [("float32", 2**-24), ("float64", 2**-52)])
def test_a_long_running_sum_is_as_exact_as_a_short_one(dtype, error):
    array = np.random.default_rng(0).uniform(0, 1, 200_001).astype(dtype)
    x = gn.Input(array.shape, dtype)
    exact = np.cumsum(array, dtype=np.longdouble)
    np.testing.assert_allclose(gn.function(x, gn.cumsum(x))(array), exact, rtol=1.01 * error)


def test_a_running_sum_keeps_infinity_and_gets_back_what_was_rounded_off():
    x = gn.Input((5,))
    f = gn.function(x, gn.cumsum(x))
    np.testing.assert_array_equal(
        f(np.float32([1, np.inf, 1, -np.inf, 1])), [1, np.inf, np.inf, np.nan, np.nan]
    )
    np.testing.assert_array_equal(
        f(np.float32([1e30, 1, -1e30, 2, 0])), np.float32([1e30, 1e30, 1, 3, 3])
    )
    np.testing.assert_array_equal(
        f(np.float32([3e38, 3e38, 1, 1, 1])), [np.float32(3e38)] + [np.inf] * 4
    )
