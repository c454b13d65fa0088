"""This machine's processor, machine code in memory, and the cache of it on disk."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import logging
import os
import re
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import llvmlite
import llvmlite.binding as llvm
import numpy as np

from ...graph import GraphError, Program, Value
from ...ops.loop import Body, scan_of
from . import target
from .compiler import LOCK, compile_all, target_machine

log = logging.getLogger(__name__)
ALIGN = 64
CACHE_BYTES = 256 << 20
NAME = re.compile("[0-9a-f]{64}[.]o")  # of an entry
LINKED_TOGETHER = 32  # programs that share a linker; one for each would take a millisecond of each


@dataclass(frozen=True)
class Host:
    """What code is made for: ``width`` lanes of 32 bits, and how many vectors the registers hold for a tile."""

    triple: str
    cpu: str
    features: str
    width: int
    accumulators: int
    x86: bool
    quick: bool = False  # whether code is wanted soon rather than fast


QUICK_TILE = 8  # vectors of a tile where code is wanted soon: half as much text, a third of the speed


def quick(h: Host) -> Host:
    """The same machine, for code that is there in a third of the time and takes some times as long; of equal bits."""
    return replace(h, accumulators=min(h.accumulators, QUICK_TILE), quick=True)


@functools.cache
def host(width: int | None = None) -> Host:
    """The machine that this process runs on, or the one that PELLUCID_TARGET names; ``width`` (or PELLUCID_LANES) asks
    for another number of lanes."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    named, has = target.asked(), target.features()
    wide = has.get("avx512f", False)
    natural = 16 if wide else 8 if has.get("avx", False) else 4
    width = width or lanes_asked() or natural
    flags = ["" if named else llvm.get_host_cpu_features().flatten(), "-prefer-256-bit" if wide else ""]
    vectors = max(1, width // natural)  # registers that one vector of lanes takes
    return Host(
        triple=llvm.get_process_triple(),
        cpu=named or llvm.get_host_cpu_name(),
        features=",".join(flag for flag in flags if flag),
        width=width,
        accumulators=max(4, (24 if wide else 12) // vectors),
        x86=target.X86,
    )


def aligned(size: int, dtype: str) -> np.ndarray:
    """Zeros that begin at a multiple of a vector's length."""
    kind = np.dtype("uint8" if dtype == "bool" else dtype)
    space = np.zeros(size * kind.itemsize + 2 * ALIGN + 256, np.uint8)
    first = -space.ctypes.data % (2 * ALIGN)
    return space[first : first + size * kind.itemsize].view(kind)


def lanes_asked() -> int:
    """What PELLUCID_LANES says, 0 for nothing."""
    text = os.environ.get("PELLUCID_LANES", "").strip() or "0"
    if text not in ("0", "2", "4", "8", "16", "32"):
        raise GraphError(f"PELLUCID_LANES must be 2, 4, 8, 16 or 32, got {text!r}")
    return int(text)


def signature(program: Program) -> str:
    """A program as text that two programs share only if their machine code is the same."""
    place = {v: n for n, v in enumerate(program.order)}
    lines = [f"{v.primitive.name} {_attributes(v)} {[place[i] for i in v.inputs]} {v.type} {v.name}"
             for v in program.order]  # fmt: skip
    ends = [[(k, place[v]) for k, v in program.inputs.items()], [(k, place[v]) for k, v in program.outputs.items()],
            [(place[t], place[v]) for t, v in program.updates.items()]]  # fmt: skip
    return "\n".join([*lines, *map(str, ends)])


def only_ours(program: Program) -> bool:
    """Whether all formulas are this package's, which `sources` covers; users may change theirs and keep the name."""
    bodies = [v.attributes["body"].order for v in program.order if v.primitive is scan_of]
    return all(str(getattr(v.primitive.forward, "__module__", "")).startswith("pellucid.")
               for order in (program.order, *bodies) for v in order)  # fmt: skip


def _attributes(v: Value) -> str:
    def text(a: Any) -> Any:
        if isinstance(a, Body):
            place = {w: n for n, w in enumerate(a.order)}
            return [(w.primitive.name, _attributes(w), [place[i] for i in w.inputs], str(w.type)) for w in a.order], [
                [place[w] for w in part] for part in (a.carries, a.steps, a.consts, a.new, a.outputs)
            ]
        if isinstance(a, Value):  # of the body of the loop
            return v.inputs[0].attributes["body"].order.index(a)
        return (a.shape, str(a.dtype)) if isinstance(a, np.ndarray) else a

    return repr({k: text(a) for k, a in v.attributes.items()})


@functools.cache
def sources() -> str:
    """A digest of the code that writes machine code: another version of it makes other entries in the cache."""
    root = Path(__file__).parents[2]
    files = [root / "graph.py", *sorted((root / "ops").glob("*.py")), *sorted((root / "passes").glob("*.py")),
             *sorted(Path(__file__).parent.glob("*.py"))]  # fmt: skip
    return hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()


def object_code(name: str, modules: Callable[[], Iterable[str]], h: Host, threads: int) -> list[bytes]:
    """The machine code of a program's modules, by its name from the cache or compiled; entries are verified."""
    key = key_of(name, h)
    cached = read_cache(key)
    if cached is not None:
        log.debug("machine code %.12s: %d bytes from the cache", key, len(cached))
        return unpacked(cached)
    start = time.perf_counter()
    code = compile_all(modules(), h, threads)
    log.info("machine code %.12s: not in the cache, compiled in %.3f s for %s, %d bytes", key,
             time.perf_counter() - start, h.cpu, sum(map(len, code)))  # fmt: skip
    write_cache(key, packed(code))
    return code


def key_of(name: str, h: Host) -> str:
    """What an entry of the cache is called: by all that the code depends on."""
    parts = [
        name,
        sources(),
        h.triple,
        h.cpu,
        h.features,
        str((h.width, h.accumulators, h.quick)),
        llvmlite.__version__,
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def is_kept(name: str, h: Host) -> bool:
    """Whether there is an entry for this program in the cache on disk."""
    try:
        folder = cache_folder()
        return folder is not None and (folder / f"{key_of(name, h)}.o").is_file()
    except (OSError, RuntimeError):
        return False


def packed(parts: Sequence[bytes]) -> bytes:
    """Several as one: how many, their lengths, and they themselves.

    >>> unpacked(packed([b"one", b"", b"three"]))
    [b'one', b'', b'three']
    """
    return struct.pack(f"<{len(parts) + 1}Q", len(parts), *map(len, parts)) + b"".join(parts)


def unpacked(data: bytes) -> list[bytes]:
    (count,) = struct.unpack_from("<Q", data)
    lengths = struct.unpack_from(f"<{count}Q", data, 8)
    ends = [*itertools.accumulate(lengths, initial=8 * (count + 1))]
    return [data[a:b] for a, b in itertools.pairwise(ends)]


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


def cache_folder() -> Path | None:
    """Where machine code is kept: PELLUCID_CACHE ("" for none), else the user's cache folder."""
    asked = os.environ.get("PELLUCID_CACHE")
    if asked is not None:
        return Path(asked) if asked else None
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "pellucid"


def read_cache(key: str) -> bytes | None:
    """An entry, or None where there is none or it is damaged."""
    try:
        folder = cache_folder()
        if folder is None:
            return None
        path = folder / f"{key}.o"
        data = path.read_bytes()
        digest, code = data[:32], data[32:]
        if checksum(key, code) != digest:
            return None
        with contextlib.suppress(OSError):  # in a folder that can only be read
            os.utime(path)  # used now: the last to be thrown away
        return code
    except (OSError, RuntimeError):
        return None


def checksum(key: str, code: bytes) -> bytes:
    """Of the name too, so that no entry passes for another."""
    return hashlib.sha256(key.encode() + code).digest()


def write_cache(key: str, code: bytes) -> None:
    """Write an entry whole or not at all; a folder that cannot be written to is no error."""
    try:
        folder = cache_folder()
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=folder, prefix="pellucid-", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(checksum(key, code) + code)
            os.replace(part, folder / f"{key}.o")
        finally:
            with contextlib.suppress(OSError):
                os.unlink(part)
        trim(folder)
    except (OSError, RuntimeError):
        return


def entries(folder: Path) -> list[tuple[float, int, Path]]:
    """Time of last use, size and path of each entry, oldest first."""
    found = []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as files:
        for file in files:
            if NAME.fullmatch(file.name):  # other files there are not ours
                with contextlib.suppress(OSError):
                    stat = file.stat()
                    found.append((stat.st_mtime, stat.st_size, folder / file.name))
    return sorted(found)


def trim(folder: Path, limit: int = CACHE_BYTES) -> None:
    """Delete the entries used longest ago until the rest fits the limit."""
    found = entries(folder)
    total = sum(size for _, size, _ in found)
    for _, size, path in found:
        if total <= limit:
            break
        with contextlib.suppress(OSError):
            path.unlink()
            total -= size
