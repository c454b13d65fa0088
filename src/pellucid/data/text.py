"""Text from files: all of it, or pairs of lines. Imports the sibling modules alone."""

from __future__ import annotations

from os import PathLike

from ..errors import DataError
from .dataset import listed
from .files import text_of


def read_text(path: str | PathLike[str], encoding: str = "utf-8") -> str:
    """The text of one file, plain or gzipped, with line ends as ``"\\n"``.

    Raises `DataError` where there is no file or no text in it, and where it is not in the encoding: with the line, the
    byte, and the encoding that is more likely.

    >>> from pathlib import Path
    >>> _ = Path("zurich.txt").write_bytes("Grüezi\\nZürich\\n".encode("cp1252"))
    >>> read_text("zurich.txt", encoding="cp1252")
    'Grüezi\\nZürich\\n'
    >>> read_text("zurich.txt")
    Traceback (most recent call last):
    pellucid.errors.DataError: zurich.txt is not in UTF-8: byte 0xfc on line 1, byte 3 of it; it would be 'ü' in \
Windows' and nearly all older files: give encoding='cp1252', or save it as UTF-8
    """
    text = text_of(path, encoding).replace("\r\n", "\n")
    if not text.strip():
        raise DataError(f"{path} is empty; expected text")
    return text


def read_pairs(
    path: str | PathLike[str], other: str | PathLike[str] | None = None, encoding: str = "utf-8"
) -> list[tuple[str, str]]:
    """Pairs of lines: line n of one file with line n of the other, or the two parts of each line of one file.

    In one file a tab is between the two; what follows a second tab is left out. Files may be gzipped. Spaces around a
    line are dropped, and so are lines that are blank in both. Raises `DataError` for files of different numbers of
    lines, a line without a tab, a pair of which one half is empty, and what `read_text` refuses.

    >>> from pathlib import Path
    >>> _ = Path("two.tsv").write_text("go\\tgeh\\nI see\\tich sehe\\n")
    >>> read_pairs("two.tsv")
    [('go', 'geh'), ('I see', 'ich sehe')]
    """
    lines = _lines(path, encoding)
    if other is None:
        where = f"{path}: "
        single = [n for n, line in enumerate(lines, 1) if line.strip() and "\t" not in line]
        if single:
            raise DataError(f"{path}: {_are(single)} no tab; expected two texts on each line with a tab between them, "
                            "or a second file: read_pairs(path, other)")  # fmt: skip
        pairs = [(*line.split("\t", 2), "")[:2] for line in lines]  # a blank line gives a pair of blank ones
    else:
        where, others = f"{path} and {other}: ", _lines(other, encoding)
        if len(lines) != len(others):
            raise DataError(f"{path} has {len(lines)} lines, {other} has {len(others)}; expected as many, line n of "
                            "the one with line n of the other")  # fmt: skip
        pairs = list(zip(lines, others, strict=True))
    stripped = [(a.strip(), b.strip()) for a, b in pairs]
    if half := [n for n, (a, b) in enumerate(stripped, 1) if bool(a) != bool(b)]:
        raise DataError(f"{where}{_are(half)} one half only; expected both texts of a pair, or none")
    return [pair for pair in stripped if pair[0]]


def _lines(path: str | PathLike[str], encoding: str) -> list[str]:
    """The lines between line feeds alone: a translation may hold other signs that Python would split at."""
    return read_text(path, encoding).removesuffix("\n").split("\n")


def _are(lines: list[int]) -> str:
    """Lines for an error: "line 3 has", "lines 3, 5 have"."""
    return f"lines {listed(lines)} have" if len(lines) > 1 else f"line {lines[0]} has"
