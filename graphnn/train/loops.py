"""``step.loop``: the epochs of a function with updates, without a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from graphnn.errors import GraphError
from graphnn.feed import by_input
from graphnn.function import Function, methods
from graphnn.graph import Graph
from graphnn.optim.checks import check_count
from graphnn.spec import FLOATS
from graphnn.train.callbacks import Callback
from graphnn.train.callbacks.callback import Logs
from graphnn.train.callbacks.hooks import Hooks
from graphnn.train.checks import MOST_EPOCHS, check_verbose
from graphnn.train.fitting import Fitting
from graphnn.train.given import as_data
from graphnn.train.history import History
from graphnn.train.progress import reporter
from graphnn.train.stream_run import opened

OnEpoch = Callable[[int, Mapping[str, float]], "bool | None"]


def loop(
    function: Function,
    data: Any,
    batch_size: int = 32,
    epochs: int = 1,
    *,
    on_epoch: OnEpoch | None = None,
    shuffle: bool = True,
    steps_per_epoch: int | None = None,
    verbose: int = 1,
) -> History:
    """What :meth:`Function.loop` does, and says."""
    if on_epoch is not None and not callable(on_epoch):
        raise GraphError(f"on_epoch is a function on_epoch(epoch, logs); got {on_epoch!r}")
    if np.ndim(batch_size) > 0:
        raise GraphError(
            f"loop takes all arrays as one argument, and {np.ndim(batch_size)}-dimensional data "
            "where batch_size stands. Write loop([x, y], batch_size=32)."
        )
    check_count("batch_size", batch_size)
    check_count("epochs", epochs, 1, MOST_EPOCHS)
    check_verbose(verbose)
    names = _names(function)
    given = as_data(function, data, partial(_read, function), batch_size, shuffle)
    hooks = Hooks([] if on_epoch is None else [_Asked(on_epoch)])
    fitting = Fitting(function, names, hooks, batch_size, shuffle, before=function.epochs)
    function.history = fitting.history
    with (
        opened(
            function, given, epochs, fitting.before, steps_per_epoch,
            batch_size=batch_size, shuffle=shuffle,
        ) as fitting.data,
        reporter(verbose, epochs, names) as fitting.shown,
    ):  # fmt: skip
        try:
            fitting.run(epochs, {"epochs": epochs})
        finally:
            function.epochs = fitting.before + fitting.history.epochs
    return fitting.history


class _Asked(Callback):
    """The user's function, called with what an epoch brought."""

    def __init__(self, on_epoch: OnEpoch) -> None:
        self.on_epoch = on_epoch

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Ask it whether to stop."""
        answer = self.on_epoch(epoch, dict(logs))
        if answer is not None and not isinstance(answer, bool | np.bool_):
            raise GraphError(
                "on_epoch returns True to stop, and None or False to go on; got "
                f"{answer!r} after epoch {epoch}"
            )
        self.stop = bool(answer)


def _names(function: Function) -> list[str]:
    """How the history calls the outputs; each is a float scalar."""
    for node in function.outputs:
        if node.spec.shape != () or node.dtype not in FLOATS:
            raise GraphError(
                f"a loop averages its outputs over each epoch: {node.name} must be a float scalar; "
                f"it is {node.spec}. Declared at {node.origin}. Leave it out of the function that "
                "is looped, or take its mean."
            )
    if len(set(function.outputs)) < len(function.outputs):
        raise GraphError("an output stands there twice: a loop names each in its history")
    known = Graph(function.outputs).names()
    return [known[node] for node in function.outputs]


def _read(function: Function, batch: Any) -> list[ArrayLike]:
    """What a batch, or arrays of all samples, hold for each input."""
    named = by_input(batch, function.inputs)
    return [named[node] for node in function.inputs]


methods["loop"] = loop
