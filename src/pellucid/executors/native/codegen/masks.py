"""Which lanes of a vector are meant, where a row does not fill it. Imports the IR and nests."""

from __future__ import annotations

from collections.abc import Sequence

from ....graph import Value
from ..llvm import ir
from ..llvm.affine import Index, linear
from ..plan.buffer import Buffer
from .nest import I64, Nest


def smaller(b: ir.IRBuilder, x: ir.Value, limit: int) -> ir.Value:
    return b.select(b.icmp_signed("<", x, I64(limit)), x, I64(limit))


def samples_of(nest: Nest, block: Index) -> ir.Value:
    """How many samples a block has."""
    b = nest.builder
    return smaller(b, b.sub(nest.n, b.mul(block.emit(b), I64(nest.width))), nest.width)


def row_start(nest: Nest, rows: Buffer, v: Value, index: Sequence[Index], block: Index, lane: Index) -> Index:
    """Where an element of one sample of a block lies among the rows."""
    if not rows.together:
        return (block * nest.width + lane) * rows.size + linear(index, v.shape)
    strip, line = rows.strip or v.shape[-1], linear(index[:-1], v.shape[:-1])
    which, at = index[-1].divmod(strip, nest.builder) if rows.strip else (Index(), index[-1])
    line = line * -(-v.shape[-1] // strip) + which
    return (block * rows.size + line * strip) * nest.width + lane * strip + at
