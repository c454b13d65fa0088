"""The names of columns: what a table calls them, and that they are those seen before. Imports the errors of data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import DataError


def column_names(x: Any) -> tuple[str, ...] | None:
    """The names of a DataFrame's or a Table's columns, as text; None for arrays and for columns that only have numbers.

    >>> import pandas
    >>> column_names(pandas.DataFrame({"age": [22], "sex": ["male"]}))
    ('age', 'sex')
    >>> column_names(pandas.DataFrame([[22, 38]])), column_names([[22, 38]])
    (None, None)
    """
    columns = getattr(x, "columns", None)
    if columns is None or isinstance(columns, str) or not hasattr(columns, "__iter__"):
        return None
    names = list(columns)
    return tuple(str(name).strip() for name in names) if any(isinstance(name, str) for name in names) else None


def check_names(seen: Sequence[str], given: Sequence[str]) -> None:
    """Raise `DataError`, in scikit-learn's words, unless the columns given are those seen in training, in that order.

    A table's columns are never put in order on the quiet: a different order is most often a different table.

    >>> check_names(["age", "fare"], ["age", "fare"])
    >>> check_names(["age", "fare"], ["fare", "age"])
    Traceback (most recent call last):
    pellucid.errors.DataError: The feature names should match those that were passed during fit.
    Feature names must be in the same order as they were in fit.
    <BLANKLINE>
    """
    if list(seen) == list(given):
        return
    new, gone = sorted(set(given) - set(seen)), sorted(set(seen) - set(given))
    text = "The feature names should match those that were passed during fit.\n"
    if new:
        text += f"Feature names unseen at fit time:\n{_lines(new)}"
    if gone:
        text += f"Feature names seen at fit time, yet now missing:\n{_lines(gone)}"
    if not (new or gone):
        text += "Feature names must be in the same order as they were in fit.\n"
    raise DataError(text)


def _lines(names: Iterable[str]) -> str:
    names = list(names)
    return "".join(f"- {name}\n" for name in names[:5]) + ("- ...\n" if len(names) > 5 else "")
