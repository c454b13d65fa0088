"""Calling compiled programs: arrays in, memory for values, threads, arrays out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, NamedTuple

import numpy as np

from ....graph import GraphError, cached_property
from ....program import Program
from ... import reference
from ...binding import NotFinite, as_leaf, as_threads, bind, order_of
from .. import abi
from ..build.builder import Built
from ..jit.target import Host, host, quick
from ..plan.buffer import BYTES
from .epochs import PreparedSteps, can_prepare
from .executable import Executable, refuse
from .limits import available, threads_for
from .pool import BRIEF_WORK, Pool
from .single_sample import SingleSample
from .workspace import Workspace

PIECE_BYTES = 16 << 20  # arrays that cannot be read as they are become so a piece of the rows at a time


class StepOptions(NamedTuple):
    """How the machine code goes through rows: mini-batches of ``batch`` on ``threads``; ``watch`` names an output that
    must stay finite, ``on_step`` is told the rows done, and outputs that are arrays are added up only if ``adding``."""

    batch: int
    threads: int
    watch: str | None = None
    on_step: Callable[[int], None] | None = None
    adding: bool = False


class Outcome(NamedTuple):
    """What a run of the machine code left behind."""

    state: dict[str, np.ndarray]  # new
    info: np.ndarray
    totals: np.ndarray  # of the outputs
    interruption: BaseException | None


class Run:
    """A program as machine code. ``run(state, inputs)`` and ``run.steps(...)`` mean what the reference's mean."""

    def __init__(
        self,
        program: Program,
        threads: int | None = None,
        width: int | None = None,
        executable: Executable | None = None,
    ) -> None:
        """``executable``: what other runs of the program have made of it; by default, it is made anew."""
        self.program, self.threads, self.width = program, as_threads(threads), width
        self.executable = executable or Executable(program, host(width), self.threads)
        self.workspace = Workspace(self.executable)
        self.prepared: PreparedSteps | None = None  # the last steps, made ready to be done again

    def another(self, threads: int | None = None) -> Run:
        """The same program with memory of its own: its plan and its machine code are shared."""
        available()  # a wrong PELLUCID_THREADS is an error now
        machine = host(self.width)  # which tests change
        shared = self.executable if self.executable.host in (machine, quick(machine)) else None
        return Run(self.program, threads, self.width, shared)

    @property
    def host(self) -> Host:
        return self.executable.host

    @property
    def built(self) -> Built:
        return self.executable.built

    @property
    def function(self) -> Callable:
        """The machine code, made now if it is not there."""
        return self.executable.function

    @property
    def work(self) -> int:
        """Multiplications and other operations for one sample, roughly."""
        return self.executable.work

    def expect(self, samples: int, batch: int) -> None:
        """So many samples will come: where fast code pays for them, it is what is made first."""
        self.executable.early.pays(self, self.executable, samples, batch)

    @cached_property
    def quick(self) -> Run:
        """The same program as code that is there sooner, and slower, with memory of its own."""
        return Run(self.program, self.threads, self.width, self.executable.quick)

    def _early(self, samples: int, batch: int) -> Run | None:
        """The run that does these samples with quick code; None where fast code is there, or pays."""
        if self.executable.early.use(self, self.executable, samples, batch):
            self.quick.threads = self.threads
            return self.quick
        for made in (self, self.executable):  # quick code is not needed any more, nor is its memory
            made.__dict__.pop("quick", None)
        return None

    def _threads(self, batch: int) -> int:
        e = self.executable
        return self.threads or threads_for(e.work, batch, e.host.width, e.divisible)

    # ---- one batch ----------------------------------------------------------------------------------------------

    def __call__(
        self,
        state: MutableMapping[str, Any] | None = None,
        inputs: Mapping[str, Any] | None = None,
        batch_size: int | None = None,
    ) -> dict[str, np.ndarray]:
        state = {} if state is None else state
        ready = self.__dict__.get("single_sample")  # made at the first call for one sample
        if ready is not None and inputs and ready.fits(inputs):
            return ready.run(state, inputs)
        alone = self.executable.one_sample is not None
        if alone and self._is_one(inputs, batch_size):
            return self.single_sample(state, inputs or {})
        values, batch = bind(self.program, state, inputs or {}, batch_size)
        if batch == 0:
            return reference.compile(self.program)(state, inputs, batch_size)
        self.executable.check_batch(batch)
        arrays = {name: values[v] for name, v in self.program.inputs.items()}
        if alone and batch and batch <= self.executable.max_one_by_one:
            return self.single_sample.each(state, arrays, batch)
        current = {name: values[v] for name, v in self.program.state.items()}
        n = batch or 1
        if (early := self._early(n, n)) is not None:
            return early(state, inputs, batch_size)
        threads = self._threads(n)
        with self.workspace.lock:
            done = self._run(current, arrays, np.arange(n), StepOptions(n, threads))
            if done.interruption is not None:
                raise done.interruption
            if done.info[abi.ERROR]:
                refuse(self.program, state, inputs or {}, batch_size)
            outputs = {name: self.workspace.output(name, n) for name in self.program.outputs}
        state.update({name: done.state[name] for name in self.executable.updated})
        return outputs

    @cached_property
    def single_sample(self) -> SingleSample:
        """The program on one sample, made ready."""
        assert self.executable.one_sample is not None
        return SingleSample(self.program, self.executable.one_sample, self.threads)

    def _is_one(self, inputs: Mapping[str, Any] | None, batch_size: int | None) -> bool:
        given = [np.shape((inputs or {}).get(name, ())) for name in self.executable.sample_inputs]
        return all(shape[:1] == (1,) for shape in given) if given else batch_size == 1

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
        if self.prepared is not None:
            with self.workspace.lock:
                prepared = self.prepared
                if prepared is not None and prepared.fits(arrays, rows, batch_size, watch):
                    assert rows is not None
                    if (sums := prepared.run(state, rows, on_step)) is not None:
                        return sums
        arrays = {name: np.asarray(a) for name, a in arrays.items()}
        order = order_of(arrays, rows)
        self._check_steps(arrays, len(order), batch_size)
        if len(order) and (early := self._early(len(order), batch_size)) is not None:
            return early.steps(state, arrays, rows, batch_size, watch, on_step)
        values, _ = bind(self.program, state, {name: a[:1] for name, a in arrays.items()}, None)
        current = {name: values[v] for name, v in self.program.state.items()}
        options = StepOptions(batch_size, self._threads(min(batch_size, len(order))), watch, on_step, adding=True)
        with self.workspace.lock:
            if self.program.outputs and not self.built.counted:
                raise GraphError("steps adds up outputs, so they must be shared")
            totals = self._steps(state, current, arrays, order, options)
        if on_step is not None and len(order):
            on_step(len(order))
        return self.executable.by_name(totals)

    def _check_steps(self, arrays: Mapping[str, np.ndarray], n: int, batch_size: int) -> None:
        if batch_size < 1:
            raise GraphError(f"batch_size must be 1 or more, got {batch_size}")
        for samples in {min(batch_size, n), n % batch_size} - {0}:
            self.executable.check_batch(samples)
        for name, v in self.program.inputs.items():
            if name in arrays and arrays[name].shape[1:] != v.shape:
                shape = arrays[name].shape
                raise GraphError(f"input {name!r} has shape {shape}, expected n samples of shape {v.shape}")

    def _steps(
        self,
        state: MutableMapping[str, Any],
        current: dict[str, np.ndarray],
        arrays: dict[str, np.ndarray],
        order: np.ndarray,
        options: StepOptions,
    ) -> np.ndarray:
        """The totals of the outputs; ``state`` gets what all steps, or those before a failure, made of ``current``."""
        batch, on_step = options.batch, options.on_step
        done, totals, given = 0, np.zeros(self.executable.totals_length), arrays
        for given, part in pieces(self.program, arrays, order, batch):
            report = None if on_step is None else lambda rows, start=done: on_step(start + rows)
            end = self._run(current, given, part, options._replace(on_step=report))
            failed, refused = end.info[abi.FAILED], end.info[abi.ERROR]
            good = (int(end.info[abi.STEPS]) - 1) * batch
            bad = part[good : good + batch]
            interruption = end.interruption
            if failed or refused:  # once more, up to the step before
                end = self._run(current, given, part[:good], StepOptions(batch, options.threads))
                interruption = end.interruption or interruption
            current = end.state
            state.update({name: current[name] for name in self.executable.updated})
            if interruption is not None:
                raise interruption
            if refused:
                refuse(self.program, current, {name: a[bad] for name, a in given.items()})
            if failed:
                raise NotFinite((done + good) // batch, order[done + good : done + good + len(bad)])
            done, totals = done + len(part), totals + end.totals
        self.prepared = None
        if len(order) and can_prepare(current, arrays, given):
            info = self.executable.info(len(order), batch, options.threads, options.watch, adding=True)
            self.prepared = PreparedSteps(self.executable, self.workspace, current, arrays, info, options.watch)
        return totals

    # ---- the machine code -----------------------------------------------------------------------------------------

    def _run(
        self,
        state: Mapping[str, np.ndarray],
        arrays: Mapping[str, np.ndarray],
        order: np.ndarray,
        options: StepOptions,
    ) -> Outcome:
        """Run on these rows, with copies of the state that is updated."""
        e, workspace, updated = self.executable, self.workspace, self.executable.updated
        batch, function, on_step = options.batch, e.function, options.on_step
        new = {k: np.array(a, order="C") if k in updated else np.asarray(a, order="C") for k, a in state.items()}
        workspace.reserve(min(batch, max(len(order), 1)))
        workspace.new_outputs()
        info = e.info(len(order), batch, options.threads, options.watch, options.adding)
        totals = np.zeros(e.totals_length if options.adding else len(e.built.counted))
        arrays = {name: np.require(arrays[name], requirements=["C", "A"]) for name in e.built.raw | e.built.shared}
        table = workspace.table(order, totals, info, new, arrays)
        brief = e.work * len(order) < BRIEF_WORK
        watch = None if on_step is None else lambda: on_step(min(int(info[abi.STEPS]) * batch, len(order)))
        return Outcome(new, info, totals, Pool.run(function, table, info, options.threads, brief, watch))

    # ---- to look at ---------------------------------------------------------------------------------------------

    def listing(self, batch_size: int = 32) -> str:
        """The plan as text: phases and nests, what each loads, computes and stores."""
        from .dump import plan_text

        return plan_text(self.executable, batch_size)

    def dump(self, folder: Any, batch_size: int = 32) -> None:
        """Write the program, the plan and the machine code to a folder, as text."""
        from .dump import dump

        dump(self.executable, folder, batch_size)


def pieces(
    program: Program, arrays: Mapping[str, np.ndarray], order: np.ndarray, batch: int
) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
    """(arrays, order) for one run after another: one for all where the arrays can be read as they lie."""
    given, large = {}, {}
    for name, v in program.inputs.items():
        a = arrays[name]
        readable = a.dtype == v.dtype and a.flags.c_contiguous and a.flags.aligned
        if readable or a.nbytes <= PIECE_BYTES:
            given[name] = as_leaf(a, v.dtype, f"input {name!r}")
        else:
            large[name] = a
    if not large:
        yield given, order
        return
    row = max(1, max(program.inputs[name].size * BYTES[program.inputs[name].dtype] for name in large))
    rows = max(1, PIECE_BYTES // (row * batch)) * batch
    for start in range(0, len(order), rows):
        part = order[start : start + rows]
        piece = {name: as_leaf(a[part], program.inputs[name].dtype, name) for name, a in large.items()}
        yield piece | {name: a[part] for name, a in given.items()}, np.arange(len(part))
