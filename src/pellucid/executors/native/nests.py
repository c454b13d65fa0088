"""The plain nests: a group of sample values, a group of shared values, samples as rows, and gathering a mini-batch."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...graph import Value
from . import across, ir
from . import lanes as L
from .emit import I32, I64, Buffer, Nest, memory_type
from .index import Index, Variable, linear
from .lanes import Lanes
from .plan import Group

CHUNK = 512  # columns of a row that one unit of a shared nest covers


PART_ELEMENTS = 4096  # of a block, at least, in each part that a thread may take
PARTS = 16


def parts_of(axis: int, elements: int) -> int:
    """Into how many parts an axis is cut, where a block is shared between threads."""
    return max(1, min(PARTS, axis, elements // PART_ELEMENTS))


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


def smaller(b: ir.IRBuilder, x: ir.Value, limit: int) -> ir.Value:
    return b.select(b.icmp_signed("<", x, I64(limit)), x, I64(limit))


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
    with b.if_then(is_last):
        nest.memo.append({})
        with_mask(nest, columns - whole, lambda: body(Index.of(Variable(I64(whole), columns, lane=True))))
        nest.memo.pop()


def with_mask(nest: Nest, count: int, body) -> None:
    """Emit with only the first ``count`` lanes of a row of features existing."""
    nest.mask = lane_mask(nest.feature_width, count)
    nest.valid = count
    body()
    nest.mask, nest.valid = None, nest.feature_width


def lane_mask(width: int, count: int) -> ir.Constant:
    return ir.Constant(ir.VectorType(ir.IntType(1), width), [int(k < count) for k in range(width)])


def samples_of(nest: Nest, block: Index) -> ir.Value:
    """How many samples a block has."""
    b = nest.builder
    return smaller(b, b.sub(nest.n, b.mul(block.emit(b), I64(nest.width))), nest.width)


def row_start(nest: Nest, rows: Buffer, v: Value, index: Sequence[Index], block: Index, lane: Index) -> Index:
    """Where an element of one sample of a block lies among the rows."""
    if not rows.together:
        return (block * nest.width + lane) * rows.size + linear(index, v.shape)
    strip, place = rows.strip or v.shape[-1], linear(index[:-1], v.shape[:-1])
    which, at = index[-1].divmod(strip, nest.builder) if rows.strip else (Index(), index[-1])
    place = place * -(-v.shape[-1] // strip) + which
    return (block * rows.size + place * strip) * nest.width + lane * strip + at


def rows_nest(nest: Nest, v: Value, rows: Buffer) -> None:
    """Blocks lo..hi-1 of a sample value written once more as rows, each of one sample: a transpose."""
    width, columns = nest.width, v.shape[-1] if v.shape else 1

    def block_body(variable, _):
        block = Index.of(variable)

        def vectors(outer, start: Index, count: int) -> None:
            places = [[*outer, start + min(k, count - 1)] if v.shape else [] for k in range(width)]
            given = [L.splat(nest.value(v, place, block), width) for place in places]
            nest.mask = lane_mask(width, count) if count < width else None
            for lane, row in enumerate(across.transpose(given)):
                nest.store_vector(row, rows, row_start(nest, rows, v, places[0], block, Index(lane)))
            nest.mask = None

        def row(outer, _):
            whole = columns - columns % width
            if whole:
                nest.loop(0, whole, [], lambda j, _: vectors(outer, Index.of(j), width), step=width, extent=columns)
            if columns % width:
                vectors(outer, Index(whole), columns % width)

        nest.over(v.shape[:-1], [], row)

    nest.loop(nest.lo, nest.hi, [], block_body)


def gather_nest(nest: Nest, source: Buffer, order: Buffer, lanes: Buffer, rows: Buffer | None = None) -> None:
    """Blocks lo..hi-1 of a mini-batch: each sample's row, wherever it lies, into lanes and, if asked, into rows.

    ``order`` holds the numbers of the batch's rows. Lanes beyond the batch repeat its last sample, so that they hold
    numbers like any other. (Reading the caller's rows instead of a copy saves nothing: they are seldom aligned.)
    """
    b, width, columns = nest.builder, nest.width, source.size

    def block_body(variable, _):
        block = Index.of(variable)
        starts, targets = [], []
        for k in range(width):
            i = (block * width + k).emit(b)
            i = b.select(b.icmp_signed("<", i, nest.n), i, b.sub(nest.n, I64(1)))
            at = b.load(b.gep(nest.pointers[order], [i], source_etype=I64), typ=I64)
            starts.append(Index.of(Variable(at, 1 << 40)) * columns)
            targets.append((block * width + k) * columns)

        def vectors(j: Index, count: int) -> None:
            nest.mask = lane_mask(width, count) if count < width else None
            lane_j = Index(j.const, {Variable(t.value, t.extent, lane=True): c for t, c in j.terms.items()})
            if not j.terms:
                lane_j = Index.of(Variable(I64(j.const), columns, lane=True))
            given = [nest.load(source, s + lane_j, None) for s in starts]
            if rows is not None:
                for x, target in zip(given, targets, strict=True):
                    nest.store_vector(x, rows, target + lane_j)
            nest.mask = None
            for k, x in enumerate(across.transpose(given)[:count]):
                nest.store(x, lanes, j + k, block)

        if columns == 1:
            result: ir.Value = ir.Constant(L.llvm_type(source.dtype, width), ir.Undefined)
            for k, s in enumerate(starts):
                result = b.insert_element(result, nest.load_vector(source, s, 1, True).value, I32(k))
            x = Lanes(b, result, source.dtype, width)
            nest.store(x, lanes, Index(), block)
            if rows is not None:
                nest.store_vector(x, rows, block * width)
            return
        whole = columns - columns % width
        if whole:
            nest.loop(0, whole, [], lambda j, _: vectors(Index.of(j), width), step=width, extent=columns)
        if columns % width:
            vectors(Index(whole), columns % width)

    nest.loop(nest.lo, nest.hi, [], block_body)


# ---- the same, number by number: a tenth of the text, where code is wanted soon -------------------------------------


def rows_by_number(nest: Nest, v: Value, rows: Buffer) -> None:
    """What `rows_nest` writes."""
    b, width, kind = nest.builder, nest.width, memory_type(rows.dtype)
    lanes = nest.scratch("lanes", width, rows.dtype)

    def element(block: Index, index: list[Index]) -> None:
        nest.store_vector(L.splat(nest.value(v, index, block), width), lanes, Index(), aligned=True)

        def lane(k, _):
            x = b.load(nest.address(lanes, Index.of(k)), typ=kind)
            b.store(x, nest.address(rows, row_start(nest, rows, v, index, block, Index.of(k))))

        nest.loop(0, width, [], lane, extent=width)

    def block_body(variable, _):
        nest.over(v.shape, [], lambda index, _: element(Index.of(variable), index))

    nest.loop(nest.lo, nest.hi, [], block_body)


def gather_by_number(nest: Nest, source: Buffer, order: Buffer, lanes: Buffer, rows: Buffer | None = None) -> None:
    """What `gather_nest` writes."""
    b, width, columns, kind = nest.builder, nest.width, source.size, memory_type(source.dtype)

    def lane(block: Index, k: Index) -> None:
        i = (block * width + k).emit(b)
        target = Index.of(Variable(i, 1 << 40)) * columns
        i = b.select(b.icmp_signed("<", i, nest.n), i, b.sub(nest.n, I64(1)))
        at = b.load(b.gep(nest.pointers[order], [i], source_etype=I64), typ=I64)
        start = Index.of(Variable(at, 1 << 40)) * columns

        def column(j, _):
            place = Index.of(j)
            nest.within(lanes, place)
            x = b.load(nest.address(source, start + place), typ=kind)
            b.store(x, nest.address(lanes, (block * lanes.stride + place) * width + k))
            if rows is not None:
                b.store(x, nest.address(rows, target + place))

        nest.loop(0, columns, [], column, extent=columns)

    def block_body(variable, _):
        nest.loop(0, width, [], lambda k, _: lane(Index.of(variable), Index.of(k)), extent=width)

    nest.loop(nest.lo, nest.hi, [], block_body)
