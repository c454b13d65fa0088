"""A series of values in time, from a table's file: its values in the order of their dates, and the dates to come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import data
from ..data.dataset import listed
from ..data.reading import Reading
from ..errors import DataError
from .reading import names, read

MONTHS = ("%Y-%m", "%Y/%m", "%Y")  # dates without a day, beside ISO 8601
OTHERS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%Y%m%d", "%d.%m.%y", "%d %b %Y", "%b %Y", "%m/%Y", "%m.%Y")
DAY, HOUR, MINUTE = np.timedelta64(1, "D"), np.timedelta64(1, "h"), np.timedelta64(1, "m")
SEASONS = [  # a step in time, what it is called, and the steps until a pattern repeats
    (7 * DAY, "weeks", 52), (DAY, "days", 7), (HOUR, "hours", 24), (30 * MINUTE, "half hours", 48),
    (15 * MINUTE, "quarters of an hour", 96), (MINUTE, "minutes", 60),
]  # fmt: skip
OF_MONTHS = {1: ("months", 12), 3: ("quarters", 4), 12: ("years", 0)}
EVEN = 0.9  # share of steps that are equally long, or the dates are not told from each other


@dataclass(frozen=True)
class Series:
    """Values (N,) of a column, in order; their dates (N,) and the name of that column, if there is one.

    ``months``, ``weekdays`` and ``step`` say how the dates go on: by months, on weekdays, or by a time.
    """

    target: str
    values: np.ndarray
    date: str | None = None
    dates: np.ndarray | None = None
    months: int = 0
    weekdays: bool = False
    step: np.timedelta64 | None = None
    remarks: tuple[str, ...] = ()

    @property
    def season(self) -> int | None:
        """The steps until a pattern is likely to repeat, by the dates."""
        if self.weekdays:
            return 5
        if self.months:
            return OF_MONTHS.get(self.months, ("", 0))[1] or None
        return next((season for step, _, season in SEASONS if self.step == step), None)

    @property
    def span(self) -> str:
        """From when to when."""
        if self.dates is None:
            return "without dates"
        what = "weekdays" if self.weekdays else OF_MONTHS.get(self.months, (f"every {self.months} months", 0))[0]
        if not self.months and not self.weekdays:
            what = next((name for step, name, _ in SEASONS if self.step == step), f"every {self.step}")
        first, last = self.shown(self.dates[[0, -1]])
        return f"{first} to {last}, {what}"

    def shown(self, dates: np.ndarray) -> list[str]:
        """Dates as text: without a time where none of the series has one."""
        assert self.dates is not None
        whole = (self.dates.astype("datetime64[D]") == self.dates).all()
        return [str(d) for d in dates.astype("datetime64[D]" if whole else "datetime64[s]")]

    def after(self, steps: int) -> list[str]:
        """The dates of the next steps; without dates their numbers."""
        if self.dates is None:
            return [str(i) for i in range(1, steps + 1)]
        last, counts = self.dates[-1], np.arange(1, steps + 1)
        if self.weekdays:
            return self.shown(np.busday_offset(last.astype("datetime64[D]"), counts).astype(self.dates.dtype))
        if not self.months:
            assert self.step is not None
            return self.shown(last + counts * self.step)
        month = last.astype("datetime64[M]") + counts * self.months
        within = self.dates - self.dates.astype("datetime64[M]").astype(self.dates.dtype)  # since the month began
        ends = (month + 1).astype(self.dates.dtype) - DAY
        if at_ends(self.dates):
            return self.shown(ends)
        return self.shown(np.minimum(month.astype(self.dates.dtype) + within.max(), ends))


def at_ends(dates: np.ndarray) -> bool:
    """Whether all dates are the last days of their months."""
    days = dates.astype("datetime64[D]")
    return bool(((days + 1).astype("datetime64[M]") != days.astype("datetime64[M]")).all())


def read_series(path: str, reading: dict[str, Any], target: str | None, date: str | None, fill: bool) -> Series:
    """The series in a table's file: the values of ``target``, or of the only column of numbers, by ``date``.

    Raises `DataError` for columns that are none or not clear, for missing values unless they are filled, and for dates
    that are missing or occur twice.
    """
    for name in filter(None, (target, date)):
        if name not in (there := names(path, reading)):
            raise data.table.unknown_column(name, there, path)
    if date is not None and date == target:
        raise DataError(f"{path}: --date and --target are both {date!r}; expected two columns")
    told = {name: form for name, form in dict(reading.get("dates") or {}).items() if name in (date, None) or not date}
    numeric = [target] if target else []
    table = read(path, {**reading, "dates": told, "categorical": (), "numeric": numeric})
    date = date or next(iter(told), None) or the_date(table)
    target = target or the_values(table, date)
    if table[target].dtype.kind != "f":
        raise DataError(f"{path}: column {target!r} holds {table.kind(target)}, expected numbers, whose next ones are "
                        "to be forecast")  # fmt: skip
    values, remarks = table[target], []
    dates = None if date is None else as_dates(table, date)
    if date is None and (other := in_other_format(table)):
        remarks.append(f"column {other[0]!r} looks like dates in another format: --dates {other[0]}={other[1]}")
    if dates is not None:
        assert date is not None
        order = np.argsort(dates, kind="stable")
        if (order != np.arange(len(order))).any():
            remarks.append(f"the rows are not in the order of {date!r}; they are taken in that order")
        values, dates = values[order], dates[order]
        if (same := np.flatnonzero(dates[1:] == dates[:-1])).size:
            when = dates[same[0]].astype("datetime64[s]")
            raise DataError(f"{path}: {date!r} is {when} in several rows; a series has one value at a time: "
                            "leave one series in the file, or add their values up first")  # fmt: skip
    values = filled(path, target, values, fill, remarks)
    if (bad := np.flatnonzero(~np.isfinite(values))).size:
        raise DataError(f"{path}: column {target!r} is infinite at value {bad[0] + 1}; correct it")
    if dates is None:
        return Series(target, values, remarks=tuple(remarks))
    months, weekdays, step = steps_of(dates, remarks)
    return Series(target, values, date, dates, months, weekdays, step, tuple(remarks))


def filled(path: str, target: str, values: np.ndarray, fill: bool, remarks: list[str]) -> np.ndarray:
    """Values without gaps: those that there are, or with what lies between the neighbors."""
    gone = np.isnan(values)
    if not gone.any():
        return values
    if gone.all():
        raise DataError(f"{path}: column {target!r} is empty in every row")
    where = listed([int(i) + 1 for i in np.flatnonzero(gone)])
    if not fill:
        raise DataError(f"{path}: column {target!r} is missing in {gone.sum()} rows ({where}); a series needs a value "
                        "at each step: give --fill to take what lies between the neighbors, or fill them")  # fmt: skip
    remarks.append(f"{gone.sum()} missing values are filled with what lies between their neighbors ({where})")
    places = np.arange(len(values))
    return np.interp(places, places[~gone], values[~gone])


def the_date(table: data.Table) -> str | None:
    """The only column of dates, also of months alone; None where there is none."""
    found = [name for name in table.names if table.kind(name) == "dates"]
    if not found:
        texts = [name for name in table.names if table.kind(name) == "categories"]
        found = [name for name in texts if months_of(table[name]) is not None]
    if len(found) > 1:
        raise DataError(f"{table.source} has several columns of dates, {listed(found)}; give --date COLUMN")
    return found[0] if found else None


def in_other_format(table: data.Table) -> tuple[str, str] | None:
    """The first column of text that is dates in a format that is not told by itself, and that format."""
    for name in table.names:
        texts = table[name].tolist() if table.kind(name) in ("categories", "texts") else []
        for form in OTHERS if texts and None not in texts else ():
            if Reading().as_dates(texts, form) is not None:
                return name, form
    return None


def the_values(table: data.Table, date: str | None) -> str:
    """The only column of numbers."""
    found = [name for name in table.names if table.kind(name) == "numbers" and name != date]
    if len(found) != 1:
        what = f"has several columns of numbers, {listed(found)}" if found else "has no column of numbers"
        raise DataError(f"{table.source} {what}; give --target COLUMN, whose next values are to be forecast")
    return found[0]


def months_of(column: np.ndarray) -> np.ndarray | None:
    """Text such as 2024-05 as dates; None for other text."""
    texts = [text for text in column.tolist() if text is not None]
    found = (Reading().as_dates(texts, form) for form in MONTHS[:2] if len(texts) == len(column))
    return next((dates for dates in found if dates is not None), None)


def as_dates(table: data.Table, name: str) -> np.ndarray:
    """A column as dates: of dates, months as text, or years as numbers."""
    column, where = table[name], f"{table.source}: column {name!r}"
    if column.dtype.kind == "f":
        if np.isnan(column).any() or (column != np.round(column)).any() or not ((column > 0) & (column < 9999)).all():
            raise DataError(f"{where} holds numbers that are no years; give --dates {name}=FORMAT, such as %Y%m%d")
        return (column.astype(int) - 1970).astype("datetime64[Y]").astype("datetime64[us]")
    found = column if column.dtype.kind == "M" else months_of(column)
    if found is None:
        example = next((text for text in column.tolist() if text is not None), "nothing")
        raise DataError(f"{where} holds {example!r}, expected a date such as 2024-05-31; another format is given as "
                        f"--dates {name}=%d.%m.%Y")  # fmt: skip
    if np.isnat(found).any():
        raise DataError(f"{where} is missing in row {int(np.flatnonzero(np.isnat(found))[0]) + 1}; expected a date")
    return found


def steps_of(dates: np.ndarray, remarks: list[str]) -> tuple[int, bool, np.timedelta64 | None]:
    """How dates go on: by some months, on weekdays, or by a time; says where they are not evenly spaced."""
    if len(dates) < 3:
        raise DataError(f"{len(dates)} values are too few for a series")
    month = dates.astype("datetime64[M]")
    by_months = np.diff(month.astype(int))
    days = (dates - month.astype(dates.dtype)) / DAY
    usual = int(np.median(by_months))
    if usual >= 1 and (np.ptp(days) == 0 or at_ends(dates)):
        uneven(np.mean(by_months == usual), remarks)
        return usual, False, None
    gaps = np.diff(dates)
    step = np.sort(gaps)[len(gaps) // 2]
    whole = dates.astype("datetime64[D]")
    if step == DAY and (gaps > DAY).any() and np.is_busday(whole).all():
        uneven(np.mean(np.busday_count(whole[:-1], whole[1:]) == 1), remarks)
        return 0, True, None
    uneven(np.mean(gaps == step), remarks)
    return 0, False, step


def uneven(share: Any, remarks: list[str]) -> None:
    if share < 1:
        how = "often" if share < EVEN else "sometimes"
        remarks.append(f"the dates are {how} unevenly spaced ({1 - share:.1%} of the steps); each row counts as a step")
