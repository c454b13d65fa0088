"""`Preprocessor`: columns to numbers as a transformer of scikit-learn's, for arrays, DataFrames and Tables."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ..data import Table, as_table, outliers
from ..data.names import check_names, column_names
from ..deprecation import deprecated
from ..errors import DataError
from .cells import texts_of
from .columns import Columns, differs, words_of
from .preprocessing import FittedPreprocessing, PreprocessingSpec, rare


@deprecated("neighbours", "neighbors", since="0.1")
class Preprocessor(TransformerMixin, BaseEstimator):
    """The columns of a table as numbers for a net: missing ones filled, scaled, categories encoded.

    The parameters are those of `PreprocessingSpec`. ``X`` is an array (n, columns), a DataFrame or a `data.Table`;
    every column is used: dates as `DateFeatures`, text that differs in almost every row as a `BagOfWords`. Ordered
    categories of a DataFrame keep their order. `report` says what is remarkable.

    >>> X = np.array([[20.0, "red"], [None, "blue"], [40.0, "red"], [30.0, "blue"]], object)
    >>> Preprocessor(scale="minmax").fit_transform(X)
    array([[0. , 0. , 0. , 1. ],
           [0.5, 1. , 1. , 0. ],
           [1. , 0. , 0. , 1. ],
           [0.5, 0. , 1. , 0. ]])
    >>> Preprocessor().fit(X).get_feature_names_out().tolist()
    ['x0', 'missingindicator_x0', 'x1_blue', 'x1_red']
    """

    def __init__(
        self,
        impute: str = "median",
        scale: str | None = "standard",
        encode: str = "one_hot",
        order: Mapping[str, Sequence[Any]] | None = None,
        clip: str | None = None,
        indicator: bool = True,
        fill_value: float = 0.0,
        neighbors: int = 5,
    ) -> None:
        self.impute, self.scale, self.encode, self.order = impute, scale, encode, order
        self.clip, self.indicator, self.fill_value, self.neighbors = clip, indicator, fill_value, neighbors

    def fit(self, X: Any, y: Any = None) -> Preprocessor:
        """Learn medians, means, deviations, categories and words from the training rows.

        Warns of columns of text that are different in almost every row and have no words in common: they are left out.
        """
        table = as_table(X)
        orders = orders_of(X) | {name: [str(v) for v in values] for name, values in (self.order or {}).items()}
        for name in orders:
            table[name]  # an unknown name is an error
        self.how_ = PreprocessingSpec(**self.get_params() | {"order": orders})
        self.fitted_ = FittedPreprocessing.fit(table, _by_kind(table, orders), self.how_)
        self.n_features_in_ = len(table.names)
        self.names_ = tuple(table.names)
        if hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        if column_names(X) is not None:
            self.feature_names_in_ = np.array(table.names, object)
        if left_out := self.fitted_.columns.left_out:
            said = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
            warnings.warn(f"left out of the features: {said}", UserWarning, stacklevel=2)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The features of each row (n, features), float64.

        Columns with names are those of the training, in the same order; without names they are taken by position.
        Raises `DataError`, in scikit-learn's words, for others.
        """
        return self.fitted_.transform(self._table(X))

    def _table(self, X: Any) -> Table:
        """The columns of X under the names that they had in training."""
        check_is_fitted(self, "fitted_")
        table, named = as_table(X), column_names(X) is not None
        if named and hasattr(self, "feature_names_in_"):
            check_names(self.names_, table.names)
            return table
        if named or hasattr(self, "feature_names_in_"):
            what = "X has feature names, but {} was fitted without feature names"
            if not named:
                what = "X does not have valid feature names, but {} was fitted with feature names"
            warnings.warn(what.format(type(self).__name__), UserWarning, stacklevel=3)
        if len(table.names) != self.n_features_in_:
            raise DataError(
                f"X has {len(table.names)} features, but Preprocessor is expecting {self.n_features_in_} features as "
                "input"
            )
        columns = dict(zip(self.names_, table.columns.values(), strict=True))
        for name, known in self.fitted_.categories().items():
            if columns[name].dtype.kind == "f" and {"True", "False"} & {*known}:  # truth values in an array of objects
                columns[name] = np.array([{"0": "False", "1": "True"}.get(t) for t in texts_of(columns[name])], object)
        return Table(columns, table.source)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """One name for each feature."""
        return np.array(self.fitted_.feature_names(), object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.categorical = tags.input_tags.string = True
        return tags

    def report(self, X: Any) -> list[str]:
        """Sentences on rows: what is missing, which values are far from the others, which categories are new."""
        table = self._table(X)
        far = [f"outliers: {column}" for column in outliers(table).columns]
        filled = self.how_.filled(table, self.fitted_.columns)
        return [*([filled] if filled else []), *far, *self.fitted_.unseen(table)]


def _by_kind(table: Table, orders: Mapping[str, Any]) -> Columns:
    """Every column of a table by its kind; text that is different in almost every row is words, or nothing."""
    used: dict[str, list[str]] = {"numbers": [], "categories": [], "dates": [], "texts": []}
    left_out = {}
    for name, column in table.columns.items():
        kind: str = table.kind(name)
        if kind == "categories" and name not in orders:
            counts = Counter(column)
            alone = max(counts.values()) < rare(len(column)) and len(counts) > 2
            if (alone or differs(column)) and words_of(column):
                kind = "texts"
            elif alone:
                left_out[name] = f"text that differs in almost every row ({len(counts)} different in {len(column)})"
                continue
        used[kind].append(name)
    if not any(used.values()):
        why = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise DataError(f"{table.source} has no column to learn from ({why})")
    return Columns(left_out=left_out, **{kind: tuple(names) for kind, names in used.items()})


def orders_of(frame: Any) -> dict[str, list[str]]:
    """The ordered categories of a DataFrame's columns, as text."""
    if not hasattr(frame, "dtypes") or not hasattr(frame, "columns"):
        return {}
    dtypes = ((str(name).strip(), frame[name].dtype) for name in frame.columns)
    return {name: [str(c) for c in dtype.categories] for name, dtype in dtypes if getattr(dtype, "ordered", False)}
