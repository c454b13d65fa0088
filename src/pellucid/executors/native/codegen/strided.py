"""Vectors of elements that lie some way apart in memory, such as every second one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..llvm import ir
from ..llvm import lanes as L
from ..llvm.affine import I64, Index, NotVectorizable
from ..llvm.lanes import Lanes

if TYPE_CHECKING:
    from ..plan.buffer import Buffer
    from .nest import Nest

FARTHEST = 4  # elements between neighbors, for which this is faster than one after the other


def load_apart(nest: Nest, buffer: Buffer, position: Index) -> Lanes:
    """A vector of every s-th element: of s vectors shuffled, or of a gather where some lanes do not exist.

    Raises `NotVectorizable` for elements too far apart, and for those in reverse.
    """
    s, width, b = position.lane, nest.feature_width, nest.builder
    if width == 1 or not 1 < s <= FARTHEST or buffer.dtype == "bool":
        raise NotVectorizable
    if nest.mask is not None:
        return gathered(nest, buffer, position, nest.mask)
    result = None
    for k in range(s):
        start = min(k * width, (s - 1) * (width - 1))  # nothing is read after the last element
        part = nest.load_vector(buffer, position + start, width, False).value
        lanes = [width + lane * s - start if lane * s // width == k else lane for lane in range(width)]
        result = L.shuffle(b, part if result is None else result, part, lanes)
    assert result is not None
    return Lanes(b, result, buffer.dtype, width)


def gathered(nest: Nest, buffer: Buffer, position: Index, mask: ir.Value) -> Lanes:
    b, width = nest.builder, nest.feature_width
    kind = ir.VectorType(L.llvm_type(buffer.dtype, 1), width)
    offsets = ir.Constant(ir.VectorType(I64, width), [k * position.lane for k in range(width)])
    addresses = b.gep(nest.address(buffer, position), [offsets], source_etype=kind.element)
    addresses.type = ir.VectorType(ir.PointerType(), width)
    call = nest.intrinsic("llvm.masked.gather", kind, [addresses.type, mask.type, kind],
                          f"{nest.suffix(kind)}.v{width}p0")  # fmt: skip
    return Lanes(b, b.call(call, [addresses, mask, ir.Constant(kind, [0] * width)]), buffer.dtype, width)
