"""How commands read a table's file, and what a model keeps of that. Imports the package's face.

Not tabular, whose import of scikit-learn is slow: a file that cannot be read is refused before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .. import Model, data
from ..data.csvfile import like_data
from ..data.dataset import listed
from ..data.reading import Reading
from ..data.tablefile import READERS, ending, names_of
from ..data.texts import SUFFIXES
from ..errors import ArgumentError, DataError
from .options import separator

KEPT = ("sep", "no_header", "no_quotes", "dates", "missing", "decimal", "thousands")  # for files that are read later
IN_CSV_ALONE = ("sep", "no_header", "no_quotes", "missing", "decimal", "thousands")
KINDS = ("numbers", "ordered", "categories", "dates", "texts")  # of columns, as a model's notes have them
WORDS = {"header=False": "--no-header", "quotes=False": "--no-quotes"}  # advice, as the command line gives it


def how_read(reading: dict[str, Any]) -> Reading:
    """The options as what they mean for entries."""
    names = ("categorical", "numeric", "dates", "missing", "decimal", "thousands")
    return Reading(**{name: reading[name] for name in names if reading.get(name)})


@contextmanager
def own_words() -> Iterator[None]:
    """Errors of readers with the advice in the words of the command line."""
    try:
        yield
    except (ArgumentError, DataError) as error:
        raise type(error)(in_own_words(str(error))) from None


def in_own_words(text: str) -> str:
    """Advice for Python as advice for the command line."""
    for python, option in WORDS.items():
        text = text.replace(python, option)
    return re.sub(r"give encoding='[^']*'(, or save it as UTF-8)?", "save it as UTF-8", text)  # it has no encodings


def names(path: str, reading: dict[str, Any]) -> list[str]:
    """The names of a file's columns."""
    if Path(path).is_dir():
        with own_words():
            return data.read_texts(path).names
    if ending(path) in READERS:
        return names_of(path)
    with own_words():
        how = {"header": not reading.get("no_header"), "quotes": not reading.get("no_quotes")}
        return names_of(path, separator(path, reading.get("sep")), **how)


def read(path: str, reading: dict[str, Any], target: str | None = None) -> data.Table:
    """A table's file, its target as text; one that seems to have another separator is an error that says so.

    A folder of texts has the columns ``class``, ``file`` and ``text``.
    """
    words = {name: value for name, value in reading.items() if value and name not in ("sep", "no_header", "no_quotes")}
    if target is not None:
        words["categorical"] = [*reading.get("categorical", ()), target]
    if Path(path).is_dir():
        with own_words():
            return data.read_texts(path)
    if ending(path) in READERS:
        if given := [name for name in IN_CSV_ALONE if reading.get(name)]:
            raise DataError(f"--{given[0].replace('_', '-')} is for CSV files, not for {path}")
        return data.read_table(path, **words)
    sep = separator(path, reading.get("sep"))
    there = names(path, reading)
    if len(there) == 1 and (found := [c for c in ";\t|" if c in there[0]]):
        option = "tab" if found[0] == "\t" else repr(found[0])
        raise DataError(f"{path} has one column, {there[0]!r}; is its separator another? Give --sep {option}")
    if reading.get("no_header") and target is not None and target not in there:
        raise DataError(f"{path} has no column {target!r}; without a header they are 1 to {len(there)}")
    with own_words():
        return data.read_table(
            path, sep, header=not reading.get("no_header"), quotes=not reading.get("no_quotes"), **words
        )


def read_like(path: str, reading: dict[str, Any], kinds: dict[str, Any], target: str | None = None) -> data.Table:
    """A file whose columns are what ``kinds`` says (kind of column: names), but for what the options say."""
    formats = dict(reading.get("dates") or {})
    there = names(path, reading)
    known = {kind: [c for c in kinds.get(kind, ()) if c in there] for kind in KINDS}
    dates = dict.fromkeys(known["dates"], "") | {c: form for c, form in formats.items() if c in there}
    texts = [*known["ordered"], *known["categories"], *known["texts"]]
    categorical, numeric = (tuple(reading.get(name) or ()) for name in ("categorical", "numeric"))
    others = {*dates, *categorical, *numeric, target}
    return read(path, reading | {
        "dates": dates,
        "numeric": [*numeric, *(c for c in known["numbers"] if c not in others)],
        "categorical": [*categorical, *(c for c in texts if c not in others)],
    }, target)  # fmt: skip


def read_for(model: Model, path: str, reading: dict[str, Any], target: str | None = None) -> data.Table:
    """A file for a model of a table: read as the one it was trained on, but for what the options say."""
    kept, used = (
        model.notes.get("reading", {}),
        {kind: given for kind, given in model.notes["columns"].items() if given},
    )
    if used == {"texts": ["text"]} and target is None and is_one_text(path):
        with own_words():
            return data.Table({"text": np.array([" ".join(data.read_text(path).split())], object)}, path)
    if Path(path).is_dir() and used.get("texts") != ["text"]:
        raise DataError(f"{path} is a folder, but the model was trained on a table: give a file with its columns, "
                        f"{listed([name for of in used.values() for name in of])}")  # fmt: skip
    if not Path(path).is_dir() and ending(path) in READERS:  # another kind of file than CSV
        kept = {name: value for name, value in kept.items() if name not in IN_CSV_ALONE}
    said = {name: value or kept.get(name) for name, value in reading.items()}
    return read_like(path, said, model.notes["columns"], target)


def is_one_text(path: str) -> bool:
    """Whether a file is one text, and not a table with a column ``text``."""
    if not path.lower().removesuffix(".gz").endswith(SUFFIXES) or not Path(path).is_file():
        return False
    return data.read_text(path).splitlines()[0].strip() != "text"


def first_line_is_data(path: str, reading: dict[str, Any]) -> bool:
    """Whether the names of a CSV file's columns look like data."""
    if Path(path).is_dir() or ending(path) in READERS or reading.get("no_header"):
        return False
    return like_data(read(path, reading).columns)
