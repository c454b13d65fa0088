"""3x3 cross-correlations by tiles of 2x2 results (ops/winograd.py), one sample in each lane.

For a few neighboring tiles: the input of all channels is transformed into memory that stays in the cache; 16 small
contractions over the channels follow for each few filters, and the transform of their results, with the epilogue.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from ....ops.winograd import SIDE, input_line, kernel_line, result_line, tiles, twice, weight_line, winograd_kernel
from ..codegen.nest import I64, Nest
from ..codegen.tiling import finish, tiled
from ..llvm import ir
from ..llvm import lanes as L
from ..llvm.affine import Index, Variable
from ..llvm.lanes import Lanes
from ..plan.planner import Group
from ..plan.work import parts_of
from .pointwise import over_parts

REGISTER_FILTERS, REGISTER_TILES = 4, 6  # whose sums are in registers together
PLANES = SIDE * SIDE  # elements of a transformed tile, each of which has a contraction of its own


def winograd_conv(nest: Nest, group: Group) -> int:
    """Parts lo..hi-1 of blocks of the result; gives the parts of a block."""
    assert group.core is not None
    (filters, *size), channels = group.core.shape, group.core.inputs[1].shape[0]
    plan = WinogradPlan.of(filters, channels, (size[0], size[1]))
    nest.tile = f"{REGISTER_FILTERS} filters x {plan.tiles} tiles of 2 x 2 places"
    parts = parts_of(plan.down, group.core.size)
    over_parts(nest, plan.down, parts, WinogradConv(nest, group, plan).part)
    return parts


@dataclass(frozen=True)
class WinogradPlan:
    """A result of ``down`` x ``across`` tiles of 2 x 2 places, made for ``tiles`` of a row at a time.

    >>> plan = WinogradPlan.of(filters=64, channels=32, size=(7, 20))
    >>> plan.down, plan.across, plan.tiles, plan.line
    (4, 10, 6, 193)
    """

    filters: int
    channels: int
    size: tuple[int, int]
    down: int
    across: int
    tiles: int

    @classmethod
    def of(cls, filters: int, channels: int, size: tuple[int, int]) -> WinogradPlan:
        down, across = tiles(size)
        return cls(filters, channels, size, down, across, min(REGISTER_TILES, across))

    @property
    def line(self) -> int:
        """Vectors from one plane of the transformed input to the next: odd, so that they do not meet in the cache."""
        return self.channels * self.tiles | 1

    @property
    def results(self) -> int:
        """Vectors of one plane of the products."""
        return REGISTER_FILTERS * self.tiles


class Tiles(NamedTuple):
    """Neighboring tiles of a row, of a block of samples."""

    block: Index
    row: Index
    column: Index
    number: int  # of them


class WinogradConv:
    """The loops of a correlation, from rows of tiles to their results."""

    def __init__(self, nest: Nest, group: Group, plan: WinogradPlan) -> None:
        assert group.core is not None
        self.nest, self.group, self.core, self.plan, self.width = nest, group, group.core, plan, nest.width
        self.kernel, self.x = group.core.inputs  # (16, filters, channels), (channels, 2 * down + 2, 2 * across + 2)
        dtype = self.core.dtype
        self.inputs = nest.scratch("tiles", PLANES * plan.line * nest.width, dtype)  # (16, channel, tile), with gaps
        self.products = nest.scratch("products", PLANES * plan.results * nest.width, dtype)  # (16, filter, tile)
        self.zero = L.splat(nest.constant(0, dtype), nest.width)

    def part(self, block: Index, low: ir.Value, high: ir.Value) -> None:
        """Rows low..high-1 of tiles."""
        self.nest.loop(low, high, [], lambda v, _: self.row(block, Index.of(v)), extent=self.plan.down)

    def row(self, block: Index, row: Index) -> None:
        def some(column: Index, count: int) -> None:
            self.some_tiles(Tiles(block, row, column, count))

        tiled(self.nest, self.plan.across, self.plan.tiles, some)

    def some_tiles(self, tiles: Tiles) -> None:
        """All filters of a few tiles."""
        self.nest.over([self.plan.channels], [], lambda index, _: self.transform(tiles, index[0]))

        def some_filters(first: Index, filters: int) -> None:
            self.nest.over([PLANES], [], lambda index, _: self.contract(tiles, index[0], first, filters))
            self.nest.over([filters, tiles.number], [], lambda index, _: self.result(tiles, first, *index))

        tiled(self.nest, self.plan.filters, REGISTER_FILTERS, some_filters)

    def transform(self, tiles: Tiles, channel: Index) -> None:
        """The tiles of a channel, into ``inputs``."""
        nest, plan = self.nest, self.plan
        given = [[nest.value(self.x, [channel, tiles.row * 2 + i, tiles.column * 2 + j], tiles.block)
                  for j in range(2 * tiles.number + 2)] for i in range(SIDE)]  # fmt: skip
        upright = [input_line(*column) for column in zip(*given, strict=True)]
        for t in range(tiles.number):
            for i in range(SIDE):
                for j, d in enumerate(input_line(*(upright[2 * t + j][i] for j in range(SIDE)))):
                    position = channel * plan.tiles + ((SIDE * i + j) * plan.line + t)
                    nest.store_vector(d, self.inputs, position * self.width, aligned=True)

    def contract(self, tiles: Tiles, plane: Index, first: Index, filters: int) -> None:
        """The sums over channels of one plane, for some filters and tiles, into ``products``."""
        nest, plan, n, width = self.nest, self.plan, tiles.number, self.width

        def step(index: list[Index], sums: list[Lanes]) -> list[Lanes]:
            (c,) = index
            start = plane * plan.line + c * plan.tiles
            d = [nest.load_vector(self.inputs, (start + t) * width, width, True) for t in range(n)]
            factors = [nest.value(self.kernel, [plane, first + r, c]) for r in range(filters)]
            return [L.fma(f, d[t], sums[r * n + t]) for r, f in enumerate(factors) for t in range(n)]

        for i, s in enumerate(nest.over([plan.channels], [self.zero] * (filters * n), step)):
            position = plane * plan.results + (i // n * plan.tiles + i % n)
            nest.store_vector(s, self.products, position * width, aligned=True)

    def result(self, tiles: Tiles, first: Index, filter: Index, tile: Index) -> None:
        """The 2 x 2 results of a filter and a tile, with the epilogue."""
        nest, plan, (rows, columns) = self.nest, self.plan, self.plan.size
        start = filter * plan.tiles + tile
        products = [nest.load_vector(self.products, (start + k * plan.results) * self.width, self.width, True)
                    for k in range(PLANES)]  # fmt: skip
        square = twice(result_line, [products[SIDE * i : SIDE * (i + 1)] for i in range(SIDE)])
        for i in range(2):
            for j in range(2):
                y, x = tiles.row * 2 + i, (tiles.column + tile) * 2 + j
                ends = [(y, rows)] * (i and rows % 2) + [(x, columns)] * (j and columns % 2)
                end = functools.partial(
                    finish, nest, self.group, self.core, [first + filter, y, x], tiles.block, square[i][j]
                )
                if_within(nest, ends, end)


def if_within(nest: Nest, ends: Iterable[tuple[Index, int]], body: Callable[[], None]) -> None:
    """``body()`` where each index is less than the length of its axis."""
    b, inside = nest.builder, None
    for index, length in ends:
        here = b.icmp_signed("<", index.emit(b), I64(length))
        inside = here if inside is None else b.and_(inside, here)
    if inside is None:
        body()
        return
    with b.if_then(inside), nest.scope():
        body()


# ---- kernels --------------------------------------------------------------------------------------------------------


def winograd_transform(nest: Nest, group: Group) -> int:
    """Filters lo..hi-1 of the transformed kernel, or of the kernel's gradient from that; gives their number."""
    core = group.core
    assert core is not None
    (w,) = core.inputs
    forward = core.primitive is winograd_kernel
    filters, channels = (w if forward else core).shape[:2]

    def transform(o: Index, c: Index) -> None:
        """(3, 3) to (16,)"""
        square = [[nest.value(w, [o, c, Index(i), Index(j)]) for j in range(3)] for i in range(3)]
        for k, u in enumerate(u for row in twice(kernel_line, square) for u in row):
            finish(nest, group, core, [Index(k), o, c], None, u)

    def transform_back(o: Index, c: Index) -> None:
        """(16,) to (3, 3)"""
        square = [[nest.value(w, [Index(SIDE * i + j), o, c]) for j in range(SIDE)] for i in range(SIDE)]
        for i, row in enumerate(twice(weight_line, square)):
            for j, u in enumerate(row):
                finish(nest, group, core, [o, c, Index(i), Index(j)], None, u)

    def filter(number: Variable, _: list[Lanes]) -> None:
        one = transform if forward else transform_back
        nest.over([channels], [], lambda index, _: one(Index.of(number), index[0]))

    nest.without_lanes()
    nest.loop(nest.lo, nest.hi, [], filter, extent=filters)
    return filters
