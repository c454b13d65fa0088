"""Elementwise groups: sample values, one sample in each lane; shared values, neighboring features in lanes."""

from __future__ import annotations

import math
from collections.abc import Callable

from ..codegen.flow import lane_index
from ..codegen.masks import smaller
from ..codegen.nest import I64, Nest
from ..llvm import ir
from ..llvm.affine import Index, unravel
from ..plan.planner import Group
from ..plan.work import parts_of

UNIT_COLUMNS = 512  # of a row, that one unit of a nest of shared values covers


def sample_nest(nest: Nest, group: Group) -> int:
    """Blocks lo..hi-1 of a group of sample values, element by element; parts of them where they are large."""
    axis, rest = (group.shape[0], group.shape[1:]) if group.shape else (1, ())
    parts = parts_of(axis, group.size)
    if parts == 1:
        nest.loop(nest.lo, nest.hi, [], lambda block, _: nest.over(
            group.shape, [], lambda index, _: nest.store_all(group.stores, index, Index.of(block))))  # fmt: skip
        return 1

    def some(block: Index, low: ir.Value, high: ir.Value) -> None:
        nest.loop(low, high, [], lambda i, _: nest.over(
            rest, [], lambda index, _: nest.store_all(group.stores, [Index.of(i), *index], block)),
            extent=axis)  # fmt: skip

    over_parts(nest, axis, parts, some)
    return parts


def over_parts(nest: Nest, axis: int, parts: int, body: Callable[[Index, ir.Value, ir.Value], None]) -> None:
    """``body(block, low, high)`` for numbers lo..hi-1 of parts of blocks; low..high-1 is the part of an axis."""
    b = nest.builder

    def part(variable, _):
        block, k = Index.of(variable).divmod(parts, b)
        low = (k * axis).divmod(parts, b)[0].emit(b)
        high = ((k + 1) * axis).divmod(parts, b)[0].emit(b)
        body(block, low, high)

    nest.loop(nest.lo, nest.hi, [], part)


def shared_nest(nest: Nest, group: Group) -> int:
    """Units lo..hi-1 of a group of shared values: rows of neighboring features in lanes, the last vector masked.

    Gives the number of units.
    """
    shape, columns = group.shape, group.shape[-1] if group.shape else 1
    chunks = max(1, -(-columns // UNIT_COLUMNS))
    units = math.prod(shape[:-1]) * chunks

    def unit(variable, _):
        row, chunk = Index.of(variable).divmod(chunks, nest.builder)
        _, outer = unravel(row, shape[:-1], nest.builder)
        if shape:
            along_row(nest, columns, chunk, chunks, lambda j: nest.store_all(group.stores, [*outer, j], None))
        else:
            nest.store_all(group.stores, [], None)

    nest.loop(nest.lo, nest.hi, [], unit, extent=units)
    return units


def along_row(nest: Nest, columns: int, chunk: Index, chunks: int, body: Callable[[Index], None]) -> None:
    """``body(index)`` for each vector of one chunk of a row, the incomplete last one under a mask; or one by one."""
    b, width = nest.builder, nest.feature_width if columns > 1 else 1
    whole = columns - columns % width
    first = b.mul(chunk.emit(b), I64(UNIT_COLUMNS))
    last = smaller(b, b.add(first, I64(UNIT_COLUMNS)), whole)
    if width == 1:
        nest.loop(first, last, [], lambda j, _: body(Index.of(j)), extent=columns)
        return
    if whole:
        nest.loop(first, last, [], lambda j, _: body(lane_index(j.value, columns)), step=width)
    if whole < columns:
        is_last = b.icmp_signed("==", chunk.emit(b), I64(chunks - 1))
        with b.if_then(is_last), nest.masked(columns - whole):
            body(lane_index(I64(whole), columns))
