"""How a contraction of one sample is cut into tiles: numbers and letters, no code. Imports graph, ops and plan."""

from __future__ import annotations

from dataclasses import dataclass

from ....graph import Value
from ....ops.contract import parse
from ..codegen.tiling import divisor_tile
from ..plan.buffer import BYTES

SPLIT_BYTES = 1 << 20  # a weight from this size on is read by each thread in part, not as a whole
PACKED_ROWS = 32  # rows copied together: two lines of memory of float32


@dataclass(frozen=True)
class ContractionPlan:
    """How the result of a contraction is cut into tiles of rows by columns, or of rows by blocks of samples.

    Rows run along a letter of the shared operand alone, columns along one of the sample operand alone; for two operands
    of samples they are the first and the second.

    >>> import pellucid as pel
    >>> weight, x, images = pel.state("weight", (64, 30)), pel.input("x", (30,)), pel.input("images", (9, 30))
    >>> ContractionPlan.of(pel.ops.contract(weight, x, "ab,b->a"), accumulators=24).tile
    '8 rows x 2 blocks of samples'
    >>> ContractionPlan.of(pel.ops.contract(weight, images, "ab,cb->ca"), accumulators=24).tile
    '4 rows x 4 columns'
    """

    core: Value
    operands: tuple[str, str]  # the letters of each
    out: str
    lengths: dict[str, int]  # of each letter
    inner: list[str]  # letters of the sum
    row: str | None
    column: str | None
    rows: int  # of a tile
    columns: int
    blocks: int  # of samples, in a tile
    rows_alone: int  # of a tile for a single block
    by_columns: bool  # whether a tile of columns stays near, while all rows of the shared operand pass by

    @staticmethod
    def of(core: Value, accumulators: int) -> ContractionPlan:
        a, b, out = parse(core.attributes["spec"])
        x, y = core.inputs
        lengths = dict(zip(a + b, x.shape + y.shape, strict=True))
        only = [[c for c in out if c in own and c not in other] for own, other in ((a, b), (b, a))]
        kinds = [x.kind, y.kind]
        if kinds == ["sample", "shared"]:
            only, kinds = only[::-1], kinds[::-1]
        row, column = (max(letters, key=lambda c: lengths[c], default=None) for letters in only)
        height, width = (lengths[c] if c else 1 for c in (row, column))
        mixed = kinds == ["shared", "sample"]
        blocks = 2 if mixed and width == 1 else 1
        across = blocks if width == 1 else min(width, 4)
        if row is None:
            across = min(accumulators, width) if column else blocks
        columns = across if blocks == 1 else 1
        return ContractionPlan(
            core=core,
            operands=(a, b),
            out=out,
            lengths=lengths,
            inner=[c for c in dict.fromkeys(a + b) if c not in out],
            row=row,
            column=column,
            rows=divisor_tile(height, max(1, accumulators // across)) if row else 1,
            columns=columns,
            blocks=blocks,
            rows_alone=divisor_tile(height, accumulators) if row else 1,
            by_columns=row is not None and column is not None and mixed and width > columns,
        )

    @property
    def height(self) -> int:
        """Rows of the result."""
        return self.lengths[self.row] if self.row else 1

    @property
    def width(self) -> int:
        """Columns of the result."""
        return self.lengths[self.column] if self.column else 1

    @property
    def others(self) -> list[str]:
        """The result's letters that are neither row nor column."""
        return [c for c in self.out if c not in (self.row, self.column)]

    @property
    def single(self) -> bool:
        """Whether a block has one result for each index of the other letters."""
        return self.height == self.width == 1

    @property
    def unit_rows(self) -> int:
        """Whole tiles of rows that are copied together, where the shared operand is packed; those of a unit."""
        return self.rows * max(1, PACKED_ROWS // self.rows)

    @property
    def rows_left(self) -> int:
        """Rows after the last whole unit."""
        return self.height % self.unit_rows if self.row else 0

    @property
    def units(self) -> int | None:
        """Units of rows that threads share; None where they share blocks of samples."""
        shared = sum(v.size * BYTES[v.dtype] for v in self.core.inputs if v.kind == "shared")
        if not self.row or self.others or self.by_columns or shared < SPLIT_BYTES:
            return None
        return -(-self.height // self.unit_rows)

    @property
    def tile(self) -> str:
        """A tile in words."""
        across = f"{self.blocks} blocks of samples" if self.blocks > 1 else f"{self.columns} columns"
        return f"{self.rows} rows x {across}"
