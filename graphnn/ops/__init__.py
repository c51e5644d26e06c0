"""The ops: each declared in one place, and entered into the registry."""

from graphnn.ops import (
    elementwise,
    linalg,
    loss,
    movement,
    phase,
    random,
    reduce,
    softmax,
    update,
)

__all__ = [
    "elementwise",
    "linalg",
    "loss",
    "movement",
    "phase",
    "random",
    "reduce",
    "softmax",
    "update",
]
