"""Executors run the graph: `native` (machine code, the default), `reference` (NumPy). Each has ``compile(program)``.

Imports graph, ops and passes.
"""

from __future__ import annotations

import importlib
from typing import Any

from .. import settings
from ..graph import GraphError
from .binding import NotFinite, as_threads

EXECUTORS = ("reference", "native")
MANY = 1 << 60  # what ``run.expect`` is told where no end is known: samples of a server, of folds and searches

__all__ = ["EXECUTORS", "MANY", "NotFinite", "as_threads", "get", "must_dump"]


def get(name: str | None = None) -> Any:
    """An executor by name; by default the one that the environment variable PELLUCID_EXECUTOR names, or "native"."""
    name = name or settings.EXECUTOR.get()
    if name not in EXECUTORS:
        raise GraphError(f"executor must be one of {', '.join(EXECUTORS)}, got {name!r}")
    return importlib.import_module(f".{name}", __package__)


def must_dump(executor: Any) -> None:
    """`GraphError` for an executor that makes no machine code to be looked at."""
    if not hasattr(getattr(executor, "Run", None), "dump"):
        name = executor.__name__.rpartition(".")[2]
        raise GraphError(f"the executor {name!r} makes no machine code to dump; use executor='native'")
