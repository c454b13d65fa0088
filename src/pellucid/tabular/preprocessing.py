"""`FittedPreprocessing`: fitted transformers that make an array of a table's columns; `PreprocessingSpec`: which ones.

Imports data, and scikit-learn where transformers are made.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data import Table
from ..data.outliers import METHODS
from ..deprecation import deprecated
from ..errors import DataError
from .cells import LARGEST, dates_of, finite, in_order, listed, missing, texts_of
from .columns import Columns

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from . import replay

NONE = "(missing)"  # the category of missing entries
WORDS, NUMBERS = 4000, 40_000_000  # of a column of text, at most; fewer where rows times words were more than these
MOST_CATEGORIES = 40  # of one column; the rarest are taken together
IMPUTE = ("median", "mean", "most_frequent", "constant", "neighbors")
SCALERS = {"standard": "StandardScaler", "minmax": "MinMaxScaler", "robust": "RobustScaler", "pieces": "PieceScaler"}
ENCODE = ("one_hot", "binary", "ordinal")
OF_NUMBERS = {"clip": ("OutlierClipper",), "impute": ("SimpleImputer", "KNNImputer"), "scale": (*SCALERS.values(),)}
PARTS: dict[str, dict[str, tuple[str, ...]]] = {  # kinds of columns, and the classes of the steps that there may be
    "numbers": OF_NUMBERS,
    "ordered": {"order": ("OrdinalEncoder",), **OF_NUMBERS},
    "categories": {"impute": ("SimpleImputer",), "encode": ("OneHotEncoder", "BinaryEncoder")},
    "dates": {"dates": ("DateFeatures",), **OF_NUMBERS},
    "texts": {"words": ("BagOfWords",)},
}


@deprecated("neighbours", "neighbors", since="0.1")
@dataclass(frozen=True)
class PreprocessingSpec:
    """How columns become numbers.

    - ``impute``: what stands where a number is missing: the column's "median", "mean" or "most_frequent" value,
      "constant" (``fill_value``), or the mean of the nearest "neighbors" (5 rows, after scaling). With ``indicator``
      another column says that it was missing. Missing categories are a category of their own.
    - ``scale``: "standard" (mean 0, deviation 1), "minmax" (0 to 1), "robust" (median 0, interquartile range 1),
      "pieces" (`PieceScaler`), None.
    - ``encode``: categories as "one_hot" (k columns), "binary" (log2 k columns) or "ordinal" (one, sorted).
    - ``order``: {column: its values in order}: one column of numbers, scaled; a value that is not there is missing.
    - ``clip``: numbers far from the others are moved to the bounds of `data.outliers`, by "iqr" or "robust_z".

    Raises `DataError` for other words.
    """

    impute: str = "median"
    scale: str | None = "standard"
    encode: str = "one_hot"
    order: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    clip: str | None = None
    indicator: bool = True
    fill_value: float = 0.0
    neighbors: int = 5

    def __post_init__(self) -> None:
        if self.impute == "neighbours":  # as it was spelled before
            warnings.warn('impute="neighbours" was renamed in 0.1 and will be removed; use impute="neighbors"',
                          FutureWarning, stacklevel=4)  # fmt: skip
            object.__setattr__(self, "impute", "neighbors")
        known = {"impute": IMPUTE, "scale": (*SCALERS, None), "encode": ENCODE, "clip": (*METHODS, None)}
        for name, words in known.items():
            if getattr(self, name) not in words:
                raise DataError(f"{name} must be one of {', '.join(map(repr, words))}, got {getattr(self, name)!r}")

    def of_numbers(self) -> list[tuple[str, Any]]:
        """The steps for columns of numbers with NaN where missing."""
        from sklearn import impute, preprocessing

        from .transformers import OutlierClipper, PieceScaler

        scalers = vars(preprocessing) | {"PieceScaler": PieceScaler}
        options = {"add_indicator": self.indicator, "keep_empty_features": True}
        scale = [("scale", scalers[SCALERS[self.scale]]())] if self.scale else []
        clip = [("clip", OutlierClipper(self.clip))] if self.clip else []
        if self.impute == "neighbors":  # by distances, which need a scale
            return [*clip, *scale, ("impute", impute.KNNImputer(n_neighbors=self.neighbors, **options))]
        fill = {"fill_value": self.fill_value} if self.impute == "constant" else {}
        return [*clip, ("impute", impute.SimpleImputer(strategy=self.impute, **fill, **options)), *scale]

    def of_ordered(self, orders: Sequence[Sequence[str]]) -> list[tuple[str, Any]]:
        """The steps for columns of text whose values have an order."""
        from sklearn.preprocessing import OrdinalEncoder

        unknown = {"handle_unknown": "use_encoded_value", "unknown_value": np.nan}
        categories = [np.array(order, object) for order in orders]
        return [("order", OrdinalEncoder(categories=categories, **unknown)), *self.of_numbers()]

    def of_categories(self, n: int) -> list[tuple[str, Any]]:
        """The steps for columns of text, None where missing, of n training rows."""
        from sklearn.preprocessing import OneHotEncoder

        from .transformers import BinaryEncoder

        grouped: dict[str, Any] = {"min_frequency": rare(n), "max_categories": MOST_CATEGORIES}
        if self.encode == "binary":
            encode = BinaryEncoder(**grouped)
        else:
            encode = OneHotEncoder(handle_unknown="infrequent_if_exist", sparse_output=False, **grouped)
        return [("encode", encode)]

    def of_dates(self) -> list[tuple[str, Any]]:
        """The steps for columns of dates; a column more says which were missing, so that no indicator is added."""
        from .transformers import DateFeatures

        plain = replace(self, indicator=False)
        return [("dates", DateFeatures()), *plain.of_numbers()]

    def filled(self, table: Table, columns: Columns) -> str:
        """A sentence on what is missing, and what is done about it; empty where nothing is."""
        gone = {name: int(missing(table[name]).sum()) for name in columns.names}
        counts = [f"{name} {count}" for name, count in gone.items() if count]
        by = {"constant": f"{self.fill_value:g}", "neighbors": "the mean of the nearest rows"}.get(
            self.impute, f"the column's {self.impute.replace('_', ' ')}"
        )
        of_numbers = (*columns.numbers, *columns.ordered, *columns.dates)
        numbers = f"; numbers are filled with {by}" if any(gone[n] for n in of_numbers) else ""
        own = "; a missing category is a category" if any(gone[n] for n in columns.categories) else ""
        return f"missing: {listed(counts)}{numbers}{own}" if counts else ""


def rare(n: int) -> int:
    """The number of rows, of n, that a category needs: fewer say nothing of it."""
    return max(2, round(0.01 * n))


@dataclass(frozen=True)
class FittedPreprocessing:
    """Fitted transformers of the used columns: a table to an array (n, features), numbers first."""

    columns: Columns
    steps: Mapping[str, Pipeline | replay.Pipeline]

    @classmethod
    def fit(cls, table: Table, columns: Columns, how: PreprocessingSpec | None = None) -> FittedPreprocessing:
        """Learn medians, means, deviations and categories from the training rows."""
        from sklearn.pipeline import Pipeline

        from .transformers import BagOfWords

        how = how or PreprocessingSpec()
        orders = {name: [str(v) for v in order] for name, order in how.order.items() if name in columns.names}
        if how.encode == "ordinal":
            orders |= {name: in_order(table[name]) for name in columns.categories if name not in orders}
            orders = {name: [text for text in order if text] for name, order in orders.items()}  # without missing ones
        columns = columns.with_order(tuple(orders))
        steps = {}
        if columns.numbers:
            steps["numbers"] = Pipeline(how.of_numbers())
        if columns.ordered:
            steps["ordered"] = Pipeline(how.of_ordered([orders[name] for name in columns.ordered]))
        if columns.categories:
            steps["categories"] = Pipeline(how.of_categories(len(table)))
        if columns.dates:
            steps["dates"] = Pipeline(how.of_dates())
        if columns.texts:
            most = min(WORDS, max(100, NUMBERS // len(table)))
            steps["texts"] = Pipeline([("words", BagOfWords(most))])
        made = cls(columns, steps)
        for kind, step in steps.items():
            step.fit(made.matrix(table, kind))
        return made

    def transform(self, table: Table) -> np.ndarray:
        """The features of each row (n, features), float64.

        Raises `DataError` for missing columns, for text in a column of numbers, and for numbers that are too large,
        as they are or scaled. Other columns are ignored.
        """
        if lacking := [name for name in self.columns.names if name not in table.names]:
            what = f"the column{'s' * (len(lacking) > 1)} {listed(lacking)}, which the model needs"
            raise DataError(f"{table.source} lacks {what}; its columns are {listed(table.names)}")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Found unknown categories", UserWarning)  # `unseen` says it
            made = np.hstack([step.transform(self.matrix(table, kind)) for kind, step in self.steps.items()])
        if not (abs(made) <= LARGEST).all():
            row, column = np.argwhere(~(abs(made) <= LARGEST))[0]
            raise DataError(f"{table.source}: {self.feature_names()[column]} is {made[row, column]:g} in row {row + 1} "
                            "after scaling, too far from the training rows to compute with")  # fmt: skip
        return made

    def feature_names(self) -> list[str]:
        """A name for each feature: age, missingindicator_age, sex_female, sex_male."""
        return [
            str(name)
            for kind, step in self.steps.items()
            for name in step.get_feature_names_out(np.array(getattr(self.columns, kind), object))
        ]

    def in_pieces(self) -> list[int]:
        """The features that a `PieceScaler` has brought to 0..pieces, by number."""
        found, first = [], 0
        for kind, step in self.steps.items():
            scaler: Any = step.named_steps.get("scale")
            if type(scaler).__name__ == "PieceScaler":
                found += [first + j for j in scaler.columns_]
            first += len(step.get_feature_names_out(np.array(getattr(self.columns, kind), object)))
        return found

    def unseen(self, table: Table) -> list[str]:
        """A sentence for each column with categories that the training rows did not have."""
        found = []
        for name, categories in self.categories().items():
            texts = texts_of(table[name])
            new = set(texts) - set(categories) - {""}
            if new:
                row = next(i for i, text in enumerate(texts, 1) if text in new)
                found.append(
                    f"{name} has {len(new)} value{'s' * (len(new) > 1)} not seen in training, such as "
                    f"{texts[row - 1]!r} in row {row}"
                )
        return found

    def categories(self) -> dict[str, Sequence[str]]:
        """The known values of each column of categories."""
        known: dict[str, Sequence[str]] = {}
        for kind, step in (("ordered", "order"), ("categories", "encode")):
            if names := getattr(self.columns, kind):
                known |= zip(names, self.steps[kind].named_steps[step].categories_, strict=True)
        return known

    def matrix(self, table: Table, kind: str) -> np.ndarray:
        """The columns of a kind (n, columns): float64 (NaN where missing), datetime64, or text."""
        if kind == "numbers":
            return np.stack([finite(table, name) for name in self.columns.numbers], axis=1)
        columns = [table[name] for name in getattr(self.columns, kind)]
        if kind == "dates":
            where = [f"{table.source}: column {name!r}" for name in self.columns.dates]
            return np.stack([dates_of(column, at) for column, at in zip(columns, where, strict=True)], axis=1)
        texts = np.empty((len(table), len(columns)), object)
        for j, column in enumerate(columns):
            texts[:, j] = column if column.dtype.kind == "O" else [text or None for text in texts_of(column)]
        if kind == "categories":
            texts[texts == None] = NONE  # noqa: E711
        return texts


Preparation, Preprocessing = PreprocessingSpec, FittedPreprocessing  # their names in older pickles
