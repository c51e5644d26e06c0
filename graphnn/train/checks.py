"""Numbers that a person gives to a training run."""

from __future__ import annotations

from graphnn.errors import GraphError

MOST_EPOCHS = 10**8  # of each a line of the history is kept


def check_verbose(verbose: object) -> None:
    """Check how much is shown.

    Raises
    ------
    GraphError
        Unless it is 0, 1 or 2.
    """
    if verbose not in (0, 1, 2):
        raise GraphError(f"verbose is 0, 1 or 2; got {verbose!r}")
