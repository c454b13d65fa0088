"""What a metric is: a number made of sums over the samples, or of all predictions. Imports graph, nn and data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .. import ops
from ..errors import DataError, GraphError
from ..graph import Value
from ..nn.loss import Loss, over_places, places_that_count, share_of
from ..nn.masks import known_mask, over_features, reads, step_weight_of, tell, with_mask

Sums = Mapping[str, Any]


@dataclass(frozen=True)
class Metric:
    """Base of metrics, by ``name``.

    ``sums(y, t, loss)`` are Values of one sample, from the net's output and the target, by names of their own; their
    weighted sums over all samples, with the sum of the weights as "weight", go to ``finish``, which gives a number.
    Metrics that need the same sums share them. ``of_targets`` are sums that need the targets alone.

    Of sequences and pictures each place that counts is a sample: a metric that is ``by_place`` weighs the places by
    itself (`summed`); the sums of others are of whole samples, of which one counts unless nothing in it does.
    """

    name: str
    array: ClassVar[bool] = False  # evaluate gives it, the history of numbers does not
    by_place: ClassVar[bool] = False

    def sums(self, y: Value, t: Value, loss: Loss) -> dict[str, Value]:
        raise NotImplementedError

    def of_targets(self, t: np.ndarray, weight: np.ndarray | None) -> dict[str, np.ndarray]:
        return {}

    def finish(self, sums: Sums) -> Any:
        raise NotImplementedError

    def check(self, t: np.ndarray, k: int, weighted: bool = False) -> None:
        """`DataError` for targets (as in `Scored`) of a net of k outputs that the metric is not defined for."""


PLACES = "places"  # the sum of the weights of all places, where a sample has several or some do not count


def place_weights(y: Value, t: Value, loss: Loss, dtype: str) -> Value | None:
    """How much each place of a sample counts, (*places,): 1 or the weight of its step, 0 where it does not count.

    None for the only place there is, which counts.
    """
    counted, weight, shape = places_that_count(loss, y, t), step_weight_of(y), loss.places(y)
    if counted is None:
        return ops.to_samples(ops.fill(1, shape, dtype)) if shape else None
    one = ops.cast(counted, dtype)
    return one if weight is None else one * over_places(ops.cast(weight, dtype), shape)


def summed(sums: dict[str, Value], y: Value, t: Value, loss: Loss) -> dict[str, Value]:
    """Numbers at each place (*places, ...) of one sample, summed over the places with their weights; the sum of these
    is `PLACES`. Numbers of the only place there is, which counts, stay as they are."""
    weights = place_weights(y, t, loss, y.dtype)
    if weights is None:
        return sums
    found, axes, mask = {}, tuple(range(weights.ndim)), places_that_count(loss, y, t)
    for name, v in sums.items():
        there = v if mask is None else ops.where(over_features(mask, v), v, 0)
        found[name] = ops.sum(there * over_features(ops.cast(weights, v.dtype), v), axes)
    return {**found, PLACES: ops.sum(weights)}


@dataclass(frozen=True)
class Mean(Metric):
    """The mean over all places that count of ``function(y, t, loss)``, a number for each."""

    function: Callable[..., Value]
    by_place = True

    def sums(self, y, t, loss):
        return summed({self.name: self.each(y, t, loss)}, y, t, loss)

    def each(self, y: Value, t: Value, loss: Loss) -> Value:
        return self.function(y, t, loss)

    def finish(self, sums):
        return divided_by(sums[self.name], sums.get(PLACES, sums["weight"]))


@dataclass(frozen=True)
class MeanOfPrediction(Mean):
    """The mean of a user's ``function(prediction, target)``: one number a sample, or one for each of its steps."""

    function: Callable[..., Value]

    def each(self, y, t, loss):
        prediction = loss.prediction(y)
        return self.function(prediction if known_mask(y) is None else with_mask(prediction, known_mask(y)), t)

    def sums(self, y, t, loss):
        counted, before = places_that_count(loss, y, t), reads()
        value = self.each(y, t, loss)
        if not isinstance(value, Value) or value.shape != loss.places(y)[: value.ndim]:
            got = f"shape {value.shape}" if isinstance(value, Value) else repr(value)
            raise GraphError(f"metric {self.name!r} must give one number for each sample, or one for each step, got "
                             f"{got}")  # fmt: skip
        if value.ndim:
            found = summed({self.name: value}, y, t, loss)
            return {self.name: found[self.name], self.places: found[PLACES]}
        if known_mask(y) is not None and reads() == before:
            tell(f"metric {self.name!r} gives one number for the whole sequence {y.shape} and does not ask for its "
                 "mask; let it give one for each step, (T,), or use nn.mask_of(prediction)")  # fmt: skip
        return {self.name: value if counted is None else value * share_of(y, counted, value.dtype)}

    @property
    def places(self) -> str:
        return f"{self.name}.{PLACES}"

    def finish(self, sums):
        return divided_by(sums[self.name], sums.get(self.places, sums["weight"]))


def divided_by(total: Any, weight: Any) -> Any:
    """A mean, which of nothing is NaN."""
    return total / weight if weight else float("nan")


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
