"""LLVM's modules from text to machine code, several side by side while Python writes the next. Imports llvmlite.

llvmlite holds one lock around every call of LLVM. LLVM needs none where threads share nothing, and here each has a
context, a target machine and a pass builder of its own. So the two calls that take long are made without that lock;
where a version of llvmlite has other names inside, with it, one after the other.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import llvmlite.binding as llvm
from llvmlite.binding import ffi

from ..llvm.module import Quick
from .target import target_machine

if TYPE_CHECKING:
    from .target import Host

LOCK = threading.RLock()  # held while anything is compiled
if hasattr(os, "register_at_fork"):  # no child begins in the middle of a compilation
    os.register_at_fork(before=LOCK.acquire, after_in_parent=LOCK.release, after_in_child=LOCK.release)
LLVM_PASSES = ("simplify_cfg", "new_gvn", "instruction_combine", "loop_rotate", "simplify_cfg")
WORTH_A_THREAD = 12_000  # characters of a module; the last one of a program is often small


class Compiler:
    """What one thread compiles with. Kept for the next: llvmlite gives nothing back of the memory that passes take.

    The few of LLVM's passes that this code gains from; not unrolling: accumulators must stay in registers. The usual
    pipeline takes several times as long, for code that is no faster. `Quick` modules get none, and no search for the
    best instructions and registers; no sum is done in another order for it, so the bits are the same.
    """

    idle: ClassVar[dict[Host, list[Compiler]]] = {}

    def __init__(self, h: Host) -> None:
        self.machine, self.quick = target_machine(h), target_machine(h, 0)
        self.builder = llvm.create_pass_builder(self.machine, llvm.create_pipeline_tuning_options(speed_level=2))
        self.passes = llvm.create_new_module_pass_manager()
        for name in LLVM_PASSES:
            getattr(self.passes, f"add_{name}_pass")()

    @classmethod
    @contextlib.contextmanager
    def borrowed(cls, h: Host) -> Iterator[Compiler]:
        """One that no other thread uses meanwhile."""
        idle = cls.idle.setdefault(h, [])
        try:
            compiler = idle.pop()
        except IndexError:
            compiler = cls(h)
        try:
            yield compiler
        finally:
            idle.append(compiler)

    def optimized(self, text: str, context: Any = None) -> llvm.ModuleRef:
        module = llvm.parse_assembly(text, context or llvm.create_context())  # which takes its memory along
        if not isinstance(text, Quick):
            unlocked("LLVMPY_RunNewModulePassManager")(self.passes, module, self.builder)
        return module

    def machine_for(self, text: str) -> llvm.TargetMachine:
        return self.quick if isinstance(text, Quick) else self.machine

    def object_code(self, text: str) -> bytes:
        """The machine code of a module."""
        module, machine = self.optimized(text), self.machine_for(text)
        with ffi.OutputString() as error:
            buffer = unlocked("LLVMPY_TargetMachineEmitToMemory")(machine, module, 1, error)
            if not buffer:
                raise RuntimeError(str(error))
        try:
            return ctypes.string_at(ffi.lib.LLVMPY_GetBufferStart(buffer), ffi.lib.LLVMPY_GetBufferSize(buffer))
        finally:
            ffi.lib.LLVMPY_DisposeMemoryBuffer(buffer)


def unlocked(name: str) -> Any:
    """A function of llvmlite's library without the lock around it, or with it where it cannot be taken off."""
    function = getattr(ffi.lib, name)
    return getattr(function, "_cfn", function)


@contextlib.contextmanager
def collecting_later() -> Iterator[None]:
    """No search for garbage meanwhile: what is written stays until it is compiled, and each search goes through all."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def compile_all(texts: Iterable[str], h: Host, threads: int) -> list[bytes]:
    """The machine code of each module, by up to ``threads`` threads; the caller's writes the next text meanwhile."""
    with LOCK, collecting_later():
        return Compilation(h, threads).of(texts)


class Compilation:
    """Modules that are compiled while others are still written: what waits, what is done, who helps."""

    def __init__(self, h: Host, threads: int) -> None:
        self.h, self.threads = h, threads
        self.waiting: deque[tuple[int, str]] = deque()
        self.done: dict[int, bytes] = {}
        self.errors: list[BaseException] = []
        self.helpers: list[threading.Thread] = []

    def of(self, texts: Iterable[str]) -> list[bytes]:
        count = 0
        try:
            for text in texts:
                self.waiting.append((count, text))
                count += 1
                if len(text) >= WORTH_A_THREAD:
                    self.help()
            self.work()
        finally:
            self.waiting.clear()
            for helper in self.helpers:
                helper.join()
        if self.errors:
            raise self.errors[0]
        return [self.done[n] for n in range(count)]

    def help(self) -> None:
        """One more thread that compiles, if there may be more."""
        self.helpers = [t for t in self.helpers if t.is_alive()]
        if len(self.helpers) < self.threads - 1:
            with contextlib.suppress(RuntimeError):  # no more are allowed, or the process is ending
                helper = threading.Thread(target=self.work, name="pellucid-compile")
                helper.start()
                self.helpers.append(helper)

    def work(self) -> None:
        """Compile what waits, until there is nothing or an error."""
        with Compiler.borrowed(self.h) as compiler:
            while self.waiting and not self.errors:
                try:
                    number, text = self.waiting.popleft()
                except IndexError:  # another thread was faster
                    return
                try:
                    self.done[number] = compiler.object_code(text)
                except BaseException as error:
                    self.errors.append(error)


def readable(texts: Iterable[str], h: Host) -> tuple[str, str]:
    """The modules as one: LLVM IR after the passes; and the assembly of each, for people."""
    with LOCK, Compiler.borrowed(h) as compiler:
        context, assembly = llvm.create_context(), []
        modules = []
        for text in texts:
            modules.append(compiler.optimized(text, context))
            assembly.append(compiler.machine_for(text).emit_assembly(modules[-1]))
        first, *others = modules
        for other in others:
            first.link_in(other)
        return str(first), "".join(assembly)
