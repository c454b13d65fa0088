"""Convolutions of one image: neighbouring places in lanes, numbers of the kernel broadcast.

An image lies in memory as rows of one length with zeros between them. So place (y, x) is number f = y * row + x, and
what a window has at (i, j) is i * row + j further on, whatever f: lanes run over a row's end into the next row, and
only the few results between two rows are of no use. `planes.py` sees to it that images lie so.
"""

from __future__ import annotations

from ....graph import Value
from ....ops.reduce import batch_sum
from ..codegen.masks import smaller
from ..codegen.nest import I64, Nest
from ..codegen.registry import LOWERINGS
from ..codegen.tiling import cheapest, cycles, finish
from ..llvm import lanes as L
from ..llvm.affine import Index, NotVectorisable, Variable
from ..llvm.lanes import Lanes
from ..plan.buffer import BYTES, Buffer
from ..plan.classify import LEAVES, VIEWS
from ..plan.letters import Letters
from ..plan.planner import Group

UNROLLED = 4  # channels in a step, where the last axis of the kernel has but one place


def image_correlation(nest: Nest, group: Group, accumulators: int) -> int:
    """Units lo..hi-1 of a group whose core is a shared kernel times windows of a shared value; gives their number.

    A unit is a tile of filters by vectors of places. The last one of an axis begins earlier where it would reach too
    far, and some results are computed twice: so a nest has only one tile to compile.
    """
    core, b, lanes = group.core, nest.builder, nest.width
    assert core is not None
    if any(v in nest.plan.in_place for v in group.stores) or any(v.primitive is batch_sum for v in group.values):
        raise NotVectorisable  # what replaces its own input cannot be computed twice, nor lanes before a row be summed
    t = Letters(core)
    filter, (channel,) = t.filter or "", t.channel
    across, unrolled = t.space[-1], t.kernel[-1]
    down = t.space[-2] if len(t.space) > 1 else None
    row = row_length(nest, t, down, across)
    width, height = t.lengths[across], t.lengths[down] if down else 1
    window, filters, channels = (t.lengths[c] for c in (unrolled, filter, channel))
    vectors = -(-((height - 1) * row + width) // lanes)

    def cost(rows: int, columns: int) -> float:
        tiles = -(-filters // rows) * -(-vectors // columns)
        return tiles * cycles(rows * columns, rows + 2 * columns)  # most vectors lie in two lines of the cache

    most = max(1, accumulators * 4 // BYTES[core.dtype])
    rows, columns = cheapest([(r, c) for r in range(1, min(most, filters) + 1)
                              for c in range(1, min(most // r, vectors) + 1)], cost)  # fmt: skip
    nest.tile = f"{rows} filters x {columns} vectors of {lanes} places"
    row_tiles, column_tiles = -(-filters // rows), -(-vectors // columns)
    deep = max(d for d in range(1, UNROLLED + 1) if d == 1 or (window == 1 and channels % d == 0))
    # with strides, where a row of the window lies takes a division
    loops = [channel, *t.kernel[:-1]] if max(t.strides) == 1 else [*t.kernel[:-1], channel]
    zero = L.splat(nest.constant(0, core.dtype), lanes)

    def tile(at: dict[str, Index], first: Index) -> None:
        """``at`` holds the first filter, ``first`` is the number of the first vector."""
        start = (first * lanes).emit(b)
        here = at | ({down: Index()} if down else {})
        vector = Index.of(Variable(start, vectors * lanes, lane=True))
        places = [here | {filter: at[filter] + r, across: vector + c * lanes}
                  for r in range(rows) for c in range(columns)]  # fmt: skip

        def step(index, sums):
            inside = dict(zip(loops, index, strict=True))
            for d in range(deep):
                for k in range(window):
                    more = inside | {channel: inside[channel] * deep + d, unrolled: Index(k)}
                    full = [p | more for p in places]
                    sums = [L.fma(nest.value(t.other, [f[c] for c in t.other_letters]),
                                  nest.value(t.view, [f[c] for c in t.view_letters]), s)
                            for f, s in zip(full, sums, strict=True)]  # fmt: skip
            return sums

        sums = nest.over([t.lengths[c] // (deep if c == channel else 1) for c in loops], [zero] * len(places), step)
        for c in range(columns):
            store(at, Index.of(Variable(start, vectors * lanes)) + c * lanes, sums[c::columns])

    def store(at: dict[str, Index], first: Index, sums: list[Lanes]) -> None:
        """A vector of places of each filter, one row of the result that it reaches into after the other."""
        begin = first.emit(b)
        upper = b.udiv(begin, I64(row))
        lower = smaller(b, b.add(b.udiv(b.add(begin, I64(lanes - 1)), I64(row)), I64(1)), height)

        def part(y: Variable, _):
            x = b.sub(begin, b.mul(y.value, I64(row)))  # of lane 0: less than 0 where that is in the row before
            here = at | {across: Index.of(Variable(x, width, lane=True))} | ({down: Index.of(y)} if down else {})
            with nest.only(nest.number(here[across], "uint32") < width):  # numbers less than 0 are large when unsigned
                for r, s in enumerate(sums):
                    full = here | {filter: at[filter] + r}
                    finish(nest, group, core, [full[c] for c in t.out], None, s)

        nest.loop(upper, lower, [], part, extent=height)

    lead = [c for c in t.out if c not in (filter, down, across)]
    units = t.length(lead) * row_tiles * column_tiles
    heavy = t.other.size > t.view.inputs[0].size  # what is larger is read once, each part of it by one thread

    def unit(variable, _):
        rest, at = Index.of(variable), {}
        if heavy:
            rest, column = rest.divmod(column_tiles, b)
            rest, filter_tile = rest.divmod(row_tiles, b)
        else:
            rest, filter_tile = rest.divmod(row_tiles, b)
            rest, column = rest.divmod(column_tiles, b)
        for c in reversed(lead):
            rest, at[c] = rest.divmod(t.lengths[c], b)
        at[filter] = start_of(nest, filter_tile, rows, filters)
        tile(at, start_of(nest, column, columns, vectors))

    nest.loop(nest.lo, nest.hi, [], unit, extent=units)
    return units


def start_of(nest: Nest, tile: Index, size: int, extent: int) -> Index:
    """Where a tile of an axis begins: the last one so that it ends with the axis."""
    start = tile * size
    if extent % size == 0:
        return start
    return Index.of(Variable(smaller(nest.builder, start.emit(nest.builder), extent - size), extent))


# ---- how images lie in memory -----------------------------------------------------------------------------------


class Places:
    """Tells where an element of a view lies, where a `Nest` would load it."""

    def __init__(self, nest: Nest) -> None:
        self.nest, self.builder = nest, nest.builder

    def value(self, v: Value, index: list[Index], block: Index | None = None) -> tuple[Buffer, Index]:
        found = self.nest.place(v, index)
        readable = found is None or not (v.primitive in LEAVES or v in self.nest.plan.in_place)
        if (found is None and v.primitive not in VIEWS) or not readable:  # memory of others ends where they end
            raise NotVectorisable
        if found is not None:
            return found
        return LOWERINGS[v.primitive](self, v, index, block)


def row_length(nest: Nest, t: Letters, down: str | None, across: str) -> int:
    """How far apart rows of the image lie; raises `NotVectorisable` unless neighbours in a row are neighbours."""
    steps = {c: Variable(I64(0), t.lengths[c]) for c in (down, across) if c}
    _, position = Places(nest).value(t.view, [Index.of(steps[c]) if c in steps else Index() for c in t.view_letters])
    far = {c: position.terms.get(v, 0) for c, v in steps.items()}
    if set(position.terms) - set(steps.values()) or (far[across] != 1 and t.lengths[across] > 1):
        raise NotVectorisable
    length = far[down] if down else t.lengths[across]
    if length < t.lengths[across]:
        raise NotVectorisable
    return length
