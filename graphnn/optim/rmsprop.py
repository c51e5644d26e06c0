"""RMSProp."""

from __future__ import annotations

from typing import Unpack

from graphnn.node import Node, Parameter
from graphnn.ops.elementwise.arithmetic import square
from graphnn.ops.elementwise.choice import maximum
from graphnn.ops.training.update import (
    moment_update,
    momentum_update,
    normalized_gradient,
    sgd_update,
    square_update,
)
from graphnn.optim.checks import check_positive, check_share
from graphnn.optim.optimizer import Optimizer, Pairs
from graphnn.optim.options import Common
from graphnn.optim.schedule import Schedule


class RMSprop(Optimizer):
    """``v ← α v + (1 - α) g²``, ``p ← p - lr g / (√v + ε)``.

    Tieleman & Hinton, *Lecture 6.5* (2012), in torch's form. Centered, the running mean of g is
    subtracted, ``v - ḡ²`` in place of v: Graves, *Generating sequences with recurrent neural
    networks* (2013), eqs. 38 to 41. With momentum, ``b ← μ b + g / (√v + ε)``, ``p ← p - lr b``.

    Parameters
    ----------
    lr
        Learning rate.
    alpha
        α in [0, 1).
    eps
        ε > 0.
    weight_decay
        λ of an L2 penalty.
    momentum
        μ in [0, 1).
    centered
        Whether the variance of the gradient takes the place of its mean square.
    common
        See :class:`Optimizer`.

    Raises
    ------
    GraphError
        For settings out of range.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> w = gn.Parameter(np.float32([1, 2]), name="w")
    >>> step = gn.function(
    ...     [], [], updates=gn.optim.RMSprop(lr=0.05).updates(gn.sum(w * w), [w])
    ... )
    >>> step(), w.value.round(4)  # v is a hundredth of g² at first
    ([], array([0.5, 1.5], dtype=float32))
    """

    def __init__(
        self,
        lr: float | Schedule = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(lr, weight_decay, **common)
        check_share("alpha", alpha)
        check_positive("eps", eps)
        check_share("momentum", momentum)
        self.alpha, self.eps, self.momentum, self.centered = alpha, eps, momentum, centered

    def step(self, parameter: Parameter, gradient: Node) -> Pairs:
        """The updates of one parameter and of its running means."""
        old = self.keep(parameter, "v")
        new = square_update(old, gradient, self.alpha, 1 - self.alpha)
        pairs: Pairs = [(old, new)]
        if self.centered:
            mean = self.keep(parameter, "mean")
            new_mean = moment_update(mean, gradient, self.alpha, 1 - self.alpha)
            pairs.append((mean, new_mean))
            new = maximum(new - square(new_mean), 0.0)  # rounding takes it below 0, and √ to nan
        direction = normalized_gradient(gradient, new, self.eps)
        if self.momentum:
            before = self.keep(parameter, "momentum")
            direction = momentum_update(before, direction, self.momentum)
            pairs.append((before, direction))
        rate = self.rate_for(parameter)
        return [*pairs, (parameter, sgd_update(parameter, direction, rate))]
