"""The machine code that is kept on disk: where, how much, and what goes first. Imports the native executor when asked.

Nothing of LLVM is loaded by ``import pellucid``, so each function imports what it needs.
"""

from __future__ import annotations

from pathlib import Path


def folder() -> Path | None:
    """Where machine code is kept: PELLUCID_CACHE, else in the user's cache folder; None where nothing is kept."""
    from .native.jit.cache import cache_folder

    return cache_folder()


def entries(folder: Path) -> list[tuple[float, int, Path]]:
    """Time of last use, size in bytes and path of each entry, oldest first."""
    from .native.jit.cache import entries

    return entries(folder)


def trim(folder: Path, limit: int) -> None:
    """Delete the entries used longest ago until the rest has at most ``limit`` bytes."""
    from .native.jit.cache import trim

    trim(folder, limit)


def limit() -> int:
    """How many bytes are kept at most."""
    from .native.jit.cache import CACHE_BYTES

    return CACHE_BYTES


def processor() -> str:
    """What code is made for: this machine's processor, or the target that PELLUCID_TARGET names."""
    from .native.jit.target import host

    return host().cpu
