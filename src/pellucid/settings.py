"""What the environment's variables PELLUCID_... say: one table of them, read when they are used. Imports errors."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from .errors import GraphError

T = TypeVar("T")
MOST_THREADS = 1024


@dataclass(frozen=True)
class Setting(Generic[T]):
    """One variable: what it is for and what it means where it is not set, as docs/native.md has it, and its parser.

    ``default`` is what `get` gives where the variable is not set, or empty. ``parse`` raises `ValueError`, which says
    what the variable must be.
    """

    name: str
    meaning: str
    default: T
    parse: Callable[[str], T]
    empty_counts: bool = False  # whether an empty text is a value too

    @property
    def is_set(self) -> bool:
        """Whether the environment has it."""
        return self.name in os.environ

    def get(self) -> T:
        """Its value now; `GraphError` for a text that it cannot be."""
        text = os.environ.get(self.name)
        text = text if text is None or self.empty_counts else text.strip()
        if text is None or (not text and not self.empty_counts):
            return self.default
        try:
            return self.parse(text)
        except ValueError as error:
            raise GraphError(f"{self.name} must be {error}, got {text!r}") from None


def _one_of(wanted: str, values: dict[str, Any]) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        if text not in values:
            raise ValueError(wanted)
        return values[text]

    return parse


def _threads(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_THREADS:
        raise ValueError(f"a whole number from 1 to {MOST_THREADS}")
    return int(text)


EXECUTOR: Setting[str] = Setting(
    "PELLUCID_EXECUTOR",
    "`native` (the default) or `reference`, where `executor=` or `--executor` says nothing",
    "native",
    str,  # `executors.get` knows the names
)
THREADS: Setting[int | None] = Setting(
    "PELLUCID_THREADS",
    "threads at most. Default: the processors that this process may use. A small step uses one all the same",
    None,
    _threads,
)
CACHE: Setting[Path | str | None] = Setting(
    "PELLUCID_CACHE",
    "the folder of the cache; empty for none. Default: `pellucid` in the user's cache folder",
    "user",
    lambda text: Path(text) if text else None,
    empty_counts=True,
)
EARLY: Setting[bool] = Setting(
    "PELLUCID_EARLY",
    "`0`: no early code, so that what is compiled is fast from the first step on",
    True,
    _one_of("0 or 1", {"0": False, "1": True}),
)
TARGET: Setting[str] = Setting(
    "PELLUCID_TARGET",
    "code for a target that many processors have, `x86-64-v3`, `x86-64-v4` or (other than x86) `generic`; `native`, "
    "the default: for this very one",
    "native",
    str,  # the native executor knows the targets of this machine
)
LANES: Setting[int] = Setting(
    "PELLUCID_LANES",
    "another number of lanes (2, 4, 8, 16, 32), to try what another processor computes",
    0,
    _one_of("2, 4, 8, 16 or 32", {str(n): n for n in (0, 2, 4, 8, 16, 32)}),
)
SETTINGS: tuple[Setting, ...] = (EXECUTOR, THREADS, CACHE, EARLY, TARGET, LANES)


def table() -> str:
    """The settings as rows of a table in Markdown."""
    return "\n".join(f"| `{s.name}` | {s.meaning} |" for s in SETTINGS)
