"""Inner products of shared values, as a prediction for one sample needs them: neighbours along the sum in lanes."""

from __future__ import annotations

from ...graph import Value
from ...ops.contract import parse
from . import across
from . import lanes as L
from .emit import I64, Nest
from .index import Index, Variable
from .lanes import Lanes
from .nests import lane_mask
from .plan import Group
from .tiles import finish, lane_variable


def dot_letter(core: Value) -> str | None:
    """The letter of a contraction of shared values that runs along the memory of both: rows times a vector."""
    a, b, out = parse(core.attributes["spec"])
    return a[-1] if core.kind == "shared" and a and b and a[-1] == b[-1] and a[-1] not in out else None


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
                    new.append(total if nest.mask is None else L.where(Lanes(b, nest.mask, "bool", width), total, s))
                return new

            whole = lengths[last] - lengths[last] % width
            if whole:
                sums = nest.loop(
                    0, whole, sums, lambda v, s: step(lane_variable(v.value, lengths[last]), s), step=width
                )
            if lengths[last] % width:
                nest.memo.append({})
                nest.mask = lane_mask(width, lengths[last] % width)
                sums = step(lane_variable(I64(whole), lengths[last]), sums)
                nest.mask = None
                nest.memo.pop()
            return sums

        sums = nest.over([lengths[k] for k in others], [zero] * rows, outer)
        for place, s, exists in zip(places, sums, exist, strict=True):
            total = across.horizontal_sum(s)
            nest.memo.append({})
            nest.feature_width = 1
            with b.if_then(exists):  # an update must not be made twice
                finish(nest, group, core, [place[k] for k in out], None, total)
            nest.feature_width = width
            nest.memo.pop()

    nest.loop(nest.lo, nest.hi, [], unit)
    return -(-core.size // rows)
