"""Elementwise kernels: one loop nest for a group of formulas, inlined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphnn.backends.cpu.kernels.source import SHARE, Kernel, in_each_part, row_major, start
from graphnn.fusion import root
from graphnn.node import Node
from graphnn.op import Scalar
from graphnn.schedule import Step
from graphnn.spec import FLOATS, DimLike
from graphnn.walks import Loops, Walk, nested, store_walks


class Formulas:
    """The lines that compute a group's elementwise nodes from values already loaded."""

    def __init__(self, nodes: Sequence[Node], loaded: Mapping[Node, str]) -> None:
        self.names = dict(loaded)
        self.lines: list[str] = []
        self.helpers: dict[str, str] = {}
        for i, node in enumerate(node for node in nodes if isinstance(node.op.kernel, Scalar)):
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
        if node.dtype not in (*FLOATS, "int64", "bool"):  # numba computes in 64 bits
            self.lines.append(f"{result} = {node.dtype}({result})")


def _cast(argument: str, node: Node) -> str:
    if node.dtype == "bool":
        return f"{argument} != 0"
    return f"{node.dtype}({argument})"


def _formula_dtype(node: Node) -> str:
    dtypes = [value.dtype for value in node.inputs if value.dtype != "bool"]
    return dtypes[0] if dtypes else node.dtype


def fetch(pointer: str, node: Node, index: str) -> str:
    """An element as an expression."""
    return f"{pointer}[{index}]" + (" != 0" if node.dtype == "bool" else "")


def store(pointer: str, node: Node, index: str, value: str) -> str:
    """A line that keeps ``value``."""
    return f"{pointer}[{index}] = " + (f"uint8({value})" if node.dtype == "bool" else value)


def _index(moves: Sequence[int]) -> str:
    return row_major([(f"i{loop}", f"n{loop}") for loop in moves])


@dataclass(frozen=True)
class Walks:
    """Where a kernel's counters lead in larger values: names of offsets and strides, and numbers.

    Equal strides in one value have one name, so that LLVM sees them as equal.
    """

    offsets: Mapping[str, DimLike]
    strides: Mapping[str, DimLike]
    places: tuple[str, ...]

    @property
    def numbers(self) -> dict[str, DimLike]:
        """All names, and what they stand for."""
        return {**self.offsets, **self.strides}


def walked(walks: Sequence[tuple[str, Walk]], loops: Loops, letters: Sequence[str]) -> Walks:
    """The elements that walks over values (by their pointers) lead to, as expressions.

    ``letters`` are the counters of the loops.
    """
    offsets: dict[str, DimLike] = {}
    known: dict[tuple[str, DimLike], str] = {}
    places = []
    for i, ((pointer, walk), strides) in enumerate(zip(walks, loops.strides, strict=True)):
        offsets[f"o{i}"] = walk.offset
        text = f"o{i}"
        for letter, stride in zip(letters, strides, strict=True):
            if stride == 0:
                continue
            if stride in (1, -1):  # written out, for the sake of vectors
                text += f" + {letter}" if stride == 1 else f" - {letter}"
                continue
            name = known.setdefault((pointer, stride), f"s{len(known)}")
            text += f" + {letter} * {name}"
        places.append(text)
    return Walks(offsets, {name: stride for (_, stride), name in known.items()}, tuple(places))


def _memories(
    pointers: Mapping[str, Node], new: Sequence[tuple[str, Node, Node]]
) -> dict[str, int]:
    """Which memory each pointer shows, by number: views of one memory have one."""
    shown = {name: root(node) for name, node in pointers.items()}
    shown |= {name: target for name, _, target in new}
    numbers = {node: i for i, node in enumerate(dict.fromkeys(shown.values()))}
    return {name: numbers[node] for name, node in shown.items()}


def elementwise(step: Step) -> Kernel:
    """The kernel of a group of elementwise nodes, of what they load and of what they store."""
    group = step.group
    pointers = {f"x{i}": node for i, node in enumerate(group.inputs)}
    # An output that is written over an input has its pointer: LLVM then knows that they are equal.
    places = {v: name for name, v in pointers.items()}
    outputs = [
        (f"y{i}" if old is None else places[old], node, target)
        for i, (node, old, target) in enumerate(
            zip(group.outputs, step.over, step.targets, strict=True)
        )
    ]
    new = [(name, node, target) for name, node, target in outputs if name[0] == "y"]
    operands = [(places[node], node) for node in group.operands]
    operands += [(name, node) for name, node, _ in new if node not in group.stores]
    pointers |= {name: node for name, node, _ in new}
    reads = [(places[node.inputs[0]], node, walk) for node, walk in group.walks.items()]
    writes = [
        (name, piece, walk)
        for name, node, _ in new
        if node in group.stores
        for piece, walk in store_walks(node)
    ]
    walks = [(name, walk) for name, _, walk in (*reads, *writes)]
    shapes = [node.spec.shape for _, node in operands]
    loops = nested(group.shape, shapes, walks=[walk for _, walk in walks])
    depth = len(loops.sizes)
    inner = in_each_part(loops.sizes[0], step.parts) if depth else 1
    found = walked(walks, loops, [f"i{i}" for i in range(depth)])
    sizes = ["parts", "inner", *(f"n{i}" for i in range(1, depth)), *found.numbers]
    lines = start(pointers, sizes, _memories(pointers, new))
    lines.add(SHARE)
    moved = {name: moves for (name, _), moves in zip(operands, loops.operands, strict=True)}
    waiting = [
        (name, node, f"a{name[1:]}", max(moved[name], default=-1), _index(moved[name]))
        for name, node in operands
        if name[0] == "x"
    ]
    for i, ((name, node, _), strides) in enumerate(zip(reads, loops.strides, strict=False)):
        level = max((loop for loop, stride in enumerate(strides) if stride != 0), default=-1)
        waiting.append((name, node, f"b{i}", level, found.places[i]))
    loaded: dict[Node, str] = {}

    def load(level: int) -> None:
        for name, node, value, at, index in waiting:
            if at == level:
                lines.add(f"{value} = {fetch(name, node, index)}")
                loaded[node] = value

    if depth == 0:
        lines.open("if start < stop:")
    load(-1)
    for level in range(depth):
        bounds = "start * inner, stop * inner" if level == 0 else f"n{level}"
        lines.open(f"for i{level} in range({bounds}):")
        load(level)
    formulas = Formulas(group.nodes, loaded)
    lines.add(*formulas.lines)
    for name, node, _ in outputs:
        if node not in group.stores:
            lines.add(store(name, node, _index(moved[name]), formulas.names[node]))
    for (name, piece, _), index in zip(writes, found.places[len(reads) :], strict=True):
        lines.add(store(name, piece, index, formulas.names[piece]))
    text = lines.text(group.name, list(formulas.helpers.values()))
    meta = (step.parts, inner, *loops.sizes[1:], *found.numbers.values())
    return Kernel(group.name, text, (*group.inputs, *(target for *_, target in new)), meta)
