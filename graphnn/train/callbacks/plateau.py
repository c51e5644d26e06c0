"""A learning rate that falls, at the edges of epochs, when training no longer gets on."""

from __future__ import annotations

from typing import Any, Literal

from graphnn import optim
from graphnn.errors import GraphError
from graphnn.hints import teaches
from graphnn.optim.plateau import check_settings
from graphnn.train.callbacks.callback import Callback, Logs
from graphnn.train.callbacks.monitor import Mode, Monitor


class ReduceLROnPlateau(Callback):
    """``optim.ReduceLROnPlateau`` of the model's optimizer, asked after each epoch.

    The rate is state of the compiled step: nothing is compiled anew. ``fit`` takes an
    ``optim.ReduceLROnPlateau`` of one's own among its callbacks too; it watches ``val_loss`` where
    there is validation, and else the loss.

    Parameters
    ----------
    monitor
        Name of what is watched.
    mode
        ``"min"`` or ``"max"``: which values are better; ``"auto"``: by the name.
    factor, patience, threshold, threshold_mode, cooldown, min_lr, eps
        As in ``optim.ReduceLROnPlateau``.

    Raises
    ------
    GraphError
        For settings out of range; before training for an optimizer whose rate is a schedule, and if
        nobody measures what is watched.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((None, 1), name="x")
    >>> w = gn.Parameter(1.0, name="w")
    >>> model = gn.Model(x, x * w)
    >>> model.compile("sgd", loss="mse", lr=1.0)  # it jumps to and fro between 1 and -1
    >>> X = np.ones((4, 1), np.float32)
    >>> falling = gn.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1)
    >>> history = model.fit(X, 0 * X, epochs=5, verbose=0, callbacks=[falling])
    >>> history["loss"], model.optimizer.lr
    ([1.0, 1.0, 1.0, 1.0, 0.0], 0.5)
    """

    @teaches
    def __init__(
        self,
        monitor: str = "val_loss",
        mode: Mode = "auto",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        self.monitor: Monitor | None = Monitor(monitor, mode)
        self._settings: dict[str, Any] = {
            "mode": self.monitor.mode, "factor": factor, "patience": patience,
            "threshold": threshold, "threshold_mode": threshold_mode, "cooldown": cooldown,
            "min_lr": min_lr, "eps": eps,
        }  # fmt: skip
        check_settings(**self._settings)
        self._given: optim.ReduceLROnPlateau | None = None

    @classmethod
    def of(cls, plateau: optim.ReduceLROnPlateau) -> ReduceLROnPlateau:
        """The callback that asks an object of the user's, which goes on from fit to fit."""
        made = cls()
        made.monitor, made._given = None, plateau
        return made

    def on_train_begin(self, logs: Logs) -> None:
        """Begin anew, but with an object of the user's."""
        names, optimizer = self.params["names"], self.model.optimizer
        assert optimizer is not None
        watched = self.monitor or Monitor("val_loss" if "val_loss" in names else "loss")
        watched.check("ReduceLROnPlateau", names)
        self._name = watched.name
        if self._given is not None and self._given.optimizer is not optimizer:
            raise GraphError(
                f"the ReduceLROnPlateau is that of {self._given.optimizer!r}; the model was "
                f"compiled with another optimizer, {optimizer!r}"
            )
        made = self._given or optim.ReduceLROnPlateau(optimizer, **self._settings)
        self.plateau: optim.ReduceLROnPlateau = made

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Take in the score."""
        self.plateau.step(logs[self._name])

    def state_dict(self) -> dict[str, Any]:
        """The best score, and how long nothing got on; the rate itself is the optimizer's."""
        return self.plateau.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.plateau.load_state_dict(state)
