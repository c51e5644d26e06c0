"""Pooling layers, with torch's names and arguments."""

from __future__ import annotations

from typing import Any

from graphnn.nn.module import Module
from graphnn.node import Node
from graphnn.ops.convolution import adaptive, pool
from graphnn.ops.convolution.adaptive import OutputSize
from graphnn.ops.convolution.window import Sizes


class _Pool(Module):
    """A pooling: its options, and the function that declares it."""

    def __init__(self, options: dict[str, Any], name: str | None) -> None:
        super().__init__(name)
        self.options = options

    def __repr__(self) -> str:
        inside = ", ".join(f"{key}={value!r}" for key, value in self.options.items())
        return f"{type(self).__name__}({inside})"


class MaxPool1d(_Pool):
    """The largest element of each window: (..., length); see :func:`graphnn.max_pool2d`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.MaxPool1d(3, stride=2)(gn.Input((None, 8, 101))).shape
    (None, 8, 50)
    """

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        *,
        ceil_mode: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(_max_options(kernel_size, stride, padding, dilation, ceil_mode), name)

    def forward(self, x: Node) -> Node:
        """Declare the pooling."""
        return pool.max_pool1d(x, **self.options)


class MaxPool2d(_Pool):
    """The largest element of each window: (..., height, width); see :func:`graphnn.max_pool2d`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.MaxPool2d(2)(gn.Input((None, 8, 28, 28))).shape
    (None, 8, 14, 14)
    """

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        *,
        ceil_mode: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(_max_options(kernel_size, stride, padding, dilation, ceil_mode), name)

    def forward(self, x: Node) -> Node:
        """Declare the pooling."""
        return pool.max_pool2d(x, **self.options)


def _max_options(
    kernel_size: Sizes, stride: Sizes | None, padding: Sizes, dilation: Sizes, ceil_mode: bool
) -> dict[str, Any]:
    return {
        "kernel_size": kernel_size,
        "stride": kernel_size if stride is None else stride,
        "padding": padding,
        "dilation": dilation,
        "ceil_mode": ceil_mode,
    }


class AvgPool1d(_Pool):
    """The mean of each window: (..., length); see :func:`graphnn.avg_pool2d`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.AvgPool1d(3, stride=2, padding=1)(gn.Input((None, 8, 100))).shape
    (None, 8, 50)
    """

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        *,
        name: str | None = None,
    ) -> None:
        options = _average_options(kernel_size, stride, padding, ceil_mode, count_include_pad)
        super().__init__(options, name)

    def forward(self, x: Node) -> Node:
        """Declare the pooling."""
        return pool.avg_pool1d(x, **self.options)


class AvgPool2d(_Pool):
    """The mean of each window: (..., height, width); see :func:`graphnn.avg_pool2d`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.AvgPool2d(2)(gn.Input((None, 8, 28, 28))).shape
    (None, 8, 14, 14)
    """

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
        *,
        name: str | None = None,
    ) -> None:
        options = _average_options(kernel_size, stride, padding, ceil_mode, count_include_pad)
        super().__init__({**options, "divisor_override": divisor_override}, name)

    def forward(self, x: Node) -> Node:
        """Declare the pooling."""
        return pool.avg_pool2d(x, **self.options)


def _average_options(
    kernel_size: Sizes, stride: Sizes | None, padding: Sizes, ceil_mode: bool, whole: bool
) -> dict[str, Any]:
    return {
        "kernel_size": kernel_size,
        "stride": kernel_size if stride is None else stride,
        "padding": padding,
        "ceil_mode": ceil_mode,
        "count_include_pad": whole,
    }


class _Adaptive(_Pool):
    def __init__(self, output_size: OutputSize, *, name: str | None = None) -> None:
        super().__init__({"output_size": output_size}, name)


class AdaptiveAvgPool1d(_Adaptive):
    """The mean of each of ``output_size`` windows: (..., length).

    See :func:`graphnn.adaptive_avg_pool2d`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.AdaptiveAvgPool1d(4)(gn.Input((None, 8, 100))).shape
    (None, 8, 4)
    """

    def forward(self, x: Node) -> Node:
        """Declare the pooling."""
        return adaptive.adaptive_avg_pool1d(x, **self.options)


class AdaptiveAvgPool2d(_Adaptive):
    """The mean of each of ``output_size`` windows: (..., height, width).

    See :func:`graphnn.adaptive_avg_pool2d`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.AdaptiveAvgPool2d(1)(gn.Input((None, 512, 7, 7))).shape
    (None, 512, 1, 1)
    """

    def forward(self, x: Node) -> Node:
        """Declare the pooling."""
        return adaptive.adaptive_avg_pool2d(x, **self.options)


class AdaptiveMaxPool1d(_Adaptive):
    """The largest of each of ``output_size`` windows: (..., length).

    See :func:`graphnn.adaptive_avg_pool2d`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.AdaptiveMaxPool1d(4)(gn.Input((None, 8, 100))).shape
    (None, 8, 4)
    """

    def forward(self, x: Node) -> Node:
        """Declare the pooling."""
        return adaptive.adaptive_max_pool1d(x, **self.options)


class AdaptiveMaxPool2d(_Adaptive):
    """The largest of each of ``output_size`` windows: (..., height, width).

    See :func:`graphnn.adaptive_avg_pool2d`.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.AdaptiveMaxPool2d((3, None))(gn.Input((None, 8, 10, 7))).shape
    (None, 8, 3, 7)
    """

    def forward(self, x: Node) -> Node:
        """Declare the pooling."""
        return adaptive.adaptive_max_pool2d(x, **self.options)
