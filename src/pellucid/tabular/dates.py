"""Numbers of dates: the parts of calendar and clock, and their cycles. Imports numpy."""

from __future__ import annotations

import numpy as np

DAY = np.timedelta64(1, "D")


def date_parts(column: np.ndarray) -> dict[str, np.ndarray]:
    """The features of dates (n,), each (n,) float64 with NaN where the date is missing."""
    column = column.astype("datetime64[us]")
    gone = np.isnat(column)
    day, month, year = (column.astype(f"datetime64[{unit}]") for unit in "DMY")
    days = np.where(gone, np.nan, (column - np.datetime64(0, "us")) / DAY)
    hour = np.where(gone, np.nan, (column - day) / np.timedelta64(1, "h"))
    weekday = np.where(gone, np.nan, (day.astype(np.int64) + 3) % 7)  # Monday is 0, as 1970 began on a Thursday
    parts = {
        "days": days,
        "year": np.where(gone, np.nan, year.astype(np.int64) + 1970),
        "month": np.where(gone, np.nan, (month - year).astype(np.int64) + 1),
        "day": np.where(gone, np.nan, (day - month).astype(np.int64) + 1),
        "weekday": weekday,
        "hour": hour,
    }
    cycles = {"year": ((column - year) / DAY, 365.2425), "week": (weekday, 7.0), "clock": (hour, 24.0)}
    for name, (value, period) in cycles.items():
        turn = np.where(gone, np.nan, 2 * np.pi * value / period)
        parts |= {f"{name}_sin": np.sin(turn), f"{name}_cos": np.cos(turn)}
    return parts
