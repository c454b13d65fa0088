"""The passes between a simplified program and its plan, in their order. Imports passes and the plan's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from ....passes.tables import with_tables
from ....passes.winograd import with_winograd
from ....program import Program
from .image_layout import with_image_layout
from .weight_layout import with_weight_layout


class Pass(NamedTuple):
    """What it is called where programs are shown, and what it does."""

    name: str
    function: Callable[[Program], Program]


PASSES = (
    Pass("tables", with_tables),
    Pass("winograd", with_winograd),
    Pass("weight_layout", with_weight_layout),
    Pass("image_layout", with_image_layout),
)


def stages(program: Program) -> Iterator[tuple[str, Program]]:
    """The program after each pass; the last one is what is planned."""
    for name, function in PASSES:
        program = function(program)
        yield name, program
