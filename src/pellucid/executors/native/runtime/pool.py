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
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from .. import abi
from ..abi import aligned
from . import handover

BRIEF_WORK = 100_000_000  # multiplications in a run that is over before anybody presses Ctrl-C
MAX_WORKERS = 64  # threads of a run that is handed over
CLOSE, CROWDED = 0.001, 0.1  # seconds: runs that follow each other closely; how long a meeting of two is remembered


class Worker:
    """A thread of the process, which does tasks from a queue; after some it lingers for runs that are handed over."""

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
            worker.put(functools.partial(pin_briefly, thread, threads), linger=True)
        pin_briefly(0, threads)
        cls.idle += workers

    @classmethod
    def _share(cls, function, arguments, info, threads: int, brief: bool, watch: Callable | None) -> None:
        """Returns or raises only when all threads are done: they use the caller's memory."""
        done: queue.SimpleQueue = queue.SimpleQueue()

        def part(thread: int) -> None:
            pin_briefly(thread, threads)
            function(*arguments, thread)
            done.put(thread)

        others = range(1, threads) if brief else range(threads)
        if brief:
            handover.functions()  # made by this thread: the process may end while a worker is at it
        workers = [cls._worker() for _ in others]
        for worker, thread in zip(workers, others, strict=True):
            worker.put(functools.partial(part, thread), linger=brief)
        if brief:
            pin_briefly(0, threads)
            function(*arguments, 0)
        waiting, error = len(workers), None
        while waiting:
            try:
                waiting -= cls._wait(done, watch if error is None else None)
            except BaseException as e:
                info[abi.STOP], error = 1, e
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
            if number >= MAX_WORKERS:
                return Worker(np.zeros(handover.BOX, np.int64))
            cls.count = number + 1
            return Worker(cls.boxes[number])

    @classmethod
    def forget(cls) -> None:
        """In a forked child: the threads are not there, and nobody will open the lock."""
        cls.idle, cls.lock, cls.numbers, cls.count = [], threading.Lock(), itertools.count(), 0
        cls.boxes = aligned(MAX_WORKERS * handover.BOX, "int64").reshape(MAX_WORKERS, -1)
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
        info[abi.STOP] = 1
        caught.append(arguments)

    signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if caught:
        before(*caught[0])


def pin_briefly(thread: int, threads: int) -> None:
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
