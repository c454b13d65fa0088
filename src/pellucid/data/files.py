"""What is in a file, as bytes or as text, and what to say where it cannot be had. Imports the standard library."""

from __future__ import annotations

import codecs
import gzip
import zlib
from os import PathLike
from pathlib import Path

from .dataset import DataError


def bytes_of(path: str | PathLike[str]) -> bytes:
    """A file's bytes; those of a gzip file (told from its first two, whatever its name) as they were before."""
    try:
        data = Path(path).read_bytes()
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is a damaged gzip file ({error}); get it again") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None


def text_of(path: str | PathLike[str], encoding: str = "utf-8", advice: str = "") -> str:
    """A file's text, plain or gzipped, without a byte order mark.

    Raises `DataError` where it is in another encoding; it names the line and the byte, and gives ``advice``, by default
    the encoding that is more likely.
    """
    data = bytes_of(path)
    name = "UTF-8" if encoding.lower() in ("utf-8", "utf8") else encoding
    try:
        data = data.removeprefix(codecs.BOM_UTF8) if name == "UTF-8" else data
        text = data.decode(encoding)
    except LookupError:
        raise DataError(f"{path}: there is no encoding {encoding!r}; expected one that Python knows, such as 'utf-8', "
                        "'cp1252' or 'utf-16'") from None  # fmt: skip
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        place = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        raise DataError(f"{path} is not in {name}: byte 0x{data[error.start]:02x} on line {line}, byte {place} of it; "
                        f"{advice or _likely(data, error.start)}") from None  # fmt: skip
    if "\0" in text:
        raise DataError(f"{path} is not a text file in {name}: it contains zero bytes; "
                        f"{advice or _likely(data, data.index(0))}")  # fmt: skip
    return text


def _likely(data: bytes, place: int) -> str:
    """What to try where a byte at this place does not fit."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "it begins as UTF-16 does: give encoding='utf-16'"
    if data[place] == 0:
        order = "le" if place % 2 else "be"
        return f"give encoding='utf-16-{order}' if it is UTF-16 (every second byte is zero), or another file"
    try:
        sign = data[place : place + 1].decode("cp1252")
    except UnicodeDecodeError:
        return "is it a text file? Save it as UTF-8, or give the encoding that it has: encoding='latin-1', ..."
    return f"it would be {sign!r} in Windows' and nearly all older files: give encoding='cp1252', or save it as UTF-8"
