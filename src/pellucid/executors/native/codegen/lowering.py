"""The lowerings of the package's own operations, one function each; see `registry`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

from ....graph import Value
from ....ops.contract import contract_of, parse
from ....ops.conv import overlap_add_of, windows_of
from ....ops.gather import scatter_of, take_rows
from ....ops.movement import broadcast, concatenate_of, flip_axes, iota_of, pad_with, reshape_to, slice_of, transpose_of
from ....ops.reduce import (
    all_samples_of,
    argmax_axis,
    batch_count,
    batch_sum,
    each_sample,
    reduce_max,
    reduce_min,
    reduce_sum,
    sample_index,
    to_samples,
)
from ..llvm import ir, shuffles
from ..llvm import lanes as L
from ..llvm.affine import I64, Index, NotVectorisable, Variable, at_lane, reshaped
from ..llvm.lanes import Lanes
from .nest import I32
from .reduction import in_strands, reduced
from .registry import register_lowering


@register_lowering(iota_of)
def _iota(nest, v, index, block):
    return nest.number(index[0], v.dtype)


@register_lowering(batch_count)
def _batch_count(nest, v, index, block):
    return L.xp.astype(Lanes(nest.builder, nest.n, "int64", 1), v.dtype)


@register_lowering(sample_index)
def _sample_index(nest, v, index, block):
    lane = Lanes(
        nest.builder, ir.Constant(L.llvm_type("uint32", nest.width), list(range(nest.width))), "uint32", nest.width
    )
    return lane + nest.number(block * nest.width, "uint32")


@register_lowering(to_samples)
def _to_samples(nest, v, index, block):
    return nest.value(v.inputs[0], index, None)


@register_lowering(reshape_to)
def _reshape(nest, v, index, block):
    return nest.value(v.inputs[0], reshaped(index, v.shape, v.inputs[0].shape, nest.builder), block)


@register_lowering(transpose_of)
def _transpose(nest, v, index, block):
    source: list = [None] * len(index)
    for i, axis in zip(index, v.attributes["axes"], strict=True):
        source[axis] = i
    return nest.value(v.inputs[0], source, block)


@register_lowering(broadcast)
def _broadcast(nest, v, index, block):
    source = [Index() if n == 1 else i for i, n in zip(index, v.inputs[0].shape, strict=True)]
    return nest.value(v.inputs[0], source, block)


@register_lowering(slice_of)
def _slice(nest, v, index, block):
    a = v.attributes
    source = [i * s + start for i, s, start in zip(index, a["steps"], a["starts"], strict=True)]
    return nest.value(v.inputs[0], source, block)


@register_lowering(flip_axes)
def _flip(nest, v, index, block):
    n = len(index)
    source = [i * -1 + (v.shape[k] - 1) if k - n in v.attributes["axes"] else i for k, i in enumerate(index)]
    return nest.value(v.inputs[0], source, block)


@register_lowering(windows_of)
def _windows(nest, v, index, block):
    a, rank = v.attributes, len(v.attributes["kernel"])
    lead, places, inside = index[: -2 * rank], index[-2 * rank : -rank], index[-rank:]
    source = [p * s + i * d for p, i, s, d in zip(places, inside, a["strides"], a["dilations"], strict=True)]
    return nest.value(v.inputs[0], [*lead, *source], block)


@register_lowering(overlap_add_of)
def _overlap_add(nest, v, index, block):
    """Each element asks every place of the kernel whether a window has it there."""
    a, b, x = v.attributes, nest.builder, v.inputs[0]
    rank = len(a["size"])
    lead, at = index[:-rank], index[-rank:]
    counts, kernel = x.shape[-2 * rank : -rank], x.shape[-rank:]
    total = L.splat(nest.constant(0, v.dtype), width_of(nest, v, index))
    for place in itertools.product(*map(range, kernel)):
        everything, windows = True, []
        for p, i, s, d, n in zip(at, place, a["strides"], a["dilations"], counts, strict=True):
            condition, offset = _inside(nest, p, i * d, (n - 1) * s + 1)
            if s > 1 and condition is not False:
                offset, rest = offset.divmod(s, b)
                on_grid = (not rest.const) if not rest.terms else b.icmp_unsigned("==", rest.emit(b), I64(0))
                condition = _both(b, condition, on_grid)
            everything = _both(b, everything, condition)
            windows.append(offset)
        if everything is not False:
            part = nest.value(x, [*lead, *windows, *map(Index, place)], block)
            total = total + _choose(nest, everything, part, nest.constant(0, v.dtype))
    return total


def _inside(nest, i: Index, low: int, length: int):
    """Whether low <= i < low + length (a scalar condition; True or False where known), and i - low kept within."""
    if i.lane:
        raise NotVectorisable
    if not i.terms:
        inside = low <= i.const < low + length
        return inside, Index(i.const - low) if inside else Index()
    b = nest.builder
    value = b.sub(i.emit(b), I64(low))
    condition = b.icmp_unsigned("<", value, I64(length))  # negative numbers are large when unsigned
    return condition, Index.of(Variable(b.select(condition, value, I64(0)), length))


def _choose(nest, condition, x: Lanes, y: Lanes) -> Lanes:
    if condition is True:
        return x
    if condition is False:
        return y
    width = max(x.width, y.width)
    x, y = L.splat(x, width), L.splat(y, width)
    return Lanes(nest.builder, nest.builder.select(condition, x.value, y.value), x.dtype, width)


@register_lowering(pad_with)
def _pad(nest, v, index, block):
    a, b = v.attributes, nest.builder
    source, everything, lanes = [], True, None
    for i, n, low, gap in zip(index, v.inputs[0].shape, a["low"], a["interior"], strict=True):
        reach = n + max(n - 1, 0) * gap
        if i.lane and reach and not gap:
            source.append(i + -low)
            lanes = nest.number(source[-1], "uint32") < reach  # negative numbers are large when unsigned
            continue
        condition, at = _inside(nest, i, low, reach) if reach else (False, Index())
        if gap and condition is not False:
            at, rest = at.divmod(gap + 1, b)
            on_grid = (not rest.const) if not rest.terms else b.icmp_unsigned("==", rest.emit(b), I64(0))
            condition = _both(b, condition, on_grid)
        everything = _both(b, everything, condition)
        source.append(at)
    outside = nest.constant(a["value"], v.dtype)
    if everything is False:
        return outside
    with nest.only(lanes):
        inside = nest.value(v.inputs[0], source, block)
    return _choose(nest, everything, inside if lanes is None else L.where(lanes, inside, outside), outside)


def _both(builder, x, y):
    if x is False or y is False:
        return False
    if x is True:
        return y
    return x if y is True else builder.and_(x, y)


@register_lowering(concatenate_of)
def _concatenate(nest, v, index, block):
    axis, start, result = v.attributes["axis"] + len(v.shape), 0, None
    for part in v.inputs:
        n = part.shape[axis]
        if n:
            condition, at = _inside(nest, index[axis], start, n)
            if condition is not False:
                here = nest.value(
                    part, [*index[:axis], at, *index[axis + 1 :]], block if part.kind == "sample" else None
                )
                result = here if result is None else _choose(nest, condition, here, result)
        start += n
    return result


def _reduced(v: Value, index: list[Index], inner: list[Index], axes) -> list[Index]:
    """The input's index from the result's and the reduction's."""
    n = len(v.inputs[0].shape)
    outer, inside = iter(index), iter(inner)
    return [next(inside) if k - n in axes else next(outer) for k in range(n)]


def _reduction(first: Callable, combine: Callable) -> Callable:
    def emit(nest, v, index, block):
        x, axes = v.inputs[0], v.attributes["axes"]
        lengths = [x.shape[a] for a in axes]
        start = first(nest, v, x, axes, index, block)

        def element(inner):
            return nest.value(x, _reduced(v, index, inner, axes), block)

        if nest.along and axes[-1] == -1 and x.shape[-1] >= nest.width and not any(i.lane for i in index):
            return reduced(nest, lengths, start, element, combine)
        start = L.splat(start, width_of(nest, v, index))
        if not math.prod(lengths):
            return start
        return in_strands(nest, lengths, start, lambda inner, carried: combine(carried, element(inner)), combine)

    return emit


def width_of(nest, v: Value, index: Sequence[Index]) -> int:
    """Lanes of a Value at an index: the samples', or the features' where they are in lanes."""
    if v.kind == "sample":
        return nest.width
    return nest.feature_width if any(i.lane for i in index) else 1


def _zero(nest, v, x, axes, index, block):
    return nest.constant(0, v.dtype)


def _first_element(nest, v, x, axes, index, block):
    return nest.value(x, _reduced(v, index, [Index()] * len(axes), axes), block)


@register_lowering(argmax_axis)
def _argmax(nest, v, index, block):
    x, axis = v.inputs[0], v.attributes["axis"]

    def at(i: Index) -> list[Index]:
        return _reduced(v, index, [i], (axis,))

    width = width_of(nest, v, index)
    best, number = L.splat(nest.value(x, at(Index()), block), width), L.splat(nest.constant(0, "int32"), width)

    def body(inner, carried):
        here = nest.value(x, at(inner[0]), block)
        better = (here > carried[0]) | ((here != here) & (carried[0] == carried[0]))  # the first NaN wins, as in NumPy
        return [L.xp.where(better, here, carried[0]), L.xp.where(better, nest.number(inner[0], "int32"), carried[1])]

    return nest.over([x.shape[axis]], [best, number], body)[1]


@register_lowering(contract_of)
def _contract(nest, v, index, block):
    a, b, out = parse(v.attributes["spec"])
    letters = dict(zip(out, index, strict=True))
    lengths = dict(zip(a + b, v.inputs[0].shape + v.inputs[1].shape, strict=True))
    inner_letters = [c for c in dict.fromkeys(a + b) if c not in out]
    start = L.splat(nest.constant(0, v.dtype), width_of(nest, v, index))

    def body(inner, carried):
        at = letters | dict(zip(inner_letters, inner, strict=True))
        x = nest.value(v.inputs[0], [at[c] for c in a], block if v.inputs[0].kind == "sample" else None)
        y = nest.value(v.inputs[1], [at[c] for c in b], block if v.inputs[1].kind == "sample" else None)
        return [L.fma(x, y, carried[0])]

    return nest.over([lengths[c] for c in inner_letters], [start], body)[0]


@register_lowering(batch_sum)
def _batch_sum(nest, v, index, block):
    """The sum over samples: lanes are samples meanwhile; for features in lanes, a vector of sums."""
    x = v.inputs[0]
    lane = next((t for i in index for t in i.terms if t.lane), None)
    each_lane = [[at_lane(i, min(k, nest.valid - 1)) for i in index] for k in range(nest.feature_width if lane else 1)]
    zero = L.splat(nest.constant(0, v.dtype), nest.width)

    def body(variable, sums):
        here = Index.of(variable)
        alive = nest.samples_alive(here)
        parts = [L.splat(nest.value(x, i, here), nest.width) for i in each_lane]
        return [s + L.xp.where(alive, p, zero) for s, p in zip(sums, parts, strict=True)]

    with nest.unmasked():
        sums = nest.loop(0, nest.blocks(), [zero] * len(each_lane), body)
    return shuffles.horizontal_sum(sums[0]) if len(sums) == 1 else shuffles.horizontal_sums(sums)


@register_lowering(take_rows)
def _take(nest, v, index, block):
    table, rows = v.inputs
    n = v.attributes["rows_ndim"]
    row = nest.value(rows, index[:n], block if rows.kind == "sample" else None)
    size = table.shape[0]
    row = legal_rows(nest, row, size, block)
    row = L.xp.astype(row, "int64")
    if not size:
        return nest.constant(0, v.dtype)
    inner = block if table.kind == "sample" else None
    if row.width == 1:
        return nest.value(table, [Index.of(Variable(row.value, size)), *index[n:]], inner)
    b = nest.builder
    result: ir.Value = ir.Constant(L.llvm_type(v.dtype, row.width), ir.Undefined)
    for k in range(row.width):  # each lane its own row
        at = Index.of(Variable(b.extract_element(row.value, I32(k)), size))
        part = nest.value(table, [at, *(at_lane(i, min(k, nest.valid - 1)) for i in index[n:])], inner)
        one = part.value if part.width == 1 else b.extract_element(part.value, I32(k))
        result = b.insert_element(result, one, I32(k))
    return Lanes(b, result, v.dtype, row.width)


def legal_rows(nest, row: Lanes, size: int, block) -> Lanes:
    """The row numbers, 0 in place of those outside the table, which are an error."""
    bad = (row < 0) | (row >= size)
    nest.refuse(bad, block if row.width > 1 else None)
    return L.xp.where(bad, nest.constant(0, row.dtype), row)


@register_lowering(scatter_of)
def _scatter(nest, v, index, block):
    values, rows = v.inputs
    n = v.attributes["rows_ndim"]
    lengths = values.shape[:n]
    start = L.splat(nest.constant(0, v.dtype), width_of(nest, v, index))
    number = nest.number(index[0], rows.dtype)
    size = v.shape[0]
    checked = rows_are_checked(nest, v)

    def body(inner, carried):
        row = nest.value(rows, inner, block if rows.kind == "sample" else None)
        if not checked:
            nest.refuse((row < 0) | (row >= size), block if row.width > 1 else None)
        part = nest.value(values, [*inner, *index[1:]], block if values.kind == "sample" else None)
        return [carried[0] + L.xp.where(row == number, part, nest.constant(0, v.dtype))]

    return nest.over(lengths, [start], body)[0]


def rows_are_checked(nest, scatter: Value) -> bool:
    """Whether the program also takes these rows of a table of that size, and so refuses those outside."""
    rows, size = scatter.inputs[1], scatter.shape[0]
    return any(u.primitive is take_rows and u.inputs[1] is rows and u.inputs[0].shape[0] == size
               for u in nest.plan.program.order)  # fmt: skip


@register_lowering(each_sample)
def _each_sample(nest, v, index, block):
    """Row i of a shared table for sample i; lanes beyond the batch take its last row."""
    b, x = nest.builder, v.inputs[0]
    result: ir.Value = ir.Constant(L.llvm_type(v.dtype, nest.width), ir.Undefined)
    last = b.sub(nest.n, I64(1))
    for k in range(nest.width):
        i = (block * nest.width + k).emit(b)
        row = Variable(b.select(b.icmp_signed("<", i, last), i, last), x.shape[0])
        part = nest.value(x, [Index.of(row), *index], None)
        result = b.insert_element(result, part.value, I32(k))
    return Lanes(b, result, v.dtype, nest.width)


@register_lowering(all_samples_of)
def _all_samples(nest, v, index, block):
    """Element of sample number index[0]: one lane of its block."""
    b = nest.builder
    if any(i.lane for i in index):
        raise NotVectorisable
    here, lane = index[0].divmod(nest.width, b)
    part = nest.value(v.inputs[0], index[1:], here)
    one = part.value if part.width == 1 else b.extract_element(part.value, lane.emit(b))
    return Lanes(b, one, v.dtype, 1)


register_lowering(reduce_sum)(_reduction(_zero, lambda x, y: x + y))
register_lowering(reduce_max)(_reduction(_first_element, lambda x, y: L.xp.maximum(x, y)))
register_lowering(reduce_min)(_reduction(_first_element, lambda x, y: L.xp.minimum(x, y)))
