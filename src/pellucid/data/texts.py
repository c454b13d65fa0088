"""Folders of texts, one subfolder per class. Imports the sibling modules alone."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np

from ..errors import DataError
from .dataset import listed
from .table import Table
from .text import read_text

SUFFIXES = (".txt", ".text", ".md")


def read_texts(folder: str | PathLike[str], encoding: str = "utf-8") -> Table:
    """The texts in a folder, one file each, as a `Table`: ``class`` (the subfolder), ``file``, and ``text``.

    Files lie in one subfolder for each class, or in the folder itself, and then have no class (None). They are
    plain or gzipped, all in one ``encoding``; hidden files, and those of other names than ``.txt``, ``.text`` and
    ``.md``, are not read. Raises `DataError` for a folder without texts, and for a text in another encoding.

    >>> for name, text in [("pos", "a good film"), ("neg", "a bad film")]:
    ...     Path("films", name).mkdir(parents=True)
    ...     _ = Path("films", name, "1.txt").write_text(text)
    >>> read_texts("films")["class"].tolist(), read_texts("films")["text"].tolist()
    (['neg', 'pos'], ['a bad film', 'a good film'])
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder")
    files = text_files(folder)
    if not files:
        raise DataError(f"{folder} has no texts in it; expected files that end in {listed(SUFFIXES)}, in one "
                        "subfolder for each class")  # fmt: skip
    columns = {
        "class": [file.parent.relative_to(folder).as_posix() if file.parent != folder else None for file in files],
        "file": [file.relative_to(folder).as_posix() for file in files],
        "text": [" ".join(read_text(file, encoding).split()) for file in files],
    }
    return Table({name: np.array(column, object) for name, column in columns.items()}, str(folder))


def text_files(folder: Path) -> list[Path]:
    """The files of texts in a folder and its subfolders, in order."""
    found = (path for path in folder.rglob("*") if path.is_file() and _is_text(path))
    return sorted(path for path in found if not any(p.startswith(".") for p in path.relative_to(folder).parts))


def _is_text(path: Path) -> bool:
    name = path.name.lower().removesuffix(".gz")
    return name.endswith(SUFFIXES)
