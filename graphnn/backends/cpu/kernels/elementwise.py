"""Elementwise kernels: one loop nest for a group of formulas, inlined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphnn.backends.cpu.kernels.source import SHARE, Kernel, in_each_part, row_major, start
from graphnn.fusion import nested
from graphnn.node import Node
from graphnn.op import Scalar
from graphnn.schedule import Step
from graphnn.spec import FLOATS


class Formulas:
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


def elementwise(step: Step) -> Kernel:
    """The kernel of a group of elementwise nodes."""
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
    inner = in_each_part(loops.sizes[0], step.parts) if depth else 1
    sizes = ["parts", "inner", *(f"n{i}" for i in range(1, depth))]
    lines = start(pointers, sizes)
    lines.add(SHARE)
    loaded: dict[Node, str] = {}
    operands = list(zip(pointers.items(), loops.operands, strict=True))
    waiting = [(name, node, moves) for (name, node), moves in operands if name[0] == "x"]

    def load(level: int) -> None:
        for name, node, moves in waiting:
            if (max(moves) if moves else -1) == level:
                value = f"a{name[1:]}"
                lines.add(f"{value} = {fetch(name, node, _index(moves))}")
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
    moved = {name: moves for (name, _), moves in operands}
    for name, node, _ in stores:
        lines.add(store(name, node, _index(moved[name]), formulas.names[node]))
    text = lines.text(group.name, list(formulas.helpers.values()))
    meta = (step.parts, inner, *loops.sizes[1:])
    return Kernel(group.name, text, (*group.inputs, *(target for *_, target in new)), meta)
