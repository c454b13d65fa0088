"""What machine code is made for: this very processor, or the target that PELLUCID_TARGET names, which many have.

Imports llvmlite.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping

import llvmlite.binding as llvm

from .... import settings
from ....graph import GraphError

X86 = platform.machine().lower() in ("x86_64", "amd64")
V3 = ("sse4.1", "sse4.2", "popcnt", "avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe")
V4 = (*V3, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")
TARGETS = {"x86-64-v3": V3, "x86-64-v4": V4} if X86 else {"generic": ()}  # and what a processor must have for them


def asked() -> str:
    """What PELLUCID_TARGET says, "" for this very processor. Raises `GraphError` for a target that it cannot run."""
    target = settings.TARGET.get()
    if target == "native":
        return ""
    if target not in TARGETS:
        raise GraphError(f"PELLUCID_TARGET must be {', '.join(TARGETS)} or native on this machine, got {target!r}")
    there = llvm.get_host_cpu_features()
    if lacking := [name for name in TARGETS[target] if not there.get(name)]:
        raise GraphError(f"PELLUCID_TARGET is {target}, but this processor lacks {', '.join(lacking)}; name one that "
                         "all machines have which are to run the code")  # fmt: skip
    return target


def features() -> Mapping[str, bool]:
    """What the processor that code is made for has."""
    target = asked()
    return dict.fromkeys(TARGETS[target], True) if target else llvm.get_host_cpu_features()
