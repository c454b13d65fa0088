"""A `Table` of named columns, from a DataFrame or an array. Imports numpy."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date
from decimal import Decimal
from numbers import Real
from typing import Any, Literal

import numpy as np

from ..errors import DataError
from .dataset import listed
from .reading import EXACT, Reading

KINDS: dict[str, Literal["numbers", "dates", "categories"]] = {"f": "numbers", "M": "dates", "O": "categories"}


@dataclass(frozen=True, eq=False, repr=False)
class Table:
    """Named columns of equal length: float64 numbers (missing: NaN), datetime64 (NaT), or text as objects (None).

    ``table[name]`` is a column; ``source`` is what errors call the table, ``remarks`` what should be said of how it was
    read. Raises `DataError` for an unknown column and for columns of different lengths.

    >>> table = Table({"age": np.array([22.0, np.nan]), "sex": np.array(["male", "female"], object)})
    >>> table, table.kind("age"), table.kind("sex")
    (Table of 2 rows: age (numbers), sex (categories), 'numbers', 'categories')
    >>> table["agee"]
    Traceback (most recent call last):
    pellucid.errors.DataError: the table has no column 'agee'; did you mean 'age'? Its columns are 'age', 'sex'
    """

    columns: dict[str, np.ndarray]
    source: str = "the table"
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        lengths = {name: len(column) for name, column in self.columns.items()}
        if len(set(lengths.values())) > 1:
            raise DataError(f"{self.source}: the columns have different lengths: {lengths}")

    @property
    def names(self) -> list[str]:
        """The names of the columns, in order."""
        return list(self.columns)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.columns:
            raise unknown_column(name, self.names, self.source)
        return self.columns[name]

    def __repr__(self) -> str:
        columns = ", ".join(f"{name} ({self.kind(name)})" for name in self.columns)
        return f"Table of {len(self)} rows: {columns}"

    def kind(self, name: str) -> Literal["numbers", "dates", "categories"]:
        """Whether a column holds numbers (float64), dates (datetime64) or categories (str)."""
        return KINDS[self[name].dtype.kind]

    def drop(self, name: str) -> Table:
        """The table without one column."""
        self[name]  # an unknown name is an error
        return Table({n: column for n, column in self.columns.items() if n != name}, self.source, self.remarks)

    def take(self, rows: Sequence[int] | np.ndarray) -> Table:
        """The table of some rows: their positions, or a mask."""
        return Table({name: column[rows] for name, column in self.columns.items()}, self.source, self.remarks)


def from_frame(frame: Any) -> Table:
    """The Table of a DataFrame (pandas, polars, or another with ``columns`` and ``to_numpy``).

    A column is what its dtype says: numbers and truth values (0 and 1) are numbers, strings and categories are text,
    whatever they look like, dates are dates. A column of objects is what its entries are. None, NaN, NaT and NA are
    missing. Whole numbers beyond 2^53 are text, since float64 does not tell them apart. Raises `DataError` for
    anything else than a DataFrame, for one without rows or columns, for column names that are empty or occur twice,
    and for a column whose entries are lists or the like.

    >>> import pandas
    >>> table = from_frame(pandas.DataFrame({"age": [22, 38], "post": ["01067", None], "alone": [True, None]}))
    >>> table, table["post"]
    (Table of 2 rows: age (numbers), post (categories), alone (numbers), array(['01067', None], dtype=object))
    """
    if not (hasattr(frame, "columns") and hasattr(frame, "to_numpy")):
        raise DataError(f"expected a DataFrame, got {type(frame).__name__}")
    if not len(frame.columns):
        raise DataError("the DataFrame has no columns")
    names = checked_names([str(name).strip() for name in frame.columns], "the DataFrame")
    labels = list(frame.columns)
    columns = {name: of_column(frame[label], name) for name, label in zip(names, labels, strict=True)}
    table = Table(columns, "the DataFrame")
    if not len(table):
        raise DataError(f"the DataFrame has column names ({listed(map(repr, names))}) but no rows")
    return table


def as_table(x: Any, names: Sequence[str] | None = None) -> Table:
    """A Table, a DataFrame or an array (n, columns) as a Table; the columns of an array are ``names``, or x0, x1, ...

    A column of an array of objects is what its entries are; one of an array of text is read as in a CSV file. Raises
    `DataError` for other shapes, and for what has no rows: sets and generators.

    >>> as_table(np.array([[1, "red"], [2.5, None]], object))
    Table of 2 rows: x0 (numbers), x1 (categories)
    """
    if isinstance(x, Table):
        return x
    if hasattr(x, "columns") and hasattr(x, "to_numpy"):
        return from_frame(x)
    if hasattr(x, "tocsr"):
        raise DataError("sparse data are not supported: give x.toarray()")
    refuse_streams(x)
    try:
        array = np.asarray(x)
    except ValueError:
        raise DataError("expected an array of shape (n, columns), but the rows differ in their lengths") from None
    if array.ndim != 2:
        raise DataError(f"expected an array of shape (n, columns), got shape {array.shape}. Reshape your data: "
                        "x.reshape(-1, 1) is one column, x.reshape(1, -1) one row")  # fmt: skip
    for size, what in zip(array.shape, ("sample", "feature"), strict=True):
        if not size:
            raise DataError(f"0 {what}(s) (shape={array.shape}) while a minimum of 1 is required.")
    if array.dtype.kind == "c":
        raise DataError("Complex data not supported: give real and imaginary parts as columns")
    names = [f"x{j}" for j in range(array.shape[1])] if names is None else list(names)
    if len(names) != array.shape[1]:
        raise DataError(f"{len(names)} names are given for {array.shape[1]} columns")
    return Table({name: of_entries(a, name) for name, a in zip(names, array.T, strict=True)}, "the array")


def of_column(series: Any, name: str) -> np.ndarray:
    """A column of a DataFrame as one of a Table."""
    kind = str(getattr(series, "dtype", ""))
    if kind.startswith(("category", "Categorical", "Enum")):  # a category is what the dtype says, numbers too
        return np.array([text_of_value(v) for v in np.asarray(series.to_numpy(), object)], object)
    if hasattr(series, "dt") and getattr(getattr(series, "dtype", None), "tz", None) is not None:
        series = series.dt.tz_localize(None)  # the hours that the clock showed
    elif kind.startswith("period"):
        series = series.dt.to_timestamp()
    array = np.asarray(series.to_numpy())
    if "int" in kind.lower() and array.dtype.kind == "f" and (abs(array) >= EXACT).any():
        array = np.array(series.to_list(), object)  # whole numbers beside missing ones, before they became floats
    return of_entries(array, name)


def of_entries(array: np.ndarray, name: str) -> np.ndarray:
    """Entries (n,) of any dtype as a column: float64, datetime64[us], or text."""
    if array.dtype.kind in "iu" and array.size and _beyond(array):
        return np.array([str(v) for v in array.tolist()], object)
    if array.dtype.kind in "biuf":
        return array.astype(np.float64)
    if array.dtype.kind == "M":
        return array.astype("datetime64[us]")
    if array.dtype.kind == "m":
        return np.where(np.isnat(array), np.nan, array / np.timedelta64(1, "s"))
    if array.dtype.kind in "SUT":
        texts = [str(v, "utf-8", "replace") if isinstance(v, bytes) else str(v).strip() for v in array.tolist()]
        values = Reading().numbers(texts)
        return np.array([text or None for text in texts], object) if values is None else values
    return _of_objects(array, name)


def _of_objects(array: np.ndarray, name: str) -> np.ndarray:
    """Objects as a column, by the types of those that are not missing."""
    if {*map(type, array)} <= {str, float, type(None)}:  # text, None or NaN where missing: each different entry once
        different = {value: text_of_value(value) for value in {*array}}
        if str in map(type, different) and all(text is None for v, text in different.items() if type(v) is float):
            return np.array([different[value] for value in array], object)
    gone = np.fromiter(map(is_missing, array), bool, len(array))
    given = array[~gone]
    kinds = {*map(type, given)}
    if odd := [kind for kind in kinds if hasattr(kind, "__len__") and not issubclass(kind, (str, bytes))]:
        raise DataError(f"column {name!r} holds {odd[0].__name__}s, expected one number, date or text in each row; "
                        "give their parts as columns of their own")  # fmt: skip
    if kinds and all(issubclass(kind, date) for kind in kinds):
        plain = [v.astimezone(UTC).replace(tzinfo=None) if getattr(v, "tzinfo", None) else v for v in given]
        column = np.full(len(array), np.datetime64("NaT"), "datetime64[us]")
        column[~gone] = np.array(plain, "datetime64[us]")
        return column
    if all(issubclass(kind, (bool, np.bool_, Real, Decimal)) for kind in kinds):
        try:
            floats = np.array([float(v) for v in given], np.float64)
        except OverflowError:
            raise DataError(f"column {name!r} holds a number beyond those of float64, which end at 1.8e308; correct "
                            "it, leave it empty, or give it as text") from None  # fmt: skip
        if not any(isinstance(v, (int, np.integer)) and abs(int(v)) > EXACT and int(float(v)) != v for v in given):
            numbers = np.full(len(array), np.nan)
            numbers[~gone] = floats
            return numbers
    elif not all(issubclass(kind, str) for kind in kinds):  # numbers and text of numbers
        values = Reading().numbers(["" if out else text_of_value(v) or "" for v, out in zip(array, gone, strict=True)])
        if values is not None:
            return values
    return np.array([None if out else text_of_value(v) for v, out in zip(array, gone, strict=True)], object)


def is_missing(value: Any) -> bool:
    """Whether a value is none: None, NaN, NaT, or pandas' NA."""
    if value is None or isinstance(value, str):
        return value is None
    try:
        return bool(value != value)
    except (TypeError, ValueError):  # NA is neither equal nor unequal to anything; arrays are compared in parts
        return type(value).__name__ == "NAType"


def text_of_value(value: Any) -> str | None:
    """A value as a category's name: text without spaces around it, whole numbers without a point; None where missing.

    >>> text_of_value(" red "), text_of_value(101.0), text_of_value(101), text_of_value(float("nan"))
    ('red', '101', '101', None)
    """
    if isinstance(value, str):
        return value.strip() or None
    if is_missing(value):
        return None
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if isinstance(value, (float, np.floating)):
        number = float(value)
        return str(int(number)) if number.is_integer() else repr(number)
    return str(value).strip() or None


def refuse_streams(x: Any, what: str = "X") -> None:
    """A `DataError` for what has no rows in an order: sets, and iterators, which give each row but once."""
    if isinstance(x, (set, frozenset, Iterator)):
        kind = "a set, which has no order" if isinstance(x, (set, frozenset)) else f"a {type(x).__name__}"
        raise DataError(f"{what} is {kind}; give a list or an array of its rows, for example {what} = list({what})")


def _beyond(array: np.ndarray) -> bool:
    """Whether float64 does not have some of these whole numbers."""
    if max(abs(int(array.min())), abs(int(array.max()))) <= EXACT:
        return False
    return any(int(float(v)) != v for v in array.tolist())


def checked_names(names: list[str], where: str) -> list[str]:
    """Names of columns, or the `DataError` for some that are empty or there twice."""
    empty = [str(i) for i, name in enumerate(names, 1) if not name]
    if empty:
        raise DataError(
            f"{where} has no name for column {listed(empty)}; expected a name for each"
            " (pandas writes a first column without a name unless index=False)"
        )
    twice = dict.fromkeys(repr(name) for name in names if names.count(name) > 1)
    if twice:
        raise DataError(f"{where} has column names more than once: {listed(twice)}; expected a different name for each")
    return names


def unknown_column(name: str, names: Sequence[str], source: str) -> DataError:
    """The error for a name that is none of a table's; it tells the nearest."""
    known = {n.lower(): n for n in names}
    close = [known[n] for n in difflib.get_close_matches(str(name).lower(), known)]
    hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else "."
    return DataError(f"{source} has no column {name!r}{hint} Its columns are {listed(map(repr, names), 30)}")
