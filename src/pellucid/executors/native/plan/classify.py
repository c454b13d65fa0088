"""What the plan asks of a Value: is it computed where it is used, is it only another index, has it a nest of its own?

Imports graph and ops.
"""

from __future__ import annotations

from ....graph import Value, sample_input, shared_input, state_leaf
from ....ops.contract import contract_of, parse
from ....ops.conv import windows_of
from ....ops.elementwise import add, cast_to, divide, multiply, negative, subtract
from ....ops.gather import scatter_of
from ....ops.movement import broadcast, constant_of, fill_with, flip_axes, iota_of, reshape_to, slice_of, transpose_of
from ....ops.reduce import batch_count, batch_sum, sample_index, to_samples
from ....ops.winograd import winograd_kernel, winograd_product, winograd_slopes, winograd_weight

LEAVES = (sample_input, shared_input, state_leaf, constant_of)
FREE = (fill_with, iota_of, batch_count, sample_index)  # computed where they are used
VIEWS = (reshape_to, transpose_of, broadcast, slice_of, flip_axes, windows_of, to_samples)  # only another index
CORES = (contract_of, winograd_kernel, winograd_product, winograd_weight)  # with nests of their own
INLINE_ARITHMETIC = (add, subtract, multiply, divide, negative, cast_to)
TRANSPOSED = ("float32", "float64", "int32")  # of sample outputs; others are turned by NumPy
MAX_ROW_BYTES = 1 << 19  # bytes of a table's row from which on its sums are computed one by one


def is_inline(v: Value, memo: dict[Value, bool]) -> bool:
    """Leaves, constants, views of them, and shared numbers so cheap that they are computed wherever they are used."""
    if v not in memo:
        if v.primitive in LEAVES or v.primitive in FREE:
            memo[v] = True
        elif v.primitive in VIEWS or (v.primitive in INLINE_ARITHMETIC and v.kind == "shared" and v.size <= 1):
            memo[v] = all(is_inline(i, memo) for i in v.inputs)
        else:
            memo[v] = False
    return memo[v]


def is_outer_product(v: Value) -> bool:
    """Whether v is batch_sum of a product whose last axis belongs to one operand alone: a weight's gradient."""
    c = v.inputs[0] if v.primitive is batch_sum else v
    if c is v or c.primitive is not contract_of or not v.shape:
        return c is not v and c.primitive is winograd_slopes
    return all(through_views(i).kind == "sample" for i in c.inputs) and rows_operand(c) is not None


def through_views(v: Value) -> Value:
    while v.primitive in VIEWS:
        (v,) = v.inputs
    return v


def rows_operand(c: Value) -> int | None:
    """Which operand of a contraction alone has the result's last letter, and has it last."""
    a, b, out = parse(c.attributes["spec"])
    for k, (own, other) in enumerate(((a, b), (b, a))):
        if own and out and own[-1] == out[-1] and out[-1] not in other:
            return k
    return None


def summed_scatter(v: Value) -> Value | None:
    """The scatter that gives a shared table: v itself, or what v is the sum over samples of."""
    s = v.inputs[0] if v.primitive is batch_sum else v
    if s.primitive is not scatter_of or v.kind != "shared" or not s.size or 8 * s.size // s.shape[0] > MAX_ROW_BYTES:
        return None
    return None if through_views(s.inputs[0]).primitive is sample_index else s
