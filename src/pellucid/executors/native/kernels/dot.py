"""Inner products of shared values, as a prediction for one sample needs them: neighbors along the sum in lanes.

    y[out] = sum over k of  x[.., k] * z[.., k],  where k is the last axis of both

Several results are computed together, each with a vector of sums of its own, which is added up at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ....graph import Value
from ....ops.contract import parse
from ..codegen.flow import lane_index
from ..codegen.nest import I64, Nest
from ..codegen.tiling import finish
from ..llvm import ir, shuffles
from ..llvm import lanes as L
from ..llvm.affine import Index, Variable, unravel
from ..llvm.lanes import Lanes
from ..plan.planner import Group

ROWS = 8  # results that are computed together, where they are not as many as there are lanes


def dot(nest: Nest, group: Group) -> int:
    """Units lo..hi-1 of inner products of shared values: neighbors along the sum in lanes, added up at its end.

    A unit is ``ROWS`` results; gives the number of units.
    """
    core = group.core
    assert core is not None
    nest.tile = f"{ROWS} results x 1 vector of {nest.width} along the sum"
    nest.loop(nest.lo, nest.hi, [], Dot(nest, group).unit)
    return -(-core.size // ROWS)


def matrix_times_vector(nest: Nest, group: Group) -> int:
    """Units lo..hi-1 of a matrix times a vector, both shared: as many results together as there are lanes.

    At the end of the sums, lane i is the sum of result i, and the epilogue is computed for all at once. Gives the
    number of units.
    """
    core = group.core
    assert core is not None
    units = -(-core.size // nest.width)
    nest.tile = f"{nest.width} results x 1 vector of {nest.width} along the sum"
    nest.loop(nest.lo, nest.hi, [], MatrixTimesVector(nest, group).unit, extent=units)
    return units


def dot_letter(core: Value) -> str | None:
    """The letter of a contraction of shared values that runs along the memory of both: rows times a vector."""
    a, b, out = parse(core.attributes["spec"])
    return a[-1] if core.kind == "shared" and a and b and a[-1] == b[-1] and a[-1] not in out else None


def is_matrix_times_vector(core: Value) -> bool:
    """Whether an inner product gives a vector, as of a dense layer for one sample."""
    a, c, out = parse(core.attributes["spec"])
    return len(out) == 1 and sorted((a, c), key=len) == [a[-1], out + a[-1]]


@dataclass(frozen=True)
class DotLetters:
    """The letters of a contraction whose operands both have the summed letter ``last`` last.

    >>> from pellucid import ops, state
    >>> letters = DotLetters.of(ops.contract(state("q", (4, 6, 16)), state("k", (4, 9, 16)), "hik,hjk->hij"))
    >>> letters.last, letters.length, letters.outer, letters.lengths["j"]
    ('k', 16, [], 9)
    """

    operands: tuple[str, str]
    out: str
    lengths: dict[str, int]

    @classmethod
    def of(cls, core: Value) -> DotLetters:
        a, b, out = parse(core.attributes["spec"])
        return cls((a, b), out, dict(zip(a + b, core.inputs[0].shape + core.inputs[1].shape, strict=True)))

    @property
    def last(self) -> str:
        return self.operands[0][-1]

    @property
    def length(self) -> int:
        return self.lengths[self.last]

    @property
    def outer(self) -> list[str]:
        """Letters that are summed over outside of the last one."""
        return [c for c in dict.fromkeys("".join(self.operands)) if c not in self.out and c != self.last]


class Products:
    """The sums of several results along the last axis: a vector of products is added to each."""

    def __init__(self, nest: Nest, group: Group) -> None:
        assert group.core is not None
        self.nest, self.group, self.core, self.width = nest, group, group.core, nest.width
        self.letters = DotLetters.of(group.core)
        self.zero = L.splat(nest.constant(0, group.core.dtype), nest.width)

    def along(self, results: Sequence[dict[str, Index]], sums: Sequence[Lanes]) -> Sequence[Lanes]:
        """The sums with the products along the last axis, of which the last vector may be incomplete."""
        nest, width, length = self.nest, self.width, self.letters.length
        rest = length % width
        if length > rest:
            sums = nest.loop(0, length - rest, sums, lambda v, sums: self.step(
                results, lane_index(v.value, length), sums), step=width)  # fmt: skip
        if rest:
            with nest.masked(rest):
                sums = self.step(results, lane_index(I64(length - rest), length), sums)
        return sums

    def step(self, results: Sequence[dict[str, Index]], last: Index, sums: Sequence[Lanes]) -> list[Lanes]:
        nest, new = self.nest, []
        for result, s in zip(results, sums, strict=True):
            at = result | {self.letters.last: last}
            x, y = (nest.value(v, [at[c] for c in letters])
                    for v, letters in zip(self.core.inputs, self.letters.operands, strict=True))  # fmt: skip
            total = L.fma(x, y, s)
            exist = None if nest.mask is None else Lanes(nest.builder, nest.mask, "bool", nest.width)
            new.append(total if exist is None else L.where(exist, total, s))
        return new


class Dot(Products):
    """Units of ``ROWS`` results, each added up by itself."""

    def unit(self, number: Variable, _: list[Lanes]) -> None:
        nest, letters = self.nest, self.letters
        results, exist = self.results(Index.of(number) * ROWS)

        def outer(index: list[Index], sums: Sequence[Lanes]) -> Sequence[Lanes]:
            fixed = dict(zip(letters.outer, index, strict=True))
            return self.along([result | fixed for result in results], sums)

        sums = nest.over([letters.lengths[c] for c in letters.outer], [self.zero] * ROWS, outer)
        for at, s, exists in zip(results, sums, exist, strict=True):
            total = shuffles.horizontal_sum(s)
            with nest.scope(), nest.scalar(), nest.builder.if_then(exists):  # an update must not be made twice
                finish(nest, self.group, self.core, [at[c] for c in letters.out], None, total)

    def results(self, first: Index) -> tuple[list[dict[str, Index]], list[ir.Value]]:
        """The indices of a unit's results by letter, and which exist; the last one stands for those that do not."""
        b, size, lengths = self.nest.builder, self.core.size, [self.letters.lengths[c] for c in self.letters.out]
        results, exist = [], []
        for r in range(ROWS):
            number = b.add(first.emit(b), I64(r))
            exist.append(b.icmp_signed("<", number, I64(size)))
            number = b.select(exist[-1], number, I64(size - 1))
            index = unravel(Index.of(Variable(number, size)), lengths, b)[1]
            results.append(dict(zip(self.letters.out, index, strict=True)))
        return results, exist


class MatrixTimesVector(Products):
    """Units of as many results as there are lanes, of which one vector is made."""

    def unit(self, number: Variable, _: list[Lanes]) -> None:
        which, width = Index.of(number), self.width
        units, first = -(-self.core.size // width), which * width
        self.nest.last_or_not(which, units, lambda: self.results(first, self.core.size - (units - 1) * width),
                              lambda: self.results(first, width))  # fmt: skip

    def results(self, first: Index, count: int) -> None:
        nest, width = self.nest, self.width
        results = [{self.letters.out: first + min(r, count - 1)} for r in range(width)]
        total = shuffles.horizontal_sums(list(self.along(results, [self.zero] * width)))
        with nest.masked(count):
            finish(nest, self.group, self.core, [lane_index(first.emit(nest.builder), self.core.size)], None, total)
