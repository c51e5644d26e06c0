"""Training that ends when it no longer gets on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphnn.hints import teaches
from graphnn.optim.checks import check_count
from graphnn.train.callbacks.callback import Callback, Logs
from graphnn.train.callbacks.monitor import Mode, Monitor


class EarlyStopping(Callback):
    """Ends training after ``patience`` epochs that brought nothing better.

    Parameters
    ----------
    monitor
        Name of what is watched: ``"val_loss"``, ``"loss"``, ``"val_accuracy"``, ...
    min_delta
        What is better by less than that is no better.
    patience
        How many epochs in a row may bring nothing better; 0 counts as 1.
    mode
        ``"min"`` or ``"max"``: which values are better; ``"auto"``: by the name.
    restore_best_weights
        Whether the model has in the end the weights of its best epoch: after the last epoch too,
        and after Ctrl-C.
    start_from_epoch
        Before it nothing is watched.

    Attributes
    ----------
    best, best_epoch
        The best value, and the epoch that brought it; None before there is one.
    stopped_epoch
        The epoch after which training was ended; None if it was not.

    Raises
    ------
    GraphError
        For settings out of range; before training if nobody measures what is watched.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> x = gn.Input((None, 2), name="x")
    >>> model = gn.Model(x, nn.Linear(2, 1)(x))
    >>> model.compile("sgd", loss="mse", lr=0.5)
    >>> X = np.float32([[0, 1], [1, 0], [1, 1], [0, 0]])
    >>> stopping = gn.callbacks.EarlyStopping("loss", min_delta=1e-3, patience=3)
    >>> history = model.fit(X, X[:, :1], epochs=1000, verbose=0, callbacks=[stopping])
    >>> history.epochs == stopping.stopped_epoch + 1 == stopping.best_epoch + 4
    True
    """

    @teaches
    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        mode: Mode = "auto",
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        check_count("patience", patience, 0)
        check_count("start_from_epoch", start_from_epoch, 0)
        self.monitor = Monitor(monitor, mode, min_delta)
        self.patience, self.restore_best_weights = int(patience), restore_best_weights
        self.start_from_epoch = start_from_epoch
        self._forget()

    def _forget(self) -> None:
        self.monitor.reset()
        self.waited = 0
        self.best_epoch: int | None = None
        self.stopped_epoch: int | None = None
        self._weights: dict[str, NDArray[Any]] = {}

    @property
    def best(self) -> float | None:
        """The best value so far."""
        return None if self.best_epoch is None else self.monitor.best

    def on_train_begin(self, logs: Logs) -> None:
        """Begin anew."""
        self.monitor.check("EarlyStopping", self.params["names"])
        self._forget()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Watch."""
        if epoch < self.start_from_epoch:
            return
        if self.monitor.improved(logs):
            self.waited, self.best_epoch = 0, epoch
            if self.restore_best_weights:
                self._weights = self.model.state_dict()
            return
        self.waited += 1
        if self.waited >= self.patience:
            self.stop, self.stopped_epoch = True, epoch

    def on_train_end(self, logs: Logs) -> None:
        """Bring back the best weights."""
        if self._weights:
            self.model.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """The best value and its weights, and how long it has waited."""
        weights = {f"weights/{name}": np.array(value) for name, value in self._weights.items()}
        return {
            "best": self.monitor.best, "best_epoch": self.best_epoch, "waited": self.waited,
            "stopped_epoch": self.stopped_epoch, **weights,
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.monitor.best, self.best_epoch = state["best"], state["best_epoch"]
        self.waited, self.stopped_epoch = state["waited"], state["stopped_epoch"]
        self.stop = self.stopped_epoch is not None
        self._weights = {
            name.removeprefix("weights/"): value
            for name, value in state.items()
            if name.startswith("weights/")
        }

    def __repr__(self) -> str:
        return f"<EarlyStopping on {self.monitor.name}, patience {self.patience}>"
