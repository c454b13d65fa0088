"""Gradients of the kernels of convolutions, one sample in each lane.

A tile of filters by places in the kernel is summed over the samples and their places; the lanes are added up at its
end, and the update of the kernel follows.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from ....graph import Value
from ....ops.movement import broadcast, fill_with
from ..codegen.nest import I64, Nest
from ..codegen.tiling import finish, tiled
from ..llvm import ir, shuffles
from ..llvm import lanes as L
from ..llvm.affine import Index, Variable, unravel
from ..llvm.lanes import Lanes
from ..plan.planner import Group
from .conv_gradient_plan import ConvGradientPlan


def kernel_gradient(nest: Nest, group: Group, accumulators: int, quick: bool = False) -> int:
    """Units lo..hi-1 of the sum over samples and places of derivative * window, and the update that follows;
    gives their number.

    The order of the sum is that of blocks, places and lanes, whatever the number of threads. ``quick``: one code for
    blocks of which all samples exist, and others.
    """
    assert group.core is not None
    plan = ConvGradientPlan.of(group.core, accumulators)
    nest.tile = f"{plan.rows} filters x {plan.deep} channels x {plan.window} places"
    ConvGradientEmitter(nest, group, plan, quick).emit()
    return plan.units


class Unit(NamedTuple):
    """The filters and channels of a unit of the kernel."""

    group: dict[str, Index]
    filter: Index  # the first
    filters: int
    channel: Index
    channels: int


class Tile(NamedTuple):
    """Some channels of a unit, for all its filters, in one block of samples and some rows of the result's plane."""

    unit: Unit
    block: Index
    partial: bool  # whether some samples of the block may not exist
    at: dict[str, Index]  # of the plane and the kernel's group
    low: ir.Value | int  # the rows
    high: ir.Value | int
    channel: Index  # from the unit's first
    channels: int


class ConvGradientEmitter:
    """Writes the sums of a convolution's gradient, kept on the stack, and its epilogue."""

    def __init__(self, nest: Nest, group: Group, plan: ConvGradientPlan, quick: bool) -> None:
        self.nest, self.group, self.plan, self.quick = nest, group, plan, quick
        self.letters, self.width, self.core = plan.letters, nest.width, plan.core
        self.sums = nest.scratch("sums", plan.sums * nest.width, plan.core.dtype)
        self.zero = L.splat(nest.constant(0, plan.core.dtype), nest.width)
        self.in_lanes = is_elementwise(group, nest)  # whether the epilogue takes neighboring weights at once
        space = plan.letters.space
        self.row, self.along = (space[-2] if len(space) > 1 else None), space[-1]

    def emit(self) -> None:
        """All units."""
        nest, plan, b = self.nest, self.plan, self.nest.builder

        def filters(number: Index) -> None:
            rest, chunk = number.divmod(plan.chunks, b)
            rest, row_tile = rest.divmod(plan.row_tiles, b)
            _, index = unravel(rest, [plan.letters.lengths[c] for c in plan.letters.group], b)
            at = dict(zip(plan.letters.group, index, strict=True))

            def channels(rows: int) -> None:
                def some(count: int) -> None:
                    self.unit(Unit(at, row_tile * plan.rows, rows, chunk * plan.chunk, count))

                nest.last_or_not(chunk, plan.chunks, lambda: some(plan.last_chunk), lambda: some(plan.chunk))

            nest.last_or_not(row_tile, plan.row_tiles, lambda: channels(plan.last_rows), lambda: channels(plan.rows))

        nest.loop(nest.lo, nest.hi, [], lambda v, _: filters(Index.of(v)), extent=plan.units)

    def unit(self, unit: Unit) -> None:
        """The sums of a unit, from zero, over all blocks of samples; then its epilogue, filter by filter."""
        nest, b = self.nest, self.nest.builder

        def clear(v: Variable, _) -> None:
            nest.store_vector(self.zero, self.sums, Index.of(v) * self.width, aligned=True)

        nest.loop(0, self.plan.sums, [], clear)
        full = I64(0) if self.quick else b.udiv(nest.n, I64(self.width))  # blocks of which all samples exist
        if not self.quick:
            nest.loop(0, full, [], lambda v, _: self.block(unit, Index.of(v), False))
        nest.loop(full, nest.blocks(), [], lambda v, _: self.block(unit, Index.of(v), True))
        for r in range(unit.filters):
            self.epilogue(unit, r)

    # ---- the sums -----------------------------------------------------------------------------------------------

    def block(self, unit: Unit, block: Index, partial: bool) -> None:
        """What one block of samples adds to the sums of a unit: strips of its planes, tile by tile."""
        nest, t, b, row = self.nest, self.letters, self.nest.builder, self.row
        if partial:
            nest.samples_alive(block)  # here, so that it is not computed at every step

        def tiles(at: dict[str, Index], low, high) -> None:
            tiled(nest, unit.channels, self.plan.deep,
                  lambda channel, n: self.tile(Tile(unit, block, partial, at, low, high, channel, n)))  # fmt: skip

        def plane(index: list[Index], _) -> None:
            at = unit.group | dict(zip(t.space[:-2], index, strict=True))
            if row is None:
                tiles(at, 0, 1)
                return
            height, lines = t.lengths[row], self.plan.lines

            def strip(v: Variable, _) -> None:
                last = b.add(v.value, I64(lines))
                tiles(at, v.value, b.select(b.icmp_signed("<", last, I64(height)), last, I64(height)))

            nest.loop(0, height, [], strip, step=lines, extent=height)

        nest.over([t.lengths[c] for c in t.space[:-2]], [], plane)

    def tile(self, tile: Tile) -> None:
        """The sums of a tile for each place of the kernel's outer axes, taken from the stack and put back."""
        nest, t, ranges = self.nest, self.letters, (tile.unit.filters, tile.channels, self.plan.window)
        own = list(itertools.product(*map(range, ranges)))

        def place(index: list[Index], _) -> None:
            at = tile.at | dict(zip(t.kernel[:-1], index, strict=True))
            kept = [self.kept(r, tile.channel + d, index, j) * self.width for r, d, j in own]
            sums = [nest.load_vector(self.sums, p, self.width, True) for p in kept]
            for p, s in zip(kept, self.rows(tile, at, own, sums), strict=True):
                nest.store_vector(s, self.sums, p, aligned=True)

        nest.over([t.lengths[c] for c in t.kernel[:-1]], [], place)

    def kept(self, r: int, channel: Index, outer: Sequence[Index], j: int) -> Index:
        """Where the sum of a filter, channel and place of the kernel lies, in vectors."""
        t, plan, place = self.letters, self.plan, Index()
        for letter, i in zip(t.kernel[:-1], outer, strict=True):
            place = place * t.lengths[letter] + i
        return (channel + r * plan.chunk) * plan.places + place * plan.window + j

    def rows(self, tile: Tile, at: dict[str, Index], own: Sequence[tuple], sums: list[Lanes]) -> list[Lanes]:
        """The sums with the products of all rows of a tile."""
        nest, row, plan = self.nest, self.row, self.plan

        def along(at: dict[str, Index], sums: Sequence[Lanes]) -> list[Lanes]:
            return nest.chunks(plan.width, plan.unroll, lambda y, n, s: self.added(tile, at, own, y, n, s), sums)

        if row is None:
            return along(at, sums)
        return nest.loop(tile.low, tile.high, sums, lambda v, s: along(at | {row: Index.of(v)}, s),
                         extent=self.letters.lengths[row])  # fmt: skip

    def added(self, tile: Tile, at: dict[str, Index], own: Sequence[tuple], y: Index, count: int,
              sums: Sequence[Lanes]) -> list[Lanes]:  # fmt: skip
        """The sums with the products of ``count`` neighboring places of a row."""
        for u in range(count):
            spot = at | {self.along: y + u}
            g = self.derivatives(tile, spot)
            x = {(d, j): self.element(tile, spot, d, j) for d in range(tile.channels) for j in range(self.plan.window)}
            sums = [L.fma(g[r], x[d, j], s) for (r, d, j), s in zip(own, sums, strict=True)]
        return list(sums)

    def derivatives(self, tile: Tile, spot: dict[str, Index]) -> list[Lanes]:
        """Those of the results of a tile's filters, 0 for samples that do not exist."""
        nest, t = self.nest, self.letters
        places = [spot | ({t.filter: tile.unit.filter + r} if t.filter else {}) for r in range(tile.unit.filters)]
        g = [nest.value(t.other, [at[c] for c in t.other_letters], tile.block) for at in places]
        return [L.where(nest.samples_alive(tile.block), x, self.zero) for x in g] if tile.partial else g

    def element(self, tile: Tile, spot: dict[str, Index], d: int, j: int) -> Lanes:
        """That of a window in channel ``d`` at place ``j`` of the kernel's last axis."""
        t, channel = self.letters, self.plan.channel
        at = spot | {t.kernel[-1]: Index(j)}
        at |= {channel: tile.unit.channel + tile.channel + d} if channel else {}
        return self.nest.value(t.view, [at[c] for c in t.view_letters], tile.block)

    # ---- the epilogue -------------------------------------------------------------------------------------------

    def epilogue(self, unit: Unit, r: int) -> None:
        """The lanes of each sum of filter ``r`` added up, and what follows: for a vector of weights, if it may."""
        nest, plan, t = self.nest, self.plan, self.letters
        weights, first = unit.channels * plan.places, Index()
        for letter in t.out:
            if letter not in t.kernel:
                i = unit.filter + r if letter == t.filter else unit.group.get(letter, unit.channel)
                first = first * t.lengths[letter] + i
        first = first * plan.places
        kept = r * plan.chunk * plan.places
        if self.in_lanes:
            nest.chunks(weights, self.width, lambda at, n, _: self.vector(first + at, at + kept, n))
            return
        with nest.scalar():
            nest.loop(0, weights, [], lambda v, _: self.single(first + Index.of(v), Index.of(v) + kept), extent=weights)

    def vector(self, weight: Index, kept: Index, n: int) -> None:
        """The epilogue of ``n`` neighboring weights, by the number of the first and where its sum lies."""
        nest, width = self.nest, self.width
        parts = [nest.load_vector(self.sums, kept * width + min(i, n - 1) * width, width, True) for i in range(width)]
        total = shuffles.horizontal_sums(parts)
        with nest.masked(n):
            place = Variable(weight.emit(nest.builder), self.core.size, lane=True)
            index = [Index()] * (len(self.letters.out) - 1) + [Index.of(place)]
            finish(nest, self.group, self.core, index, None, total)

    def single(self, weight: Index, kept: Index) -> None:
        """The epilogue of one weight."""
        nest, b = self.nest, self.nest.builder
        total = shuffles.horizontal_sum(nest.load_vector(self.sums, kept * self.width, self.width, True))
        _, index = unravel(Index.of(Variable(weight.emit(b), self.core.size)), self.core.shape, b)
        finish(nest, self.group, self.core, index, None, total)


def is_elementwise(group: Group, nest: Nest) -> bool:
    """Whether all that a group computes after its core is element by element, of values of one shape or numbers."""
    for v in group.values:
        if v is group.core or (group.core is not None and v in group.core.inputs):
            continue
        if not v.primitive.elementwise or v.shape != group.shape:
            return False
        for i in v.inputs:
            known = i in group.values or (i.shape == group.shape and nest.stored(i) is not None)
            if not known and not is_one_number(i):
                return False
    return True


def is_one_number(v: Value) -> bool:
    """Whether all elements of v are one number: `broadcast` of it, or constant."""
    while v.size > 1 and v.primitive is broadcast:
        (v,) = v.inputs
    return v.size == 1 or v.primitive is fill_with
