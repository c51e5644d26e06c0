"""Products and sums of products, diagonals and triangles: against NumPy and torch."""

from __future__ import annotations

import numpy as np
import pytest

import graphnn as gn
from graphnn.backends import reference
from graphnn.errors import DTypeError, GraphError, ShapeError
from graphnn.testing import check_grads

RNG = np.random.default_rng(0)


def arrays_for(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape) for shape in shapes]


def inputs_for(arrays, dtype="float64", batch: bool = False):
    shapes = [(None, *a.shape[1:]) if batch and a.ndim else a.shape for a in arrays]
    return [gn.Input(shape, dtype) for shape in shapes]


def value(node: gn.Node, inputs, arrays) -> np.ndarray:
    return reference.evaluate(node, dict(zip(inputs, arrays, strict=True)))


EQUATIONS = [
    ("ij,jk->ik", (3, 4), (4, 5)),
    ("ij,jk", (3, 4), (4, 5)),
    ("ji,kj->ik", (4, 3), (5, 4)),
    ("ij,kj->ki", (3, 4), (5, 4)),
    ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)),
    ("bij,jk->bik", (2, 3, 4), (4, 5)),
    ("ij,bjk->bik", (3, 4), (2, 4, 5)),
    ("bqhd,bkhd->bhqk", (2, 3, 4, 5), (2, 6, 4, 5)),
    ("bhqk,bkhd->bqhd", (2, 4, 3, 6), (2, 6, 4, 5)),
    ("i,j->ij", (3,), (4,)),
    ("i,i->", (3,), (3,)),
    ("i,i->i", (3,), (3,)),
    ("bi,bi->b", (4, 3), (4, 3)),
    ("bij,bj->bi", (2, 3, 4), (2, 4)),
    ("ij->ji", (3, 4)),
    ("ij->", (3, 4)),
    ("ijk->ki", (3, 4, 5)),
    ("ii->i", (3, 3)),
    ("ii", (3, 3)),
    ("iij,j->i", (3, 3, 4), (4,)),
    ("iii->i", (3, 3, 3)),
    ("ii,jj->ij", (3, 3), (2, 2)),
    ("...ij,...jk->...ik", (2, 1, 3, 4), (5, 4, 2)),
    ("...i->...", (2, 3, 4)),
    ("i...,i...", (2, 3), (2, 3)),
    ("b...d,d->b...", (2, 3, 4), (4,)),
    ("ij,jk,kl->il", (3, 4), (4, 5), (5, 2)),
    ("ij,jk,kl,lm->im", (3, 4), (4, 5), (5, 2), (2, 6)),
    ("ab,bc,ac->", (3, 4), (4, 5), (3, 5)),
    ("i,ij,j", (3,), (3, 4), (4,)),
    ("ij,j->ij", (3, 1), (4,)),
    ("ij,ij->i", (3, 1), (1, 4)),
    (" i j , j k -> i k ", (3, 4), (4, 5)),
    (",i->i", (), (3,)),
    ("ij,kl->", (3, 4), (2, 5)),
    ("ba", (3, 4)),
]


@pytest.mark.parametrize("case", EQUATIONS, ids=lambda case: case[0])
def test_einsum_is_numpys(case):
    equation, *shapes = case
    arrays = arrays_for(*shapes)
    inputs = inputs_for(arrays)
    node = gn.einsum(equation, *inputs)
    expected = np.einsum(equation.replace(" ", ""), *arrays)
    if equation == "ij,j->ij":
        expected = np.einsum(equation, np.broadcast_to(arrays[0], (3, 4)), arrays[1])
    assert node.shape == expected.shape
    np.testing.assert_allclose(value(node, inputs, arrays), expected, rtol=1e-11, atol=1e-12)
    check_grads(
        lambda *nodes: gn.square(gn.einsum(equation, *nodes)), *arrays, order=2, backend="reference"
    )


@pytest.mark.parametrize(
    "case",
    [c for c in EQUATIONS if c[0].startswith("b") or c[0] in ("ij,jk->ik", "ij,jk,kl->il")],
    ids=lambda case: case[0],
)
def test_einsum_of_a_batch(case):
    equation, *shapes = case
    arrays = arrays_for(*shapes)
    inputs = inputs_for(arrays[:1], batch=True) + inputs_for(
        arrays[1:], batch=equation.split("->")[0].replace(",b", "")[0] == "b" and ",b" in equation
    )
    node = gn.einsum(equation, *inputs)
    expected = np.einsum(equation, *arrays)
    np.testing.assert_allclose(value(node, inputs, arrays), expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_einsum_compiled_and_torchs(dtype):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    tolerance = (
        {"rtol": 1e-4, "atol": 1e-5} if dtype == "float32" else {"rtol": 1e-9, "atol": 1e-11}
    )
    arrays = [a.astype(dtype) for a in arrays_for((2, 3, 4, 5), (2, 6, 4, 5))]
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    result = torch.einsum("bqhd,bkhd->bhqk", *tensors)
    result.sin().sum().backward()
    inputs = inputs_for(arrays, dtype, batch=True)
    node = gn.einsum("bqhd,bkhd->bhqk", *inputs)
    found = gn.function(inputs, [node, *gn.grad(gn.sum(gn.sin(node)), inputs)])(*arrays)
    np.testing.assert_allclose(found[0], result.detach(), **tolerance)
    for ours, tensor in zip(found[1:], tensors, strict=True):
        np.testing.assert_allclose(ours, tensor.grad, **tolerance)


def test_transposes_of_matrices_are_absorbed():
    a, b = gn.Input((30, 20)), gn.Input((40, 30))
    plan = gn.function([a, b], gn.einsum("ji,kj->ik", a, b)).plan
    assert [kernel.name for kernel in plan.kernels] == ["matmul_f32"]


@pytest.mark.parametrize(
    ("equation", "shapes", "error", "message"),
    [
        ("ij,jk->ik", [(3, 4)], GraphError, "2 terms for 1 operands"),
        ("ij->i1", [(3, 4)], GraphError, "'1' is no letter"),
        ("ijk->i", [(3, 4)], ShapeError, r"'ijk' for x0, which has 2 axes, \(3, 4\).*a letter for"),
        ("i->i", [(3, 4)], ShapeError, "Write a letter for each axis"),
        ("ij->k", [(3, 4)], GraphError, "'k' stands once after '->', and in an operand"),
        ("ij->ii", [(3, 4)], GraphError, "'i' stands once after"),
        ("ij,jk", [(3, 4), (5, 6)], ShapeError, r"'j' is 4 and, in x1 \(5, 6\), 5"),
        ("ii", [(3, 4)], ShapeError, "'i' is 3 and, in x0"),
        ("...i->i", [(3, 4)], GraphError, "write '...' after '->' too"),
        ("i.j", [(3, 4)], GraphError, "'.' is no letter"),
    ],
)
def test_einsum_errors(equation, shapes, error, message):
    inputs = [gn.Input(shape, name=f"x{i}") for i, shape in enumerate(shapes)]
    with pytest.raises(error, match=message):
        gn.einsum(equation, *inputs)


def test_einsum_of_whole_numbers_says_so():
    x = gn.Input((3, 3), "int64")
    with pytest.raises(DTypeError, match="float32 or float64.*gn.cast"):
        gn.einsum("ij,jk->ik", x, x)


PRODUCTS = {
    "outer": (gn.outer, np.outer, [(3,), (4,)]),
    "outer of matrices": (gn.outer, np.outer, [(3, 2), (4,)]),
    "dot 1 1": (gn.dot, np.dot, [(3,), (3,)]),
    "dot 2 2": (gn.dot, np.dot, [(3, 4), (4, 5)]),
    "dot 2 1": (gn.dot, np.dot, [(3, 4), (4,)]),
    "dot 3 3": (gn.dot, np.dot, [(2, 3, 4), (5, 4, 2)]),
    "dot 0 2": (gn.dot, np.dot, [(), (3, 2)]),
    "inner 1": (gn.inner, np.inner, [(3,), (3,)]),
    "inner 2": (gn.inner, np.inner, [(2, 3), (4, 3)]),
    "inner 0": (gn.inner, np.inner, [(2, 3), ()]),
    "tensordot": (gn.tensordot, np.tensordot, [(2, 3, 4), (3, 4, 5)]),
    "tensordot 0": (
        lambda a, b: gn.tensordot(a, b, 0),
        lambda a, b: np.tensordot(a, b, 0),
        [(2, 3), (4,)],
    ),
    "tensordot pairs": (
        lambda a, b: gn.tensordot(a, b, ([2, 0], [0, -1])),
        lambda a, b: np.tensordot(a, b, ([2, 0], [0, -1])),
        [(2, 3, 4), (4, 5, 2)],
    ),
    "matmul 1 3": (gn.matmul, np.matmul, [(4,), (2, 4, 3)]),
    "matmul 3 1": (gn.matmul, np.matmul, [(2, 3, 4), (4,)]),
    "@ 1 1": (lambda a, b: a @ b, np.matmul, [(4,), (4,)]),
    "@ 2 1": (lambda a, b: a @ b, np.matmul, [(3, 4), (4,)]),
    "@ 1 2": (lambda a, b: a @ b, np.matmul, [(4,), (4, 2)]),
    "@ 2 4": (lambda a, b: a @ b, np.matmul, [(3, 4), (2, 5, 4, 2)]),
    "@ broadcast": (lambda a, b: a @ b, np.matmul, [(2, 1, 3, 4), (5, 4, 2)]),
    "@ one": (lambda a, b: a @ b, np.matmul, [(2, 5, 3, 4), (1, 1, 4, 2)]),
    "@ rows": (lambda a, b: a @ b, np.matmul, [(2, 5, 3, 4), (2, 1, 4, 2)]),
    "@ one left": (lambda a, b: a @ b, np.matmul, [(1, 3, 4), (5, 4, 2)]),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_are_numpys(name):
    ours, theirs, shapes = PRODUCTS[name]
    arrays = arrays_for(*shapes)
    inputs = inputs_for(arrays)
    node = ours(*inputs)
    expected = theirs(*arrays)
    assert node.shape == expected.shape
    np.testing.assert_allclose(value(node, inputs, arrays), expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(gn.function(inputs, node)(*arrays), expected, rtol=1e-12, atol=1e-13)
    check_grads(lambda *n: gn.square(ours(*n)), *arrays, order=2, backend="reference")


@pytest.mark.parametrize(
    "shapes", [[(2, 5, 3, 4), (1, 1, 4, 2)], [(2, 5, 3, 4), (2, 1, 4, 2)], [(3, 4), (2, 5, 4, 2)]]
)
def test_batches_that_broadcast_are_not_copied(shapes):
    inputs = inputs_for(arrays_for(*shapes))
    function = gn.function(inputs, inputs[0] @ inputs[1])
    assert [kernel.name for kernel in function.plan.kernels] == ["matmul_f64"]


def test_products_of_transposes_compiled():
    """One matrix for a whole batch, each factor transposed or not, on the kernels."""
    a, b, c = arrays_for((4, 3), (2, 5, 4), (2, 4, 3))
    x, y, z = inputs_for([a, b, c])
    nodes = [gn.transpose(x) @ gn.swapaxes(y, 1, 2), gn.swapaxes(z, 1, 2) @ x, y @ x]
    expected = [a.T @ b.swapaxes(1, 2), c.swapaxes(1, 2) @ a, b @ a]
    for found, wanted in zip(gn.function([x, y, z], nodes)(a, b, c), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_product_errors():
    with pytest.raises(ShapeError, match=r"matmul needs a.shape\[-1\] == b.shape\[-2\]"):
        gn.Input((3, 4)) @ gn.Input((5,))
    with pytest.raises(ShapeError, match="the same leading axes, or a plain matrix"):
        gn.Input((2, 3, 4)) @ gn.Input((5, 4, 3))
    with pytest.raises(ShapeError, match="differ in size"):
        gn.tensordot(gn.Input((2, 3)), gn.Input((2, 3)), 1)


# ------------------------------------------------------------------------ diagonals and triangles


@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (5, 2), (1, 1), (0, 3)])
@pytest.mark.parametrize("offset", [0, 1, -1, 2, -3])
def test_diagonals_are_numpys(shape, offset):
    (array,) = arrays_for(shape)
    x = gn.Input(shape, "float64")
    pairs = [
        (gn.diagonal(x, offset), np.diagonal(array, offset)),
        (gn.trace(x, offset), np.trace(array, offset)),
        (gn.tril(x, offset), np.tril(array, offset)),
        (gn.triu(x, offset), np.triu(array, offset)),
        (gn.diag(x[:, 0], offset), np.diag(array[:, 0], offset)),
        (gn.diag(x, offset), np.diag(array, offset)),
    ]
    for node, expected in pairs:
        assert node.shape == expected.shape
        np.testing.assert_allclose(value(node, [x], [array]), expected)
    if array.size:
        for function in (gn.trace, gn.tril, gn.triu, gn.diagonal, lambda a, k: gn.diag(a[0], k)):
            if np.size(reference.evaluate(function(x, offset), {x: array})):
                check_grads(
                    lambda a, f=function: gn.square(f(a, offset)),
                    array,
                    order=2,
                    backend="reference",
                )


def test_diagonals_of_batches():
    (array,) = arrays_for((2, 4, 3, 5))
    x = gn.Input((None, 4, 3, 5), "float64")
    for axes in ((1, 2), (3, 1), (-1, -2)):
        node = gn.diagonal(x, 1, *axes)
        expected = np.diagonal(array, 1, *axes)
        np.testing.assert_array_equal(value(node, [x], [array]), expected)
        np.testing.assert_array_equal(gn.function(x, node)(array), expected)


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("offset", [0, -1])
def test_square_matrices_of_unknown_size(size, offset):
    array = np.random.default_rng(0).standard_normal((size, size))
    x, v = gn.Input((None, None), "float64"), gn.Input((None,), "float64")
    nodes = [
        gn.diagonal(x, offset),
        gn.diag(v, offset),
        gn.tril(x, offset),
        gn.eye(None, k=offset, dtype="float64") + x,
        gn.grad(gn.trace(x @ x, offset), x),
    ]
    expected = [
        np.diagonal(array, offset),
        np.diag(array[0], offset),
        np.tril(array, offset),
        np.eye(size, k=offset) + array,
    ]
    found = gn.function([x, v], nodes)(array, array[0])
    for one, other in zip(found, expected, strict=False):
        np.testing.assert_allclose(one, other)
    k = np.eye(size, k=offset)
    np.testing.assert_allclose(found[-1], k @ array.T + array.T @ k, atol=1e-12)


@pytest.mark.parametrize(("n", "m", "k"), [(3, -1, 0), (2, 4, 1), (4, 2, -2), (0, 3, 0)])
def test_eye(n, m, k):
    for dtype in ("float32", "int64", "bool"):
        found = gn.function([], gn.eye(n, m, k, dtype))()
        expected = np.eye(n, None if m == -1 else m, k, dtype)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, expected)


def test_triangles_of_whole_numbers():
    array = np.arange(6).reshape(2, 3)
    x = gn.Input((2, 3), "int64")
    for name in ("tril", "triu"):
        np.testing.assert_array_equal(
            gn.function(x, getattr(gn, name)(x))(array), getattr(np, name)(array)
        )


def test_diagonal_errors():
    with pytest.raises(GraphError, match=r"its length is not known for every size of \(None, 3\)"):
        gn.diagonal(gn.Input((None, 3)))
    with pytest.raises(ShapeError, match="two different axes"):
        gn.diagonal(gn.Input((3, 3)), axis1=0, axis2=-2)
    with pytest.raises(ShapeError, match="diag takes a vector or a matrix"):
        gn.diag(gn.Input((3, 3, 3)))
    with pytest.raises(ShapeError, match="tril takes matrices"):
        gn.tril(gn.Input((3,)))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_glu_is_torchs(axis):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    (array,) = arrays_for((4, 6, 2))
    given = torch.tensor(array, requires_grad=True)
    result = torch.nn.functional.glu(given, axis)
    result.sin().sum().backward()
    x = gn.Input(array.shape, "float64")
    node = gn.glu(x, axis)
    found = gn.function(x, [node, gn.grad(gn.sum(gn.sin(node)), x)])(array)
    np.testing.assert_allclose(found[0], result.detach(), rtol=1e-9)
    np.testing.assert_allclose(found[1], given.grad, rtol=1e-9)
    with pytest.raises(ShapeError, match="3 elements, which make no 2 equal parts"):
        gn.glu(gn.Input((2, 3)))
