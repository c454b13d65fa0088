"""Pooling, upsampling and padding, of rank 1, 2 or 3. Imports graph, ops and the sibling modules."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..checks import checked, choice, flag
from ..graph import Value
from .conv import OfSpace, Sizes, as_space, padding, sizes


class MaxPool(OfSpace):
    """The largest value of each window; windows lie side by side unless ``strides`` says otherwise.

    Shapes: (channels, *space) to (channels, *places), with (n - size + padding) / stride + 1 places along an axis of n.
    ``padding`` and ``floor`` are those of `Conv`; padding is never the largest. Lecture 000, "Pooling".

    >>> from pellucid import input, nn
    >>> nn.trace(nn.MaxPool(2), input("x", (6, 28, 28))).output.shape
    (6, 14, 14)
    """

    size: Sizes
    strides: Sizes | None = None
    padding: Any = "valid"
    floor: bool = False
    dilation: Sizes = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, sizes, "size", "dilation")
        checked(self, sizes, "strides", optional=True)
        checked(self, padding, "padding")
        checked(self, flag, "floor")

    def __call__(self, x: Value) -> Value:
        x = as_space(x, size=self.size)
        return ops.max_pool(x, self.size, self.strides, self.padding, self.dilation, self.floor)


class AvgPool(OfSpace):
    """The mean of each window; the options and shapes are those of `MaxPool`.

    Padding is left out of the mean, unless ``count_include_pad``: then it counts as zeros.
    """

    size: Sizes
    strides: Sizes | None = None
    padding: Any = "valid"
    floor: bool = False
    count_include_pad: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, sizes, "size")
        checked(self, sizes, "strides", optional=True)
        checked(self, padding, "padding")
        checked(self, flag, "floor", "count_include_pad")

    def __call__(self, x: Value) -> Value:
        x = as_space(x, size=self.size)
        return ops.avg_pool(x, self.size, self.strides, self.padding, self.floor, self.count_include_pad)


class GlobalMaxPool(OfSpace):
    """The largest value of each channel: (channels, *space) to (channels,)."""

    def __call__(self, x: Value) -> Value:
        return ops.global_max_pool(as_space(x))


class GlobalAvgPool(OfSpace):
    """The mean of each channel: (channels, *space) to (channels,). Lin et al., "Network in network", 2013."""

    def __call__(self, x: Value) -> Value:
        return ops.global_avg_pool(as_space(x))


class UpSample(OfSpace):
    """Each axis of space longer by a whole factor: (channels, *space) to (channels, *(n * factor)).

    ``method``: "nearest" repeats each element; "bilinear" ("linear" for signals, "trilinear" for volumes) goes evenly
    from one element to the next, as PyTorch's ``align_corners=False``.

    >>> from pellucid import input, nn
    >>> nn.trace(nn.UpSample(2), input("x", (6, 14, 14))).output.shape
    (6, 28, 28)
    """

    factor: Sizes
    method: str = "nearest"

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, sizes, "factor")
        checked(self, choice, "method", among=("nearest", "linear", "bilinear", "trilinear"))

    def __call__(self, x: Value) -> Value:
        return ops.upsample(as_space(x, factor=self.factor), self.factor, self.method)


class ZeroPad(OfSpace):
    """Zeros around the space: a number at each border, or a number or a pair (before, after) for each axis."""

    padding: Any

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, padding, "padding", words=())

    def __call__(self, x: Value) -> Value:
        x = as_space(x)
        one = (1,) * (x.ndim - 1)
        return ops.padded(x, ops.padding_widths(self.padding, x.shape[1:], one, one, one))
