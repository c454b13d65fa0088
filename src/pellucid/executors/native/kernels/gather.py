"""Gathering a mini-batch's samples into lanes, and samples written as rows."""

from __future__ import annotations

from collections.abc import Sequence

from ....graph import Value
from ..codegen.masks import row_start
from ..codegen.nest import I64, Nest, memory_type
from ..llvm import lanes as L
from ..llvm import shuffles
from ..llvm.affine import Index, Variable
from ..plan.buffer import Buffer


def gather_nest(nest: Nest, source: Buffer, order: Buffer, lanes: Buffer, rows: Buffer | None = None) -> None:
    """Blocks lo..hi-1 of a mini-batch: each sample's row, wherever it lies, into lanes and, if asked, into rows.

    ``order`` holds the numbers of the batch's rows. Lanes beyond the batch repeat its last sample, so that they hold
    numbers like any other. (Reading the caller's rows instead of a copy saves nothing: they are seldom aligned.)
    """
    width, columns = nest.width, source.size

    def some(block: Index, starts: Sequence[Index], first: Index, count: int) -> None:
        """Some columns of a block's rows."""
        lane = Index.of(Variable(first.emit(nest.builder), columns, lane=True))
        with nest.masked(count):
            given = [nest.load(source, start + lane, None) for start in starts]
            if rows is not None:
                for k, x in enumerate(given):
                    nest.store_vector(x, rows, (block * width + k) * columns + lane)
        for k, x in enumerate(shuffles.transpose(given)[:count]):
            nest.store(x, lanes, first + k, block)

    def one_column(block: Index, starts: Sequence[Index]) -> None:
        elements = (nest.load_vector(source, start, 1, True).value for start in starts)
        x = L.from_elements(nest.builder, elements, source.dtype, width)
        nest.store(x, lanes, Index(), block)
        if rows is not None:
            nest.store_vector(x, rows, block * width)

    def all_columns(block: Index) -> None:
        starts = [row_of_batch(nest, order, block * width + k) * columns for k in range(width)]
        if columns == 1:
            one_column(block, starts)
        else:
            nest.chunks(columns, width, lambda first, count, _: some(block, starts, first, count))

    nest.loop(nest.lo, nest.hi, [], lambda block, _: all_columns(Index.of(block)))


def row_of_batch(nest: Nest, order: Buffer, sample: Index) -> Index:
    """The number of the caller's row that a sample of the batch is; beyond the batch, that of its last sample."""
    b, i = nest.builder, sample.emit(nest.builder)
    i = b.select(b.icmp_signed("<", i, nest.n), i, b.sub(nest.n, I64(1)))
    row = b.load(b.gep(nest.pointers[order], [i], source_etype=I64), typ=I64)
    return Index.of(Variable(row, 1 << 40))


def rows_nest(nest: Nest, v: Value, rows: Buffer) -> None:
    """Blocks lo..hi-1 of a sample value written once more as rows, each of one sample: a transpose."""
    width = nest.width

    def some(block: Index, outer: Sequence[Index], first: Index, count: int) -> None:
        """Some neighbors along the last axis."""
        places = [[*outer, first + min(k, count - 1)] if v.shape else [] for k in range(width)]
        given = [L.splat(nest.value(v, place, block), width) for place in places]
        with nest.masked(count):
            for lane, row in enumerate(shuffles.transpose(given)):
                nest.store_vector(row, rows, row_start(nest, rows, v, places[0], block, Index(lane)))

    def whole(block: Index) -> None:
        columns = v.shape[-1] if v.shape else 1
        nest.over(v.shape[:-1], [], lambda outer, _: nest.chunks(
            columns, width, lambda first, count, _: some(block, outer, first, count)))  # fmt: skip

    nest.loop(nest.lo, nest.hi, [], lambda block, _: whole(Index.of(block)))


# ---- the same, number by number: a tenth of the text, where code is wanted soon -------------------------------------


def gather_by_number(nest: Nest, source: Buffer, order: Buffer, lanes: Buffer, rows: Buffer | None = None) -> None:
    """What `gather_nest` writes."""
    b, width, columns, kind = nest.builder, nest.width, source.size, memory_type(source.dtype)

    def sample(block: Index, k: Index) -> None:
        number = Index.of(Variable((block * width + k).emit(b), 1 << 40))
        start = row_of_batch(nest, order, number) * columns

        def column(j: Variable, _) -> None:
            place = Index.of(j)
            nest.within(lanes, place)
            x = b.load(nest.address(source, start + place), typ=kind)
            b.store(x, nest.address(lanes, (block * lanes.stride + place) * width + k))
            if rows is not None:
                b.store(x, nest.address(rows, number * columns + place))

        nest.loop(0, columns, [], column, extent=columns)

    def all_samples(block: Index) -> None:
        nest.loop(0, width, [], lambda k, _: sample(block, Index.of(k)), extent=width)

    nest.loop(nest.lo, nest.hi, [], lambda block, _: all_samples(Index.of(block)))


def rows_by_number(nest: Nest, v: Value, rows: Buffer) -> None:
    """What `rows_nest` writes."""
    b, width, kind = nest.builder, nest.width, memory_type(rows.dtype)
    lanes = nest.scratch("lanes", width, rows.dtype)

    def element(block: Index, index: list[Index]) -> None:
        nest.store_vector(L.splat(nest.value(v, index, block), width), lanes, Index(), aligned=True)

        def lane(k: Variable, _) -> None:
            x = b.load(nest.address(lanes, Index.of(k)), typ=kind)
            b.store(x, nest.address(rows, row_start(nest, rows, v, index, block, Index.of(k))))

        nest.loop(0, width, [], lane, extent=width)

    nest.loop(nest.lo, nest.hi, [], lambda block, _: nest.over(
        v.shape, [], lambda index, _: element(Index.of(block), index)))  # fmt: skip
