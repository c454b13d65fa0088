"""The memory that one run of a program computes in, and the table of addresses that the machine code reads."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import abi
from ..abi import aligned
from ..plan.buffer import Buffer
from .executable import Executable


class Workspace:
    """Memory for all values of a step. One run at a time uses it, which holds its ``lock`` meanwhile."""

    def __init__(self, executable: Executable) -> None:
        self.executable = executable
        self.arrays: dict[Buffer, np.ndarray] = {}
        self.given: dict[Buffer, np.ndarray] = {}  # outputs of the last run
        self.addresses = np.zeros(0, np.uintp)
        self.blocks = -1
        self._lock, self._process = threading.Lock(), os.getpid()

    @property
    def lock(self) -> threading.Lock:
        """In a forked child a new one: nobody there would open one that was closed."""
        if self._process != os.getpid():
            self._lock, self._process = threading.Lock(), os.getpid()
        return self._lock

    def reserve(self, batch: int) -> None:
        """Memory for the values of a batch of this size; kept for the next run."""
        built, blocks = self.executable.built, self.executable.blocks(batch)
        if blocks == self.blocks:
            return
        self.blocks = -1  # until all is there
        self.arrays = {}
        for slot in built.slots:
            space = aligned(self.executable.bytes(slot, blocks), "uint8")
            for b in slot.buffers:
                kind = np.dtype("uint8" if b.dtype == "bool" else b.dtype)
                self.arrays[b] = space[: self.executable.length(b, blocks) * kind.itemsize].view(kind)
                if b.padding is not None and b.padding.number:
                    self.arrays[b].fill(b.padding.number)
        self.addresses = np.zeros(len(built.table), np.uintp)
        for buffer, array in self.arrays.items():
            self.addresses[built.table[buffer]] = array.ctypes.data
        self.blocks = blocks

    def new_outputs(self) -> None:
        """New memory for the outputs that are given to the caller as they lie."""
        length, blocks = self.executable.length, self.blocks
        self.given = {b: np.empty(length(b, blocks), b.dtype) for b in self.executable.built.given.values()}

    def table(
        self,
        order: np.ndarray,
        totals: np.ndarray,
        info: np.ndarray,
        state: Mapping[str, np.ndarray],
        inputs: Mapping[str, np.ndarray],
    ) -> np.ndarray:
        """The addresses of these arrays, and of all other memory that the machine code uses."""
        built, table = self.executable.built, self.addresses.copy()
        held: dict[Any, np.ndarray] = {built.order: order, built.totals: totals, built.error: info[abi.ERROR :]}
        held |= self.executable.constants
        held |= self.given
        held |= {buffer: state[name] for name, buffer in built.state.items() if name in state}
        for buffers in (built.raw, built.shared):
            held |= {buffer: inputs[name] for name, buffer in buffers.items()}
        for target, array in held.items():
            if target is not None:
                table[built.table[target]] = array.ctypes.data
        return table

    def output(self, name: str, n: int) -> np.ndarray:
        """An output of the last run, which had ``n`` samples."""
        v, built = self.executable.program.outputs[name], self.executable.built
        if name in built.given:
            return self.given[built.given[name]][: n * v.size].reshape(n, *v.shape)
        buffer = built.outputs[name]
        memory = self.arrays[buffer]
        if v.kind == "shared":
            result = memory[: v.size].reshape(v.shape).copy()
        else:  # (blocks, elements, lanes) -> (samples, elements)
            blocks, width = self.blocks, self.executable.host.width
            lanes = memory[: blocks * buffer.stride * width].reshape(blocks, buffer.stride, width)[:, : v.size]
            result = lanes.transpose(0, 2, 1).reshape(blocks * width, v.size)[:n].reshape(n, *v.shape).copy()
        return result.astype(bool) if v.dtype == "bool" else result
