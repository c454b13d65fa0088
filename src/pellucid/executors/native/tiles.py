"""The contraction emitter: register tiles whose accumulators are SSA values of the reduction loop.

Two shapes of it. In a *sample* contraction lanes are samples: an operand is a vector if it is a sample value and one
number, broadcast, if it is shared. In a *weights* contraction, a sum over samples of products, lanes are features.
Loads are written naively for each element of the tile; `Nest.value` and LLVM share the equal ones.
"""

from __future__ import annotations

import math
from copy import copy as copy_of
from dataclasses import dataclass

from llvmlite import ir

from ...graph import Value
from ...ops.contract import parse
from . import lanes as L
from .emit import BYTES, I64, POINTER, Buffer, Nest, memory_type
from .index import Index, Variable, linear
from .nests import lane_mask
from .plan import Group, rows_operand


def divisor_tile(extent: int, most: int) -> int:
    """The tile along an axis: its largest divisor up to ``most``, if that is not much less; else ``most``.

    >>> divisor_tile(1024, 12), divisor_tile(10, 12), divisor_tile(101, 12)
    (8, 10, 12)
    """
    if extent <= most:
        return extent
    best = max(d for d in range(1, most + 1) if extent % d == 0)
    return best if 2 * best >= most else most


def sample_contraction(nest: Nest, group: Group, accumulators: int) -> None:
    """Blocks lo..hi-1 of a group whose core is a contraction of one sample; the rest of the group is its epilogue."""
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
    high = divisor_tile(lengths[row], accumulators // across) if row else 1
    nest.tile = f"{high} rows x {f'{blocks} blocks of samples' if blocks > 1 else f'{across} columns'}"

    def tile(fixed: dict[str, Index], at_row: Index, rows: int, at_column: Index, columns: int, block: Index, n: int,
             packed: Pack | None = None) -> None:  # fmt: skip
        places = []
        for k in range(n):
            for r in range(rows):
                for c in range(columns):
                    here = dict(fixed)
                    if row:
                        here[row] = at_row + r
                    if column:
                        here[column] = at_column + c
                    places.append((here, block + k))
        zero = L.splat(nest.constant(0, core.dtype), nest.width)

        def step(index, sums):
            at = dict(zip(inner, index, strict=True))
            new = []
            for k, ((here, blk), s) in enumerate(zip(places, sums, strict=True)):
                full = here | at
                p, q = (
                    packed.load(nest, at, k // columns % rows)
                    if packed is not None and v.kind == "shared"
                    else nest.value(v, [full[c] for c in letters], blk if v.kind == "sample" else None)
                    for v, letters in ((x, a), (y, b))
                )
                new.append(L.fma(p, q, s))
            return new

        sums = nest.over([lengths[c] for c in inner], [zero] * len(places), step)
        nest.memo.append({})
        for (here, blk), s in zip(places, sums, strict=True):
            finish(nest, group, core, [here[c] for c in out], blk, s)
        nest.memo.pop()

    others = [c for c in out if c not in (row, column)]

    def tiles(index, _):
        fixed = dict(zip(others, index, strict=True))

        def rows_at(at: Index, rows: int, packed: Pack | None):
            def columns_at(at_column: Index, columns: int):
                def some(n: int):
                    return lambda v, _: tile(fixed, at, rows, at_column, columns, Index.of(v), n, packed)

                if blocks == 1:
                    nest.loop(nest.lo, nest.hi, [], some(1))
                    return
                count = nest.builder.sub(nest.hi, nest.lo)
                pairs = nest.builder.sub(nest.hi, nest.builder.and_(count, I64(1)))
                nest.loop(nest.lo, pairs, [], some(2), step=2)
                nest.loop(pairs, nest.hi, [], some(1))

            tiled(nest, lengths[column] if column else 1, across if blocks == 1 else 1, columns_at)

        def several(at: Index, rows: int):
            """Tiles of rows from one packed copy: a line of memory holds the rows of more than one."""
            if not strided:
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

        if not row:
            rows_at(Index(), 1, None)
        elif not strided:
            tiled(nest, lengths[row], high, several)
        else:  # what is left after the last whole copy is packed tile by tile
            wide = high * max(1, PACKED_ROWS // high)
            left = lengths[row] % wide
            if lengths[row] - left:
                tiled(nest, lengths[row] - left, wide, several)
            if left:
                tiled(nest, left, high, lambda at, rows: several(at + (lengths[row] - left), rows))

    strided = strided_operand(nest, core, row, inner, lengths)
    nest.over([lengths[c] for c in others], [], tiles)


PACKED_ROWS = 32  # rows copied together: two lines of memory of float32
PACKED_BYTES = 1 << 19  # at most, on the stack of a thread


@dataclass(frozen=True)
class Strided:
    """A shared operand whose rows of a tile are neighbours in memory, while the sum strides over whole rows."""

    value: Value
    letters: str
    inner: list[str]


def strided_operand(nest: Nest, core: Value, row: str | None, inner: list[str], lengths: dict[str, int]) -> Strided | None:
    for v, letters in zip(core.inputs, parse(core.attributes["spec"]), strict=False):
        used = [c for c in inner if c in letters]
        size = math.prod(lengths[c] for c in used) * PACKED_ROWS * BYTES[v.dtype]
        if v.kind == "shared" and row and letters[-1:] == row and used and nest.stored(v) is not None and lengths[row] > 1:
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
        self.buffer = Buffer("pack", "shared", self.size * count, dtype)
        with b.goto_entry_block():
            space = b.alloca(ir.ArrayType(memory_type(dtype), self.size * count))
        space.align = 64
        space.type = POINTER  # llvmlite gives it a typed pointer, which only its own loads take
        nest.pointers[self.buffer] = space
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


def tiled(nest: Nest, extent: int, tile: int, body) -> None:
    """``body(start, length)`` over an axis in tiles, and for what is left."""
    whole = extent - extent % tile
    if whole == tile:
        body(Index(), tile)
    elif whole:
        nest.loop(0, whole, [], lambda v, _: body(Index.of(v), tile), step=tile, extent=extent)
    if extent % tile:
        nest.memo.append({})
        body(Index(whole), extent % tile)
        nest.memo.pop()


def finish(nest: Nest, group: Group, core: Value, index: list[Index], block: Index | None, result) -> None:
    """The epilogue: with the contraction's result known at an index, what the group stores there."""
    nest.memo[-1][(core, tuple(i.key for i in index), block.key if block is not None else None)] = result
    nest.store_all(group.stores, index, block)


class WeightsTile:
    """How the gradient of a weight is cut: rows of R along a letter of the number operand, C vectors along the last."""

    def __init__(self, core: Value, width: int, accumulators: int) -> None:
        product = core.inputs[0]
        self.a, self.b, self.out = parse(product.attributes["spec"])
        self.lengths = dict(zip(self.a + self.b, product.inputs[0].shape + product.inputs[1].shape, strict=True))
        which = rows_operand(product)
        assert which is not None
        letters = (self.a, self.b)
        self.vector, self.vector_letters = product.inputs[which], letters[which]
        self.number, self.number_letters = product.inputs[1 - which], letters[1 - which]
        self.last = self.out[-1]
        self.inner = [c for c in dict.fromkeys(self.a + self.b) if c not in self.out]
        rows = [c for c in self.out[:-1] if c not in self.vector_letters]
        self.row = max(rows, key=lambda c: self.lengths[c], default=None)
        self.others = [c for c in self.out[:-1] if c != self.row]
        vectors = -(-self.lengths[self.last] // width)
        self.columns = next((c for c in (3, 4, 2) if vectors % c == 0), min(3, vectors))
        self.rows = divisor_tile(self.lengths[self.row], accumulators // self.columns) if self.row else 1
        self.row_tiles = -(-self.lengths[self.row] // self.rows) if self.row else 1

    @property
    def units(self) -> int:
        return math.prod(self.lengths[c] for c in self.others) * self.row_tiles


def weights_contraction(nest: Nest, group: Group, t: WeightsTile, rows: dict[Value, Buffer]) -> None:
    """Units lo..hi-1 of the sum over samples of a product, and the update of the weight that stands behind it.

    Each accumulator is a vector of neighbouring weights; a sample adds number * vector to it. The order of the sum is
    that of the samples, whatever the number of threads.
    """
    core, width, b = group.core, nest.width, nest.builder
    assert core is not None
    rows_buffer, number_rows = rows[t.vector], rows.get(t.number)
    number_buffer = nest.stored(t.number)
    extent = t.lengths[t.last]
    nest.tile = f"{t.rows} rows x {t.columns} vectors of {width}"

    def tile(fixed: dict[str, Index], at_row: Index, rows: int, column: Index, columns: int, valid: int) -> None:
        """``valid``: how many lanes of the last vector exist."""
        zero = L.splat(nest.constant(0, core.dtype), width)
        for v in group.stores:  # what the epilogue will read and write comes nearer while the sum is computed
            if v in nest.plan.in_place:
                for r in range(rows):
                    for c in range(columns):
                        here = fixed | ({t.row: at_row + r} if t.row else {}) | {t.last: column + c * width}
                        nest.prefetch(nest.buffers[v], linear([here[k] for k in t.out], v.shape))

        def at(letters, here):
            return [here[c] for c in letters]

        def body(inner, sums):
            inside = fixed | dict(zip(t.inner, inner, strict=True))

            def over_blocks(variable, sums):
                block = Index.of(variable)
                left = b.sub(nest.n, b.mul(block.emit(b), I64(width)))
                count = b.select(b.icmp_signed("<", left, I64(width)), left, I64(width))

                def sample(lane, sums):
                    n = block * width + Index.of(lane)
                    position = n * rows_buffer.size + linear(at(t.vector_letters, inside | {t.last: column}), t.vector.shape)
                    vectors = [nest.load_vector(rows_buffer, position + c * width, width, False) for c in range(columns)]
                    new = []
                    for r in range(rows):
                        here = inside | ({t.row: at_row + r} if t.row else {})
                        place = linear(at(t.number_letters, here), t.number.shape)
                        if number_buffer is not None:
                            where = (block * number_buffer.size + place) * width + Index.of(lane)
                            number = nest.load_vector(number_buffer, where, 1, True)
                        else:
                            number = nest.load_vector(number_rows, n * number_rows.size + place, 1, True)
                        new += [L.fma(number, x, s) for x, s in zip(vectors, sums[r * columns :], strict=False)]
                    return new

                return nest.loop(0, count, sums, sample, extent=width)

            return nest.loop(0, nest.blocks(), sums, over_blocks)

        sums = nest.over([t.lengths[c] for c in t.inner], [zero] * (rows * columns), body)
        for r in range(rows):
            for c in range(columns):
                here = fixed | ({t.row: at_row + r} if t.row else {}) | {t.last: column + c * width}
                if c == columns - 1 and valid < width:
                    nest.mask, nest.valid = lane_mask(width, valid), valid
                nest.memo.append({})
                finish(nest, group, core, [here[k] for k in t.out], None, sums[r * columns + c])
                nest.memo.pop()
                nest.mask, nest.valid = None, width

    def all_columns(fixed, at_row, rows):
        step = t.columns * width
        whole = extent - extent % step
        if whole:
            nest.loop(0, whole, [], lambda v, _: tile(fixed, at_row, rows, lane_variable(v.value, extent), t.columns, width), step=step)
        if extent % step:
            rest = extent % step
            nest.memo.append({})
            tile(fixed, at_row, rows, lane_variable(I64(whole), extent), -(-rest // width), rest % width or width)
            nest.memo.pop()

    def unit(variable, _):
        rest, row_tile = Index.of(variable).divmod(t.row_tiles, b)
        fixed = {}
        for c in reversed(t.others):
            rest, fixed[c] = rest.divmod(t.lengths[c], b)
        if not t.row:
            all_columns(fixed, Index(), 1)
            return
        left = t.lengths[t.row] % t.rows
        at_row = row_tile * t.rows
        if not left:
            all_columns(fixed, at_row, t.rows)
            return
        is_last = b.icmp_signed("==", row_tile.emit(b), I64(t.row_tiles - 1))
        with b.if_else(is_last) as (last, full):
            for branch, rows in ((last, left), (full, t.rows)):
                with branch:
                    nest.memo.append({})
                    all_columns(fixed, at_row, rows)
                    nest.memo.pop()

    nest.loop(nest.lo, nest.hi, [], unit, extent=t.units)


def dot_letter(core: Value) -> str | None:
    """The letter of a contraction of shared values that runs along the memory of both: rows times a vector."""
    a, b, out = parse(core.attributes["spec"])
    return a[-1] if core.kind == "shared" and a and b and a[-1] == b[-1] and a[-1] not in out else None


def dot_units(core: Value, rows: int = 8) -> int:
    """Rows of the result that one unit computes together, as a number of units."""
    return -(-core.size // rows)


def dot_contraction(nest: Nest, group: Group, rows: int = 8) -> None:
    """Units lo..hi-1 of inner products of shared values: neighbours along the sum in lanes, added up at its end."""
    core, width, b = group.core, nest.width, nest.builder
    assert core is not None
    a, c, out = parse(core.attributes["spec"])
    x, y = core.inputs
    lengths = dict(zip(a + c, x.shape + y.shape, strict=True))
    last = a[-1]
    others = [k for k in dict.fromkeys(a + c) if k not in out and k != last]
    nest.tile = f"{rows} results x 1 vector of {width} along the sum"

    def unit(variable, _):
        start = Index.of(variable) * rows
        places = []
        for r in range(rows):
            number = b.add(start.emit(b), I64(r))
            number = b.select(b.icmp_signed("<", number, I64(core.size)), number, I64(core.size - 1))
            at, rest = {}, Index.of(Variable(number, core.size))
            for k in reversed(out):
                rest, at[k] = rest.divmod(lengths[k], b)
            places.append(at)
        zero = L.splat(nest.constant(0, core.dtype), width)

        def outer(inner, sums):
            fixed = dict(zip(others, inner, strict=True))

            def step(at_last: Index, sums):
                new = []
                for place, s in zip(places, sums, strict=True):
                    here = place | fixed | {last: at_last}
                    p, q = nest.value(x, [here[k] for k in a]), nest.value(y, [here[k] for k in c])
                    new.append(L.fma(p, q, s))
                return new

            whole = lengths[last] - lengths[last] % width
            if whole:
                sums = nest.loop(0, whole, sums, lambda v, s: step(lane_variable(v.value, lengths[last]), s), step=width)
            if lengths[last] % width:
                nest.memo.append({})
                nest.mask = lane_mask(width, lengths[last] % width)  # lanes beyond it load zeros
                sums = step(lane_variable(I64(whole), lengths[last]), sums)
                nest.mask = None
                nest.memo.pop()
            return sums

        sums = nest.over([lengths[k] for k in others], [zero] * rows, outer)
        for place, s in zip(places, sums, strict=True):
            nest.memo.append({})
            nest.feature_width = 1
            finish(nest, group, core, [place[k] for k in out], None, L.horizontal_sum(s))
            nest.feature_width = width
            nest.memo.pop()

    nest.loop(nest.lo, nest.hi, [], unit)


def lane_variable(value, extent: int) -> Index:
    return Index.of(Variable(value, extent, lane=True))
