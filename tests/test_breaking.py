"""What once went wrong when somebody tried to break graphnn: each stays mended."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphnn as gn
from graphnn.backends import reference
from graphnn.errors import DataError, DTypeError, GraphError, KernelError, ShapeError


@st.composite
def broadcast_shapes(draw):
    """A shape, two that broadcast to it, and some of its axes."""
    full = draw(st.lists(st.integers(2, 4), min_size=2, max_size=4))
    others = [[d if draw(st.booleans()) else 1 for d in full] for _ in range(2)]
    axes = draw(st.sets(st.integers(0, len(full) - 1), min_size=1))
    return full, others, sorted(axes)


@settings(max_examples=40, deadline=None)
@given(broadcast_shapes(), st.sampled_from(["sum", "mean", "max"]))
def test_reductions_of_broadcast_products(shapes, name):
    """A reduction once took in producers that it could not walk, and read elsewhere."""
    full, others, axes = shapes
    inputs = [gn.Input(shape) for shape in (full, *others)]
    node = getattr(gn, name)(inputs[0] * inputs[1] + inputs[2], axes)
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(x.shape).astype(np.float32) for x in inputs]
    found = gn.function(inputs, node)(*arrays)
    wanted = reference.evaluate(node, dict(zip(inputs, arrays, strict=True)))
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_attention_like_scores():
    q, k = gn.Input((None, 1, 64)), gn.Input((None, 40, 64))
    scores = gn.function([q, k], gn.sum(q * k, -1))
    np.testing.assert_array_equal(
        scores(np.ones((3, 1, 64), np.float32), np.ones((3, 40, 64), np.float32)), 64
    )


def test_byte_order_of_parameters_and_constants():
    swapped = np.array([1, 2, 3], ">f4")
    x = gn.Input((3,))
    ones = np.ones(3, np.float32)
    np.testing.assert_array_equal(gn.function(x, x * swapped)(ones), [1, 2, 3])
    parameter = gn.Parameter(swapped)
    assert parameter.value.dtype.isnative
    np.testing.assert_array_equal(gn.function(x, x * parameter)(ones), [1, 2, 3])


def test_a_parameters_own_memory_as_an_input():
    w, x = gn.Parameter(np.ones(8, np.float32)), gn.Input((8,))
    double = gn.function(x, [x * 1.0, gn.sum(x * x)], updates=[(w, w * 2.0)])
    assert double(np.ones(8, np.float32))[1] == 8
    w.value = np.ones(8, np.float32)
    assert double(w.value)[1] == 8


def test_whole_numbers_wrap_whatever_is_fused():
    for dtype, value in [("uint8", 200), ("int32", 2**30)]:
        a = gn.Input((2,), dtype)
        array = np.full(2, value, dtype)
        both = gn.function(a, [a + a + a, gn.cast(a + a + a, "float64")])(array)
        np.testing.assert_array_equal(both[0], array + array + array)
        np.testing.assert_array_equal(both[1], (array + array + array).astype(float))


def test_bools_are_no_numbers():
    flag = gn.Input((2,), "bool")
    with pytest.raises(DTypeError, match=r"add needs numbers.*gn\.cast"):
        flag + flag
    with pytest.raises(DTypeError, match="numbers"):
        gn.negative(flag)


@pytest.mark.parametrize(
    ("dtype", "number"), [("int32", 2**40), ("uint8", -1), ("uint8", 300), ("float32", 1e300),
                          ("int64", 2**70)],
)  # fmt: skip
def test_a_number_that_the_dtype_cannot_hold(dtype, number):
    with pytest.raises(DTypeError, match=r"x is .*, which cannot hold"):
        gn.Input((2,), dtype, name="x") + number


def test_where_of_numbers_has_their_dtype():
    x = gn.Input((3,), name="x")
    whole, floats = gn.where(x > 0.0, 2, 3), gn.where(x > 0.0, 2.0, 3.0)
    assert (whole.dtype, floats.dtype) == ("int64", "float32")
    found = gn.function(x, [whole, floats])(np.float32([1, -1, 0]))
    np.testing.assert_array_equal(found[0], [2, 3, 3])
    np.testing.assert_array_equal(found[1], [2, 3, 3])


def test_a_body_that_asserts_is_refused():
    with pytest.raises(KernelError, match="cannot hold `assert x > 0`"):

        @gn.elementwise
        def checked(x):
            assert x > 0
            return x


def test_evaluating_in_several_threads_at_once():
    x = gn.Input((None, 16), name="x")
    model = gn.Model(x, gn.nn.Linear(16, 3)(x))
    model.compile("sgd")
    rng = np.random.default_rng(0)
    data = [
        (rng.standard_normal((n, 16)).astype(np.float32), rng.integers(0, 3, n))
        for n in (1, 7, 30, 200, 1000)
    ]
    wanted = [model.evaluate(*pair) for pair in data]
    wrong = []

    def work() -> None:
        wrong.extend(i for i in range(25) if model.evaluate(*data[i % 5]) != wanted[i % 5])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_long_chains_are_cut_into_kernels():
    x = gn.Input((4,), name="x")
    y = x
    for _ in range(200):
        y = y * 1.01
    plan = gn.function(x, gn.sum(y)).plan
    assert max(len(step.group.nodes) for step in plan.steps) <= 65


def test_saving_keeps_links_and_refuses_devices(tmp_path):
    model = gn.Model(x := gn.Input((None, 2)), gn.nn.Linear(2, 1)(x))
    real, link = tmp_path / "real.safetensors", tmp_path / "link.safetensors"
    model.save(real)
    os.symlink(real, link)
    model.save(link)
    assert link.is_symlink()
    model.load(link)
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(DataError, match="is no regular file"):
        model.save(tmp_path / "pipe.safetensors")


def test_axes_and_sizes_that_do_not_exist():
    x = gn.Input((2, 3), name="x")
    with pytest.raises(ShapeError, match="axis=5 is no axis of x"):
        gn.softmax(x, 5)
    with pytest.raises(ShapeError, match="sizes that are whole numbers >= 0"):
        gn.one_hot(gn.Input((2,), "int64"), -1)
    with pytest.raises(ShapeError, match="sizes that are whole numbers >= 0"):
        gn.reshape(x, (-2, -3))


def test_more_threads_than_lanes(on_each_number_of_threads):
    x = gn.Input((None, 64))
    model = gn.Model(x, gn.nn.Linear(64, 3)(x))
    model.compile("sgd")
    gn.set_num_threads(np.int64(1000))
    try:
        model.evaluate(np.ones((5000, 64), np.float32), np.zeros(5000, np.int64))
    finally:
        gn.set_num_threads(None)


def test_calls_of_many_sizes_keep_few_plans():
    x = gn.Input((None, 2))
    total = gn.function(x, gn.sum(x))
    for n in range(200):
        assert total(np.ones((n, 2), np.float32)) == 2 * n
    assert len(total._bound) <= 64


def test_what_is_no_node():
    x = gn.Input((2,), name="x")
    with pytest.raises(GraphError, match="grad takes nodes; got float"):
        gn.grad(3.0, x)
    with pytest.raises(GraphError, match="outputs are a node, or a list of nodes"):
        gn.function([x], 3.0)
    with pytest.raises(ShapeError, match="the cotangent of"):
        gn.vjp(x * 2.0, [x], gn.Constant(np.ones(3, np.float32)))
