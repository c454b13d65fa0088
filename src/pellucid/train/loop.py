"""The loop over epochs: shuffling, mini-batches, validation, callbacks, and what to say when training diverges."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np

from ..executors import NotFinite
from .batches import FitPosition, Piece, cut, epochs_of
from .checkpoint import Checkpoint, Saved, keeper_of
from .divergence import DivergedError, check_weights, diverged_because
from .evaluation import added, evaluate, numbers, of_epochs, of_targets
from .progress import Silent
from .rates import RATE, at_epoch
from .remarks import remark, remark_if_exploded
from .stepping import trained_weights
from .stopping import StoppingRule
from .training import Training

if TYPE_CHECKING:
    from .callbacks import Callback
    from .history import History
    from .model import Model

log = logging.getLogger(__name__)


def fit(
    model: Model, training: Training, callbacks: list[Callback], show: Silent, saved: Saved | None = None
) -> History:
    """Train for some epochs, or go on from a saved place among them, and return the model's history."""
    return Fit(model, training, callbacks, show).run(saved)


class Fit:
    """A fit while it goes on: what it was given, and how far it is."""

    def __init__(self, model: Model, training: Training, callbacks: list[Callback], progress: Silent) -> None:
        self.model, self.training, self.callbacks, self.progress = model, training, callbacks, progress
        self.keeper, self.metrics = keeper_of(callbacks), of_epochs(model.metrics)
        self.diverged: dict[str, np.ndarray] | None = None  # the state before the epoch that did

    def run(self, saved: Saved | None) -> History:
        """All epochs, from a saved place on."""
        model = self.model
        model.stop_training, model.stopped, model.training = False, "", self.training
        for c in self.callbacks:
            c.set_model(model)
            c.on_train_begin()
        try:
            place = saved.restore(model, self.callbacks) if saved else FitPosition()
            self._expect(place)
            with self.progress:
                self.progress.on_resume(place.epoch)
                if self.keeper is not None and saved is None:
                    self.keeper.write(place, self.callbacks)
                self._epochs(place)
            model.stopped = model.stopped or f"after {self.training.epochs} epochs, as asked"
            log.info("fit: ended %s", model.stopped)
        finally:
            for c in self.callbacks:
                c.on_train_end()
            model.training = None
            if self.diverged is not None:  # whatever callbacks have put in its place
                model.state = self.diverged
        remark_if_exploded(model)
        return model.history

    def _expect(self, place: FitPosition) -> None:
        """Say how many samples will come, unless a rule may end the fit before."""
        t, left = self.training, self.training.epochs - place.epoch
        if not any(isinstance(c, StoppingRule) for c in self.callbacks):
            for step, part, batch in zip(t.steps, t.parts, t.batches, strict=True):
                step.expect(left * part.samples, batch)
        log.info("fit: %d samples, %d steps an epoch, epochs %d to %d", t.samples, t.steps_per_epoch,
                 self.model.epochs + 1, self.model.epochs + left)  # fmt: skip

    def _epochs(self, place: FitPosition) -> None:
        """One epoch after the other, until one is the last."""
        model, t, keeper = self.model, self.training, self.keeper
        epochs = range(model.epochs, model.epochs + t.epochs - place.epoch)
        with closing(epochs_of(t.parts, t.augment, model.seed, epochs, t.batches, t.shuffle)) as work:
            for epoch in range(place.epoch, 0 if model.stop_training else t.epochs):
                for c in self.callbacks if not place.rows else []:
                    c.on_epoch_begin(epoch)
                start = time.perf_counter()
                self._train(next(work), place)
                logs = self._measured(place)
                self.progress.on_epoch(epoch, logs, time.perf_counter() - start)
                for c in self.callbacks:
                    c.on_epoch_end(epoch, logs)
                place = FitPosition(epoch + 1, place.step, place.step)
                last = model.stop_training or place.epoch == t.epochs
                if keeper is not None and (last or keeper.due(place)):
                    keeper.write(place, self.callbacks)
                if model.stop_training:
                    break

    def _train(self, pieces: Iterator[Piece], place: FitPosition) -> None:
        """The steps of an epoch; after an error the state is as it was before it."""
        model, keeper = self.model, self.keeper
        before = dict(model.state)
        try:
            for _ in _epoch(model, self.training, pieces, self.progress.on_step, place, keeper):
                if keeper is not None and keeper.due(place):
                    check_weights(model, self.training)
                    keeper.write(place, self.callbacks)
            check_weights(model, self.training)
        except Exception as error:
            model.state = before
            self.diverged = dict(before) if isinstance(error, DivergedError) else None
            log.warning("fit: ended in epoch %d by %s: %s", model.epochs + 1, type(error).__name__, error)
            raise
        model.epochs, model.last_rate = model.epochs + 1, model.state.get(RATE)

    def _measured(self, place: FitPosition) -> dict[str, Any]:
        """Loss and metrics of the epoch, and those of the validation samples; they go into the history."""
        model, validation = self.model, self.training.validation
        logs = numbers(place.sums, self.metrics)
        if validation is not None:
            found = evaluate(model, validation, metrics=self.metrics)
            if not np.isfinite(found["loss"]):
                remark("the loss of the validation samples is NaN or infinite; model.evaluate says for which")
            logs |= {f"val_{name}": v for name, v in found.items()}
        model.history.append(logs)
        log.debug("fit: epoch %d, %s", model.epochs, logs)
        return logs


def _epoch(
    model: Model,
    training: Training,
    pieces: Iterator[Piece],
    on_step: Callable[[int], None],
    place: FitPosition,
    keeper: Checkpoint | None,
) -> Iterator[None]:
    """Train on the pieces of an epoch, from a place in it that moves along; stop between two of them."""
    if keeper is not None:
        pieces = cut(pieces, training.batches, keeper.every, place.first, place.rows)
    if not place.rows:
        model.state |= at_epoch(model.state, model.epochs, training.steps_per_epoch)
    for k, piece in enumerate(pieces):
        if k:
            yield
        batch = training.batches[piece.part]
        try:
            with trained_weights(model):
                found = training.steps[piece.part].steps(
                    model.state, piece.arrays, piece.order, batch, "loss", lambda rows: on_step(place.rows + rows)
                )
        except NotFinite as failure:
            failure.step += place.step - place.first
            raise DivergedError(diverged_because(model, piece.arrays, failure)) from None
        place.sums = added(place.sums, found, of_targets(model, model.metrics, piece.arrays, piece.order))
        place.rows, place.step = place.rows + piece.rows, place.step - (-piece.rows // batch)
