"""The lowerings of the package's own operations, one function each (see `registry`); those that move are in `views`."""

from __future__ import annotations

import math
from collections.abc import Callable

from ....graph import Value
from ....ops.contract import contract_of, parse
from ....ops.gather import scatter_of, take_rows
from ....ops.movement import iota_of
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
)
from ..llvm import ir, shuffles
from ..llvm import lanes as L
from ..llvm.affine import I64, Index, NotVectorizable, Variable, at_lane
from ..llvm.lanes import Lanes
from . import views  # noqa: F401  registers theirs
from .nest import I32, Nest
from .reduction import in_strands, reduced
from .registry import register_lowering


@register_lowering(iota_of)
def _iota(nest: Nest, v: Value, index: list[Index], block: Index | None) -> Lanes:
    return nest.number(index[0], v.dtype)


@register_lowering(batch_count)
def _batch_count(nest: Nest, v: Value, index: list[Index], block: Index | None) -> Lanes:
    return L.xp.astype(Lanes(nest.builder, nest.n, "int64", 1), v.dtype)


@register_lowering(sample_index)
def _sample_index(nest: Nest, v: Value, index: list[Index], block: Index | None) -> Lanes:
    assert block is not None
    lane = Lanes(
        nest.builder, ir.Constant(L.llvm_type("uint32", nest.width), list(range(nest.width))), "uint32", nest.width
    )
    return lane + nest.number(block * nest.width, "uint32")


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
        start = L.splat(start, nest.width_of(v, index))
        if not math.prod(lengths):
            return start
        return in_strands(nest, lengths, start, lambda inner, carried: combine(carried, element(inner)), combine)

    return emit


def _zero(nest: Nest, v, x, axes, index, block):
    return nest.constant(0, v.dtype)


def _first_element(nest: Nest, v, x, axes, index, block):
    return nest.value(x, _reduced(v, index, [Index()] * len(axes), axes), block)


@register_lowering(argmax_axis)
def _argmax(nest: Nest, v: Value, index: list[Index], block: Index | None) -> Lanes:
    x, axis = v.inputs[0], v.attributes["axis"]

    def at(i: Index) -> list[Index]:
        return _reduced(v, index, [i], (axis,))

    width = nest.width_of(v, index)
    best, number = L.splat(nest.value(x, at(Index()), block), width), L.splat(nest.constant(0, "int32"), width)

    def body(inner, carried):
        here = nest.value(x, at(inner[0]), block)
        better = (here > carried[0]) | ((here != here) & (carried[0] == carried[0]))  # the first NaN wins, as in NumPy
        return [L.xp.where(better, here, carried[0]), L.xp.where(better, nest.number(inner[0], "int32"), carried[1])]

    return nest.over([x.shape[axis]], [best, number], body)[1]


@register_lowering(contract_of)
def _contract(nest: Nest, v: Value, index: list[Index], block: Index | None) -> Lanes:
    a, b, out = parse(v.attributes["spec"])
    letters = dict(zip(out, index, strict=True))
    lengths = dict(zip(a + b, v.inputs[0].shape + v.inputs[1].shape, strict=True))
    inner_letters = [c for c in dict.fromkeys(a + b) if c not in out]
    start = L.splat(nest.constant(0, v.dtype), nest.width_of(v, index))

    def body(inner, carried):
        at = letters | dict(zip(inner_letters, inner, strict=True))
        x = nest.operand(v.inputs[0], [at[c] for c in a], block)
        y = nest.operand(v.inputs[1], [at[c] for c in b], block)
        return [L.fma(x, y, carried[0])]

    return nest.over([lengths[c] for c in inner_letters], [start], body)[0]


@register_lowering(batch_sum)
def _batch_sum(nest: Nest, v: Value, index: list[Index], block: Index | None) -> Lanes:
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
def _take(nest: Nest, v: Value, index: list[Index], block: Index | None) -> Lanes:
    table, rows = v.inputs
    n = v.attributes["rows_ndim"]
    row = nest.operand(rows, index[:n], block)
    size = table.shape[0]
    row = legal_rows(nest, row, size, block)
    row = L.xp.astype(row, "int64")
    if not size:
        return nest.constant(0, v.dtype)
    inner = block if table.kind == "sample" else None
    if row.width == 1:
        return nest.value(table, [Index.of(Variable(row.value, size)), *index[n:]], inner)
    b = nest.builder

    def element(k: int) -> ir.Value:
        at = Index.of(Variable(b.extract_element(row.value, I32(k)), size))
        part = nest.value(table, [at, *(at_lane(i, min(k, nest.valid - 1)) for i in index[n:])], inner)
        return part.value if part.width == 1 else b.extract_element(part.value, I32(k))

    return L.from_elements(b, map(element, range(row.width)), v.dtype, row.width)  # each lane its own row


def legal_rows(nest: Nest, row: Lanes, size: int, block) -> Lanes:
    """The row numbers, 0 in place of those outside the table, which are an error."""
    bad = (row < 0) | (row >= size)
    nest.refuse(bad, block if row.width > 1 else None)
    return L.xp.where(bad, nest.constant(0, row.dtype), row)


@register_lowering(scatter_of)
def _scatter(nest: Nest, v: Value, index: list[Index], block: Index | None) -> Lanes:
    values, rows = v.inputs
    n = v.attributes["rows_ndim"]
    lengths = values.shape[:n]
    start = L.splat(nest.constant(0, v.dtype), nest.width_of(v, index))
    number = nest.number(index[0], rows.dtype)
    size = v.shape[0]
    checked = rows_are_checked(nest, v)

    def body(inner, carried):
        row = nest.operand(rows, inner, block)
        if not checked:
            nest.refuse((row < 0) | (row >= size), block if row.width > 1 else None)
        part = nest.operand(values, [*inner, *index[1:]], block)
        return [carried[0] + L.xp.where(row == number, part, nest.constant(0, v.dtype))]

    return nest.over(lengths, [start], body)[0]


def rows_are_checked(nest: Nest, scatter: Value) -> bool:
    """Whether the program also takes these rows of a table of that size, and so refuses those outside."""
    rows, size = scatter.inputs[1], scatter.shape[0]
    return any(u.primitive is take_rows and u.inputs[1] is rows and u.inputs[0].shape[0] == size
               for u in nest.plan.program.order)  # fmt: skip


@register_lowering(each_sample)
def _each_sample(nest: Nest, v: Value, index: list[Index], block: Index | None) -> Lanes:
    """Row i of a shared table for sample i; lanes beyond the batch take its last row."""
    b, x = nest.builder, v.inputs[0]
    last = b.sub(nest.n, I64(1))
    assert block is not None

    def element(k: int) -> ir.Value:
        i = (block * nest.width + k).emit(b)
        row = Variable(b.select(b.icmp_signed("<", i, last), i, last), x.shape[0])
        return nest.value(x, [Index.of(row), *index], None).value

    return L.from_elements(b, map(element, range(nest.width)), v.dtype, nest.width)


@register_lowering(all_samples_of)
def _all_samples(nest: Nest, v: Value, index: list[Index], block: Index | None) -> Lanes:
    """Element of sample number index[0]: one lane of its block."""
    b = nest.builder
    if any(i.lane for i in index):
        raise NotVectorizable
    here, lane = index[0].divmod(nest.width, b)
    part = nest.value(v.inputs[0], index[1:], here)
    one = part.value if part.width == 1 else b.extract_element(part.value, lane.emit(b))
    return Lanes(b, one, v.dtype, 1)


register_lowering(reduce_sum)(_reduction(_zero, lambda x, y: x + y))
register_lowering(reduce_max)(_reduction(_first_element, lambda x, y: L.xp.maximum(x, y)))
register_lowering(reduce_min)(_reduction(_first_element, lambda x, y: L.xp.minimum(x, y)))
