"""Shapes and dtypes before anything is computed: dimensions as polynomials, broadcasting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphnn.errors import DTypeError, ShapeError
from graphnn.spec import (
    BATCH,
    DTYPES,
    Dim,
    TensorSpec,
    as_dtype,
    as_shape,
    broadcast_shapes,
    divide,
    evaluate,
    format_shape,
    product,
    symbol,
    symbol_name,
)

SYMBOLS = ("N", "T", "K")
sizes = st.fixed_dictionaries({name: st.integers(0, 9) for name in SYMBOLS})


def dims(max_leaves: int = 6):
    """Dimensions by arithmetic on symbols and numbers."""
    leaves = st.one_of(st.integers(-5, 9), st.sampled_from(SYMBOLS).map(symbol))
    return st.recursive(
        leaves,
        lambda inner: st.tuples(st.sampled_from("+-*"), inner, inner).map(combined),
        max_leaves=max_leaves,
    )


def combined(parts):
    operator, a, b = parts
    return a + b if operator == "+" else a - b if operator == "-" else a * b


@given(a=dims(), b=dims(), at=sizes)
def test_arithmetic_is_evaluation(a, b, at):
    assert evaluate(a + b, at) == evaluate(a, at) + evaluate(b, at)
    assert evaluate(a - b, at) == evaluate(a, at) - evaluate(b, at)
    assert evaluate(a * b, at) == evaluate(a, at) * evaluate(b, at)


@given(a=dims(), b=dims(), c=dims())
def test_laws_make_equal_dimensions_equal(a, b, c):
    """Equality is exact: the same polynomial, however it was written, and the same hash."""
    for left, right in [
        (a + b, b + a),
        (a * b, b * a),
        ((a + b) + c, a + (b + c)),
        ((a * b) * c, a * (b * c)),
        (a * (b + c), a * b + a * c),
        (a - a, 0),
        (a + 0, a),
        (a * 1, a),
        (a * 0, 0),
    ]:
        assert left == right
        assert hash(left) == hash(right)


@given(a=dims(), b=dims())
def test_equal_only_if_equal_for_every_size(a, b):
    points = [{"N": n, "T": t, "K": k} for n in range(5) for t in range(5) for k in range(5)]
    if a != b:
        # A difference of low degree cannot vanish on all of a grid that is larger than its degree.
        degree = max((len(m) for m, _ in getattr(a - b, "terms", ())), default=0)
        if degree < 5:
            assert any(evaluate(a, p) != evaluate(b, p) for p in points)
    else:
        assert all(evaluate(a, p) == evaluate(b, p) for p in points)


@given(
    a=dims(),
    part=st.one_of(st.integers(1, 9), st.sampled_from(SYMBOLS).map(lambda n: 3 * symbol(n))),
)
def test_division_undoes_multiplication(a, part):
    assert divide(a * part, part) == a


@given(a=dims(), part=dims(max_leaves=2), at=sizes)
def test_division_is_exact_or_refused(a, part, at):
    quotient = divide(a, part)
    if quotient is not None:
        assert evaluate(quotient, at) * evaluate(part, at) == evaluate(a, at)


def test_divisions_that_are_not_exact():
    N = symbol("N")
    assert divide(28 * N, 28) == N
    assert divide(28 * N, 4 * N) == 7
    assert divide(28 * N, 5) is None
    assert divide(28, N) is None
    assert divide(7, 0) is None
    assert divide(N + 1, N + 1) == 1
    assert divide(N * N, N) == N


def test_numbers_stay_numbers():
    assert BATCH - BATCH == 0
    assert isinstance(BATCH * 0 + 3, int)
    assert isinstance(BATCH + 1, Dim)
    assert product([]) == 1
    assert product([2, BATCH, 3]) == 6 * BATCH


def test_how_a_dimension_is_written():
    assert str(BATCH) == "None"
    assert str(symbol("T")) == "T"
    assert str(28 * BATCH) == "28*N"
    assert str(BATCH * symbol("T") + 2) == "2 + N*T"
    assert repr(28 * BATCH) == "28*N"
    assert format_shape(()) == "()"
    assert format_shape((BATCH,)) == "(None,)"
    assert format_shape((BATCH, 784)) == "(None, 784)"


def test_the_name_of_a_plain_symbol():
    assert symbol_name(BATCH) == "N"
    assert [symbol_name(d) for d in (3, 2 * BATCH, BATCH * BATCH, BATCH + 1)] == [None] * 4


# --------------------------------------------------------------------------- broadcasting

shapes = st.lists(st.lists(st.sampled_from([1, 2, 3, 0]), max_size=4).map(tuple), max_size=3)


@given(shapes=shapes)
def test_broadcasting_is_numpys(shapes):
    try:
        expected = np.broadcast_shapes(*shapes)
    except ValueError:
        expected = None
    assert broadcast_shapes(*shapes) == expected


@given(
    shapes=st.lists(
        st.lists(st.sampled_from([1, 3, BATCH, 2 * BATCH]), max_size=3).map(tuple), max_size=3
    )
)
def test_broadcasting_of_symbols_holds_for_every_size(shapes):
    result = broadcast_shapes(*shapes)
    if result is not None:
        for n in (2, 3, 7):
            numbers = [tuple(evaluate(d, {"N": n}) for d in shape) for shape in shapes]
            assert np.broadcast_shapes(*numbers) == tuple(evaluate(d, {"N": n}) for d in result)


def test_a_symbol_broadcasts_only_with_itself_and_one():
    assert broadcast_shapes((BATCH, 3), (3,)) == (BATCH, 3)
    assert broadcast_shapes((BATCH, 1), (1, 4)) == (BATCH, 4)
    assert broadcast_shapes((BATCH,), (3,)) is None
    assert broadcast_shapes((BATCH,), (2 * BATCH,)) is None
    assert broadcast_shapes() == ()


# ------------------------------------------------------------------------- what users write


def test_shapes_as_users_write_them():
    assert as_shape(5) == (5,)
    assert as_shape([None, 3]) == (BATCH, 3)
    assert as_shape((None, "T", 2)) == (BATCH, symbol("T"), 2)
    assert as_shape((np.int64(3), 2 * BATCH)) == (3, 2 * BATCH)
    assert as_shape(()) == ()


@pytest.mark.parametrize("wrong", [(-1,), (2.0,), (True,), ("not a name",), (None, object())])
def test_dimensions_that_are_none(wrong):
    with pytest.raises(ShapeError, match="a dimension is a whole number >= 0, None for the batch"):
        as_shape(wrong)


@pytest.mark.parametrize("wrong", ["ab", 3.5, {3}, object()])
def test_shapes_that_are_none(wrong):
    with pytest.raises(ShapeError, match=r"a shape is a tuple such as \(None, 784\)"):
        as_shape(wrong)


def test_dtypes():
    assert [as_dtype(np.dtype(name)) for name in DTYPES] == list(DTYPES)
    assert as_dtype(np.float32) == "float32"
    assert as_dtype(float) == "float64"
    assert as_dtype(bool) == "bool"


@pytest.mark.parametrize("wrong", ["float16", "complex64", "uint64", "str", object(), "nonsense"])
def test_dtypes_that_graphnn_does_not_know(wrong):
    with pytest.raises(DTypeError, match="dtype must be one of float32, float64"):
        as_dtype(wrong)


def test_tensor_spec():
    spec = TensorSpec((BATCH, 28), "float64")
    assert spec.ndim == 2
    assert spec.size == 28 * BATCH
    assert spec.itemsize == 8
    assert spec.nbytes == 224 * BATCH
    assert spec.concrete({"N": 3}) == (3, 28)
    assert str(spec) == "float64 (None, 28)"
    assert spec.with_dtype("bool").nbytes == 28 * BATCH
    assert spec.with_shape([2, 2]) == TensorSpec((2, 2), "float64")
    assert TensorSpec(()).nbytes == 4
