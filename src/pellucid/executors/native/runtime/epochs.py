"""Epoch after epoch on the same arrays: steps made ready, so that a call looks only at what may differ."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import abi
from .pool import BRIEF_WORK, Pool

if TYPE_CHECKING:
    from .run import Run

MOST_BYTES = 1 << 20  # of state: with more, its copies take longer than all that is saved (a 4-100-3 net: 75 us a call)


class Steady:
    """``run.steps`` on these arrays, for any order of as many rows, and any state.

    The machine code works on copies of state and order that stay in one place, so that no address is asked for again.
    Of the caller's arrays there are weak references.
    """

    def __init__(
        self,
        run: Run,
        state: Mapping[str, np.ndarray],
        arrays: Mapping[str, np.ndarray],
        n: int,
        batch: int,
        threads: int,
        watch: str | None,
    ) -> None:
        self.run, self.batch, self.watch, self.threads = run, batch, watch, threads
        self.arrays = {name: weakref.ref(arrays[name]) for name in run.built.raw | run.built.shared}
        self.state = {name: np.array(a, order="C") for name, a in state.items()}
        self.rows = min(len(arrays[name]) for name in arrays)
        self.order, self.totals = np.empty(n, np.int64), np.zeros(run.totals_length)
        self.info = np.zeros(abi.LENGTH, np.int64)
        self.info[abi.ROWS], self.info[abi.BATCH] = n, batch
        self.info[abi.TOTALS] = True
        self.info[abi.WATCH] = run.built.counted.index(watch) if watch is not None else -1
        self.info[abi.TOTALS] = True
        self.start = self.info.copy()
        self.table = run.table(self.order, self.totals, self.info, self.state, arrays)
        self.addresses = run.addresses
        self.brief = run.work * n < BRIEF_WORK

    @staticmethod
    def of(run: Run, state, arrays, given, n: int, batch: int, threads: int, watch: str | None) -> Steady | None:
        """What is made ready where that is possible: the arrays are read as they lie, and the state is small."""
        as_they_lie = all(
            given.get(name) is a and a.flags.c_contiguous and a.flags.aligned for name, a in arrays.items()
        )
        small = sum(a.nbytes for a in state.values()) <= MOST_BYTES
        return Steady(run, state, arrays, n, batch, threads, watch) if as_they_lie and small and n else None

    def fits(self, arrays: Mapping[str, Any], rows: np.ndarray | None, batch: int, watch: str | None) -> bool:
        """Whether these are the arrays and numbers that it was made for."""
        return (
            batch == self.batch
            and watch == self.watch
            and type(rows) is np.ndarray
            and rows.dtype == np.int64
            and rows.shape == self.order.shape
            and self.run.addresses is self.addresses
            and all(known() is arrays.get(name) for name, known in self.arrays.items())
        )

    def on(
        self, state: MutableMapping[str, Any], rows: np.ndarray, on_step: Callable[[int], None] | None
    ) -> dict[str, Any] | None:
        """The sums of the outputs; None, and nothing done, where it needs the longer way, with its words."""
        self.order[...] = rows
        n = len(rows)
        if self.order.min() < 0 or self.order.max() >= self.rows:
            return None
        for name, memory in self.state.items():
            a = state.get(name)
            if type(a) is not np.ndarray or a.dtype != memory.dtype or a.shape != memory.shape:
                return None
            memory[...] = a
        self.info[:] = self.start
        self.info[abi.THREADS] = self.threads
        self.totals.fill(0)
        report = None if on_step is None else lambda: on_step(min(int(self.info[abi.STEPS]) * self.batch, n))
        interruption = Pool.run(self.run.function, self.table, self.info, self.threads, self.brief, report)
        if self.info[abi.FAILED] or self.info[abi.ERROR]:
            return None
        for name in self.run.updated:
            state[name] = self.state[name].copy()
        if interruption is not None:
            raise interruption
        if on_step is not None:
            on_step(n)
        return self.run.by_name(self.totals.copy())
