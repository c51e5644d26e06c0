"""AdaGrad."""

from __future__ import annotations

from typing import Unpack

from graphnn.node import Node, Parameter
from graphnn.ops.elementwise.arithmetic import square
from graphnn.ops.elementwise.cast import cast
from graphnn.ops.training.update import normalized_gradient, sgd_update
from graphnn.optim.checks import check_at_least_0, check_positive
from graphnn.optim.optimizer import Optimizer, Pairs
from graphnn.optim.options import Common
from graphnn.optim.schedule import Schedule


class Adagrad(Optimizer):
    """``s ← s + g²``, ``p ← p - lr / (1 + t lr_decay) g / (√s + ε)``, t from 0.

    Duchi, Hazan & Singer, *Adaptive subgradient methods* (JMLR 2011), in torch's form.

    Parameters
    ----------
    lr
        Learning rate.
    lr_decay
        How fast it falls; >= 0.
    weight_decay
        λ of an L2 penalty.
    initial_accumulator_value
        What s is at first; >= 0.
    eps
        ε > 0.
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
    ...     [], [], updates=gn.optim.Adagrad(lr=0.25).updates(gn.sum(w * w), [w])
    ... )
    >>> step(), w.value.round(4)
    ([], array([0.75, 1.75], dtype=float32))
    """

    def __init__(
        self,
        lr: float | Schedule = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(lr, weight_decay, **common)
        check_at_least_0("lr_decay", lr_decay)
        check_at_least_0("initial_accumulator_value", initial_accumulator_value)
        check_positive("eps", eps)
        self.lr_decay, self.eps = lr_decay, eps
        self.initial_accumulator_value = initial_accumulator_value
        self._rate: Node

    def shared_nodes(self) -> Pairs:
        """The learning rate, as it falls."""
        self._rate = self.rate
        if self.lr_decay:
            self._rate = self.rate / (1.0 + self.steps_done * self.lr_decay)
        return []

    def step(self, parameter: Parameter, gradient: Node) -> Pairs:
        """The updates of one parameter and of the sum of its squared gradients."""
        old = self.keep(parameter, "squares", self.initial_accumulator_value)
        new = old + square(gradient)
        direction = normalized_gradient(gradient, new, self.eps)
        rate = cast(self._rate, parameter.dtype)
        return [(old, new), (parameter, sgd_update(parameter, direction, rate))]
