"""How much work a program is, and how many threads it is worth. Imports graph and ops."""

from __future__ import annotations

from collections.abc import Iterable

from ....graph import Value
from ....ops.contract import contract_of, parse
from ....ops.conv import over_windows
from ....ops.loop import scan_of
from ....ops.reduce import batch_count, batch_sum, sample_index
from ....ops.winograd import winograd_product
from ....passes.winograd import fits
from ....program import Program
from .image_layout import image_windows

PART_ELEMENTS = 4096  # of a block, at least, in each part that a thread may take
PARTS = 16


def parts_of(axis: int, elements: int) -> int:
    """Into how many parts an axis is cut, where a block is shared between threads."""
    return max(1, min(PARTS, axis, elements // PART_ELEMENTS))


# What one sample costs beside its multiplications, and a block of samples, in as many of them; and a weight to be read.
# LeNet-5 took 20 us for one and 131 for 2 to 16; 784-1024-10 46 and 290; ResNet-18 11.5 ms and 163.
SAMPLE_COST, BLOCK_COST, WEIGHT_COST = 1_500_000, 5_000_000, 3
MIN_WORK = 30_000  # multiplications of a sample, with fewer there is nothing to gain
TILE_GAIN = 9 / 4  # how many fewer multiplications tiles of samples take


def max_one_by_one(program: Program, width: int) -> int:
    """Of how many samples at most it is better to compute one after the other than all in lanes, mostly empty ones.

    By an estimate and not by the clock, so that the same call has the same result. A program that sums over samples or
    numbers them needs them together.
    """
    together = any(v.primitive in (batch_sum, batch_count, sample_index) for v in program.order)
    if together or any(v.kind != "sample" for v in program.outputs.values()):
        return 1
    whole, tiled = work(program), sum(multiplications(v) for v in program.order if fits(v))
    if whole < MIN_WORK:
        return 1
    one = whole + WEIGHT_COST * sum(v.size for v in program.state.values()) + SAMPLE_COST
    return min(width - 1, int((width * (whole - tiled + tiled / TILE_GAIN) + BLOCK_COST) / one))


SMALL_WORK = 8_000_000  # multiplications in a step under which sharing it costs more than it gains
PART_WORK, PART_BYTES = 1_000_000, 768 << 10  # of a program for one sample, that are worth a thread


def work(program: Program) -> int:
    """Multiplications and other operations for one sample, roughly."""
    return operations(program.order)


def operations(order: Iterable[Value]) -> int:
    """Of these Values, for one sample."""
    total = 0
    for v in order:
        if v.primitive is scan_of:
            total += v.attributes["length"] * operations(v.attributes["body"].order)
        else:
            total += multiplications(v) if v.primitive is contract_of else v.size
    return total


def divisible(program: Program) -> bool:
    """Whether most of the work is done by nests that share blocks of samples."""
    return any(over_windows(v) or image_windows(v) is not None for v in program.order)


def useful_threads(work: int, weights: int) -> int:
    """As many as may help with one sample, by its work and the bytes of its weights.

    Such a run takes as long as reading its weights, and two caches hold what one does not: 3.2 MB took 78 us on one
    thread, 18 on two.
    """
    return max(1, work // PART_WORK, weights // PART_BYTES)


def multiplications(v) -> int:
    """Of a contraction: the product of the lengths of all its letters; for tiles, what it would be without them."""
    if v.primitive is winograd_product:
        return v.size * v.inputs[1].shape[0] * 9
    a, b, _ = parse(v.attributes["spec"])
    n = 1
    for length in dict(zip(a + b, v.inputs[0].shape + v.inputs[1].shape, strict=True)).values():
        n *= length
    return n
