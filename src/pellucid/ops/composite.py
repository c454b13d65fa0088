"""Formulas made of primitives. Those whose derived gradient would be numerically poor carry their own (`with_vjp`)."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, TypeVar

from ..checks import number
from ..graph import Value
from . import reduce
from .elementwise import equals, exp, log, log1p, sqrt, where
from .movement import ruled

F = TypeVar("F", bound=Callable[..., Value])


def with_vjp(rule: Callable[..., Any]) -> Callable[[F], F]:
    """Decorate a function of Values with its own derivative rule ``rule(g, y, *inputs, **options)``.

    The rule returns one cotangent per input (None: no derivative), in graph operations.
    """

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def wrapped(*inputs: Value, **options):
            own = functools.partial(rule, **options)
            own.__name__ = function.__name__  # type: ignore[attr-defined]  # what an error calls it
            y = function(*inputs, **options)
            if y.kind == "shared" and any(i.kind == "sample" for i in inputs):
                y = reduce.to_samples(y)  # a constant: what stands for it is one for each sample
            return ruled(y, *inputs, rule=own)

        return wrapped  # type: ignore[return-value]

    return decorate


@with_vjp(lambda g, y, x: (g * y * (1 - y),))
def sigmoid(x: Value) -> Value:
    """1 / (1 + exp(-x)); derivative y (1 - y), which is right at -100 where the derived one is inf/inf."""
    return 1 / (1 + exp(-x))


@with_vjp(lambda g, y, x: (g * sigmoid(x),))
def softplus(x: Value) -> Value:
    """log(1 + exp(x)), without overflow."""
    return where(x > 0, x, 0) + log1p(exp(-abs(x)))


def _logsumexp_vjp(g, y, x, *, axis, keepdims):
    if not keepdims:
        g, y = (reduce._spread_back(v, x, reduce.normalize_axes(axis, x.ndim, "logsumexp")) for v in (g, y))
    return (g * exp(x - where(equals(y, -math.inf), 0, y)),)  # all -inf: every share is 0


def logsumexp(x: Value, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Value:
    """log(sum(exp(x))) over axes, without overflow; -inf where all are -inf. Its derivative is the softmax, there 0."""
    return _logsumexp(x, axis=axis, keepdims=keepdims)


@with_vjp(_logsumexp_vjp)
def _logsumexp(x, *, axis, keepdims):
    largest = reduce.max(x, axis, keepdims=True)
    largest = where(abs(largest) < math.inf, largest, 0)  # inf - inf has no value
    y = log(reduce.sum(exp(x - largest), axis, keepdims=True)) + largest
    return y if keepdims else reduce.sum(y, axis)


def log_softmax(x: Value, axis: int = -1) -> Value:
    """x - logsumexp(x): the logarithms of `softmax`, without overflow or log(0); NaN where all are -inf."""
    return x - logsumexp(x, axis, keepdims=True)


def _softmax_vjp(g, y, x, *, axis):
    return (y * (g - reduce.sum(g * y, axis, keepdims=True)),)


def softmax(x: Value, axis: int = -1) -> Value:
    """exp(x_i) / sum_j exp(x_j): numbers >= 0 that sum to 1, 0 where x_i is -inf; NaN where all are, or one is inf."""
    return _softmax(x, axis=axis)


@with_vjp(_softmax_vjp)
def _softmax(x, *, axis):
    e = exp(x - reduce.max(x, axis, keepdims=True))
    return e / reduce.sum(e, axis, keepdims=True)


def safe_sqrt(x: Value) -> Value:
    """The square root, with the slope 0 at 0, where that of `sqrt` is inf: for distances, sqrt(sum of squares).

    >>> from pellucid import input
    >>> safe_sqrt(input("x", (3,)))
    <select: sample float32 (3,)>
    """
    zero = equals(x, 0)
    return where(zero, 0, sqrt(where(zero, 1, x)))


def norm(x: Value, p: float = 2, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Value:
    """The p-norm (sum |x|^p)^(1/p) over axes; p may be ``math.inf``. At 0 its derivative is 0. NaN gives NaN."""
    if p == math.inf:
        return reduce.max(abs(x), axis, keepdims)
    if p == 1:
        return reduce.sum(abs(x), axis, keepdims)
    p = number("norm", "p", p, least=1)
    if p == 2:
        return safe_sqrt(reduce.sum(x * x, axis, keepdims))
    zero = equals(x, 0)
    total = reduce.sum(where(zero, 0, where(zero, 1, abs(x)) ** p), axis, keepdims)
    zero = equals(total, 0)
    return where(zero, 0, where(zero, 1, total) ** (1 / p))


CENTRAL = (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087,
           -0.00125372503, -0.00417768164, 0.246640727, 1.50140941)  # fmt: skip
TAIL = (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773,
        -0.0076224613, 0.00943887047, 1.00167406, 2.83297682)  # fmt: skip
FAR = (-1.335117764e-06, 5.165792719e-06, -1.929693760e-05, 7.552693617e-05,
       -2.151760813e-04, -1.386153665e-04, 1.010300479, 4.849906398)  # fmt: skip
# a least-squares fit of erfinv(x) / x in sqrt(w) - 5, for w from 16, beyond float32, to 38


@with_vjp(lambda g, y, x: (g * (math.sqrt(math.pi) / 2) * exp(y * y),))
def erfinv(x: Value) -> Value:
    """The inverse of erf: inf at 1, -inf at -1, NaN beyond; its relative error is below 1e-6.

    M. Giles, "Approximating the erfinv function", 2012, with a polynomial more for the float64 numbers nearest to 1.
    """

    def polynomial(coefficients, w):
        total = coefficients[0]
        for c in coefficients[1:]:
            total = total * w + c
        return total

    w = -log((1 - x) * (1 + x))
    central, end = w < 5, equals(w, math.inf)
    root = sqrt(where(central, 5, where(end, 5, w)))
    tail = polynomial(TAIL, root - 3)
    if x.dtype == "float64":
        tail = where(root > 4, polynomial(FAR, root - 5), tail)
    return x * where(central, polynomial(CENTRAL, where(central, w, 5) - 2.5), where(end, math.inf, tail))
