"""Simplification: marks dropped, constants computed, equal values merged, algebra that is exact to the last bit.

Two rules are exact only up to rounding: the sum of one number over all samples becomes a product, and sums over
samples and within a sample change places.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from ..graph import Value
from ..ops.contract import contract_of
from ..ops.elementwise import add, divide, multiply, select, subtract
from ..ops.gather import scatter_of
from ..ops.loop import rebuilt
from ..ops.movement import (
    broadcast,
    concatenate_of,
    fill_with,
    pad_with,
    reshape_to,
    ruled,
    slice_of,
    stop_gradient,
    transpose_of,
)
from ..ops.reduce import batch_count, batch_sum, reduce_sum, to_samples
from ..ops.xp import xp
from ..program import Program
from .rewrite import rewrite
from .slicing import joined, sliced


def simplify(program: Program) -> Program:
    """A program with the same inputs, outputs and state, and fewer operations.

    >>> from pellucid import graph
    >>> x = graph.input("x"); p = simplify(Program([x], {"y": (x * 1 + x * 1)}))
    >>> print(p.listing(full=True))
    program
      inputs  x: sample float32 ()
      %1 = add(x, x): sample float32 ()
      return y = %1
    """
    known: dict[Hashable, Value] = {}

    def merged(v: Value, inputs: tuple[Value, ...]) -> Value:
        if not v.inputs and v.name is not None:
            return v
        w = _simpler(v, inputs)
        return known.setdefault(_identity(w), w)

    return rewrite(program, merged, lambda v, inputs, wanted: rebuilt(v, inputs, wanted, simplify))


def _identity(v: Value) -> Hashable:
    """Two Values of one identity are equal: the same operation, options and inputs, or the same named leaf."""
    if not v.inputs and v.name is not None:
        return id(v)
    return v.primitive, tuple(map(id, v.inputs)), _frozen(v.attributes), v.type


def _frozen(a: Any) -> Hashable:
    if isinstance(a, Mapping):
        return tuple((k, _frozen(x)) for k, x in a.items())
    if isinstance(a, np.ndarray):
        return a.shape, str(a.dtype), a.tobytes()
    if isinstance(a, float):
        return a.hex()  # 0.0 and -0.0 are two
    return (type(a), a) if isinstance(a, int) else a if isinstance(a, Hashable) else id(a)


def _is_fill(v: Value, value: float | None = None) -> bool:
    return v.primitive is fill_with and (value is None or _frozen(float(v.attributes["value"])) == float(value).hex())


def _simpler(v: Value, inputs: tuple[Value, ...]) -> Value:
    p = v.primitive
    if p in (ruled, stop_gradient):
        return inputs[0]
    if not all(i.size for i in (v, *inputs)) and (made := _of_nothing(v, inputs)) is not None:
        return made
    if p.elementwise:
        if all(map(_is_fill, inputs)):
            return _computed(v, inputs)
        if v.kind == "sample" and all(i.primitive is to_samples or i.kind == "shared" for i in inputs):
            return to_samples(p(*(_bare(i) for i in inputs), **v.attributes))
        if any(i.kind == "sample" and i.primitive is not to_samples for i in inputs):
            inputs = tuple(_bare(i) for i in inputs)
    if p is select and inputs[1] is inputs[2]:
        return inputs[1] if inputs[1].kind == v.kind else to_samples(inputs[1])
    if p is add and (whole := joined(add(*inputs))) is not None and whole.kind == v.kind:
        return whole
    if p is slice_of and (part := sliced(v, inputs[0])) is not None:
        return part
    if p is multiply:
        for one, other in (inputs, inputs[::-1]):
            if _is_fill(one, 1):
                return other if other.kind == v.kind else to_samples(other)
    if (p is divide and _is_fill(inputs[1], 1)) or (p is subtract and _is_fill(inputs[1], 0)):
        return inputs[0]
    if p is batch_sum and inputs[0].primitive is to_samples:  # the same number for each of n samples
        x = inputs[0].inputs[0]
        count = batch_count(dtype=x.dtype)
        if _is_fill(x, 1) and not x.shape:
            return count
        return x * _spread(count, x.shape)
    if p is reduce_sum and inputs[0].primitive is batch_sum:  # within a sample first: less is summed over the batch
        return batch_sum(p(inputs[0].inputs[0], **v.attributes))
    if p is reshape_to:
        x = inputs[0].inputs[0] if inputs[0].primitive is reshape_to else inputs[0]
        if x.shape == v.shape:
            return x
        if _is_fill(x):
            return fill_with(value=x.attributes["value"], shape=v.shape, dtype=v.dtype)
        return reshape_to(x, old=x.shape, shape=v.shape)
    if p is pad_with and inputs[0].primitive is reshape_to and (moved := _padded_first(v, inputs[0])) is not None:
        return moved
    if p is broadcast and _is_fill(inputs[0]):
        return fill_with(value=inputs[0].attributes["value"], shape=v.shape, dtype=v.dtype)
    if p is transpose_of and inputs[0].primitive is transpose_of:
        first, second = inputs[0].attributes["axes"], v.attributes["axes"]
        axes = tuple(first[a] for a in second)
        x = inputs[0].inputs[0]
        return x if axes == tuple(range(-len(axes), 0)) else transpose_of(x, axes=axes)
    return p(*inputs, **v.attributes)


def _padded_first(v: Value, x: Value) -> Value | None:
    """Padding of the last axes before the others take another shape: what is padded may then get its margin."""
    a, (y,) = v.attributes, x.inputs
    alike = zip(x.shape[::-1], y.shape[::-1], strict=False)
    tail = next((k for k, (m, n) in enumerate(alike) if m != n), min(x.ndim, y.ndim))
    lead = x.ndim - tail
    widths = {side: a[side] for side in ("low", "high", "interior")}
    if not tail or any(any(w[:lead]) for w in widths.values()):
        return None
    moved = pad_with(y, **{side: (0,) * (y.ndim - tail) + w[lead:] for side, w in widths.items()}, value=a["value"])
    return reshape_to(moved, old=moved.shape, shape=v.shape)


def _of_nothing(v: Value, inputs: tuple[Value, ...]) -> Value | None:
    """A value without elements, or made of such, as a number; so that executors need not think of them."""
    number: Any = 0
    if v.size and v.primitive is concatenate_of:
        parts = [i for i in inputs if i.size]
        whole = parts[0] if len(parts) == 1 else concatenate_of(*parts, **v.attributes)
        return whole if whole.kind == v.kind else to_samples(whole)
    if v.size and v.primitive is pad_with:
        number = v.attributes["value"]
    elif not inputs or (v.size and v.primitive not in (contract_of, reduce_sum, scatter_of)):
        return None
    zeros = fill_with(value=number, shape=v.shape, dtype=v.dtype)
    return zeros if v.kind == "shared" else to_samples(zeros)


def _spread(v: Value, shape) -> Value:
    return broadcast(reshape_to(v, old=(), shape=(1,) * len(shape)), shape=shape) if shape else v


def _bare(i: Value) -> Value:
    """The shared value itself, for `to_samples` of it: where another input is a sample, the result is one anyway."""
    return i.inputs[0] if i.primitive is to_samples else i


def _computed(v: Value, inputs: tuple[Value, ...]) -> Value:
    """An operation on constants as a constant, computed as the reference would."""
    arrays = [np.asarray(i.attributes["value"], dtype=i.dtype) for i in inputs]
    with np.errstate(all="ignore"):
        result = np.asarray(v.primitive.forward(xp, *arrays, **v.attributes))
    return fill_with(value=result.item(), shape=v.shape, dtype=v.dtype)
