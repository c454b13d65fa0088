"""`Preprocessor`: columns to numbers as a transformer of scikit-learn's, for arrays, DataFrames and Tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from ..data import DataError, Table, as_table, outliers
from .columns import Columns
from .preprocessing import Preparation, Preprocessing


class Preprocessor(TransformerMixin, BaseEstimator):
    """The columns of a table as numbers for a net: missing ones filled, scaled, categories encoded.

    The parameters are those of `Preparation`. ``X`` is an array (n, columns), a DataFrame or a `data.Table`; every
    column is used. Ordered categories of a DataFrame keep their order. `report` says what is remarkable.

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
        neighbours: int = 5,
    ) -> None:
        self.impute, self.scale, self.encode, self.order = impute, scale, encode, order
        self.clip, self.indicator, self.fill_value, self.neighbours = clip, indicator, fill_value, neighbours

    def fit(self, X: Any, y: Any = None) -> Preprocessor:
        """Learn medians, means, deviations and categories from the training rows."""
        table = as_table(X)
        orders = orders_of(X) | {name: [str(v) for v in values] for name, values in (self.order or {}).items()}
        for name in orders:
            table[name]  # an unknown name is an error
        self.how_ = Preparation(**self.get_params() | {"order": orders})
        numbers, categories = ([n for n in table.names if table.kind(n) == k] for k in ("numbers", "categories"))
        self.fitted_ = Preprocessing.fit(table, Columns(tuple(numbers), tuple(categories)), self.how_)
        self.n_features_in_ = len(table.names)
        if hasattr(X, "columns"):
            self.feature_names_in_ = np.array(table.names, object)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The features of each row (n, features), float64."""
        table = as_table(X)
        if not isinstance(X, Table) and not hasattr(X, "columns") and len(table.names) != self.n_features_in_:
            raise DataError(
                f"X has {len(table.names)} features, but Preprocessor is expecting {self.n_features_in_} features as "
                "input"
            )
        return self.fitted_.transform(table)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """One name for each feature."""
        return np.array(self.fitted_.feature_names(), object)

    def report(self, X: Any) -> list[str]:
        """Sentences on rows: what is missing, which values are far from the others, which categories are new."""
        table = as_table(X)
        far = [f"outliers: {column}" for column in outliers(table).columns]
        filled = self.how_.filled(table, self.fitted_.columns)
        return [*([filled] if filled else []), *far, *self.fitted_.unseen(table)]


def orders_of(frame: Any) -> dict[str, list[str]]:
    """The ordered categories of a DataFrame's columns, as text."""
    if not hasattr(frame, "dtypes") or not hasattr(frame, "columns"):
        return {}
    dtypes = ((str(name).strip(), frame[name].dtype) for name in frame.columns)
    return {name: [str(c) for c in dtype.categories] for name, dtype in dtypes if getattr(dtype, "ordered", False)}
