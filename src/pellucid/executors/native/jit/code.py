"""Machine code in memory: from the cache on disk or compiled, then linked."""

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
LINKED_TOGETHER = 32  # programs that share a linker; making one takes a millisecond


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

    It is freed while the lock is held: a garbage collection may happen anywhere, also in a thread that holds LLVM's
    lock while another forks, and in the child nobody would release that lock. So this object has no attribute of
    LLVM's: a collection would free it at once, while another thread may be inside LLVM.
    """

    count = 0
    linker: Any = None
    loaded: ClassVar[dict[int, tuple[Any, Any]]] = {}  # by number: what to close, and then its linker
    unused: ClassVar[list[int]] = []  # numbers of objects that have been collected

    def __init__(
        self, name: str, modules: Callable[[], Iterable[str]], h: Host, threads: int = 1, entry: str = "run"
    ) -> None:
        code = object_code(name, modules, h, threads)
        with LOCK:
            while Code.unused:
                tracker, of = Code.loaded.pop(Code.unused.pop())
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
            Code.loaded[self.number] = tracker, Code.linker

    def __del__(self) -> None:
        if hasattr(self, "number"):
            type(self).unused.append(self.number)  # by its class: at exit the module is empty


def linker() -> llvm.LLJIT:
    """A linker keeps some kilobytes of each program that it has linked, so each links only LINKED_TOGETHER."""
    # JITLink: the older one aborts where code and constants lie more than 2 GB apart, as they may in crowded memory
    return llvm.create_lljit_compiler(target_machine(host()), use_jit_link=True, suppress_errors=True)
