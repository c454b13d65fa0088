"""Adding up rows by number, as the gradient of a table (an embedding) wants it: values pushed to where they belong.

Each unit has some rows of the table to itself. It looks through all numbers, a vector of samples at a time, and adds
the values of its own rows, features in lanes; what stands behind the sum, the table's update, follows at once. So no
two threads add to one row, and the order of each sum is that of blocks, rows and samples, whatever their number.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ..codegen.lowering import rows_are_checked
from ..codegen.masks import row_start, samples_of, smaller
from ..codegen.nest import I64, Nest
from ..codegen.tiling import finish
from ..llvm import lanes as L
from ..llvm.affine import Index, Variable, linear
from ..llvm.lanes import Lanes
from ..plan.buffer import BYTES
from ..plan.classify import scatter_behind
from ..plan.planner import Group

UNIT_BYTES = 1 << 17  # of the table's rows that are added up together, on the stack of a thread


class Sums:
    """The sums of some rows of the table, each row's last axis in whole vectors."""

    def __init__(self, nest: Nest, shape: tuple[int, ...], dtype: str) -> None:
        self.nest, self.inner = nest, shape[1:]
        columns = self.inner[-1] if self.inner else 1
        self.padded = -(-columns // nest.feature_width) * nest.feature_width
        row = math.prod(self.inner[:-1]) * self.padded
        self.rows = max(1, min(shape[0], UNIT_BYTES // max(1, row * BYTES[dtype])))
        self.units = -(-shape[0] // self.rows)
        self.buffer = nest.scratch("sums", self.rows * row, dtype)

    def position(self, row: Index, inner: list[Index]) -> Index:
        return linear([row, *inner], (self.rows, *self.inner[:-1], self.padded) if inner else (self.rows,))

    def over_features(self, body: Callable[[list[Index]], None]) -> None:
        """``body(index)`` for each vector of a row, the incomplete last one under a mask."""
        nest, width = self.nest, self.nest.feature_width
        if not self.inner:
            body([])
            return
        columns = self.inner[-1]
        lane = width > 1
        whole = columns - columns % width

        def along(outer, _):
            if whole:
                nest.loop(0, whole, [], lambda j, _: body([*outer, Index.of(Variable(j.value, columns, lane))]),
                          step=width, extent=columns)  # fmt: skip
            if whole < columns:
                with nest.masked(columns - whole):
                    body([*outer, Index.of(Variable(I64(whole), columns, lane))])

        nest.over(self.inner[:-1], [], along)


def scatter_nest(nest: Nest, group: Group, rows: dict) -> int:
    """Units lo..hi-1 of a group whose core is a table of sums; the rest of the group is its epilogue. Gives their
    number."""
    core, b = group.core, nest.builder
    assert core is not None
    scatter = scatter_behind(core)
    assert scatter is not None
    values, numbers = scatter.inputs
    sums = Sums(nest, core.shape, core.dtype)
    width = nest.feature_width if sums.inner else 1
    size, checked = core.shape[0], rows_are_checked(nest, scatter)
    held = nest.scratch("numbers", nest.width, numbers.dtype)
    nest.tile = f"{sums.rows} rows of the table"

    def add(row: Index, at: list[Index], block: Index | None, lane: Index) -> None:
        """The values of one sample at one place, to the row that is theirs."""

        def vector(inner: list[Index]) -> None:
            if values in rows:
                assert block is not None
                start = row_start(nest, rows[values], values, [*at, *inner], block, lane)
                x = nest.load_vector(rows[values], start, width, False)
            else:
                x = nest.value(values, [*at, *inner], block)
            place = sums.position(row, inner)
            total = nest.load_vector(sums.buffer, place, width, False) + x
            nest.store_vector(L.splat(total, width), sums.buffer, place)

        sums.over_features(vector)

    def add_if(number: Lanes, first: Index, at: list[Index], block: Index | None, lane: Index) -> None:
        here = number - nest.number(first, numbers.dtype)
        with b.if_then(((here >= 0) & (here < sums.rows)).value), nest.scope():
            add(Index.of(Variable(L.xp.astype(here, "int64").value, sums.rows)), at, block, lane)

    def over_numbers(first: Index, block: Index | None) -> None:
        def place(at, _):
            number = nest.value(numbers, at, block)
            if not checked:
                nest.refuse((number < 0) | (number >= size), block if number.width > 1 else None)
            if block is None:
                add_if(number, first, at, None, Index())
                return
            here = number - nest.number(first, numbers.dtype)
            with b.if_then(nest.any((here >= 0) & (here < sums.rows))), nest.scope():
                nest.store_vector(L.splat(number, nest.width), held, Index())
                nest.loop(0, samples_of(nest, block), [], lambda lane, _: add_if(
                    nest.load_vector(held, Index.of(lane), 1, True), first, at, block, Index.of(lane)),
                    extent=nest.width)  # fmt: skip

        nest.over(numbers.shape, [], place)

    def unit(variable, _):
        first = Index.of(variable) * sums.rows
        zero = L.splat(nest.constant(0, core.dtype), width)

        def clear(row, _):
            sums.over_features(lambda inner: nest.store_vector(zero, sums.buffer, sums.position(Index.of(row), inner)))

        nest.loop(0, sums.rows, [], clear, extent=sums.rows)
        if scatter.kind == "sample":
            nest.loop(0, nest.blocks(), [], lambda block, _: over_numbers(first, Index.of(block)))
        else:
            over_numbers(first, None)

        def row(r, _):
            def vector(inner: list[Index]) -> None:
                total = nest.load_vector(sums.buffer, sums.position(Index.of(r), inner), width, False)
                finish(nest, group, core, [Index.of(Variable(b.add(start, r.value), size)), *inner], None, total)

            sums.over_features(vector)

        start = first.emit(b)
        nest.loop(0, smaller(b, b.sub(I64(size), start), sums.rows), [], row, extent=sums.rows)

    nest.loop(nest.lo, nest.hi, [], unit, extent=sums.units)
    return sums.units
