"""Metrics of values from sums: of the residuals, by the net, and of the targets, beforehand. Imports ops.

Sums of the targets are made in float64, from the arrays, or where a mask says which count in the program: of float32
numbers far from 0, sum t^2 - (sum t)^2 / n would have no digit right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .. import ops
from ..errors import DataError, GraphError
from ..graph import Value
from ..nn.loss import Loss
from ..nn.masks import known_mask
from .base import PLACES, Metric, Sums, summed
from .per_sample import differences


def must_be_values(y: Value, t: Value, loss: Loss, name: str) -> None:
    """`GraphError` where targets are classes."""
    if loss.targets in ("classes", "binary") or y.shape != t.shape:
        raise GraphError(f"{name} takes numbers as targets; {type(loss).__name__} with output shape {y.shape} and "
                         f"targets {t.dtype} {t.shape} is for classes")  # fmt: skip


@dataclass(frozen=True)
class OfResiduals(Metric):
    """``function(sums)`` of residuals d = y - t and targets t, for each output; the mean over the outputs."""

    function: Callable[[Sums], np.ndarray]
    least: int = 1  # samples
    by_place = True

    def sums(self, y, t, loss):
        must_be_values(y, t, loss, self.name)
        masked = known_mask(y) is not None
        d, own = differences(y, t, loss)
        found = summed({"residuals.sum": d, "residuals.squares": d * d}, y, t, loss)
        if masked:
            exact = ops.cast(own, "float64")
            found |= summed({"targets.sum": exact, "targets.squares": exact * exact}, y, t, loss)
        return found

    def of_targets(self, t, weight):
        t = np.asarray(t, np.float64)
        w = np.ones(len(t)) if weight is None else np.asarray(weight, np.float64)
        squares, total = np.tensordot(w, t * t, 1), np.tensordot(w, t, 1)
        return {"targets.squares": squares, "targets.sum": total, "targets.weight": w.sum()}

    def finish(self, sums):
        return float(np.mean(self.function(sums)))

    def check(self, t, k, weighted=False):
        if len(t) < self.least:
            raise DataError(f"{self.name} needs at least {self.least} samples, got {len(t)}")


def number(sums: Sums) -> float:
    """The weight of all places, or of all samples where each has one."""
    return sums.get(PLACES, sums["weight"])


def variance(sums: Sums, of: str) -> np.ndarray:
    """sum w (v - mean v)^2; 0 where it is nothing but rounding."""
    squares = np.asarray(sums[f"{of}.squares"])
    found = squares - np.asarray(sums[f"{of}.sum"]) ** 2 / sums.get(f"{of}.weight", number(sums))
    return np.where(found > 1e-12 * squares, found, 0.0)


def unexplained(rest: np.ndarray, sums: Sums) -> np.ndarray:
    """1 - rest / variance of the targets; for constant targets 1 where nothing is left, else 0."""
    whole = variance(sums, "targets")
    return 1 - np.where(whole > 0, rest / np.where(whole > 0, whole, 1), rest > 0)


def r2(sums: Sums) -> np.ndarray:
    """1 - sum d^2 / sum (t - mean t)^2.

    >>> sums = {"weight": 3, "targets.sum": 6.0, "targets.squares": 14.0, "residuals.squares": 1.0}
    >>> float(r2(sums))
    0.5
    """
    return unexplained(np.asarray(sums["residuals.squares"]), sums)


def explained_variance(sums: Sums) -> np.ndarray:
    """1 - sum (d - mean d)^2 / sum (t - mean t)^2."""
    return unexplained(variance(sums, "residuals"), sums)


def root_mean_squared_error(sums: Sums) -> np.ndarray:
    """sqrt(mean d^2)."""
    return np.sqrt(np.asarray(sums["residuals.squares"]) / number(sums))


VALUES: list[Metric] = [
    OfResiduals("r2", r2, 2),
    OfResiduals("explained_variance", explained_variance, 2),
    OfResiduals("root_mean_squared_error", root_mean_squared_error),
    OfResiduals("rmse", root_mean_squared_error),
]
