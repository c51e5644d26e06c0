"""A function asked for all samples of a data set, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphnn.errors import DataError
from graphnn.feed import by_input, fitting
from graphnn.function import Function
from graphnn.node import Input
from graphnn.spec import BATCH
from graphnn.train.arrow import arrow_data, is_arrow
from graphnn.train.given import as_data
from graphnn.train.sources import Source, converts_batchwise, is_stream
from graphnn.train.stream_run import opened
from graphnn.train.streams import Stream

Read: TypeAlias = Callable[[Any], Sequence[ArrayLike]]


def predicted(function: Function, given: Any, batch_size: int) -> Any:
    """The outputs for given inputs, put together.

    Parameters
    ----------
    function
        What is asked.
    given
        Arrays, or batches of inputs alone.
    batch_size
        Samples a call; batches keep their own size.

    Raises
    ------
    DataError, ShapeError, DTypeError
        For what does not fit.
    """
    parts = list(_parts(function, given, batch_size))
    if len(parts) == 1:
        return parts[0]
    if function.single:
        return np.concatenate(parts)
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def _parts(function: Function, given: Any, batch_size: int) -> Iterator[Any]:
    """The outputs of each batch."""
    if is_arrow(given):
        found = arrow_data(given, function.inputs, batch_size, shuffle=False)
        given = found if isinstance(found, Source) else list(found)
    elif is_stream(given):
        given = as_data(function, given, partial(_read, function.inputs), batch_size)
    if isinstance(given, Source):
        with opened(function, given, batch_size=batch_size) as stream:
            assert isinstance(stream, Stream)
            yield from _streamed(function, stream)
        return
    named = by_input(given, function.inputs)
    arrays = [_ready(node, named[node]) for node in function.inputs]
    count = len(arrays[0]) if arrays and arrays[0].ndim else 1
    batched = all(node.spec.shape[:1] == (BATCH,) for node in function.inputs)
    if not batched or count <= batch_size:
        yield function(*arrays)
        return
    for i in range(0, count, batch_size):
        yield function(*(array[i : i + batch_size] for array in arrays))


def _ready(node: Input, value: ArrayLike) -> NDArray[Any]:
    """An array that fits; one on disk that does not is converted later, batch by batch."""
    if converts_batchwise(node, value):
        return np.asanyarray(value)
    return fitting(node, value)


def _read(inputs: Sequence[Input], batch: Any) -> list[ArrayLike]:
    """The arrays of a batch of inputs alone."""
    if len(inputs) == 1 and isinstance(batch, tuple | list) and len(batch) > 1:
        raise DataError(
            f"predict takes batches of inputs alone; got a {type(batch).__name__} of {len(batch)}. "
            "Leave the targets out: (x for x, y in batches)."
        )
    alone = isinstance(batch, tuple | list) and len(batch) == 1 == len(inputs)
    named = by_input(batch[0] if alone else batch, inputs)
    return [named[node] for node in inputs]


def _streamed(function: Function, stream: Stream) -> Iterator[Any]:
    while True:
        chunk = stream.take()
        for start in range(0, chunk.samples, chunk.batch):
            stop = min(start + chunk.batch, chunk.samples)
            yield function(*(chunk.data[node][start:stop] for node in function.inputs))
        stream.give_back(chunk)
        if chunk.ends:
            return
