"""Transformers that scikit-learn lacks: categories in binary, and values that are far away moved nearer."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.preprocessing import OrdinalEncoder

from ..data.codes import bits
from ..data.outliers import bounds


class BinaryEncoder(TransformerMixin, BaseEstimator):
    """log2 k columns for a column of k categories: the category's number in binary. Unknown ones are 0.5 in each.

    Rare categories are one, as in `sklearn.preprocessing.OrdinalEncoder`.

    >>> BinaryEncoder().fit_transform(np.array([["a"], ["b"], ["c"]], object)).tolist()
    [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]]
    """

    def __init__(self, min_frequency: int | None = None, max_categories: int | None = None) -> None:
        self.min_frequency, self.max_categories = min_frequency, max_categories

    def fit(self, X: Any, y: Any = None) -> BinaryEncoder:
        """Learn the categories of each column."""
        grouped = {"min_frequency": self.min_frequency, "max_categories": self.max_categories}
        self.encoder_ = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, **grouped)
        self.sizes_ = self.encoder_.fit_transform(X).max(axis=0).astype(int) + 1
        return self

    @property
    def categories_(self) -> list[np.ndarray]:
        """The categories of each column."""
        return self.encoder_.categories_

    def transform(self, X: Any) -> np.ndarray:
        """(n, columns) to (n, bits of all)."""
        numbers = self.encoder_.transform(X).astype(int)
        parts = [np.where(c[:, None] < 0, 0.5, bits(c, k)) for c, k in zip(numbers.T, self.sizes_, strict=True)]
        return np.hstack(parts)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """The column's name and the worth of the bit: colour_2, colour_1."""
        names = self.encoder_.get_feature_names_out(input_features)
        widths = [bits(np.zeros(1, int), k).shape[1] for k in self.sizes_]
        parts = zip(names, widths, strict=True)
        return np.array([f"{name}_{2**i}" for name, width in parts for i in reversed(range(width))], object)


class OutlierClipper(TransformerMixin, BaseEstimator):
    """Values far from the others of their column moved to the bounds that `data.outliers` finds; NaN stays.

    >>> OutlierClipper().fit_transform(np.array([[1.0], [2.0], [3.0], [2.0], [90.0]])).ravel().tolist()
    [1.0, 2.0, 3.0, 2.0, 4.5]
    """

    def __init__(self, method: str = "iqr", threshold: float | None = None) -> None:
        self.method, self.threshold = method, threshold

    def fit(self, X: Any, y: Any = None) -> OutlierClipper:
        """Learn the bounds of each column."""
        self.low_, self.high_ = bounds(np.asarray(X, float), self.method, self.threshold)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """(n, columns), clipped."""
        return np.clip(np.asarray(X, float), self.low_, self.high_)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """The names as they are."""
        return np.asarray(input_features, object)
