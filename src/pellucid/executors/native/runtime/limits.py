"""How many threads may compute: processors, the container's quota, PELLUCID_THREADS."""

from __future__ import annotations

import contextlib
import functools
import os
from pathlib import Path

from .... import settings
from ..plan.work import PARTS, SMALL_WORK


def available() -> int:
    """Threads that may compute: PELLUCID_THREADS, else as many as there are processors."""
    return environment() or processors()


def environment() -> int | None:
    """What PELLUCID_THREADS says; None where it says nothing."""
    return settings.THREADS.get()


def processors() -> int:
    """Processors that this process may use: affinity, and the container's quota."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(count, quota() or count)


@functools.cache
def quota() -> int | None:
    with contextlib.suppress(OSError, ValueError):
        share, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if share != "max":
            return max(1, int(share) // int(period))
    return None


def threads_for(work: int, batch: int, width: int, divisible: bool = False) -> int:
    """Threads for a step of that much work a sample: one where it is too small to share.

    There are not more than blocks of samples, unless the blocks themselves are ``divisible``.
    """
    blocks = max(1, -(-batch // width))
    return 1 if work * batch < SMALL_WORK else min(available(), blocks * (PARTS if divisible else 1))
