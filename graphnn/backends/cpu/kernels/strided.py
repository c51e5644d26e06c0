"""Copies in a regular walk: axes in another order, slices with steps, reversed axes."""

from __future__ import annotations

from dataclasses import dataclass

from graphnn.backends.cpu.kernels.source import (
    POINTERS,
    SHARE,
    Kernel,
    Lines,
    in_each_part,
    row_major,
)
from graphnn.op import Strided
from graphnn.schedule import Step
from graphnn.source import SUFFIX
from graphnn.spec import DimLike

TILE = 16  # floats of a cache line: a tile's lines are read and written while they are near


@dataclass(frozen=True)
class _Loop:
    """One loop of the output: its size, and how far a step goes in the input."""

    size: DimLike
    stride: DimLike


def strided(step: Step) -> Kernel:
    """A copy whose loops follow the output; axes that are walked as one are one loop."""
    last = step.group.last
    kernel = last.op.kernel
    assert isinstance(kernel, Strided)
    (value,) = last.inputs
    offset, strides = kernel.walk(value.spec, **last.attrs)
    loops = _joined([_Loop(*pair) for pair in zip(last.spec.shape, strides, strict=True)])
    inner = in_each_part(loops[0].size, step.parts) if loops else 1
    lines = Lines()
    lines.add("data = pointer_i64(data)", "meta = pointer_i64(meta)")
    lines.add("parts, inner, offset = meta[0], meta[1], meta[2]", SHARE)
    pointer = POINTERS[last.dtype]
    lines.add(f"x = {pointer}(data[0])", f"y = {pointer}(data[1])")
    for i in range(len(loops)):
        lines.add(f"n{i}, s{i} = meta[{3 + 2 * i}], meta[{4 + 2 * i}]")
    if loops:
        lines.add("first, end = start * inner, stop * inner")
    else:
        lines.open("if start < stop:")
    _nest(lines, loops)
    target = row_major([(f"i{i}", f"n{i}") for i in range(len(loops))])
    lines.add(f"y[{target}] = x[{_origin(loops)}]")
    meta = [step.parts, inner, offset]
    meta += [part for loop in loops for part in (loop.size, loop.stride)]
    name = f"{last.op.name}_{len(loops)}d_{SUFFIX[last.dtype]}"
    return Kernel(name, lines.text(name), (value, *step.targets), tuple(meta))


def _joined(loops: list[_Loop]) -> list[_Loop]:
    made: list[_Loop] = []
    for loop in loops:
        if loop.size == 1:
            continue
        if made and made[-1].stride == loop.stride * loop.size:
            made[-1] = _Loop(made[-1].size * loop.size, loop.stride)
        else:
            made.append(loop)
    return made


def _nest(lines: Lines, loops: list[_Loop]) -> None:
    """The loops around a copy.

    Where the axis that is fastest in the output is not the fastest of the input, both go by tiles:
    else each element of a long column would fetch a line of its own.
    """
    bounds = ["first, end" if i == 0 else f"0, n{i}" for i in range(len(loops))]
    last = len(loops) - 1
    fast = next((i for i, loop in enumerate(loops[:-1]) if loop.stride == 1), None)
    if fast is None:
        for i, bound in enumerate(bounds):
            lines.open(f"for i{i} in range({bound}):")
        return
    for i in range(last):
        if i != fast:
            lines.open(f"for i{i} in range({bounds[i]}):")
    for i in (fast, last):
        lines.open(f"for b{i} in range({bounds[i]}, {TILE}):")
    for i in (fast, last):
        stop = "end" if i == 0 else f"n{i}"
        lines.open(f"for i{i} in range(b{i}, min(b{i} + {TILE}, {stop})):")


def _origin(loops: list[_Loop]) -> str:
    """The element that is read; strides of 1 and -1 are written out, for the sake of vectors."""
    text = "offset"
    for i, loop in enumerate(loops):
        plain = {1: f" + i{i}", -1: f" - i{i}"}
        known = loop.stride if isinstance(loop.stride, int) else 0
        text += plain.get(known, f" + i{i} * s{i}")
    return text
