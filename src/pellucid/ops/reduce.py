"""Reductions: over axes of one sample, and `batch_sum` over the samples, the one door from sample to shared."""

from __future__ import annotations

import math

from ..checks import flag, whole, wholes
from ..errors import GraphError
from ..graph import Primitive, Sample, Shape, Type, Value, defvjp, primitive
from .elementwise import FLOATS, NUMBERS, cast, equal
from .movement import broadcast, broadcast_to, reshape
from .options import AXIS, DTYPE, IN_ORDER, LENGTH


def normalize_axes(axis, ndim: int, name: str) -> tuple[int, ...]:
    """Axes as negative numbers in order, so that a leading sample axis does not shift them.

    >>> normalize_axes(0, 2, "sum"), normalize_axes(None, 2, "sum")
    ((-2,), (-2, -1))
    """
    if axis is None:
        return tuple(range(-ndim, 0))
    axes = wholes(name, "axis", axis, least=None)
    for a in axes:
        if not -ndim <= a < ndim:
            raise GraphError(f"{name}: axis {a} is out of range for a value with {ndim} axes (of one sample)")
    result = tuple(sorted(a - ndim if a >= 0 else a for a in axes))
    if len(set(result)) != len(result):
        raise GraphError(f"{name}: axes {axes} name one axis twice")
    return result


def _without(shape: Shape, axes) -> Shape:
    return tuple(n for i, n in enumerate(shape) if i - len(shape) not in axes)


def _kept(shape: Shape, axes) -> Shape:
    return tuple(1 if i - len(shape) in axes else n for i, n in enumerate(shape))


def _reduction(name, forward, vjp, dtypes=NUMBERS, result=None) -> Primitive:
    def rule(x: Type, *, axes):
        if axes[0] < -len(x.shape):
            raise GraphError(f"{name}: shape {x.shape} has no axis {axes[0]}")
        if x.dtype not in dtypes:
            raise GraphError(f"{name}: takes {' or '.join(dtypes)}, got {x.dtype}; use cast(x, dtype)")
        if name != "sum" and 0 in (x.shape[a] for a in axes):
            raise GraphError(f"{name}: nothing to take it of, in shape {x.shape} over axes {axes}")
        return _without(x.shape, axes), result or x.dtype

    samples = tuple(Sample(((2, 3, 4),), {"axes": axes}, vjp is not None) for axes in [(-1,), (-3, -1), (-2,)])
    return primitive(name, rule=rule, forward=forward, vjp=vjp, samples=samples, options={"axes": IN_ORDER})


def _spread_back(v: Value, x: Value, axes) -> Value:
    return broadcast_to(reshape(v, _kept(x.shape, axes)), x.shape)


def _extreme_vjp(g, y, x, *, axes):
    chosen = cast(equal(x, _spread_back(y, x, axes)), x.dtype)  # equal shares where several are largest
    share = chosen / _spread_back(reduce_sum(chosen, axes=axes), x, axes)
    return (_spread_back(g, x, axes) * share,)


reduce_sum = _reduction(
    "sum",
    lambda xp, x, *, axes: xp.sum(x, axis=axes, dtype=x.dtype),
    lambda g, y, x, *, axes: (_spread_back(g, x, axes),),
)


def _broadcast_vjp(g, y, x, *, shape):
    axes = tuple(i - len(shape) for i, (n, m) in enumerate(zip(x.shape, shape, strict=True)) if n != m)
    return (reshape(reduce_sum(g, axes=axes) if axes else g, x.shape),)


defvjp(broadcast, _broadcast_vjp)
reduce_max = _reduction("max", lambda xp, x, *, axes: xp.max(x, axis=axes), _extreme_vjp)
reduce_min = _reduction("min", lambda xp, x, *, axes: xp.min(x, axis=axes), _extreme_vjp)
REDUCTIONS = (reduce_sum, reduce_max, reduce_min)


def _argmax_rule(x: Type, *, axis):
    if axis < -len(x.shape):
        raise GraphError(f"argmax: shape {x.shape} has no axis {axis}")
    if x.shape[axis] == 0:
        raise GraphError(f"argmax: nothing to take it of, in shape {x.shape} along axis {axis}")
    return _without(x.shape, (axis,)), "int32"


argmax_axis = primitive(
    "argmax",
    rule=_argmax_rule,
    forward=lambda xp, x, *, axis: xp.astype(xp.argmax(x, axis=axis), "int32"),
    samples=(Sample(((2, 3, 4),), {"axis": -1}, False), Sample(((2, 3, 4),), {"axis": -3}, False)),
    options={"axis": AXIS},
)


def _wrap(op: Primitive, doc: str):
    def function(x: Value, axis=None, keepdims: bool = False) -> Value:
        axes, keepdims = normalize_axes(axis, x.ndim, op.name), flag(op.name, "keepdims", keepdims)
        y = op(x, axes=axes) if axes else x
        return reshape(y, _kept(x.shape, axes)) if keepdims else y

    function.__name__, function.__doc__ = op.name, doc
    return function


sum = _wrap(reduce_sum, "Sum over axes of one sample (all of them by default).")
max = _wrap(reduce_max, "Largest value over axes of one sample; where several are equal they share its derivative.")
min = _wrap(reduce_min, "Smallest value over axes of one sample; where several are equal they share its derivative.")


def mean(x: Value, axis=None, keepdims: bool = False) -> Value:
    """Arithmetic mean over axes of one sample (all of them by default). Raises `GraphError` where there is nothing."""
    axes = normalize_axes(axis, x.ndim, "mean")
    n = math.prod(x.shape[a] for a in axes)
    if n == 0:
        raise GraphError(f"mean: nothing to take it of, in shape {x.shape} over axes {axes}")
    return sum(x, axis, keepdims) * (1 / n)


def argmax(x: Value, axis: int = -1) -> Value:
    """Position of the largest value along an axis (the first, if several are equal), int32."""
    axes = normalize_axes(axis, x.ndim, "argmax")
    if len(axes) != 1:
        raise GraphError(f"argmax: takes one axis, got {axis} for shape {x.shape}")
    return argmax_axis(x, axis=axes[0])


# ---- over the samples -------------------------------------------------------------------------------------------


def _only(kind, name, x: Type):
    if x.kind != kind:
        hint = ": there is nothing to sum over" if kind == "sample" else ""
        raise GraphError(f"{name}: takes a {kind} value, got {x}{hint}")


def _batch_sum_rule(x: Type):
    _only("sample", "batch_sum", x)
    if x.dtype not in NUMBERS:
        raise GraphError(f"batch_sum: takes {' or '.join(NUMBERS)}, got {x.dtype}; use cast(x, dtype)")
    return x.shape, x.dtype


batch_sum = primitive(
    "batch_sum",
    rule=_batch_sum_rule,
    forward=lambda xp, x: xp.sum(x, axis=0, dtype=x.dtype),
    vjp=lambda g, y, x: (to_samples(g),),
    kind="shared",
    samples=(Sample(((3,),), {}), Sample(((2, 3),), {})),
    options={},
)


def _to_samples_rule(x: Type):
    _only("shared", "to_samples", x)
    return x.shape, x.dtype


to_samples = primitive(
    "to_samples",  # the adjoint of batch_sum: the same value for every sample
    rule=_to_samples_rule,
    forward=lambda xp, x, *, batch: xp.broadcast_to(x, (batch, *x.shape)),
    vjp=lambda g, y, x: (g,),
    kind="sample",
    needs_batch=True,
    samples=(Sample(((3,),), {}), Sample(((),), {})),
    options={},
)
batch_count = primitive(
    "batch_count",
    rule=lambda *, dtype: ((), dtype),
    forward=lambda xp, *, dtype, batch: xp.asarray(batch, dtype=dtype),
    kind="shared",
    needs_batch=True,
    samples=(Sample((), {"dtype": "float64"}),),
    options={"dtype": DTYPE},
)
sample_index = primitive(
    "sample_index",  # the position of the sample in its batch: 0, 1, 2, ...
    rule=lambda: ((), "uint32"),
    forward=lambda xp, *, batch: xp.arange(batch, dtype="uint32"),
    kind="sample",
    needs_batch=True,
    options={},
)


def _all_samples_rule(x: Type, *, n):
    _only("sample", "all_samples", x)
    return (n, *x.shape), x.dtype


def _all_samples(xp, x, *, n, batch):
    if batch != n:
        raise GraphError(f"all_samples was built for batches of {n} samples, got {batch}")
    return x


all_samples_of = primitive(
    "all_samples",
    rule=_all_samples_rule,
    forward=_all_samples,
    vjp=lambda g, y, x, *, n: (each_sample(g),),
    kind="shared",
    needs_batch=True,
    samples=(Sample(((3,),), {"n": 5}),),
    options={"n": LENGTH},
)


def _each_sample_rule(x: Type):
    _only("shared", "each_sample", x)
    if not x.shape:
        raise GraphError("each_sample: a scalar has no rows")
    return x.shape[1:], x.dtype


def _each_sample(xp, x, *, batch):
    if batch != x.shape[0]:
        raise GraphError(f"each_sample has rows for {x.shape[0]} samples, got a batch of {batch}")
    return x


each_sample = primitive(
    "each_sample",  # the adjoint of all_samples: sample i gets row i
    rule=_each_sample_rule,
    forward=_each_sample,
    vjp=lambda g, y, x: (all_samples_of(g, n=x.shape[0]),),
    kind="sample",
    needs_batch=True,
    samples=(Sample(((5, 2),), {}),),
    options={},
)


def all_samples(x: Value, n: int) -> Value:
    """A sample value of a batch of exactly ``n`` samples as one shared value with a leading axis of length n."""
    return all_samples_of(x, n=whole("all_samples", "n", n))


def batch_size(dtype: str = "float32") -> Value:
    """The number of samples in the batch, as a shared number."""
    return batch_count(dtype=dtype)


def batch_mean(x: Value) -> Value:
    """Mean over the samples: ``batch_sum(x) / batch_size``."""
    if x.dtype not in FLOATS:
        raise GraphError(f"batch_mean: takes {' or '.join(FLOATS)}, got {x.dtype}; use cast(x, dtype)")
    return batch_sum(x) / batch_size(x.dtype)
