"""The contraction emitter: register tiles whose accumulators are SSA values of the reduction loop.

Two shapes of it. In a *sample* contraction lanes are samples: an operand is a vector if it is a sample value and one
number, broadcast, if it is shared. In a *weights* contraction, a sum over samples of products, lanes are features.
Loads are written naively for each element of the tile; `Nest.value` and LLVM share the equal ones.
"""

from __future__ import annotations

import math
from copy import copy as copy_of
from dataclasses import dataclass

from ....graph import Value
from ....ops.contract import parse
from ..codegen.nest import I64, Nest
from ..codegen.reduction import in_strands
from ..codegen.tiling import divisor_tile, finish, tiled
from ..llvm import lanes as L
from ..llvm.affine import Index, Variable, linear
from ..plan.buffer import BYTES
from ..plan.planner import Group

SPLIT_BYTES = 1 << 20  # a weight from this size on is read by each thread in part, not as a whole


def sample_contraction(nest: Nest, group: Group, accumulators: int) -> int | None:
    """Blocks lo..hi-1 of a group whose core is a contraction of one sample; the rest of the group is its epilogue.

    Where the weight is large, lo..hi-1 are units of its rows instead, for all blocks; the result is their number.
    (Two threads took 0.64 ms a step instead of 0.84 on 784-1024-10, batch 64; 4.1 instead of 4.7 on 784-1024-1024-10.)
    """
    core = group.core
    assert core is not None
    a, b, out = parse(core.attributes["spec"])
    x, y = core.inputs
    lengths = dict(zip(a + b, x.shape + y.shape, strict=True))
    inner = [c for c in dict.fromkeys(a + b) if c not in out]

    only = [[c for c in out if c in own and c not in other] for own, other in ((a, b), (b, a))]
    kinds = [x.kind, y.kind]
    if kinds[0] == "sample" and kinds[1] == "shared":
        only, kinds = only[::-1], kinds[::-1]
    # rows of the tile along an axis of the shared operand; columns along one of the sample operand, or several blocks
    row = max(only[0], key=lambda c: lengths[c], default=None)
    column = max(only[1], key=lambda c: lengths[c], default=None)
    blocks = 2 if kinds == ["shared", "sample"] and (column is None or lengths[column] == 1) else 1
    across = blocks if column is None or lengths[column] == 1 else min(lengths[column], 4)
    if row is None:
        across = min(accumulators, lengths[column]) if column else blocks
    high = divisor_tile(lengths[row], max(1, accumulators // across)) if row else 1
    single = all(lengths[c] == 1 for c in (row, column) if c is not None)  # one result of a block
    nest.tile = f"{high} rows x {f'{blocks} blocks of samples' if blocks > 1 else f'{across} columns'}"

    def tile(fixed: dict[str, Index], at_row: Index, rows: int, at_column: Index, columns: int, block: Index, n: int,
             packed: Pack | None = None) -> None:  # fmt: skip
        points = []
        for k in range(n):
            for r in range(rows):
                for c in range(columns):
                    here = dict(fixed)
                    if row:
                        here[row] = at_row + r
                    if column:
                        here[column] = at_column + c
                    points.append((here, block + k))
        zero = L.splat(nest.constant(0, core.dtype), nest.width)

        def step(index, sums, points=points):
            at = dict(zip(inner, index, strict=True))
            new = []
            for k, ((here, blk), s) in enumerate(zip(points, sums, strict=True)):
                full = here | at
                p, q = (
                    packed.load(nest, at, k // columns % rows)
                    if packed is not None and v.kind == "shared"
                    else nest.value(v, [full[c] for c in letters], blk if v.kind == "sample" else None)
                    for v, letters in ((x, a), (y, b))
                )
                new.append(L.fma(p, q, s))
            return new

        def one(point):
            return lambda index, s: step(index, [s], [point])[0]

        space = [lengths[c] for c in inner]
        if single:  # whatever the tile: the order of a sum is that of the result, for any number of threads
            sums = [in_strands(nest, space, zero, one(point), lambda p, q: p + q) for point in points]
        else:
            sums = nest.over(space, [zero] * len(points), step)
        with nest.scope():
            for (here, blk), s in zip(points, sums, strict=True):
                finish(nest, group, core, [here[c] for c in out], blk, s)

    others = [c for c in out if c not in (row, column)]

    def tiles(index, _):
        fixed = dict(zip(others, index, strict=True))

        if places:
            places_first(fixed)
            return
        if blocks == 2 and row and strided is None and units is None:
            by_twos(fixed)
            return

        def rows_at(at: Index, rows: int, packed: Pack | None):
            def columns_at(at_column: Index, columns: int):
                def some(n: int):
                    return lambda v, _: tile(fixed, at, rows, at_column, columns, Index.of(v), n, packed)

                if blocks == 1:
                    nest.loop(first, last, [], some(1))
                    return
                count = nest.builder.sub(last, first)
                pairs = nest.builder.sub(last, nest.builder.and_(count, I64(1)))
                nest.loop(first, pairs, [], some(2), step=2)
                nest.loop(pairs, last, [], some(1))

            tiled(nest, lengths[column] if column else 1, across if blocks == 1 else 1, columns_at)

        def several(at: Index, rows: int):
            """Tiles of rows from one packed copy: a line of memory holds the rows of more than one."""
            if strided is None or row is None:
                rows_at(at, rows, None)
                return
            count = max(1, rows // high)
            each = rows // count
            packed = Pack(nest, strided, row, inner, lengths, fixed | {row: at}, each, count)
            if count == 1:
                rows_at(at, each, packed.part(Index()))
            else:
                nest.loop(0, count, [], lambda v, _: rows_at(at + Index.of(v) * each, each, packed.part(Index.of(v))),
                          extent=count)  # fmt: skip

        def part(at: Index, rows: int):
            """Rows of the result: whole packed copies, or what is left after the last one tile by tile."""
            if strided and rows == wide:
                several(at, rows)
            else:
                tiled(nest, rows, high, lambda start, n: several(at + start, n))

        left = lengths[row] % wide if row else 0
        if not row:
            rows_at(Index(), 1, None)
        elif units is None:
            if lengths[row] - left:
                tiled(nest, lengths[row] - left, wide, part)
            if left:
                part(Index(lengths[row] - left), left)
        else:
            nest.loop(nest.lo, nest.hi, [], lambda v, _: unit(nest, v, units or 0, wide, left, part), extent=units)

    def places_first(fixed: dict[str, Index]) -> None:
        """A tile of columns stays near, while all rows of the shared operand pass by."""

        def columns_at(block: Index, at_column: Index, columns: int) -> None:
            tiled(nest, lengths[row or ""], high, lambda r, rows: tile(fixed, r, rows, at_column, columns, block, 1))

        def block_body(v, _):
            tiled(nest, lengths[column or ""], across, lambda c, columns: columns_at(Index.of(v), c, columns))

        nest.loop(first, last, [], block_body)

    def by_twos(fixed: dict[str, Index]) -> None:
        """Two blocks at a time, and more rows at once for one that is left."""
        b, extent = nest.builder, lengths[row or ""]
        pairs = b.sub(last, b.and_(b.sub(last, first), I64(1)))

        def both(at: Index, rows: int) -> None:
            nest.loop(first, pairs, [], lambda v, _: tile(fixed, at, rows, Index(), 1, Index.of(v), 2), step=2)

        def alone(at: Index, rows: int) -> None:
            tile(fixed, at, rows, Index(), 1, Index.of(Variable(pairs, 1 << 40)), 1)

        tiled(nest, extent, high, both)
        with b.if_then(b.icmp_signed("<", pairs, last)), nest.scope():
            tiled(nest, extent, divisor_tile(extent, accumulators), alone)

    wide = high * max(1, PACKED_ROWS // high)
    places = row is not None and column is not None and kinds == ["shared", "sample"] and lengths[column] > across
    strided = None if places else strided_operand(nest, core, row, inner, lengths)
    shared = sum(v.size * BYTES[v.dtype] for v in core.inputs if v.kind == "shared")
    units = (
        -(-lengths[row] // wide)
        if row and not others and shared >= SPLIT_BYTES and not (places or nest.step.terms)
        else None
    )
    first, last = (nest.lo, nest.hi) if units is None else (I64(0), nest.blocks())
    nest.over([lengths[c] for c in others], [], tiles)
    return units


def unit(nest: Nest, number: Variable, units: int, wide: int, left: int, part) -> None:
    """One unit of rows; the last one may be smaller."""
    b, at = nest.builder, Index.of(number) * wide
    if not left:
        part(at, wide)
        return
    with b.if_else(b.icmp_signed("==", number.value, I64(units - 1))) as (smaller, whole):
        for branch, rows in ((smaller, left), (whole, wide)):
            with branch, nest.scope():
                part(at, rows)


PACKED_ROWS = 32  # rows copied together: two lines of memory of float32
PACKED_BYTES = 1 << 19  # at most, on the stack of a thread


@dataclass(frozen=True)
class Strided:
    """A shared operand whose rows of a tile are neighbours in memory, while the sum strides over whole rows."""

    value: Value
    letters: str
    inner: list[str]


def strided_operand(
    nest: Nest, core: Value, row: str | None, inner: list[str], lengths: dict[str, int]
) -> Strided | None:
    for v, letters in zip(core.inputs, parse(core.attributes["spec"]), strict=False):
        used = [c for c in inner if c in letters]
        size = math.prod(lengths[c] for c in used) * PACKED_ROWS * BYTES[v.dtype]
        if (
            v.kind == "shared"
            and row
            and letters[-1:] == row
            and used
            and nest.stored(v) is not None
            and lengths[row] > 1
        ):
            return Strided(v, letters, used) if size <= PACKED_BYTES else None
    return None


class Pack:
    """The strided operand's rows of ``count`` tiles, copied so that the loop over the sum reads them in order.

    A weight used transposed would be read with strides of whole rows, which fall on few lines of the cache.
    """

    def __init__(self, nest: Nest, s: Strided, row: str, inner: list[str], lengths: dict[str, int],
                 fixed: dict[str, Index], rows: int, count: int) -> None:  # fmt: skip
        self.rows, self.inner, self.lengths = rows, s.inner, [lengths[c] for c in s.inner]
        self.size, self.start = math.prod(self.lengths) * rows, Index()
        b, dtype = nest.builder, s.value.dtype
        self.buffer = nest.scratch("pack", self.size * count, dtype)
        source = nest.stored(s.value)
        assert source is not None

        def copy(index, _):
            at = fixed | dict(zip(s.inner, index, strict=True))
            position = linear([at[c] for c in s.letters], s.value.shape)
            for k in range(count):
                part = nest.load_vector(source, position + k * rows, rows, False)
                target = self.position(at) + k * self.size
                b.store(part.value, nest.address(self.buffer, target), align=BYTES[dtype])

        nest.over(self.lengths, [], copy)

    def part(self, tile: Index) -> Pack:
        """The rows of one tile."""
        other = copy_of(self)
        other.start = tile * self.size
        return other

    def position(self, at: dict[str, Index]) -> Index:
        return self.start + linear([at[c] for c in self.inner], self.lengths) * self.rows

    def load(self, nest: Nest, at: dict[str, Index], row: int):
        return nest.load_vector(self.buffer, self.position(at) + row, 1, True)
