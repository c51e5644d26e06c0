"""Adam."""

from __future__ import annotations

import numpy as np

from graphnn.errors import GraphError
from graphnn.node import Constant, Node, Parameter
from graphnn.ops.elementwise.arithmetic import sqrt
from graphnn.ops.elementwise.cast import cast
from graphnn.ops.training.update import adam_update, moment_update, square_update
from graphnn.optim.optimizer import Optimizer, Pairs, check, check_share, number


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
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(lr, weight_decay)
        if not isinstance(betas, tuple | list) or len(betas) != 2:
            raise GraphError(f"betas is a pair, for instance (0.9, 0.999); got {betas!r}")
        for name, beta in zip(("betas[0]", "betas[1]"), betas, strict=True):
            check_share(name, beta)
        number("eps", eps)
        check("eps", eps, eps > 0, "> 0")
        self.betas, self.eps = betas, eps
        self._rate: Node
        self._root: Node

    def shared_nodes(self) -> Pairs:
        """The step counter, and what the bias corrections make of it."""
        counter = Parameter(np.float64(0), name="step", trainable=False)
        self.state.append(counter)
        step = counter + 1.0
        first, second = (Constant(np.float64(beta)) for beta in self.betas)
        self._rate = self.rate / (1.0 - first**step)
        self._root = sqrt(1.0 - second**step)
        return [(counter, step)]

    def step(self, parameter: Parameter, gradient: Node) -> Pairs:
        """The updates of one parameter and of its two means."""
        dtype = parameter.dtype
        m, v = self.keep(parameter, "m"), self.keep(parameter, "v")
        first, second = self.betas
        new_m = moment_update(m, gradient, first, 1 - first)
        new_v = square_update(v, gradient, second, 1 - second)
        rate, root = cast(self._rate, dtype), cast(self._root, dtype)
        new = adam_update(parameter, new_m, new_v, rate, root, self.eps)
        return [(m, new_m), (v, new_v), (parameter, new)]
