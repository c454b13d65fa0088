"""Convolution and pooling over time, of sequences (T, channels). Imports graph, ops and the sibling modules."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .. import ops
from ..checks import checked, flag, function, whole
from ..graph import Value
from .conv import check_groups, padding
from .embedding import as_steps
from .init import glorot_uniform, zeros
from .layer import Layer
from .masks import mask_of, mean_where, over_features, with_mask


class Conv1D(Layer):
    """Filters slid over time: y[p, o] = b_o + sum over i, c of w[o, c, i] x[p s + i d, c], s strides, d dilation.

    Shapes: (T, channels) to (places, filters), time first, where `nn.Conv` takes (channels, L); weight
    (filters, channels / groups, kernel_size), bias (filters,). ``padding`` is "valid" (none), "same" (as many places as
    T / strides, rounded up), "causal" (the same, all of it before: a place sees no later step), or a number or pair of
    zeros. Steps that a mask leaves out count as zeros; a place has the mask of step p s. Raises `GraphError` where
    windows do not fit, unless ``floor``. Van den Oord et al., "WaveNet", 2016.

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

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, whole, "filters", "kernel_size", "strides", "dilation", "groups")
        checked(self, padding, "padding", words=("valid", "same", "causal"))
        checked(self, flag, "bias", "floor")
        checked(self, function, "weight_init", "bias_init")

    def __call__(self, x: Value) -> Value:
        x, mask = as_steps(x, 2), mask_of(x)
        if mask is not None:
            x = ops.where(mask[:, None], x, 0)
        check_groups(x.shape[1], self.filters, self.groups)
        w = self.param("weight", (self.filters, x.shape[1] // self.groups, self.kernel_size), self.weight_init)
        padding, causal = self.padding, self.padding == "causal"
        if not isinstance(padding, (str, int)):
            padding = [padding]
        if causal:
            padding = [((self.kernel_size - 1) * self.dilation, 0)]
        floor = self.floor or causal
        y = ops.correlate(ops.transpose(x), w, self.strides, padding, self.dilation, self.groups, floor)
        y = ops.transpose(y)
        if self.bias:
            y = y + self.param("bias", (self.filters,), self.bias_init)
        return with_mask(y, None if mask is None else mask_of_places(mask, len(y), self.strides))


def mask_of_places(mask: Value, places: int, stride: int) -> Value:
    """Which places of windows count: those whose step p s does; places beyond the sequence do not."""
    kept = mask[::stride][:places]
    return ops.pad(kept, [(0, places - len(kept))]) if len(kept) < places else kept


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
