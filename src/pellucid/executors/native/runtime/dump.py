"""What the engine made of a program, as text: phases, nests, memory and arithmetic, and the machine code itself."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from ....graph import Value
from ....listing import attributes_text
from ....ops.contract import contract_of
from ....ops.gather import scatter_of
from ....ops.loop import result_of, scan_of
from ....ops.movement import constant_of, fill_with, iota_of
from ....ops.winograd import winograd_product
from ....program import Program
from ..build.builder import Builder
from ..build.task import Task
from ..codegen.nest import Nest
from ..jit.compiler import readable
from ..plan.buffer import BYTES, Buffer
from ..plan.classify import FREE, LEAVES, VIEWS
from ..plan.passes import stages
from ..plan.planner import Group
from ..plan.work import multiplications

if TYPE_CHECKING:
    from .executable import Executable

BATCH_SIZE = 32  # for which memory and arithmetic are given by default
MAX_DEPTH = 4  # of an operand that is written out in one line
LAYOUTS = {
    "shared": "once, C order",
    "sample": "[block][element][lane]",
    "rows": "[sample][element]",
    "raw": "the caller's array",
}


def plan_text(executable: Executable, batch_size: int = BATCH_SIZE) -> str:
    """Phases and their nests: kind, loop space, operations, what is loaded and stored; and totals for a batch."""
    return PlanPrinter(executable).plan_text(batch_size)


def dump(executable: Executable, folder: str | os.PathLike, batch_size: int = BATCH_SIZE) -> None:
    """Write program.txt, plan.txt, module.ll and assembly.s; each file is there whole or not at all.

    A program that also has code for one sample alone has it described in the subfolder one_sample.
    """
    printer = PlanPrinter(executable)
    code, assembly = readable(printer.modules, executable.host)
    comment = "#" if executable.host.x86 else "//"
    write_all(
        Path(folder),
        {
            "program.txt": program_text(executable, printer.plan.program),
            "plan.txt": printer.plan_text(batch_size) + "\n",
            "module.ll": printer.annotated(code, r'^define [^@\n]*@"?({})"?\(', ";"),
            "assembly.s": printer.annotated(assembly, r'^_?"?({})"?:', comment),
        },
    )
    if executable.one_sample is not None:
        dump(executable.one_sample, Path(folder) / "one_sample", 1)


def program_text(executable: Executable, planned: Program) -> str:
    """The program as it was given, after each pass that changed it, and as it is planned."""
    programs = {"As it was given": executable.program, "Simplified": executable.simplified}
    programs |= {f"After the pass {name}": program for name, program in stages(executable.simplified)}
    programs |= {"As it is computed; plan.txt has the same names": planned}
    parts, before = [], ""
    for heading, program in programs.items():
        text = program.listing(full=True)
        parts.append(f"{heading}:\n\n{text}\n" if text != before or program is planned else f"{heading}: the same.\n")
        before = text
    return "\n".join(parts)


def write_all(folder: Path, texts: Mapping[str, str]) -> None:
    """Write all files or none: to temporary names first, which are then renamed."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        parts = {}
        for name, text in texts.items():
            parts[name] = folder / f".{name}.{os.getpid()}.part"
            stack.callback(parts[name].unlink, missing_ok=True)
            parts[name].write_text(text, encoding="utf-8")
        for name, part in parts.items():
            os.replace(part, folder / name)


class PlanPrinter:
    """Prints the plan and annotates the code of a program, which is built anew for it."""

    def __init__(self, executable: Executable) -> None:
        self.executable, self.builder = executable, Builder(executable.simplified, executable.host)
        self.modules = list(self.builder.modules())
        self.plan, self.phases = self.builder.plan, self.builder.phases
        self.loops = {loop.steps: loop for loop in self.builder.loops.values()}
        self.names = self.plan.program.names()
        self.order = list(self.plan.program.order)
        for k, loop in enumerate(self.loops.values(), 1):
            starts = [g.stores[0] for g, _ in loop.starts]
            self.names = {v: f"loop{k}.{name}" for v, name in loop.plan.program.names().items()} | self.names
            self.names |= dict.fromkeys(starts, f"loop{k}.start")
            self.order += [*loop.plan.program.order, *starts]
        self.values = self._values()
        reused = [slot for slot in self.builder.built.slots if len(slot.buffers) > 1]
        self.slots = {b: k for k, slot in enumerate(reused, 1) for b in slot.buffers}

    def _values(self) -> dict[Buffer, Value]:
        """The Value that gives a buffer its name: state before what replaces it."""
        values: dict[Buffer, Value] = {}
        for v, buffer in self.builder.buffers.items():
            values.setdefault(buffer, v)
        values |= {buffer: v for v, buffer in self.builder.rows.items()}
        inputs = self.plan.program.inputs
        return values | {buffer: inputs[name] for name, buffer in self.builder.built.raw.items()}

    # ---- the plan -----------------------------------------------------------------------------------------------

    def plan_text(self, batch_size: int) -> str:
        """Totals for a batch, the nests of each phase, and what one thread does at the end of a step."""
        lines = [*self._totals(batch_size), ""]
        for k, tasks in enumerate(self.phases, 1):
            lines.append(f"phase {k} of {len(self.phases)}: {counted(len(tasks), 'nest')}")
            for task in tasks:
                lines += [*self._nest(task), ""]
        return "\n".join([*lines, *self._end_of_step()])

    def _totals(self, batch_size: int) -> Iterator[str]:
        host, built, program = self.executable.host, self.builder.built, self.plan.program
        nests = sum(map(len, self.phases))
        yield f"{host.cpu}: {host.width} lanes of 32 bits, {host.accumulators} vectors for a tile"
        yield f"{counted(nests, 'nest')} in {counted(len(self.phases), 'phase')}, a barrier after each phase"
        state = sum(v.size * BYTES[v.dtype] for v in program.state.values())
        blocks = -(-batch_size // host.width)
        with_reuse = sum(self.executable.bytes(slot, blocks) for slot in built.slots)
        lengths = ((b, self.executable.length(b, blocks, b.size)) for b in built.scratch)
        without_reuse = sum(length * BYTES[b.dtype] for b, length in lengths)
        values = f"{size(with_reuse)} for values, {size(without_reuse)} without reuse"
        yield f"memory for a batch of {batch_size}: {values}, beside {size(state)} of state"
        products, others = (f"{n:,}" for n in arithmetic(program.order, batch_size))
        operations = f"{products} multiplications with addition, {others} other operations"
        yield f"arithmetic for a batch of {batch_size}: {operations}"

    def _nest(self, task: Task) -> Iterator[str]:
        nest, group = task.nest, task.group
        yield f"  {task.name}: {self.title(task)}"
        if task.function != task.name:
            yield f"    code   the same as of {task.function}, which is called with other memory"
        if nest.tile:
            yield f"    tile   {nest.tile}"
        used = sorted((b for b in nest.used if self._is_used(nest, b)), key=lambda b: b.number)
        if group is None:
            written = [b for b in used if b.kind in ("sample", "rows") and self._is_written(nest.used, b)]
            yield from self._memory("loads", [self._buffer(b) for b in used if b not in written])
            yield from self._memory("stores", [self._buffer(b) for b in written])
            return
        stores = {v: self.builder.buffers[v] for v in group.stores}
        loads = {*self._read(task), *(b for b in used if b not in stores.values())}
        yield from self._operations(group)
        yield from self._memory("loads", [self._buffer(b) for b in used if b in loads])
        yield from self._memory("stores", [self._buffer(b, v) for v, b in stores.items()])

    def title(self, task: Task) -> str:
        """The kind of a nest, how threads share it, and its loop space."""
        nest, group = task.nest, task.group
        if group is None:
            gathers = any(b.kind == "raw" for b in nest.used)
            kind = "gather" if gathers else "rows"
            what = "a mini-batch's samples into lanes" if gathers else "samples written as rows, one by one"
            return f"{kind} by blocks: {self.names[self.values[nest.used[-1]]]}, {what}"
        space = " x ".join(map(str, group.shape)) or "one number"
        targets = ", ".join(self._target(v) for v in group.stores)
        steps = ""
        if task.steps in self.loops:
            steps = f" in each of {counted(task.steps.count, 'step')}" + ", the last one first" * task.steps.reverse
        if task.units is None:
            return f"samples by blocks over {space}{steps}: {targets}"
        lanes = "" if nest.feature_width > 1 else ", without lanes"
        kind = "weights" if group.outer else "scatter" if group.scatter else "shared"
        return f"{kind} by {counted(task.units, 'unit')} over {space}{lanes}{steps}: {targets}"

    def _operations(self, group: Group) -> Iterator[str]:
        for v in self.order:
            if v in group.values:
                inputs = ", ".join(self._operand(i, group) for i in v.inputs)
                operation = f"{v.primitive.name}{attributes_text(v.attributes)}({inputs}): {v.type}"
                core = "scatter" if group.scatter else "contraction"
                mark = f"  <- {core}" if v is group.core else ""
                yield f"    {self.names[v]} = {operation}{mark}"

    def _operand(self, v: Value, group: Group, depth: int = 0) -> str:
        """An input of an operation: its name, or written out, where it is only another index or a number."""
        if v in group.values or v in self.builder.buffers or v.primitive in LEAVES or depth > MAX_DEPTH:
            return "constant" if v.primitive is constant_of and not v.name else self.names[v]
        if v.primitive is fill_with:
            return str(v.attributes["value"])
        if v.primitive is iota_of:
            return f"0..{v.attributes['n'] - 1}"
        if v.primitive in FREE:
            return v.primitive.name
        inner = ", ".join(self._operand(i, group, depth + 1) for i in v.inputs)
        if v.primitive in VIEWS and v.inputs[0].size <= 1:
            return inner  # one number, however it is indexed
        return f"{v.primitive.name}{attributes_text(v.attributes)}({inner})"

    def _end_of_step(self) -> Iterator[str]:
        yield "at the end of a step, by one thread"
        for new, old in self.plan.in_place.items():
            yield f"  {self.names[old]} has been updated in place (it is {self.names[new]} now)"
        for old, new in self.plan.copied.items():
            yield f"  {self.names[old]} becomes a copy of {self.names[new]}, {size(old.size * BYTES[old.dtype])}"
        for name in self.builder.built.counted:
            yield f"  {self.names[self.plan.program.outputs[name]]} is added to the total {name!r}"

    # ---- buffers ------------------------------------------------------------------------------------------------

    @staticmethod
    def _memory(heading: str, buffers: Sequence[str]) -> Iterator[str]:
        for k, buffer in enumerate(buffers):
            yield f"    {heading if k == 0 else '':<6} {buffer}"

    def _buffer(self, b: Buffer, stored: Value | None = None) -> str:
        if stored is None and b not in self.values:  # one of the engine's own
            return {"order": "the order of the samples", "error": "whether there is an error"}.get(b.name, b.name)
        v = self.values[b] if stored is None else stored
        name = self.names[v] if stored is None else self._target(v)
        each = "" if b.kind == "shared" else " a sample"
        slot = f", slot {self.slots[b]}" if b in self.slots else ""
        return f"{name}: {b.dtype} {v.shape}, {LAYOUTS[b.kind]}, {size(b.size * BYTES[b.dtype])}{each}{slot}"

    def _target(self, v: Value) -> str:
        """A Value's name, and the state or outputs that it becomes."""
        if v in self.plan.in_place:
            return f"{self.names[v]} -> {self.names[self.plan.in_place[v]]} in place"
        targets = [self.names[old] for old, new in self.plan.copied.items() if new is v]
        targets += [f"output {name!r}" for name, out in self.plan.program.outputs.items() if out is v]
        return f"{self.names[v]} -> {', '.join(targets)}" if targets else self.names[v]

    def _read(self, task: Task) -> list[Buffer]:
        """Buffers from which a group's Values are computed."""
        builder, group = self.builder, task.group
        if group is None or (task.steps is not None and task.steps not in self.loops):  # a copy of the initial state
            return []
        if task.steps is None:
            return [builder.buffers[v] for v in builder.planner.loads(group) if v in builder.buffers]
        loop = self.loops[task.steps]
        return builder.loaded(loop.outside(loop.planner.loads(group)))

    def _is_written(self, used: Sequence[Buffer], b: Buffer) -> bool:
        """Whether a nest that only moves samples writes this buffer: all after the order, or the last alone."""
        order = self.builder.built.order
        return used.index(b) > used.index(order) if order in used else b is used[-1]

    @staticmethod
    def _is_used(nest: Nest, b: Buffer) -> bool:
        """Whether the code of a nest uses this argument."""
        return len(re.findall(rf"{nest.pointers[b].ref}\b", str(nest.function))) > 1

    # ---- machine code -------------------------------------------------------------------------------------------

    def annotated(self, code: str, pattern: str, comment: str) -> str:
        """The code, with a comment before each nest that says what it is."""
        titles: dict[str, str] = {}
        for k, tasks in enumerate(self.phases, 1):
            for t in tasks:
                title = f"phase {k}, {self.title(t)}"
                titles[t.function] = f"{titles[t.function]}; {t.name} too" if t.function in titles else title
        titles["run"] = "what each thread calls: the loop over mini-batches, and the barriers"
        names = "|".join(map(re.escape, sorted(titles, key=len, reverse=True)))
        return re.sub(
            pattern.format(names),
            lambda found: f"{comment} ---- {found[1]}: {titles[found[1]]}\n{found[0]}",
            code,
            flags=re.MULTILINE,
        )


# ---- numbers ---------------------------------------------------------------------------------------------------------


def arithmetic(order: Sequence[Value], batch_size: int) -> tuple[int, int]:
    """Multiplications with addition of all contractions of a step, and elements of all other operations."""
    products = others = 0
    for v in order:
        times = batch_size if v.kind == "sample" else 1
        if v.primitive is scan_of:
            inside = arithmetic(v.attributes["body"].order, batch_size)
            products, others = (
                total + v.attributes["length"] * n for total, n in zip((products, others), inside, strict=True)
            )
        elif v.primitive in (contract_of, winograd_product):
            products += times * multiplications(v)
        elif v.primitive not in (*LEAVES, *FREE, *VIEWS, result_of):
            of = v.inputs if v.primitive is scatter_of else (v, *v.inputs)  # no more than is added
            others += times * max(1, *(i.size for i in of))
    return products, others


def size(count: int) -> str:
    """Bytes as people read them.

    >>> size(40), size(4096), size(3211264)
    ('40 B', '4.0 KB', '3.1 MB')
    """
    if count < 1024:
        return f"{count} B"
    power = min(int(math.log2(count)) // 10, 4)
    return f"{count / 1024**power:.1f} {' KMGT'[power]}B"


def counted(n: int, word: str) -> str:
    """A number of things.

    >>> counted(1, "nest"), counted(3, "phase")
    ('1 nest', '3 phases')
    """
    return f"{n:,} {word}{'' if n == 1 else 's'}"
