"""Gradients of 3x3 kernels by tiles (ops/winograd.py): 16 products of matrices, one for each element of a tile.

For one of the elements, and a few rows of tiles of a block of samples: the input is transformed and transposed, so that
the channels of one sample and tile are neighbors; the derivative of the result is transformed and stays as it is, a
number for each sample, tile and filter. A register tile is filters x vectors of channels; sums stay on the stack until
all is added.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ....ops.winograd import SIDE, input_line, slope_line
from ..codegen.flow import lane_index
from ..codegen.masks import smaller
from ..codegen.nest import I64, Nest
from ..codegen.tiling import finish, tiled
from ..llvm import ir, shuffles
from ..llvm import lanes as L
from ..llvm.affine import Index, Variable
from ..llvm.lanes import Lanes
from ..plan.planner import Group

TILES_PER_PASS = 256  # tiles times samples that are transformed together
FILTERS_PER_UNIT = 128
ELEMENTS = SIDE * SIDE  # of a transformed tile


def winograd_gradient(nest: Nest, group: Group, accumulators: int) -> int:
    """Units lo..hi-1 of the gradients of transformed kernels: an element of the tile and some filters; gives their
    number.

    The order of the sum is that of blocks, rows of tiles, tiles and lanes, whatever the number of threads.
    """
    assert group.core is not None
    delta = group.core.inputs[0].inputs[0]
    filters, channels = group.core.shape[1:]
    plan = WinogradGradientPlan.of(filters, channels, delta.shape[1:], nest.width, accumulators)
    nest.tile = f"{plan.rows} filters x {plan.vectors} vectors of channels, for each of 16 places of a tile"
    nest.loop(nest.lo, nest.hi, [], WinogradGradient(nest, group, plan).numbered, extent=plan.units)
    return plan.units


@dataclass(frozen=True)
class WinogradGradientPlan:
    """A unit is up to ``filters_per_unit`` filters; a pass transforms ``rows_per_pass`` rows of tiles of a block.

    >>> plan = WinogradGradientPlan.of(filters=150, channels=48, size=(14, 14), width=8, accumulators=12)
    >>> plan.rows_per_pass, plan.pixels, plan.filters_per_unit, plan.last_filters, plan.units, plan.rows, plan.vectors
    (4, 224, 128, 22, 32, 4, 3)
    """

    filters: int
    channels: int
    down: int  # tiles of the result
    across: int
    width: int
    rows: int  # filters of a register tile
    vectors: int  # of channels, of a register tile

    @classmethod
    def of(
        cls, filters: int, channels: int, size: Sequence[int], width: int, accumulators: int
    ) -> WinogradGradientPlan:
        vectors = next(n for n in (4, 3, 2, 1) if channels // width % n == 0)
        return cls(filters, channels, size[0] // 2, size[1] // 2, width, accumulators // vectors, vectors)

    @property
    def rows_per_pass(self) -> int:
        return max(1, min(self.down, TILES_PER_PASS // (self.across * self.width)))

    @property
    def pixels(self) -> int:
        """Tiles times samples of a pass."""
        return self.rows_per_pass * self.across * self.width

    @property
    def filters_per_unit(self) -> int:
        return min(FILTERS_PER_UNIT, self.filters)

    @property
    def filter_units(self) -> int:
        return -(-self.filters // self.filters_per_unit)

    @property
    def last_filters(self) -> int:
        return self.filters - (self.filter_units - 1) * self.filters_per_unit

    @property
    def units(self) -> int:
        return ELEMENTS * self.filter_units


class LineElement:
    """An element of a transformed line, whose number is known at run time only: two of the line, times two factors."""

    def __init__(self, nest: Nest, line: Callable, side: int, number: Index, dtype: str) -> None:
        results = [line(*(float(i == k) for i in range(side))) for k in range(side)]  # (given, transformed)
        rows = [[(k, results[k][n]) for k in range(side) if results[k][n]] for n in range(SIDE)]
        rows = [row if len(row) == 2 else [*row, (row[0][0], 0.0)] for row in rows]
        b, which = nest.builder, number.emit(nest.builder)

        def choose(kind: ir.Type, values: Sequence[float]) -> ir.Value:
            found: ir.Value = kind(values[0])
            for n, value in enumerate(values[1:], 1):
                found = b.select(b.icmp_signed("==", which, I64(n)), kind(value), found)
            return found

        one = L.llvm_type(dtype, 1)
        self.sources = [Index.of(Variable(choose(I64, [row[k][0] for row in rows]), side)) for k in range(2)]
        factors = [Lanes(b, choose(one, [row[k][1] for row in rows]), dtype, 1) for k in range(2)]
        self.factors = [L.splat(f, nest.width) for f in factors]

    def of(self, load: Callable[[Index], Lanes]) -> Lanes:
        """From the elements that ``load(index)`` gives."""
        first, second = (load(source) for source in self.sources)
        return L.fma(second, self.factors[1], first * self.factors[0])


class SquareElement:
    """An element of a transformed square: of its rows, and of the columns in them."""

    def __init__(self, nest: Nest, line: Callable, side: int, at: Sequence[Index], dtype: str) -> None:
        self.rows, self.columns = (LineElement(nest, line, side, number, dtype) for number in at)

    def of(self, load: Callable[[Index, Index], Lanes]) -> Lanes:
        return self.rows.of(lambda i: self.columns.of(lambda j: load(i, j)))


class Unit(NamedTuple):
    """An element of the tile and some filters."""

    element: Index
    first: Index
    filters: int
    of_delta: SquareElement
    of_input: SquareElement


class WinogradGradient:
    """The loops of a gradient, from a unit to a register tile."""

    def __init__(self, nest: Nest, group: Group, plan: WinogradGradientPlan) -> None:
        assert group.core is not None
        self.nest, self.group, self.core, self.b, self.plan = nest, group, group.core, nest.builder, plan
        self.delta, self.x = group.core.inputs[0].inputs
        dtype, filters = self.core.dtype, plan.filters_per_unit
        self.inputs = nest.scratch("inputs", plan.pixels * plan.channels, dtype)  # (tile, sample, channel)
        self.deltas = nest.scratch("deltas", filters * plan.pixels, dtype)  # (filter, tile, sample)
        self.sums = nest.scratch("sums", filters * plan.channels, dtype)  # (filter, channel)
        self.zero = L.splat(nest.constant(0, dtype), nest.width)

    def numbered(self, number: Variable, _: list[Lanes]) -> None:
        p = self.plan
        part, element = Index.of(number).divmod(ELEMENTS, self.b)
        first = part * p.filters_per_unit
        self.nest.last_or_not(part, p.filter_units, lambda: self.unit(element, first, p.last_filters),
                              lambda: self.unit(element, first, p.filters_per_unit))  # fmt: skip

    def unit(self, element: Index, first: Index, filters: int) -> None:
        nest, p, b, dtype = self.nest, self.plan, self.b, self.core.dtype
        at = element.divmod(SIDE, b)
        of_delta = SquareElement(nest, slope_line, 2, at, dtype)
        unit = Unit(element, first, filters, of_delta, SquareElement(nest, input_line, SIDE, at, dtype))
        nest.loop(0, filters * p.channels, [], lambda v, _: nest.store_vector(self.zero, self.sums, Index.of(v), True),
                  step=nest.width)  # fmt: skip
        full = b.udiv(nest.n, I64(nest.width))
        nest.loop(0, full, [], lambda v, _: self.block(unit, Index.of(v), False))
        nest.loop(full, nest.blocks(), [], lambda v, _: self.block(unit, Index.of(v), True))
        nest.over([filters, p.channels // nest.width], [], lambda index, _: self.finish(unit, *index))

    def block(self, unit: Unit, block: Index, partial: bool) -> None:
        """The products of a block of samples, pass by pass; ``partial``: some of its lanes hold none."""
        nest, p, b = self.nest, self.plan, self.b
        if partial:
            nest.samples_alive(block)

        def one_pass(low: Variable, _: list[Lanes]) -> None:
            end = smaller(b, b.add(low.value, I64(p.rows_per_pass)), p.down)

            def transformed(row: Variable, _: list[Lanes]) -> None:
                nest.over([p.across], [], lambda index, _: self.transform(
                    unit, block, Index.of(row), index[0], Index.of(low), partial))  # fmt: skip

            nest.loop(low.value, end, [], transformed, extent=p.down)
            self.add(unit, b.mul(b.sub(end, low.value), I64(p.across * p.width)))

        nest.loop(0, p.down, [], one_pass, step=p.rows_per_pass, extent=p.down)

    def transform(self, unit: Unit, block: Index, row: Index, column: Index, low: Index, partial: bool) -> None:
        """One tile of a block, into ``inputs`` and ``deltas``; ``low``: the first row of the pass."""
        nest, p, width = self.nest, self.plan, self.plan.width
        tile = (row + low * -1) * p.across + column

        def channels(v: Variable, _: list[Lanes]) -> None:
            start = Index.of(v)

            def channel(c: Index) -> Lanes:
                return unit.of_input.of(lambda i, j: nest.value(self.x, [c, row * 2 + i, column * 2 + j], block))

            for lane, x in enumerate(shuffles.transpose([channel(start + k) for k in range(width)])):
                nest.store_vector(x, self.inputs, (tile * width + lane) * p.channels + start)

        def filter(index: list[Index], _: list[Lanes]) -> None:
            (o,) = index
            at = unit.first + o
            d = unit.of_delta.of(lambda i, j: nest.value(self.delta, [at, row * 2 + i, column * 2 + j], block))
            if partial:
                d = L.where(nest.samples_alive(block), d, self.zero)
            nest.store_vector(d, self.deltas, o * p.pixels + tile * width)

        nest.loop(0, p.channels, [], channels, step=width, extent=p.channels)
        nest.over([unit.filters], [], filter)

    def add(self, unit: Unit, pixels: ir.Value) -> None:
        """The products of the first ``pixels`` of a pass, added to ``sums``."""

        def some_filters(first: Index, rows: int) -> None:
            tiled(self.nest, self.plan.channels // self.plan.width, self.plan.vectors,
                  lambda vector, _: self.register_tile(first, rows, vector, pixels))  # fmt: skip

        tiled(self.nest, unit.filters, self.plan.rows, some_filters)

    def register_tile(self, filter: Index, rows: int, vector: Index, pixels: ir.Value) -> None:
        """The same for some filters and channels."""
        nest, p, width, columns = self.nest, self.plan, self.plan.width, self.plan.vectors
        positions = [(filter + r) * p.channels + (vector + c) * width for r in range(rows) for c in range(columns)]

        def step(v: Variable, sums: list[Lanes]) -> list[Lanes]:
            at = Index.of(v)
            xs = [nest.load_vector(self.inputs, at * p.channels + (vector + c) * width, width, True)
                  for c in range(columns)]  # fmt: skip
            ds = [nest.load_vector(self.deltas, (filter + r) * p.pixels + at, 1, True) for r in range(rows)]
            return [L.fma(ds[i // columns], xs[i % columns], s) for i, s in enumerate(sums)]

        before = [nest.load_vector(self.sums, position, width, True) for position in positions]
        for position, s in zip(positions, nest.loop(0, pixels, before, step, extent=p.pixels), strict=True):
            nest.store_vector(s, self.sums, position, aligned=True)

    def finish(self, unit: Unit, filter: Index, vector: Index) -> None:
        """The epilogue of a vector of channels."""
        nest, p = self.nest, self.plan
        total = nest.load_vector(self.sums, filter * p.channels + vector * p.width, p.width, True)
        channel = lane_index((vector * p.width).emit(self.b), p.channels)
        finish(nest, self.group, self.core, [unit.element, unit.first + filter, channel], None, total)
