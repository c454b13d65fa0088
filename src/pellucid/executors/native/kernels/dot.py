"""Inner products of shared values, as a prediction for one sample needs them: neighbours along the sum in lanes."""

from __future__ import annotations

from ....graph import Value
from ....ops.contract import parse
from ..codegen.flow import lane_index, lane_mask
from ..codegen.nest import I64, Nest
from ..codegen.tiling import finish
from ..llvm import lanes as L
from ..llvm import shuffles
from ..llvm.affine import Index, Variable
from ..llvm.lanes import Lanes
from ..plan.planner import Group


def dot_letter(core: Value) -> str | None:
    """The letter of a contraction of shared values that runs along the memory of both: rows times a vector."""
    a, b, out = parse(core.attributes["spec"])
    return a[-1] if core.kind == "shared" and a and b and a[-1] == b[-1] and a[-1] not in out else None


def dot_vectors(nest: Nest, group: Group) -> int:
    """Units lo..hi-1 of a matrix times a vector, both shared: as many results together as there are lanes.

    Neighbours along the sum are in lanes; at its end, lane i is the sum of result i, and what stands behind it is
    computed for all at once. Gives the number of units.
    """
    core, width = group.core, nest.width
    assert core is not None
    a, c, out = parse(core.attributes["spec"])
    last, (x, y) = a[-1], core.inputs
    length, units = x.shape[-1], -(-core.size // width)
    nest.tile = f"{width} results x 1 vector of {width} along the sum"

    def results(first: Index, count: int) -> None:
        places = [{out: first + min(r, count - 1)} for r in range(width)]
        zero = L.splat(nest.constant(0, core.dtype), width)

        def step(at: Index, sums):
            new = []
            for place, s in zip(places, sums, strict=True):
                here = place | {last: at}
                p, q = nest.value(x, [here[k] for k in a]), nest.value(y, [here[k] for k in c])
                total = L.fma(p, q, s)
                new.append(total if nest.mask is None else L.where(kept_lanes(nest), total, s))
            return new

        whole = length - length % width
        sums = nest.loop(0, whole, [zero] * width, lambda v, s: step(lane_index(v.value, length), s), step=width)
        if length % width:
            with nest.scope():
                nest.mask = lane_mask(width, length % width)
                sums = step(lane_index(I64(whole), length), sums)
                nest.mask = None
        total = shuffles.horizontal_sums(list(sums))

        def end() -> None:
            finish(nest, group, core, [lane_index(first.emit(nest.builder), core.size)], None, total)

        with nest.masked(count):
            end()

    def unit(variable, _):
        first = Index.of(variable) * width
        nest.last_or_not(Index.of(variable), units, lambda: results(first, core.size - (units - 1) * width),
                         lambda: results(first, width))  # fmt: skip

    nest.loop(nest.lo, nest.hi, [], unit, extent=units)
    return units


def kept_lanes(nest: Nest) -> Lanes:
    """The lanes that the mask leaves, as a condition."""
    assert nest.mask is not None
    return Lanes(nest.builder, nest.mask, "bool", nest.width)


def is_matrix_times_vector(core: Value) -> bool:
    """Whether an inner product gives a vector, as of a dense layer for one sample."""
    a, c, out = parse(core.attributes["spec"])
    return len(out) == 1 and sorted((a, c), key=len) == [a[-1], out + a[-1]]


def dot_contraction(nest: Nest, group: Group, rows: int = 8) -> int:
    """Units lo..hi-1 of inner products of shared values: neighbours along the sum in lanes, added up at its end.

    A unit is so many results computed together; gives the number of units.
    """
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
        places, exist = [], []
        for r in range(rows):
            number = b.add(start.emit(b), I64(r))
            exist.append(b.icmp_signed("<", number, I64(core.size)))
            number = b.select(exist[-1], number, I64(core.size - 1))
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
                    total = L.fma(p, q, s)
                    new.append(total if nest.mask is None else L.where(kept_lanes(nest), total, s))
                return new

            whole = lengths[last] - lengths[last] % width
            if whole:
                sums = nest.loop(0, whole, sums, lambda v, s: step(lane_index(v.value, lengths[last]), s), step=width)
            if lengths[last] % width:
                with nest.scope():
                    nest.mask = lane_mask(width, lengths[last] % width)
                    sums = step(lane_index(I64(whole), lengths[last]), sums)
                    nest.mask = None
            return sums

        sums = nest.over([lengths[k] for k in others], [zero] * rows, outer)
        for place, s, exists in zip(places, sums, exist, strict=True):
            total = shuffles.horizontal_sum(s)
            with nest.scope():
                nest.feature_width = 1
                with b.if_then(exists):  # an update must not be made twice
                    finish(nest, group, core, [place[k] for k in out], None, total)
                nest.feature_width = width

    nest.loop(nest.lo, nest.hi, [], unit)
    return -(-core.size // rows)
