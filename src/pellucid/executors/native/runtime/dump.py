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
from ..jit.compiler import readable
from ..plan.buffer import BYTES, Buffer
from ..plan.classify import FREE, LEAVES, VIEWS
from ..plan.passes import stages
from ..plan.planner import Group
from ..plan.work import multiplications

if TYPE_CHECKING:
    from .executable import Executable

BATCH = 32  # for which memory and arithmetic are given, if not asked otherwise
DEPTH = 4  # of what is written into one line
LAYOUTS = {
    "shared": "once, C order",
    "sample": "[block][element][lane]",
    "rows": "[sample][element]",
    "raw": "the caller's array",
}


def plan_text(executable: Executable, batch_size: int = BATCH) -> str:
    """Phases and their nests: kind, loop space, operations, what is loaded and stored; and totals for a batch."""
    return Picture(executable).text(batch_size)


def dump(executable: Executable, folder: str | os.PathLike, batch_size: int = BATCH) -> None:
    """Write program.txt, plan.txt, module.ll and assembly.s; each file is there whole or not at all.

    A program that also has code for one sample alone has it described in the subfolder one_sample.
    """
    picture = Picture(executable)
    code, assembly = readable(picture.modules, executable.host)
    comment = "#" if executable.host.x86 else "//"
    write_all(
        Path(folder),
        {
            "program.txt": program_text(executable, picture.plan.program),
            "plan.txt": picture.text(batch_size) + "\n",
            "module.ll": picture.annotated(code, r'^define [^@\n]*@"?({})"?\(', ";"),
            "assembly.s": picture.annotated(assembly, r'^_?"?({})"?:', comment),
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
    """Files of text, written beside their places first."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        parts = {}
        for name, text in texts.items():
            parts[name] = folder / f".{name}.{os.getpid()}.part"
            stack.callback(parts[name].unlink, missing_ok=True)
            parts[name].write_text(text, encoding="utf-8")
        for name, part in parts.items():
            os.replace(part, folder / name)


class Picture:
    """The plan and the modules of a program, made once more to be looked at."""

    def __init__(self, executable: Executable) -> None:
        self.executable, self.builder = executable, Builder(executable.simplified, executable.host)
        self.modules = list(self.builder.modules())
        self.plan, self.phases = self.builder.plan, self.builder.phases
        self.loops = {loop.steps: loop for loop in self.builder.loops.values()}
        self.names = self.plan.program.names()
        self.order = list(self.plan.program.order)
        for k, loop in enumerate(self.loops.values()):
            self.names = {v: f"loop{k + 1}.{name}" for v, name in loop.plan.program.names().items()} | self.names
            self.names |= {g.stores[0]: f"loop{k + 1}.start" for g, _ in loop.starts}
            self.order += [*loop.plan.program.order, *(g.stores[0] for g, _ in loop.starts)]
        self.values: dict[Buffer, Value] = {}  # the Value that gives a buffer its name: state before what replaces it
        for v, buffer in self.builder.buffers.items():
            self.values.setdefault(buffer, v)
        for v, buffer in self.builder.rows.items():
            self.values[buffer] = v
        for name, buffer in self.builder.built.raw.items():
            self.values[buffer] = self.plan.program.inputs[name]
        reused = [p for p in self.builder.built.slots if len(p.buffers) > 1]
        self.slots = {b: k + 1 for k, p in enumerate(reused) for b in p.buffers}

    # ---- the text -----------------------------------------------------------------------------------------------

    def text(self, batch_size: int) -> str:
        lines = [*self._totals(batch_size), ""]
        for k, tasks in enumerate(self.phases):
            lines.append(f"phase {k + 1} of {len(self.phases)}: {counted(len(tasks), 'nest')}")
            for task in tasks:
                lines += [*self._nest(task), ""]
        return "\n".join([*lines, *self._end()])

    def _totals(self, n: int) -> Iterator[str]:
        host, built, program = self.executable.host, self.builder.built, self.plan.program
        nests = sum(map(len, self.phases))
        yield f"{host.cpu}: {host.width} lanes of 32 bits, {host.accumulators} vectors for a tile"
        yield f"{counted(nests, 'nest')} in {counted(len(self.phases), 'phase')}, a barrier after each phase"
        kept = sum(v.size * BYTES[v.dtype] for v in program.state.values())
        blocks = -(-n // host.width)
        own = sum(self.executable.bytes(p, blocks) for p in built.slots)
        apart = sum(self.executable.length(b, blocks, b.size) * BYTES[b.dtype] for b in built.scratch)
        values = f"{size(own)} for values, {size(apart)} without reuse"
        yield f"memory for a batch of {n}: {values}, beside {size(kept)} of state"
        products, others = arithmetic(program.order, n)
        yield f"arithmetic for a batch of {n}: {products:,} multiplications with addition, {others:,} other operations"

    def _nest(self, task: Task) -> Iterator[str]:
        nest, group = task.nest, task.group
        yield f"  {task.name}: {self.title(task)}"
        if task.function != task.name:
            yield f"    code   the same as of {task.function}, which is called with other memory"
        if nest.tile:
            yield f"    tile   {nest.tile}"
        stores = {v: self.builder.buffers[v] for v in group.stores} if group else {}
        read = set(self._read(task))
        touched = sorted((b for b in nest.used if self._touched(nest, b)), key=lambda b: b.number)
        loads = [b for b in touched if b in read or b not in stores.values()]
        if group is None:  # gathering, and samples as rows: the last are written
            written = [b for b in touched if b.kind in ("sample", "rows") and self._written(nest.used, b)]
            yield from self._memory("loads", [self._buffer(b) for b in touched if b not in written])
            yield from self._memory("stores", [self._buffer(b) for b in written])
            return
        yield from self._operations(group)
        yield from self._memory("loads", [self._buffer(b) for b in loads])
        yield from self._memory("stores", [self._buffer(b, v) for v, b in stores.items()])

    def title(self, task: Task) -> str:
        """The kind of a nest, how threads share it, and its loop space."""
        nest, group, when = task.nest, task.group, ""
        if task.steps in self.loops:
            when = f" in each of {counted(task.steps.count, 'step')}" + ", the last one first" * task.steps.reverse
        if group is None:
            kind = "gather" if any(b.kind == "raw" for b in nest.used) else "rows"
            what = self.names[self.values[nest.used[-1]]]
            words = "a mini-batch's samples into lanes" if kind == "gather" else "samples written as rows, one by one"
            return f"{kind} by blocks: {what}, {words}"
        over = " x ".join(map(str, group.shape)) or "one number"
        made = ", ".join(self._target(v) for v in group.stores)
        if task.units is None:
            return f"samples by blocks over {over}{when}: {made}"
        lanes = "" if nest.feature_width > 1 else ", without lanes"
        kind = "weights" if group.outer else "scatter" if group.scatter else "shared"
        return f"{kind} by {counted(task.units, 'unit')} over {over}{lanes}{when}: {made}"

    def _operations(self, group: Group) -> Iterator[str]:
        for v in self.order:
            if v in group.values:
                inputs = ", ".join(self._operand(i, group) for i in v.inputs)
                core = "scatter" if group.scatter else "contraction"
                mark = f"  <- {core}" if v is group.core else ""
                yield (
                    f"    {self.names[v]} = {v.primitive.name}{attributes_text(v.attributes)}({inputs}): {v.type}{mark}"
                )

    def _operand(self, v: Value, group: Group, depth: int = 0) -> str:
        """An input as the nest takes it: a name, or what is only another index or a number written out."""
        if v in group.values or v in self.builder.buffers or v.primitive in LEAVES or depth > DEPTH:
            return "constant" if v.primitive is constant_of and not v.name else self.names[v]
        if v.primitive is fill_with:
            return str(v.attributes["value"])
        if v.primitive is iota_of:
            return f"0..{v.attributes['n'] - 1}"
        if v.primitive in FREE:
            return v.primitive.name
        inner = ", ".join(self._operand(i, group, depth + 1) for i in v.inputs)
        if v.primitive in VIEWS and v.inputs[0].size <= 1:
            return inner  # one number, wherever it is used
        return f"{v.primitive.name}{attributes_text(v.attributes)}({inner})"

    def _end(self) -> Iterator[str]:
        yield "at the end of a step, by one thread"
        for new, old in self.plan.in_place.items():
            yield f"  {self.names[old]} has been updated in place (it is {self.names[new]} now)"
        for old, new in self.plan.copied.items():
            yield f"  {self.names[old]} becomes a copy of {self.names[new]}, {size(old.size * BYTES[old.dtype])}"
        for name in self.builder.built.counted:
            yield f"  {self.names[self.plan.program.outputs[name]]} is added to the total {name!r}"

    # ---- buffers ------------------------------------------------------------------------------------------------

    @staticmethod
    def _memory(word: str, texts: Sequence[str]) -> Iterator[str]:
        for k, text in enumerate(texts):
            yield f"    {word if k == 0 else '':<6} {text}"

    def _buffer(self, b: Buffer, stored: Value | None = None) -> str:
        if stored is None and b not in self.values:  # one of the engine's own
            return {"order": "the order of the samples", "error": "whether there is an error"}.get(b.name, b.name)
        v = self.values[b] if stored is None else stored
        name = self.names[v] if stored is None else self._target(v)
        a_sample = "" if b.kind == "shared" else " a sample"
        slot = f", slot {self.slots[b]}" if b in self.slots else ""
        return f"{name}: {b.dtype} {v.shape}, {LAYOUTS[b.kind]}, {size(b.size * BYTES[b.dtype])}{a_sample}{slot}"

    def _target(self, v: Value) -> str:
        """A Value's name, and where it is the new value of state, which."""
        if v in self.plan.in_place:
            return f"{self.names[v]} -> {self.names[self.plan.in_place[v]]} in place"
        kept = [self.names[old] for old, new in self.plan.copied.items() if new is v]
        kept += [f"output {name!r}" for name, out in self.plan.program.outputs.items() if out is v]
        return f"{self.names[v]} -> {', '.join(kept)}" if kept else self.names[v]

    def _read(self, task: Task) -> Iterator[Buffer]:
        if task.group is not None and task.steps in self.loops:
            loop = self.loops[task.steps]
            yield from self.builder.loaded(loop.outside(loop.planner.loads(task.group)))
        elif task.steps is None and task.group is not None:
            yield from (self.builder.buffers[v] for v in self.builder.planner.loads(task.group)
                        if v in self.builder.buffers)  # fmt: skip

    def _written(self, used: Sequence[Buffer], b: Buffer) -> bool:
        """Whether a nest that only moves samples writes this buffer: all after the order, or the last alone."""
        order = self.builder.built.order
        return used.index(b) > used.index(order) if order in used else b is used[-1]

    @staticmethod
    def _touched(nest, b: Buffer) -> bool:
        """Whether the nest's code uses the buffer that it is given."""
        return len(re.findall(rf"{nest.pointers[b].ref}\b", str(nest.function))) > 1

    # ---- machine code -------------------------------------------------------------------------------------------

    def annotated(self, code: str, pattern: str, comment: str) -> str:
        """Code with a line before each nest that says what it is."""
        titles: dict[str, str] = {}
        for k, tasks in enumerate(self.phases):
            for t in tasks:
                title = f"phase {k + 1}, {self.title(t)}"
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
            of = v.inputs if v.primitive is scatter_of else (v, *v.inputs)  # only where something is added
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
