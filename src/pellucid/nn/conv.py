"""Convolutional layers of rank 1, 2 or 3. Imports graph, ops and the sibling modules.

One sample has shape (channels, *space): (C, L) a signal, (C, H, W) a picture, (C, D, H, W) a volume.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Any

from .. import ops
from ..checks import checked, flag, function, of_text, several, whole, wrong
from ..errors import GraphError
from ..graph import Value, sample_input
from .dense import bias_of, masked_weight
from .init import glorot_uniform, lecun_uniform, zeros
from .layer import Layer, as_float

Sizes = int | Sequence[int]


class OfSpace(Layer):
    """Base of layers of (channels, *space): where a sequence (T, ...) with a mask is given, T is taken for channels."""

    keeps_steps = False


class Conv(OfSpace):
    """Filters slid over the input: y[o, p] = b_o + sum over c, i of w[o, c, i] x[c, p s + i d], s strides, d dilation.

    Shapes: (channels, *space) to (filters, *places), (n - kernel + padding) / stride + 1 places along an axis of n;
    weight (filters, channels / groups, *kernel), bias (filters,). ``padding`` is "valid" (none), "same" (as many places
    as n / stride, rounded up), a number of zeros at each border, or a number or a pair (before, after) for each axis.
    ``mask``, 0/1 of shape (filters, channels / groups) or of the weight's, removes connections, as LeNet-5's layer C3
    does. ``train_bias=False``: the bias stays as it starts. Raises `GraphError` where the windows do not fit, unless
    ``floor``: then what is left over is left out.
    Lectures: 000, 001 and 003, "Convolution"; LeCun et al., Proc. IEEE 86, 1998.

    >>> from pellucid import input, nn
    >>> t = nn.trace(nn.Conv(6, 5), input("x", (3, 32, 32)))
    >>> t.output.shape, t.parameters["weight"].value.shape
    ((6, 28, 28), (6, 3, 5, 5))
    """

    filters: int
    kernel_size: Sizes
    strides: Sizes = 1
    padding: Any = "valid"
    dilation: Sizes = 1
    groups: int = 1
    bias: bool = True
    floor: bool = False
    weight_init: Callable = glorot_uniform
    bias_init: Callable = zeros
    mask: Any = None
    train_bias: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_options(self, "filters", "groups")

    def __call__(self, x: Value) -> Value:
        return correlated(self, as_space(x, kernel_size=self.kernel_size), self.filters, self.groups)


class DepthwiseConv(OfSpace):
    """Each channel has ``multiplier`` filters of its own: a `Conv` of as many groups as there are channels.

    Shapes: (channels, *space) to (channels * multiplier, *places); weight (channels * multiplier, 1, *kernel). The
    options are those of `Conv`, ``mask`` and ``train_bias`` too; first values go by the fan-in alone. Howard et al.,
    "MobileNets", 2017.

    >>> from pellucid import input, nn
    >>> nn.trace(nn.DepthwiseConv(3, padding="same"), input("x", (32, 8, 8))).parameters["weight"].value.shape
    (32, 1, 3, 3)
    """

    kernel_size: Sizes
    multiplier: int = 1
    strides: Sizes = 1
    padding: Any = "valid"
    dilation: Sizes = 1
    bias: bool = True
    floor: bool = False
    weight_init: Callable = lecun_uniform
    bias_init: Callable = zeros
    mask: Any = None
    train_bias: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_options(self, "multiplier")

    def __call__(self, x: Value) -> Value:
        x = as_space(x, kernel_size=self.kernel_size)
        return correlated(self, x, x.shape[0] * self.multiplier, groups=x.shape[0])


class ConvTranspose(OfSpace):
    """The way back through a `Conv`: each input element adds its multiple of a kernel to the output, stride apart.

    Shapes: (channels, *places) to (filters, *space), with (n - 1) stride + kernel - padding + output_padding elements
    along an axis of n ("same": n * stride); weight (channels, filters / groups, *kernel), bias (filters,). Also called
    deconvolution. ``train_bias=False``: the bias stays as it starts. Zeiler et al., CVPR 2010.

    >>> from pellucid import input, nn
    >>> nn.trace(nn.ConvTranspose(3, 2, strides=2), input("x", (6, 14, 14))).output.shape
    (3, 28, 28)
    """

    filters: int
    kernel_size: Sizes
    strides: Sizes = 1
    padding: Any = "valid"
    dilation: Sizes = 1
    output_padding: Sizes = 0
    groups: int = 1
    bias: bool = True
    weight_init: Callable = glorot_uniform
    bias_init: Callable = zeros
    train_bias: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_options(self, "filters", "groups")
        checked(self, sizes, "output_padding", least=0)

    def __call__(self, x: Value) -> Value:
        x = as_space(x, kernel_size=self.kernel_size)
        kernel = ops.each_axis(self.kernel_size, x.ndim - 1, "kernel_size")
        check_groups(x.shape[0], self.filters, self.groups)

        def init(key, shape, dtype):  # by the fans of the other direction: (filters, channels / groups, *kernel)
            channels, filters = shape[0] // self.groups, shape[1]
            w = self.weight_init(key, (self.filters, channels, *kernel), dtype)
            w = ops.reshape(w, (self.groups, filters, channels, *kernel))
            return ops.reshape(ops.transpose(w, (0, 2, 1, *range(3, w.ndim))), shape)

        w = self.param("weight", (x.shape[0], self.filters // self.groups, *kernel), init)
        y = ops.correlate_transposed(x, w, self.strides, self.padding, self.dilation, self.groups, self.output_padding)
        return with_bias(self, y)


# ---- what these layers share ------------------------------------------------------------------------------------


def correlated(layer: Any, x: Value, filters: int, groups: int) -> Value:
    """Cross-correlation with a layer's weight, and its bias added."""
    check_groups(x.shape[0], filters, groups)
    kernel = ops.each_axis(layer.kernel_size, x.ndim - 1, "kernel_size")
    w = masked_weight(layer, (filters, x.shape[0] // groups, *kernel))
    return with_bias(layer, ops.correlate(x, w, layer.strides, layer.padding, layer.dilation, groups, layer.floor))


def with_bias(layer: Any, y: Value) -> Value:
    """y[o, ...] + b[o], where the layer has a bias."""
    if not layer.bias:
        return y
    return y + ops.reshape(bias_of(layer, y.shape[:1]), (y.shape[0], *(1,) * (y.ndim - 1)))


def check_groups(channels: int, filters: int, groups: int) -> None:
    if channels % groups or filters % groups:
        both = math.gcd(channels, filters)
        fitting = [n for n in range(1, both + 1) if both % n == 0]
        raise GraphError(f"{channels} channels and {filters} filters do not divide into {groups} groups; "
                         f"groups may be {', '.join(map(str, fitting))}")  # fmt: skip


def check_options(layer: Any, *numbers: str) -> None:
    """The options that layers with a kernel share, and those of ``numbers``, which are whole."""
    checked(layer, whole, *numbers)
    checked(layer, sizes, "kernel_size", "strides", "dilation")
    checked(layer, padding, "padding")
    checked(layer, flag, "bias", "train_bias", *(["floor"] if hasattr(layer, "floor") else []))
    checked(layer, function, "weight_init", "bias_init")


def sizes(owner: Any, name: str, value: Any, *, least: int = 1, optional: bool = False) -> Any:
    """The check of whole numbers, one for all axes of space or one for each."""
    each = several(value)
    if (optional and value is None) or (1 <= len(each) <= 3 and all(is_whole(n, least) for n in each)):
        return value
    wanted = f"a whole number >= {least}, or 1 to 3 of them, one for each axis of space"
    raise wrong(owner, name, wanted, value, optional, of_text(owner, value))


def padding(owner: Any, name: str, value: Any, *, words: tuple[str, ...] = ("valid", "same")) -> Any:
    """The check of zeros at the borders: a word, a number, or for each axis a number or a pair."""
    each = several(value)
    pairs = [several(p) for p in each]
    good = 1 <= len(each) <= 3 and all(len(p) in (1, 2) and all(is_whole(n, 0) for n in p) for p in pairs)
    if good or (isinstance(value, str) and value in words):
        return value
    what = "".join(f"{word!r}, " for word in words)
    raise wrong(owner, name, f"{what}a number, or for each axis a number or a pair (before, after)", value)


def is_whole(n: Any, least: int = 1) -> bool:
    return isinstance(n, int) and not isinstance(n, bool) and n >= least


PICTURE = 8  # the least height and width at which an input's shape is taken for a picture with a wrong channel axis


def as_space(x: Value, **size: Any) -> Value:
    """``x`` as floats of shape (channels, *space); raises `GraphError` for another, with what may have been meant.

    ``size`` is the option (kernel_size or size) whose length, where it is no number, tells the axes of space.
    """
    (option, given), *_ = size.items() or (("", None),)
    rank = len(given) if isinstance(given, (tuple, list)) else None
    fresh = x.primitive is sample_input  # the net's own input: later, such shapes are no mistake
    flat_picture = rank is None and fresh and x.ndim == 2 and x.shape[0] == x.shape[1] >= PICTURE
    if x.ndim == 1 or x.ndim == rank or flat_picture:
        ways = ["x[:, None]"] * fresh + [f"nn.Reshape({(1, *x.shape)}) before it"]
        side = math.isqrt(x.size)
        if x.ndim == 1 and rank != 1 and side * side == x.size:
            ways.append(f"nn.Reshape({(1, side, side)}) for pictures")
        if flat_picture and option:
            ways.append(f"{option}=({given},) if there are {x.shape[0]} channels")
        raise GraphError(f"expects (channels, *space) for each sample, got shape {x.shape} without channels; "
                         f"give {', or '.join(ways)}")  # fmt: skip
    if not 2 <= x.ndim <= 4:
        raise GraphError(f"expects (channels, *space) for each sample, with 1 to 3 axes of space, got shape {x.shape}")
    if fresh and x.ndim == 3 and x.shape[2] in (1, 3, 4) and min(x.shape[:2]) >= PICTURE:
        raise GraphError(f"expects (channels, height, width) for each sample, got shape {x.shape}, whose last axis "
                         "looks like the channels; move the channels first: x.transpose(0, 3, 1, 2)")  # fmt: skip
    return as_float(x)
