"""A `Table` of named columns, from a CSV file or a DataFrame. Imports numpy."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .dataset import DataError, listed
from .files import text_of

MISSING = frozenset(["", "NA", "NaN", "nan", "null", "?"])


@dataclass(frozen=True, eq=False, repr=False)
class Table:
    """Named columns of equal length: numbers as float64 (missing: NaN), categories as str objects (missing: None).

    ``table[name]`` is a column; ``source`` is what errors call the table. Raises `DataError` for an unknown column
    and for columns of different lengths.

    >>> table = Table({"age": np.array([22.0, np.nan]), "sex": np.array(["male", "female"], object)})
    >>> table, table.kind("age"), table.kind("sex")
    (Table of 2 rows: age (numbers), sex (categories), 'numbers', 'categories')
    >>> table["agee"]
    Traceback (most recent call last):
    pellucid.data.dataset.DataError: the table has no column 'agee'; did you mean 'age'? Its columns are 'age', 'sex'
    """

    columns: dict[str, np.ndarray]
    source: str = "the table"

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
            known = {n.lower(): n for n in self.columns}
            close = [known[n] for n in difflib.get_close_matches(str(name).lower(), known)]
            hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else "."
            raise DataError(
                f"{self.source} has no column {name!r}{hint} Its columns are {listed(map(repr, self.columns), 30)}"
            )
        return self.columns[name]

    def __repr__(self) -> str:
        columns = ", ".join(f"{name} ({self.kind(name)})" for name in self.columns)
        return f"Table of {len(self)} rows: {columns}"

    def kind(self, name: str) -> Literal["numbers", "categories"]:
        """Whether a column holds numbers (float64) or categories (str)."""
        return "numbers" if self[name].dtype.kind == "f" else "categories"

    def drop(self, name: str) -> Table:
        """The table without one column."""
        self[name]  # an unknown name is an error
        return Table({n: column for n, column in self.columns.items() if n != name}, self.source)

    def take(self, rows: Sequence[int] | np.ndarray) -> Table:
        """The table of some rows: their positions, or a mask."""
        return Table({name: column[rows] for name, column in self.columns.items()}, self.source)


def read_csv(path: str | PathLike[str], delimiter: str = ",") -> Table:
    """A CSV file in UTF-8, whose first line names the columns.

    A column is numbers if each of its entries is one or is missing, else categories. Missing are empty entries, NA,
    NaN, nan, null and ?. Spaces around an entry are dropped, blank lines skipped. Raises `DataError` for a file that
    is missing, empty, not UTF-8 or without rows, for column names that are empty or occur twice, and for ragged lines.

    >>> _ = Path("people.csv").write_text("age,name\\n22,Braund\\n,Cumings\\n")
    >>> table = read_csv("people.csv")
    >>> table["age"], table["name"]
    (array([22., nan]), array(['Braund', 'Cumings'], dtype=object))
    """
    lines = _lines(Path(path), delimiter)
    if not lines:
        raise DataError(f"{path} is empty; expected a line of column names, then a line for each sample")
    (_, header), *body = lines
    names = _checked_names(header, f"{path}: the first line")
    ragged = [f"line {n} has {len(fields)}" for n, fields in body if len(fields) != len(names)]
    if ragged:
        raise DataError(
            f"{path}: expected {len(names)} fields on each line, as in the header, but {listed(ragged)}"
            " (a field that contains the separator needs double quotes)"
        )
    if not body:
        raise DataError(f"{path} has column names ({listed(map(repr, names))}) but no rows")
    columns = zip(*(fields for _, fields in body), strict=True)
    return Table({name: _column(texts) for name, texts in zip(names, columns, strict=True)}, str(path))


def from_frame(frame: Any) -> Table:
    """The Table of a DataFrame (pandas, or another with ``columns`` and ``to_numpy``), as if it had been a CSV file.

    So a column is numbers if each of its entries can be read as one, dates and truth values are categories, and None,
    NaN and NA are missing. Raises `DataError` for anything else than a DataFrame, for one without rows or columns, and
    for column names that are empty or occur twice.

    >>> import pandas
    >>> table = from_frame(pandas.DataFrame({"age": [22, 38], "alone": [True, None]}))
    >>> table, table["alone"]
    (Table of 2 rows: age (numbers), alone (categories), array(['True', None], dtype=object))
    """
    if not (hasattr(frame, "columns") and hasattr(frame, "to_numpy")):
        raise DataError(f"expected a DataFrame, got {type(frame).__name__}")
    if not len(frame.columns):
        raise DataError("the DataFrame has no columns")
    names = _checked_names([str(name).strip() for name in frame.columns], "the DataFrame")
    columns = {}
    for name, label in zip(names, list(frame.columns), strict=True):
        array = np.asarray(frame[label].to_numpy())
        columns[name] = array.astype(np.float64) if array.dtype.kind in "iuf" else _column([_text(v) for v in array])
    table = Table(columns, "the DataFrame")
    if not len(table):
        raise DataError(f"the DataFrame has column names ({listed(map(repr, names))}) but no rows")
    return table


def as_table(x: Any, names: Sequence[str] | None = None) -> Table:
    """A Table, a DataFrame or an array (n, columns) as a Table; the columns of an array are ``names``, or x0, x1, ...

    A column of an array of objects is numbers if each of its entries can be read as one. Raises `DataError` for other
    shapes.

    >>> as_table(np.array([[1, "red"], [2.5, None]], object))
    Table of 2 rows: x0 (numbers), x1 (categories)
    """
    if isinstance(x, Table):
        return x
    if hasattr(x, "columns") and hasattr(x, "to_numpy"):
        return from_frame(x)
    array = np.asarray(x)
    if array.ndim != 2 or 0 in array.shape:
        raise DataError(f"expected a table, an array of shape (n, columns), got shape {array.shape}")
    names = [f"x{j}" for j in range(array.shape[1])] if names is None else list(names)
    if len(names) != array.shape[1]:
        raise DataError(f"{len(names)} names are given for {array.shape[1]} columns")
    plain = array.dtype.kind in "biuf"
    columns = (a.astype(np.float64) if plain else _column([_text(v) for v in a]) for a in array.T)
    return Table(dict(zip(names, columns, strict=True)), "the array")


def _lines(path: Path, delimiter: str) -> list[tuple[int, list[str]]]:
    """The lines that are not blank, each as its number in the file and its fields without the spaces around them."""
    text = text_of(path, advice="save it as UTF-8 (CSV UTF-8)")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    lines, start = [], 1
    try:
        for fields in reader:
            if fields:
                lines.append((start, [field.strip() for field in fields]))
            start = reader.line_num + 1  # a quoted field may go over several lines
    except csv.Error as error:
        raise DataError(f"{path}: line {start} cannot be read: {error} (is a double quote missing?)") from None
    return lines


def _checked_names(names: list[str], where: str) -> list[str]:
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


def _column(texts: Sequence[str]) -> np.ndarray:
    """Numbers if every entry is one or is missing, else categories."""
    try:
        return np.array([np.nan if text in MISSING else _number(text) for text in texts], np.float64)
    except ValueError:
        return np.array([None if text in MISSING else text for text in texts], object)


def _number(text: str) -> float:
    if "_" in text:  # Python reads 1_000 as a number; in data it is a name
        raise ValueError
    return float(text)


def _text(value: Any) -> str:
    """What a CSV file would have for an entry of a DataFrame; empty where it is missing."""
    text = str(value).strip()
    return "" if not isinstance(value, str) and text in ("None", "NaT", "<NA>") else text
