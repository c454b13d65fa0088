"""3x3 cross-correlations by tiles of 2x2 results (ops/winograd.py), one sample in each lane.

For a few neighbouring tiles: the input of all channels is transformed into memory that stays in the cache; 16 small
contractions over the channels follow for each few filters, and the transform of their results, with the epilogue.
"""

from __future__ import annotations

from ....ops.winograd import SIDE, input_line, kernel_line, result_line, tiles, twice, weight_line, winograd_kernel
from ..codegen.nest import I64, Nest
from ..codegen.tiling import finish, tiled
from ..llvm import lanes as L
from ..llvm.affine import Index
from ..plan.planner import Group
from ..plan.work import parts_of
from .pointwise import over_parts

FILTERS, TILES = 4, 6  # of one register tile


def kernel_nest(nest: Nest, group: Group) -> int:
    """Filters lo..hi-1 of the transformed kernel, or of the kernel's gradient from that; gives their number."""
    core = group.core
    assert core is not None
    (w,) = core.inputs
    there = core.primitive is winograd_kernel
    filters, channels = (w if there else core).shape[:2]

    def filter(variable, _):
        o = Index.of(variable)

        def channel(index, _):
            c = index[0]
            if there:
                square = [[nest.value(w, [o, c, Index(i), Index(j)]) for j in range(3)] for i in range(3)]
                for k, u in enumerate(u for row in twice(kernel_line, square) for u in row):
                    finish(nest, group, core, [Index(k), o, c], None, u)
                return
            square = [[nest.value(w, [Index(SIDE * i + j), o, c]) for j in range(SIDE)] for i in range(SIDE)]
            for i, row in enumerate(twice(weight_line, square)):
                for j, u in enumerate(row):
                    finish(nest, group, core, [o, c, Index(i), Index(j)], None, u)

        nest.over([channels], [], channel)

    nest.feature_width = 1
    nest.loop(nest.lo, nest.hi, [], filter, extent=filters)
    return filters


def product_nest(nest: Nest, group: Group) -> int:
    """Parts lo..hi-1 of blocks of the result; gives the parts a block."""
    core = group.core
    assert core is not None
    u, x = core.inputs
    filters, rows, columns = core.shape
    channels = x.shape[0]
    down, across = tiles((rows, columns))
    count = min(TILES, across)
    nest.tile = f"{FILTERS} filters x {count} tiles of 2 x 2 places"
    line = channels * count + 1 - channels * count % 2  # vectors; odd, so that the 16 do not meet in the cache
    inputs = nest.scratch("tiles", SIDE * SIDE * line * nest.width, core.dtype)
    products = nest.scratch("products", SIDE * SIDE * FILTERS * count * nest.width, core.dtype)
    zero = L.splat(nest.constant(0, core.dtype), nest.width)
    width = nest.width

    def transform(block: Index, row: Index, column: Index, n: int) -> None:
        """Tiles (row, column..column+n-1) of all channels, into ``inputs`` [16][channel][tile]."""

        def channel(index, _):
            c = index[0]
            given = [[nest.value(x, [c, row * 2 + i, column * 2 + j], block) for j in range(2 * n + 2)]
                     for i in range(SIDE)]  # fmt: skip
            upright = [input_line(*d) for d in zip(*given, strict=True)]  # a column each
            for t in range(n):
                for i in range(SIDE):
                    results = input_line(*(upright[2 * t + j][i] for j in range(SIDE)))
                    for j, d in enumerate(results):
                        at = c * count + ((SIDE * i + j) * line + t)
                        nest.store_vector(d, inputs, at * width, aligned=True)

        nest.over([channels], [], channel)

    def contract(filter: Index, m: int, n: int) -> None:
        """The 16 products of m filters and n tiles, into ``products`` [16][filter][tile]."""

        def plane(index, _):
            k = index[0]

            def step(index, sums):
                c = index[0]
                d = [nest.load_vector(inputs, (k * line + c * count + t) * width, width, True) for t in range(n)]
                factors = [nest.value(u, [k, filter + r, c]) for r in range(m)]
                return [L.fma(f, d[t], sums[r * n + t]) for r, f in enumerate(factors) for t in range(n)]

            sums = nest.over([channels], [zero] * (m * n), step)
            for i, s in enumerate(sums):
                at = k * (FILTERS * count) + (i // n * count + i % n)
                nest.store_vector(s, products, at * width, aligned=True)

        nest.over([SIDE * SIDE], [], plane)

    def results(block: Index, row: Index, column: Index, filter: Index, m: int, n: int) -> None:
        def one(index, _):
            r, t = index
            at = r * count + t
            given = [nest.load_vector(products, (at + k * (FILTERS * count)) * width, width, True)
                     for k in range(SIDE * SIDE)]  # fmt: skip
            square = twice(result_line, [given[SIDE * i : SIDE * (i + 1)] for i in range(SIDE)])
            for i in range(2):
                for j in range(2):
                    place = [filter + r, row * 2 + i, (column + t) * 2 + j]
                    beyond = (i and rows % 2, place[1], rows), (j and columns % 2, place[2], columns)
                    with_ends(nest, beyond, lambda p=place, y=square[i][j]: finish(nest, group, core, p, block, y))

        nest.over([m, n], [], one)

    def body(block: Index, low, high):
        def line_of_tiles(v, _):
            row = Index.of(v)

            def some(column: Index, n: int) -> None:
                transform(block, row, column, n)

                def of_filters(filter: Index, m: int) -> None:
                    contract(filter, m, n)
                    results(block, row, column, filter, m, n)

                tiled(nest, filters, FILTERS, of_filters)

            tiled(nest, across, count, some)

        nest.loop(low, high, [], line_of_tiles, extent=down)

    parts = parts_of(down, core.size)
    over_parts(nest, down, parts, body)
    return parts


def with_ends(nest: Nest, beyond, body) -> None:
    """``body()`` where every place that may lie beyond its axis does not."""
    b, inside = nest.builder, None
    for possible, place, length in beyond:
        if possible:
            here = b.icmp_signed("<", place.emit(b), I64(length))
            inside = here if inside is None else b.and_(inside, here)
    if inside is None:
        body()
        return
    with b.if_then(inside), nest.scope():
        body()
