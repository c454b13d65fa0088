"""Executors run the graph: `reference` (NumPy). Each has ``compile(program)``. Imports graph and ops."""

from __future__ import annotations

import importlib
import os
from typing import Any

from ..graph import GraphError
from .binding import NotFinite

EXECUTORS = ("reference", "native")

__all__ = ["EXECUTORS", "NotFinite", "get"]


def get(name: str | None = None) -> Any:
    """An executor by name; by default the one that the environment variable PELLUCID_EXECUTOR names, or "reference"."""
    name = name or os.environ.get("PELLUCID_EXECUTOR") or "reference"
    if name not in EXECUTORS:
        raise GraphError(f"executor must be one of {', '.join(EXECUTORS)}, got {name!r}")
    return importlib.import_module(f".{name}", __package__)
