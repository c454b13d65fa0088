"""Entries of a table's columns as texts and numbers. Imports data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..data import Table
from ..data.reading import Reading
from ..errors import DataError

PLAIN = Reading()
LARGEST = float(np.finfo(np.float32).max)


def missing(column: np.ndarray) -> np.ndarray:
    """Where a column has no entry (n,)."""
    if column.dtype.kind in "fM":
        return np.isnan(column) if column.dtype.kind == "f" else np.isnat(column)
    return np.fromiter((entry is None for entry in column), bool, len(column))


def texts_of(column: np.ndarray) -> list[str]:
    """Entries as text, whole numbers without a point, "" where missing.

    >>> texts_of(np.array([1.0, 2.5, np.nan]))
    ['1', '2.5', '']
    """
    if column.dtype.kind == "f":
        return ["" if v != v else str(int(v)) if v.is_integer() else repr(v) for v in column.tolist()]
    if column.dtype.kind == "M":
        return ["" if date is None else str(date) for date in column.tolist()]
    return ["" if entry is None else entry for entry in column]


def numbers_of(column: np.ndarray, where: str, consequence: str = "expected a number") -> np.ndarray:
    """Entries as float64, NaN where missing; the first text is an error that names column and row."""
    if column.dtype.kind == "f":
        return column
    texts = texts_of(column)
    values = PLAIN.numbers(texts, keep=False)
    if values is None:
        row, entry = next((row, text) for row, text in enumerate(texts, 1) if not is_number(text))
        raise DataError(f"{where} holds {entry!r} in row {row}, {consequence}")
    return values


def finite(table: Table, name: str) -> np.ndarray:
    """A column as float64, if it holds neither text nor what is infinite as a float32 (most nets compute in it)."""
    where = f"{table.source}: column {name!r}"
    column = numbers_of(table[name], where)
    if (bad := np.flatnonzero(np.isinf(column))).size:
        raise DataError(
            f"{where} is infinite in {len(bad)} row{'s' * (len(bad) > 1)} (row {bad[0] + 1}); "
            "correct it, or leave it empty"
        )
    if (bad := np.flatnonzero(abs(column) > LARGEST)).size:
        what = f"{where} holds {column[bad[0]]:g} in row {bad[0] + 1}"
        raise DataError(f"{what}, too large a number (beyond {LARGEST:.2g}); correct it, or leave it empty")
    return column


def dates_of(column: np.ndarray, where: str) -> np.ndarray:
    """Entries as datetime64, NaT where missing; the first that is no date is an error that names column and row."""
    if column.dtype.kind == "M":
        return column
    texts = texts_of(column)
    for row, text in enumerate(texts, 1):
        if text and PLAIN.as_dates([text]) is None:
            raise DataError(f"{where} holds {text!r} in row {row}, expected a date")
    found = PLAIN.as_dates([text or None for text in texts])
    return np.full(len(column), np.datetime64("NaT"), "datetime64[us]") if found is None else found


def is_number(text: str) -> bool:
    """Whether an entry is a number, or missing."""
    return PLAIN.numbers([text], keep=False) is not None


def mostly_numbers(column: np.ndarray) -> float:
    """The share of numbers among the entries of a text column."""
    given = [text for text in column if text is not None and text not in PLAIN.words]
    return sum(map(is_number, given)) / max(len(given), 1)


def in_order(column: np.ndarray) -> list[str]:
    """The different entries as text, numbers by size."""
    return texts_of(np.unique(column)) if column.dtype.kind == "f" else sorted(set(texts_of(column)))


def listed(names: Sequence[str], most: int = 12) -> str:
    """Names for a sentence, the first few spelt out."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
