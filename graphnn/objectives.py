"""Losses and metrics by name, as ``Model.compile`` takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from graphnn.errors import GraphError
from graphnn.fusion import root
from graphnn.graph import Graph
from graphnn.node import Node, Size, size_of
from graphnn.op import Alias
from graphnn.ops.loss.binary import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    hinge_loss,
    log_loss,
    logit_loss,
)
from graphnn.ops.loss.cross_entropy import cross_entropy, nll_loss
from graphnn.ops.loss.distance import huber_loss, l1_loss, mse_loss, smooth_l1_loss
from graphnn.ops.loss.likelihood import kl_div, poisson_nll_loss
from graphnn.ops.loss.metric import accuracy, binary_accuracy
from graphnn.optim import Optimizer
from graphnn.spec import BATCH, FLOATS, product, symbol_name, symbols_in

_N = symbol_name(BATCH)

Metric = Callable[[Node, Node, Node], Node]

LOSSES: dict[str, Callable[[Node, Node], Node]] = {
    "bce": binary_cross_entropy,
    "bce_with_logits": binary_cross_entropy_with_logits,
    "binary_cross_entropy": binary_cross_entropy,
    "binary_cross_entropy_with_logits": binary_cross_entropy_with_logits,
    "cross_entropy": cross_entropy,
    "hinge": hinge_loss,
    "hinge_loss": hinge_loss,
    "huber": huber_loss,
    "huber_loss": huber_loss,
    "kl_div": kl_div,
    "l1": l1_loss,
    "l1_loss": l1_loss,
    "mae": l1_loss,
    "mse": mse_loss,
    "mse_loss": mse_loss,
    "nll": nll_loss,
    "nll_loss": nll_loss,
    "poisson_nll": poisson_nll_loss,
    "smooth_l1": smooth_l1_loss,
    "smooth_l1_loss": smooth_l1_loss,
}
OF_CLASSES = ("cross_entropy", "nll", "nll_loss")  # losses whose targets are class indices


def right_answers(output: Node, target: Node, loss: Node) -> Node:
    """The share of right answers: of classes, or of yes and no beside a binary cross-entropy."""
    found = [node for node in Graph(loss).nodes if node.op in (log_loss.op, logit_loss.op)]
    logits = [node.op is logit_loss.op for node in found if root(node.inputs[0]) is root(output)]
    if logits and output.spec.shape == target.spec.shape:
        return binary_accuracy(output, target, logits=logits[0])
    if target.dtype not in FLOATS:
        return accuracy(output, target)
    raise GraphError(
        "accuracy counts right classes, or yes and no beside a binary cross-entropy of the output; "
        f"the output is {output.spec}, the target {target.spec}. Pass a node of your own: metrics="
        "{'accuracy': gn.binary_accuracy(output, target, logits=...)}; or measure 'mae'."
    )


def _without_loss(function: Callable[[Node, Node], Node]) -> Metric:
    return lambda output, target, _loss: function(output, target)


METRICS: dict[str, Metric] = {
    "accuracy": right_answers,
    "binary_accuracy": right_answers,
    "l1": _without_loss(l1_loss),
    "mae": _without_loss(l1_loss),
    "mse": _without_loss(mse_loss),
}

# Metrics of training only, by name.
WATCHED: Mapping[str, Callable[[Optimizer], Node]] = {
    "grad_norm": lambda rule: rule.grad_norm,
    "lr": lambda rule: rule.rate * 1.0,  # computed, as what is summed over an epoch has to be
}


def told_apart(
    metrics: Iterable[str] | Mapping[str, Node],
) -> tuple[Iterable[str] | Mapping[str, Node], list[str]]:
    """What is measured in training and evaluation, and what in training only."""
    if isinstance(metrics, Mapping):
        return metrics, []
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    return [n for n in names if n not in WATCHED], [n for n in names if n in WATCHED]


# Ops through which a sum over the batch stays one.
_LINEAR = ("mean", "max", "min", "negative", "cast", "copy", "abs", "transpose")


def per_sample(score: Node) -> Node:
    """What is reported of a loss or metric: a mean over the samples of its batch.

    An epoch weights each batch by its size, which is right for means. A sum over the batch is
    divided by the batch size first, so that no number depends on how the data was cut.
    """
    return score / size_of(BATCH, score.dtype) if _batches_in(score) > 0 else score


def _batches_in(score: Node) -> int:
    """With which power of the batch size a value grows: 0 for a mean, 1 for a sum."""
    powers: dict[Node, int] = {}
    for node in Graph(score).nodes:
        inside = [powers[value] for value in node.inputs]
        powers[node] = _power(node, inside)
    return powers[score]


def _power(node: Node, inside: list[int]) -> int:
    if isinstance(node, Size):
        return int(_N in symbols_in(node.dim))
    name = node.op.name
    if name == "sum":
        (x,) = node.inputs
        gone = product(x.spec.shape[axis] for axis in node.attrs["axes"])
        return inside[0] + int(_N in symbols_in(gone))
    if name in ("add", "subtract"):
        return max(inside)
    if name == "multiply":
        return inside[0] + inside[1]
    if name == "divide":
        return inside[0] - inside[1]
    return inside[0] if name in _LINEAR or isinstance(node.op.kernel, Alias) else 0
