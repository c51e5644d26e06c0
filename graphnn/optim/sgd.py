"""Stochastic gradient descent."""

from __future__ import annotations

from graphnn.errors import GraphError
from graphnn.node import Node, Parameter
from graphnn.ops.training.update import momentum_update, sgd_update
from graphnn.optim.optimizer import Optimizer, Pairs, check_share


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

    Raises
    ------
    GraphError
        For settings out of range, and for Nesterov without momentum.

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
        lr: float = 1e-2,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(lr, weight_decay)
        check_share("momentum", momentum)
        if nesterov and not momentum:
            raise GraphError("nesterov=True needs momentum > 0, for instance momentum=0.9")
        self.momentum, self.nesterov = momentum, nesterov

    def step(self, parameter: Parameter, gradient: Node) -> Pairs:
        """The updates of one parameter and of its momentum."""
        rate = self.rate_for(parameter)
        if not self.momentum:
            return [(parameter, sgd_update(parameter, gradient, rate))]
        old = self.keep(parameter, "momentum")
        new = momentum_update(old, gradient, self.momentum)
        direction = momentum_update(new, gradient, self.momentum) if self.nesterov else new
        return [(old, new), (parameter, sgd_update(parameter, direction, rate))]
