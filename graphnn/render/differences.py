"""Gradients measured: what finite differences say of the values of a graph, node by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from graphnn.backends.reference import evaluate
from graphnn.node import Node
from graphnn.render.document.records import Document, Id

FEW = 16  # elements of a gradient that is measured
STEP = 2e-2  # so wide that the rounding of float32 does not show; Richardson pays for the width

Values = Mapping[Node, NDArray[Any]]


def measured_gradients(
    document: Document, ids: Mapping[Node, Id], values: Values, sizes: Mapping[str, int]
) -> dict[Id, tuple[float, ...]]:
    """What central differences give, for each whole gradient of few elements.

    Neither the kernels nor the reverse rules have a part in it: the loss is computed anew by the
    NumPy references, with one element of the value moved.
    """
    by_id = {name: node for node, name in ids.items()}
    forward = [by_id[one.id] for one in document.graph.nodes if one.pass_ == "forward"]
    found: dict[Id, tuple[float, ...]] = {}
    known: dict[tuple[Id, Id], tuple[float, ...]] = {}
    for record in document.graph.nodes:
        for one in record.gradient_of:
            value, gradient = by_id[one.node], by_id[record.id]
            fits = value in values and gradient in values and value.spec == gradient.spec
            if not one.whole or one.loss is None or not fits or values[value].size > FEW:
                continue
            if by_id[one.loss].spec.shape != ():  # what gn.checkpoint pulls back is not a loss's
                continue
            key = one.node, one.loss
            if key not in known:
                known[key] = _measured(by_id[one.loss], value, forward, values, sizes)
            found[record.id] = known[key]
    return found


def _measured(
    loss: Node, value: Node, forward: Sequence[Node], values: Values, sizes: Mapping[str, int]
) -> tuple[float, ...]:
    moved = {value}
    for node in forward:
        if not moved.isdisjoint(node.inputs):
            moved.add(node)
    kept: dict[Node, Any] = {n: values[n] for n in forward if n in values and n not in moved}

    def at(index: int, shift: float) -> float:
        array = values[value].copy()
        array.reshape(-1)[index] += shift
        return float(evaluate(loss, {**kept, value: array}, sizes))

    def slope(index: int, step: float) -> float:
        return (at(index, step) - at(index, -step)) / (2 * step)

    steps = [STEP * max(1.0, abs(float(x))) for x in values[value].reshape(-1)]
    found = [(4 * slope(i, h / 2) - slope(i, h)) / 3 for i, h in enumerate(steps)]
    return tuple(float(f"{x:.5g}") for x in found)
