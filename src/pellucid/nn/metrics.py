"""Metrics: a number per sample whose mean is reported. ``metric(y, t, loss)`` takes the net's output. Imports ops."""

from __future__ import annotations

from collections.abc import Callable

from .. import ops
from ..graph import GraphError, Value
from .losses import Loss
from .masks import mean_where


def accuracy(y: Value, t: Value, loss: Loss) -> Value:
    """1 where the largest output is the target class (or the output's sign the 0/1 target), else 0.

    The mean over all, or over those that the loss counts (its ``ignore_class``).
    """
    if loss.targets == "binary" or (loss.targets == "any" and t.shape == y.shape):
        right = ops.equal(ops.cast(y > 0, "int32"), ops.cast(t > 0.5, "int32"))
    else:
        if not y.ndim or y.shape[-1] < 2:
            raise GraphError("accuracy needs one output per class, or a loss with 0/1 targets (binary_cross_entropy); "
                             f"{type(loss).__name__} with output shape {y.shape} has neither. Give a function of "
                             "(prediction, target) instead")  # fmt: skip
        wanted = t if t.ndim == y.ndim - 1 else ops.argmax(t)
        right = ops.equal(ops.argmax(y), ops.cast(wanted, "int32"))
    return mean_where(ops.cast(right, y.dtype), loss.counted(t))


def mean_squared_error(y: Value, t: Value, loss: Loss) -> Value:
    """Mean of the squared differences of prediction and target."""
    d = loss.link(y) - t
    return ops.mean(d * d)


def mean_absolute_error(y: Value, t: Value, loss: Loss) -> Value:
    """Mean of the absolute differences of prediction and target."""
    return ops.mean(abs(loss.link(y) - t))


METRICS: dict[str, Callable[[Value, Value, Loss], Value]] = {
    "accuracy": accuracy,
    "mean_squared_error": mean_squared_error,
    "mse": mean_squared_error,
    "mean_absolute_error": mean_absolute_error,
    "mae": mean_absolute_error,
}


def of_prediction(function: Callable[[Value, Value], Value]) -> Callable[[Value, Value, Loss], Value]:
    """A metric from a function of (prediction, target)."""
    return lambda y, t, loss: function(loss.link(y), t)


def as_metrics(metrics) -> dict[str, Callable[[Value, Value, Loss], Value]]:
    """Metrics by name; a user's function of (prediction, target) goes by its own name."""
    found = {}
    for m in metrics:
        if isinstance(m, str):
            if m not in METRICS:
                names = ", ".join(METRICS)
                raise GraphError(
                    f"no metric is named {m!r}; there are {names}, or give a function of (prediction, target)"
                )
            found[m] = METRICS[m]
        elif callable(m):
            found[m.__name__] = of_prediction(m)
        else:
            raise GraphError(f"a metric must be a name or a function of (prediction, target), got {m!r}")
    return found
