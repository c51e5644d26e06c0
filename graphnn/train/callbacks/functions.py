"""A callback made of functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphnn.errors import GraphError
from graphnn.hints import teaches
from graphnn.train.callbacks.callback import HOOKS, Callback


class LambdaCallback(Callback):
    """A callback made of functions, each with the arguments of the hook that it is given as.

    Parameters
    ----------
    on_epoch_begin, on_epoch_end
        ``f(epoch, logs)``
    on_step_end
        ``f(step, logs)``, after every ``every`` steps.
    on_train_begin, on_train_end
        ``f(logs)``
    every
        How many steps lie between two calls of ``on_step_end``.

    Raises
    ------
    GraphError
        If something else is given than functions.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((None, 1), name="x")
    >>> w = gn.Parameter(1.0, name="w")
    >>> model = gn.Model(x, x * w)
    >>> model.compile("sgd", loss="mse", lr=0.25)
    >>> X = np.ones((4, 1), np.float32)
    >>> said = gn.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs))
    >>> history = model.fit(X, 0 * X, epochs=2, verbose=0, callbacks=[said])
    0 {'loss': 1.0}
    1 {'loss': 0.25}
    """

    passive = True

    @teaches
    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_step_end: Callable[..., Any] | None = None,
        every: int = 1,
    ) -> None:
        given = (on_train_begin, on_train_end, on_epoch_begin, on_epoch_end, on_step_end)
        for hook, function in zip(HOOKS, given, strict=True):
            if function is None:
                continue
            if not callable(function):
                raise GraphError(f"{hook} is a function; got {function!r}")
            setattr(self, hook, function)
        self.every = every
