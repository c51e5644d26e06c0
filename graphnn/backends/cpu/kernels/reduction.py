"""Reductions, and the elementwise formulas that feed them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from graphnn.backends.cpu.intrinsics import ACCUMULATORS
from graphnn.backends.cpu.kernels.elementwise import Formulas, fetch, walked
from graphnn.backends.cpu.kernels.source import SHARE, Kernel, Lines, in_each_part, row_major, start
from graphnn.node import Node
from graphnn.op import Reduction
from graphnn.schedule import Step
from graphnn.spec import FLOATS, product
from graphnn.walks import Loops, nested

# How a kernel takes one element in.
BETTER = {"max": ">", "min": "<"}
TAKES_IN = {"sum": "+=", "mean": "+=", "prod": "*="}


def _worst(kind: str, dtype: str) -> str:
    """What every number is better than: the maximum, or the minimum, of nothing."""
    if dtype in FLOATS:
        return f"{dtype}({'-INF' if kind == 'max' else 'INF'})"
    limits = np.iinfo(dtype)
    return f"{dtype}({limits.min if kind == 'max' else limits.max})"


def reduction(step: Step) -> Kernel:
    """The kernel of a reduction and of the formulas that feed it."""
    group, last = step.group, step.group.last
    kernel = last.op.kernel
    assert isinstance(kernel, Reduction)
    pointers = {f"x{i}": node for i, node in enumerate(group.inputs)} | {"y": last}
    shape, axes = group.shape, last.attrs["axes"]
    walks = list(group.walks.values())
    loops = nested(shape, [node.spec.shape for node in group.operands], axes, walks)
    before, inside, after = _three(loops, axes)
    form = _ReductionForm(step, kernel.kind, pointers, loops, before, inside, after)
    return form.kernel()


def _three(loops: Loops, axes: Sequence[int]) -> tuple[list[int], list[int], list[int]]:
    """The loops before, in and after the reduced axes."""
    reduced = [i for i, joined in enumerate(loops.axes) if joined[0] in axes]
    if not reduced:  # every reduced axis has size 1
        return list(range(len(loops.sizes))), [], []
    return (
        list(range(reduced[0])),
        reduced,
        list(range(reduced[-1] + 1, len(loops.sizes))),
    )


class _ReductionForm:
    """One reduction, with the elementwise nodes that feed it.

    Counters: ``i`` before the reduced axis, ``r`` along it, ``k`` after it.
    """

    def __init__(
        self,
        step: Step,
        kind: str,
        pointers: Mapping[str, Node],
        loops: Loops,
        before: list[int],
        inside: list[int],
        after: list[int],
    ) -> None:
        self.step, self.kind, self.pointers, self.loops = step, kind, pointers, loops
        self.last = step.group.last
        self.dtype = self.last.dtype
        sizes = loops.sizes
        self.outer = product(sizes[i] for i in before)
        self.count = product(sizes[i] for i in inside)
        self.inner = product(sizes[i] for i in after)
        self.letter = (
            dict.fromkeys(before, "o") | dict.fromkeys(inside, "r") | dict.fromkeys(after, "k")
        )
        assert max(map(len, (before, inside, after))) <= 1, "fusion takes in no more"
        self.by_rows = self.outer != 1 or not after
        group, names = step.group, {node: name for name, node in pointers.items()}
        self.operands = [(names[node], node) for node in group.operands]
        self.loads = [(names[node.inputs[0]], node) for node in group.loads]
        letters = [self.letter[i] for i in range(len(sizes))]
        walks = zip((name for name, _ in self.loads), group.walks.values(), strict=True)
        self.walks = walked(list(walks), loops, letters)

    def index(self, moves: Sequence[int]) -> str:
        """The element of an operand: o, r, k over the loops that move it."""
        letters = sorted({self.letter[m] for m in moves}, key="ork".index)
        sizes = {"o": "outer", "r": "count", "k": "width"}
        return row_major([(letter, sizes[letter]) for letter in letters])

    def value(self) -> tuple[list[str], str, list[str]]:
        """Lines that compute one element to be reduced, its name, and helper functions."""
        loaded, lines = {}, []
        for (name, node), moves in zip(self.operands, self.loops.operands, strict=True):
            loaded[node] = f"a{name[1:]}"
            lines.append(f"{loaded[node]} = {fetch(name, node, self.index(moves))}")
        for i, ((name, node), place) in enumerate(zip(self.loads, self.walks.places, strict=True)):
            loaded[node] = f"b{i}"
            lines.append(f"{loaded[node]} = {fetch(name, node, place)}")
        formulas = Formulas(self.step.group.nodes[:-1], loaded)
        result = formulas.names[self.last.inputs[0]]
        return lines + formulas.lines, result, list(formulas.helpers.values())

    def kernel(self) -> Kernel:
        share = self.outer if self.by_rows else self.inner
        quantum = in_each_part(share, self.step.parts)
        names = ["parts", "quantum", "outer", "count", "width", *self.walks.numbers]
        lines = start(self.pointers, names)
        lines.add(SHARE)
        name = self.step.group.name
        if self.by_rows and self.inner == 1:
            name += "_rows"
            helpers = self._rows(lines)
        elif self.by_rows:
            name += "_middle"
            lines.open("for o in range(start * quantum, stop * quantum):")
            helpers = self._columns(lines, "o * width + k", "width")
        else:
            name += "_columns"
            lines.add("o = 0")
            helpers = self._columns(lines, "k", "start * quantum, stop * quantum")
        sizes = (self.step.parts, quantum, self.outer, self.count, self.inner)
        meta = (*sizes, *self.walks.numbers.values())
        operands = (*self.step.group.inputs, *self.step.targets)
        return Kernel(name, lines.text(name, helpers), operands, meta)

    def _rows(self, lines: Lines) -> list[str]:
        """One result a row: sums of blocks in vector lanes, blocks added up in float64."""
        body, value, helpers = self.value()
        dtype = self.dtype
        lines.open("for o in range(start * quantum, stop * quantum):")
        wide = "float64" if dtype in FLOATS else dtype
        if self.kind in BETTER:
            lines.add(f"best = {_worst(self.kind, dtype)}")
            lines.open("for r in range(count):")
            lines.add(*body, f"best = {self.better(value, 'best')}")
            lines.depth -= 1
            lines.add("y[o] = best")
            return helpers
        if self.kind == "prod":
            lines.add(f"total = {wide}(1)")
            lines.open("for r in range(count):")
            lines.add(*body, f"total *= {value}")
            lines.depth -= 1
            lines.add(f"y[o] = {dtype}(total)")
            return helpers
        lines.add(f"total = {wide}(0)")
        lines.open("for block in range(0, count, 4096):")
        lines.add(f"part = {dtype}(0)")
        lines.open("for r in range(block, min(block + 4096, count)):")
        lines.add(*body, f"part = fast_add(part, {value})")
        lines.depth -= 1
        lines.add("total += part")
        lines.depth -= 1
        lines.add(
            f"y[o] = {dtype}(total / count)" if self.kind == "mean" else f"y[o] = {dtype}(total)"
        )
        return helpers

    def better(self, value: str, best: str) -> str:
        """The larger or smaller of two values, or the one that is nan."""
        return f"{value} if {value} {BETTER[self.kind]} {best} or {value} != {value} else {best}"

    def _columns(self, lines: Lines, place: str, bounds: str) -> list[str]:
        """One result a column: rows are added to the results, which stay in the cache."""
        if self.kind not in BETTER and self.dtype in FLOATS:
            return self._accumulated_columns(lines, place, bounds)
        body, value, helpers = self.value()
        firsts = {"sum": f"{self.dtype}(0)", "prod": f"{self.dtype}(1)"}
        lines.open(f"for k in range({bounds}):")
        lines.add(f"y[{place}] = {firsts.get(self.kind) or _worst(self.kind, self.dtype)}")
        lines.depth -= 1
        lines.open("for r in range(count):")
        lines.open(f"for k in range({bounds}):")
        if self.kind in BETTER:
            lines.add(*body, f"best = y[{place}]", f"y[{place}] = {self.better(value, 'best')}")
        else:
            lines.add(*body, f"y[{place}] {TAKES_IN[self.kind]} {value}")
        lines.depth -= 2
        return helpers

    def _accumulated_columns(self, lines: Lines, place: str, bounds: str) -> list[str]:
        """The same in float64, some columns at a time: a million rows lose no digits."""
        body, value, helpers = self.value()
        first = "float64(1)" if self.kind == "prod" else "float64(0)"
        result = "sums[k - begin]" + (" / count" if self.kind == "mean" else "")
        limits = bounds if "," in bounds else f"0, {bounds}"
        lines.add("sums = accumulators_f64()", f"left, right = {limits}")
        lines.open(f"for begin in range(left, right, {ACCUMULATORS}):")
        lines.add(f"end = min(begin + {ACCUMULATORS}, right)")
        lines.open("for k in range(end - begin):")
        lines.add(f"sums[k] = {first}")
        lines.depth -= 1
        lines.open("for r in range(count):")
        lines.open("for k in range(begin, end):")
        lines.add(*body, f"sums[k - begin] {TAKES_IN[self.kind]} {value}")
        lines.depth -= 2
        lines.open("for k in range(begin, end):")
        lines.add(f"y[{place}] = {self.dtype}({result})")
        lines.depth -= 2
        return helpers
