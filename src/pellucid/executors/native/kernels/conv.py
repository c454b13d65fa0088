"""Convolutions, one sample in each lane: tiles of filters by neighboring places, numbers of the kernel broadcast.

The places of the innermost axis of the kernel are unrolled, so that LLVM loads each element of the input once for all
of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ....graph import Value
from ....ops.conv import is_zeros_around
from ..codegen.nest import I64, Nest
from ..codegen.tiling import cheapest, cycles, finish, pieces, tiled
from ..llvm import ir
from ..llvm import lanes as L
from ..llvm.affine import Index
from ..llvm.lanes import Lanes
from ..plan.letters import Letters
from ..plan.planner import Group
from ..plan.work import parts_of
from .pointwise import over_parts


def correlation(nest: Nest, group: Group, accumulators: int) -> int:
    """Parts lo..hi-1 of blocks of a group whose core is a kernel times windows of a sample; gives the parts a block."""
    assert group.core is not None
    plan = ConvPlan.of(group.core, accumulators)
    nest.tile = f"{plan.rows} filters x {plan.columns} places"
    emitter = ConvEmitter(nest, group, plan)
    over_parts(nest, plan.extent, plan.parts, emitter.lines)
    return plan.parts


@dataclass(frozen=True)
class ConvPlan:
    """How the result of a convolution is cut: blocks into parts of its first axis, lines of these into tiles.

    >>> import pellucid as pel
    >>> x, kernel = pel.input("x", (3, 12, 12)), pel.state("kernel", (16, 3, 5, 5))
    >>> plan = ConvPlan.of(pel.ops.correlate(x, kernel).inputs[0], accumulators=24)
    >>> plan.filters, plan.width, plan.rows, plan.columns
    (16, 8, 6, 4)
    """

    core: Value
    letters: Letters
    filters: int
    width: int  # of a line of the result, along its last axis
    window: int  # of the kernel along this axis
    rows: int  # filters of a tile
    columns: int  # neighboring places of a tile
    axes: list[str]  # of the result but for filters and the last; the first one is cut into parts
    extent: int  # of the first one
    parts: int  # of a block

    @staticmethod
    def of(core: Value, accumulators: int) -> ConvPlan:
        t = Letters(core)
        width, window, stride = t.lengths[t.space[-1]], t.lengths[t.kernel[-1]], t.strides[-1]
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
        axes = [*t.space[:-1], *t.group]
        extent = t.lengths[axes[0]] if axes else 1
        return ConvPlan(core, t, filters, width, window, rows, columns, axes, extent, parts_of(extent, core.size))


class ConvEmitter:
    """Writes the lines of a convolution's result."""

    def __init__(self, nest: Nest, group: Group, plan: ConvPlan) -> None:
        self.nest, self.group, self.plan, self.letters = nest, group, plan, plan.letters

    def lines(self, block: Index, low: ir.Value, high: ir.Value) -> None:
        """All lines of one part of a block: low..high-1 of its first axis."""
        nest, plan = self.nest, self.plan
        first, others = (plan.axes[0], plan.axes[1:]) if plan.axes else ("", [])

        def some(start: Index) -> None:
            nest.over([plan.letters.lengths[c] for c in others], [], lambda index, _: self.line(
                block, {first: start} | dict(zip(others, index, strict=True))))  # fmt: skip

        nest.loop(low, high, [], lambda v, _: some(Index.of(v)), extent=plan.extent)

    def line(self, block: Index, at: dict[str, Index]) -> None:
        """One line, tile by tile."""
        nest, plan = self.nest, self.plan

        def all_filters(place: Index, columns: int) -> None:
            tiled(nest, plan.filters, plan.rows,
                  lambda filter, rows: self.tile(block, at, self.places(at, filter, rows, place, columns)))  # fmt: skip

        tiled(nest, plan.width, plan.columns, all_filters)

    def places(self, at: dict[str, Index], filter: Index, rows: int, place: Index, columns: int) -> list[dict]:
        """The indices of a tile's results."""
        t = self.letters
        return [at | {t.space[-1]: place + c} | ({t.filter: filter + r} if t.filter else {})
                for r in range(rows) for c in range(columns)]  # fmt: skip

    def tile(self, block: Index, line: dict[str, Index], places: list[dict[str, Index]]) -> None:
        """The sums of a tile over channels and the kernel, and the epilogue of each."""
        nest, t, core = self.nest, self.letters, self.plan.core
        zero = L.splat(nest.constant(0, core.dtype), nest.width)
        outer = [*t.channel, *t.kernel[:-1]]

        def loops(done: dict[str, Index], sums: Sequence[Lanes]) -> list[Lanes]:
            """Over channels and the outer axes of the kernel, without the rows that lie in the padding."""
            if len(done) == len(outer):
                return self.added(block, [p | done for p in places], sums)
            letter = outer[len(done)]
            low, high = self.reach(letter, line)
            return nest.loop(low, high, sums, lambda v, now: loops(done | {letter: Index.of(v)}, now),
                             extent=t.lengths[letter])  # fmt: skip

        sums = loops({}, [zero] * len(places))
        with nest.scope():
            for p, s in zip(places, sums, strict=True):
                finish(nest, self.group, core, [p[c] for c in t.out], block, s)

    def added(self, block: Index, places: list[dict[str, Index]], sums: Sequence[Lanes]) -> list[Lanes]:
        """The sums of a tile with the products along the innermost axis of the kernel."""
        nest, t = self.nest, self.letters
        for k in range(self.plan.window):
            here = [p | {t.kernel[-1]: Index(k)} for p in places]
            sums = [L.fma(nest.operand(t.other, [h[c] for c in t.other_letters], block),
                          nest.value(t.view, [h[c] for c in t.view_letters], block), s)
                    for h, s in zip(here, sums, strict=True)]  # fmt: skip
        return list(sums)

    def reach(self, letter: str, line: dict[str, Index]) -> tuple[int | ir.Value, int | ir.Value]:
        """The range of an axis of the kernel (or channels) that meets more than zeros."""
        t, b = self.letters, self.nest.builder
        n, (x,) = t.lengths[letter], t.view.inputs
        if letter not in t.kernel or not is_zeros_around(x):
            return 0, n
        k, a = t.kernel.index(letter), x.attributes
        axis = k - len(t.kernel)
        before, real, apart = a["low"][axis], x.inputs[0].shape[axis], t.dilations[k]
        if apart > 1 or not (before or a["high"][axis]):
            return 0, n
        start = (line[t.space[k]] * t.strides[k]).emit(b)  # element start + i of the padded input, of which real exist
        low, high = b.sub(I64(before), start), b.sub(I64(before + real), start)
        low = b.select(b.icmp_signed(">", low, I64(0)), low, I64(0))
        return low, b.select(b.icmp_signed("<", high, I64(n)), high, I64(n))
