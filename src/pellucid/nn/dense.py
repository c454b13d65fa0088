"""Fully and partially connected layers. Imports graph, ops and the sibling modules."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import field
from typing import Any

from .. import ops
from ..checks import checked, counted, flag, function, number, whole
from ..errors import GraphError
from ..graph import Shape, Value
from .init import glorot_uniform, zeros
from .layer import Layer, as_float, check_layer
from .masks import channel_axis
from .scope import Parameter, weights_changed


class Dense(Layer):
    """Each unit a weighted sum of all inputs: y_i = sum_j w_ij x_j + b_i.

    Shapes: (in,) to (units,); weight (units, in), bias (units,). ``mask``, a 0/1 array of the weight's shape, removes
    connections (a partially connected network): those weights are and stay 0. ``bias=False`` leaves b out,
    ``train_bias=False`` keeps it as it starts. ``weight_init`` and ``bias_init`` give first values: functions of
    `nn.init`. ``name`` stands for the layer's number in the names of its parameters; ``trainable=False`` freezes it.
    Raises `GraphError` where the input is not a vector. Lecture: 003, "Fully connected" and "Partially
    connected NN".

    >>> from pellucid import input, nn
    >>> nn.trace(nn.Dense(2), input("x", (3,))).parameters["weight"].value.shape
    (2, 3)
    """

    units: int
    bias: bool = True
    weight_init: Callable = glorot_uniform
    bias_init: Callable = zeros
    mask: Any = None
    train_bias: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, whole, "units")
        checked(self, flag, "bias", hint=counted(self, self.bias, self.bias))
        checked(self, flag, "train_bias")
        checked(self, function, "weight_init", "bias_init")

    def __call__(self, x: Value) -> Value:
        if x.ndim != 1:
            hint = "did you mean nn.Reshape((1,)) before it?" if x.ndim == 0 else "did you mean nn.Flatten() before it?"
            if x.ndim == 2:
                hint += f" Or for each step of a sequence, nn.TimeDistributed(nn.Dense({self.units}))"
            raise GraphError(f"expects a vector of shape (n,) for each sample, got shape {x.shape}; {hint}")
        x = as_float(x)
        y = ops.contract(self.weight(x), x, "ij,j->i")
        return y + bias_of(self, (self.units,)) if self.bias else y

    def weight(self, x: Value) -> Value:
        """The weight as it is used: masked, where there is a mask."""
        return masked_weight(self, (self.units, x.shape[0]))


def bias_of(layer: Any, shape: Shape, init: Callable | None = None, name: str = "bias") -> Value:
    """A layer's parameter "bias", which is left as it starts where the layer has ``train_bias=False``."""
    return layer.param(name, shape, init or layer.bias_init, trainable=layer.train_bias)


def masked_weight(layer: Any, shape: Shape) -> Value:
    """A layer's parameter "weight", times its ``mask`` if it has one: of the same shape, or of its first two axes."""
    if layer.mask is None:
        return layer.param("weight", shape, layer.weight_init)
    mask, kept = mask_of(layer, shape)
    mask = ops.reshape(mask, (*mask.shape, *(1,) * (len(shape) - mask.ndim)))

    def masked(key, shape, dtype):
        return layer.weight_init(key, shape, dtype) * ops.cast(mask, dtype)

    weight = layer.param("weight", shape, masked, count=int(kept.sum()) * (math.prod(shape) // kept.size))
    return weight * ops.cast(mask, weight.dtype)


def mask_of(layer: Any, shape: Shape) -> tuple[Value, Any]:
    """A layer's ``mask`` for a weight of this shape, as a constant and as an array."""
    mask = ops.constant(layer.mask)
    kept = mask.attributes["value"]
    if mask.shape not in (shape, shape[:2]):
        more = f", or {shape[:2]}, one number for each kernel" if len(shape) > 2 else " (units, inputs)"
        raise GraphError(f"the mask has shape {mask.shape}, the weight {shape}{more}")
    if not ((kept == 0) | (kept == 1)).all():
        raise GraphError("the mask must hold only 0 and 1")
    return mask, kept


class DropConnect(Dense):
    """A Dense layer that, in training, drops each *weight* with probability ``rate`` and scales the rest by 1/(1-rate).

    One draw serves a whole step; ``per_sample=True`` draws for every sample, as the paper does, at the cost of a weight
    matrix each. The other options, ``train_bias`` too, are those of `Dense`. Wan et al., "Regularization of neural
    networks using DropConnect", ICML 2013.
    """

    rate: float = 0.5
    per_sample: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, rate, "rate")
        checked(self, flag, "per_sample")

    def __call__(self, x: Value) -> Value:
        return super().__call__(x)

    def weight(self, x: Value) -> Value:
        w = super().weight(x)
        return drop(self, w, self.rate, "sample" if self.per_sample else "shared")


class WeightDrop(Layer):
    """Any layer, or block of them, whose *weights* are dropped in training, as `DropConnect` does it for `Dense`.

    Each number of an array of two or more axes becomes 0 with probability ``rate``, the others are scaled by
    1/(1-rate); biases stay. One draw serves a whole step, all samples and all steps of a sequence. It has the name of
    the layer. Merity et al., "Regularizing and optimizing LSTM language models", ICLR 2018 (for recurrent weights).

    >>> from pellucid import input, nn
    >>> list(nn.trace(nn.WeightDrop(nn.LSTM(4), 0.2), input("x", (5, 3))).parameters)
    ['weight', 'bias', 'recurrent_weight']
    """

    layer: Layer
    rate: float = 0.5
    transparent = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_layer(self)
        checked(self, rate, "rate")

    def by_step(self, *inputs: Value) -> bool:
        return self.layer.by_step(*inputs)

    def __call__(self, *inputs, **options):
        dropped: dict[str, Value] = {}

        def change(p: Parameter, w: Value) -> Value:
            if p.is_weight and p.name not in dropped:
                dropped[p.name] = drop(self, w, self.rate, "shared")
            return dropped.get(p.name, w)

        with weights_changed(change):
            output = self.layer(*inputs, **options)
        if not dropped:
            raise GraphError(f"{type(self.layer).__name__} has no weights to drop")
        return output


class Dropout(Layer):
    """In training, each value becomes 0 with probability ``rate``, the others are scaled by 1/(1-rate); else nothing.

    Any shape. Srivastava et al., "Dropout", JMLR 2014.
    """

    rate: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, rate, "rate")

    def by_step(self, *inputs: Value) -> bool:
        return True

    def __call__(self, x: Value) -> Value:
        return drop(self, as_float(x), self.rate, "sample")


class SpatialDropout(Layer):
    """In training, each channel becomes 0 as a whole with probability ``rate``, the others are scaled by 1/(1-rate).

    Shapes (C, *space): one draw for a channel and sample, since neighbors in space say much the same. ``axis=-1``: the
    channels are the last axis, as of sequences (T, C), which is so by default where there is a mask. Tompson et al.,
    "Efficient object localization using convolutional networks", CVPR 2015. Raises `GraphError` for a single number.
    """

    rate: float = 0.5
    axis: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, rate, "rate")
        checked(self, whole, "axis", least=None, optional=True)

    def by_step(self, *inputs: Value) -> bool:
        return channel_axis(self, inputs[0]) != -inputs[0].ndim

    def __call__(self, x: Value) -> Value:
        if x.ndim == 0:
            raise GraphError("expects shape (C, *space) for each sample, got a single number; use nn.Dropout")
        axis = channel_axis(self, x) + x.ndim
        return drop(self, as_float(x), self.rate, "sample", tuple(n if a == axis else 1 for a, n in enumerate(x.shape)))


class GaussianNoise(Layer):
    """In training, x plus normal noise of mean 0 and standard deviation ``stddev``; else x. Any shape."""

    stddev: float

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, number, "stddev", least=0)

    def by_step(self, *inputs: Value) -> bool:
        return True

    def __call__(self, x: Value) -> Value:
        x = as_float(x)
        if not self.training or self.stddev == 0:
            return x
        return x + ops.normal(self.random_key(), x.shape, x.dtype, stddev=self.stddev, kind="sample")


def rate(owner: Any, name: str, value: Any) -> Any:
    """The check of a rate at which units are dropped."""
    return number(owner, name, value, least=0, below=1)


def drop(layer: Layer, x: Value, rate: float, kind, shape: Shape | None = None) -> Value:
    """Zeros with probability ``rate`` while units are dropped (in training), the rest scaled so that the mean stays.

    ``shape`` is that of the draws, where one serves for several numbers: it is spread over x.
    """
    if not layer.dropping or rate == 0:
        return x
    kept = ops.bernoulli(layer.random_key(), 1 - rate, x.shape if shape is None else shape, x.dtype, kind)
    return x * kept * (1 / (1 - rate))
