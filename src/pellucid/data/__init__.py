"""Data in arrays: sets that need no file, idx files, tables, pictures, text. Imports numpy and ops, the rest lazily.

| call | gives |
|---|---|
| `digits()`, `xor()`, `moons()`, `circles()`, `spirals()`, `blobs()` | a `Dataset`, no file needed |
| `mnist(folder)`, `idx(path)` | MNIST's four files; any one idx file |
| `read_csv(path)`, `from_frame(frame)` | a `Table` of named columns |
| `read_table(path)` | a `Table` from CSV, Parquet, Excel, ARFF, .ts, by the file's name |
| `split(x, y)` | training, validation and test sets: stratified, by groups, in time order |
| `balance(y)`, `oversample(y)`, `undersample(y)` | how many samples each class has, and rows with as many of each |
| `outliers(x)`, `clip_outliers(x)` | values far from the others, told; or moved nearer |
| `OneHotCode`, `BinaryCode`, `OrdinalCode` | categories as k nodes, log2 k nodes, or one |
| `images(folder)` | pictures in one subfolder per class |
| `cifar(path)` | CIFAR-10 and CIFAR-100, binary version |
| `Augment(flip=True, ...)` | random changes of pictures, for `Model.fit` |
| `read_text(path)`, `read_pairs(path)`, `read_conllu(path)` | text; pairs of lines; sentences with tags |
| `read_texts(folder)` | texts in one subfolder per class, as a `Table` |
| `Vocabulary(texts)`, `BytePairs(texts)` | text to numbers and back |
| `pad_sequences(sequences)`, `Buckets(x, y)` | sequences of different lengths for `Model.fit` |
| `windows(sequence, length)`, `streams(sequence, batch, length)` | one long sequence as many, and what comes next |

What cannot be read is a `DataError` that names the file, what was found and what is expected.
"""

from typing import TYPE_CHECKING

from ..checks import NoAttribute
from .augment import Augment
from .balance import Balance, balance, oversample, undersample
from .buckets import Buckets
from .builtin import blobs, circles, digits, moons, spirals, xor
from .bytepairs import BytePairs
from .cifar import cifar
from .csvfile import read_csv
from .dataset import DataError, Dataset
from .encoders import BinaryCode, OneHotCode, OrdinalCode
from .idxfile import idx, mnist
from .images import images
from .mixup import Mixup
from .outliers import Outliers, clip_outliers, outliers
from .padding import pad_sequences
from .splits import Split, split
from .table import Table, as_table, from_frame
from .tablefile import read_table
from .text import read_pairs, read_text
from .texts import read_texts
from .tokens import Tokenizer, Vocabulary
from .treebank import read_conllu
from .windows import streams, windows

__all__ = [
    "Augment",
    "Balance",
    "BinaryCode",
    "Buckets",
    "BytePairs",
    "DataError",
    "Dataset",
    "Mixup",
    "OneHotCode",
    "OrdinalCode",
    "Outliers",
    "Split",
    "Table",
    "Tokenizer",
    "Vocabulary",
    "as_table",
    "balance",
    "blobs",
    "cifar",
    "circles",
    "clip_outliers",
    "digits",
    "from_frame",
    "idx",
    "images",
    "mnist",
    "moons",
    "outliers",
    "oversample",
    "pad_sequences",
    "read_conllu",
    "read_csv",
    "read_pairs",
    "read_table",
    "read_text",
    "read_texts",
    "spirals",
    "split",
    "streams",
    "undersample",
    "windows",
    "xor",
]

if not TYPE_CHECKING:  # so that checkers of types know what there is

    def __getattr__(name: str):
        raise NoAttribute(f"module {__name__!r}", "data", name, __all__)
