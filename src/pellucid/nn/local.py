"""Locally connected layers: a convolution's windows, each with weights of its own. Imports graph, ops and siblings."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import field
from typing import Any

from .. import ops
from ..checks import checked, whole
from ..errors import GraphError
from ..graph import Shape, Value
from ..ops.conv import padded
from ..ops.sizes import fitted
from .conv import OfSpace, Sizes, as_space, check_options
from .dense import bias_of
from .init import glorot_uniform, zeros


class LocallyConnected(OfSpace):
    """A `Conv` whose kernels are not shared: y[o, p] = b[o, p] + sum over c, i of w[o, p, c, i] x[c, p s + i d].

    Each place p has filters of its own, for pictures in which places differ, such as faces that stand in the middle.
    Shapes: (channels, *space) to (filters, *places), for 1 to 3 axes of space; weight (filters * places, channels,
    *kernel), with all places of the first filter first, bias (filters, *places): as many weights as places times those
    of the `Conv`. Options, first values (those of a kernel, drawn for each place) and errors are those of `Conv`.
    Lecture: 003, "Partially connected NN"; LeCun, "Generalization and network design strategies", 1989.

    >>> from pellucid import input, nn
    >>> t = nn.trace(nn.LocallyConnected(2, 3), input("x", (1, 8, 8)))
    >>> t.output.shape, sum(p.count for p in t.parameters.values())  # 2 * 6 * 6 * (3 * 3 + 1); of a Conv 20
    ((2, 6, 6), 720)
    """

    filters: int
    kernel_size: Sizes
    strides: Sizes = 1
    padding: Any = "valid"
    dilation: Sizes = 1
    bias: bool = True
    floor: bool = False
    weight_init: Callable = glorot_uniform
    bias_init: Callable = zeros
    train_bias: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, whole, "filters")
        check_options(self)

    def __call__(self, x: Value) -> Value:
        x = as_space(x, kernel_size=self.kernel_size)
        rank = x.ndim - 1
        kernel = ops.each_axis(self.kernel_size, rank, "kernel_size")
        strides, dilations, widths = fitted(x.shape[1:], kernel, self.strides, self.padding, self.dilation, self.floor)
        view = ops.windows(padded(x, widths), kernel, strides, dilations)  # (channels, *places, *kernel)
        places, own = view.shape[1 : rank + 1], (x.shape[0], *kernel)
        units = self.filters * math.prod(places)

        def first(key: Value, shape: Shape, dtype: str) -> Value:
            return self.first_weights(key, math.prod(places), own, dtype)

        w = ops.reshape(self.param("weight", (units, *own), first), (self.filters, math.prod(places), math.prod(own)))
        # two axes of weights and places: the gradient is computed several times as fast as over those of the view
        axes = (*range(1, rank + 1), 0, *range(rank + 1, view.ndim))
        rows = ops.reshape(ops.transpose(view, axes), w.shape[1:])  # (places, channels * kernel)
        y = ops.reshape(ops.contract(w, rows, "opk,pk->op"), (self.filters, *places))
        return y + bias_of(self, y.shape) if self.bias else y

    def first_weights(self, key: Value, places: int, own: Shape, dtype: str) -> Value:
        """The first values of a kernel (filters, channels, *kernel), drawn for each place: (filters * places, ...)."""

        def one(place: Value) -> Value:
            return self.weight_init(ops.fold_in(key, place), (self.filters, *own), dtype)

        try:
            each = ops.vmap(one, ops.iota(places))
        except GraphError:  # an initializer that cannot do several at once, such as orthogonal
            each = ops.stack([one(ops.fill(p, (), "int32")) for p in range(places)])
        assert isinstance(each, Value)
        return ops.reshape(ops.transpose(each, (1, 0, *range(2, each.ndim))), (self.filters * places, *own))
