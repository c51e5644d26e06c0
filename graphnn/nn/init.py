"""Initial weights: arrays drawn from a counter-based generator.

Every function takes a shape, a dtype and a seed. Without a seed, the numbers follow from
``gn.set_seed``, and each call draws fresh ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from graphnn.context import declared_at
from graphnn.errors import ShapeError
from graphnn.hints import teach
from graphnn.missing import missing_name
from graphnn.ops.random.generator import seed_and_stream
from graphnn.spec import as_dtype

__all__ = [
    "constant",
    "fans",
    "he_normal",
    "he_uniform",
    "normal",
    "uniform",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]

Layout: TypeAlias = Literal["io", "oi"]
Array: TypeAlias = NDArray[Any]


def generator(seed: int | None) -> np.random.Generator:
    key = (seed, 0) if seed is not None else seed_and_stream()
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


def fans(shape: Sequence[int], layout: Layout | None = None) -> tuple[int, int]:
    """Number of inputs and of outputs of one neuron of a weight.

    Parameters
    ----------
    shape
        At least two axes; those behind the second are a kernel's window.
    layout
        ``"io"``: (in, out), as in ``x @ W``, the default for matrices; ``"oi"``: (out, in), as in
        ``nn.Linear``, the default for kernels with windows.

    Raises
    ------
    ShapeError
        For fewer than two axes.

    Examples
    --------
    >>> from graphnn import nn
    >>> nn.init.fans((784, 256)), nn.init.fans((16, 3, 5, 5))
    ((784, 256), (75, 400))
    """
    if len(shape) < 2:
        raise ShapeError(
            f"fan-in and fan-out need a weight of at least two axes; got {tuple(shape)}. "
            f"Declared at {declared_at()}. Use nn.init.uniform or nn.init.normal for a vector."
        )
    window = math.prod(shape[2:])
    chosen = layout or ("io" if len(shape) == 2 else "oi")
    first, second = (shape[0], shape[1]) if chosen == "io" else (shape[1], shape[0])
    return first * window, second * window


def zeros(shape: Sequence[int], dtype: object = "float32") -> Array:
    """All 0.

    Examples
    --------
    >>> from graphnn import nn
    >>> nn.init.zeros(3)
    array([0., 0., 0.], dtype=float32)
    """
    return np.zeros(shape, as_dtype(dtype))


def constant(shape: Sequence[int], value: float, dtype: object = "float32") -> Array:
    """All ``value``.

    Examples
    --------
    >>> from graphnn import nn
    >>> nn.init.constant((2, 2), 0.5)
    array([[0.5, 0.5],
           [0.5, 0.5]], dtype=float32)
    """
    return np.full(shape, value, as_dtype(dtype))


def uniform(
    shape: Sequence[int],
    low: float = -0.05,
    high: float = 0.05,
    dtype: object = "float32",
    seed: int | None = None,
) -> Array:
    """Uniform over [low, high).

    Examples
    --------
    >>> from graphnn import nn
    >>> w = nn.init.uniform((784, 256), -0.1, 0.1, seed=0)
    >>> bool(-0.1 <= w.min() < w.max() <= 0.1)
    True
    """
    return generator(seed).uniform(low, high, tuple(shape)).astype(as_dtype(dtype))


def normal(
    shape: Sequence[int],
    mean: float = 0.0,
    std: float = 0.05,
    dtype: object = "float32",
    seed: int | None = None,
) -> Array:
    """Gaussian with the given mean and standard deviation.

    Examples
    --------
    >>> from graphnn import nn
    >>> round(float(nn.init.normal((784, 256), std=0.1, seed=0).std()), 2)
    0.1
    """
    return generator(seed).normal(mean, std, tuple(shape)).astype(as_dtype(dtype))


def xavier_uniform(
    shape: Sequence[int],
    gain: float = 1.0,
    dtype: object = "float32",
    seed: int | None = None,
    layout: Layout | None = None,
) -> Array:
    """Uniform with variance 2 gain² / (fan_in + fan_out) (Glorot & Bengio, 2010, eq. 16).

    Raises
    ------
    ShapeError
        For fewer than two axes.

    Examples
    --------
    >>> from graphnn import nn
    >>> w = nn.init.xavier_uniform((100, 200), seed=0)
    >>> round(float(w.var() * (100 + 200)), 1)
    2.0
    """
    bound = gain * math.sqrt(6 / sum(fans(shape, layout)))
    return uniform(shape, -bound, bound, dtype, seed)


def xavier_normal(
    shape: Sequence[int],
    gain: float = 1.0,
    dtype: object = "float32",
    seed: int | None = None,
    layout: Layout | None = None,
) -> Array:
    """Gaussian with variance 2 gain² / (fan_in + fan_out) (Glorot & Bengio, AISTATS 2010).

    Raises
    ------
    ShapeError
        For fewer than two axes.

    Examples
    --------
    >>> from graphnn import nn
    >>> w = nn.init.xavier_normal((100, 200), seed=0)
    >>> round(float(w.var() * (100 + 200)), 1)
    2.0
    """
    return normal(shape, 0.0, gain * math.sqrt(2 / sum(fans(shape, layout))), dtype, seed)


def he_uniform(
    shape: Sequence[int],
    gain: float = math.sqrt(2),
    dtype: object = "float32",
    seed: int | None = None,
    layout: Layout | None = None,
) -> Array:
    """Uniform with variance gain² / fan_in (He et al., ICCV 2015); gain √2 suits ReLU.

    Raises
    ------
    ShapeError
        For fewer than two axes.

    Examples
    --------
    >>> from graphnn import nn
    >>> w = nn.init.he_uniform((784, 256), seed=0)
    >>> round(float(w.var() * 784), 1)
    2.0
    """
    bound = gain * math.sqrt(3 / fans(shape, layout)[0])
    return uniform(shape, -bound, bound, dtype, seed)


def he_normal(
    shape: Sequence[int],
    gain: float = math.sqrt(2),
    dtype: object = "float32",
    seed: int | None = None,
    layout: Layout | None = None,
) -> Array:
    """Gaussian with variance gain² / fan_in (He et al., ICCV 2015, eq. 10); gain √2 suits ReLU.

    Raises
    ------
    ShapeError
        For fewer than two axes.

    Examples
    --------
    >>> from graphnn import nn
    >>> w = nn.init.he_normal((784, 256), seed=0)
    >>> round(float(w.var() * 784), 1)
    2.0
    """
    return normal(shape, 0.0, gain / math.sqrt(fans(shape, layout)[0]), dtype, seed)


if not TYPE_CHECKING:
    teach(globals(), __all__)

    def __getattr__(name: str) -> NoReturn:
        # The weights of layers are (out, in, ...), as in torch.
        layout = {n: ", layout='oi'" for n in __all__ if n.startswith(("he_", "xavier_"))}
        value = "layer.weight.value = nn.init.{}(layer.weight.shape{})"
        known = {n: value.format(n, layout.get(n, "")) for n in __all__}
        raise missing_name(__name__, name, known)
