"""First values of parameters: functions ``init(key, shape, dtype) -> Value``. Imports graph and ops.

A weight of shape (out, in, *kernel) has fan-in in * prod(kernel) and fan-out out * prod(kernel). Give options with
``functools.partial``: ``nn.Dense(10, weight_init=partial(nn.init.uniform, size=0.1))``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .. import ops
from ..checks import NoAttribute, number, wrong
from ..errors import GraphError
from ..graph import Shape, Value


def fans(shape: Shape) -> tuple[int, int]:
    """Fan-in and fan-out of a weight.

    >>> fans((10, 784)), fans((6, 3, 5, 5))
    ((784, 10), (75, 150))
    """
    if len(shape) < 2:
        raise GraphError(f"this initializer needs a weight of shape (out, in, ...), got {shape}; "
                         "use uniform, normal, zeros or constant")  # fmt: skip
    kernel = math.prod(shape[2:])
    return shape[1] * kernel, shape[0] * kernel


def uniform(key: Value, shape: Shape, dtype: str, size: float = 0.05) -> Value:
    """Uniform in [-size, size)."""
    size = number("uniform", "size", size, least=0)
    return ops.uniform(key, shape, dtype, -size, size)


def normal(key: Value, shape: Shape, dtype: str, size: float = 0.05) -> Value:
    """Normal with mean 0 and standard deviation ``size``."""
    return ops.normal(key, shape, dtype, stddev=number("normal", "size", size, least=0))


def lecun_uniform(key: Value, shape: Shape, dtype: str) -> Value:
    """Uniform with variance 1 / fan_in. LeCun et al., "Efficient BackProp", 1998."""
    return uniform(key, shape, dtype, math.sqrt(3 / fans(shape)[0]))


def lecun_normal(key: Value, shape: Shape, dtype: str) -> Value:
    """Normal with variance 1 / fan_in. LeCun et al., "Efficient BackProp", 1998."""
    return normal(key, shape, dtype, math.sqrt(1 / fans(shape)[0]))


def glorot_uniform(key: Value, shape: Shape, dtype: str) -> Value:
    """Uniform with variance 2 / (fan_in + fan_out). Glorot and Bengio, AISTATS 2010."""
    return uniform(key, shape, dtype, math.sqrt(6 / sum(fans(shape))))


def glorot_normal(key: Value, shape: Shape, dtype: str) -> Value:
    """Normal with variance 2 / (fan_in + fan_out). Glorot and Bengio, AISTATS 2010."""
    return normal(key, shape, dtype, math.sqrt(2 / sum(fans(shape))))


def he_uniform(key: Value, shape: Shape, dtype: str) -> Value:
    """Uniform with variance 2 / fan_in, for ReLU. He et al., ICCV 2015."""
    return uniform(key, shape, dtype, math.sqrt(6 / fans(shape)[0]))


def he_normal(key: Value, shape: Shape, dtype: str) -> Value:
    """Normal with variance 2 / fan_in, for ReLU. He et al., ICCV 2015."""
    return normal(key, shape, dtype, math.sqrt(2 / fans(shape)[0]))


def orthogonal(key: Value, shape: Shape, dtype: str, gain: float = 1.0) -> Value:
    """Orthonormal rows (or columns, whichever are fewer), uniform over all such. Saxe et al., ICLR 2014.

    The Q of a normal matrix X = Q R, with the diagonal of R positive (Mezzadri, 2007).
    """
    fans(shape)
    gain = number("orthogonal", "gain", gain)
    rows, columns = shape[0], math.prod(shape[1:])
    q = ops.orthonormal(normal(key, (max(rows, columns), min(rows, columns)), dtype, 1.0))
    return ops.reshape(ops.transpose(q) if rows < columns else q, shape) * gain


def zeros(key: Value, shape: Shape, dtype: str) -> Value:
    """All 0."""
    return ops.fill(0, shape, dtype)


def constant(key: Value, shape: Shape, dtype: str, value=1.0) -> Value:
    """One number everywhere, or an array of the parameter's shape. Raises `GraphError` for what is no finite number."""
    if not hasattr(value, "__len__") or isinstance(value, str):
        return ops.fill(number("constant", "value", value), shape, dtype)
    try:
        array = ops.constant(value, dtype)
    except (TypeError, ValueError):
        raise wrong("constant", "value", "a number, or an array of numbers", value) from None
    if not (abs(array.attributes["value"]) < math.inf).all():
        raise wrong("constant", "value", "finite numbers", value)
    return array


INITIALISERS = {f.__name__: f for f in (uniform, normal, lecun_uniform, lecun_normal, glorot_uniform, glorot_normal,
                                        he_uniform, he_normal, orthogonal, zeros, constant)}  # fmt: skip

if not TYPE_CHECKING:  # so that checkers of types know what there is

    def __getattr__(name: str):
        raise NoAttribute(f"module {__name__!r}", "nn.init", name, INITIALISERS)
