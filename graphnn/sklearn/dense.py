"""The network that an estimator makes where none is given: dense layers, one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphnn.errors import GraphError
from graphnn.hints import did_you_mean
from graphnn.nn import (
    ELU,
    GELU,
    SELU,
    Dropout,
    Identity,
    LeakyReLU,
    Linear,
    Mish,
    Module,
    ReLU,
    Sequential,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
)

# By scikit-learn's names, where it has them, and by torch's.
ACTIVATIONS: Mapping[str, type[Module]] = {
    "elu": ELU,
    "gelu": GELU,
    "identity": Identity,
    "leaky_relu": LeakyReLU,
    "logistic": Sigmoid,
    "mish": Mish,
    "relu": ReLU,
    "selu": SELU,
    "sigmoid": Sigmoid,
    "silu": SiLU,
    "softplus": Softplus,
    "tanh": Tanh,
}


@dataclass(frozen=True)
class Dense:
    """Makes dense layers: ``Linear``, activation and dropout for each width, then a ``Linear``.

    Parameters
    ----------
    widths
        Units of each hidden layer; none: a linear model.
    activation
        A key of :data:`ACTIVATIONS`.
    dropout
        Probability with which a hidden unit is dropped in training.
    dtype
        Of the weights.
    """

    widths: tuple[int, ...]
    activation: str
    dropout: float
    dtype: str

    def __call__(self, n_features: int, n_outputs: int) -> Module:
        """The layers from ``n_features`` to ``n_outputs``."""
        layers: list[Module] = []
        for width in self.widths:
            layers += [Linear(n_features, width, dtype=self.dtype), ACTIVATIONS[self.activation]()]
            layers += [Dropout(self.dropout)] if self.dropout else []
            n_features = width
        return Sequential(*layers, Linear(n_features, n_outputs, dtype=self.dtype))


def dense(widths: object, activation: object, dropout: float, dtype: str) -> Dense:
    """Dense layers as an estimator is told them.

    Raises
    ------
    GraphError
        For widths that are no whole numbers >= 1, and unknown activations.
    """
    given: Any = widths if isinstance(widths, Sequence | np.ndarray) else [widths]
    whole = [isinstance(w, int | np.integer) and not isinstance(w, bool) and w > 0 for w in given]
    if not all(whole) or isinstance(widths, str):
        raise GraphError(
            f"hidden_layer_sizes are whole numbers >= 1, such as (100,) or (); got {widths!r}"
        )
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise GraphError(
            f"activation is one of {sorted(ACTIVATIONS)}; got {activation!r}."
            f"{did_you_mean(activation, ACTIVATIONS)} For another one, give build=."
        )
    return Dense(tuple(int(w) for w in given), activation, dropout, dtype)
