"""Whether what a plan reads and writes lies where it should: checked before any machine code is written.

A Value's index maps are affine, so the least and the largest place that an operation asks its input for are known, and
so is the memory that each stored Value has. What options say has been checked by the rules in `ops`; this is checked
once more here, since a mistake would be a read or write of somebody else's memory. Imports graph, ops and the plan.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from ....errors import PellucidError
from ....graph import Shape, Value
from ....ops.conv import windows_of
from ....ops.movement import broadcast, flip_axes, pad_with, reshape_to, slice_of, transpose_of
from ....ops.reduce import to_samples
from ....program import Program

if TYPE_CHECKING:
    from ..build.loops import Loop
    from .buffer import Buffer
    from .planner import Plan


class OutOfBounds(PellucidError, RuntimeError):
    """The native executor would have read or written beyond the memory of a value: a mistake of its own."""

    def __init__(self, what: str) -> None:
        super().__init__(f"internal error of the native executor, nothing was run: {what}; "
                         "executor='reference' computes the same without machine code")  # fmt: skip


def check_maps(order: Iterable[Value]) -> None:
    """Raise `OutOfBounds` where an operation that is but another index asks for what its input does not have."""
    for v in order:
        for least, most, n in reached(v):
            if least < 0 or most >= n:
                (x,) = v.inputs
                raise OutOfBounds(f"{v!r} reads places {least}..{most} of an axis of {n} of {x!r}")


def reached(v: Value) -> Iterator[tuple[int, int, int]]:
    """The least and the largest index along each axis of the input that a view of it reads, and the axis' length."""
    if v.primitive not in MAPS or not v.size:
        return
    (x,) = v.inputs
    spans = MAPS[v.primitive](v, x)
    if len(spans) != x.ndim:
        raise OutOfBounds(f"{v!r} reads {len(spans)} axes of {x!r}")
    for (least, most), n in zip(spans, x.shape, strict=True):
        yield least, most, n


def _slice(v: Value, x: Value):
    a = v.attributes
    return [_span(start, (m - 1) * step) for start, step, m in zip(a["starts"], a["steps"], v.shape, strict=True)]


def _span(start: int, way: int) -> tuple[int, int]:
    return min(start, start + way), max(start, start + way)


def _transpose(v: Value, x: Value):
    lengths = dict(zip(v.attributes["axes"], v.shape, strict=True))
    return [(0, lengths[k] - 1) for k in range(-x.ndim, 0)]


def _windows(v: Value, x: Value):
    a = v.attributes
    rank = len(a["kernel"])
    lead, counts, inside = v.shape[: -2 * rank], v.shape[-2 * rank : -rank], v.shape[-rank:]
    ways = [((n - 1) * s, (k - 1) * d)
            for n, k, s, d in zip(counts, inside, a["strides"], a["dilations"], strict=True)]  # fmt: skip
    return [*((0, n - 1) for n in lead), *((min(p, 0) + min(i, 0), max(p, 0) + max(i, 0)) for p, i in ways)]


def _pad(v: Value, x: Value):
    """What a place inside its padding is for; the places themselves are asked for one by one."""
    a = v.attributes
    each = zip(a["low"], a["interior"], a["high"], v.shape, x.shape, strict=True)
    return [(min(low, gap, high, 0), n - 1 if m == low + high + n + max(n - 1, 0) * gap else n)
            for low, gap, high, m, n in each]  # fmt: skip


MAPS = {
    slice_of: _slice,
    transpose_of: _transpose,
    windows_of: _windows,
    pad_with: _pad,
    flip_axes: lambda v, x: [(0, n - 1) for n in v.shape],
    to_samples: lambda v, x: [(0, n - 1) for n in v.shape],
    broadcast: lambda v, x: [(0, 0 if n == 1 else m - 1) for n, m in zip(x.shape, v.shape, strict=True)],
    reshape_to: lambda v, x: [(0, n - 1 if v.size == x.size else n) for n in x.shape],
}


def check_memory(plan: Plan, buffers: Mapping[Value, Buffer], loops: Iterable[Loop]) -> None:
    """Raise `OutOfBounds` where a stored Value has less memory than it takes, or is not as it is asked for."""
    _check_program(plan.program, plan, buffers)
    for loop in loops:
        n = loop.steps.count
        _check_program(loop.plan.program, loop.plan, buffers, {*loop.offsets, *loop.given})
        for v, offset in loop.offsets.items():
            if not 0 <= offset <= 1 or (n + offset) * v.size > buffers[v].size:
                raise OutOfBounds(f"{v!r} lies in memory of {buffers[v].size} elements, from place {offset} on for "
                                  f"{n} steps")  # fmt: skip
        for group, place in loop.starts:
            for v in group.stores:
                if not place >= 0 or (place + 1) * v.size > buffers[v].size:
                    raise OutOfBounds(f"{v!r} begins at place {place} of {buffers[v].size} elements")
        for leaf, (v, each) in loop.given.items():
            if v.shape != (n, *leaf.shape)[not each :]:
                raise OutOfBounds(f"a step of {n} reads {leaf!r} of {v!r}")


def _check_program(
    program: Program, plan: Plan, buffers: Mapping[Value, Buffer], elsewhere: Iterable[Value] = ()
) -> None:
    check_maps(program.order)
    for v in {*program.order} - {*elsewhere}:
        if v in plan.padding:
            m = plan.padding[v]
            if any(low < 0 or low + n > length for low, n, length in zip(m.low, v.shape, m.shape, strict=True)):
                raise OutOfBounds(f"{v!r} does not lie within its padding, {m.low} of {m.shape}")
        if v in plan.concat_parts:
            part = plan.concat_parts[v]
            if part.start < 0 or part.start + v.shape[part.axis] > part.whole.shape[part.axis]:
                raise OutOfBounds(f"{v!r} does not lie within {part.whole!r}")
        if v in buffers and _elements(v, plan) > buffers[v].size:
            raise OutOfBounds(f"{v!r} lies in memory of {buffers[v].size} elements")
    for v in plan.padded:
        (x,), a = v.inputs, v.attributes
        m = plan.padding[x]
        for low, high, n, before, length in zip(a["low"], a["high"], x.shape, m.low, m.shape, strict=True):
            if low > before or before + n + high > length:
                raise OutOfBounds(f"{v!r} is padded by more than the padding of {x!r}")


def _elements(v: Value, plan: Plan) -> int:
    shape: Shape = v.shape
    if v in plan.padding:
        shape = plan.padding[v].shape
    if v in plan.concat_parts:
        shape = plan.concat_parts[v].whole.shape
    return math.prod(shape)
