"""What a callback is: Python that runs between the pieces of a compiled training loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from graphnn.errors import GraphError
from graphnn.hints import did_you_mean

if TYPE_CHECKING:
    from graphnn.model import Model

Logs: TypeAlias = dict[str, float]

HOOKS = ("on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end", "on_step_end")
# What Keras calls otherwise, or has beside.
OTHERS = {
    "on_batch_end": "on_step_end, every so many steps",
    "on_train_batch_end": "on_step_end, every so many steps",
    "on_batch_begin": "on_step_end: the end of a step is the beginning of the next",
    "on_train_batch_begin": "on_step_end: the end of a step is the beginning of the next",
    "on_test_begin": "on_epoch_end, whose logs have the validation's values",
    "on_test_end": "on_epoch_end, whose logs have the validation's values",
}


class Callback:
    """Hooks that ``fit`` calls; one of one's own overrides some of them.

    The epochs run inside one compiled call as long as nothing needs Python between them. A hook at
    an epoch's edge costs one return to Python an epoch, one behind steps a return every ``every``
    steps; what nobody overrides costs nothing. An exception in a hook ends training: the weights
    are those of the last step, the history has all whole epochs.

    Attributes
    ----------
    model
        The model that is trained.
    params
        ``"epochs"``, ``"steps"`` (an epoch), ``"batch_size"``, and ``"names"``: what the logs have
        at the end of an epoch.
    step
        How many steps are done, of all epochs.
    every
        How many steps lie between two calls of :meth:`on_step_end`; None: it is not called.
    stop
        Set it to True, and training ends where it is.
    last
        Whether its hooks run behind those of other callbacks.
    passive
        Whether it only looks on, so that a run is resumed with or without it.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> class UntilSmall(gn.callbacks.Callback):
    ...     def on_epoch_end(self, epoch, logs):
    ...         self.stop = logs["loss"] < 0.01
    >>> x = gn.Input((None, 2), name="x")
    >>> model = gn.Model(x, nn.Linear(2, 1)(x))
    >>> model.compile("sgd", loss="mse", lr=0.2)
    >>> X = np.float32([[0, 1], [1, 0], [1, 1], [0, 0]])
    >>> history = model.fit(X, X[:, :1], epochs=500, verbose=0, callbacks=[UntilSmall()])
    >>> history["loss"][-1] < 0.01 < history["loss"][-2]
    True
    """

    model: Model
    params: dict[str, Any]
    step: int = 0
    every: int | None = 1
    stop: bool = False
    last: bool = False
    passive: bool = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name in vars(cls):
            if name.startswith("on_") and name not in HOOKS:
                fix = f" Write {OTHERS[name]}." if name in OTHERS else did_you_mean(name, HOOKS)
                raise GraphError(
                    f"{cls.__name__}.{name}: there is no such hook; there are {', '.join(HOOKS)}."
                    f"{fix}"
                )

    def on_train_begin(self, logs: Logs) -> None:
        """Before the first step; ``logs`` is empty."""

    def on_train_end(self, logs: Logs) -> None:
        """After the last step, also after Ctrl-C or an exception; ``logs`` are the last epoch's."""

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Before an epoch, counted from 0; ``logs`` is empty."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """After an epoch and its validation: ``logs`` has ``loss``, metrics, ``val_...``."""

    def on_step_end(self, step: int, logs: Logs) -> None:
        """After every ``every`` steps: how many are done, and the means of the epoch so far."""

    # For exact resume.

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: numbers, texts, lists of them, NumPy arrays, by name."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`state_dict` gave; after ``on_train_begin``."""

    def overrides(self, hook: str) -> bool:
        """Whether a hook does something."""
        own = getattr(self, hook)
        return getattr(own, "__func__", own) is not getattr(Callback, hook)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"
