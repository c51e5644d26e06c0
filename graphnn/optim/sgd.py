"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Unpack

import numpy as np

from graphnn.errors import GraphError
from graphnn.node import Constant, Node, Parameter
from graphnn.ops.elementwise.cast import cast
from graphnn.ops.elementwise.choice import where
from graphnn.ops.training.update import moment_update, momentum_update, sgd_update
from graphnn.optim.checks import check_share, number
from graphnn.optim.optimizer import Optimizer, Pairs
from graphnn.optim.options import Common
from graphnn.optim.schedule import Schedule


class SGD(Optimizer):
    """``v ← μ v + g``, ``p ← p - lr v``; with Nesterov ``p ← p - lr (g + μ v)``.

    Torch's form of Polyak (1964) and Nesterov (1983); see Sutskever et al., ICML 2013.

    Parameters
    ----------
    lr
        Learning rate.
    momentum
        μ in [0, 1); 0: plain gradient descent.
    nesterov
        Whether the gradient is taken where the momentum leads.
    weight_decay
        λ of an L2 penalty.
    dampening
        τ in ``v ← μ v + (1 - τ) g``; the first step takes g whole.
    common
        See :class:`Optimizer`.

    Raises
    ------
    GraphError
        For settings out of range, and for Nesterov without momentum or with dampening.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> w = gn.Parameter(np.float32([1, 2]), name="w")
    >>> loss = gn.sum(w * w)
    >>> step = gn.function([], loss, updates=gn.optim.SGD(lr=0.25).updates(loss, [w]))
    >>> float(step()), w.value
    (5.0, array([0.5, 1. ], dtype=float32))
    """

    def __init__(
        self,
        lr: float | Schedule = 1e-2,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        dampening: float = 0.0,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(lr, weight_decay, **common)
        check_share("momentum", momentum)
        number("dampening", dampening)
        if nesterov and not momentum:
            raise GraphError("nesterov=True needs momentum > 0, for instance momentum=0.9")
        if nesterov and dampening:
            raise GraphError("nesterov=True needs dampening=0")
        self.momentum, self.nesterov, self.dampening = momentum, nesterov, dampening
        self._rest: Node

    def shared_nodes(self) -> Pairs:
        """What share of the gradient the momentum takes in: all of the first."""
        if self.momentum and self.dampening:
            rest = Constant(np.float64(1 - self.dampening))
            self._rest = where(self.steps_done < 0.5, 1.0, rest)
        return []

    def step(self, parameter: Parameter, gradient: Node) -> Pairs:
        """The updates of one parameter and of its momentum."""
        rate = self.rate_for(parameter)
        if not self.momentum:
            return [(parameter, sgd_update(parameter, gradient, rate))]
        old = self.keep(parameter, "momentum")
        if self.dampening:
            rest = cast(self._rest, parameter.dtype)
            new = moment_update(old, gradient, self.momentum, rest)
        else:
            new = momentum_update(old, gradient, self.momentum)
        direction = momentum_update(new, gradient, self.momentum) if self.nesterov else new
        return [(old, new), (parameter, sgd_update(parameter, direction, rate))]
