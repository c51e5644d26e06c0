"""Files that grow by a line an epoch."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from graphnn.errors import DataError
from graphnn.files import as_path, target_of
from graphnn.hints import teaches
from graphnn.train.callbacks.callback import Callback, Logs


class _Lines(Callback):
    """Lines at the end of a text file, each written at once; a resumed run goes on in its file."""

    passive = True

    def __init__(self, path: str | os.PathLike[str], append: bool) -> None:
        self.path, self.append = as_path(path), append
        self._size: int | None = None  # of what this run has written and found

    def on_train_begin(self, logs: Logs) -> None:
        """Begin with the first line; before it, an older file is left as it is."""
        if not target_of(self.path).parent.is_dir():
            raise DataError(f"{self.path}: the folder {self.path.parent} does not exist")
        self._size = None
        if self.append and self.path.exists():
            self._size = self.path.stat().st_size

    def write(self, text: str) -> None:
        """Add some text, in place of whatever stands behind what this run knows of."""
        known = self._size or 0
        try:
            with open(self.path, "r+b" if self.path.exists() else "wb") as file:
                file.truncate(known)
                self._size = file.seek(0, os.SEEK_END) + file.write(text.encode())
        except OSError as error:
            self._size = known or None
            self._cut(known)
            raise DataError(f"{self.path}: cannot be written: {error}") from error

    def _cut(self, size: int) -> None:
        """On a full disk half a line may stand there, whose last number is a wrong one."""
        with contextlib.suppress(OSError):
            os.truncate(self.path, size)

    def state_dict(self) -> dict[str, Any]:
        """How long the file is."""
        return {"size": self._size}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on behind what was written before the checkpoint."""
        there = self.path.stat().st_size if self.path.exists() else 0
        self._size = min(state["size"] or 0, there) or None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"


class CSVLogger(_Lines):
    """Writes a line an epoch to a CSV file: ``epoch``, then what the history has.

    Parameters
    ----------
    path
        File to write; it is readable after each epoch.
    append
        Whether to write behind what the file has; else an older one is replaced.

    Raises
    ------
    DataError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((None, 1), name="x")
    >>> w = gn.Parameter(1.0, name="w")
    >>> model = gn.Model(x, x * w)
    >>> model.compile("sgd", loss="mse", lr=0.25)
    >>> X = np.ones((2, 1), np.float32)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = gn.callbacks.CSVLogger(f"{folder}/log.csv")
    ...     history = model.fit(X, 0 * X, epochs=2, verbose=0, callbacks=[log])
    ...     print(log.path.read_text())
    epoch,loss
    0,1.0
    1,0.25
    """

    @teaches
    def __init__(self, path: str | os.PathLike[str], append: bool = False) -> None:
        super().__init__(path, append)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Write the line."""
        names = self.params["names"]
        row = [epoch, *(float(logs[name]) for name in names)]
        self.write(_csv([] if self._size else ["epoch", *names]) + _csv(row))


def _csv(cells: list[Any]) -> str:
    line = io.StringIO()
    if cells:
        csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


class JSONLogger(_Lines):
    """Writes a line of JSON an epoch (JSON Lines): ``{"epoch": 0, "loss": 0.3, ...}``.

    Parameters
    ----------
    path
        File to write; it is readable after each line.
    every
        Also a line ``{"step": 100, ...}`` after every so many steps, with the means of the epoch so
        far.
    append
        Whether to write behind what the file has; else an older one is replaced.

    Raises
    ------
    DataError
        If the file cannot be written.

    Notes
    -----
    What is not finite is written as text, ``"nan"`` or ``"inf"``, since JSON has no such numbers.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((None, 1), name="x")
    >>> w = gn.Parameter(1.0, name="w")
    >>> model = gn.Model(x, x * w)
    >>> model.compile("sgd", loss="mse", lr=0.25)
    >>> X = np.ones((2, 1), np.float32)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = gn.callbacks.JSONLogger(f"{folder}/log.jsonl")
    ...     history = model.fit(X, 0 * X, epochs=2, verbose=0, callbacks=[log])
    ...     print(log.path.read_text())
    {"epoch": 0, "loss": 1.0}
    {"epoch": 1, "loss": 0.25}
    """

    @teaches
    def __init__(
        self, path: str | os.PathLike[str], every: int | None = None, append: bool = False
    ) -> None:
        super().__init__(path, append)
        self.every = every

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Write the line."""
        self.write(_json({"epoch": epoch, **logs}))

    def on_step_end(self, step: int, logs: Logs) -> None:
        """Write the line."""
        self.write(_json({"step": step, **logs}))


def _json(values: Mapping[str, Any]) -> str:
    """A line; what other callbacks have put into the logs may be NumPy's, or no number at all."""
    plain = {name: np.asarray(value).tolist() for name, value in values.items()}
    finite = {n: str(v) if _is_odd(v) else v for n, v in plain.items()}
    return json.dumps(finite, default=str) + "\n"


def _is_odd(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
