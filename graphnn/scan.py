"""``gn.scan``: a static loop over time, as one node of the graph."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from graphnn.calls import shown
from graphnn.context import SourceLine, declared_at
from graphnn.errors import DTypeError, GraphError, ShapeError
from graphnn.loop import (
    Slot,
    last,
    loop_of,
    stacked,
)
from graphnn.nest import describe_form, flatten_nest, rebuild_nest
from graphnn.node import Constant, Node, as_node, rebuilt
from graphnn.ops.movement.copy import stop_gradient
from graphnn.ops.movement.joining import concat
from graphnn.ops.movement.reshape import reshape
from graphnn.spec import DimLike, divide, format_shape
from graphnn.through_time import SCAN

Nest = Any  # a node, or tuples, lists and dicts of nests; None where there is nothing
Step = Callable[[Nest, Nest], tuple[Nest, Nest]]


def scan(
    step: Step,
    init: Nest,
    xs: Nest = None,
    length: DimLike | None = None,
    reverse: bool = False,
    *,
    truncate: int | None = None,
    checkpoint: bool = False,
    name: str | None = None,
) -> tuple[Nest, Nest]:
    """Run ``step`` over time: one node of the graph, compiled once whatever the number of steps.

    Parameters
    ----------
    step
        ``step(state, x) -> (new state, y)`` declares the nodes of one step. It may use parameters
        and nodes from outside; what does not depend on the step is computed once.
    init
        The first state: a node, or a tuple, list or dict of such nests. The new state has the same
        form, shapes and dtypes.
    xs
        What is scanned, along the first axis: a node of shape (T, ...), or a nest of such. None:
        ``step`` gets None.
    length
        T, where there is no ``xs``.
    reverse
        Whether the steps run from the last slice to the first; ``ys`` stay in the order of ``xs``.
    truncate
        Truncated backpropagation through time (Williams, Peng, 1990): the sequence is cut into
        pieces of so many steps, and no gradient flows from one to the piece before. Their values
        are computed again in the reverse pass, so that its memory does not grow with T. None flows
        to ``init`` either. T is then a number, or a symbol's known multiple of it.
    checkpoint
        Whether the reverse pass computes the values of all steps again instead of keeping them
        until then.
    name
        Of the loop in graphs and plans.

    Returns
    -------
    (nest, nest)
        The last state, and ``ys``: each y stacked along a new first axis, (T, ...).

    Raises
    ------
    GraphError, ShapeError, DTypeError
        If the sequences differ in length, or a step changes the form, shape or dtype of the state.

    Examples
    --------
    >>> import graphnn as gn
    >>> x = gn.Input(("T",), name="x")
    >>> total, sums = gn.scan(lambda s, x: (s + x, s + x), gn.Constant(0.0), x)
    >>> f = gn.function(x, [sums, gn.grad(total * total, x)])
    >>> f([1, 2, 3])
    [array([1., 3., 6.], dtype=float32), array([12., 12., 12.], dtype=float32)]
    """
    if not callable(step):
        raise GraphError(
            f"a scan takes a function step(state, x) first; got {step!r}. "
            f"Declared at {declared_at()}."
        )
    firsts, form = flatten_nest(init)
    sequences, shape_of_x = flatten_nest(xs)
    states = [as_node(value) for value in firsts]
    given = [as_node(value) for value in sequences]
    steps = _length(given, length)
    if truncate is not None:
        return _truncated(step, init, xs, steps, reverse, truncate, name)
    born = Constant(0).serial
    slots = [Slot(node.spec, _named(node, "state")) for node in states]
    slices = [Slot(x.spec.with_shape(x.spec.shape[1:]), _named(x, "x")) for x in given]
    found: Any = step(rebuild_nest(form, slots), rebuild_nest(shape_of_x, slices))
    where = f"Declared at {declared_at()}, the step at {_place_of(step)}."
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise GraphError(
            f"a step of a scan returns (new state, y); it returned {shown(found)}. {where} "
            "Return (state, None) where there is no y."
        )
    new, new_form = flatten_nest(found[0])
    if new_form != form:
        raise GraphError(
            f"a step of a scan keeps the form of the state, which begins as "
            f"{describe_form(form)}; the new state is {describe_form(new_form)}. {where} "
            f"Return ({describe_form(form)}, y), or begin with {describe_form(new_form)}."
        )
    nexts = [as_node(value, like=slot) for value, slot in zip(new, slots, strict=True)]
    _check_states(states, nexts, where)
    leaves, form_of_y = flatten_nest(found[1])
    ys = [as_node(value) for value in leaves]
    loop, placed = loop_of(
        SCAN,
        list(zip(slots, states, strict=True)),
        list(zip(slices, given, strict=True)),
        nexts,
        ys,
        steps,
        reverse=reverse,
        born=born,
        name=name,
    )
    if checkpoint:
        body = replace(loop.attrs["body"], again=True)
        loop = rebuilt(loop, loop.inputs, {"body": body})
    ends = [last(loop, i) for i in range(len(states))]
    stacks = [stacked(loop, placed[y]) for y in ys]
    return rebuild_nest(form, ends), rebuild_nest(form_of_y, stacks)


def _named(node: Node, otherwise: str) -> str:
    return otherwise if node.label is None or isinstance(node, Constant) else node.label


def _length(given: Sequence[Node], length: DimLike | None) -> DimLike:
    for x in given:
        if x.ndim == 0:
            raise ShapeError(
                f"a scan goes along the first axis of its sequences; {x.name} has none. "
                f"Declared at {x.origin}."
            )
    found = dict.fromkeys(x.spec.shape[0] for x in given)
    if length is not None:
        given_length: Any = length
        found[int(given_length) if isinstance(given_length, np.integer) else length] = None
    if not found:
        raise GraphError(
            f"a scan without xs needs its length. Declared at {declared_at()}. Give length=10."
        )
    if len(found) > 1:
        shapes = ", ".join(f"{x.name} {format_shape(x.spec.shape)}" for x in given)
        raise ShapeError(
            f"the sequences of a scan have one length, along the first axis; got {shapes}"
            f"{'' if length is None else f' and length={length}'}. Declared at {declared_at()}."
        )
    (steps,) = found
    if (
        isinstance(steps, bool)
        or not isinstance(steps, DimLike)
        or (isinstance(steps, int) and steps < 0)
    ):
        raise GraphError(
            f"the length of a scan is a whole number >= 0; got {steps!r}. "
            f"Declared at {declared_at()}."
        )
    return steps


def _place_of(step: Step) -> SourceLine | str:
    """Where a step is written."""
    code = getattr(inspect.unwrap(step), "__code__", None)
    if code is None:
        return type(step).__name__
    return SourceLine(code.co_filename, code.co_firstlineno)


def _check_states(states: Sequence[Node], nexts: Sequence[Node], where: str) -> None:
    for old, new in zip(states, nexts, strict=True):
        changed = "dtype" if old.dtype != new.dtype else "shape"
        said = (
            f"a step of a scan keeps the {changed} of the state: {old.name!r} begins as {old.spec} "
            f"(declared at {old.origin}), after the step it is {new.spec} ({new.name!r}, declared "
            f"at {new.origin}). {where}"
        )
        if old.dtype != new.dtype:
            raise DTypeError(
                f"{said} Cast the new state, gn.cast(state, {old.dtype!r}), or begin with a "
                f"{new.dtype} one."
            )
        if old.spec != new.spec:
            raise ShapeError(f"{said} Begin with zeros of the new shape.")


def _truncated(
    step: Step,
    init: Nest,
    xs: Nest,
    length: DimLike,
    reverse: bool,
    pieces: int,
    name: str | None,
) -> tuple[Nest, Nest]:
    """A scan over pieces, each of them a scan whose first state lets no gradient through."""
    if isinstance(pieces, bool) or not isinstance(pieces, int | np.integer) or pieces < 1:
        raise GraphError(
            f"truncate is a whole number of steps >= 1; got {pieces!r}. "
            f"Declared at {declared_at()}."
        )
    pieces = int(pieces)
    rest = length % pieces if isinstance(length, int) else 0
    count = divide(length - rest, pieces)
    if count is None:
        raise ShapeError(
            f"truncate={pieces} needs a length that is a number, or a multiple of {pieces}; it is "
            f"{length}. Declared at {declared_at()}."
        )
    leaves, form = flatten_nest(xs)
    given = [as_node(value) for value in leaves]
    whole = length - rest
    # What is left over comes last, in the order of the steps.
    first = rest if reverse else 0
    cut = [
        reshape(x[first : first + whole] if rest else x, (count, pieces, *x.spec.shape[1:]))
        for x in given
    ]

    def piece(state: Nest, x: Nest) -> tuple[Nest, Nest]:
        return scan(step, _stopped(state), x, pieces, reverse, checkpoint=True, name=name)

    state, ys = scan(piece, init, rebuild_nest(form, cut), count, reverse, name=name)
    stacks, form_of_y = flatten_nest(ys)
    stacks = [reshape(y, (whole, *y.spec.shape[2:])) for y in stacks]
    if rest:
        left = [x[:rest] if reverse else x[whole:] for x in given]
        state, more = scan(
            step,
            _stopped(state),
            rebuild_nest(form, left),
            rest,
            reverse,
            checkpoint=True,
            name=name,
        )
        ends, _ = flatten_nest(more)
        pairs = zip(ends, stacks, strict=True) if reverse else zip(stacks, ends, strict=True)
        stacks = [concat(pair, axis=0) for pair in pairs]
    return state, rebuild_nest(form_of_y, stacks)


def _stopped(state: Nest) -> Nest:
    leaves, form = flatten_nest(state)
    return rebuild_nest(form, [stop_gradient(value) for value in leaves])
