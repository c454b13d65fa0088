"""What is in a file, as bytes, text or arrays, and what to say where it cannot be had. Imports numpy."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from os import PathLike
from typing import IO, Any

import numpy as np

from ..errors import DataError
from .dataset import listed

BLOCK = 1 << 18
PACKED: dict[bytes, Any] = {
    b"\x1f\x8b": gzip.open,
    b"\xfd7zXZ\0": lzma.open,
    b"BZh": bz2.open,
}  # first bytes, whatever the name


@contextmanager
def reading(path: str | PathLike[str], what: str = "") -> Iterator[None]:
    """Whatever a reader of this file raises, as a `DataError` that names the file and ``what`` it should have been.

    A file comes from anywhere, and libraries fail in their own ways on damaged ones: a tokenizer's error, a division by
    zero, too little memory for a size that the file claims.
    """
    try:
        yield
    except (DataError, ImportError):
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file or folder") from None
    except (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{path} is a damaged {_packing(path)} file ({error}); get it again") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    except Exception as error:
        said = " ".join(str(error).split())[:200] or type(error).__name__
        kind = what or "what was expected"
        raise DataError(f"{path} cannot be read: it is not {kind}, or is damaged or cut short ({said})") from None


def _packing(path: str | PathLike[str]) -> str:
    try:
        with open(path, "rb") as file:
            head = file.read(6)
    except OSError:
        return "packed"
    return next((open_as.__module__ for magic, open_as in PACKED.items() if head.startswith(magic)), "zip")


@contextmanager
def opened(path: str | PathLike[str]) -> Iterator[IO[bytes]]:
    """A file's bytes as a stream, unpacked where it is gzip, xz, bzip2 or a zip file with one file in it."""
    with reading(path), open(path, "rb") as raw:
        head = raw.read(6)
        raw.seek(0)
        if head.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(raw) as archive, archive.open(_only_member(path, archive)) as member:
                yield member
        elif unpack := next((open_as for magic, open_as in PACKED.items() if head.startswith(magic)), None):
            with unpack(raw) as stream:
                yield stream
        else:
            yield raw


def _only_member(path: str | PathLike[str], archive: zipfile.ZipFile) -> str:
    names = [n for n in archive.namelist() if not n.endswith("/") and not n.startswith("__MACOSX/")]
    if "[Content_Types].xml" in names:
        raise DataError(f"{path} is a workbook or document of an office program; save it as CSV (UTF-8)")
    if len(names) != 1:
        raise DataError(f"{path} is a zip file of {len(names)} files ({listed(names)}); expected one, unpack it first")
    return names[0]


def unpacked_name(path: str) -> str:
    """A file's name without the ending of a packed one.

    >>> unpacked_name("people.csv.gz")
    'people.csv'
    """
    for ending in (".gz", ".xz", ".bz2", ".zip"):
        path = path[: -len(ending)] if path.lower().endswith(ending) else path
    return path


def bytes_of(path: str | PathLike[str]) -> bytes:
    """A file's bytes; those of a packed file as they were before."""
    with opened(path) as stream:
        return stream.read()


def blocks_of(path: str | PathLike[str], advice: str = "", longest: int = -1) -> Iterator[bytes]:
    """The text of a file in UTF-8, without a byte order mark, in blocks of whole lines: checked, not yet decoded.

    Raises `DataError` where a block is in another encoding; it names the line and the byte, and gives ``advice``, by
    default the encoding that is more likely. Also where a line has more than ``longest`` bytes.
    """
    with opened(path) as stream:
        lines = 0
        while block := stream.read(BLOCK) + stream.readline(longest):
            if longest >= 0 and len(block) >= BLOCK + longest and not block.endswith(b"\n"):
                line = lines + block.count(b"\n") + 1
                raise DataError(f"{path} is not a table: line {line} has more than {longest:,} bytes")
            block = block if lines else block.removeprefix(codecs.BOM_UTF8)
            checked_text(path, block, "utf-8", advice, lines)
            yield block
            lines += block.count(b"\n")


def text_of(path: str | PathLike[str], encoding: str = "utf-8", advice: str = "") -> str:
    """A file's text, plain or packed, without a byte order mark. Raises `DataError` as `blocks_of` does."""
    if encoding.lower() in ("utf-8", "utf8"):
        return b"".join(blocks_of(path, advice)).decode()
    return checked_text(path, bytes_of(path), encoding, advice)


def checked_text(path: str | PathLike[str], data: bytes, encoding: str, advice: str = "", lines: int = 0) -> str:
    """Bytes, which follow ``lines`` lines of the file, as text; a `DataError` where they are in another encoding."""
    name = "UTF-8" if encoding == "utf-8" else encoding
    try:
        text = data.decode(encoding)
        if not isinstance(text, str):
            raise LookupError
    except LookupError:
        raise DataError(f"{path}: there is no encoding {encoding!r}; expected one that Python knows, such as 'utf-8', "
                        "'cp1252' or 'utf-16'") from None  # fmt: skip
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        place = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        raise DataError(f"{path} is not in {name}: byte 0x{data[error.start]:02x} on line {lines + line}, byte {place} "
                        f"of it; {advice or _likely(data, error.start)}") from None  # fmt: skip
    except ValueError as error:  # an encoding's other complaints, such as a missing byte order mark
        raise DataError(f"{path} is not in {name}: {error}; {advice or 'give the encoding that it has'}") from None
    if "\0" in text:
        place = max(data.find(0), 0)
        raise DataError(f"{path} is not a text file in {name}: it contains zero bytes; "
                        f"{advice or _likely(data, place)}")  # fmt: skip
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


def array_of(path: str | PathLike[str]) -> np.ndarray:
    """The array in a .npy file, never unpickled. Raises `DataError` for anything else, however it is damaged."""
    with reading(path, "a .npy file of numbers"), open(path, "rb") as file:
        file.seek(0, 2)
        return read_array(file, file.tell())


def read_array(file: IO[bytes], size: int) -> np.ndarray:
    """An array in NumPy's format from a stream of this many bytes, which must be as many as its header says."""
    file.seek(0)
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(file)
    expected = file.tell() + dtype.itemsize * int(np.prod([int(n) for n in shape], dtype=object))
    if size < expected or min(shape, default=0) < 0:
        raise ValueError(f"{size} bytes, but the header speaks of {dtype} of shape {shape}")
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)


def arrays_of(
    path: str | PathLike[str], needed: Collection[str], optional: Collection[str] = ()
) -> dict[str, np.ndarray]:
    """The arrays of these names in an .npz file, never unpickled. Raises `DataError` where one that is needed lacks."""
    with reading(path, "an .npz file of arrays"), zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        if not {*needed} <= members.keys():
            raise DataError(f"{path} has no {' and '.join(needed)}; its arrays are {listed(members, 20)}")
        found = {}
        for name in (*needed, *(name for name in optional if name in members)):
            with archive.open(members[name]) as member:
                found[name] = read_array(member, members[name].file_size)
        return found
