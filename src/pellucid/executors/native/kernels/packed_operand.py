"""A tile's rows of the shared operand of a contraction, copied so that the loop over the sum reads them in order."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ....graph import Value
from ..codegen.nest import Nest
from ..llvm.affine import Index, linear
from ..llvm.lanes import Lanes
from ..plan.buffer import BYTES, Buffer
from .contraction_plan import PACKED_ROWS, ContractionPlan

PACKED_BYTES = 1 << 19  # at most, on the stack of a thread


@dataclass(frozen=True)
class StridedOperand:
    """A shared operand whose rows of a tile are neighbors in memory, while the sum strides over whole rows."""

    value: Value
    letters: str
    inner: list[str]  # those of the sum


def strided_operand(nest: Nest, plan: ContractionPlan) -> StridedOperand | None:
    """The operand that is worth packing, if there is one and it fits on the stack."""
    for v, letters in zip(plan.core.inputs, plan.operands, strict=True):
        inner = [c for c in plan.inner if c in letters]
        strided = plan.row is not None and letters.endswith(plan.row) and plan.height > 1 and inner
        if v.kind == "shared" and strided and nest.stored(v) is not None:
            size = math.prod(plan.lengths[c] for c in inner) * PACKED_ROWS * BYTES[v.dtype]
            return StridedOperand(v, letters, inner) if size <= PACKED_BYTES else None
    return None


@dataclass(frozen=True, eq=False)
class PackedOperand:
    """The rows of a tile of a strided operand, side by side for each place of the sum."""

    buffer: Buffer
    inner: list[str]  # letters of the sum
    lengths: list[int]  # of these
    rows: int
    start: Index = Index()  # noqa: RUF009  an Index never changes

    @property
    def size(self) -> int:
        return math.prod(self.lengths) * self.rows

    def part(self, tile: Index) -> PackedOperand:
        """The rows of another tile that was copied with it."""
        return replace(self, start=tile * self.size)

    def position(self, at: dict[str, Index]) -> Index:
        return self.start + linear([at[c] for c in self.inner], self.lengths) * self.rows

    def load(self, nest: Nest, at: dict[str, Index], row: int) -> Lanes:
        return nest.load_vector(self.buffer, self.position(at) + row, 1, True)


def packed_operand(nest: Nest, strided: StridedOperand, plan: ContractionPlan, fixed: dict[str, Index], rows: int,
                   tiles: int) -> PackedOperand:  # fmt: skip
    """A copy of the rows of some tiles, so that the loop over the sum reads them in order.

    A weight used transposed would be read with strides of whole rows, which fall on few lines of the cache.
    """
    v = strided.value
    lengths = [plan.lengths[c] for c in strided.inner]
    buffer, source = nest.scratch("pack", math.prod(lengths) * rows * tiles, v.dtype), nest.stored(v)
    packed = PackedOperand(buffer, strided.inner, lengths, rows)
    assert source is not None

    def copy(index: list[Index], _) -> None:
        at = fixed | dict(zip(strided.inner, index, strict=True))
        position = linear([at[c] for c in strided.letters], v.shape)
        for k in range(tiles):
            part = nest.load_vector(source, position + k * rows, rows, False)
            target = packed.position(at) + k * packed.size
            nest.builder.store(part.value, nest.address(buffer, target), align=BYTES[v.dtype])

    nest.over(lengths, [], copy)
    return packed
