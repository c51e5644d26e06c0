"""Activations as modules, by torch's names and arguments."""

from __future__ import annotations

from graphnn.nn.module import Module
from graphnn.node import Node
from graphnn.ops.activation import sigmoid as activation
from graphnn.ops.normalisation.softmax import log_softmax, softmax


class Activation(Module):
    """The base of the activations: written as the call that makes it."""

    def __repr__(self) -> str:
        given = {k: v for k, v in vars(self).items() if k[0] != "_" and not isinstance(v, Node)}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in given.items())})"


class Identity(Activation):
    """``y = x``: a layer that does nothing, in the place of one that is left out.

    Examples
    --------
    >>> import graphnn as gn
    >>> x = gn.Input((None, 3))
    >>> gn.nn.Identity()(x) is x
    True
    """

    def forward(self, x: Node) -> Node:
        """The node itself."""
        return x


class ReLU(Activation):
    """``y = max(x, 0)``.

    Nair, Hinton, *Rectified Linear Units* (ICML 2010).

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.nn.ReLU()(gn.Constant([-1.0, 2.0])))()
    array([0., 2.], dtype=float32)
    """

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return activation.relu(x)


class Softplus(Activation):
    """``y = ln(1 + exp(beta x)) / beta``, x itself where ``beta x > threshold``.

    Dugas et al., *Incorporating Second-Order Functional Knowledge* (NIPS 2000).

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.nn.Softplus()(gn.Constant([-1000.0, 1000.0])))()
    array([   0., 1000.], dtype=float32)
    """

    def __init__(
        self, beta: float = 1.0, threshold: float = 20.0, *, name: str | None = None
    ) -> None:
        super().__init__(name)
        self.beta, self.threshold = beta, threshold

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return activation.softplus(x, self.beta, self.threshold)


class SiLU(Activation):
    """``y = x sigmoid(x)``, also called Swish.

    Hendrycks, Gimpel (2016), arXiv:1606.08415; Ramachandran et al. (2017), arXiv:1710.05941.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.SiLU()(gn.Input((None, 3))).shape
    (None, 3)
    """

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return activation.silu(x)


class Mish(Activation):
    """``y = x tanh(softplus(x))`` (Misra, 2019, arXiv:1908.08681).

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.Mish()(gn.Input((None, 3))).shape
    (None, 3)
    """

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return activation.mish(x)


class GELU(Activation):
    """``y = x Φ(x)``; ``approximate="tanh"`` for the paper's approximation.

    Hendrycks, Gimpel, *Gaussian Error Linear Units* (2016), arXiv:1606.08415.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.GELU(approximate="tanh")(gn.Input((None, 3))).shape
    (None, 3)
    """

    def __init__(self, approximate: str = "none", *, name: str | None = None) -> None:
        super().__init__(name)
        self.approximate = approximate

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return activation.gelu(x, self.approximate)


class Sigmoid(Activation):
    """``y = 1 / (1 + exp(-x))``.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.nn.Sigmoid()(gn.Constant([-1000.0, 0.0, 1000.0])))()
    array([0. , 0.5, 1. ], dtype=float32)
    """

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return activation.sigmoid(x)


class LogSigmoid(Activation):
    """``y = ln sigmoid(x)``, without underflow.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.nn.LogSigmoid()(gn.Constant([-1000.0, 1000.0])))()
    array([-1000.,     0.], dtype=float32)
    """

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return activation.log_sigmoid(x)


class Tanh(Activation):
    """``y = tanh x``.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.nn.Tanh()(gn.Constant([0.0, 1000.0])))()
    array([0., 1.], dtype=float32)
    """

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return activation.tanh(x)


class Softsign(Activation):
    """``y = x / (1 + |x|)`` (Bergstra et al., 2009).

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.nn.Softsign()(gn.Constant([-1.0, 3.0])))()
    array([-0.5 ,  0.75], dtype=float32)
    """

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return activation.softsign(x)


class Tanhshrink(Activation):
    """``y = x - tanh x``.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.nn.Tanhshrink()(gn.Constant([0.0, 10.0])))()
    array([0., 9.], dtype=float32)
    """

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return activation.tanhshrink(x)


class CosineSquasher(Activation):
    """``y = (cos(x + 3π/2) + 1) / 2``, 0 below -π/2 and 1 above π/2.

    Gallant, White, *There exists a neural network that does not make avoidable mistakes* (1988).

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.nn.CosineSquasher()(gn.Constant([-2.0, 0.0, 2.0])))()
    array([0. , 0.5, 1. ], dtype=float32)
    """

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return activation.cosine_squasher(x)


class Softmax(Activation):
    """Probabilities along ``dim``. Losses take the logits in front of it.

    See :func:`graphnn.softmax`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.Softmax(dim=1)(gn.Input((None, 10))).shape
    (None, 10)
    """

    def __init__(self, dim: int = -1, *, name: str | None = None) -> None:
        super().__init__(name)
        self.dim = dim

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return softmax(x, self.dim)


class LogSoftmax(Activation):
    """Logarithms of probabilities along ``dim``: see :func:`graphnn.log_softmax`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.LogSoftmax(dim=1)(gn.Input((None, 10))).shape
    (None, 10)
    """

    def __init__(self, dim: int = -1, *, name: str | None = None) -> None:
        super().__init__(name)
        self.dim = dim

    def forward(self, x: Node) -> Node:
        """Declare the op."""
        return log_softmax(x, self.dim)
