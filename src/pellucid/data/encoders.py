"""Categories as numbers for the nodes of a net: k nodes, log2 k nodes, or one where they have an order. Imports numpy.

Lecture 001: "k or log2 k nodes for each categorical attribute with k values".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DataError
from .dataset import listed


@dataclass(frozen=True)
class Code:
    """Base of codes: `encode` gives one row of numbers for each value, `decode` the values whose codes are nearest.

    ``categories`` are the values that occur, in order; `Code.of(values)` takes them from data, sorted.
    """

    categories: tuple[Any, ...]

    def __init__(self, categories: Iterable[Any]) -> None:
        object.__setattr__(self, "categories", tuple(categories))
        if len(set(self.categories)) != len(self.categories) or len(self.categories) < 2:
            raise DataError(f"{type(self).__name__}: expected at least two different categories, got "
                            f"{listed(map(repr, self.categories))}")  # fmt: skip

    @classmethod
    def of(cls, values: Any) -> Code:
        """The code of all the values that occur."""
        return cls(np.unique(np.asarray(values)).tolist())

    @property
    def table(self) -> np.ndarray:
        """The code of each category, (k, nodes)."""
        raise NotImplementedError

    @property
    def nodes(self) -> int:
        """Numbers for each value."""
        return self.table.shape[1]

    def encode(self, values: Any) -> np.ndarray:
        """One row for each value: (n,) to (n, nodes). Raises `DataError` for one that is no category."""
        number = {category: i for i, category in enumerate(self.categories)}
        given = np.asarray(values).tolist()
        if unknown := [(row, v) for row, v in enumerate(given) if v not in number]:
            row, value = unknown[0]
            raise DataError(f"{type(self).__name__}: {value!r} (row {row}) is none of the categories "
                            f"{listed(map(repr, self.categories))}")  # fmt: skip
        return self.table[[number[v] for v in given]]

    def decode(self, outputs: Any) -> np.ndarray:
        """The category whose code is nearest to each row: (n, nodes) to (n,)."""
        rows = np.asarray(outputs, np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.nodes:
            raise DataError(f"{type(self).__name__}: expected rows of {self.nodes} numbers, got shape {rows.shape}")
        # |r - c|^2 = |r|^2 - 2 r.c + |c|^2
        distance = (self.table**2).sum(axis=1) - 2 * rows @ self.table.T
        return np.array(self.categories)[distance.argmin(axis=1)]


class OneHotCode(Code):
    """k nodes: 1 for the category, 0 for the others.

    >>> OneHotCode("ab").encode(["b", "a"])
    array([[0., 1.],
           [1., 0.]])
    """

    @property
    def table(self):
        return np.eye(len(self.categories))


class BinaryCode(Code):
    """log2 k nodes: the number of the category, in binary, the highest bit first.

    As targets of a net with `binary_cross_entropy`, `decode` turns its probabilities into categories; a pattern that is
    none's stands for the nearest.

    >>> code = BinaryCode("abc")
    >>> code.encode(["a", "b", "c"]).tolist()
    [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]]
    >>> code.decode([[0.2, 0.9], [0.9, 0.6]]).tolist()
    ['b', 'c']
    """

    @property
    def table(self):
        return bits(np.arange(len(self.categories)), len(self.categories))


class OrdinalCode(Code):
    """One node: the place in an order, from 0 to 1.

    >>> size = OrdinalCode(["small", "medium", "large"])
    >>> size.encode(["large", "medium"]).ravel().tolist(), size.decode([[0.7], [0.8]]).tolist()
    ([1.0, 0.5], ['medium', 'large'])
    """

    @property
    def table(self):
        return np.linspace(0, 1, len(self.categories))[:, None]


def bits(numbers: np.ndarray, k: int) -> np.ndarray:
    """Whole numbers below k in binary, the highest bit first: (n,) to (n, log2 k rounded up).

    >>> bits(np.array([1, 2]), 4).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    width = max(1, (int(k) - 1).bit_length())
    return ((numbers[:, None] >> np.arange(width)[::-1]) & 1).astype(np.float64)
