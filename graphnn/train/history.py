"""What a training run leaves behind."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphnn.errors import DataError
from graphnn.files import target_of, write_whole
from graphnn.hints import did_you_mean
from graphnn.optim.checks import check_count
from graphnn.train.curves import plot, sparkline

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass
class History:
    """Loss and metrics by epoch: ``history["loss"]``, or as in Keras ``history.history["loss"]``.

    Attributes
    ----------
    history
        Lists by name: ``loss``, each metric, and ``val_...`` where there was validation data. The
        training values are means over the epoch, weighted by batch, while the weights moved. A
        validation that was interrupted is nan. A metric that is an array stands as nested lists.
    seconds
        Time of each epoch inside the compiled loop, without validation and callbacks.

    Examples
    --------
    >>> import graphnn as gn
    >>> loss = {"loss": [2.0, 1.0, 0.5, 0.25, 0.25, 0.375]}
    >>> history = gn.History(loss, seconds=[0.1] * 6)
    >>> history
    <History of 6 epochs: loss=0.375>
    >>> print(history)
    6 epochs, 0.6 s
                   min  max   last
    loss  █▄▂▁▁▁  0.25    2  0.375
    >>> gn.History.from_json(history.to_json()) == history
    True
    """

    history: dict[str, list[Any]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)

    @property
    def epochs(self) -> int:
        """How many epochs were trained."""
        return len(self.seconds)

    def __getitem__(self, name: str) -> list[Any]:
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

    def extend(
        self, names: Sequence[str], columns: Sequence[Sequence[Any]], seconds: Sequence[float]
    ) -> None:
        """Add epochs: of each name the values."""
        for name, column in zip(names, columns, strict=True):
            self.history.setdefault(name, []).extend(column)
        self.seconds.extend(seconds)

    def add_validation(self, values: Mapping[str, Any]) -> None:
        """Add one epoch's validation values."""
        for name, value in values.items():
            self.history.setdefault(f"val_{name}", []).append(value)

    def pad(self, names: Iterable[str]) -> None:
        """Make all columns as long as there are epochs: what was never measured is nan."""
        for name in names:
            column = self.history.setdefault(name, [])
            column.extend([math.nan] * (self.epochs - len(column)))

    # Looking.

    def sparkline(self, width: int = 40) -> str:
        """A table for a terminal, what ``print`` shows: bars over the epochs, min, max and last.

        Parameters
        ----------
        width
            Most bars of a row; more epochs share one, by their mean.
        """
        check_count("width", width)
        return sparkline(self._curves, sum(self.seconds), width)

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Draw the curves by matplotlib: a panel for each measure; needs ``graphnn[plot]``.

        Parameters
        ----------
        path
            File to write too: its suffix says the format, ``.png``, ``.svg``, ``.pdf``.

        Returns
        -------
        matplotlib.figure.Figure
            A notebook shows it.

        Raises
        ------
        GraphnnError
            If matplotlib is not installed.
        DataError
            If there is nothing to draw, or the file cannot be written.
        """
        return plot(self._curves, path)

    @property
    def _curves(self) -> dict[str, list[float]]:
        """The columns without those of arrays."""
        columns = self.history.items()
        return {n: v for n, v in columns if not any(isinstance(one, list) for one in v)}

    def __str__(self) -> str:
        return self.sparkline()

    # Keeping.

    def to_json(self) -> str:
        """A text with all of it; what is not finite is a text in it, since JSON has no such number.

        Python writes as many digits as needed: :meth:`from_json` gives the same bits.
        """
        columns = {name: _as_json(column) for name, column in self.history.items()}
        return json.dumps({"history": columns, "seconds": _as_json(self.seconds)})

    @classmethod
    def from_json(cls, text: str) -> History:
        """The history that :meth:`to_json` wrote.

        Raises
        ------
        DataError
            If it is something else.
        """
        try:
            given = json.loads(text)
            columns = {str(name): _from_json(column) for name, column in given["history"].items()}
            return cls(columns, _from_json(given["seconds"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"this is no history in JSON: {error!r}") from None

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it as JSON, whole or not at all.

        Raises
        ------
        DataError
            If the file cannot be written.
        """
        write_whole(target_of(path), self.to_json().encode())
        return Path(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> History:
        """Read what :meth:`save` wrote.

        Raises
        ------
        DataError
            If the file is missing, or something else.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: cannot be read: {error}") from error
        return cls.from_json(text)

    def __repr__(self) -> str:
        last = ", ".join(f"{name}={values[-1]:.4g}" for name, values in self._curves.items())
        return f"<History of {len(self.seconds)} epochs: {last}>"


def _as_json(column: Sequence[Any]) -> list[Any]:
    return [
        _as_json(value)
        if isinstance(value, list)
        else value
        if math.isfinite(value)
        else str(value)
        for value in column
    ]


def _from_json(column: Iterable[Any]) -> list[Any]:
    return [_from_json(value) if isinstance(value, list) else float(value) for value in column]
