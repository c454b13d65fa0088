"""A model's loss and metrics on samples: sums by its compiled program, and what scikit-learn makes of predictions.

Imports numpy, data, graph and metrics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError
from ..graph import Shape
from ..metrics import Metric, Scored, as_scored, targets_of
from ..metrics.sklearn_scores import rows_of, spread
from ..nn import Loss, Losses
from ..nn.loss import places_of
from ..nn.penalties import PENALTY
from .finite import check_inputs, check_prediction, is_finite
from .outputs import OfOutput, is_scored, of_one, outputs_of
from .parts import Arrays, Part, as_part

if TYPE_CHECKING:
    from .core import ModelCore

EVALUATE_BATCH = 256
Metrics = Mapping[str, Metric]


def batch_size_for(asked: int | str | None, n: int, usual: int = EVALUATE_BATCH) -> int:
    """The number of samples at a time: as asked, "all", or the usual (all, if fewer)."""
    if asked is None:
        return min(usual, n)
    if isinstance(asked, str) and asked == "all":
        return n
    if not isinstance(asked, (int, np.integer)) or isinstance(asked, bool) or asked < 1:
        raise ArgumentError(f"batch_size must be a whole number >= 1 or 'all', got {asked!r}")
    return int(asked)


def evaluate(
    model: ModelCore,
    given: Sequence[Part | Arrays],
    batch_size: int | str | None = None,
    metrics: Metrics | None = None,
) -> dict[str, Any]:
    """The weighted mean of the loss, and the metrics, over the samples of all parts."""
    metrics, parts = model.metrics if metrics is None else metrics, [as_part(arrays) for arrays in given]
    runs = [model.programs.compiled("evaluate", part.whole, metrics) for part in parts]
    check(model, parts, metrics)
    sums: dict[str, Any] = {}
    for run, part in zip(runs, parts, strict=True):
        found = run.steps(model.state, part.whole, part.rows, batch_size_for(batch_size, part.samples))
        sums = added(sums, found, of_targets(model, metrics, part.whole, part.rows))
    logs = numbers(sums, metrics)
    if any(map(is_scored, metrics.values())):
        logs |= from_predictions(model, parts, batch_size, metrics)
    return {name: logs[name] for name in ("loss", *metrics)}


def from_predictions(
    model: ModelCore, parts: Sequence[Part], batch_size: int | str | None, metrics: Metrics
) -> dict[str, float]:
    """The metrics that need all predictions at once."""
    found = []
    for part in parts:
        inputs = part.inputs
        prediction = in_batches(model, model.programs.compiled("predict", inputs.whole), inputs, batch_size)
        mask = steps_counted(model, inputs, batch_size)
        found.append((part["y"], prediction, part.get("weight"), mask))
    if isinstance(model.loss, Losses):
        return {name: value for o in outputs_of(model.loss, model.network.built()) for name, value in _scored(
                of_one(metrics, o.name), o.loss, [(o.targets_in(t), o.prediction_in(p), w, m) for t, p, w, m in found]
                ).items()}  # fmt: skip
    return _scored(metrics, model.loss, found)


def _scored(metrics: Metrics, loss: Loss, found: list[tuple]) -> dict[str, float]:
    """Those of the metrics that need all at once, of targets, predictions, weights and masks."""
    chosen = {name: metric for name, metric in metrics.items() if isinstance(metric, Scored)}
    if not chosen:
        return {}
    parts = zip(*(as_scored(t, prediction, weight, loss, mask) for t, prediction, weight, mask in found), strict=True)
    t, y, weight = (None if a[0] is None else np.concatenate(a) for a in parts)
    assert t is not None and y is not None
    return {name: metric.score(t, y, weight) for name, metric in chosen.items()}


def in_batches(
    model: ModelCore,
    run: Any,
    arrays: Mapping[str, np.ndarray],
    batch_size: int | str | None,
    finite: bool = False,
    rows: np.ndarray | None = None,
) -> np.ndarray:
    """The one output of a program, for ``batch_size`` samples after the others.

    ``finite``: what is not is an error, that names the row, which is one of ``rows``.
    """
    (name,) = run.program.outputs
    part = as_part(arrays)
    n = part.samples
    size = batch_size_for(batch_size, n)
    parts = []
    for start in range(0, n, size):
        some = part.some(slice(start, min(start + size, n)))
        if finite and not all(is_finite(a, model.dtype) for a in some.values()):
            check_inputs(arrays, model.dtype, rows)
        parts.append(run(model.state, some)[name])
        if finite and not is_finite(parts[-1]):
            check_prediction(parts[-1], start, rows)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def steps_counted(model: ModelCore, inputs: Part | Arrays, batch_size: int | str | None = None) -> np.ndarray | None:
    """Which steps of the net's output count, bool (n, T); None for a net without masks."""
    if model.network.built().mask is None:
        return None
    return in_batches(model, model.programs.compiled("mask", as_part(inputs).whole), inputs, batch_size) > 0


def of_targets(model: ModelCore, metrics: Metrics, arrays: Arrays, rows: np.ndarray | None = None) -> dict[str, Any]:
    """The sums over the samples (or some) that need the targets alone; where a net has masks, its program has them."""
    outputs = outputs_of(model.loss, model.network.built()) if isinstance(model.loss, Losses) else []
    inner = [metric.metric if isinstance(metric, OfOutput) else metric for metric in metrics.values()]
    if model.network.built().mask is not None or all(type(m).of_targets is Metric.of_targets for m in inner if m):
        return {}
    y, weight = arrays["y"], arrays.get("weight")
    if rows is not None and len(rows) < len(y):  # else it is all of them, in some order
        y, weight = y[rows], None if weight is None else weight[rows]
    if not outputs:
        return _of_targets(metrics, model.loss, y, weight)
    return {f"{o.name}.{name}": value for o in outputs if model.network.built().outputs[o.name][1] is None
            for name, value in _of_targets(of_one(metrics, o.name), o.loss, o.targets_in(y), weight).items()
            }  # fmt: skip


def _of_targets(metrics: Metrics, loss: Loss, y: np.ndarray, weight: np.ndarray | None) -> dict[str, Any]:
    asking = {type(metric).of_targets: metric for metric in metrics.values()}  # once for those that ask alike
    asking.pop(Metric.of_targets, None)
    axis = loss.class_axis(y.shape[1:])
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
    finished = {name: metric.finish(sums) for name, metric in metrics.items() if not is_scored(metric)}
    return {"loss": means.pop("loss")} | finished | means


def of_epochs(metrics: Metrics) -> dict[str, Metric]:
    """Those that are numbers, which a history holds."""
    return {name: metric for name, metric in metrics.items() if not metric.array}


def check(model: ModelCore, parts: Sequence[Part], metrics: Metrics) -> None:
    """`DataError` where a metric is not defined for the targets of all parts."""
    inner = [metric.metric if isinstance(metric, OfOutput) else metric for metric in metrics.values()]
    if all(type(metric).check is Metric.check for metric in inner if metric is not None):
        return
    if isinstance(model.loss, Losses):
        for o in outputs_of(model.loss, model.network.built()):
            own = [o.targets_in(arrays["y"]) for arrays in parts]
            _check(of_one(metrics, o.name), o.loss, o.shape, own, "weight" in parts[0])
        return
    _check(
        metrics, model.loss, model.network.built().output.shape, [arrays["y"] for arrays in parts], "weight" in parts[0]
    )


def _check(metrics: Metrics, loss: Loss, output: Shape, targets: list[np.ndarray], weighted: bool) -> None:
    t = np.concatenate([targets_of(y, loss, output)[0] for y in targets])
    for metric in metrics.values():
        metric.check(t, output[loss.class_axis(output)] if output else 1, weighted)
