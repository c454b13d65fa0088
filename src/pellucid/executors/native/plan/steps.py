"""How often the nests of a loop run, and which way. Imports nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(eq=False)
class Steps:
    """A loop over time that some nests stand in, one after the other in each step; ``shared``: one thread does all."""

    count: int
    reverse: bool
    shared: bool
