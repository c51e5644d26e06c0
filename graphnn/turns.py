"""Transposes of the smaller thing: after a slice, before a pad.

``output[:, -1]`` of a recurrent layer is a slice of all states turned batch-first, and its reverse
turns a pad that is nothing but zeros elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphnn.graph import needed
from graphnn.node import Node, apply, rebuilt
from graphnn.op import Op
from graphnn.ops.movement.slicing import PAD, SLICE
from graphnn.ops.movement.transpose import TRANSPOSE


class Turns:
    """For a rewrite: a slice goes before a transpose that only slices read; a pad goes after."""

    def __init__(self, outputs: Sequence[Node]) -> None:
        order = needed(outputs)
        others = {value for node in order if node.op is not SLICE for value in node.inputs}
        whole = {value for node in order if node.op is not TRANSPOSE for value in node.inputs}
        asked = set(outputs)
        self.cut = {n for n in order if n.op is TRANSPOSE and n not in others | asked}
        self.padded = {n for n in order if n.op is PAD and n not in whole | asked}
        self.new: set[Node] = set()

    def visit(self, node: Node, inputs: tuple[Node, ...]) -> Node:
        """The node on its new inputs, or the two in the other order."""
        made = rebuilt(node, inputs)
        if node in self.cut or node in self.padded:
            self.new.add(made)
        if node.op is SLICE and inputs[0] in self.new and inputs[0].op is TRANSPOSE:
            axes = inputs[0].attrs["axes"]
            attrs = {key: _before(each, axes) for key, each in node.attrs.items()}
            return _swapped(SLICE, attrs, TRANSPOSE, {"axes": axes}, inputs[0], node)
        if node.op is TRANSPOSE and inputs[0] in self.new and inputs[0].op is PAD:
            axes = node.attrs["axes"]
            attrs = {
                key: each if key == "value" else tuple(each[axis] for axis in axes)
                for key, each in inputs[0].attrs.items()
            }
            return _swapped(TRANSPOSE, {"axes": axes}, PAD, attrs, inputs[0], node)
        return made


def _before(each: Sequence[Any], axes: Sequence[int]) -> tuple[Any, ...]:
    """What belongs to the axes of a transpose, for those of its input."""
    found = dict(zip(axes, each, strict=True))
    return tuple(found[axis] for axis in range(len(axes)))


def _swapped(
    first: Op, given: dict[str, Any], second: Op, then: dict[str, Any], past: Node, like: Node
) -> Node:
    inner = apply(first, past.inputs, given)
    outer = apply(second, [rebuilt(inner, inner.inputs, like=past)], then)
    return rebuilt(outer, outer.inputs, like=like)
