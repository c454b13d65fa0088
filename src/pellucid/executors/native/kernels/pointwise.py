"""The plain nests: a group of sample values, a group of shared values, samples as rows, and gathering a mini-batch."""

from __future__ import annotations

import math

from ..codegen.masks import smaller
from ..codegen.nest import I64, Nest
from ..llvm.affine import Index, Variable
from ..plan.planner import Group
from ..plan.work import parts_of
from .gather import CHUNK


def over_parts(nest: Nest, axis: int, parts: int, body) -> None:
    """``body(block, low, high)`` for numbers lo..hi-1 of parts of blocks; low..high-1 is the part of an axis."""
    b = nest.builder

    def part(variable, _):
        block, k = Index.of(variable).divmod(parts, b)
        low = (k * axis).divmod(parts, b)[0].emit(b)
        high = ((k + 1) * axis).divmod(parts, b)[0].emit(b)
        body(block, low, high)

    nest.loop(nest.lo, nest.hi, [], part)


def sample_nest(nest: Nest, group: Group) -> int:
    """Blocks lo..hi-1 of a group of sample values, element by element; parts of them where they are large."""
    axis, rest = (group.shape[0], group.shape[1:]) if group.shape else (1, ())
    parts = parts_of(axis, group.size)
    if parts > 1:

        def rows(block, low, high):
            def row(v, _):
                nest.over(rest, [], lambda index, _: nest.store_all(group.stores, [Index.of(v), *index], block))

            nest.loop(low, high, [], row, extent=axis)

        over_parts(nest, axis, parts, rows)
        return parts

    def element(index, block):
        nest.store_all(group.stores, index, block)

    def block_body(variable, _):
        nest.over(group.shape, [], lambda index, _: element(index, Index.of(variable)))

    nest.loop(nest.lo, nest.hi, [], block_body)
    return 1


def units(shape: tuple[int, ...]) -> int:
    """Into how many parts the space of a shared group is cut, for threads to share."""
    rows, columns = math.prod(shape[:-1]), shape[-1] if shape else 1
    return rows * max(1, -(-columns // CHUNK))


def shared_nest(nest: Nest, group: Group) -> int:
    """Units lo..hi-1 of a group of shared values: rows of neighbouring features in lanes, the last vector masked.

    Gives the number of units.
    """
    shape = group.shape
    columns = shape[-1] if shape else 1
    chunks = max(1, -(-columns // CHUNK))

    def element(index):
        nest.store_all(group.stores, index, None)

    def unit(variable, _):
        b = nest.builder
        row, chunk = Index.of(variable).divmod(chunks, b)
        outer: list[Index] = []
        for n in reversed(shape[:-1]):
            row, here = row.divmod(n, b)
            outer.insert(0, here)
        if not shape:
            element([])
            return
        if nest.feature_width == 1 or columns == 1:
            first = b.mul(chunk.emit(b), I64(CHUNK))
            last = smaller(b, b.add(first, I64(CHUNK)), columns)
            nest.loop(first, last, [], lambda j, _: element([*outer, Index.of(j)]), extent=columns)
            return
        along_row(nest, columns, chunk, chunks, lambda j: element([*outer, j]))

    nest.loop(nest.lo, nest.hi, [], unit, extent=units(shape))
    return units(shape)


def along_row(nest: Nest, columns: int, chunk: Index, chunks: int, body) -> None:
    """``body(index)`` for each vector of one chunk of a row, the incomplete last one under a mask."""
    b, width = nest.builder, nest.feature_width
    whole = columns - columns % width
    first = b.mul(chunk.emit(b), I64(CHUNK))
    last = smaller(b, b.add(first, I64(CHUNK)), whole)
    if whole:
        nest.loop(first, last, [], lambda j, _: body(Index.of(Variable(j.value, columns, lane=True))), step=width)
    if whole == columns:
        return
    is_last = b.icmp_signed("==", chunk.emit(b), I64(chunks - 1))
    with b.if_then(is_last), nest.masked(columns - whole):
        body(Index.of(Variable(I64(whole), columns, lane=True)))


# ---- the same, number by number: a tenth of the text, where code is wanted soon -------------------------------------
