"""A search judged by samples that it has not seen: one within each outer fold. Imports the sibling modules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..deprecation import deprecated
from ..report import aligned
from .estimator import as_estimator
from .folds import Folds, as_folds, with_old_parameters
from .search import checked_space, search
from .validate import Validation, checked_rows, folds_of, measure_name


@dataclass
class Nested:
    """What searches found, and how good that is on other samples.

    ``inner[i]`` is the best score that the search of outer fold i saw, ``outer`` the `Validation` of what it chose;
    ``parameters[i]`` what that was.
    """

    inner: np.ndarray
    outer: Validation
    parameters: list[dict[str, Any]]

    @property
    def optimism(self) -> float:
        """How much more a search's best score promises than is kept: mean inner - mean outer score."""
        return float(self.inner.mean()) - self.outer.mean()

    def __str__(self) -> str:
        rows = [
            [str(i), f"{a:.4f}", f"{b:.4f}", ", ".join(f"{k}={_short(v)}" for k, v in p.items())]
            for i, (a, b, p) in enumerate(zip(self.inner, self.outer[None], self.parameters, strict=True), 1)
        ]
        low, high = self.outer.interval()
        return "\n".join([
            aligned(["fold", "search's best", "outer", "parameters"], rows),
            f"outer {self.outer.mean():.4f} ({low:.3f} .. {high:.3f}); the searches promised {self.inner.mean():.4f}, "
            f"{self.optimism:+.4f} too much",
        ])  # fmt: skip


@deprecated("n", "n_trials", since="0.1")
@with_old_parameters
def nested(
    model: Any,
    x: Any,
    y: Any = None,
    space: Mapping[str, Any] | None = None,
    *,
    folds: Any = 5,
    inner: Any = 5,
    method: str = "grid",
    n_trials: int = 20,
    scoring: str | Any = None,
    seed: int = 0,
    n_jobs: int | None = None,
    searching: Mapping[str, Any] | None = None,
    **options: Any,
) -> Nested:
    """Search within each outer fold, and score what was found on the samples that are left: an honest score.

    The best of many scores is partly luck, so that a search's own best promises too much: Cawley and Talbot, Journal
    of Machine Learning Research 11, 2010. ``space``, ``method``, ``n_trials``, ``seed`` and ``searching`` (more
    arguments) are for `search`, with ``inner`` folds: `Folds` of all samples, or a number, divided as the outer ones.
    The rest is as in `cross_validate`.
    """
    space = checked_space(space)
    estimator = as_estimator(model, options)
    x, y = checked_rows(x, y)
    y = np.asarray(y)
    outer_folds = as_folds(folds, seed)
    inner_folds = inner if isinstance(inner, Folds) else replace(outer_folds, folds=inner, repeats=1)
    splits = folds_of(estimator, y, outer_folds)
    best, scores, parameters, seconds = [], [], [], []
    for train, test in splits:
        found = search(
            estimator, _rows(x, train), y[train], space, method=method, n_trials=n_trials,
            folds=inner_folds.of_rows(train), scoring=scoring, seed=seed, n_jobs=n_jobs, **(searching or {}),
        )  # fmt: skip
        best.append(found.best_score_)
        parameters.append(found.best_params_)
        scores.append(found.score(_rows(x, test), y[test]))
        seconds.append(found.refit_time_)
    learnt, tested = (np.array([len(split[i]) for split in splits]) for i in (0, 1))
    outer = Validation({measure_name(estimator, scoring): np.array(scores)}, learnt, tested, np.array(seconds))
    return Nested(np.array(best), outer, parameters)


def _rows(x: Any, rows: np.ndarray) -> Any:
    return x.iloc[rows] if hasattr(x, "iloc") else np.asarray(x)[rows]


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
