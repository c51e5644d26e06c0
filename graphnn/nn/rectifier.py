"""Activations of straight pieces, or straight on one side, by torch's names and arguments."""

from __future__ import annotations

import numpy as np

from graphnn.context import declared_at
from graphnn.errors import GraphError
from graphnn.nn.activation import Activation
from graphnn.node import Node, Parameter
from graphnn.ops.activation import rectifier
from graphnn.spec import as_dtype


class Step(Activation):
    """0 where ``x < 0``, 1 where ``x > 0``, ``at_zero`` between: see :func:`graphnn.step`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.nn.Step()(gn.Constant([-2.0, 0.0, 0.5])))()
    array([0., 1., 1.], dtype=float32)
    """

    def __init__(
        self, at_zero: float = 1.0, straight_through: bool = False, *, name: str | None = None
    ) -> None:
        super().__init__(name)
        self.at_zero, self.straight_through = at_zero, straight_through

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return rectifier.step(x, self.at_zero, straight_through=self.straight_through)


class ReLU6(Activation):
    """``y = min(max(x, 0), 6)``: see :func:`graphnn.relu6`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.nn.ReLU6()(gn.Constant([-1.0, 2.0, 8.0])))()
    array([0., 2., 6.], dtype=float32)
    """

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return rectifier.relu6(x)


class LeakyReLU(Activation):
    """``y = x`` where x > 0, else ``negative_slope x``.

    Maas, Hannun, Ng, *Rectifier Nonlinearities* (ICML 2013).

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.nn.LeakyReLU(0.5)(gn.Constant([-2.0, 2.0])))()
    array([-1.,  2.], dtype=float32)
    """

    def __init__(self, negative_slope: float = 0.01, *, name: str | None = None) -> None:
        super().__init__(name)
        self.negative_slope = negative_slope

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return rectifier.leaky_relu(x, self.negative_slope)


class PReLU(Activation):
    """``y = x`` where x > 0, else ``weight x``, with weight learned.

    He et al., *Delving Deep into Rectifiers* (2015), arXiv:1502.01852, eq. 1.

    Parameters
    ----------
    num_parameters
        1, or the number of channels, which axis 1 of x counts.
    init
        Value of the slopes at first.
    dtype
        float32 or float64.
    name
        Scope of its nodes.

    Attributes
    ----------
    weight
        Parameter (num_parameters,).

    Raises
    ------
    GraphError
        If ``num_parameters`` is less than 1.

    Examples
    --------
    >>> import graphnn as gn
    >>> layer = gn.nn.PReLU(3)
    >>> layer(gn.Input((None, 3, 8, 8))).shape
    (None, 3, 8, 8)
    >>> layer.weight.value
    array([0.25, 0.25, 0.25], dtype=float32)
    """

    def __init__(
        self,
        num_parameters: int = 1,
        init: float = 0.25,
        *,
        dtype: object = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        if isinstance(num_parameters, bool) or num_parameters < 1:
            raise GraphError(
                f"nn.PReLU needs num_parameters >= 1; got {num_parameters!r}. "
                f"Declared at {declared_at()}."
            )
        self.num_parameters = num_parameters
        self.weight = Parameter(np.full(num_parameters, init, as_dtype(dtype)))

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return rectifier.prelu(x, self.weight)


class ELU(Activation):
    """``y = x`` where x > 0, else ``alpha (exp(x) - 1)``.

    Clevert, Unterthiner, Hochreiter (2016), arXiv:1511.07289, eq. 15.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.nn.ELU()(gn.Constant([-1000.0, 2.0])))()
    array([-1.,  2.], dtype=float32)
    """

    def __init__(self, alpha: float = 1.0, *, name: str | None = None) -> None:
        super().__init__(name)
        self.alpha = alpha

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return rectifier.elu(x, self.alpha)


class SELU(Activation):
    """``y = scale elu(x, alpha)`` with the constants that keep mean 0 and variance 1.

    Klambauer et al., *Self-Normalizing Neural Networks* (2017), arXiv:1706.02515, eq. 2.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.SELU()(gn.Input((None, 3))).shape
    (None, 3)
    """

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return rectifier.selu(x)


class CELU(Activation):
    """``y = max(x, 0) + min(alpha (exp(x / alpha) - 1), 0)`` (Barron, 2017, arXiv:1704.07483).

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.nn.CELU(alpha=2.0)(gn.Constant([-1000.0, 2.0])))()
    array([-2.,  2.], dtype=float32)
    """

    def __init__(self, alpha: float = 1.0, *, name: str | None = None) -> None:
        super().__init__(name)
        self.alpha = alpha

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return rectifier.celu(x, self.alpha)


class Hardsigmoid(Activation):
    """``y = min(max(x + 3, 0), 6) / 6`` (Howard et al., *MobileNetV3*, 2019, section 5.2).

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.nn.Hardsigmoid()(gn.Constant([-4.0, 0.0, 4.0])))()
    array([0. , 0.5, 1. ], dtype=float32)
    """

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return rectifier.hard_sigmoid(x)


class Hardtanh(Activation):
    """``y = min(max(x, min_val), max_val)`` (Collobert, 2004).

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.nn.Hardtanh()(gn.Constant([-2.0, 0.5, 2.0])))()
    array([-1. ,  0.5,  1. ], dtype=float32)
    """

    def __init__(
        self, min_val: float = -1.0, max_val: float = 1.0, *, name: str | None = None
    ) -> None:
        super().__init__(name)
        self.min_val, self.max_val = min_val, max_val

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return rectifier.hard_tanh(x, self.min_val, self.max_val)


class Hardswish(Activation):
    """``y = x hard_sigmoid(x)`` (Howard et al., *MobileNetV3*, 2019, section 5.2).

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.nn.Hardswish()(gn.Constant([-4.0, 0.0, 4.0])))()
    array([0., 0., 4.], dtype=float32)
    """

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return rectifier.hard_swish(x)


class Softshrink(Activation):
    """``y = sign(x) max(|x| - lambd, 0)`` (Donoho, *De-noising by soft-thresholding*, 1995).

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.nn.Softshrink()(gn.Constant([-2.0, 0.25, 2.0])))()
    array([-1.5,  0. ,  1.5], dtype=float32)
    """

    def __init__(self, lambd: float = 0.5, *, name: str | None = None) -> None:
        super().__init__(name)
        self.lambd = lambd

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return rectifier.softshrink(x, self.lambd)


class Hardshrink(Activation):
    """``y = x`` where |x| > lambd, else 0 (Donoho, Johnstone, 1994).

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.nn.Hardshrink()(gn.Constant([-2.0, 0.25, 2.0])))()
    array([-2.,  0.,  2.], dtype=float32)
    """

    def __init__(self, lambd: float = 0.5, *, name: str | None = None) -> None:
        super().__init__(name)
        self.lambd = lambd

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return rectifier.hardshrink(x, self.lambd)


class Threshold(Activation):
    """``y = x`` where x > threshold, else ``value``.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.nn.Threshold(1.0, 0.5)(gn.Constant([0.0, 2.0])))()
    array([0.5, 2. ], dtype=float32)
    """

    def __init__(self, threshold: float, value: float, *, name: str | None = None) -> None:
        super().__init__(name)
        self.threshold, self.value = threshold, value

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return rectifier.threshold(x, self.threshold, self.value)
