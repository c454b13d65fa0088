"""Rows taken from a shared table, as an embedding does: each sample's row read in vectors, which are then turned."""

from __future__ import annotations

from ....graph import Value
from ....ops.gather import take_rows
from ..codegen.flow import lane_mask
from ..codegen.lowering import legal_rows
from ..codegen.nest import I32, Nest
from ..llvm import ir, shuffles
from ..llvm.affine import Index, Variable
from ..llvm.lanes import Lanes
from ..plan.buffer import Buffer
from ..plan.planner import Group


def takes(group: Group, buffers: dict[Value, Buffer], width: int) -> Value | None:
    """The one Value of a group that takes rows at least as long as a vector, from a shared table in memory."""
    found = [v for v in group.values if v.primitive is take_rows]
    if len(found) != 1 or group.core is not None:
        return None
    (v,) = found
    table, rows = v.inputs
    long = table.ndim > 1 and table.shape[-1] >= width and v.shape == group.shape
    return v if long and table.kind == "shared" and rows.kind == "sample" and table in buffers else None


def take_nest(nest: Nest, group: Group, v: Value) -> int:
    """Blocks lo..hi-1 of a group that takes rows: a square of vectors at a time, one of each sample. In one part."""
    table, rows = v.inputs
    b, width, n = nest.builder, nest.width, rows.ndim
    source, columns = nest.buffers[table], table.shape[-1]

    def place(at: list[Index], block: Index) -> None:
        numbers = legal_rows(nest, nest.value(rows, at, block), table.shape[0], block)
        own = [Lanes(b, b.extract_element(numbers.value, I32(k)), rows.dtype, 1) for k in range(width)]
        places = [Index.of(Variable(widened(nest, x), table.shape[0])) for x in own]

        def square(outer: list[Index], start: Index, count: int) -> None:
            value = start.emit(b)
            lane = Index.of(Variable(value, columns, lane=True))
            nest.mask = lane_mask(width, count) if count < width else None
            given = [nest.load(source, nest.position(table, [row, *outer, lane]), None) for row in places]
            nest.mask = None
            for k, x in enumerate(shuffles.transpose(given)[:count]):
                index = [*at, *outer, start + k]
                with nest.scope({(v, tuple(i.key for i in index), block.key): x}):
                    nest.store_all(group.stores, index, block)

        def along(outer, _):
            whole = columns - columns % width
            nest.loop(0, whole, [], lambda j, _: square(outer, Index.of(j), width), step=width, extent=columns)
            if columns % width:
                with nest.scope():
                    square(outer, Index(whole), columns % width)

        nest.over(v.shape[n:-1], [], along)

    def block_body(variable, _):
        nest.over(rows.shape, [], lambda at, _: place(at, Index.of(variable)))

    nest.loop(nest.lo, nest.hi, [], block_body)
    return 1


def widened(nest: Nest, x: Lanes) -> ir.Value:
    """A row's number in 64 bits."""
    return nest.builder.sext(x.value, ir.IntType(64)) if x.dtype == "int32" else x.value
