"""Which learning rates a model takes: the loss while the rate grows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphnn.errors import GraphError
from graphnn.function import Function
from graphnn.node import Input, Node, Parameter
from graphnn.ops.random.generator import generator
from graphnn.optim import Optimizer
from graphnn.optim.checks import check_positive
from graphnn.optim.schedule import ExponentialLR
from graphnn.plan import aligned_table

SMOOTHING = 0.9  # of the running mean of the loss
SETTLED = 10  # steps
LOST = 4.0  # times the best loss: nothing is learned from there on
MOST_ROWS = 20  # of the printed table


@dataclass(frozen=True, repr=False)
class RateTable:
    """Learning rates, and the losses that training had at them; ``print`` shows it.

    Attributes
    ----------
    rates
        Learning rates, growing by one factor.
    losses
        The loss of the batch before each step.
    smoothed
        Its running mean.
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    smoothed: NDArray[np.float64]

    @property
    def steepest(self) -> float:
        """The rate at which the smoothed loss falls fastest: one to begin with."""
        first = min(SETTLED, len(self.rates) - 2)  # before, the mean is that of few batches
        slopes = np.gradient(self.smoothed[first:])
        return float(self.rates[first + int(np.argmin(slopes))])

    def __repr__(self) -> str:
        first, last = self.rates[0], self.rates[-1]
        return (
            f"<RateTable of {len(self.rates)} rates from {first:.3g} to {last:.3g}: the loss falls "
            f"fastest at lr = {self.steepest:.2g}>"
        )

    def __str__(self) -> str:
        every = max(1, -(-len(self.rates) // MOST_ROWS))
        shown = [
            (f"{rate:.3g}", f"{loss:.4g}", f"{smooth:.4g}")
            for rate, loss, smooth in zip(
                self.rates[::every], self.losses[::every], self.smoothed[::every], strict=True
            )
        ]
        table = aligned_table([("lr", "loss", "smoothed"), *shown])
        return f"{table}\nthe loss falls fastest at lr = {self.steepest:.2g}"


def rate_table(
    inputs: Sequence[Input],
    loss: Node,
    shown: Node,
    rule: Optimizer,
    trained: Sequence[Parameter],
    data: Mapping[Input, NDArray[Any]],
    *,
    lowest: float,
    highest: float,
    steps: int,
    batch_size: int,
) -> RateTable:
    """Train while the rate grows from ``lowest`` to ``highest``; all parameters come back.

    ``loss`` is trained, ``shown`` is written down. It ends early when the smoothed loss is four
    times the best, or not finite.

    Raises
    ------
    GraphError
        Unless 0 < lowest < highest and there are at least 3 steps.
    """
    check_positive("lowest", lowest)
    check_positive("highest", highest)
    if not 0 < lowest < highest < math.inf or steps < 3:
        raise GraphError(
            "the rates go from lowest > 0 to a higher one, in 3 steps or more; got "
            f"lowest={lowest}, highest={highest}, steps={steps}"
        )
    factor = (highest / lowest) ** (1 / (steps - 1))
    rising = rule.with_lr(ExponentialLR(lowest, gamma=factor))
    rising.begin_epochs(-(-len(next(iter(data.values()))) // batch_size), 0)
    step = Function(inputs, shown, rising.updates(loss, trained), training=True)
    kept = {parameter: parameter.value.copy() for parameter in step.parameters}
    try:
        losses = _losses(step, data, steps, batch_size)
    finally:
        for parameter, value in kept.items():
            parameter.value = value
    if len(losses) < 3:
        raise GraphError(
            f"after {len(losses)} steps from lr = {lowest} the loss is lost: begin lower, or look "
            "for NaN and Inf in the data"
        )
    return RateTable(lowest * factor ** np.arange(len(losses)), losses, _smoothed(losses))


def _losses(
    step: Function, data: Mapping[Input, NDArray[Any]], steps: int, batch_size: int
) -> NDArray[np.float64]:
    """The loss at each step, as long as it is of use."""
    count = len(next(iter(data.values())))
    size = min(batch_size, count)
    order = np.random.default_rng(int(generator().value[0])).permutation(count)
    losses: list[float] = []
    for i in range(steps):
        rows = np.take(order, np.arange(i * size, (i + 1) * size), mode="wrap")
        loss = float(step(*(data[node][rows] for node in step.inputs)))
        if not np.isfinite(loss):
            break
        losses.append(loss)
        smooth = _smoothed(np.array(losses))
        if smooth[-1] > LOST * smooth.min() > 0:
            break
    return np.array(losses)


def _smoothed(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Running means, without the weight of the zero at which they begin."""
    mean, made = 0.0, []
    for t, loss in enumerate(losses, 1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        made.append(mean / (1 - SMOOTHING**t))
    return np.array(made)
