"""Sums, in strands that do not wait for one another. Imports nests."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ..llvm import lanes as L
from ..llvm import shuffles
from ..llvm.affine import Index, Variable
from ..llvm.lanes import Lanes
from .flow import lane_mask
from .nest import I64, Nest

Combine = Callable[[Lanes, Lanes], Lanes]
STRANDS = 4  # as many cycles as an addition takes
LONG = 64  # elements of a reduction that is worth them


def in_strands(nest: Nest, lengths: Sequence[int], first: Lanes, step: Callable[[list[Index], Lanes], Lanes],
               combine: Combine) -> Lanes:  # fmt: skip
    """``first = step(index, first)`` over a space, every fourth by itself where it is large; combined at the end."""
    last = lengths[-1] if lengths else 1
    count = STRANDS if last % STRANDS == 0 and math.prod(lengths) >= LONG else 1

    def body(inner: list[Index], carried: Sequence[Lanes]) -> list[Lanes]:
        strands = [[*inner[:-1], *(i * count + k for i in inner[-1:])] for k in range(count)]
        return [step(at, c) for at, c in zip(strands, carried, strict=True)]

    parts = nest.over([*lengths[:-1], *(n // count for n in lengths[-1:])], [first] * count, body)
    while len(parts) > 1:
        parts = [combine(x, y) for x, y in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


def reduced(nest: Nest, lengths: Sequence[int], first: Lanes, value: Callable[[list[Index]], Lanes], combine: Combine):
    """``value(index)`` over a space, its last axis in lanes. ``first`` may be combined with any result unseen."""
    b, width, (*outer, n) = nest.builder, nest.width, lengths
    whole, first = n - n % width, L.splat(first, width)

    def at(inner: list[Index], start) -> Lanes:
        return L.splat(value([*inner, Index.of(Variable(start, n, lane=True))]), width)

    def row(inner, carried):
        carried = nest.loop(0, whole, carried, lambda v, c: [combine(c[0], at(inner, v.value))], step=width)
        if n % width:
            with nest.masked(n % width):
                rest = at(inner, I64(whole))
            exist = Lanes(b, lane_mask(width, n % width), "bool", width)
            carried = [combine(carried[0], L.where(exist, rest, first))]
        return carried

    with nest.lanes(width):
        (result,) = nest.over(outer, [first], row)
    return shuffles.folded(result, combine)
