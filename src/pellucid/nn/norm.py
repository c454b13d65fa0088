"""Normalization: numbers brought to a common mean and size, over a batch, a sample, or neighboring channels.

Channels are the first axis of a sample: (C, *space) for an image, (n,) for a vector of features; ``axis=-1`` says that
they are the last, as in sequences (T, C). Steps that a mask leaves out count in no mean over time. Imports graph, ops
and the sibling modules.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import field
from string import ascii_letters

from .. import ops
from ..checks import axes as axes_option
from ..checks import checked, counted, flag, number, whole, wrong
from ..errors import GraphError
from ..graph import Value
from ..ops.reduce import normalize_axes
from .init import constant, zeros
from .layer import Layer, as_float, within
from .masks import channel_axis, known_mask, mask_of, over_features
from .scope import Call, current

Axes = tuple[int, ...]


class BatchNorm(Layer):
    """Each channel with mean 0 and variance 1 over the batch: y = gamma (x - mean) / sqrt(variance + epsilon) + beta.

    Shapes: (C, *space), normalized over samples and positions, or (n,), over samples; with ``axis=-1`` (*space, C), as
    the steps of sequences (T, C) have them, and a sequence with a mask has by default; its padding does not count.
    `nn.TimeDistributed` of it is the same, over samples and steps. gamma, beta (C,), each left out by
    ``scale=False`` and ``center=False``. In training, mean and variance (biased: divided by the count n) are the
    batch's own, and ``moving_mean`` and ``moving_variance`` (C,) follow them: m' = momentum m + (1 - momentum) mean,
    the variance unbiased (divided by n - 1). Evaluation and prediction use these two, and so does a layer with
    ``trainable=False``, which then leaves them alone, as in Keras.

    ``momentum`` is Keras's, with PyTorch's defaults: 0.9 is what PyTorch calls 0.1 (Keras's own default is 0.99, with
    epsilon 1e-3). Weights of samples play no part. One vector has no variance, and a few give a bad
    one, so `Model` trains vectors (n,) in batches of two or more, none much smaller than the others.
    Raises `GraphError` for a single number. Ioffe and Szegedy, "Batch normalization", ICML 2015.

    >>> from pellucid import input, nn
    >>> traced = nn.trace(nn.BatchNorm(), input("x", (3, 8, 8)), training=True)
    >>> [(name, p.value.shape, p.trainable) for name, p in traced.parameters.items()][1:3]
    [('beta', (3,), True), ('moving_mean', (3,), False)]
    """

    momentum: float = 0.9
    epsilon: float = 1e-5
    center: bool = True
    scale: bool = True
    axis: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_options(self)
        checked(self, number, "momentum", least=0, below=1,
                hint=counted(self, self.momentum) or "it is what the moving averages keep")  # fmt: skip
        checked(self, whole, "axis", least=None, optional=True)

    def by_step(self, *inputs: Value) -> bool:
        return channel_axis(self, inputs[0]) != -inputs[0].ndim

    def __call__(self, x: Value) -> Value:
        return self.over(channels_of(x), channel_axis(self, x))

    def of_steps(self, x: Value) -> Value:
        """All steps (T, *sample) of a sequence, each as a sample: the statistics are over samples and steps."""
        if x.ndim < 2:
            raise GraphError(f"TimeDistributed(BatchNorm()) expects a sequence (T, C), got shape {x.shape}")
        with within(self) as path:
            axis = channel_axis(self, x[0])
            y = self.over(as_float(x), axis)
        if (scope := current.get()) is not None:
            scope.calls.append(Call(path, self, y))
        return y

    def over(self, x: Value, axis: int) -> Value:
        """Normalized over all axes but this one, counted from the end, and over the samples."""
        shape, wide = (x.shape[axis],), [1] * x.ndim
        wide[axis] = x.shape[axis]
        gamma, beta = gamma_and_beta(self, x, (axis,))
        space = tuple(a for a in range(-x.ndim, 0) if a != axis)
        if math.prod(x.shape[a] for a in space) == 1:
            self.needs_samples()
        moving_mean = self.param("moving_mean", shape, zeros, trainable=False)
        moving_variance = self.param("moving_variance", shape, constant, trainable=False)
        if not self.training or self.frozen:
            mean, variance = (ops.reshape(v, wide) for v in (moving_mean, moving_variance))
            return centered(x, mean, variance, self.epsilon) * gamma + beta
        counted = time_mask(x, space)
        mean, variance = (ops.reshape(v, shape) for v in moments(x, space, True, counted))
        n = count(x, space, True, counted)
        unbiased = variance * (n / ops.maximum(n - 1, 1))
        there = any_counted(x, space, counted)
        self.follow(moving_mean, mean, there)
        self.follow(moving_variance, unbiased, there)
        return normalized_where(x, counted, gamma, beta, axes=space, epsilon=self.epsilon, batch=True)

    def follow(self, moving: Value, new: Value, there: Value) -> None:
        """Nothing, a batch without samples or all of padding, leaves a moving average as it is."""
        self.update(moving, lambda old: ops.where(there, self.momentum * old + (1 - self.momentum) * new, old))


class LayerNorm(Layer):
    """Each sample with mean 0 and variance 1 over ``axis``: y = gamma (x - mean) / sqrt(variance + epsilon) + beta.

    ``axis`` is one axis of a sample or several, or None for all; the last by default, as in Keras. gamma and beta have
    the shape of x along ``axis`` and are left out by ``scale=False`` and ``center=False``; the variance is biased.
    Raises `GraphError` for an axis that the sample does not have. Ba et al., "Layer normalization", 2016.

    >>> from pellucid import input, nn
    >>> nn.trace(nn.LayerNorm(axis=(0, 1)), input("x", (3, 8))).parameters["gamma"].value.shape
    (3, 8)
    """

    axis: int | Axes | None = -1
    epsilon: float = 1e-5
    center: bool = True
    scale: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_options(self)
        checked(self, axes_option, "axis")

    def by_step(self, *inputs: Value) -> bool:
        return 0 not in [a % inputs[0].ndim for a in self.axes(inputs[0])]

    def axes(self, x: Value) -> Axes:
        """The axes of a sample, from its end."""
        if isinstance(self.axis, int) and self.axis >= x.ndim:
            raise GraphError(f"mean: axis {self.axis} is out of range for a value with {x.ndim} axes (of one sample); "
                             + counted(self, self.axis))  # fmt: skip
        return normalize_axes(self.axis, x.ndim, "mean")

    def __call__(self, x: Value) -> Value:
        axes = self.axes(x)
        check_several(x, axes)
        x = as_float(x)
        y = normalized_where(x, time_mask(x, axes), axes=axes, epsilon=self.epsilon, batch=False)
        gamma, beta = gamma_and_beta(self, y, axes)
        return y * gamma + beta


class GroupNorm(Layer):
    """Channels in ``groups`` of neighbors, each group of a sample with mean 0 and variance 1, then gamma y + beta.

    Shapes (C, *space), gamma and beta (C,), left out by ``scale=False`` and ``center=False``; ``axis`` as in
    `BatchNorm`. One group is layer normalization over all axes, C groups are instance normalization. Raises
    `GraphError` where ``groups`` does not divide C. Wu and He, "Group normalization", ECCV 2018.

    >>> from pellucid import input, nn
    >>> nn.trace(nn.GroupNorm(2), input("x", (6, 8, 8))).parameters["gamma"].value.shape
    (6,)
    """

    groups: int
    epsilon: float = field(default=1e-5, kw_only=True)
    center: bool = True
    scale: bool = True
    axis: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_options(self)
        checked(self, whole, "groups")
        checked(self, whole, "axis", least=None, optional=True)

    def __call__(self, x: Value) -> Value:
        x, axis = channels_of(x), channel_axis(self, x)
        if axis == -x.ndim:
            return self.first(x, time_mask(x, range(1 - x.ndim, 0)))
        counted = time_mask(x, range(-x.ndim, 0))  # of (T, ..., C), then of (C, T, ...)
        order = (x.ndim + axis, *(a for a in range(x.ndim) if a != x.ndim + axis))
        if counted is not None:
            counted = ops.transpose(counted, order)
        y = self.first(ops.transpose(x, order), counted)
        return ops.transpose(y, tuple(order.index(a) for a in range(x.ndim)))

    def first(self, x: Value, counted: Value | None) -> Value:
        """Of channels along the first axis; ``counted`` (1, T, 1, ...): which steps count."""
        c = x.shape[0]
        if c % self.groups:
            divisors = ", ".join(str(g) for g in range(1, c + 1) if c % g == 0)
            raise GraphError(f"groups={self.groups} does not divide the {c} channels of shape {x.shape}; "
                             f"use one of {divisors}")  # fmt: skip
        grouped = ops.reshape(x, (self.groups, c // self.groups, *x.shape[1:]))
        axes = tuple(range(-x.ndim, 0))
        check_several(grouped, axes)
        if counted is not None:
            counted = ops.reshape(counted, (1, *counted.shape))
        y = normalized_where(grouped, counted, axes=axes, epsilon=self.epsilon, batch=False)
        y = ops.reshape(y, x.shape)
        gamma, beta = gamma_and_beta(self, y, (-x.ndim,))
        return y * gamma + beta


class PixelNorm(Layer):
    """At each position, the channels with mean square 1: y_c = x_c / sqrt(mean_c x_c^2 + epsilon).

    Shapes (C, *space); no parameters. Karras et al., "Progressive growing of GANs", ICLR 2018.
    """

    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        check_options(self)

    def __call__(self, x: Value) -> Value:
        x = channels_of(x)
        return x * (1 / ops.sqrt(ops.mean(x * x, 0, keepdims=True) + self.epsilon))


class LocalResponseNorm(Layer):
    """Each activation damped by its neighbors in other channels: b_c = a_c / (k + alpha sum_j a_j^2)^beta.

    The sum is over the ``size`` channels around c at the same position, those that there are. Shapes (C, *space); no
    parameters. ``alpha`` is as in the paper, times the sum; PyTorch's is times the mean, ``size`` times ours, and its
    k is 1. Krizhevsky et al., "ImageNet classification with deep convolutional neural networks", NeurIPS 2012.
    """

    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, whole, "size")
        if self.size % 2 == 0:
            raise wrong(self, "size", "an odd number (a channel and as many on either side)", self.size)
        checked(self, number, "k", above=0)
        checked(self, number, "alpha", least=0)
        checked(self, number, "beta")

    def __call__(self, x: Value) -> Value:
        x = channels_of(x)
        damping = self.k + self.alpha * channel_window(x * x, reach=self.size // 2)
        return x * ops.exp(-self.beta * ops.log(damping))


@ops.with_vjp(lambda g, y, x, *, reach: (channel_window(g, reach=reach),))
def channel_window(x: Value, *, reach: int) -> Value:
    """For each channel the sum over those at most ``reach`` away; i is near j as j is near i: its own adjoint."""
    c = x.shape[0]
    reach = min(reach, c - 1)  # there are no more
    padded = ops.pad(x, [(reach, reach)] + [(0, 0)] * (x.ndim - 1))
    total = padded[:c]
    for i in range(1, 2 * reach + 1):
        total = total + padded[i : i + c]
    return total


# ---- mean and variance ------------------------------------------------------------------------------------------


def moments(x: Value, axes: Axes, batch: bool, counted: Value | None = None) -> tuple[Value, Value]:
    """Mean, and variance mean((x - mean)^2): two passes, since mean(x^2) - mean^2 cancels where the mean is large.

    ``counted``: which numbers count, (T, 1, ...), where not all do.
    """
    n = count(x, axes, batch, counted)
    mean = total(where_counted(x, counted), axes, batch) / n
    off = where_counted(x - mean, counted)
    return mean, total_product(off, off, axes, batch) / n


def centered(x: Value, mean: Value, variance: Value, epsilon: float) -> Value:
    return (x - mean) * (1 / ops.sqrt(variance + epsilon))  # one root and division for many x


def _normalized_vjp(g, y, x, *affine, axes, epsilon, batch):
    """With u = (x - mean) / s and s = sqrt(variance + epsilon), sums and means over all that share a mean:
    dbeta = sum g, dgamma = sum g u, dx = gamma (g - mean g - u mean(g u)) / s. Two sums in one pass serve all three.
    """
    mean, variance = moments(x, axes, batch)
    u, n = centered(x, mean, variance, epsilon), count(x, axes, batch)
    dbeta, dgamma = total(g, axes, batch), total_product(g, u, axes, batch)
    dx = (g - dbeta / n - u * (dgamma / n)) * (1 / ops.sqrt(variance + epsilon))
    return (dx * affine[0], dgamma, dbeta) if affine else (dx,)


@ops.with_vjp(_normalized_vjp)
def normalized(x: Value, *affine: Value, axes: Axes, epsilon: float, batch: bool) -> Value:
    """(x - mean) / sqrt(variance + epsilon), over axes of a sample, and over the samples if ``batch``.

    ``affine``, a gamma and a beta of the mean's shape, or neither: gamma y + beta.
    """
    y = centered(x, *moments(x, axes, batch), epsilon)
    return y * affine[0] + affine[1] if affine else y


def normalized_where(x: Value, counted: Value | None, *affine: Value, axes: Axes, epsilon: float, batch: bool) -> Value:
    """`normalized` by the mean and variance of the numbers that count; the others come out as 0, or beta."""
    if counted is None:
        return normalized(x, *affine, axes=axes, epsilon=epsilon, batch=batch)
    x = where_counted(x, counted)
    y = where_counted(centered(x, *moments(x, axes, batch, counted), epsilon), counted)
    return y * affine[0] + affine[1] if affine else y


def where_counted(x: Value, counted: Value | None) -> Value:
    return x if counted is None else ops.where(counted, x, 0)


def time_mask(x: Value, axes: Iterable[int]) -> Value | None:
    """Which numbers of a sequence count in means over these axes, (T, 1, ...): None for all, or if time is none."""
    if -x.ndim not in axes or known_mask(x) is None:
        return None
    mask = mask_of(x)
    assert mask is not None
    return over_features(mask, x)


def total(x: Value, axes: Axes, batch: bool) -> Value:
    """Sum over axes of a sample, kept with length 1; then, where little is left to add up, over the samples."""
    part = ops.sum(x, axes, keepdims=True)
    return ops.batch_sum(part) if batch else part


def total_product(x: Value, y: Value, axes: Axes, batch: bool) -> Value:
    """The total of x y, as a contraction, which keeps no products."""
    if not axes:
        return total(x * y, axes, batch)
    kept = [1 if i - x.ndim in axes else n for i, n in enumerate(x.shape)]
    letters = ascii_letters[: x.ndim]
    left = "".join(letters[i] for i in range(x.ndim) if i - x.ndim not in axes)
    part = ops.reshape(ops.contract(x, y, f"{letters},{letters}->{left}"), kept)
    return ops.batch_sum(part) if batch else part


def any_counted(x: Value, axes: Axes, counted: Value | None) -> Value:
    """Whether there is anything in a batch that has a mean."""
    if counted is None:
        return ops.batch_size(x.dtype) > 0
    there = ops.broadcast_to(ops.cast(counted, x.dtype), x.shape)
    return ops.reshape(ops.max(total(there, axes, True)), ()) > 0


def count(x: Value, axes: Axes, batch: bool, counted: Value | None = None) -> Value:
    """How many numbers share a mean; 1 where none counts."""
    if counted is not None:
        there = ops.broadcast_to(ops.cast(counted, x.dtype), x.shape)
        return ops.maximum(ops.reshape(ops.max(total(there, axes, batch)), ()), 1)
    n = math.prod(x.shape[a] for a in axes)
    return ops.batch_size(x.dtype) * n if batch else ops.fill(n, (), x.dtype)


# ---- gamma and beta, and what is asked of layers and inputs -------------------------------------------------------


def gamma_and_beta(layer, y: Value, axes: Axes) -> tuple[Value, Value]:
    """A number each for every place along ``axes`` of y, the other axes of length 1; 1 and 0 where it has none."""
    shape = tuple(y.shape[a] for a in axes)
    wide = tuple(n if i - y.ndim in axes else 1 for i, n in enumerate(y.shape))
    gamma = layer.param("gamma", shape, constant) if layer.scale else ops.fill(1, shape, y.dtype)
    beta = layer.param("beta", shape, zeros) if layer.center else ops.fill(0, shape, y.dtype)
    return ops.reshape(gamma, wide), ops.reshape(beta, wide)


def check_options(layer) -> None:
    checked(layer, number, "epsilon", above=0, hint="without it a variance of 0 would divide by 0")
    for name in ("center", "scale"):
        if hasattr(layer, name):
            value = getattr(layer, name)
            checked(
                layer, flag, name, hint=counted(layer, value, *([layer.groups] if hasattr(layer, "groups") else []))
            )


def check_several(x: Value, axes: Axes) -> None:
    if math.prod(x.shape[a] for a in axes) == 1:
        raise GraphError(f"there is one number alone to normalize, so that all would become 0: shape {x.shape} over "
                         f"axes {axes}; use more channels, fewer groups or another axis")  # fmt: skip


def channels_of(x: Value) -> Value:
    """The input as floats, if it has an axis of channels."""
    if x.ndim == 0:
        raise GraphError("expects shape (C, *space) or (n,) for each sample, got a single number; "
                         "did you mean nn.Reshape((1,)) before it?")  # fmt: skip
    return as_float(x)
