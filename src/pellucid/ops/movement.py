"""Primitives that move values without computing: constants, shapes, parts (slice, pad, concatenate, flip), marks."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..checks import whole, wholes
from ..errors import GraphError
from ..graph import Option, Sample, Shape, Type, Value, primitive
from .options import AXES, AXIS, COUNT, COUNTS, DTYPE, FUNCTION, LENGTHS, NUMBER, fits
from .rules import one_each


def _lead(x, ndim: int) -> Shape:
    """The leading axes that are not the sample's own: (batch,) or ()."""
    return x.shape[: x.ndim - ndim]


def _common_lead(arrays, ndim: int) -> Shape:
    return np.broadcast_shapes(*(_lead(a, ndim) for a in arrays))


# ---- constants --------------------------------------------------------------------------------------------------


def _fill_rule(*, value, shape, dtype):
    if not fits(value, dtype):
        raise GraphError(f"fill: {value!r} is no {dtype}")
    return shape, dtype


fill_with = primitive(
    "fill",
    rule=_fill_rule,
    forward=lambda xp, *, value, shape, dtype: xp.broadcast_to(xp.asarray(value, dtype=dtype), shape),
    kind="shared",
    samples=(Sample((), {"value": 2.5, "shape": (2, 3), "dtype": "float64"}),),
    options={"value": NUMBER, "shape": COUNTS, "dtype": DTYPE},
)
constant_of = primitive(
    "constant",
    rule=lambda *, value: (value.shape, str(value.dtype)),
    forward=lambda xp, *, value: xp.asarray(value),
    kind="shared",
    samples=(Sample((), {"value": np.arange(6.0).reshape(2, 3)}),),
    options={"value": Option("an array in C order", lambda a: type(a) is np.ndarray and a.flags.c_contiguous)},
)


def _iota_rule(*, n, dtype):
    if dtype == "bool" or not fits(n, dtype):
        raise GraphError(f"iota: {dtype} does not hold the numbers 0..{n - 1}")
    return (n,), dtype


iota_of = primitive(
    "iota",
    rule=_iota_rule,
    forward=lambda xp, *, n, dtype: xp.arange(n, dtype=dtype),
    kind="shared",
    samples=(Sample((), {"n": 4, "dtype": "int32"}),),
    options={"n": COUNT, "dtype": DTYPE},
)


def fill(value, shape: Shape, dtype: str) -> Value:
    """A shared value whose every element is one number."""
    return fill_with(value=value.item() if isinstance(value, np.generic | np.ndarray) else value,
                     shape=wholes("fill", "shape", shape, least=0), dtype=dtype)  # fmt: skip


def constant(array, dtype: str | None = None) -> Value:
    """A NumPy array as a shared value."""
    return constant_of(value=np.ascontiguousarray(array, dtype=dtype))


def iota(n: int, dtype: str = "int32") -> Value:
    """0, 1, ..., n-1."""
    return iota_of(n=whole("iota", "n", n, least=0), dtype=dtype)


def zeros_like(x: Value) -> Value:
    """Zeros of the shape and dtype of ``x``, shared."""
    return fill(0, x.shape, x.dtype)


# ---- shapes -----------------------------------------------------------------------------------------------------


def _reshape_rule(x: Type, *, old, shape):
    if old != x.shape:
        raise GraphError(f"reshape: made for shape {old}, got {x.shape}")
    have, want = np.prod(old, dtype=int), np.prod(shape, dtype=int)
    if have != want:
        raise GraphError(f"reshape: {old} has {have} elements, {shape} has {want}")
    return shape, x.dtype


reshape_to = primitive(
    "reshape",
    rule=_reshape_rule,
    forward=lambda xp, x, *, old, shape: xp.reshape(x, _lead(x, len(old)) + shape),
    vjp=lambda g, y, x, *, old, shape: (reshape(g, old),),
    samples=(Sample(((2, 6),), {"old": (2, 6), "shape": (3, 4)}), Sample(((4,),), {"old": (4,), "shape": (2, 1, 2)})),
    options={"old": COUNTS, "shape": COUNTS},
)


def reshape(x: Value, shape) -> Value:
    """The same elements in another shape (of one sample); one length may be -1, which takes what is left.

    >>> from pellucid import input
    >>> reshape(input("x", (2, 6)), (3, -1)).shape
    (3, 4)
    """
    shape = wholes("reshape", "shape", shape, least=-1)
    if shape.count(-1) == 1:
        known = int(np.prod([n for n in shape if n != -1], dtype=int))
        if known == 0 or x.size % known:
            raise GraphError(f"reshape: {x.size} elements of shape {x.shape} do not divide into {shape}")
        shape = tuple(x.size // known if n == -1 else n for n in shape)
    if any(n < 0 for n in shape):
        raise GraphError(f"reshape: lengths must be >= 0, or -1 once, got {shape}")
    return x if shape == x.shape else reshape_to(x, old=x.shape, shape=shape)


def expand_dims(x: Value, axis: int) -> Value:
    """A new axis of length 1 at position ``axis`` of the result."""
    axis = whole("expand_dims", "axis", axis, least=None)
    if not -x.ndim - 1 <= axis <= x.ndim:
        raise GraphError(f"expand_dims: axis {axis} is out of range for a result with {x.ndim + 1} axes")
    axis = axis if axis >= 0 else x.ndim + 1 + axis
    return reshape(x, (*x.shape[:axis], 1, *x.shape[axis:]))


def _transpose_rule(x: Type, *, axes):
    if sorted(axes) != list(range(-len(x.shape), 0)):
        raise GraphError(f"transpose: {axes} is not an order of the {len(x.shape)} axes of {x.shape}")
    return tuple(x.shape[a] for a in axes), x.dtype


def _inverse(axes):
    return tuple(int(i) - len(axes) for i in np.argsort(axes))


transpose_of = primitive(
    "transpose",
    rule=_transpose_rule,
    forward=lambda xp, x, *, axes: xp.transpose(x, (*range(x.ndim - len(axes)), *(x.ndim + a for a in axes))),
    vjp=lambda g, y, x, *, axes: (transpose_of(g, axes=_inverse(axes)),),
    samples=(Sample(((2, 3, 4),), {"axes": (-1, -3, -2)}), Sample(((2, 3),), {"axes": (-1, -2)})),
    options={"axes": AXES},
)


def transpose(x: Value, axes=None) -> Value:
    """Axes in another order (reversed by default)."""
    given = tuple(range(x.ndim)[::-1]) if axes is None else wholes("transpose", "axes", axes, least=None)
    from_right = _from_right(given, x.ndim)
    if sorted(from_right) != list(range(-x.ndim, 0)):
        raise GraphError(f"transpose: {given} is not an order of the {x.ndim} axes of {x.shape}")
    return transpose_of(x, axes=from_right)


def _from_right(axes: Iterable[int], ndim: int) -> tuple[int, ...]:
    """Axes counted from either side, counted from the right."""
    return tuple(a - ndim if a >= 0 else a for a in axes)


def _broadcast_rule(x: Type, *, shape):
    if len(x.shape) != len(shape) or any(n != m and n != 1 for n, m in zip(x.shape, shape, strict=True)):
        raise GraphError(f"broadcast: {x.shape} cannot be stretched to {shape}")
    return shape, x.dtype


broadcast = primitive(
    "broadcast",  # its derivative, a sum, stands with the sums: reduce.py
    rule=_broadcast_rule,
    forward=lambda xp, x, *, shape: xp.broadcast_to(x, _lead(x, len(shape)) + shape),
    samples=(Sample(((1, 3, 1),), {"shape": (2, 3, 4)}), Sample(((1,),), {"shape": (5,)})),
    options={"shape": COUNTS},
)


def broadcast_to(x: Value, shape) -> Value:
    """``x`` stretched to ``shape`` by numpy's rules: axes of length 1 repeated, new axes at the left."""
    shape = wholes("broadcast", "shape", shape, least=0)
    if x.primitive is fill_with:
        return fill(x.attributes["value"], shape, x.dtype)
    x = reshape(x, (1,) * (len(shape) - x.ndim) + x.shape)
    return x if x.shape == shape else broadcast(x, shape=shape)


# ---- parts ------------------------------------------------------------------------------------------------------


def _slice_rule(x: Type, *, starts, stops, steps):
    if not len(starts) == len(stops) == len(steps) == len(x.shape):
        raise GraphError(f"slice: needs a start, stop and step for each axis of {x.shape}")
    for a, b, s, n in zip(starts, stops, steps, x.shape, strict=True):
        if not (0 <= a <= b <= n and s >= 1):
            raise GraphError(f"slice: {a}:{b}:{s} is outside an axis of length {n}")
    return tuple(len(range(a, b, s)) for a, b, s in zip(starts, stops, steps, strict=True)), x.dtype


def _slices(starts, stops, steps):
    return (..., *(slice(a, b, s) for a, b, s in zip(starts, stops, steps, strict=True)))


def _slice_vjp(g, y, x, *, starts, stops, steps):
    inner = [max(0, (m - 1) * s + 1) for m, s in zip(y.shape, steps, strict=True)]
    high = tuple(n - a - i for n, a, i in zip(x.shape, starts, inner, strict=True))
    return (pad_with(g, low=starts, high=high, interior=tuple(s - 1 for s in steps), value=0),)


slice_of = primitive(
    "slice",
    rule=_slice_rule,
    forward=lambda xp, x, *, starts, stops, steps: x[_slices(starts, stops, steps)],
    vjp=_slice_vjp,
    samples=(Sample(((4, 5),), {"starts": (1, 0), "stops": (3, 5), "steps": (1, 2)}),
             Sample(((7,),), {"starts": (2,), "stops": (6,), "steps": (3,)})),
    options={"starts": COUNTS, "stops": COUNTS, "steps": LENGTHS},
)  # fmt: skip


def _pad_rule(x: Type, *, low, high, interior, value):
    if not len(low) == len(high) == len(interior) == len(x.shape) or any(n < 0 for n in (*low, *high, *interior)):
        raise GraphError(f"pad: needs widths >= 0 for each axis of {x.shape}, got {low}, {high}, {interior}")
    if not fits(value, x.dtype):
        raise GraphError(f"pad: {value!r} is no {x.dtype}")
    return tuple(
        a + b + n + max(n - 1, 0) * i for n, a, b, i in zip(x.shape, low, high, interior, strict=True)
    ), x.dtype


def _inside(shape, low, high, interior):
    return dict(
        starts=low,
        stops=tuple(n - b for n, b in zip(shape, high, strict=True)),
        steps=tuple(i + 1 for i in interior),
    )


def _pad(xp, x, *, low, high, interior, value):
    n = len(low)
    shape, _ = _pad_rule(Type(x.shape[x.ndim - n :], "", "shared"), low=low, high=high, interior=interior, value=value)
    out = xp.full(_lead(x, n) + shape, value, dtype=x.dtype)
    out[_slices(**_inside(shape, low, high, interior))] = x
    return out


pad_with = primitive(
    "pad",  # widths before, after and between the elements of each axis
    rule=_pad_rule,
    forward=_pad,
    vjp=lambda g, y, x, *, low, high, interior, value: (slice_of(g, **_inside(y.shape, low, high, interior)),),
    samples=(Sample(((2, 3),), {"low": (1, 0), "high": (0, 2), "interior": (0, 0), "value": 0}),
             Sample(((3, 2),), {"low": (0, 1), "high": (1, 1), "interior": (2, 1), "value": 1.5})),
    options={"low": COUNTS, "high": COUNTS, "interior": COUNTS, "value": NUMBER},
)  # fmt: skip


def pad(x: Value, widths, value: float = 0) -> Value:
    """Pad each axis with ``value``; ``widths`` holds one (before, after) pair an axis."""
    given = widths if isinstance(widths, Iterable) and getattr(widths, "ndim", True) else ()
    pairs = [wholes("pad", "widths", w, least=0) for w in given]
    if len(pairs) != x.ndim or any(len(p) != 2 for p in pairs):
        raise GraphError(f"pad: needs a pair (before, after) for each axis of {x.shape}, got {widths!r}")
    low, high = (tuple(p[i] for p in pairs) for i in (0, 1))
    return pad_with(x, low=low, high=high, interior=(0,) * len(low), value=value)


def _concatenate_rule(*types: Type, axis):
    if not types or axis < -len(types[0].shape):
        raise GraphError(f"concatenate: needs values that have axis {axis}, got {', '.join(map(str, types)) or 'none'}")

    def without(shape):
        return [n for i, n in enumerate(shape) if i - len(shape) != axis]

    first = types[0]
    for t in types[1:]:
        if len(t.shape) != len(first.shape) or without(t.shape) != without(first.shape) or t.dtype != first.dtype:
            raise GraphError(f"concatenate along axis {axis}: {first} and {t} do not fit")
    shape = list(first.shape)
    shape[axis] = sum(t.shape[axis] for t in types)
    return tuple(shape), first.dtype


def _concatenate(xp, *arrays, axis):
    # the sample's own axes are the last ones of the operand that has the fewest: a shared one has no batch axis
    ndim = min(a.ndim for a in arrays)
    if all(a.ndim == ndim for a in arrays):
        return xp.concatenate(arrays, axis=axis)
    lead = _common_lead(arrays, ndim)
    return xp.concatenate([xp.broadcast_to(a, lead + a.shape[a.ndim - ndim :]) for a in arrays], axis=axis)


def _concatenate_vjp(g, y, *inputs, axis):
    parts, start = [], 0
    for x in inputs:
        keys = [slice(None)] * x.ndim
        keys[axis] = slice(start, start + x.shape[axis])
        parts.append(g[tuple(keys)])
        start += x.shape[axis]
    return tuple(parts)


concatenate_of = primitive(
    "concatenate",
    rule=_concatenate_rule,
    forward=_concatenate,
    vjp=_concatenate_vjp,
    samples=(Sample(((2, 3), (2, 1)), {"axis": -1}), Sample(((2, 3), (1, 3), (2, 3)), {"axis": -2})),
    options={"axis": AXIS},
)


def concatenate(values, axis: int = 0) -> Value:
    """Values one after the other along an axis (of one sample)."""
    values = tuple(values)
    if not values or not values[0].ndim:
        raise GraphError("concatenate: needs at least one value, each with an axis; use stack for scalars")
    axis = whole("concatenate", "axis", axis, least=None)
    if not -values[0].ndim <= axis < values[0].ndim:
        raise GraphError(f"concatenate: axis {axis} is out of range for shape {values[0].shape}")
    return concatenate_of(*values, axis=axis - values[0].ndim if axis >= 0 else axis)


def stack(values, axis: int = 0) -> Value:
    """Values of one shape side by side along a new axis."""
    return concatenate([expand_dims(v, axis) for v in values], axis)


def _flip_rule(x: Type, *, axes):
    if not set(axes) <= set(range(-len(x.shape), 0)):
        raise GraphError(f"flip: axes {axes} are not among the {len(x.shape)} axes of {x.shape}")
    return x.shape, x.dtype


flip_axes = primitive(
    "flip",
    rule=_flip_rule,
    forward=lambda xp, x, *, axes: xp.flip(x, axis=axes),
    vjp=lambda g, y, x, *, axes: (flip_axes(g, axes=axes),),
    samples=(Sample(((2, 3),), {"axes": (-1,)}), Sample(((2, 3, 2),), {"axes": (-3, -1)})),
    options={"axes": AXES},
)


def flip(x: Value, axis=None) -> Value:
    """Elements in reverse order along axes (all of them by default)."""
    given = tuple(range(x.ndim)) if axis is None else wholes("flip", "axis", axis, least=None)
    from_right = _from_right(given, x.ndim)
    if not set(from_right) <= set(range(-x.ndim, 0)) or len(set(from_right)) < len(given):
        raise GraphError(f"flip: axes {given} are not among the {x.ndim} axes of {x.shape}, each once")
    return flip_axes(x, axes=from_right) if x.ndim else x


# ---- marks ------------------------------------------------------------------------------------------------------

stop_gradient = primitive(
    "stop_gradient",  # the same value, with no derivative
    rule=lambda x: (x.shape, x.dtype),
    forward=lambda xp, x: x,
    samples=(Sample(((3,),), {}, False),),
    options={},
)

ruled = primitive(
    "ruled",  # the first input, whose derivative in the others is the function `rule` (see composite.with_vjp)
    rule=lambda y, *inputs, rule: (y.shape, y.dtype),
    forward=lambda xp, y, *inputs, rule: y,
    vjp=lambda g, y, _, *inputs, rule: (None, *one_each(rule(g, y, *inputs), inputs, rule.__name__)),
    options={"rule": FUNCTION},
)
