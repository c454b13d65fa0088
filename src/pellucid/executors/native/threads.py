"""Threads that run compiled programs: as many as the process may use, kept alive, spread over the processors."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np

from ...graph import Program
from ...ops.contract import contract_of, parse
from ...ops.winograd import winograd_product
from ..binding import as_threads
from . import driver
from .nests import PARTS
from .plan import over_windows

SMALL_WORK = 8_000_000  # multiplications in a step under which sharing it costs more than it gains
BRIEF_WORK = 100_000_000  # multiplications in a run that is over before anybody presses Ctrl-C


def available() -> int:
    """Processors that this process may use: PELLUCID_THREADS, else affinity and the container's quota."""
    if asked := os.environ.get("PELLUCID_THREADS"):
        return as_threads(asked, "PELLUCID_THREADS") or 1
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            count = min(count, max(1, int(quota) // int(period)))
    return count


def work(program: Program) -> int:
    """Multiplications and other operations for one sample, roughly."""
    return sum(multiplications(v) if v.primitive in (contract_of, winograd_product) else v.size for v in program.order)


def threads_for(work: int, batch: int, width: int, divisible: bool = False) -> int:
    """Threads for a step of that much work a sample: one where it is too small to share.

    There are not more than blocks of samples, unless the blocks themselves are ``divisible``.
    """
    blocks = max(1, -(-batch // width))
    return 1 if work * batch < SMALL_WORK else min(available(), blocks * (PARTS if divisible else 1))


def divisible(program: Program) -> bool:
    """Whether most of the work is done by nests that share blocks of samples."""
    return any(over_windows(v) or v.primitive is winograd_product for v in program.order)


def multiplications(v) -> int:
    """Of a contraction: the product of the lengths of all its letters; for tiles, what it would be without them."""
    if v.primitive is winograd_product:
        return v.size * v.inputs[1].shape[0] * 9
    a, b, _ = parse(v.attributes["spec"])
    n = 1
    for length in dict(zip(a + b, v.inputs[0].shape + v.inputs[1].shape, strict=True)).values():
        n *= length
    return n


class Pool:
    """Worker threads of the process, made when first needed; a forked child starts with none."""

    idle: ClassVar[list[queue.SimpleQueue]] = []
    lock = threading.Lock()  # one run of several threads at a time

    @classmethod
    def run(cls, function: Callable, table: np.ndarray, info: np.ndarray, threads: int, brief: bool,
            watch: Callable | None = None) -> BaseException | None:  # fmt: skip
        """``function(table, info, thread)`` on each of the threads.

        A ``brief`` run takes the calling thread as one of them. Otherwise the caller only waits, calling ``watch`` ten
        times a second. Ctrl-C or an error of ``watch`` ends the run after a step, and is returned.
        """
        arguments = table.ctypes.data, info.ctypes.data
        if brief and threads == 1:
            function(*arguments, 0)
            return None
        try:
            with cls.lock if threads > 1 else contextlib.nullcontext(), stopped_by_interrupt(info):
                cls._share(function, arguments, info, threads, brief, watch)
        except BaseException as interruption:
            return interruption
        return None

    @classmethod
    def _share(cls, function, arguments, info, threads: int, brief: bool, watch: Callable | None) -> None:
        """Returns or raises only when all threads are done: they use the caller's memory."""
        done: queue.SimpleQueue = queue.SimpleQueue()
        others = range(1, threads) if brief else range(threads)
        workers = [cls._worker() for _ in others]
        for worker, thread in zip(workers, others, strict=True):
            worker.put((function, arguments, thread, threads, done))
        if brief:
            place(0, threads)
            function(*arguments, 0)
        waiting, error = len(workers), None
        while waiting:
            try:
                waiting -= cls._wait(done, watch if error is None else None)
            except BaseException as e:
                info[driver.STOP], error = 1, e
        cls.idle += workers
        if error is not None:
            raise error

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
    def _worker(cls) -> queue.SimpleQueue:
        try:
            return cls.idle.pop()
        except IndexError:
            tasks: queue.SimpleQueue = queue.SimpleQueue()
            threading.Thread(target=_work, args=(tasks,), daemon=True, name="pellucid").start()
            return tasks

    @classmethod
    def forget(cls) -> None:
        """In a forked child: the threads are not there, and nobody will open the lock."""
        cls.idle, cls.lock = [], threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=Pool.forget)


def _work(tasks: queue.SimpleQueue) -> None:
    while True:
        function, arguments, thread, threads, done = tasks.get()
        place(thread, threads)
        function(*arguments, thread)
        done.put(thread)


@contextlib.contextmanager
def stopped_by_interrupt(info: np.ndarray):
    """Ctrl-C asks the threads to stop after their step; only when they have, it is handled as ever."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    caught: list = []

    def handler(*arguments) -> None:
        info[driver.STOP] = 1
        caught.append(arguments)

    signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if caught:
        before(*caught[0])


def place(thread: int, threads: int) -> None:
    """Begin on a processor of its own, where the system can tell: two threads that wait for each other on one are slow.

    The thread is not kept there: on a busy machine the system then moves it away from other work. (Kept there beside a
    busy process, a step of 784-1024-10 took 2.7 ms instead of 1.3.)
    """
    if threads == 1 or not hasattr(os, "sched_setaffinity"):
        return
    allowed = os.sched_getaffinity(0)
    if threads <= len(allowed):
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, {sorted(allowed)[thread]})
            os.sched_setaffinity(0, allowed)
