"""Losses of a target of the prediction's shape, with torch's names; they hold no parameters."""

from __future__ import annotations

from typing import Literal

from graphnn.nn.module import Module
from graphnn.node import Node, NodeLike
from graphnn.ops.loss import distance, likelihood
from graphnn.ops.loss.comparison import ReductionName


class Loss(Module):
    """What all losses share: how the losses of a batch become one number."""

    def __init__(self, reduction: ReductionName = "mean", *, name: str | None = None) -> None:
        super().__init__(name)
        self.reduction = reduction

    def __repr__(self) -> str:
        options = {k: v for k, v in vars(self).items() if not k.startswith("_")}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in options.items())})"


class MSELoss(Loss):
    """``(prediction - target)²``: see :func:`graphnn.mse_loss`.

    Examples
    --------
    >>> import graphnn as gn
    >>> y, t = gn.Input((None, 3), name="y"), gn.Input((None, 3), name="t")
    >>> gn.nn.MSELoss()(y, t).shape
    ()
    """

    def forward(self, prediction: Node, target: NodeLike) -> Node:
        """Declare the loss."""
        return distance.mse_loss(prediction, target, self.reduction)


class L1Loss(Loss):
    """``|prediction - target|``: see :func:`graphnn.l1_loss`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.L1Loss(reduction="none")(gn.Input((None, 3)), gn.Input((None, 3))).shape
    (None, 3)
    """

    def forward(self, prediction: Node, target: NodeLike) -> Node:
        """Declare the loss."""
        return distance.l1_loss(prediction, target, self.reduction)


class HuberLoss(Loss):
    """A square near 0, a line beyond ``delta``: see :func:`graphnn.huber_loss`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.HuberLoss(delta=2.0)(gn.Input((None, 3)), gn.Input((None, 3))).shape
    ()
    """

    def __init__(
        self, reduction: ReductionName = "mean", delta: float = 1.0, *, name: str | None = None
    ) -> None:
        super().__init__(reduction, name=name)
        self.delta = delta

    def forward(self, prediction: Node, target: NodeLike) -> Node:
        """Declare the loss."""
        return distance.huber_loss(prediction, target, self.reduction, self.delta)


class SmoothL1Loss(Loss):
    """The Huber loss divided by ``beta``: see :func:`graphnn.smooth_l1_loss`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.SmoothL1Loss(beta=0.5)(gn.Input((None, 3)), gn.Input((None, 3))).shape
    ()
    """

    def __init__(
        self, reduction: ReductionName = "mean", beta: float = 1.0, *, name: str | None = None
    ) -> None:
        super().__init__(reduction, name=name)
        self.beta = beta

    def forward(self, prediction: Node, target: NodeLike) -> Node:
        """Declare the loss."""
        return distance.smooth_l1_loss(prediction, target, self.reduction, self.beta)


class KLDivLoss(Loss):
    """Kullback-Leibler divergence of logarithms: see :func:`graphnn.kl_div`.

    Examples
    --------
    >>> import graphnn as gn
    >>> x, t = gn.Input((None, 3)), gn.Input((None, 3))
    >>> gn.nn.KLDivLoss(reduction="batchmean")(gn.log_softmax(x), t).shape
    ()
    """

    def __init__(
        self,
        reduction: Literal["mean", "batchmean", "sum", "none"] = "mean",
        log_target: bool = False,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name=name)  # type: ignore[arg-type]
        self.log_target = log_target

    def forward(self, prediction: Node, target: NodeLike) -> Node:
        """Declare the loss."""
        return likelihood.kl_div(prediction, target, self.reduction, self.log_target)


class PoissonNLLLoss(Loss):
    """Negative log-likelihood of counts: see :func:`graphnn.poisson_nll_loss`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.PoissonNLLLoss()(gn.Input((None, 3)), gn.Input((None, 3))).shape
    ()
    """

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        eps: float = 1e-8,
        reduction: ReductionName = "mean",
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name=name)
        self.log_input, self.full, self.eps = log_input, full, eps

    def forward(self, prediction: Node, target: NodeLike) -> Node:
        """Declare the loss."""
        return likelihood.poisson_nll_loss(
            prediction, target, self.log_input, self.full, self.eps, self.reduction
        )


class GaussianNLLLoss(Loss):
    """Negative log-likelihood of a Gaussian: see :func:`graphnn.gaussian_nll_loss`.

    Examples
    --------
    >>> import graphnn as gn
    >>> x, t, var = gn.Input((None, 3)), gn.Input((None, 3)), gn.Input((None, 3))
    >>> gn.nn.GaussianNLLLoss()(x, t, var).shape
    ()
    """

    def __init__(
        self,
        *,
        full: bool = False,
        eps: float = 1e-6,
        reduction: ReductionName = "mean",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name=name)
        self.full, self.eps = full, eps

    def forward(self, prediction: Node, target: NodeLike, var: NodeLike) -> Node:
        """Declare the loss."""
        return likelihood.gaussian_nll_loss(
            prediction, target, var, self.full, self.eps, self.reduction
        )
