"""Adam with Nesterov's momentum."""

from __future__ import annotations

from typing import Unpack

import numpy as np

from graphnn.node import Constant, Node, Parameter
from graphnn.ops.elementwise.arithmetic import power, sqrt
from graphnn.ops.elementwise.cast import cast
from graphnn.ops.training.update import moment_update, nadam_update, square_update
from graphnn.optim.checks import check_at_least_0, check_pair, check_positive
from graphnn.optim.optimizer import Optimizer, Pairs
from graphnn.optim.options import Common
from graphnn.optim.schedule import Schedule


class NAdam(Optimizer):
    """``p ← p - lr ((1 - μₜ) g / (1 - Πμ) + μₜ₊₁ m / (1 - Πμ μₜ₊₁)) / (√v̂ + ε)``.

    ``μₜ = β₁ (1 - 0.96^(t ψ) / 2)``. Dozat, *Incorporating Nesterov momentum into Adam* (ICLR
    workshop 2016), in torch's form.

    Parameters
    ----------
    lr
        Learning rate.
    betas
        Decay rates of the two means, each in [0, 1).
    eps
        ε > 0.
    weight_decay
        λ of an L2 penalty.
    momentum_decay
        ψ >= 0.
    decoupled_weight_decay
        Whether the weights decay as in :class:`AdamW`.
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
    >>> step = gn.function([], [], updates=gn.optim.NAdam(lr=0.25).updates(gn.sum(w * w), [w]))
    >>> step(), w.value.round(2)
    ([], array([0.74, 1.74], dtype=float32))
    """

    def __init__(
        self,
        lr: float | Schedule = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(lr, weight_decay, **common)
        check_pair("betas", betas)
        check_positive("eps", eps)
        check_at_least_0("momentum_decay", momentum_decay)
        self.betas, self.eps, self.momentum_decay = betas, eps, momentum_decay
        self.decay_is_decoupled = self.decoupled_weight_decay = decoupled_weight_decay
        self._rates: tuple[Node, Node]
        self._root: Node

    def shared_nodes(self) -> Pairs:
        """The momentum of this step and of the next, and the product of all so far."""
        step = self.steps_done + 1.0
        so_far = Parameter(np.float64(1), name="momenta", trainable=False)
        self.state.append(so_far)
        now, then = self._momentum(step), self._momentum(step + 1.0)
        product = so_far * now
        self._rates = (
            self.rate * (1.0 - now) / (1.0 - product),
            self.rate * then / (1.0 - product * then),
        )
        self._root = sqrt(1.0 - Constant(np.float64(self.betas[1])) ** step)
        return [(so_far, product)]

    def _momentum(self, t: Node) -> Node:
        return self.betas[0] * (1.0 - 0.5 * power(0.96, t * self.momentum_decay))

    def step(self, parameter: Parameter, gradient: Node) -> Pairs:
        """The updates of one parameter and of its two means."""
        m, v = self.keep(parameter, "m"), self.keep(parameter, "v")
        first, second = self.betas
        new_m = moment_update(m, gradient, first, 1 - first)
        new_v = square_update(v, gradient, second, 1 - second)
        a, b, root = (cast(node, parameter.dtype) for node in (*self._rates, self._root))
        new = nadam_update(self.shrunk(parameter), gradient, new_m, new_v, a, b, root, self.eps)
        return [(m, new_m), (v, new_v), (parameter, new)]
