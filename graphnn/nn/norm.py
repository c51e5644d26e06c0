"""Normalisation as modules, with torch's names, parameters and defaults."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphnn.context import declared_at
from graphnn.errors import GraphError, ShapeError
from graphnn.nn.module import Module
from graphnn.node import Node, Parameter
from graphnn.ops.convolution.correlation import channels_first
from graphnn.ops.normalisation.batch_norm import batch_norm
from graphnn.ops.normalisation.norm import group_norm, instance_norm, layer_norm, rms_norm
from graphnn.spec import as_dtype, format_shape


def _ones(shape: Sequence[int], dtype: object) -> Parameter:
    return Parameter(np.ones(shape, as_dtype(dtype)))


def _zeros(shape: Sequence[int], dtype: object) -> Parameter:
    return Parameter(np.zeros(shape, as_dtype(dtype)))


def _sizes(given: int | Sequence[int]) -> tuple[int, ...]:
    return (int(given),) if isinstance(given, int | np.integer) else tuple(given)


class _BatchNorm(Module):
    """What batch normalisation over any places shares."""

    ranks: tuple[int, ...] = ()
    layout = ""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        dtype: object = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        whole = isinstance(num_features, int | np.integer) and not isinstance(num_features, bool)
        if not whole or num_features < 1:
            raise GraphError(
                f"nn.{type(self).__name__}: num_features, the size of axis 1, is a whole number "
                f">= 1; got {num_features!r}. Declared at {declared_at()}."
            )
        self.num_features, self.eps, self.momentum = int(num_features), eps, momentum
        shape = (num_features,)
        self.weight = _ones(shape, dtype) if affine else None
        self.bias = _zeros(shape, dtype) if affine else None
        self.running_mean = self.running_var = self.num_batches_tracked = None
        if track_running_stats:
            kept = as_dtype(dtype)
            self.running_mean = Parameter(np.zeros(shape, kept), trainable=False)
            self.running_var = Parameter(np.ones(shape, kept), trainable=False)
            self.num_batches_tracked = Parameter(np.int64(0), trainable=False)

    def forward(self, x: Node) -> Node:
        """Declare the normalisation of both phases."""
        _check_layout(self, x, self.ranks, self.layout, self.num_features)
        return batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.momentum,
            self.eps,
            num_batches_tracked=self.num_batches_tracked,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_features})"


def _check_layout(
    module: Module, x: Node, ranks: Sequence[int], layout: str, channels: int
) -> None:
    own = type(module).__name__
    if x.ndim not in ranks:
        other = own[:-2] + {2: "1d", 3: "1d", 4: "2d"}.get(x.ndim, "")
        there = other.startswith("Batch") or x.ndim > 2
        fix = f" Did you mean nn.{other}({channels})?" if other[-1] == "d" and there else ""
        raise ShapeError(
            f"{own} needs {layout}; got {format_shape(x.spec.shape)} for {x.name!r}. "
            f"Declared at {declared_at()}.{fix}"
        )
    if x.spec.shape[1] != channels:
        fix = channels_first(x.spec, channels) or f"Did you mean nn.{own}({x.spec.shape[1]})?"
        raise ShapeError(
            f"{own} needs x.shape[1] == {channels}; got {format_shape(x.spec.shape)} for "
            f"{x.name!r}. Declared at {declared_at()}. {fix}"
        )


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of (batch, features) or (batch, channels, length).

    In training by the mean and variance of the batch, in inference by their running averages; a
    layer that is frozen (``layer.freeze()``) by its running averages always, and they stay.
    Ioffe, Szegedy (2015); see :func:`graphnn.batch_norm`.

    Parameters
    ----------
    num_features
        Number of channels: the size of axis 1.
    eps
        Keeps the root away from 0.
    momentum
        Share of the new batch in the running averages; None: the plain average of all batches.
    affine
        Whether ``weight`` and ``bias`` are learned.
    track_running_stats
        Whether running averages are kept; without them the batch's statistics serve always.
    dtype
        float32 or float64.
    name
        Scope of its nodes.

    Attributes
    ----------
    weight, bias
        Parameters (num_features,), or None.
    running_mean, running_var, num_batches_tracked
        Parameters that no optimizer moves, or None.

    Examples
    --------
    >>> import graphnn as gn
    >>> layer = gn.nn.BatchNorm1d(8)
    >>> layer(gn.Input((None, 8))).shape
    (None, 8)
    >>> list(layer.state_dict())
    ['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked']
    """

    ranks = (2, 3)
    layout = "(batch, features) or (batch, channels, length)"


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of images (batch, channels, height, width).

    Parameters and attributes as in :class:`BatchNorm1d`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.BatchNorm2d(8)(gn.Input((None, 8, 28, 28))).shape
    (None, 8, 28, 28)
    """

    ranks = (4,)
    layout = "images (batch, channels, height, width)"


class LayerNorm(Module):
    """``(x - mean) / √(var + ε) · weight + bias`` over the last axes of each sample.

    Parameters
    ----------
    normalized_shape
        Sizes of the last axes.
    eps
        Keeps the root away from 0.
    elementwise_affine
        Whether ``weight`` is learned.
    bias
        Whether ``bias`` is learned too.
    dtype
        float32 or float64.

    Attributes
    ----------
    weight, bias
        Parameters of ``normalized_shape``, or None.

    Examples
    --------
    >>> import graphnn as gn
    >>> layer = gn.nn.LayerNorm(64)
    >>> layer(gn.Input((None, 10, 64))).shape
    (None, 10, 64)
    >>> layer.weight.shape
    (64,)
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: object = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        shape = _sizes(normalized_shape)
        self.normalized_shape, self.eps = shape, eps
        self.weight = _ones(self.normalized_shape, dtype) if elementwise_affine else None
        self.bias = _zeros(self.normalized_shape, dtype) if elementwise_affine and bias else None

    def forward(self, x: Node) -> Node:
        """Declare the normalisation."""
        return layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def __repr__(self) -> str:
        return f"LayerNorm({self.normalized_shape})"


class RMSNorm(Module):
    """``x / √(mean(x²) + ε) · weight`` over the last axes of each sample.

    Parameters as in :class:`LayerNorm`, without a bias; ``eps=None`` is the dtype's own.

    Examples
    --------
    >>> import graphnn as gn
    >>> list(gn.nn.RMSNorm(64).state_dict())
    ['weight']
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        dtype: object = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        shape = _sizes(normalized_shape)
        self.normalized_shape, self.eps = shape, eps
        self.weight = _ones(self.normalized_shape, dtype) if elementwise_affine else None

    def forward(self, x: Node) -> Node:
        """Declare the normalisation."""
        return rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def __repr__(self) -> str:
        return f"RMSNorm({self.normalized_shape})"


class GroupNorm(Module):
    """Normalisation over groups of channels of each sample of (batch, channels, ...).

    Parameters
    ----------
    num_groups, num_channels
        The channels are split into so many groups of neighbours.
    eps
        Keeps the root away from 0.
    affine
        Whether ``weight`` and ``bias``, (num_channels,), are learned.
    dtype
        float32 or float64.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.GroupNorm(3, 6)(gn.Input((None, 6, 8, 8))).shape
    (None, 6, 8, 8)
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        dtype: object = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        if num_groups < 1 or num_channels % num_groups:
            raise ShapeError(
                f"nn.GroupNorm needs num_channels divisible by num_groups; got {num_channels} and "
                f"{num_groups}. "
                f"Declared at {declared_at()}."
            )
        self.num_groups, self.num_channels, self.eps = num_groups, num_channels, eps
        self.weight = _ones((num_channels,), dtype) if affine else None
        self.bias = _zeros((num_channels,), dtype) if affine else None

    def forward(self, x: Node) -> Node:
        """Declare the normalisation."""
        return group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def __repr__(self) -> str:
        return f"GroupNorm({self.num_groups}, {self.num_channels})"


class _InstanceNorm(Module):
    """What instance normalisation over any places shares."""

    ranks: tuple[int, ...] = ()
    layout = ""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        affine: bool = False,
        *,
        dtype: object = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.num_features, self.eps = num_features, eps
        self.weight = _ones((num_features,), dtype) if affine else None
        self.bias = _zeros((num_features,), dtype) if affine else None

    def forward(self, x: Node) -> Node:
        """Declare the normalisation."""
        _check_layout(self, x, self.ranks, self.layout, self.num_features)
        return instance_norm(x, self.weight, self.bias, self.eps)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_features})"


class InstanceNorm1d(_InstanceNorm):
    """Normalisation of each channel of each sample of (batch, channels, length).

    Torch's defaults: nothing is learned (``affine=False``) and nothing tracked.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.InstanceNorm1d(8)(gn.Input((None, 8, 100))).shape
    (None, 8, 100)
    """

    ranks = (3,)
    layout = "(batch, channels, length)"


class InstanceNorm2d(_InstanceNorm):
    """Normalisation of each channel of each image of (batch, channels, height, width).

    Torch's defaults: nothing is learned (``affine=False``) and nothing tracked.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.InstanceNorm2d(8)(gn.Input((None, 8, 28, 28))).shape
    (None, 8, 28, 28)
    """

    ranks = (4,)
    layout = "images (batch, channels, height, width)"
