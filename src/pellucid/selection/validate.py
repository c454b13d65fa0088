"""How good is it: scores on folds that were not learnt from, and how sure they are. Imports scikit-learn and report."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.model_selection import cross_validate as sklearn_cross_validate

from ..data.dataset import no_targets, taken_apart
from ..deprecation import deprecated
from ..errors import DataError
from ..report import aligned
from ..train.remarks import remark
from .estimator import as_estimator
from .folds import Split, as_folds, with_old_parameters


@dataclass
class Validation:
    """Scores of folds by measure, larger being better, with mean, deviation and interval.

    ``scores[measure][i]`` is fold i's; ``learnt`` and ``tested`` are the numbers of samples of each fold;
    ``seconds`` what training took; ``estimators`` what was trained, if kept. Where a method takes ``measure``, it is
    the first one by default.

    >>> v = Validation({"accuracy": np.array([0.9, 1.0, 0.8])}, np.array([20, 20, 20]), np.array([10, 10, 10]))
    >>> round(v.mean(), 3), round(v.std(), 3), [round(b, 3) for b in v.interval(corrected=False)]
    (0.9, 0.1, [0.652, 1.0])
    >>> print(v)
    3 folds: 20 samples to learn from, 10 to test on
      measure     mean     std   95 % interval
      accuracy  0.9000  0.1000  0.507 .. 1.000
      each      0.9000 1.0000 0.8000
    """

    scores: dict[str, np.ndarray]
    learnt: np.ndarray
    tested: np.ndarray
    seconds: np.ndarray = field(default_factory=lambda: np.zeros(0))
    estimators: list[Any] = field(default_factory=list)

    def __getitem__(self, measure: str | None) -> np.ndarray:
        """Each fold's score."""
        if measure is None:
            return next(iter(self.scores.values()))
        if measure not in self.scores:
            raise DataError(f"there is no measure {measure!r}; there are {', '.join(self.scores)}")
        return self.scores[measure]

    def mean(self, measure: str | None = None) -> float:
        """The mean over the folds."""
        return float(self[measure].mean())

    def std(self, measure: str | None = None) -> float:
        """The standard deviation over the folds, s = sqrt(sum (x - mean)^2 / (J - 1))."""
        return float(self[measure].std(ddof=1))

    def interval(self, level: float = 0.95, corrected: bool = True, measure: str | None = None) -> tuple[float, float]:
        """The confidence interval of the mean, by Student's t with J - 1 degrees of freedom: mean +- t error.

        Corrected, error^2 = (1/J + tested/learnt) s^2: folds share most of what they learn from, and are less
        different than independent ones. Else error^2 = s^2/J. Nadeau and Bengio, Machine Learning 52, 2003. Student's t
        knows no bounds, so the interval is cut off where the measure ends: an accuracy at 0 and 1, R2 at 1.
        """
        error = standard_error(self[measure], self.learnt, self.tested, corrected)
        reach = t_reach(len(self[measure]), level) * error
        least, most = bounds(next(iter(self.scores)) if measure is None else measure, self[measure])
        return max(self.mean(measure) - reach, least), min(self.mean(measure) + reach, most)

    def __str__(self) -> str:
        rows = []
        for name in self.scores:
            low, high = self.interval(measure=name)
            rows.append([name, f"{self.mean(name):.4f}", f"{self.std(name):.4f}", f"{low:.3f} .. {high:.3f}"])
        each = [f"  each      {_numbers(self[name])}" for name in self.scores] if len(self.learnt) <= 10 else []
        head = (
            f"{len(self.learnt)} folds: {_range(self.learnt)} samples to learn from, {_range(self.tested)} to test on"
        )
        return "\n".join([head, aligned(["measure", "mean", "std", "95 % interval"], rows), *each])


UP_TO_ONE = re.compile(  # scikit-learn's names of measures between 0 and 1
    r"((balanced_|top_k_)?accuracy|roc_auc|average_precision|(f1|precision|recall|jaccard))(_\w+)?"
)


def bounds(measure: str, scores: np.ndarray) -> tuple[float, float]:
    """Between which a measure of this name lies; without an end where that is not known, or the scores are beyond it.

    >>> bounds("f1_macro", np.array([0.5])), bounds("R2", np.array([0.5])), bounds("mine", np.array([0.5]))
    ((0.0, 1.0), (-inf, 1.0), (-inf, inf))
    """
    low, high = -math.inf, math.inf
    if UP_TO_ONE.fullmatch(measure):
        low, high = 0.0, 1.0
    elif measure in ("R2", "r2", "explained_variance") or measure.startswith("d2_"):
        high = 1.0
    elif measure == "matthews_corrcoef":
        low, high = -1.0, 1.0
    elif measure.startswith("neg_"):  # errors and losses, negated
        high = 0.0
    return (low, high) if low <= scores.min() and scores.max() <= high else (-math.inf, math.inf)


def standard_error(scores: np.ndarray, learnt: np.ndarray, tested: np.ndarray, corrected: bool = True) -> float:
    """The standard error of the mean of folds' scores; corrected for what the folds share."""
    shared = float(np.mean(tested) / np.mean(learnt)) if corrected else 0.0
    return float(scores.std(ddof=1)) * math.sqrt(1 / len(scores) + shared)


def t_reach(n: int, level: float) -> float:
    """How many standard errors an interval of that level reaches to each side, for n scores."""
    from scipy.stats import t

    if not 0 < level < 1:
        raise DataError(f"level must be between 0 and 1, for example 0.95, got {level!r}")
    return float(t.ppf((1 + level) / 2, n - 1))


@deprecated("keep", "return_estimator", since="0.1")
@with_old_parameters
def cross_validate(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    folds: Any = 10,
    scoring: str | Sequence[str] | Any = None,
    sample_weight: Any = None,
    n_jobs: int | None = None,
    return_estimator: bool = False,
    **options: Any,
) -> Validation:
    """Train anew on all folds but one, and score on that one, for each: how good is what is learnt so.

    - ``model``: a `Model` (a new one is made of it for each fold), a function that makes one, or an estimator of
      scikit-learn's. ``options`` are those of the model's `ModelEstimator`: ``epochs=20``.
    - ``x``, ``y``: the samples, or a `Dataset` as ``x``.
    - ``folds``: `Folds`, or how many, a splitter of scikit-learn's, or pairs of rows.
    - ``scoring``: scikit-learn's names, or its scorers; by default accuracy for classes, R2 for values.
    - ``n_jobs``: folds at a time, by joblib, on the back end that ``joblib.parallel_config`` names.
    - ``return_estimator``: keep what was trained, as ``estimators``.

    Raises `DataError` for folds that cannot be made, and for a score that is not a number.

    >>> from sklearn.dummy import DummyClassifier
    >>> y = [0, 0, 0, 0, 0, 0, 1, 1, 1]
    >>> print(cross_validate(DummyClassifier(), np.zeros((9, 2)), y, folds=3))  # it says 0, always
    3 folds: 6 samples to learn from, 3 to test on
      measure     mean     std   95 % interval
      accuracy  0.6667  0.0000  0.667 .. 0.667
      each      0.6667 0.6667 0.6667
    """
    estimator = as_estimator(model, options)
    x, y = checked_rows(x, y)
    splits = folds_of(estimator, y, folds)
    return validate(estimator, x, y, splits, scoring, sample_weight, n_jobs, return_estimator)


def validate(
    estimator: Any, x: Any, y: Any, splits: list[Split], scoring=None, sample_weight=None, n_jobs=None, keep=False
) -> Validation:
    """Scores of an estimator on folds that are made already."""
    several = isinstance(scoring, (list, tuple, set, dict))
    weights = None if sample_weight is None else {"sample_weight": np.asarray(sample_weight)}
    scorers = list(scoring) if several and not isinstance(scoring, dict) else scoring
    options = {"cv": splits, "n_jobs": n_jobs, "return_estimator": keep, "error_score": "raise", "params": weights}
    try:
        found = sklearn_cross_validate(estimator, x, np.asarray(y), scoring=scorers, **options)
    except ValueError as error:
        if hint := _untested(estimator, np.asarray(y), splits):
            raise DataError(f"{error}. {hint}") from error
        raise
    names = [k.removeprefix("test_") for k in found if k.startswith("test_")]
    scores = {measure_name(estimator, scoring) if not several else name: found[f"test_{name}"] for name in names}
    for name, values in scores.items():
        if not np.isfinite(values).all():
            bad = int(np.flatnonzero(~np.isfinite(values))[0])
            hint = _untested(estimator, np.asarray(y), splits)
            raise DataError(
                f"{name} of fold {bad + 1}, of {len(splits[bad][1])} samples, is not a number. {hint}".strip()
            )
    learnt, tested = (np.array([len(split[i]) for split in splits]) for i in (0, 1))
    return Validation(scores, learnt, tested, found["fit_time"], list(found.get("estimator", [])))


def _untested(estimator: Any, y: np.ndarray, splits: list[Split]) -> str:
    """What to say where a fold lacks a class to test on; empty if none does."""
    for i, (_, test) in enumerate(splits if is_classifier(estimator) and y.ndim == 1 else [], 1):
        if len(missing := np.setdiff1d(y, y[test])):
            return (f"Fold {i} has no sample of class {missing[0]!s} to test on: use fewer folds, Folds(..., "
                    "stratify=True), or a score that does not need every class")  # fmt: skip
    return ""


def measure_name(estimator: Any, scoring: Any) -> str:
    """What a score is called."""
    if scoring is None:
        return "accuracy" if is_classifier(estimator) else "R2"
    return scoring if isinstance(scoring, str) else getattr(scoring, "__name__", "score")


def checked_rows(x: Any, y: Any) -> tuple[Any, Any]:
    """Samples and targets, of a Dataset too; `DataError` unless there is one target for each sample of one array."""
    x, y = taken_apart(x, y)
    if y is None:
        raise no_targets(x)
    if isinstance(x, (dict, tuple)):
        raise DataError("folds divide one array or DataFrame of samples, but x is several; join them, and part them "
                        "in the net")  # fmt: skip
    if len(x) != len(y):
        raise DataError(f"x has {len(x)} samples and y {len(y)} targets: there must be one target for each sample")
    return x, y


def folds_of(estimator: Any, y: Any, folds: Any, seed: int = 0) -> list[Split]:
    """The folds for an estimator: by classes where it is a classifier of one class a sample and nobody says else."""
    folds = as_folds(folds, seed)
    parameters = estimator.get_params(deep=False) if hasattr(estimator, "get_params") else {}
    inner = next((name for name in ("validation_split", "early_stopping") if parameters.get(name)), None)
    if folds.groups is not None and inner is not None:
        remark(f"{inner} holds samples back by chance within each fold, so that those of one group are divided; leave "
               "it out, or give validation data of other groups")  # fmt: skip
    if getattr(estimator, "rows_overlap", False) and not folds.time_ordered and folds.counted:
        remark(f"the rows of {type(estimator).__name__} are windows that share steps with their neighbors, and folds "
               "drawn by chance are tested on what was learnt from; use Folds(..., time_ordered=True)")  # fmt: skip
    if folds.stratify is None and np.ndim(y) == 1 and not is_classifier(estimator):
        y = np.zeros(len(y))  # whole numbers may be values too
    return folds.split(y)


def _range(counts: np.ndarray) -> str:
    low, high = counts.min(), counts.max()
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _numbers(values: np.ndarray) -> str:
    return " ".join(f"{v:.4f}" for v in values)
