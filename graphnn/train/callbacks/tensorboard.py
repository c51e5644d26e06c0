"""Curves for TensorBoard."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from graphnn.errors import DataError, GraphnnError
from graphnn.hints import teaches
from graphnn.train.callbacks.callback import Callback, Logs


class TensorBoard(Callback):
    """Writes what the history has as curves for TensorBoard; needs ``graphnn[tensorboard]``.

    As Keras does, training and validation are two runs, ``train`` and ``validation``, so that a
    curve of one lies over that of the other: ``tensorboard --logdir logs``.

    Parameters
    ----------
    folder
        Where the files are written.
    every
        Also a point after every so many steps, as a run ``steps``: the means of the epoch so far.

    Raises
    ------
    GraphnnError
        Before training, if tensorboardX is not installed.
    DataError
        If the folder cannot be written.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.callbacks.TensorBoard("logs", every=100)  # fit(..., callbacks=[...])
    TensorBoard('logs')
    """

    passive = True

    @teaches
    def __init__(self, folder: str | os.PathLike[str] = "logs", every: int | None = None) -> None:
        self.folder, self.every = Path(folder), every
        self._writers: dict[str, Any] = {}
        self._purge: dict[str, int] = {}  # from where on older points are hidden
        self._reached: dict[str, int] = {}

    def on_train_begin(self, logs: Logs) -> None:
        """Look for the package before anything is trained."""
        self._kind = _summary_writer()
        self._writers, self._purge, self._reached = {}, {}, {}

    def _write(self, run: str, logs: Logs, place: int) -> None:
        try:
            if run not in self._writers:
                self._writers[run] = self._kind(
                    str(self.folder / run), purge_step=self._purge.get(run)
                )
            for name, value in logs.items():
                self._writers[run].add_scalar(name, value, place)
            self._writers[run].flush()
            self._reached[run] = place
        except OSError as error:
            raise DataError(f"{self.folder}: cannot be written: {error}") from error

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Write the epoch's points."""
        held = {n.removeprefix("val_"): v for n, v in logs.items() if n.startswith("val_")}
        self._write("train", {n: v for n, v in logs.items() if not n.startswith("val_")}, epoch)
        if held:
            self._write("validation", held, epoch)

    def on_step_end(self, step: int, logs: Logs) -> None:
        """Write the points so far."""
        self._write("steps", logs, step)

    def on_train_end(self, logs: Logs) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def state_dict(self) -> dict[str, Any]:
        """How far the curves go."""
        return dict(self._reached)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there: what was written behind it is hidden by TensorBoard."""
        self._reached = dict(state)
        self._purge = {run: place + 1 for run, place in state.items()}

    def __repr__(self) -> str:
        return f"TensorBoard({str(self.folder)!r})"


def _summary_writer() -> Any:
    try:
        from tensorboardX import SummaryWriter  # noqa: PLC0415 - an optional package
    except ImportError:
        raise GraphnnError(
            "TensorBoard writes by tensorboardX, which is not installed: "
            "pip install 'graphnn[tensorboard]'"
        ) from None
    return SummaryWriter
