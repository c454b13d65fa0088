"""The plans of kernels: every element of a result is in exactly one tile, and tiles fit registers, stack and cache."""

import itertools

import numpy as np
import pytest

from pellucid import input, ops, state
from pellucid.executors.native.codegen.product_tiling import ProductTiling, vectors_of_tile
from pellucid.executors.native.kernels import matmul, weight_gradient
from pellucid.executors.native.kernels.dot import DotLetters
from pellucid.executors.native.kernels.weight_gradient_chunked import (
    LEAST_STEPS,
    SUMS_BYTES,
    TILES_ACROSS,
    ChunkedPlan,
    has_many_steps,
)
from pellucid.executors.native.kernels.winograd import WinogradPlan
from pellucid.executors.native.kernels.winograd_gradient import TILES_PER_PASS, WinogradGradientPlan
from pellucid.ops.winograd import input_line, slope_line

SIZES = [1, 2, 3, 5, 8, 13, 16, 17, 24, 31, 33, 64, 100, 130, 257]
WIDTHS = [4, 8, 16]


def product(rows: int, columns: int, inner: int = 3):
    return ops.contract(state("a", (rows, inner)), state("b", (inner, columns)), "ij,jk->ik")


@pytest.mark.parametrize("preferred", [matmul.VECTORS, weight_gradient.VECTORS])
@pytest.mark.parametrize("accumulators", [4, 8, 12, 24])
def test_tiles_of_a_product_cover_it_once_and_fit_registers(accumulators, preferred):
    for rows, columns, width in itertools.product(SIZES, SIZES, WIDTHS):
        t = ProductTiling.of(product(rows, columns), width, accumulators, preferred)
        assert (t.row, t.column, t.summed, t.outer) == ("i", "k", ["j"], [])
        assert t.rows * t.vectors <= max(accumulators, t.vectors) and t.vectors <= 4
        assert t.units == t.row_tiles and t.rows * (t.row_tiles - 1) + t.last_rows == rows
        assert 1 <= t.last_rows <= t.rows


def test_letters_of_a_product():
    x, y = state("x", (6, 40, 5)), state("y", (6, 5, 20))
    t = ProductTiling.of(ops.contract(x, y, "bij,bjk->bik"), 8, 12, (4, 3, 2))
    assert (t.vector_operand, t.row, t.outer, t.summed) == (1, "i", ["b"], ["j"])
    assert t.units == 6 * t.row_tiles
    swapped = ProductTiling.of(ops.contract(y, x, "bjk,bij->bik"), 8, 12, (4, 3, 2))
    assert swapped.vector_operand == 0 and swapped.units == t.units
    no_row = ProductTiling.of(ops.contract(state("v", (5,)), state("w", (5, 20)), "j,jk->k"), 8, 12, (4, 3, 2))
    assert (no_row.row, no_row.rows, no_row.row_tiles, no_row.last_rows, no_row.units) == (None, 1, 1, 1, 1)


def test_vectors_of_a_tile_divide_a_row_where_they_can():
    for n in range(1, 40):
        vectors = vectors_of_tile(n, (3, 4, 2))
        assert n % vectors == 0 or vectors == 3
        assert 1 <= vectors <= min(4, n)


@pytest.mark.parametrize("width", WIDTHS)
def test_units_in_chunks_cover_a_weight_once(width):
    for rows, columns, accumulators in itertools.product(SIZES, SIZES, [4, 12, 24]):
        outer = ops.contract(input("delta", (20, rows)), input("x", (20, columns)), "to,ti->oi")
        t = ProductTiling.of(outer, width, accumulators, weight_gradient.VECTORS)
        plan = ChunkedPlan.of(t, width, 4)
        assert plan.step == "t" and plan.other_summed == [] and plan.height % t.rows == 0
        assert (plan.row_units - 1) * plan.height < rows <= plan.row_units * plan.height
        seen = np.zeros(-(-columns // width), int)  # vectors of a row
        for unit in range(plan.column_units):
            if plan.rest and unit == plan.column_units - 1:
                start, stop = plan.whole_tiles * t.vectors, plan.whole_tiles * t.vectors + plan.rest
            else:
                start = unit * plan.across
                stop = start + min(plan.whole_tiles - unit * TILES_ACROSS, TILES_ACROSS) * t.vectors
            assert 0 < stop - start <= plan.across
            seen[start:stop] += 1
        assert (seen == 1).all()
        stack = plan.height * plan.across * width * 4
        assert stack <= SUMS_BYTES or plan.height == t.rows
        assert plan.units == plan.row_units * plan.column_units


def test_chunks_are_for_many_steps():
    def tiling(steps: int) -> ProductTiling:
        return ProductTiling.of(
            ops.contract(input("d", (steps, 9)), input("x", (steps, 9)), "to,ti->oi"), 8, 12, weight_gradient.VECTORS
        )

    assert has_many_steps(tiling(LEAST_STEPS)) and not has_many_steps(tiling(LEAST_STEPS - 1))


def test_winograd_tiles_cover_the_result():
    for rows, columns, channels in itertools.product([1, 2, 7, 8, 14], [1, 3, 8, 13, 28], [16, 17, 33]):
        plan = WinogradPlan.of(32, channels, (rows, columns))
        assert 2 * plan.down - rows in (0, 1) and 2 * plan.across - columns in (0, 1)
        assert plan.line % 2 == 1 and 0 <= plan.line - channels * plan.tiles <= 1
        assert 1 <= plan.tiles <= plan.across


@pytest.mark.parametrize("width", WIDTHS)
def test_winograd_gradient_passes_and_units_cover_all(width):
    for filters, channels, side in itertools.product([16, 128, 129, 150, 300], [16, 48, 80], [2, 8, 14, 56]):
        plan = WinogradGradientPlan.of(filters, channels, (side, side), width, 12)
        assert plan.pixels <= TILES_PER_PASS or plan.rows_per_pass == 1
        assert plan.rows_per_pass <= plan.down == side // 2
        assert plan.filters_per_unit * (plan.filter_units - 1) + plan.last_filters == filters
        assert 0 < plan.last_filters <= plan.filters_per_unit
        assert (channels // width) % plan.vectors == 0 and plan.rows * plan.vectors <= 12


def test_letters_of_an_inner_product():
    letters = DotLetters.of(ops.contract(state("x", (7, 3, 5)), state("y", (3, 5)), "oab,ab->o"))
    assert (letters.last, letters.length, letters.outer, letters.out) == ("b", 5, ["a"], "o")


def test_every_line_of_a_winograd_transform_has_at_most_two_terms():
    """What `LineElement` takes for granted."""
    for line, side in ((slope_line, 2), (input_line, 4)):
        columns = [line(*np.eye(side)[k]) for k in range(side)]
        assert (np.count_nonzero(np.array(columns), axis=0) <= 2).all()
