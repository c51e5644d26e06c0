"""Dropout and noise as modules: random in training, the identity in inference."""

from __future__ import annotations

import math

from graphnn.context import declared_at
from graphnn.errors import GraphError
from graphnn.nn.module import Module
from graphnn.node import Node
from graphnn.ops.random.dropout import (
    alpha_dropout,
    checked_share,
    dropout,
    dropout1d,
    dropout2d,
    gaussian_noise,
)
from graphnn.values import is_number


class _Dropout(Module):
    """What all kinds of dropout share: a probability."""

    def __init__(self, p: float = 0.5, *, name: str | None = None) -> None:
        super().__init__(name)
        self.p = checked_share(f"nn.{type(self).__name__}", p)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.p})"


class Dropout(_Dropout):
    """Sets elements to 0 with probability ``p`` in training; the identity in inference.

    Srivastava et al., *Dropout* (JMLR 2014), inverted: survivors are scaled by 1 / (1 - p).

    Raises
    ------
    GraphError
        If ``p`` is not in [0, 1).

    Examples
    --------
    >>> import graphnn as gn
    >>> layer = gn.nn.Dropout(0.4)
    >>> layer(gn.Input((None, 256))).shape
    (None, 256)
    """

    def forward(self, x: Node) -> Node:
        """Declare the mask and its application."""
        return dropout(x, self.p)


class Dropout1d(_Dropout):
    """Dropout of whole channels of (batch, channels, length): see :func:`graphnn.dropout1d`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.Dropout1d(0.2)(gn.Input((None, 8, 100))).shape
    (None, 8, 100)
    """

    def forward(self, x: Node) -> Node:
        """Declare the mask and its application."""
        return dropout1d(x, self.p)


class Dropout2d(_Dropout):
    """Dropout of whole channels of (batch, channels, height, width): :func:`graphnn.dropout2d`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.Dropout2d(0.2)(gn.Input((None, 8, 28, 28))).shape
    (None, 8, 28, 28)
    """

    def forward(self, x: Node) -> Node:
        """Declare the mask and its application."""
        return dropout2d(x, self.p)


class AlphaDropout(_Dropout):
    """Dropout that keeps mean 0 and variance 1, for networks with SELU (Klambauer et al., 2017).

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> block = nn.Sequential(nn.Linear(8, 64), nn.SELU(), nn.AlphaDropout(0.05))
    >>> block(gn.Input((None, 8))).shape
    (None, 64)
    """

    def forward(self, x: Node) -> Node:
        """Declare the mask and its application."""
        return alpha_dropout(x, self.p)


class GaussianNoise(Module):
    """Adds Gaussian noise of standard deviation ``std`` in training; the identity in inference.

    Raises
    ------
    GraphError
        If ``std`` is negative or not finite.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.GaussianNoise(std=0.2)(gn.Input((None, 8))).shape
    (None, 8)
    """

    def __init__(self, std: float = 0.1, *, name: str | None = None) -> None:
        super().__init__(name)
        if not is_number(std) or not 0 <= std < math.inf:
            raise GraphError(
                f"nn.GaussianNoise needs a finite std >= 0; got std={std!r}. "
                f"Declared at {declared_at()}."
            )
        self.std = std

    def forward(self, x: Node) -> Node:
        """Declare the noise and the sum."""
        return gaussian_noise(x, self.std)

    def __repr__(self) -> str:
        return f"GaussianNoise({self.std})"
