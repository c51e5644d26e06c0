"""Tools to test ops, graphs and gradients: graphnn's own, and those of its users.

The oracle is :mod:`graphnn.backends.reference`; derivatives are compared with finite differences.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphnn.autodiff import vjp
from graphnn.backends import reference
from graphnn.errors import DTypeError, GraphError
from graphnn.function import Function
from graphnn.graph import Graph
from graphnn.node import Constant, Input, Node, Parameter, apply, rebuilt
from graphnn.op import Op
from graphnn.ops.reduction.reduce import sum as sum_of
from graphnn.passes import rewrite
from graphnn.spec import FLOATS


class HasOp(Protocol):
    """What holds an op: the result of ``gn.elementwise`` or ``gn.op``."""

    @property
    def op(self) -> Op:
        """The op."""


Float64: TypeAlias = NDArray[np.float64]
Arrays: TypeAlias = dict[Input, NDArray[Any]]
Backend: TypeAlias = Literal["cpu", "reference"]

MOST_ELEMENTS = 2000  # of which each is moved on its own, to say where a gradient is wrong


def check_values(
    outputs: Node | Sequence[Node],
    given: Mapping[Input, ArrayLike],
    *,
    rtol: float | None = None,
    atol: float | None = None,
) -> None:
    """Compare what the kernels compute with the NumPy references of the ops.

    Parameters
    ----------
    outputs
        One node, or several; they are compiled into one function.
    given
        An array for each input that they need.
    rtol, atol
        Tolerances; by default 1e-5 and 1e-6 for float32, 1e-12 and 1e-13 for float64, and nothing
        for whole numbers.

    Raises
    ------
    AssertionError
        Where a value differs, or has another shape or dtype than its node declares.

    Examples
    --------
    >>> import graphnn as gn
    >>> x = gn.Input((None, 3), name="x")
    >>> check_values(gn.softmax(x), {x: [[1, 2, 3], [4, 5, 6]]})
    """
    nodes = [outputs] if isinstance(outputs, Node) else list(outputs)
    arrays = {node: np.asarray(value, dtype=node.dtype) for node, value in given.items()}
    expected = reference.evaluate(nodes, arrays)
    computed = Function(list(arrays), nodes, training=True)(*arrays.values())
    for node, found, wanted in zip(nodes, computed, expected, strict=True):
        assert found.dtype == node.dtype, f"{node.name}: {found.dtype}, declared {node.dtype}"
        assert found.shape == wanted.shape, f"{node.name}: {found.shape}, declared {wanted.shape}"
        usual = {"float32": (1e-5, 1e-6), "float64": (1e-12, 1e-13)}.get(node.dtype, (0.0, 0.0))
        np.testing.assert_allclose(
            found,
            wanted,
            rtol=usual[0] if rtol is None else rtol,
            atol=usual[1] if atol is None else atol,
            err_msg=f"{node!r}, declared at {node.origin}",
        )


def check_op(op: Op | HasOp, *, order: Literal[0, 1, 2] = 2, seed: int = 0) -> None:
    """Verify an op by its own ``examples``, as graphnn's tests verify every shipped one.

    For each example, in float32 and float64: the kernel computes what the NumPy reference computes,
    in the declared shape and dtype. Where the op has a gradient, it equals finite differences.

    Parameters
    ----------
    op
        An :class:`~graphnn.op.Op`, or what ``gn.elementwise`` or ``gn.op`` made.
    order
        How often the op is differentiated: 2 checks the gradient's gradient, 0 none.
    seed
        Of the values that are drawn.

    Raises
    ------
    AssertionError
        Naming what differs, and where.
    GraphError
        If the op has no examples.

    Examples
    --------
    >>> import math
    >>> import graphnn as gn
    >>> @gn.elementwise
    ... def gaussian(x):
    ...     return math.exp(-x * x)
    >>> check_op(gaussian)
    """
    declared = op if isinstance(op, Op) else op.op
    if not declared.examples:
        raise GraphError(f"{declared.name} has no examples to be checked by: pass examples=[...]")
    for example in declared.examples:
        for dtype in FLOATS:
            arrays = [d.sample(np.random.default_rng(seed), dtype) for d in example.inputs]
            inputs = [
                Input(array.shape, array.dtype, name=f"x{i}") for i, array in enumerate(arrays)
            ]
            node = apply(declared, inputs, example.attrs)
            check_values(node, dict(zip(inputs, arrays, strict=True)))
        differentiable = declared.vjp is not None or declared.expand is not None
        if order and differentiable and node.dtype == "float64" and _floats(inputs):
            check_grads(
                lambda *nodes, attrs=example.attrs: apply(declared, nodes, attrs),
                *arrays,
                order=2 if order == 2 else 1,
                seed=seed,
            )


def _floats(nodes: Sequence[Node]) -> list[Node]:
    return [node for node in nodes if node.dtype in FLOATS]


def check_grads(
    function: Callable[..., Node] | Node,
    *values: ArrayLike,
    order: Literal[1, 2] = 1,
    rtol: float = 1e-6,
    atol: float = 1e-8,
    step: float = 1e-4,
    seed: int = 0,
    backend: Backend = "cpu",
) -> None:
    """Compare the gradient of a graph with finite differences, in float64.

    A result that is no scalar is first summed with random weights. All inputs are then moved at
    once along a random direction v, and ``Σ gradient · v`` is compared with the five-point
    difference quotient (Abramowitz, Stegun, *Handbook of Mathematical Functions*, 25.3.6)

    ``(8 (f(x + hv) - f(x - hv)) - (f(x + 2hv) - f(x - 2hv))) / 12h``.

    Where they differ, each element is moved on its own to find the one that is most wrong.

    Parameters
    ----------
    function
        Takes a node for each of ``values`` and returns a node. Or a node: ``values`` are then given
        to its inputs in the order of their declaration, and its trainable parameters are
        differentiated too, at their present values.
    *values
        Where to differentiate. For a function, floats are taken as float64; a node has to be
        declared in float64. Whole numbers and bools are not differentiated.
    order
        2: also differentiate the derivative along a random direction.
    rtol, atol
        The difference may be ``atol + rtol`` times the larger of both values.
    step
        h. Far from the kinks of the function, and from the edges of where it is defined.
    seed
        Of the weights and directions.
    backend
        ``"cpu"`` compiles; ``"reference"`` evaluates with the ops' NumPy references.

    Raises
    ------
    AssertionError
        With the position, both values, their difference and the tolerance.
    GraphError, DTypeError
        If there is nothing to differentiate, or it is no float64.

    Examples
    --------
    >>> import graphnn as gn
    >>> check_grads(gn.tanh, [0.3, -1.2], order=2)
    >>> x, w = gn.Input((None,), "float64"), gn.Parameter([2.0], dtype="float64")
    >>> check_grads(gn.mean(gn.exp(w * x)), [0.1, 0.2])
    """
    output, arrays = _with_values(function, values)
    wrt = [node for node in arrays if node.dtype in FLOATS]
    _check_float64([output, *wrt])
    rng = np.random.default_rng(seed)

    def drawn_like(node: Node, array: NDArray[Any]) -> Input:
        other = Input(node.spec.shape, "float64")
        arrays[other] = rng.standard_normal(array.shape)
        return other

    weights = drawn_like(output, reference.evaluate(output, arrays))
    value = sum_of(output * weights)
    _compare("first", value, wrt, arrays, rng, _Tolerance(rtol, atol, step), backend)
    if order == 2:
        directions = {node: drawn_like(node, arrays[node]) for node in wrt}
        slope: Node = Constant(0.0, dtype="float64")
        for node, gradient in zip(wrt, _gradients(value, wrt), strict=True):
            if gradient is not None:
                slope = slope + sum_of(gradient * directions[node])
        _compare("second", slope, wrt, arrays, rng, _Tolerance(rtol, atol, step), backend)


@dataclass(frozen=True)
class _Tolerance:
    rtol: float
    atol: float
    step: float

    def of(self, a: float, b: float) -> float:
        return self.atol + self.rtol * max(abs(a), abs(b))


def _with_values(
    function: Callable[..., Node] | Node, values: Sequence[ArrayLike]
) -> tuple[Node, Arrays]:
    """The node to differentiate, and an array for each input."""
    if isinstance(function, Node):
        return _of_node(function, values)
    arrays: Arrays = {}
    for i, value in enumerate(values):
        array = np.asarray(value)
        if array.dtype.kind == "f":
            array = array.astype(np.float64)
        arrays[Input(array.shape, array.dtype, name=f"input {i}")] = array
    return function(*arrays), arrays


def _of_node(output: Node, values: Sequence[ArrayLike]) -> tuple[Node, Arrays]:
    graph = Graph(output)
    if len(values) != len(graph.inputs):
        names = ", ".join(node.name for node in graph.inputs)
        raise GraphError(
            f"{output.name} needs {len(graph.inputs)} inputs ({names}); got {len(values)} values"
        )
    arrays: Arrays = {
        node: np.asarray(value, dtype=node.dtype)
        for node, value in zip(graph.inputs, values, strict=True)
    }
    places: dict[Node, Input] = {}
    for parameter in graph.parameters:
        if parameter.trainable:
            place = Input(parameter.spec.shape, parameter.dtype, name=parameter.name)
            places[parameter], arrays[place] = place, parameter.value.copy()

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        return (
            places[node]
            if isinstance(node, Parameter) and node in places
            else rebuilt(node, inputs)
        )

    (moved,) = rewrite([output], visit)
    return moved, arrays


def _check_float64(nodes: Sequence[Node]) -> None:
    for node in nodes:
        if node.dtype != "float64":
            raise DTypeError(
                f"finite differences need float64; {node.name} is {node.dtype}, declared at "
                f"{node.origin}. Pass a function, or declare the graph with dtype='float64'."
            )
    if len(nodes) < 2:
        raise GraphError(f"{nodes[0].name} has no float input to differentiate")


def _gradients(value: Node, wrt: Sequence[Node]) -> list[Node | None]:
    return vjp(value, wrt, Constant(1.0, dtype="float64"))


def _compare(
    which: str,
    value: Node,
    wrt: Sequence[Input],
    arrays: Arrays,
    rng: np.random.Generator,
    tolerance: _Tolerance,
    backend: Backend,
) -> None:
    """Compare the gradient of a scalar node with finite differences along one direction."""
    found = _gradients(value, wrt)
    flowing = [node for node in found if node is not None]
    run = _runner([value, *flowing], list(arrays), backend)
    parts = iter(run(arrays)[1:])
    gradients = {
        node: np.zeros(arrays[node].shape) if gradient is None else next(parts)
        for node, gradient in zip(wrt, found, strict=True)
    }

    def slope(direction: Mapping[Input, Float64]) -> float:
        def at(distance: float) -> float:
            there = {n: a + distance * direction[n] for n, a in arrays.items() if n in direction}
            return float(run({**arrays, **there})[0])

        h = tolerance.step
        return (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)

    direction = {node: rng.standard_normal(arrays[node].shape) for node in wrt}
    claimed = float(sum(np.sum(gradients[node] * direction[node]) for node in wrt))
    measured = slope(direction)
    if abs(claimed - measured) <= tolerance.of(claimed, measured):
        return
    raise AssertionError(
        f"the {which} derivative differs from finite differences.\n"
        f"  along a random direction: {_difference(claimed, measured, tolerance)}\n"
        f"  {_most_wrong(gradients, slope, rng, tolerance)}"
    )


def _runner(
    outputs: Sequence[Node], inputs: Sequence[Input], backend: Backend
) -> Callable[[Arrays], list[NDArray[Any]]]:
    if backend == "reference":
        return lambda arrays: reference.evaluate(outputs, arrays)
    function = Function(inputs, outputs, training=True)  # the graph as its ops are declared
    return lambda arrays: list(function(*(arrays[node] for node in inputs)))


def _most_wrong(
    gradients: Mapping[Input, Float64],
    slope: Callable[[Mapping[Input, Float64]], float],
    rng: np.random.Generator,
    tolerance: _Tolerance,
) -> str:
    """The element whose derivative is furthest from what is measured, in words."""
    places = [(node, i) for node, array in gradients.items() for i in np.ndindex(array.shape)]
    if len(places) > MOST_ELEMENTS:
        places = [places[i] for i in rng.choice(len(places), MOST_ELEMENTS, replace=False)]
    worst, text = -1.0, "no single element differs"
    for node, place in places:
        unit = np.zeros(gradients[node].shape)
        unit[place] = 1.0
        claimed, measured = float(gradients[node][place]), slope({node: unit})
        ratio = abs(claimed - measured) / tolerance.of(claimed, measured)
        if not ratio <= max(worst, 1.0):
            worst = ratio
            where = f"{node.name}[{', '.join(map(str, place))}]"
            text = f"most of all at {where}: {_difference(claimed, measured, tolerance)}"
    return text


def _difference(claimed: float, measured: float, tolerance: _Tolerance) -> str:
    return (
        f"gradient {claimed:.10g}, finite differences {measured:.10g}, "
        f"difference {abs(claimed - measured):.3g}, tolerance {tolerance.of(claimed, measured):.3g}"
    )
