"""Gradients of weights: sums over samples of products, features in lanes, the update of the weight in the epilogue."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ....graph import Value
from ....ops.contract import parse
from ..codegen.flow import lane_index, lane_mask
from ..codegen.masks import row_start, samples_of
from ..codegen.nest import I64, Nest
from ..codegen.tiling import divisor_tile, finish
from ..llvm import lanes as L
from ..llvm.affine import Index, Variable, at_lane
from ..llvm.lanes import Lanes
from ..plan.buffer import Buffer
from ..plan.classify import rows_operand
from ..plan.planner import Group


class WeightsTile:
    """How the gradient of a weight is cut: rows of R along a letter of the number operand, C vectors along the last."""

    def __init__(self, core: Value, width: int, accumulators: int) -> None:
        product = core.inputs[0]
        self.a, self.b, self.out = parse(product.attributes["spec"])
        self.lengths = dict(zip(self.a + self.b, product.inputs[0].shape + product.inputs[1].shape, strict=True))
        which = rows_operand(product)
        assert which is not None
        letters = (self.a, self.b)
        self.vector, self.vector_letters = product.inputs[which], letters[which]
        self.number, self.number_letters = product.inputs[1 - which], letters[1 - which]
        self.last = self.out[-1]
        self.inner = [c for c in dict.fromkeys(self.a + self.b) if c not in self.out]
        rows = [c for c in self.out[:-1] if c not in self.vector_letters]
        self.row = max(rows, key=lambda c: self.lengths[c], default=None)
        self.others = [c for c in self.out[:-1] if c != self.row]
        vectors = -(-self.lengths[self.last] // width)
        self.columns = columns_of(vectors)
        self.rows = divisor_tile(self.lengths[self.row], max(1, accumulators // self.columns)) if self.row else 1
        self.row_tiles = -(-self.lengths[self.row] // self.rows) if self.row else 1

    @property
    def units(self) -> int:
        return math.prod(self.lengths[c] for c in self.others) * self.row_tiles


def columns_of(vectors: int) -> int:
    """Vectors beside each other in a tile, of so many in a row."""
    return next((c for c in (3, 4, 2) if vectors % c == 0), min(3, vectors))


class Products:
    """One step of the sum: the vectors and the numbers of a tile for one sample, multiplied and added to its sums."""

    def __init__(self, nest: Nest, t: WeightsTile, rows: dict[Value, Buffer]) -> None:
        self.nest, self.t = nest, t
        self.vectors, self.numbers, self.lanes = rows[t.vector], rows.get(t.number), nest.stored(t.number)

    def added(self, sums: Sequence[Lanes], here: dict[str, Index], rows: int, columns: int, block: Index,
              lane: Index) -> list[Lanes]:  # fmt: skip
        """The sums of a tile that begins at ``here``, with those of one sample of a block."""
        nest, t, width = self.nest, self.t, self.nest.width
        index = [at_lane(here[c], 0) for c in t.vector_letters]
        start = row_start(nest, self.vectors, t.vector, index, block, lane)
        vectors = [nest.load_vector(self.vectors, start + c * width, width, False) for c in range(columns)]
        new: list[Lanes] = []
        for r in range(rows):
            index = [here[c] + r if c == t.row else here[c] for c in t.number_letters]
            if self.lanes is not None:
                where = (block * self.lanes.stride + nest.position(t.number, index)) * width + lane
                number = nest.load_vector(self.lanes, where, 1, True)
            else:
                assert self.numbers is not None
                number = nest.load_vector(
                    self.numbers, row_start(nest, self.numbers, t.number, index, block, lane), 1, True
                )
            new += [L.fma(number, x, s) for x, s in zip(vectors, sums[r * columns :], strict=False)]
        return new


def weights_contraction(
    nest: Nest, group: Group, t: WeightsTile, rows: dict[Value, Buffer], by_element: bool = False
) -> int:
    """Units lo..hi-1 of the sum over samples of a product, and the update of the weight that stands behind it.
    Gives their number.

    Each accumulator is a vector of neighbouring weights; a sample adds number * vector to it. The order of the sum is
    that of the samples, whatever the number of threads. ``by_element``: what stands behind the sum reads neighbouring
    weights from places that are not neighbours, so it is computed weight by weight.
    """
    core, width, b = group.core, nest.width, nest.builder
    assert core is not None
    products, extent = Products(nest, t, rows), t.lengths[t.last]
    nest.tile = f"{t.rows} rows x {t.columns} vectors of {width}"

    def tile(fixed: dict[str, Index], at_row: Index, rows: int, column: Index, columns: int, valid: int) -> None:
        """``valid``: how many lanes of the last vector exist."""
        zero = L.splat(nest.constant(0, core.dtype), width)
        fixed = fixed | ({t.row: at_row} if t.row else {}) | {t.last: column}

        def body(inner, sums):
            inside = fixed | dict(zip(t.inner, inner, strict=True))

            def over_blocks(variable, sums):
                block = Index.of(variable)

                def sample(lane, sums):
                    return products.added(sums, inside, rows, columns, block, Index.of(lane))

                return nest.loop(0, samples_of(nest, block), sums, sample, extent=width)

            return nest.loop(0, nest.blocks(), sums, over_blocks)

        sums = nest.over([t.lengths[c] for c in t.inner], [zero] * (rows * columns), body)
        if by_element:
            finish_by_element(fixed, at_row, rows, column, (columns - 1) * width + valid, sums)
            return
        for r in range(rows):
            for c in range(columns):
                here = fixed | ({t.row: at_row + r} if t.row else {}) | {t.last: column + c * width}
                if c == columns - 1 and valid < width:
                    nest.mask, nest.valid = lane_mask(width, valid), valid
                with nest.scope():
                    finish(nest, group, core, [here[k] for k in t.out], None, sums[r * columns + c])
                nest.mask, nest.valid = None, width

    def finish_by_element(fixed, at_row: Index, rows: int, column: Index, count: int, sums) -> None:
        """The epilogue of a tile, its sums put down in memory first."""
        columns = len(sums) // rows
        put_down = nest.scratch("sums", len(sums) * width, core.dtype)
        for k, x in enumerate(sums):
            nest.store_vector(x, put_down, Index(k * width))
        start, nest.feature_width = at_lane(column, 0).emit(b), 1
        for r in range(rows):

            def element(k, _, r=r):
                place = Index.of(Variable(b.add(start, k.value), extent))
                here = fixed | ({t.row: at_row + r} if t.row else {}) | {t.last: place}
                total = nest.load_vector(put_down, Index.of(k) + r * columns * width, 1, True)
                finish(nest, group, core, [here[c] for c in t.out], None, total)

            nest.loop(0, count, [], element, extent=count)
        nest.feature_width = width

    def all_columns(fixed, at_row, rows):
        step = t.columns * width
        whole = extent - extent % step
        if whole:
            nest.loop(
                0,
                whole,
                [],
                lambda v, _: tile(fixed, at_row, rows, lane_index(v.value, extent), t.columns, width),
                step=step,
            )
        if extent % step:
            rest = extent % step
            with nest.scope():
                tile(fixed, at_row, rows, lane_index(I64(whole), extent), -(-rest // width), rest % width or width)

    def unit(variable, _):
        rest, row_tile = Index.of(variable).divmod(t.row_tiles, b)
        fixed = {}
        for c in reversed(t.others):
            rest, fixed[c] = rest.divmod(t.lengths[c], b)
        if not t.row:
            all_columns(fixed, Index(), 1)
            return
        left = t.lengths[t.row] % t.rows
        at_row = row_tile * t.rows
        if not left:
            all_columns(fixed, at_row, t.rows)
            return
        is_last = b.icmp_signed("==", row_tile.emit(b), I64(t.row_tiles - 1))
        with b.if_else(is_last) as (last, full):
            for branch, rows in ((last, left), (full, t.rows)):
                with branch, nest.scope():
                    all_columns(fixed, at_row, rows)

    nest.loop(nest.lo, nest.hi, [], unit, extent=t.units)
    return t.units
