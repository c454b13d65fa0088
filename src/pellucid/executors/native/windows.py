"""Contractions over windows: convolutions and their gradients, one sample in each lane.

`correlation` computes results: a tile of filters by neighbouring places, numbers of the kernel broadcast. The places
of the innermost axis of the kernel are unrolled, so that LLVM loads each element of the input once for all of them.
`kernel_gradient` computes the sum over samples and places: a tile of filters by places in the kernel, the lanes added
up at its end, and the update of the kernel behind that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from ...graph import Value
from ...ops.contract import parse
from ...ops.conv import is_zeros_around, windows_of
from ...ops.movement import broadcast, fill_with
from . import across
from . import lanes as L
from .emit import I64, Nest
from .index import Index, Variable
from .nests import lane_mask, over_parts, parts_of
from .plan import Group
from .tiles import finish, tiled

SPACES, PLACES = "xyz", "ijk"  # letters of ops/conv.py
L1_PLACES = 64  # of a filter's plane that a tile of the gradient goes over before the next tile
STACK_BYTES = 16 << 10  # of sums that one unit of the gradient keeps


class Letters:
    """The letters of a contraction with windows, by what they count."""

    def __init__(self, contraction: Value) -> None:
        a, b, self.out = parse(contraction.attributes["spec"])
        first, second = contraction.inputs
        if second.primitive is not windows_of:
            a, b, first, second = b, a, second, first
        self.other, self.other_letters = first, a  # the kernel, or the derivative of the result
        self.view, self.view_letters = second, b
        self.lengths = dict(zip(a + b, first.shape + second.shape, strict=True))
        self.group = [c for c in a if c in b and c in self.out]
        self.filter = next((c for c in a if c in self.out and c not in b), None)
        self.space = [c for c in SPACES if c in b]
        self.kernel = [c for c in PLACES if c in b]
        self.channel = [c for c in b if c not in (*self.group, *self.space, *self.kernel)]
        self.strides, self.dilations = second.attributes["strides"], second.attributes["dilations"]

    def length(self, letters: Iterable[str]) -> int:
        return math.prod(self.lengths[c] for c in letters)


def cheapest(shapes: Iterable[tuple[int, int]], cost: Callable[[int, int], float]) -> tuple[int, int]:
    return min(shapes, key=lambda s: cost(*s))


def pieces(extent: int, tile: int) -> list[tuple[int, int]]:
    """(length, how often) of the tiles of an axis.

    >>> pieces(10, 4)
    [(4, 2), (2, 1)]
    """
    found = [(tile, extent // tile), (extent % tile, 1)]
    return [(n, often) for n, often in found if n and often]


def cycles(products: float, loads: float) -> float:
    """Of a step of a tile, roughly: two multiplications or two loads a cycle, and what each load and loop costs."""
    return max(products / 2, loads / 2) + loads / 4 + 0.5


# ---- results ----------------------------------------------------------------------------------------------------


def correlation(nest: Nest, group: Group, accumulators: int) -> int:
    """Parts lo..hi-1 of blocks of a group whose core is a kernel times windows of a sample; gives the parts a block."""
    core = group.core
    assert core is not None
    t = Letters(core)
    across, unrolled = t.space[-1], t.kernel[-1]
    width, window, stride = t.lengths[across], t.lengths[unrolled], t.strides[-1]
    filters = t.lengths[t.filter] if t.filter else 1

    def cost(rows: int, columns: int) -> float:
        total = 0.0
        for r, m in pieces(filters, rows):
            for c, n in pieces(width, columns):
                loaded = min(c * window, (c - 1) * stride + window) / window
                total += m * n * cycles(r * c, r + loaded)
        return total

    shapes = [(r, c) for r in range(1, accumulators + 1) for c in range(1, 7) if r * c <= accumulators]
    rows, columns = cheapest(shapes, cost)
    nest.tile = f"{rows} filters x {columns} places"

    def tile(block: Index, at: dict[str, Index], filter: Index, m: int, place: Index, n: int) -> None:
        places = [at | {across: place + c} | ({t.filter: filter + r} if t.filter else {})
                  for r in range(m) for c in range(n)]  # fmt: skip
        zero = L.splat(nest.constant(0, core.dtype), nest.width)
        outer, own = [*t.channel, *t.kernel[:-1]], block if t.other.kind == "sample" else None

        def loops(done: list[Index], rest: list[str], sums):
            """Over channels and the outer axes of the kernel, without the rows that lie in the padding."""
            if not rest:
                return step(done, sums)
            low, high = reach(rest[0], at)
            return nest.loop(low, high, sums, lambda v, s: loops([*done, Index.of(v)], rest[1:], s),
                             extent=t.lengths[rest[0]])  # fmt: skip

        def step(index, sums):
            inside = dict(zip(outer, index, strict=True))
            for k in range(window):
                here = [p | inside | {unrolled: Index(k)} for p in places]
                sums = [L.fma(nest.value(t.other, [h[c] for c in t.other_letters], own),
                              nest.value(t.view, [h[c] for c in t.view_letters], block), s)
                        for h, s in zip(here, sums, strict=True)]  # fmt: skip
            return sums

        sums = loops([], outer, [zero] * len(places))
        nest.memo.append({})
        for p, s in zip(places, sums, strict=True):
            finish(nest, group, core, [p[c] for c in t.out], block, s)
        nest.memo.pop()

    def reach(letter: str, at: dict[str, Index]):
        """The first and last numbers along an axis of the kernel (or channels) that meet more than zeros."""
        n, (x,) = t.lengths[letter], t.view.inputs
        if letter not in t.kernel or not is_zeros_around(x):
            return 0, n
        k, a, b = t.kernel.index(letter), x.attributes, nest.builder
        axis = k - len(t.kernel)
        before, real, apart = a["low"][axis], x.inputs[0].shape[axis], t.dilations[k]
        if apart > 1 or not (before or a["high"][axis]):
            return 0, n
        start = (at[t.space[k]] * t.strides[k]).emit(b)  # element start + i of the padded input, of which real exist
        low, high = b.sub(I64(before), start), b.sub(I64(before + real), start)
        low = b.select(b.icmp_signed(">", low, I64(0)), low, I64(0))
        return low, b.select(b.icmp_signed("<", high, I64(n)), high, I64(n))

    axes = [*t.space[:-1], *t.group]
    first, others = (axes[0], axes[1:]) if axes else ("", [])  # the first one is cut into parts
    extent = t.lengths[first] if first else 1
    parts = parts_of(extent, core.size)

    def body(block: Index, low, high):
        def line(index, _):
            at = dict(zip([first, *others], index, strict=True))
            tiled(nest, width, columns, lambda place, n: tiled(
                nest, filters, rows, lambda filter, m: tile(block, at, filter, m, place, n)))  # fmt: skip

        def lines(v, _):
            nest.over([t.lengths[c] for c in others], [], lambda index, _: line([Index.of(v), *index], []))

        nest.loop(low, high, [], lines, extent=extent)

    over_parts(nest, extent, parts, body)
    return parts


# ---- gradients of kernels ---------------------------------------------------------------------------------------


class KernelTile:
    """How the gradient of a kernel is cut: units of some filters and channels, in tiles of rows x channels x places."""

    def __init__(self, core: Value, accumulators: int) -> None:
        self.letters = t = Letters(core.inputs[0])
        self.filters = t.lengths[t.filter] if t.filter else 1
        self.channel = t.channel[0] if t.channel else None
        self.channels = t.lengths[self.channel] if self.channel else 1
        self.window, self.width = t.lengths[t.kernel[-1]], t.lengths[t.space[-1]]
        self.unroll = max(u for u in range(1, 5) if self.width >= u and (self.width % u == 0 or u < 3))
        reach = ((self.unroll - 1) * t.strides[-1] + self.window) / self.unroll

        def cost(rows: int, deep: int) -> float:
            return sum(
                m * n * cycles(r * d * self.window, r + d * min(reach, self.window))
                for r, m in pieces(self.filters, rows)
                for d, n in pieces(self.channels, deep)
            )

        most, all_registers = accumulators, accumulators * 4 // 3
        shapes = [(r, d) for r in range(1, 9) for d in range(1, 9)
                  if (r, d) == (1, 1) or (r * d * self.window <= most and
                     r * d * self.window + r + min(d * self.window, 8) <= all_registers)]  # fmt: skip
        self.rows, self.deep = cheapest(shapes, cost)
        self.places = t.length(t.kernel)
        each = self.rows * self.places * 64  # bytes of a channel's sums, in the longest vectors
        self.chunk = min(self.channels, max(self.deep, STACK_BYTES // each // self.deep * self.deep))
        self.row_tiles, self.chunks = -(-self.filters // self.rows), -(-self.channels // self.chunk)

    @property
    def units(self) -> int:
        return self.letters.length(self.letters.group) * self.row_tiles * self.chunks


def kernel_gradient(nest: Nest, group: Group, k: KernelTile, quick: bool = False) -> int:
    """Units lo..hi-1 of the sum over samples and places of derivative * window, and the update that stands behind it;
    gives their number.

    The order of the sum is that of blocks, places and lanes, whatever the number of threads. ``quick``: one code for
    blocks of which all samples exist, and others.
    """
    core, b, t, width = group.core, nest.builder, k.letters, nest.width
    assert core is not None
    nest.tile = f"{k.rows} filters x {k.deep} channels x {k.window} places"
    size = k.rows * k.chunk * k.places
    sums = nest.scratch("sums", size * nest.width, core.dtype)
    zero = L.splat(nest.constant(0, core.dtype), width)
    flat = is_flat(group, nest)
    row, line = (t.space[-2] if len(t.space) > 1 else None), t.space[-1]
    lines = max(1, L1_PLACES // k.width)  # rows of the plane that one tile goes over before the next

    def kept(r: int, channel: Index, inside: Sequence[Index], j: int) -> Index:
        """Where the sum of a filter, channel and place lies, in vectors."""
        place = Index()
        for letter, i in zip(t.kernel[:-1], inside, strict=True):
            place = place * t.lengths[letter] + i
        return (channel + r * k.chunk) * k.places + place * k.window + j

    def tile(
        block: Index, partial: bool, fixed, filter: Index, m: int, start: Index, channel: Index, n: int, low, high
    ):
        """``channel`` counts from the unit's first, ``start``; low..high-1 are rows of the plane."""

        def places(inside, _):
            here = fixed | dict(zip(t.kernel[:-1], inside, strict=True))
            own = [(r, d, j) for r in range(m) for d in range(n) for j in range(k.window)]
            at = [kept(r, channel + d, inside, j) * width for r, d, j in own]
            first = [nest.load_vector(sums, p, width, True) for p in at]

            def steps(here: dict, y: Index, count: int, now):
                for u in range(count):
                    spot = here | {line: y + u}
                    g = [nest.value(t.other, [(spot | ({t.filter: filter + r} if t.filter else {}))[c]
                                              for c in t.other_letters], block) for r in range(m)]  # fmt: skip
                    if partial:
                        g = [L.where(nest.samples_alive(block), v, zero) for v in g]
                    x = {}
                    for d in range(n):
                        for j in range(k.window):
                            full = spot | {t.kernel[-1]: Index(j)}
                            full |= {k.channel: start + channel + d} if k.channel else {}
                            x[d, j] = nest.value(t.view, [full[c] for c in t.view_letters], block)
                    now = [L.fma(g[r], x[d, j], s) for (r, d, j), s in zip(own, now, strict=True)]
                return now

            def along(here: dict, now):
                whole = k.width - k.width % k.unroll
                now = nest.loop(0, whole, now, lambda v, s: steps(here, Index.of(v), k.unroll, s), step=k.unroll,
                                extent=k.width)  # fmt: skip
                if k.width % k.unroll:
                    nest.memo.append({})
                    now = steps(here, Index(whole), k.width % k.unroll, now)
                    nest.memo.pop()
                return now

            if row is None:
                now = along(here, first)
            else:
                now = nest.loop(low, high, first, lambda v, s: along(here | {row: Index.of(v)}, s),
                                extent=t.lengths[row])  # fmt: skip
            for p, s in zip(at, now, strict=True):
                nest.store_vector(s, sums, p, aligned=True)

        nest.over([t.lengths[c] for c in t.kernel[:-1]], [], places)

    def unit(fixed: dict, filter: Index, m: int, start: Index, count: int) -> None:
        nest.loop(0, size, [], lambda v, _: nest.store_vector(zero, sums, Index.of(v) * width, aligned=True))

        def block_body(variable, partial: bool):
            block = Index.of(variable)
            if partial:
                nest.samples_alive(block)  # here, so that it is not computed at every step

            def plane(index, _):
                here = fixed | dict(zip(t.space[:-2], index, strict=True))

                def some(low, high):
                    tiled(
                        nest, count, k.deep, lambda c, n: tile(block, partial, here, filter, m, start, c, n, low, high)
                    )

                if row is None:
                    some(0, 1)
                    return

                def strip(v, _):
                    last = b.add(v.value, I64(lines))
                    rest = I64(t.lengths[row])
                    some(v.value, b.select(b.icmp_signed("<", last, rest), last, rest))

                nest.loop(0, t.lengths[row], [], strip, step=lines, extent=t.lengths[row])

            nest.over([t.lengths[c] for c in t.space[:-2]], [], plane)

        full = b.udiv(nest.n, I64(width)) if not quick else I64(0)  # blocks of which all samples exist
        if not quick:
            nest.loop(0, full, [], lambda v, _: block_body(v, False))
        nest.loop(full, nest.blocks(), [], lambda v, _: block_body(v, True))
        for r in range(m):
            end(fixed, filter + r, r, start, count)

    def end(fixed: dict, filter: Index, r: int, start: Index, count: int) -> None:
        """The lanes of each sum added up; neighbouring weights in lanes, where what follows may be so."""
        run = count * k.places
        first = Index()
        for letter in t.out:
            i = fixed[letter] if letter in t.group else filter if letter == t.filter else start
            if letter not in t.kernel:
                first = first * t.lengths[letter] + i
        first = first * k.places

        def vector(at: Index, n: int) -> None:
            base = (at + r * k.chunk * k.places) * width
            parts = [nest.load_vector(sums, base + min(i, n - 1) * width, width, True) for i in range(width)]
            total = across.horizontal_sums(parts)
            if n < width:
                nest.mask, nest.valid = lane_mask(width, n), n
            nest.memo.append({})
            place = (first + at).emit(b)
            index = [Index()] * (len(t.out) - 1) + [Index.of(Variable(place, core.size, lane=True))]
            finish(nest, group, core, index, None, total)
            nest.memo.pop()
            nest.mask, nest.valid = None, width

        def single(variable, _):
            at = Index.of(variable)
            total = across.horizontal_sum(nest.load_vector(sums, (at + r * k.chunk * k.places) * width, width, True))
            rest, index = Index.of(Variable((first + at).emit(b), core.size)), {}
            for letter in reversed(t.out):
                rest, index[letter] = rest.divmod(t.lengths[letter], b)
            finish(nest, group, core, [index[c] for c in t.out], None, total)

        if not flat:
            nest.feature_width = 1
            nest.loop(0, run, [], single, extent=run)
            nest.feature_width = width
            return
        whole = run - run % width
        nest.loop(0, whole, [], lambda v, _: vector(Index.of(v), width), step=width, extent=run)
        if run % width:
            nest.memo.append({})
            vector(Index(whole), run % width)
            nest.memo.pop()

    def numbered(variable, _):
        rest, chunk = Index.of(variable).divmod(k.chunks, b)
        rest, row_tile = rest.divmod(k.row_tiles, b)
        fixed: dict[str, Index] = {}
        for c in reversed(t.group):
            rest, fixed[c] = rest.divmod(t.lengths[c], b)

        def channels(filters: int):
            def run(count: int):
                return lambda: unit(fixed, row_tile * k.rows, filters, chunk * k.chunk, count)

            nest.last_or_not(chunk, k.chunks, run(k.channels - (k.chunks - 1) * k.chunk), run(k.chunk))

        nest.last_or_not(row_tile, k.row_tiles, lambda: channels(k.filters - (k.row_tiles - 1) * k.rows),
                         lambda: channels(k.rows))  # fmt: skip

    nest.loop(nest.lo, nest.hi, [], numbered, extent=k.units)
    return k.units


def is_flat(group: Group, nest: Nest) -> bool:
    """Whether all that a group computes behind its core is element by element, of values of one shape or numbers."""
    for v in group.values:
        if v is group.core or (group.core is not None and v in group.core.inputs):
            continue
        if not v.primitive.elementwise or v.shape != group.shape:
            return False
        for i in v.inputs:
            if i not in group.values and not (i.shape == group.shape and nest.stored(i) is not None) and not one(i):
                return False
    return True


def one(v: Value) -> bool:
    """Whether all elements of v are one number: `broadcast` of it, or constant."""
    while v.size > 1 and v.primitive is broadcast:
        (v,) = v.inputs
    return v.size == 1 or v.primitive is fill_with
