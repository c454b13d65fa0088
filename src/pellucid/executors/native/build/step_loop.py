"""The function that every thread calls once for many steps: mini-batch after mini-batch, phase after phase.

``run(table, info, thread)``: ``table`` holds the addresses of all buffers, ``info`` the numbers below.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from ..abi import BATCH, COUNT, ERROR, FAILED, GENERATION, GO, ROWS, SPINS, STEPS, STOP, THREADS, TOTALS, WATCH
from ..codegen.nest import I32, I64, POINTER
from ..llvm import ir
from ..llvm import lanes as L
from ..llvm.lanes import Lanes
from ..plan.buffer import BYTES, Buffer
from ..plan.steps import Steps
from .task import Task


def emit_run(
    phases: Sequence[Sequence[Task]],
    table: dict[Buffer, int],
    order: Buffer,
    copies: Sequence[tuple[Buffer, Buffer]],
    sums: Sequence[Buffer],
    totals: Buffer,
    width: int,
    x86: bool,
) -> ir.Function:
    """Write ``run``. ``copies`` are (from, to) at the end of a step; ``sums`` are added to ``totals`` there.

    ``totals`` has a number for each, then the arrays among them, which are added up only where TOTALS asks for it.
    """
    module = ir.Module()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [POINTER, POINTER, I64]), "run")
    pointers, info, thread = function.args
    b = ir.IRBuilder(function.append_basic_block("entry"))
    mode = flush_denormals(module, b) if x86 else None

    def number(place: int):
        return b.gep(info, [I64(place)], source_etype=I64)

    def get(place: int):
        return b.load(number(place), typ=I64)

    def address(buffer: Buffer):
        """Read where it is needed: hundreds of them are more than registers hold, and take LLVM long to store."""
        found = b.load(b.gep(pointers, [I64(table[buffer])], source_etype=POINTER), typ=POINTER)
        return b.gep(found, [start], source_etype=I64) if buffer is order else found

    rows, batch, threads = get(ROWS), get(BATCH), get(THREADS)

    def share(total):
        return (b.udiv(b.mul(total, thread), threads), b.udiv(b.mul(total, b.add(thread, I64(1))), threads))

    every = [task for tasks in phases for task in tasks]
    of_units = {units: share(I64(units)) for units in dict.fromkeys(t.units for t in every) if units is not None}
    head, step, done = (function.append_basic_block(n) for n in ("head", "step", "done"))
    entry = b.block
    b.branch(head)
    b.position_at_end(head)
    start = b.phi(I64)
    start.add_incoming(I64(0), entry)
    b.cbranch(b.icmp_signed("<", start, rows), step, done)
    b.position_at_end(step)
    left = b.sub(rows, start)
    n = b.select(b.icmp_signed("<", left, batch), left, batch)
    blocks = b.udiv(b.add(n, I64(width - 1)), I64(width))
    own = share(blocks)
    uneven = b.icmp_signed("!=", b.urem(blocks, threads), I64(0))
    # where there are not as many blocks for each thread, all share the parts of each, and wait before and after
    meeting = b.select(uneven, threads, I64(1))
    of_parts = {
        parts: tuple(
            b.select(uneven, some, b.mul(end, I64(parts)))
            for some, end in zip(share(b.mul(blocks, I64(parts))), own, strict=True)
        )
        for parts in dict.fromkeys(t.parts for t in every if t.steps is None)
        if parts > 1
    }

    def call(task: Task, lo, hi, *step) -> None:
        with b.if_then(b.icmp_signed("<", lo, hi)):
            b.call(declared_nest(module, task), [*map(address, task.nest.used), lo, hi, n, *step])

    def meet(threads) -> None:
        b.call(declared_meet(module, x86), [info, threads])

    def call_in_steps(tasks: Sequence[Task], steps: Steps) -> None:
        """Each thread makes the steps of its own blocks of samples, without waiting; shared values, the last one."""
        before, head, inside, after = b.block, *(function.append_basic_block(s) for s in ("steps", "each", "after"))
        last = b.icmp_signed("==", thread, b.sub(threads, I64(1)))
        b.branch(head)
        b.position_at_end(head)
        k = b.phi(I64)
        k.add_incoming(I64(0), before)
        more = b.icmp_signed("<", k, I64(steps.count))
        b.cbranch(b.and_(more, last) if steps.shared else more, inside, after)
        b.position_at_end(inside)
        step = b.sub(I64(steps.count - 1), k) if steps.reverse else k
        for task in tasks:
            lo, hi = (I64(0), I64(task.units)) if task.units is not None else own
            call(task, *(b.mul(end, I64(task.parts)) if task.parts > 1 else end for end in (lo, hi)), step)
        k.add_incoming(b.add(k, I64(1)), b.block)
        b.branch(head)
        b.position_at_end(after)

    def finish_step() -> None:
        """By one thread, while the others wait: small state takes its new value, outputs are added up."""
        copy = declared_memcpy(module)
        for source, target in copies:
            length = I64(source.size * BYTES[source.dtype])
            b.call(copy, [address(target), address(source), length, ir.IntType(1)(0)])
        failed = None
        for k, s in enumerate(sums):
            if s.size != 1:
                continue
            kind = L.llvm_type(s.dtype, 1)
            x = L.xp.astype(Lanes(b, b.load(address(s), typ=kind), s.dtype, 1), "float64").value
            place = b.gep(address(totals), [I64(k)], source_etype=ir.DoubleType())
            b.store(b.fadd(b.load(place, typ=ir.DoubleType()), x), place)
            bad = b.fcmp_unordered("uno", b.fsub(x, x), ir.DoubleType()(0.0))  # inf - inf and NaN
            bad = b.and_(bad, b.icmp_signed("==", get(WATCH), I64(k)))
            failed = bad if failed is None else b.or_(failed, bad)
        if any(s.size != 1 for s in sums):
            with b.if_then(b.icmp_signed("!=", get(TOTALS), I64(0))):
                at = len(sums)
                for s in (s for s in sums if s.size != 1):
                    place = b.gep(address(totals), [I64(at)], source_etype=ir.DoubleType())
                    b.call(declared_adding(module, s.dtype), [place, address(s), I64(s.size)])
                    at += s.size
        refused = b.icmp_signed("!=", b.load_atomic(number(ERROR), "monotonic", 8, typ=I64), I64(0))
        b.store(b.add(get(STEPS), I64(1)), number(STEPS))
        go = b.icmp_signed("==", b.load_atomic(number(STOP), "monotonic", 8, typ=I64), I64(0))
        if failed is not None:
            b.store(b.zext(failed, I64), number(FAILED))
            go = b.and_(go, b.not_(failed))
        b.store(b.zext(b.and_(go, b.not_(refused)), I64), number(GO))

    def one(task: Task, met: bool) -> bool:
        """Call a nest; ``met``: whether all threads have just waited for each other, before and after."""
        if task.parts > 1:
            meet(meeting)
            call(task, *of_parts[task.parts])
            meet(meeting)
            return False
        if task.split and not met:
            meet(threads)
        call(task, *(own if task.units is None else of_units[task.units]))
        if task.split:
            meet(threads)
        return task.split

    met = True  # whether all threads have just waited for each other
    for k, tasks in enumerate(phases):
        for steps, several in itertools.groupby(tasks, key=lambda task: task.steps):
            if steps is not None:
                call_in_steps(list(several), steps)
                met = False
                continue
            for task in several:
                met = one(task, met)
        last = k == len(phases) - 1
        if not last and by_one(tasks) and by_one(phases[k + 1]):  # the same thread goes on
            continue
        if last:
            barrier(module, b, number, threads, finish_step, x86)
        elif not met:
            meet(threads)
            met = True
    if not phases:
        barrier(module, b, number, threads, finish_step, x86)
    start.add_incoming(b.add(start, batch), b.block)
    b.cbranch(b.icmp_signed("!=", get(GO), I64(0)), head, done)
    b.position_at_end(done)
    if mode is not None:
        b.call(mode[0], [mode[1]])
    b.ret_void()
    return function


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
    """``meet(info, threads)``: all of so many threads wait for each other; a program does so at many places."""
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
