"""The native executor: a Program's step, and the loop over mini-batches, as machine code made by LLVM.

Samples ride in lanes, features of a weight's gradient too; results are the same bits for any number of threads. Imports
graph, ops and passes; this folder alone imports llvmlite.
"""

from __future__ import annotations

from ...graph import Program
from .run import Run
from .threads import available

__all__ = ["Run", "compile"]


def compile(program: Program, threads: int | None = None) -> Run:
    """A callable ``run(state, inputs) -> outputs``; the machine code is made at the first call.

    ``threads``: how many compute; by default as many as are useful and allowed. Results are the same for any number.
    """
    available()  # a wrong PELLUCID_THREADS is an error now
    return Run(program, threads)
