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
from graphnn.train.callbacks.callback import Callback
from graphnn.train.callbacks.hooks import Hooks
from graphnn.train.epochs import Run
from graphnn.train.history import History
from graphnn.train.measures import Measures, figures, is_array
from graphnn.train.progress import Reporter, Silent
from graphnn.train.stream_run import Open, run_over

Validate: TypeAlias = Callable[[], Mapping[str, Any]]


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
    names
        Names of the outputs that are averaged over each epoch.
    hooks
        The callbacks.
    batch_size, shuffle
        How arrays become batches.
    validate
        Measures after each epoch, if there is validation data.
    judged
        Names of what validation measures.
    before
        How many epochs were trained by earlier fits: each has an order of its own.

    Attributes
    ----------
    history
        Filled epoch by epoch, also if the run is interrupted.
    data
        What is gone through; set before :meth:`run`.
    shown
        What a person sees.
    """

    def __init__(
        self,
        function: Function,
        names: Sequence[str],
        hooks: Hooks,
        batch_size: int,
        shuffle: bool = True,
        validate: Validate | None = None,
        judged: Sequence[str] = (),
        before: int = 0,
    ) -> None:
        self.function, self.names, self.hooks = function, list(names), hooks
        self.batch_size, self.shuffle = batch_size, shuffle
        self.history = History()
        self.data: Open = {}
        self.shown: Reporter = Silent()
        self.validate, self.judged = validate, list(judged) if validate is not None else []
        self.before = before
        self.rate: float | None = None  # the learning rate with which the run began
        self.first = Place()  # where training began, or goes on from
        self.partial: tuple[NDArray[np.float64], float] | None = None  # of the first epoch
        self.states: dict[Callback, dict[str, Any]] = {}
        self.active: Run | None = None
        self._finite = True
        self._told = 0  # of how many epochs of the run
        self._closed = 0  # epochs of the run whose edge is behind it

    @property
    def measured(self) -> list[str]:
        """Names of what the history has."""
        return [*self.names, *(f"val_{name}" for name in self.judged)]

    @property
    def logged(self) -> list[str]:
        """Names of what the logs of an epoch have: no arrays."""
        arrays = {n for n, v in zip(self.names, self.function.outputs, strict=True) if is_array(v)}
        return [name for name in self.measured if name.removeprefix("val_") not in arrays]

    @property
    def edges(self) -> bool:
        """Whether Python runs between the epochs."""
        return self.validate is not None or self.hooks.between

    @property
    def place(self) -> Place:
        """Where training is: behind an epoch only when its edge is done too."""
        if self.active is None:
            return self.first
        epoch, batch = self.active.progress
        if self.edges and epoch > self._closed:
            epoch, batch = self._closed, self.active.batches
        step = self.first.step - self.first.batch + self.active.done
        return Place(self.first.epoch + epoch, batch, step)

    @property
    def part(self) -> tuple[NDArray[np.float64], float]:
        """Sums over samples and seconds of the epoch that :attr:`place` is in."""
        nothing = np.zeros(Measures(self.function.outputs).width)
        if self.active is None:
            return self.partial or (nothing, 0.0)
        row = self.place.epoch - self.first.epoch
        if row == self.active.epochs:
            return nothing, 0.0
        sums, _, seconds = self.active.part(row)
        return sums, seconds

    def run(self, epochs: int, params: Mapping[str, Any]) -> None:
        """Train: all epochs in one call of the executor, or in pieces with Python between them.

        Raises
        ------
        KeyboardInterrupt
            After Ctrl-C; the history has the epochs that were trained whole.
        """
        logs: dict[str, float] = {}
        try:
            params = {**params, "names": self.logged}
            with self.hooks.training(params, logs, lambda: self.place.step, self.states):
                self._train(epochs, logs)
        finally:
            self.history.pad(self.measured)

    def _train(self, epochs: int, logs: dict[str, float]) -> None:
        if self.first.epoch >= epochs or self.hooks.want_stop():
            return
        run = self._prepared(epochs - self.first.epoch)
        if self.partial is not None:
            run.go_on_from(self.first.batch, *self.partial)
            self.history.extend(self.names, *run.brought(0, run.progress[0]))
        self.active = run
        if not self.edges:
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
        sums, seen, _ = run.part(row)
        return figures(dict(zip(self.names, run.measures.values(sums, seen), strict=True)))

    def _edge(self, run: Run, row: int, logs: dict[str, float]) -> None:
        """What happens after an epoch: validation, the history's values to the callbacks."""
        epoch = self.first.epoch + row
        if self.validate is not None:
            self._validated(run, row, self.validate)
        self._closed = row + 1
        logs.clear()
        logs.update({name: self.history[name][-1] for name in self.logged})
        self.hooks.epoch_end(epoch, logs)

    def _prepared(self, epochs: int) -> Run:
        """The run; what must be compiled for it is compiled here, and told apart."""
        before, started = counts["compiled"], time.perf_counter()
        run = run_over(
            self.function, self.data, self.batch_size, epochs,
            shuffle=self.shuffle, first_epoch=self.before + self.first.epoch,
        )  # fmt: skip
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
        self._check_finite(self.first.epoch + told, run.sums[told:done, :1].ravel())

    def _validated(self, run: Run, row: int, validate: Validate) -> None:
        # If it is cut short, no column shall be shorter.
        values: dict[str, Any] = dict.fromkeys(self.judged, math.nan)
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
