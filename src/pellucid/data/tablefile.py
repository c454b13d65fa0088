"""Tables from files of any kind: CSV, Parquet, Excel, ARFF, .ts. Imports the siblings; pandas and scipy lazily.

What a file says of its columns (Parquet's types, ARFF's attributes) is taken as it says it; options of reading that
speak of columns, such as ``categorical``, hold for all kinds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from .csvfile import names_of as csv_names
from .csvfile import read_csv
from .dataset import listed
from .files import reading, text_of, unpacked_name
from .reading import Reading
from .table import Table, checked_names, from_frame, text_of_value, unknown_column

FRAMES = {  # kinds that pandas reads, by what, and the package that it needs
    ".parquet": ("read_parquet", "pyarrow"),
    ".feather": ("read_feather", "pyarrow"),
    ".xlsx": ("read_excel", "openpyxl"),
    ".xlsm": ("read_excel", "openpyxl"),
}
OF_CSV: dict[str, Any] = {"missing": None, "decimal": ".", "thousands": "", "header": True, "quotes": True}
OTHERS = dict.fromkeys((".xls", ".ods"), "save it as .xlsx, or as CSV (UTF-8)")  # workbooks that are not read
ENDINGS = (".csv", ".tsv", ".txt", ".dat", ".data", "", ".arff", ".ts", *FRAMES)


def read_table(path: str | PathLike[str], delimiter: str | None = None, **how: Any) -> Table:
    """A table from a file of the kind that its name says; ``how`` as in `read_csv`, whose kind all other names are.

    - ``.parquet``, ``.feather``, ``.xlsx`` (its first sheet): as pandas reads them, with pyarrow or openpyxl.
    - ``.tsv``: CSV whose fields are separated by tabs, unless ``delimiter`` says otherwise.
    - ``.arff``: numeric and nominal attributes, as scipy reads them; ``?`` is missing.
    - ``.ts``, sktime's text files of series of equal length: columns 1, 2, ... (of several dimensions 1_1, 1_2, ...,
      2_1, ...), and the class, or the target, as the last column, ``class`` or ``target``.

    Raises `DataError` where the file cannot be read, naming the package that is not there.

    >>> text = "@problemName two\\n@classLabel true up down\\n@data\\n1,2,3:up\\n3,2,1:down\\n"
    >>> _ = Path("two.ts").write_text(text)
    >>> read_table("two.ts")
    Table of 2 rows: 1 (numbers), 2 (numbers), 3 (numbers), class (categories)
    """
    kind = ending(path)
    if kind not in READERS:
        return read_csv(path, delimiter, **how)
    if delimiter is not None or (of_csv := [name for name in OF_CSV if name in how and how[name] != OF_CSV[name]]):
        option = "delimiter" if delimiter is not None else of_csv[0]
        raise DataError(f"{option} is for CSV files, not for {path}")
    with reading(path, f"a {kind} file"):
        table = READERS[kind](path)
    return as_said(replace(table, source=str(path)), Reading(**{k: v for k, v in how.items() if k not in OF_CSV}))


def names_of(path: str | PathLike[str], delimiter: str | None = None, **how: Any) -> list[str]:
    """The names of a table file's columns, as `read_table` finds them."""
    if ending(path) in READERS:
        return read_table(path).names
    return csv_names(path, delimiter, **how)


def ending(path: str | PathLike[str]) -> str:
    """What kind of table a file's name says."""
    return Path(unpacked_name(str(path))).suffix.lower()


def as_said(table: Table, how: Reading) -> Table:
    """A table whose columns are made what ``how`` says that they are."""
    columns = dict(table.columns)
    for name in (*how.categorical, *how.numeric, *how.dates):
        if name not in columns:
            raise unknown_column(name, table.names, table.source)
        where, column = f"{table.source}: column {name!r}", columns[name]
        texts = [text_of_value(v) for v in column]
        if name in how.categorical:
            columns[name] = np.array(texts, object)
            continue
        read = how.numbers if name in how.numeric else lambda t, name=name: how.as_dates(t, how.dates[name])
        if column.dtype.kind == ("f" if name in how.numeric else "M"):
            continue
        made = read([text or "" for text in texts])
        if made is None:
            row = next((i for i, text in enumerate(texts, 1) if text and read([text]) is None), 1)
            what = "a number" if name in how.numeric else f"a date {how.dates[name]}".rstrip()
            raise DataError(f"{where} holds {texts[row - 1]!r} in row {row}, expected {what}")
        columns[name] = made
    return replace(table, columns=columns)


def _framed(path: str | PathLike[str]) -> Table:
    read, package = FRAMES[ending(path)]
    try:
        import pandas

        frame = getattr(pandas, read)(path)
    except ImportError:
        raise DataError(f"reading a {ending(path)} file needs pandas and {package}: pip install 'pellucid[files]'; or "
                        "save it as CSV") from None  # fmt: skip
    if not len(frame.columns):
        raise DataError(f"{path} has no columns")
    return from_frame(frame)


def _arff(path: str | PathLike[str]) -> Table:
    from io import StringIO

    from scipy.io import arff

    text = _ascii(text_of(path))  # scipy's reader takes no other
    try:
        rows, meta = arff.loadarff(StringIO(text))
    except NotImplementedError as error:
        raise DataError(f"{path}: {error}; save it as CSV, where such columns are text") from None
    except (OSError, ValueError) as error:
        said = str(error).replace(r"\x01", "\1").replace(r"\x02", "\2")
        raise type(error)(_from_ascii(said)) from None
    columns: dict[str, np.ndarray] = {}
    for coded, kind in zip(meta.names(), meta.types(), strict=True):
        name, column = _from_ascii(coded), rows[coded]
        if kind == "numeric":
            columns[name] = column.astype(np.float64)
        elif kind == "date":
            columns[name] = column.astype("datetime64[us]")
        else:
            columns[name] = np.array([_nominal(v) for v in column.tolist()], object)
    if not len(rows):
        raise DataError(f"{path} has attributes ({listed(columns)}) but no rows")
    checked_names(list(columns), str(path))
    return Table(columns, str(path))


def _nominal(value: bytes) -> str | None:
    text = _from_ascii(value.decode()).strip()
    return None if text == "?" else text


def _other(path: str | PathLike[str]) -> Table:
    if not Path(path).exists():
        raise FileNotFoundError
    raise DataError(f"{path}: {ending(path)} files are not read; {OTHERS[ending(path)]}")


def _ascii(text: str) -> str:
    """Text with signs beyond ASCII as numbers between two control characters; `_from_ascii` undoes it."""
    return text if text.isascii() else re.sub(r"[^\0-\x7f]", lambda sign: f"\1{ord(sign[0]):x}\2", text)


def _from_ascii(text: str) -> str:
    return re.sub("\1([0-9a-f]+)\2", lambda code: chr(int(code[1], 16)), text)


def _series(path: str | PathLike[str]) -> Table:
    said, start, lines = {}, None, text_of(path).splitlines()
    for number, line in enumerate(lines, 1):
        if line.strip().lower() == "@data":
            start = number
            break
        if line.startswith("@"):
            word, _, rest = line[1:].strip().partition(" ")
            said[word.lower()] = rest.strip()
    if start is None:
        raise DataError(f"{path} has no line @data, which sktime's .ts files have")
    if said.get("timestamps", "").lower() == "true":
        raise DataError(f"{path} has times beside its values; expected values alone (@timeStamps false)")
    label = "class" if said.get("classlabel", "").lower().startswith("true") else ""
    label = label or ("target" if said.get("targetlabel", "").lower().startswith("true") else "")
    rows, labels = [], []
    for number, line in enumerate(lines[start:], start + 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = line.strip().split(":")
        if label:
            labels.append(parts.pop().strip())
        rows.append((number, [part.split(",") for part in parts]))
    if not rows:
        raise DataError(f"{path} has no series after @data")
    lengths = [len(dimension) for dimension in rows[0][1]]
    for number, dimensions in rows:
        if [len(dimension) for dimension in dimensions] != lengths:
            raise DataError(f"{path}: line {number} has series of {listed(map(len, dimensions))} values, line "
                            f"{rows[0][0]} of {listed(lengths)}; expected equal lengths (pad_sequences and a recurrent "
                            "net in Python take others)")  # fmt: skip
    texts = [[text.strip() for dimension in dimensions for text in dimension] for _, dimensions in rows]
    several = len(lengths) > 1
    names = [f"{d}_{t}" if several else str(t) for d, n in enumerate(lengths, 1) for t in range(1, n + 1)]
    by_place = zip(names, zip(*texts, strict=True), strict=True)
    columns = {name: _numbers(path, name, entries) for name, entries in by_place}
    if label:
        columns[label] = np.array(labels, object) if label == "class" else _numbers(path, label, labels)
    return Table(columns, str(path))


def _numbers(path: str | PathLike[str], name: str, texts: Sequence[str]) -> np.ndarray:
    values = Reading().numbers(texts, keep=False)
    if values is None:
        row = next(row for row, text in enumerate(texts, 1) if Reading().numbers([text], keep=False) is None)
        raise DataError(f"{path}: series {row} holds {texts[row - 1]!r} at {name}, expected a number")
    return values


READERS: dict[str, Callable[[Any], Table]] = {
    ".arff": _arff,
    ".ts": _series,
    **dict.fromkeys(FRAMES, _framed),
    **dict.fromkeys(OTHERS, _other),
}
