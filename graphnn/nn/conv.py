"""Convolutional layers, with torch's names, arguments and initial weights."""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

from graphnn.context import declared_at
from graphnn.errors import GraphError
from graphnn.nn import init
from graphnn.nn.module import Module
from graphnn.node import Node, Parameter
from graphnn.ops.convolution import conv
from graphnn.ops.convolution.window import Padding, Pairs, Sizes, both_sides, each_axis
from graphnn.ops.movement.padding import pad

PaddingMode: TypeAlias = Literal["zeros", "circular", "reflect", "replicate"]
MODES = ("zeros", "circular", "reflect", "replicate")


class _Conv(Module):
    """What all convolutions have: arguments, weight and bias, how they are shown."""

    dims = 0
    transposed = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes,
        padding: Padding,
        dilation: Sizes,
        groups: int,
        bias: bool,
        padding_mode: str,
        dtype: object,
        name: str | None,
    ) -> None:
        super().__init__(name)
        kind, dims = f"nn.{type(self).__name__}", self.dims
        (self.in_channels,) = each_axis(kind, "in_channels", in_channels, 1)
        (self.out_channels,) = each_axis(kind, "out_channels", out_channels, 1)
        (self.groups,) = each_axis(kind, "groups", groups, 1)
        self.kernel_size = each_axis(kind, "kernel_size", kernel_size, dims)
        self.stride = each_axis(kind, "stride", stride, dims)
        self.dilation = each_axis(kind, "dilation", dilation, dims)
        self.padding = (
            padding
            if isinstance(padding, str)
            else each_axis(kind, "padding", padding, dims, least=0)
        )
        self.sides: Pairs = both_sides(
            kind, padding, dims, self.kernel_size, self.stride, self.dilation
        )
        self.padding_mode = padding_mode
        self._check(kind)
        first, second = self.out_channels, self.in_channels
        if self.transposed:
            first, second = second, first
        shape = (first, second // self.groups, *self.kernel_size)
        bound = 1 / math.sqrt(init.fans(shape, "oi")[0])
        self.weight = Parameter(init.uniform(shape, -bound, bound, dtype))
        self.bias = (
            Parameter(init.uniform((self.out_channels,), -bound, bound, dtype)) if bias else None
        )

    def _check(self, kind: str) -> None:
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise GraphError(
                f"{kind}: groups={self.groups} divides both numbers of channels; got "
                f"in_channels={self.in_channels} and out_channels={self.out_channels}. "
                f"Declared at {declared_at()}."
            )
        if self.padding_mode not in MODES:
            raise GraphError(
                f"{kind}: padding_mode is one of {', '.join(MODES)}; got {self.padding_mode!r}. "
                f"Declared at {declared_at()}."
            )

    def _options(self) -> dict[str, Any]:
        return {"stride": self.stride, "dilation": self.dilation, "groups": self.groups}

    def _surrounded(self, x: Node) -> Node:
        """The input with its borders, where they are no zeros."""
        if x.ndim != self.dims + 2:
            return x  # the shape rule says what is wrong
        mode: Any = self.padding_mode
        return pad(x, ((0, 0), (0, 0), *self.sides), mode=mode)

    def __repr__(self) -> str:
        shown = [str(self.in_channels), str(self.out_channels)]
        shown += [f"kernel_size={self.kernel_size}", f"stride={self.stride}"]
        usual = {
            "padding": (0,) * self.dims,
            "output_padding": (0,) * self.dims,
            "dilation": (1,) * self.dims,
            "groups": 1,
            "padding_mode": "zeros",
        }
        given = {key: getattr(self, key, value) for key, value in usual.items()}
        shown += [f"{key}={given[key]!r}" for key in usual if given[key] != usual[key]]
        shown += ["bias=False"] if self.bias is None else []
        return f"{type(self).__name__}({', '.join(shown)})"


class _Convolution(_Conv):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Padding = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: PaddingMode = "zeros",
        *,
        dtype: object = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias,
            padding_mode, dtype, name,
        )  # fmt: skip

    def forward(self, x: Node) -> Node:
        """Declare the borders, the convolution and the sum."""
        convolve = conv.conv1d if self.dims == 1 else conv.conv2d
        padding: Padding = self.padding
        if self.padding_mode != "zeros":
            x, padding = self._surrounded(x), 0
        return convolve(x, self.weight, self.bias, padding=padding, **self._options())


class Conv1d(_Convolution):
    """``y = x ⋆ W + b``: x (batch, in, length), W (out, in / groups, kernel), b (out,).

    Initialised as in torch: weight and bias uniform over ±1/√(in / groups · kernel).

    Parameters
    ----------
    in_channels, out_channels
        Numbers of channels before and after.
    kernel_size, stride, padding, dilation, groups
        As in :func:`graphnn.conv2d`.
    bias
        Whether b is added.
    padding_mode
        What stands around x: ``"zeros"``; ``"circular"``, x again; ``"reflect"``, x mirrored at its
        last element; ``"replicate"``, its last element.
    dtype
        float32 or float64.
    name
        Scope of its nodes.

    Attributes
    ----------
    weight
        Parameter (out, in / groups, kernel).
    bias
        Parameter (out,), or None.

    Raises
    ------
    GraphError
        For arguments that are no such numbers.
    ShapeError
        When called with an input that does not fit.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.Conv1d(8, 16, 3, padding="same")(gn.Input((None, 8, 100))).shape
    (None, 16, 100)
    """

    dims = 1


class Conv2d(_Convolution):
    """``y = x ⋆ W + b``: x (batch, in, height, width), W (out, in / groups, kernel), b (out,).

    Initialised as in torch: weight and bias uniform over ±1/√(in / groups · kernel area).

    Parameters
    ----------
    in_channels, out_channels
        Numbers of channels before and after.
    kernel_size, stride, padding, dilation, groups
        As in :func:`graphnn.conv2d`.
    bias
        Whether b is added.
    padding_mode
        What stands around x: ``"zeros"``; ``"circular"``, x again; ``"reflect"``, x mirrored at its
        last pixel; ``"replicate"``, its last pixel.
    dtype
        float32 or float64.
    name
        Scope of its nodes.

    Attributes
    ----------
    weight
        Parameter (out, in / groups, kernel height, kernel width).
    bias
        Parameter (out,), or None.

    Raises
    ------
    GraphError
        For arguments that are no such numbers.
    ShapeError
        When called with an input that does not fit.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.Conv2d(1, 6, 5, padding=2)(gn.Input((None, 1, 28, 28))).shape
    (None, 6, 28, 28)
    """

    dims = 2


class _Transposed(_Conv):
    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
        padding_mode: Literal["zeros"] = "zeros",
        *,
        dtype: object = "float32",
        name: str | None = None,
    ) -> None:
        kind = f"nn.{type(self).__name__}"
        if padding_mode != "zeros":
            raise GraphError(
                f"{kind}: padding_mode is 'zeros', there is no other; got {padding_mode!r}. "
                f"Declared at {declared_at()}."
            )
        each_axis(kind, "padding", padding, self.dims, least=0)
        self.output_padding = each_axis(kind, "output_padding", output_padding, self.dims, least=0)
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias,
            padding_mode, dtype, name,
        )  # fmt: skip

    def forward(self, x: Node) -> Node:
        """Declare the transposed convolution and the sum."""
        convolve = conv.conv_transpose1d if self.dims == 1 else conv.conv_transpose2d
        cut = tuple(before for before, _ in self.sides)
        more = self.output_padding
        return convolve(
            x, self.weight, self.bias, padding=cut, output_padding=more, **self._options()
        )


class ConvTranspose1d(_Transposed):
    """The transpose of a convolution, plus b: x (batch, in, length), W (in, out / groups, kernel).

    Initialised as in torch: weight and bias uniform over ±1/√(out / groups · kernel).

    Parameters
    ----------
    in_channels, out_channels
        Numbers of channels before and after.
    kernel_size, stride, padding, output_padding, groups, dilation
        As in :func:`graphnn.conv_transpose2d`.
    bias
        Whether b is added.
    padding_mode
        ``"zeros"``.
    dtype
        float32 or float64.
    name
        Scope of its nodes.

    Attributes
    ----------
    weight
        Parameter (in, out / groups, kernel).
    bias
        Parameter (out,), or None.

    Raises
    ------
    GraphError
        For arguments that are no such numbers.
    ShapeError
        When called with an input that does not fit.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.ConvTranspose1d(8, 4, 2, stride=2)(gn.Input((None, 8, 50))).shape
    (None, 4, 100)
    """

    dims = 1


class ConvTranspose2d(_Transposed):
    """The transpose of a convolution, plus b: x (batch, in, ...), W (in, out / groups, kernel).

    Initialised as in torch: weight and bias uniform over ±1/√(out / groups · kernel area).

    Parameters
    ----------
    in_channels, out_channels
        Numbers of channels before and after.
    kernel_size, stride, padding, output_padding, groups, dilation
        As in :func:`graphnn.conv_transpose2d`.
    bias
        Whether b is added.
    padding_mode
        ``"zeros"``.
    dtype
        float32 or float64.
    name
        Scope of its nodes.

    Attributes
    ----------
    weight
        Parameter (in, out / groups, kernel height, kernel width).
    bias
        Parameter (out,), or None.

    Raises
    ------
    GraphError
        For arguments that are no such numbers.
    ShapeError
        When called with an input that does not fit.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.ConvTranspose2d(8, 3, 4, stride=2, padding=1)(gn.Input((None, 8, 7, 7))).shape
    (None, 3, 14, 14)
    """

    dims = 2
