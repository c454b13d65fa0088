"""Schedules: how a learning rate, or a momentum, changes while training goes on. Imports graph and ops.

A schedule is a formula of the time t since training began, counted in epochs or in steps, whichever its argument
``epochs=`` or ``steps=`` is given in; within an epoch t goes on evenly. It is part of the training step's graph, so
that it costs nothing, and a resumed training goes on where it was. Steps and epochs are counted in whole numbers.
Adding one is adding a class with a `factor`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, dataclass_transform

from .checks import NoAttribute, checked, function, hint_options, number, several, wrong
from .errors import ArgumentError
from .graph import Value, cached_property, state
from .ops import cast, exp, floor, log, maximum, minimum, sqrt, where
from .reprs import Shown

# whole numbers that `Clock` reads, and `fit` sets: epochs that are done, steps in the one under way, steps of each
EPOCHS, EPOCH_STEPS, PER_EPOCH = "optimizer.epochs", "optimizer.epoch_steps", "optimizer.steps_per_epoch"
MOMENT = 2.0**-36  # less than any step is of a schedule's length, more than times in float64 are off by


class Clock:
    """The time since training began, as Values of shape (), 0 at the first step: ``steps`` and ``epochs``.

    Steps and epochs are counted in whole numbers; the times are float64, whatever the ``dtype`` of what is computed
    from them, so that no change comes too early or too late. ``updates`` is what a training step must carry on, if
    anybody asked for epochs.
    """

    def __init__(self, steps: Value, dtype: str = "float64", name: str = "optimizer") -> None:
        self.steps, self.dtype, self.updates = cast(steps, "float64"), dtype, dict[Value, Value]()
        self.name = name  # of the optimizer, where its state is

    @cached_property
    def epochs(self) -> Value:
        done, more, each = (state(name.replace("optimizer", self.name, 1), (), "int32")
                            for name in (EPOCHS, EPOCH_STEPS, PER_EPOCH))  # fmt: skip
        self.updates[more] = more + 1
        n = maximum(cast(each, "float64"), 1)
        return (cast(done, "float64") * n + cast(more, "float64")) / n


@dataclass_transform(frozen_default=True)
@dataclass(frozen=True, repr=False)
class Schedule(Shown):
    """Base of schedules: ``start * factor(t)``.

    ``epochs`` or ``steps``, one of them, is the schedule's length: that of the whole change, or of its period; each
    class says which. Raises `GraphError` for a length that is not above 0.
    """

    start: float = 0.01
    epochs: float | Sequence[float] | None = field(default=None, kw_only=True)
    steps: float | Sequence[float] | None = field(default=None, kw_only=True)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        dataclass(frozen=True, repr=False)(cls)
        hint_options(cls, "schedule option")

    def __post_init__(self) -> None:
        checked(self, number, "start", above=0)
        if (self.epochs is None) == (self.steps is None):
            given = "both" if self.epochs is not None else "none"
            raise ArgumentError(f"{type(self).__name__}: give its length as epochs=... or as steps=..., got {given}")
        checked(self, self.check_length, self.unit)

    def check_length(self, owner: Any, name: str, length: Any) -> Any:
        return number(owner, name, length, above=0)

    @property
    def unit(self) -> str:
        """The name of the length that was given: "epochs" or "steps"."""
        return "steps" if self.epochs is None else "epochs"

    @property
    def length(self) -> Any:
        return getattr(self, self.unit)

    def time(self, clock: Clock) -> Value:
        """t, in the schedule's unit."""
        return clock.steps if self.epochs is None else clock.epochs

    def at(self, clock: Clock) -> Value:
        """What ``start`` is multiplied by now."""
        return cast(self.factor(self.time(clock)), clock.dtype)

    def factor(self, t: Value) -> Value:
        raise NotImplementedError


class Constant(Schedule):
    """start, always; what a plain number is too.

    >>> Constant(0.1).start
    0.1
    """

    def __post_init__(self) -> None:
        checked(self, number, "start", above=0)
        checked(self, number, "epochs", "steps", above=0, optional=True)

    def at(self, clock):
        return cast(clock.steps * 0 + 1, clock.dtype)


class Step(Schedule):
    """start ratio^floor(t / T): down by ``ratio`` after every T epochs or steps.

    >>> Step(0.1, ratio=0.5, epochs=10).length
    10
    """

    ratio: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, number, "ratio", above=0)

    def factor(self, t):
        return power(self.ratio, floor(t / self.length + MOMENT))


class Piecewise(Schedule):
    """values[i] from the boundary i - 1 to the boundary i, which are the ``epochs`` or ``steps``.

    Lecture 002's momentum, "0.5 until the initial learning stabilizes and then 0.9": ``Piecewise((0.5, 0.9),
    epochs=(5,))``.

    >>> Piecewise((0.5, 0.9), epochs=(5,)).start
    0.5
    """

    start: float = field(init=False, default=0.0)  # type: ignore[misc]
    values: Sequence[float] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.values, (tuple, list)) or len(self.values) < 2:
            raise wrong(self, "values", "two or more numbers > 0", self.values)
        values = tuple(number(self, f"values[{i}]", v, above=0) for i, v in enumerate(self.values))
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "start", values[0])
        super().__post_init__()

    def check_length(self, owner, name, length):
        bounds = tuple(number(owner, f"{name}[{i}]", b, above=0) for i, b in enumerate(several(length)))
        n = len(self.values)
        if len(bounds) != n - 1 or any(a >= b for a, b in itertools.pairwise(bounds)):
            raise wrong(owner, name, f"{n - 1} rising boundaries between {n} values", length)
        return bounds

    def factor(self, t):
        found = t * 0 + 1
        for boundary, value in zip(self.length, self.values[1:], strict=True):
            found = where(t >= boundary - MOMENT, value / self.start, found)
        return found


class Exponential(Schedule):
    """start ratio^(t / T): down by ``ratio`` in every T epochs or steps, evenly.

    >>> Exponential(0.1, ratio=0.9, epochs=1).ratio
    0.9
    """

    ratio: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, number, "ratio", above=0)

    def factor(self, t):
        return power(self.ratio, t / self.length)


class InverseTime(Schedule):
    """start / (1 + t / T)^power: half of it after T epochs or steps, for power 1.

    >>> InverseTime(0.1, steps=1000).power
    1.0
    """

    power: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, number, "power", above=0)

    def factor(self, t):
        return exp(-self.power * log(1 + t / self.length))


class Cosine(Schedule):
    """start (e + (1 - e) (1 + cos(pi t / T)) / 2) until T, then start e, with e = ``end``, a share of the start.

    Loshchilov and Hutter, "SGDR", ICLR 2017.

    >>> Cosine(0.1, epochs=30).end
    0.0
    """

    end: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, number, "end", least=0, most=1, hint="it is a share of the start")

    def factor(self, t):
        return between(1.0, self.end, t / self.length)


class OneCycle(Schedule):
    """Up from start / ``divide`` to start in the first ``warm`` of T, then down to start / ``final``, both as cosines.

    Smith and Topin, "Super-Convergence", 2018; the numbers are those usual for it.

    >>> OneCycle(0.1, epochs=20).warm
    0.3
    """

    warm: float = 0.3
    divide: float = 25.0
    final: float = 25e4

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, number, "warm", above=0, below=1, hint="it is a share of the length")
        checked(self, number, "divide", "final", least=1)

    def factor(self, t):
        part = t / self.length
        up = between(1 / self.divide, 1.0, part / self.warm)
        down = between(1.0, 1 / self.final, (part - self.warm) / (1 - self.warm))
        return where(part < self.warm, up, down)


class WarmUp(Schedule):
    """Evenly up from ``begin`` times the start of another schedule, or of a number, in T epochs or steps; then that.

    The other schedule's own time begins when the warm-up is over.

    >>> WarmUp(Cosine(0.1, epochs=30), epochs=3).start
    0.1
    """

    start: float = field(init=False, default=0.0)  # type: ignore[misc]
    then: float | Schedule = 0.01
    begin: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.then, Schedule):
            checked(self, number, "then", above=0)
        object.__setattr__(self, "start", start_of(self.then))
        super().__post_init__()
        checked(self, number, "begin", least=0, most=1, hint="it is a share of the start")
        if isinstance(self.then, Schedule) and not isinstance(self.then, Constant) and self.then.unit != self.unit:
            raise wrong(self, self.unit, f"given as {self.then.unit}=..., the unit of the other schedule", self.length)

    def factor(self, t):
        rising = self.begin + (1 - self.begin) * (t / self.length)
        then = self.then.factor(t - self.length) if isinstance(self.then, Schedule) else t * 0 + 1
        return where(t < self.length - MOMENT, rising, then)


class Function(Schedule):
    """start f(t), with f a user's function of a Value; its length is the unit of t.

    >>> Function(0.1, lambda t: 1 / sqrt(1 + t), epochs=1).start
    0.1
    """

    function: Callable[[Value], Value] = sqrt

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, function, "function", like="lambda t: 1 / (1 + t)")

    def factor(self, t):
        return self.function(t / self.length)


def between(first: float, last: float, part: Value) -> Value:
    """From the first to the last as half a cosine, for a part from 0 to 1 of the way; outside, its ends."""
    u = math.pi * (0.5 - maximum(minimum(part, 1), 0))  # cos(pi part) = sin(u), by its series: |u| is at most pi / 2
    sine: Value | float = 0.0
    for n in range(19, 0, -2):
        sine = u**2 * sine * (-1 / ((n + 1) * (n + 2))) + 1
    return last + (first - last) * 0.5 * (1 + u * sine)


def power(ratio: float, t: Value) -> Value:
    """ratio^t for a positive number."""
    return exp(math.log(ratio) * t)


def start_of(value: float | Schedule) -> float:
    """A number, or what a schedule multiplies."""
    return value.start if isinstance(value, Schedule) else value


SCHEDULES: dict[str, type[Schedule]] = {
    cls.__name__: cls
    for cls in (Constant, Step, Piecewise, Exponential, InverseTime, Cosine, OneCycle, WarmUp, Function)
}


if not TYPE_CHECKING:  # so that checkers of types know what there is

    def __getattr__(name: str):
        raise NoAttribute(f"module {__name__!r}", "schedules", name, SCHEDULES)
