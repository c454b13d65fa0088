"""The native executor: a Program's step, and the loop over mini-batches, as machine code made by LLVM.

Samples ride in lanes, features of a weight's gradient too; results are the same bits for any number of threads. Imports
graph, ops and passes; this folder alone imports llvmlite.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ...program import Program

if TYPE_CHECKING:
    from .runtime.run import Run

__all__ = ["Run", "compile"]


def compile(program: Program, threads: int | None = None) -> Run:
    """A callable ``run(state, inputs) -> outputs``; the machine code is made at the first call.

    ``threads``: how many compute; by default as many as are useful and allowed. Results are the same for any number.
    """
    from .runtime.limits import available
    from .runtime.run import Run  # here, since loading a model takes less time than the import of LLVM

    available()  # a wrong PELLUCID_THREADS is an error now
    return Run(program, threads)


def __getattr__(name: str) -> Any:
    """`Run`, imported when it is first named: loading a model takes less time than the import of LLVM."""
    if name == "Run":
        return importlib.import_module(".runtime.run", __name__).Run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
