"""Event files that TensorBoard reads, written without it: records with checksums, and in them a few protobuf fields.

Imports numpy and the sibling modules. The formats: TFRecord (tensorflow/core/lib/io/record_writer.h), the messages
Event, Summary and HistogramProto (tensorflow/core/util/event.proto, tensorflow/core/framework/summary.proto).
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .callbacks import Callback
from .loggers import LogFile, row_of

BINS = 30
WIDEST = np.finfo(np.float64).max / 2
RUNS = ("train", "validation")


class TensorBoard(Callback):
    """The epochs' numbers as curves in TensorBoard: ``tensorboard --logdir FOLDER``.

    The runs "train" and "validation" have the loss and the metrics by one name, so that they lie in one picture;
    "train" has the learning rate, too. With ``histograms`` the distribution of each parameter every n epochs: 1 is
    every epoch. A fit that goes on from a checkpoint goes on in the same files, cut back to where it was.
    """

    def __init__(self, folder: Any, histograms: int = 0) -> None:
        self.folder, self.histograms = Path(folder), histograms

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.open(f"events.out.tfevents.{time.time_ns() // 1000}.{socket.gethostname()}.{os.getpid()}")

    def open(self, name: str) -> None:
        self.name = name
        self.files = {run: LogFile(self.folder / run / name, append=True) for run in RUNS}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        row = row_of(self.model, logs)
        step = int(row.pop("epoch"))
        own = {name: scalar(value) for name, value in row.items() if not name.startswith("val_")}
        if self.histograms and step % self.histograms == 0:
            own |= {name: histogram(a) for name, a in self.model.parameters.items() if a.size}
        theirs = {name[4:]: scalar(value) for name, value in row.items() if name.startswith("val_")}
        for file, values in zip(self.files.values(), (own, theirs), strict=True):
            if values:
                first = b"" if file.size() else record(event(file_version="brain.Event:2"))
                file.write(first + record(event(step, values)))

    def state_dict(self) -> dict[str, Any]:
        return {"name": self.name, "sizes": {run: file.kept() for run, file in self.files.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.open(state["name"])
        for run, file in self.files.items():
            file.cut(state["sizes"][run])


# ---- messages -------------------------------------------------------------------------------------------------------


def event(step: int = 0, values: Mapping[str, bytes] | None = None, file_version: str = "") -> bytes:
    """An Event: wall_time = 1, step = 2, file_version = 3 or summary = 5, a Summary of Values with a tag each."""
    summary = b"".join(sized(1, sized(1, tag.encode()) + value) for tag, value in (values or {}).items())
    what = sized(3, file_version.encode()) if file_version else sized(5, summary)
    return double(1, time.time()) + varint(2 << 3) + varint(step) + what


def scalar(value: float) -> bytes:
    """A Value's simple_value = 2, a float of 32 bits: a number beyond these, 3.4e38, is written as infinity."""
    with np.errstate(over="ignore"):
        return varint(2 << 3 | 5) + np.array(value).astype("<f4").tobytes()


def histogram(a: np.ndarray) -> bytes:
    """A Value's histo = 5: min, max, num, sum, sum_squares = 1..5, and the bins' upper ends and counts = 6, 7."""
    a = a.astype(np.float64).reshape(-1)
    a = a[np.isfinite(a)]
    if not len(a):
        return sized(5, double(3, 0))
    with np.errstate(over="ignore"):  # the sums of numbers beyond 1e154 are infinite
        part = 1 if a.max() / 2 - a.min() / 2 < WIDEST else 4  # of what is wider than the largest float, so much
        try:
            counts, edges = np.histogram(a / part, BINS)
        except ValueError:  # so near to each other that no numbers are between them
            counts, edges = np.array([len(a)]), np.array([a.min(), a.max()]) / part
        numbers = (a.min(), a.max(), len(a), a.sum(), (a * a).sum())
        edges *= part
    fields = b"".join(double(i, float(n)) for i, n in enumerate(numbers, 1))
    return sized(5, fields + sized(6, edges[1:].astype("<f8").tobytes()) + sized(7, counts.astype("<f8").tobytes()))


def double(field: int, value: float) -> bytes:
    return varint(field << 3 | 1) + struct.pack("<d", value)


def sized(field: int, data: bytes) -> bytes:
    """A field with text, a message or packed numbers: its length comes first."""
    return varint(field << 3 | 2) + varint(len(data)) + data


def varint(n: int) -> bytes:
    """A whole number in groups of 7 bits, the lowest first; the highest bit says that more follow.

    >>> varint(1), varint(300)
    (b'\\x01', b'\\xac\\x02')
    """
    groups = bytearray()
    while n > 127:
        groups.append(n & 127 | 128)
        n >>= 7
    return bytes([*groups, n])


# ---- records --------------------------------------------------------------------------------------------------------


def record(data: bytes) -> bytes:
    """A TFRecord: the length, its checksum, the data, their checksum."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked(length)) + data + struct.pack("<I", masked(data))


def masked(data: bytes) -> int:
    """The checksum as TFRecord has it: CRC-32C, rotated by 15 bits, plus a constant."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _table() -> list[int]:
    """The remainder of each byte: the polynomial x^32 + x^28 + ... of Castagnoli, its bits in reverse."""
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


TABLE = _table()


def crc32c(data: bytes) -> int:
    """CRC-32C (RFC 3720, appendix B.4).

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF
