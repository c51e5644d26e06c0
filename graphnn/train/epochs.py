"""Epochs inside the executor, whole or in pieces: the job of ``fit`` and ``evaluate``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from graphnn.backends.cpu import executor
from graphnn.backends.cpu.binding import address_of
from graphnn.backends.cpu.executor import Job
from graphnn.errors import GraphError
from graphnn.function import Function
from graphnn.fusion import is_computed, root
from graphnn.node import Input, Node
from graphnn.ops.random.generator import generator
from graphnn.spec import BATCH, evaluate


class Run(Protocol):
    """Epochs under way, as training drives them; :class:`EpochRun` says what each part means."""

    samples: int
    batch: int
    batches: int
    epochs: int
    sums: NDArray[np.float64]

    @property
    def done(self) -> int:
        """Batches done, of all epochs."""

    @property
    def progress(self) -> tuple[int, int]:
        """Epochs done, and batches done of the present one."""

    @property
    def so_far(self) -> tuple[NDArray[np.float64], int, float]:
        """Of the epoch under way: sums over samples, how many samples, seconds."""

    def means(self, epoch: int = 0) -> list[float]:
        """The outputs' means over an epoch that is done."""

    def brought(self, first: int, last: int) -> tuple[NDArray[np.float64], list[float]]:
        """Means and seconds of epochs that are done."""

    def go_on_from(self, batch: int, sums: NDArray[np.float64], seconds: float) -> None:
        """Begin behind some batches of the first epoch."""

    def run(
        self,
        watch: Callable[[], None] | None = None,
        *,
        batches: int | None = None,
        epochs: int | None = None,
    ) -> None:
        """Run to the end, or a piece of the way."""


class EpochRun:
    """A function run over all batches of a data set, for some epochs.

    Parameters
    ----------
    function
        Its first outputs, all float scalars, are summed over each epoch.
    data
        For each input an array that fits it, samples along the first axis.
    batch_size
        Samples a batch; the last batch of an epoch may be smaller, and counts by its size.
    epochs
        How often the data is gone through.
    shuffle
        Whether each epoch has an order of its own, from the seed and the number of the epoch.
    first_epoch
        Number of the first epoch.

    Attributes
    ----------
    sums
        float64 (epochs, outputs): sums over samples so far.
    samples
        Number of samples.
    batches
        Batches an epoch.
    """

    def __init__(
        self,
        function: Function,
        data: Mapping[Input, NDArray[Any]],
        batch_size: int,
        epochs: int = 1,
        *,
        shuffle: bool = False,
        first_epoch: int = 0,
    ) -> None:
        self.function = function
        self.samples = len(next(iter(data.values())))
        self.batch = min(batch_size, self.samples)
        self.batches = -(-self.samples // self.batch)
        self.epochs = epochs
        _check_inputs(function)
        data = {node: function.apart(array) for node, array in data.items()}
        tail = self.samples % self.batch
        _, sizes = function.checked([data[node] for node in function.inputs])
        with function.lock:  # both plans in one arena
            self.bound = function.bind({**sizes, "N": self.batch}, gathered=True)
            small = (
                function.bind({**sizes, "N": tail}, gathered=True, like=self.bound)
                if tail
                else None
            )
        self.job = Job(self.bound, small)
        self.sums = np.zeros((epochs, len(function.outputs)))
        self._ordered = False  # whether the order in memory is that of the epoch under way
        self._total = 0.0
        self._clock = np.zeros(epochs)
        self._set_tables(data)
        self.job.set(EPOCHS=epochs, SAMPLES=self.samples, BATCH=self.batch)
        self.job.set(CLOCK=address_of(self._clock))
        if shuffle:
            order = np.empty(self.samples, np.int64)
            self.job.hold(order)
            seed = int(generator().value[0])
            self.job.set(ORDER=address_of(order), SEED=seed, FIRST_EPOCH=first_epoch)

    def _set_tables(self, data: Mapping[Input, NDArray[Any]]) -> None:
        arena = address_of(self.bound.arena)
        gathers = []
        for node, array in data.items():
            if node not in self.bound.offsets:
                continue
            width = evaluate(node.spec.nbytes, {**self.bound.plan.sizes, "N": 1})
            gathers.append((address_of(array), arena + self.bound.offsets[node], width))
            self.job.hold(array)
        sources = [self._source(i) for i in range(len(self.function.outputs))]
        table = np.array(gathers or [(0, 0, 0)], np.int64)
        scalars = np.array(sources or [(0, 0)], np.int64)
        self.job.hold(table, scalars, self.sums, self._clock)
        self.job.set(GATHERS=address_of(table), GATHER_COUNT=len(gathers))
        self.job.set(SUM_SOURCES=address_of(scalars), SUM_COUNT=len(sources))
        self.job.set(SUMS=address_of(self.sums))

    def _source(self, index: int) -> tuple[int, int]:
        """Address and bytes of an output: a float scalar in the arena."""
        node: Node = self.function.result(index)
        if node.spec.shape != () or not is_computed(root(node)):
            raise GraphError(
                f"{node.name} must be a float scalar that depends on the inputs, to be summed over "
                f"an epoch; it has shape {node.shape}. Declared at {node.origin}."
            )
        return address_of(self.function.view(node, self.bound)), node.spec.itemsize

    @property
    def done(self) -> int:
        """Batches done, of all epochs."""
        return int(self.job.progress[0])

    @property
    def progress(self) -> tuple[int, int]:
        """Epochs done, and batches done of the present one: one number, read at one moment."""
        return divmod(self.done, self.batches)

    @property
    def seconds(self) -> list[float]:
        """Time that each epoch that is done took inside the executor."""
        return self.brought(0, self.progress[0])[1]

    def means(self, epoch: int = 0) -> list[float]:
        """The outputs' means over an epoch that is done."""
        return (self.sums[epoch] / self.samples).tolist()  # type: ignore[no-any-return]

    def brought(self, first: int, last: int) -> tuple[NDArray[np.float64], list[float]]:
        """Means (epochs, outputs) and seconds of the epochs from ``first`` to before ``last``."""
        seconds = self._clock[first:last]
        if not seconds.any():  # a system without a clock: the total, shared out
            seconds = np.full(last - first, self._total / max(self.progress[0], 1))
        return self.sums[first:last] / self.samples, seconds.tolist()

    @property
    def so_far(self) -> tuple[NDArray[np.float64], int, float]:
        """Of the epoch under way: sums over samples, how many samples, seconds."""
        epoch, batch = self.progress
        if epoch == self.epochs:
            return np.zeros(self.sums.shape[1]), 0, 0.0
        seen = min(batch * self.batch, self.samples)
        return self.sums[epoch].copy(), seen, float(self._clock[epoch])

    def go_on_from(self, batch: int, sums: NDArray[np.float64], seconds: float) -> None:
        """Begin behind some batches of the first epoch, with what they brought."""
        self.sums[0], self._clock[0] = sums, seconds
        self.job.progress[0] = batch

    def run(
        self,
        watch: Callable[[], None] | None = None,
        *,
        batches: int | None = None,
        epochs: int | None = None,
    ) -> None:
        """Run to the end, on as many threads as the work is worth; or a piece of the way.

        Parameters
        ----------
        watch
            Called now and then by the main thread.
        batches
            Return after so many more of them, at the latest.
        epochs
            Return when so many are done, at the latest. The next call goes on from there; the
            results have the bits of one run.

        Raises
        ------
        KeyboardInterrupt
            After Ctrl-C, once the step under way is whole.
        """
        threads = 1 if self.bound.plan.lanes == 1 else executor.get_num_threads()
        done = self.done
        until = self.batches * (self.epochs if epochs is None else min(epochs, self.epochs))
        until = until if batches is None else min(until, done + batches)
        self.job.set(BEGIN=done, UNTIL=until, ORDERED=int(self._ordered))
        started = time.perf_counter()
        with self.function.lock:
            self.job.run(threads, watch)
        self._ordered = self._ordered or self.done > done
        self._total += time.perf_counter() - started


def _check_inputs(function: Function) -> None:
    for node in function.inputs:
        shape: Sequence[object] = node.spec.shape
        if not shape or shape[0] != BATCH or any(dim == BATCH for dim in shape[1:]):
            raise GraphError(
                f"a data set is cut into batches along the first axis: input {node.name} must be "
                f"declared (None, ...); it is {node.shape} at {node.origin}."
            )
