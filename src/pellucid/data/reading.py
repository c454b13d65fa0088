"""What an entry of a table says: missing, a number, a date, or text as it was written. Imports numpy."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from ..errors import DataError

# mean "no number": in columns of numbers and dates alone, since elsewhere NA may be Namibia and null a class
MISSING = frozenset(["", "NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "None", "?", "-", "."])
EXACT = 2**53  # whole numbers up to this are exact as float64
PADDED = re.compile(r"\n[+-]?0[0-9]")  # of entries each after a line feed: leading zeros
ISO = re.compile(r"\d{4}([-/])\d\d?\1\d\d?([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?)?(Z|[+-]\d\d:?\d\d)?")
SIGNS = re.compile(r"(?P<minus>-?)\s*[$€£¥]\s*(?P<a>-?[0-9.,]+)|(?P<b>[+-]?[0-9.,]+)\s*(?P<unit>[€%])")


@dataclass(frozen=True)
class Reading:
    """How the entries of a table are read; what is not said is told from the entries.

    - ``categorical``: columns that stay text, whatever they look like; ``numeric``: columns of numbers, so that other
      text there is an error; ``dates``: columns of dates, by their format where it is not ISO 8601 (or "").
    - ``missing``: words that mean "missing" in every column, in place of `MISSING` in numbers and dates alone. An
      empty entry is always missing.
    - ``decimal`` and ``thousands``: the signs in numbers.
    """

    categorical: Sequence[str] = ()
    numeric: Sequence[str] = ()
    dates: Mapping[str, str] = field(default_factory=dict)
    missing: Sequence[str] | None = None
    decimal: str = "."
    thousands: str = ""

    def __post_init__(self) -> None:
        for name in ("categorical", "numeric"):
            if isinstance(value := getattr(self, name), str):
                raise DataError(f"{name} must be a list of columns, for example [{value!r}], got {value!r}")
        if isinstance(self.missing, str):
            raise DataError(f"missing must be a list of words, for example [{self.missing!r}], got {self.missing!r}")
        if not isinstance(self.dates, Mapping):
            named = (self.dates,) if isinstance(self.dates, str) else self.dates
            object.__setattr__(self, "dates", dict.fromkeys(named, ""))
        said = [*self.categorical, *self.numeric, *self.dates]
        if twice := sorted({name for name in said if said.count(name) > 1}):
            raise DataError(
                f"column {twice[0]!r} is said to be of two kinds; expected one of categorical, numeric, dates"
            )
        if self.decimal not in (".", ",") or self.thousands not in ("", ".", ",", " ", "'", "_"):
            raise DataError("decimal must be '.' or ',', thousands one of '.', ',', ' ', an apostrophe, '_' or '', "
                            f"got {self.decimal!r} and {self.thousands!r}")  # fmt: skip
        if self.decimal == self.thousands:
            raise DataError(f"decimal and thousands are both {self.decimal!r}; expected different signs")

    @property
    def words(self) -> frozenset[str]:
        """What means "missing" in numbers and dates."""
        return MISSING if self.missing is None else frozenset(["", *self.missing])

    @property
    def plain(self) -> bool:
        """Whether numbers are written as Python writes them."""
        return self.decimal == "." and not self.thousands

    def number(self, text: str) -> float:
        """An entry as a number: 1.5, -2e3, $5, 12 % (0.12); ValueError for other text.

        >>> Reading().number("12 %"), Reading(decimal=",", thousands=".").number("1.234,5")
        (0.12, 1234.5)
        """
        if self.plain and "_" not in text:  # Python reads 1_000 as a number; in data it is a name
            try:
                return float(text)
            except ValueError:
                pass
        text = text.strip().replace("\u00a0", " ").replace("\u202f", " ")
        if found := SIGNS.fullmatch(text):
            value = self._plain_number((found["minus"] or "") + (found["a"] or found["b"]), money=found["unit"] != "%")
            return value / 100 if found["unit"] == "%" else value
        return self._plain_number(text)

    def _plain_number(self, text: str, money: bool = False) -> float:
        thousands = self.thousands or ("," if money and self.decimal == "." else "")
        whole, point, fraction = text.partition(self.decimal)
        if thousands and thousands in whole:
            first, *groups = whole.split(thousands)
            if (
                not first.lstrip("+-")
                or len(first.lstrip("+-")) > 3
                or any(len(g) != 3 or not g.isdecimal() for g in groups)
            ):
                raise ValueError(text)
            whole = first + "".join(groups)
        written = f"{whole}.{fraction}" if point else whole
        if "_" in written or (self.decimal != "." and "." in whole + fraction):
            raise ValueError(text)
        return float(written)

    def numbers(self, texts: Sequence[str], keep: bool = True) -> np.ndarray | None:
        """Entries as float64, NaN where missing; None unless each is a number or missing.

        With ``keep``, also None where an entry says more than its number: leading zeros (007), and whole numbers that
        float64 does not have (beyond 2^53), which are names.
        """
        words = self.words
        try:
            if not self.plain or self.missing is not None:
                raise ValueError
            values = np.fromiter(map(float, texts), np.float64, len(texts))
        except ValueError:
            texts = [text.strip() for text in texts]
            try:
                values = np.array([np.nan if text in words else self.number(text) for text in texts], np.float64)
            except ValueError:
                return None
        behind = "\n" + "\n".join(texts)
        if self.plain and "_" in behind:
            return None
        if keep and PADDED.search(behind):
            return None
        if keep and any(_inexact(texts[i]) for i in np.flatnonzero(abs(values) >= EXACT).tolist()):
            return None
        return values

    def as_dates(self, texts: Iterable[str | None], form: str = "") -> np.ndarray | None:
        """Entries as datetime64, NaT where missing (None); None unless each is a date: ISO 8601, or in the given form.

        A time with an offset becomes Greenwich's.
        """
        words = self.words
        read: Callable[[str], datetime] = (lambda text: datetime.strptime(text, form)) if form else _iso
        try:
            found = [None if text is None or text in words else read(text) for text in texts]
        except ValueError:
            return None
        if all(date is None for date in found):
            return None
        plain = [date.astimezone(UTC).replace(tzinfo=None) if date and date.tzinfo else date for date in found]
        return np.array(plain, "datetime64[us]")


def _inexact(text: str) -> bool:
    """Whether a text of digits alone is no float64."""
    digits = text.strip().lstrip("+-")
    return digits.isdecimal() and (float(digits) == math.inf or int(digits) != int(float(digits)))


def _iso(text: str) -> datetime:
    if not ISO.fullmatch(text):
        raise ValueError(text)
    return datetime.fromisoformat(text.replace("/", "-"))
