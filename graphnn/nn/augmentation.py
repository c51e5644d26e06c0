"""Augmentation of images as modules: random in training, the identity in inference.

Each takes images (batch, channels, height, width); a flat batch is reshaped first,
``gn.reshape(x, (-1, 1, 28, 28))``. They hold no parameters, and cost nothing in inference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphnn.nn.module import Module
from graphnn.node import Node
from graphnn.ops.image.augmentation import (
    random_crop,
    random_erasing,
    random_horizontal_flip,
    random_shift,
)
from graphnn.ops.image.warping import Degrees, elastic_deformation, random_affine, random_rotation


class _Augmentation(Module):
    """What all share: settings, by the names of the function's arguments."""

    def __init__(self, settings: dict[str, Any], name: str | None) -> None:
        super().__init__(name)
        self.settings = settings

    def __repr__(self) -> str:
        shown = ", ".join(f"{key}={value!r}" for key, value in self.settings.items())
        return f"{type(self).__name__}({shown})"


class RandomShift(_Augmentation):
    """Moves each image by whole pixels: see :func:`graphnn.random_shift`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.RandomShift(2)(gn.Input((None, 1, 28, 28))).shape
    (None, 1, 28, 28)
    """

    def __init__(
        self, shift: float | Sequence[float], fill: float = 0.0, *, name: str | None = None
    ) -> None:
        super().__init__({"shift": shift, "fill": fill}, name)

    def forward(self, x: Node) -> Node:
        """Declare the draws and the shift."""
        return random_shift(x, **self.settings)


class RandomCrop(_Augmentation):
    """Cuts a window out of each image, in inference the middle: :func:`graphnn.random_crop`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.RandomCrop(32, padding=4)(gn.Input((None, 3, 32, 32))).shape
    (None, 3, 32, 32)
    """

    def __init__(
        self,
        size: int | Sequence[int],
        padding: int | Sequence[int] = 0,
        fill: float = 0.0,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__({"size": size, "padding": padding, "fill": fill}, name)

    def forward(self, x: Node) -> Node:
        """Declare the draws and the window."""
        return random_crop(x, **self.settings)


class RandomHorizontalFlip(_Augmentation):
    """Mirrors each image with probability ``p``: see :func:`graphnn.random_horizontal_flip`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.RandomHorizontalFlip()(gn.Input((None, 3, 32, 32))).shape
    (None, 3, 32, 32)
    """

    def __init__(self, p: float = 0.5, *, name: str | None = None) -> None:
        super().__init__({"p": p}, name)

    def forward(self, x: Node) -> Node:
        """Declare the draws and the choice."""
        return random_horizontal_flip(x, **self.settings)


class RandomErasing(_Augmentation):
    """Covers a rectangle of each image with probability ``p``: :func:`graphnn.random_erasing`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.RandomErasing(p=0.25, value=0.5)(gn.Input((None, 3, 32, 32))).shape
    (None, 3, 32, 32)
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: float = 0.0,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__({"p": p, "scale": scale, "ratio": ratio, "value": value}, name)

    def forward(self, x: Node) -> Node:
        """Declare the draws and the cover."""
        return random_erasing(x, **self.settings)


class RandomRotation(_Augmentation):
    """Turns each image about its middle: see :func:`graphnn.random_rotation`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.RandomRotation(15)(gn.Input((None, 1, 28, 28))).shape
    (None, 1, 28, 28)
    """

    def __init__(self, degrees: Degrees, fill: float = 0.0, *, name: str | None = None) -> None:
        super().__init__({"degrees": degrees, "fill": fill}, name)

    def forward(self, x: Node) -> Node:
        """Declare the draws and the rotation."""
        return random_rotation(x, **self.settings)


class RandomAffine(_Augmentation):
    """Shears, scales, turns and moves each image: see :func:`graphnn.random_affine`.

    Examples
    --------
    >>> import graphnn as gn
    >>> layer = gn.nn.RandomAffine(15, translate=(0.1, 0.1), scale=(0.9, 1.1), shear=10)
    >>> layer(gn.Input((None, 1, 28, 28))).shape
    (None, 1, 28, 28)
    """

    def __init__(
        self,
        degrees: Degrees,
        translate: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        shear: Degrees | None = None,
        fill: float = 0.0,
        *,
        name: str | None = None,
    ) -> None:
        settings = {"degrees": degrees, "translate": translate, "scale": scale, "shear": shear}
        super().__init__({**settings, "fill": fill}, name)

    def forward(self, x: Node) -> Node:
        """Declare the draws and the map."""
        return random_affine(x, **self.settings)


class ElasticDeformation(_Augmentation):
    """Bends each image as by an unsteady hand: see :func:`graphnn.elastic_deformation`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.ElasticDeformation(alpha=34, sigma=4)(gn.Input((None, 1, 28, 28))).shape
    (None, 1, 28, 28)
    """

    def __init__(
        self, alpha: float, sigma: float, fill: float = 0.0, *, name: str | None = None
    ) -> None:
        super().__init__({"alpha": alpha, "sigma": sigma, "fill": fill}, name)

    def forward(self, x: Node) -> Node:
        """Declare the displacements and the bent images."""
        return elastic_deformation(x, **self.settings)
