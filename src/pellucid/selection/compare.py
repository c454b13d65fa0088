"""Which of several is better, on the same folds, and is it chance? Imports the sibling modules."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..errors import DataError
from ..report import aligned
from .estimator import as_estimator
from .folds import with_old_parameters
from .validate import Validation, bounds, checked_rows, folds_of, standard_error, t_reach, validate


class Difference(NamedTuple):
    """What ``first`` scores more than ``second``: mean, interval, Student's t, and its chance p without and with Holm's
    correction for all pairs."""

    first: str
    second: str
    mean: float
    low: float
    high: float
    t: float
    p: float
    p_holm: float


@dataclass
class Comparison:
    """Validations of several on the same folds, by name, and the differences of all pairs."""

    validations: dict[str, Validation]
    differences: list[Difference]
    measure: str
    level: float

    @property
    def best(self) -> str:
        """The name of the one with the largest mean."""
        return max(self.validations, key=lambda name: self.validations[name].mean(self.measure))

    def __str__(self) -> str:
        interval = f"{self.level:.0%} interval".replace("%", " %")
        rows = []
        for name, v in self.validations.items():
            low, high = v.interval(self.level, measure=self.measure)
            mean, std = v.mean(self.measure), v.std(self.measure)
            rows.append([name, f"{mean:.4f}", f"{std:.4f}", f"{low:.3f} .. {high:.3f}", f"{v.seconds.sum():.2f}"])
        pairs = [
            [f"{d.first} - {d.second}", f"{d.mean:+.4f}", f"{d.low:+.4f} .. {d.high:+.4f}", f"{d.t:+.2f}",
             f"{d.p:.3f}", f"{d.p_holm:.3f}"]
            for d in self.differences
        ]  # fmt: skip
        return "\n".join([
            aligned([self.measure, "mean", "std", interval, "seconds"], rows), "",
            aligned(["difference", "mean", interval, "t", "p", "p (Holm)"], pairs),
        ])  # fmt: skip


@with_old_parameters
def compare(
    candidates: Mapping[str, Any] | Sequence[Any],
    x: Any = None,
    y: Any = None,
    *,
    folds: Any = 10,
    scoring: Any = None,
    measure: str | None = None,
    level: float = 0.95,
    n_jobs: int | None = None,
    **options: Any,
) -> Comparison:
    """Compare candidates on the same folds, pair by pair, by the corrected resampled t-test.

    t = mean(d) / (s_d sqrt(1/J + tested/learnt)) for the differences d of the J folds, with J - 1 degrees of freedom:
    Nadeau and Bengio, Machine Learning 52, 2003. Of several pairs, Holm's correction keeps the chance that any of them
    is found different by accident: Scandinavian Journal of Statistics 6, 1979.

    - ``candidates``: by name, or a list: models, functions that make them, scikit-learn's estimators; or `Validation`s
      that are there already, on the same folds (then without x and y).
    - the rest as in `cross_validate`; ``options`` are for all the models; ``measure``: which of several scores.

    Raises `DataError` for fewer than two candidates, and for validations of different folds.

    >>> learnt, tested = np.array([90] * 3), np.array([10] * 3)
    >>> a = Validation({"accuracy": np.array([0.90, 0.80, 0.85])}, learnt, tested)
    >>> b = Validation({"accuracy": np.array([0.80, 0.75, 0.70])}, learnt, tested)
    >>> (d,) = compare({"a": a, "b": b}).differences       # 0.1, 0.05, 0.15: 0.1 / (0.05 sqrt(1/3 + 1/9)) = 3
    >>> round(d.mean, 3), round(d.t, 3), round(d.p, 3)
    (0.1, 3.0, 0.095)
    """
    named = dict(candidates) if isinstance(candidates, Mapping) else _named(candidates)
    if len(named) < 2:
        raise DataError(f"compare takes two candidates or more, got {len(named)}")
    there = {name: c for name, c in named.items() if isinstance(c, Validation)}
    if not there:
        if x is None:
            raise DataError("compare needs x and y to train on, or Validations that are there already")
        x, y = checked_rows(x, y)
        models = {n: as_estimator(c, {} if hasattr(c, "get_params") else options) for n, c in named.items()}
        first_model = next(iter(models.values()))
        splits = folds_of(first_model, y, folds)
        there = {n: validate(m, x, y, splits, scoring, n_jobs=n_jobs) for n, m in models.items()}
    elif len(there) < len(named):
        raise DataError("give Validations or models, not both: they must have been tested on the same folds")
    elif x is not None:
        raise DataError("Validations are compared as they are; leave x and y out")
    first = next(iter(there.values()))
    measure = measure or next(iter(first.scores))
    for name, v in there.items():
        if not np.array_equal(v.learnt, first.learnt) or not np.array_equal(v.tested, first.tested):
            raise DataError(f"{name!r} was tested on other folds ({len(v.learnt)}) than the first "
                            f"({len(first.learnt)}); validate with the same Folds")  # fmt: skip
    found = [_difference(a, b, there[a], there[b], measure, level) for a, b in itertools.combinations(there, 2)]
    corrected = holm([d.p for d in found])
    return Comparison(there, [d._replace(p_holm=p) for d, p in zip(found, corrected, strict=True)], measure, level)


def _difference(first: str, second: str, a: Validation, b: Validation, measure: str, level: float) -> Difference:
    from scipy.stats import t as student

    d = a[measure] - b[measure]
    mean, error = float(d.mean()), standard_error(d, a.learnt, a.tested)
    if error:
        t = mean / error
    else:  # the same in every fold: no difference, or one without doubt
        t = float(np.sign(mean) * np.inf) if mean else 0.0
    p = 2 * float(student.sf(abs(t), len(d) - 1))
    reach = t_reach(len(d), level) * error
    low, high = bounds(measure, np.concatenate([a[measure], b[measure]]))
    most = high - low  # two accuracies differ by 1 at most
    return Difference(first, second, mean, max(mean - reach, -most), min(mean + reach, most), t, p, p)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's correction: the i-th smallest of m times m - i (i from 0), never less than a smaller one's, at most 1.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected, largest = [0.0] * len(p), 0.0
    for rank, i in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[i]))
        corrected[i] = largest
    return corrected


def _named(candidates: Sequence[Any]) -> dict[str, Any]:
    """Candidates by the names of their classes or functions, numbered where these are alike."""
    names = [getattr(c, "__name__", type(c).__name__) for c in candidates]
    return {
        name if names.count(name) == 1 else f"{name} {names[: i + 1].count(name)}": c
        for i, (name, c) in enumerate(zip(names, candidates, strict=True))
    }
