"""What once went wrong when somebody tried to break graphnn: each stays mended."""

from __future__ import annotations

import json
import math
import os
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphnn as gn
from graphnn import optim
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
    with pytest.raises(GraphError, match=r"grad takes nodes; got 3.0 \(float\)"):
        gn.grad(3.0, x)
    with pytest.raises(GraphError, match="outputs are a node, or a list of nodes"):
        gn.function([x], 3.0)
    with pytest.raises(ShapeError, match="the cotangent of"):
        gn.vjp(x * 2.0, [x], gn.Constant(np.ones(3, np.float32)))


def test_a_row_with_nan_is_a_wrong_answer():
    x, y = gn.Input((None, 3), name="x"), gn.Input((None,), "int64", name="y")
    share = gn.accuracy(x, y)
    nan = np.nan
    scores = np.float32([[nan, 0, 0], [1, 0, nan], [1, 0, 0], [nan, nan, nan], [0, 1, nan]])
    labels = np.int64([0, 0, 0, 0, 1])
    assert gn.function([x, y], share)(scores, labels) == np.float32(0.2)
    assert reference.evaluate(share, {x: scores, y: labels}) == np.float32(0.2)


@gn.elementwise
def guarded_root(x):
    return math.sqrt(x) if x > 0 else 0.0


@gn.elementwise
def guarded_by_statements(x):
    if x <= 0:
        return 0.0
    root = math.sqrt(x)
    slope = 1.0
    if root < 1:
        slope = math.log(root)
        root = root * slope
    else:
        root = root - slope
    return root


@gn.elementwise
def guarded_by_logic(x):
    return 1.0 if x > 0 and 1 / x > 2 else x * x


@gn.elementwise
def guarded_quotient(a, b):
    y = a
    if b != 0:
        y = a / b
    return y


def test_no_nan_comes_from_the_branch_that_is_not_taken():
    x = gn.Input((4,), name="x")
    values = np.float32([0, -1, 4, 0.25])
    slope = gn.grad(gn.sum(guarded_root(x)), x)
    np.testing.assert_allclose(gn.function(x, slope)(values), [0, 0, 0.25, 1])
    curve = gn.grad(gn.sum(slope), x)
    np.testing.assert_allclose(gn.function(x, curve)(values), [0, 0, -1 / 32, -2], rtol=1e-6)
    forward = gn.jvp(guarded_root(x), [x], [gn.Constant(np.ones(4, np.float32))])
    np.testing.assert_allclose(gn.function(x, forward)(values), [0, 0, 0.25, 1])
    found = gn.function(x, gn.grad(gn.sum(guarded_by_statements(x)), x))(values)
    wanted = [0, 0, 0.25, (math.log(0.5) + 1) / (2 * 0.5)]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    found = gn.function(x, gn.grad(gn.sum(guarded_by_logic(x)), x))(values)
    np.testing.assert_allclose(found, [0, -2, 8, 0])
    b = gn.Input((4,), name="b")
    both = gn.function([x, b], gn.grad(gn.sum(guarded_quotient(x, b)), [x, b]))
    da, db = both(values, np.float32([0, 2, 0, 1]))
    np.testing.assert_allclose(da, [1, 0.5, 1, 1])
    np.testing.assert_allclose(db, [0, 0.25, 0, -0.25])


def test_known_labels_and_indices_are_checked():
    x = gn.Input((2, 3), name="x")
    with pytest.raises(DataError, match=r"\[0\] = 7 is out of range: one_hot .*0 <= label < 3"):
        gn.one_hot([7, -1], 3)
    with pytest.raises(DataError, match=r"= -1 is out of range: cross_entropy .*<= label < 3"):
        gn.cross_entropy(x, gn.Constant(np.int64([0, -1])))
    labels = gn.Parameter(np.int64([0, 3]), name="labels")
    loss = gn.cross_entropy(x, labels)
    with pytest.raises(DataError, match=r"parameter labels\[1\] = 3 is out of range"):
        gn.function(x, loss)
    turned = gn.reshape(gn.Constant(np.int64([[0], [3]])), (2,))
    with pytest.raises(DataError, match=r"\[1, 0\] = 3 is out of range"):
        gn.function(x, gn.cross_entropy(x, turned))
    y = gn.Input((None,), "int64", name="y")
    with pytest.raises(DataError, match=r"input y\[1\] = 3 is out of range: one_hot"):
        gn.function(y, gn.one_hot(y, 3))(np.int64([0, 3]))
    with pytest.raises(ShapeError, match="at least one class on the last axis"):
        gn.cross_entropy(gn.Input((None, 0)), gn.Input((None,), "int64"))
    kept = gn.cross_entropy(x, gn.Constant(np.int64([0, -100])), ignore_index=-100)
    assert gn.function(x, kept)(np.zeros((2, 3), np.float32)) == pytest.approx(math.log(3))


def test_a_constant_index_for_a_size_that_is_known_late():
    x = gn.Input((None, 2), name="x")
    late = gn.function(x, gn.take(x, gn.Parameter(np.int64([0, 5]), name="i"), 0))
    with pytest.raises(DataError, match=r"parameter i\[1\] = 5 is out of range.* 0 <= index < 3"):
        late(np.ones((3, 2), np.float32))
    assert late(np.ones((6, 2), np.float32)).shape == (2, 2)


def test_masked_arrays_are_refused():
    x = gn.Input((2,), name="x")
    masked = np.ma.array(np.ones(2, np.float32), mask=[True, False])
    parameter = gn.Parameter(np.ones(2, np.float32))
    tries = [
        lambda: gn.function(x, x * 2.0)(masked),
        lambda: gn.Parameter(masked),
        lambda: gn.Constant(masked),
        lambda: x * masked,
        lambda: setattr(parameter, "value", masked),
    ]
    for attempt in tries:
        with pytest.raises(DataError, match=r"no masked array.*array\.filled\(0\.0\)"):
            attempt()


def test_names_are_text():
    x = gn.Input((2,), name="x")
    for name in (3, b"x", ["a"]):
        for declare in (
            lambda name: gn.Input((2,), name=name),
            lambda name: gn.Parameter([1.0], name=name),
            lambda name: gn.Constant([1.0], name=name),
            lambda name: gn.sum(x, name=name),
        ):
            with pytest.raises(GraphError, match="a name is text, or None; got"):
                declare(name)
    for name in (3, "", "a b", "class", "x.y"):
        with pytest.raises(GraphError, match="the name of an op is a word such as 'swish'"):
            gn.elementwise(name=name)(guarded_root.body.function)
    with pytest.raises(GraphError, match="the name of an op is a word"):

        @gn.op(spec=lambda x: x, views=("flat", "flat"), reference=np.copy, name="my op")
        def copied(start, stop, x, out):
            for i in range(start, stop):
                out[i] = x[i]

    with pytest.raises(KernelError, match="three: an elementwise op needs an input"):

        @gn.elementwise
        def three():
            return 3.0

    with pytest.raises(ShapeError, match="None for the batch axis or a name; got 'None'"):
        gn.Input(("None",))


@pytest.mark.parametrize(
    "declare",
    [
        lambda x, axis: gn.sum(x, axis),
        lambda x, axis: gn.max(x, (0, axis)),
        lambda x, axis: gn.squeeze(x, axis),
        lambda x, axis: gn.expand_dims(x, axis + 2),
        lambda x, axis: gn.expand_dims(x, (0, axis + 3)),
        lambda x, axis: gn.concat([x, x], axis),
        lambda x, axis: gn.stack([x, x], axis + 1),
        lambda x, axis: gn.flip(x, axis),
        lambda x, axis: gn.roll(x, 1, axis),
        lambda x, axis: gn.repeat(x, 2, axis),
        lambda x, axis: gn.split(x, 1, axis),
        lambda x, axis: gn.narrow(x, axis, 0, 1),
        lambda x, axis: gn.cumsum(x, axis),
        lambda x, axis: gn.softmax(x, axis),
        lambda x, axis: gn.argmax(x, axis),
        lambda x, axis: gn.sort(x, axis),
        lambda x, axis: gn.take(x, [0], axis),
        lambda x, axis: gn.var(x, axis),
        lambda x, axis: gn.swapaxes(x, 0, axis),
        lambda x, axis: gn.moveaxis(x, axis, 0),
        lambda x, axis: gn.transpose(x, (0, axis)),
        lambda x, axis: gn.flatten(x, axis + 1),
        lambda x, axis: gn.glu(x, axis),
        lambda x, axis: gn.diagonal(x, 0, 0, axis),
        lambda x, axis: gn.tensordot(x, x, (axis, 0)),
    ],
)
def test_axes_of_every_function(declare):
    x = gn.Input((4, 4), name="x")
    with pytest.raises(
        ShapeError, match=r"(is no axis of|no place . for a new axis in).*from -\d to"
    ):
        declare(x, 2)


def test_axes_as_numpy_and_others_have_them():
    x = gn.Input((2, 1, 3), name="x")
    assert gn.sum(x, np.int64(0)).shape == (1, 3)
    assert gn.sum(x, np.array([0, -1])).shape == (1,)
    assert gn.squeeze(x, np.int64(1)).shape == (2, 3)
    assert gn.expand_dims(x, np.int32(-1)).shape == (2, 1, 3, 1)
    assert gn.flip(x, np.int64(0)).shape == (2, 1, 3)
    assert gn.moveaxis(x, np.int64(0), np.int64(2)).shape == (1, 3, 2)
    assert gn.reshape(x, np.int64(6)).shape == (6,)
    for axes in ((0, 0), (0, -3)):
        with pytest.raises(ShapeError, match="the axes must be different"):
            gn.sum(x, axes)
    with pytest.raises(ShapeError, match="the axes must be different"):
        gn.expand_dims(x, (0, 0))
    for axis in (1.5, "a", True, [[0]]):
        with pytest.raises(ShapeError, match="an axis is a whole number; got"):
            gn.sum(x, axis)
    with pytest.raises(ShapeError, match="axis 0 of x has size 2, and only an axis of size 1"):
        gn.squeeze(x, 0)
    with pytest.raises(ShapeError, match="A scalar has no axis"):
        gn.squeeze(gn.Input(()), 0)


@pytest.mark.parametrize("size", [1, 4, 6])
def test_a_loss_that_is_a_sum_is_reported_by_sample(size):
    rng = np.random.default_rng(0)
    x, y = gn.Input((None, 2), name="x"), gn.Input((None,), "int64", name="y")
    weight = gn.Parameter(rng.standard_normal((2, 3)), name="w", dtype="float32")
    scores = x @ weight
    total = gn.cross_entropy(scores, y, reduction="sum") * 2.0 + gn.sum(weight * 0.0)
    model = gn.Model(x, scores)
    model.compile(optim.SGD(lr=1e-9), total, {"hits": gn.sum(gn.cast(gn.equal(y, 1), "float32"))})
    data = {"x": rng.standard_normal((6, 2)).astype(np.float32), "y": np.int64([0, 1, 1, 2, 1, 0])}
    whole = gn.function([x, y], total)(data["x"], data["y"])
    history = model.fit(data, batch_size=size, verbose=0)
    assert history["loss"][0] == pytest.approx(whole / 6, rel=1e-5)
    assert history["hits"][0] == pytest.approx(0.5)
    assert model.evaluate(data)["loss"] == pytest.approx(whole / 6, rel=1e-5)


def test_means_are_reported_as_they_are():
    x, y = gn.Input((None, 2), name="x"), gn.Input((None, 2), name="y")
    model = gn.Model(x, gn.nn.Linear(2, 2)(x))
    for loss in (
        gn.mse_loss(model.outputs[0], y),
        gn.sum(gn.mean(gn.square(model.outputs[0] - y), 0)),
        gn.sum(gn.square(model.outputs[0] - y)) / gn.sum(gn.square(y) * 0.0 + 1.0),
    ):
        model.compile("sgd", loss)
        assert model.training.outputs[0] is loss


def test_drawings_go_where_weights_go(tmp_path):
    loss = gn.mean(gn.Input((None, 2)) @ gn.Parameter([[1.0], [2.0]]))
    real, link = tmp_path / "real.dot", tmp_path / "link.dot"
    real.write_text("before")
    os.symlink(real, link)
    gn.render(loss, link)
    assert link.is_symlink()
    assert "digraph" in real.read_text()
    (tmp_path / "folder.dot").mkdir()
    os.mkfifo(tmp_path / "pipe.dot")
    for name in ("folder.dot", "pipe.dot"):
        with pytest.raises(DataError, match="is no regular file"):
            gn.render(loss, tmp_path / name)
    os.symlink(tmp_path / "round.dot", tmp_path / "round.dot")
    with pytest.raises(DataError, match="cannot be written"):
        gn.render(loss, tmp_path / "round.dot")


def _fitted(data, y=None, **options):
    x = gn.Input((None, 2), name="x")
    model = gn.Model(x, gn.nn.Linear(2, 3)(x))
    model.compile("sgd")
    model.fit(data, y, verbose=0, **options)


X, Y = np.ones((4, 2), np.float32), np.zeros(4, np.int64)


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda: _fitted(X, Y, epochs=10**30), "epochs is at most 100,000,000; got 10{30}"),
        (lambda: _fitted({3: X, "y": Y}), r"keys of the data are .*'x', 'y'.*; got 3 \(int\)"),
        (lambda: gn.nn.Linear(2, 2).load_state_dict(None), "a state is a dict of arrays"),
        (lambda: gn.nn.Linear(2, 2).load_torch_state_dict(3), "a state is a dict of tensors"),
        (lambda: optim.SGD(lr="a"), r"SGD\(lr=...\) takes a number at first; got str"),
        (lambda: setattr(optim.SGD(), "lr", "a"), "lr='a' is no number"),
        (lambda: optim.SGD(momentum="a"), "momentum='a' is no number"),
        (lambda: optim.Adam(eps="a"), "eps='a' is no number"),
        (lambda: optim.Adam(betas=3), "betas is a pair"),
        (lambda: optim.Adam(weight_decay=None), "weight_decay=None is no number"),
        (lambda: gn.dropout(gn.Input((2,)), "0.5"), "dropout needs 0 <= p < 1; got p='0.5'"),
        (lambda: gn.nn.Dropout("0.5"), "needs 0 <= p < 1; got p='0.5'"),
        (lambda: gn.gaussian_noise(gn.Input((2,)), "1"), "finite std >= 0; got std='1'"),
        (lambda: gn.function([], gn.Constant(1.0), updates=None), "updates are pairs .*got None"),
        (lambda: gn.function([], gn.Constant(1.0), updates=[1]), "an update is a pair .*got 1"),
        (lambda: gn.one_hot(gn.Input((2,), "int64"), 3, dtype="float16"), "got float16"),
        (lambda: gn.Parameter(np.array(["abc"])), r"got text \(<U3\)"),
    ],
)
def test_what_is_said_of_odd_arguments(attempt, message):
    with pytest.raises(gn.GraphnnError, match=message):
        attempt()


def test_a_name_that_no_file_can_hold(tmp_path):
    x = gn.Input((None, 1))
    model = gn.Model(x, x @ gn.Parameter([[1.0]], name="a\ud800"))
    with pytest.raises(DataError, match="no text that a file can hold"):
        model.save(tmp_path / "a.safetensors")


def test_a_size_that_is_told_twice_by_one_array():
    x = gn.Input((None, None), name="x")
    with pytest.raises(
        ShapeError, match="axis 1 has 4, its axis 0, declared .* same size None, has 3"
    ):
        gn.function(x, x * 2.0)(np.ones((3, 4), np.float32))


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3", "F8_E5M2"])
def test_dtypes_that_numpy_lacks(tmp_path, dtype):
    size = 2 if dtype == "BF16" else 1
    entry = {"dtype": dtype, "shape": [3], "data_offsets": [0, 3 * size]}
    header = json.dumps({"w": entry}).encode()
    file = tmp_path / "a.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header + bytes(3 * size))
    model = gn.Model(x := gn.Input((None, 2)), gn.nn.Linear(2, 1)(x))
    with pytest.raises(DataError, match=f"w is {dtype}, a dtype that NumPy and graphnn do not"):
        model.load(file)


def test_a_view_of_a_parameter_is_live_once_it_is_settled():
    x = gn.Input((2,))
    w = gn.Parameter(np.ones(2, np.float32))
    double = gn.function(x, x * w, updates=[(w, w * 2.0)])
    live = w.value
    double(np.ones(2, np.float32))
    np.testing.assert_array_equal(live, [2, 2])
    live[:] = 5
    np.testing.assert_array_equal(double(np.ones(2, np.float32)), [5, 5])


@pytest.mark.parametrize(
    ("shape", "indices", "axis"), [((3, 2), [[-1, 7]], 1), ((2, 2), [[-1, 7], [0, 0]], 0)]
)
def test_indices_out_of_range_behind_transposes_and_repetitions(shape, indices, axis):
    x, i = gn.Input(shape), gn.Input(np.shape(indices), "int64", name="i")
    chosen = gn.function([x, i], gn.take_along_axis(x, i, axis))
    with pytest.raises(DataError, match=r"input i\[0, 0\] = -1 is out of range"):
        chosen(np.ones(shape, np.float32), np.array(indices))
    small = gn.function([x, i], gn.take_along_axis(x, gn.cast(i, "int32"), axis))
    with pytest.raises(DataError, match="is out of range"):
        small(np.ones(shape, np.float32), np.array(indices))


def test_batch_norm_in_a_checkpoint_in_a_checkpoint(rng):
    """The copy of a copy is still the one batch norm, whose averages move once."""

    def averages():
        return gn.Parameter(np.zeros(3), trainable=False), gn.Parameter(np.ones(3), trainable=False)

    held, plain = averages(), averages()
    x = gn.Input((None, 3), "float64")
    y = gn.checkpoint(lambda a: gn.checkpoint(lambda b: gn.tanh(gn.batch_norm(b, *held)), a) * a, x)
    z = gn.tanh(gn.batch_norm(x, *plain)) * x
    both = [*(v for out in (y, z) for v in (out, gn.grad(gn.sum(out * out), x)))]
    found = gn.function(x, both, training=True)(rng.standard_normal((5, 3)))
    np.testing.assert_allclose(found[0], found[2], rtol=1e-13)
    np.testing.assert_allclose(found[1], found[3], rtol=1e-12)
    for one, other in zip(held, plain, strict=True):
        np.testing.assert_allclose(one.value, other.value, rtol=1e-13)


# Sequences.


@pytest.mark.parametrize("threads", [1, 2])
def test_a_tail_batch_of_loops_is_split_like_the_others(threads):
    """The tail is little work: planned alone it would have one lane, and one table."""
    gn.set_num_threads(threads)
    gn.set_seed(0)
    x, y = gn.Input((None, 6, 3), name="x"), gn.Input((None,), name="y")
    _, h = gn.nn.GRU(3, 8, num_layers=2, bidirectional=True)(x)
    model = gn.Model(x, h[-1])
    loss = gn.mean((gn.sum(h[-1], 1) - y) ** 2)
    model.compile(gn.optim.SGD(lr=0.01), loss=loss)
    data = {"x": np.ones((53, 6, 3), np.float32), "y": np.ones(53, np.float32)}
    history = model.fit(data, epochs=2, batch_size=16, verbose=0)
    gn.set_num_threads(None)
    assert np.isfinite(history["loss"]).all()
    training = model.training
    whole = training.bind({"N": 16}, gathered=True)
    tail = training.bind({"N": 5}, gathered=True, like=whole)
    assert tail.plan.lanes == whole.plan.lanes


def test_dropout_in_a_checkpoint_in_a_scan():
    x = gn.Input(("T", 5), name="x")

    def step(s, x):
        h = gn.checkpoint(lambda a, b: gn.dropout(a + b, 0.5), s, x)
        return h, h

    _, ys = gn.scan(step, np.zeros(5, np.float32), x)
    f = gn.function(x, [ys, gn.grad(gn.sum(ys), x)], training=True)
    value, slope = f(np.ones((3, 5), np.float32))
    np.testing.assert_array_equal(slope[-1], np.where(value[-1] != 0, 2, 0))


def test_what_leaves_a_scan_is_returned_from_it():
    leaked = []
    x = gn.Input(("T", 3), name="x")

    def step(s, x):
        leaked.append(s * x)
        return s + leaked[-1], s

    gn.scan(step, np.zeros(3, np.float32), x)
    with pytest.raises(
        gn.GraphError, match=r"there only in the steps of a scan. Return it .* as y"
    ):
        gn.function(x, leaked[0])


def test_a_decoder_with_too_small_a_cache():
    layer = gn.nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0)
    table = gn.Constant(np.eye(4, dtype=np.float32))

    def step(token, position, state):
        y, state = layer.extend(gn.expand_dims(gn.take(table, token, axis=0), 1), state, position)
        return y[:, 0], state

    decoder = gn.Decoder(step, layer.empty(1, longest=3), max_len=20)
    for _ in range(3):
        decoder.step([1])
    with pytest.raises(gn.DataError, match="position"):
        decoder.step([1])


def test_only_the_lstm_projects():
    with pytest.raises(gn.GraphError, match=r"nn.GRU has no proj_size"):
        gn.nn.GRU(3, 4, proj_size=2)
