"""Weights that many products read across their rows, as back-propagation does: turned once, before they are read.

A weight of shape (out, in) is summed over its first axis on the way back. Where that is done for many steps of a
sequence, or many places, a copy with that axis last costs next to nothing, and is read in order. Imports graph and ops.
"""

from __future__ import annotations

from ....ops.movement import transpose_of
from ..codegen.flow import lane_mask
from ..codegen.nest import Nest
from ..llvm import shuffles
from ..llvm.affine import Index, Variable
from ..llvm.lanes import shuffle, splat
from ..plan.layout_ops import PACK, copy, packed
from ..plan.planner import Group


def is_turn(group: Group) -> bool:
    """Whether a group is but a matrix turned, that lies in memory as it is."""
    if len(group.values) != 1 or group.kind == "sample" or len(group.shape) != 2:
        return False
    (v,) = group.values
    x = v.inputs[0] if v.primitive is copy else v
    return x.primitive is transpose_of and x.attributes["axes"] == (-1, -2)


def turn_nest(nest: Nest, group: Group) -> int:
    """Units lo..hi-1 of a matrix turned, some rows of it each: squares of vectors. Gives their number."""
    (v,) = group.stores
    (x,) = v.inputs[0].inputs
    rows, columns = v.shape
    width, units = nest.width, -(-rows // nest.width)

    def square(row: Index, height: int, column: Index, wide: int) -> None:
        nest.mask = lane_mask(width, height) if height < width else None
        lane = Index.of(Variable(row.emit(nest.builder), rows, lane=True))
        given = [splat(nest.value(x, [column + min(k, wide - 1), lane]), width) for k in range(width)]
        nest.mask = lane_mask(width, wide) if wide < width else None
        lane = Index.of(Variable(column.emit(nest.builder), columns, lane=True))
        for k, y in enumerate(shuffles.transpose(given)[:height]):
            nest.store(y, nest.buffers[v], nest.position(v, [row + k, lane]), None)
        nest.mask = None

    def unit(variable, _):
        row, whole = Index.of(variable) * width, columns - columns % width

        def along(height: int) -> None:
            nest.loop(0, whole, [], lambda c, _: square(row, height, Index.of(c), width), step=width, extent=columns)
            if columns % width:
                with nest.scope():
                    square(row, height, Index(whole), columns % width)

        nest.last_or_not(Index.of(variable), units, lambda: along(rows - (units - 1) * width), lambda: along(width))

    nest.loop(nest.lo, nest.hi, [], unit, extent=units)
    return units


def is_pack(group: Group) -> bool:
    return all(v.primitive is packed for v in group.values)


def pack_nest(nest: Nest, group: Group) -> int:
    """Units lo..hi-1 of a packed matrix, some of its rows each, read in vectors either way. Gives their number."""
    (v,) = group.stores
    (x,) = v.inputs
    rows, columns = v.shape
    width, units = nest.width, -(-rows // PACK)
    turned = x.primitive is transpose_of

    def unit(variable, _):
        row = Index.of(variable) * PACK

        def along(height: int) -> None:
            if turned:  # neighbours in a row of memory are neighbours among the rows

                def column(k, _):
                    nest.feature_width = PACK
                    nest.mask = lane_mask(PACK, height) if height < PACK else None
                    lane = Index.of(Variable(row.emit(nest.builder), rows, lane=True))
                    y = nest.value(x, [lane, Index.of(k)])
                    y = splat(y, PACK) if y.width == 1 else y  # a matrix of one number
                    nest.store_vector(y, nest.buffers[v], nest.position(v, [row, Index.of(k)]))
                    nest.mask, nest.feature_width = None, width

                nest.loop(0, columns, [], column, extent=columns)
                return

            def square(start: Index, wide: int) -> None:
                nest.mask = lane_mask(width, wide) if wide < width else None
                lane = Index.of(Variable(start.emit(nest.builder), columns, lane=True))
                given = [splat(nest.value(x, [row + min(k, height - 1), lane]), width) for k in range(width)]
                nest.mask = None
                for k, y in enumerate(shuffles.transpose(given)[:wide]):
                    half = y.like(shuffle(nest.builder, y.value, y.value, list(range(PACK))))
                    half.width = PACK
                    nest.store_vector(half, nest.buffers[v], nest.position(v, [row, start + k]))

            whole = columns - columns % width
            nest.loop(0, whole, [], lambda c, _: square(Index.of(c), width), step=width, extent=columns)
            if columns % width:
                with nest.scope():
                    square(Index(whole), columns % width)

        nest.last_or_not(Index.of(variable), units, lambda: along(rows - (units - 1) * PACK), lambda: along(PACK))

    nest.loop(nest.lo, nest.hi, [], unit, extent=units)
    return units
