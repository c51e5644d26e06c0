"""Samples that are held back from training, to judge it."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

from numpy.typing import NDArray

from graphnn.errors import DataError, GraphError
from graphnn.node import Input
from graphnn.optim.checks import check_share
from graphnn.train.sources import Source

Samples: TypeAlias = dict[Input, NDArray[Any]]


def held_back(data: Samples | Source, other: object, share: float) -> tuple[Samples, Samples]:
    """The samples without the last ones, and those: the share ``share`` of all.

    Parameters
    ----------
    data
        For each input an array, samples along the first axis.
    other
        Validation data that was given beside; there must be none.
    share
        In (0, 1).

    Raises
    ------
    GraphError, DataError
        For a share out of range, or one that leaves nothing on one side.
    """
    check_share("validation_split", share)
    if other is not None:
        raise GraphError("give validation_data or validation_split, not both")
    if isinstance(data, Source):
        raise DataError(
            "validation_split holds back samples of arrays, and batches come one after the other: "
            "give validation_data"
        )
    samples = len(next(iter(data.values())))
    kept = math.floor(samples * (1 - share))
    if not 0 < kept < samples:
        raise DataError(
            f"validation_split={share} of {samples} samples leaves {kept} to train and "
            f"{samples - kept} to validate: there must be some of each"
        )
    train = {node: array[:kept] for node, array in data.items()}
    return train, {node: array[kept:] for node, array in data.items()}
