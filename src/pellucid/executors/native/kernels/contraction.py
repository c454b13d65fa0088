"""Contractions of one sample, one sample in each lane: register tiles whose accumulators are SSA values of the loop.

An operand is a vector if it is a sample value, and one number, broadcast, if it is shared. Loads are written naively
for each element of the tile; `Nest.value` and LLVM share the equal ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..codegen.nest import I64, Nest
from ..codegen.reduction import in_strands
from ..codegen.tiling import finish, tiled
from ..llvm import ir
from ..llvm import lanes as L
from ..llvm.affine import Index, Variable
from ..llvm.lanes import Lanes
from ..plan.planner import Group
from .contraction_plan import ContractionPlan
from .packed_operand import PackedOperand, packed_operand, strided_operand


def sample_contraction(nest: Nest, group: Group, accumulators: int) -> int | None:
    """Blocks lo..hi-1 of a group whose core is a contraction of one sample; the rest of the group is its epilogue.

    Where the weight is large, lo..hi-1 are units of its rows instead, for all blocks; the result is their number.
    (Two threads took 0.64 ms a step instead of 0.84 on 784-1024-10, batch 64; 4.1 instead of 4.7 on 784-1024-1024-10.)
    """
    assert group.core is not None
    plan = ContractionPlan.of(group.core, accumulators)
    nest.tile = plan.tile
    return ContractionEmitter(nest, group, plan).emit()


class Tile(NamedTuple):
    """Rows and columns of the result, at an index of the other letters."""

    fixed: dict[str, Index]
    row: Index
    rows: int
    column: Index
    columns: int
    packed: PackedOperand | None = None  # its rows of the shared operand


class Element(NamedTuple):
    """A result of a tile, in one block."""

    at: dict[str, Index]
    block: Index
    row: int  # of the tile


class ContractionEmitter:
    """Writes the loops over the tiles of a contraction, and the tiles."""

    def __init__(self, nest: Nest, group: Group, plan: ContractionPlan) -> None:
        self.nest, self.group, self.plan = nest, group, plan
        self.strided = None if plan.by_columns else strided_operand(nest, plan)
        self.units = None if nest.step.terms else plan.units
        self.first: ir.Value = nest.lo if self.units is None else I64(0)  # blocks
        self.last: ir.Value = nest.hi if self.units is None else nest.blocks()

    def emit(self) -> int | None:
        """All of it; gives the number of units."""
        plan = self.plan
        if plan.by_columns:
            body = self.column_tiles
        elif plan.blocks == 2 and plan.row and self.strided is None and self.units is None:
            body = self.pairs_of_blocks
        elif plan.row:
            body = self.units_of_rows
        else:
            body = self.one_row

        self.nest.over([plan.lengths[c] for c in plan.others], [],
                       lambda index, _: body(dict(zip(plan.others, index, strict=True))))  # fmt: skip
        return self.units

    # ---- the order of tiles -------------------------------------------------------------------------------------

    def column_tiles(self, fixed: dict[str, Index]) -> None:
        """All rows for a tile of columns, then the next one."""
        nest, plan = self.nest, self.plan

        def all_rows(block: Index, column: Index, columns: int) -> None:
            tiled(nest, plan.height, plan.rows,
                  lambda row, rows: self.tile(Tile(fixed, row, rows, column, columns), block))  # fmt: skip

        def all_columns(block: Index) -> None:
            tiled(nest, plan.width, plan.columns, lambda column, columns: all_rows(block, column, columns))

        nest.loop(self.first, self.last, [], lambda v, _: all_columns(Index.of(v)))

    def pairs_of_blocks(self, fixed: dict[str, Index]) -> None:
        """Two blocks at a time, and more rows at once for one that is left."""
        nest, plan, b = self.nest, self.plan, self.nest.builder
        pairs = self.after_pairs()

        def both(row: Index, rows: int) -> None:
            tile = Tile(fixed, row, rows, Index(), 1)
            nest.loop(self.first, pairs, [], lambda v, _: self.tile(tile, Index.of(v), 2), step=2)

        def alone(row: Index, rows: int) -> None:
            self.tile(Tile(fixed, row, rows, Index(), 1), Index.of(Variable(pairs, 1 << 40)))

        tiled(nest, plan.height, plan.rows, both)
        with b.if_then(b.icmp_signed("<", pairs, self.last)), nest.scope():
            tiled(nest, plan.height, plan.rows_alone, alone)

    def after_pairs(self) -> ir.Value:
        """The number of the block that pairs of blocks leave, or of the end."""
        b = self.nest.builder
        return b.sub(self.last, b.and_(b.sub(self.last, self.first), I64(1)))

    def one_row(self, fixed: dict[str, Index]) -> None:
        """All tiles of a result that has columns only."""
        self.tiles_of_rows(fixed, Index(), 1, None)

    def units_of_rows(self, fixed: dict[str, Index]) -> None:
        """All units of rows, or those that are this thread's: the last one may be smaller."""
        nest, plan, size, left = self.nest, self.plan, self.plan.unit_rows, self.plan.rows_left
        if self.units is None:
            whole = plan.height - left
            if whole:
                tiled(nest, whole, size, lambda row, rows: self.unit(fixed, row, rows))
            if left:
                self.unit(fixed, Index(whole), left)
            return
        units = self.units

        def numbered(v: Variable, _) -> None:
            number = Index.of(v)
            if not left:
                self.unit(fixed, number * size, size)
                return
            nest.last_or_not(number, units, lambda: self.unit(fixed, number * size, left),
                             lambda: self.unit(fixed, number * size, size))  # fmt: skip

        nest.loop(nest.lo, nest.hi, [], numbered, extent=units)

    def unit(self, fixed: dict[str, Index], row: Index, rows: int) -> None:
        """Rows of the result: a whole packed copy, or what is left after the last one, tile by tile."""
        if self.strided and rows == self.plan.unit_rows:
            self.packed_rows(fixed, row, rows)
        else:
            tiled(self.nest, rows, self.plan.rows, lambda start, n: self.packed_rows(fixed, row + start, n))

    def packed_rows(self, fixed: dict[str, Index], row: Index, rows: int) -> None:
        """Tiles of rows from one packed copy: a line of memory holds the rows of more than one."""
        nest, plan = self.nest, self.plan
        if self.strided is None or plan.row is None:
            self.tiles_of_rows(fixed, row, rows, None)
            return
        count = max(1, rows // plan.rows)
        each = rows // count
        packed = packed_operand(nest, self.strided, plan, fixed | {plan.row: row}, each, count)
        if count == 1:
            self.tiles_of_rows(fixed, row, each, packed)
            return

        def one_tile(v: Variable, _) -> None:
            self.tiles_of_rows(fixed, row + Index.of(v) * each, each, packed.part(Index.of(v)))

        nest.loop(0, count, [], one_tile, extent=count)

    def tiles_of_rows(self, fixed: dict[str, Index], row: Index, rows: int, packed: PackedOperand | None) -> None:
        """All tiles of these rows: columns, then blocks."""
        nest, plan = self.nest, self.plan

        def all_blocks(column: Index, columns: int) -> None:
            tile = Tile(fixed, row, rows, column, columns, packed)
            if plan.blocks == 1:
                nest.loop(self.first, self.last, [], lambda v, _: self.tile(tile, Index.of(v)))
                return
            pairs = self.after_pairs()
            nest.loop(self.first, pairs, [], lambda v, _: self.tile(tile, Index.of(v), 2), step=2)
            nest.loop(pairs, self.last, [], lambda v, _: self.tile(tile, Index.of(v)))

        tiled(nest, plan.width, plan.columns, all_blocks)

    # ---- a tile -------------------------------------------------------------------------------------------------

    def tile(self, tile: Tile, block: Index, blocks: int = 1) -> None:
        """The sums of a tile for some blocks, and the epilogue of each."""
        nest, plan = self.nest, self.plan
        elements = self.elements(tile, block, blocks)
        zero = L.splat(nest.constant(0, plan.core.dtype), nest.width)
        space = [plan.lengths[c] for c in plan.inner]

        def alone(e: Element) -> Lanes:
            return in_strands(nest, space, zero, lambda index, s: self.added(tile, e, index, s), lambda p, q: p + q)

        def step(index: list[Index], sums: Sequence[Lanes]) -> list[Lanes]:
            return [self.added(tile, e, index, s) for e, s in zip(elements, sums, strict=True)]

        if plan.single:  # whatever the tile: the order of a sum is that of the result, for any number of threads
            sums = [alone(e) for e in elements]
        else:
            sums = nest.over(space, [zero] * len(elements), step)
        with nest.scope():
            for e, s in zip(elements, sums, strict=True):
                finish(nest, self.group, plan.core, [e.at[c] for c in plan.out], e.block, s)

    def elements(self, tile: Tile, block: Index, blocks: int) -> list[Element]:
        """The results of a tile."""
        plan = self.plan
        places = [
            (r, tile.fixed | ({plan.row: tile.row + r} if plan.row else {})
             | ({plan.column: tile.column + c} if plan.column else {}))
            for r in range(tile.rows) for c in range(tile.columns)
        ]  # fmt: skip
        return [Element(at, block + k, r) for k in range(blocks) for r, at in places]

    def added(self, tile: Tile, element: Element, index: Sequence[Index], total: Lanes) -> Lanes:
        """The sum of an element with the product at an index of the sum's letters."""
        plan, inner = self.plan, dict(zip(self.plan.inner, index, strict=True))
        at = element.at | inner
        x, y = (
            tile.packed.load(self.nest, inner, element.row)
            if tile.packed is not None and v.kind == "shared"
            else self.nest.operand(v, [at[c] for c in letters], element.block)
            for v, letters in zip(plan.core.inputs, plan.operands, strict=True)
        )
        return L.fma(x, y, total)
