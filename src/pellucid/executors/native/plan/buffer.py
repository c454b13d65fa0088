"""Memory that a nest reads or writes. Imports the plan's padding."""

from __future__ import annotations

from dataclasses import dataclass, field

from .planner import Padding

BYTES = {"float32": 4, "float64": 8, "int32": 4, "int64": 8, "uint8": 1, "uint32": 4, "bool": 1}


@dataclass(eq=False)
class Buffer:
    """Memory that nests read and write. ``kind``: "shared" (C order), "sample" ([block][element][lane]), "rows"
    ([sample][element]; ``together``: [block][element but for its last axis][lane][last axis]), "raw" (the caller's
    array, [sample][element], gathered by the order of the epoch)."""

    name: str
    kind: str
    size: int
    dtype: str
    number: int = -1
    together: bool = False  # rows: those of a block's samples side by side, for one place after the other
    strip: int = 0  # elements of the last axis in a strip, where it lies strip by strip; 0: as one
    padding: Padding | None = None  # a number around the value, which nobody overwrites
    stride: int = field(init=False)  # of a sample value: elements from one block to the next, for one lane

    def __post_init__(self) -> None:
        self.stride = self.size
