"""Copies with the axes in another order."""

from __future__ import annotations

from graphnn.backends.cpu.kernels.source import POINTERS, SHARE, Kernel, Lines, row_major
from graphnn.schedule import Step, leading
from graphnn.source import SUFFIX
from graphnn.spec import product


def permute(step: Step) -> Kernel:
    """A copy with axes reordered; the loops follow the output."""
    last = step.group.last
    (value,) = last.inputs
    axes, out = last.attrs["axes"], last.spec.shape
    strides = [product(value.spec.shape[axis + 1 :]) for axis in axes]
    split, _ = leading(out)
    lines = Lines()
    lines.add("data = pointer_i64(data)", "meta = pointer_i64(meta)", "parts = meta[0]", SHARE)
    pointer = POINTERS[last.dtype]
    lines.add(f"x = {pointer}(data[0])", f"y = {pointer}(data[1])")
    for i in range(len(out)):
        lines.add(f"n{i}, s{i} = meta[{1 + 2 * i}], meta[{2 + 2 * i}]")
    for i in range(len(out)):
        lines.open(f"for i{i} in range({'start, stop' if i == split else f'n{i}'}):")
    target = row_major([(f"i{i}", f"n{i}") for i in range(len(out))])
    origin = " + ".join(f"i{i} * s{i}" for i in range(len(out)))
    lines.add(f"y[{target}] = x[{origin}]")
    meta = [step.parts, *(dim for pair in zip(out, strides, strict=True) for dim in pair)]
    name = f"transpose_{len(out)}d_{SUFFIX[last.dtype]}" + (f"_by_{split}" if split else "")
    return Kernel(name, lines.text(name), (value, *step.targets), tuple(meta))
