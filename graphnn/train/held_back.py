"""Samples that are held back from training, to judge it."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

from numpy.typing import NDArray

from graphnn.errors import DataError, GraphError
from graphnn.node import Input
from graphnn.optim.checks import check_share
from graphnn.train.sources import Rows, Source

Samples: TypeAlias = dict[Input, NDArray[Any]]


def held_back(
    data: Samples | Source, other: object, share: float, batch_size: int
) -> tuple[Samples | Source, Samples | Source]:
    """The samples without the last ones, and those: the share ``share`` of all.

    Parameters
    ----------
    data
        For each input an array, samples along the first axis; on disk or in memory.
    other
        Validation data that was given beside; there must be none.
    share
        In (0, 1).
    batch_size
        What is judged at once, of what lies on disk.

    Raises
    ------
    GraphError, DataError
        For a share out of range, or one that leaves nothing on one side.
    """
    check_share("validation_split", share)
    if other is not None:
        raise GraphError("give validation_data or validation_split, not both")
    if isinstance(data, Rows):
        kept = _kept(data.samples, share)
        front = Rows([array[:kept] for array in data.arrays], data.batch_size, data.shuffle)
        return front, Rows([array[kept:] for array in data.arrays], batch_size)
    if isinstance(data, Source):
        raise DataError(
            "validation_split holds back samples of arrays, and batches come one after the other: "
            "give validation_data"
        )
    kept = _kept(len(next(iter(data.values()))), share)
    train = {node: array[:kept] for node, array in data.items()}
    return train, {node: array[kept:] for node, array in data.items()}


def _kept(samples: int, share: float) -> int:
    """How many samples are trained."""
    kept = math.floor(samples * (1 - share))
    if not 0 < kept < samples:
        raise DataError(
            f"validation_split={share} of {samples} samples leaves {kept} to train and "
            f"{samples - kept} to validate: there must be some of each"
        )
    return kept
