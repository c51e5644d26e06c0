"""Images turned, stretched and bent at random in training; the identity in inference.

Values between pixels are bilinear, and what lies outside of an image is ``fill``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from graphnn.context import declared_at
from graphnn.errors import GraphError
from graphnn.hints import teaches
from graphnn.node import Constant, Node, NodeLike
from graphnn.ops.elementwise.arithmetic import cos, sin
from graphnn.ops.elementwise.functions import tan
from graphnn.ops.elementwise.rounding import round
from graphnn.ops.image.augmentation import around, checked_range, images
from graphnn.ops.image.interpolation import values_at
from graphnn.ops.linalg.matmul import matmul
from graphnn.ops.random.uniform import uniform
from graphnn.ops.training.phase import phase
from graphnn.spec import DimLike
from graphnn.values import is_number

__all__ = ["elastic_deformation", "random_affine", "random_rotation"]

Degrees: TypeAlias = float | Sequence[float]


@teaches
def random_rotation(
    x: NodeLike, degrees: Degrees, fill: float = 0.0, name: str | None = None
) -> Node:
    """Each image turned about its middle by an angle that it draws; the identity in inference.

    Parameters
    ----------
    x
        (batch, channels, height, width), float.
    degrees
        Angles are uniform in [-degrees, degrees), or in [low, high) of a pair; positive ones turn
        against the clock, as in torchvision.
    fill
        What comes in from outside.

    Raises
    ------
    ShapeError, DTypeError, GraphError
        For anything else than float images of a known size, and angles that are no numbers.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((None, 1, 2, 2), name="x")
    >>> quarter = gn.function(x, gn.random_rotation(x, (90, 90)), training=True)
    >>> quarter(np.float32([[[[1, 2], [3, 4]]]])).round(4)
    array([[[[2., 4.],
             [1., 3.]]]], dtype=float32)
    """
    node, size = images("random_rotation", x)
    low, high = _angles("random_rotation", "degrees", degrees)
    angle = _drawn(node, low, high, math.pi / 180)
    c, s = cos(angle), sin(angle)
    return _mapped(node, [[c, -s], [s, c]], [None, None], size, fill, name)


@teaches
def random_affine(
    x: NodeLike,
    degrees: Degrees,
    translate: Sequence[float] | None = None,
    scale: Sequence[float] | None = None,
    shear: Degrees | None = None,
    fill: float = 0.0,
    name: str | None = None,
) -> Node:
    """Each image sheared, scaled, turned and moved, as it draws; the identity in inference.

    The map is torchvision's ``RandomAffine``: about the middle of the image, T R(angle) shear
    scale. The gradient flows to the images.

    Parameters
    ----------
    x
        (batch, channels, height, width), float.
    degrees
        Angles are uniform in [-degrees, degrees), or in [low, high) of a pair; positive ones turn
        with the clock, as in torchvision's (its rotation turns against it).
    translate
        The farthest moves as shares of width and height: (horizontal, vertical), each in [0, 1].
        Moves are whole pixels.
    scale
        Factors are uniform in [low, high).
    shear
        In degrees: uniform along x in [-shear, shear), or in [low, high) of a pair; of four
        numbers the last two are the range along y.
    fill
        What comes in from outside.

    Raises
    ------
    ShapeError, DTypeError, GraphError
        For anything else than float images of a known size, and for ranges that are none.

    Examples
    --------
    >>> import graphnn as gn
    >>> x = gn.Input((None, 1, 28, 28), name="x")
    >>> gn.random_affine(x, degrees=15, translate=(0.1, 0.1), scale=(0.9, 1.1), shear=10).shape
    (None, 1, 28, 28)
    """
    what = "random_affine"
    node, size = images(what, x)
    angle = _drawn(node, *_angles(what, "degrees", degrees), math.pi / 180)
    sheared = _shears(node, shear)
    a, b, c, d = _matrix(angle, *sheared)
    if scale is not None:
        factor = _drawn(node, *checked_range(what, "scale", scale, 1e-6, 1e6), 1.0)
        a, b, c, d = a / factor, b / factor, c / factor, d / factor
    return _mapped(node, [[a, b], [c, d]], _moves(node, translate, size), size, fill, name)


def _matrix(angle: Node, along_x: Node | None, along_y: Node | None) -> tuple[Node, ...]:
    """The inverse of R(angle) shear, by rows: where in the image an output's pixel comes from."""
    if along_x is None:
        c, s = cos(angle), sin(angle)
        return c, s, -s, c
    turned = angle if along_y is None else angle - along_y
    straight = None if along_y is None else cos(along_y)
    a, c = cos(turned), sin(turned)
    if straight is not None:
        a, c = a / straight, c / straight
    slant = tan(along_x)
    b, d = -a * slant - sin(angle), -c * slant + cos(angle)
    return d, -b, -c, a


def _shears(x: Node, shear: Degrees | None) -> tuple[Node | None, Node | None]:
    if shear is None:
        return None, None
    given = tuple(shear) if isinstance(shear, Sequence) else shear
    pairs = [given[:2], given[2:]] if isinstance(given, tuple) and len(given) == 4 else [given]
    drawn: list[Node | None] = [
        _drawn(x, *_angles("random_affine", "shear", pair), math.pi / 180) for pair in pairs
    ]
    return drawn[0], drawn[1] if len(drawn) > 1 else None


def _moves(x: Node, translate: Sequence[float] | None, size: tuple[int, int]) -> list[Node | None]:
    """Whole numbers of pixels, horizontal and vertical."""
    if translate is None:
        return [None, None]
    shares = tuple(translate) if isinstance(translate, Sequence) else ()
    if len(shares) != 2 or not all(is_number(one) and 0 <= one <= 1 for one in shares):
        raise GraphError(
            "random_affine: translate is a pair (horizontal, vertical) of shares in [0, 1]; got "
            f"{translate!r}. Declared at {declared_at()}."
        )
    reaches = [share * n for share, n in zip(shares, size[::-1], strict=True)]
    return [round(_drawn(x, -reach, reach, 1.0)) for reach in reaches]


def _angles(what: str, name: str, given: Degrees) -> tuple[float, float]:
    pair = tuple(given) if isinstance(given, Sequence) else (given,)
    fine = all(is_number(one) and math.isfinite(one) for one in pair)
    if fine and len(pair) == 1 and pair[0] >= 0:
        return -float(pair[0]), float(pair[0])
    if fine and len(pair) == 2 and pair[0] <= pair[1]:
        return float(pair[0]), float(pair[1])
    raise GraphError(
        f"{what}: {name} is a number of degrees >= 0, or a pair (low, high); got {given!r}. "
        f"Declared at {declared_at()}."
    )


def _drawn(x: Node, low: float, high: float, unit: float) -> Node:
    """A number for each sample, (batch, 1, 1)."""
    return uniform((x.spec.shape[0], 1, 1), low * unit, high * unit, x.dtype)


def _mapped(
    x: Node,
    matrix: Sequence[Sequence[Node]],
    moves: Sequence[Node | None],
    size: tuple[int, int],
    fill: float,
    name: str | None,
) -> Node:
    """Each pixel's value from (x, y) = matrix (column, row), counted from the middle."""
    middle = [(n - 1) / 2 for n in size[::-1]]
    across = _minus(Constant(np.arange(size[1])[None] - middle[0], dtype=x.dtype), moves[0])
    down = _minus(Constant(np.arange(size[0])[:, None] - middle[1], dtype=x.dtype), moves[1])
    columns, rows = (
        row[0] * across + row[1] * down + m for row, m in zip(matrix, middle, strict=True)
    )
    return phase(around(x, fill, lambda image: values_at(image, rows, columns)), x, name=name)


def _minus(place: Node, move: Node | None) -> Node:
    return place if move is None else place - move


@teaches
def elastic_deformation(
    x: NodeLike, alpha: float, sigma: float, fill: float = 0.0, name: str | None = None
) -> Node:
    """Images bent as by an unsteady hand, each in its own way; the identity in inference.

    Simard, Steinkraus, Platt, *Best practices for convolutional neural networks applied to visual
    document analysis* (ICDAR 2003), section 2: each pixel's two displacements are uniform in [-1,
    1), smoothed by a Gaussian and scaled by ``alpha``. They used alpha = 34, sigma = 4 for MNIST.

    Parameters
    ----------
    x
        (batch, channels, height, width), float.
    alpha
        How far: the factor of the smoothed displacements, in pixels.
    sigma
        How smooth: standard deviation of the Gaussian, in pixels, > 0. It is cut off at four of
        them; outside of the image displacements count as 0.
    fill
        What comes in from outside.

    Raises
    ------
    ShapeError, DTypeError, GraphError
        For anything else than float images of a known size, and numbers out of range.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.elastic_deformation(gn.Input((None, 1, 28, 28)), alpha=34, sigma=4).shape
    (None, 1, 28, 28)
    """
    node, size = images("elastic_deformation", x)
    for label, value, least in (("alpha", alpha, 0.0), ("sigma", sigma, 1e-3)):
        if not is_number(value) or not least <= value < math.inf:
            raise GraphError(
                f"elastic_deformation: {label} is a finite number >= {least:g}; got {value!r}. "
                f"Declared at {declared_at()}."
            )
    tall, wide = (Constant(gaussian_blur(n, sigma), dtype=node.dtype) for n in size)
    batch: DimLike = node.spec.shape[0]
    places = []
    for axis, n in enumerate(size):
        noise = uniform((batch, *size), -1, 1, node.dtype)
        bent = matmul(matmul(tall, noise), wide) * float(alpha)
        at = np.expand_dims(np.arange(n), 1 - axis)
        places.append(bent + Constant(at, dtype=node.dtype))
    rows, columns = places
    return phase(around(node, fill, lambda image: values_at(image, rows, columns)), node, name=name)


def gaussian_blur(size: int, sigma: float) -> NDArray[np.float64]:
    """The symmetric matrix (size, size) of a Gaussian filter with zeros around what it filters."""
    reach = int(4 * sigma + 0.5)
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    apart = np.subtract.outer(np.arange(size), np.arange(size))
    near = np.abs(apart) <= reach
    weights = np.where(near, taps[np.clip(apart, -reach, reach) + reach], 0)
    return np.asarray(weights / taps.sum())
