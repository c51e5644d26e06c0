"""The ops: each declared in one place, and entered into the registry."""

from graphnn.ops import (
    elementwise,
    getitem,
    indexing,
    joining,
    linalg,
    loss,
    movement,
    padding,
    random,
    reduce,
    scan,
    slicing,
    softmax,
    sorting,
    statistics,
    update,
)

__all__ = [
    "elementwise",
    "getitem",
    "indexing",
    "joining",
    "linalg",
    "loss",
    "movement",
    "padding",
    "random",
    "reduce",
    "scan",
    "slicing",
    "softmax",
    "sorting",
    "statistics",
    "update",
]
