"""How the gradient of a convolution's kernel is cut into units and tiles: numbers and letters, no code."""

from __future__ import annotations

from dataclasses import dataclass

from ....graph import Value
from ..codegen.tiling import cheapest, cycles, pieces
from ..plan.letters import Letters

TILE_PLACES = 64  # of a filter's plane that a tile goes over before the next tile: what they read stays in the L1 cache
SUMS_BYTES = 16 << 10  # of sums that one unit keeps on the stack


@dataclass(frozen=True)
class ConvGradientPlan:
    """How the gradient of a kernel is cut: units of some filters and channels, in tiles of filters x channels x places.

    >>> import pellucid as pel
    >>> x, kernel = pel.input("x", (3, 12, 12)), pel.state("kernel", (16, 3, 5, 5))
    >>> cost = pel.ops.batch_sum(pel.ops.sum(pel.ops.correlate(x, kernel) ** 2))
    >>> plan = ConvGradientPlan.of(pel.grad(cost, kernel), accumulators=24)
    >>> plan.rows, plan.deep, plan.window, plan.units
    (4, 1, 5, 8)
    """

    core: Value  # the sum over samples
    letters: Letters  # of the product
    filters: int
    channel: str | None
    channels: int
    window: int  # places of the kernel along its last axis
    places: int  # of all its axes
    width: int  # of the result along its last axis
    unroll: int  # places of the result in a step
    rows: int  # filters of a tile, and of a unit
    deep: int  # channels of a tile
    chunk: int  # channels of a unit

    @staticmethod
    def of(core: Value, accumulators: int) -> ConvGradientPlan:
        t = Letters(core.inputs[0])
        filters = t.lengths[t.filter] if t.filter else 1
        channel = t.channel[0] if t.channel else None
        channels = t.lengths[channel] if channel else 1
        window, width, places = t.lengths[t.kernel[-1]], t.lengths[t.space[-1]], t.length(t.kernel)
        unroll = max(u for u in range(1, 5) if width >= u and (width % u == 0 or u < 3))
        reach = ((unroll - 1) * t.strides[-1] + window) / unroll

        def cost(rows: int, deep: int) -> float:
            return sum(
                m * n * cycles(r * d * window, r + d * min(reach, window))
                for r, m in pieces(filters, rows)
                for d, n in pieces(channels, deep)
            )

        def fits(rows: int, deep: int) -> bool:
            sums, registers = rows * deep * window, accumulators * 4 // 3
            return sums <= accumulators and sums + rows + min(deep * window, 8) <= registers

        shapes = [(r, d) for r in range(1, 9) for d in range(1, 9) if (r, d) == (1, 1) or fits(r, d)]
        rows, deep = cheapest(shapes, cost)
        each = rows * places * 64  # bytes of a channel's sums, in the longest vectors
        chunk = min(channels, max(deep, SUMS_BYTES // each // deep * deep))
        return ConvGradientPlan(core, t, filters, channel, channels, window, places, width, unroll, rows, deep, chunk)

    @property
    def row_tiles(self) -> int:
        return -(-self.filters // self.rows)

    @property
    def chunks(self) -> int:
        return -(-self.channels // self.chunk)

    @property
    def units(self) -> int:
        return self.letters.length(self.letters.group) * self.row_tiles * self.chunks

    @property
    def last_rows(self) -> int:
        """Filters of the last unit."""
        return self.filters - (self.row_tiles - 1) * self.rows

    @property
    def last_chunk(self) -> int:
        """Channels of the last unit."""
        return self.channels - (self.chunks - 1) * self.chunk

    @property
    def sums(self) -> int:
        """Sums of a unit, each a vector."""
        return self.rows * self.chunk * self.places

    @property
    def lines(self) -> int:
        """Rows of the result's plane that one tile goes over before the next."""
        return max(1, TILE_PLACES // self.width)
