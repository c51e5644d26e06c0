"""The ops: each declared in one place, and entered into the registry."""

from graphnn.ops import (
    binary,
    cross_entropy,
    elementwise,
    labels,
    linalg,
    loss,
    metric,
    movement,
    phase,
    random,
    reduce,
    softmax,
    update,
)

__all__ = [
    "binary",
    "cross_entropy",
    "elementwise",
    "labels",
    "linalg",
    "loss",
    "metric",
    "movement",
    "phase",
    "random",
    "reduce",
    "softmax",
    "update",
]
