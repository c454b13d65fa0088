"""Concatenations that cost nothing: their parts are written to where they belong. Imports graph and ops."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

from ....graph import Value
from ....ops.movement import concatenate_of
from ....program import Program


class ConcatPart(NamedTuple):
    """Where a part lies in the memory of the whole: from ``start`` on along an axis."""

    whole: Value
    axis: int
    start: int


def concat_parts(
    program: Program, roots: Collection[Value], computed: Callable[[Value], bool]
) -> dict[Value, ConcatPart]:
    """Parts that have a nest of their own and stand in one concatenation, which then needs none."""
    found: dict[Value, ConcatPart] = {}
    for v in program.order:
        if v.primitive is not concatenate_of or v.kind != "sample":
            continue
        parts = set(v.inputs)
        free = all(i.kind == "sample" and computed(i) and i not in roots and i not in found for i in parts)
        if not free or len(parts) < len(v.inputs):
            continue
        start = 0
        for i in v.inputs:
            found[i] = ConcatPart(v, v.attributes["axis"] + v.ndim, start)
            start += i.shape[v.attributes["axis"]]
    return found
