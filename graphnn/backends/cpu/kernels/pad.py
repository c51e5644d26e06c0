"""Copies into a larger array, elements apart from each other on request."""

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
from graphnn.parts import leading
from graphnn.schedule import Step
from graphnn.source import SUFFIX
from graphnn.spec import FLOATS, DimLike, product


@dataclass(frozen=True)
class _Axis:
    """One axis: ``size`` elements go to ``low + j apart``, of ``out``."""

    out: DimLike
    size: DimLike
    low: DimLike
    apart: DimLike

    @property
    def is_whole(self) -> bool:
        return self.out == self.size and self.low == 0 and self.apart == 1


def pad(step: Step) -> Kernel:
    """The lane's part of the output is filled, then what belongs there is copied into it."""
    last = step.group.last
    (value,) = last.inputs
    low, interior = last.attrs["low"], last.attrs["interior"]
    axes = [
        _Axis(out, size, before, between + 1)
        for out, size, before, between in zip(
            last.spec.shape, value.spec.shape, low, interior, strict=True
        )
    ]
    split = leading(last.spec.shape)[0]
    before, after = _joined(axes[:split]), _joined(axes[split:])
    axes = before + after
    each = in_each_part(product(last.spec.shape), step.parts)
    inner = in_each_part(after[0].out, step.parts) if after else 1
    lines = Lines()
    lines.add("data = pointer_i64(data)", "meta = pointer_i64(meta)")
    lines.add("parts, inner, each = meta[0], meta[1], meta[2]", SHARE)
    pointer = POINTERS[last.dtype]
    lines.add(f"x = {pointer}(data[0])", f"y = {pointer}(data[1])")
    number = "float_of_bits_f64(meta[3])" if last.dtype in FLOATS else "meta[3]"
    lines.add(f"value = {'uint8' if last.dtype == 'bool' else last.dtype}({number})")
    lines.open("for i in range(start * each, stop * each):")
    lines.add("y[i] = value")
    lines.depth -= 1
    for i in range(len(axes)):
        four = ", ".join(f"meta[{4 + 4 * i + j}]" for j in range(4))
        lines.add(f"o{i}, n{i}, l{i}, a{i} = {four}")
    for i, axis in enumerate(axes):
        own = i == len(before)
        _range(lines, i, axis, "start * inner, stop * inner" if own else f"0, o{i}")
    if not axes:
        lines.open("if start < stop:")
    places = [_place(i, axis) for i, axis in enumerate(axes)]
    target = row_major([(place, f"o{i}") for i, place in enumerate(places)])
    origin = row_major([(f"i{i}", f"n{i}") for i in range(len(axes))])
    lines.add(f"y[{target}] = x[{origin}]")
    filler = last.attrs["value"]
    meta: list[DimLike | float] = [step.parts, inner, each]
    meta.append(float(filler) if last.dtype in FLOATS else int(filler))
    for axis in axes:
        meta += [axis.out, axis.size, axis.low, axis.apart]
    name = f"pad_{len(axes)}d_{SUFFIX[last.dtype]}"
    return Kernel(name, lines.text(name), (value, *step.targets), tuple(meta))


def _joined(axes: list[_Axis]) -> list[_Axis]:
    """Axes that are copied whole are one with the axis before them, if that has no gaps."""
    made: list[_Axis] = []
    for axis in axes:
        if axis.is_whole and axis.out == 1:
            continue
        if made and axis.is_whole and made[-1].apart == 1:
            outer = made.pop()
            axis = _Axis(outer.out * axis.out, outer.size * axis.size, outer.low * axis.out, 1)
        made.append(axis)
    return made


def _range(lines: Lines, i: int, axis: _Axis, bounds: str) -> None:
    """The loop over the elements of an axis that have a place within ``bounds``."""
    lines.add(f"first{i}, end{i} = {bounds}")
    if axis.apart == 1:
        lines.add(f"first{i}, end{i} = first{i} - l{i}, end{i} - l{i}")
    else:  # rounded up: -(-p // q) is the smallest number that is at least p / q
        lines.add(f"first{i}, end{i} = -((l{i} - first{i}) // a{i}), -((l{i} - end{i}) // a{i})")
    lines.open(f"for i{i} in range(max(first{i}, 0), min(end{i}, n{i})):")


def _place(i: int, axis: _Axis) -> str:
    return f"(l{i} + i{i})" if axis.apart == 1 else f"(l{i} + i{i} * a{i})"
