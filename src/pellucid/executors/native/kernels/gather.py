"""Gathering a mini-batch's samples into lanes, and samples written as rows."""

from __future__ import annotations

from ....graph import Value
from ..codegen.flow import lane_mask
from ..codegen.masks import row_start
from ..codegen.nest import I32, I64, Nest, memory_type
from ..llvm import ir, shuffles
from ..llvm import lanes as L
from ..llvm.affine import Index, Variable
from ..llvm.lanes import Lanes
from ..plan.buffer import Buffer

CHUNK = 512  # columns of a row that one unit of a shared nest covers


def rows_nest(nest: Nest, v: Value, rows: Buffer) -> None:
    """Blocks lo..hi-1 of a sample value written once more as rows, each of one sample: a transpose."""
    width, columns = nest.width, v.shape[-1] if v.shape else 1

    def block_body(variable, _):
        block = Index.of(variable)

        def vectors(outer, start: Index, count: int) -> None:
            places = [[*outer, start + min(k, count - 1)] if v.shape else [] for k in range(width)]
            given = [L.splat(nest.value(v, place, block), width) for place in places]
            nest.mask = lane_mask(width, count) if count < width else None
            for lane, row in enumerate(shuffles.transpose(given)):
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
            for k, x in enumerate(shuffles.transpose(given)[:count]):
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
