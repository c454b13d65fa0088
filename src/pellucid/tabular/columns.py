"""The columns to learn from: which kind each is, and which say nothing. Imports data."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from ..data import Table
from ..errors import DataError
from .cells import finite, is_number, missing, mostly_numbers, texts_of

SENTENCE = 5  # words
FEW = 20  # whole numbers of at most this many values, each five times on average, are classes


@dataclass(frozen=True)
class Columns:
    """The columns that are used, by kind; the others with the reason; and what else should be said."""

    numbers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    left_out: dict[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    ordered: tuple[str, ...] = ()  # categories, or numbers taken as such, that have an order
    dates: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()  # of several words, different in almost every row

    @property
    def names(self) -> tuple[str, ...]:
        """All columns that are used."""
        return self.numbers + self.ordered + self.categories + self.dates + self.texts

    def with_order(self, names: tuple[str, ...]) -> Columns:
        """These columns, some of them as ordered categories."""
        numbers, categories = (tuple(n for n in kind if n not in names) for kind in (self.numbers, self.categories))
        return replace(self, numbers=numbers, categories=categories, ordered=self.ordered + names)


def choose_columns(
    table: Table, keep: Iterable[str] = (), drop: Iterable[str] = (), text: Iterable[str] = ()
) -> Columns:
    """The columns of a table (without its target) to learn from.

    Left out, unless in ``keep``: what is empty or constant, text that differs in almost every row, and whole numbers
    that number the rows. Free text (five words and more in most entries), and ``text``, are bags of words, and so is
    text of several words that is kept. ``drop`` are left out as asked. Raises `DataError` where no column is left,
    where a column would be numbers but for a few entries of text, and where the entries of ``text`` share no words.

    >>> n = np.arange(1.0, 7)
    >>> columns = choose_columns(Table({"id": n, "age": n * 7 % 4, "name": np.array(list("abcdef"), object)}))
    >>> columns.numbers, columns.left_out["id"]
    (('age',), 'numbers the rows')
    >>> columns.left_out["name"]
    'text that differs in almost every row (6 different in 6)'
    """
    keep, drop, text = set(keep), set(drop), set(text)
    for name in sorted(keep | drop | text):
        table[name]  # an unknown name is an error
    if both := sorted(text & drop):
        raise DataError(f"column {both[0]!r} is asked for as text, and to be left out")
    used: dict[str, list[str]] = {"numbers": [], "categories": [], "dates": [], "texts": []}
    left_out, remarks = {}, []
    for name, column in table.columns.items():
        free = name in text or (name not in keep and free_text(column))
        if name in text and not (column.dtype.kind == "O" and words_of(column, most=0.0)):
            raise DataError(f"{table.source}: column {name!r} is no text whose entries have words in common")
        reason = "as asked" if name in drop else None if name in keep or free else useless(column, name)
        if reason:
            left_out[name] = reason
            continue
        kind: str = table.kind(name)
        if kind == "numbers":
            finite(table, name)
        elif kind == "dates":
            pass
        elif free or (differs(column) and words_of(column)):
            kind = "texts"
        elif remark := stray_text(table, name, f", or leave the column out (--drop {name})"):
            remarks.append(remark)
        used[kind].append(name)
    if not any(used.values()):
        why = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise DataError(f"{table.source} has no column to learn from besides the target ({why or 'there are none'})")
    return Columns(left_out=left_out, remarks=tuple(remarks), **{kind: tuple(names) for kind, names in used.items()})


def differs(column: np.ndarray) -> bool:
    """Whether a column of text has another entry in almost every row, so that they are no categories."""
    own = sum(count == 1 for count in Counter(column).values())
    return own > len(column) / 2 and len(column) > 2


def words_of(column: np.ndarray, most: float = 0.5) -> list[str]:
    """The words that at least two entries of a column of text have, if more than ``most`` entries have several."""
    texts = [text for text in column if text is not None]
    if sum(len(text.split()) > 1 for text in texts) <= len(texts) * most:
        return []
    counts = Counter(word for text in texts for word in {*text.lower().split()})
    return [word for word, count in counts.items() if count > 1]


def free_text(column: np.ndarray) -> bool:
    """Whether a column is sentences: five words and more in most entries, hardly any entry twice, words in common."""
    if column.dtype.kind != "O" or not differs(column):
        return False
    lengths = [len(text.split()) for text in column if text is not None]
    return bool(lengths) and float(np.median(lengths)) >= SENTENCE and bool(words_of(column))


def useless(column: np.ndarray, name: str) -> str | None:
    """Why nothing can be learnt from a column, or None."""
    gone, n = missing(column), len(column)
    if gone.all():
        return "empty in every row"
    if column.dtype.kind == "f":
        values = np.unique(column[~gone])
        if len(values) == n and n > 2 and (values == np.round(values)).all():
            counter = values[0] in (0, 1) and values[-1] <= 1.5 * n
            if counter or re.search(r"(^|[^a-zA-Z])(id|ID|Id)$|[a-z](Id|ID)$", name):
                return "numbers the rows" if counter else "an identifier, different in every row"
    elif column.dtype.kind == "M":
        values = np.unique(column[~gone])
    else:
        values = np.array(sorted({*column} - {None}), object)
        if differs(column) and not 0.9 <= mostly_numbers(column) < 1:
            hint = f"; --text {name} learns from its words" if words_of(column) else ""
            return f"text that differs in almost every row ({len(values)} different in {n}){hint}"
    if len(values) == 1 and not gone.any():
        return f"{texts_of(values)[0]!r} in every row"
    return None


def stray_text(table: Table, name: str, way_out: str = "") -> str | None:
    """A text column of numbers but for a few entries is an error if it has many values, else a remark."""
    column = table[name]
    if not 0.9 <= mostly_numbers(column) < 1:
        return None
    row = next(i for i, text in enumerate(column, 1) if text is not None and not is_number(text))
    if len(set(column)) > FEW or sum(count == 1 for count in Counter(column).values()) > len(column) / 2:
        raise DataError(
            f"{table.source}: column {name!r} holds numbers, but {column[row - 1]!r} in row {row}; correct it, "
            f"leave it empty if it is missing{way_out}"
        )
    return f"{name} is taken as categories: most are numbers, but row {row} holds {column[row - 1]!r}"
