"""Batches on their way to the executor: a thread fills one buffer while the other is trained.

A buffer holds a run of batches, so that the executor goes through many of them in one call. What
is trained does not depend on how batches are put together in buffers, nor on which thread is fast.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from graphnn.backends.cpu.binding import aligned
from graphnn.backends.cpu.team import POLL_SECONDS
from graphnn.errors import DataError, GraphnnError
from graphnn.function import Function
from graphnn.node import Input
from graphnn.train.sources import Source

BUFFERS = 2
BUFFER_BYTES = 8 << 20
MOST_BATCHES = 1024  # in a buffer
PATIENCE = 0.005  # seconds for which the executor may wait for a buffer to fill
LEAVE_SECONDS = 1.0  # for a thread to come back from what the user gave

Sizes: TypeAlias = dict[str, int]


class _ClosedError(Exception):
    """Nobody waits for batches any more."""


@dataclass
class Buffer:
    """Room for a run of batches: for each input bytes, which grow with what is put in."""

    rooms: dict[Input, NDArray[np.uint8]] = field(default_factory=dict)

    def room(self, node: Input, nbytes: int) -> NDArray[np.uint8]:
        """At least that many bytes."""
        if node not in self.rooms or self.rooms[node].nbytes < nbytes:
            self.rooms[node] = aligned(nbytes)
        return self.rooms[node]


@dataclass
class Chunk:
    """A run of batches of one size, the last of which may be smaller.

    Parameters
    ----------
    buffer
        Where they lie.
    data
        For each input all their rows.
    sizes
        Of each symbol but the batch.
    batch, samples
        Samples of a whole batch, and of all.
    first
        Number of the first batch in its epoch.
    ends
        Whether the epoch is over after it.
    """

    buffer: Buffer
    data: dict[Input, NDArray[Any]]
    sizes: Sizes
    batch: int
    samples: int = 0
    first: int = 0
    ends: bool = False

    @property
    def batches(self) -> int:
        """How many batches it holds."""
        return -(-self.samples // self.batch)


class Stream:
    """The batches of a source for some epochs, checked, copied and put together by a thread.

    Parameters
    ----------
    source
        Where they come from.
    function
        Whose inputs they are for.
    epochs, first_epoch
        How many epochs are wanted, and the number of the first.
    steps
        Batches an epoch, if it is not the source that ends it.
    at_once
        Most batches that are put together.
    """

    def __init__(
        self,
        source: Source,
        function: Function,
        *,
        epochs: int = 1,
        first_epoch: int = 0,
        steps: int | None = None,
        at_once: int | None = None,
    ) -> None:
        self.source, self.function = source, function
        self.epochs, self.first_epoch, self.base = epochs, first_epoch, first_epoch
        self.steps, self.at_once = steps, at_once or MOST_BATCHES
        self._free: queue.SimpleQueue[Buffer | None] = queue.SimpleQueue()
        self._ready: queue.SimpleQueue[Chunk | BaseException] = queue.SimpleQueue()
        for _ in range(BUFFERS):
            self._free.put(Buffer())
        self._next: Chunk | None = None
        self._closed = self._asked = False
        self._bases: dict[tuple[Any, ...], int] = {}
        self._thread: threading.Thread | None = None

    @property
    def batches(self) -> int | None:
        """Batches an epoch, where that is known."""
        return self.steps if self.steps is not None else self.source.steps

    def begin_at(self, epoch: int, epochs: int) -> None:
        """Make so many epochs from one on: where a run that was interrupted goes on.

        Batches that come without an end, cut by ``steps``, are made and left out up to there.
        """
        if self._thread is None:
            self.first_epoch, self.epochs = epoch, epochs

    # What the executor's side asks for.

    def peek(self, watch: Callable[[], None] | None = None) -> Chunk:
        """The next run of batches, which stays the next.

        Raises
        ------
        BaseException
            What the source raised, with its own traceback; DataError and its like for batches that
            do not fit.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._lead, name="graphnn-data", daemon=True)
            self._thread.start()
        while self._next is None:
            self._asked = True
            try:
                found = self._ready.get(timeout=POLL_SECONDS)
            except queue.Empty:
                if watch is not None:
                    watch()
                continue
            self._asked = False
            if isinstance(found, BaseException):
                raise found
            self._next = found
        return self._next

    def take(self, watch: Callable[[], None] | None = None) -> Chunk:
        """The next run of batches."""
        chunk = self.peek(watch)
        self._next = None
        return chunk

    def give_back(self, chunk: Chunk) -> None:
        """Let the buffer of a run be filled anew."""
        self._free.put(chunk.buffer)

    def close(self) -> None:
        """End the thread; if it is held up inside what the user gave, it ends as it comes back."""
        self._closed = True
        self._free.put(None)
        if self._thread is not None:
            with contextlib.suppress(RuntimeError):  # Ctrl-C came while it was being started
                self._thread.join(LEAVE_SECONDS)

    # What the thread does.

    def _lead(self) -> None:
        try:
            self._produce()
        except _ClosedError:
            return
        except BaseException as error:
            self._ready.put(error)

    def _produce(self) -> None:
        skipped = self.first_epoch - self.base
        made = _Epochs(self.source, self.steps, skipped + self.epochs)
        if self.steps is not None:
            for epoch in range(skipped):
                for _ in made.batches(epoch, self.base + epoch):
                    self._go_on()
        for epoch in range(skipped, skipped + self.epochs):
            filling = _Filling(self)
            number = 0
            batches = made.batches(epoch, self.base + epoch)
            try:
                while True:
                    filling.begun = filling.begun or time.perf_counter()
                    batch = next(batches, _OVER)
                    self._go_on()
                    if batch is _OVER:
                        break
                    arrays, sizes = self._checked(batch, number, epoch)
                    filling.add(arrays, sizes, number)
                    number += 1
            except _ClosedError:
                raise
            except BaseException:
                filling.hand_over()  # what came before it is trained, however fast the threads are
                raise
            if not number:
                raise DataError(f"there is no batch in epoch {epoch + 1} of the data")
            filling.hand_over(ends=True)
        made.close()

    def _go_on(self) -> None:
        """Raise if nobody waits any more."""
        if self._closed:
            raise _ClosedError

    def _checked(self, batch: Any, number: int, epoch: int) -> tuple[list[NDArray[Any]], Sizes]:
        try:
            arrays, sizes = self.function.checked(self.source.read(batch))
            if sizes["N"] == 0:
                raise DataError("there is no sample in it")
        except GraphnnError as error:
            said = f"batch {number + 1} of epoch {epoch + 1}: {error}"
            raise type(error)(said) from None
        return arrays, sizes

    def free(self) -> Buffer:
        """A buffer to fill, as soon as there is one."""
        buffer = self._free.get()
        if buffer is None or self._closed:
            raise _ClosedError
        return buffer

    def hand_over(self, chunk: Chunk) -> None:
        """Let the executor have a run of batches."""
        self._ready.put(chunk)

    @property
    def is_awaited(self) -> bool:
        """Whether the executor has nothing to do."""
        return self._asked

    def whole(self, sizes: Sizes, count: int) -> int:
        """Samples of a whole batch of such sizes: the most that came so far.

        Smaller ones run on the lanes of the whole one, as the last batch of an array does.
        """
        key = tuple(sorted((name, size) for name, size in sizes.items() if name != "N"))
        self._bases[key] = max(count, self._bases.get(key, 0))
        return self._bases[key]


_OVER = object()


class _Epochs:
    """The batches of a source, cut into epochs."""

    def __init__(self, source: Source, steps: int | None, epochs: int) -> None:
        self.source, self.steps, self.epochs = source, steps, epochs
        self.iterator: Iterator[Any] | None = None
        self.taken = 0

    def batches(self, epoch: int, number: int) -> Iterator[Any]:
        """Those of one epoch."""
        if self.steps is None:
            self.close()
            self.iterator = self.source.batches(number)
            yield from self.iterator
            return
        for _ in range(self.steps):
            batch = self._following(number)
            if batch is _OVER:
                raise DataError(
                    f"the data ended after {self.taken} batches, in epoch {epoch + 1} of "
                    f"{self.epochs} with steps_per_epoch={self.steps}. Give what begins anew, such "
                    "as the function that makes the generator, or fewer epochs or steps."
                )
            self.taken += 1
            yield batch

    def _following(self, number: int) -> Any:
        """The next batch, of a new round if the last one is over."""
        if self.iterator is None:
            self.iterator = self.source.batches(number)
        batch = next(self.iterator, _OVER)
        if batch is _OVER and not self.source.once and self.taken:
            self.close()
            self.iterator = self.source.batches(number)
            batch = next(self.iterator, _OVER)
        return batch

    def close(self) -> None:
        """End a generator that is left in the middle, unless it is the user's to go on with."""
        if self.iterator is not None and not self.source.once:
            closing = getattr(self.iterator, "close", None)
            if closing is not None:
                closing()


class _Filling:
    """A run of batches that grows."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.chunk: Chunk | None = None
        self.begun: float | None = None
        self.number = 0

    def add(self, arrays: Sequence[NDArray[Any]], sizes: Sizes, number: int) -> None:
        """Copy a batch behind the others, or begin a new run with it."""
        count, whole = sizes["N"], self.stream.whole(sizes, sizes["N"])
        others = {name: size for name, size in sizes.items() if name != "N"}
        chunk = self.chunk
        if chunk is not None and (chunk.batch != whole or chunk.sizes != others):
            self.hand_over()
        if self.chunk is None:
            self._begin(arrays, others, whole, number)
        chunk = self.chunk
        assert chunk is not None
        for node, array in zip(self.stream.function.inputs, arrays, strict=True):
            chunk.data[node][chunk.samples : chunk.samples + count] = array
        chunk.samples += count
        full = chunk.samples + whole > len(next(iter(chunk.data.values())))
        assert self.begun is not None
        late = self.stream.is_awaited and time.perf_counter() - self.begun > PATIENCE
        if count < whole or full or late:
            self.hand_over()

    def _begin(self, arrays: Sequence[NDArray[Any]], sizes: Sizes, whole: int, number: int) -> None:
        inputs = self.stream.function.inputs
        each = {n: a.nbytes // len(a) * whole for n, a in zip(inputs, arrays, strict=True)}
        fits = BUFFER_BYTES // max(sum(each.values()), 1)
        count = max(1, min(fits, self.stream.at_once))
        buffer = self.stream.free()
        data = {}
        for node, array in zip(inputs, arrays, strict=True):
            flat = buffer.room(node, each[node] * count)[: each[node] * count]
            data[node] = flat.view(array.dtype).reshape(whole * count, *array.shape[1:])
        self.chunk = Chunk(buffer, data, sizes, whole, first=number)
        self.begun = self.begun or time.perf_counter()

    def hand_over(self, ends: bool = False) -> None:
        """Let the executor have what there is."""
        if self.chunk is None and not ends:
            return
        if self.chunk is None:  # the epoch ended where a run did
            self.chunk = Chunk(self.stream.free(), {}, {}, 1)
        self.chunk.ends = ends
        self.stream.hand_over(self.chunk)
        self.chunk, self.begun = None, None
