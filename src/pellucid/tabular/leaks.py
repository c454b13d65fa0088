"""Columns of a table that give the target away, told in sentences. Imports data, and the doctor's checks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..data import Table
from ..train.doctor import thresholds as limits
from ..train.doctor.leaking import alone, correlations, together
from .cells import listed, missing, texts_of
from .columns import Columns
from .target import Target

ROWS = 20_000  # at most looked at


def leaks(table: Table, columns: Columns, target: Target) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What is suspicious of the columns, and which: each the target in other words, or several whose sum it is.

    ``table`` has the target, which is known in all rows.

    >>> n = np.arange(40.0)
    >>> table = Table({"a": n % 7, "b": n % 5, "c": n % 3, "y": n % 7 + n % 5})
    >>> [(names, text) for text, names in leaks(table, Columns(("a", "b", "c")), Target("y", "regression", ""))]
    [(('a', 'b'), "a and b together give the target 'y' without error (it is a sum of them)")]
    """
    rows = np.unique(np.linspace(0, len(table) - 1, min(len(table), ROWS)).astype(int))
    table = table.take(rows)
    if len(table) < limits.FEWEST // 2:
        return
    names = [name for name in columns.numbers if not missing(table[name]).all()]
    numbers = np.stack([_filled(table[name]) for name in names], 1) if names else np.zeros((len(table), 0))
    y = target.encode(table[target.name])
    classes = y if target.class_names else None
    values = y.astype(np.float64)[:, None]
    given = [name for name, bad in zip(names, alone(numbers, values, classes)[:, 0], strict=True) if bad]
    given += [name for name in columns.categories if classes is not None and _tells(table[name], classes)]
    for name in given:
        yield f"{name} alone gives the target {target.name!r} without error: it is the target in other words", (name,)
    if given or not names:
        return
    if classes is None or len(target.class_names) == 2:
        found = [names[j] for j in together(numbers, values[:, 0])]
        if len(found) > 1:
            last = f" and {found[-1]}"
            yield (f"{listed(found[:-1])}{last} together give the target {target.name!r} without error (it is a sum of "
                   "them)"), tuple(found)  # fmt: skip
            return
    if classes is None:
        shares = correlations(numbers, values)[:, 0] ** 2
        j = int(shares.argmax())
        if shares[j] > limits.MOSTLY:
            yield f"{names[j]} alone explains {shares[j]:.1%} of the target {target.name!r}", (names[j],)


def _filled(column: np.ndarray) -> np.ndarray:
    """A column of numbers, the median where one is missing."""
    return np.where(np.isnan(column), np.nanmedian(column), column)


def _tells(column: np.ndarray, classes: np.ndarray) -> bool:
    """Whether each category is one of few and has one class only."""
    _, category = np.unique(np.array(texts_of(column)), return_inverse=True)
    several = int(category.max()) + 1
    counts = np.zeros((several, int(classes.max()) + 1), int)
    np.add.at(counts, (category, classes), 1)
    return several <= len(classes) / 5 and bool((counts.max(1) == counts.sum(1)).all())
