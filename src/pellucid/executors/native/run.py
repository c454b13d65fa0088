"""Calling compiled programs: arrays in, memory for values, threads, arrays out."""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import numpy as np

from ...graph import GraphError, Program
from ...passes.one_sample import for_one_sample
from ...passes.simplify import simplify
from ..binding import NotFinite, as_threads, bind
from . import driver
from .build import Built, build
from .emit import Buffer
from .machine import Code, Host, host, signature
from .threads import BRIEF_WORK, Pool, threads_for, work

ALIGN = 64


class Run:
    """A program as machine code. ``run(state, inputs)`` and ``run.steps(...)`` mean what the reference executor's mean."""

    def __init__(self, program: Program, threads: int | None = None, width: int | None = None) -> None:
        self.program, self.threads = program, as_threads(threads)
        self.host: Host = host(width)
        self.lock = threading.Lock()  # one run at a time uses the memory
        self.memory: dict[Buffer, np.ndarray] = {}
        self.blocks = -1

    @functools.cached_property
    def simplified(self) -> Program:
        return simplify(self.program)

    @functools.cached_property
    def built(self) -> Built:
        return build(self.simplified, self.host)

    @functools.cached_property
    def work(self) -> int:
        return work(self.simplified)

    @functools.cached_property
    def function(self) -> Callable:
        """The machine code, from the cache on disk or made now; it lives as long as this Run."""
        self.code = Code(signature(self.simplified), self.built.text, self.host)
        return ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(self.code.address)

    # ---- one batch ----------------------------------------------------------------------------------------------

    def __call__(
        self,
        state: MutableMapping[str, Any] | None = None,
        inputs: Mapping[str, Any] | None = None,
        batch_size: int | None = None,
    ) -> dict[str, np.ndarray]:
        state = {} if state is None else state
        if self.alone is not None and self._is_one(inputs, batch_size):
            return self._one(state, inputs or {})
        values, batch = bind(self.program, state, inputs or {}, batch_size)
        arrays = {name: values[v] for name, v in self.program.inputs.items()}
        new = {name: values[v] for name, v in self.program.state.items()}
        n = batch or 1
        with self.lock:
            new = self._run(new, arrays, np.arange(n), n, 1, None, None)[0]
            outputs = {name: self._output(name, n) for name in self.program.outputs}
        state.update({t.name: new[t.name] for t in self.program.updates})
        return outputs

    @functools.cached_property
    def alone(self) -> Run | None:
        """The program for one sample, with features in lanes; none for programs that train."""
        if self.program.updates or not self.program.needs_batch:
            return None
        return Run(for_one_sample(self.simplified), self.threads, self.host.width)

    def _is_one(self, inputs: Mapping[str, Any] | None, batch_size: int | None) -> bool:
        samples = [np.shape((inputs or {}).get(name, ())) for name, v in self.program.inputs.items() if v.kind == "sample"]
        return all(shape[:1] == (1,) for shape in samples) if samples else batch_size == 1

    def _one(self, state: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        kinds = {name: v.kind for name, v in self.program.inputs.items()}
        given = {name: np.asarray(a)[0] if kinds.get(name) == "sample" else a for name, a in inputs.items()}
        assert self.alone is not None
        outputs = self.alone(dict(state), given)
        return {name: a[None] if self.program.outputs[name].kind == "sample" else a for name, a in outputs.items()}

    def _output(self, name: str, n: int) -> np.ndarray:
        v, buffer = self.program.outputs[name], self.built.outputs[name]
        memory = self.memory[buffer]
        if v.kind == "shared":
            result = memory[: v.size].reshape(v.shape).copy()
        else:  # (blocks, elements, lanes) -> (samples, elements)
            lanes = memory[: self.blocks * v.size * self.host.width].reshape(self.blocks, v.size, self.host.width)
            result = lanes.transpose(0, 2, 1).reshape(-1, v.size)[:n].reshape(n, *v.shape).copy()
        return result.astype(bool) if v.dtype == "bool" else result

    # ---- many batches -------------------------------------------------------------------------------------------

    def steps(
        self,
        state: MutableMapping[str, Any],
        arrays: Mapping[str, np.ndarray],
        rows: np.ndarray | None,
        batch_size: int,
        watch: str | None = None,
        on_step: Callable[[int], None] | None = None,
    ) -> dict[str, float]:
        """Run on one mini-batch after another inside the machine code; see the reference executor's ``steps``."""
        shared = {k: v for k, v in self.program.state.items()}
        given = {name: np.asarray(state[name], v.dtype) for name, v in shared.items()}
        n = len(next(iter(arrays.values())))
        order = np.arange(n) if rows is None else np.ascontiguousarray(rows, np.int64)
        if self.program.outputs and not self.built.counted:
            raise GraphError("steps adds up outputs, so they must be shared numbers")
        threads = self.threads or threads_for(self.work, min(batch_size, len(order)), self.host.width)
        with self.lock:
            new, info, totals = self._run(given, arrays, order, batch_size, threads, watch, on_step)
            if info[driver.FAILED]:  # once more, up to the step before
                done = int(info[driver.STEPS]) - 1
                new, _, _ = self._run(given, arrays, order[: done * batch_size], batch_size, threads, None, None)
                state.update({t.name: new[t.name] for t in self.program.updates})
                raise NotFinite(done, order[done * batch_size : (done + 1) * batch_size])
        state.update({t.name: new[t.name] for t in self.program.updates})
        return dict(zip(self.built.counted, totals.tolist(), strict=True))

    # ---- below --------------------------------------------------------------------------------------------------

    def _run(self, state, arrays, order, batch: int, threads: int, watch, on_step) -> tuple[dict, np.ndarray, np.ndarray]:
        """Run on copies of the state that is updated; gives it, the run's numbers, and the totals of the outputs."""
        built, function = self.built, self.function
        updated = {t.name for t in self.program.updates}
        new = {k: np.array(a, order="C") if k in updated else np.ascontiguousarray(a) for k, a in state.items()}
        self._make_memory(min(batch, max(len(order), 1)))
        totals = np.zeros(len(built.counted))
        held: dict[Buffer, np.ndarray] = {built.order: order, built.totals: totals}  # type: ignore[dict-item]
        held |= {buffer: new[name] for name, buffer in built.state.items()}
        held |= {buffer: np.ascontiguousarray(v.attributes["value"]) for v, buffer in built.constants.items()}
        for name, buffer in (built.raw | built.shared).items():
            key = next(k for k, v in self.program.inputs.items() if v.name == name)
            held[buffer] = _contiguous(arrays[key], buffer.dtype)
        held |= self.memory
        table = np.array([held[buffer].ctypes.data for buffer in built.table], dtype=np.uintp)
        info = np.zeros(driver.LENGTH, np.int64)
        info[driver.ROWS], info[driver.BATCH], info[driver.THREADS] = len(order), batch, threads
        info[driver.WATCH] = built.counted.index(watch) if watch is not None else -1
        brief = self.work * len(order) < BRIEF_WORK
        watch_steps = None if on_step is None else lambda: on_step(min(int(info[driver.STEPS]) * batch, len(order)))
        Pool.run(function, table, info, threads, brief, watch_steps)
        if info[driver.ERROR]:
            raise IndexError("a row to be taken lies outside its table")
        return new, info, totals

    def _make_memory(self, batch: int) -> None:
        """Memory for the values of a batch of this size; kept for the next run."""
        blocks = -(-batch // self.host.width)
        if blocks == self.blocks:
            return
        self.blocks = blocks
        self.memory = {b: aligned(self.length(b, blocks), b.dtype) for b in self.built.scratch}

    def length(self, b: Buffer, blocks: int) -> int:
        """Elements of a buffer of the executor's own, for a batch of so many blocks."""
        lanes = blocks * self.host.width
        return {"shared": b.size, "sample": lanes * b.size, "rows": lanes * b.size + self.host.width}[b.kind]

    # ---- to look at ---------------------------------------------------------------------------------------------

    def listing(self, batch_size: int = 32) -> str:
        """The plan as text: phases and nests, what each loads, computes and stores."""
        from .dump import plan_text

        return plan_text(self, batch_size)

    def dump(self, folder: Any, batch_size: int = 32) -> None:
        """Write the program, the plan and the machine code to a folder, as text."""
        from .dump import dump

        dump(self, folder, batch_size)


def aligned(size: int, dtype: str) -> np.ndarray:
    """Zeros that begin at a multiple of a vector's length."""
    kind = np.dtype("uint8" if dtype == "bool" else dtype)
    space = np.zeros(size * kind.itemsize + 2 * ALIGN + 256, np.uint8)
    first = -space.ctypes.data % (2 * ALIGN)
    return space[first : first + size * kind.itemsize].view(kind)


def _contiguous(a: Any, dtype: str) -> np.ndarray:
    a = np.asarray(a)
    if a.dtype == np.bool_ and dtype in ("uint8", "bool"):
        a = a.view(np.uint8)
        dtype = "uint8"
    return np.ascontiguousarray(a, dtype="uint8" if dtype == "bool" else dtype)
