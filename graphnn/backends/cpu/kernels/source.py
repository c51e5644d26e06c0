"""What all kernels' sources are made of: lines, pointers, each lane's share of the parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from graphnn.node import Node
from graphnn.spec import DimLike, divide, evaluate

POINTERS = {
    "float32": "pointer_f32",
    "float64": "pointer_f64",
    "int64": "pointer_i64",
    "int32": "pointer_i32",
    "uint8": "pointer_u8",
    "bool": "pointer_u8",
}


@dataclass(frozen=True)
class Kernel:
    """A kernel's source, and what its tables hold.

    Parameters
    ----------
    name
        The function that the source defines.
    source
        Its text.
    operands
        The values whose addresses stand in ``data``, in order.
    meta
        What stands in ``meta``: dimensions, whole numbers, and floats by their bits.
    """

    name: str
    source: str
    operands: tuple[Node, ...]
    meta: tuple[DimLike | float, ...]

    def meta_values(self, sizes: Mapping[str, int]) -> list[int]:
        """The table of sizes for one size of the batch."""
        return [
            int(np.float64(value).view(np.int64))
            if isinstance(value, float)
            else evaluate(value, sizes)
            for value in self.meta
        ]


@dataclass(frozen=True)
class LoopKernels(Kernel):
    """The kernels of a loop's body; it has none of its own.

    Parameters
    ----------
    kernels
        One for each step of the body.
    """

    kernels: tuple[Kernel, ...]


class Lines:
    """Source under construction."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.depth = 1

    def add(self, *lines: str) -> None:
        """Append lines at the present depth."""
        for block in lines:
            self.lines += ["    " * self.depth + line for line in block.split("\n")]

    def open(self, line: str) -> None:
        """Append a line that opens a block, and go into it."""
        self.add(line)
        self.depth += 1

    def text(self, name: str, helpers: Sequence[str] = ()) -> str:
        """The whole source: the kernel, then the functions that it calls."""
        head = [f"def {name}(data, meta, lane, lanes):"]
        return "\n".join([*head, *self.lines, "", *(f"\n@helper\n{text}\n" for text in helpers)])


def start(
    pointers: Mapping[str, Node], sizes: Sequence[str], places: Mapping[str, int] | None = None
) -> Lines:
    """The first lines of a kernel: sizes and pointers out of its tables.

    ``places`` says of pointers which memory they show: those of different numbers never meet.
    """
    lines = Lines()
    lines.add("data = pointer_i64(data)", "meta = pointer_i64(meta)")
    lines.add(*(f"{size} = meta[{i}]" for i, size in enumerate(sizes)))
    count = len(set(places.values())) if places else 0
    for i, (name, node) in enumerate(pointers.items()):
        kind, given = POINTERS[node.dtype], f"data[{i}]"
        if places:
            kind, given = kind.replace("pointer", "apart"), f"{given}, {places[name]}, {count}"
        lines.add(f"{name} = {kind}({given})")
    return lines


SHARE = "start, stop = share(parts, lane, lanes), share(parts, lane + 1, lanes)"


def in_each_part(count: DimLike, parts: DimLike) -> DimLike:
    """How many of the loop's elements belong to each part of the work."""
    each = 1 if count == parts else divide(count, parts)
    assert each is not None, f"{count} elements do not make {parts} equal parts"
    return each


def row_major(counters: Sequence[tuple[str, str]]) -> str:
    """The element that (counter, size) pairs name: ``(i0 * n1 + i1) * n2 + i2``."""
    text = ""
    for i, (counter, size) in enumerate(counters):
        text = counter if i == 0 else f"{text if i == 1 else f'({text})'} * {size} + {counter}"
    return text or "0"
