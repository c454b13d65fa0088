"""Penalties on weights and activations, and constraints of weights: for a whole model, or for a layer (`Regularized`).

Imports graph, ops and the sibling modules.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, dataclass_transform

from .. import ops
from ..checks import axes, checked, flag, number
from ..errors import GraphError
from ..graph import Value
from ..reprs import Shown
from .layer import Layer, check_layer
from .masks import hand_on, known_mask, over_features
from .scope import Extra, Number, Scope, Traced, current

PENALTY = "penalty"  # what the names of strengths begin with


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
@dataclass(frozen=True, repr=False)
class Penalty(Shown):
    """Base of penalties: strength * R(a) is added to the cost in training. A subclass has ``sizes(a)``, one number.

    A strength is state of the training step ("penalty.strength"), so that another one compiles nothing again. With
    ``per_batch=True`` the penalty is divided by the number of samples in the mini-batch, also in a smaller last one, as
    if it were added to the *sum* of their losses: scikit-learn's ``alpha`` is ``nn.L2(alpha / 2, per_batch=True)``.
    Raises `GraphError` for a strength below 0.
    """

    per_batch: bool = field(default=False, kw_only=True)
    strengths: ClassVar[tuple[str, ...]] = ("strength",)  # the fields that are state, one for each of the sizes

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        dataclass(frozen=True, repr=False)(cls)

    def __post_init__(self) -> None:
        checked(self, number, *self.strengths, least=0)
        checked(self, flag, "per_batch", *(["squared"] if hasattr(self, "squared") else []))

    def sizes(self, a: Value) -> tuple[Value, ...]:
        """R(a) for each strength: a number each."""
        raise NotImplementedError

    def first_numbers(self, place: str = "") -> dict[str, float]:
        """The strengths by the names of their state."""
        return {number_name(place, name): float(getattr(self, name)) for name in self.strengths}


class L1(Penalty):
    """strength * ||a||_1 = strength * sum |a|, or with ``squared=True`` strength * ||a||_1^2. Small weights become 0.

    The squared norm is the one of lecture 001, "Common penalty terms". Tibshirani, "Regression shrinkage and selection
    via the lasso", 1996.

    >>> from pellucid.ops import constant
    >>> L1(0.5).sizes(constant([3.0, -4.0]))  # 7, to be multiplied by 0.5
    (<sum: shared float64 ()>,)
    """

    strength: float = 0.01
    squared: bool = False

    def sizes(self, a):
        return (_power(ops.norm(a, 1), self.squared),)


class L2(Penalty):
    """strength * ||a||_2^2 = strength * sum a^2, weight decay (Keras's L2); ``squared=False``: strength * ||a||_2.

    Lecture 001, "Common penalty terms". Krogh and Hertz, "A simple weight decay can improve generalization", 1991.
    """

    strength: float = 0.01
    squared: bool = True

    def sizes(self, a):
        return (ops.sum(a * a) if self.squared else ops.norm(a),)


class L1L2(Penalty):
    """l1 * sum |a| + l2 * sum a^2, the elastic net. Zou and Hastie, 2005."""

    l1: float = 0.01
    l2: float = 0.01
    strengths = ("l1", "l2")

    def sizes(self, a):
        return ops.norm(a, 1), ops.sum(a * a)


class PNorm(Penalty):
    """strength * ||a||_p = strength * (sum |a|^p)^(1/p), or its square; ``p`` is 1 or more, or ``math.inf``.

    Lecture 001, "Any p-norm and more". Raises `GraphError` for p < 1, which is no norm.
    """

    p: float
    strength: float = 0.01
    squared: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, number, "p", least=1, infinite=True, hint="below 1 it is no norm")

    def sizes(self, a):
        largest = ops.stop_gradient(ops.norm(a, math.inf))  # by which it is divided, as 0.001^40 would be 0
        scale = ops.where(largest > 0, largest, 1)
        return (_power(scale * ops.norm(a / scale, self.p), self.squared),)


def _power(norm: Value, squared: bool) -> Value:
    return norm * norm if squared else norm


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
@dataclass(frozen=True, repr=False)
class Constraint(Shown):
    """Base of constraints: ``constraint(w)`` takes the place of a weight w after each step of the optimizer."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        dataclass(frozen=True, repr=False)(cls)

    def __call__(self, w: Value) -> Value:
        raise NotImplementedError


class MaxNorm(Constraint):
    """Each unit's weights have at most the norm ``limit``: w min(1, limit / ||w||_2).

    A unit's weights are those under one index of the first axis, of shape (units, ...); ``axis`` names the axes that
    the norm is taken over where that is not so (Keras's weights are the transposed). Srivastava et al., "Dropout",
    JMLR 2014. Raises `GraphError` for a limit that is not above 0.

    >>> from pellucid import Program, executors, state
    >>> w = state("w", (2, 2))
    >>> run = executors.get("reference").compile(Program([], {"w": MaxNorm(1.0)(w)}))
    >>> run({"w": [[3, 4], [0.3, 0.4]]})["w"].round(3)  # norms 5 and 0.5
    array([[0.6, 0.8],
           [0.3, 0.4]], dtype=float32)
    """

    limit: float = 3.0
    axis: int | tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        checked(self, number, "limit", above=0)
        checked(self, axes, "axis")

    def __call__(self, w):
        return w * (self.limit / ops.maximum(unit_norms(w, self.axis), self.limit))


class UnitNorm(Constraint):
    """Each unit's weights have the norm 1: w / ||w||_2; weights that are all 0 stay. ``axis`` as in `MaxNorm`."""

    axis: int | tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        checked(self, axes, "axis")

    def __call__(self, w):
        norms = unit_norms(w, self.axis)
        return w / ops.where(ops.equal(norms, 0), 1, norms)


class NonNeg(Constraint):
    """No weight is negative: max(w, 0)."""

    def __call__(self, w):
        return ops.maximum(w, 0)


def unit_norms(w: Value, axis: int | tuple[int, ...] | None) -> Value:
    """The 2-norms over ``axis``, by default all axes but the first, which are kept with the length 1."""
    return ops.norm(w, 2, tuple(range(1, w.ndim)) if axis is None else axis, keepdims=True)


# ---- one layer ----------------------------------------------------------------------------------------------------


class Regularized(Layer):
    """A layer with penalties and a constraint of its own, in the place of the model's. It has the layer's name.

    ``weights``, ``biases``, ``activations`` are penalties, on the arrays of two and more axes, on the biases, and on
    what the layer gives: of each sample, the mean over the batch. ``constraint`` holds for the weights. What is not
    given is as for the rest of the model; ``nn.L2(0)`` is none. A net or block as ``layer`` means all in it. Strengths
    are state: "penalty.layers.0.weights.strength". Raises `GraphError` for weights or biases that the layer does not
    have.

    >>> from pellucid import input, nn
    >>> net = nn.Sequential(nn.Regularized(nn.Dense(4), weights=nn.L1(0.1)), nn.Dense(2))
    >>> traced = nn.trace(net, input("x", (3,)))
    >>> list(traced.parameters)[:2], list(traced.numbers)
    (['layers.0.weight', 'layers.0.bias'], ['penalty.layers.0.weights.strength'])
    """

    layer: Layer
    weights: Penalty | None = field(default=None, kw_only=True)
    biases: Penalty | None = field(default=None, kw_only=True)
    activations: Penalty | None = field(default=None, kw_only=True)
    constraint: Constraint | None = field(default=None, kw_only=True)
    transparent = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_layer(self)
        for name in ("weights", "biases", "activations"):
            as_penalty(getattr(self, name), f"Regularized: {name}")
        as_constraint(self.constraint, "Regularized: constraint")
        if self.activations is not None and self.activations.per_batch:
            raise GraphError("Regularized: activations are penalized by the mean over the samples of a batch; "
                             "leave per_batch out")  # fmt: skip

    def by_step(self, *inputs: Value) -> bool:
        return self.layer.by_step(*inputs)

    def __call__(self, *inputs, **options):
        output = self.layer(*inputs, **options)
        scope = current.get()
        if scope is None:
            return output
        path = scope.path[-1]
        own = [p for name, p in scope.parameters.items() if not path or name.startswith(f"{path}.")]
        for what, kind, penalty in (("weights", "is_weight", self.weights), ("biases", "is_bias", self.biases),
                                    ("weights", "is_weight", self.constraint)):  # fmt: skip
            found = [p for p in own if getattr(p, kind)]
            if penalty is not None and not found:
                raise GraphError(f"{type(self.layer).__name__} has no {what} for {type(penalty).__name__}")
            if isinstance(penalty, Constraint):
                scope.constraints.update({p.name: penalty for p in found if p.trainable})
            elif penalty is not None and number_name(f"{path}.{what}", penalty.strengths[0]) not in scope.numbers:
                if what == "weights":
                    scope.penalized.update(p.name for p in found)
                self._penalize(scope, f"{path}.{what}", penalty, [p.value for p in found if p.trainable])
        if self.activations is not None:
            y = output[0] if isinstance(output, tuple) else output
            mask = known_mask(hand_on(y, *inputs[:1]))
            if mask is not None:  # padding has no size
                y = ops.where(over_features(mask, y), y, 0)
            self._penalize(scope, f"{path}.activations", self.activations, [y])
        return output

    def _penalize(self, scope: Scope, place: str, penalty: Penalty, values: list[Value]) -> None:
        numbers = {name: scope.number(name, first) for name, first in penalty.first_numbers(place).items()}
        for size, strength in terms(penalty, numbers.values(), values) if scope.training else ():
            self.add_loss(size, strength)


# ---- a whole model ------------------------------------------------------------------------------------------------


def penalties_of(traced: Traced, regularizer: Penalty | None, dtype: str) -> list[Extra]:
    """What a model's penalty adds to the cost: on all trained weights without a penalty of their own layer."""
    if regularizer is None:
        return []
    weights = [p.value for p in traced.parameters.values()
               if p.trainable and p.is_weight and p.name not in traced.penalized]  # fmt: skip
    numbers = [Number.of(name, first, dtype).value for name, first in regularizer.first_numbers().items()]
    return [Extra("", size, strength, output=False) for size, strength in terms(regularizer, numbers, weights)]


def constraints_of(traced: Traced, constraint: Constraint | None) -> dict[Value, Callable[[Value], Value]]:
    """The constraint of each trained weight that has one: its layer's, or the model's."""
    own = {p: traced.constraints.get(p.name, constraint) for p in traced.parameters.values() if p.trainable}
    return {p.value: c for p, c in own.items() if c is not None and p.is_weight}


def terms(penalty: Penalty, strengths: Iterable[Value], values: list[Value]) -> list[tuple[Value, Value]]:
    """R of each value, and its strength."""
    found = []
    for value in values:
        for size, strength in zip(penalty.sizes(value), strengths, strict=True):
            found.append((size / ops.batch_size(size.dtype) if penalty.per_batch else size, strength))
    return found


def number_name(place: str, strength: str) -> str:
    """Where a strength is kept.

    >>> number_name("layers.0.weights", "strength"), number_name("", "l1")
    ('penalty.layers.0.weights.strength', 'penalty.l1')
    """
    return ".".join(part for part in (PENALTY, place.lstrip("."), strength) if part)


# ---- checks -------------------------------------------------------------------------------------------------------


def as_penalty(given: Any, what: str) -> Penalty | None:
    return _checked(given, Penalty, what, "a penalty, for example nn.L2(1e-4)")


def as_constraint(given: Any, what: str) -> Constraint | None:
    return _checked(given, Constraint, what, "a constraint, for example nn.MaxNorm(3)")


def _checked(given: Any, kind: type, what: str, expected: str) -> Any:
    if given is None or isinstance(given, kind):
        return given
    forgotten = isinstance(given, type) and issubclass(given, kind)
    hint = f"; did you mean nn.{given.__name__}(...)?" if forgotten else ""
    raise GraphError(f"{what} must be {expected}, got {given!r}{hint}")
