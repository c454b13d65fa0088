"""Decimal numbers in a block of bytes, all at once: CSV files without quotes, column by column. Imports numpy.

Python reads a number in about 0.3 microseconds, with its field and its string; a table of some million entries is read
many times faster so (`benchmarks/tables.py`). Whatever is not a plain decimal number is left to the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

WORD = 8  # digits that one 64-bit word has
PAD = 4 * WORD  # zero bytes in front of a block, so that words that end early in it begin there too
KEEP = np.array([(2**64 - 1) ^ (2 ** (64 - 8 * n) - 1) if n else 0 for n in range(WORD + 1)], np.uint64)  # the last n
TENS = np.uint64(10) ** np.arange(20, dtype=np.uint64)
POWERS = 10.0 ** np.arange(23)  # exact as float64
EXACT = np.uint64(2**53)
u = np.uint64
ADD = (  # neighboring digits to pairs, to fours, to eight
    (u(10), u(8), u(0x00FF00FF00FF00FF)),
    (u(100), u(16), u(0x0000FFFF0000FFFF)),
    (u(10000), u(32), u(0x00000000FFFFFFFF)),
)
LONG_TENS = np.longdouble(10) ** np.arange(20)  # exact where LONG is true
LONG = np.finfo(np.longdouble).nmant == 63 and np.dtype(np.longdouble).itemsize == 16  # x86's 80 bits


@dataclass(frozen=True)
class Fields:
    """Where the fields of a block are, (columns, rows) each: the first byte, the decimal point or end, and the end."""

    block: bytes
    starts: np.ndarray
    points: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, lines: bytes, separator: str, columns: int) -> Fields | None:
        """The fields of whole lines without quotes; None where a line has another number of them."""
        block = bytes(PAD) + lines + (b"" if lines.endswith(b"\n") else b"\n")
        data = np.frombuffer(block, np.uint8)
        sign = ord(separator)
        marks = np.flatnonzero((data == sign) | (data == ord("\n")) | (data == ord(".")))
        kinds = data[marks]
        last = np.flatnonzero(kinds != ord("."))
        if len(last) % columns:
            return None
        ends = marks[last]
        between = kinds[last].reshape(-1, columns)
        if (between[:, -1] != ord("\n")).any() or (between[:, :-1] != sign).any():
            return None
        points = ends.copy()
        pointed = np.flatnonzero(np.diff(last, prepend=-1) == 2)  # of several points the field is no number
        points[pointed] = marks[last[pointed] - 1]
        starts = np.empty_like(ends)
        starts[0], starts[1:] = PAD, ends[:-1] + 1
        return cls(block, *(np.ascontiguousarray(part.reshape(-1, columns).T) for part in (starts, points, ends)))

    def texts(self, column: int, rows: np.ndarray | slice = slice(None)) -> list[str]:
        """The fields of a column, of all rows or some."""
        places = zip(self.starts[column, rows].tolist(), self.ends[column, rows].tolist(), strict=True)
        return [self.block[a:b].decode() for a, b in places]

    def pieces(self, column: int, known: Mapping[bytes, str | None]) -> list[str | None]:
        """The fields of a column, looked up."""
        block = self.block
        return [
            known[block[a:b]] for a, b in zip(self.starts[column].tolist(), self.ends[column].tolist(), strict=True)
        ]

    def numbers(self, columns: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Columns as float64 (columns, rows), rounded correctly, NaN where empty; and which must be looked at."""
        values, odd = self._numbers(*(part[columns].ravel() for part in (self.starts, self.points, self.ends)))
        return values.reshape(len(columns), -1), odd.reshape(len(columns), -1)

    def _numbers(self, start: np.ndarray, point: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        data = np.frombuffer(self.block, np.uint8)
        initial, begin = data[start], start
        minus = initial == ord("-")
        negative = bool(minus.any())
        if negative:
            start = start + minus
            initial = data[start]
        size = end - start
        pointed = point < end
        size -= pointed
        fraction = end - point
        fraction -= pointed
        zero = initial == ord("0")
        odd = (size < 1) | (fraction > 19) | (zero & (point - start > 1))  # 007 is a name
        size -= zero
        odd |= size > 19
        if odd.any():
            size[odd] = fraction[odd] = 0
        mantissa, wrong = self._digits(end, size, np.where(pointed, fraction, 3 * WORD))  # below 10^19
        odd |= wrong
        values = mantissa.astype(np.float64)
        values /= POWERS[fraction]  # both exact: rounded once
        if mantissa.max(initial=0) > EXACT:
            self._long(values, mantissa, fraction, odd)
        if negative:
            np.negative(values, out=values, where=minus)
        if odd.any():
            empty = begin == end
            values[empty] = np.nan
            odd &= ~empty
        return values, odd

    @staticmethod
    def _long(values: np.ndarray, mantissa: np.ndarray, fraction: np.ndarray, odd: np.ndarray) -> None:
        """The numbers of more digits than float64 has, rounded once; those that are names, or in doubt, are odd."""
        rows = np.flatnonzero((mantissa > EXACT) & ~odd)
        names = fraction[rows] == 0  # whole numbers that float64 may not have
        odd[rows[names]] = True
        if not LONG:
            odd[rows] = True
            return
        rows = rows[~names]
        exact = mantissa[rows].astype(np.longdouble) / LONG_TENS[fraction[rows]]
        values[rows] = exact
        low = exact.view(np.uint64)[::2] & np.uint64(0x7FF)  # the bits that float64 has no room for
        odd[rows[low == 0x400]] = True  # may be rounded twice

    def _digits(self, end: np.ndarray, count: np.ndarray, point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The whole numbers of this many digits before these places, a point before the last ``point`` of them.

        Also where there are other signs.
        """
        words = np.ndarray(len(self.block) - WORD + 1, "<u8", self.block, 0, (1,))
        most = int(count.max(initial=0))
        total = wrong = None
        for place in range(0, max(most, 1), WORD):
            at = end - (WORD + place)
            text, behind = words[at], KEEP[np.clip(point - place, 0, WORD)]
            before = text << u(WORD) if most < WORD else words[at - 1]
            text = (text & behind) | (before & ~behind)  # without the point
            value, other = _word(text, count if most <= WORD else np.clip(count - place, 0, WORD))
            total = value if total is None else total + value * TENS[place]
            wrong = other if wrong is None else wrong | other
        assert total is not None and wrong is not None
        return total, wrong


def _word(text: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers that the last digits of 8 bytes are, by three multiplications that add neighbors.

    >>> _word(np.frombuffer(b"xx123456", "<u8"), np.array([6]))[0].tolist()
    [123456]
    """
    digit = (text ^ u(0x3030303030303030)) & KEEP[count]
    wrong = ((digit | (digit + u(0x7676767676767676))) & u(0x8080808080808080)) != 0
    for times, shift, mask in ADD:
        upper = digit >> shift
        digit *= times
        digit += upper
        digit &= mask
    return digit, wrong
