"""What comes first in a net for sequences: tokens as vectors, padding that is left out, and each step's position.

Imports graph, ops and the sibling modules.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

from .. import ops
from ..checks import checked, function, number, whole
from ..errors import GraphError
from ..graph import Value
from .init import normal, uniform
from .layer import Layer, as_float
from .masks import over_features, with_mask


class Embedding(Layer):
    """Each token's row of a table that is learnt: y_t = w[x_t].

    Shapes: (T,) whole numbers 0..rows-1 to (T, units), or any shape with an axis of units after it; weight
    (rows, units). With a ``padding_index``, steps of that token get a mask: recurrent layers, attention and pooling
    over time leave them out. A token outside the table is an error when the net runs. Raises `GraphError` for floats.

    >>> from pellucid import input, nn
    >>> nn.trace(nn.Embedding(1000, 16), input("words", (7,), "int32")).output.shape
    (7, 16)
    """

    rows: int
    units: int
    padding_index: int | None = None
    weight_init: Callable = uniform

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, whole, "rows", "units")
        checked(self, whole, "padding_index", least=0, most=self.rows - 1, optional=True, hint="it is a row's number")
        checked(self, function, "weight_init")

    def by_step(self, *inputs: Value) -> bool:
        return True

    def __call__(self, x: Value) -> Value:
        if x.dtype in ("float32", "float64"):
            raise GraphError(f"expects tokens, whole numbers 0..{self.rows - 1}, got {x.dtype} of shape {x.shape}; "
                             "give x.astype('int32')")  # fmt: skip
        check_steps(x)
        x = x if x.dtype == "int64" else ops.cast(x, "int32")
        y = ops.take(self.param("weight", (self.rows, self.units), self.weight_init), x)
        if self.padding_index is None or x.ndim != 1:
            return y
        return with_mask(y, ~ops.equal(x, self.padding_index))


class Masking(Layer):
    """Steps all of whose numbers are ``value`` get a mask, and become 0: padding, in sequences of numbers.

    Shapes: (T, features) as it is. Raises `GraphError` where a step is no vector.

    >>> from pellucid import input, nn
    >>> def net(x):
    ...     return ops.cast(nn.mask_of(nn.Masking()(x)), "float32")
    >>> nn.trace(net, input("x", (7, 2))).output.shape
    (7,)
    """

    value: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, number, "value")

    def by_step(self, *inputs: Value) -> bool:
        return True

    def __call__(self, x: Value) -> Value:
        x = as_steps(x)
        there = ops.cast(~ops.equal(x, self.value), "int32")
        mask = ops.max(there, tuple(range(1, x.ndim))) > 0
        return with_mask(ops.where(over_features(mask, x), x, 0), mask)


class PositionalEncoding(Layer):
    """Each step's position added, as waves of many lengths: y_t = x_t + p_t, with no parameters.

    p[t, 2i] = sin(t / 10000^(2i / units)), p[t, 2i + 1] = cos of the same. Shapes: (T, units) as it is. Vaswani et al.,
    "Attention is all you need", NeurIPS 2017.

    >>> waves(2, 4)[1][:2] == (math.sin(1), math.cos(1))
    True
    """

    def __call__(self, x: Value) -> Value:
        x = as_steps(x, 2)
        return x + ops.constant(waves(*x.shape), x.dtype)


@functools.cache
def waves(length: int, units: int) -> tuple[tuple[float, ...], ...]:
    """The sinusoidal positional encoding of each step."""

    def wave(t: int, i: int) -> float:
        angle = t / 10000 ** (i // 2 * 2 / units)
        return math.cos(angle) if i % 2 else math.sin(angle)

    return tuple(tuple(wave(t, i) for i in range(units)) for t in range(length))


class PositionEmbedding(Layer):
    """Each step's position added, as a vector that is learnt: y_t = x_t + w_t.

    Shapes: (T, units) as it is; weight (length, units). ``length`` is that of the longest sequence, by default that of
    all; longer ones raise `GraphError`. Gehring et al., "Convolutional sequence to sequence learning", ICML 2017.

    >>> from pellucid import input, nn
    >>> nn.trace(nn.PositionEmbedding(50), input("x", (7, 16))).parameters["weight"].value.shape
    (50, 16)
    """

    length: int | None = None
    weight_init: Callable = functools.partial(normal, size=0.02)

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, whole, "length", optional=True)
        checked(self, function, "weight_init")

    def __call__(self, x: Value) -> Value:
        x = as_steps(x, 2)
        t, units = x.shape
        w = self.param("weight", (self.length or t, units), self.weight_init)
        if t > w.shape[0]:
            raise GraphError(f"has {w.shape[0]} positions, got a sequence of {t} steps; use a length of at least {t}")
        return x + w[:t]


def as_steps(x: Value, ndim: int | None = None) -> Value:
    """A sequence as floats: (T, features), or with more axes where ``ndim`` is not given; otherwise a `GraphError`."""
    if x.ndim < 2 or (ndim is not None and x.ndim != ndim):
        hint = ("; for tokens put nn.Embedding before it, for one number a step nn.Reshape((-1, 1)); a recurrent layer "
                "before it needs return_sequences=True") * (x.ndim == 1)  # fmt: skip
        raise GraphError(f"expects a sequence (T, features) for each sample, got shape {x.shape}{hint}")
    check_steps(x)
    return as_float(x)


def check_steps(x: Value) -> None:
    if 0 in x.shape[:1]:
        raise GraphError(f"a sequence of length 0 has no steps: shape {x.shape}; leave such samples out, or pad them")
