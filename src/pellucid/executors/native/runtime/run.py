"""Calling compiled programs: arrays in, memory for values, threads, arrays out."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import numpy as np

from ....graph import GraphError, cached_property
from ....ops.reduce import all_samples_of, each_sample
from ....passes.one_sample import for_one_sample
from ....passes.simplify import simplify
from ....program import Program
from ... import reference
from ...binding import NotFinite, as_leaf, as_threads, bind, order_of
from .. import abi
from ..abi import aligned
from ..build.builder import Built, build
from ..jit.code import Code
from ..jit.signature import only_ours, signature
from ..jit.target import Host, host, quick
from ..plan.buffer import BYTES, Buffer
from ..plan.memory import Place
from ..plan.work import divisible, most_alone, work
from .early import Early, quickly
from .epochs import Steady
from .limits import available, threads_for
from .pool import BRIEF_WORK, Pool
from .single_sample import Once

PIECE_BYTES = 16 << 20  # arrays that cannot be read as they are become so a piece of the rows at a time


class shared_property(cached_property):
    """A property of a Run that others like it have from the first."""

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None or instance.like is None:
            return super().__get__(instance, owner)
        return instance.__dict__.setdefault(self.name, getattr(instance.like, self.name))


class Run:
    """A program as machine code. ``run(state, inputs)`` and ``run.steps(...)`` mean what the reference's mean."""

    def __init__(
        self, program: Program, threads: int | None = None, width: int | None = None, like: Run | None = None
    ) -> None:
        self.program, self.threads = program, as_threads(threads)
        self.like = like if like is not None and like.host in (host(width), quick(host(width))) else None
        self.host: Host = self.like.host if self.like else host(width)
        self.early = self.like.early if self.like else Early()
        self._lock, self._process = threading.Lock(), os.getpid()
        self.memory: dict[Buffer, np.ndarray] = {}
        self.given: dict[Buffer, np.ndarray] = {}  # outputs of the last run
        self.blocks = -1
        self.steady: Steady | None = None  # the last steps, made ready to be done again

    def another(self, threads: int | None = None) -> Run:
        """The same program with memory of its own: its plan and its machine code are shared."""
        available()  # a wrong PELLUCID_THREADS is an error now
        return Run(self.program, threads, like=self.like or self)

    @property
    def lock(self) -> threading.Lock:
        """One run at a time uses the memory. In a forked child nobody would open a lock that was closed."""
        if self._process != os.getpid():
            self._lock, self._process = threading.Lock(), os.getpid()
        return self._lock

    @shared_property
    def simplified(self) -> Program:
        return simplify(self.program)

    @shared_property
    def built(self) -> Built:
        return build(self.simplified, self.host)

    @shared_property
    def work(self) -> int:
        return work(self.simplified)

    @shared_property
    def divisible(self) -> bool:
        return divisible(self.simplified)

    def _threads(self, batch: int) -> int:
        return self.threads or threads_for(self.work, batch, self.host.width, self.divisible)

    @shared_property
    def name(self) -> str | None:
        """What programs of the same code share; None where the name of an operation does not tell its formula."""
        return signature(self.simplified) if only_ours(self.simplified) else None

    @shared_property
    def function(self) -> Callable:
        """The machine code, from the cache on disk or made now; it lives as long as this Run."""
        name, modules = self.name, self.built.modules
        if name is None:
            texts = list(modules())
            name, modules = "\n".join(texts), lambda: iter(texts)
        code = Code(name, modules, self.host, min(self.threads or available(), available()))
        function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(code.address)
        function.code = code  # type: ignore[attr-defined]  # it stays as long as the function
        return function

    def expect(self, samples: int, batch: int) -> None:
        """So many samples will come: where fast code pays for them, it is what is made first."""
        self.early.pays(self, samples, batch)

    @cached_property
    def first(self) -> Run:
        """The same program as code that is there sooner, and slower, with memory of its own."""
        return quickly(self) if self.like is None else self.like.first.another(self.threads)

    # ---- one batch ----------------------------------------------------------------------------------------------

    def __call__(
        self,
        state: MutableMapping[str, Any] | None = None,
        inputs: Mapping[str, Any] | None = None,
        batch_size: int | None = None,
    ) -> dict[str, np.ndarray]:
        state = {} if state is None else state
        once = self.__dict__.get("once")  # made at the first call for one sample
        if once is not None and inputs and self._sample_inputs and once.fits(inputs):
            return once.on(state, inputs)
        if self.alone is not None and self._is_one(inputs, batch_size):
            return self.once(state, inputs or {})
        values, batch = bind(self.program, state, inputs or {}, batch_size)
        if batch == 0:
            return reference.compile(self.program)(state, inputs, batch_size)
        self._check_batch(batch)
        arrays = {name: values[v] for name, v in self.program.inputs.items()}
        if self.alone is not None and batch and batch <= self.most_alone:
            return self.once.each(state, arrays, batch)
        new = {name: values[v] for name, v in self.program.state.items()}
        n = batch or 1
        if (first := self.early.run(self, n, n)) is not None:
            return first(state, inputs, batch_size)
        threads = self._threads(n)
        with self.lock:
            new, info, _, interruption = self._run(new, arrays, np.arange(n), n, threads)
            if interruption is not None:
                raise interruption
            if info[abi.ERROR]:
                self.refuse(self.program, state, inputs or {}, batch_size)
            outputs = {name: self._output(name, n) for name in self.program.outputs}
        state.update({name: new[name] for name in self.updated})
        return outputs

    @shared_property
    def updated(self) -> list[str]:
        """Names of the state that a run changes."""
        return [t.name or "" for t in self.program.updates]

    @cached_property
    def alone(self) -> Run | None:
        """The program for one sample, with features in lanes; none for programs that train."""
        if self.like is not None:
            return self.like.alone and self.like.alone.another(self.threads)
        if self.program.updates or not self.program.needs_batch or self.fixed_batches:
            return None
        return Run(for_one_sample(self.simplified), self.threads, self.host.width)

    @shared_property
    def fixed_batches(self) -> dict[int, str]:
        """Numbers of samples that operations were built for, and what to say to others."""
        all_of, each = (
            "all_samples was built for batches of {} samples, got {}",
            "each_sample has rows for {} samples, got {}",
        )
        found = {v.attributes["n"]: all_of for v in self.program.order if v.primitive is all_samples_of}
        return found | {v.inputs[0].shape[0]: each for v in self.program.order if v.primitive is each_sample}

    def _check_batch(self, batch: int | None) -> None:
        for n, words in self.fixed_batches.items():
            if batch != n:
                raise GraphError(words.format(n, batch))

    @cached_property
    def once(self) -> Once:
        assert self.alone is not None
        return Once(self.program, self.alone)

    def _is_one(self, inputs: Mapping[str, Any] | None, batch_size: int | None) -> bool:
        given = [np.shape((inputs or {}).get(name, ())) for name in self._sample_inputs]
        return all(shape[:1] == (1,) for shape in given) if given else batch_size == 1

    @shared_property
    def most_alone(self) -> int:
        return most_alone(self.simplified, self.host.width)

    @shared_property
    def _sample_inputs(self) -> list[str]:
        return [name for name, v in self.program.inputs.items() if v.kind == "sample"]

    def _output(self, name: str, n: int) -> np.ndarray:
        v, buffer = self.program.outputs[name], self.built.outputs[name]
        if name in self.built.given:
            return self.given[self.built.given[name]][: n * v.size].reshape(n, *v.shape)
        memory = self.memory[buffer]
        if v.kind == "shared":
            result = memory[: v.size].reshape(v.shape).copy()
        else:  # (blocks, elements, lanes) -> (samples, elements)
            blocks, width = self.blocks, self.host.width
            lanes = memory[: blocks * buffer.stride * width].reshape(blocks, buffer.stride, width)[:, : v.size]
            result = lanes.transpose(0, 2, 1).reshape(blocks * width, v.size)[:n].reshape(n, *v.shape).copy()
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
    ) -> dict[str, Any]:
        """Run on one mini-batch after another inside the machine code; see the reference executor's ``steps``."""
        if self.steady is not None:
            with self.lock:
                known = self.steady
                if known is not None and known.fits(arrays, rows, batch_size, watch):
                    assert rows is not None
                    if (again := known.on(state, rows, on_step)) is not None:
                        return again
        arrays = {name: np.asarray(a) for name, a in arrays.items()}
        order = order_of(arrays, rows)
        if batch_size < 1:
            raise GraphError(f"batch_size must be 1 or more, got {batch_size}")
        for n in {min(batch_size, len(order)), len(order) % batch_size} - {0}:
            self._check_batch(n)
        for name, v in self.program.inputs.items():
            if name in arrays and arrays[name].shape[1:] != v.shape:
                shape = arrays[name].shape
                raise GraphError(f"input {name!r} has shape {shape}, expected n samples of shape {v.shape}")
        if len(order) and (first := self.early.run(self, len(order), batch_size)) is not None:
            return first.steps(state, arrays, rows, batch_size, watch, on_step)
        values, _ = bind(self.program, state, {name: a[:1] for name, a in arrays.items()}, None)
        current = {name: values[v] for name, v in self.program.state.items()}
        threads = self._threads(min(batch_size, len(order)))
        done, sums = 0, np.zeros(self.totals_length)
        with self.lock:
            if self.program.outputs and not self.built.counted:
                raise GraphError("steps adds up outputs, so they must be shared")
            for given, part in self._pieces(arrays, order, batch_size):
                before = done
                report = None if on_step is None else lambda rows, before=before: on_step(before + rows)
                new, info, totals, interruption = self._run(
                    current, given, part, batch_size, threads, watch, report, True
                )
                good = (int(info[abi.STEPS]) - 1) * batch_size
                bad = part[good : good + batch_size]
                if info[abi.FAILED] or info[abi.ERROR]:  # once more, up to the step before
                    new, _, _, second = self._run(current, given, part[:good], batch_size, threads)
                    interruption = second or interruption
                current = new
                state.update({name: new[name] for name in self.updated})
                if interruption is not None:
                    raise interruption
                if info[abi.ERROR]:
                    self.refuse(self.program, current, {name: a[bad] for name, a in given.items()})
                if info[abi.FAILED]:
                    raise NotFinite((done + good) // batch_size, order[done + good : done + good + len(bad)])
                done, sums = done + len(part), sums + totals
            self.steady = Steady.of(self, current, arrays, given, len(order), batch_size, threads, watch)
        if on_step is not None and done:
            on_step(done)
        return self.by_name(sums)

    @shared_property
    def totals_length(self) -> int:
        """A number for each output, then those of the arrays among them."""
        outputs = [self.program.outputs[name] for name in self.built.counted]
        return len(outputs) + sum(v.size for v in outputs if v.size != 1)

    def by_name(self, totals: np.ndarray) -> dict[str, Any]:
        """The sums of the outputs: floats, and arrays."""
        found: dict[str, Any] = {}
        at = len(self.built.counted)
        for k, name in enumerate(self.built.counted):
            v = self.program.outputs[name]
            if v.size == 1:
                found[name] = float(totals[k]) if v.shape == () else totals[k : k + 1].reshape(v.shape)
            else:
                found[name], at = totals[at : at + v.size].reshape(v.shape), at + v.size
        return found

    def _pieces(self, arrays: Mapping[str, np.ndarray], order: np.ndarray, batch: int):
        """(arrays, order) for one run after another: one for all where the arrays can be read as they lie."""
        given, large = {}, {}
        for name, v in self.program.inputs.items():
            a = arrays[name]
            readable = a.dtype == v.dtype and a.flags.c_contiguous and a.flags.aligned
            if readable or a.nbytes <= PIECE_BYTES:
                given[name] = as_leaf(a, v.dtype, f"input {name!r}")
            else:
                large[name] = a
        if not large:
            yield given, order
            return
        row = max(1, max(self.program.inputs[name].size * BYTES[self.program.inputs[name].dtype] for name in large))
        rows = max(1, PIECE_BYTES // (row * batch)) * batch
        for start in range(0, len(order), rows):
            part = order[start : start + rows]
            piece = {name: as_leaf(a[part], self.program.inputs[name].dtype, name) for name, a in large.items()}
            yield piece | {name: a[part] for name, a in given.items()}, np.arange(len(part))

    @staticmethod
    def refuse(program: Program, state, inputs, batch_size: int | None = None) -> None:
        """The error that the reference raises for this batch; the machine code only says that there is one."""
        reference.compile(program)(dict(state), inputs, batch_size)
        raise IndexError("a row to be taken lies outside its table")

    # ---- below --------------------------------------------------------------------------------------------------

    def _run(
        self, state, arrays, order, batch: int, threads: int, watch=None, on_step=None, adding=False
    ) -> tuple[dict, np.ndarray, np.ndarray, BaseException | None]:
        """Run on copies of the state that is updated; gives it, the run's numbers, the totals of the outputs (of arrays
        only if ``adding``), and what interrupted it."""
        built, function = self.built, self.function
        new = {k: np.array(a, order="C") if k in self.updated else np.asarray(a, order="C") for k, a in state.items()}
        self.make_memory(min(batch, max(len(order), 1)))
        info = np.zeros(abi.LENGTH, np.int64)
        info[abi.ROWS], info[abi.BATCH], info[abi.THREADS] = len(order), batch, threads
        info[abi.WATCH] = built.counted.index(watch) if watch is not None else -1
        info[abi.TOTALS] = adding
        totals = np.zeros(self.totals_length if adding else len(built.counted))
        arrays = {name: np.require(arrays[name], requirements=["C", "A"]) for name in built.raw | built.shared}
        self.given = {b: np.empty(self.length(b, self.blocks), b.dtype) for b in built.given.values()}
        table = self.table(order, totals, info, new, arrays)
        brief = self.work * len(order) < BRIEF_WORK
        watch_steps = None if on_step is None else lambda: on_step(min(int(info[abi.STEPS]) * batch, len(order)))
        interruption = Pool.run(function, table, info, threads, brief, watch_steps)
        return new, info, totals, interruption

    def table(self, order, totals, info, state, arrays) -> np.ndarray:
        """The addresses of these arrays, and of all other memory that the machine code uses."""
        built, table = self.built, self.addresses.copy()
        held: dict[Buffer | None, np.ndarray] = {built.order: order, built.totals: totals}
        held[built.error] = info[abi.ERROR :]
        held |= self.constants
        held |= {buffer: state[name] for name, buffer in built.state.items() if name in state}
        held |= {buffer: arrays[name] for name, buffer in (built.raw | built.shared).items()}
        held |= {buffer: array for buffer, array in self.given.items()}
        for target, array in held.items():
            if target is not None:
                table[built.table[target]] = array.ctypes.data
        return table

    @shared_property
    def constants(self) -> dict[Buffer | None, np.ndarray]:
        return {buffer: np.ascontiguousarray(v.attributes["value"]) for v, buffer in self.built.constants.items()}

    def make_memory(self, batch: int) -> None:
        """Memory for the values of a batch of this size; kept for the next run."""
        blocks = -(-batch // self.host.width)
        if blocks == self.blocks:
            return
        self.blocks = -1  # until all is there
        self.memory = {}
        for place in self.built.places:
            space = aligned(self.bytes(place, blocks), "uint8")
            for b in place.buffers:
                kind = np.dtype("uint8" if b.dtype == "bool" else b.dtype)
                self.memory[b] = space[: self.length(b, blocks) * kind.itemsize].view(kind)
                if b.margin is not None and b.margin.number:
                    self.memory[b].fill(b.margin.number)
        self.addresses = np.zeros(len(self.built.table), np.uintp)
        for buffer, array in self.memory.items():
            self.addresses[self.built.table[buffer]] = array.ctypes.data
        self.blocks = blocks

    def length(self, b: Buffer, blocks: int, stride: int | None = None) -> int:
        """Elements of a buffer of the executor's own, for a batch of so many blocks."""
        lanes = blocks * self.host.width
        return {"shared": b.size, "sample": lanes * (stride or b.stride), "rows": lanes * b.size + self.host.width}[
            b.kind
        ]

    def bytes(self, place: Place, blocks: int) -> int:
        """Of a place, for a batch of so many blocks."""
        return max(self.length(b, blocks) * BYTES[b.dtype] for b in place.buffers)

    # ---- to look at ---------------------------------------------------------------------------------------------

    def listing(self, batch_size: int = 32) -> str:
        """The plan as text: phases and nests, what each loads, computes and stores."""
        from .dump import plan_text

        return plan_text(self, batch_size)

    def dump(self, folder: Any, batch_size: int = 32) -> None:
        """Write the program, the plan and the machine code to a folder, as text."""
        from .dump import dump

        dump(self, folder, batch_size)
