"""What all recurrent layers do: one loop over time for each layer and direction.

The input's share of all steps is one matrix product over time and batch, made before the loop; a
step multiplies only the state. Inside, sequences are time-major (T, N, features), so that a step
reads one piece of memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn.context import declared_at
from graphnn.errors import DTypeError, GraphError, ShapeError
from graphnn.nn.module import Module
from graphnn.nn.step import (
    Probe,
    State,
    check_sizes,
    checked_state,
    projected,
    weights,
    zero_state,
)
from graphnn.node import Constant, Node, NodeLike, Parameter, apply, as_node
from graphnn.ops.elementwise.choice import less, where
from graphnn.ops.indexing.take import TAKE
from graphnn.ops.movement.broadcast import broadcast_to
from graphnn.ops.movement.joining import concat, stack
from graphnn.ops.movement.reshape import expand_dims, reshape
from graphnn.ops.movement.transpose import swapaxes
from graphnn.ops.random.dropout import checked_share, dropout
from graphnn.ops.reduction.cumulative import cumsum
from graphnn.scan import scan
from graphnn.spec import FLOATS, DimLike, Shape, format_shape
from graphnn.values import check_range


class Recurrent(Module):
    """What RNN, LSTM and GRU share: layers, directions, states, lengths, and the loop."""

    _gates = 1
    _parts = 1  # of the state

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = True,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        proj_size: int = 0,
        truncate: int | None = None,
        dtype: object = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        what = type(self).__name__
        check_sizes(what, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.bidirectional = bias, batch_first, bidirectional
        self.dropout = checked_share(f"nn.{what}", dropout)
        if proj_size and self._parts == 1:
            raise GraphError(
                f"nn.{what} has no proj_size, which projects the h of an LSTM; got {proj_size!r}. "
                f"Declared at {declared_at()}. Leave it out, or use nn.LSTM."
            )
        self.proj_size, self.truncate = proj_size, truncate
        width = input_size
        for layer in range(num_layers):
            for suffix in self._suffixes(layer):
                made = weights(self._gates, width, hidden_size, self._width, bias, dtype)
                for key, parameter in made.items():
                    setattr(self, key + suffix, parameter)
            width = self._width * self._directions

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def _width(self) -> int:
        """Features of h."""
        return self.proj_size or self.hidden_size

    def _suffixes(self, layer: int) -> list[str]:
        return [f"_l{layer}", f"_l{layer}_reverse"][: self._directions]

    def _weight(self, name: str) -> Parameter:
        found: Parameter = getattr(self, name)
        return found

    # What a layer computes.

    def forward(
        self,
        x: Node,
        state: Any = None,
        lengths: NodeLike | None = None,
        probe: Any = None,
    ) -> tuple[Node, Any]:
        """Declare all layers.

        Parameters
        ----------
        x
            (N, T, input_size); (T, N, input_size) if not ``batch_first``.
        state
            The state before the first step: of each layer and direction, (layers * directions, N,
            features), a pair of such for the LSTM. None: zeros.
        lengths
            (N,) whole numbers from 0 to T: how many steps of each sequence count. The outputs
            behind are 0, the last state is that of step ``lengths``, and the reverse direction
            starts there.
        probe
            Zeros from :meth:`probe`; the gradient with respect to them is that of all states.

        Returns
        -------
        output
            (N, T, features * directions): h of the last layer at each step.
        state
            The state after the last step, of the form of ``state``.

        Raises
        ------
        ShapeError, DTypeError, GraphError
            If something does not fit.
        """
        self._check(x)
        sequence = swapaxes(x, 0, 1) if self.batch_first else x
        steps, batch, _ = sequence.spec.shape
        before = self._before(sequence, batch, state)
        alive = None if lengths is None else _alive(type(self).__name__, lengths, steps, batch)
        if alive is not None:  # whatever stands in the padding: NaN times 0 is NaN
            sequence = where(alive, sequence, 0.0)
        probes = self._probes(probe, steps, batch, x.dtype)
        after: list[State] = []
        for layer in range(self.num_layers):
            if layer and self.dropout:
                sequence = dropout(sequence, self.dropout)
            outputs = []
            for reverse, suffix in enumerate(self._suffixes(layer)):
                place = len(after)
                output, last = self._swept(
                    suffix, sequence, before[place], alive, probes[place], bool(reverse)
                )
                outputs.append(output)
                after.append(last)
            sequence = concat(outputs, -1)
        ends = tuple(stack(parts) for parts in zip(*after, strict=True))
        output = swapaxes(sequence, 0, 1) if self.batch_first else sequence
        return output, ends if self._parts > 1 else ends[0]

    def _swept(
        self,
        suffix: str,
        sequence: Node,
        before: State,
        alive: Node | None,
        probe: Probe,
        reverse: bool,
    ) -> tuple[Node, State]:
        """The outputs (T, N, features) of one layer in one direction, and its last state."""
        steps, batch, width = sequence.spec.shape
        bias, inner = self._biases(suffix)
        rows = reshape(sequence, (steps * batch, width))
        shared = projected(rows, self._weight("weight_ih" + suffix), None)
        given: dict[str, Any] = {"x": reshape(shared, (steps, batch, shared.spec.shape[-1]))}
        if alive is not None:
            given["alive"] = alive
        if probe is not None:
            given["probe"] = tuple(probe)

        def step(state: State, now: dict[str, Any]) -> tuple[State, Node]:
            # The bias is added where the gates are computed: no pass over all steps for it.
            x = now["x"] if bias is None else now["x"] + bias
            new = self._step(x, state, suffix, inner, now.get("probe"))
            if alive is None:
                return new, new[0]
            kept = tuple(where(now["alive"], a, b) for a, b in zip(new, state, strict=True))
            return kept, where(now["alive"], new[0], 0.0)

        last, output = scan(
            step, before, given, reverse=reverse, truncate=self.truncate, name=suffix[1:]
        )
        return output, last

    def _biases(self, suffix: str) -> tuple[Node | None, Node | None]:
        """The bias that is added before the loop, and what is left for inside."""
        if not self.bias:
            return None, None
        return self._weight("bias_ih" + suffix) + self._weight("bias_hh" + suffix), None

    def _step(self, x: Node, state: State, suffix: str, inner: Node | None, probe: Probe) -> State:
        raise NotImplementedError

    # States and probes: tuples of nodes, one tuple for each layer and direction.

    def _forms(self, *between: DimLike) -> list[Shape]:
        """Shapes of the parts of a state, for all layers and directions."""
        count = self.num_layers * self._directions
        sizes = (self._width, self.hidden_size)[: self._parts]
        return [(count, *between, size) for size in sizes]

    def _before(self, sequence: Node, batch: DimLike, state: Any) -> list[State]:
        count = self.num_layers * self._directions
        if state is None:
            forms = self._forms(batch)
            return [tuple(zero_state(sequence, form[1:]) for form in forms)] * count
        parts = checked_state(
            f"the state of {type(self).__name__}", state, self._forms(batch), sequence.dtype
        )
        return [tuple(part[i] for part in parts) for i in range(count)]

    def _probes(self, probe: Any, steps: DimLike, batch: DimLike, dtype: str) -> list[Probe]:
        count = self.num_layers * self._directions
        if probe is None:
            return [None] * count
        between = (batch, steps) if self.batch_first else (steps, batch)
        what = f"the probe of {type(self).__name__}"
        parts = checked_state(what, probe, self._forms(*between), dtype)
        if self.batch_first:
            parts = tuple(swapaxes(part, 1, 2) for part in parts)
        return [tuple(part[i] for part in parts) for i in range(count)]

    def probe(self, x: Node) -> Any:
        """Zeros to add to the state of each step: their gradient is that of the state.

        ``∂ℓ/∂hₜ``, over all ways from step t to the loss, is what backprop through time carries
        along; no node of the graph holds it, since the loop is one node. A sequence of zeros that
        is added to the states as they are made has just this gradient:

        ``probe = layer.probe(x)``, ``output, state = layer(x, probe=probe)``,
        ``gn.grad(loss, probe)``.

        Parameters
        ----------
        x
            The input of the layer.

        Returns
        -------
        Node, or for the LSTM a pair of nodes
            (layers * directions, N, T, features), or (..., T, N, features) if not
            ``batch_first``: for h; and for c.
        """
        self._check(x)
        found = tuple(zero_state(x, form) for form in self._forms(*x.spec.shape[:2]))
        return found if self._parts > 1 else found[0]

    def _check(self, x: Node) -> None:
        what, dtype = type(self).__name__, self._weight("weight_ih_l0").dtype
        axes = "batch, time" if self.batch_first else "time, batch"
        if x.ndim != 3 or x.spec.shape[-1] != self.input_size:
            raise ShapeError(
                f"{what} needs x ({axes}, {self.input_size}); got "
                f"{format_shape(x.spec.shape)} for {x.name}. Declared at {declared_at()}."
                + (" One sequence? Give gn.expand_dims(x, 0)." if x.ndim == 2 else "")
            )
        if x.dtype != dtype:
            raise DTypeError(
                f"{what} has {dtype} weights; x is {x.dtype}. Declared at {declared_at()}. "
                + (
                    f"Write nn.{what}(..., dtype={x.dtype!r})."
                    if x.dtype in FLOATS
                    else f"Numbers? gn.cast(x, {dtype!r}). Words? nn.Embedding before it."
                )
            )

    def __repr__(self) -> str:
        given = [str(self.input_size), str(self.hidden_size)]
        for key, default in (
            ("num_layers", 1), ("bias", True), ("batch_first", True), ("dropout", 0.0),
            ("bidirectional", False), ("proj_size", 0), ("truncate", None),
        ):  # fmt: skip
            if getattr(self, key) != default:
                given.append(f"{key}={getattr(self, key)!r}")
        return f"{type(self).__name__}({', '.join(given)})"


def _alive(what: str, lengths: NodeLike, steps: DimLike, batch: DimLike) -> Node:
    """Which steps count: (T, N, 1), whether t < length."""
    given = as_node(lengths)
    got = f"got {given.spec} for {given.name}. Declared at {declared_at()}."
    if given.dtype not in ("int64", "int32"):
        raise DTypeError(
            f"nn.{what}: lengths are whole numbers, int64 or int32; {got} Whole numbers among "
            "floats? gn.cast(lengths, 'int64')."
        )
    if given.spec.shape != (batch,):
        raise ShapeError(
            f"nn.{what}: lengths have shape {format_shape((batch,))}, one for each sequence; {got}"
        )
    if isinstance(given, Constant) and isinstance(steps, int):
        who = f"nn.{what}(x, lengths=...) (declared at {declared_at()})"
        check_range("lengths", given.array, (0, steps + 1), "lengths", who)
    places = _places(steps + 1)
    # Chosen from the places they are themselves, and those that are no places are refused.
    counted = apply(TAKE, [places, given], {"axis": 0}, name="lengths")
    return expand_dims(less(expand_dims(places[:-1], 1), counted), 2)


def _places(size: DimLike) -> Node:
    """0, 1, 2, ..., one for each of ``size`` places."""
    if isinstance(size, int):
        return Constant(np.arange(size))
    return cumsum(broadcast_to(Constant(1, dtype="int64"), (size,))) - 1
