"""Contractions over windows: convolutions and their gradients, one sample in each lane.

`correlation` computes results: a tile of filters by neighbouring places, numbers of the kernel broadcast. The places
of the innermost axis of the kernel are unrolled, so that LLVM loads each element of the input once for all of them.
`kernel_gradient` computes the sum over samples and places: a tile of filters by places in the kernel, the lanes added
up at its end, and the update of the kernel behind that.
"""

from __future__ import annotations

from ....ops.conv import is_zeros_around
from ..codegen.nest import I64, Nest
from ..codegen.tiling import cheapest, cycles, finish, pieces, tiled
from ..llvm import lanes as L
from ..llvm.affine import Index
from ..plan.letters import Letters
from ..plan.planner import Group
from ..plan.work import parts_of
from .pointwise import over_parts

L1_PLACES = 64  # of a filter's plane that a tile of the gradient goes over before the next tile


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
        with nest.scope():
            for p, s in zip(places, sums, strict=True):
                finish(nest, group, core, [p[c] for c in t.out], block, s)

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
