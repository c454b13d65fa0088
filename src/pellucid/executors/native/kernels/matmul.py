"""Products of shared matrices, y = a b and batches of them, neighbors of the result's last axis in lanes.

A register tile of rows times vectors adds number * vector for each index of the sum.
"""

from __future__ import annotations

from collections.abc import Sequence

from ....graph import Value
from ..codegen.nest import Nest
from ..codegen.product_tiling import ProductTiling, Tile
from ..codegen.tiling import finish
from ..llvm import lanes as L
from ..llvm.affine import Index, Variable
from ..llvm.lanes import Lanes
from ..plan.classify import rows_operand
from ..plan.planner import Group

VECTORS = (4, 3, 2)  # of a tile, where one divides those of a row


def matmul(nest: Nest, group: Group, accumulators: int) -> int:
    """Units lo..hi-1 of a product of shared matrices: some rows of the result each. Gives their number."""
    assert group.core is not None
    tiling = ProductTiling.of(group.core, nest.width, accumulators, VECTORS)
    nest.tile = f"{tiling.rows} rows x {tiling.vectors} vectors of {nest.width}"
    nest.loop(nest.lo, nest.hi, [], Matmul(nest, group, tiling).unit, extent=tiling.units)
    return tiling.units


def is_matmul(core: Value) -> bool:
    """Whether a contraction of shared values has a factor whose last axis alone is the result's last."""
    return rows_operand(core) is not None


class Matmul:
    """The loops of a product of matrices, from a unit to a step of a tile."""

    def __init__(self, nest: Nest, group: Group, tiling: ProductTiling) -> None:
        assert group.core is not None
        self.nest, self.group, self.core, self.tiling = nest, group, group.core, tiling

    def unit(self, number: Variable, _: list[Lanes]) -> None:
        t = self.tiling
        at, row_tile = t.unit(Index.of(number), self.nest.builder)
        self.nest.last_or_not(
            row_tile, t.row_tiles, lambda: self.columns(at, t.last_rows), lambda: self.columns(at, t.rows)
        )

    def columns(self, at: dict[str, Index], rows: int) -> None:
        """The tiles of some rows."""
        t = self.tiling

        def tile(start: Index, vectors: int) -> None:
            self.tile(Tile(at | {t.column: start}, rows, vectors, self.nest.valid))

        self.nest.vectors(t.columns, tile, t.vectors)

    def tile(self, tile: Tile) -> None:
        nest, t = self.nest, self.tiling
        elements = [t.element(tile.at, r, c * nest.width) for r in range(tile.rows) for c in range(tile.vectors)]
        zero = L.splat(nest.constant(0, self.core.dtype), nest.width)

        def step(index: list[Index], sums: Sequence[Lanes]) -> list[Lanes]:
            summed = dict(zip(t.summed, index, strict=True))
            return [self.added(at | summed, s) for at, s in zip(elements, sums, strict=True)]

        sums = nest.over(t.sizes(t.summed), [zero] * len(elements), step)
        for at, s in zip(elements, sums, strict=True):
            with nest.scope():
                finish(nest, self.group, self.core, [at[c] for c in t.out], None, s)

    def added(self, at: dict[str, Index], total: Lanes) -> Lanes:
        """A vector of sums with the product of the operands at an index."""
        x, y = (self.nest.value(v, [at[c] for c in letters])
                for v, letters in zip(self.core.inputs, self.tiling.letters, strict=True))  # fmt: skip
        return L.fma(x, y, total)
