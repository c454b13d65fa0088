"""CSV files as Tables: the separators, quotes and packings that there are. Imports the siblings and numpy."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from os import PathLike
from typing import Any

import numpy as np

from ..errors import DataError
from .dataset import listed
from .files import blocks_of, unpacked_name
from .numerals import Fields
from .reading import Reading
from .table import Table, checked_names, unknown_column

ROWS = 4096  # that become columns at once
LONGEST = 1 << 22  # bytes of a line
PLAIN = Reading()
ADVICE = "save it as UTF-8 (CSV UTF-8)"


def read_csv(
    path: str | PathLike[str],
    delimiter: str | None = None,
    *,
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    dates: Mapping[str, str] | Sequence[str] = (),
    missing: Sequence[str] | None = None,
    decimal: str = ".",
    thousands: str = "",
    header: bool = True,
    quotes: bool = True,
) -> Table:
    """A CSV file in UTF-8, plain or packed (gzip, xz, bzip2, zip), whose first line names the columns.

    A column is numbers if each of its entries is one or is missing, dates if each is one (ISO 8601), else text, which
    stays as it was written. Money and per cent are numbers ($5, 12 % is 0.12); text with leading zeros (007) and whole
    numbers beyond 2^53 are not: they are names. In columns of numbers and dates NA, N/A, #N/A, NaN, null, None, ?, -
    and . mean missing as well as an empty entry, and `Table.remarks` says so; in text they are what they are.
    ``categorical``, ``numeric`` and ``dates`` (columns, or a mapping to formats such as "%d.%m.%Y") say what a column
    is, ``missing`` which words mean missing, in every column; ``decimal`` and ``thousands`` are signs in numbers.

    ``header=False``: the first line is a row like the others, and the columns are called 1, 2, ...; a first line of
    names that look like data is a remark. ``quotes=False``: double quotes are signs like any other.

    ``delimiter`` is a comma (in a ``.tsv`` file a tab), or what a first line such as ``sep=;`` says. Spaces around an
    entry are dropped, blank lines skipped; between the rows of a single column they are missing entries. Raises
    `DataError` for a file that is missing, empty, damaged, not UTF-8 or without rows, for column names that are empty
    or occur twice, for ragged lines, and for entries that are not what was said.

    >>> from pathlib import Path
    >>> _ = Path("people.csv").write_text("age,name,post\\n22,Braund,01067\\n,Cumings,80331\\n")
    >>> table = read_csv("people.csv")
    >>> table["age"], table["name"], table["post"]
    (array([22., nan]), array(['Braund', 'Cumings'], dtype=object), array(['01067', '80331'], dtype=object))
    """
    given: Any = dates
    how = Reading(categorical, numeric, given, missing, decimal, thousands)
    source = _Source(path, delimiter, header, quotes)
    names = source.names()
    for name in (*how.categorical, *how.numeric, *how.dates):
        if name not in names:
            raise unknown_column(name, names, str(path))
    columns = [_Column(name, how, text=name in how.categorical or name in how.dates) for name in names]
    source.read_into(columns)
    if again := [column for column in columns if column.unsure]:  # numbers at first, and then text: read it as such
        for column in again:
            column.parts, column.unsure, column.text = [], False, True
        source.read_into(columns, [column in again for column in columns])
    if not columns[0].parts:
        raise DataError(f"{path} has column names ({listed(map(repr, names))}) but no rows")
    made = {column.name: column.array(str(path)) for column in columns}
    words = {name: column.words for name, column in zip(names, columns, strict=True) if made[name].dtype.kind in "fM"}
    remarks = _remarks(words)
    if header and like_data(made):
        remarks += (
            f"the first line ({listed(names)}) looks like data, not like names; header=False takes it as a row",
        )
    return Table(made, str(path), remarks)


def names_of(
    path: str | PathLike[str], delimiter: str | None = None, header: bool = True, quotes: bool = True
) -> list[str]:
    """The names of a CSV file's columns, as `read_csv` finds them."""
    return _Source(path, delimiter, header, quotes).names()


def like_data(columns: Mapping[str, np.ndarray]) -> bool:
    """Whether the names are entries like those below: numbers over numbers, dates over dates, a text over its like.

    >>> like_data({"2020-01-01": np.array(["2020-02-01"], "M8[us]")}), like_data({"start": np.array([], "M8[us]")})
    (True, False)
    """
    alike = {
        "f": lambda name, _: PLAIN.numbers([name]) is not None,
        "M": lambda name, _: PLAIN.as_dates([name]) is not None,
    }
    return all(alike.get(column.dtype.kind, _among)(name, column) for name, column in columns.items())


def _among(name: str, column: np.ndarray) -> bool:
    return name in column


class _Column:
    """A column as it is read: blocks of numbers, or of text."""

    def __init__(self, name: str, how: Reading, text: bool) -> None:
        self.name, self.how, self.text, self.unsure = name, how, text, False
        self.parts: list[Any] = []
        self.words: dict[str, int] = {}  # that meant "missing", and how often
        self.known: dict[str, str | None] = dict.fromkeys([""] if how.missing is None else how.words)
        self.decoded = _Decoded(self.known)

    @property
    def plain(self) -> bool:
        """Whether entries may be read as plain numbers, many at a time."""
        return not (self.text or self.unsure) and self.how.plain and self.how.missing is None

    def add_fields(self, fields: Fields, j: int, values: np.ndarray | None, odd: np.ndarray | None) -> None:
        """The entries of a block, in which plain numbers have been found: as `add` would have them, in less time."""
        if self.unsure:
            return
        if values is not None and odd is not None:
            rows = np.flatnonzero(odd)
            others = fields.texts(j, rows)
            read = self.how.numbers(others, keep=self.name not in self.how.numeric) if others else values[:0]
            if read is not None:
                values[rows] = read
                self.note(others, read)
                self.parts.append(values)
                return
        if self.text:
            self.parts.append(fields.pieces(j, self.decoded))
        else:
            self.add(fields.texts(j))

    def add(self, texts: Sequence[str]) -> None:
        """Entries of some rows."""
        if self.unsure:
            return
        if not self.text:
            values = self.how.numbers(texts, keep=self.name not in self.how.numeric)
            if values is not None:
                self.note(texts, values)
                self.parts.append(values)
                return
            if self.name in self.how.numeric or self.parts:
                self.unsure = True
                return
            self.text = True
        own = self.known.setdefault  # equal texts are one object
        self.parts.append([own(text, text) for text in map(str.strip, texts)])

    def note(self, texts: Sequence[str], values: np.ndarray) -> None:
        """Count the words that meant "missing"."""
        for i in np.flatnonzero(np.isnan(values)).tolist():
            if word := texts[i].strip():
                self.words[word] = self.words.get(word, 0) + 1

    def array(self, source: str) -> np.ndarray:
        """The whole column; a `DataError` where it is not what was said."""
        if not self.text:
            return np.concatenate(self.parts)
        texts = np.array(list(chain.from_iterable(self.parts)), object)
        where = f"{source}: column {self.name!r}"
        if self.name in self.how.numeric:
            _refuse(texts, self.how, lambda text: self.how.numbers([text], keep=False), where, "a number")
        if self.name in self.how.categorical:
            return texts
        form = self.how.dates.get(self.name, "")
        found = self.how.as_dates(texts, form)
        if found is not None:
            for text in texts:
                if text in self.how.words and text:
                    self.words[text] = self.words.get(text, 0) + 1
            return found
        if self.name in self.how.dates:
            such = f"such as {form}" if form else "(ISO 8601; another format is given as COLUMN=%d.%m.%Y)"
            _refuse(texts, self.how, lambda text: self.how.as_dates([text], form), where, f"a date {such}")
        return texts


class _Decoded(dict):
    """Entries as bytes to text, each kind of entry decoded once; None where it means missing."""

    def __init__(self, known: dict[str, str | None]) -> None:
        self.known = known

    def __missing__(self, piece: bytes) -> str | None:
        text = piece.decode().strip()
        self[piece] = found = self.known.setdefault(text, text)
        return found


def _refuse(texts: np.ndarray, how: Reading, read: Any, where: str, expected: str) -> None:
    """Raise the `DataError` for the first entry that is not what the column is said to hold."""
    for row, text in enumerate(texts, 1):
        if text is not None and text not in how.words and read(text) is None:
            raise DataError(f"{where} holds {text!r} in row {row}, expected {expected}")


def _remarks(words: Mapping[str, Mapping[str, int]]) -> tuple[str, ...]:
    """A sentence on words that were taken as missing."""
    found: dict[str, list[str]] = {}
    for name, counts in words.items():
        for word, count in counts.items():
            found.setdefault(word, []).append(f"{name} ({count})")
    said = [f"{word!r} in {listed(columns)}" for word, columns in found.items()]
    return (f"taken as missing: {'; '.join(said)}",) if said else ()


class _Source:
    """A CSV file as rows of fields."""

    def __init__(self, path: str | PathLike[str], delimiter: str | None, header: bool, quotes: bool) -> None:
        usual = "\t" if unpacked_name(str(path)).lower().endswith(".tsv") else ","
        self.path, self.delimiter, self.skipped, self.header = path, delimiter or usual, 0, header
        self.quoting: Any = csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE
        first = next(self.lines(), "")
        if said := re.fullmatch(r'"?sep=(.)"?\s*', first, re.I | re.S):
            self.skipped, self.delimiter = 1, delimiter or said[1]
        if self.delimiter == "\t" and quotes and not self._quotes_pair():
            self.quoting = csv.QUOTE_NONE

    def lines(self) -> Iterator[str]:
        """The lines of the file with their ends."""
        return _lines(blocks_of(self.path, ADVICE, LONGEST))

    def rows(self, lines: Iterator[str] | None = None) -> Iterator[list[str]]:
        """The fields of each line, [] for a blank one."""
        lines = islice(self.lines(), self.skipped, None) if lines is None else lines
        strict = self.quoting != csv.QUOTE_NONE
        return csv.reader(lines, delimiter=self.delimiter, quoting=self.quoting, strict=strict, skipinitialspace=True)

    def names(self) -> list[str]:
        """The names of the columns: the first line that is not blank, or without a header their numbers from 1."""
        first = self.first()
        if not self.header:
            return [str(i) for i in range(1, len(first) + 1)]
        try:
            return checked_names(first, f"{self.path}: the first line")
        except DataError as error:
            if any(name and PLAIN.numbers([name]) is not None for name in first):
                raise DataError(f"{error}. If that line is data, give header=False") from None
            raise

    def first(self) -> list[str]:
        """The first line that is not blank."""
        try:
            found = next((row for row in self.rows() if row), None)
        except csv.Error:
            self.explain(1)
            raise
        if found is None:
            raise DataError(f"{self.path} is empty; expected a line of column names, then a line for each sample")
        return [name.strip() for name in found]

    def read_into(self, columns: list[_Column], wanted: Iterable[bool] | None = None) -> None:
        """Give each (wanted) column its entries, some thousand rows at a time."""
        n, chosen = len(columns), list(wanted or [True] * len(columns))
        blocks = blocks_of(self.path, ADVICE, LONGEST)
        rest, begun = self._plain_blocks(blocks, columns, chosen)
        lines = _lines(chain([rest], blocks))
        given = self.rows(lines if begun else islice(lines, self.skipped, None))
        rows = _filled(given) if n == 1 else filter(None, given)
        try:
            if not begun and self.header:
                next(iter(rows))
            while block := list(islice(rows, ROWS)):
                if {*map(len, block)} != {n}:
                    self.explain(n)
                for column, texts, use in zip(columns, zip(*block, strict=True), chosen, strict=True):
                    if use:
                        column.add(texts)
        except csv.Error:
            self.explain(n)
            raise

    def _plain_blocks(self, blocks: Iterator[bytes], columns: list[_Column], chosen: list[bool]) -> tuple[bytes, bool]:
        """Give the columns the first blocks, as long as these have neither quotes nor blank lines.

        The first block that has, or b"" at the end; and whether the first line of the file was taken.
        """
        begun = False
        for block in blocks:
            plain = block.replace(b"\r\n", b"\n") if b"\r" in block else block
            quoted = self.quoting != csv.QUOTE_NONE and b'"' in plain
            if len(columns) == 1 or not self.delimiter.isascii() or quoted or b"\r" in plain:
                return block, begun
            if not begun and (above := self.skipped + self.header):
                plain = plain.split(b"\n", above)[-1] if plain.count(b"\n") >= above else b""
            fields = Fields.of(plain, self.delimiter, len(columns)) if plain else None
            if fields is None and plain:
                return block, begun
            begun = True
            if fields is None:
                continue
            wanted = [j for j, use in enumerate(chosen) if use]
            plain_ones = [j for j in wanted if columns[j].plain]
            found = zip(*fields.numbers(plain_ones), strict=True) if plain_ones else ()
            numbers = dict(zip(plain_ones, found, strict=True))
            for j in wanted:
                columns[j].add_fields(fields, j, *numbers.get(j, (None, None)))
        return b"", begun

    def explain(self, n: int) -> None:
        """Raise the `DataError` for lines that are not n fields: read again, this time with the numbers of lines."""
        reader: Any = self.rows()
        ragged, start = [], 1 + self.skipped
        try:
            for fields in reader:
                if fields and len(fields) != n:
                    ragged.append(f"line {start} has {len(fields)}")
                start = reader.line_num + 1 + self.skipped  # a quoted field may go over several lines
        except csv.Error as error:
            raise DataError(f"{self.path}: line {start} cannot be read: {error} (is a double quote missing? "
                            "quotes=False takes them as plain signs)") from None  # fmt: skip
        raise DataError(
            f"{self.path}: expected {n} fields on each line, as in the {'header' if self.header else 'first'}, but "
            f"{listed(ragged)}"
            " (a field that contains the separator needs double quotes)"
        )

    def _quotes_pair(self) -> bool:
        """Whether the quotes of the file are those around fields; in tab-separated files they are often plain signs."""
        try:
            for _ in self.rows():
                pass
        except csv.Error:
            return False
        return True


def _lines(blocks: Iterable[bytes]) -> Iterator[str]:
    return (line for block in blocks for line in io.StringIO(block.decode(), newline=""))


def _filled(rows: Iterable[list[str]]) -> Iterator[list[str]]:
    """Rows of one field, where blank lines between others are missing entries."""
    blank, begun = 0, False
    for row in rows:
        if not row:
            blank += begun
            continue
        yield from ([""] for _ in range(blank))
        blank, begun = 0, True
        yield row
