"""A nest that has been written, and how threads share it. Imports codegen and the plan."""

from __future__ import annotations

from dataclasses import dataclass

from ..codegen.nest import Nest
from ..plan.planner import Group
from ..plan.steps import Steps


@dataclass
class Task:
    """A nest and how its work is shared: by blocks of samples, or by units.

    ``split``: a nest of sample values shared by units; each thread needs all blocks, and computes a part of each.
    ``parts``: how many parts of a block threads may share, where there are not as many blocks for each of them.
    ``function``: the name of its code, which equal nests share.
    """

    nest: Nest
    units: int | None = None
    split: bool = False
    parts: int = 1
    name: str = "nest"
    function: str = "nest"
    steps: Steps | None = None
    group: Group | None = None  # the Values that it computes, if any
