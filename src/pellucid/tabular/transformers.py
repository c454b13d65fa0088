"""Transformers that scikit-learn lacks: categories in binary, far values moved nearer, dates and texts as numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import OrdinalEncoder, StandardScaler
from sklearn.utils.validation import check_is_fitted, validate_data

from ..data.outliers import bounds
from .dates import date_parts
from .replay import as_text, bit_names, chosen_parts, in_bits, in_pieces


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
    def n_features_in_(self) -> int:
        """The number of columns."""
        return self.encoder_.n_features_in_

    @property
    def categories_(self) -> list[np.ndarray]:
        """The categories of each column."""
        return self.encoder_.categories_

    def transform(self, X: Any) -> np.ndarray:
        """(n, columns) to (n, bits of all)."""
        return in_bits(self.encoder_.transform(X).astype(int), self.sizes_)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """The column's name and the worth of the bit: color_2, color_1."""
        return bit_names(self.encoder_.get_feature_names_out(input_features), self.sizes_)


class OutlierClipper(TransformerMixin, BaseEstimator):
    """Values far from the others of their column moved to the bounds that `data.outliers` finds; NaN stays.

    >>> OutlierClipper().fit_transform(np.array([[1.0], [2.0], [3.0], [2.0], [90.0]])).ravel().tolist()
    [1.0, 2.0, 3.0, 2.0, 4.5]
    """

    def __init__(self, method: str = "iqr", threshold: float | None = None) -> None:
        self.method, self.threshold = method, threshold

    def fit(self, X: Any, y: Any = None) -> OutlierClipper:
        """Learn the bounds of each column."""
        x = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan")
        self.low_, self.high_ = bounds(x, self.method, self.threshold)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """(n, columns), clipped."""
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False)
        return np.clip(x, self.low_, self.high_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """The names as they are."""
        return np.asarray(input_features, object)


class PieceScaler(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Columns of numbers to 0..``pieces``, so that each piece holds as many training rows: for `pellucid.nn.Pieces`.

    The bounds of the pieces are quantiles of the column, between them it is linear, beyond the first and the last it
    stays there. A column of fewer different values than that has a bound at each; one of at most two is scaled to mean
    0 and deviation 1. NaN stays. Fitted: ``columns_``, the numbers of the columns in pieces; ``bounds_``.

    >>> scaler = PieceScaler(4).fit(np.array([[1.0, 0.0], [2.0, 1.0], [4.0, 0.0], [8.0, 1.0], [16.0, 0.0]]))
    >>> scaler.columns_, scaler.transform(np.array([[3.0, 0.4], [99.0, 1.0]])).round(3).tolist()
    ([0], [[1.5, 0.0], [4.0, 1.225]])
    """

    def __init__(self, pieces: int = 16) -> None:
        self.pieces = pieces

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> PieceScaler:
        """Learn the bounds of each column."""
        x = validate_data(self, X, dtype=(np.float64, np.float32), ensure_all_finite="allow-nan")
        self.scaler_ = StandardScaler().fit(x, sample_weight=sample_weight)
        self.columns_, self.bounds_ = [], []
        for j, column in enumerate(x.T):
            bounds = self._bounds(column[~np.isnan(column)].astype(np.float64))
            if len(bounds) > 2:
                self.columns_.append(j)
                self.bounds_.append(bounds)
        return self

    def _bounds(self, column: np.ndarray) -> np.ndarray:
        values = np.unique(column)
        if len(values) <= self.pieces + 1:
            return values
        return np.unique(np.quantile(column, np.linspace(0, 1, self.pieces + 1)))

    def transform(self, X: Any) -> np.ndarray:
        """(n, columns), scaled."""
        check_is_fitted(self)
        x = validate_data(self, X, dtype=(np.float64, np.float32), ensure_all_finite="allow-nan", reset=False)
        return in_pieces(self.scaler_.transform(x), x, self.columns_, self.bounds_, self.pieces)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


class DateFeatures(TransformerMixin, BaseEstimator):
    """Numbers of dates: days since 1970, the parts of calendar and clock, and their cycles as sines and cosines.

    Of datetime64 (n, columns), NaT where missing (NaN in all its features). Parts that are the same in all training
    rows are left out; a column more says which dates were missing, if some were.

    >>> dates = np.array([["2024-02-29T18:00"], ["2024-03-01T06:00"]], "datetime64[m]")
    >>> made = DateFeatures().fit(dates)
    >>> made.get_feature_names_out(["d"])[:6].tolist()
    ['d_days', 'd_month', 'd_day', 'd_weekday', 'd_hour', 'd_year_sin']
    >>> made.transform(dates)[:, :5].tolist()
    [[19782.75, 2.0, 29.0, 3.0, 18.0], [19783.25, 3.0, 1.0, 4.0, 6.0]]
    """

    def fit(self, X: Any, y: Any = None) -> DateFeatures:
        """Learn which features of each column vary."""
        self.kept_ = []
        for column in np.asarray(X).T:
            made, gone = date_parts(column), np.isnat(column)
            varying = [name for name, values in made.items() if len(np.unique(values[~gone])) > 1]
            self.kept_.append([*(varying or ["days"]), *(["missing"] if gone.any() else [])])
        self.n_features_in_ = len(self.kept_)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """(n, columns) to (n, features), float64."""
        check_is_fitted(self, "kept_")
        return chosen_parts(X, self.kept_)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """The column's name and the part: born_year."""
        named = zip(input_features, self.kept_, strict=True)
        return np.array([f"{name}_{part}" for name, kept in named for part in kept], object)


class BagOfWords(TransformerMixin, BaseEstimator):
    """Which words an entry has: for each column of text `sklearn.feature_extraction.text.TfidfVectorizer`'s weights.

    Words of at least two entries, the ``most`` frequent ones of each column. ``X`` is (n, columns) of text, None where
    missing, which has no words.

    >>> made = BagOfWords().fit(np.array([["a red car"], ["red roof"], ["blue car"]], object))
    >>> made.get_feature_names_out(["what"]).tolist()
    ['what_car', 'what_red']
    >>> made.transform(np.array([["my car"], [None]], object)).tolist()
    [[1.0, 0.0], [0.0, 0.0]]
    """

    def __init__(self, most: int = 100) -> None:
        self.most = most

    def fit(self, X: Any, y: Any = None) -> BagOfWords:
        """Learn the words of each column. Raises ValueError for a column without words that two entries have."""
        self.vectorizers_ = [TfidfVectorizer(min_df=2, max_features=self.most).fit(as_text(c)) for c in np.asarray(X).T]
        self.n_features_in_ = len(self.vectorizers_)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """(n, columns) to (n, words), float64."""
        check_is_fitted(self, "vectorizers_")
        columns = zip(self.vectorizers_, np.asarray(X).T, strict=True)
        return np.hstack([vectorizer.transform(as_text(column)).toarray() for vectorizer, column in columns])

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """The column's name and the word."""
        named = zip(input_features, self.vectorizers_, strict=True)
        return np.array([f"{name}_{word}" for name, v in named for word in v.get_feature_names_out()], object)
