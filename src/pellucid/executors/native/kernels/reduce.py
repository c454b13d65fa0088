"""Reductions: of samples in strands that do not wait for one another; of shared values with neighbours in lanes."""

from __future__ import annotations

from ....ops.reduce import reduce_max, reduce_min, reduce_sum
from ..codegen.nest import Nest
from ..llvm.affine import Index
from ..plan.planner import Group


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
