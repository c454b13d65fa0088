"""Gradients of weights that many steps share: sums over samples and steps, too long for their factors to stay near.

They are made in chunks of some steps. All tiles of a unit of rows take their turn at a chunk, each with its sums put
down in memory meanwhile, so that the chunk comes from far away once for all of them.
"""

from __future__ import annotations

import math

from ...graph import Value
from . import lanes as L
from .emit import BYTES, I64, Buffer, Nest
from .index import Index, Variable
from .nests import lane_mask, samples_of, smaller
from .plan import Group
from .tiles import finish, lane_variable, tiled
from .weights import Products, WeightsTile

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
    """Units lo..hi-1 of the sum over samples and steps of a product; see `weights.weights_contraction`."""
    core, width, b = group.core, nest.width, nest.builder
    assert core is not None
    products, columns, length = Products(nest, t, rows), t.lengths[t.last], t.lengths[t.row] if t.row else 1
    vectors = -(-columns // width)
    most = max(1, UNIT_BYTES // (vectors * width * BYTES[core.dtype] * t.rows))
    tiles = min(most, max(1, -(-length // (t.rows * UNITS))))  # of rows in a unit
    height = tiles * t.rows
    parts = -(-length // height)
    sums = nest.scratch("sums", height * vectors * width, core.dtype)
    nest.tile = f"{t.rows} rows x {t.columns} vectors of {width}, {height} rows in chunks"
    step_letter = max(t.inner, key=lambda c: t.lengths[c])
    others = [c for c in t.inner if c != step_letter]
    steps = max(1, CHUNK // width)
    zero = L.splat(nest.constant(0, core.dtype), width)

    def place(row: Index, vector: Index) -> Index:
        return (row * vectors + vector) * width

    def tile(here: dict[str, Index], row: Index, count: int, vector: Index, wide: int, block: Index, n: int) -> None:
        """The sums of a tile, with those of ``n`` steps of a block."""
        at = [place(row + r, vector + c) for r in range(count) for c in range(wide)]
        start = here | {t.last: vector * width}
        now = [nest.load_vector(sums, p, width, True) for p in at]

        def step(k, now):
            inside = start | {step_letter: start[step_letter] + Index.of(k)}

            def sample(lane, now):
                return products.added(now, inside, count, wide, block, Index.of(lane))

            return nest.loop(0, samples_of(nest, block), now, sample, extent=width)

        for p, x in zip(at, nest.loop(0, n, now, step, extent=n), strict=True):
            nest.store_vector(x, sums, p, aligned=True)

    def unit(variable, _):
        rest, part = Index.of(variable).divmod(parts, b)
        fixed = {}
        for c in reversed([c for c in t.out[:-1] if c != t.row]):
            rest, fixed[c] = rest.divmod(t.lengths[c], b)
        first = part * height
        exist = smaller(b, b.sub(I64(length), first.emit(b)), height)
        whole = b.mul(b.udiv(exist, I64(t.rows)), I64(t.rows))
        clear = height * vectors
        nest.loop(0, clear, [], lambda v, _: nest.store_vector(zero, sums, Index.of(v) * width, aligned=True))

        def all_tiles(inside: dict[str, Index], start: Index, count: int, wide: int, block: Index, n: int) -> None:
            """All tiles of the unit, ``count`` beside each other."""

            def across(row: Index, height: int) -> None:
                here = inside | ({t.row: first + row} if t.row else {})
                if count == 1:
                    tile(here, row, height, start, wide, block, n)
                else:
                    nest.loop(0, count, [], lambda c, _: tile(here, row, height, start + Index.of(c) * wide, wide,
                                                              block, n), extent=count)  # fmt: skip

            nest.loop(0, whole, [], lambda v, _: across(Index.of(v), t.rows), step=t.rows, extent=height)
            if length % t.rows:
                with b.if_then(b.icmp_signed("<", whole, exist)):
                    nest.memo.append({})
                    across(Index.of(Variable(whole, height)), length % t.rows)
                    nest.memo.pop()

        def chunks(start: Index, count: int, wide: int) -> None:
            def over_blocks(variable, _):
                block = Index.of(variable)

                def over_others(index, _):
                    inside = fixed | dict(zip(others, index, strict=True))
                    tiled(nest, t.lengths[step_letter], steps, lambda at, n: all_tiles(
                        inside | {step_letter: at}, start, count, wide, block, n))  # fmt: skip

                nest.over([t.lengths[c] for c in others], [], over_others)

            nest.loop(0, nest.blocks(), [], over_blocks)

        beside = t.columns * TOGETHER
        tiled(nest, vectors - vectors % t.columns, beside, lambda at, n: chunks(at, n // t.columns, t.columns))
        if vectors % t.columns:
            chunks(Index(vectors - vectors % t.columns), 1, vectors % t.columns)
        nest.loop(0, exist, [], lambda v, _: end(fixed, first, Index.of(v)), extent=height)

    def end(fixed: dict[str, Index], first: Index, row: Index) -> None:
        """What stands behind the sums of a row."""
        here = fixed | ({t.row: first + row} if t.row else {})

        def at(column: Index, total) -> None:
            nest.memo.append({})
            finish(nest, group, core, [(here | {t.last: column})[c] for c in t.out], None, total)
            nest.memo.pop()

        if by_element:
            nest.feature_width = 1
            nest.loop(0, columns, [], lambda v, _: at(Index.of(v), nest.load_vector(
                sums, row * vectors * width + Index.of(v), 1, True)), extent=columns)  # fmt: skip
            nest.feature_width = width
            return

        def vector(v, _):
            at(
                lane_variable(v.value, columns),
                nest.load_vector(sums, row * vectors * width + Index.of(v), width, True),
            )

        whole = columns - columns % width
        if whole:
            nest.loop(0, whole, [], vector, step=width, extent=columns)
        if columns % width:
            nest.mask, nest.valid = lane_mask(width, columns % width), columns % width
            nest.memo.append({})
            vector(Variable(I64(whole), columns), None)
            nest.memo.pop()
            nest.mask, nest.valid = None, width

    nest.loop(nest.lo, nest.hi, [], unit, extent=t.units)
    return math.prod(t.lengths[c] for c in t.out[:-1] if c != t.row) * parts
