"""What is written in a box and in its tool-tip."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from graphnn.plan import readable_bytes, readable_count
from graphnn.render.document.records import Document, Id, Node
from graphnn.render.flat import Flat, scope_of
from graphnn.render.folding import Folding, Update, is_leaf
from graphnn.render.sketch import Piece

LONGEST = 24  # characters of a line in a box; the rest is in the tool-tip
LONGEST_TOOLTIP = 400
_COMPUTED = ("op", "view", "part", "slot")
WAITS = "after"  # the op in which gn.checkpoint holds what it computes from
MOST_TOLD = 12  # nodes of a box whose equations its tool-tip tells


def clean(text: str, longest: int = LONGEST) -> str:
    """``text`` without control characters, cut with an ellipsis."""
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def shape_text(node: Node) -> str:
    """The shape as Python writes a tuple; the batch is None."""
    sizes = ["None" if size == "N" else str(size) for size in node.shape]
    return f"({', '.join(sizes)}{',' * (len(sizes) == 1)})"


def shape_of(node: Node) -> str:
    """The shape, and the dtype if it is not float32."""
    return shape_text(node) + ("" if node.dtype == "float32" else f" {node.dtype}")


def value_text(node: Node) -> str:
    """A value in a tool-tip: its name, shape and bytes."""
    return f"{clean(node.name, LONGEST_TOOLTIP)} {shape_of(node)}, {readable_bytes(node.bytes)}"


class Writer:
    """Writes the texts of boxes."""

    def __init__(self, flat: Flat, folding: Folding) -> None:
        self.flat, self.folding = flat, folding
        self.document: Document = flat.document
        self.buffers = {
            node: buffer for buffer in self.document.graph.memory.buffers for node in buffer.nodes
        }

    # In a box.

    def title(self, piece: Piece) -> str:
        """The op; with a prime if it is the derivative of one, or several that make one."""
        node = self.flat.nodes[piece.last]
        if piece.update is not None:
            return clean(self._update_title(piece.update))
        if piece.kind == "layer":
            prime = "'" if piece.lane == "backward" else ""
            return clean(piece.path[-1] + prime)
        if piece.given:
            return clean(node.label or node.op)
        if piece.kind == "delay":
            step = "t+1" if node.op == "delay_from_next" else "t−1"
            return clean(f"{node.label or 'state'} ({step})")
        of = self.flat.nodes[node.forward_of].op if node.forward_of else None
        if len(piece.nodes) > 1 and of is not None and piece.lane == "backward":
            return clean(f"{of}'")
        name = node.op.partition("#")[0]
        stem = name.removesuffix("_backward")
        label = self.document.ops[node.op].label if node.op in self.document.ops else ""
        return clean(label or (name if stem == name else f"{stem}'"))

    def lines(self, piece: Piece, loss: Id | None) -> tuple[str, ...]:
        """Under the title: the name - of a gradient, what it is by -, then what the op says."""
        if piece.update is not None:
            lines = self._merged_updates(piece) if piece.path else self._update_lines(piece.update)
        elif piece.kind == "layer":
            lines = self._layer_lines(piece)
        elif piece.kind == "delay":
            lines = [*self._starts(piece), shape_of(self.flat.nodes[piece.last])]
        elif piece.given:
            lines = [shape_of(self.flat.nodes[piece.last])]
        else:
            lines = [*self._names(piece, loss), *self._op_lines(piece.nodes)]
        return tuple(map(clean, lines))

    def figures(self, piece: Piece) -> tuple[str, ...]:
        """The step that computes it and its bytes; FLOPs."""
        if piece.kind == "sum":
            return ()
        nodes = [self.flat.nodes[node] for node in piece.nodes]
        last = self.flat.nodes[piece.update.new] if piece.update is not None else _result(nodes)
        found = [] if last.step is None or piece.kind == "layer" else [f"#{last.step}"]
        if piece.update is None:
            found.append(readable_bytes(last.bytes))
        count = readable_count(sum(node.flops for node in nodes))
        flops = "" if count == "0" else f"{count}{'' if ' ' in count else ' '}FLOP"
        return tuple(line for line in (" · ".join(found), flops) if line)

    def _names(self, piece: Piece, loss: Id | None) -> Iterator[str]:
        node = self.flat.nodes[piece.last]
        if loss is not None:
            name = self.flat.nodes[loss].label or "loss"
            yield f"∂{name}/∂{name} = 1"
        by = self.value_of(node)
        if by is not None:
            yield f"∂{by.label}"
        elif self.again(node):
            yield "computed again" if node.op != WAITS else f"{self._held(node)}, kept for it"
        elif node.label:
            yield node.label

    def again(self, node: Node) -> bool:
        """Whether a node of the reverse pass has a value of the forward pass, as checkpoints do."""
        if node.pass_ != "backward" or node.gradient_of:
            return False
        if node.op == WAITS:
            return self.flat.nodes[node.inputs[0]].pass_ == "forward"
        of = self.flat.nodes.get(node.forward_of or "")
        own = not node.name.rpartition(".")[2].startswith("d_")
        return of is not None and of.op == node.op and own

    def _held(self, node: Node) -> str:
        of = self.flat.nodes[node.inputs[0]]
        return of.label or of.op

    def value_of(self, node: Node) -> Node | None:
        """The named value whose gradient a node holds; a parameter before others."""
        found = [self.flat.nodes[one.node] for one in node.gradient_of if one.whole]
        named = [one for one in found if one.label and one.pass_ == "forward"]
        return min(named, key=lambda one: one.kind != "parameter", default=None)

    def _op_lines(self, nodes: Sequence[Id]) -> list[str]:
        last = self.flat.nodes[nodes[-1]]
        if len(nodes) == 1:
            inside = [*self._modes(last), *self._arguments(last)]
        else:
            words = [self.flat.nodes[node].op for node in nodes]
            inside = joined(word for word, _ in groupby(words))
        return [*inside, shape_of(last)]

    def _modes(self, node: Node) -> list[str]:
        """How a product takes its factors, and what a reduction runs over."""
        op = self.document.ops.get(node.op)
        if op is not None and op.form == "Gemm":
            a, b = (node.attrs.get(key) == "True" for key in ("transpose_a", "transpose_b"))
            return [f"A{'ᵀ' if a else ''} B{'ᵀ' if b else ''}"] if a or b else []
        if op is not None and op.form == "Reduction":
            axes = ast.literal_eval(node.attrs.get("axes", "()"))
            if 0 < len(axes) < len(self.flat.nodes[node.inputs[0]].dims):
                return [f"over ax{'i' if len(axes) == 1 else 'e'}s {', '.join(map(str, axes))}"]
        return []

    def _arguments(self, node: Node) -> list[str]:
        """Inputs that have no box: ``scale = 1.7`` where they have names, else ``(·, 2)``."""
        texts = self.folding.texts
        op = self.document.ops.get(node.op)
        names = op.params if op is not None and op.params else ["·"] * len(node.inputs)
        written = [(n, v) for n, v in zip(names, node.inputs, strict=False) if v in texts]
        if any(len(name) == 1 for name, _ in written):
            return [f"({', '.join(texts.get(value, '·') for value in node.inputs)})"]
        return [
            f"{name} {'=' if is_leaf(self.flat.nodes[value]) else '~'} {texts[value]}"
            for name, value in written
        ]

    def _starts(self, piece: Piece) -> Iterator[str]:
        """Where a loop's state starts, if that has no box."""
        for value in self.flat.nodes[piece.last].inputs:
            if value in self.folding.texts:
                yield f"starts at {self.folding.texts[value]}"

    def _update_title(self, update: Update) -> str:
        """The optimizer's name, from the op that makes the new value: ``Adam``, ``SGD``."""
        if not update.nodes:
            return "assign"
        name = self.flat.nodes[update.nodes[-1]].op
        if not name.endswith("_update"):
            return name
        word = name.removesuffix("_update")
        return word.upper() if len(word) <= 3 else word.capitalize()

    def _update_lines(self, update: Update) -> list[str]:
        """The parameter, the ops of its shape, and the state that they keep."""
        nodes = self.flat.nodes
        parameter = nodes[update.parameter]
        inner = [nodes[one] for one in update.nodes[:-1]]
        words = [n.op.removesuffix("_update") for n in inner if n.shape == parameter.shape]
        state = [nodes[one] for one in update.state]
        own_first = sorted(
            state, key=lambda one: (one.shape, one.dtype) != (parameter.shape, parameter.dtype)
        )
        short = [(n.label or "state").removeprefix(f"{parameter.label}.") for n in own_first]
        kept = [clean(name, 12) for name in short]
        return [f"{clean(parameter.label or 'parameter', 18)} ← …", *joined(words), *joined(kept)]

    def _merged_updates(self, piece: Piece) -> list[str]:
        return [f"{piece.merged} parameters ← …"] if piece.merged > 1 else ["parameter ← …"]

    def _layer_lines(self, piece: Piece) -> list[str]:
        nodes = [self.flat.nodes[node] for node in piece.nodes]
        layers = {scope.path: scope.layer for scope in self.document.scopes}
        own = next((node for node in nodes if node.kind != "parameter"), nodes[0])
        kind = layers.get(".".join(scope_of(own)[: len(piece.path)]))
        held = sum(_count(node) for node in nodes if node.kind == "parameter")
        ops = [node for node in nodes if node.kind in _COMPUTED]
        return [
            *([kind] if kind else []),
            f"{len(ops)} op{'s' * (len(ops) != 1)}",
            *([f"{readable_count(held)} parameter{'s' * (held != 1)}"] if held else []),
            shape_of(_result(nodes)),
        ]

    # In a tool-tip.

    def tooltip(self, piece: Piece) -> tuple[str, ...]:
        """Equations, formulas, gradient formulas, the kernel, the buffer, the user's line."""
        nodes = [self.flat.nodes[node] for node in piece.nodes]
        last = nodes[-1]
        if piece.given:
            spec = f"{last.name}: {last.op} {last.dtype} {shape_text(last)}"
            lines = [spec, *self._declared(last)]
        else:
            lines = [self._equation(node) for node in nodes[-MOST_TOLD:]]
            lines += self._written_out(nodes[-MOST_TOLD:])
            lines += self._rules(nodes[-MOST_TOLD:])
            lines += [f"{last.dtype} {shape_text(last)}, {readable_bytes(last.bytes)}"]
            lines += [*self._stepped(last), *self._declared(last)]
        return tuple(clean(line, LONGEST_TOOLTIP) for line in lines)

    def _equation(self, node: Node) -> str:
        op = self.document.ops.get(node.op)
        formula = f"   [{op.formula}]" if op is not None and op.formula else ""
        return f"{node.name} = {node.equation}{formula}"

    def _written_out(self, nodes: Iterable[Node]) -> list[str]:
        """The draws that have no box of their own."""
        inside = [v for node in nodes for v in node.inputs if v in self.folding.texts]
        found = [self.flat.nodes[value] for value in dict.fromkeys(inside)]
        return [f"{node.name} = {node.equation}" for node in found if not is_leaf(node)]

    def _rules(self, nodes: Iterable[Node]) -> list[str]:
        """What the reverse pass gives the inputs of a forward op."""
        ops = [
            self.document.ops[n.op]
            for n in nodes
            if n.pass_ == "forward" and n.op in self.document.ops
        ]
        return [f"reverse: {rule}" for op in ops[-1:] for rule in op.gradient]

    def _stepped(self, node: Node) -> Iterator[str]:
        steps = {step.number: step for step in self.document.graph.steps}
        if node.step in steps:
            yield f"step {node.step}, kernel {steps[node.step].name}"
        buffer = self.buffers.get(node.view_of or node.id)
        if buffer is not None:
            yield (
                f"buffer {buffer.slot}: {readable_bytes(buffer.bytes)} at {buffer.offset}, "
                f"steps {buffer.first} to {buffer.last}"
            )

    def _declared(self, node: Node) -> list[str]:
        if node.at is None:
            return []
        of = self.flat.nodes.get(node.forward_of or "")
        reverse = "" if of is None else f"reverse of {of.name}, "
        return [f"{reverse}declared at {node.at.file}:{node.at.line}"]


def _result(nodes: Sequence[Node]) -> Node:
    """The last that a box computes, beside the parameters that it holds."""
    return next((node for node in reversed(nodes) if node.kind in _COMPUTED), nodes[-1])


def _count(node: Node) -> int:
    total = 1
    for size in node.dims:
        total *= size
    return total


def joined(words: Iterable[str], longest: int = 20) -> list[str]:
    """Words with dots between them, broken into lines."""
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + len(word) + 3 <= longest:
            lines[-1] += f" · {word}"
        else:
            lines.append(word)
    return lines


def names_of(piece: Piece, nodes: Mapping[Id, Node]) -> tuple[str, ...]:
    """The nodes of a box as ``print(graph)`` names them."""
    return tuple(nodes[node].name for node in piece.nodes)
