"""One sample, again and again: a program without updates made ready, so that a call looks only at what may differ."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ....graph import Value
from ....program import Program
from ...binding import bind_inputs, bind_state
from .. import abi
from ..abi import aligned
from ..plan.buffer import BYTES
from ..plan.work import SMALL_WORK, useful_threads
from .limits import environment, processors
from .pool import MOST, Pool

if TYPE_CHECKING:
    from .run import Run


class Once:
    """``once(state, inputs)`` is ``program`` on one sample; ``run`` runs the same without its leading axis."""

    def __init__(self, program: Program, run: Run) -> None:
        self.program, self.run, self.function = program, run, run.function
        run.make_memory(1)
        # inputs are copied: faster than to ask numpy for their addresses
        self.inputs = {name: of_one(v, aligned(v.size, v.dtype)) for name, v in program.inputs.items()}
        self.outputs = {name: of_one(v, run.memory[run.built.outputs[name]]) for name, v in program.outputs.items()}
        self.info, self.fixed = aligned(abi.LENGTH, "int64"), (np.zeros(1, np.int64), np.zeros(len(program.outputs)))
        self.info[[abi.ROWS, abi.BATCH, abi.THREADS, abi.WATCH]] = 1, 1, 1, -1
        self.table = run.table(*self.fixed, self.info, {}, self.inputs)
        self.addresses = self.table.ctypes.data, self.info.ctypes.data
        self.known: dict[str, weakref.ref | None] = dict.fromkeys(program.state)  # whose addresses are in the table
        self.places = {name: run.built.table[buffer] for name, buffer in run.built.state.items()}
        self.useful = useful_threads(run.work, sum(v.size * BYTES[v.dtype] for v in program.state.values()))

    def __call__(self, state: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        return self.on(state, bind_inputs(self.program, inputs, 1)[0])

    def on(self, state: Mapping[str, Any], given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The same for arrays of which `fits` is true."""
        threads = self.useful  # more than processors would only be in each other's way
        if threads > 1:
            threads = min(threads, self.run.threads or environment() or MOST, processors())
        with self.run.lock:
            held = self._find(state)
            for name, memory in self.inputs.items():
                memory[...] = given[name]
            if self.run.work < SMALL_WORK:
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
                self.run.refuse(self.program, state, given)
            return {name: a.copy() for name, a in self.outputs.items()}

    def fits(self, inputs: Mapping[str, Any]) -> bool:
        """Whether these are arrays of the right types, which need no further look."""
        for name, memory in self.inputs.items():
            a = inputs.get(name)
            if type(a) is not np.ndarray or a.dtype != memory.dtype or a.shape != memory.shape:
                return False
        return len(inputs) == len(self.inputs)

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
                if name in self.places:
                    self.table[self.places[name]] = array.ctypes.data
            held.append(array)
        return held


def of_one(v: Value, memory: np.ndarray) -> np.ndarray:
    """Memory as an array for one sample of this Value."""
    return memory[: v.size].view(v.dtype).reshape((1, *v.shape) if v.kind == "sample" else v.shape)
