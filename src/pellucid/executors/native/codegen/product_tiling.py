"""How a product whose last axis lies in lanes is cut into register tiles: of matrices, and of gradients of weights.

    y[outer, row, column] = sum over the summed letters of  vector[.., column] * number[.., row]

One operand alone has the last axis of the result and is read in vectors along it; the other is read number by number,
in lanes that are all equal. A register tile is some rows times some vectors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ....graph import Value
from ....ops.contract import parse
from ..llvm import ir
from ..llvm.affine import Index, unravel
from ..plan.classify import rows_operand
from .tiling import divisor_tile


class Tile(NamedTuple):
    """A register tile: the indices of its first element by letter, how many rows and vectors it has, and how many
    lanes of its last vector exist."""

    at: dict[str, Index]
    rows: int
    vectors: int
    lanes: int


@dataclass(frozen=True)
class ProductTiling:
    """``rows`` along the longest axis that the vector operand does not have, times ``vectors`` along the last one.

    >>> from pellucid import ops, state
    >>> product = ops.contract(state("a", (64, 100)), state("b", (100, 40)), "ij,jk->ik")
    >>> tiling = ProductTiling.of(product, width=8, accumulators=12, preferred=(4, 3, 2))
    >>> tiling.rows, tiling.vectors, tiling.row_tiles, tiling.units
    (4, 3, 16, 16)
    """

    vector_operand: int  # which of the two is read in vectors
    letters: tuple[str, str]  # of the operands
    out: str
    lengths: dict[str, int]
    row: str | None
    rows: int
    vectors: int

    @classmethod
    def of(cls, product: Value, width: int, accumulators: int, preferred: Sequence[int]) -> ProductTiling:
        """For a contraction, vectors of ``width`` lanes, of which as many as ``accumulators`` stay in registers."""
        a, b, out = parse(product.attributes["spec"])
        lengths = dict(zip(a + b, product.inputs[0].shape + product.inputs[1].shape, strict=True))
        operand = rows_operand(product)
        assert operand is not None
        row = max((c for c in out[:-1] if c not in (a, b)[operand]), key=lambda c: lengths[c], default=None)
        vectors = vectors_of_tile(-(-lengths[out[-1]] // width), preferred)
        rows = divisor_tile(lengths[row], max(1, accumulators // vectors)) if row else 1
        return cls(operand, (a, b), out, lengths, row, rows, vectors)

    @property
    def column(self) -> str:
        """The letter that lies in lanes."""
        return self.out[-1]

    @property
    def columns(self) -> int:
        return self.lengths[self.column]

    @property
    def summed(self) -> list[str]:
        return [c for c in dict.fromkeys(self.letters[0] + self.letters[1]) if c not in self.out]

    @property
    def outer(self) -> list[str]:
        """Letters of the result that a tile has one index of."""
        return [c for c in self.out[:-1] if c != self.row]

    def sizes(self, letters: Sequence[str]) -> list[int]:
        return [self.lengths[c] for c in letters]

    @property
    def height(self) -> int:
        """Rows of the result along the tiled axis."""
        return self.lengths[self.row] if self.row else 1

    @property
    def row_tiles(self) -> int:
        return -(-self.height // self.rows)

    @property
    def last_rows(self) -> int:
        """Rows of the last tile along the tiled axis."""
        return self.height - (self.row_tiles - 1) * self.rows

    @property
    def units(self) -> int:
        """Parts that threads take: a tile of rows, all columns."""
        return math.prod(self.sizes(self.outer)) * self.row_tiles

    def unit(self, number: Index, b: ir.IRBuilder) -> tuple[dict[str, Index], Index]:
        """Where the rows of a unit begin, and which tile of its axis they are."""
        _, (*outer, tile) = unravel(number, [*self.sizes(self.outer), self.row_tiles], b)
        return dict(zip(self.outer, outer, strict=True)) | self.row_at(tile * self.rows), tile

    def row_at(self, row: Index) -> dict[str, Index]:
        """A row by the letter of its axis, if there is one."""
        return {self.row: row} if self.row else {}

    def element(self, at: dict[str, Index], row: int, lane: int) -> dict[str, Index]:
        """The indices by letter of the vector ``row`` rows and ``lane`` lanes after another."""
        return at | (self.row_at(at[self.row] + row) if self.row else {}) | {self.column: at[self.column] + lane}


def vectors_of_tile(vectors: int, preferred: Sequence[int]) -> int:
    """How many of a row's ``vectors`` are in a tile: a divisor, the preferred ones first, or three.

    >>> vectors_of_tile(8, (3, 4, 2)), vectors_of_tile(5, (3, 4, 2)), vectors_of_tile(1, (3, 4, 2))
    (4, 3, 1)
    """
    return next((n for n in preferred if vectors % n == 0), min(3, vectors))
