"""Reductions of rows of shared values, one element of the group after the other, neighbors of a row in lanes."""

from __future__ import annotations

from ....ops.reduce import REDUCTIONS
from ..codegen.nest import Nest
from ..llvm.affine import Index, Variable, unravel
from ..llvm.lanes import Lanes
from ..plan.planner import Group


def reduce_rows(nest: Nest, group: Group) -> int:
    """Elements lo..hi-1 of a group, one after the other, their reductions in lanes; gives their number."""

    def element(number: Variable, _: list[Lanes]) -> None:
        nest.store_all(group.stores, unravel(Index.of(number), group.shape, nest.builder)[1], None)

    nest.along = True
    nest.without_lanes()
    nest.loop(nest.lo, nest.hi, [], element, extent=group.size)
    return group.size


def reduces_rows(group: Group, width: int) -> bool:
    """Whether a group without a contraction reduces rows at least as long as a vector."""
    found = [v for v in group.values if v.primitive in REDUCTIONS]
    return group.core is None and any(v.attributes["axes"][-1] == -1 and v.inputs[0].shape[-1] >= width for v in found)
