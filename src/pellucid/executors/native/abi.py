"""The numbers that a run and its machine code tell each other, and memory as the code wants it. Imports numpy."""

from __future__ import annotations

import numpy as np

# places in info, 64-bit numbers; those that threads wait on have a cache line to themselves
ROWS, BATCH, THREADS, STOP, ERROR, STEPS, GO, WATCH, FAILED, TOTALS = range(10)
COUNT, GENERATION, LENGTH = 16, 32, 48
SPINS = 4000  # turns of a waiting thread before it lets others have the processor
ALIGN = 64


def aligned(size: int, dtype: str) -> np.ndarray:
    """Zeros that begin at a multiple of a vector's length."""
    kind = np.dtype("uint8" if dtype == "bool" else dtype)
    space = np.zeros(size * kind.itemsize + 2 * ALIGN + 256, np.uint8)
    first = -space.ctypes.data % (2 * ALIGN)
    return space[first : first + size * kind.itemsize].view(kind)
