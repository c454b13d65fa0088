"""Data in arrays: sets that need no file, idx files, tables, pictures. Imports numpy and ops, the rest lazily.

| call | gives |
|---|---|
| `digits()`, `xor()`, `moons()`, `circles()`, `spirals()`, `blobs()` | a `Dataset`, no file needed |
| `mnist(folder)`, `idx(path)` | MNIST's four files; any one idx file |
| `read_csv(path)`, `from_frame(frame)` | a `Table` of named columns |
| `images(folder)` | pictures in one subfolder per class |
| `cifar(path)` | CIFAR-10 and CIFAR-100, binary version |
| `Augment(flip=True, ...)` | random changes of pictures, for `Model.fit` |

What cannot be read is a `DataError` that names the file, what was found and what is expected.
"""

from .augment import Augment
from .builtin import blobs, circles, digits, moons, spirals, xor
from .cifar import cifar
from .dataset import DataError, Dataset
from .idxfile import idx, mnist
from .pictures import images
from .table import Table, from_frame, read_csv

__all__ = [
    "Augment",
    "DataError",
    "Dataset",
    "Table",
    "blobs",
    "cifar",
    "circles",
    "digits",
    "from_frame",
    "idx",
    "images",
    "mnist",
    "moons",
    "read_csv",
    "spirals",
    "xor",
]
