"""One step of a recurrent network: its equations, weights and state.

A step takes the input of that step after its projection, ``x W_ihᵀ + b``, and the state as a tuple
of nodes, ``(h,)`` or ``(h, c)``; ``probe`` is added to the new state, each part where it is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

from graphnn.context import declared_at
from graphnn.errors import DTypeError, GraphError, ShapeError
from graphnn.nn import init
from graphnn.node import Constant, Node, NodeLike, Parameter, as_node
from graphnn.ops.activation.sigmoid import relu, sigmoid, tanh
from graphnn.ops.linalg.matmul import product_of
from graphnn.ops.movement.broadcast import broadcast_to
from graphnn.ops.movement.joining import concat, split
from graphnn.ops.movement.slicing import narrow
from graphnn.spec import DimLike, format_shape

State: TypeAlias = tuple[Node, ...]
Probe: TypeAlias = Sequence[Node] | None

NONLINEARITIES: dict[str, Callable[[Node], Node]] = {"tanh": tanh, "relu": relu}


def rnn_step(
    x: Node, state: State, weight_hh: Node, nonlinearity: str = "tanh", probe: Probe = None
) -> State:
    """``h' = φ(x + h W_hhᵀ)``: x (N, H), h (N, H)."""
    (h,) = state
    new = NONLINEARITIES[nonlinearity](x + product_of(h, weight_hh, False, True))
    return (_probed(new, probe, 0),)


def lstm_step(
    x: Node, state: State, weight_hh: Node, weight_hr: Node | None = None, probe: Probe = None
) -> State:
    """``c' = f ⊙ c + i ⊙ g``, ``h' = o ⊙ tanh(c')``, times W_hrᵀ if there is one: x (N, 4H)."""
    h, c = state
    i, f, g, o = split(x + product_of(h, weight_hh, False, True), 4, axis=-1)
    c = _probed(sigmoid(f) * c + sigmoid(i) * tanh(g), probe, 1)
    h = sigmoid(o) * tanh(c)
    if weight_hr is not None:
        h = product_of(h, weight_hr, False, True)
    return _probed(h, probe, 0), c


def gru_step(
    x: Node, state: State, weight_hh: Node, bias_n: Node | None = None, probe: Probe = None
) -> State:
    """``h' = (1 - z) ⊙ n + z ⊙ h``, ``n = tanh(xₙ + r ⊙ (h W_hnᵀ + b_hn))``: x (N, 3H)."""
    (h,) = state
    x_r, x_z, x_n = split(x, 3, axis=-1)
    h_r, h_z, h_n = split(product_of(h, weight_hh, False, True), 3, axis=-1)
    r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
    n = tanh(x_n + r * (h_n if bias_n is None else h_n + bias_n))
    return (_probed((1.0 - z) * n + z * h, probe, 0),)


def gru_biases(bias_ih: Node, bias_hh: Node) -> tuple[Node, Node]:
    """The bias (3H,) that all steps share, and b_hn (H,), which r multiplies in each step."""
    size = bias_hh.spec.shape[0]
    hidden = size // 3  # type: ignore[operator]
    zero = Constant(init.zeros((hidden,), bias_hh.dtype))
    shared = concat([narrow(bias_hh, 0, 0, 2 * hidden), zero])
    return bias_ih + shared, narrow(bias_hh, 0, 2 * hidden, hidden)


def _probed(value: Node, probe: Probe, part: int) -> Node:
    return value if probe is None else value + probe[part]


def projected(x: Node, weight: Node, bias: Node | None) -> Node:
    """``x Wᵀ + b``: x (rows, in), W (out, in)."""
    product = product_of(x, weight, False, True)
    return product if bias is None else product + bias


def zero_state(like: Node, shape: Sequence[DimLike]) -> Node:
    """Zeros of a shape and of the dtype of ``like``."""
    return broadcast_to(Constant(0, dtype=like.dtype), shape)


def weights(
    gates: int, inputs: int, hidden: int, state: int, bias: bool, dtype: object
) -> dict[str, Parameter]:
    """The parameters of a step by torch's names, uniform over ±1/√hidden."""
    shapes: dict[str, tuple[int, ...]] = {
        "weight_ih": (gates * hidden, inputs),
        "weight_hh": (gates * hidden, state),
    }
    if bias:
        shapes |= {"bias_ih": (gates * hidden,), "bias_hh": (gates * hidden,)}
    if state != hidden:
        shapes["weight_hr"] = (state, hidden)
    bound = 1 / math.sqrt(hidden)
    return {
        name: Parameter(init.uniform(shape, -bound, bound, dtype)) for name, shape in shapes.items()
    }


def check_sizes(what: str, **sizes: object) -> None:
    """Raise for sizes that are no whole numbers >= 1."""
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise GraphError(
                f"nn.{what}: {name} is a whole number >= 1; got {size!r}. "
                f"Declared at {declared_at()}."
            )


def check_nonlinearity(what: str, nonlinearity: object) -> None:
    """Raise for a nonlinearity that a simple recurrent network does not have."""
    if nonlinearity not in NONLINEARITIES:
        raise GraphError(
            f"nn.{what}: nonlinearity is 'tanh' or 'relu'; got {nonlinearity!r}. "
            f"Declared at {declared_at()}."
        )


def checked_state(
    what: str,
    state: NodeLike | Sequence[NodeLike],
    shapes: Sequence[Sequence[DimLike]],
    dtype: str,
) -> State:
    """A state (h, or a pair (h, c)) as a tuple of nodes of the wanted shapes and dtype.

    Raises
    ------
    ShapeError, DTypeError, GraphError
        If there are more or fewer parts, or other shapes or dtypes.
    """
    several = state if isinstance(state, list | tuple) else ()
    if len(shapes) == 1 and any(isinstance(part, Node) for part in several):
        raise GraphError(
            f"{what} is one node, h; got {len(several)} in a {type(state).__name__}, as the (h, c) "
            f"of an LSTM. Declared at {declared_at()}. Give h alone: h, c = state."
        )
    if len(shapes) == 1:
        parts: Sequence[NodeLike] = [state]  # type: ignore[list-item]
    elif len(several) == len(shapes):
        parts = several
    else:
        raise GraphError(
            f"{what} is a pair (h, c); got {state!r}. Declared at {declared_at()}. "
            "Give both: (h, gn.zeros_like(h)) if c begins with zeros."
        )
    nodes = tuple(map(as_node, parts))
    for node, shape in zip(nodes, shapes, strict=True):
        if node.spec.shape != tuple(shape):
            raise ShapeError(
                f"{what} needs {format_shape(tuple(shape))}; got "
                f"{format_shape(node.spec.shape)} for {node.name}. Declared at {declared_at()}."
            )
        if node.dtype != dtype:
            raise DTypeError(
                f"{what} is {dtype}, as x is; got {node.dtype} for {node.name}. Declared at "
                f"{declared_at()}. Cast it: gn.cast(h, {dtype!r})."
            )
    return nodes
