"""Callbacks: what may happen between epochs, under Keras' names (``on_epoch_end``, ...). Imports graph."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ..graph import GraphError

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


class EarlyStopping(Callback):
    """Stop when ``monitor`` has not improved for ``patience`` epochs, and go back to the best weights.

    An epoch improves if it is better than the best so far by more than ``min_delta``. ``mode`` is "min", "max" or
    "auto" (max for accuracy and scores, else min). The generalisation peak of lecture 002's stopping criteria.
    """

    remembers = ("best", "best_epoch", "best_state", "stopped_epoch")

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        mode: str = "auto",
        restore_best_weights: bool = True,
    ) -> None:
        if patience < 0 or min_delta < 0:
            raise GraphError(f"EarlyStopping: patience and min_delta must be >= 0, got {patience} and {min_delta}")
        self.monitor, self.min_delta, self.patience = monitor, min_delta, patience
        self.sign = sign_of("EarlyStopping", monitor, mode)
        self.restore_best_weights = restore_best_weights

    def on_train_begin(self, logs=None):
        self.best, self.best_epoch, self.best_state, self.stopped_epoch = math.inf, -1, None, None

    def on_epoch_end(self, epoch, logs=None):
        value = self.sign * watched("EarlyStopping", self.monitor, logs)
        if value < self.best - self.min_delta:
            self.best, self.best_epoch, self.best_state = value, epoch, self.model.parameters
        elif epoch - self.best_epoch >= max(self.patience, 1):
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        if self.restore_best_weights and self.best_state is not None:
            self.model.set_parameters(self.best_state)


def sign_of(who: str, monitor: str, mode: str) -> int:
    """1 where less of a measure is better, -1 where more is; ``mode``: "min", "max", or "auto" to tell by its name."""
    if mode not in ("auto", "min", "max"):
        raise GraphError(f"{who}: mode must be auto, min or max, got {mode!r}")
    larger = mode == "max" or (mode == "auto" and any(s in monitor for s in ("acc", "auc", "score", "f1", "r2")))
    return -1 if larger else 1


def watched(who: str, monitor: str, logs: dict | None) -> float:
    """The epoch's number of that name; an error where there is none."""
    if monitor not in (logs or {}):
        hint = "; give fit validation_split or validation_data" if monitor.startswith("val_") else ""
        raise GraphError(f"{who} watches {monitor!r}, but the epoch reports {', '.join(logs or {})}{hint}")
    return (logs or {})[monitor]
