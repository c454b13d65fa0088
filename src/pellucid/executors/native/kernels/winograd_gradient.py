"""Gradients of 3x3 kernels by tiles (ops/winograd.py): 16 products of matrices, one for each place of a tile.

For one of the places, and a few rows of tiles of a block of samples: the input is transformed and turned, so that the
channels of one sample and tile are neighbours; the derivative is transformed and stays as it is, a number for each
sample, tile and filter. A register tile is filters x vectors of channels; sums stay on the stack until all is added.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ....ops.winograd import SIDE, input_line, slope_line
from ..codegen.flow import lane_index
from ..codegen.nest import I64, Nest
from ..codegen.tiling import finish, tiled
from ..llvm import lanes as L
from ..llvm import shuffles
from ..llvm.affine import Index, Variable
from ..plan.planner import Group

PLACES = 256  # tiles times samples that are transformed together
FILTERS = 128  # of a unit


class Taps:
    """A line of a transform, whose number is known at run time only: two elements of the line, times two factors."""

    def __init__(self, nest: Nest, line: Callable, side: int, number: Index, dtype: str) -> None:
        results = [line(*(float(i == k) for i in range(side))) for k in range(side)]  # [element][place]
        rows = [[(k, results[k][place]) for k in range(side) if results[k][place]] for place in range(SIDE)]
        rows = [row if len(row) == 2 else [*row, (row[0][0], 0.0)] for row in rows]
        b, at = nest.builder, number.emit(nest.builder)

        def choose(kind, values):
            found = kind(values[0])
            for place, value in enumerate(values[1:], 1):
                found = b.select(b.icmp_signed("==", at, I64(place)), kind(value), found)
            return found

        one = L.llvm_type(dtype, 1)
        self.places = [Index.of(Variable(choose(I64, [row[k][0] for row in rows]), side)) for k in range(2)]
        factors = [L.Lanes(b, choose(one, [row[k][1] for row in rows]), dtype, 1) for k in range(2)]
        self.factors = [L.splat(f, nest.width) for f in factors]

    def of(self, load: Callable[[Index], L.Lanes]) -> L.Lanes:
        first, second = (load(place) for place in self.places)
        return L.fma(second, self.factors[1], first * self.factors[0])


def square(rows: Taps, columns: Taps, load: Callable[[Index, Index], L.Lanes]) -> L.Lanes:
    """One element of the transform of a square."""
    return rows.of(lambda i: columns.of(lambda j: load(i, j)))


def slopes_nest(nest: Nest, group: Group, accumulators: int) -> int:
    """Units lo..hi-1 of the gradients of transformed kernels: a place of the tile and some filters; gives their number.

    The order of the sum is that of blocks, rows of tiles, tiles and lanes, whatever the number of threads.
    """
    core, b, width = group.core, nest.builder, nest.width
    assert core is not None
    g, x = core.inputs[0].inputs
    filters, channels = core.shape[1:]
    down, along = g.shape[1] // 2, g.shape[2] // 2
    rows = max(1, min(down, PLACES // (along * width)))  # of tiles, transformed together
    own = min(FILTERS, filters)
    groups, vectors = -(-filters // own), channels // width
    deep = next(c for c in (4, 3, 2, 1) if vectors % c == 0)
    high = accumulators // deep
    nest.tile = f"{high} filters x {deep} vectors of channels, for each of 16 places of a tile"
    places = rows * along * width
    inputs = nest.scratch("inputs", places * channels, core.dtype)  # [tile][sample][channel]
    slopes = nest.scratch("slopes", own * places, core.dtype)  # [filter][tile][sample]
    sums = nest.scratch("sums", own * channels, core.dtype)  # [filter][channel]
    zero = L.splat(nest.constant(0, core.dtype), width)

    def transform(taps: Sequence[Taps], first: Index, count: int, block: Index, low, end, partial: bool) -> None:
        """Rows low..end-1 of tiles of one block, into ``inputs`` and ``slopes``."""

        def row(v, _):
            at = Index.of(v)

            def tile(index, _):
                t = index[0]
                place = (at + Index.of(low) * -1) * along + t

                def of_channels(v, _):
                    start = Index.of(v)

                    def channel(c: Index) -> L.Lanes:
                        return square(taps[2], taps[3], lambda i, j: nest.value(x, [c, at * 2 + i, t * 2 + j], block))

                    found = [channel(start + k) for k in range(width)]
                    for lane, turned in enumerate(shuffles.transpose(found)):
                        nest.store_vector(turned, inputs, (place * width + lane) * channels + start)

                def of_filter(index, _):
                    o = index[0]
                    d = square(taps[0], taps[1], lambda i, j: nest.value(g, [first + o, at * 2 + i, t * 2 + j], block))
                    if partial:
                        d = L.where(nest.samples_alive(block), d, zero)
                    nest.store_vector(d, slopes, o * places + place * width)

                nest.loop(0, channels, [], of_channels, step=width, extent=channels)
                nest.over([count], [], of_filter)

            nest.over([along], [], tile)

        nest.loop(low.value, end, [], row, extent=down)

    def add(count: int, number) -> None:
        """The products of the first ``number`` places, added to ``sums``."""

        def register_tile(o: Index, m: int, c: Index) -> None:
            at = [(o + r) * channels + (c + k) * width for r in range(m) for k in range(deep)]

            def step(v, now):
                p = Index.of(v)
                xs = [nest.load_vector(inputs, p * channels + (c + k) * width, width, True) for k in range(deep)]
                gs = [nest.load_vector(slopes, (o + r) * places + p, 1, True) for r in range(m)]
                return [L.fma(gs[i // deep], xs[i % deep], s) for i, s in enumerate(now)]

            before = [nest.load_vector(sums, p, width, True) for p in at]
            for p, s in zip(at, nest.loop(0, number, before, step, extent=places), strict=True):
                nest.store_vector(s, sums, p, aligned=True)

        tiled(nest, count, high, lambda o, m: tiled(nest, vectors, deep, lambda c, _: register_tile(o, m, c)))

    def unit(place: Index, first: Index, count: int) -> None:
        numbers = place.divmod(SIDE, b)
        taps = [Taps(nest, line, side, n, core.dtype)
                for line, side in ((slope_line, 2), (input_line, SIDE)) for n in numbers]  # fmt: skip
        nest.loop(0, count * channels, [], lambda v, _: nest.store_vector(zero, sums, Index.of(v), True), step=width)

        def block_body(v, partial: bool):
            block = Index.of(v)
            if partial:
                nest.samples_alive(block)

            def some(low, _):
                end = b.add(low.value, I64(rows))
                end = b.select(b.icmp_signed("<", end, I64(down)), end, I64(down))
                transform(taps, first, count, block, low, end, partial)
                add(count, b.mul(b.sub(end, low.value), I64(along * width)))

            nest.loop(0, down, [], some, step=rows, extent=down)

        full = b.udiv(nest.n, I64(width))
        nest.loop(0, full, [], lambda v, _: block_body(v, False))
        nest.loop(full, nest.blocks(), [], lambda v, _: block_body(v, True))

        def out(index, _):
            o, c = index
            total = nest.load_vector(sums, o * channels + c * width, width, True)
            position = lane_index((c * width).emit(b), channels)
            finish(nest, group, core, [place, first + o, position], None, total)

        nest.over([count, vectors], [], out)

    def numbered(v, _):
        part, place = Index.of(v).divmod(SIDE * SIDE, b)
        nest.last_or_not(part, groups, lambda: unit(place, part * own, filters - (groups - 1) * own),
                         lambda: unit(place, part * own, own))  # fmt: skip

    nest.loop(nest.lo, nest.hi, [], numbered, extent=SIDE * SIDE * groups)
    return SIDE * SIDE * groups
