"""Regression by a network, for scikit-learn."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import validate_data

from graphnn.errors import GraphError
from graphnn.hints import did_you_mean
from graphnn.sklearn.estimator import Array, GraphEstimator

OF_NUMBERS = ("absolute_error", "huber", "squared_error")


class GraphRegressor(RegressorMixin, GraphEstimator):
    """A network that predicts one number a sample, or several.

    Parameters and attributes are those of :class:`GraphClassifier`, but for the two below.
    Networks learn best from features and targets of mean 0 and variance 1: put a
    ``StandardScaler`` before it, and ``TransformedTargetRegressor`` around it.

    Parameters
    ----------
    loss
        ``"squared_error"``, ``"absolute_error"`` or ``"huber"`` (δ = 1), averaged over the outputs.

    Attributes
    ----------
    n_outputs_
        Numbers that are predicted for a sample.

    Examples
    --------
    >>> import numpy as np
    >>> from graphnn.sklearn import GraphRegressor
    >>> X = np.linspace(-1, 1, 64)[:, None]
    >>> regressor = GraphRegressor((16,), activation="tanh", lr=0.05, random_state=0)
    >>> bool(regressor.fit(X, X[:, 0] ** 2).score(X, X[:, 0] ** 2) > 0.95)
    True
    """

    n_outputs_: int

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        *,
        build: Any = None,
        activation: str = "relu",
        dropout: float = 0.0,
        loss: str = "squared_error",
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
        self.loss = loss

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train a new network, or with ``warm_start`` the one that is there.

        Parameters
        ----------
        X
            (n_samples, n_features).
        y
            (n_samples,) or (n_samples, n_outputs).
        sample_weight
            (n_samples,), >= 0: a weight of 2 counts as the sample twice.
        """
        go_on = self.warm_start and hasattr(self, "_network")
        return self._learn(X, y, sample_weight, go_on, self.epochs)

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train one more epoch, on the samples given."""
        return self._learn(X, y, sample_weight, hasattr(self, "_network"), 1)

    def _learn(self, X: Any, y: Any, sample_weight: Any, go_on: bool, epochs: int) -> Self:
        X, y = validate_data(
            self, X, y, dtype=(np.float64, np.float32), multi_output=True, y_numeric=True,
            reset=not go_on,
        )  # fmt: skip
        X, y, weights = self._counted(X, y, self._weights(sample_weight, len(X)))
        if self.loss not in OF_NUMBERS:
            raise GraphError(
                f"loss is one of {list(OF_NUMBERS)}; got {self.loss!r}."
                f"{did_you_mean(self.loss, OF_NUMBERS)}"
            )
        outputs = 1 if y.ndim == 1 else y.shape[1]
        if go_on and (outputs, y.ndim == 1) != (self.n_outputs_, self._network.design.vector):
            raise ValueError(f"the network has {self.n_outputs_} outputs; y has shape {y.shape}")
        self.n_outputs_ = outputs
        if not go_on:
            self._network = self._declared(X.dtype, outputs, y.ndim == 1, self.loss)
        return self._train(X, y, weights, epochs)

    def predict(self, X: ArrayLike) -> Array:
        """What is predicted, in the shape of the targets: (n_samples,) or (n_samples, outputs)."""
        samples = self._samples(X)
        return self._fitted()(samples)

    def _score_of(self, outputs: Array, y: Array, weights: Array) -> float:
        return float(r2_score(y, outputs, sample_weight=weights))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
