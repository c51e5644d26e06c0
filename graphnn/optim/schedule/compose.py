"""Schedules made of schedules."""

from __future__ import annotations

from collections.abc import Sequence

from graphnn.errors import GraphError
from graphnn.node import Node
from graphnn.ops.elementwise.choice import greater_equal, maximum
from graphnn.optim.schedule.base import Schedule, either
from graphnn.optim.schedule.decay import checked_milestones


class SequentialLR(Schedule):
    """One schedule after the other; each begins at 0 when its turn comes.

    Parameters
    ----------
    schedulers
        At least one; all count steps, or all epochs.
    milestones
        When the second begins, the third, ...

    Examples
    --------
    >>> from graphnn.optim import schedule
    >>> warm_up = schedule.LinearLR(4.0, start_factor=0.25, total_iters=3)
    >>> schedule.SequentialLR([warm_up, schedule.CosineAnnealingLR(4.0, 2)], [3]).rates(
    ...     6
    ... ).round(6)
    array([1., 2., 3., 4., 2., 0.])
    """

    def __init__(self, schedulers: Sequence[Schedule], milestones: Sequence[int]) -> None:
        self.schedulers = _alike("SequentialLR", schedulers)
        if len(milestones) != len(self.schedulers) - 1:
            raise GraphError(
                f"SequentialLR of {len(self.schedulers)} schedules needs a milestone between each "
                f"two, {len(self.schedulers) - 1}; got {list(milestones)}"
            )
        self.milestones = checked_milestones(milestones) if milestones else []
        super().__init__(self.schedulers[0].lr, per=self.schedulers[0].per)

    def at(self, t: Node) -> Node:
        """The learning rate after ``t`` steps or epochs."""
        rate = self.schedulers[0].at(t)
        for schedule, begin in zip(self.schedulers[1:], self.milestones, strict=True):
            since = maximum(t - float(begin), 0.0)
            rate = either(greater_equal(t, float(begin)), schedule.at(since), rate)
        return rate


class ChainedScheduler(Schedule):
    """Schedules at once: the first one's rate, times the factors by which the others change theirs.

    Parameters
    ----------
    schedulers
        At least one; all count steps, or all epochs.

    Examples
    --------
    >>> from graphnn.optim import schedule
    >>> parts = [schedule.ConstantLR(1.0, 0.5, total_iters=2), schedule.ExponentialLR(1.0, 0.5)]
    >>> schedule.ChainedScheduler(parts).rates(4)
    array([0.5  , 0.25 , 0.25 , 0.125])
    """

    def __init__(self, schedulers: Sequence[Schedule]) -> None:
        self.schedulers = _alike("ChainedScheduler", schedulers)
        super().__init__(self.schedulers[0].lr, per=self.schedulers[0].per)

    def at(self, t: Node) -> Node:
        """The learning rate after ``t`` steps or epochs."""
        rate = self.schedulers[0].at(t)
        for schedule in self.schedulers[1:]:
            rate = rate * (schedule.at(t) / schedule.lr)
        return rate


def _alike(who: str, schedules: Sequence[Schedule]) -> list[Schedule]:
    given = list(schedules)
    if not given or not all(isinstance(each, Schedule) for each in given):
        raise GraphError(f"{who} takes a list of schedules, at least one; got {given!r}")
    if len({each.per for each in given}) > 1:
        raise GraphError(f"{who}: all schedules count steps, or all epochs; got {given!r}")
    return given
