"""What a person gives as data, made into what can be run: arrays by input, or a source."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphnn.errors import DataError, GraphError
from graphnn.feed import by_input
from graphnn.function import Function
from graphnn.node import Input
from graphnn.train.arrow import arrow_data, is_arrow
from graphnn.train.sources import (
    Batches,
    Rows,
    Samples,
    Source,
    converts_batchwise,
    has_samples,
    is_stream,
)

Whole: TypeAlias = "dict[Input, NDArray[Any]] | Source"
Read: TypeAlias = Callable[[Any], Sequence[ArrayLike]]


def as_data(
    function: Function, given: Any, read: Read, batch_size: int, shuffle: bool = False
) -> Whole:
    """Arrays by input, checked; or where batches come from.

    Parameters
    ----------
    function
        Whose inputs the data is for.
    given
        Arrays, an iterable of batches, a data set of samples, a table.
    read
        What a batch holds for each input, and arrays of all samples likewise.
    batch_size, shuffle
        How samples become batches.

    Raises
    ------
    GraphError
        For a function without inputs.
    DataError, ShapeError, DTypeError
        For arrays that do not fit.
    """
    if not function.inputs:
        raise GraphError(
            "epochs go through data, and the function has no input: call it, "
            "for _ in range(steps): step()"
        )
    if is_arrow(given):
        table = arrow_data(given, function.inputs, batch_size, shuffle)
        if isinstance(table, Source):
            return table
        given, read = table, list
    elif is_stream(given):
        if has_samples(given):
            return Samples(given, read, batch_size, shuffle)
        return Batches(given, read)
    arrays = read(given)
    if any(converts_batchwise(n, a) for n, a in zip(function.inputs, arrays, strict=True)):
        return _rows(function, arrays, batch_size, shuffle)
    found, _ = function.checked(arrays)
    lengths = {node.name: len(a) for node, a in zip(function.inputs, found, strict=True) if a.ndim}
    if 0 in lengths.values():
        raise DataError(f"there is no sample: {lengths}")
    return dict(zip(function.inputs, found, strict=True))


def _rows(function: Function, given: Sequence[ArrayLike], batch_size: int, shuffle: bool) -> Source:
    """Arrays, some of which lie on disk and have to be converted, a batch at a time."""
    arrays = [np.asanyarray(array) for array in given]
    function.checked([array[:1] for array in arrays])  # what does not fit is said at once
    lengths = {node.name: len(a) for node, a in zip(function.inputs, arrays, strict=True)}
    if len(set(lengths.values())) > 1:
        raise DataError(f"the arrays have as many samples as each other; got {lengths}")
    if 0 in lengths.values():
        raise DataError(f"there is no sample: {lengths}")
    return Rows(arrays, batch_size, shuffle)


def lasting(data: Whole) -> Whole:
    """The data, if it can be gone through after each epoch.

    Raises
    ------
    DataError
        For a generator.
    """
    if isinstance(data, Source) and data.once:
        raise DataError(
            "a generator is gone through once, and this is read after each epoch: give the "
            "function that makes it"
        )
    return data


def batch_of(
    batch: Any, inputs: Sequence[Input], targets: Sequence[Input]
) -> dict[Input, ArrayLike]:
    """What a batch holds: a dict with all by name, or (x, y); without targets x, or (x,).

    Raises
    ------
    DataError
        For any other form.
    """
    if isinstance(batch, Mapping):
        return by_input(batch, [*inputs, *targets])
    if not targets:
        alone = isinstance(batch, tuple) and len(batch) == 1
        return by_input(batch[0] if alone else batch, inputs)
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        names = [node.name for node in (*inputs, *targets)]
        kind = type(batch).__name__
        count = f" of {len(batch)}" if isinstance(batch, tuple | list) else ""
        raise DataError(f"a batch is (x, y), or a dict with {names}; got a {kind}{count}")
    return by_input(batch[0], inputs) | by_input(batch[1], targets)
