"""What both estimators share: parameters, training, stopping early."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from graphnn.errors import GraphError
from graphnn.model import Model
from graphnn.nn import Module
from graphnn.optim import Optimizer, biases_and_norms, by_name
from graphnn.sklearn.dense import dense
from graphnn.sklearn.network import Design, Network
from graphnn.train import History

Array = NDArray[Any]

MOST_AUTO = 200  # samples of a batch, if nobody says


class GraphEstimator(BaseEstimator):
    """A network as an estimator; see its children.

    scikit-learn asks that ``__init__`` keeps what it is given, and that ``fit`` looks at it.
    """

    _network: Network
    n_features_in_: int
    n_iter_: int
    loss_curve_: list[float]
    loss_: float
    validation_scores_: list[float]
    best_validation_score_: float

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        *,
        build: Callable[[int, int], Any] | None = None,
        activation: str = "relu",
        dropout: float = 0.0,
        optimizer: str | Optimizer = "adam",
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
        self.hidden_layer_sizes = hidden_layer_sizes
        self.build = build
        self.activation = activation
        self.dropout = dropout
        self.optimizer = optimizer
        self.lr = lr
        self.weight_decay = weight_decay
        self.epochs = epochs
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose
        self.device = device

    # What a child says of its targets.

    def _score_of(self, outputs: Array, y: Array, weights: Array) -> float:
        """How good outputs are for encoded targets: more is better."""
        raise NotImplementedError

    # What is declared.

    @property
    def model_(self) -> Model:
        """The fitted :class:`graphnn.Model`: to be drawn, summarised, saved."""
        return self._fitted().model

    def _fitted(self) -> Network:
        check_is_fitted(self, "_network")
        return self._network

    def _declared(self, dtype: Any, n_outputs: int, vector: bool, loss: str) -> Network:
        """A new network for the data that ``validate_data`` has seen."""
        build = self.build
        if build is None:
            build = dense(self.hidden_layer_sizes, self.activation, self.dropout, dtype.name)
        elif isinstance(build, Module) or not callable(build):
            raise GraphError(
                "build is called with (n_features, n_outputs) and makes a network, a new one for "
                f"each fit; got {build!r}"
            )
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        rule = self._rule()
        design = Design(
            build, self.n_features_in_, n_outputs, vector, loss, rule, seed, self.device
        )
        self.n_iter_, self.loss_curve_ = 0, []
        for name in ("validation_scores_", "best_validation_score_"):  # of an earlier fit
            self.__dict__.pop(name, None)
        return Network(design)

    def _rule(self) -> Optimizer:
        given = {"lr": self.lr, "weight_decay": self.weight_decay}
        settings: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
        if isinstance(self.optimizer, Optimizer):
            if settings:
                raise GraphError(
                    f"{' and '.join(settings)} belong to the optimizer that is given, "
                    f"{self.optimizer!r}; leave them None beside it"
                )
            return self.optimizer
        if self.weight_decay:  # as scikit-learn's alpha, it spares biases
            settings["groups"] = [{"params": biases_and_norms, "weight_decay": 0.0}]
        return by_name(self.optimizer, **settings)

    # Data.

    def _samples(self, X: ArrayLike) -> Array:
        """Samples of a fitted estimator: float32 as they are, all else as float64."""
        self._fitted()
        samples: Array = validate_data(self, X, dtype=(np.float64, np.float32), reset=False)
        return samples

    @staticmethod
    def _weights(sample_weight: ArrayLike | None, count: int) -> Array:
        """A weight for each sample, float64, none below 0."""
        if sample_weight is None:
            return np.ones(count)
        weights: Array = check_array(
            sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight"
        )
        if weights.ndim != 1 or len(weights) != count:
            raise ValueError(
                f"sample_weight needs a number for each of {count} samples; "
                f"it has shape {weights.shape}"
            )
        if (weights < 0).any():
            raise ValueError("sample_weight has numbers below zero; a sample counts 0 or more")
        return weights

    @staticmethod
    def _counted(x: Array, y: Array, weights: Array) -> tuple[Array, Array, Array]:
        """The samples that count: a weight of 0 leaves one out."""
        kept = weights > 0
        if not kept.any():
            raise ValueError("all sample weights are zero: there is nothing to learn from")
        return (x, y, weights) if kept.all() else (x[kept], y[kept], weights[kept])

    # Training.

    def _train(self, x: Array, y: Array, weights: Array, epochs: int) -> Self:
        """Train the network that is there."""
        x, y, weights = self._counted(x.astype(self._network.dtype, copy=False), y, weights)
        if self.early_stopping and epochs > 1:
            self._train_watched(x, y, weights, epochs)
        else:
            self._told(self._network.train(x, y, weights / weights.mean(), **self._run(x, epochs)))
        return self

    def _run(self, x: Array, epochs: int) -> dict[str, Any]:
        size = min(MOST_AUTO, len(x)) if self.batch_size == "auto" else self.batch_size
        return {
            "epochs": epochs,
            "batch_size": size,
            "shuffle": bool(self.shuffle),
            "verbose": int(self.verbose),
        }

    def _told(self, history: History) -> None:
        self.loss_curve_ += history["loss"]
        self.n_iter_ = len(self.loss_curve_)
        self.loss_ = self.loss_curve_[-1]

    def _train_watched(self, x: Array, y: Array, weights: Array, epochs: int) -> None:
        """Train epoch by epoch until the score on samples held out grows no more."""
        x, x_out, y, y_out, weights, weights_out = train_test_split(
            x, y, weights,
            test_size=self.validation_fraction,
            random_state=self._network.design.seed,
            stratify=self._strata(y),
        )  # fmt: skip
        weights = weights / weights.mean()
        best, since, kept = -np.inf, 0, self._network.weights()
        self.validation_scores_ = []
        for epoch in range(epochs):
            run = {**self._run(x, 1), "verbose": 0}
            self._told(self._network.train(x, y, weights, **run))
            score = self._score_of(self._network(x_out), y_out, weights_out)
            self.validation_scores_.append(score)
            if self.verbose:
                print(f"epoch {epoch + 1}/{epochs}  loss={self.loss_:.4f}  score={score:.4f}")
            since = 0 if score > best + self.tol else since + 1
            if score > best:
                best, kept = score, self._network.weights()
            if since >= self.n_iter_no_change:
                break
        self._network.set_weights(kept)
        self.best_validation_score_ = best

    def _strata(self, y: Array) -> Array | None:
        """Groups of which samples held out have their share."""
        return None
