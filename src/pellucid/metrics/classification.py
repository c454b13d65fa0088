"""Metrics of classes from counts: how much is right, was predicted and is true of each class. Imports ops and nn.

Each place of a sequence or picture is a sample, without those that do not count.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .. import ops
from ..errors import GraphError
from ..graph import Value
from ..nn.loss import Loss
from ..nn.masks import over_features
from .base import PLACES, Metric, Sums, place_weights, summed
from .per_sample import RATIOS, binary_codes, class_numbers, is_binary, known_labels

AVERAGES = ("binary", "macro", "micro", "weighted")


class Counts(NamedTuple):
    """Weights of samples for each class (k,), or for each of several labels; ``total``, of all samples."""

    right: np.ndarray
    predicted: np.ndarray
    true: np.ndarray
    total: float
    labels: bool


def codes(y: Value, t: Value, loss: Loss, name: str) -> tuple[str, Value, Value]:
    """Whether these are "classes" or "labels"; target and decision as 0 or 1 for each, (..., k).

    One output of 0 or 1 is two classes.
    """
    y, t = loss.aligned(y, t)
    if is_binary(y, t, loss):
        y, t = (ops.reshape(v, (1,)) if not v.ndim else v for v in (y, t))
        pair = binary_codes(y, t)
        if y.shape[-1] > 1:
            if known_labels(t, loss) is not None:
                raise GraphError(f"{name} counts all labels of a sample, so none may be unknown (ignore_class); use "
                                 "accuracy or f1_samples")  # fmt: skip
            return "labels", *pair
        true, found = (ops.concatenate([1 - v, v], -1) for v in pair)
        return "classes", true, found
    true, found = class_numbers(y, t, loss, name)
    k = y.shape[-1]
    true, found = (ops.one_hot(v, k, like=y) for v in (true, found))
    return "classes", true, found


@dataclass(frozen=True)
class Counted(Metric):
    """``function(counts)`` of what is right, predicted and true, summed over the samples."""

    function: Callable[..., Any]
    labels: ClassVar[bool] = False  # whether there may be several labels for each sample
    by_place = True

    def sums(self, y, t, loss):
        kind, true, found = codes(y, t, loss, self.name)
        self.fits(kind, true.shape[-1])
        each = {f"{kind}.right": true * found, f"{kind}.predicted": found, f"{kind}.true": true}
        return summed(each, y, t, loss)

    def fits(self, kind: str, k: int) -> None:
        """`GraphError` where the metric is not defined for this number of classes or labels."""
        if kind == "labels" and not self.labels:
            raise GraphError(f"{self.name} takes one class for each sample, but the net has {k} labels of 0 or 1")

    def finish(self, sums):
        return self.function(counts_of(sums))


def counts_of(sums: Sums) -> Counts:
    """The sums over all samples, by their names."""
    kind = "labels" if "labels.true" in sums else "classes"
    right, predicted, true = (np.asarray(sums[f"{kind}.{word}"], float) for word in ("right", "predicted", "true"))
    total = sums.get(PLACES, sums["weight"]) if kind == "labels" else true.sum()
    return Counts(right, predicted, true, total, kind == "labels")


@dataclass(frozen=True)
class Averaged(Counted):
    """``function(right, predicted, true)``, a ratio of each class or label, averaged as scikit-learn does.

    ``average``: "binary", the ratio of class 1 of two; "macro", the mean over the classes that occur; "weighted", by
    how often they are true; "micro", the ratio of the sums over all. A ratio 0/0 counts as 0.
    """

    average: str
    labels = True

    def fits(self, kind, k):
        if self.average == "binary" and (kind == "labels" or k > 2):
            others = ", ".join(f"{self.name}_{a}" for a in AVERAGES[1:])
            what = f"{k} labels" if kind == "labels" else f"{k} classes"
            raise GraphError(f"{self.name} is that of class 1 of two, but the net has {what}; use one of {others}")

    def finish(self, sums):
        c = counts_of(sums)
        if self.average == "micro":
            right, predicted, true = (v.sum(keepdims=True) for v in (c.right, c.predicted, c.true))
            c = Counts(right, predicted, true, c.total, c.labels)
        ratios = divided(*self.function(c.right, c.predicted, c.true))
        if self.average == "binary":
            return float(ratios[1])
        occurs = (c.predicted + c.true > 0) | c.labels
        weights = c.true if self.average == "weighted" else occurs
        return float(divided(ratios @ weights, weights.sum()))


def divided(top: Any, bottom: Any) -> np.ndarray:
    """``top / bottom``, and 0 where that is 0/0.

    >>> divided([1.0, 0.0], [4.0, 0.0])
    array([0.25, 0.  ])
    """
    top, bottom = np.asarray(top, float), np.asarray(bottom, float)
    return np.divide(top, bottom, out=np.zeros(top.shape), where=bottom != 0)


def balanced_accuracy(c: Counts) -> float:
    """The mean of the classes' recalls, over those that occur.

    >>> balanced_accuracy(Counts(np.array([1.0, 1.0]), np.array([1.0, 2.0]), np.array([2.0, 1.0]), 3.0, False))
    0.75
    """
    occur = c.true > 0
    return float(divided((c.right[occur] / c.true[occur]).sum(), occur.sum()))


def matthews_corrcoef(c: Counts) -> float:
    """The correlation of target and prediction: (c s - p.t) / sqrt((s^2 - p.p)(s^2 - t.t)). Gorodkin, 2004."""
    s, top = c.total, c.right.sum() * c.total - c.predicted @ c.true
    return float(divided(top, math.sqrt(max(s * s - c.predicted @ c.predicted, 0) * max(s * s - c.true @ c.true, 0))))


def cohen_kappa(c: Counts) -> float:
    """(share that is right - share that chance would get) / (1 - that share). Cohen, 1960."""
    chance = divided(c.predicted @ c.true, c.total)
    return float(divided(c.right.sum() - chance, c.total - chance))


def multilabel_confusion(c: Counts) -> np.ndarray:
    """For each class or label [[right no, wrong yes], [wrong no, right yes]], (k, 2, 2)."""
    wrong, missed = c.predicted - c.right, c.true - c.right
    return whole(
        np.stack([np.stack([c.total - c.right - wrong - missed, wrong], -1), np.stack([missed, c.right], -1)], 1)
    )


@dataclass(frozen=True)
class MultilabelConfusion(Counted):
    """How often each class or label was found, missed and wrongly found."""

    labels = True
    array = True


@dataclass(frozen=True)
class Confusion(Counted):
    """How often each class (row) was taken for which (column), (k, k)."""

    array = True

    def sums(self, y, t, loss):
        kind, true, found = codes(y, t, loss, self.name)
        self.fits(kind, true.shape[-1])
        weights = place_weights(y, t, loss, true.dtype)
        true = true if weights is None else true * over_features(weights, true)
        true, found = (ops.reshape(v, (-1, v.shape[-1])) for v in (true, found))
        return {"classes.confusion": ops.contract(true, found, "ti,tj->ij")}

    def finish(self, sums):
        return self.function(sums["classes.confusion"])


def whole(x: np.ndarray) -> np.ndarray:
    """Counts without weights as whole numbers.

    >>> whole(np.array([1.0, 2.0])), whole(np.array([1.0, 2.5]))
    (array([1, 2]), array([1. , 2.5]))
    """
    return x.astype(np.int64) if (x == np.round(x)).all() else x


COUNTED: list[Metric] = [
    *(
        Averaged(name if average == "binary" else f"{name}_{average}", ratio, average)
        for name, ratio in RATIOS.items()
        for average in AVERAGES
    ),
    Counted("balanced_accuracy", balanced_accuracy),
    Counted("matthews_corrcoef", matthews_corrcoef),
    Counted("cohen_kappa", cohen_kappa),
    Confusion("confusion_matrix", whole),
    MultilabelConfusion("multilabel_confusion_matrix", multilabel_confusion),
]
