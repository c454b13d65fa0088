"""What estimators are given, as arrays of numbers: tables with categories, scaling, weights. Imports sklearn, numpy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import _check_sample_weight, check_array

from ..data import Dataset, Table, as_table
from ..errors import DataError
from ..tabular import Preprocessor
from ..tabular.preprocessor import orders_of
from ..tabular.transformers import PieceScaler
from ..train.remarks import remark
from .checking import validate_data

TRUTHS = {"False": 0.0, "True": 1.0}
EXACT = 1 << 53  # whole numbers beyond it are not all different as float64


class Features:
    """Learnt from the training samples: how X becomes numbers (n, features) of about -1 to 1.

    ``read`` checks X by scikit-learn's rules, names of columns among them, and ``numbers`` makes the array. Which way
    is decided by the training samples alone:

    - an array, or a DataFrame of numbers without gaps: scaled to mean 0 and variance 1, or in pieces, if
      asked. What is missing in a DataFrame later is the column's median.
    - a DataFrame with gaps, or with columns that are not numbers: `pellucid.tabular.Preprocessor`. Missing numbers are
      filled, categories become columns, truth values are 0 and 1.
    """

    def __init__(self, scale: bool) -> None:
        self.scale = scale
        self.pieces = 0  # with scale: columns of numbers from 0 to this, for `nn.Pieces`
        self.scaler: Any = None
        self.table: Preprocessor | None = None
        self.names: list[str] = []  # of the table's columns
        self.truths: set[str] = set()  # those of them that hold True and False
        self.labels: list | None = None  # of a DataFrame's columns, where they are not text
        self.medians: np.ndarray | None = None  # of a DataFrame's columns

    def learn_columns(self, estimator: Any, X: Any) -> Any:
        """The training samples, checked: an array, or a `Table`; the estimator remembers their number and names."""
        refuse_streams(X, "X")
        if not is_frame(X):
            x = validate_data(estimator, X, dtype=(np.float64, np.float32), reset=True)
            warn_of_long_numbers([getattr(X, "dtype", "")] * x.shape[1], x.T, range(x.shape[1]))
            return x
        labels = list(X.columns)
        self.labels = None if all(isinstance(label, str) for label in labels) else labels
        if only_numbers(X):
            x = validate_data(estimator, X, dtype=(np.float64, np.float32), ensure_all_finite="allow-nan", reset=True)
            warn_of_long_numbers(X.dtypes, x.T, labels)
            if not np.isnan(x).any():
                self.medians = np.median(x, axis=0)
                return x
        validate_data(estimator, X, skip_check_array=True, reset=True)
        table = as_table(X)
        warn_of_long_numbers(X.dtypes, table.columns.values(), labels)
        self.names = table.names
        self.truths = {name for name, column in table.columns.items() if _truths(column)}
        self.table = Preprocessor(scale="standard" if self.scale else None, order=orders_of(X))
        return self._with_truths(table)

    def learn(self, X: Any, weight: np.ndarray | None) -> None:
        """Means, deviations and categories of what `learn_columns` gave."""
        pieces = self.scale and self.pieces > 0
        if self.table is not None:
            self.table.set_params(scale="pieces" if pieces else self.table.scale).fit(X)
        elif self.scale:
            with np.errstate(over="ignore", invalid="ignore"):
                self.scaler = (PieceScaler(self.pieces) if pieces else StandardScaler()).fit(X, sample_weight=weight)
            refuse_overflow(self.scaler.scaler_ if pieces else self.scaler, "X")

    @property
    def columns(self) -> list[int]:
        """The features that are numbers from 0 to ``pieces``."""
        if self.table is not None:
            return self.table.fitted_.in_pieces()
        return getattr(self.scaler, "columns_", [])

    def read(self, estimator: Any, X: Any) -> Any:
        """Other samples, checked as the training samples were: an array, or a `Table`."""
        refuse_streams(X, "X")
        if self.labels is not None and is_frame(X):
            self._check_labels(list(X.columns))
        if self.table is not None:
            validate_data(estimator, X, skip_check_array=True, reset=False)
            given = as_table(X)
            return self._with_truths(Table(dict(zip(self.names, given.columns.values(), strict=True)), given.source))
        if self.medians is None:
            return validate_data(estimator, X, dtype=(np.float64, np.float32), reset=False)
        framed, how = is_frame(X), {"dtype": (np.float64, np.float32)}
        if framed and not only_numbers(X):  # numbers as objects, or as text
            validate_data(estimator, X, skip_check_array=True, reset=False)
            x = np.stack([_as_numbers(column) for column in as_table(X).columns.values()], axis=1)
            x = check_array(x, ensure_all_finite="allow-nan", input_name="X", estimator=estimator, **how)
        else:
            gaps = "allow-nan" if framed else True
            x = validate_data(estimator, X, reset=False, ensure_all_finite=gaps, **how)
        missing = np.isnan(x)
        return np.where(missing, self.medians.astype(x.dtype), x) if missing.any() else x

    def numbers(self, X: Any) -> np.ndarray:
        """The array (n, features) of what `read` gave."""
        if self.table is None:
            return X if self.scaler is None else self.scaler.transform(X)
        with np.errstate(over="ignore"):
            x = self.table.transform(X).astype(np.float32)
        if not np.isfinite(x).all():
            row, column = np.argwhere(~np.isfinite(x))[0]
            name = self.table.get_feature_names_out()[column]
            raise DataError(f"X: {name} of row {row} is too large for float32; use scale=True, or other units")
        return x

    def __call__(self, estimator: Any, X: Any) -> np.ndarray:
        """The array (n, features) of these samples."""
        return self.numbers(self.read(estimator, X))

    def _check_labels(self, given: list) -> None:
        """Columns without names of text in another order are an error, as columns with names are."""
        if given != self.labels and set(given) == set(self.labels or ()):
            raise ValueError("The feature names should match those that were passed during fit.\nFeature names must be "
                             f"in the same order as they were in fit, {self.labels[:9]}; got {given[:9]}\n")  # type: ignore[index]  # fmt: skip

    def _with_truths(self, table: Table) -> Table:
        """The table with 0 and 1 for False and True, in the columns that had them in training."""
        columns = dict(table.columns)
        for name in self.truths:
            column = columns[name]
            if column.dtype.kind == "O" and _truths(column):
                columns[name] = np.array([TRUTHS.get(text, np.nan) for text in column])
        return Table(columns, table.source)


def is_frame(X: Any) -> bool:
    """Whether X is a DataFrame."""
    return hasattr(X, "dtypes") and hasattr(X, "columns")


def only_numbers(frame: Any) -> bool:
    """Whether all columns of a DataFrame hold numbers or truth values, of pandas, NumPy, Arrow or polars."""
    return all(_is_number(dtype) for dtype in frame.dtypes)


def _is_number(dtype: Any) -> bool:
    if hasattr(dtype, "is_numeric"):  # polars
        return dtype.is_numeric() or str(dtype) == "Boolean"
    return getattr(dtype, "kind", "O") in "fiub"


def _truths(column: np.ndarray) -> bool:
    """Whether a column of text holds nothing but True and False."""
    return column.dtype.kind == "O" and {None, *TRUTHS} >= set(column) and any(v is not None for v in column)


def _as_numbers(column: np.ndarray) -> np.ndarray:
    """A table's column of numbers or truth values as numbers; text stays, to be refused."""
    return column if column.dtype.kind == "f" else np.array([TRUTHS.get(text, text) for text in column], object)


def refuse_streams(a: Any, name: str) -> None:
    """Raises `TypeError` for generators, sets, other collections without a length or an order, and a Dataset."""
    if isinstance(a, Dataset):
        raise TypeError(f"{name} is a Dataset, which has samples and targets; unpack it, fit(*data), or give its "
                        "arrays: fit(data.x, data.y), predict(data.x)")  # fmt: skip
    if isinstance(a, (set, frozenset, dict)) and not hasattr(a, "tocsr"):
        raise TypeError(f"{name} is a {type(a).__name__}, which has no order of samples; give an array, a list or a "
                        "DataFrame")  # fmt: skip
    if isinstance(a, Iterator):
        raise TypeError(f"{name} is a {type(a).__name__}, which can be gone through once only; give an array or a "
                        "list, or give partial_fit one part after the other")  # fmt: skip


def warn_of_long_numbers(dtypes: Iterable, columns: Iterable[np.ndarray], labels: Iterable) -> None:
    """Say it when whole numbers of X are not all different as float64: identifiers, that should be text."""
    for dtype, column, label in zip(dtypes, columns, labels, strict=True):
        if str(dtype).lower() not in ("int64", "uint64") or column.dtype.kind != "f":
            continue
        if (np.abs(column) > EXACT).any():
            remark(f"column {label!r} of X holds whole numbers beyond 2^53, which are not all different as floats; if "
                   "they are identifiers, leave the column out or make it text")  # fmt: skip


def weights_of(
    sample_weight: Any, class_weight: Any, y: np.ndarray
) -> tuple[np.ndarray | None, np.ndarray | None, float]:
    """One weight a sample, of mean 1, so that they do not change the learning rate, or None; ``sample_weight`` alone,
    without ``class_weight``, by which validation is weighed; and the mean that the weights had."""
    from sklearn.utils.class_weight import compute_sample_weight

    if sample_weight is None and class_weight is None:
        return None, None, 1.0
    n = len(y)
    own = None if sample_weight is None else _check_sample_weight(sample_weight, np.empty((n, 1)))
    weight = np.ones(n) if own is None else own
    if class_weight is not None:
        weight = weight * compute_sample_weight(class_weight, y)
    if (weight < 0).any() or not weight.any():
        raise DataError("sample_weight must be >= 0, and not all 0")
    mean = float(weight.mean())
    if not np.isfinite(mean) or mean < np.finfo(np.float64).tiny:
        raise DataError(f"the mean of sample_weight is {mean:g}; divide the weights by the largest one")
    return weight / mean, own, mean


def refuse_overflow(scaler: StandardScaler, name: str) -> None:
    """Raises `DataError` where a variance is beyond all numbers, so that scaled values would all be 0."""
    wrong = ~(np.isfinite(scaler.var_) & np.isfinite(scaler.mean_))
    if wrong.any():
        raise DataError(f"column {np.flatnonzero(wrong)[0]} of {name} holds numbers so large that their squares are "
                        "infinite; give it in other units, divided by 1e100 say")  # fmt: skip


def finite(out: np.ndarray, what: str = "predictions") -> np.ndarray:
    """Predictions as they are. Raises `DataError` where they are NaN or infinite, naming rows."""
    if not np.isfinite(out).all():
        rows = np.flatnonzero(~np.isfinite(out.reshape(len(out), -1)).all(axis=1))
        shown = ", ".join(map(str, rows[:5])) + (", ..." if len(rows) > 5 else "")
        raise DataError(f"the {what} of {len(rows)} of {len(out)} rows are NaN or infinite (row"
                        f"{'s' * (len(rows) > 1)} {shown}): X is far larger there than in training")  # fmt: skip
    return out


def warn_of_target(X: Any, y: np.ndarray, names: Any = None) -> None:
    """Say it when a column of X, an array or a `Table`, is the target itself: the score would mean nothing."""
    if y.ndim != 1 or len(y) < 3:
        return
    columns = list(X.columns.values()) if isinstance(X, Table) else list(X.T)
    labels = X.names if isinstance(X, Table) else range(len(columns)) if names is None else names
    numeric, texts = y.dtype.kind in "fiub", None
    for name, column in zip(labels, columns, strict=True):
        if column.dtype.kind != "O":
            same = numeric and np.array_equal(column, y)
        else:
            texts = [str(v) for v in y] if texts is None else texts
            same = not numeric and list(column) == texts
        if same and len(np.unique(y)) > 1:
            remark(f"column {name!r} of X equals y: the target is among the features; leave it out")
