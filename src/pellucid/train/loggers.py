"""Callbacks that write each epoch's numbers to a file: a table, or lines of JSON. Imports data and callbacks."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data import DataError
from .callbacks import Callback
from .rates import rate_used

if TYPE_CHECKING:
    from .model import Model


class LogFile:
    """A file to which bytes are added, and that can be cut back to a size it had: to what it was at a checkpoint."""

    def __init__(self, path: Any, append: bool = False) -> None:
        self.path, self.append, self.told = Path(path), append, False

    def write(self, data: bytes) -> None:
        """Add bytes; the first replace what is there, unless ``append``.

        Where that fails, a full disk say, none of them are there, and the user is told once: training goes on.
        """
        before = self.size()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "ab" if self.append else "wb", buffering=0) as file:
                while data:
                    data = data[file.write(data) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                os.truncate(self.path, before)
            if not self.told:
                warnings.warn(f"the log {str(self.path)!r} could not be written ({error.strerror or error}); training "
                              "goes on, and what there is no room for is missing there", stacklevel=4)  # fmt: skip
            self.told = True
            return
        self.append = True

    def size(self) -> int:
        """How many bytes there are; none, if they will be replaced."""
        return self.path.stat().st_size if self.append and self.path.exists() else 0

    def kept(self) -> int:
        """How many bytes there are, once they are on the disk."""
        if size := self.size():
            with open(self.path, "ab") as file:
                os.fsync(file.fileno())
        return size

    def cut(self, size: int) -> None:
        """Go on after the first bytes; where there are fewer, a warning says so."""
        there = self.path.stat().st_size if self.path.exists() else 0
        if there < size:
            warnings.warn(f"{str(self.path)!r} has {there} bytes, and had {size} at the checkpoint: some of it is "
                          "missing", stacklevel=2)  # fmt: skip
        elif there:
            os.truncate(self.path, size)
        self.append = True


class FileLogger(Callback):
    """Base of loggers that write one file. It is cut back to where the fit was when that goes on from a checkpoint."""

    def __init__(self, path: Any, append: bool = False) -> None:
        self.path, self.append = Path(path), append

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.log, self.first = LogFile(self.path, self.append), True

    def add(self, line: bytes) -> None:
        """Write a line: a new one, even where what was there before ends in the middle of one."""
        if self.first and self.log.size():
            with open(self.path, "rb") as file:
                file.seek(-1, os.SEEK_END)
                cut = file.read() != b"\n"
            if cut:
                warnings.warn(
                    f"the last line in {str(self.path)!r} is cut short; new ones begin after it", stacklevel=4
                )
                line = b"\n" + line
        self.log.write(line)
        self.first = False

    def state_dict(self) -> dict[str, Any]:
        return {"size": self.log.kept()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.log.cut(state["size"])


class CSVLogger(FileLogger):
    """A table with a line an epoch: its number from 1, the loss and the metrics, the learning rate at its end.

    ``append``: add to a file that is there instead of writing it anew. Its columns then stay; numbers that have none
    are left out. Raises `DataError` before training where its first line is no line of text in UTF-8. Numbers are
    written so that reading gives them back bit for bit.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "log.csv"
    >>> logger = CSVLogger(path); logger.on_train_begin()
    >>> logger.line({"epoch": 1, "loss": 0.5}); logger.line({"epoch": 2, "loss": 0.25})
    >>> path.read_text().split()
    ['epoch,loss', '1,0.5', '2,0.25']
    """

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.line(row_of(self.model, logs))

    def line(self, row: dict[str, float]) -> None:
        """Write one line, after the names of the columns if it is the first."""
        text = io.StringIO()
        if not self.log.size():
            csv.writer(text, lineterminator="\n").writerow(row)
            columns = list(row)
        else:
            columns = self.columns()
        csv.writer(text, lineterminator="\n").writerow([row.get(name, "") for name in columns])
        self.add(text.getvalue().encode())

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        super().on_train_begin()
        if self.log.size():
            self.columns()

    def columns(self) -> list[str]:
        """The names in the first line of the file."""
        with open(self.path, "rb") as file:
            line = file.readline(LONGEST)
        try:
            names = next(csv.reader([line.decode("utf-8-sig")]))
        except (UnicodeDecodeError, csv.Error, StopIteration) as error:
            raise DataError(f"{str(self.path)!r} is no log to add to: its first line is no text in UTF-8 ({error}); "
                            "give another file, or append=False") from None  # fmt: skip
        if b"\0" in line or not line.endswith(b"\n"):
            raise DataError(f"{str(self.path)!r} is no log to add to: its first line, the names of the columns, is cut "
                            f"short or no text: {line[:60]!r}; give another file, or append=False")  # fmt: skip
        return names


LONGEST = 1 << 20  # of a line of names


class JSONLinesLogger(FileLogger):
    """A line an epoch, ``{"epoch": 1, "loss": 0.5, ...}``, as `CSVLogger` has it; NaN and infinity are null."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        row = {name: value if math.isfinite(value) else None for name, value in row_of(self.model, logs).items()}
        self.add(json.dumps(row).encode() + b"\n")


def row_of(model: Model, logs: dict[str, float] | None) -> dict[str, float]:
    """An epoch's numbers: which it is, from 1, what was measured, and the learning rate of its last step."""
    return {"epoch": model.epochs, **(logs or {}), "learning_rate": rate_used(model)}
