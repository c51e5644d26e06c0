"""What a training run leaves behind."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from graphnn.hints import did_you_mean


@dataclass
class History:
    """Loss and metrics by epoch: ``history["loss"]``, or as in Keras ``history.history["loss"]``.

    Attributes
    ----------
    history
        Lists by name: ``loss``, each metric, and ``val_...`` where there was validation data. The
        training values are means over the epoch, weighted by batch, while the weights moved. A
        validation that was interrupted is nan.
    seconds
        Wall time of each epoch of training, without validation.
    """

    history: dict[str, list[float]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)

    @property
    def epochs(self) -> int:
        """How many epochs were trained."""
        return len(self.seconds)

    def __getitem__(self, name: str) -> list[float]:
        """The values of a name, one an epoch: ``history["val_loss"]``."""
        if name not in self.history:
            raise KeyError(
                f"the history has {', '.join(self.history) or 'nothing yet'}; got {name!r}."
                f"{did_you_mean(name, self.history)}"
            )
        return self.history[name]

    def __contains__(self, name: object) -> bool:
        return name in self.history

    def __iter__(self) -> Iterator[str]:
        return iter(self.history)

    def keys(self) -> Iterable[str]:
        """The names."""
        return self.history.keys()

    @property
    def epoch(self) -> list[int]:
        """Numbers of the epochs, from 0."""
        return list(range(len(self.seconds)))

    def extend(self, names: list[str], values: NDArray[np.float64], seconds: list[float]) -> None:
        """Add epochs: ``values`` has shape (epochs, names)."""
        for name, column in zip(names, values.T, strict=True):
            self.history.setdefault(name, []).extend(column.tolist())
        self.seconds.extend(seconds)

    def add_validation(self, values: Mapping[str, float]) -> None:
        """Add one epoch's validation values."""
        for name, value in values.items():
            self.history.setdefault(f"val_{name}", []).append(value)

    def pad(self, names: Iterable[str]) -> None:
        """Make all columns as long as there are epochs: what was never measured is nan."""
        for name in names:
            column = self.history.setdefault(name, [])
            column.extend([math.nan] * (self.epochs - len(column)))

    def __repr__(self) -> str:
        last = ", ".join(f"{name}={values[-1]:.4g}" for name, values in self.history.items())
        return f"<History of {len(self.seconds)} epochs: {last}>"
