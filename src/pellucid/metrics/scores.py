"""Metrics that need all predictions at once, computed by scikit-learn; and the arrays it takes. Imports numpy.

scikit-learn is imported when one is computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data import DataError
from ..graph import GraphError
from ..nn.activations import softmax
from ..nn.losses import Loss
from .base import Metric, Scored
from .each import class_numbers, is_binary
from .values import must_be_values


@dataclass(frozen=True)
class OfScikitLearn(Scored):
    """A function of `sklearn.metrics` by its name.

    ``classes``: whether it takes classes or values; ``several``: more than two classes, or more than one value;
    ``options`` are given to it.
    """

    function: str  # type: ignore[assignment]
    classes: bool = False
    several: bool = True
    options: tuple[tuple[str, Any], ...] = ()

    def sums(self, y, t, loss):
        if not self.classes:
            must_be_values(y, t, loss, self.name)
            if y.size > 1 and not self.several:
                raise GraphError(f"{self.name} takes one value for each sample, but the net gives {y.size}")
        elif not is_binary(y, t, loss):
            class_numbers(y, t, loss, self.name)
            if y.shape[-1] > 2 and not self.several:
                raise GraphError(f"{self.name} takes two classes, or several labels, but the net has {y.shape[-1]} "
                                 f"classes; use {self.name}_ovr or {self.name}_ovo")  # fmt: skip
        return {}

    def score(self, t, prediction, weight):
        import sklearn.metrics

        self.check(t, prediction.shape[-1] if prediction.ndim > 1 else 1)
        function, options = getattr(sklearn.metrics, self.function), dict(self.options)
        scored = Scored(self.name, lambda t, y, sample_weight: function(t, y, sample_weight=sample_weight, **options))
        return scored.score(t, prediction, weight)

    def check(self, t, k):
        if not self.classes:
            return
        if t.ndim > 1:
            missing = [f"label {j} is {t[0, j]:g} in all" for j in np.flatnonzero((t == t[:1]).all(axis=0))]
        else:
            missing = [f"class {c} is not among the" for c in range(max(k, 2)) if not (t == c).any()]
        if missing:
            raise DataError(f"{self.name} is not defined: {missing[0]} {len(t)} samples")


def targets_of(t: np.ndarray, loss: Loss, output: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray | None]:
    """A model's targets (n, ...) as `Scored` describes them; and which steps of sequences count, None for all."""
    if loss.targets != "classes" and t.shape[1:] == output:  # a number for each output
        rows = t.reshape(-1, output[-1] if output else 1)
        return (rows[:, 0] if rows.shape[1] == 1 else rows), None
    t = (t.argmax(axis=-1) if t.ndim == len(output) + 1 else t).reshape(-1)
    ignored = getattr(loss, "ignore_class", None)
    counted = None if ignored is None else t != ignored
    return (t if counted is None else t[counted]), counted


def scored(metric: Scored, t: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None, loss: Loss) -> float:
    """A metric of a model's targets, predictions and weights."""
    n, output = len(prediction), prediction.shape[1:]
    own, counted = targets_of(t, loss, output)
    rows = prediction.reshape(-1, output[-1] if output else 1)
    steps = len(rows) // n
    weight = None if weight is None else np.repeat(weight, steps)
    if counted is not None:
        rows, weight = rows[counted], None if weight is None else weight[counted]
    if rows.shape[1] == 1:
        rows = rows[:, 0]
    elif rows.shape[1] == 2 and own.ndim == 1:
        rows = rows[:, 1] if loss.link is softmax else rows[:, 1] - rows[:, 0]
    return metric.score(own, rows, weight)


OVR, OVO = (("multi_class", "ovr"),), (("multi_class", "ovo"),)
WEIGHTED = (("average", "weighted"),)

SCORED: list[Metric] = [
    OfScikitLearn("roc_auc", "roc_auc_score", True, False),
    OfScikitLearn("roc_auc_ovr", "roc_auc_score", True, True, OVR),
    OfScikitLearn("roc_auc_ovo", "roc_auc_score", True, True, OVO),
    OfScikitLearn("roc_auc_ovr_weighted", "roc_auc_score", True, True, OVR + WEIGHTED),
    OfScikitLearn("roc_auc_ovo_weighted", "roc_auc_score", True, True, OVO + WEIGHTED),
    OfScikitLearn("average_precision", "average_precision_score", True),
    OfScikitLearn("average_precision_weighted", "average_precision_score", True, True, WEIGHTED),
    OfScikitLearn("max_error", "max_error", several=False),
    OfScikitLearn("median_absolute_error", "median_absolute_error"),
    OfScikitLearn("d2_absolute_error", "d2_absolute_error_score"),
    OfScikitLearn("mean_squared_log_error", "mean_squared_log_error"),
    OfScikitLearn("root_mean_squared_log_error", "root_mean_squared_log_error"),
    OfScikitLearn("mean_poisson_deviance", "mean_poisson_deviance", several=False),
    OfScikitLearn("mean_gamma_deviance", "mean_gamma_deviance", several=False),
]
