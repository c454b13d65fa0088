"""`Part`, some rows of arrays without a copy of them: the samples of a fit, which may be most of a memory map.

Imports numpy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

Arrays = dict[str, np.ndarray]


class Part(Mapping[str, np.ndarray]):
    """Samples of one shape: ``whole`` arrays by name, and the ``rows`` of them that the samples are; None for all.

    As a mapping it gives the samples' own arrays, each copied when it is asked for.

    >>> part = Part({"y": np.array([10, 20, 30])}, np.array([0, 2]))
    >>> part["y"].tolist(), len(part), part.samples, part.some(np.array([1]))["y"].tolist()
    ([10, 30], 1, 2, [30])
    """

    __slots__ = ("rows", "samples", "whole")

    def __init__(self, whole: Mapping[str, np.ndarray], rows: np.ndarray | None = None) -> None:
        self.whole, self.rows = dict(whole), rows
        self.samples = len(next(iter(self.whole.values()))) if rows is None else len(rows)  # how many there are

    def __getitem__(self, name: str) -> np.ndarray:
        return self.whole[name] if self.rows is None else self.whole[name][self.rows]

    def __contains__(self, name: object) -> bool:
        return name in self.whole

    def __iter__(self) -> Iterator[str]:
        return iter(self.whole)

    def __len__(self) -> int:
        return len(self.whole)

    @property
    def inputs(self) -> Part:
        """Without targets and weights."""
        return Part({name: a for name, a in self.whole.items() if name not in ("y", "weight")}, self.rows)

    def having(self, **arrays: np.ndarray) -> Part:
        """With other whole arrays in the place of some."""
        return Part(self.whole | arrays, self.rows)

    def order(self, order: np.ndarray | None) -> np.ndarray | None:
        """The rows of the whole arrays, for an order of the samples."""
        return order if self.rows is None else self.rows if order is None else self.rows[order]

    def some(self, which: slice | np.ndarray) -> Arrays:
        """The arrays of some of the samples."""
        if self.rows is None and type(which) is slice and which.start == 0 and which.stop == self.samples:
            return self.whole
        return {name: a[which if self.rows is None else self.rows[which]] for name, a in self.whole.items()}


def as_part(arrays: Mapping[str, np.ndarray]) -> Part:
    """Arrays as a part that has all of them."""
    return arrays if type(arrays) is Part else Part(arrays)  # isinstance asks Mapping first, which takes its time
