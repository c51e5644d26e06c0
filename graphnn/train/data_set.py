"""The arrays of a data set, each with the input that it is for; samples held back to judge."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from numpy.typing import NDArray

from graphnn.errors import DataError, GraphError, GraphnnError
from graphnn.feed import Data, by_input
from graphnn.function import Function
from graphnn.node import Input
from graphnn.optim.checks import check_share

DataSet: TypeAlias = dict[Input, NDArray[Any]]


def data_set(
    function: Function,
    inputs: Sequence[Input],
    targets: Sequence[Input],
    x: Data,
    y: Data | None = None,
) -> DataSet:
    """For each input of a function an array that fits it.

    Parameters
    ----------
    function
        Its inputs are all of both.
    inputs, targets
        Those of the model, and those of its loss.
    x, y
        Arrays for the inputs and for the targets; or one dict with all of them by name.

    Raises
    ------
    DataError, ShapeError, DTypeError
        For data that is missing, or does not fit.
    """
    known = [*inputs, *targets]
    if isinstance(x, Mapping):
        if y is not None:
            raise DataError("give all arrays in one dict by name, or x and y; not both")
        named = by_input(x, known)
    else:
        if y is None and targets:
            raise DataError(
                "fit and evaluate need targets: fit(x, y), or a dict with "
                f"{[node.name for node in known]}"
            )
        if y is not None and not targets:
            raise DataError("the loss has no target: fit and evaluate take x alone; got a y")
        named = by_input(x, inputs)
        if y is not None:
            named |= by_input(y, targets)
    arrays, _ = function.checked([named[node] for node in function.inputs])
    lengths = {node.name: len(a) for node, a in zip(function.inputs, arrays, strict=True)}
    if 0 in lengths.values():
        raise DataError(f"there is no sample: {lengths}")
    return dict(zip(function.inputs, arrays, strict=True))


def validation_set(
    function: Function, inputs: Sequence[Input], targets: Sequence[Input], data: Any
) -> DataSet:
    """A data set that is given as ``(x, y)`` or as a dict, to judge a model.

    Raises
    ------
    DataError, ShapeError, DTypeError
        As :func:`data_set`, and for any other form.
    """
    try:
        if isinstance(data, Mapping):
            return data_set(function, inputs, targets, data)
        if isinstance(data, tuple | list) and len(data) == 2:
            return data_set(function, inputs, targets, data[0], data[1])
    except GraphnnError as error:
        raise type(error)(f"validation_data: {error}") from None
    raise DataError("validation_data is (x, y) or a dict of arrays by name")


def held_back(data: DataSet, other: DataSet | None, share: float) -> tuple[DataSet, DataSet]:
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
    samples = len(next(iter(data.values())))
    kept = math.floor(samples * (1 - share))
    if not 0 < kept < samples:
        raise DataError(
            f"validation_split={share} of {samples} samples leaves {kept} to train and "
            f"{samples - kept} to validate: there must be some of each"
        )
    train = {node: array[:kept] for node, array in data.items()}
    return train, {node: array[kept:] for node, array in data.items()}
