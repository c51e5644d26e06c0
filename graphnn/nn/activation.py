"""Activations as modules, by torch's names and arguments."""

from __future__ import annotations

import numpy as np

from graphnn.errors import GraphError
from graphnn.nn.module import Module
from graphnn.node import Node, Parameter
from graphnn.ops import activation, rectifier
from graphnn.ops.softmax import log_softmax, softmax
from graphnn.spec import as_dtype


class Activation(Module):
    """The base of the activations: written as the call that makes it."""

    def __repr__(self) -> str:
        given = {k: v for k, v in vars(self).items() if k[0] != "_" and not isinstance(v, Node)}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in given.items())})"


class Identity(Activation):
    """``y = x``."""

    def forward(self, x: Node) -> Node:
        """The node itself."""
        return x


class Step(Activation):
    """0 where ``x < 0``, 1 where ``x > 0``, ``at_zero`` between: see :func:`graphnn.step`."""

    def __init__(
        self, at_zero: float = 1.0, straight_through: bool = False, *, name: str | None = None
    ) -> None:
        super().__init__(name)
        self.at_zero, self.straight_through = at_zero, straight_through

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return rectifier.step(x, self.at_zero, straight_through=self.straight_through)


class ReLU(Activation):
    """``y = max(x, 0)``."""

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return activation.relu(x)


class ReLU6(Activation):
    """``y = min(max(x, 0), 6)``."""

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return rectifier.relu6(x)


class LeakyReLU(Activation):
    """``y = x`` where x > 0, else ``negative_slope x``."""

    def __init__(self, negative_slope: float = 0.01, *, name: str | None = None) -> None:
        super().__init__(name)
        self.negative_slope = negative_slope

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return rectifier.leaky_relu(x, self.negative_slope)


class PReLU(Activation):
    """``y = x`` where x > 0, else ``weight x``, with weight learned.

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
            raise GraphError(f"nn.PReLU needs num_parameters >= 1; got {num_parameters!r}")
        self.num_parameters = num_parameters
        self.weight = Parameter(np.full(num_parameters, init, as_dtype(dtype)))

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return rectifier.prelu(x, self.weight)


class ELU(Activation):
    """``y = x`` where x > 0, else ``alpha (exp(x) - 1)``."""

    def __init__(self, alpha: float = 1.0, *, name: str | None = None) -> None:
        super().__init__(name)
        self.alpha = alpha

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return rectifier.elu(x, self.alpha)


class SELU(Activation):
    """``y = scale elu(x, alpha)`` with the constants that keep mean 0 and variance 1."""

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return rectifier.selu(x)


class CELU(Activation):
    """``y = max(x, 0) + min(alpha (exp(x / alpha) - 1), 0)``."""

    def __init__(self, alpha: float = 1.0, *, name: str | None = None) -> None:
        super().__init__(name)
        self.alpha = alpha

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return rectifier.celu(x, self.alpha)


class Softplus(Activation):
    """``y = ln(1 + exp(beta x)) / beta``, x itself where ``beta x > threshold``."""

    def __init__(
        self, beta: float = 1.0, threshold: float = 20.0, *, name: str | None = None
    ) -> None:
        super().__init__(name)
        self.beta, self.threshold = beta, threshold

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return activation.softplus(x, self.beta, self.threshold)


class SiLU(Activation):
    """``y = x sigmoid(x)``, also called Swish."""

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return activation.silu(x)


class Mish(Activation):
    """``y = x tanh(softplus(x))``."""

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return activation.mish(x)


class GELU(Activation):
    """``y = x Φ(x)``; ``approximate="tanh"`` for the paper's approximation."""

    def __init__(self, approximate: str = "none", *, name: str | None = None) -> None:
        super().__init__(name)
        self.approximate = approximate

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return activation.gelu(x, self.approximate)


class Sigmoid(Activation):
    """``y = 1 / (1 + exp(-x))``."""

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return activation.sigmoid(x)


class LogSigmoid(Activation):
    """``y = ln sigmoid(x)``."""

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return activation.log_sigmoid(x)


class Tanh(Activation):
    """``y = tanh x``."""

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return activation.tanh(x)


class Hardsigmoid(Activation):
    """``y = min(max(x + 3, 0), 6) / 6``."""

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return rectifier.hard_sigmoid(x)


class Hardtanh(Activation):
    """``y = min(max(x, min_val), max_val)``."""

    def __init__(
        self, min_val: float = -1.0, max_val: float = 1.0, *, name: str | None = None
    ) -> None:
        super().__init__(name)
        self.min_val, self.max_val = min_val, max_val

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return rectifier.hard_tanh(x, self.min_val, self.max_val)


class Hardswish(Activation):
    """``y = x hard_sigmoid(x)``."""

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return rectifier.hard_swish(x)


class Softsign(Activation):
    """``y = x / (1 + |x|)``."""

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return activation.softsign(x)


class Tanhshrink(Activation):
    """``y = x - tanh x``."""

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return activation.tanhshrink(x)


class Softshrink(Activation):
    """``y = sign(x) max(|x| - lambd, 0)``."""

    def __init__(self, lambd: float = 0.5, *, name: str | None = None) -> None:
        super().__init__(name)
        self.lambd = lambd

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return rectifier.softshrink(x, self.lambd)


class Hardshrink(Activation):
    """``y = x`` where |x| > lambd, else 0."""

    def __init__(self, lambd: float = 0.5, *, name: str | None = None) -> None:
        super().__init__(name)
        self.lambd = lambd

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return rectifier.hardshrink(x, self.lambd)


class Threshold(Activation):
    """``y = x`` where x > threshold, else ``value``."""

    def __init__(self, threshold: float, value: float, *, name: str | None = None) -> None:
        super().__init__(name)
        self.threshold, self.value = threshold, value

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return rectifier.threshold(x, self.threshold, self.value)


class CosineSquasher(Activation):
    """``y = (cos(x + 3π/2) + 1) / 2``, 0 below -π/2 and 1 above π/2."""

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return activation.cosine_squasher(x)


class Softmax(Activation):
    """Probabilities along ``dim``. Losses take the logits in front of it."""

    def __init__(self, dim: int = -1, *, name: str | None = None) -> None:
        super().__init__(name)
        self.dim = dim

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return softmax(x, self.dim)


class LogSoftmax(Activation):
    """Logarithms of probabilities along ``dim``."""

    def __init__(self, dim: int = -1, *, name: str | None = None) -> None:
        super().__init__(name)
        self.dim = dim

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return log_softmax(x, self.dim)
