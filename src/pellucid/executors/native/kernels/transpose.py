"""Matrices that many products read across their rows: transposed, or packed into strips of rows, before they are read.

Both are copied square by square: as many vectors of one memory as a vector has lanes, transposed in registers. Why a
matrix is laid out so says plan/weight_layout.py.
"""

from __future__ import annotations

from collections.abc import Callable

from ....graph import Value
from ....ops.movement import transpose_of
from ..codegen.flow import lane_index
from ..codegen.nest import Nest
from ..llvm import shuffles
from ..llvm.affine import Index, Variable
from ..llvm.lanes import Lanes, shuffle, splat
from ..plan.layout_ops import PACK, copy, packed_rows
from ..plan.planner import Group


def transpose(nest: Nest, group: Group) -> int:
    """Units lo..hi-1 of a transposed matrix, some of its rows each: squares of vectors. Gives their number."""
    (v,) = group.stores
    (w,) = v.inputs[0].inputs  # (columns, rows)
    rows, columns = v.shape
    width = nest.width

    def square(row: Index, height: int, column: Index, count: int) -> None:
        with nest.masked(height):
            lane = lane_index(row.emit(nest.builder), rows)
            given = [splat(nest.value(w, [column + min(k, count - 1), lane]), width) for k in range(width)]
        with nest.masked(count):
            lane = lane_index(column.emit(nest.builder), columns)
            for k, y in enumerate(shuffles.transpose(given)[:height]):
                nest.store(y, nest.buffers[v], nest.position(v, [row + k, lane]), None)

    return in_strips(nest, rows, width, lambda row, height: in_squares(
        nest, columns, lambda column, count: square(row, height, column, count)))  # fmt: skip


def pack(nest: Nest, group: Group) -> int:
    """Units lo..hi-1 of a packed matrix, ``PACK`` of its rows each, read in vectors either way. Gives their number."""
    (v,) = group.stores
    strip = pack_transposed if v.inputs[0].primitive is transpose_of else pack_rows
    return in_strips(nest, v.shape[0], PACK, lambda row, height: strip(nest, v, row, height))


def is_transpose(group: Group) -> bool:
    """Whether a group is nothing but a transposed matrix, which lies in memory as it is."""
    if len(group.values) != 1 or group.kind == "sample" or len(group.shape) != 2:
        return False
    (v,) = group.values
    x = v.inputs[0] if v.primitive is copy else v
    return x.primitive is transpose_of and x.attributes["axes"] == (-1, -2)


def is_pack(group: Group) -> bool:
    return all(v.primitive is packed_rows for v in group.values)


def pack_transposed(nest: Nest, v: Value, row: Index, height: int) -> None:
    """Rows row..row+height-1 of a matrix that is given transposed: neighbors in memory are neighbors in a strip."""
    (x,), (rows, columns) = v.inputs, v.shape

    def column(number: Variable, _: list[Lanes]) -> None:
        with nest.lanes(PACK), nest.masked(height):
            lane = lane_index(row.emit(nest.builder), rows)
            y = splat(nest.value(x, [lane, Index.of(number)]), PACK)  # a number, if the matrix is but one
            nest.store_vector(y, nest.buffers[v], nest.position(v, [row, Index.of(number)]))

    nest.loop(0, columns, [], column, extent=columns)


def pack_rows(nest: Nest, v: Value, row: Index, height: int) -> None:
    """Rows row..row+height-1 of a matrix that is read along its rows."""
    (x,), columns, width = v.inputs, v.shape[1], nest.width

    def square(column: Index, count: int) -> None:
        with nest.masked(count):
            lane = lane_index(column.emit(nest.builder), columns)
            given = [splat(nest.value(x, [row + min(k, height - 1), lane]), width) for k in range(width)]
        for k, y in enumerate(shuffles.transpose(given)[:count]):
            strip = y.like(shuffle(nest.builder, y.value, y.value, list(range(PACK))))
            strip.width = PACK
            nest.store_vector(strip, nest.buffers[v], nest.position(v, [row, column + k]))

    in_squares(nest, columns, square)


def in_strips(nest: Nest, rows: int, height: int, body: Callable[[Index, int], None]) -> int:
    """``body(row, count)`` for units lo..hi-1 of ``height`` rows, the last one maybe of fewer; gives their number."""
    units = -(-rows // height)

    def unit(number: Variable, _: list[Lanes]) -> None:
        which, left = Index.of(number), rows - (units - 1) * height
        nest.last_or_not(which, units, lambda: body(which * height, left), lambda: body(which * height, height))

    nest.loop(nest.lo, nest.hi, [], unit, extent=units)
    return units


def in_squares(nest: Nest, columns: int, body: Callable[[Index, int], None]) -> None:
    """``body(column, count)`` for as many columns as a vector has lanes, the last time maybe for fewer."""
    width, rest = nest.width, columns % nest.width
    nest.loop(0, columns - rest, [], lambda v, _: body(Index.of(v), width), step=width, extent=columns)
    if rest:
        with nest.scope():
            body(Index(columns - rest), rest)
