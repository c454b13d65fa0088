"""Metrics: how good predictions are, as numbers, by scikit-learn's names. Imports graph, ops, nn and data.

Those that follow from sums are summed in the compiled program, batch after batch, and finished here (`each`, `counts`,
`values`); those that need all predictions at once are scikit-learn's own functions (`scores`).

>>> [name for name in METRICS if name.startswith("f1")]
['f1', 'f1_macro', 'f1_micro', 'f1_weighted', 'f1_samples']
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Any

from ..checks import unknown
from ..errors import ArgumentError
from .base import Mean, MeanOfPrediction, Metric, Scored
from .classification import COUNTED, Averaged, Confusion, Counted, MultilabelConfusion
from .per_sample import FORMULAS, top_accuracy
from .regression import VALUES, OfResiduals
from .sklearn_scores import SCORED, OfScikitLearn, as_scored, targets_of

METRICS: dict[str, Metric] = {
    **{metric.name: metric for metric in COUNTED},
    **{name: Mean(name, formula) for name, formula in FORMULAS.items()},
    **{metric.name: metric for metric in (*VALUES, *SCORED)},
}
SCORES = ("acc", "auc", "score", "precision", "recall", "f1", "jaccard", "kappa", "corrcoef", "r2", "d2", "variance")
LOSSES = ("loss", "mean_", "max_", "root_")  # which may have such a word in them: brier_score_loss

__all__ = [
    "METRICS", "Mean", "MeanOfPrediction", "Metric", "Scored", "as_metric", "as_metrics", "as_scored",
    "larger_is_better", "targets_of",
]  # fmt: skip


def as_metric(given: Any) -> Metric:
    """A metric from a name, itself, or a user's function of (prediction, target) of one sample.

    Names are scikit-learn's, of its functions or its scorers: "f1_macro", "r2" or "r2_score"; "top_k_accuracy" is that
    of its default, k = 2, and "top_5_accuracy" that of 5. Raises `GraphError` for an unknown name, which tells all.

    >>> as_metric("roc_auc_score").name, as_metric("top_3_accuracy").name
    ('roc_auc', 'top_3_accuracy')
    """
    if isinstance(given, Metric):
        return given
    if isinstance(given, str):
        short = given.removesuffix("_score")
        if found := METRICS.get(given) or METRICS.get(short):
            return found
        if top := re.fullmatch(r"top_([1-9]\d*|k)_accuracy", short):
            return Mean(given, _top(2 if top[1] == "k" else int(top[1])))
        names = sorted({*METRICS, "top_5_accuracy (or another number)"})
        raise unknown("metric", given, names, "or give a function of (prediction, target)")
    if callable(given):
        return MeanOfPrediction(given.__name__, given)
    raise ArgumentError(f"a metric must be a name or a function of (prediction, target), got {given!r}")


@functools.cache
def _top(k: int):
    return functools.partial(top_accuracy, k=k)


def as_metrics(metrics: Iterable[Any]) -> dict[str, Metric]:
    """Metrics by their names; a name or a function given is the key."""
    if isinstance(metrics, str):
        raise ArgumentError(f"metrics must be a list, for example [{metrics!r}]")
    found = {}
    for given in metrics:
        metric = as_metric(given)
        found[given if isinstance(given, str) else metric.name] = metric
    return found


def larger_is_better(name: str) -> bool:
    """Whether an epoch is better where this number of its history is larger: for scores, told by their names.

    >>> larger_is_better("val_f1_macro"), larger_is_better("val_loss"), larger_is_better("perplexity")
    (True, False, False)
    """
    return any(word in name for word in SCORES) and not any(word in name for word in LOSSES)
