"""Where a run goes wrong: ``gn.debug.nan_check()``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from graphnn.backends import reference
from graphnn.errors import NotFiniteError
from graphnn.function import Function, inspecting
from graphnn.fusion import root
from graphnn.loop import LAST, LoopBody
from graphnn.node import Constant, Input, Node, Parameter
from graphnn.op import Leaf, Loop, Part
from graphnn.spec import FLOATS, evaluate

Values: TypeAlias = dict[Node, NDArray[Any]]

MOST_ROWS = 5  # of the data, that a message names


@contextmanager
def nan_check() -> Iterator[None]:
    """Inside, a run stops at the first step that makes NaN or Inf, and says which node made it.

    Every call of a ``gn.function``, every step of ``fit``, ``evaluate`` and ``step.loop`` is looked
    at: its outputs, and the new values of parameters and of the optimizer's state. If one is not
    finite, the parameters get back what they were before the step, and the step is run again with
    memory of its own for every value. A value that is infinite by the way, such as the logarithm of
    a mask, is no error as long as no result shows it.

    Batches then run one by one, and parameters are copied at each step; the results have the same
    bits. Outside, nothing is looked at, and nothing costs time.

    Raises
    ------
    NotFiniteError
        With the first node, in the order of the schedule, that is not finite though its inputs are:
        its op, pass and line, the ranges of its inputs, the step of a ``gn.scan``, the batch. Data
        and parameters that were not finite before are named as such.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((None,), name="x")
    >>> f = gn.function(x, gn.mean(gn.log(x) + 1.0))
    >>> try:
    ...     with gn.debug.nan_check():
    ...         f(np.float32([1, 0]))
    ... except gn.NotFiniteError as error:
    ...     print(error.node.op.name, error.node.role, error.value)
    log forward [  0. -inf]
    """
    token = inspecting.set(_inspected)
    try:
        yield
    finally:
        inspecting.reset(token)


def _inspected(
    function: Function,
    arrays: Sequence[NDArray[Any]],
    run: Callable[[], list[NDArray[Any]]],
    place: Callable[[int | None], str],
) -> list[NDArray[Any]]:
    """Run a step; its results, if they and all that it changed are finite."""
    kept: Values = {p: p.value.copy() for p in function.parameters}
    token = inspecting.set(None)  # what is run to find the node is not looked at
    try:
        results = run()
        changed = function.program.new
        bad: list[Node] = [
            node
            for node, value in zip(function.program.results, results, strict=True)
            if not is_finite(value)
        ]
        bad += [node for node, target in changed.items() if not is_finite(target.value)]
        if bad:
            for parameter in function.parameters:
                parameter.value = kept[parameter]
            raise _Search(function, arrays, kept).found(bad).error(function, place)
        return results
    finally:
        inspecting.reset(token)


def is_finite(value: NDArray[Any]) -> bool:
    """Whether a value has neither NaN nor Inf."""
    return value.dtype.name not in FLOATS or bool(np.isfinite(value).all())


@dataclass(frozen=True)
class _Origin:
    """The node that is not finite first.

    Parameters
    ----------
    node, value
        What it is, and holds.
    inputs
        Of each input the value.
    turn
        Which step of which loop: (name, number), the innermost last.
    again
        Whether the step was finite when it was run again, value by value.
    """

    node: Node
    value: NDArray[Any]
    inputs: tuple[tuple[Node, NDArray[Any]], ...] = ()
    turn: tuple[tuple[str, int], ...] = ()
    again: bool = False

    def error(self, function: Function, place: Callable[[int | None], str]) -> NotFiniteError:
        """The exception that tells of it."""
        node = self.node
        wrong = np.argwhere(~np.isfinite(self.value))
        row = int(wrong[0][0]) if len(wrong) and isinstance(node, Input) and wrong.size else None
        lines = [self._first_line(wrong)]
        if isinstance(node, Input):
            rows = list(dict.fromkeys(int(one[0]) for one in wrong if one.size))
            shown = ", ".join(map(str, rows[:MOST_ROWS])) + ", …" * (len(rows) > MOST_ROWS)
            which = f"row{'s' * (len(rows) > 1)} {shown}"
            lines.append(f"  The data itself is not finite: {which} of the batch.")
        elif isinstance(node, Parameter):
            lines.append("  It was so before the step: an earlier one, or who set it, made it so.")
        elif self.again:
            lines.append(
                "  Run again, value by value, every node is finite: one kernel rounds otherwise "
                "than several. Try float64."
            )
        else:
            lines.append("  Its inputs are finite:" if self.inputs else "  It has no inputs.")
        names = function.graph.names()
        for value, array in self.inputs:
            lines.append(f"    {names.get(value, value.name)}: {described(array)}")
        for name, turn in self.turn:
            lines.append(f"  In step {turn} of {name}.")
        where = place(row)
        if where:
            lines.append(f"  {where}")
        made = NotFiniteError("\n".join(lines))
        made.node, made.value, made.inputs = node, self.value, dict(self.inputs)
        return made

    def _first_line(self, wrong: NDArray[np.int64]) -> str:
        node, value = self.node, self.value
        kinds = [
            name
            for name, there in (
                ("nan", np.isnan(value).any()),
                ("inf", np.isposinf(value).any()),
                ("-inf", np.isneginf(value).any()),
            )
            if there
        ]
        at = f", first at {wrong[0].tolist()}" if value.ndim else ""
        what = {Input: "input ", Parameter: "parameter "}.get(type(node), "")
        role = "" if what else f" ({node.role})"
        of = node.forward_of if node.role == "backward" else None
        made = "" if of is None else f", of the gradient of {of.name},"
        line = f"Declared at {node.origin}."
        if of is not None:
            line = f"Declared at {of.origin}, differentiated at {node.origin}."
        return (
            f"{what}{node.name}{role}{made} has {' and '.join(kinds)} in {len(wrong)} of "
            f"{value.size} elements{at}. {line}"
        )


def described(array: NDArray[Any]) -> str:
    """Dtype, shape, range and how many elements are finite."""
    kind = f"{array.dtype} {array.shape}"
    if not array.size:
        return f"{kind}, empty"
    if array.dtype.name not in FLOATS:
        return f"{kind}, from {array.min()} to {array.max()}"
    finite = array[np.isfinite(array)]
    span = f"from {finite.min():.6g} to {finite.max():.6g}" if finite.size else "nothing finite"
    return f"{kind}, {span}, {finite.size} of {array.size} finite"


class _Search:
    """A step that is run again, with memory of its own for every value.

    The kernels are those of the nodes alone: what one fused kernel computes is seen node by node.
    """

    def __init__(
        self, function: Function, arrays: Sequence[NDArray[Any]], kept: Mapping[Node, NDArray[Any]]
    ) -> None:
        self.function = function
        graph = function.graph
        computed = [node for node in graph.nodes if not isinstance(node.op.kernel, Leaf | Loop)]
        watched = Function.watching(function.inputs, function.program, computed)
        ready, self.sizes = watched.checked(arrays)
        results = watched(*ready) if computed else []
        self.values: Values = dict(zip(function.inputs, ready, strict=True))
        self.values |= dict(kept)
        self.values |= dict(zip(computed, results, strict=True))
        self.values |= {n: n.array for n in graph.nodes if isinstance(n, Constant)}
        self.order = {
            node: place
            for place, step in enumerate(function.program.steps)
            for node in step.group.nodes
        }

    def found(self, bad: Sequence[Node]) -> _Origin:
        """The first node in the schedule on the way to what is not finite."""
        origins = self._origins([node for node in bad if self._is_bad(node)], self.values)
        if not origins:
            node = bad[0]
            value = np.full(node.spec.concrete(self.sizes), np.nan, node.dtype)
            return _Origin(node, value, again=True)
        node = min(origins, key=lambda one: (self.order.get(root(one), -1), one.serial))
        return self._described(node, self.values)

    def _is_bad(self, node: Node) -> bool:
        return node in self.values and not is_finite(self.values[node])

    def _origins(self, bad: Sequence[Node], values: Values) -> list[Node]:
        """What is not finite though its inputs are, on the way to ``bad``; constants may be."""
        seen: set[Node] = set()
        origins: list[Node] = []
        stack = list(bad)
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            before = [
                value
                for value in _read(node)
                if value in values and not isinstance(value, Constant)
                and not is_finite(values[value])
            ]  # fmt: skip
            if before:
                stack += before
            else:
                origins.append(node)
        return origins

    def _described(self, node: Node, values: Values) -> _Origin:
        if isinstance(node.op.kernel, Part):
            found = self._in_loop(node.inputs[0], values)
            if found is not None:
                return found
        inputs = tuple((v, values[v]) for v in dict.fromkeys(_read(node)) if v in values)
        return _Origin(node, values[node], inputs)

    def _in_loop(self, loop: Node, values: Values) -> _Origin | None:
        """The node of a loop's body, and the step; None if the references find none."""
        body: LoopBody = loop.attrs["body"]
        given = [values[v] if v in values else self._size(v) for v in loop.inputs]
        states, sequences, others = body.shares(given)
        stacked = [
            part.attrs["of"]
            for part in self.values
            if isinstance(part.op.kernel, Part) and part.inputs[0] is loop and part.op is not LAST
            and "of" in part.attrs
        ]  # fmt: skip
        wanted = list(dict.fromkeys([*body.nexts, *stacked]))
        inside = [n for n in body.nodes if not isinstance(n.op.kernel, Leaf | Loop)]
        turns = evaluate(body.length, self.sizes)
        for turn in range(turns):
            place = turns - 1 - turn if body.reverse else turn
            now: Values = dict(zip(body.carries, states, strict=True))
            now |= {s: x[place] for s, x in zip(body.slices, sequences, strict=True)}
            now |= dict(zip(body.outers, others, strict=True))
            asked = [n for n in (*inside, *wanted) if n not in now]
            found = reference.evaluate(asked, now, self.sizes)
            now |= dict(zip(asked, found, strict=True))
            bad = [n for n in wanted if not is_finite(now[n])]
            if bad:
                first = min(self._origins(bad, now), key=lambda one: one.serial)
                made = self._described(first, now)
                return replace(made, turn=((loop.name, place), *made.turn))
            states = [now[node] for node in body.nexts]
        return None

    def _size(self, node: Node) -> NDArray[Any]:
        return reference.evaluate(node, {}, self.sizes)


def _read(node: Node) -> Sequence[Node]:
    """What a node reads; of a value of a loop, what the loop reads."""
    return node.inputs[0].inputs if isinstance(node.op.kernel, Part) else node.inputs
