"""The plan of memory: values of a step that are not needed at the same time lie in the same memory.

A *slot* is memory that buffers of one kind have one after the other, the largest of them giving its size. How long a
buffer needs it is counted in nests, and with regard to threads, which meet only where a phase ends:

- A value of samples in a nest shared by blocks is touched by each thread in its own blocks alone. A thread that is a
  nest ahead of another does no harm then, if all values of the slot divide it among the blocks alike: each has as
  much of it for a block (its *stride*) as the largest needs. (A nest of samples that threads share by units has a
  barrier before and after it.)
- Everything else is touched by any thread at any time of a phase, so it is needed from its beginning to its end.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from .buffer import BYTES, Buffer

ALIKE = 4  # a value has no slot more than this many times its size: its blocks would lie far apart


@dataclass(eq=False)
class Slot:
    """Memory of ``size`` bytes (of one sample, where the buffers are samples'), in use up to nest number ``last``."""

    kind: str
    size: int
    last: int
    buffers: list[Buffer]


def lifetimes(phases: Sequence[Sequence[tuple[Collection[Buffer], bool]]]) -> dict[Buffer, tuple[int, int]]:
    """Numbers of the first and the last nest that need a buffer; of each nest is given what it uses, and whether
    threads share it by blocks of samples."""
    found: dict[Buffer, tuple[int, int]] = {}
    start = 0
    for nests in phases:
        end = start + len(nests) - 1
        for k, (used, by_blocks) in enumerate(nests):
            for b in used:
                first, last = (start + k, start + k) if by_blocks and b.kind == "sample" else (start, end)
                before = found.get(b, (first, last))
                found[b] = min(before[0], first), max(before[1], last)
        start = end + 1
    return found


def same_padding(a: Buffer, b: Buffer) -> bool:
    """Whether one has its padding where the other has it, or neither has any."""
    return a.padding == b.padding and (a.padding is None or a.dtype == b.dtype)


def assign_slots(lives: dict[Buffer, tuple[int, int]], own: Sequence[Buffer], kept: Collection[Buffer]) -> list[Slot]:
    """Slots for the executor's own buffers, and the buffers' strides; ``kept`` are needed after the last nest too.

    In the order in which they are needed, each buffer takes the free slot that fits it best.
    """
    result: list[Slot] = []
    for b in sorted(own, key=lambda b: (lives.get(b, (0, 0))[0], b.number)):
        first, last = lives.get(b, (0, 0))
        size = b.size * BYTES[b.dtype]
        free = [p for p in result if p.kind == b.kind and p.last < first
                and p.size <= ALIKE * size <= ALIKE**2 * p.size and same_padding(p.buffers[0], b)]  # fmt: skip
        slot = min(free, key=lambda p: (p.size < size, abs(p.size - size)), default=None)
        if slot is None:
            slot = Slot(b.kind, 0, 0, [])
            result.append(slot)
        slot.buffers.append(b)
        slot.size = max(slot.size, size)
        slot.last = last if b not in kept else 1 << 40
    for p in result:
        if p.kind == "sample":
            largest = max(BYTES[b.dtype] for b in p.buffers)
            p.size = -(-p.size // largest) * largest
            for b in p.buffers:
                b.stride = p.size // BYTES[b.dtype]
    return result
