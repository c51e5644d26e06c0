"""Schedules that move one way: constant, linear, in steps, exponential, polynomial, a formula."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphnn.errors import GraphError
from graphnn.node import Node
from graphnn.ops.elementwise.arithmetic import power
from graphnn.ops.elementwise.cast import cast
from graphnn.ops.elementwise.choice import greater_equal, minimum
from graphnn.ops.elementwise.rounding import floor
from graphnn.optim.checks import check_at_least_0, check_count, check_positive
from graphnn.optim.schedule.base import Schedule, Unit, either


class ConstantLR(Schedule):
    """``lr · factor`` for ``total_iters`` steps, then ``lr``.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.optim.schedule.ConstantLR(1.0, factor=0.5, total_iters=2).rates(4)
    array([0.5, 0.5, 1. , 1. ])
    """

    def __init__(
        self, lr: float, factor: float = 1 / 3, total_iters: int = 5, *, per: Unit = "step"
    ) -> None:
        super().__init__(lr, per=per)
        check_positive("factor", factor)
        check_count("total_iters", total_iters)
        self.factor, self.total_iters = factor, total_iters

    def at(self, t: Node) -> Node:
        """The learning rate after ``t`` steps or epochs."""
        return self.lr * either(t < float(self.total_iters), self.factor, 1.0)


class LinearLR(Schedule):
    """From ``lr · start_factor`` to ``lr · end_factor`` in a straight line: a warm-up.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.optim.schedule.LinearLR(1.0, start_factor=0.25, total_iters=3).rates(5)
    array([0.25, 0.5 , 0.75, 1.  , 1.  ])
    """

    def __init__(
        self,
        lr: float,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        *,
        per: Unit = "step",
    ) -> None:
        super().__init__(lr, per=per)
        check_positive("start_factor", start_factor)
        check_at_least_0("end_factor", end_factor)
        check_count("total_iters", total_iters)
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = total_iters

    def at(self, t: Node) -> Node:
        """The learning rate after ``t`` steps or epochs."""
        share = minimum(t / float(self.total_iters), 1.0)
        return self.lr * (self.start_factor + (self.end_factor - self.start_factor) * share)


class StepLR(Schedule):
    """``lr · γ^⌊t / step_size⌋``.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.optim.schedule.StepLR(8.0, step_size=2, gamma=0.5).rates(6)
    array([8., 8., 4., 4., 2., 2.])
    """

    def __init__(
        self, lr: float, step_size: int, gamma: float = 0.1, *, per: Unit = "step"
    ) -> None:
        super().__init__(lr, per=per)
        check_count("step_size", step_size)
        check_positive("gamma", gamma)
        self.step_size, self.gamma = step_size, gamma

    def at(self, t: Node) -> Node:
        """The learning rate after ``t`` steps or epochs."""
        return self.lr * power(self.gamma, floor(t / float(self.step_size)))


class MultiStepLR(Schedule):
    """``lr · γⁿ``, n: how many of the milestones lie behind.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.optim.schedule.MultiStepLR(8.0, milestones=[1, 4], gamma=0.5).rates(6)
    array([8., 4., 4., 4., 2., 2.])
    """

    def __init__(
        self, lr: float, milestones: Sequence[int], gamma: float = 0.1, *, per: Unit = "step"
    ) -> None:
        super().__init__(lr, per=per)
        self.milestones, self.gamma = checked_milestones(milestones), gamma
        check_positive("gamma", gamma)

    def at(self, t: Node) -> Node:
        """The learning rate after ``t`` steps or epochs."""
        passed = [cast(greater_equal(t, float(each)), "float64") for each in self.milestones]
        total = passed[0]
        for one in passed[1:]:
            total = total + one
        return self.lr * power(self.gamma, total)


class ExponentialLR(Schedule):
    """``lr · γᵗ``.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.optim.schedule.ExponentialLR(8.0, gamma=0.5).rates(4)
    array([8., 4., 2., 1.])
    """

    def __init__(self, lr: float, gamma: float, *, per: Unit = "step") -> None:
        super().__init__(lr, per=per)
        check_positive("gamma", gamma)
        self.gamma = gamma

    def at(self, t: Node) -> Node:
        """The learning rate after ``t`` steps or epochs."""
        return self.lr * power(self.gamma, t)


class PolynomialLR(Schedule):
    """``lr · (1 - t / total_iters)^power``, then 0.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.optim.schedule.PolynomialLR(8.0, total_iters=4).rates(6)
    array([8., 6., 4., 2., 0., 0.])
    """

    def __init__(
        self, lr: float, total_iters: int = 5, power: float = 1.0, *, per: Unit = "step"
    ) -> None:
        super().__init__(lr, per=per)
        check_count("total_iters", total_iters)
        check_positive("power", power)
        self.total_iters, self.power = total_iters, power

    def at(self, t: Node) -> Node:
        """The learning rate after ``t`` steps or epochs."""
        left = 1.0 - minimum(t / float(self.total_iters), 1.0)
        return self.lr * (left if self.power == 1 else power(left, self.power))


class LambdaLR(Schedule):
    """``lr · f(t)`` for a function f that makes nodes.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.optim.schedule.LambdaLR(1.0, lambda t: 1.0 / gn.sqrt(t + 1.0)).rates(4).round(3)
    array([1.   , 0.707, 0.577, 0.5  ])
    """

    def __init__(self, lr: float, lr_lambda: Callable[[Node], Node], *, per: Unit = "step") -> None:
        super().__init__(lr, per=per)
        if not callable(lr_lambda):
            raise GraphError(f"lr_lambda is a function of a node; got {lr_lambda!r}")
        self.lr_lambda = lr_lambda

    def at(self, t: Node) -> Node:
        """The learning rate after ``t`` steps or epochs."""
        made = self.lr_lambda(t)
        if not isinstance(made, Node) or made.dtype != "float64" or made.shape != t.shape:
            raise GraphError(
                "lr_lambda makes a float64 node of the shape of t, for instance "
                f"lambda t: 1.0 / (t + 1.0); got {made!r}. `if` cannot ask a node: gn.where does"
            )
        return self.lr * made


def checked_milestones(milestones: Sequence[int]) -> list[int]:
    """Numbers of steps, sorted; at least one.

    Raises
    ------
    GraphError
        For anything else.
    """
    given = list(milestones)
    for each in given:
        check_count("a milestone", each)
    if not given or given != sorted(given):
        raise GraphError(f"milestones are whole numbers that grow, such as [30, 80]; got {given}")
    return given
