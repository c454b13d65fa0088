"""The rules: one class each, a few lines each. Imports graph, ops and schedules."""

from __future__ import annotations

import math
from dataclasses import field

from ..checks import checked, choice, flag, number, unknown, whole, wrong
from ..errors import ArgumentError, GraphError
from ..ops import exp, fast_divide, fast_sqrt, log, sign, sqrt
from ..schedules import Piecewise, Schedule
from .base import CLIPS, Optimizer

EPSILON = "without it a gradient of 0 would be divided by 0"


class SGD(Optimizer):
    """Stochastic gradient descent: p' = p - rate g.

    With momentum m: v' = m v - rate g, p' = p + v' (Polyak, 1964); Nesterov's look-ahead: p' = p + m v' - rate g.
    ``momentum`` may be a schedule; `lecture_momentum` is 0.5 at first, and 0.9 from the fifth epoch on.
    ``maximize=True`` is the lecture's hill climbing, theta' = theta + r dP/dtheta, of a performance P, which is given
    as the loss: P = -1/2 |d - z|^2, for example. Lectures: 001 (gradient descent), 002 (hill climbing, momentum).

    >>> import pellucid as pel
    >>> from pellucid import nn, ops, optim
    >>> performance = lambda z, d: -0.5 * ops.sum((d - z) ** 2)
    >>> net = nn.Dense(1, bias=False, weight_init=nn.init.zeros)
    >>> model = pel.Model(net, performance, optim.SGD(0.5, maximize=True))
    >>> climb = model.fit([[1.0]], [[1.0]], epochs=3, verbose=0)["loss"]  # w = 0, 1/2, 3/4: half the way each
    >>> climb, model.parameters["weight"].item()
    ([-0.5, -0.125, -0.03125], 0.875)
    """

    learning_rate: float | Schedule = 0.01
    momentum: float | Schedule = 0.0
    nesterov: bool = False

    def __post_init__(self):
        super().__post_init__()
        checked(self, flag, "nesterov")
        if not isinstance(self.momentum, Schedule):
            checked(self, number, "momentum", least=0, below=1)
        elif max(getattr(self.momentum, "values", (self.momentum.start,))) >= 1:
            raise wrong(self, "momentum", "a number in [0, 1), or a schedule of such numbers", self.momentum)
        if self.nesterov and not self.momentum:
            raise GraphError("SGD: nesterov=True needs momentum > 0, for example momentum=0.9")

    @property
    def slot_names(self):  # type: ignore[override]
        return ("velocity",) if self.momentum else ()

    def rule(self, p, g, slots, rate, step):
        if not slots:
            return p - rate * g, {}
        v = self.momentum * slots["velocity"] - rate * g
        return (p + self.momentum * v - rate * g if self.nesterov else p + v), {"velocity": v}


class Adagrad(Optimizer):
    """Rates by the sum of squared gradients: s' = s + g^2, p' = p - rate g / (sqrt(s') + epsilon).

    Duchi, Hazan and Singer, JMLR 2011; lecture 001.
    """

    learning_rate: float | Schedule = 0.01
    epsilon: float = 1e-10
    slot_names = ("squares",)

    def __post_init__(self):
        super().__post_init__()
        checked(self, number, "epsilon", above=0, hint=EPSILON)

    def rule(self, p, g, slots, rate, step):
        s = slots["squares"] + g * g
        return p - rate * g / (sqrt(s) + self.epsilon), {"squares": s}


class RMSprop(Optimizer):
    """Rates by the average of squared gradients: v' = rho v + (1-rho) g^2, p' = p - rate g / (sqrt(v') + epsilon).

    ``centered`` subtracts the squared average of gradients from v'; with ``momentum`` m the steps u = g / (...) are
    collected, b' = m b + u, and p' = p - rate b'. Tieleman and Hinton, 2012; lecture 001.
    """

    learning_rate: float | Schedule = 0.001
    rho: float = 0.9
    momentum: float = 0.0
    epsilon: float = 1e-8
    centered: bool = False

    def __post_init__(self):
        super().__post_init__()
        checked(self, number, "rho", "momentum", least=0, below=1)
        checked(self, number, "epsilon", above=0, hint=EPSILON)
        checked(self, flag, "centered")

    @property
    def slot_names(self):  # type: ignore[override]
        return ("squares", *["mean"] * self.centered, *["steps"] * (self.momentum > 0))

    def rule(self, p, g, slots, rate, step):
        v = self.rho * slots["squares"] + (1 - self.rho) * (g * g)
        new = {"squares": v}
        if self.centered:
            new["mean"] = mean = self.rho * slots["mean"] + (1 - self.rho) * g
            v = v - mean * mean
        u = g / (sqrt(v) + self.epsilon)
        if self.momentum:
            new["steps"] = u = self.momentum * slots["steps"] + u
        return p - rate * u, new


class Adadelta(Optimizer):
    """Steps in the parameter's own unit: s' = rho s + (1-rho) g^2, u = g sqrt(d + epsilon) / sqrt(s' + epsilon),
    d' = rho d + (1-rho) u^2, p' = p - rate u.

    Zeiler, 2012.
    """

    learning_rate: float | Schedule = 1.0
    rho: float = 0.95
    epsilon: float = 1e-6
    slot_names = ("squares", "steps")

    def __post_init__(self):
        super().__post_init__()
        checked(self, number, "rho", least=0, below=1)
        checked(self, number, "epsilon", above=0, hint=EPSILON)

    def rule(self, p, g, slots, rate, step):
        s = self.rho * slots["squares"] + (1 - self.rho) * (g * g)
        u = g * sqrt(slots["steps"] + self.epsilon) / sqrt(s + self.epsilon)
        return p - rate * u, {"squares": s, "steps": self.rho * slots["steps"] + (1 - self.rho) * (u * u)}


class _Moments(Optimizer):
    """Base of those with two moving averages: m' = b1 m + (1-b1) g, v' = b2 v + (1-b2) g^2."""

    learning_rate: float | Schedule = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999

    def __post_init__(self):
        super().__post_init__()
        checked(self, number, "beta_1", "beta_2", least=0, below=1)

    def moments(self, g, slots):
        return (self.beta_1 * slots["m"] + (1 - self.beta_1) * g,
                self.beta_2 * slots["v"] + (1 - self.beta_2) * (g * g))  # fmt: skip


class Adam(_Moments):
    """Adaptive moments: m' = b1 m + (1-b1) g, v' = b2 v + (1-b2) g^2, p' = p - rate mhat / (sqrt(vhat) + epsilon).

    mhat = m'/(1 - b1^step) and vhat = v'/(1 - b2^step) undo the start at zero. Kingma and Ba, ICLR 2015.
    """

    epsilon: float = 1e-8
    slot_names = ("m", "v")

    def __post_init__(self):
        super().__post_init__()
        checked(self, number, "epsilon", above=0, hint=EPSILON)

    def rule(self, p, g, slots, rate, step):
        m, v = self.moments(g, slots)
        m_rate = rate / (1 - self.beta_1**step)
        root = fast_sqrt(v * (1 / (1 - self.beta_2**step)))
        return p - fast_divide(m_rate * m, root + self.epsilon), {"m": m, "v": v}


class AdamW(Adam):
    """Adam with decoupled weight decay: p' = p (1 - rate d) - rate mhat / (sqrt(vhat) + epsilon).

    d = ``weight_decay``, for arrays of two or more axes. Loshchilov and Hutter, ICLR 2019.
    """

    weight_decay: float | None = field(default=0.01, kw_only=True)


class Nadam(_Moments):
    """Adam with Nesterov's look-ahead: p' = p - rate (mu_t+1 m' / (1 - M mu_t+1) + (1-mu_t) g / (1 - M)) / (...).

    mu_t = b1 (1 - 0.5 0.96^(t psi)) is the momentum at step t, M the product of those so far, psi = ``decay``; the
    divisor is Adam's. Dozat, 2016.
    """

    learning_rate: float | Schedule = 0.002
    epsilon: float = 1e-8
    decay: float = 0.004
    slot_names = ("m", "v")
    scalar_slots = ("log_product",)

    def __post_init__(self):
        super().__post_init__()
        checked(self, number, "epsilon", above=0, hint=EPSILON)
        checked(
            self, number, "beta_1", above=0, below=1, hint="its logarithm is taken; without momentum use optim.Adam"
        )
        checked(self, number, "decay", least=0)

    def rule(self, p, g, slots, rate, step):
        m, v = self.moments(g, slots)
        mu, mu_next = (self.beta_1 * (1 - 0.5 * exp(math.log(0.96) * self.decay * t)) for t in (step, step + 1))
        total = slots["log_product"] + log(mu)
        m_rate, g_rate = rate * mu_next / (1 - exp(total) * mu_next), rate * (1 - mu) / (1 - exp(total))
        root = fast_sqrt(v * (1 / (1 - self.beta_2**step)))
        new = p - fast_divide(m_rate * m + g_rate * g, root + self.epsilon)
        return new, {"m": m, "v": v, "log_product": total}


class Lion(_Moments):
    """Steps of one size: p' = p - rate sign(b1 m + (1-b1) g), m' = b2 m + (1-b2) g.

    Chen et al., "Symbolic discovery of optimization algorithms", 2023.
    """

    learning_rate: float | Schedule = 0.0001
    beta_2: float = 0.99
    slot_names = ("m",)

    def rule(self, p, g, slots, rate, step):
        u = sign(self.beta_1 * slots["m"] + (1 - self.beta_1) * g)
        return p - rate * u, {"m": self.beta_2 * slots["m"] + (1 - self.beta_2) * g}


class LBFGS(Optimizer):
    """Quasi-Newton steps on all samples at once: p' = p - rate H g, with H from the last ``history`` steps.

    H approximates the inverse of the second derivatives (the two-loop recursion). ``line_search`` "strong_wolfe" looks
    for a step length along the way, at most ``max_evaluations`` times, starting at the learning rate; None takes the
    learning rate itself. An epoch is one step; `fit` takes all samples as one batch. For small sets of data and
    networks without dropout. Nocedal and Wright, "Numerical Optimization", 2006, algorithms 7.4 and 3.5.
    """

    learning_rate: float | Schedule = 1.0
    history: int = 10
    line_search: str | None = "strong_wolfe"
    max_evaluations: int = 20

    def __post_init__(self):
        super().__post_init__()
        checked(self, whole, "history", "max_evaluations")
        checked(self, choice, "line_search", among=("strong_wolfe", None))
        alone = {"layer_rates": None, "use_ema": False, "gradient_accumulation_steps": None, "weight_decay": None,
                 "maximize": False} | dict.fromkeys(CLIPS)  # fmt: skip
        for name, only in alone.items() if not isinstance(self.learning_rate, Schedule) else [("learning_rate", 1.0)]:
            if getattr(self, name) != only:
                raise wrong(self, name, f"left at {only!r}, since it is not for this optimizer", getattr(self, name))


def lecture_momentum(epochs: float = 5) -> Schedule:
    """Momentum 0.5 "until the initial learning stabilizes", after some epochs 0.9 (lecture 002).

    >>> SGD(0.1, momentum=lecture_momentum(3)).momentum.values
    (0.5, 0.9)
    """
    return Piecewise(values=(0.5, 0.9), epochs=(epochs,))


OPTIMIZERS: dict[str, type[Optimizer]] = {
    cls.__name__.lower(): cls for cls in (SGD, Adagrad, RMSprop, Adadelta, Adam, AdamW, Nadam, Lion, LBFGS)
}


def as_optimizer(optimizer: str | Optimizer | type[Optimizer]) -> Optimizer:
    """An optimizer from its name, its class or itself."""
    if isinstance(optimizer, Optimizer):
        return optimizer
    if isinstance(optimizer, str) and optimizer.lower() in OPTIMIZERS:
        return OPTIMIZERS[optimizer.lower()]()
    if isinstance(optimizer, type) and issubclass(optimizer, Optimizer):
        return optimizer()
    if isinstance(optimizer, str):
        raise unknown("optimizer", optimizer, OPTIMIZERS, "or give an Optimizer, such as optim.Adam(0.001)")
    raise ArgumentError(f"optimizer must be one of {', '.join(OPTIMIZERS)} or an Optimizer, got {optimizer!r}")
