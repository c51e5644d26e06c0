"""Epochs inside the executor, whole or in pieces: the job of ``fit`` and ``evaluate``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from graphnn.backends.cpu import executor
from graphnn.backends.cpu.binding import Bound, address_of
from graphnn.backends.cpu.executor import Job
from graphnn.errors import GraphError
from graphnn.function import Function
from graphnn.fusion import is_computed, root
from graphnn.node import Input, Node
from graphnn.ops.random.generator import generator
from graphnn.ops.training.tally import TALLY
from graphnn.spec import BATCH, evaluate
from graphnn.train.measures import Measures, Value


class Run(Protocol):
    """Epochs under way, as training drives them; :class:`EpochRun` says what each part means."""

    samples: int
    batch: int
    batches: int
    epochs: int
    sums: NDArray[np.float64]
    measures: Measures

    @property
    def done(self) -> int:
        """Batches done, of all epochs."""

    @property
    def progress(self) -> tuple[int, int]:
        """Epochs done, and batches done of the present one."""

    def part(self, epoch: int) -> tuple[NDArray[np.float64], int, float]:
        """What an epoch brought so far: sums over samples, how many samples, seconds."""

    def means(self, epoch: int = 0) -> list[Value]:
        """The outputs' means over an epoch that is done, and what tallies come to."""

    def brought(self, first: int, last: int) -> tuple[list[list[Value]], list[float]]:
        """The same for each output, and the seconds, of epochs that are done."""

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
        Its outputs are summed over each epoch: float scalars, means over a batch, and tallies.
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
        float64 (epochs, elements of all outputs): sums over samples so far.
    measures
        What they mean.
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
        check_inputs(function)
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
        self.measures = Measures(function.outputs)
        self.sums = np.zeros((epochs, self.measures.width))
        self._ordered = False  # whether the order in memory is that of the epoch under way
        self._total = 0.0
        self._clock = np.zeros(epochs)
        set_tables(self.job, function, self.bound, data, self.sums)
        self.job.set(EPOCHS=epochs, SAMPLES=self.samples, BATCH=self.batch)
        self.job.set(CLOCK=address_of(self._clock))
        self.job.hold(self._clock)
        if shuffle:
            order = np.empty(self.samples, np.int64)
            self.job.hold(order)
            seed = int(generator().value[0])
            self.job.set(ORDER=address_of(order), SEED=seed, FIRST_EPOCH=first_epoch)

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

    def means(self, epoch: int = 0) -> list[Value]:
        """The outputs' means over an epoch that is done, and what tallies come to."""
        return self.measures.values(self.sums[epoch], self.samples)

    def brought(self, first: int, last: int) -> tuple[list[list[Value]], list[float]]:
        """Each output's values, and the seconds, of epochs from ``first`` to before ``last``."""
        seconds = self._clock[first:last]
        if not seconds.any():  # a system without a clock: the total, shared out
            seconds = np.full(last - first, self._total / max(self.progress[0], 1))
        return self.measures.columns(self.sums[first:last], self.samples), seconds.tolist()

    def part(self, epoch: int) -> tuple[NDArray[np.float64], int, float]:
        """What an epoch brought so far: sums over samples, how many samples, seconds."""
        seen = min(max(self.done - epoch * self.batches, 0) * self.batch, self.samples)
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


def set_tables(
    job: Job,
    function: Function,
    bound: Bound,
    data: Mapping[Input, NDArray[Any]],
    sums: NDArray[np.float64],
) -> None:
    """Say where batches are gathered from, and where the outputs are added up."""
    arena = address_of(bound.arena)
    gathers = []
    for node, array in data.items():
        if node not in bound.offsets:
            continue
        width = evaluate(node.spec.nbytes, {**bound.plan.sizes, "N": 1})
        gathers.append((address_of(array), arena + bound.offsets[node], width))
        job.hold(array)
    sources = [_source(function, i, bound) for i in range(len(function.outputs))]
    table = np.array(gathers or [(0, 0, 0)], np.int64)
    scalars = np.array(sources or [(0, 0, 0, 0)], np.int64)
    job.hold(table, scalars, sums)
    job.set(GATHERS=address_of(table), GATHER_COUNT=len(gathers))
    job.set(SUM_SOURCES=address_of(scalars), SUM_COUNT=len(sources))
    job.set(SUMS=address_of(sums), MEET=int(not _by_first_thread(function, bound)))


def _source(function: Function, index: int, bound: Bound) -> tuple[int, int, int, int]:
    """Address, bytes an element and elements of an output, and whether it is a mean."""
    node: Node = function.result(index)
    tallied = function.outputs[index].op is TALLY
    if (node.spec.shape != () and not tallied) or not is_computed(root(node)):
        raise GraphError(
            f"{node.name} must be a float scalar that depends on the inputs, to be summed over "
            f"an epoch; it has shape {node.shape}. Declared at {node.origin}."
        )
    found = function.view(node, bound)
    return address_of(found), node.spec.itemsize, found.size, int(not tallied)


def _by_first_thread(function: Function, bound: Bound) -> bool:
    """Whether the thread that adds the outputs up has written all of them: a single part each."""
    results = {root(function.result(i)) for i in range(len(function.outputs))}
    accesses = [access for step in bound.plan.steps for access in step.accesses]
    return results <= {access.node for access in accesses if access.writes and access.parts == 1}


def check_inputs(function: Function) -> None:
    """Check that a data set can be cut into batches for all inputs.

    Raises
    ------
    GraphError
        Unless the batch is their first axis, and no other.
    """
    for node in function.inputs:
        shape: Sequence[object] = node.spec.shape
        if not shape or shape[0] != BATCH or any(dim == BATCH for dim in shape[1:]):
            raise GraphError(
                f"a data set is cut into batches along the first axis: input {node.name} must be "
                f"declared (None, ...); it is {node.shape} at {node.origin}."
            )
