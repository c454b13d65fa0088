"""What a metric is: a number made of sums over the samples, or of all predictions. Imports graph, nn and data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..data import DataError
from ..graph import GraphError, Value
from ..nn.losses import Loss

Sums = Mapping[str, Any]


@dataclass(frozen=True)
class Metric:
    """Base of metrics, by ``name``.

    ``sums(y, t, loss)`` are Values of one sample, from the net's output and the target, by names of their own; their
    weighted sums over all samples, with the sum of the weights as "weight", go to ``finish``, which gives a number.
    Metrics that need the same sums share them. ``of_targets`` are sums that need the targets alone.
    """

    name: str
    array: ClassVar[bool] = False  # evaluate gives it, the history of numbers does not

    def sums(self, y: Value, t: Value, loss: Loss) -> dict[str, Value]:
        raise NotImplementedError

    def of_targets(self, t: np.ndarray, weight: np.ndarray | None) -> dict[str, np.ndarray]:
        return {}

    def finish(self, sums: Sums) -> Any:
        raise NotImplementedError

    def check(self, t: np.ndarray, k: int, weighted: bool = False) -> None:
        """`DataError` for targets (as in `Scored`) of a net of k outputs that the metric is not defined for."""


@dataclass(frozen=True)
class Mean(Metric):
    """The mean over the samples of ``function(y, t, loss)``, a number for each."""

    function: Callable[..., Value]

    def sums(self, y, t, loss):
        value = self.each(y, t, loss)
        if value.shape != ():
            raise GraphError(f"metric {self.name!r} must give one number for each sample, got shape {value.shape}")
        return {self.name: value}

    def each(self, y: Value, t: Value, loss: Loss) -> Value:
        return self.function(y, t, loss)

    def finish(self, sums):
        return sums[self.name] / sums["weight"] if sums["weight"] else float("nan")


@dataclass(frozen=True)
class MeanOfPrediction(Mean):
    """The mean of a user's ``function(prediction, target)`` of one sample."""

    function: Callable[..., Value]

    def each(self, y, t, loss):
        return self.function(loss.link(y), t)


@dataclass(frozen=True)
class Scored(Metric):
    """``function(targets, predictions, sample_weight=)`` of all samples at once, such as scikit-learn's.

    It has no sums: `Model.evaluate` gives it, and `Model.fit` for the validation samples, both from predictions.
    Targets are class numbers (n,), rows of 0 and 1 (n, labels), or numbers, (n,) for one output. Predictions are
    probabilities: of class 1 (n,) for two classes, else one column for each; or numbers like the targets.
    The samples of a sequence are its steps. Raises `DataError` with the function's own words where it refuses.

    >>> from sklearn.metrics import d2_absolute_error_score
    >>> metric = Scored("d2", d2_absolute_error_score)
    >>> metric.score(np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0]), None)
    0.6666666666666667
    """

    function: Callable[..., float]

    def sums(self, y, t, loss):
        return {}

    def score(self, t: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None) -> float:
        """The number, from all samples."""
        try:
            options = {} if weight is None else {"sample_weight": weight}
            return float(self.function(t, prediction, **options))
        except ValueError as error:
            raise DataError(f"metric {self.name!r}: {error}") from None
