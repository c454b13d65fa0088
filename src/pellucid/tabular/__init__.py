"""A table of columns to arrays, by scikit-learn's transformers, which stay inside the model.

Imports data, and scikit-learn where transformers are fitted.

Numbers: the median where missing, a column that says so, mean 0 and deviation 1. Categories: one column for each, rare
ones together. `PreprocessingSpec` names other ways. What the target is, which columns are used, and why not the
others, is decided here, and said. `Preprocessor` is all that as a transformer of arrays, DataFrames and Tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..deprecation import old_member
from .cells import listed
from .columns import Columns, choose_columns
from .leaks import leaks
from .persistence import BLOB, keep_in, restore
from .preprocessing import PARTS, FittedPreprocessing, PreprocessingSpec
from .target import Target, as_in_training, read_target, target_as_numbers, with_target

if TYPE_CHECKING:
    from .preprocessor import Preprocessor

__all__ = [
    "BLOB", "PARTS", "Columns", "FittedPreprocessing", "PreprocessingSpec", "Preprocessor", "Target", "as_in_training",
    "choose_columns", "keep_in", "leaks", "listed", "read_target", "restore", "target_as_numbers", "with_target",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "Preprocessor":  # it is a scikit-learn estimator: a model that predicts does not wait for that import
        from .preprocessor import Preprocessor

        return Preprocessor
    renamed = {"Preparation": "PreprocessingSpec", "Preprocessing": "FittedPreprocessing"}
    if (found := old_member(globals(), name, renamed, since="0.1")) is not None:
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
