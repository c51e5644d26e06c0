"""One training of a model at a time."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

from graphnn.errors import GraphError

P = ParamSpec("P")
R = TypeVar("R")


@dataclass
class _Begun:
    process: int  # after a fork what was under way is the parent's
    over: bool = False


class Turns:
    """Says whether something trains a model now."""

    def __init__(self) -> None:
        self._last = _Begun(0, over=True)

    @contextmanager
    def taken(self, name: str) -> Iterator[None]:
        """Until it is left nobody else trains.

        Raises
        ------
        GraphError
            If somebody does.
        """
        mine = _Begun(os.getpid())
        try:
            # No call stands between the question and the answer: no thread, and no Ctrl-C.
            last = self._last
            if not last.over and last.process == mine.process:
                raise GraphError(
                    f"model.{name} was called while the model is being trained, from a callback, a "
                    "generator or another thread: there is one history, one optimizer, one order "
                    "of the data. Wait until fit returns, or train another model."
                )
            self._last = mine
            yield
        finally:
            mine.over = True


def alone(method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """A method of a model that trains it, and is not called while another one does."""

    @functools.wraps(method)
    def called(model: Any, /, *args: P.args, **options: P.kwargs) -> R:
        with model._turns.taken(method.__name__):
            return method(model, *args, **options)

    return called
