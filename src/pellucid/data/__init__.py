"""Data in arrays: sets that need no file, idx files, tables, pictures, text. Imports numpy and ops, the rest lazily.

| call | gives |
|---|---|
| `digits()`, `xor()`, `moons()`, `circles()`, `spirals()`, `blobs()` | a `Dataset`, no file needed |
| `mnist(folder)`, `idx(path)` | MNIST's four files; any one idx file |
| `read_csv(path)`, `from_frame(frame)` | a `Table` of named columns |
| `images(folder)` | pictures in one subfolder per class |
| `cifar(path)` | CIFAR-10 and CIFAR-100, binary version |
| `Augment(flip=True, ...)` | random changes of pictures, for `Model.fit` |
| `read_text(path)`, `read_pairs(path)`, `read_conllu(path)` | text; pairs of lines; sentences with tags |
| `Vocabulary(texts)`, `BytePairs(texts)` | text to numbers and back |
| `pad_sequences(sequences)`, `Buckets(x, y)` | sequences of different lengths for `Model.fit` |
| `windows(sequence, length)`, `streams(sequence, batch, length)` | one long sequence as many, and what comes next |

What cannot be read is a `DataError` that names the file, what was found and what is expected.
"""

from .augment import Augment
from .buckets import Buckets
from .builtin import blobs, circles, digits, moons, spirals, xor
from .bytepairs import BytePairs
from .cifar import cifar
from .dataset import DataError, Dataset
from .idxfile import idx, mnist
from .mixup import Mixup
from .padding import pad_sequences
from .pictures import images
from .table import Table, from_frame, read_csv
from .text import read_pairs, read_text
from .tokens import Tokenizer, Vocabulary
from .treebank import read_conllu
from .windows import streams, windows

__all__ = [
    "Augment",
    "Buckets",
    "BytePairs",
    "DataError",
    "Dataset",
    "Mixup",
    "Table",
    "Tokenizer",
    "Vocabulary",
    "blobs",
    "cifar",
    "circles",
    "digits",
    "from_frame",
    "idx",
    "images",
    "mnist",
    "moons",
    "pad_sequences",
    "read_conllu",
    "read_csv",
    "read_pairs",
    "read_text",
    "spirals",
    "streams",
    "windows",
    "xor",
]
