"""A program as machine code: its plan, the code, and what callers must know of both. Imports build and below."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ....graph import GraphError, cached_property
from ....ops.reduce import all_samples_of, each_sample
from ....passes.one_sample import for_one_sample
from ....passes.simplify import simplify
from ....program import Program
from ... import reference
from .. import abi
from ..build.builder import Built, build
from ..jit.code import Code
from ..jit.signature import only_ours, signature
from ..jit.target import Host, quick
from ..plan.buffer import BYTES, Buffer
from ..plan.memory import Slot
from ..plan.work import divisible, max_one_by_one, work
from .early import Early
from .limits import available


class Executable:
    """What a program becomes on a machine; every part is made when it is first asked for.

    All runs of a program share one, and each has memory of its own.
    """

    def __init__(self, program: Program, host: Host, threads: int | None = None) -> None:
        """``threads``: how many may compile."""
        self.program, self.host, self.threads, self.early = program, host, threads, Early()

    @cached_property
    def simplified(self) -> Program:
        return simplify(self.program)

    @cached_property
    def built(self) -> Built:
        return build(self.simplified, self.host)

    @cached_property
    def name(self) -> str | None:
        """What programs of the same code share; None where the name of an operation does not tell its formula."""
        return signature(self.simplified) if only_ours(self.simplified) else None

    @cached_property
    def function(self) -> Callable:
        """The machine code, from the cache on disk or made now; it lives as long as this object."""
        name, modules = self.name, self.built.modules
        if name is None:
            texts = list(modules())
            name, modules = "\n".join(texts), lambda: iter(texts)
        code = Code(name, modules, self.host, min(self.threads or available(), available()))
        function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(code.address)
        function.code = code  # type: ignore[attr-defined]  # it stays as long as the function
        return function

    # ---- the same program in other ways ---------------------------------------------------------------------------

    @cached_property
    def quick(self) -> Executable:
        """The same program as code that is there sooner, and slower."""
        made = Executable(self.program, quick(self.host), self.threads)
        made.early.limit = 0
        made.__dict__ |= {"simplified": self.simplified, "name": self.name, "one_sample": None}
        return made

    @cached_property
    def one_sample(self) -> Executable | None:
        """The program for one sample, with features in lanes; none for programs that train."""
        if self.program.updates or not self.program.needs_batch or self.fixed_batches:
            return None
        return Executable(for_one_sample(self.simplified), self.host, self.threads)

    # ---- what it takes and gives ------------------------------------------------------------------------------------

    @cached_property
    def work(self) -> int:
        return work(self.simplified)

    @cached_property
    def divisible(self) -> bool:
        return divisible(self.simplified)

    @cached_property
    def max_one_by_one(self) -> int:
        return max_one_by_one(self.simplified, self.host.width)

    @cached_property
    def updated(self) -> list[str]:
        """Names of the state that a run changes."""
        return [t.name or "" for t in self.program.updates]

    @cached_property
    def sample_inputs(self) -> list[str]:
        return [name for name, v in self.program.inputs.items() if v.kind == "sample"]

    @cached_property
    def fixed_batches(self) -> dict[int, str]:
        """Numbers of samples that operations were built for, and what to say to others."""
        all_of, each = (
            "all_samples was built for batches of {} samples, got {}",
            "each_sample has rows for {} samples, got {}",
        )
        found = {v.attributes["n"]: all_of for v in self.program.order if v.primitive is all_samples_of}
        return found | {v.inputs[0].shape[0]: each for v in self.program.order if v.primitive is each_sample}

    def check_batch(self, batch: int | None) -> None:
        """Raise `GraphError` where an operation was built for another number of samples."""
        for n, words in self.fixed_batches.items():
            if batch != n:
                raise GraphError(words.format(n, batch))

    def info(self, rows: int, batch: int, threads: int, watch: str | None = None, adding: bool = False) -> np.ndarray:
        """The numbers that a run begins with; ``watch`` names an output that must stay finite, and totals of arrays are
        made only if ``adding``."""
        info = np.zeros(abi.LENGTH, np.int64)
        info[abi.ROWS], info[abi.BATCH], info[abi.THREADS] = rows, batch, threads
        info[abi.WATCH] = -1 if watch is None else self.built.counted.index(watch)
        info[abi.TOTALS] = adding
        return info

    @cached_property
    def totals_length(self) -> int:
        """A number for each output, then those of the arrays among them."""
        outputs = [self.program.outputs[name] for name in self.built.counted]
        return len(outputs) + sum(v.size for v in outputs if v.size != 1)

    def by_name(self, totals: np.ndarray) -> dict[str, Any]:
        """The sums of the outputs: floats, and arrays."""
        found: dict[str, Any] = {}
        at = len(self.built.counted)
        for k, name in enumerate(self.built.counted):
            v = self.program.outputs[name]
            if v.size == 1:
                found[name] = float(totals[k]) if v.shape == () else totals[k : k + 1].reshape(v.shape)
            else:
                found[name], at = totals[at : at + v.size].reshape(v.shape), at + v.size
        return found

    # ---- memory -----------------------------------------------------------------------------------------------------

    def blocks(self, batch: int) -> int:
        """Blocks of samples, of as many as there are lanes."""
        return -(-batch // self.host.width)

    def length(self, b: Buffer, blocks: int, stride: int | None = None) -> int:
        """Elements of a buffer of the executor's own, for a batch of ``blocks`` blocks."""
        lanes = blocks * self.host.width
        return {"shared": b.size, "sample": lanes * (stride or b.stride), "rows": lanes * b.size + self.host.width}[
            b.kind
        ]

    def bytes(self, slot: Slot, blocks: int) -> int:
        """Of a slot, for a batch of ``blocks`` blocks."""
        return max(self.length(b, blocks) * BYTES[b.dtype] for b in slot.buffers)

    @cached_property
    def constants(self) -> dict[Buffer, np.ndarray]:
        return {buffer: np.ascontiguousarray(v.attributes["value"]) for v, buffer in self.built.constants.items()}


def refuse(
    program: Program, state: Mapping[str, Any], inputs: Mapping[str, Any], batch_size: int | None = None
) -> None:
    """Raise what the reference raises for this batch; the machine code only says that there is an error."""
    reference.compile(program)(dict(state), inputs, batch_size)
    raise IndexError("a row to be taken lies outside its table")
