"""CIFAR-10 and CIFAR-100, in their binary version or as arrays. Imports numpy.

A record is the label (CIFAR-100: the coarse one, then the fine one), then 1024 red, 1024 green and 1024 blue bytes, row
by row. Source: A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009. The Python version of the
files is pickled, so that opening it could run anything; it is refused.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from os import PathLike
from pathlib import Path

import numpy as np

from ..errors import DataError
from .dataset import Dataset, as_pixels, check_pixel_type, digit_names, listed
from .files import arrays_of, reading
from .origins import CIFAR, given

PIXELS = 3 * 32 * 32
TEN = {"train": [f"data_batch_{i}.bin" for i in range(1, 6)], "test": ["test_batch.bin"]}
HUNDRED = {"train": ["train.bin"], "test": ["test.bin"]}
NAMES = {"ten": "batches.meta.txt", "fine": "fine_label_names.txt", "coarse": "coarse_label_names.txt"}
PICKLED = {"data_batch_1", "test_batch", "train", "test"}  # the Python version's names
CLASSES = {"ten": 10, "fine": 100, "coarse": 20}


def cifar(
    path: str | PathLike[str] | None = None, part: str = "train", coarse: bool = False, dtype: str = "float32"
) -> Dataset:
    """CIFAR-10 or CIFAR-100, whichever is at ``path``: x (n, 3, 32, 32) float32 in 0..1, y the classes.

    ``path`` is the folder of the binary version, or its archive as it is distributed (``cifar-10-binary.tar.gz``, read
    without being unpacked), or an ``.npz`` file of arrays ``x_train``, ``y_train`` and so on, with channels first or
    last. ``part`` is "train" or "test" (of an ``.npz``, any that it has). ``coarse=True`` gives CIFAR-100's 20 groups.
    ``dtype="uint8"`` keeps the pixels as bytes, a quarter of the memory. Raises `DataError` for files that are missing,
    cut short, or of the pickled Python version.

    >>> _ = Path("test_batch.bin").write_bytes(bytes([7] + [255] * 3072))  # one white picture of class 7
    >>> cifar(".", "test")
    Dataset 'cifar test': x (1, 3, 32, 32) float32, y (1,) int64, 10 classes
    """
    check_pixel_type("cifar", dtype)
    path = Path(given(path, "cifar", CIFAR))
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder; {CIFAR}")
    pixels, y, names = _arrays(path, part) if path.suffix == ".npz" else _records(path, part, coarse)
    if len(y) and int(y.max()) >= len(names):
        raise DataError(f"{path}: label {int(y.max())} is outside 0..{len(names) - 1}; the file is damaged")
    return Dataset(as_pixels(pixels, dtype), y.astype(np.int64), names, name=f"cifar {part}")


def _records(path: Path, part: str, coarse: bool) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """The binary version: pixels (n, 3, 32, 32) uint8, labels (n,), the names of the classes."""
    if part not in TEN:
        raise DataError(f"cifar: part is {part!r}, expected 'train' or 'test'")
    files = _contents(path, [*TEN[part], *HUNDRED[part], *NAMES.values()])
    ten = any(name in files for name in TEN[part])
    wanted = (TEN if ten else HUNDRED)[part]
    if missing := [name for name in wanted if name not in files]:
        what = f"lacks {listed(missing)}" if ten else f"has neither {listed(TEN[part])} nor {listed(missing)}"
        raise DataError(f"{path} {what}; expected CIFAR's binary version, such as cifar-10-binary.tar.gz")
    if coarse and ten:
        raise DataError(f"{path} is CIFAR-10, which has no coarse classes; leave coarse=True out")
    record = PIXELS + (1 if ten else 2)
    for name in wanted:
        if not files[name] or len(files[name]) % record:
            raise DataError(f"{path}: {name} has {len(files[name])} bytes, expected a multiple of {record} (records "
                            f"of {record - PIXELS} label byte{'s' * (not ten)} and {PIXELS} pixels)")  # fmt: skip
    table = np.concatenate([np.frombuffer(files[name], np.uint8).reshape(-1, record) for name in wanted])
    kind = "ten" if ten else "coarse" if coarse else "fine"
    names = tuple(files.get(NAMES[kind], b"").decode("utf-8", "replace").split())
    labels = table[:, 0] if ten or coarse else table[:, 1]
    pixels = np.ascontiguousarray(table[:, -PIXELS:]).reshape(-1, 3, 32, 32)
    return pixels, labels, names if len(names) == CLASSES[kind] else digit_names(CLASSES[kind])


def _contents(path: Path, wanted: Iterable[str]) -> dict[str, bytes]:
    """Those of the wanted files that a folder or a tar archive has, by name."""
    with reading(path, "CIFAR's folder, .tar.gz archive or .npz file"):
        if path.is_dir():
            files = {name: (path / name).read_bytes() for name in wanted if (path / name).is_file()}
            present = [file.name for file in path.iterdir()]
        else:
            with tarfile.open(path) as archive:
                members = {Path(m.name).name: m for m in archive if m.isfile()}
                files = {name: archive.extractfile(members[name]).read() for name in wanted if name in members}  # type: ignore[union-attr]
            present = list(members)
    if not files and PICKLED & {*present}:
        raise DataError(
            f"{path} is the Python version of CIFAR, which is pickled: opening it could run anything. "
            f"Get the binary version: {CIFAR}"
        )
    return files


def _arrays(path: Path, part: str) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Arrays ``x_part`` and ``y_part`` of an .npz file, never unpickled."""
    found = arrays_of(path, (f"x_{part}", f"y_{part}"), ("class_names",))
    x, y = found[f"x_{part}"], found[f"y_{part}"].reshape(-1)
    names = tuple(map(str, found["class_names"].reshape(-1))) if "class_names" in found else ()
    if x.dtype != np.uint8 or x.shape[1:] not in ((32, 32, 3), (3, 32, 32)) or y.dtype.kind not in "iu":
        raise DataError(f"{path}: x_{part} holds {x.dtype} of shape {x.shape}, y_{part} {y.dtype}; expected uint8 of "
                        "(n, 32, 32, 3) or (n, 3, 32, 32), and whole numbers")  # fmt: skip
    x = x if x.shape[1] == 3 else np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    return x, y, names or digit_names(int(y.max(initial=0)) + 1)
