"""The function that every thread calls once for many steps: mini-batch after mini-batch, phase after phase.

``run(table, info, thread)``: ``table`` holds the addresses of all buffers, ``info`` the numbers below.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..abi import BATCH, COUNT, ERROR, FAILED, GENERATION, GO, ROWS, SPINS, STEPS, STOP, THREADS, TOTALS, WATCH
from ..codegen.nest import I32, I64, POINTER
from ..llvm import ir
from ..llvm import lanes as L
from ..llvm.lanes import Lanes
from ..plan.buffer import BYTES, Buffer
from ..plan.steps import Steps
from .task import Task


def emit_run(phases: Sequence[Sequence[Task]], layout: StepLayout, width: int, x86: bool) -> ir.Function:
    """Write ``run``: the nests of ``phases`` for one mini-batch after another."""
    return StepLoop(phases, layout, width, x86).emit()


class StepLayout(NamedTuple):
    """What a step must know of memory. ``copies`` are (from, to) at its end, where ``sums`` are added to ``totals``.

    ``totals`` has a number for each, then the arrays among them, which are added up only where TOTALS asks for it.
    """

    table: dict[Buffer, int]
    order: Buffer
    copies: Sequence[tuple[Buffer, Buffer]]
    sums: Sequence[Buffer]
    totals: Buffer


class Span(NamedTuple):
    """What a thread has of something: from ``lo`` on, before ``hi``."""

    lo: ir.Value
    hi: ir.Value


class StepLoop:
    """Writes ``run(table, info, thread)``."""

    def __init__(self, phases: Sequence[Sequence[Task]], layout: StepLayout, width: int, x86: bool) -> None:
        self.phases, self.layout, self.width, self.x86 = phases, layout, width, x86
        self.module = ir.Module()
        kind = ir.FunctionType(ir.VoidType(), [POINTER, POINTER, I64])
        self.function = ir.Function(self.module, kind, "run")
        self.table, self.info, self.thread = self.function.args
        self.builder = ir.IRBuilder(self.function.append_basic_block("entry"))
        self.met = True  # whether all threads have just waited for each other

    def emit(self) -> ir.Function:
        b, tasks = self.builder, [task for tasks in self.phases for task in tasks]
        mode = flush_denormals(self.module, b) if self.x86 else None
        rows, batch, self.threads = self.get(ROWS), self.get(BATCH), self.get(THREADS)
        units = [task.units for task in tasks if task.units is not None]
        self.of_units = {n: self.share(I64(n)) for n in dict.fromkeys(units)}
        head, step, done = (self.function.append_basic_block(name) for name in ("head", "step", "done"))
        entry = b.block
        b.branch(head)
        b.position_at_end(head)
        start = self.start = b.phi(I64)
        start.add_incoming(I64(0), entry)
        b.cbranch(b.icmp_signed("<", start, rows), step, done)
        b.position_at_end(step)
        self.share_batch(rows, batch, tasks)
        self.step()
        start.add_incoming(b.add(start, batch), b.block)
        b.cbranch(b.icmp_signed("!=", self.get(GO), I64(0)), head, done)
        b.position_at_end(done)
        if mode is not None:
            b.call(mode[0], [mode[1]])
        b.ret_void()
        return self.function

    # ---- numbers and addresses ------------------------------------------------------------------------------------

    def number(self, k: int) -> ir.Value:
        return self.builder.gep(self.info, [I64(k)], source_etype=I64)

    def get(self, k: int) -> ir.Value:
        return self.builder.load(self.number(k), typ=I64)

    def address(self, buffer: Buffer) -> ir.Value:
        """Read where it is needed: hundreds of them are more than registers hold, and take LLVM long to store."""
        b = self.builder
        found = b.load(b.gep(self.table, [I64(self.layout.table[buffer])], source_etype=POINTER), typ=POINTER)
        return b.gep(found, [self.start], source_etype=I64) if buffer is self.layout.order else found

    # ---- who does what --------------------------------------------------------------------------------------------

    def share(self, total: ir.Value) -> Span:
        """This thread's part of ``total``."""
        b = self.builder
        return Span(
            b.udiv(b.mul(total, self.thread), self.threads),
            b.udiv(b.mul(total, b.add(self.thread, I64(1))), self.threads),
        )

    def share_batch(self, rows: ir.Value, batch: ir.Value, tasks: Sequence[Task]) -> None:
        """The samples of this step, and what the thread has of their blocks, and of the parts of blocks."""
        b = self.builder
        left = b.sub(rows, self.start)
        self.samples = b.select(b.icmp_signed("<", left, batch), left, batch)
        blocks = b.udiv(b.add(self.samples, I64(self.width - 1)), I64(self.width))
        self.own = self.share(blocks)
        uneven = b.icmp_signed("!=", b.urem(blocks, self.threads), I64(0))
        # where there are not as many blocks for each thread, all share the parts of each, and wait before and after
        self.meeting = b.select(uneven, self.threads, I64(1))
        self.of_parts = {}
        for parts in dict.fromkeys(task.parts for task in tasks if task.steps is None):
            if parts > 1:
                some = self.share(b.mul(blocks, I64(parts)))
                ends = [b.select(uneven, s, b.mul(o, I64(parts))) for s, o in zip(some, self.own, strict=True)]
                self.of_parts[parts] = Span(*ends)

    # ---- a step ---------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """All phases, and the end of the step, which one thread does while the others wait."""
        for k, tasks in enumerate(self.phases):
            self.phase(tasks)
            if k < len(self.phases) - 1 and by_one(tasks) and by_one(self.phases[k + 1]):  # the same thread goes on
                continue
            if k < len(self.phases) - 1 and not self.met:
                self.meet(self.threads)
                self.met = True
        barrier(self.module, self.builder, self.number, self.threads, self.finish, self.x86)

    def phase(self, tasks: Sequence[Task]) -> None:
        for steps, several in itertools.groupby(tasks, key=lambda task: task.steps):
            if steps is not None:
                self.call_in_steps(list(several), steps)
                self.met = False
                continue
            for task in several:
                self.call_shared(task)

    def call_shared(self, task: Task) -> None:
        """Call a nest for what the thread has of it; where threads share blocks, all wait before and after."""
        if task.parts > 1:
            self.meet(self.meeting)
            self.call(task, *self.of_parts[task.parts])
            self.meet(self.meeting)
            self.met = False
            return
        if task.split and not self.met:
            self.meet(self.threads)
        self.call(task, *(self.own if task.units is None else self.of_units[task.units]))
        if task.split:
            self.meet(self.threads)
        self.met = task.split

    def call(self, task: Task, lo: ir.Value, hi: ir.Value, *step: ir.Value) -> None:
        b = self.builder
        with b.if_then(b.icmp_signed("<", lo, hi)):
            used = [self.address(buffer) for buffer in task.nest.used]
            b.call(declared_nest(self.module, task), [*used, lo, hi, self.samples, *step])

    def meet(self, threads: ir.Value) -> None:
        self.builder.call(declared_meet(self.module, self.x86), [self.info, threads])

    def call_in_steps(self, tasks: Sequence[Task], steps: Steps) -> None:
        """Each thread makes the steps of its own blocks of samples, without waiting; shared values, the last one."""
        b = self.builder
        before = b.block
        head, inside, after = (self.function.append_basic_block(s) for s in ("steps", "each", "after"))
        last = b.icmp_signed("==", self.thread, b.sub(self.threads, I64(1)))
        b.branch(head)
        b.position_at_end(head)
        k = b.phi(I64)
        k.add_incoming(I64(0), before)
        more = b.icmp_signed("<", k, I64(steps.count))
        b.cbranch(b.and_(more, last) if steps.shared else more, inside, after)
        b.position_at_end(inside)
        step = b.sub(I64(steps.count - 1), k) if steps.reverse else k
        for task in tasks:
            lo, hi = (I64(0), I64(task.units)) if task.units is not None else self.own
            self.call(task, *(b.mul(end, I64(task.parts)) if task.parts > 1 else end for end in (lo, hi)), step)
        k.add_incoming(b.add(k, I64(1)), b.block)
        b.branch(head)
        b.position_at_end(after)

    # ---- the end of a step ----------------------------------------------------------------------------------------

    def finish(self) -> None:
        """By one thread, while the others wait: small state takes its new value, outputs are added up."""
        b, copy = self.builder, declared_memcpy(self.module)
        for source, target in self.layout.copies:
            length = I64(source.size * BYTES[source.dtype])
            b.call(copy, [self.address(target), self.address(source), length, ir.IntType(1)(0)])
        failed = self.add_numbers()
        self.add_arrays()
        refused = b.icmp_signed("!=", b.load_atomic(self.number(ERROR), "monotonic", 8, typ=I64), I64(0))
        b.store(b.add(self.get(STEPS), I64(1)), self.number(STEPS))
        go = b.icmp_signed("==", b.load_atomic(self.number(STOP), "monotonic", 8, typ=I64), I64(0))
        if failed is not None:
            b.store(b.zext(failed, I64), self.number(FAILED))
            go = b.and_(go, b.not_(failed))
        b.store(b.zext(b.and_(go, b.not_(refused)), I64), self.number(GO))

    def add_numbers(self) -> ir.Value | None:
        """Add outputs of one element to their totals; gives whether the watched one is not finite."""
        b, double, failed = self.builder, ir.DoubleType(), None
        for k, s in enumerate(self.layout.sums):
            if s.size != 1:
                continue
            kind = L.llvm_type(s.dtype, 1)
            x = L.xp.astype(Lanes(b, b.load(self.address(s), typ=kind), s.dtype, 1), "float64").value
            total = b.gep(self.address(self.layout.totals), [I64(k)], source_etype=double)
            b.store(b.fadd(b.load(total, typ=double), x), total)
            bad = b.fcmp_unordered("uno", b.fsub(x, x), double(0.0))  # inf - inf and NaN
            bad = b.and_(bad, b.icmp_signed("==", self.get(WATCH), I64(k)))
            failed = bad if failed is None else b.or_(failed, bad)
        return failed

    def add_arrays(self) -> None:
        """Add outputs that are arrays to their totals, where that is asked for."""
        b, arrays = self.builder, [s for s in self.layout.sums if s.size != 1]
        if not arrays:
            return
        with b.if_then(b.icmp_signed("!=", self.get(TOTALS), I64(0))):
            first = len(self.layout.sums)
            for s in arrays:
                total = b.gep(self.address(self.layout.totals), [I64(first)], source_etype=ir.DoubleType())
                b.call(declared_adding(self.module, s.dtype), [total, self.address(s), I64(s.size)])
                first += s.size


def by_one(tasks: Sequence[Task]) -> bool:
    """Whether one thread does all of a phase."""
    return all((task.steps.shared if task.steps else task.units == 1) and not task.split for task in tasks)


def flush_denormals(module: ir.Module, b: ir.IRBuilder):
    """Denormal numbers become 0 while the program runs; gives what puts the mode back."""
    kind = ir.FunctionType(ir.VoidType(), [POINTER])
    read, write = (ir.Function(module, kind, f"llvm.x86.sse.{name}mxcsr") for name in ("st", "ld"))
    before, now = b.alloca(I32), b.alloca(I32)
    b.call(read, [before])
    b.store(b.or_(b.load(before, typ=I32), I32(0x8040)), now)
    b.call(write, [now])
    return write, before


def barrier(module: ir.Module, b: ir.IRBuilder, number: Callable, threads, serial: Callable, x86: bool) -> None:
    """Wait for all threads; the last to come does ``serial`` first. Spins for a while, then yields the processor."""
    f = b.function
    alone, several, after = (f.append_basic_block(n) for n in ("alone", "several", "after"))
    last, wait, spin, check = (f.append_basic_block(n) for n in ("last", "wait", "spin", "check"))
    count, generation = number(COUNT), number(GENERATION)
    b.cbranch(b.icmp_signed("==", threads, I64(1)), alone, several)

    b.position_at_end(several)
    mine = b.load_atomic(generation, "acquire", 8, typ=I64)
    arrived = b.atomic_rmw("add", count, I64(1), "acq_rel")
    b.cbranch(b.icmp_signed("==", b.add(arrived, I64(1)), threads), last, wait)

    b.position_at_end(wait)
    b.branch(check)
    b.position_at_end(check)
    turns = b.phi(I64)
    turns.add_incoming(I64(0), wait)
    now = b.load_atomic(generation, "acquire", 8, typ=I64)
    b.cbranch(b.icmp_signed("==", now, mine), spin, after)
    b.position_at_end(spin)
    if x86:
        b.call(declared(module, "llvm.x86.sse2.pause", ir.VoidType()), [])
    with b.if_then(b.icmp_signed(">", turns, I64(SPINS))):
        b.call(declared(module, "sched_yield", I32), [])
    turns.add_incoming(b.add(turns, I64(1)), b.block)
    b.branch(check)

    b.position_at_end(alone)  # one thread: the same work, nobody to tell
    b.branch(last)
    b.position_at_end(last)
    serial()
    b.atomic_rmw("xchg", count, I64(0), "release")
    b.atomic_rmw("add", generation, I64(1), "release")
    b.branch(after)
    b.position_at_end(after)


def declared_meet(module: ir.Module, x86: bool) -> ir.Function:
    """``meet(info, threads)``: ``threads`` threads wait for each other; called at many places."""
    if "meet" in module.globals:
        return module.globals["meet"]
    f = ir.Function(module, ir.FunctionType(ir.VoidType(), [POINTER, I64]), "meet")
    f.linkage = "internal"
    info, threads = f.args
    b = ir.IRBuilder(f.append_basic_block("entry"))
    with b.if_then(b.icmp_signed(">", threads, I64(1))):
        barrier(module, b, lambda place: b.gep(info, [I64(place)], source_etype=I64), threads, lambda: None, x86)
    b.ret_void()
    return f


def declared_nest(module: ir.Module, task: Task) -> ir.Function:
    if task.function not in module.globals:
        ir.Function(module, task.nest.function.ftype, task.function).linkage = "hidden"
    return module.globals[task.function]


def declared(module: ir.Module, name: str, result: ir.Type) -> ir.Function:
    return module.globals.get(name) or ir.Function(module, ir.FunctionType(result, []), name)


def declared_adding(module: ir.Module, dtype: str) -> ir.Function:
    """``totals[i] += x[i]`` for i < n, as a function of its own."""
    name = f"add_{dtype}"
    if name in module.globals:
        return module.globals[name]
    f = ir.Function(module, ir.FunctionType(ir.VoidType(), [POINTER, POINTER, I64]), name)
    f.linkage = "internal"
    totals, x, n = f.args
    b = ir.IRBuilder(f.append_basic_block("entry"))
    head, each, done = (f.append_basic_block(s) for s in ("head", "each", "done"))
    entry = b.block
    b.branch(head)
    b.position_at_end(head)
    i = b.phi(I64)
    i.add_incoming(I64(0), entry)
    b.cbranch(b.icmp_signed("<", i, n), each, done)
    b.position_at_end(each)
    kind = L.llvm_type(dtype, 1)
    given = Lanes(b, b.load(b.gep(x, [i], source_etype=kind), typ=kind), dtype, 1)
    place = b.gep(totals, [i], source_etype=ir.DoubleType())
    b.store(b.fadd(b.load(place, typ=ir.DoubleType()), L.xp.astype(given, "float64").value), place)
    i.add_incoming(b.add(i, I64(1)), b.block)
    b.branch(head)
    b.position_at_end(done)
    b.ret_void()
    return f


def declared_memcpy(module: ir.Module) -> ir.Function:
    kind = ir.FunctionType(ir.VoidType(), [POINTER, POINTER, I64, ir.IntType(1)])
    return module.globals.get("llvm.memcpy.p0.p0.i64") or ir.Function(module, kind, "llvm.memcpy.p0.p0.i64")
