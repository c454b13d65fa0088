"""Files of commands: checked before the work begins, and written whole or not at all. Imports data's errors."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..errors import DataError

MODELS = (".pel", ".safetensors")
PICTURES = (".png", ".svg", ".pdf", ".jpg", ".jpeg")
TABLES = (".csv",)


def output(path: str | Path, suffixes: Sequence[str], what: str, inputs: Sequence[str] = ()) -> Path:
    """A path that can be written, or a `DataError` that says why not; ``inputs`` must not be overwritten."""
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        raise DataError(f"{path}: the name of {what} ends in {' or '.join(suffixes)}")
    if path.is_dir():
        raise DataError(f"{path} is a folder, expected a file name for {what}")
    if not path.parent.is_dir():
        raise DataError(f"{path}: there is no folder {str(path.parent)!r}; make it first")
    if not os.access(path.parent, os.W_OK):
        raise DataError(f"{path}: the folder {str(path.parent)!r} cannot be written to")
    if path.exists() and any(os.path.exists(i) and path.samefile(i) for i in inputs):
        raise DataError(f"{path} is read by this command; write {what} to another file")
    return path


def folder(path: str | Path, what: str) -> Path:
    """A folder that there is or that can be made, or a `DataError` that says why not."""
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise DataError(f"{path} is a file, expected a folder for {what}")
    above = path if path.is_dir() else path.parent
    if not above.is_dir():
        raise DataError(f"{path}: there is no folder {str(above)!r}; make it first")
    if not os.access(above, os.W_OK):
        raise DataError(f"{path}: the folder {str(above)!r} cannot be written to")
    return path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name to write to, which takes the place of ``path`` at the end; nothing is left if that fails."""
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def digest(path: str) -> str:
    """A file's fingerprint, by which `evaluate` knows the file a model was trained on."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
