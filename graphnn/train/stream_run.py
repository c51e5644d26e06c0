"""Epochs over a stream of batches: what :class:`EpochRun` is for arrays."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from graphnn.backends.cpu import executor
from graphnn.backends.cpu.executor import Job
from graphnn.errors import DataError
from graphnn.function import Function, inspecting
from graphnn.node import Input
from graphnn.optim.checks import check_count
from graphnn.train.epochs import EpochRun, Run, check_inputs, set_tables
from graphnn.train.measures import Measures, Value
from graphnn.train.sources import Rows, Source
from graphnn.train.streams import Chunk, Stream

Arrays: TypeAlias = Mapping[Input, NDArray[Any]]
Whole: TypeAlias = "Arrays | Source"  # what is given
Open: TypeAlias = "Arrays | Stream"  # what is run


@contextmanager
def opened(
    function: Function,
    data: Whole,
    epochs: int = 1,
    first_epoch: int = 0,
    steps: int | None = None,
    *,
    batch_size: int,
    shuffle: bool = False,
) -> Iterator[Open]:
    """Data that can be run: arrays as they are, a source with a thread that is ended behind it.

    Parameters
    ----------
    function
        Whose inputs they are for.
    data
        Arrays, or a source.
    epochs, first_epoch
        How many epochs will be run, and the number of the first.
    steps
        Batches an epoch, of a source that has no end, or that is to be cut.
    batch_size, shuffle
        How arrays become batches, where somebody looks at each.

    Raises
    ------
    DataError
        For a source that will not last, and for ``steps`` of arrays.
    """
    looking = inspecting.get() is not None
    if not isinstance(data, Source):
        if steps is not None:
            raise DataError(
                "steps_per_epoch is for batches that come one after the other; arrays have as many "
                "as they have: leave it out"
            )
        if not looking:
            yield data
            return
        data = Rows([data[node] for node in function.inputs], batch_size, shuffle)
    if steps is not None:
        check_count("steps_per_epoch", steps)
    elif data.once and epochs > 1:
        raise DataError(
            f"a generator is gone through once, and there are {epochs} epochs. Give the function "
            "that makes it, fit(batches) in place of fit(batches()), or say steps_per_epoch."
        )
    check_inputs(function)
    stream = Stream(
        data, function, epochs=epochs, first_epoch=first_epoch, steps=steps,
        at_once=1 if looking else None,
    )  # fmt: skip
    try:
        yield stream
    finally:
        stream.close()


def run_over(
    function: Function,
    data: Open,
    batch_size: int,
    epochs: int = 1,
    *,
    shuffle: bool = False,
    first_epoch: int = 0,
) -> Run:
    """The run of some epochs over data that is open; of a stream, the next ones."""
    if isinstance(data, Stream):
        data.begin_at(first_epoch, epochs)
        return StreamRun(data, epochs)
    return EpochRun(function, data, batch_size, epochs, shuffle=shuffle, first_epoch=first_epoch)


def samples_of(data: Whole) -> int | None:
    """How many samples there are, where that is known."""
    return data.samples if isinstance(data, Source) else len(next(iter(data.values())))


def steps_of(data: Whole, batch_size: int, steps: int | None = None) -> int | None:
    """How many batches an epoch has, where that is known."""
    if steps is not None:
        return steps
    if isinstance(data, Source):
        return data.steps
    return -(-len(next(iter(data.values()))) // batch_size)


class StreamRun:
    """A function run over the next epochs of a stream.

    Parameters
    ----------
    stream
        Its first batches are waited for here, and their kernels compiled.
    epochs
        How many epochs.

    Attributes
    ----------
    sums
        float64 (epochs, elements of all outputs): sums over samples so far.
    measures
        What they mean.
    batches, batch, samples
        Of an epoch, as far as is known: 0 batches and samples where nobody said.
    """

    def __init__(self, stream: Stream, epochs: int = 1) -> None:
        self.stream, self.function, self.epochs = stream, stream.function, epochs
        self.measures = Measures(self.function.outputs)
        self.sums = np.zeros((epochs, self.measures.width))
        self._counts = np.zeros(epochs, np.int64)
        self._clock = np.zeros(epochs)
        self._epoch = self._done = self._all = 0  # batches of this epoch, and of all before it
        self._chunk: Chunk | None = None
        self._used = 0  # batches of the chunk
        self._job: Job | None = None
        first = stream.peek()
        self.batches, self.batch = stream.batches or 0, first.batch
        self.samples = self.batches * self.batch
        self._bind(first, 0, first.batches)

    @property
    def progress(self) -> tuple[int, int]:
        """Epochs done, and batches done of the present one."""
        job = self._job
        return self._epoch, self._done + (0 if job is None else int(job.progress[0]))

    @property
    def done(self) -> int:
        """Batches done, of all epochs."""
        return self._all + self.progress[1]

    def part(self, epoch: int) -> tuple[NDArray[np.float64], int, float]:
        """What an epoch brought so far: sums over samples, how many samples, seconds."""
        job, seen = self._job, int(self._counts[epoch])
        if job is not None and epoch == self._epoch:
            seen += int(job.progress[0]) * self.batch
        return self.sums[epoch].copy(), seen, float(self._clock[epoch])

    @property
    def seconds(self) -> list[float]:
        """Wall time of each epoch that is done, with the time that was waited for data."""
        return self._clock[: self._epoch].tolist()  # type: ignore[no-any-return]

    def means(self, epoch: int = 0) -> list[Value]:
        """The outputs' means over an epoch that is done, and what tallies come to."""
        return self.measures.values(self.sums[epoch], int(self._counts[epoch]))

    def brought(self, first: int, last: int) -> tuple[list[list[Value]], list[float]]:
        """Each output's values, and the seconds, of epochs from ``first`` to before ``last``."""
        columns = self.measures.columns(self.sums[first:last], self._counts[first:last])
        return columns, self._clock[first:last].tolist()

    def go_on_from(self, batch: int, sums: NDArray[np.float64], seconds: float) -> None:
        """Begin behind some batches of the first epoch, with what they brought.

        They are made once more, and not run.
        """
        self.sums[0], self._clock[0] = sums, seconds
        left = batch
        while left:
            chunk = self._under_way(None)
            count = min(chunk.batches - self._used, left)
            left -= count
            self._use(count)
            if self._epoch and left:
                raise DataError(f"the data has fewer than {batch} batches, behind which to go on")

    def run(
        self,
        watch: Callable[[], None] | None = None,
        *,
        batches: int | None = None,
        epochs: int | None = None,
    ) -> None:
        """Run to the end, or a piece of the way.

        Parameters
        ----------
        watch
            Called now and then by the main thread.
        batches
            Return after so many more of them, at the latest.
        epochs
            Return when so many are done, at the latest. The next call goes on from there.

        Raises
        ------
        KeyboardInterrupt
            After Ctrl-C, once the step under way is whole.
        """
        last = self.epochs if epochs is None else min(epochs, self.epochs)
        until = None if batches is None else self.done + batches
        while self._epoch < last and (until is None or self.done < until):
            began, epoch = time.perf_counter(), self._epoch
            try:
                chunk = self._under_way(watch)
                count = chunk.batches - self._used
                count = count if until is None else min(count, until - self.done)
                if count:
                    self._run(chunk, count, watch)
                else:  # only to say that the epoch is over
                    self._use(0)
                if self._chunk is None and self._done and not self.stream.peek(watch).samples:
                    self._under_way(watch)  # that was the last batch: the epoch is over now
                    self._use(0)
            finally:
                self._clock[epoch] += time.perf_counter() - began
            if watch is not None:
                watch()

    def _under_way(self, watch: Callable[[], None] | None) -> Chunk:
        """The chunk that is being run."""
        if self._chunk is None:
            self._chunk, self._used = self.stream.take(watch), 0
        return self._chunk

    def _use(self, count: int) -> None:
        """Count batches as done; behind the last of a chunk let its buffer be filled anew."""
        chunk = self._chunk
        assert chunk is not None
        rows = min((self._used + count) * chunk.batch, chunk.samples) - self._used * chunk.batch
        self._counts[self._epoch] += rows
        self._used += count
        self._done += count
        if self._used < chunk.batches:
            return
        self._chunk = None
        self.stream.give_back(chunk)
        if chunk.ends:
            self.batches, self.samples = self._done, int(self._counts[self._epoch])
            self._all, self._done = self._all + self._done, 0
            self._epoch += 1

    def _run(self, chunk: Chunk, count: int, watch: Callable[[], None] | None) -> None:
        """Run batches of a chunk."""
        with self.function.lock:
            job = self._bind(chunk, self._used, count)
            threads = executor.get_num_threads() if job.bound.plan.lanes > 1 else 1
            self.batch, self._job = chunk.batch, job
            look = inspecting.get()
            try:
                if look is None:
                    job.run(threads, watch)
                else:
                    arrays = [chunk.data[n][: chunk.samples] for n in self.function.inputs]
                    look(self.function, arrays, lambda: self._results(job, threads), self._place)
            finally:
                done, self._job = int(job.progress[0]), None
                if done:
                    self._use(done)

    def _results(self, job: Job, threads: int) -> list[NDArray[Any]]:
        """Run a job of one batch; the outputs."""
        job.run(threads)
        count = len(self.function.outputs)
        return [self.function.read(self.function.result(i), job.bound) for i in range(count)]

    def _place(self, row: int | None) -> str:
        """Where the run is, and which sample of the data stands in a row of the batch."""
        number = self.stream.first_epoch + self._epoch
        epoch = f"epoch {number - self.stream.base + 1}, "
        where = f"In {epoch if self.function.updates else ''}batch {self._done + 1}."
        source = self.stream.source
        if row is None or not isinstance(source, Rows):
            return where
        return f"{where} Row {row} is sample {source.sample(number, self._done, row)} of the data."

    def _bind(self, chunk: Chunk, first: int, count: int) -> Job:
        """The job that runs over some batches of a chunk."""
        start = first * chunk.batch
        samples = min(count * chunk.batch, chunk.samples - start)
        rest = samples % chunk.batch
        whole = self.function.bind({**chunk.sizes, "N": chunk.batch}, gathered=True)
        small = None
        if rest:
            sizes = {**chunk.sizes, "N": rest}
            small = self.function.bind(sizes, gathered=True, like=whole)
        job = Job(whole, small)
        data = {node: rows[start:] for node, rows in chunk.data.items()}
        set_tables(job, self.function, whole, data, self.sums[self._epoch])
        job.set(SAMPLES=samples, BATCH=chunk.batch)
        return job
