"""Python's operators on Values, attached to them: ``+ - * / **``, comparisons, ``abs``, indexing, ``.T``."""

from __future__ import annotations

import numpy as np

from ..graph import Value
from .elementwise import (
    absolute,
    add,
    divide,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    multiply,
    negative,
    power,
    spread,
    sqrt,
    subtract,
)
from .indexing import index
from .movement import fill, reshape, transpose
from .reduce import to_samples


def ones_like(x: Value) -> Value:
    """Ones of the type of ``x``."""
    one = fill(1, x.shape, x.dtype)
    return to_samples(one) if x.kind == "sample" else one


def raise_to(x: Value, p) -> Value:
    """``x ** p``; small whole exponents become multiplications. ``x ** 0`` is 1, of infinity and NaN too."""
    if isinstance(p, np.generic):
        p = p.item()
    if isinstance(p, (int, float)) and abs(p) <= 8 and p == int(p):
        if p < 0:
            return 1 / raise_to(x, -p)
        result = None
        square = x
        n = int(p)
        while n:  # square and multiply
            if n & 1:
                result = square if result is None else result * square
            n >>= 1
            if n:
                square = square * square
        return ones_like(x) if result is None else result
    if isinstance(p, (int, float)) and p == 0.5:
        return sqrt(x)
    return spread(power)(x, p)


def _reflected(op):
    return lambda self, other: op(other, self)


for _name, _op in {"add": add, "sub": subtract, "mul": multiply, "truediv": divide}.items():
    setattr(Value, f"__{_name}__", spread(_op))
    setattr(Value, f"__r{_name}__", _reflected(spread(_op)))
Value.__neg__ = lambda self: negative(self)
Value.__pow__ = raise_to
Value.__rpow__ = _reflected(spread(power))
Value.__abs__ = lambda self: absolute(self)
Value.__lt__ = spread(less)
Value.__le__ = spread(less_equal)
Value.__gt__ = _reflected(spread(less))
Value.__ge__ = _reflected(spread(less_equal))
Value.__and__ = spread(logical_and)
Value.__or__ = spread(logical_or)
Value.__invert__ = lambda self: logical_not(self)
Value.__getitem__ = index
Value.reshape = lambda self, *shape: reshape(self, shape[0] if len(shape) == 1 else shape)
Value.T = property(transpose)  # type: ignore[assignment]
