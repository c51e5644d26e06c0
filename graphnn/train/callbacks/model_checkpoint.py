"""Checkpoints while a model trains."""

from __future__ import annotations

import os
from typing import Any, Literal

from graphnn.errors import GraphError
from graphnn.files import as_path
from graphnn.hints import teaches
from graphnn.optim.checks import check_count
from graphnn.train import checkpoint
from graphnn.train.callbacks.callback import Callback, Logs
from graphnn.train.callbacks.monitor import Mode, Monitor

BEST = "best.safetensors"
FILES = (".h5", ".hdf5", ".keras", ".pt", ".pth", ".ckpt", ".safetensors")  # not folders


class ModelCheckpoint(Callback):
    """Writes checkpoints into a folder, from which ``fit(..., resume=folder)`` goes on.

    A run that is killed at any moment and resumed ends with the bits of one that was not. Each file
    is written beside the older ones and takes its name when it is whole. The last state is written
    when training ends, also by Ctrl-C.

    Parameters
    ----------
    folder
        Where the files are written; it is made if it is missing. The checkpoints of one run.
    every
        After how many epochs or steps.
    per
        ``"epoch"`` or ``"step"``: what ``every`` counts.
    keep
        How many of the last checkpoints are kept; None: all.
    monitor
        Name of a measure: the weights of its best epoch so far are kept too, as
        ``best.safetensors``, which ``model.load`` reads.
    mode
        ``"min"`` or ``"max"``: which values are better; ``"auto"``: by the name.

    Raises
    ------
    GraphError
        For settings out of range.
    DataError
        If a file cannot be written: training ends, and older checkpoints stay. Before training, if
        the folder has later checkpoints, of another run.

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
    ...     keep = gn.callbacks.ModelCheckpoint(folder)
    ...     history = model.fit(X, 0 * X, epochs=2, verbose=0, callbacks=[keep])
    ...     w.value = 7.0  # as if in another process
    ...     history = model.fit(X, 0 * X, epochs=3, verbose=0, callbacks=[keep], resume=folder)
    >>> history["loss"]
    [1.0, 0.25, 0.0625]
    """

    last = True
    passive = True

    @teaches
    def __init__(
        self,
        folder: str | os.PathLike[str],
        every: int = 1,
        per: Literal["epoch", "step"] = "epoch",
        keep: int | None = 3,
        monitor: str | None = None,
        mode: Mode = "auto",
    ) -> None:
        check_count("every", every)
        if keep is not None:
            check_count("keep", keep)
        if per not in ("epoch", "step"):
            raise GraphError(f"per is 'epoch' or 'step'; got {per!r}")
        self.folder, self.keep = as_path(folder), keep
        if self.folder.suffix in FILES:
            raise GraphError(
                f"ModelCheckpoint writes into a folder; got {str(folder)!r}, the name of a file. "
                f"Give ModelCheckpoint({str(self.folder.with_suffix(''))!r})."
            )
        self.epochs = every if per == "epoch" else None
        self.every = every if per == "step" else None
        self.monitor = None if monitor is None else Monitor(monitor, mode)
        self._saved = 0  # steps; no checkpoint is written before the folder is known to be free

    def on_train_begin(self, logs: Logs) -> None:
        """Look whether checkpoints can be written, before anything is trained."""
        self._saved = self.step
        checkpoint.prepare(self.folder, self.step)
        if self.monitor is not None:
            self.monitor.check("ModelCheckpoint", self.params["names"])
            self.monitor.reset()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Write a checkpoint, and the best weights."""
        if self.monitor is not None and self.monitor.improved(logs):
            self.model.save(self.folder / BEST)
        if self.epochs is not None and (epoch + 1) % self.epochs == 0:
            self._save()

    def on_step_end(self, step: int, logs: Logs) -> None:
        """Write a checkpoint."""
        self._save()

    def on_train_end(self, logs: Logs) -> None:
        """Write where training has ended."""
        if self.step > self._saved:
            self._save()

    def _save(self) -> None:
        self.model.save_checkpoint(checkpoint.path_of(self.folder, self.step))
        self._saved = self.step
        if self.keep is not None:
            checkpoint.prune(self.folder, self.step, self.keep)

    def state_dict(self) -> dict[str, Any]:
        """The best value."""
        return {} if self.monitor is None else {"best": self.monitor.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        if self.monitor is not None and "best" in state:
            self.monitor.best = state["best"]

    def __repr__(self) -> str:
        return f"ModelCheckpoint({str(self.folder)!r})"
