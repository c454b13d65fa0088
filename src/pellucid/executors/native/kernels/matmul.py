"""Products of shared matrices: tiles of rows and vectors, neighbours of the result's last axis in lanes."""

from __future__ import annotations

import math

from ....graph import Value
from ....ops.contract import parse
from ..codegen.flow import lane_index
from ..codegen.nest import I64, Nest
from ..codegen.tiling import divisor_tile, finish
from ..llvm import lanes as L
from ..llvm.affine import Index
from ..plan.classify import rows_operand
from ..plan.planner import Group


def is_matrix(core: Value) -> bool:
    """Whether a contraction of shared values has a factor whose last axis alone is the result's last."""
    return rows_operand(core) is not None


def matrix_contraction(nest: Nest, group: Group, accumulators: int) -> int:
    """Units lo..hi-1 of a product of shared matrices: some rows of the result each. Gives their number."""
    core, width, b = group.core, nest.width, nest.builder
    assert core is not None
    first, second, out = parse(core.attributes["spec"])
    letters, lengths = (
        (first, second),
        dict(zip(first + second, core.inputs[0].shape + core.inputs[1].shape, strict=True)),
    )
    which = rows_operand(core)
    assert which is not None
    inner = [c for c in dict.fromkeys(first + second) if c not in out]
    rows = [c for c in out[:-1] if c not in letters[which]]
    row = max(rows, key=lambda c: lengths[c], default=None)
    others, columns = [c for c in out[:-1] if c != row], lengths[out[-1]]
    vectors = -(-columns // width)
    wide = next((c for c in (4, 3, 2) if vectors % c == 0), min(3, vectors))
    high = divisor_tile(lengths[row], max(1, accumulators // wide)) if row else 1
    parts = -(-lengths[row] // high) if row else 1
    units = math.prod(lengths[c] for c in others) * parts
    nest.tile = f"{high} rows x {wide} vectors of {width}"

    def tile(fixed: dict[str, Index], count: int, start: Index, n: int) -> None:
        places = [(r, start + c * width) for r in range(count) for c in range(n)]
        zero = L.splat(nest.constant(0, core.dtype), width)

        def at(place: tuple[int, Index]) -> dict[str, Index]:
            r, column = place
            return fixed | ({row: fixed[row] + r} if row else {}) | {out[-1]: column}

        def step(index, sums):
            inside = dict(zip(inner, index, strict=True))
            new = []
            for place, s in zip(places, sums, strict=True):
                full = at(place) | inside
                x, y = (nest.value(v, [full[c] for c in own]) for v, own in zip(core.inputs, letters, strict=True))
                new.append(L.fma(x, y, s))
            return new

        sums = nest.over([lengths[c] for c in inner], [zero] * len(places), step)
        for place, s in zip(places, sums, strict=True):
            with nest.scope():
                finish(nest, group, core, [at(place)[c] for c in out], None, s)

    def along(fixed: dict[str, Index], count: int) -> None:
        step, whole = wide * width, columns - columns % width
        if whole - whole % step:
            nest.loop(0, whole - whole % step, [], lambda v, _: tile(
                fixed, count, lane_index(v.value, columns), wide), step=step, extent=columns)  # fmt: skip
        if whole % step:
            with nest.scope():
                tile(fixed, count, lane_index(I64(whole - whole % step), columns), whole % step // width)
        if columns % width:
            with nest.masked(columns % width):
                tile(fixed, count, lane_index(I64(whole), columns), 1)

    def unit(variable, _):
        rest, part = Index.of(variable).divmod(parts, b)
        fixed: dict[str, Index] = {}
        for c in reversed(others):
            rest, fixed[c] = rest.divmod(lengths[c], b)
        if row is None:
            along(fixed, 1)
            return
        fixed[row] = part * high
        left = lengths[row] - (parts - 1) * high
        nest.last_or_not(part, parts, lambda: along(fixed, left), lambda: along(fixed, high))

    nest.loop(nest.lo, nest.hi, [], unit, extent=units)
    return units
