"""Epoch after epoch on the same arrays: steps made ready, so that a call looks only at what may differ."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import numpy as np

from .. import abi
from .executable import Executable
from .pool import BRIEF_WORK, Pool
from .workspace import Workspace

MAX_STATE_BYTES = 1 << 20  # with more, copies take longer than all that is saved (a 4-100-3 net: 75 us a call)


class PreparedSteps:
    """``run.steps`` on these arrays, for any order of as many rows, and any state.

    The machine code works on copies of state and order that stay where they are, so that no address is asked for again.
    Of the caller's arrays there are weak references.
    """

    def __init__(
        self,
        executable: Executable,
        workspace: Workspace,
        state: Mapping[str, np.ndarray],
        arrays: Mapping[str, np.ndarray],
        info: np.ndarray,
        watch: str | None,
    ) -> None:
        """``info``: the numbers that these steps begin with."""
        self.executable, self.workspace, self.function = executable, workspace, executable.function
        self.watch, self.start, self.info = watch, info, info.copy()
        self.batch, self.threads, n = int(info[abi.BATCH]), int(info[abi.THREADS]), int(info[abi.ROWS])
        self.arrays = {name: weakref.ref(arrays[name]) for name in executable.built.raw | executable.built.shared}
        self.state = {name: np.array(a, order="C") for name, a in state.items()}
        self.rows = min(len(arrays[name]) for name in arrays)
        self.order, self.totals = np.empty(n, np.int64), np.zeros(executable.totals_length)
        self.table = workspace.table(self.order, self.totals, self.info, self.state, arrays)
        self.addresses = workspace.addresses
        self.brief = executable.work * n < BRIEF_WORK

    def fits(self, arrays: Mapping[str, Any], rows: np.ndarray | None, batch: int, watch: str | None) -> bool:
        """Whether these are the arrays and numbers that it was made for."""
        return (
            batch == self.batch
            and watch == self.watch
            and type(rows) is np.ndarray
            and rows.dtype == np.int64
            and rows.shape == self.order.shape
            and self.workspace.addresses is self.addresses
            and all(known() is arrays.get(name) for name, known in self.arrays.items())
        )

    def run(
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
        self.totals.fill(0)
        report = None if on_step is None else lambda: on_step(min(int(self.info[abi.STEPS]) * self.batch, n))
        interruption = Pool.run(self.function, self.table, self.info, self.threads, self.brief, report)
        if self.info[abi.FAILED] or self.info[abi.ERROR]:
            return None
        for name in self.executable.updated:
            state[name] = self.state[name].copy()
        if interruption is not None:
            raise interruption
        if on_step is not None:
            on_step(n)
        return self.executable.by_name(self.totals.copy())


def can_prepare(state: Mapping[str, np.ndarray], arrays: Mapping[str, np.ndarray], read: Mapping[str, Any]) -> bool:
    """Whether the arrays are read as they lie (``read`` is what is read for each), and the state is small."""
    as_they_lie = all(read.get(name) is a and a.flags.c_contiguous and a.flags.aligned for name, a in arrays.items())
    return as_they_lie and sum(a.nbytes for a in state.values()) <= MAX_STATE_BYTES
