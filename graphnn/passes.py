"""Rewrites of a graph before it is scheduled: each is a function from outputs to outputs.

Dead nodes need no pass: a graph is what its outputs need.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from graphnn.graph import needed
from graphnn.node import Constant, Node, Size, apply, rebuilt
from graphnn.op import Alias, Gemm, Leaf, Loop, Part, Reduction
from graphnn.ops.movement.reshape import RESHAPE
from graphnn.ops.movement.transpose import TRANSPOSE
from graphnn.pieces import Pads, Slices, without_new_axis
from graphnn.spec import TensorSpec
from graphnn.turns import Turns

Visit = Callable[[Node, tuple[Node, ...]], Node]


def rewrite(outputs: Sequence[Node], visit: Visit, *, bodies: bool = True) -> list[Node]:
    """The outputs of the graph in which every node is replaced by ``visit(node, new inputs)``.

    ``bodies`` says whether the nodes in the bodies of loops are visited, too.
    """
    new: dict[Node, Node] = {}
    inside: dict[Node, dict[Node, Node]] = {}  # of each loop, the nodes of its body
    order = needed(outputs)
    read: dict[Node, list[Node]] = {}
    for node in order if bodies else ():
        if isinstance(node.op.kernel, Part) and "of" in node.attrs:
            read.setdefault(node.inputs[0], []).append(node.attrs["of"])
    for node in order:
        inputs = tuple(new[value] for value in node.inputs)
        kernel, current = node.op.kernel, node
        if isinstance(kernel, Loop) and bodies:
            body = node.attrs["body"]
            nodes = [*body.nodes, *read.get(node, ())]
            inside[node] = dict(zip(nodes, rewrite(nodes, visit), strict=True))
            attrs = {**node.attrs, "body": body.replaced(inside[node])}
            current = rebuilt(node, node.inputs, attrs)
        elif isinstance(kernel, Part) and "of" in node.attrs and node.inputs[0] in inside:
            attrs = {**node.attrs, "of": inside[node.inputs[0]][node.attrs["of"]]}
            current = rebuilt(node, node.inputs, attrs)
        new[node] = visit(current, inputs)
    return [new[node] for node in outputs]


def without_labels(outputs: Sequence[Node]) -> list[Node]:
    """Views that only say something to differentiation are their input: ``stop_gradient``."""

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        same = isinstance(node.op.kernel, Alias) and node.spec == inputs[0].spec
        return inputs[0] if same and not node.op.waits else rebuilt(node, inputs)

    return rewrite(outputs, visit)


def without_duplicates(outputs: Sequence[Node]) -> list[Node]:
    """Common subexpressions are computed once: same op, same inputs, same attributes."""
    known: dict[object, Node] = {}

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        made = rebuilt(node, inputs)
        return known.setdefault(_identity(made), made)

    return rewrite(outputs, visit)


def _identity(node: Node) -> object:
    if isinstance(node, Constant):
        return ("constant", node.spec, node.array.tobytes())
    if isinstance(node, Size):
        return ("size", node.spec, node.dim)
    if isinstance(node.op.kernel, Leaf):
        return node
    return (node.op, node.inputs, tuple(sorted(node.attrs.items(), key=lambda item: item[0])))


def with_absorbed_transposes(outputs: Sequence[Node]) -> list[Node]:
    """A product takes the transpose of its factors as a flag instead of a copy."""

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        if not isinstance(node.op.kernel, Gemm):
            return rebuilt(node, inputs)
        attrs, factors = dict(node.attrs), list(inputs)
        for place, flag in enumerate(("transpose_a", "transpose_b")):
            while _swaps_last_two(factors[place]):
                factors[place] = factors[place].inputs[0]
                attrs[flag] = not attrs.get(flag, False)
        if attrs.get("transpose_a") and factors[0].ndim > 2 and factors[1].ndim == 2:
            return rebuilt(node, inputs)  # no single product reads it that way
        return rebuilt(node, tuple(factors), attrs)

    return rewrite(outputs, visit)


def _swaps_last_two(node: Node) -> bool:
    if node.op is not TRANSPOSE or node.ndim < 2:
        return False
    kept = tuple(range(node.ndim - 2))
    return bool(node.attrs["axes"] == (*kept, node.ndim - 1, node.ndim - 2))


def with_split_reductions(outputs: Sequence[Node]) -> list[Node]:
    """Axes that are not neighbours are reduced one group after the other."""

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        if not isinstance(node.op.kernel, Reduction):
            return rebuilt(node, inputs)
        (value,) = inputs
        groups = neighbours(node.attrs["axes"])
        for group in reversed(groups[1:]):
            attrs = {"axes": group, "keepdims": True}
            value = rebuilt(node, (value,), attrs, _kept_dims(value.spec, group))
        if len(groups) < 2:
            return rebuilt(node, (value,))
        if node.attrs["keepdims"]:
            return rebuilt(node, (value,), {"axes": groups[0], "keepdims": True})
        value = rebuilt(
            node, (value,), {"axes": groups[0], "keepdims": True}, _kept_dims(value.spec, groups[0])
        )
        return _reshaped(node, value)

    return rewrite(outputs, visit)


def _kept_dims(spec: TensorSpec, axes: Sequence[int]) -> TensorSpec:
    return spec.with_shape([1 if i in axes else dim for i, dim in enumerate(spec.shape)])


def _reshaped(node: Node, value: Node) -> Node:
    made = apply(RESHAPE, [value], {"shape": node.spec.shape})
    return rebuilt(made, made.inputs, like=node)


def neighbours(axes: Sequence[int]) -> list[tuple[int, ...]]:
    """Sorted axes in runs without a gap: (0, 1, 3) to [(0, 1), (3,)]."""
    runs: list[tuple[int, ...]] = []
    for axis in sorted(axes):
        if runs and runs[-1][-1] == axis - 1:
            runs[-1] = (*runs[-1], axis)
        else:
            runs.append((axis,))
    return runs


def with_joined_pads(outputs: Sequence[Node]) -> list[Node]:
    """A sum of pads beside each other, such as the gradient of a split, is one concat."""
    return rewrite(outputs, Pads().visit)


def with_small_transposes(outputs: Sequence[Node]) -> list[Node]:
    """What is sliced is transposed afterwards, what is padded before."""
    return rewrite(outputs, Turns(outputs).visit, bodies=False)


def without_new_axes(outputs: Sequence[Node]) -> list[Node]:
    """Stacks and picked elements do without an axis of size 1."""
    return rewrite(outputs, without_new_axis)


def with_early_slices(outputs: Sequence[Node]) -> list[Node]:
    """Of elementwise results that only slices read, the slices alone are computed."""
    return rewrite(outputs, Slices(outputs).visit)


def with_updates(outputs: Sequence[Node], results: int) -> list[Node]:
    """What reads gradients and only new values need is the update pass: ``w - 0.1 * dw``.

    ``outputs`` are that many results, then new values.
    """
    asked = set(needed(outputs[:results]))

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        by_hand = node.role == "forward" and node not in asked
        reads = any(value.role != "forward" for value in inputs)
        return rebuilt(node, inputs, role="update" if by_hand and reads else None)

    return rewrite(outputs, visit, bodies=False)


PASSES: Mapping[str, Callable[[Sequence[Node]], list[Node]]] = {
    "labels": without_labels,
    "absorb transposes": with_absorbed_transposes,
    "split reductions": with_split_reductions,
    "small transposes": with_small_transposes,
    "join pads": with_joined_pads,
    "drop new axes": without_new_axes,
    "slice early": with_early_slices,
    "common subexpressions": without_duplicates,
}


def simplified(outputs: Sequence[Node]) -> list[Node]:
    """All passes in their order."""
    result: list[Node] = list(outputs)
    for one in PASSES.values():
        result = one(result)
    return result
