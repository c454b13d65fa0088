"""Values far from the others of their column: found and told, clipped if asked, never dropped. Imports numpy."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..errors import DataError
from .dataset import listed
from .table import as_table

METHODS = {"iqr": 1.5, "robust_z": 3.5}  # and how far is far: Tukey, 1977; Iglewicz and Hoaglin, 1993


class FarColumn(NamedTuple):
    """The values of a column outside ``low`` to ``high``: their rows, and the farthest of them."""

    name: str
    rows: np.ndarray
    low: float
    high: float
    farthest: float

    @property
    def sentence(self) -> str:
        """How many there are, and how far."""
        n, where = len(self.rows), f"outside {self.low:.4g} to {self.high:.4g}"
        return f"{self.name}: {n} value{'s' * (n > 1)} {where}, the farthest {self.farthest:.4g}"

    def __str__(self) -> str:
        return f"{self.sentence} (rows {listed(map(str, self.rows))})"


@dataclass(frozen=True)
class Outliers:
    """The columns with values far from the others; prints as a line for each. Rows count from 0."""

    columns: tuple[FarColumn, ...]
    n: int

    @property
    def rows(self) -> np.ndarray:
        """All rows with such a value in some column."""
        return np.unique(np.concatenate([c.rows for c in self.columns])) if self.columns else np.array([], int)

    def __str__(self) -> str:
        return "\n".join(map(str, self.columns)) or "no outliers"


def outliers(
    x: Any, method: str = "iqr", threshold: float | None = None, names: Sequence[str] | None = None
) -> Outliers:
    """Which values of an array (n, columns), DataFrame or Table are far from the others of their column.

    - ``"iqr"``: more than ``threshold`` (1.5) interquartile ranges below the first or above the third quartile.
    - ``"robust_z"``: |v - median| / (1.4826 MAD) above ``threshold`` (3.5), MAD the median of |v - median|.

    Columns of text, and those where the range or the MAD is 0, are not judged. Nothing is changed.

    >>> print(outliers(np.array([[1.0], [2.0], [3.0], [2.0], [90.0]]), names=["age"]))
    age: 1 value outside 0.5 to 4.5, the farthest 90 (rows 4)
    """
    table = as_table(x, names)
    found = []
    for name in table.names:
        if table.kind(name) != "numbers":
            continue
        column = table[name]
        low, high = (bound[0] for bound in bounds(column[:, None], method, threshold))
        rows = np.flatnonzero((column < low) | (column > high))
        if len(rows):
            beyond = np.maximum(low - column[rows], column[rows] - high)
            found.append(FarColumn(name, rows, float(low), float(high), float(column[rows][beyond.argmax()])))
    return Outliers(tuple(found), len(table))


def bounds(x: np.ndarray, method: str = "iqr", threshold: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The least and the largest value of each column (n, columns) that is not far from the others; NaN is left out.

    >>> [b.tolist() for b in bounds(np.array([[0.0], [1.0], [2.0], [3.0], [4.0]]), "robust_z")]
    [[-3.1891], [7.1891]]
    """
    if method not in METHODS:
        raise DataError(f"outliers: method must be {' or '.join(map(repr, METHODS))}, got {method!r}")
    far = METHODS[method] if threshold is None else threshold
    if not far > 0:
        raise DataError(f"outliers: threshold must be a number > 0, got {threshold!r}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # columns that are empty
        if method == "iqr":
            first, third = np.nanquantile(x, [0.25, 0.75], axis=0)
            spread = third - first
        else:
            first = third = np.nanmedian(x, axis=0)
            spread = 1.4826 * np.nanmedian(abs(x - first), axis=0)
    reach = np.where(spread > 0, far * spread, np.inf)
    return first - reach, third + reach


def clip_outliers(x: Any, method: str = "iqr", threshold: float | None = None) -> np.ndarray:
    """Columns (n, columns) with values that are far from the others moved to the nearest bound.

    >>> clip_outliers(np.array([[1.0], [2.0], [3.0], [2.0], [90.0]])).ravel().tolist()
    [1.0, 2.0, 3.0, 2.0, 4.5]
    """
    array = np.asarray(x, np.float64)
    return np.clip(array, *bounds(array, method, threshold))
