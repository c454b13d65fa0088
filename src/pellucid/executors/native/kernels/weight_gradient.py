"""Gradients of weights: sums over samples of outer products, the update of the weight in the epilogue.

    dw[.., r, .., c] = sum over samples n and the summed letters of  number[n, .., r] * vector[n, .., c]

Neighbors along the last axis of the weight are in lanes; a register tile of rows times vectors adds one sample after
the other, so the order of the sum is that of the samples, whatever the number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence

from ....graph import Value
from ..codegen.flow import lane_index
from ..codegen.masks import row_start, samples_of
from ..codegen.nest import I64, Nest
from ..codegen.product_tiling import ProductTiling, Tile, vectors_of_tile
from ..codegen.tiling import finish
from ..llvm import lanes as L
from ..llvm.affine import Index, Variable, at_lane
from ..llvm.lanes import Lanes
from ..plan.buffer import Buffer
from ..plan.planner import Group

VECTORS = (3, 4, 2)  # of a tile, where one divides those of a row


def weight_gradient(
    nest: Nest, group: Group, tiling: ProductTiling, rows: dict[Value, Buffer], by_element: bool = False
) -> int:
    """Units lo..hi-1 of the sum over samples of a product, and the update of the weight that follows it.
    Gives their number.

    ``rows``: where values lie as rows, a sample each. ``by_element``: what follows the sum reads neighboring weights
    from addresses that are not neighbors, so it is computed weight by weight.
    """
    nest.tile = f"{tiling.rows} rows x {tiling.vectors} vectors of {nest.width}"
    emitter = WeightGradient(nest, group, OuterProduct(nest, group, tiling, rows), by_element)
    nest.loop(nest.lo, nest.hi, [], emitter.unit, extent=tiling.units)
    return tiling.units


def weight_gradient_tiling(core: Value, width: int, accumulators: int) -> ProductTiling:
    """How the gradient of a weight, a sum over samples of a contraction, is cut into tiles."""
    return ProductTiling.of(core.inputs[0], width, accumulators, VECTORS)


def strip_of(columns: int, width: int) -> int:
    """How many neighbors of a row of ``columns`` are in the vectors of one tile.

    >>> strip_of(72, 8), strip_of(10, 8)
    (24, 16)
    """
    return vectors_of_tile(-(-columns // width), VECTORS) * width


class OuterProduct:
    """One step of the sum: the vectors and the numbers of a tile for one sample, multiplied and added to its sums."""

    def __init__(self, nest: Nest, group: Group, tiling: ProductTiling, rows: dict[Value, Buffer]) -> None:
        assert group.core is not None
        self.nest, self.tiling, which = nest, tiling, tiling.vector_operand
        operands = group.core.inputs[0].inputs
        self.vector, self.vector_letters = operands[which], tiling.letters[which]
        self.number, self.number_letters = operands[1 - which], tiling.letters[1 - which]
        self.vector_rows, self.number_rows = rows[self.vector], rows.get(self.number)
        self.number_lanes = nest.stored(self.number)  # if it lies with samples in lanes

    def added(self, sums: Sequence[Lanes], tile: Tile, block: Index, lane: Index) -> list[Lanes]:
        """The sums of a tile with the products of one sample of a block."""
        nest, width = self.nest, self.nest.width
        index = [at_lane(tile.at[c], 0) for c in self.vector_letters]
        start = row_start(nest, self.vector_rows, self.vector, index, block, lane)
        vectors = [nest.load_vector(self.vector_rows, start + c * width, width, False) for c in range(tile.vectors)]
        new: list[Lanes] = []
        for r in range(tile.rows):
            number = self._number(tile, r, block, lane)
            new += [L.fma(number, x, s) for x, s in zip(vectors, sums[r * tile.vectors :], strict=False)]
        return new

    def _number(self, tile: Tile, row: int, block: Index, lane: Index) -> Lanes:
        nest = self.nest
        index = [tile.at[c] + row if c == self.tiling.row else tile.at[c] for c in self.number_letters]
        if self.number_lanes is not None:
            offset = block * self.number_lanes.stride + nest.position(self.number, index)
            return nest.load_vector(self.number_lanes, offset * nest.width + lane, 1, True)
        assert self.number_rows is not None
        return nest.load_vector(
            self.number_rows, row_start(nest, self.number_rows, self.number, index, block, lane), 1, True
        )


class WeightGradient:
    """The loops of a gradient, from a unit to the epilogue of a tile. Each accumulator is a vector of weights."""

    def __init__(self, nest: Nest, group: Group, product: OuterProduct, by_element: bool) -> None:
        assert group.core is not None
        self.nest, self.group, self.core = nest, group, group.core
        self.product, self.tiling, self.by_element = product, product.tiling, by_element

    def unit(self, number: Variable, _: list[Lanes]) -> None:
        t = self.tiling
        at, row_tile = t.unit(Index.of(number), self.nest.builder)
        if t.last_rows == t.rows:
            self.columns(at, t.rows)
            return
        self.nest.last_or_not(
            row_tile, t.row_tiles, lambda: self.columns(at, t.last_rows), lambda: self.columns(at, t.rows)
        )

    def columns(self, at: dict[str, Index], rows: int) -> None:
        """The tiles of some rows; what is left of a row after whole tiles is one tile."""
        nest, t, width = self.nest, self.tiling, self.nest.width
        step, extent = t.vectors * width, t.columns
        whole, rest = extent - extent % step, extent % step

        def tile(first, vectors: int, lanes: int) -> None:
            self.tile(Tile(at | {t.column: lane_index(first, extent)}, rows, vectors, lanes))

        if whole:
            nest.loop(0, whole, [], lambda v, _: tile(v.value, t.vectors, width), step=step)
        if rest:
            with nest.scope():
                tile(I64(whole), -(-rest // width), rest % width or width)

    def tile(self, tile: Tile) -> None:
        nest, t = self.nest, self.tiling
        zero = L.splat(nest.constant(0, self.core.dtype), nest.width)

        def step(index: list[Index], sums: Sequence[Lanes]) -> list[Lanes]:
            at = tile.at | dict(zip(t.summed, index, strict=True))
            return self.over_samples(tile._replace(at=at), sums)

        sums = nest.over(t.sizes(t.summed), [zero] * (tile.rows * tile.vectors), step)
        if self.by_element:
            self.finish_by_element(tile, sums)
        else:
            self.finish(tile, sums)

    def over_samples(self, tile: Tile, sums: Sequence[Lanes]) -> list[Lanes]:
        """The sums with the products of all samples, block by block."""
        nest = self.nest

        def samples(number: Variable, sums: Sequence[Lanes]) -> list[Lanes]:
            block = Index.of(number)
            return nest.loop(0, samples_of(nest, block), sums,
                             lambda lane, sums: self.product.added(sums, tile, block, Index.of(lane)),
                             extent=nest.width)  # fmt: skip

        return nest.loop(0, nest.blocks(), sums, samples)

    def finish(self, tile: Tile, sums: Sequence[Lanes]) -> None:
        """The epilogue of each vector of weights."""
        nest, t, width = self.nest, self.tiling, self.nest.width
        for r in range(tile.rows):
            for c in range(tile.vectors):
                at = t.element(tile.at, r, c * width)
                with nest.masked(tile.lanes if c == tile.vectors - 1 else width):
                    finish(nest, self.group, self.core, [at[k] for k in t.out], None, sums[r * tile.vectors + c])

    def finish_by_element(self, tile: Tile, sums: Sequence[Lanes]) -> None:
        """The epilogue of each weight, the sums put down in memory first."""
        nest, t, width, b = self.nest, self.tiling, self.nest.width, self.nest.builder
        put_down = nest.scratch("sums", len(sums) * width, self.core.dtype)
        for k, x in enumerate(sums):
            nest.store_vector(x, put_down, Index(k * width))
        start, count = at_lane(tile.at[t.column], 0).emit(b), (tile.vectors - 1) * width + tile.lanes

        def element(row: int, k: Variable) -> None:
            column = Index.of(Variable(b.add(start, k.value), t.columns))
            at = t.element(tile.at, row, 0) | {t.column: column}
            total = nest.load_vector(put_down, Index.of(k) + row * tile.vectors * width, 1, True)
            finish(nest, self.group, self.core, [at[c] for c in t.out], None, total)

        with nest.scalar():
            for r in range(tile.rows):
                nest.loop(0, count, [], lambda k, _, r=r: element(r, k), extent=count)
