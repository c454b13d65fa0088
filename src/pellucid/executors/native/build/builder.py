"""From a plan to modules of LLVM IR: buffers, a nest for each group, and the function that runs them.

The layout of memory is made at once; the text of the modules only when the cache on disk does not have their code.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ....graph import Value, sample_input, shared_input, state_leaf
from ....ops.gather import scatter_of, take_rows
from ....ops.movement import constant_of
from ....program import Program
from ..codegen import lowering  # noqa: F401  registers the lowerings
from ..codegen.nest import Nest
from ..jit.target import Host
from ..kernels.gather import gather_by_number, gather_nest, rows_by_number, rows_nest
from ..kernels.weight_gradient import strip_of
from ..llvm import ir
from ..llvm.affine import NotVectorizable
from ..llvm.module import ModuleText, function_text
from ..plan.bounds import check_memory
from ..plan.buffer import Buffer
from ..plan.classify import FREE, LEAVES, is_inline
from ..plan.layout_ops import PACK, packed_rows
from ..plan.memory import Slot, assign_slots, lifetimes
from ..plan.passes import PASSES
from ..plan.planner import Group, Plan, Planner
from ..plan.steps import Steps
from ..plan.work import operations
from .loops import Loop, write_at
from .select import Kernels, finished
from .step_loop import StepLayout, emit_run
from .task import Task


@dataclass
class Built:
    """What lies where in the table of addresses, and how the modules' text is written when it is needed."""

    modules: Callable[[], Iterator[str]]
    plan: Plan
    table: dict[Buffer, int]
    raw: dict[str, Buffer] = field(default_factory=dict)  # sample inputs, as the caller's arrays
    shared: dict[str, Buffer] = field(default_factory=dict)  # shared inputs
    state: dict[str, Buffer] = field(default_factory=dict)
    constants: dict[Value, Buffer] = field(default_factory=dict)
    outputs: dict[str, Buffer] = field(default_factory=dict)
    given: dict[str, Buffer] = field(default_factory=dict)  # sample outputs as rows, in new memory for each run
    order: Buffer | None = None
    totals: Buffer | None = None
    error: Buffer | None = None  # where nests say that a row lies outside its table
    scratch: list[Buffer] = field(default_factory=list)  # the executor's own memory
    slots: list[Slot] = field(default_factory=list)  # where scratch lies
    counted: list[str] = field(default_factory=list)  # outputs that are added up over steps


MODULE_TEXT = 20_000  # characters of nests in a module: enough to be worth a thread of its own
# from this number of nests on, compiling takes long: `run`, which calls them, is compiled without optimization,
MANY_NESTS = 64
SMALL_PART = 50_000  # and so are nests with less than this part of the work


def build(program: Program, h: Host) -> Built:
    """Plan a (simplified) program and lay out its memory."""
    return Builder(program, h).built


class Job(NamedTuple):
    """What becomes one nest: ``write(of, used)`` with the buffers that it uses."""

    write: Callable[..., Task]
    of: Group | Value
    used: list[Buffer]
    steps: Steps | None = None  # of the loop that it is in

    @property
    def by_blocks(self) -> bool:
        """Whether threads share it by blocks of samples, or wait for each other before and after it."""
        return self.of.kind == "sample"


class Builder:
    def __init__(self, program: Program, h: Host) -> None:
        for _, function in PASSES:
            program = function(program)
        self.h, self.planner = h, Planner(program)
        self.plan = self.planner.plan()
        self.program, self.work = self.plan.program, operations(self.plan.program.order)
        self.built = Built(self.modules, self.plan, {})
        self.phases: list[list[Task]] = []
        self.buffers: dict[Value, Buffer] = {}
        self.rows: dict[Value, Buffer] = {}
        self.inline = self.planner.inline
        self.loops: dict[Group, Loop] = {}
        self.keys = {v: key for key, v in self.program.inputs.items()}  # two inputs may have one name
        self._make_buffers()
        if all(v.kind == "shared" for v in self.program.outputs.values()):
            self.built.counted = list(self.program.outputs)
        check_memory(self.plan, self.buffers, self.loops.values())
        self.jobs = [self._phase(groups, k == 0) for k, groups in enumerate(self.plan.phases or [[]])]
        self.many = sum(map(len, self.jobs)) >= MANY_NESTS
        lives = lifetimes([self._uses(jobs) for jobs in self.jobs])
        kept = {*self.built.outputs.values(), *(self.buffers[new] for new in self.plan.copied.values())}
        self.built.slots = assign_slots(lives, self.built.scratch, kept)

    def modules(self) -> Iterator[str]:
        """The text, in modules as they are written: some nests each, equal ones once, then ``run``.

        Equal nests differ only in the buffers that they are called with.
        """
        known: dict[tuple, str] = {}
        self.phases, modules = [], {quick: ModuleText(self.h.triple, quick) for quick in (False, True)}
        for jobs in self.jobs:
            self.phases.append([])
            for job in jobs:
                task = job.write(job.of, job.used)
                number = sum(map(len, self.phases))
                task.name, task.steps = f"nest.{number}" if number else "nest", job.steps
                task.group = job.of if isinstance(job.of, Group) else None
                text = definition, declared = function_text(task.nest.function)
                task.function = known.setdefault(text, task.name)
                self.phases[-1].append(task)
                if task.function != task.name:
                    continue
                module = modules[quick := self.h.quick or self._is_small(task)]
                module.add(task.name, definition.replace('@"nest"(', f'@"{task.name}"(', 1), declared)
                if module.size > MODULE_TEXT:
                    yield module.made()
                    modules[quick] = ModuleText(self.h.triple, quick)
        quick = self.h.quick or self.many
        modules[quick].add("run", *function_text(self._run()))
        yield from (module.made() for module in modules.values() if module.defined)

    def _is_small(self, task: Task) -> bool:
        """Whether a nest does so little of the work that its code may be slow; never a sum, which may be of many."""
        if task.group is None or not self.many or not all(v.primitive.elementwise for v in task.group.values):
            return False
        times = task.steps.count if task.steps else 1
        return times * operations(task.group.values) * SMALL_PART < self.work

    def _run(self) -> ir.Function:
        built = self.built
        assert built.order is not None and built.totals is not None
        copies = [(self.buffers[new], built.state[s.name or ""]) for s, new in self.plan.copied.items()]
        sums = [built.outputs[name] for name in built.counted]
        layout = StepLayout(built.table, built.order, copies, sums, built.totals)
        return emit_run(self.phases, layout, self.h.width, self.h.x86)

    # ---- memory -------------------------------------------------------------------------------------------------

    def _buffer(self, name: str, kind: str, size: int, dtype: str, own: bool = True) -> Buffer:
        buffer = Buffer(name, kind, size, dtype, len(self.built.table))
        self.built.table[buffer] = buffer.number
        if own:
            self.built.scratch.append(buffer)
        return buffer

    def _buffers_inside(self, loop: Loop) -> None:
        """Memory for what a step stores only for itself, and for parts of what it stores."""
        parts = loop.plan.concat_parts
        alone = [*(v for v in loop.plan.stored if v not in parts), *(part.whole for part in parts.values())]
        for v in dict.fromkeys(alone):
            if v not in self.buffers:
                self.buffers[v] = self._buffer_of(v, loop.plan)
        self.buffers |= {v: self.buffers[part.whole] for v, part in parts.items()}

    def _buffer_of(self, v: Value, plan: Plan) -> Buffer:
        """Memory for a stored Value, with its padding."""
        padding = plan.padding.get(v)
        size = math.prod(padding.shape) if padding else v.size
        if v.primitive is packed_rows:
            size = -(-v.shape[0] // PACK) * PACK * v.shape[1]
        buffer = self._buffer(f"%{len(self.built.table)}", v.kind, size, v.dtype)
        buffer.padding = padding
        return buffer

    def _make_buffers(self) -> None:
        built, program = self.built, self.program
        built.order = self._buffer("order", "shared", 0, "int64", own=False)
        built.totals = self._buffer("totals", "shared", 0, "float64", own=False)
        built.error = self._buffer("error", "shared", 1, "int64", own=False)
        used = {v for g in self.plan.groups for v in self.planner.loads(g)} | set(self.plan.rows)
        for v in program.order:
            name = self.keys[v] if v in self.keys else v.name or f"%{len(self.buffers)}"
            if v.primitive is sample_input and v in used:
                built.raw[name] = self._buffer(f"{name}.raw", "raw", v.size, v.dtype, own=False)
                self.buffers[v] = self._buffer(name, "sample", v.size, v.dtype)
            elif v.primitive is shared_input and v in used:
                built.shared[name] = self.buffers[v] = self._buffer(name, "shared", v.size, v.dtype, own=False)
            elif v.primitive is state_leaf:
                built.state[name] = self.buffers[v] = self._buffer(name, "shared", v.size, v.dtype, own=False)
            elif v.primitive is constant_of and v in used:
                built.constants[v] = self.buffers[v] = self._buffer("constant", "shared", v.size, v.dtype, own=False)
        for v in self.planner.stored:
            if v in self.plan.in_place:
                self.buffers[v] = self.buffers[self.plan.in_place[v]]
            else:
                self.buffers[v] = self._buffer_of(v, self.plan)
        for g in self.plan.groups:
            if g.loop:
                self.loops[g] = loop = Loop(g, self.plan, self.buffers, self._buffer)
                self._buffers_inside(loop)
        for v in self.plan.rows:
            own = v not in program.outputs.values()
            together, last = own and v.ndim > 1, v.shape[-1] if v.shape else 1
            strip = strip_of(last, self.h.width) if together and v in self.planner.strips else 0
            size = v.size // max(1, last) * (-(-last // strip) * strip if strip else last)
            self.rows[v] = self._buffer("rows", "rows", size, v.dtype, own)
            self.rows[v].together, self.rows[v].strip = together, strip
        built.outputs = {name: self.buffers[v] for name, v in program.outputs.items()}
        built.given = {name: self.rows[v] for name, v in program.outputs.items() if v in self.rows}

    # ---- nests --------------------------------------------------------------------------------------------------

    @staticmethod
    def _uses(jobs: Sequence[Job]) -> list[tuple[list[Buffer], bool]]:
        """Buffers of one nest after the other, those of a loop as one: a step may need what the one before wrote."""
        found = []
        for steps, several in itertools.groupby(jobs, key=lambda job: job.steps):
            together = list(several)
            if steps is None:
                found += [(job.used, job.by_blocks) for job in together]
            else:
                found.append(([b for job in together for b in job.used], together[0].by_blocks))
        return found

    def _nest(self, used: list[Buffer], steps: int = 0) -> Nest:
        nest = Nest(self.plan, self.buffers, list(dict.fromkeys(used)), self.h.width, steps)
        nest.inline, nest.error = self.inline, self.built.error
        return nest

    def _phase(self, groups: list[Group], first: bool) -> list[Job]:
        jobs = []
        if first:
            jobs += [
                Job(self._gather, v, self._gathered(v))
                for v in self.program.order
                if v.primitive is sample_input and v in self.buffers and v.size
            ]
            jobs += [
                self._rows_job(v)
                for v in self.plan.rows
                if v.size and self._base(v).primitive in LEAVES and not self._rows_as_given(v)
            ]
        for g in groups:
            if not g.size:
                continue
            jobs += self._loop(self.loops[g]) if g.loop else [Job(self._group, g, self._used(g))]
            if g.kind == "sample":
                jobs += [self._rows_job(v) for v in self.plan.rows if v.size and self._base(v) in g.stores]
        return jobs

    def _loop(self, loop: Loop) -> list[Job]:
        """A loop: the first state, and the nests of a step."""
        jobs, start = [], Steps(1, False, loop.steps.shared)
        for g, time in loop.starts:
            (v,) = g.stores
            write = functools.partial(self._group, prepare=functools.partial(write_at, time=time, group=g), steps=1)
            jobs.append(Job(write, g, [*self.loaded(v.inputs), self.buffers[v]], start))
        write = functools.partial(
            self._group, prepare=lambda nest: loop.enter(nest, self.inline), steps=loop.steps.count
        )
        return jobs + [Job(write, g, self._used(g, loop), loop.steps) for g in loop.groups]

    def _rows_job(self, v: Value) -> Job:
        return Job(self._rows, v, [*self.loaded([v]), self.rows[v]])

    def _base(self, v: Value) -> Value:
        """The stored Value or leaf that rows are made of."""
        while v not in self.buffers:
            v = next(i for i in v.inputs if i.kind == "sample" or len(v.inputs) == 1)
        return v

    def _gathered(self, v: Value) -> list[Buffer]:
        """The caller's array, the order of its rows, and where they go."""
        assert self.built.order is not None
        rows = [self.rows[v]] if self._rows_as_given(v) else []
        return [self.built.raw[self.keys[v]], self.built.order, self.buffers[v], *rows]

    def _gather(self, v: Value, used: list[Buffer]) -> Task:
        nest = self._nest(used)
        source, order, lanes = used[:3]
        (gather_by_number if self.h.quick else gather_nest)(nest, source, order, lanes, *used[3:])
        return finished(nest)

    def _rows_as_given(self, v: Value) -> bool:
        """Whether v is an input whose rows are kept in the caller's layout."""
        return v.primitive is sample_input and v in self.rows and not self.rows[v].together

    def _rows(self, v: Value, used: list[Buffer]) -> Task:
        nest = self._nest(used)
        (rows_by_number if self.h.quick else rows_nest)(nest, v, self.rows[v])
        return finished(nest)

    def loaded(self, values) -> list[Buffer]:
        """Buffers that computing these Values reads."""
        found, stack, seen = [], list(values), set()
        while stack:
            v = stack.pop()
            if v in seen:
                continue
            seen.add(v)
            if v in self.buffers and (v.primitive in LEAVES or not is_inline(v, self.inline)):
                found.append(self.buffers[v])
            elif v.primitive not in FREE:
                stack.extend(v.inputs)
        return found

    def _used(self, g: Group, loop: Loop | None = None) -> list[Buffer]:
        """Buffers that the nest of a group reads and writes."""
        if loop is None:
            used = [self.buffers[v] for v in self.planner.loads(g) if v in self.buffers]
        else:
            used = self.loaded(loop.outside(loop.planner.loads(g)))
        used += [self.buffers[v] for v in g.stores]
        if any(v.primitive in (take_rows, scatter_of) for v in g.values) and self.built.error:
            used.append(self.built.error)
        if g.outer:
            assert g.core is not None
            used += [self.rows[v] for v in g.core.inputs[0].inputs if v in self.rows]
        if g.scatter:
            used += [self.rows[i] for v in g.values if v.primitive is scatter_of for i in v.inputs if i in self.rows]
        return used

    def _group(
        self, g: Group, used: list[Buffer], prepare: Callable[[Nest], None] | None = None, steps: int = 0
    ) -> Task:
        """Write the nest of a group; ``prepare`` makes it part of a loop of ``steps`` steps."""
        for write in Kernels(self.h, self.rows, self.buffers).candidates(g, inside=steps > 0):
            nest = self._nest(used, steps)
            nest.own = frozenset(g.values)
            if prepare is not None:
                prepare(nest)
            try:
                return write(nest, g)
            except NotVectorizable:
                continue
        raise AssertionError("one element at a time is always possible")
