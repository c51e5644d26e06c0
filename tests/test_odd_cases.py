"""Odd shapes and odd numbers, over the registry: axes of size 0 and 1, NaN and infinities.

Each example of each op is made odd in turn, wherever the op's shape rule accepts it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn.backends import reference
from graphnn.node import Node, apply
from graphnn.op import Example, Leaf, Mismatch, Op, Reduction, Scalar, is_own, registry
from graphnn.ops.declare.tangents import no_gradient
from graphnn.spec import FLOATS, TensorSpec
from graphnn.testing import check_grads, check_values

OPS = [op for op in registry.values() if op.examples and is_own(op)]
OPS = [op for op in OPS if not isinstance(op.kernel, Leaf)]
SIZES = (0, 1)
TOLERANCE = {"float32": (1e-5, 1e-6), "float64": (1e-12, 1e-13)}

every_op = pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
every_size = pytest.mark.parametrize("size", SIZES)


# ----------------------------------------------------------------------------- odd shapes


@dataclass(frozen=True)
class Call:
    """One call of an op: its example in other shapes."""

    op: Op
    example: Example
    shapes: tuple[tuple[int, ...], ...]
    attrs: Mapping[str, Any]

    def specs(self, dtype: str) -> list[TensorSpec]:
        draws = zip(self.shapes, self.example.inputs, strict=True)
        return [TensorSpec(shape, draw.dtype or dtype) for shape, draw in draws]

    def accepted(self) -> bool:
        """Whether the op's own rules take it, and there are whole numbers that it may be given."""
        specs = self.specs("float64")
        try:
            self.op.spec(*specs, **self.attrs)
        except Mismatch:
            return False
        fits = self.op.fits(*specs, **self.attrs) if self.op.fits else ()
        empty = [place for place, (low, high) in self._bounds().items() if high <= low]
        return min(fits, default=0) >= 0 and all(0 in self.shapes[place] for place in empty)

    def _bounds(self) -> Mapping[int, tuple[int, int]]:
        return self.op.bounds(*self.specs("float64"), **self.attrs) if self.op.bounds else {}

    def arrays(self, dtype: str) -> list[np.ndarray]:
        """Drawn from the example's domain; whole numbers that are bounded, from their bounds."""
        rng = np.random.default_rng(0)
        arrays = []
        for place, draw in enumerate(self.example.inputs):
            shape, bounds = self.shapes[place], self._bounds().get(place)
            odd = replace(draw, shape=shape)
            if bounds is not None and bounds[0] < bounds[1]:
                odd = replace(odd, low=bounds[0], high=bounds[1])
            arrays.append(odd.sample(rng, dtype))
        return arrays

    def declared(self, dtype: str) -> tuple[list[gn.Input], Node]:
        inputs = [gn.Input(spec.shape, spec.dtype) for spec in self.specs(dtype)]
        return inputs, apply(self.op, inputs, self.attrs)


def calls_with(op: Op, example: Example, size: int) -> Iterator[Call]:
    """The example with ``size`` for each axis in turn, and for axes of its size as need be."""
    shapes = [draw.shape for draw in example.inputs]
    places = [(i, axis) for i, shape in enumerate(shapes) for axis in range(len(shape))]
    seen = set()
    sizes = {shapes[i][axis] for i, axis in places} | set(example.attrs.get("shape", ()))
    for old in sorted(sizes - {size}):
        equal = [(i, axis) for i, axis in places if shapes[i][axis] == old]
        for chosen in some_of(equal):
            odd = tuple(
                tuple(size if (i, axis) in chosen else d for axis, d in enumerate(shape))
                for i, shape in enumerate(shapes)
            )
            for attrs in (dict(example.attrs), with_size(example.attrs, old, size)):
                call = Call(op, example, odd, attrs)
                key = (odd, tuple(sorted(attrs.items())))
                if key not in seen and call != Call(op, example, tuple(shapes), example.attrs):
                    seen.add(key)
                    if call.accepted():
                        yield call


def some_of(places: list) -> Iterator[tuple]:
    """None (a size may be an attribute's alone), one, two, all but one, and all of the places."""
    for count in sorted({0, 1, 2, len(places) - 1, len(places)}):
        if 0 <= count <= len(places):
            yield from itertools.combinations(places, count)


def with_size(attrs: Mapping[str, Any], old: int, new: int) -> dict[str, Any]:
    """Shapes among the attributes say the size too."""
    changed = dict(attrs)
    for key in ("shape", "size", "classes"):
        value = attrs.get(key)
        if isinstance(value, tuple):
            changed[key] = tuple(new if part == old else part for part in value)
        elif value == old:
            changed[key] = new
    return changed


def odd_calls(op: Op, size: int) -> list[Call]:
    return [call for example in op.examples for call in calls_with(op, example, size)]


def pulled_back(node: Node, inputs: list[gn.Input]) -> tuple[list[gn.Input], list[Node], gn.Input]:
    """The float inputs that have a gradient, their gradients, and the cotangent."""
    dy = gn.Input(node.spec.shape, node.dtype, name="dy")
    floats = [value for value in inputs if value.dtype == node.dtype]
    found = zip(floats, gn.vjp(node, floats, dy), strict=True)
    flowing = [(value, gradient) for value, gradient in found if gradient is not None]
    return [v for v, _ in flowing], [g for _, g in flowing], dy


def has_gradient(op: Op, node: Node) -> bool:
    ruled = op.vjp is not None or op.expand is not None
    return ruled and op.vjp is not no_gradient and node.dtype in FLOATS


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy: the mean of nothing
@every_op
@every_size
def test_shapes(op, size):
    """The reference computes the declared shape; gradients and tangents have their own."""
    calls = odd_calls(op, size)
    assert calls, f"no example of {op.name} takes an axis of {size}"
    for call, dtype in itertools.product(calls, FLOATS):
        inputs, node = call.declared(dtype)
        given = dict(zip(inputs, call.arrays(dtype), strict=True))
        nodes = [node]
        if has_gradient(op, node):
            floats, gradients, dy = pulled_back(node, inputs)
            given[dy] = np.ones(node.shape, node.dtype)
            tangents = [gn.Constant(np.ones(x.shape, x.dtype)) for x in floats]
            pushed = gn.jvp(node, floats, tangents) if floats else None
            nodes += gradients + ([] if pushed is None else [pushed])
            assert [g.spec for g in gradients] == [x.spec for x in floats]
            assert pushed is None or pushed.spec == node.spec
        for wanted, array in zip(nodes, reference.evaluate(nodes, given), strict=True):
            assert (array.shape, array.dtype.name) == (wanted.shape, wanted.dtype), call


@every_op
def test_gradients_with_axes_of_one(op):
    """Finite differences by the references, where axes of 1 broadcast or are summed over."""
    for call in odd_calls(op, 1):
        arrays = call.arrays("float64")
        _, node = call.declared("float64")
        if has_gradient(op, node) and node.dtype == "float64":
            check_grads(
                lambda *nodes, attrs=call.attrs: apply(op, nodes, attrs),
                *arrays,
                backend="reference",
                step=1e-5,
            )


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@every_op
def test_kernels_with_an_axis_of_none(op):
    """Op and gradient, compiled, with the last axis that may be of size 0: as the references."""
    call = odd_calls(op, 0)[-1]
    inputs, node = call.declared("float32")
    given = dict(zip(inputs, call.arrays("float32"), strict=True))
    nodes = [node]
    if has_gradient(op, node):
        _, gradients, dy = pulled_back(node, inputs)
        given[dy] = np.full(node.shape, 0.5, node.dtype)
        nodes += gradients
    rtol, atol = (limit * op.slack for limit in TOLERANCE["float32"])
    check_values(nodes, given, rtol=rtol, atol=atol)


# ---------------------------------------------------------------------------- odd numbers

POINTS = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0)


def with_odd_numbers(op: Op, example: Example, dtype: str, seed: int) -> list[np.ndarray]:
    """The example, with odd numbers in a few places of its float arrays."""
    rng = np.random.default_rng(seed)
    arrays = [draw.sample(rng, dtype) for draw in example.inputs]
    for array, draw in zip(arrays, example.inputs, strict=True):
        if draw.dtype is None and draw.shape:
            share = 0.7 if isinstance(op.kernel, Scalar) else rng.choice([0.05, 0.3])
            hit = rng.random(array.shape) < share
            array[hit] = rng.choice(POINTS, int(hit.sum()))
    return arrays


def plain(op: Op) -> bool:
    return isinstance(op.kernel, Scalar | Reduction)


@pytest.mark.parametrize(
    ("op", "dtype"),
    [(op, dtype) for op in OPS for dtype in (FLOATS if plain(op) else FLOATS[:1])],
    ids=lambda value: getattr(value, "name", value),
)
def test_odd_numbers(op, dtype):
    """NaN, infinities and zeros of both signs where the references have them."""
    example = op.examples[0]
    inputs = [gn.Input(draw.shape, draw.dtype or dtype) for draw in example.inputs]
    node = apply(op, inputs, example.attrs)
    function = gn.function(inputs, node, training=True)
    limits = TOLERANCE["float32" if "float32" in (dtype, node.dtype) else dtype]
    rtol, atol = (limit * op.slack for limit in limits)
    for seed in range(20):
        arrays = with_odd_numbers(op, example, dtype, seed)
        wanted = reference.evaluate(node, dict(zip(inputs, arrays, strict=True)))
        found = function(*arrays)
        np.testing.assert_allclose(found, wanted, rtol=rtol, atol=atol, err_msg=str(arrays))
