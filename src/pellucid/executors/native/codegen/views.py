"""Lowerings of the operations that move elements: each asks its input for the element at another index."""

from __future__ import annotations

import itertools

from ....graph import Value
from ....ops.conv import overlap_add_of, windows_of
from ....ops.movement import broadcast, concatenate_of, flip_axes, pad_with, reshape_to, slice_of, transpose_of
from ....ops.reduce import to_samples
from ..llvm import ir
from ..llvm import lanes as L
from ..llvm.affine import I64, Index, NotVectorizable, Variable, reshaped
from ..llvm.lanes import Lanes
from .nest import Nest
from .registry import register_lowering

Condition = bool | ir.Value  # of one number: known now, or when the code runs


@register_lowering(to_samples)
def _to_samples(nest: Nest, v: Value, index: list[Index], block: Index | None) -> Lanes:
    return nest.value(v.inputs[0], index, None)


@register_lowering(reshape_to)
def _reshape(nest: Nest, v: Value, index: list[Index], block: Index | None) -> Lanes:
    return nest.value(v.inputs[0], reshaped(index, v.shape, v.inputs[0].shape, nest.builder), block)


@register_lowering(transpose_of)
def _transpose(nest: Nest, v: Value, index: list[Index], block: Index | None) -> Lanes:
    source: list = [None] * len(index)
    for i, axis in zip(index, v.attributes["axes"], strict=True):
        source[axis] = i
    return nest.value(v.inputs[0], source, block)


@register_lowering(broadcast)
def _broadcast(nest: Nest, v: Value, index: list[Index], block: Index | None) -> Lanes:
    source = [Index() if n == 1 else i for i, n in zip(index, v.inputs[0].shape, strict=True)]
    return nest.value(v.inputs[0], source, block)


@register_lowering(slice_of)
def _slice(nest: Nest, v: Value, index: list[Index], block: Index | None) -> Lanes:
    a = v.attributes
    source = [i * s + start for i, s, start in zip(index, a["steps"], a["starts"], strict=True)]
    return nest.value(v.inputs[0], source, block)


@register_lowering(flip_axes)
def _flip(nest: Nest, v: Value, index: list[Index], block: Index | None) -> Lanes:
    n = len(index)
    source = [i * -1 + (v.shape[k] - 1) if k - n in v.attributes["axes"] else i for k, i in enumerate(index)]
    return nest.value(v.inputs[0], source, block)


@register_lowering(windows_of)
def _windows(nest: Nest, v: Value, index: list[Index], block: Index | None) -> Lanes:
    a, rank = v.attributes, len(v.attributes["kernel"])
    lead, places, inside = index[: -2 * rank], index[-2 * rank : -rank], index[-rank:]
    source = [p * s + i * d for p, i, s, d in zip(places, inside, a["strides"], a["dilations"], strict=True)]
    return nest.value(v.inputs[0], [*lead, *source], block)


@register_lowering(pad_with)
def _pad(nest: Nest, v: Value, index: list[Index], block: Index | None) -> Lanes:
    a, b = v.attributes, nest.builder
    everything: Condition = True
    source, lanes = [], None
    for i, n, low, gap in zip(index, v.inputs[0].shape, a["low"], a["interior"], strict=True):
        reach = n + max(n - 1, 0) * gap
        if i.lane and reach and not gap:
            source.append(i + -low)
            lanes = nest.number(source[-1], "uint32") < reach  # negative numbers are large when unsigned
            continue
        condition, at = _inside(nest, i, low, reach) if reach else (False, Index())
        if gap and condition is not False:
            at, on_grid = _on_grid(nest, at, gap + 1)
            condition = _both(b, condition, on_grid)
        everything = _both(b, everything, condition)
        source.append(at)
    outside = nest.constant(a["value"], v.dtype)
    if everything is False:
        return outside
    with nest.only(lanes):
        inside = nest.value(v.inputs[0], source, block)
    return _choose(nest, everything, inside if lanes is None else L.where(lanes, inside, outside), outside)


@register_lowering(concatenate_of)
def _concatenate(nest: Nest, v: Value, index: list[Index], block: Index | None) -> Lanes:
    axis, start, result = v.attributes["axis"] + len(v.shape), 0, None
    for part in v.inputs:
        n = part.shape[axis]
        if n:
            condition, at = _inside(nest, index[axis], start, n)
            if condition is not False:
                here = nest.operand(part, [*index[:axis], at, *index[axis + 1 :]], block)
                result = here if result is None else _choose(nest, condition, here, result)
        start += n
    assert result is not None  # nobody asks for an element where there is none
    return result


@register_lowering(overlap_add_of)
def _overlap_add(nest: Nest, v: Value, index: list[Index], block: Index | None) -> Lanes:
    """Each element asks every place of the kernel whether a window has it there."""
    a, b, x = v.attributes, nest.builder, v.inputs[0]
    rank = len(a["size"])
    lead, at = index[:-rank], index[-rank:]
    counts, kernel = x.shape[-2 * rank : -rank], x.shape[-rank:]
    total = L.splat(nest.constant(0, v.dtype), nest.width_of(v, index))
    for place in itertools.product(*map(range, kernel)):
        everything: Condition = True
        windows = []
        for p, i, s, d, n in zip(at, place, a["strides"], a["dilations"], counts, strict=True):
            condition, offset = _inside(nest, p, i * d, (n - 1) * s + 1)
            if s > 1 and condition is not False:
                offset, on_grid = _on_grid(nest, offset, s)
                condition = _both(b, condition, on_grid)
            everything = _both(b, everything, condition)
            windows.append(offset)
        if everything is not False:
            part = nest.value(x, [*lead, *windows, *map(Index, place)], block)
            total = total + _choose(nest, everything, part, nest.constant(0, v.dtype))
    return total


def _inside(nest: Nest, i: Index, low: int, length: int) -> tuple[Condition, Index]:
    """Whether low <= i < low + length (a scalar condition; True or False where known), and i - low kept within."""
    if i.lane:
        raise NotVectorizable
    if not i.terms:
        inside = low <= i.const < low + length
        return inside, Index(i.const - low) if inside else Index()
    b = nest.builder
    value = b.sub(i.emit(b), I64(low))
    condition = b.icmp_unsigned("<", value, I64(length))  # negative numbers are large when unsigned
    return condition, Index.of(Variable(b.select(condition, value, I64(0)), length))


def _on_grid(nest: Nest, index: Index, step: int) -> tuple[Index, Condition]:
    """An index divided by a step, and whether nothing is left."""
    quotient, rest = index.divmod(step, nest.builder)
    if not rest.terms:
        return quotient, not rest.const
    return quotient, nest.builder.icmp_unsigned("==", rest.emit(nest.builder), I64(0))


def _both(builder: ir.IRBuilder, x: Condition, y: Condition) -> Condition:
    if x is False or y is False:
        return False
    if x is True:
        return y
    return x if y is True else builder.and_(x, y)


def _choose(nest: Nest, condition: Condition, x: Lanes, y: Lanes) -> Lanes:
    if condition is True:
        return x
    if condition is False:
        return y
    width = max(x.width, y.width)
    x, y = L.splat(x, width), L.splat(y, width)
    return Lanes(nest.builder, nest.builder.select(condition, x.value, y.value), x.dtype, width)
