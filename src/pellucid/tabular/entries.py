"""Entries of a table's columns as texts and numbers. Imports data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..data import DataError, Table


def missing(column: np.ndarray) -> np.ndarray:
    """Where a column has no entry (n,)."""
    return np.isnan(column) if column.dtype.kind == "f" else np.array([entry is None for entry in column], bool)


def texts_of(column: np.ndarray) -> list[str]:
    """Entries as text, whole numbers without a point, "" where missing.

    >>> texts_of(np.array([1.0, 2.5, np.nan]))
    ['1', '2.5', '']
    """
    if column.dtype.kind == "f":
        return ["" if v != v else str(int(v)) if v.is_integer() else repr(v) for v in column.tolist()]
    return ["" if entry is None else entry for entry in column]


def numbers_of(column: np.ndarray, where: str, consequence: str = "expected a number") -> np.ndarray:
    """Entries as float64, NaN where missing; the first text is an error that names column and row."""
    if column.dtype.kind == "f":
        return column
    for row, entry in enumerate(column, 1):
        if entry is not None and not is_number(entry):
            raise DataError(f"{where} holds {entry!r} in row {row}, {consequence}")
    return np.array([np.nan if entry is None else float(entry) for entry in column])


def finite(table: Table, name: str) -> np.ndarray:
    """A column as float64, if it holds neither text nor infinity."""
    where = f"{table.source}: column {name!r}"
    column = numbers_of(table[name], where)
    if (bad := np.flatnonzero(np.isinf(column))).size:
        raise DataError(
            f"{where} is infinite in {len(bad)} row{'s' * (len(bad) > 1)} (row {bad[0] + 1}); "
            "correct it, or leave it empty"
        )
    return column


def is_number(text: str) -> bool:
    try:
        return "_" not in text and float(text) is not None
    except ValueError:
        return False


def mostly_numbers(column: np.ndarray) -> float:
    """The share of numbers among the entries of a text column."""
    given = [text for text in column if text is not None]
    return sum(map(is_number, given)) / max(len(given), 1)


def in_order(column: np.ndarray) -> list[str]:
    """The different entries as text, numbers by size."""
    return texts_of(np.unique(column)) if column.dtype.kind == "f" else sorted(set(texts_of(column)))


def listed(names: Sequence[str], most: int = 12) -> str:
    """Names for a sentence, the first few spelt out."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
