"""The plans of kernels with one sample in each lane: tiles fit registers and stack, and cover all there is."""

import itertools

import pytest

import pellucid as pel
from pellucid import ops
from pellucid.executors.native.kernels import conv_gradient_plan, scatter
from pellucid.executors.native.kernels.contraction_plan import PACKED_ROWS, ContractionPlan
from pellucid.executors.native.kernels.conv import ConvPlan
from pellucid.executors.native.kernels.conv_gradient_plan import ConvGradientPlan
from pellucid.executors.native.kernels.conv_image import ImagePlan
from pellucid.executors.native.kernels.scatter import ScatterPlan

SIZES = [1, 2, 3, 5, 8, 13, 16, 31, 40, 100]
REGISTERS = [4, 8, 12, 24]


@pytest.mark.parametrize("accumulators", REGISTERS)
def test_tiles_of_a_contraction_fit_registers(accumulators):
    for height, width in itertools.product(SIZES, SIZES):
        weight, x = pel.state("weight", (height, 3)), pel.input("x", (width, 3))
        for spec, operands in (("ab,cb->ca", (weight, x)), ("cb,ab->ca", (x, weight))):
            plan = ContractionPlan.of(ops.contract(*operands, spec), accumulators)
            assert (plan.row, plan.column, plan.inner, plan.others) == ("a", "c", ["b"], [])
            assert plan.rows * plan.columns * plan.blocks <= accumulators and plan.rows_alone <= accumulators
            assert plan.blocks == (2 if width == 1 else 1) and plan.columns <= width
            assert plan.unit_rows % plan.rows == 0 and plan.unit_rows <= max(PACKED_ROWS, plan.rows)
            assert plan.by_columns == (width > plan.columns) and plan.single == (height == width == 1)


def test_large_weights_are_split_into_units_of_rows():
    for height in (600, 613):
        x = pel.input("x", (700,))
        plan = ContractionPlan.of(ops.contract(pel.state("weight", (height, 700)), x, "ab,b->a"), 24)
        units = plan.units
        assert units is not None and (units - 1) * plan.unit_rows + (plan.rows_left or plan.unit_rows) == height
    small = ops.contract(pel.state("weight", (60, 70)), pel.input("x", (70,)), "ab,b->a")
    assert ContractionPlan.of(small, 24).units is None


def test_a_product_of_samples_has_rows_of_the_first():
    a, b = pel.input("a", (7, 5)), pel.input("b", (5, 9))
    plan = ContractionPlan.of(ops.contract(a, b, "ik,kj->ij"), 12)
    assert (plan.row, plan.column, plan.blocks, plan.by_columns, plan.rows * plan.columns <= 12) == (
        "i", "j", 1, False, True)  # fmt: skip


CONVOLUTIONS = [((3, 12, 12), (16, 3, 5, 5)), ((1, 28, 28), (6, 1, 5, 5)), ((33, 7, 9), (5, 33, 1, 1)),
                ((4, 41), (13, 4, 3)), ((2, 7, 9, 10), (5, 2, 3, 3, 3)), ((40, 6, 6), (64, 40, 3, 3))]  # fmt: skip


@pytest.mark.parametrize("accumulators", REGISTERS)
@pytest.mark.parametrize("shape, kernel", CONVOLUTIONS)
def test_plans_of_convolutions(shape, kernel, accumulators):
    x, w = pel.input("x", shape), pel.state("w", kernel)
    y = ops.correlate(x, w)
    plan = ConvPlan.of(y.inputs[0], accumulators)
    assert plan.rows * plan.columns <= accumulators and plan.filters == kernel[0]
    assert plan.width == shape[-1] - kernel[-1] + 1 and 1 <= plan.parts <= max(1, plan.extent)

    slope = ConvGradientPlan.of(pel.grad(ops.batch_sum(ops.sum(y * y)), w), accumulators)
    assert (slope.filters, slope.channels, slope.window) == (kernel[0], kernel[1], kernel[-1])
    assert (slope.rows, slope.deep) == (1, 1) or slope.rows * slope.deep * slope.window <= accumulators
    assert slope.rows * (slope.row_tiles - 1) + slope.last_rows == slope.filters and 0 < slope.last_rows <= slope.rows
    assert slope.chunk * (slope.chunks - 1) + slope.last_chunk == slope.channels and 0 < slope.last_chunk <= slope.chunk
    assert slope.sums * 64 <= conv_gradient_plan.SUMS_BYTES or slope.chunk <= slope.deep
    assert slope.units == slope.row_tiles * slope.chunks


@pytest.mark.parametrize("lanes", [4, 8, 16])
@pytest.mark.parametrize("shape, kernel", CONVOLUTIONS)
def test_tiles_of_one_image_cover_it(shape, kernel, lanes):
    y = ops.correlate(pel.input("x", shape, kind="shared"), pel.state("w", kernel)).inputs[0]
    for accumulators in REGISTERS:
        plan = ImagePlan.of(y, shape[-1], accumulators, lanes)
        row_tiles, column_tiles = plan.tiles
        assert plan.rows * plan.columns <= accumulators and plan.filters == kernel[0]
        assert (row_tiles - 1) * plan.rows < plan.filters <= row_tiles * plan.rows
        assert (column_tiles - 1) * plan.columns < plan.vectors <= column_tiles * plan.columns
        last = (plan.height - 1) * shape[-1] + shape[-1] - kernel[-1]  # the number of the last place
        assert (plan.vectors - 1) * lanes <= last < plan.vectors * lanes
        assert plan.units == row_tiles * column_tiles * plan.letters.length(plan.lead)
        assert kernel[1] % plan.deep == 0


@pytest.mark.parametrize("width", [1, 4, 16])
@pytest.mark.parametrize("inner", [(), (1,), (20,), (3, 17), (70_000,)])
@pytest.mark.parametrize("size", [1, 7, 5000])
def test_units_of_a_table_cover_it_and_fit_the_stack(size, inner, width):
    plan = ScatterPlan.of((size, *inner), "float32", width)
    assert (plan.units - 1) * plan.rows < size <= plan.units * plan.rows
    assert (plan.padded % width == 0 and plan.elements * 4 <= scatter.TABLE_BYTES) or plan.rows == 1
