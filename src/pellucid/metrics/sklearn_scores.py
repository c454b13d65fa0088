"""Metrics that need all predictions at once, computed by scikit-learn; and the arrays it takes. Imports numpy.

scikit-learn is imported when one is computed.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DataError, GraphError
from ..nn.activations import softmax
from ..nn.loss import Loss, places_of
from .base import Metric, Scored
from .per_sample import class_numbers, is_binary, known_labels
from .regression import must_be_values


@dataclass(frozen=True)
class OfScikitLearn(Scored):
    """A function of `sklearn.metrics` by its name.

    ``classes``: whether it takes classes or values; ``several``: more than two classes, or more than one value;
    ``options`` are given to it; ``weights``: whether it takes sample weights.
    """

    function: str  # type: ignore[assignment]
    classes: bool = False
    several: bool = True
    options: tuple[tuple[str, Any], ...] = ()
    weights: bool = True

    def sums(self, y, t, loss):
        own, target = loss.aligned(y, t)
        if not self.classes:
            must_be_values(y, t, loss, self.name)
            if own.ndim and own.shape[-1] > 1 and not self.several:
                raise GraphError(f"{self.name} takes one value for each sample, but the net gives {own.shape[-1]}")
        elif is_binary(own, target, loss):
            if own.ndim and own.shape[-1] > 1 and known_labels(target, loss) is not None:
                raise GraphError(f"{self.name} takes all labels of a sample, so none may be unknown (ignore_class)")
        else:
            y, _ = own, class_numbers(own, target, loss, self.name)
            if y.shape[-1] > 2 and not self.several:
                raise GraphError(f"{self.name} takes two classes, or several labels, but the net has {y.shape[-1]} "
                                 f"classes; use {self.name}_ovr or {self.name}_ovo")  # fmt: skip
        return {}

    def score(self, t, prediction, weight):
        import sklearn.metrics

        self.check(t, prediction.shape[-1] if prediction.ndim > 1 else 1, weight is not None)
        function = functools.partial(getattr(sklearn.metrics, self.function), **dict(self.options))
        return Scored(self.name, function).score(t, prediction, weight)

    def check(self, t, k, weighted=False):
        if weighted and not self.weights:
            raise DataError(f"{self.name} takes no sample_weight")
        if not self.classes:
            return
        if t.ndim > 1:
            missing = [f"label {j} is {t[0, j]:g} in all" for j in np.flatnonzero((t == t[:1]).all(axis=0))]
        else:
            missing = [f"class {c} is not among the" for c in range(max(k, 2)) if not (t == c).any()]
        if missing:
            raise DataError(f"{self.name} is not defined: {missing[0]} {len(t)} samples")


def targets_of(
    t: np.ndarray, loss: Loss, output: tuple[int, ...], mask: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """A model's targets (n, ...) as `Scored` describes them; and which places of sequences count, None for all.

    ``output`` is the shape of the net's output, ``mask`` (n, T) which of its steps count.
    """
    axis = loss.class_axis(output, mask is not None)
    if loss.targets != "classes" and t.ndim == len(output) + 1:  # a number for each output
        places, own = places_of(t.shape[1:], axis), rows_of(t, axis)
        own = own[:, 0] if own.shape[1] == 1 else own
    else:
        t = t.argmax(axis=axis + 1) if t.ndim == len(output) + 1 else t
        places, own = t.shape[1:], t.reshape(-1)
    ignored = getattr(loss, "ignore_class", None)
    counted = None if ignored is None or own.ndim > 1 else own != ignored
    if mask is not None:
        there = spread(mask, places)
        counted = there if counted is None else counted & there
    return (own if counted is None else own[counted]), counted


def rows_of(a: np.ndarray, axis: int) -> np.ndarray:
    """One row for each sample and place, (n, k); ``axis`` is that of the channels, of one sample."""
    return np.moveaxis(a, axis + 1, -1).reshape(-1, a.shape[axis + 1]) if a.ndim > 1 else a[:, None]


def spread(v: np.ndarray, places: tuple[int, ...]) -> np.ndarray:
    """A number for each sample, (n,), or each of its first places, (n, T), for each of all places, flat."""
    v = v.reshape(*v.shape, *(1,) * (1 + len(places) - v.ndim))
    return np.broadcast_to(v, (len(v), *places)).reshape(-1)


def as_scored(
    t: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None, loss: Loss, mask: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """A model's targets, predictions and weights as `Scored` describes them."""
    output = prediction.shape[1:]
    if weight is not None and weight.ndim > 1:  # of steps: one of weight 0 does not count
        there = weight > 0
        mask = there if mask is None else there & mask.reshape(*mask.shape, *(1,) * (weight.ndim - mask.ndim))
    if mask is not None and len(output) == 1:  # one number a step
        t, prediction, output = t[..., None], prediction[..., None], (*output, 1)
    axis = loss.class_axis(output, mask is not None)
    own, counted = targets_of(t, loss, output, mask)
    rows = rows_of(prediction, axis)
    rows = rows[:, 0] if rows.shape[1] == 1 else rows
    weight = None if weight is None else spread(weight, places_of(output, axis) if output else ())
    if counted is not None:
        rows, weight = rows[counted], None if weight is None else weight[counted]
    if own.ndim == 1 and rows.ndim == 2 and rows.shape[1] == 2:
        rows = rows[:, 1] if loss.link is softmax else rows[:, 1] - rows[:, 0]
    return own, rows, weight


OVR, OVO = (("multi_class", "ovr"),), (("multi_class", "ovo"),)
WEIGHTED = (("average", "weighted"),)

SCORED: list[Metric] = [
    OfScikitLearn("roc_auc", "roc_auc_score", True, False),
    OfScikitLearn("roc_auc_ovr", "roc_auc_score", True, True, OVR),
    OfScikitLearn("roc_auc_ovo", "roc_auc_score", True, True, OVO, False),
    OfScikitLearn("roc_auc_ovr_weighted", "roc_auc_score", True, True, OVR + WEIGHTED),
    OfScikitLearn("roc_auc_ovo_weighted", "roc_auc_score", True, True, OVO + WEIGHTED, False),
    OfScikitLearn("average_precision", "average_precision_score", True),
    OfScikitLearn("average_precision_weighted", "average_precision_score", True, True, WEIGHTED),
    OfScikitLearn("max_error", "max_error", several=False, weights=False),
    OfScikitLearn("median_absolute_error", "median_absolute_error"),
    OfScikitLearn("d2_absolute_error", "d2_absolute_error_score"),
    OfScikitLearn("mean_squared_log_error", "mean_squared_log_error"),
    OfScikitLearn("root_mean_squared_log_error", "root_mean_squared_log_error"),
    OfScikitLearn("mean_poisson_deviance", "mean_poisson_deviance", several=False),
    OfScikitLearn("mean_gamma_deviance", "mean_gamma_deviance", several=False),
]
