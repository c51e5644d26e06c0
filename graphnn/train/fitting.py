"""The epochs of one ``fit``: trained, watched, judged and written down."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from graphnn.backends.cpu import executor
from graphnn.backends.cpu.compile import counts
from graphnn.context import declared_at
from graphnn.errors import NotFiniteWarning
from graphnn.function import Function
from graphnn.ops.loss.binary import log_loss
from graphnn.train.history import History
from graphnn.train.progress import Reporter, Silent
from graphnn.train.stream_run import Open, Run, run_over

Validate = Callable[[], Mapping[str, float]]
After = Callable[[int], bool]


class Fitting:
    """A function run over a data set for some epochs; what they bring goes into a history.

    Parameters
    ----------
    function
        The training step; its first outputs bear ``names``, the loss first.
    data
        For each input an array that fits it, or a stream of batches.
    names
        Names of the outputs that are averaged over each epoch.
    history
        Filled epoch by epoch, also if the run is interrupted.
    shown
        What a person sees.
    batch_size, shuffle
        As in :class:`EpochRun`.
    first_epoch
        How many epochs were trained before: each has an order of its own.
    judged
        Names of what validation measures, if not all.
    """

    def __init__(
        self,
        function: Function,
        data: Open,
        names: Sequence[str],
        history: History,
        shown: Reporter,
        *,
        batch_size: int,
        shuffle: bool,
        first_epoch: int,
        judged: Sequence[str] | None = None,
    ) -> None:
        self.function, self.data, self.names = function, data, list(names)
        self.judged = self.names if judged is None else list(judged)
        self.history, self.shown = history, shown
        self.batch_size, self.shuffle, self.first_epoch = batch_size, shuffle, first_epoch
        self._finite = True

    def run(
        self, epochs: int, validate: Validate | None = None, after: After | None = None
    ) -> None:
        """Train: all epochs in one call of the executor, or one by one if something is between.

        Parameters
        ----------
        epochs
            How many.
        validate
            What is measured after each epoch.
        after
            Called with the number of each epoch that is over, from 0; True ends the run.

        Raises
        ------
        KeyboardInterrupt
            After Ctrl-C; the history has the epochs that were trained whole.
        """
        together = epochs if validate is None and after is None else 1
        for epoch in range(0, epochs, together):
            run = self._prepared(epoch, together)
            try:
                run.run(lambda run=run, epoch=epoch: self._watch(run, epoch, validate is None))  # type: ignore[misc]
            finally:
                done = run.progress[0]
                self.history.extend(self.names, *run.brought(0, done))
            self._watch(run, epoch, validate is None)
            if validate is not None:
                self._validated(run, epoch, validate)
            if after is not None and after(epoch):
                return

    def _prepared(self, epoch: int, together: int) -> Run:
        """The run; what must be compiled for it is compiled here, and told apart."""
        before, started = counts["compiled"], time.perf_counter()
        run = run_over(
            self.function,
            self.data,
            self.batch_size,
            together,
            shuffle=self.shuffle,
            first_epoch=self.first_epoch + epoch,
        )
        executor.prepare()
        if epoch == 0:
            self.shown.begin(counts["compiled"] - before, time.perf_counter() - started)
        self._told = 0
        return run

    def _watch(self, run: Run, first: int, told_here: bool) -> None:
        """Show where the run is, and tell of each epoch that has ended."""
        self.shown.watch(run, first)
        done = run.progress[0]
        told, self._told = self._told, done
        if told_here and told < done and not isinstance(self.shown, Silent):
            seconds = run.seconds
            for row in range(told, done):
                self.shown.epoch_done(first + row, self.names, run.means(row), seconds[row])
        self._check_finite(first + told, run.sums[told:done, :1].ravel())

    def _validated(self, run: Run, epoch: int, validate: Validate) -> None:
        values = dict.fromkeys(self.judged, math.nan)  # if it is cut short: no column is shorter
        try:
            values |= validate()
        finally:
            self.history.add_validation(values)
        names = [*self.names, *(f"val_{name}" for name in values)]
        self.shown.epoch_done(epoch, names, [*run.means(), *values.values()], run.seconds[0])

    def _check_finite(self, first: int, losses: NDArray[np.float64]) -> None:
        """Say once that training went astray: the weights are of no use from there on."""
        wrong = np.flatnonzero(~np.isfinite(losses))
        if not self._finite or not wrong.size:
            return
        self._finite = False
        epoch, loss = first + int(wrong[0]), losses[wrong[0]]
        here = declared_at()
        warnings.warn_explicit(
            f"epoch {epoch + 1}: the {self.names[0]} is {loss}, and the weights will hardly "
            f"recover. {self._suspect()}"
            "Look for NaN or Inf in the data (np.isfinite(x).all()) and for logarithms and "
            "quotients at 0, or lower the learning rate. "
            "warnings.simplefilter('error', gn.NotFiniteWarning) stops training there.",
            NotFiniteWarning,
            here.file,
            here.line,
        )

    def _suspect(self) -> str:
        """The first thing to look at, where the graph shows one."""
        if not any(node.op is log_loss.op for node in self.function.graph.nodes):
            return ""
        return (
            "Its binary_cross_entropy is NaN outside of [0, 1]: does a sigmoid make what it takes? "
            "For logits use binary_cross_entropy_with_logits. "
        )
