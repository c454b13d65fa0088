"""The most floating-point arithmetic this machine does: fused multiply-adds on registers only. Imports llvmlite."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import threading
import time

import llvmlite.binding as llvm

TURNS = 4_000_000  # some 50 ms


@functools.cache
def loop() -> tuple:
    """The machine code, its floating-point operations in a turn, and what keeps the code in memory.

    Each accumulator is a chain of its own, enough of them to hide the latency (4 cycles, 2 units: 8 at least), and few
    enough to stay in registers: 24 of 32, or 12 of the 16 that a processor with AVX but no AVX-512 has.
    """
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = llvm.get_host_cpu_features()
    wide, avx = features.get("avx512f", False), features.get("avx", False)
    x86 = "sse2" in features
    width = 16 if wide else 8 if avx else 4
    chains = 24 if wide or not x86 else 12
    target = llvm.Target.from_triple(llvm.get_process_triple())
    machine = target.create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=features.flatten() + (",-prefer-256-bit" if wide else ""),
        opt=2,
        reloc="pic",
        codemodel="default",
    )
    code = machine.emit_object(llvm.parse_assembly(source(width, chains)))
    jit = llvm.create_lljit_compiler(machine, use_jit_link=True, suppress_errors=True)
    builder = llvm.JITLibraryBuilder().add_object_img(code).add_current_process().export_symbol("turns")
    tracker = builder.link(jit, "peak")
    function = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p)(tracker["turns"])
    return function, 2 * width * chains, f"{chains} accumulators of {width} float32", (jit, tracker)


def source(width: int, chains: int) -> str:
    """``turns(n, p)``: n times a_k = a_k 0.999 + 0.001 for each accumulator; their sum goes to p (width floats)."""
    kind, k = f"<{width} x float>", range(chains)
    scale, shift = (f"<{', '.join([f'float {c}'] * width)}>" for c in ("0x3FEFF7CEE0000000", "0x3F50624DE0000000"))
    lines = [f"declare {kind} @llvm.fma.v{width}f32({kind}, {kind}, {kind})", "define void @turns(i64 %n, ptr %p) {"]
    lines += ["entry:", f"  %x = load {kind}, ptr %p, align 4", "  br label %loop", "loop:"]
    lines += ["  %i = phi i64 [0, %entry], [%j, %loop]"]
    lines += [f"  %a{c} = phi {kind} [%x, %entry], [%b{c}, %loop]" for c in k]
    lines += [f"  %b{c} = call {kind} @llvm.fma.v{width}f32({kind} %a{c}, {kind} {scale}, {kind} {shift})" for c in k]
    lines += [
        "  %j = add i64 %i, 1",
        "  %more = icmp slt i64 %j, %n",
        "  br i1 %more, label %loop, label %done",
        "done:",
    ]
    lines += [f"  %s{c} = fadd {kind} %b{c}, {f'%s{c - 1}' if c else '%x'}" for c in k]
    lines += [f"  store {kind} %s{chains - 1}, ptr %p, align 4", "  ret void", "}"]
    return "\n".join(lines)


def peak(threads: int, turns: int = TURNS) -> float:
    """Floating-point operations a second of so many threads at once, each on a processor of its own."""
    function, operations, _, _ = loop()
    start = threading.Barrier(threads)
    times: list[tuple[float, float]] = []

    def work(k: int) -> None:
        values = (ctypes.c_float * 16)(*[0.5] * 16)
        with on_processor(k):
            start.wait()
            begin = time.perf_counter()
            function(turns, ctypes.addressof(values))
            times.append((begin, time.perf_counter()))

    others = [threading.Thread(target=work, args=(k,)) for k in range(1, threads)]
    for t in others:
        t.start()
    work(0)
    for t in others:
        t.join()
    seconds = max(end for _, end in times) - min(begin for begin, _ in times)
    return threads * turns * operations / seconds


@contextlib.contextmanager
def on_processor(k: int):
    """Keep the calling thread on the k-th processor of those it may use, where the system can."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    if k < len(before):
        os.sched_setaffinity(0, {sorted(before)[k]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
