"""Adam, and Adam with decoupled weight decay."""

from __future__ import annotations

from typing import Unpack

import numpy as np

from graphnn.node import Constant, Node, Parameter
from graphnn.ops.elementwise.arithmetic import sqrt
from graphnn.ops.elementwise.cast import cast
from graphnn.ops.elementwise.choice import maximum
from graphnn.ops.training.update import adam_update, moment_update, square_update
from graphnn.optim.checks import check_pair, check_positive
from graphnn.optim.optimizer import Optimizer, Pairs
from graphnn.optim.options import Common
from graphnn.optim.schedule import Schedule


class Adam(Optimizer):
    """``p ← p - lr m̂ / (√v̂ + ε)``, with running means m of g and v of g².

    Kingma & Ba, *Adam* (ICLR 2015), algorithm 1. The bias corrections 1 - βᵗ are computed in
    float64.

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
    amsgrad
        Whether the largest v so far takes the place of v: Reddi, Kale & Kumar, *On the convergence
        of Adam and beyond* (ICLR 2018).
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
    >>> loss = gn.sum(w * w)
    >>> step = gn.function([], loss, updates=gn.optim.Adam(lr=0.25).updates(loss, [w]))
    >>> float(step()), w.value.round(4)  # the first step has the length lr
    (5.0, array([0.75, 1.75], dtype=float32))
    """

    def __init__(
        self,
        lr: float | Schedule = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(lr, weight_decay, **common)
        check_pair("betas", betas)
        check_positive("eps", eps)
        self.betas, self.eps, self.amsgrad = betas, eps, amsgrad
        self._rate: Node
        self._root: Node

    def shared_nodes(self) -> Pairs:
        """What the bias corrections make of the step counter."""
        step = self.steps_done + 1.0
        first, second = (Constant(np.float64(beta)) for beta in self.betas)
        self._rate = self.rate / (1.0 - first**step)
        self._root = sqrt(1.0 - second**step)
        return []

    def step(self, parameter: Parameter, gradient: Node) -> Pairs:
        """The updates of one parameter and of its two means."""
        dtype = parameter.dtype
        m, v = self.keep(parameter, "m"), self.keep(parameter, "v")
        first, second = self.betas
        new_m = moment_update(m, gradient, first, 1 - first)
        new_v = square_update(v, gradient, second, 1 - second)
        pairs: Pairs = [(m, new_m), (v, new_v)]
        if self.amsgrad:
            most = self.keep(parameter, "v_max")
            new_v = maximum(most, new_v)
            pairs.append((most, new_v))
        rate, root = cast(self._rate, dtype), cast(self._root, dtype)
        new = adam_update(self.shrunk(parameter), new_m, new_v, rate, root, self.eps)
        return [*pairs, (parameter, new)]


class AdamW(Adam):
    """``p ← p - lr λ p - lr m̂ / (√v̂ + ε)``: Adam, whose weight decay is no part of the gradient.

    Loshchilov & Hutter, *Decoupled weight decay regularization* (ICLR 2019), algorithm 2, in
    torch's form, in which the decay is multiplied by ``lr``.

    Parameters
    ----------
    lr, betas, eps, amsgrad, common
        As of :class:`Adam`.
    weight_decay
        λ.

    Raises
    ------
    GraphError
        For settings out of range.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> w = gn.Parameter(np.float32([1, 2]), name="w")
    >>> rule = gn.optim.AdamW(lr=0.25, weight_decay=0.4)
    >>> step = gn.function([], [], updates=rule.updates(gn.sum(w * w), [w]))
    >>> step(), w.value.round(4)  # a tenth less, and the length lr
    ([], array([0.65, 1.55], dtype=float32))
    """

    def __init__(
        self,
        lr: float | Schedule = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(lr, betas, eps, weight_decay, amsgrad, **common)

    decay_is_decoupled = True
