"""A model's loss and metrics on samples: sums by its compiled program, and what scikit-learn makes of predictions.

Imports numpy, data, graph and metrics.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..graph import GraphError
from ..metrics import Metric, Scored, as_scored, targets_of
from ..metrics.scores import rows_of, spread
from ..nn.loss import places_of
from ..nn.penalties import PENALTY
from .pieces import Arrays

if TYPE_CHECKING:
    from .model import Model

EVALUATE_BATCH = 256
Metrics = Mapping[str, Metric]


def batch_size_for(asked: int | str | None, n: int, usual: int = EVALUATE_BATCH) -> int:
    """The number of samples at a time: as asked, "all", or the usual (all, if fewer)."""
    if asked is None:
        return min(usual, n)
    if isinstance(asked, str) and asked == "all":
        return n
    if not isinstance(asked, (int, np.integer)) or asked < 1:
        raise GraphError(f"batch_size must be a whole number >= 1 or 'all', got {asked!r}")
    return int(asked)


def evaluate(
    model: Model, parts: list[Arrays], batch_size: int | str | None = None, metrics: Metrics | None = None
) -> dict[str, Any]:
    """The weighted mean of the loss, and the metrics, over the samples of all parts."""
    metrics = model.metrics if metrics is None else metrics
    runs = [model._compiled("evaluate", arrays, metrics) for arrays in parts]
    check(model, parts, metrics)
    sums: dict[str, Any] = {}
    for run, arrays in zip(runs, parts, strict=True):
        found = run.steps(model.state, arrays, None, batch_size_for(batch_size, len(arrays["y"])))
        sums = added(sums, found, of_targets(model, metrics, arrays))
    logs = numbers(sums, metrics)
    if any(isinstance(metric, Scored) for metric in metrics.values()):
        logs |= from_predictions(model, parts, batch_size, metrics)
    return {name: logs[name] for name in ("loss", *metrics)}


def from_predictions(
    model: Model, parts: list[Arrays], batch_size: int | str | None, metrics: Metrics
) -> dict[str, float]:
    """The metrics that need all predictions at once."""
    found = []
    for arrays in parts:
        inputs = {name: a for name, a in arrays.items() if name not in ("y", "weight")}
        prediction = model._in_batches(model._compiled("predict", inputs), inputs, batch_size)
        mask = steps_counted(model, inputs, batch_size)
        found.append(as_scored(arrays["y"], prediction, arrays.get("weight"), model.loss, mask))
    t, y, weight = (None if a[0] is None else np.concatenate(a) for a in zip(*found, strict=True))
    assert t is not None and y is not None
    return {name: metric.score(t, y, weight) for name, metric in metrics.items() if isinstance(metric, Scored)}


def steps_counted(model: Model, inputs: Arrays, batch_size: int | str | None = None) -> np.ndarray | None:
    """Which steps of the net's output count, bool (n, T); None for a net without masks."""
    if model._built().mask is None:
        return None
    return model._in_batches(model._compiled("mask", inputs), inputs, batch_size) > 0


def of_targets(model: Model, metrics: Metrics, arrays: Arrays, rows: np.ndarray | None = None) -> dict[str, Any]:
    """The sums over the samples (or some) that need the targets alone; where a net has masks, its program has them."""
    asking = {type(metric).of_targets: metric for metric in metrics.values()}  # once for those that ask alike
    asking.pop(Metric.of_targets, None)
    if not asking or model._built().mask is not None:
        return {}
    y, weight = arrays["y"], arrays.get("weight")
    if rows is not None and len(rows) < len(y):  # else it is all of them, in some order
        y, weight = y[rows], None if weight is None else weight[rows]
    axis = model.loss.class_axis(y.shape[1:])
    places = places_of(y.shape[1:], axis) if y.ndim > 1 else ()
    if places:  # a row for each
        y, weight = rows_of(y, axis), None if weight is None else spread(weight, places)
    return {name: value for metric in asking.values() for name, value in metric.of_targets(y, weight).items()}


def added(sums: dict[str, Any], *more: Mapping[str, Any]) -> dict[str, Any]:
    """Sums by name, with more of them added."""
    return {name: sums.get(name, 0.0) + value for each in more for name, value in each.items()}


def numbers(sums: Mapping[str, Any], metrics: Metrics) -> dict[str, Any]:
    """The mean of the loss, the metrics that are made of sums, and in training the mean of the penalty."""
    weight = sums["weight"]
    means = {name: sums[name] / weight if weight else float("nan") for name in ("loss", PENALTY) if name in sums}
    finished = {name: metric.finish(sums) for name, metric in metrics.items() if not isinstance(metric, Scored)}
    return {"loss": means.pop("loss")} | finished | means


def of_epochs(metrics: Metrics) -> dict[str, Metric]:
    """Those that are numbers, which a history holds."""
    return {name: metric for name, metric in metrics.items() if not metric.array}


def check(model: Model, parts: list[Arrays], metrics: Metrics) -> None:
    """`DataError` where a metric is not defined for the targets of all parts."""
    if all(type(metric).check is Metric.check for metric in metrics.values()):
        return
    output = model._built().output.shape
    t = np.concatenate([targets_of(arrays["y"], model.loss, output)[0] for arrays in parts])
    for metric in metrics.values():
        metric.check(t, output[model.loss.class_axis(output)] if output else 1, "weight" in parts[0])
