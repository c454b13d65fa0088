"""Gradients of the kernels of convolutions, one sample in each lane."""

from __future__ import annotations

from collections.abc import Sequence

from ....graph import Value
from ....ops.movement import broadcast, fill_with
from ..codegen.flow import lane_mask
from ..codegen.nest import I64, Nest
from ..codegen.tiling import cheapest, cycles, finish, pieces, tiled
from ..llvm import lanes as L
from ..llvm import shuffles
from ..llvm.affine import Index, Variable
from ..plan.letters import Letters
from ..plan.planner import Group
from .conv import L1_PLACES

STACK_BYTES = 16 << 10  # of sums that one unit of the gradient keeps


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
                    with nest.scope():
                        now = steps(here, Index(whole), k.width % k.unroll, now)
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
            total = shuffles.horizontal_sums(parts)
            if n < width:
                nest.mask, nest.valid = lane_mask(width, n), n
            with nest.scope():
                place = (first + at).emit(b)
                index = [Index()] * (len(t.out) - 1) + [Index.of(Variable(place, core.size, lane=True))]
                finish(nest, group, core, index, None, total)
            nest.mask, nest.valid = None, width

        def single(variable, _):
            at = Index.of(variable)
            total = shuffles.horizontal_sum(nest.load_vector(sums, (at + r * k.chunk * k.places) * width, width, True))
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
            with nest.scope():
                vector(Index(whole), run % width)

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
