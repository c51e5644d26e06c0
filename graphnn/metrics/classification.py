"""Precision, recall, F1 and the confusion matrix, as scikit-learn has them; top-k accuracy."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from graphnn.errors import GraphError
from graphnn.metrics.decisions import Decisions, decisions
from graphnn.metrics.metric import Metric
from graphnn.node import Node
from graphnn.ops.elementwise.choice import equal, where
from graphnn.ops.loss.metric import top_k_accuracy
from graphnn.ops.movement.joining import stack
from graphnn.ops.movement.reshape import reshape
from graphnn.values import is_number

Average: TypeAlias = Literal["binary", "micro", "macro", "weighted"]
Float64: TypeAlias = NDArray[np.float64]


class _OfClasses(Metric):
    """A measure of the classes that a model says."""

    def __init__(
        self, name: str, logits: bool | None, threshold: float, array: bool = False
    ) -> None:
        super().__init__(self._undecided, self._measured, name, array=array)
        if logits is not None and not isinstance(logits, bool):
            raise GraphError(f"{name}: logits is True, False or None; got {logits!r}")
        if not is_number(threshold) or not 0 < threshold < 1:
            raise GraphError(f"{name}: threshold is a probability in (0, 1); got {threshold!r}")
        self.logits, self.threshold = logits, threshold

    def _declared(self, output: Node, target: Node, loss: Node | None) -> Node:
        found = decisions(self.name, output, target, loss, self.logits, self.threshold)
        return self._counts(found)

    def _undecided(self, output: Node, target: Node) -> Node:
        return self._declared(output, target, None)

    def _counts(self, found: Decisions) -> Node:
        raise NotImplementedError

    def _measured(self, total: Float64) -> float | Float64:
        raise NotImplementedError


class ConfusionMatrix(_OfClasses):
    """How often class j (column) was said of class i (row), over the whole set.

    The history has it as nested lists, one an epoch; progress, logs and curves leave it out.

    Parameters
    ----------
    logits, threshold
        As for :class:`F1Score`.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((None, 2), name="x")
    >>> model = gn.Model(x, x * gn.Parameter(np.float32(1), name="w"))
    >>> model.compile("sgd", "cross_entropy", metrics=["confusion_matrix"])
    >>> X = np.float32([[2, 1], [0, 1], [0, 3]])
    >>> model.evaluate(X, np.array([0, 0, 1]))["confusion_matrix"]
    [[1, 1], [0, 1]]
    """

    def __init__(self, logits: bool | None = None, threshold: float = 0.5) -> None:
        super().__init__("confusion_matrix", logits, threshold, array=True)

    def _counts(self, found: Decisions) -> Node:
        size = found.classes
        counts = found.counted(found.true * size + found.said, size * size)
        return reshape(counts, (size, size))

    def _measured(self, total: Float64) -> Float64:
        return np.rint(total).astype(np.int64)


class _OfCounts(_OfClasses):
    """A measure of what was said rightly, what was said, and what is true, of each class."""

    kind: str

    def __init__(
        self,
        average: Average | None = "binary",
        pos_label: int = 1,
        zero_division: float = 0.0,
        *,
        logits: bool | None = None,
        threshold: float = 0.5,
    ) -> None:
        suffix = {"binary": "", None: "_of_each"}.get(average, f"_{average}")
        super().__init__(self.kind + suffix, logits, threshold, array=average is None)
        if average is not None and average not in get_args(Average):
            raise GraphError(
                f"{self.kind}: average is one of {', '.join(get_args(Average))} or None; got "
                f"{average!r}"
            )
        if pos_label not in (0, 1):
            raise GraphError(f"{self.kind}: pos_label is 0 or 1; got {pos_label!r}")
        if not is_number(zero_division):
            raise GraphError(f"{self.kind}: zero_division is a number; got {zero_division!r}")
        self.average, self.pos_label, self.zero_division = average, pos_label, zero_division

    def _counts(self, found: Decisions) -> Node:
        if self.average == "binary" and found.classes != 2:
            raise GraphError(
                f"{self.name}: average='binary' is of two classes, and the output has "
                f"{found.classes}. Say how they are averaged: average='macro', 'micro' or "
                "'weighted'."
            )
        right = where(equal(found.said, found.true), found.true, -1)  # -1 is nobody's place
        return stack([found.counted(one, found.classes) for one in (right, found.said, found.true)])

    def _measured(self, total: Float64) -> float | Float64:
        right, said, true = total
        if self.average == "binary":
            return float(self._of(right, said, true)[self.pos_label])
        if self.average == "micro":
            return float(self._of(right.sum(), said.sum(), true.sum()))
        each = self._of(right, said, true)
        if self.average is None:
            return each
        met = (said + true) > 0  # scikit-learn's labels: those that were said or are true
        weights = true if self.average == "weighted" else met.astype(np.float64)
        return float(each @ weights / weights.sum()) if weights.any() else self.zero_division

    def _of(self, right: Float64, said: Float64, true: Float64) -> Float64:
        raise NotImplementedError

    def _share(self, part: Float64, whole: Float64) -> Float64:
        empty = whole == 0
        return np.asarray(np.where(empty, self.zero_division, part / np.where(empty, 1, whole)))


class Precision(_OfCounts):
    """Of those that were said to be of a class, the share that is: scikit-learn's precision.

    Parameters as for :class:`F1Score`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.metrics.Precision("macro")
    <metric precision_macro>
    """

    kind = "precision"

    def _of(self, right: Float64, said: Float64, true: Float64) -> Float64:
        return self._share(right, said)


class Recall(_OfCounts):
    """Of those that are of a class, the share that was said to be: scikit-learn's recall.

    Parameters as for :class:`F1Score`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.metrics.Recall("macro")
    <metric recall_macro>
    """

    kind = "recall"

    def _of(self, right: Float64, said: Float64, true: Float64) -> Float64:
        return self._share(right, true)


class F1Score(_OfCounts):
    """The harmonic mean of precision and recall, ``2 TP / (2 TP + FP + FN)``, of the whole set.

    As scikit-learn's ``f1_score``, by whose names a model takes it: ``metrics=["f1_macro"]``.

    Parameters
    ----------
    average
        ``"binary"``: of the class ``pos_label`` of two; ``"macro"``: the mean over classes, of
        those that were said or are true; ``"weighted"``: that mean, weighted by how many are of
        a class; ``"micro"``: of all decisions together; None: an array, one a class.
    pos_label
        0 or 1.
    zero_division
        What stands for 0 / 0.
    logits
        Of an output with one number a sample: True for logits, False for probabilities. None: as
        the binary cross-entropy says that is the loss.
    threshold
        The probability above which that says yes.

    Raises
    ------
    GraphError
        For other settings, and when model and target are not of that kind.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((None, 3), name="x")
    >>> model = gn.Model(x, x * gn.Parameter(np.float32(1), name="w"))
    >>> model.compile("sgd", "cross_entropy", metrics=[gn.metrics.F1Score("macro")])
    >>> X = np.eye(3, dtype=np.float32)[[0, 0, 1, 2]]
    >>> round(model.evaluate(X, np.array([0, 1, 1, 2]))["f1_macro"], 4)
    0.7778
    """

    kind = "f1"

    def _of(self, right: Float64, said: Float64, true: Float64) -> Float64:
        return self._share(2 * right, said + true)


class TopKAccuracy(Metric):
    """Share of samples whose label is among the ``k`` largest logits: a mean over samples.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.metrics.TopKAccuracy(3)
    <metric top_3>
    """

    def __init__(self, k: int = 5, name: str | None = None) -> None:
        super().__init__(self._share, float, name or f"top_{k}")
        self.k = k

    def _share(self, output: Node, target: Node) -> Node:
        return top_k_accuracy(output, target, self.k, name=self.name)

    def __call__(self, output: Node, target: Node, loss: Node | None = None) -> Node:
        """The share in a batch."""
        return self._share(output, target)
