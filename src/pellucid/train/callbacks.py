"""Callbacks: what may happen between epochs, under Keras' names (``on_epoch_end``, ...). Imports graph."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..checks import choice, hint_options, number, whole, wrong
from ..errors import ArgumentError
from ..graph import GraphError
from ..hints import close, find
from ..metrics import larger_is_better
from ..reprs import made_as
from .rates import base_rate, set_base_rate
from .remarks import remark

if TYPE_CHECKING:
    from .model import Model


class Callback:
    """Base of callbacks; ``self.model`` is the model in training, and ``self.model.stop_training = True`` ends it.

    ``logs`` holds the epoch's numbers by name (loss, val_loss, metrics). Epochs count from 0, as in Keras.
    ``remembers`` names the attributes that change during training and that a fit needs to go on from a `Checkpoint`:
    numbers, text, arrays, lists and dicts of these.
    """

    model: Model
    remembers: tuple[str, ...] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        hint_options(cls, "callback")

    def __repr__(self) -> str:
        return made_as(self)

    def set_model(self, model: Model) -> None:
        self.model = model

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of this callback: the attributes that ``remembers`` names."""
        return {name: getattr(self, name) for name in self.remembers}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Be again as `state_dict` was; called after `on_train_begin` of a fit that goes on."""
        for name, value in state.items():
            setattr(self, name, value)

    def on_train_begin(self, logs: dict | None = None) -> None: ...

    def on_train_end(self, logs: dict | None = None) -> None: ...

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None: ...

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None: ...


def as_callbacks(given: Any) -> list[Callback]:
    """A list of callbacks; None is an empty one. Raises `GraphError` for anything but a list of callbacks."""
    if isinstance(given, Callback):
        raise ArgumentError(f"callbacks must be a list: callbacks=[{type(given).__name__}(...)]")
    if given is None:
        return []
    if isinstance(given, (str, Mapping)) or not isinstance(given, Iterable):
        raise ArgumentError(f"callbacks must be a list of pellucid.Callback, got {given!r}")
    found = list(given)
    for c in found:
        if not isinstance(c, Callback):
            hint = "; did you forget the parentheses?" if isinstance(c, type) else ""
            raise ArgumentError(f"a callback must be a pellucid.Callback, got {c!r}{hint}")
    return found


class Monitor:
    """Which of an epoch's numbers is watched, and whether it is better than another.

    ``mode`` is "min", "max" or "auto" (max for accuracy and scores, else min).
    """

    def __init__(
        self, owner: Callback, monitor: str, mode: str = "auto", min_delta: float = 0.0, called: str = "monitor"
    ) -> None:
        self.owner, self.name = type(owner).__name__, monitor
        if not isinstance(monitor, str):
            patient = isinstance(monitor, int) and "patience" in inspect.signature(type(owner)).parameters
            hint = f"a number of epochs is given by its name, patience={monitor!r}" if patient else ""
            raise wrong(
                owner, called, "the name of a number that epochs report, such as 'val_loss'", monitor, hint=hint
            )
        choice(owner, "mode", mode, among=("auto", "min", "max"))
        self.min_delta = number(owner, "min_delta", min_delta, least=0)
        larger = mode == "max" or (mode == "auto" and larger_is_better(monitor))
        self.sign = -1 if larger else 1

    def __repr__(self) -> str:
        return repr(self.name)

    def value(self, logs: dict | None) -> float:
        """The number, negated where larger is better. Raises `GraphError` if the epoch does not report it."""
        if self.name not in (logs or {}):
            raise GraphError(f"{self.owner} watches {self.name!r}, but the epoch reports {', '.join(logs or {})}"
                             + self._instead([*(logs or {})]))  # fmt: skip
        return self.sign * (logs or {})[self.name]

    def _instead(self, there: list[str]) -> str:
        """What to do where the epoch does not report it: validate, and which name may have been meant."""
        validated = any(name.startswith("val_") for name in there)
        front = "val_" * self.name.startswith("val_")
        told = "" if validated or not front else "; give fit validation_split or validation_data"
        known = there if validated else [front + name for name in there]
        row = find("metric", self.name.removeprefix("val_"))
        named = front + row.here.split("'")[1] if row else self.name  # of metrics=['accuracy']
        if self.name in known:
            return told
        if near := [named] if named in known else close(self.name, known):
            return f"{told}; did you mean {' or '.join(map(repr, near))}?"
        return told

    def improved(self, value: float, best: float) -> bool:
        """Whether it is better by more than ``min_delta``."""
        return value < best - self.min_delta


class ReduceLROnPlateau(Callback):
    """Multiply the learning rate by ``factor`` when ``monitor`` has not improved for ``patience`` epochs.

    Then ``cooldown`` epochs are not counted; it does not go below ``min_lr``. With a schedule, what the schedule
    multiplies is reduced.
    """

    remembers = ("best", "wait", "cooling")

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        mode: str = "auto",
        min_delta: float = 0.0001,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        factor = number(self, "factor", factor, above=0, below=1)
        patience = whole(self, "patience", patience, least=1)
        cooldown = whole(self, "cooldown", cooldown, least=0)
        min_lr = number(self, "min_lr", min_lr, least=0)
        self.monitor, self.factor, self.patience = Monitor(self, monitor, mode, min_delta), factor, patience
        self.cooldown, self.min_lr = cooldown, min_lr
        self.mode, self.min_delta = mode, min_delta

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.best, self.wait, self.cooling = math.inf, 0, 0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        value = self.monitor.value(logs)
        if self.monitor.improved(value, self.best):
            self.best, self.wait = value, 0
        elif self.cooling == 0:
            self.wait += 1
            if self.wait >= self.patience:
                rate = base_rate(self.model)
                set_base_rate(self.model, max(rate * self.factor, min(rate, self.min_lr)))
                self.wait, self.cooling = 0, self.cooldown + 1
        self.cooling = max(self.cooling - 1, 0)


class AverageWeights(Callback):
    """Stochastic weight averaging: at the end, each weight is its mean over the ends of epochs, from ``start`` on.

    ``start`` counts epochs from 0; with a learning rate that stays high, the mean lies in the middle of what training
    wanders through. Statistics of batch normalization are computed anew, over one epoch. Izmailov et al., UAI 2018.
    """

    remembers = ("total", "count")

    def __init__(self, start: int = 0) -> None:
        start = whole(self, "start", start, least=0)
        self.start = start

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.total: dict[str, Any] = {}
        self.count = 0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if epoch >= self.start:
            self.count += 1
            for name, value in self.model.parameters.items():
                self.total[name] = self.total.get(name, 0) + value.astype("float64")

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if not self.count and self.model.stop_training:
            remark(f"AverageWeights(start={self.start}) has averaged nothing: training ended before, "
                   f"{self.model.stopped}")  # fmt: skip
        if self.count:
            trained = {name for name, p in self.model.network.built().parameters.items() if p.trainable}
            means = {name: total / self.count for name, total in self.total.items() if name in trained}
            self.model.set_parameters(means)
            self.model.update_statistics()
