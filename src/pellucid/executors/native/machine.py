"""This machine's processor, LLVM's passes, and the cache of machine code on disk. The only room that compiles."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numpy as np

from ...graph import GraphError, Program

LOCK = threading.RLock()  # LLVM's contexts are not for several threads at a time
if hasattr(os, "register_at_fork"):  # no child begins in the middle of a compilation
    os.register_at_fork(before=LOCK.acquire, after_in_parent=LOCK.release, after_in_child=LOCK.release)
ALIGN = 64
CACHE_BYTES = 256 << 20
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


@functools.cache
def host(width: int | None = None) -> Host:
    """The machine that this process runs on; ``width`` (or PELLUCID_LANES) asks for another number of lanes."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = llvm.get_host_cpu_features()
    wide = features.get("avx512f", False)
    natural = 16 if wide else 8 if features.get("avx", False) else 4
    width = width or lanes_asked() or natural
    text = features.flatten() + (",-prefer-256-bit" if wide else "")
    vectors = max(1, width // natural)  # registers that one vector of lanes takes
    return Host(
        triple=llvm.get_process_triple(),
        cpu=llvm.get_host_cpu_name(),
        features=text,
        width=width,
        accumulators=max(4, (24 if wide else 12) // vectors),
        x86=platform.machine().lower() in ("x86_64", "amd64"),
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


def target_machine(h: Host) -> llvm.TargetMachine:
    target = llvm.Target.from_triple(h.triple)
    return target.create_target_machine(cpu=h.cpu, features=h.features, opt=2, reloc="pic", codemodel="default")


PASSES = ("simplify_cfg", "new_gvn", "instruction_combine", "loop_rotate", "simplify_cfg")


@functools.cache
def passes(h: Host) -> tuple:
    """The few of LLVM's passes that this code gains from; not unrolling: accumulators must stay in registers.

    The usual pipeline takes several times as long, for code that is no faster. Made once: llvmlite gives nothing back
    of the memory they take.
    """
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    builder, manager = llvm.create_pass_builder(target_machine(h), options), llvm.create_new_module_pass_manager()
    for name in PASSES:
        getattr(manager, f"add_{name}_pass")()
    return manager, builder


def optimise(module: llvm.ModuleRef, h: Host) -> None:
    manager, builder = passes(h)
    manager.run(module, builder)


def signature(program: Program) -> str:
    """A program as text that two programs share only if their machine code is the same."""
    place = {v: n for n, v in enumerate(program.order)}
    lines = [f"{v.primitive.name} {_attributes(v.attributes)} {[place[i] for i in v.inputs]} {v.type} {v.name}"
             for v in program.order]  # fmt: skip
    ends = [[(k, place[v]) for k, v in program.inputs.items()], [(k, place[v]) for k, v in program.outputs.items()],
            [(place[t], place[v]) for t, v in program.updates.items()]]  # fmt: skip
    return "\n".join([*lines, *map(str, ends)])


def only_ours(program: Program) -> bool:
    """Whether all formulas are this package's, which `sources` covers; users may change theirs and keep the name."""
    return all(str(getattr(v.primitive.forward, "__module__", "")).startswith("pellucid.") for v in program.order)


def _attributes(attributes: Mapping[str, Any]) -> str:
    return repr({k: (a.shape, str(a.dtype)) if isinstance(a, np.ndarray) else a for k, a in attributes.items()})


@functools.cache
def sources() -> str:
    """A digest of the code that writes machine code: another version of it makes other entries in the cache."""
    root = Path(__file__).parents[2]
    files = [root / "graph.py", *sorted((root / "ops").glob("*.py")), *sorted((root / "passes").glob("*.py")),
             *sorted(Path(__file__).parent.glob("*.py"))]  # fmt: skip
    return hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()


def object_code(name: str, text: Callable[[], str], h: Host) -> bytes:
    """The machine code of a module, by its name from the cache or compiled from its text; entries are verified."""
    parts = [name, sources(), h.triple, h.cpu, h.features, str((h.width, h.accumulators)), llvmlite.__version__]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    cached = read_cache(key)
    if cached is not None:
        return cached
    written = text()
    with LOCK:
        machine = target_machine(h)
        module = llvm.parse_assembly(written, llvm.create_context())  # which takes its memory along when it goes
        optimise(module, h)
        code = machine.emit_object(module)
    write_cache(key, code)
    return code


def readable(text: str, h: Host) -> tuple[str, str]:
    """A module's LLVM IR behind the passes, and its assembly, for people."""
    with LOCK:
        machine = target_machine(h)
        module = llvm.parse_assembly(text, llvm.create_context())
        optimise(module, h)
        return str(module), machine.emit_assembly(module)


class Code:
    """Machine code in memory; it stays as long as this object."""

    count = 0
    linker: Any = None

    def __init__(self, name: str, text: Callable[[], str], h: Host, entry: str = "run") -> None:
        code = object_code(name, text, h)
        with LOCK:
            if Code.count % LINKED_TOGETHER == 0:
                Code.linker = linker()
            Code.count += 1
            builder = llvm.JITLibraryBuilder().add_object_img(code).add_current_process().export_symbol(entry)
            self.tracker = builder.link(Code.linker, f"pellucid{Code.count}")
            self.linker = Code.linker
        self.address = self.tracker[entry]

    def __del__(self) -> None:
        if hasattr(self, "tracker"):
            self.tracker.close()  # before the linker goes


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
    for path in folder.glob("[0-9a-f]" * 64 + ".o"):  # other files there are not ours
        with contextlib.suppress(OSError):
            stat = path.stat()
            found.append((stat.st_mtime, stat.st_size, path))
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
