"""The callbacks of one ``fit``, called together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from graphnn.errors import GraphError
from graphnn.optim import ReduceLROnPlateau as Plateau
from graphnn.train.callbacks.callback import Callback, Logs
from graphnn.train.callbacks.plateau import ReduceLROnPlateau

if TYPE_CHECKING:
    from graphnn.model import Model


def as_callbacks(given: object) -> list[Callback]:
    """Callbacks in the order in which they are called.

    Raises
    ------
    GraphError
        If there is something else among them, or one twice.
    """
    if given is None:
        return []
    listed = list(given) if isinstance(given, Iterable) else [given]
    made = [ReduceLROnPlateau.of(one) if isinstance(one, Plateau) else one for one in listed]
    found: list[Callback] = []
    for one in made:
        if not isinstance(one, Callback):
            fix = f" Make one: {one.__name__}(...)." if isinstance(one, type) else ""
            raise GraphError(f"callbacks are gn.callbacks.Callback objects; got {one!r}.{fix}")
        if one in found:
            raise GraphError(f"{one!r} is given twice")
        _check_every(one)
        found.append(one)
    return sorted(found, key=lambda one: one.last)


def _check_every(one: Callback) -> None:
    every: object = one.every
    whole = isinstance(every, int | np.integer) and not isinstance(every, bool)
    if every is not None and not (whole and every >= 1):  # type: ignore[operator]
        raise GraphError(f"{one!r}: every is a whole number of steps >= 1, or None; got {every!r}")


class Hooks:
    """Callbacks, called together in their order.

    Parameters
    ----------
    callbacks
        See :func:`as_callbacks`.
    model
        What they see as theirs; None in a loop of one's own, which has none.
    """

    def __init__(self, callbacks: Sequence[Callback], model: Model | None = None) -> None:
        self.callbacks, self.model = callbacks, model
        edges = ("on_epoch_begin", "on_epoch_end")
        self._stepping = [
            (one, int(one.every))
            for one in callbacks
            if one.every is not None and one.overrides("on_step_end")
        ]
        self.between = bool(self._stepping) or any(
            one.overrides(hook) for one in callbacks for hook in edges
        )

    def want_stop(self) -> bool:
        """Whether one of them wants training to end."""
        stopped = self.model is not None and self.model.stop_training
        return stopped or any(one.stop for one in self.callbacks)

    def next_step(self, step: int) -> int | None:
        """After how many steps in all a hook is called next, once ``step`` are done."""
        return min(((step // k + 1) * k for _, k in self._stepping), default=None)

    @contextmanager
    def training(
        self,
        params: Mapping[str, Any],
        logs: Logs,
        count: Callable[[], int],
        states: Mapping[Callback, dict[str, Any]],
    ) -> Iterator[None]:
        """Between the hooks around all of training.

        Parameters
        ----------
        params
            What callbacks have as theirs.
        logs
            Filled while it runs.
        count
            How many steps are done.
        states
            What callbacks had kept, if training goes on from a checkpoint.
        """
        begun: list[Callback] = []
        self.count = count
        if self.model is not None:
            self.model.stop_training = False
        try:
            for one in self.callbacks:
                if self.model is not None:
                    one.model = self.model
                one.params, one.stop, one.step = dict(params), False, count()
                begun.append(one)
                one.on_train_begin({})
            for one, state in states.items():
                one.load_state_dict(state)
            yield
        except BaseException as error:
            self._end(begun, logs, error)
            raise
        failed = self._end(begun, logs)
        if failed is not None:
            raise failed

    def _end(
        self, begun: Sequence[Callback], logs: Logs, error: BaseException | None = None
    ) -> BaseException | None:
        """Every callback that has begun ends, the last one first; the first exception of all."""
        for one in reversed(begun):
            one.step = self.count()
            try:
                one.on_train_end(dict(logs))
            except BaseException as raised:
                if error is None:
                    error = raised
                else:
                    error.add_note(f"{one!r}.on_train_end raised {raised!r}")
        return error

    def epoch_begin(self, epoch: int) -> None:
        """Before an epoch."""
        for one in self.callbacks:
            one.step = self.count()
            one.on_epoch_begin(epoch, {})

    def epoch_end(self, epoch: int, logs: Logs) -> None:
        """After an epoch and its validation."""
        for one in self.callbacks:
            one.step = self.count()
            one.on_epoch_end(epoch, logs)

    def step_end(self, step: int, logs: Logs) -> None:
        """After a step, for those whose turn it is."""
        for one, every in self._stepping:
            if step % every == 0:
                one.step = step
                one.on_step_end(step, logs)
