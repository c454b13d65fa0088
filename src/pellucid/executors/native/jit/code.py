"""This machine's processor, machine code in memory, and the cache of it on disk."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import llvmlite.binding as llvm

from .cache import join_objects, key_of, read_cache, split_objects, write_cache
from .compiler import LOCK, compile_all
from .target import Host, host, target_machine

log = logging.getLogger(__name__)
LINKED_TOGETHER = 32  # programs that share a linker; one for each would take a millisecond of each


def object_code(name: str, modules: Callable[[], Iterable[str]], h: Host, threads: int) -> list[bytes]:
    """The machine code of a program's modules, by its name from the cache or compiled; entries are verified."""
    key = key_of(name, h)
    cached = read_cache(key)
    if cached is not None:
        log.debug("machine code %.12s: %d bytes from the cache", key, len(cached))
        return split_objects(cached)
    start = time.perf_counter()
    code = compile_all(modules(), h, threads)
    log.info("machine code %.12s: not in the cache, compiled in %.3f s for %s, %d bytes", key,
             time.perf_counter() - start, h.cpu, sum(map(len, code)))  # fmt: skip
    write_cache(key, join_objects(code))
    return code


class Code:
    """Machine code in memory; it stays as long as this object, and until the next is made.

    It is given back while the lock is held: a garbage collection may be anywhere, in a thread that is inside LLVM's
    lock when another forks, and in the child nobody would open that lock. So nothing of LLVM's hangs on this object: a
    collection would close it by itself, while another thread is at it.
    """

    count = 0
    linker: Any = None
    given: ClassVar[dict[int, tuple[Any, Any]]] = {}  # by number: what to close, and then its linker
    unused: ClassVar[list[int]] = []  # numbers of objects that are no more

    def __init__(
        self, name: str, modules: Callable[[], Iterable[str]], h: Host, threads: int = 1, entry: str = "run"
    ) -> None:
        code = object_code(name, modules, h, threads)
        with LOCK:
            while Code.unused:
                tracker, of = Code.given.pop(Code.unused.pop())
                tracker.close()
                del tracker, of
            if Code.count % LINKED_TOGETHER == 0:
                Code.linker = linker()
            Code.count += 1
            library = llvm.JITLibraryBuilder().add_current_process().export_symbol(entry)
            for part in code:
                library.add_object_img(part)
            tracker = library.link(Code.linker, f"pellucid{Code.count}")
            self.address, self.number = tracker[entry], Code.count
            Code.given[self.number] = tracker, Code.linker

    def __del__(self) -> None:
        if hasattr(self, "number"):
            type(self).unused.append(self.number)  # by its class: at exit the module is empty


def linker() -> llvm.LLJIT:
    """It keeps some kilobytes of each program that was in it, so each serves only so many."""
    # JITLink: the older one aborts where memory is so crowded that code and constants lie more than 2 GB apart
    return llvm.create_lljit_compiler(target_machine(host()), use_jit_link=True, suppress_errors=True)


# ---- the cache -------------------------------------------------------------------------------------------------------
