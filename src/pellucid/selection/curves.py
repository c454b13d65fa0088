"""Scores against the number of samples, or against a parameter, by scikit-learn's tools; with their picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.model_selection import learning_curve as sklearn_learning_curve
from sklearn.model_selection import validation_curve as sklearn_validation_curve

from ..deprecation import deprecated
from ..errors import DataError
from ..figures import finished, new_figure
from ..report import aligned
from .estimator import as_estimator
from .folds import as_folds, with_old_parameters
from .validate import checked_rows, folds_of, measure_name


@dataclass
class Curve:
    """Scores on what was learnt from and on other samples, (points, folds), against ``values`` of ``name``."""

    name: str
    values: list[Any]
    training: np.ndarray
    validation: np.ndarray
    measure: str

    @property
    def best(self) -> Any:
        """The value with the largest mean score on samples that were not learnt from."""
        return self.values[int(self.validation.mean(axis=1).argmax())]

    def __str__(self) -> str:
        rows = [
            [str(v), f"{t.mean():.4f}", f"{u.mean():.4f}", f"{u.std(ddof=1):.4f}"]
            for v, t, u in zip(self.values, self.training, self.validation, strict=True)
        ]
        return f"{self.measure}\n" + aligned([self.name, "training", "validation", "std"], rows)

    def plot(self, path: Any = None) -> Any:
        """Mean and standard deviation of both as a matplotlib figure, saved to ``path`` if given (``[plot]``)."""
        figure = new_figure("Curve.plot", 5.2, 3.6)
        panel = figure.subplots()
        numbers = all(isinstance(v, (int, float, np.number)) for v in self.values)
        at: Any = self.values if numbers else range(len(self.values))
        for scores, label in ((self.training, "training"), (self.validation, "validation")):
            mean, std = scores.mean(axis=1), scores.std(axis=1, ddof=1)
            panel.plot(at, mean, marker=".", label=label)
            panel.fill_between(at, mean - std, mean + std, alpha=0.15)
        if not numbers:
            panel.set_xticks(at, [str(v) for v in self.values])
        elif min(at) > 0 and max(at) / min(at) >= 30:
            panel.set_xscale("log")
        panel.set(xlabel=self.name.replace("_", " "), ylabel=self.measure.replace("_", " "))
        panel.grid(alpha=0.3)
        panel.legend()
        return finished(figure, path)


@deprecated("sizes", "train_sizes", since="0.1")
@with_old_parameters
def learning_curve(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    train_sizes: Sequence[float] = (0.1, 0.325, 0.55, 0.775, 1.0),
    folds: Any = 5,
    scoring: Any = None,
    n_jobs: int | None = None,
    **options: Any,
) -> Curve:
    """Scores against the number of samples learnt from: would more of them help?

    ``train_sizes`` are numbers of samples, or fractions of those that a fold has to learn from; the rest as in
    `cross_validate`. Raises `DataError` for sizes that are larger.

    >>> from sklearn.datasets import load_iris
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> curve = learning_curve(KNeighborsClassifier(), *load_iris(return_X_y=True), train_sizes=[30, 120])
    >>> curve.values, curve.training.shape
    ([30, 120], (2, 5))
    """
    estimator = as_estimator(model, options)
    x, y = checked_rows(x, y)
    folds = as_folds(folds)
    splits = folds_of(estimator, y, folds)
    most = min(len(train) for train, _ in splits)
    if not len(train_sizes) or any(not 0 < s <= most for s in train_sizes):
        raise DataError(
            f"train_sizes must be fractions up to 1.0, or numbers of samples up to {most}, got {list(train_sizes)}"
        )
    absolute = [max(1, int(s * most)) if isinstance(s, float) and s <= 1 else int(s) for s in train_sizes]
    numbers, training, validation, *_ = sklearn_learning_curve(
        estimator, x, np.asarray(y), train_sizes=absolute, cv=splits, scoring=scoring, n_jobs=n_jobs,
        shuffle=not folds.time_ordered, random_state=folds.seed, error_score="raise",
    )  # fmt: skip
    return Curve("samples", numbers.tolist(), training, validation, measure_name(estimator, scoring))


@deprecated("name", "param_name", since="0.1")
@deprecated("values", "param_range", since="0.1")
@with_old_parameters
def validation_curve(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    param_name: str,
    param_range: Sequence[Any],
    folds: Any = 5,
    scoring: Any = None,
    n_jobs: int | None = None,
    **options: Any,
) -> Curve:
    """Scores against the values of one parameter: where does the model learn too little, where too much?

    ``param_name`` is a parameter of the estimator, or an option of the model (see `ModelEstimator`), ``param_range``
    the values that are tried; the rest as in `cross_validate`.

    >>> from sklearn.datasets import load_iris
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> data = load_iris(return_X_y=True)
    >>> tree = DecisionTreeClassifier(random_state=0)
    >>> curve = validation_curve(tree, *data, param_name="max_depth", param_range=[1, 3])
    >>> curve.best
    3
    """
    estimator = as_estimator(model, options)
    x, y = checked_rows(x, y)
    if not len(param_range):
        raise DataError(f"validation_curve: param_range is empty: which values of {param_name!r} are to be tried?")
    splits = folds_of(estimator, y, folds)
    training, validation = sklearn_validation_curve(
        estimator, x, np.asarray(y), param_name=param_name, param_range=list(param_range), cv=splits, scoring=scoring,
        n_jobs=n_jobs, error_score="raise",
    )  # fmt: skip
    return Curve(param_name, list(param_range), training, validation, measure_name(estimator, scoring))
