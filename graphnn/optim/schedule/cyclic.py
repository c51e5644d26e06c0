"""Schedules that turn: cosines, cycles, one cycle."""

from __future__ import annotations

import math
from typing import Literal

from graphnn.errors import GraphError
from graphnn.node import Node
from graphnn.ops.elementwise.arithmetic import cos, log, power
from graphnn.ops.elementwise.choice import minimum
from graphnn.ops.elementwise.rounding import floor
from graphnn.optim.checks import check, check_at_least_0, check_count, check_positive, number
from graphnn.optim.schedule.base import Schedule, Unit, either


def cosine(start: Node | float, end: Node | float, share: Node) -> Node:
    """From ``start`` to ``end`` along half a cosine; ``share`` is how far, from 0 to 1."""
    return end + (start - end) * (1.0 + cos(math.pi * share)) / 2.0


def linear(start: Node | float, end: Node | float, share: Node) -> Node:
    """From ``start`` to ``end`` in a straight line."""
    return start + (end - start) * share


class CosineAnnealingLR(Schedule):
    """``η + (lr - η) (1 + cos(π t / T_max)) / 2``: down to ``eta_min``, and up again after it.

    Loshchilov & Hutter, *SGDR: stochastic gradient descent with warm restarts* (ICLR 2017), eq. 5.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.optim.schedule.CosineAnnealingLR(4.0, T_max=2).rates(4).round(6)
    array([4., 2., 0., 2.])
    """

    def __init__(
        self, lr: float, T_max: int, eta_min: float = 0.0, *, per: Unit = "step"
    ) -> None:  # torch's names
        super().__init__(lr, per=per)
        check_count("T_max", T_max)
        check_at_least_0("eta_min", eta_min)
        self.T_max, self.eta_min = T_max, eta_min

    def at(self, t: Node) -> Node:
        """The learning rate after ``t`` steps or epochs."""
        return cosine(self.lr, self.eta_min, t / float(self.T_max))


class CosineAnnealingWarmRestarts(Schedule):
    """A cosine from ``lr`` to ``eta_min`` in T_0 steps, then again in T_0 · T_mult, and so on.

    Loshchilov & Hutter, *SGDR: stochastic gradient descent with warm restarts* (ICLR 2017), eq. 5.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.optim.schedule.CosineAnnealingWarmRestarts(4.0, T_0=2, T_mult=2).rates(7).round(3)
    array([4.   , 2.   , 4.   , 3.414, 2.   , 0.586, 4.   ])
    """

    def __init__(
        self, lr: float, T_0: int, T_mult: int = 1, eta_min: float = 0.0, *, per: Unit = "step"
    ) -> None:
        super().__init__(lr, per=per)
        check_count("T_0", T_0)
        check_count("T_mult", T_mult)
        check_at_least_0("eta_min", eta_min)
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min

    def at(self, t: Node) -> Node:
        """The learning rate after ``t`` steps or epochs."""
        first, times = float(self.T_0), float(self.T_mult)
        if times == 1:
            share = t / first
            return cosine(self.lr, self.eta_min, share - floor(share))
        # Cycle n begins at T_0 (T_multⁿ - 1) / (T_mult - 1). The logarithm of a restart is a whole
        # number but for its rounding, which is far below the distance to the next step's.
        n = floor(log(t * ((times - 1) / first) + 1.0) / math.log(times) + 1e-10)
        length = first * power(times, n)
        share = (t - (length - first) / (times - 1)) / length
        return cosine(self.lr, self.eta_min, share)


class OneCycleLR(Schedule):
    """From ``max_lr / div_factor`` up to ``max_lr``, then down to a tiny rate.

    Smith & Topin, *Super-convergence* (2018), in torch's form. Momentum stays as it is (in torch:
    ``cycle_momentum=False``), and past ``total_steps`` the rate stays at its last value.

    Parameters
    ----------
    max_lr
        The highest rate.
    total_steps
        Steps of the cycle.
    pct_start
        Which share of them goes up.
    anneal_strategy
        ``"cos"`` or ``"linear"``.
    div_factor, final_div_factor
        The first rate is ``max_lr / div_factor``, the last one that over ``final_div_factor``.
    three_phase
        Whether it goes down to the first rate as slowly as it went up, and only then on.

    Examples
    --------
    >>> import graphnn as gn
    >>> rates = gn.optim.schedule.OneCycleLR(
    ...     1.0, total_steps=6, pct_start=0.5, anneal_strategy="linear", div_factor=4
    ... ).rates(6)
    >>> rates.round(3)
    array([0.25 , 0.625, 1.   , 0.667, 0.333, 0.   ])
    """

    def __init__(
        self,
        max_lr: float,
        total_steps: int,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        *,
        per: Unit = "step",
    ) -> None:
        super().__init__(max_lr, per=per)
        check_count("total_steps", total_steps)
        number("pct_start", pct_start)
        check("pct_start", pct_start, 0 <= pct_start <= 1, "in [0, 1]")
        if anneal_strategy not in ("cos", "linear"):
            raise GraphError(f"anneal_strategy is 'cos' or 'linear'; got {anneal_strategy!r}")
        check_positive("div_factor", div_factor)
        check_positive("final_div_factor", final_div_factor)
        self.max_lr, self.total_steps, self.pct_start = max_lr, total_steps, pct_start
        self.anneal_strategy, self.three_phase = anneal_strategy, three_phase
        self.div_factor, self.final_div_factor = div_factor, final_div_factor

    def at(self, t: Node) -> Node:
        """The learning rate after ``t`` steps or epochs."""
        anneal = cosine if self.anneal_strategy == "cos" else linear
        t = minimum(t, float(self.total_steps - 1))
        begin, rate = 0.0, None
        for end, low, high in self._phases():
            span = end - begin or 1.0
            part = anneal(low, high, (t - begin) / span)
            rate = part if rate is None else either(t > begin, part, rate)
            begin = end
        assert rate is not None
        return rate

    def _phases(self) -> list[tuple[float, float, float]]:
        """For each phase its last step, and its first and last rate."""
        first = self.max_lr / self.div_factor
        up, last = self.pct_start * self.total_steps - 1, self.total_steps - 1.0
        down = first / self.final_div_factor
        if not self.three_phase:
            return [(up, first, self.max_lr), (last, self.max_lr, down)]
        back = 2 * self.pct_start * self.total_steps - 2
        return [(up, first, self.max_lr), (back, self.max_lr, first), (last, first, down)]


class CyclicLR(Schedule):
    """Up from ``base_lr`` to ``max_lr`` in a straight line and down again, for ever.

    Smith, *Cyclical learning rates for training neural networks* (WACV 2017), in torch's form with
    ``cycle_momentum=False``.

    Parameters
    ----------
    base_lr, max_lr
        The lowest and the highest rate.
    step_size_up, step_size_down
        Steps up, and down; None: as many.
    mode
        ``"triangular"``; ``"triangular2"``, each cycle half as high as the last; ``"exp_range"``,
        the height times γᵗ.
    gamma
        γ.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.optim.schedule.CyclicLR(1.0, 3.0, step_size_up=2).rates(6)
    array([1., 2., 3., 2., 1., 2.])
    """

    def __init__(
        self,
        base_lr: float,
        max_lr: float,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
        gamma: float = 1.0,
        *,
        per: Unit = "step",
    ) -> None:
        super().__init__(base_lr, per=per)
        check_positive("max_lr", max_lr)
        check_count("step_size_up", step_size_up)
        check_count("step_size_down", step_size_up if step_size_down is None else step_size_down)
        check_positive("gamma", gamma)
        if mode not in ("triangular", "triangular2", "exp_range"):
            raise GraphError(f"mode is 'triangular', 'triangular2' or 'exp_range'; got {mode!r}")
        self.base_lr, self.max_lr, self.mode, self.gamma = base_lr, max_lr, mode, gamma
        self.step_size_up, self.step_size_down = step_size_up, step_size_down

    def at(self, t: Node) -> Node:
        """The learning rate after ``t`` steps or epochs."""
        up = float(self.step_size_up)
        total = up + (self.step_size_down or up)
        cycle = floor(t / total)
        place = t / total - cycle
        share = up / total
        height = either(place <= share, place / share, (1.0 - place) / (1.0 - share))
        if self.mode == "triangular2":
            height = height * power(0.5, cycle)
        elif self.mode == "exp_range":
            height = height * power(self.gamma, t)
        return self.base_lr + (self.max_lr - self.base_lr) * height
