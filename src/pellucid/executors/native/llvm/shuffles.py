"""Between lanes: sums over the lanes of a vector, and a square of vectors transposed."""

from __future__ import annotations

from collections.abc import Callable

from . import ir
from .lanes import BITS, FLOATS, Lanes, from_bits, intrinsic, shuffle


def horizontal_sum(x: Lanes) -> Lanes:
    """The sum of all lanes, width 1."""
    return folded(x, lambda p, q: p + q)


def folded(x: Lanes, combine: Callable[[Lanes, Lanes], Lanes]) -> Lanes:
    """All lanes combined, width 1. The order is fixed: lanes l and l + w/2 come together until one is left."""
    b = x.builder
    while x.width > 2:
        half = x.width // 2
        low, high = (shuffle(b, x.value, x.value, list(range(k, k + half))) for k in (0, half))
        x = combine(Lanes(b, low, x.dtype, half), Lanes(b, high, x.dtype, half))
    if x.width == 1:
        return x
    first, second = (Lanes(b, b.extract_element(x.value, ir.IntType(32)(k)), x.dtype, 1) for k in (0, 1))
    return combine(first, second)


def horizontal_sums(rows: list[Lanes]) -> Lanes:
    """The sum of each of V vectors of V lanes (a power of two), in the order of `horizontal_sum`: lane i is row i's."""
    b, n, length = rows[0].builder, len(rows), len(rows)  # of the part of a vector that belongs to one row
    while len(rows) > 1:
        low = [start + k for start in range(0, 2 * n, length) for k in range(length // 2)]
        halves = low, [lane + length // 2 for lane in low]
        pairs = zip(rows[::2], rows[1::2], strict=True)
        rows = [p.like(shuffle(b, p.value, q.value, halves[0])) + p.like(shuffle(b, p.value, q.value, halves[1]))
                for p, q in pairs]  # fmt: skip
        length //= 2
    return rows[0]


def transpose(rows: list[Lanes]) -> list[Lanes]:
    """V vectors of V lanes (a power of two): lane l of row i becomes lane i of row l, in log2(V) stages.

    Stages within 128 bits interleave, which is one instruction there; the later ones move blocks of 128 bits.
    """
    n, first = len(rows), rows[0]
    block = min(n, 128 // max(8, BITS[first.dtype]))
    values = [r.value for r in rows]
    columns = [list(range(n)) for _ in rows]  # which column each lane of each register holds
    unit = 1
    while unit < n:
        if unit < block:
            low = [lane for start in range(0, n, block) for k in range(start, start + block // 2, unit)
                   for side in (0, n) for lane in range(side + k, side + k + unit)]  # fmt: skip
            high = [lane + block // 2 for lane in low]
        else:
            low = [lane for start in range(0, 2 * n, 2 * block) for lane in range(start, start + block)]
            high = [lane + block for lane in low]
        for i in range(n):
            if not i & unit:
                a, b, held = values[i], values[i + unit], columns[i] + columns[i + unit]
                values[i], values[i + unit] = (shuffle(first.builder, a, b, s) for s in (low, high))
                columns[i], columns[i + unit] = ([held[lane] for lane in s] for s in (low, high))
        if unit == 2 and n > 4:
            values = [_fenced(first.like(v)) for v in values]
        unit *= 2
    order = sorted(range(n), key=lambda i: columns[i][0])
    return [first.like(values[i]) for i in order]


def _fenced(x: Lanes) -> ir.Value:
    """The same lanes, which LLVM does not look through: a transpose of 16 x 16 then compiles in 2.9 ms instead of 7.8,
    to the same instructions: else LLVM tries to make one shuffle of each chain of them."""
    if BITS[x.dtype] < 32:
        return x.value
    y = x if x.dtype in FLOATS else from_bits(x)
    return x.builder.bitcast(intrinsic("llvm.arithmetic.fence", y).value, x.value.type)
