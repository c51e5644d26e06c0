"""Running averages of the weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from graphnn.context import role
from graphnn.node import Constant, Parameter
from graphnn.ops.elementwise.cast import cast
from graphnn.ops.elementwise.choice import where
from graphnn.ops.training.update import moment_update

if TYPE_CHECKING:
    from graphnn.optim.optimizer import Optimizer, Pairs


class Averages:
    """``a ← β a + (1 - β) p`` after each step, and ``a ← p`` after the first, as in torch.

    Polyak & Juditsky, *Acceleration of stochastic approximation by averaging* (1992), with weights
    that decay.
    """

    def __init__(self, optimizer: Optimizer, momentum: float, pairs: Pairs) -> None:
        self.optimizer, self.new = optimizer, dict(pairs)
        self.kept: dict[Parameter, Parameter] = {}
        with role("update"):
            first = optimizer.steps_done < 0.5
            self._beta = where(first, 0.0, Constant(np.float64(momentum)))
            self._rest = where(first, 1.0, Constant(np.float64(1 - momentum)))

    def pairs(self, parameters: Sequence[Parameter]) -> Pairs:
        """The averages' updates."""
        made: Pairs = []
        for p in parameters:
            average = self.kept[p] = self.optimizer.keep(p, "average")
            with role("update", forward_of=p):
                beta, rest = (cast(each, p.dtype) for each in (self._beta, self._rest))
                made.append((average, moment_update(average, self.new[p], beta, rest)))
        return made


@contextmanager
def swapped_in(averages: Mapping[Parameter, Parameter]) -> Iterator[None]:
    """Inside, each parameter has the value of its average."""
    own = {parameter: parameter.value.copy() for parameter in averages}
    for parameter, average in averages.items():
        parameter.value = average.value
    try:
        yield
    finally:
        for parameter, value in own.items():
            parameter.value = value
