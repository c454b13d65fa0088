"""idx files, the format of MNIST and its relatives. Imports numpy.

A file is two zero bytes, a code of the number type, the number of dimensions, each dimension as a big-endian 32-bit
number, and then the numbers, big-endian too. Source: Y. LeCun, C. Cortes, C. Burges, the MNIST database.
"""

from __future__ import annotations

import math
from os import PathLike
from pathlib import Path

import numpy as np

from ..errors import DataError
from .dataset import Dataset, as_pixels, digit_names
from .files import BLOCK, opened
from .origins import MNIST, given

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def idx(path: str | PathLike[str]) -> np.ndarray:
    """The array in one idx file, plain or gzipped (told from its first bytes, whatever its name).

    Raises `DataError` where the file is missing, is no idx file, or is shorter or longer than its header says.

    >>> _ = Path("tiny-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 5, 0, 4]))  # uint8, 1 dimension of 3
    >>> idx("tiny-idx1-ubyte")
    array([5, 0, 4], dtype=uint8)
    """
    with opened(path) as stream:
        data = stream.read(4)
        if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in TYPES or not 1 <= data[3] <= 32:
            found = f"it starts with {data[:4].hex(' ')}" if data else "it is empty"
            raise DataError(
                f"{path} is not an idx file: {found}; expected 00 00, a type code"
                f" ({', '.join(f'{code:02x}' for code in TYPES)}), and the number of dimensions (1 to 32)"
            )
        dtype, ndim = np.dtype(TYPES[data[2]]), data[3]
        start = 4 + 4 * ndim
        sizes = stream.read(4 * ndim)
        if len(sizes) < 4 * ndim:
            raise DataError(f"{path} is truncated: {4 + len(sizes)} bytes, but the header of {ndim} dimensions alone "
                            f"takes {start}")  # fmt: skip
        shape = tuple(int(n) for n in np.frombuffer(sizes, ">u4"))
        expected = start + math.prod(shape) * dtype.itemsize
        numbers = bytearray()  # in blocks, since a damaged header may claim any size
        while len(numbers) < expected - start and (block := stream.read(min(BLOCK, expected - start - len(numbers)))):
            numbers += block
        more = sum(len(block) for block in iter(lambda: stream.read(BLOCK), b""))  # counted, not kept
    if (size := start + len(numbers) + more) != expected:
        what = "is truncated" if size < expected else "has trailing bytes"
        raise DataError(
            f"{path} {what}: {size} bytes, expected {expected}"
            f" (a header of {start}, then {dtype.newbyteorder('=').name} of shape {shape})"
        )
    try:
        return np.frombuffer(numbers, dtype).reshape(shape).astype(dtype.newbyteorder("="))
    except ValueError as error:  # one size is 0, and the others multiply to more than an array can have
        raise DataError(f"{path}: no array can have the shape {shape} that its header says ({error})") from None


def mnist(folder: str | PathLike[str] | None = None, part: str = "train", images: bool = False) -> Dataset:
    """MNIST, or a set in its format, from the folder of its four files: x (n, 784) float32 in 0..1, y the digits.

    ``part`` is "train" or "test"; ``images=True`` gives x as (n, 1, 28, 28). The files have their original names,
    ``train-images-idx3-ubyte`` and so on, with or without ``.gz``, with ``-`` or ``.`` before ``idx``. Raises
    `DataError` where one is missing or damaged, which says where they are to be had (docs/data.md), or where there are
    not as many labels as images.

    >>> _ = Path("t10k-images-idx3-ubyte").write_bytes(bytes([0, 0, 8, 3, *[0, 0, 0, 1] * 3, 255]))  # one pixel
    >>> _ = Path("t10k-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 1, 7]))
    >>> mnist(".", "test")
    Dataset 'mnist test': x (1, 1) float32, y (1,) int64, 10 classes
    """
    folder = given(folder, "mnist", MNIST)
    prefixes = {"train": "train", "test": "t10k"}
    if part not in prefixes:
        raise DataError(f"mnist: part is {part!r}, expected 'train' or 'test'")
    pictures = _find(Path(folder), f"{prefixes[part]}-images", 3)
    labels = _find(Path(folder), f"{prefixes[part]}-labels", 1)
    x, y = _ubyte(pictures, 3), _ubyte(labels, 1)
    if len(x) != len(y):
        raise DataError(f"{pictures} has {len(x)} images, {labels} has {len(y)} labels; expected as many")
    if not x.size:
        raise DataError(f"{pictures} has no pixels: shape {x.shape}")
    scaled = x.reshape(len(x), 1, *x.shape[1:]) if images else x.reshape(len(x), -1)
    names = digit_names(max(10, int(y.max()) + 1))
    return Dataset(as_pixels(scaled, "float32"), y.astype(np.int64), names, name=f"mnist {part}")


def _find(folder: Path, start: str, ndim: int) -> Path:
    names = [f"{start}{dot}idx{ndim}-ubyte{end}" for end in ("", ".gz") for dot in "-."]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    missing = "there is no such folder" if not folder.is_dir() else "none of these files is in it"
    raise DataError(f"{folder}: {missing}; looked for {', '.join(names)}; {MNIST}")


def _ubyte(path: Path, ndim: int) -> np.ndarray:
    array = idx(path)
    if array.ndim != ndim or array.dtype != np.uint8:
        raise DataError(f"{path} holds {array.dtype} of shape {array.shape}, expected uint8 of {ndim} dimension(s)")
    return array
