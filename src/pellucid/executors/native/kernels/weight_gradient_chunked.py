"""Gradients of weights that many steps share: sums over samples and steps, too long for their factors to stay near.

They are made in chunks of some steps. All tiles of a unit of rows take their turn at a chunk, each with its sums put
down in memory meanwhile, so that the chunk comes from far away once for all of them.
"""

from __future__ import annotations

import math

from ....graph import Value
from ..codegen.flow import lane_index
from ..codegen.masks import samples_of, smaller
from ..codegen.nest import I64, Nest
from ..codegen.tiling import finish, tiled
from ..llvm import lanes as L
from ..llvm.affine import Index, Variable
from ..plan.buffer import BYTES, Buffer
from ..plan.planner import Group
from .weight_gradient import Products, WeightsTile

LONG = 8  # steps, from which on this is faster
CHUNK = 64  # products of a weight before its sum is put down
UNIT_BYTES = 1 << 16  # of the sums of a unit, on the stack of a thread
UNITS = 4  # there are, where that many can be made
TOGETHER = 2  # tiles beside each other that take their turns at one chunk: it stays in the nearest cache


def steps_of(t: WeightsTile) -> int:
    """How many products of each sample a weight's gradient is the sum of."""
    return math.prod(t.lengths[c] for c in t.inner)


def weights_in_chunks(
    nest: Nest, group: Group, t: WeightsTile, rows: dict[Value, Buffer], by_element: bool = False
) -> int:
    """Units lo..hi-1 of the sum over samples and steps of a product; see `weights.weights_contraction`.

    A unit has some rows, and as many columns as ``TOGETHER`` tiles.
    """
    core, width, b = group.core, nest.width, nest.builder
    assert core is not None
    products, columns, length = Products(nest, t, rows), t.lengths[t.last], t.lengths[t.row] if t.row else 1
    vectors = -(-columns // width)
    whole, rest = divmod(vectors, t.columns)  # tiles across, and vectors that are left
    across = min(whole, TOGETHER) * t.columns or rest  # vectors of a unit
    groups = -(-whole // TOGETHER) + (rest > 0)
    most = max(1, UNIT_BYTES // (across * width * BYTES[core.dtype] * t.rows))
    tiles = min(most, max(1, -(-length * groups // (t.rows * UNITS))))  # of rows in a unit
    tiles = min(tiles, -(-length // t.rows))
    height = tiles * t.rows
    parts = -(-length // height)
    sums = nest.scratch("sums", height * across * width, core.dtype)
    nest.tile = f"{t.rows} rows x {t.columns} vectors of {width}, {height} rows in chunks"
    step_letter = max(t.inner, key=lambda c: t.lengths[c])
    others = [c for c in t.inner if c != step_letter]
    steps = max(1, CHUNK // width)
    zero = L.splat(nest.constant(0, core.dtype), width)

    def tile(here: dict[str, Index], row: Index, count: int, vector: Index, wide: int, block: Index, n: int) -> None:
        """The sums of a tile, ``vector`` of its unit on, with those of ``n`` steps of a block."""
        at = [((row + r) * across + vector + c) * width for r in range(count) for c in range(wide)]
        start = here | {t.last: here[t.last] + vector * width}
        now = [nest.load_vector(sums, p, width, True) for p in at]

        def step(k, now):
            inside = start | {step_letter: start[step_letter] + Index.of(k)}

            def sample(lane, now):
                return products.added(now, inside, count, wide, block, Index.of(lane))

            return nest.loop(0, samples_of(nest, block), now, sample, extent=width)

        for p, x in zip(at, nest.loop(0, n, now, step, extent=n), strict=True):
            nest.store_vector(x, sums, p, aligned=True)

    def unit(variable, _):
        remaining, which = Index.of(variable).divmod(groups, b)
        remaining, part = remaining.divmod(parts, b)
        fixed = {}
        for c in reversed([c for c in t.out[:-1] if c != t.row]):
            remaining, fixed[c] = remaining.divmod(t.lengths[c], b)
        if not rest:
            columns_at(fixed, part * height, which, which * across, t.columns)
            return
        nest.last_or_not(which, groups,
                         lambda: columns_at(fixed, part * height, which, Index(whole * t.columns), rest),
                         lambda: columns_at(fixed, part * height, which, which * across, t.columns))  # fmt: skip

    def columns_at(fixed: dict[str, Index], first: Index, which: Index, start: Index, wide: int) -> None:
        """The rows from ``first`` on, and the vectors from ``start`` on, in tiles of ``wide`` of them."""
        exist = smaller(b, b.sub(I64(length), first.emit(b)), height)
        full = b.mul(b.udiv(exist, I64(t.rows)), I64(t.rows))
        count = smaller(b, b.sub(I64(whole), (which * TOGETHER).emit(b)), TOGETHER) if wide == t.columns else I64(1)
        clear = height * across
        nest.loop(0, clear, [], lambda v, _: nest.store_vector(zero, sums, Index.of(v) * width, aligned=True))

        def all_tiles(inside: dict[str, Index], block: Index, n: int) -> None:
            def row_of_tiles(row: Index, height: int) -> None:
                here = inside | ({t.row: first + row} if t.row else {})
                nest.loop(0, count, [], lambda c, _: tile(here, row, height, Index.of(c) * wide, wide, block, n),
                          extent=TOGETHER)  # fmt: skip

            nest.loop(0, full, [], lambda v, _: row_of_tiles(Index.of(v), t.rows), step=t.rows, extent=height)
            if length % t.rows:
                with b.if_then(b.icmp_signed("<", full, exist)), nest.scope():
                    row_of_tiles(Index.of(Variable(full, height)), length % t.rows)

        def over_blocks(variable, _):
            block = Index.of(variable)

            def over_others(index, _):
                inside = fixed | dict(zip(others, index, strict=True)) | {t.last: start * width}
                tiled(nest, t.lengths[step_letter], steps,
                      lambda at, n: all_tiles(inside | {step_letter: at}, block, n))  # fmt: skip

            nest.over([t.lengths[c] for c in others], [], over_others)

        nest.loop(0, nest.blocks(), [], over_blocks)
        nest.loop(0, exist, [], lambda v, _: end(fixed, first, which, start * width, Index.of(v)), extent=height)

    def end(fixed: dict[str, Index], first: Index, which: Index, start: Index, row: Index) -> None:
        """What stands behind the sums of a row."""
        here = fixed | ({t.row: first + row} if t.row else {})
        before = start.emit(b)

        def at(v, column: Index, lanes: int) -> None:
            place = row * (across * width) + Index.of(Variable(b.sub(v.value, before), across * width))
            with nest.scope():
                total = nest.load_vector(sums, place, lanes, lanes > 1)
                finish(nest, group, core, [(here | {t.last: column})[c] for c in t.out], None, total)

        def stop(limit: int):
            return smaller(b, b.add(before, I64(across * width)), limit)

        if by_element:
            nest.feature_width = 1
            nest.loop(before, stop(columns), [], lambda v, _: at(v, Index.of(v), 1), extent=columns)
            nest.feature_width = width
            return
        masked = columns % width
        nest.loop(before, stop(columns - masked), [], lambda v, _: at(v, lane_index(v.value, columns), width),
                  step=width, extent=columns)  # fmt: skip
        if masked:
            with b.if_then(b.icmp_signed("==", which.emit(b), I64(groups - 1))):
                v = Variable(I64(columns - masked), columns)
                with nest.masked(masked):
                    at(v, lane_index(v.value, columns), width)

    units = math.prod(t.lengths[c] for c in t.out[:-1] if c != t.row) * parts * groups
    nest.loop(nest.lo, nest.hi, [], unit, extent=units)
    return units
