"""Images moved, mirrored and covered at random in training; the identity in inference.

Each sample has draws of its own, new ones in each step, by Philox: the same bits on any number of
threads. A gradient flows back to the images where one is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from graphnn.context import declared_at
from graphnn.errors import DTypeError, GraphError
from graphnn.hints import teaches
from graphnn.node import Constant, Node, NodeLike, as_node
from graphnn.ops.convolution.window import each_axis
from graphnn.ops.elementwise.arithmetic import exp, sqrt
from graphnn.ops.elementwise.cast import cast
from graphnn.ops.elementwise.choice import less, less_equal, logical_and, not_equal, where
from graphnn.ops.elementwise.rounding import floor, round
from graphnn.ops.image.interpolation import known_size
from graphnn.ops.image.window import window_at
from graphnn.ops.indexing.along import take_along_axis
from graphnn.ops.indexing.sorting import argmax
from graphnn.ops.movement.joining import stack
from graphnn.ops.movement.padding import pad
from graphnn.ops.movement.slicing import flip
from graphnn.ops.random.generator import kept_mask
from graphnn.ops.random.uniform import uniform, whole_numbers
from graphnn.ops.training.phase import phase
from graphnn.spec import FLOATS
from graphnn.values import is_number

__all__ = ["random_crop", "random_erasing", "random_horizontal_flip", "random_shift"]

Reach: TypeAlias = float | Sequence[float]

TRIES = 10  # torchvision's number of rectangles that are drawn until one fits


@teaches
def random_shift(x: NodeLike, shift: Reach, fill: float = 0.0, name: str | None = None) -> Node:
    """Images moved by whole pixels, each by as much as it draws; the identity in inference.

    Parameters
    ----------
    x
        (batch, channels, height, width), float.
    shift
        The farthest a move goes in each direction: pixels as a whole number, or a share of height
        and width as a float in [0, 1). A pair: (vertical, horizontal).
    fill
        What comes in from outside.

    Raises
    ------
    ShapeError, DTypeError, GraphError
        For anything else than float images of a known size, and a shift that is no such number.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> gn.set_seed(1)
    >>> x = gn.Input((None, 1, 4, 4), name="x")
    >>> y = gn.random_shift(x, 2)
    >>> image = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    >>> bool((gn.function(x, y)(image) == image).all())  # nothing is trained
    True
    >>> gn.function(x, y, training=True)(image)[0, 0]
    array([[ 0.,  0.,  8.,  9.],
           [ 0.,  0., 12., 13.],
           [ 0.,  0.,  0.,  0.],
           [ 0.,  0.,  0.,  0.]], dtype=float32)
    """
    node, (height, width) = images("random_shift", x)
    down, across = _reaches(shift, height, width)
    if down == across == 0:
        return node
    return _window_of(node, (height, width), (down, across), fill, name)


def _reaches(shift: Reach, height: int, width: int) -> tuple[int, int]:
    """The farthest moves, as numbers of pixels."""
    pair = tuple(shift) if isinstance(shift, Sequence) else (shift, shift)
    found = []
    for reach, size in zip(pair, (height, width), strict=False):
        share = isinstance(reach, float)
        if len(pair) != 2 or not is_number(reach) or not 0 <= reach < (1 if share else size):
            raise GraphError(
                "random_shift: shift is a whole number of pixels >= 0, less than the image has, or "
                f"a share of it as a float in [0, 1), or a pair; got {shift!r}. Declared at "
                f"{declared_at()}."
            )
        found.append(int(reach * size) if share else int(reach))
    return found[0], found[1]


@teaches
def random_crop(
    x: NodeLike,
    size: int | Sequence[int],
    padding: int | Sequence[int] = 0,
    fill: float = 0.0,
    name: str | None = None,
) -> Node:
    """A window of each image at a place that it draws; in inference the one in the middle.

    Parameters
    ----------
    x
        (batch, channels, height, width), float.
    size
        Of the window: a number, or (height, width).
    padding
        Width of a border of ``fill`` that the window may reach into: a number, or (vertical,
        horizontal). With ``size`` that of the image, a random shift by up to ``padding`` pixels.
    fill
        What the border holds.

    Returns
    -------
    Node
        (batch, channels, *size).

    Raises
    ------
    ShapeError, DTypeError, GraphError
        For anything else than float images of a known size, and a window larger than the image
        with its border.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.random_crop(gn.Input((None, 3, 32, 32)), 24).shape
    (None, 3, 24, 24)
    """
    node, whole = images("random_crop", x)
    wanted = each_axis("random_crop", "size", size, 2)
    border = each_axis("random_crop", "padding", padding, 2, 0)
    if any(k > n + 2 * p for n, p, k in zip(whole, border, wanted, strict=True)):
        raise GraphError(
            f"random_crop: a window {wanted} does not fit into images {whole} with a border of "
            f"{border}. Declared at {declared_at()}."
        )
    return _window_of(node, wanted, border, fill, name)


def _window_of(
    x: Node, size: tuple[int, ...], border: tuple[int, ...], fill: float, name: str | None
) -> Node:
    """Windows at places that are drawn, anywhere in the images with a border; then the middle."""
    batch = x.spec.shape[0]
    whole = known_size("random_crop", x)
    rests = [n - k for n, k in zip(whole, size, strict=True)]
    corner = stack(
        [whole_numbers((batch,), -b, n + b) for n, b in zip(rests, border, strict=True)], -1
    )
    shown = around(x, fill, lambda image: window_at(image, corner, (size[0], size[1])))
    cut = [(-(n // 2), n // 2 - n) for n in rests]  # negative widths cut away
    return phase(shown, pad(x, [(0, 0), (0, 0), *cut], constant_values=fill), name=name)


def around(x: Node, fill: float, move: Callable[[Node], Node]) -> Node:
    """What ``move`` makes of images whose outside it takes as 0, with ``fill`` outside."""
    return move(x) if fill == 0 else move(x - fill) + fill


@teaches
def random_horizontal_flip(x: NodeLike, p: float = 0.5, name: str | None = None) -> Node:
    """Each image mirrored left to right with probability ``p``; the identity in inference.

    Parameters
    ----------
    x
        (batch, channels, height, width), float.
    p
        Probability, in [0, 1].

    Raises
    ------
    ShapeError, DTypeError, GraphError
        For anything else than float images of a known size, and if ``p`` is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((None, 1, 1, 3), name="x")
    >>> always = gn.function(x, gn.random_horizontal_flip(x, p=1.0), training=True)
    >>> always(np.float32([[[[1, 2, 3]]]]))
    array([[[[3., 2., 1.]]]], dtype=float32)
    """
    node, _ = images("random_horizontal_flip", x)
    share = checked_probability("random_horizontal_flip", p)
    if share == 0:
        return node
    turned = kept_mask((node.spec.shape[0], 1, 1, 1), share)
    return phase(where(turned, flip(node, -1), node), node, name=name)


@teaches
def random_erasing(
    x: NodeLike,
    p: float = 0.5,
    scale: Sequence[float] = (0.02, 0.33),
    ratio: Sequence[float] = (0.3, 3.3),
    value: float = 0.0,
    name: str | None = None,
) -> Node:
    """A rectangle of each image covered with probability ``p``; the identity in inference.

    Zhong, Zheng, Kang, Li, Yang, *Random erasing data augmentation* (AAAI 2020), algorithm 1, with
    torchvision's arguments: ten rectangles are drawn, and the first that fits is taken. With
    ``ratio=(1, 1)`` and two equal areas it is DeVries and Taylor's cutout (2017), of squares that
    lie whole in the image.

    Parameters
    ----------
    x
        (batch, channels, height, width), float.
    p
        Probability that an image is touched, in [0, 1].
    scale
        Least and largest share of the image's area; uniform between them.
    ratio
        Least and largest height / width; uniform on a logarithmic scale.
    value
        What covers.

    Raises
    ------
    ShapeError, DTypeError, GraphError
        For anything else than float images of a known size, and for numbers out of range.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((None, 1, 10, 10), name="x")
    >>> y = gn.random_erasing(x, p=1.0, scale=(0.25, 0.25), ratio=(1, 1))
    >>> covered = gn.function(x, y, training=True)(np.ones((1, 1, 10, 10), np.float32))
    >>> int((covered == 0).sum())
    25
    """
    node, (height, width) = images("random_erasing", x)
    share = checked_probability("random_erasing", p)
    areas = checked_range("random_erasing", "scale", scale, 0, 1)
    ratios = checked_range("random_erasing", "ratio", ratio, 1e-6, 1e6)
    if share == 0:
        return node
    batch = node.spec.shape[0]
    area = uniform((batch, TRIES), areas[0] * height * width, areas[1] * height * width, node.dtype)
    shape = exp(uniform((batch, TRIES), math.log(ratios[0]), math.log(ratios[1]), node.dtype))
    tall, wide = round(sqrt(area * shape)), round(sqrt(area / shape))
    fits = logical_and(less(tall, float(height)), less(wide, float(width)))
    first = argmax(cast(fits, node.dtype), 1, keepdims=True)
    tall, wide, fits = (take_along_axis(one, first, 1) for one in (tall, wide, cast(fits, "int64")))
    drawn = uniform((batch, 2), 0, 1, node.dtype)
    top = floor(drawn[:, :1] * (height + 1 - tall))
    left = floor(drawn[:, 1:] * (width + 1 - wide))
    inside = [
        logical_and(less_equal(start, at), less(at, start + extent))
        for start, extent, at in (
            (top, tall, Constant(np.arange(height), dtype=node.dtype)),
            (left, wide, Constant(np.arange(width), dtype=node.dtype)),
        )
    ]
    touched = logical_and(kept_mask((batch, 1), share), not_equal(fits, 0))
    covered = logical_and(
        logical_and(inside[0], touched)[:, None, :, None], inside[1][:, None, None, :]
    )
    return phase(where(covered, value, node), node, name=name)


def images(what: str, x: NodeLike) -> tuple[Node, tuple[int, int]]:
    """Images as a node, and their height and width.

    Raises
    ------
    ShapeError, DTypeError
        For anything else than float images of a known size.
    """
    node = as_node(x)
    size = known_size(what, node)
    if node.dtype not in FLOATS:
        raise DTypeError(
            f"{what} needs float32 or float64; got {node.spec} for {node.name!r}. "
            f"Declared at {declared_at()}. Cast it: gn.cast(x, 'float32')."
        )
    return node, size


def checked_probability(what: str, p: float) -> float:
    """A probability.

    Raises
    ------
    GraphError
        If it is not in [0, 1].
    """
    if not is_number(p) or not 0 <= p <= 1:
        raise GraphError(f"{what} needs 0 <= p <= 1; got p={p!r}. Declared at {declared_at()}.")
    return p


def checked_range(
    what: str, name: str, given: object, least: float, most: float
) -> tuple[float, float]:
    """Two numbers in order, within limits.

    Raises
    ------
    GraphError
        For anything else.
    """
    pair = tuple(given) if isinstance(given, Sequence) and not isinstance(given, str) else ()
    if len(pair) != 2 or not all(map(is_number, pair)) or not least <= pair[0] <= pair[1] <= most:
        raise GraphError(
            f"{what}: {name} is a pair (low, high), {least:g} <= low <= high <= {most:g}; got "
            f"{given!r}. Declared at {declared_at()}."
        )
    return float(pair[0]), float(pair[1])
