"""Activation functions of straight pieces, and those that are straight on one side.

At a kink the derivative is torch's.
"""

from __future__ import annotations

import math

import numpy as np

from graphnn.context import declared_at
from graphnn.errors import ShapeError
from graphnn.node import Node, NodeLike, as_nodes
from graphnn.ops.activation.sigmoid import ACTIVATION
from graphnn.ops.declare.elementwise import REAL, elementwise
from graphnn.ops.elementwise.rounding import clip
from graphnn.ops.movement.copy import stop_gradient
from graphnn.ops.movement.reshape import reshape
from graphnn.spec import format_shape

__all__ = [
    "celu",
    "elu",
    "hard_sigmoid",
    "hard_swish",
    "hard_tanh",
    "hardshrink",
    "leaky_relu",
    "prelu",
    "relu6",
    "selu",
    "softshrink",
    "step",
    "threshold",
]

POSITIVE = (0.5, 2.0)
SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


@elementwise(
    domain=[(-2, 2, -1, 1), (-1.05, -0.95), (0.95, 1.05)],
    defaults={"min_val": -1.0, "max_val": 1.0},
    reference=np.clip,
    formula="min(max(x, min), max)",
    color=ACTIVATION,
)
def hard_tanh(x, min_val, max_val):  # type: ignore[no-untyped-def]
    """Collobert (2004). On a bound the derivative is 0, other than clip's.

    >>> gn.function([], gn.hard_tanh([-4.0, 0.5, 4.0]))()
    array([-1. ,  0.5,  1. ], dtype=float32)
    """
    return min_val if x < min_val else (max_val if x > max_val else x)


@hard_tanh.backward
def _(dy, x, min_val, max_val, y):  # type: ignore[no-untyped-def]
    return (
        dy if x > min_val and x < max_val else 0,
        dy if x <= min_val else 0,
        dy if x >= max_val else 0,
    )


def relu6(x: NodeLike, name: str | None = None) -> Node:
    """``min(max(x, 0), 6)``: Krizhevsky, *Convolutional Deep Belief Networks* (2010).

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.function([], gn.relu6(gn.Constant([-1.0, 2.0, 8.0])))()
    array([0., 2., 6.], dtype=float32)
    """
    return hard_tanh(x, 0.0, 6.0, name=name)


@elementwise(
    domain=[(-2, 2, 0), REAL],
    defaults={"negative_slope": 0.01},
    reference=lambda x, slope: np.where(x > 0, x, slope * x),
    formula="x where x > 0, else a x",
    color=ACTIVATION,
)
def leaky_relu(x, negative_slope):  # type: ignore[no-untyped-def]
    """Maas, Hannun, Ng, *Rectifier Nonlinearities* (ICML 2013).

    >>> gn.function([], gn.leaky_relu([-2.0, 2.0], negative_slope=0.25))()
    array([-0.5,  2. ], dtype=float32)
    """
    return x if x > 0 else negative_slope * x


@leaky_relu.backward
def _(dy, x, negative_slope, y):  # type: ignore[no-untyped-def]
    return dy if x > 0 else dy * negative_slope, 0 if x > 0 else dy * x


def prelu(x: NodeLike, weight: NodeLike, name: str | None = None) -> Node:
    """``x`` where it is positive, else ``weight x``: a leaky rectifier whose slope is learned.

    Parameters
    ----------
    x
        float32 or float64, any shape; axis 1 counts the channels.
    weight
        One slope, () or (1,), or one for each channel, (channels,).
    name
        Name of the node.

    Raises
    ------
    ShapeError
        If there are neither one nor as many slopes as channels.

    Notes
    -----
    He et al., *Delving Deep into Rectifiers* (2015), arXiv:1502.01852, eq. 1.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> slopes = gn.Parameter(np.full(3, 0.25, np.float32))
    >>> gn.prelu(gn.Input((None, 3, 8, 8)), slopes).shape
    (None, 3, 8, 8)
    """
    node, slopes = as_nodes(x, weight)
    if slopes.ndim == 0 or slopes.spec.shape == (1,):
        return leaky_relu(node, reshape(slopes, ()), name=name)
    channels = node.spec.shape[1] if node.ndim > 1 else 1
    if slopes.spec.shape != (channels,):
        raise ShapeError(
            f"prelu needs one weight, or one for each of the {channels} channels on axis 1; got "
            f"weight {format_shape(slopes.spec.shape)} for x {format_shape(node.spec.shape)}. "
            f"Declared at {declared_at()}. Did you mean nn.PReLU({channels})?"
        )
    return leaky_relu(node, reshape(slopes, (channels, *[1] * (node.ndim - 2))), name=name)


@elementwise(
    domain=[(-2, 2, 0), POSITIVE],
    defaults={"alpha": 1.0},
    reference=lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(x)),
    formula="x where x > 0, else α (eˣ - 1)",
    color=ACTIVATION,
)
def elu(x, alpha):  # type: ignore[no-untyped-def]
    """Clevert, Unterthiner, Hochreiter (2016), arXiv:1511.07289, eq. 15.

    >>> gn.function([], gn.elu([-1.0, 2.0]))()
    array([-0.63212055,  2.        ], dtype=float32)
    """
    return x if x > 0 else alpha * math.expm1(x)


@elu.backward
def _(dy, x, alpha, y):  # type: ignore[no-untyped-def]
    return (
        dy if x > 0 else dy * alpha * math.exp(x),
        0 if x > 0 else dy * math.expm1(x),
    )


@elementwise(
    domain=[(-2, 2, 0)],
    reference=lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(x)),
    formula="1.0507 (x where x > 0, else 1.6733 (eˣ - 1))",
    color=ACTIVATION,
)
def selu(x):  # type: ignore[no-untyped-def]
    """Klambauer et al., *Self-Normalizing Neural Networks* (2017), arXiv:1706.02515, eq. 2.

    >>> gn.function([], gn.selu([-1.0, 1.0]))()
    array([-1.1113307,  1.050701 ], dtype=float32)
    """
    return SELU_SCALE * (x if x > 0 else SELU_ALPHA * math.expm1(x))


@selu.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return dy * SELU_SCALE * (1 if x > 0 else SELU_ALPHA * math.exp(x))


@elementwise(
    domain=[(-2, 2, 0), POSITIVE],
    defaults={"alpha": 1.0},
    reference=lambda x, alpha: np.maximum(x, 0) + np.minimum(alpha * np.expm1(x / alpha), 0),
    formula="max(x, 0) + min(α (e^(x/α) - 1), 0)",
    color=ACTIVATION,
)
def celu(x, alpha):  # type: ignore[no-untyped-def]
    """Barron, *Continuously Differentiable Exponential Linear Units* (2017), arXiv:1704.07483.

    >>> gn.function([], gn.celu([-1.0, 2.0]))()
    array([-0.63212055,  2.        ], dtype=float32)
    """
    return x if x > 0 else alpha * math.expm1(x / alpha)


@celu.backward
def _(dy, x, alpha, y):  # type: ignore[no-untyped-def]
    t = x / alpha
    return (
        dy if x > 0 else dy * math.exp(t),
        0 if x > 0 else dy * (math.expm1(t) - t * math.exp(t)),
    )


@elementwise(
    domain=[(-4, 4, -3, 3)],
    reference=lambda x: np.clip(x / 6 + 0.5, 0, 1),
    formula="min(max(x + 3, 0), 6) / 6",
    color=ACTIVATION,
)
def hard_sigmoid(x):  # type: ignore[no-untyped-def]
    """Howard et al., *Searching for MobileNetV3* (2019), arXiv:1905.02244, section 5.2.

    >>> gn.function([], gn.hard_sigmoid([-4.0, 0.0, 4.0]))()
    array([0. , 0.5, 1. ], dtype=float32)
    """
    return 0 if x <= -3 else (1 if x >= 3 else x / 6 + 0.5)


@hard_sigmoid.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return dy / 6 if x > -3 and x < 3 else 0


@elementwise(
    domain=[(-4, 4, -3, 3)],
    reference=lambda x: np.where(x <= -3, 0, x * np.clip(x / 6 + 0.5, 0, 1)),
    formula="x min(max(x + 3, 0), 6) / 6",
    color=ACTIVATION,
)
def hard_swish(x):  # type: ignore[no-untyped-def]
    """Howard et al., *Searching for MobileNetV3* (2019), arXiv:1905.02244, section 5.2.

    >>> gn.function([], gn.hard_swish([-4.0, 1.0, 4.0]))()
    array([0.       , 0.6666667, 4.       ], dtype=float32)
    """
    return 0 if x <= -3 else (x if x >= 3 else x * (x / 6 + 0.5))


@hard_swish.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return 0 if x <= -3 else (dy if x >= 3 else dy * (x / 3 + 0.5))


@elementwise(
    domain=[(-2, 2, -0.5, 0.5), (0.46, 0.54)],
    defaults={"lambd": 0.5},
    reference=lambda x, lambd: np.sign(x) * np.maximum(np.abs(x) - lambd, 0),
    formula="sign(x) max(|x| - λ, 0)",
    color=ACTIVATION,
)
def softshrink(x, lambd):  # type: ignore[no-untyped-def]
    """Donoho, *De-noising by soft-thresholding* (1995).

    >>> gn.function([], gn.softshrink([-1.0, 0.25, 1.0]))()
    array([-0.5,  0. ,  0.5], dtype=float32)
    """
    return x - lambd if x > lambd else (x + lambd if x < -lambd else 0 * x)


@softshrink.backward
def _(dy, x, lambd, y):  # type: ignore[no-untyped-def]
    return (
        dy if x > lambd or x < -lambd else 0,
        -dy if x > lambd else (dy if x < -lambd else 0),
    )


@elementwise(
    domain=[(-2, 2, -0.5, 0.5), (0.46, 0.54)],
    defaults={"lambd": 0.5},
    reference=lambda x, lambd: np.where(np.abs(x) <= lambd, 0, x),
    formula="x where |x| > λ, else 0",
    color=ACTIVATION,
)
def hardshrink(x, lambd):  # type: ignore[no-untyped-def]
    """Donoho, Johnstone, *Ideal spatial adaptation by wavelet shrinkage* (1994).

    >>> gn.function([], gn.hardshrink([-1.0, 0.25, 1.0]))()
    array([-1.,  0.,  1.], dtype=float32)
    """
    return 0 if x >= -lambd and x <= lambd else x


@hardshrink.backward
def _(dy, x, lambd, y):  # type: ignore[no-untyped-def]
    return 0 if x >= -lambd and x <= lambd else dy, 0


@elementwise(
    domain=[(-2, 2, 0.5), (0.46, 0.54), REAL],
    reference=lambda x, threshold, value: np.where(x <= threshold, value, x),
    formula="x where x > threshold, else value",
    color=ACTIVATION,
)
def threshold(x, threshold, value):  # type: ignore[no-untyped-def]
    """What is not above the threshold is replaced.

    >>> gn.function([], gn.threshold([0.5, 2.0], 1.0, -7.0))()
    array([-7.,  2.], dtype=float32)
    """
    return value if x <= threshold else x


@threshold.backward
def _(dy, x, threshold, value, y):  # type: ignore[no-untyped-def]
    return 0 if x <= threshold else dy, 0, dy if x <= threshold else 0


@elementwise(
    domain=[(-2, 2, 0), REAL],
    reference=np.heaviside,
    formula="0 where x < 0, 1 where x > 0, else h",
    color=ACTIVATION,
    name="step",
)
def _step(x, at_zero):  # type: ignore[no-untyped-def]
    return 0 if x < 0 else (1 if x > 0 else (at_zero if x == 0 else x))


@_step.backward
def _(dy, x, at_zero, y):  # type: ignore[no-untyped-def]
    return 0, dy if x == 0 else 0


def step(
    x: NodeLike,
    at_zero: NodeLike = 1.0,
    *,
    straight_through: bool = False,
    name: str | None = None,
) -> Node:
    """Heaviside's step: 0 where ``x < 0``, 1 where ``x > 0``.

    Parameters
    ----------
    x
        float32 or float64, any shape.
    at_zero
        Value where ``x`` is 0; by default 1: the neuron fires when it reaches its threshold
        (McCulloch, Pitts, *A logical calculus of the ideas immanent in nervous activity*, 1943).
    straight_through
        The derivative is 0, so nothing is learned through a step. True: the cotangent passes as if
        the step were the identity (Bengio, Léonard, Courville, 2013, arXiv:1308.3432).
    name
        Name of the node.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((None,), name="x")
    >>> gn.function(x, gn.step(x))(np.float32([-2, 0, 0.5]))
    array([0., 1., 1.], dtype=float32)
    >>> y = gn.step(x, straight_through=True)
    >>> gn.function(x, gn.grad(gn.sum(3.0 * y), x))(np.float32([-2, 0, 0.5]))
    array([3., 3., 3.], dtype=float32)
    """
    node, value = as_nodes(x, at_zero)
    if not straight_through:
        return _step(node, value, name=name)
    passing = clip(node, np.finfo(node.dtype).min, np.finfo(node.dtype).max)  # ∞ - ∞ is no 0
    flat = stop_gradient(_step(node, value))
    return flat + (passing - stop_gradient(passing))
