"""The file of a model or checkpoint: arrays and a description as safetensors, there whole or not at all, and checked.

The checksum (CRC-32) is over every byte of the file but its own eight digits, and is looked at before anything else is
made of them. It finds every single changed bit, and any damage with probability 1 - 2^-32. Files of the formats before
had a SHA-256 or BLAKE2 digest of the arrays, which took longer than the reading. Imports numpy, data, graph.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import zlib
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ..data import DataError
from ..graph import GraphError
from ..version import __version__
from .serialization import UnknownCode, UnknownName

log = logging.getLogger(__name__)
FORMAT = 3  # 2: a SHA-256 digest; 1: a digest in checkpoints alone, several entries of metadata, one of them "format"
FIRST_FORMAT = "pellucid-1"
DIGEST = '{"digest": "%s", '  # how the description of the second format begins, and what is not in the digest
CHECKSUM, NONE = "crc32", "00000000"
MARK = b'"pellucid":' + json.dumps(f'{{"{CHECKSUM}": "').encode()[:-1]  # what is before its digits in the file
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U64": "<u8",
          "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?", "C64": "<c8"}  # fmt: skip


def write(path: Path, tensors: dict[str, np.ndarray], description: dict[str, Any]) -> None:
    """Make a file of arrays and a description, which is there whole or not at all, even if the power fails in between.

    Equal ones give the same bytes. An `OSError` names the file.
    """
    from safetensors.numpy import save as as_bytes

    tensors = {name: plain(a) for name, a in tensors.items()}
    try:
        text = json.dumps({CHECKSUM: NONE, "format": FORMAT, "version": __version__} | description)
    except (TypeError, ValueError) as error:
        raise GraphError(f"cannot save the model: its history or notes are not JSON ({error})") from error
    data = memoryview(as_bytes(tensors, {"pellucid": text}))  # one entry: several would be in random order
    start = _digits(data.obj)
    sealed = data[:start], checksum(data[:start], data[start + len(NONE) :]), data[start + len(NONE) :]
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(part, "wb") as file:
            file.writelines(sealed)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        log.info("wrote %s, %d bytes", path, len(data))
    except OSError as error:
        raise type(error)(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    if os.name == "posix":  # the name in the folder, too
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def plain(a: np.ndarray) -> np.ndarray:
    """An array as safetensors takes it: its numbers one after the other, in the machine's byte order."""
    return np.asarray(a, a.dtype.newbyteorder("="), order="C")


def checksum(*parts: Any) -> bytes:
    """CRC-32 of bytes, one part after the other, as eight digits.

    >>> checksum(b"1234", b"56789")
    b'cbf43926'
    """
    found = 0
    for part in parts:
        found = zlib.crc32(part, found)
    return b"%08x" % found


def _digits(head: Any) -> int:
    """Where the digits of the checksum begin; 0 in files that have none."""
    return head.find(MARK) + len(MARK) if MARK in head else 0


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the description of a file that `write` made; `DataError` for any other, or a changed bit."""
    if not path.is_file():
        raise DataError(f"there is no model file {str(path)!r}" + (" (it is a folder)" if path.is_dir() else ""))
    try:
        with open(path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            length = file.read(8)
            n = int.from_bytes(length, "little")
            head = file.read(n) if n <= size - 8 else b""
            start = _digits(head)
            if start:
                data = np.empty(size - 8 - n, np.uint8)  # of all arrays, which are views of it
                view = data.data
                while (got := file.readinto(view)) and len(view := view[got:]):  # a read may give less than asked for
                    pass
    except OSError as error:
        raise _foreign(path, error) from None
    if not start:
        return _read_older(path)
    if checksum(length, head[:start], head[start + len(NONE) :], data) != head[start : start + len(NONE)]:
        raise _foreign(path, "its content is not what was written")
    with damage(path):
        entries = json.loads(head)
        description = json.loads(entries.pop("__metadata__")["pellucid"])
        check_format(description)
        del description[CHECKSUM]
        return _arrays(entries, data), description


def check_format(description: dict[str, Any]) -> None:
    """`DataError` for a file of a format that is not known yet, that says who wrote it."""
    if description["format"] != FORMAT:
        raise DataError(f"its format is {description['format']}, and {FORMAT} is the newest known here; Pellucid "
                        f"{description.get('version')} wrote it: that or a newer one can read it")  # fmt: skip


def _arrays(entries: dict[str, Any], data: np.ndarray) -> dict[str, np.ndarray]:
    """The arrays of a file, each a part of its bytes, which they fill without gaps."""
    places = sorted(e["data_offsets"] for e in entries.values())
    if any(a[1] != b[0] for a, b in pairwise([[0, 0], *places, [data.size, data.size]])):
        raise DataError(f"its arrays do not fill its {data.size} bytes")
    return {
        name: data[slice(*e["data_offsets"])].view(DTYPES[e["dtype"]]).reshape(e["shape"])
        for name, e in entries.items()
    }


def _foreign(path: Path, why: Any) -> DataError:
    return DataError(f"{str(path)!r} is not a Pellucid model, or is cut short or damaged ({why})")


@contextlib.contextmanager
def damage(path: Path, version: Any = None) -> Iterator[None]:
    """Whatever goes wrong within, in making something of a file's content, is a `DataError` that names the file."""
    try:
        yield
    except UnknownCode as error:
        raise UnknownCode(f"{str(path)!r}: {error}") from None
    except UnknownName as error:
        raise DataError(f"{str(path)!r}: {error}; {written_by(version)}") from None
    except Exception as error:  # whatever a reader, or a layer made from the file, raises
        what = str(error) if isinstance(error, (DataError, GraphError)) else repr(error)
        by = "" if version in (None, __version__) else f"; {written_by(version)}"
        raise DataError(f"{str(path)!r} is damaged, or not of this version: {what}{by}") from error


def written_by(version: Any) -> str:
    """Which version wrote a file, beside this one."""
    return f"Pellucid {version} wrote it, this is {__version__}"


# ---- the formats before, which are read for ever ---------------------------------------------------------------------


def _read_older(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The same of a file without a checksum: of an earlier format, or no model."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            texts = file.metadata() or {}
            old = texts.get("format") == FIRST_FORMAT
            if not old and list(texts) != ["pellucid"]:
                raise DataError(f"{str(path)!r} is a safetensors file, but not a Pellucid model: its format is "
                                f"{texts.get('format')!r}")  # fmt: skip
            with damage(path):  # get_tensor knows less types than the format
                tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise _foreign(path, error) from None
    with damage(path):
        description = _first_format(texts, tensors) if old else _second_format(texts["pellucid"], tensors)
        if not isinstance(description, dict):
            raise DataError("it has no description")
    return tensors, description


def _first_format(texts: dict[str, str], tensors: dict[str, np.ndarray]) -> Any:
    """The description in a file of the first format, which had a digest only if it was a checkpoint."""
    own = {name: texts[name] for name in ("pellucid", "checkpoint") if name in texts}
    if "checkpoint" in own:
        found = digest(tensors, json.dumps(sorted(own.items())), hashlib.blake2b(digest_size=16))
        if texts.get("digest") != found:
            raise DataError("its content is not what was written")
    description = {"version": "before 0.1.0"} | json.loads(texts["pellucid"])
    return description | ({"checkpoint": json.loads(own["checkpoint"])} if "checkpoint" in own else {})


def _second_format(text: str, tensors: dict[str, np.ndarray]) -> Any:
    """The description, if the digest in it is that of the file."""
    start = len(DIGEST % ("0" * 64))
    if text[:start] != DIGEST % digest(tensors, text[start:], hashlib.sha256()):
        raise DataError("its content is not what was written")
    description = json.loads(text)
    del description["digest"]
    if description["format"] != 2:
        check_format(description)
    return description


def digest(tensors: Mapping[str, np.ndarray], text: str, found: Any) -> str:
    """The fingerprint of all that a file of the first formats holds, by one of hashlib's."""
    found.update(text.encode())
    for name, a in sorted(tensors.items()):
        found.update(f"{name} {a.dtype} {a.shape}".encode())
        found.update(np.ascontiguousarray(a).reshape(-1).view(np.uint8).data)
    return found.hexdigest()
