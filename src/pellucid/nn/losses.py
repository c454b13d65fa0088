"""Losses: a formula for one sample, the link that turns a net's output into a prediction, and the targets it takes.

A loss takes *logits*, the net's raw output; its link (softmax, sigmoid, identity) is applied by ``predict``. Adding a
loss is adding a class to the table. Imports graph and ops.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import field

from .. import ops
from ..checks import checked, function, number, several, unknown, whole, wrong
from ..errors import ArgumentError, GraphError
from ..graph import Value
from .activations import sigmoid, softmax
from .loss import Loss
from .masks import mean_where


class HalfSquaredError(Loss):
    """E = 1/2 sum_i (y_i - t_i)^2; dE/dy = y - t. The lectures' error for back-propagation.

    Of a sequence it is the sum over its steps, without padding.
    """

    over = "sum"

    def each(self, y, t):
        d = y - t
        return sum_last(d * d) * 0.5


class MeanSquaredError(Loss):
    """mean_i (y_i - t_i)^2."""

    def each(self, y, t):
        d = y - t
        return mean_last(d * d)


class MeanAbsoluteError(Loss):
    """mean_i |y_i - t_i|; slope 0 where they are equal."""

    def each(self, y, t):
        return mean_last(abs(y - t))


class Huber(Loss):
    """mean_i of d^2/2 for |d| <= delta, else delta (|d| - delta/2), with d = y_i - t_i. Huber, 1964."""

    delta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, number, "delta", above=0)

    def each(self, y, t):
        d = abs(y - t)
        inside = ops.minimum(d, self.delta)
        return mean_last(inside * (d - 0.5 * inside))


class Euclidean(Loss):
    """E = ||y - t||_2 = sqrt(sum_i (y_i - t_i)^2), the distance; dE/dy = (y - t) / E, and 0 where they are equal.

    Of a sequence it is the mean over its steps. Lecture 002: "Cost can be Euclidean distance or cross entropy".
    """

    def each(self, y, t):
        return ops.norm(y - t, axis=-1) if y.ndim else abs(y - t)


class Poisson(Loss):
    """mean_i of exp(y_i) - t_i y_i, for counts t >= 0 whose expectation is exp(y); dE/dy = exp(y) - t.

    Minus the log likelihood of a Poisson distribution, but for log t!, which no weight changes.
    """

    link = staticmethod(ops.exp)

    def each(self, y, t):
        finite = ops.where(ops.equal(y, math.inf), 0, y)  # where exp(y) is inf, so is the loss
        return mean_last(ops.exp(y) - weighted(t, finite))


class ClassLoss(Loss):
    """Base of losses over classes: of class numbers, or one-hot rows, for each place of the output.

    ``ignore_class``, often -1, is a label that does not count, as padding does not.
    """

    targets = "classes"
    ignore_class: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, whole, "ignore_class", least=None, optional=True)

    def counted(self, t: Value) -> Value | None:
        if self.ignore_class is None:
            return None
        if t.dtype != "int32":
            raise GraphError(
                f"{type(self).__name__}: ignore_class needs class numbers as targets, got rows of {t.dtype}"
            )
        return ~ops.equal(t, self.ignore_class)


class CrossEntropy(ClassLoss):
    """-log of the softmax probability of the target class: -sum_j t_j log k_j with k = softmax(y); dE/dy = k - t.

    Targets are class numbers or one-hot rows. ``label_smoothing`` s replaces t by (1 - s) t + s / number of classes.
    Classes are along ``axis`` of the output, the first of pictures (C, H, W) and the last of sequences (T, C), and the
    mean is taken over the other axes. ``ignore_class``, often -1, is a label that does not count: the mean is over the
    other places of the sample. A sample without any has the loss 0, and is left out where means over samples are
    reported. A class that cannot be, with the logit -inf, plays no part, unless it is the target: then the loss is inf.
    That of a label that is no class is NaN (`Model` refuses such labels before).

    >>> from pellucid import input
    >>> CrossEntropy(ignore_class=-1)(input("y", (7, 10)), input("t", (7,), "int32"))
    <divide: sample float32 ()>
    >>> CrossEntropy()(input("y", (3, 8, 8)), input("t", (8, 8), "int32")).shape
    ()
    """

    label_smoothing: float = 0.0
    link = staticmethod(softmax)

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, number, "label_smoothing", least=0, most=1)

    def each(self, y, t):
        return surprise(y, t, self.label_smoothing)


class LabelLoss(Loss):
    """Base of losses over labels, each 0 or 1 for itself: the mean over the labels of ``each_label(y, t)``.

    ``label_weights``: for each label a pair, the weight of its loss where it is 0 and where it is 1. ``ignore_class``,
    often -1, in the place of a label says that it is not known: the mean is over the others.

    >>> from pellucid import input
    >>> BinaryCrossEntropy(label_weights=((1.0, 5.0), (1.0, 1.0)))(input("y", (2,)), input("t", (2,))).shape
    ()
    """

    targets = "binary"
    label_weights: tuple[tuple[float, float], ...] | None = field(default=None, kw_only=True)
    ignore_class: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, whole, "ignore_class", least=None, optional=True)
        if self.label_weights is None:
            return
        each = enumerate(several(self.label_weights))
        pairs = tuple(tuple(number(self, f"label_weights[{i}]", w, least=0) for w in several(p)) for i, p in each)
        if not pairs or {len(p) for p in pairs} != {2}:
            raise wrong(self, "label_weights", "a pair of numbers >= 0 for each label", self.label_weights, True)
        object.__setattr__(self, "label_weights", pairs)

    @property
    def by_channel(self) -> bool:
        return self.label_weights is not None

    def known(self, t: Value) -> Value | None:
        """Which labels are known, of t's shape; None for all."""
        return None if self.ignore_class is None else ~ops.equal(t, self.ignore_class)

    def counted(self, t: Value) -> Value | None:
        known = self.known(t)
        if known is None or not t.ndim:
            return known
        return ops.max(ops.cast(known, "int32"), -1) > 0

    def each(self, y, t):
        known = self.known(t)
        t = t if known is None else ops.where(known, t, 0)
        found = self.each_label(y, t)
        if self.label_weights is not None:
            if found.shape[-1:] != (len(self.label_weights),):
                raise GraphError(f"{type(self).__name__}: label_weights are for {len(self.label_weights)} labels, but "
                                 f"the output has shape {y.shape}")  # fmt: skip
            no, yes = (ops.constant(w, found.dtype) for w in zip(*self.label_weights, strict=True))
            found = found * (no + t * (yes - no))
        return mean_last(found) if known is None else mean_where(found, known, -1 if found.ndim else None)

    def each_label(self, y: Value, t: Value) -> Value:
        raise NotImplementedError


class BinaryCrossEntropy(LabelLoss):
    """-t log p - (1 - t) log(1 - p) with p = sigmoid(y), the mean over the outputs; dE/dy = p - t.

    Targets are 0, 1, or probabilities between them.
    """

    label_smoothing: float = 0.0
    link = staticmethod(sigmoid)

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, number, "label_smoothing", least=0, most=1)

    def each_label(self, y, t):
        return binary_surprise(y, t * (1 - self.label_smoothing) + 0.5 * self.label_smoothing)


class Hinge(ClassLoss):
    """max(0, margin + max_{j != t} y_j - y_t), the multi-class margin. Crammer and Singer, JMLR 2001."""

    margin: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, number, "margin", least=0)

    def each(self, y, t):
        codes = class_weights(y, t)
        ahead = y + self.margin * (1 - codes) - ops.sum(weighted(codes, y), -1, keepdims=True)
        return of_class(y, t, ops.max(ops.where(ops.equal(codes, 1), 0, ahead), -1))  # the target itself gives the 0


class BinaryHinge(LabelLoss):
    """max(0, 1 - s y) with s = 1 for the target 1 and s = -1 for the target 0, the mean over the outputs."""

    def each_label(self, y, t):
        return ops.maximum(1 - (2 * t - 1) * y, 0)


class MissProbability(ClassLoss):
    """1 - k[T] with k = softmax(y): the probability of not choosing the target class. Lecture 004."""

    link = staticmethod(softmax)

    def each(self, y, t):
        return of_class(y, t, 1 - ops.sum(class_weights(y, t) * ops.softmax(y), -1))


class ClassDistance(ClassLoss):
    """sum_j k[j] (j - T)^2 with k = softmax(y), for classes that are numbers in order. Lecture 004."""

    link = staticmethod(softmax)

    def each(self, y, t):
        classes = ops.cast(ops.iota(y.shape[-1]), y.dtype)
        target = ops.sum(class_weights(y, t) * classes, -1, keepdims=True)
        return of_class(y, t, ops.sum(ops.softmax(y) * (classes - target) ** 2, -1))


class FunctionLoss(Loss):
    """A user's function of (output, target) of one sample, with the identity as its link.

    It gives one number, or one for each step of a sequence, (T,), whose mean is taken over those that count.
    """

    function: Callable[[Value, Value], Value] = field(kw_only=True)
    targets = "any"

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, function, "function", like="lambda y, t: ops.mean(abs(y - t))")

    def __call__(self, y, t):
        return self.function(y, t)


def sum_last(x: Value) -> Value:
    """The sum over the last axis, of a number the number itself."""
    return ops.sum(x, -1) if x.ndim else x


def mean_last(x: Value) -> Value:
    return ops.mean(x, -1) if x.ndim else x


def surprise(y: Value, t: Value, smoothing: float = 0.0) -> Value:
    """-sum_j t_j log softmax(y)_j along the last axis, for targets as `class_weights` takes them."""
    if smoothing or not are_classes(y, t):
        weights = class_weights(y, t, smoothing)
        found = ops.sum(weights, -1) * ops.logsumexp(y, -1) - ops.sum(weighted(weights, y), -1)
    else:
        own = ops.where(is_target(y, t), y, 0)  # no product: 0 times -inf has no value
        found = ops.logsumexp(y, -1) - ops.sum(own, -1)
    return of_class(y, t, found)


def binary_surprise(y: Value, t: Value) -> Value:
    """-t log p - (1 - t) log(1 - p) with p = sigmoid(y): log(1 + exp(-|y|)) + |y| m, m the share of the other side.

    So it has a value at y = inf and -inf too: 0 where that is the target, inf where it is not.
    """
    return _binary_surprise(y, t if t.shape == y.shape else ops.broadcast_to(t, y.shape))


@ops.with_vjp(lambda g, e, y, t: (g * (ops.sigmoid(y) - t), -g * y))
def _binary_surprise(y: Value, t: Value) -> Value:
    size, missed = abs(y), ops.where(y > 0, 1 - t, t)
    return ops.log1p(ops.exp(-size)) + ops.where(ops.equal(missed, 0), 0, size * missed)


def weighted(weights: Value, y: Value) -> Value:
    """w_j y_j, which is 0 where w_j is 0 and y_j is -inf or inf."""
    left_out = ops.equal(weights, 0) & ops.equal(abs(y), math.inf)
    return weights * ops.where(left_out, 0, y)


def are_classes(y: Value, t: Value) -> bool:
    """Whether targets are class numbers, not rows; raises `GraphError` where y has no axis of classes."""
    if not y.ndim or y.shape[-1] < 2:
        raise GraphError(f"a loss over classes needs one output per class, at least 2, got output shape {y.shape}; "
                         "for one output use binary_cross_entropy")  # fmt: skip
    if t.shape not in (y.shape, y.shape[:-1]):
        raise GraphError(f"a loss over classes got targets of shape {t.shape} for outputs of {y.shape[:-1]} places "
                         f"with {y.shape[-1]} classes each; say with axis= where the output's classes are")  # fmt: skip
    return t.ndim == y.ndim - 1


def is_target(y: Value, t: Value) -> Value:
    """Which output is that of the class t, of the shape of y."""
    return ops.equal(ops.expand_dims(t, -1), ops.iota(y.shape[-1], t.dtype))


def class_weights(y: Value, t: Value, smoothing: float = 0.0) -> Value:
    """Targets as one weight per class: one-hot for class numbers, as they are for rows; smoothed if asked."""
    k = y.shape[-1] if y.ndim else 0
    codes = ops.one_hot(t, k, like=y) if are_classes(y, t) else t
    return codes * (1 - smoothing) + smoothing / k if smoothing else codes


def of_class(y: Value, t: Value, loss: Value) -> Value:
    """``loss`` where the target is one of the classes, NaN for another number, which a graph cannot refuse."""
    if not are_classes(y, t):
        return loss
    return ops.where((t >= 0) & (t < y.shape[-1]), loss, math.nan)


LOSSES: dict[str, type[Loss]] = {
    "half_squared_error": HalfSquaredError,
    "mean_squared_error": MeanSquaredError,
    "mse": MeanSquaredError,
    "mean_absolute_error": MeanAbsoluteError,
    "mae": MeanAbsoluteError,
    "huber": Huber,
    "euclidean": Euclidean,
    "poisson": Poisson,
    "cross_entropy": CrossEntropy,
    "binary_cross_entropy": BinaryCrossEntropy,
    "hinge": Hinge,
    "binary_hinge": BinaryHinge,
    "miss_probability": MissProbability,
    "class_distance": ClassDistance,
}


def as_loss(loss: str | Loss | type[Loss] | Callable) -> Loss:
    """A loss from its name, its class, itself, or a user's function of (output, target)."""
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, str):
        if loss not in LOSSES:
            raise unknown("loss", loss, LOSSES, "or give a function of (y, t)")
        return LOSSES[loss]()
    if isinstance(loss, type) and issubclass(loss, Loss):
        return loss()
    if callable(loss) and not isinstance(loss, type):
        return FunctionLoss(function=loss)
    raise ArgumentError(f"loss must be a name, a Loss or a function of (y, t), got {loss!r}")
