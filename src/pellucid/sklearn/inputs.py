"""What estimators are given, as arrays of numbers: tables with categories, scaling, weights. Imports sklearn, numpy."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import _check_sample_weight, validate_data

from ..data import DataError
from ..tabular import Preprocessor


class Features:
    """Learnt from the training samples: how X becomes numbers (n, features) of about -1 to 1.

    An array is scaled to mean 0 and variance 1, if asked. A DataFrame with columns that are not numbers goes through
    `pellucid.tabular.Preprocessor`: missing numbers are filled, categories become columns.
    """

    def __init__(self, estimator: Any, X: Any, weight: np.ndarray | None, scale: bool) -> None:
        self.scaler: Any = None
        self.table: Any = None
        if categories_of(X):
            validate_data(estimator, X, skip_check_array=True, reset=True)
            self.table = Preprocessor(scale="standard" if scale else None).fit(X)
        elif scale:
            self.scaler = StandardScaler().fit(X, sample_weight=weight)

    def __call__(self, estimator: Any, X: Any) -> np.ndarray:
        """The array (n, features) of these samples."""
        if self.table is None:
            return X if self.scaler is None else self.scaler.transform(X)
        validate_data(estimator, X, skip_check_array=True, reset=False)
        return self.table.transform(X).astype(np.float32)


def categories_of(X: Any) -> list:
    """The columns of a DataFrame that are not numbers."""
    if not hasattr(X, "dtypes") or not hasattr(X, "columns"):
        return []
    return [name for name, dtype in zip(X.columns, X.dtypes, strict=True) if getattr(dtype, "kind", "O") not in "fiu"]


def checked(estimator: Any, X: Any, reset: bool) -> Any:
    """X as a float array by scikit-learn's checks, or a DataFrame with categories as it is."""
    if categories_of(X):
        return X
    return validate_data(estimator, X, dtype=(np.float64, np.float32), reset=reset)


def weights_of(sample_weight: Any, class_weight: Any, y: np.ndarray) -> tuple[np.ndarray | None, float]:
    """One weight a sample, of mean 1, so that they do not change the learning rate, or None; and the mean they had."""
    from sklearn.utils.class_weight import compute_sample_weight

    if sample_weight is None and class_weight is None:
        return None, 1.0
    n = len(y)
    weight = np.ones(n) if sample_weight is None else _check_sample_weight(sample_weight, np.empty((n, 1)))
    if class_weight is not None:
        weight = weight * compute_sample_weight(class_weight, y)
    if (weight < 0).any() or not weight.any():
        raise DataError("sample_weight must be >= 0, and not all 0")
    mean = float(weight.mean())
    return weight / mean, mean


def warn_of_target(X: Any, y: np.ndarray) -> None:
    """Say it when a column of X is the target itself: the score would mean nothing."""
    if y.ndim != 1 or len(y) < 3:
        return
    names, columns = (list(X.columns), [X[c].to_numpy() for c in X.columns]) if hasattr(X, "columns") else (
        list(range(X.shape[1])), list(X.T))  # fmt: skip
    for name, column in zip(names, columns, strict=True):
        alike = column.dtype.kind in "fiub" and y.dtype.kind in "fiub"
        same = np.array_equal(column, y) if alike else column.dtype.kind not in "fiu" and list(column) == list(y)
        if same and len(np.unique(y)) > 1:
            warnings.warn(f"column {name!r} of X equals y: the target is among the features; leave it out",
                          UserWarning, stacklevel=4)  # fmt: skip
