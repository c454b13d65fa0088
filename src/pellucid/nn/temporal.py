"""Convolution and pooling over time, of sequences (T, channels). Imports graph, ops and the sibling modules."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import field
from typing import Any

from .. import ops
from ..checks import checked, flag, function, whole
from ..graph import Value
from .conv import check_groups, padding
from .dense import bias_of
from .embedding import as_steps
from .init import glorot_uniform, zeros
from .layer import Layer
from .masks import mask_of, mean_where, over_features, with_mask

LEAST = -1e30  # less than any number in a net, and one itself, so that windows of padding alone give no NaN


class Conv1D(Layer):
    """Filters slid over time: y[p, o] = b_o + sum over i, c of w[o, c, i] x[p s + i d, c], s strides, d dilation.

    Shapes: (T, channels) to (places, filters), time first, where `nn.Conv` takes (channels, L); weight
    (filters, channels / groups, kernel_size), bias (filters,). ``padding`` is "valid" (none), "same" (as many places as
    T / strides, rounded up), "causal" (the same, all of it before: a place sees no later step), or a number or pair of
    zeros. Steps that a mask leaves out count as zeros, and a "valid" window that touches one does not count: masked
    places are those that the sequence would not have without its padding ("same" with strides puts its windows by the
    padded length: pad by multiples of the stride). ``train_bias=False``: the bias stays as it starts. Raises
    `GraphError` where windows do not fit, unless ``floor``. Van den Oord et al., "WaveNet", 2016.

    >>> from pellucid import input, nn
    >>> nn.trace(nn.Conv1D(8, 3, padding="causal", dilation=2), input("x", (50, 4))).output.shape
    (50, 8)
    """

    filters: int
    kernel_size: int
    strides: int = 1
    padding: Any = "valid"
    dilation: int = 1
    groups: int = 1
    bias: bool = True
    floor: bool = False
    weight_init: Callable = glorot_uniform
    bias_init: Callable = zeros
    train_bias: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, whole, "filters", "kernel_size", "strides", "dilation", "groups")
        checked(self, padding, "padding", words=("valid", "same", "causal"))
        checked(self, flag, "bias", "train_bias", "floor")
        checked(self, function, "weight_init", "bias_init")

    def __call__(self, x: Value) -> Value:
        x, mask = as_steps(x, 2), mask_of(x)
        if mask is not None:
            x = ops.where(mask[:, None], x, 0)
        check_groups(x.shape[1], self.filters, self.groups)
        w = self.param("weight", (self.filters, x.shape[1] // self.groups, self.kernel_size), self.weight_init)
        around = self.padding
        if around == "causal":
            around = [((self.kernel_size - 1) * self.dilation, 0)]
        elif not isinstance(around, (str, int)):
            around = [around]
        floor = self.floor or self.padding == "causal"
        y = ops.correlate(ops.transpose(x), w, self.strides, around, self.dilation, self.groups, floor)
        y = ops.transpose(y)
        if self.bias:
            y = y + bias_of(self, (self.filters,))
        if mask is None:
            return y
        return with_mask(y, mask_of_places(mask, len(y), self.kernel_size, self.strides, self.dilation, around))


def mask_of_places(mask: Value, places: int, kernel: int, stride: int, dilation: int, padding: Any) -> Value:
    """Which places of windows count, bool (places,): those that there would be without the steps that do not count.

    A window may reach as far beyond the steps that count as the padding lets it reach beyond the sequence: none of
    "valid" may touch one that does not count; with "same" the step p s must count.
    """
    if padding == "same":
        before, needed = 0, {0}
    else:
        ((before, after),) = ops.padding_widths(padding, mask.shape, (kernel,), (stride,), (dilation,))
        reach = (kernel - 1) * dilation
        low = min(before, reach)
        high = max(reach - after, low)
        needed = {low, high, *(i for i in range(0, reach + 1, dilation) if low <= i <= high)}
    counted: Value | None = None
    for offset in sorted(needed):  # whether step p s - before + offset counts, for each place p
        first = offset - before
        end = first + (places - 1) * stride + 1
        wide = ops.pad(mask, [(max(-first, 0), max(end - len(mask), 0))])
        part = wide[max(first, 0) : max(first, 0) + (places - 1) * stride + 1 : stride]
        counted = part if counted is None else counted & part
    assert counted is not None
    return counted


class Pool1D(Layer):
    """Base of pooling over windows of time."""

    size: int
    strides: int | None = None
    padding: Any = "valid"
    floor: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, whole, "size")
        checked(self, whole, "strides", optional=True)
        checked(self, padding, "padding")
        checked(self, flag, "floor")

    def geometry(self) -> tuple[int, int, Any]:
        """Size, strides and padding of the windows."""
        return self.size, self.strides or self.size, self.padding if isinstance(self.padding, (str, int)) else [
            self.padding]  # fmt: skip


class MaxPool1D(Pool1D):
    """The largest value of each channel in each window of time; windows lie side by side unless ``strides`` says.

    Shapes: (T, channels) to (places, channels), time first, where `nn.MaxPool` takes (channels, L). ``padding`` is
    "valid", "same", a number or a pair, and never the largest, nor is a step that a mask leaves out. A "valid" window
    that touches one does not count, as if the sequence ended there; a "same" one does, with what is there. Raises
    `GraphError` where windows do not fit, unless ``floor``.

    >>> from pellucid import input, nn
    >>> nn.trace(nn.MaxPool1D(2), input("x", (50, 4))).output.shape
    (25, 4)
    """

    def __call__(self, x: Value) -> Value:
        x, mask = as_steps(x, 2), mask_of(x)
        size, strides, around = self.geometry()
        if mask is None:
            return ops.transpose(ops.max_pool(ops.transpose(x), size, strides, around, floor=self.floor))
        low = ops.where(mask[:, None], x, LEAST)
        y = ops.transpose(ops.max_pool(ops.transpose(low), size, strides, around, floor=self.floor))
        counted = mask_of_places(mask, len(y), size, strides, 1, around)
        return with_mask(ops.where(counted[:, None], y, 0), counted)


class AvgPool1D(Pool1D):
    """The mean of each channel in each window of time; the options, shapes and masks are those of `MaxPool1D`.

    Padding, and steps that a mask leaves out, are left out of the mean.
    """

    def __call__(self, x: Value) -> Value:
        x, mask = as_steps(x, 2), mask_of(x)
        size, strides, around = self.geometry()
        if mask is None:
            return ops.transpose(ops.avg_pool(ops.transpose(x), size, strides, around, self.floor))
        there = ops.cast(mask, x.dtype)[:, None]

        def mean(v: Value) -> Value:
            return ops.transpose(ops.avg_pool(ops.transpose(v), size, strides, around, self.floor, True))

        share = mean(there)  # of each window, what counts
        y = mean(ops.where(mask[:, None], x, 0)) / ops.where(share > 0, share, 1)
        counted = mask_of_places(mask, len(y), size, strides, 1, around)
        return with_mask(ops.where(counted[:, None], y, 0), counted)


class GlobalMaxPool1D(Layer):
    """The largest value of each channel over time: (T, channels) to (channels,).

    Steps that a mask leaves out do not count; where none is left the result is 0.

    >>> from pellucid import input, nn
    >>> nn.trace(nn.GlobalMaxPool1D(), input("x", (50, 4))).output.shape
    (4,)
    """

    def __call__(self, x: Value) -> Value:
        x, mask = as_steps(x), mask_of(x)
        if mask is None:
            return ops.largest(x, axis=0)
        there = over_features(mask, x)
        some = ops.max(ops.cast(mask, "int32")) > 0
        return ops.where(some, ops.largest(ops.where(there, x, -math.inf), axis=0), 0)


class GlobalAvgPool1D(Layer):
    """The mean of each channel over time: (T, channels) to (channels,).

    Steps that a mask leaves out do not count; where none is left the result is 0.

    >>> from pellucid import input, nn
    >>> nn.trace(nn.GlobalAvgPool1D(), input("x", (50, 4))).output.shape
    (4,)
    """

    def __call__(self, x: Value) -> Value:
        x, mask = as_steps(x), mask_of(x)
        return mean_where(x, None if mask is None else over_features(mask, x), 0)
