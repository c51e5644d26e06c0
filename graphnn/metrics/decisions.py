"""What a model says, as classes: the largest logit, or which side of a threshold."""

from __future__ import annotations

import math
from dataclasses import dataclass

from graphnn.context import declared_at
from graphnn.errors import GraphError
from graphnn.fusion import root
from graphnn.graph import Graph
from graphnn.node import Constant, Node, apply
from graphnn.ops.elementwise.cast import cast
from graphnn.ops.elementwise.choice import greater
from graphnn.ops.indexing.sorting import argmax
from graphnn.ops.indexing.take import SCATTER_ADD
from graphnn.ops.loss.binary import log_loss, logit_loss
from graphnn.ops.movement.broadcast import broadcast_to
from graphnn.ops.movement.reshape import reshape
from graphnn.spec import FLOATS


def takes_logits(output: Node, target: Node, loss: Node | None) -> bool | None:
    """Whether a binary cross-entropy of the output takes logits; None if there is none."""
    if loss is None or output.spec.shape != target.spec.shape:
        return None
    found = [node for node in Graph(loss).nodes if node.op in (log_loss.op, logit_loss.op)]
    logits = [node.op is logit_loss.op for node in found if root(node.inputs[0]) is root(output)]
    return logits[0] if logits else None


@dataclass(frozen=True)
class Decisions:
    """Classes that were said, and true ones: both int64, in one row.

    Parameters
    ----------
    said, true
        A class for each sample.
    classes
        How many there are.
    """

    said: Node
    true: Node
    classes: int

    def counted(self, places: Node, size: int) -> Node:
        """How often each whole number below ``size`` stands there, float32: exact up to 2²⁴."""
        ones = broadcast_to(Constant(1.0), places.spec.shape)
        return apply(SCATTER_ADD, [ones, places], {"axis": 0, "size": size})


def decisions(
    what: str,
    output: Node,
    target: Node,
    loss: Node | None,
    logits: bool | None,
    threshold: float = 0.5,
) -> Decisions:
    """What is said of each sample, of several classes or of yes and no.

    Raises
    ------
    GraphError
        If the target is neither a class index a row, nor yes and no beside logits or probabilities
        that are known as such.
    """
    classes = output.spec.shape[-1] if output.ndim else None
    labelled = target.dtype in ("int64", "int32") and output.spec.shape[:-1] == target.spec.shape
    if labelled and isinstance(classes, int) and classes > 1 and output.dtype in FLOATS:
        return _in_rows(argmax(output, -1), cast(target, "int64"), classes)
    known = takes_logits(output, target, loss) if logits is None else logits
    if output.spec.shape == target.spec.shape and known is not None:
        border = math.log(threshold / (1 - threshold)) if known else threshold
        true = greater(target, 0.5) if target.dtype in FLOATS else cast(target, "bool")
        said = greater(output, float(border))
        return _in_rows(cast(said, "int64"), cast(true, "int64"), 2)
    raise GraphError(
        f"{what} needs logits (..., classes) and class indices (...,), or one number a sample "
        f"beside a binary cross-entropy of it; the output is {output.spec}, the target "
        f"{target.spec}. Declared at {declared_at()}. For yes and no say which the output is: "
        "logits=True, or logits=False for probabilities."
    )


def _in_rows(said: Node, true: Node, classes: int) -> Decisions:
    size = (said.spec.size,)
    return Decisions(reshape(said, size), reshape(true, size), classes)
