"""What is written in a box and in its tool-tip."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from graphnn.graph import equation
from graphnn.node import Node, Parameter
from graphnn.op import Gemm, Reduction, Scalar
from graphnn.render.folding import Folding, Update, is_leaf
from graphnn.spec import format_shape

LONGEST = 24  # characters of a line in a box; the rest is in the tool-tip
LONGEST_TOOLTIP = 400


def clean(text: str, longest: int = LONGEST) -> str:
    """``text`` without control characters, cut with an ellipsis."""
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def shape_of(node: Node) -> str:
    """The shape, and the dtype if it is not float32."""
    dtype = "" if node.dtype == "float32" else f" {node.dtype}"
    return format_shape(node.spec.shape) + dtype


def value_text(node: Node, names: Mapping[Node, str]) -> str:
    """A value in a tool-tip: its name and shape."""
    return f"{clean(names[node], LONGEST_TOOLTIP)} {shape_of(node)}"


def op_title(nodes: Sequence[Node], of: Node | None) -> str:
    """The op of a box; with a prime if it is the derivative of one, or several that make one.

    Parameters
    ----------
    nodes
        What the box stands for.
    of
        The forward node whose gradient it makes.
    """
    if len(nodes) > 1 and of is not None:
        return clean(f"{of.op.name}'")
    op = nodes[-1].op
    stem = op.name.removesuffix("_backward")
    return clean(op.label or (op.name if stem == op.name else f"{stem}'"))


def op_lines(nodes: Sequence[Node], texts: Mapping[Node, str]) -> list[str]:
    """Under the title of an op: constants and modes, or the ops that share the box; the shape."""
    last = nodes[-1]
    if len(nodes) == 1:
        inside = [*_modes(last), *_arguments(last, texts)]
    else:
        inside = joined(node.op.name for node in nodes)
    return [*inside, shape_of(last)]


def joined(words: Iterable[str], longest: int = 20) -> list[str]:
    """Words with dots between them, broken into lines."""
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + len(word) + 3 <= longest:
            lines[-1] += f" · {word}"
        else:
            lines.append(word)
    return lines


def _modes(node: Node) -> list[str]:
    """How a product takes its factors, and what a reduction runs over."""
    if isinstance(node.op.kernel, Gemm):
        a, b = node.attrs.get("transpose_a"), node.attrs.get("transpose_b")
        return [f"A{'ᵀ' if a else ''} B{'ᵀ' if b else ''}"] if a or b else []
    axes = node.attrs.get("axes", ())
    if isinstance(node.op.kernel, Reduction) and 0 < len(axes) < node.inputs[0].ndim:
        return [f"over ax{'i' if len(axes) == 1 else 'e'}s {', '.join(map(str, axes))}"]
    return []


def _arguments(node: Node, texts: Mapping[Node, str]) -> list[str]:
    """Inputs that have no box: ``scale = 1.7`` where they have names, else ``(·, 2)``."""
    named = zip(_names_of_inputs(node), node.inputs, strict=True)
    written = [(name, value) for name, value in named if value in texts]
    if any(len(name) == 1 for name, _ in written):
        return [f"({', '.join(texts.get(value, '·') for value in node.inputs)})"]
    return [f"{name} {'=' if is_leaf(value) else '~'} {texts[value]}" for name, value in written]


def _names_of_inputs(node: Node) -> Sequence[str]:
    kernel = node.op.kernel
    return kernel.body.params if isinstance(kernel, Scalar) else ["·"] * len(node.inputs)


def update_title(update: Update) -> str:
    """The optimizer's name, from the op that makes the new value: ``Adam``, ``SGD``."""
    if not update.nodes:
        return "assign"
    name = update.nodes[-1].op.name
    if not name.endswith("_update"):
        return name
    word = name.removesuffix("_update")
    return word.upper() if len(word) <= 3 else word.capitalize()


def update_lines(update: Update) -> list[str]:
    """The parameter, the ops of its shape, and the state that they keep."""
    parameter = update.parameter
    inner = [node for node in update.nodes[:-1] if node.spec.shape == parameter.spec.shape]
    words = [node.op.name.removesuffix("_update") for node in inner]
    own_first = sorted(update.state, key=lambda one: one.spec != parameter.spec)
    kept = [clean(_short(one, parameter), 12) for one in own_first]
    return [
        f"{clean(parameter.label or 'parameter', 18)} ← …",
        *joined(words),
        *joined(kept),
    ]


def _short(state: Parameter, parameter: Parameter) -> str:
    """``m`` for the state ``weight.m`` of ``weight``."""
    return (state.label or "state").removeprefix(f"{parameter.label}.")


def leaf_tooltip(node: Node, names: Mapping[Node, str]) -> tuple[str, ...]:
    """What an input or a parameter is, and where it was declared."""
    lines = [f"{names[node]}: {node.op.name} {node.spec}", f"declared at {node.origin}"]
    return tuple(clean(line, LONGEST_TOOLTIP) for line in lines)


def tooltip(nodes: Sequence[Node], names: Mapping[Node, str], folding: Folding) -> tuple[str, ...]:
    """Equations and formulas of all nodes, then the user's line that the last one comes from."""
    last = nodes[-1]
    lines = [f"{names[node]} = {equation(node, names)}{_formula(node)}" for node in nodes]
    written = [value for node in nodes for value in node.inputs if value in folding.texts]
    lines += [
        f"{names[value]} = {equation(value, names)}"
        for value in dict.fromkeys(written)
        if not is_leaf(value)
    ]
    lines += [str(last.spec), _declared(last)]
    return tuple(clean(line, LONGEST_TOOLTIP) for line in lines)


def _declared(node: Node) -> str:
    """The user's line: of a reverse node, the one that declared what it is the reverse of."""
    of = node
    while of.role == "backward" and of.forward_of is not None:
        of = of.forward_of
    reverse = "" if of is node else f"reverse of {of.name}, "
    return f"{reverse}declared at {of.origin}"


def _formula(node: Node) -> str:
    return f"   [{node.op.formula}]" if node.op.formula else ""
