"""The choice of a phase: one declared graph becomes that of training or that of inference.

Where a phase is chosen, the other one's cotangent is a constant zero; whatever such a zero makes
zero is dropped too, so that nothing of the other phase is left to be computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphnn.graph import needed
from graphnn.node import Constant, Node, Parameter, rebuilt
from graphnn.ops.declare.tangents import additive, bilinear, linear
from graphnn.ops.movement.broadcast import BROADCAST, broadcast_to
from graphnn.ops.training.phase import PHASE, UPDATING
from graphnn.passes import rewrite


@dataclass(frozen=True)
class Phased:
    """A graph in one phase.

    Parameters
    ----------
    outputs
        The wanted nodes, in which no choice is left.
    updates
        What training gives parameters besides the updates of optimizers: running averages.
    """

    outputs: list[Node]
    updates: Mapping[Parameter, Node]


def in_phase(outputs: Sequence[Node], training: bool) -> Phased:
    """The graph as it runs in training, or when nothing is trained.

    In inference dropout passes its input through, and no running average moves.
    """
    zeros: set[Node] = set()
    updates: dict[Parameter, Node] = {}
    done: set[Node] = set()

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        if node.op is PHASE:
            return _chosen(inputs[0 if training and not _is_held(node) else 1], zeros)
        if node.op is UPDATING:
            # A checkpoint computes it twice; it happens once.
            first = _first_of(node)
            if training and first not in done:
                _add_updates(inputs[1:], updates)
                done.add(first)
            return inputs[0]
        if node.op.inference is not None and not training:
            return node.op.inference(node, inputs)
        return _without_zeros(node, inputs, zeros)

    return Phased(rewrite(outputs, visit), updates)


def _is_held(node: Node) -> bool:
    """Whether a choice of the phase follows a running average that training leaves alone."""
    average = node.attrs.get("_average")
    return average is not None and average.held


def _first_of(node: Node) -> Node:
    """What a node is a copy of, or a copy's copy: checkpoints may stand in checkpoints."""
    while node.role == "backward" and node.forward_of is not None:
        node = node.forward_of
    return node


def _chosen(value: Node, zeros: set[Node]) -> Node:
    if _is_constant_zero(value):
        zeros.add(value)
    return value


def _is_constant_zero(node: Node) -> bool:
    while node.op is BROADCAST:
        node = node.inputs[0]
    return isinstance(node, Constant) and not node.array.any()


def _without_zeros(node: Node, inputs: tuple[Node, ...], zeros: set[Node]) -> Node:
    """The node, or what is left of it where inputs are zero.

    Only zeros that the choice of a phase made count: a user's ``x * 0.0`` stays what IEEE says.
    """
    places = {i for i, value in enumerate(inputs) if value in zeros}
    if not places:
        return rebuilt(node, inputs)
    if _vanishes(node, places, len(inputs)):
        zero = broadcast_to(Constant(0, dtype=node.dtype), node.spec.shape)
        zeros.add(zero)
        return zero
    if node.op.name in ("add", "accumulate", "subtract") and node.label is None:
        (place,) = places
        left = inputs[1 - place]
        if node.op.name == "subtract" and place == 0:
            return rebuilt(node, inputs)
        return broadcast_to(left, node.spec.shape)
    return rebuilt(node, inputs)


def _vanishes(node: Node, places: set[int], count: int) -> bool:
    """Whether a node is zero because its inputs at some places are."""
    if node.op.jvp is linear:
        return 0 in places
    if node.op.jvp is bilinear:
        return True
    if node.op.jvp is additive or node.op.name in ("add", "accumulate", "subtract"):
        return len(places) == count
    if node.op.name == "where":  # its gradient writes the one zero itself
        return all(i in places or _is_constant_zero(node.inputs[i]) for i in (1, 2))
    return not places.isdisjoint(node.op.vanishes)


def with_updates_before(node: Node, updates: Mapping[Parameter, Node]) -> Node:
    """The same value, computed from the new values of parameters in place of the old ones."""
    new: dict[Node, Node] = dict(updates.items())
    for one in needed([node]):
        if one not in new:
            new[one] = rebuilt(one, [new[value] for value in one.inputs])
    return new[node]


def _add_updates(pairs: Sequence[Node], updates: dict[Parameter, Node]) -> None:
    """Chain new values to those of earlier nodes: a module that is called twice moves twice."""
    earlier = dict(updates)
    for parameter, new in zip(pairs[::2], pairs[1::2], strict=True):
        assert isinstance(parameter, Parameter)
        if parameter.held:
            continue
        updates[parameter] = with_updates_before(new, earlier)
