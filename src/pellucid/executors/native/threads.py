"""Threads that run compiled programs: as many as the process may use, kept alive, spread over the processors."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar

import numpy as np

from ...graph import Program, Value
from ...ops.contract import contract_of, parse
from ...ops.conv import over_windows
from ...ops.loop import scan_of
from ...ops.winograd import winograd_product
from ..binding import as_threads
from . import driver, handover
from .machine import aligned
from .nests import PARTS
from .planes import image_windows

SMALL_WORK = 8_000_000  # multiplications in a step under which sharing it costs more than it gains
BRIEF_WORK = 100_000_000  # multiplications in a run that is over before anybody presses Ctrl-C
PART_WORK, PART_BYTES = 1_000_000, 768 << 10  # of a program for one sample, that are worth a thread
MOST = 64  # threads of a run that is handed over
CLOSE, CROWDED = 0.001, 0.1  # seconds: runs that follow each other closely; how long a meeting of two is remembered


def available() -> int:
    """Threads that may compute: PELLUCID_THREADS, else as many as there are processors."""
    return environment() or processors()


def environment() -> int | None:
    asked = os.environ.get("PELLUCID_THREADS")
    return as_threads(asked, "PELLUCID_THREADS") if asked else None


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


def threads_for(work: int, batch: int, width: int, divisible: bool = False) -> int:
    """Threads for a step of that much work a sample: one where it is too small to share.

    There are not more than blocks of samples, unless the blocks themselves are ``divisible``.
    """
    blocks = max(1, -(-batch // width))
    return 1 if work * batch < SMALL_WORK else min(available(), blocks * (PARTS if divisible else 1))


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


class Worker:
    """A thread of the process, which does tasks from a queue; behind some it lingers for runs that are handed over."""

    def __init__(self, box: np.ndarray) -> None:
        self.tasks: queue.SimpleQueue = queue.SimpleQueue()
        self.box = box
        threading.Thread(target=self._work, daemon=True, name="pellucid").start()

    def put(self, task: Callable[[], None], linger: bool) -> None:
        self.tasks.put((task, linger))
        self.box[handover.LEAVE] = 1  # only now: it is taken back before the queue is looked into

    def _work(self) -> None:
        while True:
            task, linger = self.tasks.get()
            self.box[handover.LEAVE] = 0
            task()
            del task
            if linger and self.tasks.empty():
                handover.functions()[0](self.box.ctypes.data)


class Pool:
    """Worker threads of the process, made when first needed; a forked child starts with none."""

    idle: ClassVar[list[Worker]] = []
    lock = threading.Lock()  # one run of several threads at a time
    boxes: np.ndarray  # of the first workers,
    address: int  # where they lie,
    count: int  # how many are in use
    numbers: itertools.count
    last = called = crowded = 0.0  # when a short run wanted workers, called them, met another run

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
            with cls.lock if threads > 1 else contextlib.nullcontext():
                if not (brief and cls.count and cls.hand_over(function, *arguments, threads, least=threads)):
                    with stopped_by_interrupt(info):
                        cls._share(function, arguments, info, threads, brief, watch)
        except BaseException as interruption:
            return interruption
        return None

    @classmethod
    def run_short(cls, function: Callable, table: int, info: int, threads: int) -> None:
        """``function(table, info, thread)``, for microseconds of work: on as many threads as linger now.

        Where they are too few, they are called for the runs to come, if runs follow each other closely. While several
        threads of Python run programs, each computes alone. ``table`` and ``info`` are addresses; info says one thread.
        """
        ran, now = 0, time.monotonic()
        if threads > 1 and now - cls.crowded > CROWDED:
            if cls.lock.acquire(blocking=False):
                try:
                    ran = cls.hand_over(function, table, info, threads, least=1)
                    if ran < threads and now - cls.last < CLOSE < now - cls.called:
                        cls.called = now
                        cls._call(threads)
                finally:
                    cls.lock.release()
                cls.last = now
            else:
                cls.crowded = now
        if not ran:
            function(table, info, 0)

    @classmethod
    def hand_over(cls, function: Callable, table: int, info: int, threads: int, least: int) -> int:
        """As many threads as were there have run it; none, if they were fewer than ``least``."""
        return handover.functions()[1](function, table, info, cls.address, cls.count, threads, least)

    @classmethod
    def _call(cls, threads: int) -> None:
        """Let workers linger, each on a processor of its own."""
        workers = [cls._worker() for _ in range(1, threads)]
        for thread, worker in enumerate(workers, 1):
            worker.put(functools.partial(place, thread, threads), linger=True)
        place(0, threads)
        cls.idle += workers

    @classmethod
    def _share(cls, function, arguments, info, threads: int, brief: bool, watch: Callable | None) -> None:
        """Returns or raises only when all threads are done: they use the caller's memory."""
        done: queue.SimpleQueue = queue.SimpleQueue()

        def part(thread: int) -> None:
            place(thread, threads)
            function(*arguments, thread)
            done.put(thread)

        others = range(1, threads) if brief else range(threads)
        if brief:
            handover.functions()  # made by this thread: the process may end while a worker is at it
        workers = [cls._worker() for _ in others]
        for worker, thread in zip(workers, others, strict=True):
            worker.put(functools.partial(part, thread), linger=brief)
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
    def _worker(cls) -> Worker:
        try:
            return cls.idle.pop()
        except IndexError:
            number = next(cls.numbers)
            if number >= MOST:
                return Worker(np.zeros(handover.BOX, np.int64))
            cls.count = number + 1
            return Worker(cls.boxes[number])

    @classmethod
    def forget(cls) -> None:
        """In a forked child: the threads are not there, and nobody will open the lock."""
        cls.idle, cls.lock, cls.numbers, cls.count = [], threading.Lock(), itertools.count(), 0
        cls.boxes = aligned(MOST * handover.BOX, "int64").reshape(MOST, -1)
        cls.address = cls.boxes.ctypes.data


Pool.forget()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=Pool.forget)


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
