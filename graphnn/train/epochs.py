"""Whole epochs in one call of the executor: the job that ``fit`` and ``evaluate`` hand over."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphnn.backends.cpu import executor
from graphnn.backends.cpu.binding import Bound, address_of
from graphnn.backends.cpu.executor import Job
from graphnn.errors import GraphError
from graphnn.function import Function
from graphnn.fusion import is_computed, root
from graphnn.node import Input, Node
from graphnn.ops.random.generator import GENERATOR
from graphnn.spec import BATCH, evaluate


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
        self.sums = np.zeros((epochs, len(function.outputs)))
        self._total = 0.0
        self._clock = np.zeros(epochs + 1)
        set_tables(self.job, function, self.bound, data, self.sums)
        self.job.set(EPOCHS=epochs, SAMPLES=self.samples, BATCH=self.batch)
        self.job.set(CLOCK=address_of(self._clock))
        self.job.hold(self._clock)
        if shuffle:
            order = np.empty(self.samples, np.int64)
            self.job.hold(order)
            seed = int(GENERATOR.value[0])
            self.job.set(ORDER=address_of(order), SEED=seed, FIRST_EPOCH=first_epoch)

    @property
    def progress(self) -> tuple[int, int]:
        """Epochs done, and batches done of the present one: one number, read at one moment."""
        return divmod(int(self.job.progress[0]), self.batches)

    @property
    def seconds(self) -> list[float]:
        """Wall time of each epoch that is done."""
        done = self.progress[0]
        if not self._clock.any():  # a system without clock_gettime: the total, shared out
            return [self._total / max(done, 1)] * done
        return np.diff(self._clock[: done + 1]).tolist()  # type: ignore[no-any-return]

    def means(self, epoch: int = 0) -> list[float]:
        """The outputs' means over an epoch that is done."""
        return (self.sums[epoch] / self.samples).tolist()  # type: ignore[no-any-return]

    def brought(self, first: int, last: int) -> tuple[NDArray[np.float64], list[float]]:
        """Means (epochs, outputs) and seconds of the epochs from ``first`` to before ``last``."""
        return self.sums[first:last] / self.samples, self.seconds[first:last]

    def run(self, watch: Callable[[], None] | None = None) -> None:
        """Run to the end, on as many threads as the work is worth.

        Raises
        ------
        KeyboardInterrupt
            After Ctrl-C, once the step under way is whole.
        """
        threads = 1 if self.bound.plan.lanes == 1 else executor.get_num_threads()
        started = time.perf_counter()
        with self.function.lock:
            self.job.run(threads, watch)
        self._total = time.perf_counter() - started


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
    scalars = np.array(sources or [(0, 0)], np.int64)
    job.hold(table, scalars, sums)
    job.set(GATHERS=address_of(table), GATHER_COUNT=len(gathers))
    job.set(SUM_SOURCES=address_of(scalars), SUM_COUNT=len(sources))
    job.set(SUMS=address_of(sums))


def _source(function: Function, index: int, bound: Bound) -> tuple[int, int]:
    """Address and bytes of an output: a float scalar in the arena."""
    node: Node = function.result(index)
    if node.spec.shape != () or not is_computed(root(node)):
        raise GraphError(
            f"{node.name} must be a float scalar that depends on the inputs, to be summed over "
            f"an epoch; it has shape {node.shape}. Declared at {node.origin}."
        )
    return address_of(function.view(node, bound)), node.spec.itemsize


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
