"""Activation functions of the neuron: sigmoids, the rectifier, and what smoothes it."""

from __future__ import annotations

import math

import numpy as np

from graphnn.context import declared_at
from graphnn.errors import GraphError
from graphnn.node import Node, NodeLike, as_node
from graphnn.ops.declare.elementwise import elementwise
from graphnn.ops.declare.oracle import special

__all__ = [
    "cosine_squasher",
    "gelu",
    "identity",
    "log_sigmoid",
    "mish",
    "relu",
    "sigmoid",
    "silu",
    "softplus",
    "softsign",
    "swish",
    "tanh",
    "tanhshrink",
]

ACTIVATION = "#dcfce7"
ROOT_HALF = math.sqrt(0.5)
ROOT_2_BY_PI = math.sqrt(2 / math.pi)
DENSITY = 1 / math.sqrt(2 * math.pi)


def identity(x: NodeLike) -> Node:
    """``x`` itself: the activation of a linear neuron.

    Examples
    --------
    >>> import graphnn as gn
    >>> x = gn.Input((None, 3), name="x")
    >>> gn.identity(x) is x
    True
    """
    return as_node(x)


@elementwise(reference=np.tanh, formula="tanh x", color=ACTIVATION)
def tanh(x):  # type: ignore[no-untyped-def]
    """LeCun et al., *Efficient BackProp* (1998), section 4.4: a squasher with mean 0.

    >>> gn.function([], gn.tanh([0.0, 1.0]))()
    array([0.       , 0.7615942], dtype=float32)
    """
    return math.tanh(x)


@tanh.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return dy * (1 - y * y)


@elementwise(reference=special.expit, formula="1 / (1 + e⁻ˣ)", color=ACTIVATION)
def sigmoid(x):  # type: ignore[no-untyped-def]
    """With z = e^-|x|, nothing overflows, and small results keep their digits.

    >>> gn.function([], gn.sigmoid([0.0, 1000.0]))()
    array([0.5, 1. ], dtype=float32)
    """
    z = math.exp(-math.fabs(x))
    return (1 if x >= 0 else z) / (1 + z)


@sigmoid.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return dy * y * (1 - y)


@elementwise(
    domain=[(-2, 2, 0)],
    reference=lambda x: np.maximum(x, 0),
    formula="max(x, 0)",
    color=ACTIVATION,
)
def relu(x):  # type: ignore[no-untyped-def]
    """Nair, Hinton, *Rectified Linear Units* (ICML 2010).

    >>> gn.function([], gn.relu([-1.0, 2.0]))()
    array([0., 2.], dtype=float32)
    """
    return 0 if x < 0 else x


@relu.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return 0 if y <= 0 else dy  # so nan is not hidden


@elementwise(reference=special.log_expit, formula="-ln(1 + e⁻ˣ)", color=ACTIVATION)
def log_sigmoid(x):  # type: ignore[no-untyped-def]
    """The logarithm of the sigmoid, finite wherever x is.

    >>> gn.function([], gn.log_sigmoid([0.0, -1000.0]))()
    array([-6.931472e-01, -1.000000e+03], dtype=float32)
    """
    return (x if x < 0 else 0) - math.log1p(math.exp(-math.fabs(x)))


@log_sigmoid.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return dy * sigmoid(-x)


def _softplus(x, beta, threshold):  # type: ignore[no-untyped-def]
    return np.where(beta * x > threshold, x, np.logaddexp(0, beta * x) / beta)


@elementwise(
    domain=[(-2, 2, 0.5), (0.96, 1.04), (0.46, 0.54)],
    defaults={"beta": 1.0, "threshold": 20.0},
    reference=_softplus,
    formula="ln(1 + e^βx) / β, x where βx > threshold",
    color=ACTIVATION,
)
def softplus(x, beta, threshold):  # type: ignore[no-untyped-def]
    """Dugas et al., *Incorporating Second-Order Functional Knowledge* (NIPS 2000), eq. 4.

    >>> gn.function([], gn.softplus([0.0, 1000.0]))()
    array([6.931472e-01, 1.000000e+03], dtype=float32)
    """
    t = beta * x
    soft = ((t if t > 0 else 0) + math.log1p(math.exp(-math.fabs(t)))) / beta
    return x if t > threshold else soft


@softplus.backward
def _(dy, x, beta, threshold, y):  # type: ignore[no-untyped-def]
    t = beta * x
    slope = sigmoid(t)
    return (
        dy if t > threshold else dy * slope,
        0 if t > threshold else dy * (x * slope - y) / beta,
        0,
    )


@elementwise(reference=lambda x: x * special.expit(x), formula="x σ(x)", color=ACTIVATION)
def silu(x):  # type: ignore[no-untyped-def]
    """Hendrycks, Gimpel (2016), arXiv:1606.08415; as Swish: Ramachandran et al. (2017).

    >>> gn.function([], gn.silu([0.0, 1.0]))()
    array([0.       , 0.7310586], dtype=float32)
    """
    return x * sigmoid(x)


@silu.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    s = sigmoid(x)
    return dy * s * (1 + x * (1 - s))


swish = silu


@elementwise(
    reference=lambda x: x * np.tanh(np.logaddexp(0, x)),
    formula="x tanh(ln(1 + eˣ))",
    color=ACTIVATION,
)
def mish(x):  # type: ignore[no-untyped-def]
    """Misra (2019), arXiv:1908.08681. In terms of z = e^-|x|, one exponential is enough.

    >>> gn.function([], gn.mish([0.0, 1.0]))()
    array([0.       , 0.8650984], dtype=float32)
    """
    z = math.exp(-math.fabs(x))
    top = 1 + 2 * z if x >= 0 else z * (z + 2)
    return x * (top / (top + (2 * z * z if x >= 0 else 2)))


@mish.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    w = math.tanh(softplus(x, 1, 20))
    return dy * (w + x * sigmoid(x) * (1 - w * w))


@elementwise(
    reference=lambda x: x * special.ndtr(x),
    formula="x (1 + erf(x / √2)) / 2",
    color=ACTIVATION,
    name="gelu",
)
def _gelu(x):  # type: ignore[no-untyped-def]
    return 0.5 * x * (1 + math.erf(x * ROOT_HALF))


@_gelu.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return dy * (0.5 * (1 + math.erf(x * ROOT_HALF)) + x * DENSITY * math.exp(-0.5 * x * x))


@elementwise(
    reference=lambda x: x * special.expit(2 * ROOT_2_BY_PI * (x + 0.044715 * x**3)),
    formula="x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2",
    color=ACTIVATION,
    name="gelu_tanh",
)
def _gelu_tanh(x):  # type: ignore[no-untyped-def]
    return 0.5 * x * (1 + math.tanh(ROOT_2_BY_PI * (x + 0.044715 * x * x * x)))


@_gelu_tanh.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    t = math.tanh(ROOT_2_BY_PI * (x + 0.044715 * x * x * x))
    inner = ROOT_2_BY_PI * (1 + 0.134145 * x * x)
    return dy * 0.5 * (1 + t + x * (1 - t * t) * inner)


def gelu(x: NodeLike, approximate: str = "none", name: str | None = None) -> Node:
    """``x Φ(x)``, with Φ the distribution function of the normal distribution.

    Parameters
    ----------
    x
        float32 or float64, any shape.
    approximate
        ``"none"``: by the error function; ``"tanh"``: by the approximation of the paper.
    name
        Name of the node.

    Raises
    ------
    GraphError
        For any other ``approximate``.

    Notes
    -----
    Hendrycks, Gimpel, *Gaussian Error Linear Units* (2016), arXiv:1606.08415, section 2.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.gelu(gn.Input((None, 3)), approximate="tanh").shape
    (None, 3)
    """
    made = {"none": _gelu, "tanh": _gelu_tanh}.get(approximate)
    if made is None:
        raise GraphError(
            f"gelu: approximate is 'none' or 'tanh'; got {approximate!r}. "
            f"Declared at {declared_at()}."
        )
    return made(x, name=name)


@elementwise(
    domain=[(-2, 2, 0)], reference=lambda x: x / (1 + np.abs(x)), formula="x / (1 + |x|)",
    color=ACTIVATION,
)  # fmt: skip
def softsign(x):  # type: ignore[no-untyped-def]
    """Glorot, Bengio (AISTATS 2010), after Bergstra et al. (2009).

    >>> gn.function([], gn.softsign([-1.0, 3.0]))()
    array([-0.5 ,  0.75], dtype=float32)
    """
    return x / (1 + math.fabs(x))


@softsign.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    bottom = 1 + math.fabs(x)
    return dy / (bottom * bottom)


@elementwise(reference=lambda x: x - np.tanh(x), formula="x - tanh x", color=ACTIVATION)
def tanhshrink(x):  # type: ignore[no-untyped-def]
    """What tanh takes away.

    >>> gn.function([], gn.tanhshrink([0.0, 1.0]))()
    array([0.        , 0.23840582], dtype=float32)
    """
    return x - math.tanh(x)


@tanhshrink.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    t = math.tanh(x)
    return dy * t * t


@elementwise(
    domain=[(-3, 3, -math.pi / 2, math.pi / 2)],
    reference=lambda x: (np.cos(np.clip(x, -math.pi / 2, math.pi / 2) + 1.5 * math.pi) + 1) / 2,
    formula="(cos(x + 3π/2) + 1) / 2, 0 below -π/2, 1 above π/2",
    color=ACTIVATION,
)
def cosine_squasher(x):  # type: ignore[no-untyped-def]
    """Gallant, White, *There exists a neural network that does not make avoidable mistakes* (1988).

    cos(x + 3π/2) is sin x.

    >>> gn.function([], gn.cosine_squasher([-2.0, 0.0, 2.0]))()
    array([0. , 0.5, 1. ], dtype=float32)
    """
    inside = 0.5 * (1 + math.sin(x))
    return 0 if x <= -math.pi / 2 else (1 if x >= math.pi / 2 else inside)


@cosine_squasher.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return 0.5 * dy * math.cos(x) if math.fabs(x) < math.pi / 2 else 0
