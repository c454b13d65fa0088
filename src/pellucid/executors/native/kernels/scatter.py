"""Adding up rows by number, as the gradient of a table (an embedding) wants it: values pushed to where they belong.

Each unit has some rows of the table to itself. It looks through all numbers, a vector of samples at a time, and adds
the values of its own rows, features in lanes; the table's update follows at once. So no two threads add to one row, and
the order of each sum is that of blocks, rows and samples, whatever their number.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from ....graph import Value
from ..codegen.lowering import rows_are_checked
from ..codegen.masks import row_start, samples_of, smaller
from ..codegen.nest import I64, Nest
from ..codegen.tiling import finish
from ..llvm import lanes as L
from ..llvm.affine import Index, Variable, linear
from ..llvm.lanes import Lanes
from ..plan.buffer import BYTES, Buffer
from ..plan.classify import summed_scatter
from ..plan.planner import Group

TABLE_BYTES = 1 << 17  # of the table's rows that are added up together, on the stack of a thread


def scatter_nest(nest: Nest, group: Group, rows: dict[Value, Buffer]) -> int:
    """Units lo..hi-1 of a group whose core is a table of sums; the rest of the group is its epilogue. Gives their
    number."""
    assert group.core is not None
    plan = ScatterPlan.of(group.core.shape, group.core.dtype, nest.feature_width)
    nest.tile = f"{plan.rows} rows of the table"
    emitter = ScatterEmitter(nest, group, plan, rows)
    nest.loop(nest.lo, nest.hi, [], lambda v, _: emitter.unit(Index.of(v) * plan.rows), extent=plan.units)
    return plan.units


@dataclass(frozen=True)
class ScatterPlan:
    """How a table is cut into units: some rows each, whose sums lie on the stack with each last axis in whole vectors.

    >>> plan = ScatterPlan.of((5000, 20), "float32", width=16)
    >>> plan.padded, plan.rows, plan.units
    (32, 1024, 5)
    """

    size: int  # rows of the table
    inner: tuple[int, ...]  # the shape of a row
    padded: int  # elements of a row's last axis in memory
    rows: int  # of a unit

    @staticmethod
    def of(shape: tuple[int, ...], dtype: str, width: int) -> ScatterPlan:
        size, *inner = shape
        padded = -(-(inner[-1] if inner else 1) // width) * width
        bytes_of_row = math.prod(inner[:-1]) * padded * BYTES[dtype]
        return ScatterPlan(size, tuple(inner), padded, max(1, min(size, TABLE_BYTES // max(1, bytes_of_row))))

    @property
    def units(self) -> int:
        return -(-self.size // self.rows)

    @property
    def elements(self) -> int:
        """Of the sums of a unit, in memory."""
        return self.rows * math.prod(self.inner[:-1]) * self.padded

    def position(self, row: Index, inner: list[Index]) -> Index:
        """Where the sum of an element of a unit's row lies."""
        return linear([row, *inner], (self.rows, *self.inner[:-1], self.padded) if inner else (self.rows,))


class ScatterEmitter:
    """Writes the sums of some rows of a table, and their epilogue."""

    def __init__(self, nest: Nest, group: Group, plan: ScatterPlan, rows: dict[Value, Buffer]) -> None:
        core = group.core
        scatter = None if core is None else summed_scatter(core)
        assert core is not None and scatter is not None
        self.nest, self.group, self.core, self.plan, self.rows = nest, group, core, plan, rows
        self.by_samples = scatter.kind == "sample"
        self.values, self.numbers = scatter.inputs
        self.checked = rows_are_checked(nest, scatter)
        self.width = nest.feature_width if plan.inner else 1  # of a vector of features
        self.sums = nest.scratch("sums", plan.elements, core.dtype)
        self.held = nest.scratch("numbers", nest.width, self.numbers.dtype)

    def unit(self, first: Index) -> None:
        """The rows from ``first`` on: sums from zero, over all numbers, then what follows."""
        nest, plan, b = self.nest, self.plan, self.nest.builder
        zero = L.splat(nest.constant(0, self.core.dtype), self.width)

        def clear(row: Index, inner: list[Index]) -> None:
            nest.store_vector(zero, self.sums, plan.position(row, inner))

        def epilogue(row: Index, inner: list[Index]) -> None:
            total = nest.load_vector(self.sums, plan.position(row, inner), self.width, False)
            number = Index.of(Variable(b.add(start, row.emit(b)), plan.size))
            finish(nest, self.group, self.core, [number, *inner], None, total)

        self.over_rows(plan.rows, clear)
        if self.by_samples:
            nest.loop(0, nest.blocks(), [], lambda block, _: self.over_numbers(first, Index.of(block)))
        else:
            self.over_numbers(first, None)
        start = first.emit(b)
        self.over_rows(smaller(b, b.sub(I64(plan.size), start), plan.rows), epilogue)

    def over_rows(self, count, body: Callable[[Index, list[Index]], None]) -> None:
        """``body(row, index)`` for each vector of the unit's rows."""
        self.nest.loop(0, count, [], lambda row, _: self.over_features(lambda inner: body(Index.of(row), inner)),
                       extent=self.plan.rows)  # fmt: skip

    def over_features(self, body: Callable[[list[Index]], None]) -> None:
        """``body(index)`` for each vector of a row, the incomplete last one under a mask."""
        nest, inner = self.nest, self.plan.inner
        if not inner:
            body([])
            return
        nest.over(inner[:-1], [], lambda outer, _: nest.vectors(inner[-1], lambda start, _: body([*outer, start])))

    # ---- numbers, and the values of the unit's own rows ---------------------------------------------------------

    def over_numbers(self, first: Index, block: Index | None) -> None:
        """All numbers of a block of samples, or those that are the same for all."""
        nest = self.nest

        def place(at: list[Index], _) -> None:
            number = nest.value(self.numbers, at, block)
            if not self.checked:
                nest.refuse((number < 0) | (number >= self.plan.size), block if number.width > 1 else None)
            if block is None:
                self.add_if_own(number, first, at, None, Index())
            else:
                self.add_samples(number, first, at, block)

        nest.over(self.numbers.shape, [], place)

    def own(self, number: Lanes, first: Index) -> tuple[Lanes, Lanes]:
        """The row of the unit that a number names, and whether there is one."""
        row = number - self.nest.number(first, self.numbers.dtype)
        return row, (row >= 0) & (row < self.plan.rows)

    def add_samples(self, number: Lanes, first: Index, at: list[Index], block: Index) -> None:
        """The values of a block's samples at one place, where any of them belongs to the unit."""
        nest = self.nest
        with nest.builder.if_then(nest.any(self.own(number, first)[1])), nest.scope():
            nest.store_vector(L.splat(number, nest.width), self.held, Index())
            nest.loop(0, samples_of(nest, block), [], lambda lane, _: self.add_if_own(
                nest.load_vector(self.held, Index.of(lane), 1, True), first, at, block, Index.of(lane)),
                extent=nest.width)  # fmt: skip

    def add_if_own(self, number: Lanes, first: Index, at: list[Index], block: Index | None, lane: Index) -> None:
        """The values of one sample at one place, if its number is one of the unit's."""
        row, is_own = self.own(number, first)
        with self.nest.builder.if_then(is_own.value), self.nest.scope():
            self.add(Index.of(Variable(L.xp.astype(row, "int64").value, self.plan.rows)), at, block, lane)

    def add(self, row: Index, at: list[Index], block: Index | None, lane: Index) -> None:
        """The values of one sample at one place, to the row that is theirs."""
        nest, values = self.nest, self.values

        def vector(inner: list[Index]) -> None:
            if values in self.rows:
                assert block is not None
                start = row_start(nest, self.rows[values], values, [*at, *inner], block, lane)
                x = nest.load_vector(self.rows[values], start, self.width, False)
            else:
                x = nest.value(values, [*at, *inner], block)
            position = self.plan.position(row, inner)
            total = nest.load_vector(self.sums, position, self.width, False) + x
            nest.store_vector(L.splat(total, self.width), self.sums, position)

        self.over_features(vector)
