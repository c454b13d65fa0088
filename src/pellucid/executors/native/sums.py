"""Reductions: of samples in strands that do not wait for one another; of shared values with neighbours in lanes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ...ops.reduce import reduce_max, reduce_min, reduce_sum
from . import across
from . import lanes as L
from .emit import I64, Nest
from .index import Index, Variable
from .lanes import Lanes
from .nests import lane_mask, with_mask
from .plan import Group

Combine = Callable[[Lanes, Lanes], Lanes]


STRANDS = 4  # as many cycles as an addition takes
LONG = 64  # elements of a reduction that is worth them


def in_strands(nest: Nest, lengths: Sequence[int], first: Lanes, step: Callable[[list[Index], Lanes], Lanes],
               combine: Combine) -> Lanes:  # fmt: skip
    """``first = step(index, first)`` over a space, every fourth by itself where it is large; combined at the end."""
    last = lengths[-1] if lengths else 1
    count = STRANDS if last % STRANDS == 0 and math.prod(lengths) >= LONG else 1

    def body(inner: list[Index], carried: Sequence[Lanes]) -> list[Lanes]:
        places = [[*inner[:-1], *(i * count + k for i in inner[-1:])] for k in range(count)]
        return [step(place, c) for place, c in zip(places, carried, strict=True)]

    parts = nest.over([*lengths[:-1], *(n // count for n in lengths[-1:])], [first] * count, body)
    while len(parts) > 1:
        parts = [combine(x, y) for x, y in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


def along_rows(group: Group, width: int) -> bool:
    """Whether a group without a contraction reduces rows at least as long as a vector."""
    found = [v for v in group.values if v.primitive in (reduce_sum, reduce_max, reduce_min)]
    return group.core is None and any(v.attributes["axes"][-1] == -1 and v.inputs[0].shape[-1] >= width for v in found)


def sums_nest(nest: Nest, group: Group) -> int:
    """Elements lo..hi-1 of a group, one after the other, their reductions in lanes; gives their number."""
    nest.feature_width, nest.along = 1, True

    def element(variable, _):
        rest = Index.of(variable)
        index: list[Index] = []
        for n in reversed(group.shape):
            rest, here = rest.divmod(n, nest.builder)
            index.insert(0, here)
        nest.store_all(group.stores, index, None)

    nest.loop(nest.lo, nest.hi, [], element, extent=group.size)
    return group.size


def reduced(nest: Nest, lengths: Sequence[int], first: Lanes, value: Callable[[list[Index]], Lanes], combine: Combine):
    """``value(index)`` over a space, its last axis in lanes. ``first`` may be combined with any result unseen."""
    b, width, (*outer, n) = nest.builder, nest.width, lengths
    whole, first, before = n - n % width, L.splat(first, width), nest.feature_width

    def at(inner: list[Index], start) -> Lanes:
        return L.splat(value([*inner, Index.of(Variable(start, n, lane=True))]), width)

    def row(inner, carried):
        carried = nest.loop(0, whole, carried, lambda v, c: [combine(c[0], at(inner, v.value))], step=width)
        if n % width:
            nest.memo.append({})
            rest: list[Lanes] = []
            with_mask(nest, n % width, lambda: rest.append(at(inner, I64(whole))))
            exist = Lanes(b, lane_mask(width, n % width), "bool", width)
            carried = [combine(carried[0], L.where(exist, rest[0], first))]
            nest.memo.pop()
        return carried

    nest.feature_width = width
    (result,) = nest.over(outer, [first], row)
    nest.feature_width = before
    return across.folded(result, combine)
