"""Losses, metrics and optimizers by name, as ``Model.compile`` takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, get_args

from graphnn import optim
from graphnn.errors import GraphError, ShapeError
from graphnn.graph import Graph
from graphnn.hints import did_you_mean
from graphnn.metrics.classification import (
    Average,
    ConfusionMatrix,
    F1Score,
    Precision,
    Recall,
    TopKAccuracy,
)
from graphnn.metrics.decisions import takes_logits
from graphnn.metrics.metric import Metric
from graphnn.metrics.regression import R2Score
from graphnn.node import Input, Node, Size, size_of
from graphnn.op import Alias
from graphnn.ops.loss.binary import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
)
from graphnn.ops.loss.cross_entropy import cross_entropy, nll_loss
from graphnn.ops.loss.distance import huber_loss, l1_loss, mse_loss, smooth_l1_loss
from graphnn.ops.loss.likelihood import kl_div, poisson_nll_loss
from graphnn.ops.loss.margin import hinge_loss
from graphnn.ops.loss.metric import accuracy, binary_accuracy
from graphnn.ops.training.tally import TALLY
from graphnn.optim import Optimizer
from graphnn.spec import BATCH, FLOATS, product, symbol_name, symbols_in

_N = symbol_name(BATCH)

Measure = Callable[[Node, Node, Node], Node]
Given: TypeAlias = "str | Metric | Iterable[str | Metric] | Mapping[str, Node | Metric]"

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
    logits = takes_logits(output, target, loss)
    if logits is not None:
        return binary_accuracy(output, target, logits=logits)
    if target.dtype not in FLOATS:
        return accuracy(output, target)
    raise GraphError(
        "accuracy counts right classes, or yes and no beside a binary cross-entropy of the output; "
        f"the output is {output.spec}, the target {target.spec}. Pass a node of your own: metrics="
        "{'accuracy': gn.binary_accuracy(output, target, logits=...)}; or measure 'mae'."
    )


def _without_loss(function: Callable[[Node, Node], Node]) -> Measure:
    return lambda output, target, _loss: function(output, target)


METRICS: dict[str, Measure] = {
    "accuracy": right_answers,
    "binary_accuracy": right_answers,
    "confusion_matrix": ConfusionMatrix(),
    "l1": _without_loss(l1_loss),
    "mae": _without_loss(l1_loss),
    "mse": _without_loss(mse_loss),
    "r2": R2Score(),
    "top_k": TopKAccuracy(name="top_k"),
}
for _kind in (F1Score, Precision, Recall):
    for _average in get_args(Average):
        _made = _kind(_average)
        METRICS[_made.name] = _made  # scikit-learn's names: "f1", "f1_macro", ...

# Metrics of training only, by name.
WATCHED: Mapping[str, Callable[[Optimizer], Node]] = {
    "grad_norm": lambda rule: rule.grad_norm,
    "lr": lambda rule: rule.rate * 1.0,  # computed, as what is summed over an epoch has to be
}


def told_apart(metrics: Given) -> tuple[Given, list[str]]:
    """What is measured in training and evaluation, and what in training only."""
    if isinstance(metrics, Mapping):
        return metrics, []
    given = [metrics] if isinstance(metrics, str | Metric) else list(metrics)
    watched = [one for one in given if isinstance(one, str) and one in WATCHED]
    return [one for one in given if one not in watched], watched


# What ``Model.compile`` is given, as nodes.


def declared_loss(loss: object, outputs: Sequence[Node]) -> Node:
    """A loss that is a node, or one that is declared by name, with its target as an input ``y``.

    Raises
    ------
    GraphError
        If it is neither, or the name needs a model with one output.
    """
    if isinstance(loss, Node):
        return loss
    if not isinstance(loss, str) or loss not in LOSSES:
        raise _no_loss(loss)
    output = _only(outputs, f"loss={loss!r}")
    if loss in OF_CLASSES:
        shape, dtype = output.spec.shape[:-1], "int64"
    else:
        shape, dtype = output.spec.shape, output.dtype
    target = Input([None if dim == BATCH else dim for dim in shape], dtype, name="y")
    return LOSSES[loss](output, target)


def declared_metrics(
    metrics: Given, outputs: Sequence[Node], targets: Sequence[Input], loss: Node
) -> dict[str, Node]:
    """Metrics by name: nodes, metrics, or names of what is measured beside a loss.

    Raises
    ------
    GraphError, ShapeError
        For unknown names, several candidates for the target, or nodes that are no scalars.
    """
    if isinstance(metrics, Mapping):
        pairs = list(metrics.items())
    else:
        several = [metrics] if isinstance(metrics, str | Metric) else metrics
        pairs = [_named(one) for one in several]
    made: dict[str, Node] = {}
    for name, given in pairs:
        if name in made:
            raise GraphError(f"two metrics are named {name!r}: give one another name, name=...")
        if callable(given) and not isinstance(given, Node):
            given = given(_only(outputs, f"metrics=[{name!r}]"), _target(targets, name), loss)
        _check_metric(name, given)
        made[name] = given
    return made


def _named(given: object) -> tuple[str, Any]:
    """A metric and its name."""
    if isinstance(given, Metric):
        return given.name, given
    if not isinstance(given, str) or given not in METRICS:
        made = isinstance(given, type) and issubclass(given, Metric)
        fix = f" Make one: gn.metrics.{given.__name__}()." if made else ""  # type: ignore[attr-defined]
        raise GraphError(
            f"a metric is one of {sorted([*METRICS, *WATCHED])}; got {given!r}."
            f"{fix or did_you_mean(given, [*METRICS, *WATCHED])}"
        )
    return given, METRICS[given]


def _target(targets: Sequence[Input], name: str) -> Input:
    if len(targets) != 1:
        names = ", ".join(node.name for node in targets) or "none"
        raise GraphError(
            f"metrics=[{name!r}] needs a loss with one target; it has {names}. Pass "
            f"metrics={{{name!r}: node}}."
        )
    return targets[0]


def _only(outputs: Sequence[Node], why: str) -> Node:
    if len(outputs) != 1:
        raise GraphError(
            f"{why} needs a model with one output; it has {len(outputs)}. Declare the node "
            "yourself and pass it."
        )
    return outputs[0]


def _no_loss(given: object) -> GraphError:
    called = getattr(given, "__name__", None)
    fix = f" Call it: gn.{called}(output, target)." if called in LOSSES else ""
    if not fix and callable(given):
        fix = " Call it, and pass the node: y = gn.Input(...), loss=function(output, y)."
    return GraphError(
        f"loss is a node or one of {sorted(LOSSES)}; got {given!r}."
        f"{fix or did_you_mean(given, LOSSES)}"
    )


def _check_metric(name: str, node: object) -> None:
    if not isinstance(node, Node):
        raise GraphError(f"metrics[{name!r}] is a node; got {node!r}")
    if node.op is not TALLY and (node.shape != () or node.dtype not in FLOATS):
        raise ShapeError(
            f"metrics[{name!r}] must be a float scalar, a mean over the batch; {node.name} is "
            f"{node.spec}. Declared at {node.origin}. Take gn.mean of it."
        )


# What is reported of them.

# Ops through which a sum over the batch stays one.
_LINEAR = ("mean", "max", "min", "negative", "cast", "copy", "abs", "transpose")


def per_sample(score: Node) -> Node:
    """What is reported of a loss or metric: a mean over the samples of its batch.

    An epoch weights each batch by its size, which is right for means. A sum over the batch is
    divided by the batch size first, so that no number depends on how the data was cut. Tallies are
    summed as they are.
    """
    if score.op is TALLY:
        return score
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


# Optimizers.


def chosen_optimizer(given: object, settings: Mapping[str, Any]) -> optim.Optimizer:
    """An optimizer that is given, or one by name with its settings.

    Raises
    ------
    GraphError
        If it is neither, or settings stand beside an optimizer that is made.
    """
    if isinstance(given, str):
        return optim.by_name(given, **settings)
    if not isinstance(given, optim.Optimizer):
        raise _no_optimizer(given)
    if settings:
        name, value = next(iter(settings.items()))
        raise GraphError(
            f"{name} is a setting of the optimizer: optim.{type(given).__name__}({name}={value!r})."
            " Beside it, compile takes loss, metrics and device."
        )
    return given


def _no_optimizer(given: object) -> GraphError:
    a_class = isinstance(given, type) and issubclass(given, optim.Optimizer)
    fix = f" Make one: optim.{given.__name__}()." if a_class else ""  # type: ignore[attr-defined]
    return GraphError(f"optimizer is optim.Adam(lr=1e-3), or a name; got {given!r}.{fix}")
