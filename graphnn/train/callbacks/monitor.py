"""A measure that callbacks watch, and which of its values are better."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias, get_args

from graphnn.errors import GraphError
from graphnn.hints import did_you_mean
from graphnn.optim.checks import check_at_least_0
from graphnn.train.callbacks.callback import Logs

Mode: TypeAlias = Literal["auto", "min", "max"]
# Parts of the names of measures that are better when they are larger.
LARGER = ("acc", "auc", "f1", "fmeasure", "precision", "r2", "recall", "top")


class Monitor:
    """The best value of a measure so far.

    Parameters
    ----------
    name
        Its name in the logs.
    mode
        ``"min"`` or ``"max"``; ``"auto"``: larger is better for accuracies and their like.
    min_delta
        By how much more than the best a value must be better.
    """

    def __init__(self, name: str, mode: Mode = "auto", min_delta: float = 0.0) -> None:
        if mode not in get_args(Mode):
            raise GraphError(f"mode is one of {get_args(Mode)}; got {mode!r}")
        if not isinstance(name, str):
            raise GraphError(f"monitor is the name of a measure, such as 'val_loss'; got {name!r}")
        check_at_least_0("min_delta", min_delta)
        grows = mode == "max" or (mode == "auto" and any(part in name for part in LARGER))
        self.name, self.mode, self.min_delta = name, "max" if grows else "min", float(min_delta)
        self.reset()

    def reset(self) -> None:
        """Forget the best value."""
        self.best = -math.inf if self.mode == "max" else math.inf

    def check(self, who: str, names: list[str]) -> None:
        """Raise before training if nobody measures it."""
        if self.name in names:
            return
        fix = did_you_mean(self.name, names)
        if self.name.removeprefix("val_") in names and not any("val_" in n for n in names):
            fix = " Give validation_data=(x, y) or validation_split=0.1."
        raise GraphError(f"{who} monitors {self.name!r}; there is {', '.join(names)}.{fix}")

    def improved(self, logs: Logs) -> bool:
        """Take in a value: whether it is the best so far."""
        value = float(logs[self.name])
        better = (
            value > self.best + self.min_delta
            if self.mode == "max"
            else value < self.best - self.min_delta
        )
        if better:
            self.best = value
        return better
