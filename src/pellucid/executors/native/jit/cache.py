"""The cache of machine code on disk: entries are verified, written whole, and the least recently used are deleted."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import re
import struct
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import llvmlite

from .... import settings
from .signature import sources
from .target import Host

CACHE_BYTES = 256 << 20
NAME = re.compile("[0-9a-f]{64}[.]o")  # of an entry


def key_of(name: str, h: Host) -> str:
    """The name of an entry: a digest of all that the code depends on."""
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


def join_objects(parts: Sequence[bytes]) -> bytes:
    """Several object files as one: their number, their lengths, and their bytes.

    >>> split_objects(join_objects([b"one", b"", b"three"]))
    [b'one', b'', b'three']
    """
    return struct.pack(f"<{len(parts) + 1}Q", len(parts), *map(len, parts)) + b"".join(parts)


def split_objects(data: bytes) -> list[bytes]:
    (count,) = struct.unpack_from("<Q", data)
    lengths = struct.unpack_from(f"<{count}Q", data, 8)
    ends = [*itertools.accumulate(lengths, initial=8 * (count + 1))]
    return [data[a:b] for a, b in itertools.pairwise(ends)]


def cache_folder() -> Path | None:
    """Where machine code is kept: PELLUCID_CACHE ("" for none), else the user's cache folder."""
    folder = settings.CACHE.get()
    if not isinstance(folder, str):
        return folder
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
            os.utime(path)  # used now: the last to be deleted
        return code
    except (OSError, RuntimeError):
        return None


def checksum(key: str, code: bytes) -> bytes:
    """A digest of the code and its key: no entry passes for another."""
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
