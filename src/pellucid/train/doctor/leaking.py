"""Columns that give the target away: one that is the target in other words, several whose sum it is. Imports numpy."""

from __future__ import annotations

import numpy as np

from . import thresholds as limits


def alone(table: np.ndarray, targets: np.ndarray, classes: np.ndarray | None = None) -> np.ndarray:
    """Which columns of a table (n, columns) give a target (n, targets) without error: (columns, targets) of bool.

    Of ``classes`` (n,): a column that has one value in each, (columns, 1). Of values: one whose correlation is +-1.

    >>> x = np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 6.0]])
    >>> alone(x, 10 - 2 * x[:, :1]).tolist(), alone(x, x, np.array([0, 0, 1])).tolist()
    ([[True], [False]], [[False], [True]])
    """
    spread = table.std(0)
    if classes is not None:
        own = np.stack([table[classes == c].std(0) for c in np.unique(classes)])
        bad = (own.max(0) <= 1e-6 * spread) & (spread > 0)
        return np.asarray(bad)[:, None]
    return np.asarray(correlations(table, targets) > limits.SAME)


def correlations(table: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """|Correlation| of each column with each target, (columns, targets); 0 where one is constant."""
    spread, width = table.std(0), targets.std(0)
    a = (table - table.mean(0)) / np.where(spread > 0, spread, 1)
    b = (targets - targets.mean(0)) / np.where(width > 0, width, 1)
    return np.abs(a.T @ b) / len(a)


def together(table: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The columns of a table (n, columns) whose weighted sum is the target (n,) without error; none if there are none.

    >>> x = np.random.default_rng(0).normal(size=(40, 3))
    >>> together(x, x[:, 0] + x[:, 2]).tolist(), together(x, x[:, 0] * x[:, 2]).tolist()
    ([0, 2], [])
    """
    spread = table.std(0)
    used = np.flatnonzero(spread > 0)
    nothing = used[:0]
    if len(table) < limits.ROWS_A_COLUMN * (len(used) + 1) or not len(used) or not target.std() > 0:
        return nothing
    a = (table[:, used] - table[:, used].mean(0)) / spread[used]
    b = (target - target.mean()) / target.std()
    weights = np.linalg.lstsq(a, b, rcond=1e-10)[0]
    if float(np.mean((a @ weights - b) ** 2)) > 1 - limits.SAME:
        return nothing
    return used[abs(weights) > limits.SMALL_PART * abs(weights).max()]
