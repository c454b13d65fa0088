"""Metrics that are means over the samples: ``metric(y, t, loss)`` of a net's output and a target. Imports ops and nn.

What they have in common: which classes a target and an output stand for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from .. import ops
from ..graph import GraphError, Value
from ..nn.activations import sigmoid, softmax
from ..nn.losses import Loss, class_weights, surprise
from ..nn.masks import mean_where


def is_binary(y: Value, t: Value, loss: Loss) -> bool:
    """Whether a target is 0 or 1 for each output."""
    return loss.targets == "binary" or (loss.targets == "any" and t.shape == y.shape)


def binary_codes(y: Value, t: Value) -> tuple[Value, Value]:
    """Target and decision as 0 or 1 for each output; the decision is the sign of the output."""
    return ops.cast(t > 0.5, y.dtype), ops.cast(y > 0, y.dtype)


def class_numbers(y: Value, t: Value, loss: Loss, name: str) -> tuple[Value, Value]:
    """The target's class and the class of the largest output, int32."""
    if not y.ndim or y.shape[-1] < 2:
        raise GraphError(f"{name} needs one output per class, or a loss with 0/1 targets (binary_cross_entropy); "
                         f"{type(loss).__name__} with output shape {y.shape} has neither. Give a function of "
                         "(prediction, target) instead")  # fmt: skip
    wanted = t if t.ndim == y.ndim - 1 else ops.argmax(t)
    return ops.cast(wanted, "int32"), ops.argmax(y)


# ---- classes ------------------------------------------------------------------------------------------------------


def accuracy(y: Value, t: Value, loss: Loss) -> Value:
    """1 where the largest output is the target class (or the output's sign the 0/1 target), else 0.

    The mean over all, or over those that the loss counts (its ``ignore_class``).
    """
    wanted, found = binary_codes(y, t) if is_binary(y, t, loss) else class_numbers(y, t, loss, "accuracy")
    return mean_where(ops.cast(ops.equal(found, wanted), y.dtype), loss.counted(t))


def hamming_loss(y: Value, t: Value, loss: Loss) -> Value:
    """The share of labels that are wrong: 1 - accuracy."""
    return 1 - accuracy(y, t, loss)


def subset_accuracy(y: Value, t: Value, loss: Loss) -> Value:
    """1 where all labels of a sample are right, else 0: what scikit-learn calls the accuracy of several labels."""
    return ops.cast(accuracy(y, t, loss) > 1 - 0.5 / y.size, y.dtype)


def top_accuracy(y: Value, t: Value, loss: Loss, k: int) -> Value:
    """1 where the target class is among the k largest outputs, else 0."""
    name = f"top_{k}_accuracy"
    if is_binary(y, t, loss):
        raise GraphError(f"{name} needs one output per class, but {type(loss).__name__} has 0/1 targets")
    wanted, _ = class_numbers(y, t, loss, name)
    own = ops.sum(ops.one_hot(wanted, y.shape[-1], like=y) * y, -1, keepdims=True)
    larger = ops.sum(ops.cast(y > own, y.dtype), -1)
    return mean_where(ops.cast(larger < k, y.dtype), loss.counted(t))


def log_loss(y: Value, t: Value, loss: Loss) -> Value:
    """-log of the probability of the target class, by the loss's softmax or sigmoid, without label smoothing."""
    if is_binary(y, t, loss) and loss.link is sigmoid and y.size == 1:
        return ops.mean(ops.softplus(y) - y * t)
    if loss.link is not softmax:
        raise GraphError(f"log_loss needs the probabilities of classes; {type(loss).__name__} with output shape "
                         f"{y.shape} gives none")  # fmt: skip
    return mean_where(surprise(y, class_weights(y, t)), loss.counted(t))


def brier_score(y: Value, t: Value, loss: Loss) -> Value:
    """(p - t)^2 of the probability of class 1; for several classes the sum over them of (p_j - t_j)^2. Brier, 1950."""
    if is_binary(y, t, loss) and loss.link is sigmoid and y.size == 1:
        return mean_squared_error(y, t, loss)
    if loss.link is not softmax:
        raise GraphError(f"brier_score_loss needs the probabilities of classes; {type(loss).__name__} with output "
                         f"shape {y.shape} gives none")  # fmt: skip
    d = softmax(y) - class_weights(y, t)
    return mean_where(ops.sum(d * d, -1) * (0.5 if y.shape[-1] == 2 else 1), loss.counted(t))


def of_labels(y: Value, t: Value, loss: Loss, name: str) -> Value:
    """Precision, recall, F1 or Jaccard index of one sample's labels; 0 where it is 0/0."""
    if not is_binary(y, t, loss) or y.ndim != 1 or y.size < 2:
        raise GraphError(f"{name}_samples needs several 0/1 labels for each sample; {type(loss).__name__} with output "
                         f"shape {y.shape} has not")  # fmt: skip
    wanted, found = binary_codes(y, t)
    top, bottom = RATIOS[name](*(ops.sum(v) for v in (wanted * found, found, wanted)))
    return top / ops.maximum(bottom, 0.5)


RATIOS = {  # of what is right, what was predicted and what is true: numbers or weights of samples
    "precision": lambda right, predicted, true: (right, predicted),
    "recall": lambda right, predicted, true: (right, true),
    "f1": lambda right, predicted, true: (2 * right, predicted + true),
    "jaccard": lambda right, predicted, true: (right, predicted + true - right),
}


# ---- values -------------------------------------------------------------------------------------------------------


def mean_squared_error(y: Value, t: Value, loss: Loss) -> Value:
    """Mean of the squared differences of prediction and target."""
    d = loss.link(y) - t
    return ops.mean(d * d)


def mean_absolute_error(y: Value, t: Value, loss: Loss) -> Value:
    """Mean of the absolute differences of prediction and target."""
    return ops.mean(abs(loss.link(y) - t))


def mean_absolute_percentage_error(y: Value, t: Value, loss: Loss) -> Value:
    """Mean of |prediction - target| / |target|, as a share of 1."""
    return ops.mean(abs(loss.link(y) - t) / ops.maximum(abs(t), 2.0**-52))


FORMULAS: dict[str, Callable[..., Value]] = {
    "accuracy": accuracy,
    "hamming_loss": hamming_loss,
    "subset_accuracy": subset_accuracy,
    "log_loss": log_loss,
    "brier_score_loss": brier_score,
    **{f"{name}_samples": functools.partial(of_labels, name=name) for name in RATIOS},
    "mean_squared_error": mean_squared_error,
    "mse": mean_squared_error,
    "mean_absolute_error": mean_absolute_error,
    "mae": mean_absolute_error,
    "mean_absolute_percentage_error": mean_absolute_percentage_error,
}
