"""Threads that run compiled programs: as many as the process may use, kept alive, pinned while a program runs."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ...graph import Program
from ...ops.contract import contract_of, parse
from . import driver

SMALL_WORK = 400_000  # multiplications in a step under which sharing it costs more than it gains
BRIEF_WORK = 100_000_000  # multiplications in a run that is over before anybody presses Ctrl-C


def available() -> int:
    """Processors that this process may use: PELLUCID_THREADS, else affinity and the container's quota."""
    if asked := os.environ.get("PELLUCID_THREADS"):
        return max(1, int(asked))
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            count = min(count, max(1, int(quota) // int(period)))
    return count


def work(program: Program) -> int:
    """Multiplications and other operations for one sample, roughly."""
    return sum(_multiplications(v) if v.primitive is contract_of else v.size for v in program.order)


def threads_for(work: int, batch: int, width: int) -> int:
    """Threads for a step of that much work a sample: one where it is too small to share."""
    return 1 if work * batch < SMALL_WORK else min(available(), max(1, -(-batch // width)))


def _multiplications(v) -> int:
    a, b, _ = parse(v.attributes["spec"])
    n = 1
    for length in dict(zip(a + b, v.inputs[0].shape + v.inputs[1].shape, strict=True)).values():
        n *= length
    return n


class Pool:
    """Worker threads of the process, made when first needed; a forked child starts with none."""

    workers: list[queue.SimpleQueue] = []
    lock = threading.Lock()
    process = -1

    @classmethod
    def run(cls, function: Callable, table: np.ndarray, info: np.ndarray, threads: int, brief: bool,
            watch: Callable | None = None) -> None:  # fmt: skip
        """``function(table, info, thread)`` on each of the threads.

        A ``brief`` run takes the calling thread as one of them. Otherwise the caller only waits, calling ``watch`` ten
        times a second, so that it hears Ctrl-C; then the threads are asked to stop after their step.
        """
        arguments = table.ctypes.data, info.ctypes.data
        if brief and threads == 1:
            function(*arguments, 0)
            return
        with cls.lock:
            done: queue.SimpleQueue = queue.SimpleQueue()
            others = range(1, threads) if brief else range(threads)
            cls._ensure(len(others))
            for worker, thread in zip(cls.workers, others, strict=False):
                worker.put((function, arguments, thread, threads, done))
            waiting = len(others)
            try:
                if brief:
                    with pinned(0, threads):
                        function(*arguments, 0)
                while waiting:
                    waiting -= cls._wait(done, watch)
            except BaseException:
                info[driver.STOP] = 1
                while waiting:
                    done.get()
                    waiting -= 1
                raise

    @staticmethod
    def _wait(done: queue.SimpleQueue, watch: Callable | None) -> int:
        """1 when a thread is done, 0 after a tenth of a second."""
        try:
            done.get(timeout=0.1)
            return 1
        except queue.Empty:
            if watch is not None:
                watch()
            return 0

    @classmethod
    def _ensure(cls, count: int) -> None:
        if cls.process != os.getpid():
            cls.workers, cls.process = [], os.getpid()
        while len(cls.workers) < count:
            tasks: queue.SimpleQueue = queue.SimpleQueue()
            threading.Thread(target=_work, args=(tasks,), daemon=True, name="pellucid").start()
            cls.workers.append(tasks)


def _work(tasks: queue.SimpleQueue) -> None:
    while True:
        function, arguments, thread, threads, done = tasks.get()
        with pinned(thread, threads):
            function(*arguments, thread)
        done.put(thread)


@contextlib.contextmanager
def pinned(thread: int, threads: int):
    """Keep the calling thread on a processor of its own meanwhile, where the system can."""
    if threads == 1 or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    processors = sorted(before)
    if threads > len(processors):
        yield
        return
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, {processors[thread]})
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, before)
