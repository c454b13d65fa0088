"""Convolutions of one image: neighboring places in lanes, numbers of the kernel broadcast.

An image lies in memory as rows of one length with zeros between them. So place (y, x) is number f = y * row + x, and
what a window has at (i, j) is i * row + j further on, whatever f: lanes run over a row's end into the next row, and
only the few results between two rows are of no use. `image_layout.py` sees to it that images lie so.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from ....graph import Value
from ....ops.reduce import batch_sum
from ..codegen.masks import smaller
from ..codegen.nest import I64, Nest
from ..codegen.registry import LOWERINGS
from ..codegen.tiling import cheapest, cycles, finish
from ..llvm import lanes as L
from ..llvm.affine import Index, NotVectorizable, Variable, unravel
from ..llvm.lanes import Lanes
from ..plan.buffer import BYTES, Buffer
from ..plan.classify import LEAVES, VIEWS
from ..plan.letters import Letters
from ..plan.planner import Group

UNROLLED_CHANNELS = 4  # in a step, where the last axis of the kernel has but one place


def image_correlation(nest: Nest, group: Group, accumulators: int) -> int:
    """Units lo..hi-1 of a group whose core is a shared kernel times windows of a shared value; gives their number.

    A unit is a tile of filters by vectors of places. The last one of an axis begins earlier where it would reach too
    far, and some results are computed twice: so a nest has only one tile to compile.
    """
    assert group.core is not None
    if any(v in nest.plan.in_place for v in group.stores) or any(v.primitive is batch_sum for v in group.values):
        raise NotVectorizable  # what replaces its own input cannot be computed twice, nor lanes before a row be summed
    plan = ImagePlan.of(group.core, row_length(nest, Letters(group.core)), accumulators, nest.width)
    nest.tile = f"{plan.rows} filters x {plan.columns} vectors of {plan.lanes} places"
    nest.loop(nest.lo, nest.hi, [], ImageEmitter(nest, group, plan).unit, extent=plan.units)
    return plan.units


@dataclass(frozen=True)
class ImagePlan:
    """How the result of a convolution of one image is cut: into tiles of filters by vectors of places."""

    core: Value
    letters: Letters
    lanes: int
    row: int  # from one row of the image in memory to the next
    vectors: int  # of places of a filter
    rows: int  # filters of a tile
    columns: int  # vectors of a tile
    deep: int  # channels in a step of the sum

    @staticmethod
    def of(core: Value, row: int, accumulators: int, lanes: int) -> ImagePlan:
        t = Letters(core)
        (channel,) = t.channel
        filters, window, channels = t.lengths[t.filter or ""], t.lengths[t.kernel[-1]], t.lengths[channel]
        height = t.lengths[t.space[-2]] if len(t.space) > 1 else 1
        vectors = -(-((height - 1) * row + t.lengths[t.space[-1]]) // lanes)

        def cost(rows: int, columns: int) -> float:
            tiles = -(-filters // rows) * -(-vectors // columns)
            return tiles * cycles(rows * columns, rows + 2 * columns)  # most vectors lie in two lines of the cache

        most = max(1, accumulators * 4 // BYTES[core.dtype])
        rows, columns = cheapest([(r, c) for r in range(1, min(most, filters) + 1)
                                  for c in range(1, min(most // r, vectors) + 1)], cost)  # fmt: skip
        deep = max(d for d in range(1, UNROLLED_CHANNELS + 1) if d == 1 or (window == 1 and channels % d == 0))
        return ImagePlan(core, t, lanes, row, vectors, rows, columns, deep)

    @property
    def filters(self) -> int:
        return self.letters.lengths[self.letters.filter or ""]

    @property
    def across(self) -> str:
        """The letter along a row of the result."""
        return self.letters.space[-1]

    @property
    def down(self) -> str | None:
        """The letter of the rows."""
        return self.letters.space[-2] if len(self.letters.space) > 1 else None

    @property
    def height(self) -> int:
        return self.letters.lengths[self.down] if self.down else 1

    @property
    def lead(self) -> list[str]:
        """The result's letters but for filters and places of a plane."""
        return [c for c in self.letters.out if c not in (self.letters.filter, self.down, self.across)]

    @property
    def sum_letters(self) -> list[str]:
        """The order of the loops of the sum: with strides, where a row of the window lies takes a division."""
        outer, channel = self.letters.kernel[:-1], self.letters.channel
        return [*channel, *outer] if max(self.letters.strides) == 1 else [*outer, *channel]

    @property
    def tiles(self) -> tuple[int, int]:
        """Of filters, and of vectors."""
        return -(-self.filters // self.rows), -(-self.vectors // self.columns)

    @property
    def units(self) -> int:
        row_tiles, column_tiles = self.tiles
        return self.letters.length(self.lead) * row_tiles * column_tiles

    @property
    def kernel_first(self) -> bool:
        """Whether the kernel is larger than the image: it is then read once, each part of it by one thread."""
        return self.letters.other.size > self.letters.view.inputs[0].size


class ImageEmitter:
    """Writes the tiles of a convolution of one image."""

    def __init__(self, nest: Nest, group: Group, plan: ImagePlan) -> None:
        self.nest, self.group, self.plan, self.letters = nest, group, plan, plan.letters
        self.filter, (self.channel,) = plan.letters.filter or "", plan.letters.channel
        self.zero = L.splat(nest.constant(0, plan.core.dtype), plan.lanes)

    def unit(self, number: Variable, _) -> None:
        """The tile of one number."""
        nest, plan, t, b = self.nest, self.plan, self.letters, self.nest.builder
        row_tiles, column_tiles = plan.tiles
        if plan.kernel_first:
            rest, (row, column) = unravel(Index.of(number), (row_tiles, column_tiles), b)
        else:
            rest, (column, row) = unravel(Index.of(number), (column_tiles, row_tiles), b)
        at = dict(zip(plan.lead, unravel(rest, [t.lengths[c] for c in plan.lead], b)[1], strict=True))
        at[self.filter] = start_of(nest, row, plan.rows, plan.filters)
        self.tile(at, start_of(nest, column, plan.columns, plan.vectors))

    def tile(self, at: dict[str, Index], first: Index) -> None:
        """``at`` holds the first filter, ``first`` is the number of the first vector."""
        nest, plan, t = self.nest, self.plan, self.letters
        start, places = (first * plan.lanes).emit(nest.builder), plan.vectors * plan.lanes
        vector = Index.of(Variable(start, places, lane=True))
        here = at | ({plan.down: Index()} if plan.down else {})
        results = [here | {self.filter: at[self.filter] + r, plan.across: vector + c * plan.lanes}
                   for r in range(plan.rows) for c in range(plan.columns)]  # fmt: skip
        space = [t.lengths[c] // (plan.deep if c == self.channel else 1) for c in plan.sum_letters]
        sums = nest.over(space, [self.zero] * len(results), lambda index, sums: self.added(results, index, sums))
        for c in range(plan.columns):
            self.store(at, Index.of(Variable(start, places)) + c * plan.lanes, sums[c :: plan.columns])

    def added(self, results: list[dict[str, Index]], index: Sequence[Index], sums: Sequence[Lanes]) -> list[Lanes]:
        """The sums of a tile with the products of some channels, and of the kernel's places along its last axis."""
        nest, t, deep = self.nest, self.letters, self.plan.deep
        inside = dict(zip(self.plan.sum_letters, index, strict=True))
        for d, k in itertools.product(range(deep), range(t.lengths[t.kernel[-1]])):
            more = inside | {self.channel: inside[self.channel] * deep + d, t.kernel[-1]: Index(k)}
            full = [at | more for at in results]
            sums = [L.fma(nest.value(t.other, [f[c] for c in t.other_letters]),
                          nest.value(t.view, [f[c] for c in t.view_letters]), s)
                    for f, s in zip(full, sums, strict=True)]  # fmt: skip
        return list(sums)

    def store(self, at: dict[str, Index], first: Index, sums: Sequence[Lanes]) -> None:
        """A vector of places of each filter, one row of the result that it reaches into after the other."""
        nest, plan, b, row = self.nest, self.plan, self.nest.builder, self.plan.row
        width = self.letters.lengths[plan.across]
        begin = first.emit(b)
        upper = b.udiv(begin, I64(row))
        lower = smaller(b, b.add(b.udiv(b.add(begin, I64(plan.lanes - 1)), I64(row)), I64(1)), plan.height)

        def part(y: Variable, _) -> None:
            x = b.sub(begin, b.mul(y.value, I64(row)))  # of lane 0: less than 0 where that is in the row before
            here = at | {plan.across: Index.of(Variable(x, width, lane=True))}
            here |= {plan.down: Index.of(y)} if plan.down else {}
            # numbers less than 0 are large when unsigned
            with nest.only(nest.number(here[plan.across], "uint32") < width):
                for r, s in enumerate(sums):
                    full = here | {self.filter: at[self.filter] + r}
                    finish(nest, self.group, plan.core, [full[c] for c in self.letters.out], None, s)

        nest.loop(upper, lower, [], part, extent=plan.height)


def start_of(nest: Nest, tile: Index, size: int, extent: int) -> Index:
    """Where a tile of an axis begins: the last one so that it ends with the axis."""
    start = tile * size
    if extent % size == 0:
        return start
    return Index.of(Variable(smaller(nest.builder, start.emit(nest.builder), extent - size), extent))


# ---- how images lie in memory -----------------------------------------------------------------------------------


class LocationTracer:
    """Tells where an element of a view lies, where a `Nest` would load it."""

    def __init__(self, nest: Nest) -> None:
        self.nest, self.builder = nest, nest.builder

    def value(self, v: Value, index: list[Index], block: Index | None = None) -> tuple[Buffer, Index]:
        found = self.nest.location(v, index)
        readable = found is None or not (v.primitive in LEAVES or v in self.nest.plan.in_place)
        if (found is None and v.primitive not in VIEWS) or not readable:  # memory of others ends where they end
            raise NotVectorizable
        if found is not None:
            return found
        return LOWERINGS[v.primitive](self, v, index, block)


def row_length(nest: Nest, t: Letters) -> int:
    """How far apart rows of the image lie; raises `NotVectorizable` unless neighbors in a row are neighbors."""
    across, down = t.space[-1], t.space[-2] if len(t.space) > 1 else None
    steps = {c: Variable(I64(0), t.lengths[c]) for c in (down, across) if c}
    index = [Index.of(steps[c]) if c in steps else Index() for c in t.view_letters]
    _, position = LocationTracer(nest).value(t.view, index)
    far = {c: position.terms.get(v, 0) for c, v in steps.items()}
    if set(position.terms) - set(steps.values()) or (far[across] != 1 and t.lengths[across] > 1):
        raise NotVectorizable
    length = far[down] if down else t.lengths[across]
    if length < t.lengths[across]:
        raise NotVectorizable
    return length
