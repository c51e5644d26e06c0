"""Training that ends when it went astray."""

from __future__ import annotations

import math
import warnings

from graphnn.context import declared_at
from graphnn.errors import NotFiniteWarning
from graphnn.hints import teaches
from graphnn.optim.checks import check_count
from graphnn.train.callbacks.callback import Callback, Logs


class TerminateOnNaN(Callback):
    """Ends training when the loss is NaN or infinite, and says so by a ``gn.NotFiniteWarning``.

    Parameters
    ----------
    every
        After how many steps it looks; it also looks at the end of each epoch. None: only then.

    Raises
    ------
    GraphError
        If ``every`` is no whole number >= 1.

    Examples
    --------
    >>> import warnings
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((None, 1), name="x")
    >>> w = gn.Parameter(1.0, name="w")
    >>> model = gn.Model(x, x * w)
    >>> model.compile("sgd", loss="mse", lr=1e6)
    >>> X = np.ones((4, 1), np.float32)
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", gn.NotFiniteWarning)
    ...     history = model.fit(
    ...         X, 0 * X, epochs=99, verbose=0, callbacks=[gn.callbacks.TerminateOnNaN()]
    ...     )
    >>> history.epochs < 10
    True
    """

    passive = True

    @teaches
    def __init__(self, every: int | None = 100) -> None:
        if every is not None:
            check_count("every", every)
        self.every = every

    def on_step_end(self, step: int, logs: Logs) -> None:
        """Look, and warn at the line of the user's."""
        if math.isfinite(logs["loss"]):
            return
        self.stop = True
        here = declared_at()
        warnings.warn_explicit(
            f"after {step} steps the loss is {logs['loss']}: training ends here, in the middle of "
            "an epoch. Look for NaN or Inf in the data, or lower the learning rate.",
            NotFiniteWarning,
            here.file,
            here.line,
        )

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Look; what is found has been warned of."""
        self.stop = self.stop or not math.isfinite(logs["loss"])
