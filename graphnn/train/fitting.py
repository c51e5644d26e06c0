"""The epochs of one ``fit``: trained, watched, judged and written down."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from graphnn.backends.cpu import executor
from graphnn.backends.cpu.compile import counts
from graphnn.context import declared_at
from graphnn.errors import NotFiniteWarning
from graphnn.function import Function
from graphnn.ops.loss.binary import log_loss
from graphnn.train.callbacks.hooks import Hooks
from graphnn.train.epochs import Run
from graphnn.train.history import History
from graphnn.train.progress import Reporter, Silent

Validate: TypeAlias = Callable[[], Mapping[str, float]]
Begin: TypeAlias = Callable[[int, int], Run]


@dataclass(frozen=True)
class Place:
    """Where training is: in an epoch, behind some of its batches, after some steps in all."""

    epoch: int = 0
    batch: int = 0
    step: int = 0


class Fitting:
    """A function run over a data set for some epochs; what they bring goes into a history.

    Parameters
    ----------
    function
        The training step; its first outputs bear ``names``, the loss first.
    begin
        Makes the run of some epochs: ``begin(first, count)``.
    names
        Names of the outputs that are averaged over each epoch.
    history
        Filled epoch by epoch, also if the run is interrupted.
    shown
        What a person sees.
    hooks
        The callbacks.
    validate
        Measures after each epoch, if there is validation data.
    judged
        Names of what validation measures.
    """

    def __init__(
        self,
        function: Function,
        begin: Begin,
        names: Sequence[str],
        history: History,
        shown: Reporter,
        hooks: Hooks,
        validate: Validate | None = None,
        judged: Sequence[str] = (),
    ) -> None:
        self.function, self.begin, self.names = function, begin, list(names)
        self.history, self.shown, self.hooks = history, shown, hooks
        self.validate, self.judged = validate, list(judged) if validate is not None else []
        self.first = Place()  # where training began, or goes on from
        self.active: Run | None = None
        self._finite = True
        self._told = 0  # of how many epochs of the run

    @property
    def measured(self) -> list[str]:
        """Names of what the history has, and the logs of an epoch."""
        return [*self.names, *(f"val_{name}" for name in self.judged)]

    def run(self, epochs: int, params: Mapping[str, Any]) -> None:
        """Train: all epochs in one call of the executor, or in pieces with Python between them.

        Raises
        ------
        KeyboardInterrupt
            After Ctrl-C; the history has the epochs that were trained whole.
        """
        logs: dict[str, float] = {}
        try:
            with self.hooks.training({**params, "names": self.measured}, logs):
                self._train(epochs, logs)
        finally:
            self.history.pad(self.measured)

    def _train(self, epochs: int, logs: dict[str, float]) -> None:
        if self.first.epoch >= epochs or self.hooks.want_stop():
            return
        run = self.active = self._prepared(epochs - self.first.epoch)
        if self.validate is None and not self.hooks.between:
            self._run(run)
            return
        for row in range(run.epochs):
            epoch = self.first.epoch + row
            if row or not self.first.batch:
                self.hooks.epoch_begin(epoch)
            self._steps(run, row)
            if run.progress[0] <= row:  # a callback stopped it in the middle
                return
            self._edge(run, row, logs)
            if self.hooks.want_stop():
                return

    def _steps(self, run: Run, row: int) -> None:
        """Train to the end of an epoch, with a stop wherever a callback wants one."""
        before = self.first.step - self.first.batch
        while run.progress[0] <= row and not self.hooks.want_stop():
            step = before + run.done
            due = self.hooks.next_step(step)
            self._run(run, batches=None if due is None else due - step, epochs=row + 1)
            if before + run.done == due:
                self.hooks.step_end(due, self._so_far(run, row))

    def _so_far(self, run: Run, row: int) -> dict[str, float]:
        """The means of the epoch, also where it has just ended."""
        if run.progress[0] > row:
            return dict(zip(self.names, run.means(row), strict=True))
        sums, seen, _ = run.so_far
        return dict(zip(self.names, (sums / seen).tolist(), strict=True))

    def _edge(self, run: Run, row: int, logs: dict[str, float]) -> None:
        """What happens after an epoch: validation, the history's values to the callbacks."""
        epoch = self.first.epoch + row
        if self.validate is not None:
            self._validated(run, row, self.validate)
        logs.clear()
        logs.update({name: self.history[name][-1] for name in self.measured})
        self.hooks.epoch_end(epoch, logs)

    def _prepared(self, epochs: int) -> Run:
        """The run; what must be compiled for it is compiled here, and told apart."""
        before, started = counts["compiled"], time.perf_counter()
        run = self.begin(self.first.epoch, epochs)
        executor.prepare()
        self.shown.begin(counts["compiled"] - before, time.perf_counter() - started)
        return run

    def _run(self, run: Run, batches: int | None = None, epochs: int | None = None) -> None:
        """A piece of the run, watched and written down."""
        first = run.progress[0]
        try:
            run.run(lambda: self._watch(run), batches=batches, epochs=epochs)
        finally:
            self.history.extend(self.names, *run.brought(first, run.progress[0]))
        self._watch(run)

    def _watch(self, run: Run) -> None:
        """Show where the run is, and tell of each epoch that has ended."""
        self.shown.watch(run, self.first.epoch)
        done = run.progress[0]
        told, self._told = self._told, done
        if self.validate is None and told < done and not isinstance(self.shown, Silent):
            seconds = run.brought(told, done)[1]
            for row in range(told, done):
                values = run.means(row)
                self.shown.epoch_done(
                    self.first.epoch + row, self.names, values, seconds[row - told]
                )
        self._check_finite(self.first.epoch + told, run.sums[told:done, 0])

    def _validated(self, run: Run, row: int, validate: Validate) -> None:
        values = dict.fromkeys(self.judged, math.nan)  # if it is cut short: no column is shorter
        try:
            values |= validate()
        finally:
            self.history.add_validation(values)
        names = [*self.names, *(f"val_{name}" for name in values)]
        self.shown.epoch_done(
            self.first.epoch + row, names, [*run.means(row), *values.values()],
            run.brought(row, row + 1)[1][0],
        )  # fmt: skip

    def _check_finite(self, first: int, losses: NDArray[np.float64]) -> None:
        """Say once that training went astray: the weights are of no use from there on."""
        wrong = np.flatnonzero(~np.isfinite(losses))
        if not self._finite or not wrong.size:
            return
        self._finite = False
        epoch, loss = first + int(wrong[0]), losses[wrong[0]]
        here = declared_at()
        warnings.warn_explicit(
            f"epoch {epoch + 1}: the loss is {loss}, and the weights will hardly recover. "
            f"{self._suspect()}Look for NaN or Inf in the data (np.isfinite(x).all()) and for "
            "logarithms and quotients at 0, or lower the learning rate. "
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
