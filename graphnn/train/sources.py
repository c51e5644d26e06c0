"""Where batches come from: generators, loaders, data sets of samples, rows of arrays on disk."""

from __future__ import annotations

import array
import functools
import inspect
import mmap
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphnn.backends.cpu import executor
from graphnn.errors import DataError
from graphnn.node import Input, Node
from graphnn.ops.random.generator import generator
from graphnn.spec import lossless

Read = Callable[[Any], Sequence[ArrayLike]]


class Source(ABC):
    """Batches, an epoch after the other.

    Attributes
    ----------
    once
        Whether it can be gone through once only.
    """

    once = False

    @abstractmethod
    def batches(self, epoch: int) -> Iterator[Any]:
        """The batches of an epoch, by its number."""

    @abstractmethod
    def read(self, batch: Any) -> Sequence[ArrayLike]:
        """The arrays of a batch, in the order of the function's inputs."""

    @property
    def steps(self) -> int | None:
        """How many batches an epoch has, where that is known."""
        return None

    @property
    def samples(self) -> int | None:
        """How many samples there are, where that is known."""
        return None


class Batches(Source):
    """What a person gives in place of arrays: an iterable of batches, or a function of such.

    Parameters
    ----------
    given
        An iterator is gone through once; an iterable, or a function that returns one, begins anew
        each epoch.
    read
        What a batch holds.
    """

    def __init__(self, given: Any, read: Read) -> None:
        self.given, self._read = given, read
        self.once = isinstance(given, Iterator)

    def batches(self, epoch: int) -> Iterator[Any]:
        """An iterator over the batches; a function is called for it."""
        made = self.given() if is_function(self.given) else self.given
        if not isinstance(made, Iterable):
            raise DataError(
                f"a function that is given as data returns batches to go through; got {made!r}. "
                "Write it with yield."
            )
        return iter(made)

    def read(self, batch: Any) -> Sequence[ArrayLike]:
        """The arrays of a batch."""
        return self._read(batch)

    @property
    def steps(self) -> int | None:
        """What ``len`` says."""
        try:
            return len(self.given) or None
        except (TypeError, NotImplementedError, OverflowError):  # endless streams have no length
            return None


class Rows(Source):
    """Rows of arrays, in the order in which the executor would take them.

    Parameters
    ----------
    arrays
        In the order of the function's inputs.
    batch_size, shuffle
        As in :class:`EpochRun`.
    """

    def __init__(
        self, arrays: Sequence[NDArray[Any]], batch_size: int, shuffle: bool = False
    ) -> None:
        self.arrays, self.batch_size, self.shuffle = list(arrays), batch_size, shuffle
        self.seed = int(generator().value[0])

    def batches(self, epoch: int) -> Iterator[Any]:
        """Arrays of whole batches, then of the rest."""
        count = len(self.arrays[0])
        order = executor.shuffled(count, self.seed, epoch) if self.shuffle else None
        for start in range(0, count, self.batch_size):
            cut = slice(start, start + self.batch_size)
            yield [array[cut if order is None else order[cut]] for array in self.arrays]

    def sample(self, epoch: int, batch: int, row: int) -> int:
        """Which sample stands in a row of a batch."""
        place = batch * self.batch_size + row
        if not self.shuffle:
            return place
        return int(executor.shuffled(len(self.arrays[0]), self.seed, epoch)[place])

    def read(self, batch: Any) -> Sequence[ArrayLike]:
        """The arrays, as plain ones: what is left of a memory map is in memory now."""
        return [np.asarray(array) for array in batch]

    @property
    def steps(self) -> int:
        """Whole batches, and the rest."""
        return -(-self.samples // self.batch_size)

    @property
    def samples(self) -> int:
        """The rows."""
        return len(self.arrays[0])


class Samples(Source):
    """A data set that gives a sample for a number, as torch's map-style ones do.

    Parameters
    ----------
    given
        With ``len`` and ``[i]``.
    read
        What a batch holds.
    batch_size, shuffle
        As in :class:`EpochRun`.
    """

    def __init__(self, given: Any, read: Read, batch_size: int, shuffle: bool) -> None:
        self.given, self._read = given, read
        self.batch_size, self.shuffle = batch_size, shuffle
        self.seed = int(generator().value[0])

    def batches(self, epoch: int) -> Iterator[Any]:
        """Samples, stacked."""
        count = len(self.given)
        order = np.arange(count)
        if self.shuffle:
            order = executor.shuffled(count, self.seed, epoch)
        for start in range(0, count, self.batch_size):
            rows = order[start : start + self.batch_size]
            yield _stacked([self.given[int(row)] for row in rows], rows)

    def read(self, batch: Any) -> Sequence[ArrayLike]:
        """The arrays of a batch."""
        return self._read(batch)

    @property
    def steps(self) -> int:
        """Whole batches, and the rest."""
        return -(-self.samples // self.batch_size)

    @property
    def samples(self) -> int:
        """As many as ``len`` says."""
        return len(self.given)


class Extended(Source):
    """Batches of another source, each with arrays that are made of its own.

    Parameters
    ----------
    source
        Where the batches come from.
    more
        The arrays that stand behind those of a batch.
    """

    def __init__(
        self, source: Source, more: Callable[[Sequence[ArrayLike]], Sequence[ArrayLike]]
    ) -> None:
        self.source, self.more, self.once = source, more, source.once

    def batches(self, epoch: int) -> Iterator[Any]:
        """Those of the source."""
        return self.source.batches(epoch)

    def read(self, batch: Any) -> Sequence[ArrayLike]:
        """The arrays of the source, and those made of them."""
        arrays = self.source.read(batch)
        return [*arrays, *self.more(arrays)]

    @property
    def steps(self) -> int | None:
        """As many as the source has."""
        return self.source.steps

    @property
    def samples(self) -> int | None:
        """As many as the source has."""
        return self.source.samples


def _stacked(samples: Sequence[Any], numbers: NDArray[Any]) -> Any:
    """Samples as a batch of the same form: dicts, tuples and lists of arrays stay such.

    Raises
    ------
    DataError
        Names a sample of another form than the first.
    """
    forms = [_form(sample) for sample in samples]
    for number, form in zip(numbers, forms, strict=True):
        if form != forms[0]:
            raise DataError(
                f"samples of one form make a batch: sample {numbers[0]} is {forms[0]}, and sample "
                f"{number} is {form}"
            )
    first = samples[0]
    if isinstance(first, Mapping):
        return {key: _stacked([sample[key] for sample in samples], numbers) for key in first}
    if isinstance(first, tuple | list):
        return tuple(_stacked(parts, numbers) for parts in zip(*samples, strict=True))
    return np.stack([np.asarray(sample) for sample in samples])


def _form(sample: Any) -> str:
    if isinstance(sample, Mapping):
        return f"a dict with {sorted(sample, key=str)}"
    if isinstance(sample, tuple | list):
        return f"a sequence of {len(sample)}"
    return f"an array of shape {np.shape(sample)}"


def is_function(given: object) -> bool:
    """Whether something is a function that may make batches."""
    return inspect.isroutine(given) or isinstance(given, functools.partial)


def is_stream(given: object) -> bool:
    """Whether what is given as data are batches, one after the other, and no arrays."""
    if isinstance(given, Node | Mapping | Sequence | memoryview | array.array | bytearray | set):
        return False
    if hasattr(given, "__array__"):
        return False
    return is_function(given) or isinstance(given, Iterable) or has_samples(given)


def has_samples(given: object) -> bool:
    """Whether something gives samples by number, and does not go through batches by itself."""
    if isinstance(given, type | Iterable) or hasattr(given, "__array__"):
        return False
    return hasattr(given, "__getitem__") and hasattr(given, "__len__")


def on_disk(value: object) -> bool:
    """Whether an array shows a file: the whole of it may not fit into memory."""
    base: Any = value
    while isinstance(base, np.ndarray | memoryview):
        if isinstance(base, np.memmap):
            return True
        base = base.base if isinstance(base, np.ndarray) else base.obj
    return isinstance(base, mmap.mmap)


def is_as_declared(node: Input, array: NDArray[Any]) -> bool:
    """Whether the executor can read an array where it lies."""
    flags = array.flags
    return array.dtype == np.dtype(node.dtype) and flags.c_contiguous and flags.aligned


def converts_batchwise(node: Input, value: object) -> bool:
    """Whether an array on disk has to be converted, which is done a batch at a time."""
    return (
        isinstance(value, np.ndarray)
        and on_disk(value)
        and value.ndim == node.ndim
        and lossless(value.dtype, np.dtype(node.dtype))
        and not is_as_declared(node, value)
    )
