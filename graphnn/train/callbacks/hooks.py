"""The callbacks of one ``fit``, called together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
        What they see as theirs.
    """

    def __init__(self, callbacks: Sequence[Callback], model: Model) -> None:
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
        return self.model.stop_training or any(one.stop for one in self.callbacks)

    def next_step(self, step: int) -> int | None:
        """After how many steps in all a hook is called next, once ``step`` are done."""
        return min(((step // k + 1) * k for _, k in self._stepping), default=None)

    @contextmanager
    def training(self, params: Mapping[str, Any], logs: Logs) -> Iterator[None]:
        """Between the hooks around all of training; ``logs`` are filled while it runs."""
        begun: list[Callback] = []
        self.model.stop_training = False
        try:
            for one in self.callbacks:
                one.model, one.params, one.stop = self.model, dict(params), False
                begun.append(one)
                one.on_train_begin({})
            yield
        finally:
            self._end(begun, logs)

    def _end(self, begun: Sequence[Callback], logs: Logs) -> None:
        """Every callback that has begun ends; the first exception goes on behind the last."""
        error: BaseException | None = None
        for one in begun:
            try:
                one.on_train_end(dict(logs))
            except BaseException as raised:
                error = error or raised
        if error is not None:
            raise error

    def epoch_begin(self, epoch: int) -> None:
        """Before an epoch."""
        for one in self.callbacks:
            one.on_epoch_begin(epoch, {})

    def epoch_end(self, epoch: int, logs: Logs) -> None:
        """After an epoch and its validation."""
        for one in self.callbacks:
            one.on_epoch_end(epoch, logs)

    def step_end(self, step: int, logs: Logs) -> None:
        """After a step, for those whose turn it is."""
        for one, every in self._stepping:
            if step % every == 0:
                one.on_step_end(step, logs)
