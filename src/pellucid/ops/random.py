"""Random numbers from counters: a function of (key, position of the sample, element), the same on every machine.

A key is a shared uint32 Value of shape (2,). `fold_in` makes a new key from a key and a number; two different numbers
give streams that have nothing to do with each other.
"""

from __future__ import annotations

import math

import numpy as np

from ..errors import GraphError
from ..graph import Kind, Shape, Type, Value, primitive
from .composite import erfinv
from .elementwise import FLOATS, cast, minimum, shift_right, spread, threefry
from .movement import fill, iota, reshape, stack
from .reduce import sample_index

_threefry = spread(threefry)


def fold_in(key: Value, number: Value | int) -> Value:
    """A new key from a key and a shared number (a step counter, the number of a layer)."""
    number = cast(number, "uint32") if isinstance(number, Value) else fill(number, (), "uint32")
    return stack([_threefry(key[0], key[1], number, fill(word, (), "uint32")) for word in (0xFFFFFFFE, 0xFFFFFFFF)])


def random_bits(key: Value, shape: Shape, kind: Kind = "shared") -> Value:
    """Uniform 32-bit words; ``kind="sample"`` draws anew for every sample of the batch."""
    size = math.prod(shape)
    sample = sample_index() if kind == "sample" else fill(0, (), "uint32")
    return reshape(_threefry(key[0], key[1], iota(size, "uint32"), sample), shape)


def uniform(key: Value, shape: Shape, dtype: str, low: float = 0.0, high: float = 1.0, kind: Kind = "shared") -> Value:
    """Uniform in [low, high), in steps of 2**-24 of its width; ``low`` itself where both are equal."""
    if not low <= high:
        raise GraphError(f"uniform: low must not be above high, got {low} and {high}")
    unit = cast(shift_right(random_bits(key, shape, kind), fill(8, shape, "uint32")), dtype) * 2.0**-24
    if (low, high) == (0.0, 1.0):
        return unit
    below = np.nextafter(np.asarray(high, dtype), np.asarray(low, dtype))  # a sum may be rounded up to `high`
    return minimum(low + unit * (high - low), fill(below, shape, dtype))


def normal(key: Value, shape: Shape, dtype: str, mean: float = 0, stddev: float = 1, kind: Kind = "shared") -> Value:
    """Normal with the given mean and standard deviation: sqrt(2) * erfinv of a uniform number in (-1, 1)."""
    centered = uniform(key, shape, dtype, kind=kind) * 2 - (1 - 2.0**-24)  # symmetric, never -1 or 1
    return erfinv(centered) * (stddev * math.sqrt(2)) + mean


def _orthonormal_rule(x: Type):
    if len(x.shape) != 2 or x.shape[0] < x.shape[1] or x.dtype not in FLOATS or x.kind != "shared":
        raise GraphError(f"orthonormal: takes a shared matrix (m, n) of floats with m >= n, got {x}")
    return x.shape, x.dtype


orthonormal = primitive(  # for first weights, which the reference executor draws: no other knows it, nor has it a slope
    "orthonormal",
    rule=_orthonormal_rule,
    forward=lambda xp, x: xp.orthonormal(x),
    options={},
)


def bernoulli(key: Value, p: float, shape: Shape, dtype: str, kind: Kind = "shared") -> Value:
    """1 with probability p, else 0."""
    return cast(uniform(key, shape, dtype, kind=kind) < p, dtype)


__all__ = ["bernoulli", "fold_in", "normal", "orthonormal", "random_bits", "uniform"]
