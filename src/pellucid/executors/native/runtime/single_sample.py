"""One sample, again and again: a program without updates made ready, so that a call looks only at what may differ."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np

from ....graph import Value
from ....program import Program
from ...binding import bind_inputs, bind_state
from .. import abi
from ..abi import aligned
from ..plan.buffer import BYTES
from ..plan.work import SMALL_WORK, useful_threads
from .executable import Executable, refuse
from .limits import environment, processors
from .pool import MAX_WORKERS, Pool
from .workspace import Workspace


class SingleSample:
    """``single_sample(state, inputs)`` is ``program`` on one sample, by the code of the program without its leading
    axis."""

    def __init__(self, program: Program, one_sample: Executable, threads: int | None) -> None:
        self.program, self.executable, self.threads = program, one_sample, threads
        self.function, self.work, built = one_sample.function, one_sample.work, one_sample.built
        self.has_samples = any(v.kind == "sample" for v in program.inputs.values())
        self.workspace = Workspace(one_sample)
        self.workspace.reserve(1)
        # inputs are copied: faster than to ask numpy for their addresses
        self.inputs = {name: of_one(v, aligned(v.size, v.dtype)) for name, v in program.inputs.items()}
        arrays = self.workspace.arrays
        self.outputs = {name: of_one(v, arrays[built.outputs[name]]) for name, v in program.outputs.items()}
        self.order, self.totals = np.zeros(1, np.int64), np.zeros(len(program.outputs))
        self.info = aligned(abi.LENGTH, "int64")
        self.info[:] = one_sample.info(1, 1, 1)
        self.table = self.workspace.table(self.order, self.totals, self.info, {}, self.inputs)
        self.addresses = self.table.ctypes.data, self.info.ctypes.data
        self.known: dict[str, weakref.ref | None] = dict.fromkeys(program.state)  # whose addresses are in the table
        self.positions = {name: built.table[buffer] for name, buffer in built.state.items()}
        self.useful = useful_threads(self.work, sum(v.size * BYTES[v.dtype] for v in program.state.values()))

    def __call__(self, state: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        return self.run(state, bind_inputs(self.program, inputs, 1)[0])

    def run(self, state: Mapping[str, Any], given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The same for arrays of which `fits` is true."""
        threads = self.useful  # more than processors would only be in each other's way
        if threads > 1:
            threads = min(threads, self.threads or environment() or MAX_WORKERS, processors())
        with self.workspace.lock:
            held = self._find(state)
            for name, memory in self.inputs.items():
                memory[...] = given[name]
            if self.work < SMALL_WORK:
                self.info[abi.THREADS] = 1
                Pool.run_short(self.function, *self.addresses, threads)
            else:  # worth to wake threads for
                self.info[abi.THREADS] = threads
                interruption = Pool.run(self.function, self.table, self.info, threads, brief=True)
                if interruption is not None:
                    raise interruption
            del held
            if self.info[abi.ERROR]:
                self.info[abi.ERROR] = 0
                refuse(self.program, state, given)
            return {name: a.copy() for name, a in self.outputs.items()}

    def fits(self, inputs: Mapping[str, Any]) -> bool:
        """Whether these are arrays of the right types, which need no further look."""
        for name, memory in self.inputs.items():
            a = inputs.get(name)
            if type(a) is not np.ndarray or a.dtype != memory.dtype or a.shape != memory.shape:
                return False
        return len(inputs) == len(self.inputs) and self.has_samples

    def each(self, state: Mapping[str, Any], inputs: Mapping[str, Any], rows: int) -> dict[str, np.ndarray]:
        """Several samples, one after the other."""
        parts = []
        for i in range(rows):
            given = {
                name: a[i : i + 1] if self.program.inputs[name].kind == "sample" else a for name, a in inputs.items()
            }
            parts.append(self(state, given))
        return {name: np.concatenate([p[name] for p in parts]) for name in self.program.outputs}

    def _find(self, state: Mapping[str, Any]) -> list[np.ndarray]:
        """Put the addresses of state that is new into the table; gives the arrays, that nobody frees them meanwhile.

        They are known by weak references, which also keep numpy from moving their memory.
        """
        held: list[np.ndarray] = []
        for name, known in self.known.items():
            array: Any = state.get(name)
            if array is None or known is None or known() is not array:
                given, array = array, np.ascontiguousarray(bind_state(self.program, state, name))
                self.known[name] = weakref.ref(array) if array is given else None
                if name in self.positions:
                    self.table[self.positions[name]] = array.ctypes.data
            held.append(array)
        return held


def of_one(v: Value, memory: np.ndarray) -> np.ndarray:
    """Memory as an array for one sample of this Value."""
    return memory[: v.size].view(v.dtype).reshape((1, *v.shape) if v.kind == "sample" else v.shape)
