"""When to stop: rules that look at an epoch's numbers, and combine by ``|`` (one is enough) and ``&`` (all at once)."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import number, whole, wrong
from .callbacks import Callback, Monitor
from .stepping import gradients

if TYPE_CHECKING:
    from .model import Model


class StoppingRule(Callback):
    """Base of stopping rules: `met` says why to stop now, or None. ``model.stopped`` tells it after `fit`.

    >>> rule = Epochs(10) & SmallChange(0.01) | TimeLimit(minutes=5)
    >>> rule
    <after 10 epochs and loss changes by less than 0.01 an epoch, or after 300 s>
    """

    def met(self, epoch: int, logs: dict) -> str | None:
        raise NotImplementedError

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        reason = self.met(epoch, logs or {})
        if reason:
            self.model.stop_training, self.model.stopped = True, f"in epoch {epoch + 1}: {reason}"

    def __or__(self, other: StoppingRule) -> StoppingRule:
        return AnyOf(self, other)

    def __and__(self, other: StoppingRule) -> StoppingRule:
        return AllOf(self, other)

    def describe(self) -> str:
        """The rule in words."""
        return type(self).__name__


class Combined(StoppingRule):
    """Several rules, each of which sees every epoch."""

    word = ""

    def __init__(self, *rules: StoppingRule) -> None:
        for rule in rules:
            if not isinstance(rule, StoppingRule):
                raise TypeError(f"stopping rules combine with stopping rules, got {rule!r}")
        self.rules = rules

    def set_model(self, model: Model) -> None:
        super().set_model(model)
        for rule in self.rules:
            rule.set_model(model)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        for rule in self.rules:
            rule.on_train_begin(logs)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        for rule in self.rules:
            rule.on_train_end(logs)

    def state_dict(self) -> dict[str, Any]:
        states = [rule.state_dict() for rule in self.rules]
        return {"rules": states} if any(states) else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for rule, own in zip(self.rules, state["rules"], strict=True):
            rule.load_state_dict(own)

    def describe(self) -> str:
        return self.word.join(rule.describe() for rule in self.rules)

    def __repr__(self) -> str:
        return f"<{self.describe()}>"


class AnyOf(Combined):
    """Stop when one of the rules is met."""

    word = ", or "

    def met(self, epoch: int, logs: dict[str, Any]) -> str | None:
        reasons = [rule.met(epoch, logs) for rule in self.rules]
        return next((reason for reason in reasons if reason), None)


class AllOf(Combined):
    """Stop when all the rules are met in the same epoch."""

    word = " and "

    def met(self, epoch: int, logs: dict[str, Any]) -> str | None:
        reasons = [rule.met(epoch, logs) for rule in self.rules]
        return " and ".join(reason or "" for reason in reasons) if all(reasons) else None


class Epochs(StoppingRule):
    """Stop after n epochs of this fit; with ``&``, not before. Lecture 002: the maximum number of epochs."""

    def __init__(self, epochs: int) -> None:
        epochs = whole(self, "epochs", epochs, least=1)
        self.epochs = epochs

    def met(self, epoch: int, logs: dict[str, Any]) -> str | None:
        return self.describe() if epoch + 1 >= self.epochs else None

    def describe(self) -> str:
        return f"after {self.epochs} epochs"


class GradientNorm(StoppingRule):
    """Stop when ||dC/dtheta||, over all training samples and weights, is below a number. Lecture 001.

    It costs about one more pass over the training samples an epoch; it is computed every ``every`` epochs.
    """

    def __init__(self, below: float, every: int = 1) -> None:
        below = number(self, "below", below, above=0)
        every = whole(self, "every", every, least=1)
        self.below, self.every, self.norm = below, every, math.nan

    def met(self, epoch: int, logs: dict[str, Any]) -> str | None:
        if (epoch + 1) % self.every == 0:
            assert self.model.training is not None
            _, slopes = gradients(self.model, self.model.training.unchanged)
            self.norm = math.sqrt(sum(float((g**2).sum()) for g in slopes.values()))
            if self.norm < self.below:
                return f"the norm of the gradient is {self.norm:.3g}, below {self.below:g}"
        return None

    def describe(self) -> str:
        return f"norm of the gradient below {self.below:g}"


class SmallChange(StoppingRule):
    """Stop when |E_t - E_(t-1)| of the training loss is below a number for ``patience`` epochs. Lectures 001, 002.

    The absolute change of the average error per epoch; with ``relative``, divided by E_(t-1) (0.01 to 0.1 in lecture
    002). The loss is the mean over the epoch's steps; ``monitor`` may be another number.
    """

    remembers = ("last", "wait")

    def __init__(self, below: float, monitor: str = "loss", patience: int = 1, relative: bool = False) -> None:
        below = number(self, "below", below, above=0)
        patience = whole(self, "patience", patience, least=1)
        self.below, self.monitor, self.patience = below, Monitor(self, monitor), patience
        self.relative = relative

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.last, self.wait = math.nan, 0

    def met(self, epoch: int, logs: dict[str, Any]) -> str | None:
        value = self.monitor.value(logs)
        change = abs(value - self.last) / (abs(self.last) if self.relative else 1)
        self.wait, self.last = (self.wait + 1 if change < self.below else 0), value
        name = self.monitor.name
        return f"{name} changed by {change:.3g}, less than {self.below:g}" if self.wait >= self.patience else None

    def describe(self) -> str:
        return f"{self.monitor.name} changes by less than {self.below:g} an epoch"


class TimeLimit(StoppingRule):
    """Stop before an epoch that, as long as the longest so far, would go beyond a number of seconds or minutes.

    In a fit that goes on from a checkpoint, the time until that counts, too.
    """

    def __init__(self, seconds: float | None = None, minutes: float | None = None) -> None:
        one = (seconds is None) != (minutes is None)
        if not one:
            raise wrong(self, "the time", "seconds=... or minutes=..., one of them", (seconds, minutes))
        self.seconds = seconds if seconds is not None else 60 * (minutes or 0)
        number(self, "the time", self.seconds, above=0)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.start = self.mark = time.monotonic()
        self.longest = 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"used": time.monotonic() - self.start, "longest": self.longest}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.start, self.longest = time.monotonic() - state["used"], state["longest"]

    def met(self, epoch: int, logs: dict[str, Any]) -> str | None:
        now = time.monotonic()
        self.longest, self.mark = max(self.longest, now - self.mark), now
        used = now - self.start
        over = used + self.longest > self.seconds
        return f"{used:.3g} s are used of {self.seconds:g}, and an epoch takes {self.longest:.3g}" if over else None

    def describe(self) -> str:
        return f"after {self.seconds:g} s"


class Target(StoppingRule):
    """Stop when ``monitor`` has reached a value: as low, or for accuracy and scores as high. Lecture 002's
    "if the generalization performance is satisfactory, then stop"."""

    def __init__(self, value: float, monitor: str = "val_accuracy", mode: str = "auto") -> None:
        self.value, self.monitor, self.mode = value, Monitor(self, monitor, mode), mode

    def met(self, epoch: int, logs: dict[str, Any]) -> str | None:
        value = self.monitor.value(logs)
        reached = value <= self.monitor.sign * self.value
        return f"{self.monitor.name} is {abs(value):.4g}, {self.value:g} was wanted" if reached else None

    def describe(self) -> str:
        return f"{self.monitor.name} reaches {self.value:g}"


class EarlyStopping(StoppingRule):
    """Stop when ``monitor`` has not improved for ``patience`` epochs, and go back to the best weights.

    An epoch improves if it is better than the best so far by more than ``min_delta``. ``mode`` is "min", "max" or
    "auto" (max for accuracy and scores, else min). ``start_from_epoch`` epochs are not looked at. The generalization
    peak of the lectures' stopping criteria (001, 002).
    """

    remembers = ("best", "best_epoch", "best_state", "stopped_epoch")

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 1,
        mode: str = "auto",
        restore_best_weights: bool = True,
        start_from_epoch: int = 0,
    ) -> None:
        patience = whole(self, "patience", patience, hint="1 stops at the first epoch that is not better")
        start_from_epoch = whole(self, "start_from_epoch", start_from_epoch, least=0)
        self.monitor, self.patience = Monitor(self, monitor, mode, min_delta), patience
        self.restore_best_weights, self.start_from_epoch = restore_best_weights, start_from_epoch
        self.min_delta, self.mode = min_delta, mode

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.best, self.best_epoch = math.inf, -1
        self.best_state: dict[str, np.ndarray] | None = None
        self.stopped_epoch: int | None = None

    def met(self, epoch: int, logs: dict[str, Any]) -> str | None:
        value = self.monitor.value(logs)
        if epoch < self.start_from_epoch:
            return None
        if self.monitor.improved(value, self.best):
            self.best, self.best_epoch, self.best_state = value, epoch, self.model.parameters
        elif epoch - self.best_epoch >= self.patience:
            self.stopped_epoch = epoch
            return f"{self.monitor.name} was best in epoch {self.best_epoch + 1}"
        return None

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self.restore_best_weights and self.best_state is not None:
            self.model.set_parameters(self.best_state)

    def describe(self) -> str:
        return f"{self.monitor.name} has not improved for {self.patience} epochs"
