"""Metrics that are means over places: ``metric(y, t, loss)``, a number for each place of a net's output and a target.

What they have in common: which classes a target and an output stand for, along the last axis. Imports ops and nn.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

from .. import ops
from ..errors import GraphError
from ..graph import Value
from ..nn.activations import sigmoid, softmax
from ..nn.loss import Loss
from ..nn.losses import LabelLoss, binary_surprise, class_weights, is_target, mean_last, of_class, surprise
from ..nn.masks import mean_where


def is_binary(y: Value, t: Value, loss: Loss) -> bool:
    """Whether a target is 0 or 1 for each output."""
    return loss.targets == "binary" or (loss.targets == "any" and t.shape == y.shape)


def binary_codes(y: Value, t: Value) -> tuple[Value, Value]:
    """Target and decision as 0 or 1 for each output; the decision is the sign of the output."""
    return ops.cast(t > 0.5, y.dtype), ops.cast(y > 0, y.dtype)


def known_labels(t: Value, loss: Loss) -> Value | None:
    """Which of the 0/1 targets are known, where the loss has an ``ignore_class``; None for all."""
    return loss.known(t) if isinstance(loss, LabelLoss) else None


def class_numbers(y: Value, t: Value, loss: Loss, name: str) -> tuple[Value, Value]:
    """The target's class and the class of the largest output, int32."""
    if not y.ndim or y.shape[-1] < 2:
        raise GraphError(f"{name} needs one output per class, or a loss with 0/1 targets (binary_cross_entropy); "
                         f"{type(loss).__name__} with output shape {y.shape} has neither. Give a function of "
                         "(prediction, target) instead")  # fmt: skip
    wanted = t if t.ndim == y.ndim - 1 else ops.argmax(t)
    if wanted.shape != y.shape[:-1]:
        raise GraphError(f"{name}: targets of shape {t.shape} do not fit outputs of {y.shape[:-1]} places with "
                         f"{y.shape[-1]} classes each; say with the loss's axis= where its classes are")  # fmt: skip
    return ops.cast(wanted, "int32"), ops.argmax(y)


# ---- classes ------------------------------------------------------------------------------------------------------


def accuracy(y: Value, t: Value, loss: Loss) -> Value:
    """1 where the largest output is the target class (or the output's sign the 0/1 target), else 0.

    Of several 0/1 targets the share that is right.
    """
    y, t = loss.aligned(y, t)
    if is_binary(y, t, loss):
        wanted, found = binary_codes(y, t)
        right, known = ops.cast(ops.equal(found, wanted), y.dtype), known_labels(t, loss)
        return mean_last(right) if known is None else mean_where(right, known, -1 if y.ndim else None)
    wanted, found = class_numbers(y, t, loss, "accuracy")
    return ops.cast(ops.equal(found, wanted), y.dtype)


def hamming_loss(y: Value, t: Value, loss: Loss) -> Value:
    """The share of labels that are wrong: 1 - accuracy."""
    return 1 - accuracy(y, t, loss)


def subset_accuracy(y: Value, t: Value, loss: Loss) -> Value:
    """1 where all labels are right, else 0: what scikit-learn calls the accuracy of several labels."""
    return ops.cast(accuracy(y, t, loss) > 1 - 0.5 / y.size, y.dtype)


def top_accuracy(y: Value, t: Value, loss: Loss, k: int) -> Value:
    """1 where the target class is among the k largest outputs, else 0."""
    name = f"top_{k}_accuracy"
    y, t = loss.aligned(y, t)
    if is_binary(y, t, loss):
        raise GraphError(f"{name} needs one output per class, but {type(loss).__name__} has 0/1 targets")
    wanted, _ = class_numbers(y, t, loss, name)
    own = ops.max(ops.where(is_target(y, wanted), y, -math.inf), -1, keepdims=True)
    larger = ops.sum(ops.cast(y > own, y.dtype), -1)
    return ops.cast(larger < k, y.dtype)


def log_loss(y: Value, t: Value, loss: Loss) -> Value:
    """-log of the probability of the target class, by the loss's softmax or sigmoid, without label smoothing."""
    y, t = loss.aligned(y, t)
    if is_one_label(y, t, loss):
        return mean_last(binary_surprise(y, t))
    if loss.link is not softmax:
        raise GraphError(f"log_loss needs the probabilities of classes; {type(loss).__name__} with output shape "
                         f"{y.shape} gives none")  # fmt: skip
    return surprise(y, t)


def brier_score(y: Value, t: Value, loss: Loss) -> Value:
    """(p - t)^2 of the probability of class 1; for several classes the sum over them of (p_j - t_j)^2. Brier, 1950."""
    y, t = loss.aligned(y, t)
    if is_one_label(y, t, loss):
        d = sigmoid(y) - t
        return mean_last(d * d)
    if loss.link is not softmax:
        raise GraphError(f"brier_score_loss needs the probabilities of classes; {type(loss).__name__} with output "
                         f"shape {y.shape} gives none")  # fmt: skip
    d = softmax(y) - class_weights(y, t)
    return of_class(y, t, ops.sum(d * d, -1) * (0.5 if y.shape[-1] == 2 else 1))


def is_one_label(y: Value, t: Value, loss: Loss) -> bool:
    """Whether an output is the logit of one 0/1 target at each place."""
    return is_binary(y, t, loss) and loss.link is sigmoid and (not y.ndim or y.shape[-1] == 1)


def of_labels(y: Value, t: Value, loss: Loss, name: str) -> Value:
    """Precision, recall, F1 or Jaccard index of the labels of one sample or step; 0 where it is 0/0."""
    y, t = loss.aligned(y, t)
    if not is_binary(y, t, loss) or not y.ndim or y.shape[-1] < 2:
        raise GraphError(f"{name}_samples needs several 0/1 labels for each sample; {type(loss).__name__} with output "
                         f"shape {y.shape} has not")  # fmt: skip
    wanted, found = binary_codes(y, t)
    if (known := known_labels(t, loss)) is not None:
        wanted, found = (v * ops.cast(known, v.dtype) for v in (wanted, found))
    top, bottom = RATIOS[name](*(ops.sum(v, -1) for v in (wanted * found, found, wanted)))
    return top / ops.maximum(bottom, 0.5)


RATIOS = {  # of what is right, what was predicted and what is true: numbers or weights of samples
    "precision": lambda right, predicted, true: (right, predicted),
    "recall": lambda right, predicted, true: (right, true),
    "f1": lambda right, predicted, true: (2 * right, predicted + true),
    "jaccard": lambda right, predicted, true: (right, predicted + true - right),
}


# ---- values -------------------------------------------------------------------------------------------------------


def differences(y: Value, t: Value, loss: Loss) -> tuple[Value, Value]:
    """Prediction minus target, channels last, and the target."""
    y, t = loss.aligned(y, t)
    return loss.link(y) - t, t


def mean_squared_error(y: Value, t: Value, loss: Loss) -> Value:
    """Mean of the squared differences of prediction and target."""
    d, _ = differences(y, t, loss)
    return mean_last(d * d)


def mean_absolute_error(y: Value, t: Value, loss: Loss) -> Value:
    """Mean of the absolute differences of prediction and target."""
    d, _ = differences(y, t, loss)
    return mean_last(abs(d))


def mean_absolute_percentage_error(y: Value, t: Value, loss: Loss) -> Value:
    """Mean of |prediction - target| / |target|, as a share of 1."""
    d, t = differences(y, t, loss)
    return mean_last(abs(d) / ops.maximum(abs(t), 2.0**-52))


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
