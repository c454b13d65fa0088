"""Rows taken from a shared table, as an embedding does: each sample's row is read in vectors and then transposed."""

from __future__ import annotations

from collections.abc import Sequence

from ....graph import Value
from ....ops.gather import take_rows
from ..codegen.lowering import legal_rows
from ..codegen.nest import I32, Nest
from ..llvm import ir, shuffles
from ..llvm.affine import Index, Variable
from ..llvm.lanes import Lanes
from ..plan.buffer import Buffer
from ..plan.planner import Group


def take_nest(nest: Nest, group: Group, v: Value) -> int:
    """Blocks lo..hi-1 of a group that takes rows: a square of vectors at a time, one of each sample. In one part."""
    (table, rows), width = v.inputs, nest.width
    buffer, columns = nest.buffers[table], table.shape[-1]

    def square(at: Sequence[Index], own: Sequence[Index], block: Index, start: Index, count: int) -> None:
        """Some columns of each sample's own row."""
        lane = Index.of(Variable(start.emit(nest.builder), columns, lane=True))
        outer = at[rows.ndim :]
        with nest.masked(count):
            given = [nest.load(buffer, nest.position(table, [row, *outer, lane]), None) for row in own]
        for k, x in enumerate(shuffles.transpose(given)[:count]):
            index = [*at, start + k]
            with nest.scope({(v, tuple(i.key for i in index), block.key): x}):
                nest.store_all(group.stores, index, block)

    def one_place(at: list[Index], block: Index) -> None:
        """The rows with these numbers, one for each sample."""
        numbers = legal_rows(nest, nest.value(rows, at, block), table.shape[0], block)
        own = rows_of_lanes(nest, numbers, table.shape[0])
        nest.over(v.shape[rows.ndim : -1], [], lambda outer, _: nest.chunks(
            columns, width, lambda start, count, _: square([*at, *outer], own, block, start, count)))  # fmt: skip

    nest.loop(nest.lo, nest.hi, [],
              lambda i, _: nest.over(rows.shape, [], lambda at, _: one_place(at, Index.of(i))))  # fmt: skip
    return 1


def rows_of_lanes(nest: Nest, numbers: Lanes, size: int) -> list[Index]:
    """The number of a row in each lane, as an index, in 64 bits."""
    b = nest.builder
    each = [b.extract_element(numbers.value, I32(k)) for k in range(nest.width)]
    wide = [b.sext(x, ir.IntType(64)) if numbers.dtype == "int32" else x for x in each]
    return [Index.of(Variable(x, size)) for x in wide]


def takes(group: Group, buffers: dict[Value, Buffer], width: int) -> Value | None:
    """The one Value of a group that takes rows at least as long as a vector, from a shared table in memory."""
    found = [v for v in group.values if v.primitive is take_rows]
    if len(found) != 1 or group.core is not None:
        return None
    (v,) = found
    table, rows = v.inputs
    long = table.ndim > 1 and table.shape[-1] >= width and v.shape == group.shape
    return v if long and table.kind == "shared" and rows.kind == "sample" and table in buffers else None
