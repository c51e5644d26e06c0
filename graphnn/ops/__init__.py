"""The ops: each declared in one place, and entered into the registry."""

from graphnn.ops import (
    batch_norm,
    binary,
    cross_entropy,
    elementwise,
    labels,
    linalg,
    loss,
    metric,
    movement,
    norm,
    phase,
    random,
    reduce,
    softmax,
    standardize,
    update,
)

__all__ = [
    "batch_norm",
    "binary",
    "cross_entropy",
    "elementwise",
    "labels",
    "linalg",
    "loss",
    "metric",
    "movement",
    "norm",
    "phase",
    "random",
    "reduce",
    "softmax",
    "standardize",
    "update",
]
