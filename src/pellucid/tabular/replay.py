"""Fitted transformers applied in NumPy alone: a model that only predicts does not wait for scikit-learn's import.

Each class has the name and the attributes of the one that was fitted, and gives the same bits. Of those that are not
here the real one is loaded (`keeping`). Imports numpy and the sibling modules without scikit-learn.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Any

import numpy as np

from ..data.encoders import bits
from .dates import date_parts


class Step:
    """A fitted transformer: attributes from a file; `transform` of (n, columns), and a name for each feature."""

    def transform(self, x: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def get_feature_names_out(self, names: Any) -> np.ndarray:
        return np.asarray(names, object)


class Pipeline(Step):
    """Steps one after the other."""

    steps: list[tuple[str, Step]]

    @property
    def named_steps(self) -> dict[str, Any]:
        return dict(self.steps)

    @property
    def n_features_in_(self) -> int:
        return self.named_steps[self.steps[0][0]].n_features_in_

    def transform(self, x):
        for _, step in self.steps:
            x = step.transform(x)
        return x

    def get_feature_names_out(self, names):
        for _, step in self.steps:
            names = step.get_feature_names_out(names)
        return names


class StandardScaler(Step):
    """(x - mean) / deviation."""

    mean_: np.ndarray
    scale_: np.ndarray

    def transform(self, x):
        return (x - self.mean_) / self.scale_


class MinMaxScaler(Step):
    """x scale + low."""

    min_: np.ndarray
    scale_: np.ndarray

    def transform(self, x):
        return x * self.scale_ + self.min_


class RobustScaler(Step):
    """(x - median) / range."""

    center_: np.ndarray
    scale_: np.ndarray

    def transform(self, x):
        return (x - self.center_) / self.scale_


class PieceScaler(Step):
    """0 to ``pieces`` between a column's bounds; columns of few values by the scaler."""

    pieces: int
    scaler_: StandardScaler
    columns_: list[int]
    bounds_: list[np.ndarray]

    def transform(self, x):
        return in_pieces(self.scaler_.transform(x), x, self.columns_, self.bounds_, self.pieces)


def in_pieces(
    scaled: np.ndarray, x: np.ndarray, columns: list[int], bounds: list[np.ndarray], pieces: int
) -> np.ndarray:
    """Scaled numbers (n, columns), some of them in place as numbers from 0 to ``pieces``, linear between bounds."""
    for j, own in zip(columns, bounds, strict=True):
        scaled[:, j] = np.interp(x[:, j], own, np.linspace(0, pieces, len(own)))
    return scaled


class OutlierClipper(Step):
    """Numbers moved to the bounds."""

    low_: np.ndarray
    high_: np.ndarray

    def transform(self, x):
        return np.clip(x, self.low_, self.high_)


class MissingIndicator(Step):
    """Which of some columns are missing."""

    features_: np.ndarray

    def transform(self, x):
        return np.isnan(x)[:, self.features_]

    def get_feature_names_out(self, names):
        return np.array([f"missingindicator_{names[i]}" for i in self.features_], object)


class SimpleImputer(Step):
    """A column's statistic where NaN is, and columns that say so; columns that were empty are kept."""

    statistics_: np.ndarray
    indicator_: MissingIndicator | None
    add_indicator: bool

    def transform(self, x):
        filled = np.where(np.isnan(x), self.statistics_.astype(np.float64), x)
        return np.hstack([filled, self.indicator_.transform(x)]) if self.indicator_ is not None else filled

    def get_feature_names_out(self, names):
        own = np.asarray(names, object)
        return own if self.indicator_ is None else np.append(own, self.indicator_.get_feature_names_out(names))


class Encoder(Step):
    """Categories as numbers, rare ones as one, the last; -1 where it is none of them."""

    categories_: list[np.ndarray]
    _infrequent_enabled: bool
    _default_to_infrequent_mappings: list[np.ndarray | None]

    def groups(self, column: int) -> np.ndarray | None:
        """The number of each category, where some are one."""
        return self._default_to_infrequent_mappings[column] if self._infrequent_enabled else None

    def numbers(self, x: np.ndarray, unknown_is_rare: bool) -> np.ndarray:
        found = np.empty(x.shape, np.int64)
        for j, categories in enumerate(self.categories_):
            groups = self.groups(j)
            number = dict(zip(categories.tolist(), range(len(categories)) if groups is None else groups, strict=True))
            unknown = -1 if groups is None or not unknown_is_rare else groups.max()
            found[:, j] = [number.get(entry, unknown) for entry in x[:, j].tolist()]
        return found


class OneHotEncoder(Encoder):
    """A column of 0 and 1 for each category; an unknown one is rare, or 0 in all."""

    def transform(self, x):
        numbers, names = self.numbers(x, unknown_is_rare=True), self.kept()
        return np.hstack([(numbers[:, j, None] == np.arange(len(own))).astype(np.float64)
                          for j, own in enumerate(names)])  # fmt: skip

    def kept(self) -> list[list[Any]]:
        """The categories of each column, the rare ones as one."""
        found = []
        for j, categories in enumerate(self.categories_):
            groups = self.groups(j)
            frequent = categories if groups is None else categories[groups < groups.max()]
            found.append([*frequent.tolist(), *(["infrequent_sklearn"] if groups is not None else [])])
        return found

    def get_feature_names_out(self, names):
        return np.array([f"{name}_{c}" for name, own in zip(names, self.kept(), strict=True) for c in own], object)


class OrdinalEncoder(Encoder):
    """The number of each category, and a value for those that are not known."""

    unknown_value: float
    n_features_in_: int

    def transform(self, x):
        numbers = self.numbers(x, unknown_is_rare=False)
        return np.where(numbers < 0, self.unknown_value, numbers).astype(np.float64)


class BinaryEncoder(Step):
    """The bits of a category's number."""

    encoder_: OrdinalEncoder
    sizes_: np.ndarray

    @property
    def n_features_in_(self) -> int:
        return self.encoder_.n_features_in_

    @property
    def categories_(self) -> list[np.ndarray]:
        return self.encoder_.categories_

    def transform(self, x):
        return in_bits(self.encoder_.transform(x).astype(int), self.sizes_)

    def get_feature_names_out(self, names):
        return bit_names(names, self.sizes_)


def in_bits(numbers: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Numbers of categories (n, columns) as their bits, (n, bits of all); 0.5 in each where the number is negative."""
    pairs = zip(numbers.T, sizes, strict=True)
    return np.hstack([np.where(c[:, None] < 0, 0.5, bits(c, k)) for c, k in pairs])


def bit_names(names: Any, sizes: np.ndarray) -> np.ndarray:
    """The column's name and the worth of the bit: color_2, color_1."""
    parts = [(name, bits(np.zeros(1, int), k).shape[1]) for name, k in zip(names, sizes, strict=True)]
    return np.array([f"{name}_{2**i}" for name, width in parts for i in reversed(range(width))], object)


class DateFeatures(Step):
    """Parts of calendar and clock."""

    kept_: list[list[str]]

    def transform(self, x):
        return chosen_parts(x, self.kept_)

    def get_feature_names_out(self, names):
        pairs = zip(names, self.kept_, strict=True)
        return np.array([f"{name}_{part}" for name, kept in pairs for part in kept], object)


def chosen_parts(dates: np.ndarray, kept: list[list[str]]) -> np.ndarray:
    """Dates (n, columns) as the parts that are kept of each, (n, features) float64."""
    made = []
    for column, names in zip(np.asarray(dates).T, kept, strict=True):
        parts = date_parts(column) | {"missing": np.isnat(column).astype(np.float64)}
        made += [parts[name] for name in names]
    return np.stack(made, axis=1)


class TfidfTransformer(Step):
    """The weight of each word."""

    idf_: np.ndarray


class TfidfVectorizer(Step):
    """The words of an entry, times their weights, to length 1: (n,) text to (n, words)."""

    vocabulary_: dict[str, int]
    token_pattern: str
    _tfidf: TfidfTransformer

    def rows(self, texts: list[str]) -> np.ndarray:
        found = np.zeros((len(texts), len(self.vocabulary_)))
        words = re.compile(self.token_pattern)
        for row, text in zip(found, texts, strict=True):
            counts = Counter(word for word in words.findall(text.lower()) if word in self.vocabulary_)
            places = sorted((self.vocabulary_[word], count) for word, count in counts.items())
            for place, count in places:
                row[place] = count * self._tfidf.idf_[place]
            length = math.sqrt(sum(float(row[place]) ** 2 for place, _ in places))
            row /= length or 1.0
        return found

    def get_feature_names_out(self, names: Any = None) -> np.ndarray:
        return np.array(sorted(self.vocabulary_, key=self.vocabulary_.__getitem__), object)


class BagOfWords(Step):
    """The words of each column of text."""

    vectorizers_: list[TfidfVectorizer]

    def transform(self, x):
        columns = zip(self.vectorizers_, np.asarray(x).T, strict=True)
        return np.hstack([vectorizer.rows(as_text(column)) for vectorizer, column in columns])

    def get_feature_names_out(self, names):
        pairs = zip(names, self.vectorizers_, strict=True)
        return np.array([f"{name}_{word}" for name, v in pairs for word in v.get_feature_names_out()], object)


def as_text(column: np.ndarray) -> list[str]:
    """Entries, "" where missing."""
    return ["" if text is None else text for text in column]


CLASSES: dict[str, type[Step]] = {
    cls.__name__: cls
    for cls in (Pipeline, StandardScaler, MinMaxScaler, RobustScaler, PieceScaler, OutlierClipper, MissingIndicator,
                SimpleImputer, OneHotEncoder, OrdinalEncoder, BinaryEncoder, DateFeatures, TfidfTransformer,
                TfidfVectorizer, BagOfWords)
}  # fmt: skip
