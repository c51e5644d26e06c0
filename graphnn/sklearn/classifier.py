"""Classification by a network, for scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, log_expit, log_softmax, softmax
from sklearn.base import ClassifierMixin
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import validate_data

from graphnn.sklearn.estimator import Array, GraphEstimator


class GraphClassifier(ClassifierMixin, GraphEstimator):
    """A network that tells classes apart: two, many, or several labels a sample.

    Two classes have one logit and a binary cross-entropy, more have a softmax. Arguments that
    scikit-learn's ``MLPClassifier`` has bear its names; the learning rate and weight decay are
    named as in torch, and epochs what they are.

    float32 data is learned from in float32, all else in float64, as scikit-learn does:
    ``X.astype(np.float32)`` halves the time of large networks. With ``build`` the weights decide.

    Parameters
    ----------
    hidden_layer_sizes
        Units of each hidden layer: ``(100,)``, or ``()`` for logistic regression.
    build
        A network of one's own: called with (n_features, n_outputs), it returns a module that maps
        (N, n_features) to (N, n_outputs) logits, in place of the three arguments beside it. A
        function of a module can be pickled, a lambda can not.
    activation
        After each hidden layer: ``"relu"``, ``"tanh"``, ``"logistic"``, ``"gelu"``, ...
    dropout
        Probability with which hidden units are dropped in training.
    optimizer
        A name such as ``"adam"``, or an optimizer, of which each fit makes a fresh one.
    lr
        Learning rate, or a schedule; None: the optimizer's own, 0.001 of Adam.
    weight_decay
        λ of an L2 penalty λ/2 ‖w‖² on the weights, as in torch, but not on biases; None: none, or
        that of the optimizer.
    epochs
        How often the samples are gone through: all of them, unless training stops early.
    batch_size
        Samples a step; ``"auto"``: 200, or all of fewer.
    shuffle
        Whether each epoch has an order of its own.
    early_stopping
        Whether some samples are held out, and training ends when the score on them has not grown
        by ``tol`` for ``n_iter_no_change`` epochs; the best weights are kept.
    validation_fraction, n_iter_no_change, tol
        See above.
    class_weight
        None, ``"balanced"``, or a weight for each class.
    warm_start
        Whether the next ``fit`` goes on with the network that is there.
    random_state
        Seed of weights, dropout and order: a number makes a fit repeatable, to the bit. What
        ``gn.set_seed`` seeds is neither read nor moved.
    verbose
        As in :meth:`graphnn.Model.fit`.
    device
        ``"cpu"``.

    Attributes
    ----------
    classes_
        The classes, sorted.
    model_
        The fitted :class:`graphnn.Model`: ``model_.render("net.svg")``, ``model_.summary()``.
    loss_curve_, loss_
        The training loss of each epoch, and the last.
    validation_scores_, best_validation_score_
        The scores on samples held out, if training may stop early.
    n_iter_
        Epochs trained.
    n_features_in_, feature_names_in_
        As everywhere in scikit-learn.

    Raises
    ------
    ValueError
        For data or parameters that do not fit; :class:`graphnn.GraphError` is one.

    Examples
    --------
    >>> import numpy as np
    >>> from graphnn.sklearn import GraphClassifier
    >>> X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> classifier = GraphClassifier((8,), activation="tanh", lr=0.1, random_state=0)
    >>> classifier.fit(X, ["same", "other", "other", "same"]).predict(X)
    array(['same', 'other', 'other', 'same'], dtype='<U5')
    """

    classes_: Array

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        *,
        build: Any = None,
        activation: str = "relu",
        dropout: float = 0.0,
        optimizer: Any = "adam",
        lr: Any = None,
        weight_decay: float | None = None,
        epochs: int = 200,
        batch_size: int | str = "auto",
        shuffle: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        class_weight: str | Mapping[Any, float] | None = None,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: int = 0,
        device: str = "cpu",
    ) -> None:
        super().__init__(
            hidden_layer_sizes, build=build, activation=activation, dropout=dropout,
            optimizer=optimizer, lr=lr, weight_decay=weight_decay, epochs=epochs,
            batch_size=batch_size, shuffle=shuffle, early_stopping=early_stopping,
            validation_fraction=validation_fraction, n_iter_no_change=n_iter_no_change, tol=tol,
            warm_start=warm_start, random_state=random_state, verbose=verbose, device=device,
        )  # fmt: skip
        self.class_weight = class_weight

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train a new network, or with ``warm_start`` the one that is there.

        Parameters
        ----------
        X
            (n_samples, n_features).
        y
            (n_samples,) classes of any type, or (n_samples, n_labels) of 0 and 1.
        sample_weight
            (n_samples,), >= 0: a weight of 2 counts as the sample twice, 0 as none.
        """
        go_on = self.warm_start and hasattr(self, "_network")
        return self._learn(X, y, None, sample_weight, go_on, self.epochs)

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train one more epoch, on the samples given; the first call says all ``classes``."""
        go_on = hasattr(self, "_network")
        if self.class_weight == "balanced":
            raise ValueError("class_weight='balanced' needs all samples at once: give a dict")
        if not go_on and classes is None:
            raise ValueError("the first call of partial_fit needs classes=, all there will be")
        return self._learn(X, y, classes, sample_weight, go_on, 1)

    def _learn(
        self,
        X: Any,
        y: Any,
        classes: Any,
        sample_weight: Any,
        go_on: bool,
        epochs: int,
    ) -> Self:
        X, y = validate_data(
            self, X, y, dtype=(np.float64, np.float32), multi_output=True, reset=not go_on
        )
        check_classification_targets(y)
        several = type_of_target(y).startswith("multilabel")
        y = y if several else column_or_1d(y, warn=True)
        X, y, weights = self._counted(X, y, self._weights(sample_weight, len(X)))
        found = np.arange(y.shape[1]) if several else np.unique(y)
        if go_on or classes is not None:
            found = self._known(found, self.classes_ if go_on else np.unique(classes), several)
        if len(found) < 2 and not several:
            raise ValueError(
                f"{type(self).__name__} needs samples of two classes or more; the data has 1 class:"
                f" {found.tolist()}"
            )
        self.classes_ = found
        if not several:
            y = np.searchsorted(found, y)
        weights = weights * self._class_weights(y, weights, several)
        if not go_on:
            one = len(found) == 2 and not several
            loss = "binary_cross_entropy" if one or several else "cross_entropy"
            self._network = self._declared(X.dtype, 1 if one else len(found), one, loss)
        return self._train(X, y, weights, epochs)

    def _known(self, found: Array, known: Array, several: bool) -> Array:
        """The classes that the network has, once all that are found are among them."""
        if not np.isin(found, known).all() or (several and len(found) != len(known)):
            raise ValueError(
                f"y has the classes {found.tolist()}; the network knows {known.tolist()}"
            )
        return known

    def _class_weights(self, y: Array, weights: Array, several: bool) -> Array:
        """What each sample counts for its class; ``y`` holds places in ``classes_``."""
        if self.class_weight is None:
            return np.ones(len(y))
        if several:
            raise ValueError("class_weight has no meaning where a sample has several labels")
        if isinstance(self.class_weight, Mapping):
            given = dict(self.class_weight)
            unknown = [key for key in given if key not in self.classes_]
            if unknown:
                raise ValueError(
                    f"class_weight has {unknown}; the classes are {self.classes_.tolist()}"
                )
            return np.array([given.get(key, 1.0) for key in self.classes_.tolist()])[y]
        if self.class_weight != "balanced":
            raise ValueError(
                f"class_weight is None, 'balanced' or a dict of weights; got {self.class_weight!r}"
            )
        counts = np.bincount(y, weights, len(self.classes_))
        each: Array = weights.sum() / (len(counts) * np.maximum(counts, np.finfo(float).tiny))
        return each[y]

    # Asking.

    def decision_function(self, X: ArrayLike) -> Array:
        """Logits: (n_samples,) of two classes, else (n_samples, n_classes or n_labels)."""
        samples = self._samples(X)
        return self._fitted()(samples)

    def predict(self, X: ArrayLike) -> Array:
        """The likeliest class of each sample, or its labels as 0 and 1."""
        return self._named(self.decision_function(X))

    def predict_proba(self, X: ArrayLike) -> Array:
        """Probabilities (n_samples, n_classes), in the order of ``classes_``; always float64."""
        logits = self.decision_function(X).astype(np.float64)  # float32 would not quite sum to 1
        if logits.ndim == 1:
            return np.stack([expit(-logits), expit(logits)], axis=1)
        probabilities: Array = expit(logits) if self._has_labels() else softmax(logits, axis=1)
        return probabilities

    def predict_log_proba(self, X: ArrayLike) -> Array:
        """Logarithms of the probabilities, exact where those round to 0 or 1."""
        logits = self.decision_function(X).astype(np.float64)
        if logits.ndim == 1:
            return np.stack([log_expit(-logits), log_expit(logits)], axis=1)
        logs: Array = log_expit(logits) if self._has_labels() else log_softmax(logits, axis=1)
        return logs

    def _has_labels(self) -> bool:
        return bool(self._network.design.loss == "binary_cross_entropy")

    def _named(self, logits: Array) -> Array:
        if logits.ndim == 1:
            return np.asarray(self.classes_[(logits > 0).astype(int)])
        if self._has_labels():
            return (logits > 0).astype(int)
        return np.asarray(self.classes_[logits.argmax(axis=1)])

    def _score_of(self, outputs: Array, y: Array, weights: Array) -> float:
        if outputs.ndim == 1 or self._has_labels():
            right = (outputs > 0) == y.astype(bool)
        else:
            right = outputs.argmax(axis=1) == y
        whole = right if right.ndim == 1 else right.all(axis=1)
        return float(np.average(whole, weights=weights))

    def _strata(self, y: Array) -> Array | None:
        return y if y.ndim == 1 else None

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
