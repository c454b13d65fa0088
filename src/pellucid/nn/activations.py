"""Activation functions: plain functions of Values, options by keyword. Adding one is adding a function to the table.

Give options with ``functools.partial``: ``nn.Sequential(nn.Dense(8), partial(nn.leaky_relu, slope=0.2))``.
"""

from __future__ import annotations

import math
from typing import Any

from .. import ops
from ..checks import number
from ..errors import ArgumentError
from ..graph import Value


def options(owner: str, above: float | None = None, **given: Any) -> tuple[Any, ...]:
    """Options of an activation: numbers, or Values, such as parameters that are learnt."""
    return tuple(x if isinstance(x, Value) else number(owner, name, x, above=above) for name, x in given.items())


def linear(v: Value) -> Value:
    """v itself, the identity."""
    return v


def step(v: Value, a: float = 0.0, b: float = 1.0, c: float = 0.0) -> Value:
    """a where v < c, else b; slope 0 everywhere. (McCulloch and Pitts, 1943; at v = c the lectures leave it open.)"""
    a, b, c = options("step", a=a, b=b, c=c)
    return ops.where(v < c, ops.zeros_like(v) + a, b)


def ramp(v: Value, a: float = 0.0, b: float = 1.0, c: float = 0.0, d: float = 1.0) -> Value:
    """a up to c, b from d on, and the straight line between them: a + (v - c)(b - a)/(d - c); slope 0 at c and d."""
    a, b, c, d = options("ramp", a=a, b=b, c=c, d=d)
    if not isinstance(c, Value) and not isinstance(d, Value) and c >= d:
        raise ArgumentError(f"ramp: d must be above c, got c={c!r} and d={d!r}; for a step use nn.step")
    line = a + (v - c) * ((b - a) / (d - c))
    return ops.where(v <= c, a, ops.where(v >= d, b, line))


def sign(v: Value, threshold: float = 0.0) -> Value:
    """-1, 0 or 1 as v is below, at or above the threshold; slope 0 everywhere. sign(S - 0.2) is threshold=0.2."""
    (threshold,) = options("sign", threshold=threshold)
    return ops.sign(v - threshold)


def sigmoid(v: Value, z: float = 0.0, x: float = 1.0, y: float = 0.0) -> Value:
    """z + 1 / (1 + exp(-x v + y)); slope at most 1/4 (for x = 1), at 0."""
    z, x, y = options("sigmoid", z=z, x=x, y=y)
    if x != 1.0 or y != 0.0:
        v = v * x - y
    return ops.sigmoid(v) if isinstance(z, float | int) and z == 0 else ops.sigmoid(v) + z


def tanh(v: Value) -> Value:
    """(exp(v) - exp(-v)) / (exp(v) + exp(-v)); slope 1 - tanh(v)^2, at most 1, at 0."""
    return ops.tanh(v)


@ops.with_vjp(lambda g, y, v: (ops.where(y > 0, g, 0),))  # by its result, so that v itself need not be kept
def relu(v: Value) -> Value:
    """max(0, v); slope 1 for v > 0, else 0. The slope at 0 itself is a choice: here it is 0."""
    return ops.maximum(v, 0)


def leaky_relu(v: Value, slope: float = 0.01) -> Value:
    """v for v > 0, else slope * v; at 0 the slope is the one below, as everywhere (docs/graph.md)."""
    (slope,) = options("leaky_relu", slope=slope)
    return ops.where(v > 0, v, v * slope)


def elu(v: Value, alpha: float = 1.0) -> Value:
    """v for v > 0, else alpha (exp(v) - 1). Clevert et al., ICLR 2016."""
    (alpha,) = options("elu", alpha=alpha)
    return ops.where(v > 0, v, alpha * ops.expm1(ops.where(v > 0, 0, v)))


def softplus(v: Value) -> Value:
    """log(1 + exp(v)), the smooth ReLU; its slope is the sigmoid."""
    return ops.softplus(v)


def gaussian(v: Value, mu: float = 0.0, sigma: float = 1.0) -> Value:
    """exp(-((v - mu)/sigma)^2 / 2) / (sqrt(2 pi) sigma)."""
    (mu,) = options("gaussian", mu=mu)
    (sigma,) = options("gaussian", above=0, sigma=sigma)
    u = (v - mu) * (1 / sigma)
    return ops.exp(u * u * -0.5) * (1 / (math.sqrt(2 * math.pi) * sigma))


def softmax(v: Value, axis: int = -1) -> Value:
    """exp(v_i) / sum_j exp(v_j): positive numbers that sum to 1."""
    return ops.softmax(v, axis)


def _below(v: Value) -> Value:
    """The normal distribution function: the probability of a number below v."""
    return 0.5 * (1 + ops.erf(v * math.sqrt(0.5)))


@ops.with_vjp(lambda g, y, v: (g * (_below(v) + v * (ops.exp(v * v * -0.5) * (1 / math.sqrt(2 * math.pi)))),))
def gelu(v: Value) -> Value:
    """v times the normal distribution function: v (1 + erf(v / sqrt 2)) / 2. Hendrycks and Gimpel, 2016."""
    return v * _below(v)


def silu(v: Value) -> Value:
    """v sigmoid(v). Elfwing et al., 2018."""
    return v * ops.sigmoid(v)


ACTIVATIONS = {f.__name__: f for f in (linear, step, ramp, sign, sigmoid, tanh, relu, leaky_relu, elu, softplus,
                                       gaussian, softmax, gelu, silu)}  # fmt: skip
