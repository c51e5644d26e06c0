"""Numbers that a person gives to a training run."""

from __future__ import annotations

import numpy as np

from graphnn.errors import GraphError

MOST_EPOCHS = 10**8  # of each a line of the history is kept


def check_whole(name: str, value: object, least: int, most: int | None = None) -> None:
    """Check a count.

    Raises
    ------
    GraphError
        Unless it is a whole number in the range.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise GraphError(f"{name} is a whole number >= {least}; got {value!r}")
    if most is not None and value > most:
        raise GraphError(f"{name} is at most {most:,}; got {value!r}")


def check_verbose(verbose: object) -> None:
    """Check how much is shown.

    Raises
    ------
    GraphError
        Unless it is 0, 1 or 2.
    """
    if verbose not in (0, 1, 2):
        raise GraphError(f"verbose is 0, 1 or 2; got {verbose!r}")
