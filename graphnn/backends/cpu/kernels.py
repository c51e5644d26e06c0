"""Kernels as source: each step's loop, written out as a person would write it.

A kernel is ``void kernel(data, meta, lane, lanes)``: ``data`` is a table of addresses, ``meta``
one of sizes, ``lane`` of ``lanes`` says which parts of the work to do. Sizes come at run time, so
one kernel serves every batch and every layer of the same form; names in the source are canonical,
so that equal loops have equal sources.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from graphnn.fusion import Loops, nested
from graphnn.graph import Node
from graphnn.op import Gemm, Permute, Reduction, Rows, Scalar
from graphnn.schedule import Step, leading
from graphnn.source import SUFFIX, Body
from graphnn.spec import DimLike, Shape, divide, evaluate, product

POINTERS = {
    "float32": "pointer_f32",
    "float64": "pointer_f64",
    "int64": "pointer_i64",
    "int32": "pointer_i32",
    "uint8": "pointer_u8",
    "bool": "pointer_u8",
}
FLOATS = ("float32", "float64")


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


def kernel_of(step: Step) -> Kernel:
    """The kernel that runs a step."""
    kinds: dict[type, Callable[[Step], Kernel]] = {
        Scalar: _elementwise,
        Reduction: _reduction,
        Rows: _rows,
        Permute: _permute,
        Gemm: _gemm,
    }
    return kinds[type(step.group.last.op.kernel)](step)


class _Lines:
    """Source under construction."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.depth = 1

    def add(self, *lines: str) -> None:
        for block in lines:
            self.lines += ["    " * self.depth + line for line in block.split("\n")]

    def open(self, line: str) -> None:
        self.add(line)
        self.depth += 1

    def text(self, name: str, helpers: Sequence[str] = ()) -> str:
        head = [f"def {name}(data, meta, lane, lanes):"]
        return "\n".join([*head, *self.lines, "", *(f"\n@helper\n{text}\n" for text in helpers)])


def _start(pointers: Mapping[str, Node], sizes: Sequence[str]) -> _Lines:
    lines = _Lines()
    lines.add("data = pointer_i64(data)", "meta = pointer_i64(meta)")
    lines.add(*(f"{size} = meta[{i}]" for i, size in enumerate(sizes)))
    lines.add(
        *(
            f"{name} = {POINTERS[node.dtype]}(data[{i}])"
            for i, (name, node) in enumerate(pointers.items())
        )
    )
    return lines


_SHARE = "start, stop = share(parts, lane, lanes), share(parts, lane + 1, lanes)"


def _in_each_part(count: DimLike, parts: DimLike) -> DimLike:
    """How many of the loop's elements belong to each part of the work."""
    each = 1 if count == parts else divide(count, parts)
    assert each is not None, f"{count} elements do not make {parts} equal parts"
    return each


# Elementwise.


class _Formulas:
    """The lines that compute a group's elementwise nodes from values already loaded."""

    def __init__(self, nodes: Sequence[Node], loaded: Mapping[Node, str]) -> None:
        self.names = dict(loaded)
        self.lines: list[str] = []
        self.helpers: dict[str, str] = {}
        for i, node in enumerate(nodes):
            self._add(node, i)

    def _add(self, node: Node, index: int) -> None:
        kernel = node.op.kernel
        assert isinstance(kernel, Scalar)
        result = f"v{index}"
        arguments = [self.names[value] for value in node.inputs]
        dtype = _formula_dtype(node)
        self.names[node] = result
        body = kernel.body
        for name, callee in body.all_callees():
            symbol = callee.symbol(name, dtype)
            self.helpers[symbol] = callee.definition(symbol, dtype)
        if node.inputs and node.dtype != node.inputs[-1].dtype and node.op.name == "cast":
            self.lines.append(f"{result} = {_cast(arguments[0], node)}")
        elif body.is_straight_line:
            self.lines += body.inline(arguments, result, f"_{index}", dtype)
        else:
            symbol = body.symbol(body.name, dtype)
            self.helpers[symbol] = body.definition(symbol, dtype)
            self.lines.append(f"{result} = {symbol}({', '.join(arguments)})")


def _cast(argument: str, node: Node) -> str:
    if node.dtype == "bool":
        return f"{argument} != 0"
    return f"{node.dtype}({argument})"


def _formula_dtype(node: Node) -> str:
    dtypes = [value.dtype for value in node.inputs if value.dtype != "bool"]
    return dtypes[0] if dtypes else node.dtype


def _load(pointer: str, node: Node, index: str) -> str:
    return f"{pointer}[{index}]" + (" != 0" if node.dtype == "bool" else "")


def _store(pointer: str, node: Node, index: str, value: str) -> str:
    return f"{pointer}[{index}] = " + (f"uint8({value})" if node.dtype == "bool" else value)


def _row_major(counters: Sequence[tuple[str, str]]) -> str:
    """The element that (counter, size) pairs name: ``(i0 * n1 + i1) * n2 + i2``."""
    text = ""
    for i, (counter, size) in enumerate(counters):
        text = counter if i == 0 else f"{text if i == 1 else f'({text})'} * {size} + {counter}"
    return text or "0"


def _index(moves: Sequence[int]) -> str:
    return _row_major([(f"i{loop}", f"n{loop}") for loop in moves])


def _elementwise(step: Step) -> Kernel:
    group = step.group
    pointers = {f"x{i}": node for i, node in enumerate(group.inputs)}
    # An output that is written over an input has its pointer: LLVM then knows that they are equal.
    places = {v: name for name, v in pointers.items()}
    stores = [
        (f"y{i}" if old is None else places[old], node, target)
        for i, (node, old, target) in enumerate(
            zip(group.outputs, step.over, step.targets, strict=True)
        )
    ]
    new = [(name, node, target) for name, node, target in stores if name[0] == "y"]
    pointers |= {name: node for name, node, _ in new}
    loops = nested(group.shape, [node.spec.shape for node in pointers.values()])
    depth = len(loops.sizes)
    inner = _in_each_part(loops.sizes[0], step.parts) if depth else 1
    sizes = ["parts", "inner", *(f"n{i}" for i in range(1, depth))]
    lines = _start(pointers, sizes)
    lines.add(_SHARE)
    loaded: dict[Node, str] = {}
    operands = list(zip(pointers.items(), loops.operands, strict=True))
    waiting = [(name, node, moves) for (name, node), moves in operands if name[0] == "x"]

    def load(level: int) -> None:
        for name, node, moves in waiting:
            if (max(moves) if moves else -1) == level:
                value = f"a{name[1:]}"
                lines.add(f"{value} = {_load(name, node, _index(moves))}")
                loaded[node] = value

    if depth == 0:
        lines.open("if start < stop:")
    load(-1)
    for level in range(depth):
        bounds = "start * inner, stop * inner" if level == 0 else f"n{level}"
        lines.open(f"for i{level} in range({bounds}):")
        load(level)
    formulas = _Formulas(group.nodes, loaded)
    lines.add(*formulas.lines)
    moved = {name: moves for (name, _), moves in operands}
    for name, node, _ in stores:
        lines.add(_store(name, node, _index(moved[name]), formulas.names[node]))
    text = lines.text(group.name, list(formulas.helpers.values()))
    meta = (step.parts, inner, *loops.sizes[1:])
    return Kernel(group.name, text, (*group.inputs, *(target for *_, target in new)), meta)


# Reductions.


def _lowest(dtype: str) -> str:
    """What is below every number: the maximum of nothing."""
    return f"{dtype}(-INF)" if dtype in FLOATS else f"{dtype}({np.iinfo(dtype).min})"


def _reduction(step: Step) -> Kernel:
    group, last = step.group, step.group.last
    kernel = last.op.kernel
    assert isinstance(kernel, Reduction)
    pointers = {f"x{i}": node for i, node in enumerate(group.inputs)} | {"y": last}
    shape, axes = group.shape, last.attrs["axes"]
    loops = nested(shape, [node.spec.shape for node in group.inputs], axes)
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
        self.by_rows = self.outer != 1 or not after

    def index(self, moves: Sequence[int]) -> str:
        """The element of an operand: o, r, k over the loops that move it."""
        letters = sorted({self.letter[m] for m in moves}, key="ork".index)
        sizes = {"o": "outer", "r": "count", "k": "width"}
        return _row_major([(letter, sizes[letter]) for letter in letters])

    def value(self) -> tuple[list[str], str, list[str]]:
        """Lines that compute one element to be reduced, its name, and helper functions."""
        loaded, lines = {}, []
        for (name, node), moves in zip(self.pointers.items(), self.loops.operands, strict=False):
            loaded[node] = f"a{name[1:]}"
            lines.append(f"{loaded[node]} = {_load(name, node, self.index(moves))}")
        formulas = _Formulas(self.step.group.nodes[:-1], loaded)
        result = formulas.names[self.last.inputs[0]]
        return lines + formulas.lines, result, list(formulas.helpers.values())

    def kernel(self) -> Kernel:
        share = self.outer if self.by_rows else self.inner
        quantum = _in_each_part(share, self.step.parts)
        lines = _start(self.pointers, ["parts", "quantum", "outer", "count", "width"])
        lines.add(_SHARE)
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
        meta = (self.step.parts, quantum, self.outer, self.count, self.inner)
        operands = (*self.step.group.inputs, *self.step.targets)
        return Kernel(name, lines.text(name, helpers), operands, meta)

    def _rows(self, lines: _Lines) -> list[str]:
        """One result a row: sums of blocks in vector lanes, blocks added up in float64."""
        body, value, helpers = self.value()
        dtype = self.dtype
        lines.open("for o in range(start * quantum, stop * quantum):")
        if self.kind == "max":
            lines.add(f"best = {_lowest(dtype)}")
            lines.open("for r in range(count):")
            lines.add(*body, f"best = {value} if {value} > best or {value} != {value} else best")
            lines.depth -= 1
            lines.add("y[o] = best")
            return helpers
        wide = "float64" if dtype in FLOATS else dtype
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

    def _columns(self, lines: _Lines, place: str, bounds: str) -> list[str]:
        """One result a column: rows are added to the results, which stay in the cache."""
        body, value, helpers = self.value()
        lines.open(f"for k in range({bounds}):")
        first = _lowest(self.dtype) if self.kind == "max" else f"{self.dtype}(0)"
        lines.add(f"y[{place}] = {first}")
        lines.depth -= 1
        lines.open("for r in range(count):")
        lines.open(f"for k in range({bounds}):")
        if self.kind == "max":
            lines.add(*body, f"best = y[{place}]")
            lines.add(f"y[{place}] = {value} if {value} > best or {value} != {value} else best")
        else:
            lines.add(*body, f"y[{place}] += {value}")
        lines.depth -= 2
        if self.kind == "mean":
            lines.open(f"for k in range({bounds}):")
            lines.add(f"y[{place}] /= {self.dtype}(count)")
            lines.depth -= 1
        return helpers


# Kernels with a body of their own.


def _rows(step: Step) -> Kernel:
    last = step.group.last
    kernel = last.op.kernel
    assert isinstance(kernel, Rows)
    body = kernel.body
    operands = (*last.inputs, last)
    names = [f"x{i}" for i in range(len(last.inputs))] + ["y"]
    meta: list[DimLike | float] = [step.parts]
    rows = _row_count(last.spec.shape, kernel.views[-1])
    quantum = _in_each_part(rows, step.parts)
    meta.append(quantum)
    lines = _Lines()
    lines.add("data = pointer_i64(data)", "meta = pointer_i64(meta)")
    lines.add("parts, quantum = meta[0], meta[1]", _SHARE)
    for i, (name, node, view) in enumerate(zip(names, operands, kernel.views, strict=True)):
        dims = _viewed(node.spec.shape, view)
        places = ", ".join(f"meta[{len(meta) + j}]" for j in range(len(dims)))
        pointer = f"{POINTERS[node.dtype]}(data[{i}])"
        shape = f"({places},)" if len(dims) == 1 else f"({places})"
        lines.add(f"{name} = array_at({pointer}, {shape if dims else '(1,)'})")
        meta += dims
    arguments = ["start * quantum", "stop * quantum", *names]
    for key in body.keywords:
        value = last.attrs[key]
        place = f"meta[{len(meta)}]"
        arguments.append(f"float_of_bits_f64({place})" if isinstance(value, float) else place)
        meta.append(float(value) if isinstance(value, float) else value)
    dtype = next((node.dtype for node in reversed(operands) if node.dtype in FLOATS), "int64")
    inner = f"{last.op.name}_rows_{SUFFIX[dtype]}"
    lines.add(f"{inner}({', '.join(arguments)})")
    helpers = [
        callee.definition(callee.symbol(name, dtype), dtype, "float")
        for name, callee in body.all_callees()
    ]
    text = lines.text(last.op.name, [*helpers, _positional(body, inner, dtype)])
    return Kernel(last.op.name, text, (*last.inputs, *step.targets), tuple(meta))


def _positional(body: Body, name: str, dtype: str) -> str:
    """The body's text, keyword-only parameters made positional."""
    return body.definition(name, dtype, "float").replace(", *, ", ", ", 1)


def _row_count(shape: Shape, view: str) -> DimLike:
    return product(shape[:-1]) if view == "rows" else product(shape) if view != "all" else shape[0]


def _viewed(shape: Shape, view: str) -> list[DimLike]:
    if view == "rows":
        return [product(shape[:-1]), shape[-1]]
    if view in ("each", "flat"):
        return [product(shape)]
    return list(shape)


def _permute(step: Step) -> Kernel:
    """A copy with axes reordered; the loops follow the output."""
    last = step.group.last
    (value,) = last.inputs
    axes, out = last.attrs["axes"], last.spec.shape
    strides = [product(value.spec.shape[axis + 1 :]) for axis in axes]
    split, _ = leading(out)
    lines = _Lines()
    lines.add("data = pointer_i64(data)", "meta = pointer_i64(meta)", "parts = meta[0]", _SHARE)
    pointer = POINTERS[last.dtype]
    lines.add(f"x = {pointer}(data[0])", f"y = {pointer}(data[1])")
    for i in range(len(out)):
        lines.add(f"n{i}, s{i} = meta[{1 + 2 * i}], meta[{2 + 2 * i}]")
    for i in range(len(out)):
        lines.open(f"for i{i} in range({'start, stop' if i == split else f'n{i}'}):")
    target = _index(range(len(out)))
    origin = " + ".join(f"i{i} * s{i}" for i in range(len(out)))
    lines.add(f"y[{target}] = x[{origin}]")
    meta = [step.parts, *(dim for pair in zip(out, strides, strict=True) for dim in pair)]
    name = f"transpose_{len(out)}d_{SUFFIX[last.dtype]}" + (f"_by_{split}" if split else "")
    return Kernel(name, lines.text(name), (value, *step.targets), tuple(meta))


_GEMM = '''\
def NAME(data, meta, lane, lanes):
    """C = op(A) op(B), row-major: the column-major product with the factors exchanged."""
    data = pointer_i64(data)
    meta = pointer_i64(meta)
    a, b, c, gemm = data[0], data[1], data[2], data[3]
    parts, rows, columns, inner = meta[0], meta[1], meta[2], meta[3]
    turn_a, turn_b, batched = meta[4], meta[5], meta[6]
    start, stop = share(parts, lane, lanes), share(parts, lane + 1, lanes)
    lda = meta[7] if turn_a else inner
    ldb = inner if turn_b else columns
    if columns == 0 or start == stop or rows == 0:
        return
    if batched:
        for i in range(start * batched, stop * batched):
            GEMM(
                gemm, turn_b, turn_a, columns, rows, inner,
                b + i * inner * columns * SIZE, ldb, a + i * rows * inner * SIZE, lda,
                c + i * rows * columns * SIZE, columns,
            )
    else:
        first = start * rows
        a += first * SIZE if turn_a else first * inner * SIZE
        c += first * columns * SIZE
        rows *= stop - start
        GEMM(gemm, turn_b, turn_a, columns, rows, inner, b, ldb, a, lda, c, columns)
'''


def _gemm(step: Step) -> Kernel:
    """The product by BLAS; the address of the BLAS function stands behind the operands."""
    last = step.group.last
    a, b = last.inputs
    turn_a = bool(last.attrs.get("transpose_a", False))
    turn_b = bool(last.attrs.get("transpose_b", False))
    *batch, rows, columns = last.spec.shape
    inner = a.spec.shape[-2] if turn_a else a.spec.shape[-1]
    batched: DimLike = 0
    lda: DimLike = rows
    if b.ndim > 2:
        batched = product(batch[1:])
    elif batch:
        rows = product([*batch[1:], rows])  # rows that belong to one part
    else:
        rows = 1
    suffix = SUFFIX[last.dtype]
    text = _GEMM.replace("NAME", f"matmul_{suffix}").replace("GEMM", f"gemm_{suffix}")
    text = text.replace("SIZE", str(last.spec.itemsize))
    meta = (step.parts, rows, columns, inner, int(turn_a), int(turn_b), batched, lda)
    return Kernel(f"matmul_{suffix}", text, (a, b, *step.targets), meta)
