"""The machine that code is made for: lanes, registers, LLVM's target machine. Imports llvmlite."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import llvmlite.binding as llvm

from .... import settings
from ..llvm import features


def target_machine(h: Host, level: int = 2) -> llvm.TargetMachine:
    target = llvm.Target.from_triple(h.triple)
    return target.create_target_machine(cpu=h.cpu, features=h.features, opt=level, reloc="pic", codemodel="default")


@dataclass(frozen=True)
class Host:
    """What code is made for: ``width`` lanes of 32 bits, and how many vectors the registers hold for a tile."""

    triple: str
    cpu: str
    features: str
    width: int
    accumulators: int
    x86: bool
    quick: bool = False  # whether a short time of compilation matters more than fast code


QUICK_TILE = 8  # vectors of a tile in quickly compiled code: half as much text, a third of the speed


def quick(h: Host) -> Host:
    """The same machine, for code compiled in a third of the time, several times as slow, with the same bits."""
    return replace(h, accumulators=min(h.accumulators, QUICK_TILE), quick=True)


@functools.cache
def host(width: int | None = None) -> Host:
    """The machine that this process runs on, or the one that PELLUCID_TARGET names; ``width`` (or PELLUCID_LANES) asks
    for another number of lanes."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    named, has = features.asked(), features.features()
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
        x86=features.X86,
    )


def lanes_asked() -> int:
    """What PELLUCID_LANES says, 0 for nothing."""
    return settings.LANES.get()
