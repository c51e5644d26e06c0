"""Samples that count more than others: weights of samples and of classes in ``Model.fit``.

As Keras has it, a loss that is a mean over samples becomes ``Σ wᵢ lossᵢ / n``: the sum is divided
by the number of samples, not by the sum of the weights. Weights travel as one more input, gathered
with each batch. Penalties of parameters, and metrics, are not weighted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphnn.errors import DataError, GraphError
from graphnn.feed import Limits, fitting
from graphnn.graph import Graph
from graphnn.node import Input, Node, Parameter, rebuilt
from graphnn.op import Alias, Reduction
from graphnn.ops.movement.reshape import reshape
from graphnn.optim import Optimizer
from graphnn.spec import BATCH, symbol_name, symbols_in
from graphnn.values import is_number

ClassWeight: TypeAlias = Mapping[int, float]


_N = symbol_name(BATCH)

# Ops through which weights pass to what they read.
_THROUGH = ("add", "accumulate", "subtract", "negative", "cast", "copy", "multiply", "divide")


# The graph.


def weighted_loss(loss: Node, weight: Input) -> Node:
    """The loss in which each mean or sum over samples is one of weighted samples.

    Parameters
    ----------
    loss
        A scalar: sums, differences and multiples of means over the batch, and of what does not
        depend on it.
    weight
        (batch,), of the dtype of the loss.

    Raises
    ------
    GraphError
        If it depends on the batch in another way.
    """
    batched = _batched(loss)
    if loss not in batched:
        raise _no_mean(loss, loss)
    return _weighted(loss, weight, batched, loss)


def _batched(loss: Node) -> set[Node]:
    """What depends on the samples of a batch."""
    found: set[Node] = set()
    for node in Graph(loss).nodes:
        whole = isinstance(node, Input) and any(_N in symbols_in(dim) for dim in node.spec.shape)
        if whole or not found.isdisjoint(node.inputs):
            found.add(node)
    return found


def _weighted(node: Node, weight: Input, batched: set[Node], loss: Node) -> Node:
    if node not in batched:
        return node
    kernel, axes = node.op.kernel, node.attrs.get("axes", ())
    if isinstance(kernel, Reduction) and kernel.kind in ("sum", "mean"):
        (rows,) = node.inputs
        places = [axis for axis in axes if rows.spec.shape[axis] == BATCH]
        if len(places) == 1:
            column = [BATCH if axis == places[0] else 1 for axis in range(rows.ndim)]
            return rebuilt(node, (rows * reshape(weight, column),))
        raise _no_mean(node, loss)
    inside = [value in batched for value in node.inputs]
    through = node.op.name in _THROUGH or isinstance(kernel, Alias)
    factors = node.op.name in ("multiply", "divide")
    if not through or (factors and (sum(inside) > 1 or (node.op.name == "divide" and inside[1]))):
        raise _no_mean(node, loss)
    return rebuilt(node, tuple(_weighted(v, weight, batched, loss) for v in node.inputs))


def _no_mean(node: Node, loss: Node) -> GraphError:
    return GraphError(
        "weights need a loss that is a mean over the samples, plus penalties; "
        f"{loss.name} (declared at {loss.origin}) has {node.name} ({node.op.name}, declared at "
        f"{node.origin}) between. Give the loss an input of weights yourself, or take its mean "
        "over axis 0 last; in place of a loss's weight= give fit class_weight=."
    )


def updates_going_on(rule: Optimizer, loss: Node, old: Sequence[tuple[Parameter, Node]]) -> Any:
    """The updates of another loss of the same parameters; the optimizer's state goes on in them.

    Parameters
    ----------
    rule
        Whose state is that of ``old``.
    loss
        Of the same parameters.
    old
        The updates so far.
    """
    before = len(rule.state)
    made = rule.updates(loss, Graph(loss).parameters)
    del rule.state[:before]
    for (target, _), (source, _) in zip(made, old, strict=True):
        if target is not source:
            target.value = source.value
    return made


# The arrays.


def weights_of_samples(
    weight: Input,
    samples: int,
    targets: Mapping[Input, NDArray[Any]],
    class_weight: ClassWeight | None,
    sample_weight: ArrayLike | None,
    limits: Mapping[Node, Sequence[Limits]] | None = None,
) -> NDArray[Any]:
    """One weight a sample: that of its class times its own; 1 where none is given.

    ``limits``: the ranges in which labels lie, where they are known.

    Raises
    ------
    DataError, ShapeError, DTypeError
        If there is not one finite weight a sample.
    GraphError
        For class weights that are none, and a target that holds no classes.
    """
    found = np.ones(samples, weight.dtype)
    if sample_weight is not None:
        given = np.asarray(sample_weight)
        if given.dtype.kind in "biuf":  # weights are counts or floats of any width
            given = given.astype(weight.dtype)
        found = fitting(weight, given)
        if len(found) != samples:
            raise DataError(f"sample_weight has {len(found)} weights for {samples} samples")
        if not np.isfinite(found).all():
            raise DataError("sample_weight has NaN or Inf")
    if class_weight is None:
        return found
    return np.asarray(found * _of_classes(class_weight, targets, limits or {}), weight.dtype)


def check_class_weight(given: object) -> None:
    """Raise for class weights that are none.

    Raises
    ------
    GraphError
        Unless they are a dict of whole numbers and finite weights.
    """
    if not isinstance(given, Mapping) or not all(
        isinstance(k, int | np.integer) and is_number(v) and np.isfinite(v)
        for k, v in given.items()
    ):
        raise GraphError(
            "class_weight is a dict of classes and finite weights, {0: 1.0, 1: 5.0}; got "
            f"{given!r}"
        )


def _of_classes(
    class_weight: ClassWeight,
    targets: Mapping[Input, NDArray[Any]],
    limits: Mapping[Node, Sequence[Limits]],
) -> NDArray[np.float64]:
    """The weight of each sample's class; of a class that is not named 1, as in Keras."""
    check_class_weight(class_weight)
    labels = _labels(targets)
    _check_classes(class_weight, targets, limits)
    found = np.ones(len(labels))
    for label, weight in class_weight.items():
        found[labels == label] = weight
    return found


def _check_classes(
    class_weight: ClassWeight,
    targets: Mapping[Input, NDArray[Any]],
    limits: Mapping[Node, Sequence[Limits]],
) -> None:
    """A class that there cannot be is a slip; one that no sample has is none."""
    ((node, labels),) = targets.items()
    classes: set[object] = set(range(labels.shape[1])) if labels.ndim == 2 else set()
    for _, high, reader in limits.get(node, ()):
        if isinstance(high, int):
            classes = {*range(high), reader.attrs.get("ignore_index")}
    if len(classes) < 2:  # nothing says which there are
        return
    unknown = [one for one in class_weight if one not in classes]
    if unknown:
        whole = [one for one in classes if one in range(len(classes))]
        raise GraphError(
            f"class_weight has the class {unknown[0]}; the target {node.name} has the classes "
            f"{whole[0]} to {whole[-1]}"
        )


def _labels(targets: Mapping[Input, NDArray[Any]]) -> NDArray[Any]:
    """The class of each sample: whole numbers, yes and no, or the largest of several columns."""
    if len(targets) != 1:
        raise GraphError(f"class_weight needs a loss with one target; it has {len(targets)}")
    ((node, labels),) = targets.items()
    if labels.ndim == 2 and labels.shape[1] > 1 and labels.dtype.kind == "f":
        return np.asarray(labels.argmax(axis=1))
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or (labels.dtype.kind == "f" and (labels != np.rint(labels)).any()):
        raise GraphError(
            f"class_weight needs a class for each sample; the target {node.name} has shape "
            f"{labels.shape}, {labels.dtype}. Give sample_weight, one number a sample."
        )
    return labels
