"""Losses of classes and of likeness, with torch's names; they hold no parameters."""

from __future__ import annotations

from typing import Any

from graphnn.nn.loss import Loss
from graphnn.nn.module import Module
from graphnn.node import Node, NodeLike
from graphnn.ops.loss import binary, cross_entropy, margin
from graphnn.ops.loss.comparison import ReductionName


class BCELoss(Loss):
    """Cross-entropy of probabilities: see :func:`graphnn.binary_cross_entropy`.

    Examples
    --------
    >>> import graphnn as gn
    >>> x, t = gn.Input((None, 3)), gn.Input((None, 3))
    >>> gn.nn.BCELoss()(gn.sigmoid(x), t).shape
    ()
    """

    def __init__(
        self,
        weight: NodeLike | None = None,
        reduction: ReductionName = "mean",
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name=name)
        self.weight = weight

    def forward(self, prediction: Node, target: NodeLike) -> Node:
        """Declare the loss."""
        return binary.binary_cross_entropy(prediction, target, self.weight, self.reduction)


class BCEWithLogitsLoss(Loss):
    """Sigmoid and cross-entropy: see :func:`graphnn.binary_cross_entropy_with_logits`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.BCEWithLogitsLoss(pos_weight=3.0)(gn.Input((None, 3)), gn.Input((None, 3))).shape
    ()
    """

    def __init__(
        self,
        weight: NodeLike | None = None,
        reduction: ReductionName = "mean",
        pos_weight: NodeLike | None = None,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name=name)
        self.weight, self.pos_weight = weight, pos_weight

    def forward(self, prediction: Node, target: NodeLike) -> Node:
        """Declare the loss."""
        return binary.binary_cross_entropy_with_logits(
            prediction, target, self.weight, self.reduction, self.pos_weight
        )


class CrossEntropyLoss(Loss):
    """Softmax and cross-entropy: see :func:`graphnn.cross_entropy`.

    Classes lie on the last axis, where torch has them on axis 1; nothing is ignored unasked.

    Examples
    --------
    >>> import graphnn as gn
    >>> x, labels = gn.Input((None, 3)), gn.Input((None,), dtype="int64")
    >>> gn.nn.CrossEntropyLoss(label_smoothing=0.1)(x, labels).shape
    ()
    """

    def __init__(
        self,
        weight: NodeLike | None = None,
        ignore_index: int | None = None,
        reduction: ReductionName = "mean",
        label_smoothing: float = 0.0,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name=name)
        self.weight, self.ignore_index = weight, ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, logits: Node, labels: NodeLike) -> Node:
        """Declare the loss."""
        return cross_entropy.cross_entropy(
            logits,
            labels,
            self.reduction,
            weight=self.weight,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(Loss):
    """Negative log-likelihood of the true class: see :func:`graphnn.nll_loss`.

    Examples
    --------
    >>> import graphnn as gn
    >>> x, labels = gn.Input((None, 3)), gn.Input((None,), dtype="int64")
    >>> gn.nn.NLLLoss(reduction="none")(gn.log_softmax(x), labels).shape
    (None,)
    """

    def __init__(
        self,
        weight: NodeLike | None = None,
        ignore_index: int | None = None,
        reduction: ReductionName = "mean",
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name=name)
        self.weight, self.ignore_index = weight, ignore_index

    def forward(self, log_probabilities: Node, labels: NodeLike) -> Node:
        """Declare the loss."""
        return cross_entropy.nll_loss(
            log_probabilities,
            labels,
            self.reduction,
            weight=self.weight,
            ignore_index=self.ignore_index,
        )


class HingeEmbeddingLoss(Loss):
    """A distance, or what it lacks to ``margin``: see :func:`graphnn.hinge_embedding_loss`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.HingeEmbeddingLoss()(gn.Input((None, 3)), gn.Input((None, 3))).shape
    ()
    """

    def __init__(
        self, margin: float = 1.0, reduction: ReductionName = "mean", *, name: str | None = None
    ) -> None:
        super().__init__(reduction, name=name)
        self.margin = margin

    def forward(self, prediction: Node, target: NodeLike) -> Node:
        """Declare the loss."""
        return margin.hinge_embedding_loss(prediction, target, self.margin, self.reduction)


class SoftMarginLoss(Loss):
    """``ln(1 + exp(-t x))``: see :func:`graphnn.soft_margin_loss`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.SoftMarginLoss()(gn.Input((None, 3)), gn.Input((None, 3))).shape
    ()
    """

    def forward(self, prediction: Node, target: NodeLike) -> Node:
        """Declare the loss."""
        return margin.soft_margin_loss(prediction, target, self.reduction)


class MultiMarginLoss(Loss):
    """Hinge loss of classes: see :func:`graphnn.multi_margin_loss`.

    Examples
    --------
    >>> import graphnn as gn
    >>> x, labels = gn.Input((None, 3)), gn.Input((None,), dtype="int64")
    >>> gn.nn.MultiMarginLoss(p=2)(x, labels).shape
    ()
    """

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: NodeLike | None = None,
        reduction: ReductionName = "mean",
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name=name)
        self.p, self.margin, self.weight = p, margin, weight

    def forward(self, prediction: Node, labels: NodeLike) -> Node:
        """Declare the loss."""
        return margin.multi_margin_loss(
            prediction, labels, self.p, self.margin, self.weight, self.reduction
        )


class CosineEmbeddingLoss(Loss):
    """Loss of the angle of pairs: see :func:`graphnn.cosine_embedding_loss`.

    Examples
    --------
    >>> import graphnn as gn
    >>> a, b = gn.Input((None, 8)), gn.Input((None, 8))
    >>> gn.nn.CosineEmbeddingLoss()(a, b, gn.Input((None,))).shape
    ()
    """

    def __init__(
        self, margin: float = 0.0, reduction: ReductionName = "mean", *, name: str | None = None
    ) -> None:
        super().__init__(reduction, name=name)
        self.margin = margin

    def forward(self, x1: Node, x2: NodeLike, target: NodeLike) -> Node:
        """Declare the loss."""
        return margin.cosine_embedding_loss(x1, x2, target, self.margin, self.reduction)


class CosineSimilarity(Module):
    """Cosine of the angle between vectors: see :func:`graphnn.cosine_similarity`.

    Examples
    --------
    >>> import graphnn as gn
    >>> a, b = gn.Input((None, 8)), gn.Input((None, 8))
    >>> gn.nn.CosineSimilarity()(a, b).shape
    (None,)
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8, *, name: str | None = None) -> None:
        super().__init__(name)
        self.dim, self.eps = dim, eps

    def forward(self, x1: Node, x2: Any) -> Node:
        """Declare the op."""
        return margin.cosine_similarity(x1, x2, self.dim, self.eps)
