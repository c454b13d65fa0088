"""A table of columns to arrays, by scikit-learn's transformers, which stay inside the model. Imports data, sklearn.

Numbers: the median where missing, a column that says so, mean 0 and deviation 1. Categories: one column for each, rare
ones together. `Preparation` names other ways. What the target is, which columns are used, and why not the others, is
decided here, and said. `Preprocessor` is all that as a transformer of arrays, DataFrames and Tables.
"""

from .columns import Columns, choose_columns
from .entries import listed
from .keeping import BLOB, keep_in, restore
from .leaks import leaks
from .preprocessing import PARTS, Preparation, Preprocessing
from .preprocessor import Preprocessor
from .target import Target, as_in_training, read_target, target_as_numbers, with_target

__all__ = [
    "BLOB", "PARTS", "Columns", "Preparation", "Preprocessing", "Preprocessor", "Target", "as_in_training",
    "choose_columns", "keep_in", "leaks", "listed", "read_target", "restore", "target_as_numbers", "with_target",
]  # fmt: skip
