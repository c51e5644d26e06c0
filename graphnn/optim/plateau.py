"""A learning rate that falls when training no longer gets on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from graphnn.errors import GraphError
from graphnn.optim.checks import check, check_at_least_0, number
from graphnn.optim.optimizer import Optimizer


class ReduceLROnPlateau:
    """Multiplies an optimizer's rate by ``factor`` after ``patience`` epochs without progress.

    Torch's rule: a score is better than the best if it is by ``threshold``; after more than
    ``patience`` that are not, the rate falls, and the next ``cooldown`` scores count nothing. The
    rate is state, so that nothing is compiled anew.

    Parameters
    ----------
    optimizer
        Its ``lr`` is a number.
    mode
        ``"min"`` or ``"max"``: which scores are better.
    factor
        In (0, 1).
    patience, cooldown
        Numbers of epochs.
    threshold, threshold_mode
        ``"rel"``: better by that share of the best; ``"abs"``: better by that much.
    min_lr
        The rate falls no further.
    eps
        A smaller change of the rate is left out.

    Raises
    ------
    GraphError
        For settings out of range, and for an optimizer whose rate is a schedule.

    Examples
    --------
    >>> import graphnn as gn
    >>> rule = gn.optim.SGD(lr=1.0)
    >>> plateau = gn.optim.ReduceLROnPlateau(rule, factor=0.5, patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.0, 1.0):
    ...     plateau.step(loss)  # as after each model.fit(..., epochs=1)
    >>> rule.lr
    0.5
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: Literal["min", "max"] = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise GraphError(f"ReduceLROnPlateau takes an optimizer; got {optimizer!r}")
        if optimizer.schedule is not None:
            raise GraphError(
                f"{optimizer!r} has a schedule, which decides its rate: give it a number as lr"
            )
        check_settings(mode, factor, patience, threshold, threshold_mode, cooldown, min_lr, eps)
        self.optimizer, self.mode, self.factor, self.patience = optimizer, mode, factor, patience
        self.threshold, self.threshold_mode, self.cooldown = threshold, threshold_mode, cooldown
        self.min_lr, self.eps = min_lr, eps
        self.best = math.inf if mode == "min" else -math.inf
        self.bad_epochs = self._cooling = 0

    def state_dict(self) -> dict[str, float]:
        """What it has seen: for a checkpoint. The rate is the optimizer's."""
        return {"best": self.best, "bad_epochs": self.bad_epochs, "cooling": self._cooling}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        self.best = float(state["best"])
        self.bad_epochs, self._cooling = int(state["bad_epochs"]), int(state["cooling"])

    def step(self, metrics: float) -> None:
        """Take in the score of an epoch."""
        score = float(metrics)
        if self._better(score):
            self.best, self.bad_epochs = score, 0
        else:
            self.bad_epochs += 1
        if self._cooling > 0:
            self._cooling -= 1
            self.bad_epochs = 0
        if self.bad_epochs > self.patience:
            self._reduce()
            self._cooling, self.bad_epochs = self.cooldown, 0

    def _better(self, score: float) -> bool:
        sign = 1 if self.mode == "min" else -1
        if self.threshold_mode == "abs":
            return sign * score < sign * self.best - self.threshold
        return sign * score < sign * self.best * (1 - sign * self.threshold)

    def _reduce(self) -> None:
        old = self.optimizer.lr
        assert isinstance(old, float)
        new = max(old * self.factor, self.min_lr)
        if old - new > self.eps:
            self.optimizer.lr = new


def check_settings(
    mode: str,
    factor: float,
    patience: float,
    threshold: float,
    threshold_mode: str,
    cooldown: float,
    min_lr: float,
    eps: float,
) -> None:
    """All settings are in their ranges, or a GraphError names one that is not."""
    if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
        raise GraphError(
            "mode is 'min' or 'max', threshold_mode 'rel' or 'abs'; "
            f"got {mode!r} and {threshold_mode!r}"
        )
    number("factor", factor)
    check("factor", factor, 0 < factor < 1, "in (0, 1)")
    for name, value in (
        ("patience", patience), ("threshold", threshold), ("cooldown", cooldown),
        ("min_lr", min_lr), ("eps", eps),
    ):  # fmt: skip
        check_at_least_0(name, value)
