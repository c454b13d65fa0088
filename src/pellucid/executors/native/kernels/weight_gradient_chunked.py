"""Gradients of weights that many steps share: sums over samples and steps, too long for their factors to stay near.

They are made in chunks of some steps. All tiles of a unit of rows take their turn at a chunk, each with its sums put
down in memory meanwhile, so that the chunk comes from far away once for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ....graph import Value
from ..codegen.flow import lane_index
from ..codegen.masks import samples_of, smaller
from ..codegen.nest import I64, Nest
from ..codegen.product_tiling import ProductTiling, Tile
from ..codegen.tiling import finish, tiled
from ..llvm import ir
from ..llvm import lanes as L
from ..llvm.affine import Index, Variable, unravel
from ..llvm.lanes import Lanes
from ..plan.buffer import BYTES, Buffer
from ..plan.planner import Group
from .weight_gradient import OuterProduct

LEAST_STEPS = 8  # from which on this is faster
CHUNK_PRODUCTS = 64  # of a weight before its sum is put down
SUMS_BYTES = 1 << 16  # of a unit, on the stack of a thread
UNITS_WANTED = 4  # where that many can be made
TILES_ACROSS = 2  # that take their turns at one chunk: it stays in the nearest cache


def weight_gradient_chunked(
    nest: Nest, group: Group, tiling: ProductTiling, rows: dict[Value, Buffer], by_element: bool = False
) -> int:
    """Units lo..hi-1 of the sum over samples and steps of a product, and the update of the weight that follows it.

    See `weight_gradient`, which takes the same arguments. Gives the number of units.
    """
    assert group.core is not None
    plan = ChunkedPlan.of(tiling, nest.width, BYTES[group.core.dtype])
    nest.tile = f"{tiling.rows} rows x {tiling.vectors} vectors of {nest.width}, {plan.height} rows in chunks"
    emitter = WeightGradientChunked(nest, group, plan, OuterProduct(nest, group, tiling, rows), by_element)
    nest.loop(nest.lo, nest.hi, [], emitter.numbered, extent=plan.units)
    return plan.units


def has_many_steps(tiling: ProductTiling) -> bool:
    """Whether a weight's gradient sums enough products of each sample for chunks to pay."""
    return math.prod(tiling.sizes(tiling.summed)) >= LEAST_STEPS


@dataclass(frozen=True)
class ChunkedPlan:
    """A unit is ``height`` rows, whole tiles of them, times ``across`` vectors, up to ``TILES_ACROSS`` tiles of them.

    Vectors of a row that are no whole tile are a unit of their own, the last one. A chunk is ``steps`` of the longest
    summed axis.

    >>> from pellucid import input, ops
    >>> product = ops.contract(input("delta", (20, 256)), input("x", (20, 300)), "to,ti->oi")
    >>> plan = ChunkedPlan.of(ProductTiling.of(product, 8, 12, (3, 4, 2)), width=8, bytes=4)
    >>> plan.height, plan.across, plan.row_units, plan.column_units, plan.steps
    (256, 4, 1, 10, 8)
    """

    tiling: ProductTiling
    height: int
    across: int
    whole_tiles: int  # of a row
    rest: int  # vectors of a row after those
    steps: int

    @classmethod
    def of(cls, tiling: ProductTiling, width: int, bytes: int) -> ChunkedPlan:
        """For vectors of ``width`` numbers of ``bytes`` each."""
        whole, rest = divmod(-(-tiling.columns // width), tiling.vectors)
        across = min(whole, TILES_ACROSS) * tiling.vectors or rest
        most = max(1, SUMS_BYTES // (across * width * bytes * tiling.rows))
        wanted = max(1, -(-tiling.height * column_units(whole, rest) // (tiling.rows * UNITS_WANTED)))
        height = min(most, wanted, tiling.row_tiles) * tiling.rows
        return cls(tiling, height, across, whole, rest, max(1, CHUNK_PRODUCTS // width))

    @property
    def column_units(self) -> int:
        return column_units(self.whole_tiles, self.rest)

    @property
    def row_units(self) -> int:
        return -(-self.tiling.height // self.height)

    @property
    def units(self) -> int:
        return math.prod(self.tiling.sizes(self.tiling.outer)) * self.row_units * self.column_units

    @property
    def step(self) -> str:
        """The summed letter that is cut into chunks."""
        return max(self.tiling.summed, key=lambda c: self.tiling.lengths[c])

    @property
    def other_summed(self) -> list[str]:
        return [c for c in self.tiling.summed if c != self.step]


def column_units(whole_tiles: int, rest: int) -> int:
    """Into how many units a row is cut."""
    return -(-whole_tiles // TILES_ACROSS) + (rest > 0)


class Unit(NamedTuple):
    """Rows and columns of a gradient whose sums are in memory together."""

    at: dict[str, Index]  # by letter of the outer axes
    row: Index  # the first
    number: Index  # of the unit along a row
    start: Index  # the first lane of its columns
    vectors: int  # of each tile
    tiles: ir.Value  # beside each other
    rows: ir.Value  # that exist
    full_rows: ir.Value  # in whole tiles


class Chunk(NamedTuple):
    """Some steps of a block of samples."""

    at: dict[str, Index]  # by letter, of the first step
    steps: int
    block: Index


class WeightGradientChunked:
    """The loops of a gradient in chunks, from a unit to the epilogue of a row."""

    def __init__(self, nest: Nest, group: Group, plan: ChunkedPlan, product: OuterProduct, by_element: bool) -> None:
        assert group.core is not None
        self.nest, self.group, self.core, self.width, self.b = nest, group, group.core, nest.width, nest.builder
        self.plan, self.tiling, self.product, self.by_element = plan, plan.tiling, product, by_element
        self.sums = nest.scratch("sums", plan.height * plan.across * nest.width, self.core.dtype)  # (row, vector)
        self.zero = L.splat(nest.constant(0, self.core.dtype), nest.width)

    def numbered(self, number: Variable, _: list[Lanes]) -> None:
        p, t = self.plan, self.tiling
        lengths = [*t.sizes(t.outer), p.row_units, p.column_units]
        *outer, down, across = unravel(Index.of(number), lengths, self.b)[1]
        at, row = dict(zip(t.outer, outer, strict=True)), down * p.height

        def whole() -> None:
            self.unit(at, row, across, across * p.across, t.vectors)

        def rest() -> None:
            self.unit(at, row, across, Index(p.whole_tiles * t.vectors), p.rest)

        if p.rest:
            self.nest.last_or_not(across, p.column_units, rest, whole)
        else:
            whole()

    def unit(self, at: dict[str, Index], row: Index, number: Index, start: Index, vectors: int) -> None:
        """``start``: its first vector; ``vectors``: of each tile."""
        nest, b, p, t = self.nest, self.b, self.plan, self.tiling
        rows = smaller(b, b.sub(I64(t.height), row.emit(b)), p.height)
        full_rows = b.mul(b.udiv(rows, I64(t.rows)), I64(t.rows))
        tiles: ir.Value = I64(1)
        if vectors == t.vectors:
            tiles = smaller(b, b.sub(I64(p.whole_tiles), (number * TILES_ACROSS).emit(b)), TILES_ACROSS)
        unit = Unit(at, row, number, start * self.width, vectors, tiles, rows, full_rows)
        self.clear()
        nest.loop(0, nest.blocks(), [], lambda block, _: self.chunks(unit, Index.of(block)))
        nest.loop(0, rows, [], lambda row, _: self.finish(unit, Index.of(row)), extent=p.height)

    def clear(self) -> None:
        self.nest.loop(0, self.plan.height * self.plan.across, [], lambda vector, _: self.nest.store_vector(
            self.zero, self.sums, Index.of(vector) * self.width, aligned=True))  # fmt: skip

    def chunks(self, unit: Unit, block: Index) -> None:
        """All steps of a block of samples, chunk by chunk."""
        p, t = self.plan, self.tiling

        def along_steps(index: list[Index], _: list[Lanes]) -> None:
            at = unit.at | dict(zip(p.other_summed, index, strict=True)) | {t.column: unit.start}
            tiled(self.nest, t.lengths[p.step], p.steps,
                  lambda first, steps: self.chunk(unit, Chunk(at | {p.step: first}, steps, block)))  # fmt: skip

        self.nest.over(t.sizes(p.other_summed), [], along_steps)

    def chunk(self, unit: Unit, chunk: Chunk) -> None:
        """All tiles of a unit, one after the other."""
        nest, b, t = self.nest, self.b, self.tiling
        nest.loop(0, unit.full_rows, [], lambda row, _: self.row_of_tiles(unit, chunk, Index.of(row), t.rows),
                  step=t.rows, extent=self.plan.height)  # fmt: skip
        if t.height % t.rows:
            with b.if_then(b.icmp_signed("<", unit.full_rows, unit.rows)), nest.scope():
                row = Index.of(Variable(unit.full_rows, self.plan.height))
                self.row_of_tiles(unit, chunk, row, t.height % t.rows)

    def row_of_tiles(self, unit: Unit, chunk: Chunk, row: Index, rows: int) -> None:
        """``row``: the first of ``rows``, counted within the unit."""
        at = chunk.at | self.tiling.row_at(unit.row + row)
        self.nest.loop(0, unit.tiles, [], lambda number, _: self.tile(
            chunk, Tile(at, rows, unit.vectors, self.width), row, Index.of(number) * unit.vectors),
            extent=TILES_ACROSS)  # fmt: skip

    def tile(self, chunk: Chunk, tile: Tile, row: Index, vector: Index) -> None:
        """The sums of a tile, ``row`` and ``vector`` of its unit on, with the products of a chunk."""
        nest, p, t = self.nest, self.plan, self.tiling
        positions = [((row + r) * p.across + vector + c) * self.width
                     for r in range(tile.rows) for c in range(tile.vectors)]  # fmt: skip
        at = tile.at | {t.column: tile.at[t.column] + vector * self.width}
        before = [nest.load_vector(self.sums, position, self.width, True) for position in positions]

        def step(k: Variable, sums: Sequence[Lanes]) -> list[Lanes]:
            here = tile._replace(at=at | {p.step: at[p.step] + Index.of(k)})
            return nest.loop(0, samples_of(nest, chunk.block), sums, lambda lane, sums: self.product.added(
                sums, here, chunk.block, Index.of(lane)), extent=self.width)  # fmt: skip

        after = nest.loop(0, chunk.steps, before, step, extent=chunk.steps)
        for position, x in zip(positions, after, strict=True):
            nest.store_vector(x, self.sums, position, aligned=True)

    def finish(self, unit: Unit, row: Index) -> None:
        """The epilogue of a row of a unit: vector by vector, the last one of the weight masked, or weight by weight."""
        nest, b, columns, wide = self.nest, self.b, self.tiling.columns, self.plan.across * self.width
        start = unit.start.emit(b)

        def stop(limit: int) -> ir.Value:
            return smaller(b, b.add(start, I64(wide)), limit)

        def at(first: ir.Value, column: Index, lanes: int) -> None:
            self.finish_vector(unit, row, column, Index.of(Variable(b.sub(first, start), wide)), lanes)

        def vector(first: ir.Value) -> None:
            at(first, lane_index(first, columns), self.width)

        if self.by_element:
            with nest.scalar():
                nest.loop(start, stop(columns), [], lambda v, _: at(v.value, Index.of(v), 1), extent=columns)
            return
        masked = columns % self.width
        nest.loop(start, stop(columns - masked), [], lambda v, _: vector(v.value), step=self.width, extent=columns)
        if masked:
            is_last = b.icmp_signed("==", unit.number.emit(b), I64(self.plan.column_units - 1))
            with b.if_then(is_last), nest.masked(masked):
                vector(I64(columns - masked))

    def finish_vector(self, unit: Unit, row: Index, column: Index, offset: Index, lanes: int) -> None:
        """The epilogue of neighboring weights, whose sums lie ``offset`` after the first of their row."""
        nest, t = self.nest, self.tiling
        at = unit.at | t.row_at(unit.row + row) | {t.column: column}
        with nest.scope():
            position = row * (self.plan.across * self.width) + offset
            total = nest.load_vector(self.sums, position, lanes, lanes > 1)
            finish(nest, self.group, self.core, [at[c] for c in t.out], None, total)
