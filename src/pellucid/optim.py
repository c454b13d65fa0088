"""Optimizers: pure rules on Values, one class each. Imports graph and ops.

``rule(p, g, slots, rate, step)`` gives the new parameter and the new slots. ``slots`` are arrays of the parameter's
shape, zero at first, by the names in ``slot_names``; ``rate`` is the learning rate; ``step`` counts from 1.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import add
from typing import ClassVar

from .graph import GraphError, Value
from .ops import fast_divide, fast_sqrt, maximum, minimum, sqrt, sum

CLIPS = ("clipvalue", "clipnorm", "global_clipnorm")


def _shrink(squares: Value, limit: float) -> Value:
    """What a gradient with that sum of squares is multiplied by."""
    return limit / sqrt(maximum(squares, limit * limit))


@dataclass(frozen=True)
class Optimizer:
    """Base of optimizers: p' = rule(p, dC/dp). A subclass is a frozen dataclass with a `rule`.

    Gradients that are too large may be clipped, with Keras's names: ``clipvalue``, each number to at most so much;
    ``clipnorm``, each parameter's gradient to a norm of at most so much; ``global_clipnorm``, all gradients together.
    Pascanu et al., "On the difficulty of training recurrent neural networks", ICML 2013.
    """

    learning_rate: float = 0.01
    clipvalue: float | None = field(default=None, kw_only=True)
    clipnorm: float | None = field(default=None, kw_only=True)
    global_clipnorm: float | None = field(default=None, kw_only=True)
    slot_names: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **options) -> None:
        super().__init_subclass__(**options)
        dataclass(frozen=True)(cls)

    def __post_init__(self) -> None:
        if not self.learning_rate > 0:
            raise GraphError(f"{type(self).__name__}: learning_rate must be > 0, got {self.learning_rate!r}")
        limits = {name: getattr(self, name) for name in CLIPS if getattr(self, name) is not None}
        for name, limit in limits.items():
            if not isinstance(limit, (int, float)) or isinstance(limit, bool) or not 0 < limit < math.inf:
                raise GraphError(f"{type(self).__name__}: {name} must be a number > 0, or None for none, got {limit!r}")
        if len(limits) > 1:
            raise GraphError(f"{type(self).__name__}: clip in one way, not by {' and '.join(limits)}")

    def clipped(self, gradients: Sequence[Value]) -> list[Value]:
        """The gradients, with what is too large made smaller: g min(1, limit / norm), or each number cut off.

        >>> from pellucid.ops import constant
        >>> g = SGD(0.1, global_clipnorm=1.0).clipped([constant([3.0]), constant([4.0])])  # of norm 5, to 0.6 and 0.8
        >>> [v.shape for v in g]
        [(1,), (1,)]
        """
        if self.clipvalue is not None:
            return [maximum(minimum(g, self.clipvalue), -self.clipvalue) for g in gradients]
        if self.clipnorm is not None:
            return [g * _shrink(sum(g * g), self.clipnorm) for g in gradients]
        if self.global_clipnorm is not None and gradients:
            total = functools.reduce(add, (sum(g * g) for g in gradients))
            return [g * _shrink(total, self.global_clipnorm) for g in gradients]
        return list(gradients)

    def rule(
        self, p: Value, g: Value, slots: dict[str, Value], rate: Value, step: Value
    ) -> tuple[Value, dict[str, Value]]:
        raise NotImplementedError


class SGD(Optimizer):
    """Stochastic gradient descent: p' = p - rate g.

    With momentum m: v' = m v - rate g, p' = p + v' (Polyak, 1964); Nesterov's look-ahead: p' = p + m v' - rate g.
    Lectures: 001 (gradient descent), 002 (momentum).
    """

    learning_rate: float = 0.01
    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.momentum < 1:
            raise GraphError(f"SGD: momentum must be in [0, 1), got {self.momentum!r}")
        if self.nesterov and not self.momentum:
            raise GraphError("SGD: nesterov=True needs momentum > 0, for example momentum=0.9")

    @property
    def slot_names(self):  # type: ignore[override]
        return ("velocity",) if self.momentum else ()

    def rule(self, p, g, slots, rate, step):
        if not self.momentum:
            return p - rate * g, {}
        v = self.momentum * slots["velocity"] - rate * g
        return (p + self.momentum * v - rate * g if self.nesterov else p + v), {"velocity": v}


class Adam(Optimizer):
    """Adaptive moments: m' = b1 m + (1-b1) g, v' = b2 v + (1-b2) g^2, p' = p - rate mhat / (sqrt(vhat) + epsilon).

    mhat = m'/(1 - b1^step) and vhat = v'/(1 - b2^step) undo the start at zero. Kingma and Ba, ICLR 2015.
    """

    learning_rate: float = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    slot_names = ("m", "v")

    def __post_init__(self):
        super().__post_init__()
        for name in ("beta_1", "beta_2"):
            if not 0 <= getattr(self, name) < 1:
                raise GraphError(f"Adam: {name} must be in [0, 1), got {getattr(self, name)!r}")

    def rule(self, p, g, slots, rate, step):
        m = self.beta_1 * slots["m"] + (1 - self.beta_1) * g
        v = self.beta_2 * slots["v"] + (1 - self.beta_2) * (g * g)
        m_rate = rate / (1 - self.beta_1**step)
        root = fast_sqrt(v * (1 / (1 - self.beta_2**step)))
        return p - fast_divide(m_rate * m, root + self.epsilon), {"m": m, "v": v}


OPTIMIZERS: dict[str, type[Optimizer]] = {"sgd": SGD, "adam": Adam}


def as_optimizer(optimizer: str | Optimizer | type[Optimizer]) -> Optimizer:
    """An optimizer from its name, its class or itself."""
    if isinstance(optimizer, Optimizer):
        return optimizer
    if isinstance(optimizer, str) and optimizer.lower() in OPTIMIZERS:
        return OPTIMIZERS[optimizer.lower()]()
    if isinstance(optimizer, type) and issubclass(optimizer, Optimizer):
        return optimizer()
    raise GraphError(f"optimizer must be one of {', '.join(OPTIMIZERS)} or an Optimizer, got {optimizer!r}")
