"""One suite over the registry: registering an op is what gets it tested.

Each op is called as its own ``examples`` say: shape, dtype, value, both derivatives, batch sizes and
numbers of threads.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

import graphnn as gn
from graphnn.backends import reference
from graphnn.errors import GraphError
from graphnn.node import Node, apply
from graphnn.op import Draw, Example, Leaf, Mismatch, Op, Scalar, is_own, registry
from graphnn.ops.declare.tangents import no_gradient
from graphnn.spec import BATCH, FLOATS, TensorSpec
from graphnn.testing import check_grads, check_values

# As shipped: other test modules register ops of their own.
# graphnn's own: other test modules enter ops of their own into the registry.
OPS = {n: op for n, op in registry.items() if not isinstance(op.kernel, Leaf) and is_own(op)}
CALLS = [(op, i) for op in OPS.values() for i in range(len(op.examples))]
BACKWARD = tuple(name for name in OPS if "_backward" in name and not OPS[name].examples)

TOLERANCE = {"float32": (1e-5, 1e-6), "float64": (1e-12, 1e-13)}

every_call = pytest.mark.parametrize(
    ("op", "index"), CALLS, ids=[f"{op.name}-{i}" for op, i in CALLS]
)
every_op = pytest.mark.parametrize("op", [op for op in OPS.values() if op.examples], ids=repr)
every_dtype = pytest.mark.parametrize("dtype", FLOATS)


def dtypes_of(example: Example, dtype: str) -> list[str]:
    return [draw.dtype or dtype for draw in example.inputs]


def declared(example: Example, dtype: str, shapes: Sequence | None = None) -> list[gn.Input]:
    shapes = [draw.shape for draw in example.inputs] if shapes is None else shapes
    names = zip(shapes, dtypes_of(example, dtype), strict=True)
    return [gn.Input(shape, name, name=f"in{i}") for i, (shape, name) in enumerate(names)]


def sampled(example: Example, dtype: str, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [draw.sample(rng, dtype) for draw in example.inputs]


def close(op: Op, dtype: str) -> tuple[float, float]:
    rtol, atol = TOLERANCE[dtype]
    return rtol * op.slack, atol * op.slack


def test_every_op_with_a_kernel_has_examples():
    """Only derived backward ops have none: they are tested through the op that they belong to."""
    without = {op.name for op in OPS.values() if not op.examples}
    assert without == set(BACKWARD)
    assert all(name.split("_backward")[0] in OPS for name in BACKWARD)


@every_call
@every_dtype
def test_shape_and_values(op, index, dtype):
    """Declared shape = computed shape; kernel = NumPy reference."""
    example = op.examples[index]
    inputs, arrays = declared(example, dtype), sampled(example, dtype)
    node = apply(op, inputs, example.attrs)
    rtol, atol = close(op, dtype)
    if node.dtype == "float32" or dtype == "float32":
        rtol, atol = close(op, "float32")
    exact = node.dtype not in FLOATS
    check_values(
        node,
        dict(zip(inputs, arrays, strict=True)),
        rtol=0 if exact else rtol,
        atol=0 if exact else atol,
    )


def float_places(example: Example) -> list[int]:
    return [i for i, draw in enumerate(example.inputs) if draw.dtype is None]


def call_of(op: Op, example: Example):
    def call(*inputs: Node) -> Node:
        return apply(op, inputs, example.attrs)

    return call


def has_gradient(op: Op, example: Example) -> bool:
    """Whether a small change of a float input changes a float result, by a rule."""
    result = apply(op, declared(example, "float64"), example.attrs).dtype
    ruled = op.vjp is not None or op.expand is not None
    flows = ruled and op.vjp is not no_gradient
    return bool(float_places(example)) and result in FLOATS and flows


DIFFERENTIABLE = [(op, i) for op, i in CALLS if has_gradient(op, op.examples[i])]
CONSTANT = [(op, i) for op, i in CALLS if not has_gradient(op, op.examples[i])]


@pytest.mark.parametrize(
    ("op", "index"), DIFFERENTIABLE, ids=[f"{op.name}-{i}" for op, i in DIFFERENTIABLE]
)
def test_first_and_second_derivative(op, index):
    """The rule of the gradient, by the references: every example, no compiling."""
    assert op.vjp is not None or op.expand is not None
    example = op.examples[index]
    call = call_of(op, example)
    if example.attrs.get("dtype") == "float32":  # too coarse for differences: there and back
        call = lambda x: gn.cast(x, "float64") * gn.cast(gn.cast(x, "float32"), "float64")  # noqa: E731
        rtol, step = 1e-3, 1e-3
    else:
        rtol, step = 1e-6, 1e-5  # a short one: of 5000 numbers, two are close
    check_grads(
        call, *sampled(example, "float64"), order=2, backend="reference", rtol=rtol, step=step
    )


@pytest.mark.parametrize(
    ("op", "index"), DIFFERENTIABLE, ids=[f"{op.name}-{i}" for op, i in DIFFERENTIABLE]
)
def test_forward_mode_agrees_with_reverse_mode(op, index):
    """cotangent · (J tangent) = (Jᵀ cotangent) · tangent, each by rules of its own."""
    assert op.jvp is not None or op.expand is not None
    example = op.examples[index]
    if example.attrs.get("dtype") == "float32":
        return  # the rule of cast: there and back above
    rng = np.random.default_rng(3)
    inputs, arrays = declared(example, "float64"), sampled(example, "float64")
    given = dict(zip(inputs, arrays, strict=True))
    node = apply(op, inputs, example.attrs)
    floats = [x for x in inputs if x.dtype == "float64"]
    tangents = [rng.standard_normal(x.shape) for x in floats]
    weights = rng.standard_normal(node.shape)
    pulled = gn.vjp(node, floats, gn.Constant(weights))
    pushed = gn.jvp(node, floats, [gn.Constant(tangent) for tangent in tangents])
    assert pushed.spec == node.spec
    found = reference.evaluate([pushed, *(p for p in pulled if p is not None)], given)
    forward = np.sum(weights * found[0])
    parts = iter(found[1:])
    reverse = sum(
        np.sum(t * next(parts)) for t, p in zip(tangents, pulled, strict=True) if p is not None
    )
    np.testing.assert_allclose(forward, reverse, rtol=1e-9, atol=1e-11)
    one_by_one = [  # each input moved alone: its rule must not lean on the others' tangents
        gn.jvp(node, [x], [gn.Constant(tangent)])
        for x, tangent in zip(floats, tangents, strict=True)
    ]
    total = sum(reference.evaluate(one_by_one, given))
    np.testing.assert_allclose(total, found[0], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("op", "index"), CONSTANT, ids=[f"{op.name}-{i}" for op, i in CONSTANT])
def test_without_gradient_grad_raises(op, index):
    example = op.examples[index]
    inputs = [gn.Input(d.shape, d.dtype or "float64") for d in example.inputs]
    node = apply(op, inputs, example.attrs)
    to_float = gn.cast(node, "float64")  # itself without a gradient from whole numbers and bools
    wrt = gn.Input((), "float64", name="w")
    floats = [value for value in inputs if value.dtype == "float64"]
    with pytest.raises(GraphError, match="does not depend on"):
        gn.grad(gn.sum(to_float), floats or [wrt])


def kinds_of_example(op: Op) -> list[Example]:
    """The first example, and for elementwise ops of several inputs the first that broadcasts."""
    usable = [example for example in op.examples if has_gradient(op, example)]
    broadcast = [e for e in usable if len({draw.shape for draw in e.inputs}) > 1]
    return usable[:1] + (broadcast[:1] if isinstance(op.kernel, Scalar) else [])


@pytest.mark.parametrize(
    "op", dict.fromkeys(op for op, _ in DIFFERENTIABLE), ids=lambda op: op.name
)
@every_dtype
def test_kernels_of_the_gradient(op, dtype):
    """The backward ops, compiled and fused as they are used, equal their references."""
    for example in kinds_of_example(op):
        inputs, arrays = declared(example, dtype), sampled(example, dtype)
        result = apply(op, inputs, example.attrs)
        weights = gn.Input(result.spec.shape, result.dtype)
        loss = gn.sum(result * weights)
        wrt = [inputs[i] for i in float_places(example)]
        drawn = np.random.default_rng(1).standard_normal(weights.spec.shape).astype(result.dtype)
        rtol, atol = (1e-4, 1e-5) if dtype == "float32" else (1e-11, 1e-12)
        given = dict(zip([*inputs, weights], [*arrays, drawn], strict=True))
        check_values(gn.grad(loss, wrt), given, rtol=rtol, atol=atol)


def test_the_second_derivative_runs_compiled():
    check_grads(lambda x, w: gn.tanh(gn.matmul(x, w)), *np.ones((2, 3, 3)), order=2, backend="cpu")
    check_grads(gn.softmax, np.arange(6.0).reshape(2, 3), order=2, backend="cpu")


# ------------------------------------------------------------------------------ batch sizes


def batched(op: Op, example: Example) -> Iterator[tuple[list[tuple], dict, int]]:
    """Ways to make the leading axis the batch: shapes with BATCH, attributes, size in the example."""
    shapes = [draw.shape for draw in example.inputs]
    for size in sorted({shape[0] for shape in shapes if shape and shape[0] > 1}, reverse=True):
        places = [i for i, shape in enumerate(shapes) if shape and shape[0] == size]
        for count in range(len(places), 0, -1):
            for chosen in itertools.combinations(places, count):
                for symbolic in (True, False):
                    new = [
                        (BATCH, *shape[1:]) if i in chosen else shape
                        for i, shape in enumerate(shapes)
                    ]
                    attrs = with_leading(example.attrs, size, BATCH) if symbolic else example.attrs
                    if accepts(op, example, new, attrs):
                        yield new, dict(attrs), size


def with_leading(attrs, size, new):
    shape = attrs.get("shape")
    if not shape or shape[0] != size:
        return dict(attrs)
    return {**attrs, "shape": (new, *shape[1:])}


def accepts(op: Op, example: Example, shapes: Sequence[tuple], attrs) -> bool:
    names = dtypes_of(example, "float64")
    try:
        op.spec(*map(TensorSpec, shapes, names), **attrs)
    except Mismatch:
        return False
    return True


@every_op
def test_batch_axis(op, monkeypatch):
    """One function declared with None serves every size, and gives the bits of the static one."""
    ways = [(example, way) for example in op.examples for way in [*batched(op, example)][:1]]
    assert ways or "shape" in op.examples[0].attrs, "no example of this op has a batch axis"
    for example, (shapes, attrs, size) in ways[:4]:
        inputs = declared(example, "float32", shapes)
        node = apply(op, inputs, attrs)
        function = gn.function(inputs, node, training=True)
        for batch in (size, 1, 2, 7, 0):
            now = replace(
                example,
                inputs=tuple(
                    replace(draw, shape=tuple(batch if d is BATCH else d for d in shape))
                    for draw, shape in zip(example.inputs, shapes, strict=True)
                ),
            )
            arrays = sampled(now, "float32")
            if batch == 0 and reduces_nothing(node):
                continue
            found = function(*arrays)
            wanted = reference.evaluate(node, dict(zip(inputs, arrays, strict=True)))
            assert found.shape == wanted.shape
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
            if batch == size:
                static = declared(example, "float32")
                fixed = apply(op, static, example.attrs)
                assert (
                    gn.function(static, fixed, training=True)(*arrays).tobytes() == found.tobytes()
                )


def reduces_nothing(node: Node) -> bool:
    """The mean of nothing is nan and its maximum does not exist: not for NumPy either."""
    return node.op.name in ("mean", "max") and 0 in node.attrs["axes"]


# ------------------------------------------------------------------------------- threads


@every_op
@every_dtype
def test_same_bits_on_every_number_of_threads(op, dtype, on_each_number_of_threads):
    for index, example in enumerate(op.examples):
        inputs, arrays = declared(example, dtype), sampled(example, dtype)
        node = apply(op, inputs, example.attrs)
        function = gn.function(inputs, node, training=True)
        (found,) = on_each_number_of_threads(lambda f=function, a=arrays: f(*a))
        wanted = reference.evaluate(node, dict(zip(inputs, arrays, strict=True)))
        rtol, atol = close(op, "float32" if node.dtype == "float32" else dtype)
        np.testing.assert_allclose(found, wanted, rtol=rtol, atol=atol, err_msg=f"example {index}")


# ------------------------------------------------------------- what the registry promises


@every_op
def test_what_an_op_says_of_itself(op):
    assert registry[op.name] is op
    assert op.name.isidentifier()
    assert op.formula or op.name in ("logical_and", "logical_or")
    assert op.color.startswith("#")
    example = op.examples[0]
    specs = [TensorSpec(d.shape, d.dtype or "float32") for d in example.inputs]
    attrs = example.attrs
    flops = op.flops(op.spec(*specs, **attrs), *specs, **attrs)
    assert isinstance(flops, int)
    assert flops >= 0


@pytest.mark.parametrize(
    "op", [op for op in OPS.values() if isinstance(op.kernel, Scalar)], ids=lambda op: op.name
)
def test_own_formulas_keep_the_rules_that_users_formulas_are_held_to(op):
    """They are read late, so nobody says so when they are declared."""
    body = op.kernel.body
    assert body.always_returns
    assert body.params == tuple(arg.arg for arg in body.tree.args.args)


def test_an_op_is_registered_once():
    with pytest.raises(GraphError, match="an op named 'add' is registered already"):
        gn.Op  # noqa: B018 - public
        from graphnn.op import register

        register(replace(OPS["add"], formula="again"))


def test_draws_keep_to_their_domain():
    rng = np.random.default_rng(0)
    drawn = Draw((1000,), 0.5, 2.0).sample(rng, "float32")
    assert drawn.dtype == np.float32
    assert drawn.min() >= 0.5
    assert drawn.max() <= 2.0
    kinked = Draw((1000,), -1, 1, kinks=(0.0, 0.5)).sample(rng, "float64")
    assert min(np.abs(kinked).min(), np.abs(kinked - 0.5).min()) >= 0.1 - 1e-12
    assert (kinked < 0).any()
    assert ((kinked > 0) & (kinked < 0.5)).any()
    assert set(Draw((1000,), 0, 3, "int64").sample(rng, "float32")) == {0, 1, 2}
    assert Draw((9,), dtype="bool").sample(rng, "float64").dtype == bool


# ---------------------------------------------------------------- whole numbers and bools

DRAWN = {
    "int64": np.array([[-(2**62), -3, 0], [5, 7, 2**62]]),
    "int32": np.array([[-(2**31), -3, 0], [5, 7, 2**31 - 1]], np.int32),
    "uint8": np.array([[0, 1, 128], [255, 3, 2]], np.uint8),
    "bool": np.array([[True, False, True], [False, False, True]]),
    "float32": np.array([[-2.5, 0, 1e9], [0.5, np.float32(0.1), -0.0]], np.float32),
    "float64": np.array([[-2.5, 0, 1e12], [0.5, 0.1, -0.0]]),
}
NUMBERS = ("int64", "int32", "float32", "float64")


def run(node: Node, *arrays: np.ndarray) -> np.ndarray:
    return gn.function(list(gn.Graph(node).inputs), node)(*arrays)


@pytest.mark.parametrize("source", DRAWN)
@pytest.mark.parametrize("target", DRAWN)
def test_every_cast_is_numpys(source, target):
    array = DRAWN[source]
    if target in ("int32", "uint8"):  # what does not fit is undefined, for C as for NumPy
        array = np.clip(array, 0, 100).astype(source) if source != "bool" else array
    x = gn.Input((2, 3), source)
    with np.errstate(all="ignore"):
        expected = array.astype(target)
    found = run(gn.cast(x, target), array)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", DRAWN)
def test_moving_data_of_every_dtype(dtype):
    array = DRAWN[dtype]
    x = gn.Input((2, 3), dtype)
    for node, expected in [
        (gn.transpose(x), array.T),
        (gn.reshape(x, (3, 2)), array.reshape(3, 2)),
        (gn.broadcast_to(x, (4, 2, 3)), np.broadcast_to(array, (4, 2, 3))),
        (apply(OPS["copy"], [x]), array),
        (gn.where(gn.equal(x, x), x, x), array),
        (gn.expand_dims(x, (0, 2)), array[None, :, None]),
    ]:
        found = run(node, array)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("name", ["sum", "max"])
@pytest.mark.parametrize("axis", [0, 1, None])
def test_reductions_of_every_number(dtype, name, axis):
    array = np.clip(DRAWN[dtype], -(2**20), 2**20).astype(dtype)
    x = gn.Input((2, 3), dtype)
    expected = getattr(np, name)(array, axis=axis).astype(dtype)
    np.testing.assert_array_equal(run(getattr(gn, name)(x, axis), array), expected)


@pytest.mark.parametrize("dtype", ["int64", "int32"])
def test_arithmetic_of_whole_numbers(dtype):
    a = np.array([-7, 0, 3, 100], dtype)
    b = np.array([2, -5, 3, 1], dtype)
    x, y = gn.Input((4,), dtype), gn.Input((4,), dtype)
    for node, expected in [
        (x + y, a + b),
        (x - y, a - b),
        (x * y, a * b),
        (-x + 0 * y, -a),
        (2 * x + y, 2 * a + b),
        (gn.where(x > y, x, y), np.maximum(a, b)),
    ]:
        found = run(node, a, b)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, expected)
    for name in ("greater", "less", "greater_equal", "less_equal", "equal", "not_equal"):
        np.testing.assert_array_equal(run(getattr(gn, name)(x, y), a, b), getattr(np, name)(a, b))


def test_sums_of_many_keep_their_digits(rng):
    """Rows are added up in blocks, the blocks in float64: a million terms lose almost nothing."""
    array = rng.uniform(0, 1, (2, 1_000_000)).astype(np.float32)
    x = gn.Input((2, None))
    total, mean = gn.function([x], [gn.sum(x, 1), gn.mean(x)])(array)
    np.testing.assert_allclose(total, array.sum(1, dtype=np.float64), rtol=2e-6)
    np.testing.assert_allclose(mean, array.mean(dtype=np.float64), rtol=2e-6)
