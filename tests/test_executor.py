"""Running: threads and barriers, BLAS left alone, what a call accepts, what it refuses."""

from __future__ import annotations

import math
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.backends.cpu import blas, executor
from graphnn.errors import DataError, DTypeError, GraphError, GraphnnError, ShapeError

# --------------------------------------------------------------------------------- threads


def test_threads_by_default(monkeypatch):
    monkeypatch.delenv("GRAPHNN_NUM_THREADS", raising=False)
    assert 1 <= gn.get_num_threads() <= executor.machine_lanes()
    monkeypatch.setattr(executor, "available_processors", lambda: 1)
    assert gn.get_num_threads() == 1


@pytest.mark.parametrize(("given", "threads"), [("3", 3), (" 2 ", 2), ("1", 1)])
def test_threads_from_the_environment(given, threads, monkeypatch):
    monkeypatch.setenv("GRAPHNN_NUM_THREADS", given)
    assert gn.get_num_threads() == threads
    gn.set_num_threads(5)
    assert gn.get_num_threads() == 5, "what is set in the program counts more"
    gn.set_num_threads(None)
    assert gn.get_num_threads() == threads


@pytest.mark.parametrize("given", ["0", "-1", "1.5", "two", "²"])
def test_environment_that_is_no_number(given, monkeypatch):
    monkeypatch.setenv("GRAPHNN_NUM_THREADS", given)
    with pytest.raises(
        GraphnnError, match=f"GRAPHNN_NUM_THREADS is a whole number >= 1; got '{given}'"
    ):
        gn.get_num_threads()


@pytest.mark.parametrize("count", [0, -1, 1.5, "2", True])
def test_numbers_of_threads_that_are_none(count):
    with pytest.raises(GraphnnError, match="the number of threads is a whole number >= 1 or None"):
        gn.set_num_threads(count)


def test_threads_are_chosen_by_the_size_of_the_work():
    x = gn.Input((None, 64), name="x")
    function = gn.function([x], gn.tanh(x))
    assert function.plan_for({"N": 1}).lanes == 1
    assert function.plan_for({"N": 100_000}).lanes == executor.machine_lanes()


def test_small_work_runs_on_the_calling_thread(monkeypatch):
    """And large work on as many threads as are set; the lanes stay the machine's."""
    seen: list[int] = []
    run, run_here = executor.Job.run, executor.Job.run_here
    monkeypatch.setattr(
        executor.Job, "run", lambda job, n, *a: (seen.append(n), run(job, n, *a))[1]
    )
    monkeypatch.setattr(executor.Job, "run_here", lambda job: (seen.append(0), run_here(job))[1])
    monkeypatch.setattr(executor, "machine_lanes", lambda: 3)
    x = gn.Input((None, 64), name="x")
    function = gn.function([x], gn.tanh(x))
    for rows, threads in [(1, 2), (50_000, 2), (50_000, 1), (50_000, 3)]:
        gn.set_num_threads(threads)
        function(np.ones((rows, 64), np.float32))
    assert seen == [0, 2, 0, 3]


def chain(links: int) -> tuple[gn.Function, gn.Parameter]:
    """A step of many small kernels with a barrier before nearly each: p is turned and squeezed."""
    p = gn.Parameter(np.linspace(-1, 1, 36).reshape(6, 6), name="p")
    h: gn.Node = p
    for _ in range(links):
        h = gn.transpose(gn.tanh(h * 1.5)) + gn.max(h, 0)
    return gn.function([], [], updates=[(p, gn.tanh(h))]), p


def iterated(function: gn.Function, times: int, threads: int, **fields: int) -> None:
    """Run the loop ``times`` times over one plan, without coming back to Python."""
    bound = function.bind({})
    assert sum(bound.plan.layout.barriers) >= 5
    job = executor.Job(bound)
    job.set(SAMPLES=times, BATCH=1, **fields)
    job.run(threads)
    assert job.progress.tolist() == [times]


WAYS = {
    "as shipped": {},
    "never spinning": {"SPIN": 0},
    "spinning a little": {"SPIN": 50},
    "without futex": {"SPIN": 50, "SYSCALL": 0},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("threads", [2, 3])
def test_barriers_hold(way, threads, many_lanes):
    """Many thousands of steps on more threads than processors: the bits of one thread."""
    times = 10_000
    function, p = chain(3)
    start = p.value.copy()
    iterated(function, times, 1)
    expected = p.value.tobytes()
    p.value = start
    iterated(function, times, threads, **WAYS[way])
    assert p.value.tobytes() == expected


def test_many_short_calls(many_lanes, rng):
    """Threads begin and end with each call."""
    x = gn.Input((None, 6), "float64", name="x")
    function = gn.function([x], gn.sum(gn.transpose(gn.exp(x)), 0))
    gn.set_num_threads(3)
    before = threading.active_count()
    for i in range(200):
        array = rng.standard_normal((1 + i % 5, 6))
        np.testing.assert_allclose(function(array), np.exp(array).sum(1), rtol=1e-12)
    assert threading.active_count() == before


def test_more_threads_than_lanes(many_lanes):
    function, p = chain(2)
    start = p.value.copy()
    function()
    expected = p.value.tobytes()
    p.value = start
    gn.set_num_threads(7)
    function()
    assert p.value.tobytes() == expected


# ------------------------------------------------------------------------------ second calls


def test_a_second_call_is_checked_as_the_first():
    x, y = gn.Input((None, 3), name="x"), gn.Input((None,), "int64", name="y")
    f = gn.function([x, y], gn.cross_entropy(x, y))
    array, labels = np.zeros((4, 3), np.float32), np.zeros(4, np.int64)
    for _ in range(3):
        assert f(array, labels) == pytest.approx(math.log(3))
        with pytest.raises(gn.DataError, match=r"input y\[2\] = 3 is out of range"):
            f(array, np.int64([0, 1, 3, 0]))
        with pytest.raises(gn.ShapeError, match="its axis 0 has 4, another input has 5"):
            f(np.zeros((5, 3), np.float32), labels)
        with pytest.raises(gn.DTypeError, match="declared float32"):
            f(array.astype(np.float64), labels)
        with pytest.raises(gn.DataError, match="masked"):
            f(np.ma.masked_array(array), labels)
        with pytest.raises(gn.GraphError, match="takes 2 arrays"):
            f(array)
        f(np.asfortranarray(array), labels[::-1])


def test_calls_of_changing_sizes_share_one_arena():
    x = gn.Input((None, 3), name="x")
    p = gn.Parameter(np.float32([1, 2, 3]), name="p")
    f = gn.function(x, [gn.sum(gn.exp(x) * p, 1), p, x, gn.reshape(x, (-1,))])
    for count in (2, 50, 2, 7, 0, 50, *range(100), 2):
        array = np.random.default_rng(count).normal(size=(count, 3)).astype(np.float32)
        sums, value, same, flat = f(array)
        np.testing.assert_allclose(sums, np.exp(array) @ p.value, rtol=1e-5)
        np.testing.assert_array_equal(same, array)
        np.testing.assert_array_equal(flat, array.ravel())
        assert value is not p.value
        np.testing.assert_array_equal(value, p.value)
        p.value = p.value + 1  # is seen by the next call


def test_a_running_average_may_be_given_to_the_function_that_moves_it():
    norm = nn.BatchNorm1d(2)
    x, seen = gn.Input((None, 2), name="x"), gn.Input((2,), name="seen")
    f = gn.function([x, seen], [gn.sum(norm(x)), seen], training=True)
    array = np.float32([[1, 2], [3, 6]])
    f(array, np.zeros(2, np.float32))
    before = norm.running_mean.value.copy()
    _, found = f(array, norm.running_mean.value)
    np.testing.assert_array_equal(found, before)
    assert not np.array_equal(norm.running_mean.value, before)


# ------------------------------------------------------------------------------------ BLAS


def blas_threads() -> list[int]:
    return [library.get_num_threads() for library in blas._libraries()]


@pytest.fixture
def two_blas_threads():
    before = blas_threads()
    blas._set([2] * len(before))
    yield
    blas._set(before)


def test_blas_is_left_as_it_was(two_blas_threads):
    """One thread inside, whatever happens; afterwards as many as before."""
    x = gn.Input((None, 8), name="x")
    gn.function([x], x @ gn.transpose(x))(np.ones((4, 8), np.float32))
    assert set(blas_threads()) == {2}
    with blas.single_threaded():
        assert set(blas_threads()) == {1}
        with blas.single_threaded():
            assert set(blas_threads()) == {1}
        assert set(blas_threads()) == {1}
    assert set(blas_threads()) == {2}
    with pytest.raises(RuntimeError), blas.single_threaded():
        raise RuntimeError
    assert set(blas_threads()) == {2}


def test_blas_is_left_as_it_was_by_several_threads(two_blas_threads):
    inside = []

    def use(_: int) -> None:
        for _ in range(50):
            with blas.single_threaded():
                inside.append(max(blas_threads()))

    for _ in range(5):  # whichever of them ends last
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(use, range(3)))
        assert set(inside) == {1}
        assert set(blas_threads()) == {2}


def test_blas_is_the_one_that_kernels_call():
    """NumPy's, in a wheel of its own, is left alone; without a product nothing is."""
    x = gn.Input((None, 8), name="x")
    for node, multiplies in ((gn.tanh(x), False), (x @ gn.transpose(x), True)):
        assert gn.function(x, node).bind({"N": 4}).multiplies == multiplies
    image = gn.Input((None, 1, 8, 8))
    convolved = gn.conv2d(image, np.ones((1, 1, 3, 3), np.float32))
    assert gn.function(image, convolved).bind({"N": 4}).multiplies
    assert len(blas._libraries()) == 1


def test_blas_says_what_it_is():
    assert blas.description()


# ------------------------------------------------------------------------------ concurrency


@pytest.mark.parametrize("together", ["one function", "a function each"])
def test_two_python_threads(together, many_lanes):
    """Calls of one function take turns; those of two run side by side. None sees another's values."""
    gn.set_num_threads(2)

    def made() -> gn.Function:
        x = gn.Input((None, 6), "float64", name="x")
        return gn.function([x], [gn.softmax(gn.transpose(gn.exp(x))), gn.sum(x @ gn.transpose(x))])

    functions = [made(), made()]
    if together == "one function":
        functions[1] = functions[0]
    errors: list[BaseException] = []

    def use(number: int) -> None:
        rng = np.random.default_rng(number)
        try:
            for i in range(60):
                array = rng.uniform(-1, 1, (1 + (i + 3 * number) % 7, 6))
                rows, total = functions[number](array)
                powers = np.exp(np.exp(array).T)
                np.testing.assert_allclose(rows, powers / powers.sum(1, keepdims=True), rtol=1e-12)
                np.testing.assert_allclose(total, np.sum(array @ array.T), rtol=1e-9)
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=use, args=(n,)) for n in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not errors


def test_a_parameter_shared_by_two_functions():
    p = gn.Parameter(np.zeros(3), name="p")
    rise = gn.function([], [], updates=[(p, p + 1.0)])
    look = gn.function([], p * 2.0)
    rise()
    rise()
    assert look().tolist() == [4, 4, 4]
    p.value = [1, 2, 3]
    assert look().tolist() == [2, 4, 6]
    rise()
    assert p.value.tolist() == [2, 3, 4]


# ----------------------------------------------------------------------- what a call accepts


@pytest.fixture(scope="module")
def doubled():
    x = gn.Input((None, 3), name="x")
    return gn.function(x, x * 2.0)


def test_arrays_of_every_layout(doubled):
    whole = np.arange(24, dtype=np.float32).reshape(4, 6)
    shifted = np.zeros(4 * 3 * 4 + 1, np.uint8)[1:].view(np.float32).reshape(4, 3)
    shifted[...] = whole[:, :3]
    frozen = whole[:, :3].copy()
    frozen.setflags(write=False)
    for array in [
        whole[:, ::2],
        whole[::-1, 3:],
        np.asfortranarray(whole[:, :3]),
        whole[:, :3].astype(">f4"),
        np.broadcast_to(np.float32(3), (4, 3)),
        frozen,
        shifted,
        whole[:, :3].tolist(),
    ]:
        expected = np.asarray(array, np.float32) * 2
        np.testing.assert_array_equal(doubled(array), expected)
        np.testing.assert_array_equal(np.asarray(array, np.float32) * 2, expected)


def test_the_batch_may_change_with_every_call(doubled):
    for rows in (2, 500, 1, 3, 500, 0, 2):
        array = np.random.default_rng(rows).standard_normal((rows, 3)).astype(np.float32)
        found = doubled(array)
        assert found.shape == (rows, 3)
        np.testing.assert_array_equal(found, array * 2)


def test_results_are_copies(doubled):
    first = doubled(np.ones((2, 3), np.float32))
    second = doubled(np.zeros((2, 3), np.float32))
    assert first.tolist() == [[2] * 3] * 2
    first[...] = 7
    assert second.tolist() == [[0] * 3] * 2


def test_given_values_as_results():
    x = gn.Input((2,), name="x")
    function = gn.function([x], [x, gn.reshape(x, (2, 1)), gn.Constant(3.0), gn.Parameter([1.0])])
    array = np.array([1, 2], np.float32)
    results = function(array)
    assert [r.tolist() for r in results] == [[1, 2], [[1], [2]], 3.0, [1.0]]
    results[0][0] = 9
    assert array[0] == 1


def test_one_or_several_results():
    x = gn.Input((), name="x")
    assert isinstance(gn.function(x, x + 1)(1.0), np.ndarray)
    assert gn.function(x, [x + 1])(1.0)[0] == 2
    assert gn.function(x, [])(1.0) == []


def test_no_axes(many_lanes):
    x = gn.Input((), "float64", name="x")
    function = gn.function(
        [x], [gn.exp(x), gn.grad(gn.sin(x), x), gn.sum(x), gn.reshape(x, (1, 1))]
    )
    for value in (0.5, np.float64(0.5), np.array(0.5)):
        results = function(value)
        assert [r.shape for r in results] == [(), (), (), (1, 1)]
        np.testing.assert_allclose(results[0], np.exp(0.5))


EMPTY = {
    "tanh": (lambda x: gn.tanh(x), (0, 3)),
    "sum": (lambda x: gn.sum(x), ()),
    "sum over the batch": (lambda x: gn.sum(x, 0), (3,)),
    "max over rows": (lambda x: gn.max(x, 1), (0,)),
    "product": (lambda x: x @ gn.Constant(np.ones((3, 4), np.float32)), (0, 4)),
    "product over the batch": (lambda x: gn.transpose(x) @ x, (3, 3)),
    "softmax": (lambda x: gn.softmax(x), (0, 3)),
    "transpose": (lambda x: gn.transpose(x), (3, 0)),
    "reshape": (lambda x: gn.reshape(x, (-1,)), (0,)),
    "dropout": (lambda x: gn.dropout(x), (0, 3)),
}


@pytest.mark.parametrize("case", EMPTY)
def test_an_empty_batch(case, many_lanes):
    declare, shape = EMPTY[case]
    x = gn.Input((None, 3), name="x")
    function = gn.function([x], declare(x), training=True)
    function(np.ones((5, 3), np.float32))  # leaves numbers in the arena
    gn.set_num_threads(2)
    found = function(np.ones((0, 3), np.float32))
    assert found.shape == shape
    assert not found.any(), "sums of nothing are zero"


def test_the_mean_and_the_maximum_of_nothing():
    x = gn.Input((None,), name="x")
    mean, most = gn.function([x], [gn.mean(x), gn.max(x)])(np.ones(0, np.float32))
    assert np.isnan(mean)
    assert most == -np.inf
    n = gn.Input((None,), "int64", name="n")
    assert gn.function([n], gn.max(n))(np.ones(0, int)) == np.iinfo(np.int64).min


def test_axes_of_size_zero():
    x = gn.Input((0, 3), name="x")
    results = gn.function([x], [gn.exp(x), gn.sum(x, 0), x @ gn.Constant(np.ones((3, 2), "f4"))])(
        np.ones((0, 3), np.float32)
    )
    assert [r.shape for r in results] == [(0, 3), (3,), (0, 2)]
    a, b = gn.Input((3, 0)), gn.Input((0, 4))
    assert not gn.function([a, b], a @ b)(np.ones((3, 0), "f4"), np.ones((0, 4), "f4")).any()


NANS = {
    "relu": (gn.relu, lambda x: np.maximum(x, 0)),
    "abs": (gn.abs, np.abs),
    "exp": (gn.exp, np.exp),
    "log": (gn.log, np.log),
    "tanh": (gn.tanh, np.tanh),
    "sqrt": (gn.sqrt, np.sqrt),
    "sigmoid": (gn.sigmoid, lambda x: 1 / (1 + np.exp(-x))),
    "maximum": (lambda x: gn.maximum(x, 0.5), lambda x: np.maximum(x, 0.5)),
    "maximum, from the right": (lambda x: gn.maximum(0.5, x), lambda x: np.maximum(0.5, x)),
    "minimum": (lambda x: gn.minimum(x, 0.5), lambda x: np.minimum(x, 0.5)),
    "minimum, from the right": (lambda x: gn.minimum(0.5, x), lambda x: np.minimum(0.5, x)),
    "sum": (lambda x: gn.sum(x, 1), lambda x: x.sum(1)),
    "mean": (lambda x: gn.mean(x, 0), lambda x: x.mean(0)),
    "max over rows": (lambda x: gn.max(x, 1), lambda x: x.max(1)),
    "max over columns": (lambda x: gn.max(x, 0), lambda x: x.max(0)),
    "max over all": (gn.max, np.max),
    "product": (lambda x: x @ gn.transpose(x), lambda x: x @ x.T),
    "square": (gn.square, np.square),
    "where": (lambda x: gn.where(x > 0, x, -x), lambda x: np.where(x > 0, x, -x)),
    "comparison": (lambda x: x > 0, lambda x: x > 0),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", NANS)
def test_nan_and_infinity_flow_through(case, dtype):
    """As through NumPy: nothing hides them."""
    ours, theirs = NANS[case]
    array = np.linspace(0.1, 2, 60).reshape(5, 12).astype(dtype)
    array[1, 2], array[1, 7], array[3, 4], array[4, 0] = np.nan, np.inf, -np.inf, np.nan
    x = gn.Input((None, 12), dtype)
    with np.errstate(all="ignore"):
        expected = theirs(array)
    np.testing.assert_allclose(gn.function([x], ours(x))(array), expected, rtol=1e-5)


@pytest.mark.parametrize("op", [gn.softmax, gn.log_softmax])
def test_nan_spoils_its_row_only(op):
    array = np.ones((3, 4), np.float32)
    array[1, 2] = np.nan
    x = gn.Input((None, 4))
    found = gn.function([x], op(x))(array)
    assert np.isnan(found[1]).all()
    assert np.isfinite(found[[0, 2]]).all()


def test_nan_in_a_loss():
    x, y = gn.Input((None, 3)), gn.Input((None,), "int64")
    loss = gn.cross_entropy(x, y)
    array = np.ones((2, 3), np.float32)
    array[0, 0] = np.nan
    value, gradient = gn.function([x, y], [loss, gn.grad(loss, x)])(array, [0, 1])
    assert np.isnan(value)
    assert np.isnan(gradient[0]).all()
    assert np.isfinite(gradient[1]).all()


# ------------------------------------------------------------------------ what a call refuses


def test_wrong_shapes(doubled):
    message = r"input x is declared \(None, 3\) at test_executor.py:\d+; got an array of shape "
    for shape, shown in [
        ((4, 2), r"\(4, 2\)"),
        ((3,), r"\(3,\)"),
        ((2, 2, 3), r"\(2, 2, 3\)"),
        ((), r"\(\)"),
    ]:
        with pytest.raises(ShapeError, match=message + shown):
            doubled(np.ones(shape, np.float32))
    with pytest.raises(ShapeError, match="input x: "):
        doubled([[1.0], [1.0, 2.0]])


def test_inputs_that_do_not_agree_on_the_batch():
    x, y = gn.Input((None, 3), name="x"), gn.Input((None,), name="y")
    function = gn.function([x, y], gn.sum(x, 1) + y)
    with pytest.raises(
        ShapeError,
        match=r"input y .* got an array of shape \(5,\): its axis 0 has 5, another input has 4 there",
    ):
        function(np.ones((4, 3), np.float32), np.ones(5, np.float32))


def test_inputs_whose_size_follows_from_others():
    x = gn.Input((None, 3), "float64", name="x")
    flat = gn.Input(gn.flatten(x, 0).spec.shape, "float64", name="flat")
    function = gn.function([x, flat], gn.flatten(x, 0) * flat)
    assert function(np.ones((2, 3)), np.arange(6.0)).tolist() == [0, 1, 2, 3, 4, 5]
    with pytest.raises(
        ShapeError, match=r"input flat is declared \(3\*N,\) .*.*another input has 6 there"
    ):
        function(np.ones((2, 3)), np.ones(7))
    with pytest.raises(GraphError, match=r"flat has shape \(3\*N,\) .* no input tells the size N"):
        gn.function([flat], flat * 2.0)
    with pytest.raises(
        GraphError, match=r"broadcast_to has shape \(None,\) .* no input tells the size N"
    ):
        gn.function([], gn.broadcast_to(gn.Parameter(1.0), (None,)))


def test_wrong_dtypes(doubled):
    for array in (
        np.ones((2, 3)),
        np.ones((2, 3), np.int64),
        np.ones((2, 3), bool),
        np.ones((2, 3), complex),
    ):
        message = rf"input x is declared float32 at .*; got an array of {array.dtype}\. Convert it: array.astype\('float32'\)"
        with pytest.raises(DTypeError, match=message):
            doubled(array)
    with pytest.raises(DTypeError, match="got an array of "):
        doubled([["a", "b", "c"]])
    n = gn.Input((None,), "int64", name="n")
    with pytest.raises(DTypeError, match="input n is declared int64"):
        gn.function(n, n + 1)([1.5])


def test_casts_that_lose_nothing():
    n, x = gn.Input((None,), "int64", name="n"), gn.Input((None,), "float64", name="x")
    assert gn.function(n, n + 1)(np.array([1, 2], np.int16)).tolist() == [2, 3]
    assert gn.function(n, n + 1)(np.array([1, 2], np.uint8)).tolist() == [2, 3]
    assert gn.function(x, x + 1)(np.array([1, 2], np.float32)).tolist() == [2, 3]
    with pytest.raises(DTypeError):
        gn.function(n, n + 1)(np.array([1, 2], np.uint64))


def test_whole_numbers_that_do_not_fit():
    byte = gn.Input((None,), "uint8", name="byte")
    function = gn.function(byte, gn.cast(byte, "float32"))
    assert function([0, 255]).tolist() == [0, 255]
    for wrong in ([256], [-1]):
        with pytest.raises(
            DataError, match="input byte is declared uint8 at .*, from 0 to 255; got values"
        ):
            function(wrong)


def test_wrong_numbers_of_arrays(doubled):
    with pytest.raises(GraphError, match=r"the function takes 1 arrays \(x\); got 0"):
        doubled()
    with pytest.raises(GraphError, match=r"the function takes 1 arrays \(x\); got 2"):
        doubled(np.ones((1, 3)), np.ones((1, 3)))
    with pytest.raises(DataError, match="input x takes an array, not a node"):
        doubled(gn.Input((1, 3)))


@pytest.mark.parametrize("wrong", [-1, 3, 1 << 40])
def test_labels_out_of_range(wrong):
    x, y = gn.Input((None, 3), name="x"), gn.Input((None,), "int64", name="y")
    function = gn.function([x, y], gn.cross_entropy(x, y))
    labels = np.array([0, 2, wrong, 1])
    message = rf"input y\[2\] = {wrong} is out of range: cross_entropy \(declared at test_exec.*needs 0 <= label < 3"
    with pytest.raises(DataError, match=message):
        function(np.ones((4, 3), np.float32), labels)


def test_labels_of_two_readers():
    """The narrower range counts, whichever was declared first."""
    x, z = gn.Input((None, 5), name="x"), gn.Input((None, 3), name="z")
    y = gn.Input((None,), "int64", name="y")
    function = gn.function([x, z, y], gn.cross_entropy(x, y) + gn.cross_entropy(z, y))
    with pytest.raises(DataError, match=r"input y\[0\] = 4 .*needs 0 <= label < 3"):
        function(np.ones((1, 5), "f4"), np.ones((1, 3), "f4"), [4])


def test_computed_labels_out_of_range_give_nan():
    x, y = gn.Input((None, 3)), gn.Input((None,), "int64")
    loss = gn.cross_entropy(x, y * 2, reduction="none")
    gradient = gn.grad(gn.sum(loss), x)
    value, slope = gn.function([x, y], [loss, gradient])(np.ones((2, 3), np.float32), [0, 2])
    assert np.isfinite(value[0])
    assert np.isnan(value[1])
    assert np.isnan(slope[1]).all()


def test_wrong_declarations():
    x, y = gn.Input((2,), name="x"), gn.Input((2,), name="y")
    with pytest.raises(
        GraphError, match=r"need inputs that are not given: y \(declared at test_exec"
    ):
        gn.function([x], x + y)
    with pytest.raises(GraphError, match="an input is given twice"):
        gn.function([x, x], x)
    with pytest.raises(GraphError, match="the inputs of a function are gn.Input nodes; got <add"):
        gn.function([x + 1.0], x)
    with pytest.raises(
        GraphError, match="device='cuda' is not there: .* never falls back silently"
    ):
        gn.function([x], x, device="cuda")


def test_an_input_that_nothing_needs():
    x, y = gn.Input((None, 2), name="x"), gn.Input((None,), name="y")
    function = gn.function([x, y], x + 1.0)
    assert function(np.zeros((1, 2), "f4"), np.zeros(1, "f4")).tolist() == [[1, 1]]
    with pytest.raises(ShapeError):
        function(np.zeros((1, 2), "f4"), np.zeros(2, "f4"))


def test_what_a_function_says_of_itself():
    x, p = gn.Input((2,), name="x"), gn.Parameter([1.0, 2.0], name="p")
    function = gn.function([x], x + p, updates=[(p, p * x)])
    assert repr(function) == "<function (x) -> (add), 1 updates>"
    assert function.parameters == (p,)
    assert function.inputs == (x,)


# ------------------------------------------------------------------------------------ dropout


def test_dropout_draws_anew_and_repeats_with_the_seed(many_lanes):
    x = gn.Input((None, 64), name="x")
    function = gn.function([x], gn.dropout(x, 0.25), training=True)
    ones = np.ones((50, 64), np.float32)

    def runs() -> list[np.ndarray]:
        gn.set_seed(3)
        return [function(ones) for _ in range(3)]

    gn.set_num_threads(1)
    first = runs()
    assert not np.array_equal(first[0], first[1])
    assert {float(v) for v in np.unique(first[0])} == {0.0, float(np.float32(1 / 0.75))}
    assert abs((first[0] == 0).mean() - 0.25) < 0.03
    for threads in (2, 3):
        gn.set_num_threads(threads)
        assert all(np.array_equal(a, b) for a, b in zip(runs(), first, strict=True))


def test_dropout_in_inference_and_its_gradient():
    x = gn.Input((None, 8), "float64", name="x")
    dropped = gn.dropout(x, 0.5)
    ones = np.ones((3, 8))
    np.testing.assert_array_equal(gn.function([x], dropped, training=False)(ones), ones)
    train = gn.function([x], [dropped, gn.grad(gn.sum(dropped), x)], training=True)
    value, gradient = train(ones)
    assert {0.0, 2.0} == set(np.unique(value))
    np.testing.assert_array_equal(value, gradient)


def test_two_dropouts_draw_different_masks():
    x = gn.Input((1000,), name="x")
    both = gn.function([x], [gn.dropout(x), gn.dropout(x)], training=True)
    a, b = both(np.ones(1000, np.float32))
    assert 0.4 < np.mean(a == b) < 0.6


def test_the_published_vectors_of_philox():
    """Random123's known answers, by the NumPy oracle, which test_ops compares with the kernel."""
    from graphnn.ops.random.generator import philox

    ones = 0xFFFFFFFF
    known = [
        ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ((ones,) * 4, (ones,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ]
    for counter, key, answer in known:
        assert " ".join(f"{int(word):08x}" for word in philox(counter, key)) == answer


def test_seeds_that_are_none():
    for wrong in (-1, 1.5, 2**63, True, "1"):
        with pytest.raises(GraphnnError, match=r"a seed is a whole number in \[0, 2\*\*63\)"):
            gn.set_seed(wrong)
