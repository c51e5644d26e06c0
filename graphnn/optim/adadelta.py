"""Adadelta."""

from __future__ import annotations

from typing import Unpack

from graphnn.node import Node, Parameter
from graphnn.ops.training.update import adadelta_step, sgd_update, square_update
from graphnn.optim.checks import check_positive, check_share
from graphnn.optim.optimizer import Optimizer, Pairs
from graphnn.optim.options import Common
from graphnn.optim.schedule import Schedule


class Adadelta(Optimizer):
    """``d = √(u + ε) / √(v + ε) g``, ``p ← p - lr d``, with running means v of g² and u of d².

    Zeiler, *ADADELTA: an adaptive learning rate method* (2012), algorithm 1. v takes g in before
    it is used, u takes d in after.

    Parameters
    ----------
    lr
        Learning rate.
    rho
        Decay rate ρ of both means, in [0, 1).
    eps
        ε > 0.
    weight_decay
        λ of an L2 penalty.
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
    >>> step = gn.function([], [], updates=gn.optim.Adadelta().updates(gn.sum(w * w), [w]))
    >>> step(), w.value.round(4)  # √ε / √(g² / 10)
    ([], array([0.9968, 1.9968], dtype=float32))
    """

    def __init__(
        self,
        lr: float | Schedule = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(lr, weight_decay, **common)
        check_share("rho", rho)
        check_positive("eps", eps)
        self.rho, self.eps = rho, eps

    def step(self, parameter: Parameter, gradient: Node) -> Pairs:
        """The updates of one parameter and of its two running means."""
        v, u = self.keep(parameter, "v"), self.keep(parameter, "u")
        new_v = square_update(v, gradient, self.rho, 1 - self.rho)
        direction = adadelta_step(gradient, u, new_v, self.eps)
        new = sgd_update(parameter, direction, self.rate_for(parameter))
        new_u = square_update(u, direction, self.rho, 1 - self.rho)
        return [(v, new_v), (u, new_u), (parameter, new)]
