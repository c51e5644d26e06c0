"""Steps of a training, captured while it runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from graphnn.errors import DataError, GraphError
from graphnn.optim.checks import check_count
from graphnn.render.capture import MODES, capture
from graphnn.render.document.records import Captures, Document, Mode, Snapshot
from graphnn.train.callbacks import Callback
from graphnn.train.callbacks.callback import Logs
from graphnn.train.given import Whole
from graphnn.train.sources import Source


class Capture(Callback):
    """Captures the same few samples again and again while a model is trained.

    Before the first step and after every ``every`` steps all values of a training step on these
    samples are looked at, as :func:`gn.capture` does it; the training is not moved by it. The page
    of it has a slider over the captured steps: ``model.render("backprop.html", capture=seen)``.

    Parameters
    ----------
    every
        Steps between two captures.
    data
        The samples, as for :func:`gn.capture`; None: the first ``batch_size`` ones that ``fit`` is
        given, if the capture is its ``capture=``.
    mode
        What is kept of each value: ``"stats"``, ``"values"`` or ``"full"``.

    Raises
    ------
    GraphError
        For another mode.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((None, 1), name="x")
    >>> w = gn.Parameter(1.0, name="w")
    >>> model = gn.Model(x, x * w)
    >>> model.compile("sgd", loss="mse", lr=0.25)
    >>> seen, X = gn.Capture(every=1), np.ones((4, 1), np.float32)
    >>> history = model.fit(X, 0 * X, epochs=2, verbose=0, capture=seen)
    >>> seen
    <Capture: steps 0, 1, 2>
    """

    passive = True

    def __init__(self, every: int = 50, *, data: Any = None, mode: Mode = "values") -> None:
        if mode not in MODES:
            raise GraphError(f"mode is one of {', '.join(MODES)}; got {mode!r}")
        check_count("every", every)
        self.every, self.mode = every, mode
        self.given, self._data = data, data
        self._document: Document | None = None
        self._snapshots: list[Snapshot] = []

    def look_at(self, data: Whole, rows: int) -> Capture:
        """Take the first rows of what is trained on, unless samples were given.

        Raises
        ------
        DataError
            If batches come one after the other: they are not gone through for a look.
        """
        self._data = self.given
        if self.given is None:
            if isinstance(data, Source):
                raise DataError(
                    "gn.Capture looks at the first samples of arrays, and this data comes in "
                    "batches: give it some samples, gn.Capture(data=(x, y))"
                )
            self._data = {node.name: array[:rows] for node, array in data.items()}
        return self

    def on_train_begin(self, logs: Logs) -> None:
        """Capture what is before the first step."""
        if self._data is None:
            raise DataError(
                "gn.Capture has no samples to look at. Give it as fit(..., capture=...), or give "
                "it some: gn.Capture(every=50, data=(x, y))."
            )
        self._document, self._snapshots = None, []
        self._look(self.step)

    def on_step_end(self, step: int, logs: Logs) -> None:
        """Capture what is after a step."""
        self._look(step)

    def _look(self, step: int) -> None:
        seen = capture(self.model, self._data, mode=self.mode).document
        assert seen.captured is not None
        self._document = self._document or seen
        self._snapshots.append(replace(seen.captured.snapshots[0], step=step))

    @property
    def document(self) -> Document:
        """The graph with all that was captured."""
        if self._document is None:
            raise GraphError("nothing was captured: fit(..., capture=...) comes first")
        return replace(self._document, captured=Captures(self.mode, tuple(self._snapshots)))

    def __repr__(self) -> str:
        steps = ", ".join(str(one.step) for one in self._snapshots) or "none yet"
        return f"<Capture: steps {steps}>"


def looking(given: Capture | None, data: Whole, rows: int) -> list[Capture]:
    """What looks at training, made ready for the data.

    Raises
    ------
    GraphError
        If something else was given.
    """
    if given is None:
        return []
    if not isinstance(given, Capture):
        raise GraphError(f"capture is gn.Capture(every=50); got {given!r}")
    return [given.look_at(data, rows)]
