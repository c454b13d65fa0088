"""The loop over epochs: shuffling, mini-batches, validation, callbacks, and what to say when training diverges."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data import DataError
from ..executors import NotFinite
from ..graph import GraphError, Program, toposort
from ..ops.loop import scan_of
from ..optim import CLIPS
from .checkpoint import Checkpoint, Saved, keeper_of
from .pieces import Arrays, Piece, Place, cut, epochs_of
from .progress import Silent

if TYPE_CHECKING:
    from .history import History
    from .model import Model

DEFAULT_BATCH = 32
EVALUATE_BATCH = 256


class DivergedError(ArithmeticError):
    """The loss became NaN or infinite; the message says in which layer it began and what to try."""


def batch_size_for(asked: int | str | None, n: int, usual: int = EVALUATE_BATCH) -> int:
    """The number of samples at a time: as asked, "all", or the usual (all, if fewer)."""
    if asked is None:
        return min(usual, n)
    if isinstance(asked, str) and asked == "all":
        return n
    if not isinstance(asked, (int, np.integer)) or asked < 1:
        raise GraphError(f"batch_size must be a whole number >= 1 or 'all', got {asked!r}")
    return int(asked)


def training_batch_size(asked: int | str | None, n: int) -> int:
    """The number of samples a step; more than there are is an error."""
    size = batch_size_for(asked, n, DEFAULT_BATCH)
    if size > n:
        raise DataError(f"batch_size={size} is larger than the {n} training samples; use batch_size={n} or 'all'")
    return size


def split(arrays: dict[str, np.ndarray], fraction: float, seed: int) -> tuple[dict, dict]:
    """Training and validation samples, drawn with the seed and kept in their order."""
    n = len(arrays["y"])
    if not 0 < fraction < 1:
        raise GraphError(f"validation_split must be between 0 and 1, got {fraction!r}")
    held = round(n * fraction)
    if held < 1 or held >= n:
        raise DataError(f"validation_split={fraction} of {n} samples leaves {held} for validation, "
                        f"{n - held} for training")  # fmt: skip
    order = np.random.Generator(np.random.Philox(key=[seed, 1 << 40])).permutation(n)
    validation, training = np.sort(order[:held]), np.sort(order[held:])
    return {k: a[training] for k, a in arrays.items()}, {k: a[validation] for k, a in arrays.items()}


def first_state(program: Program, names: list[str], learning_rate: float, seed: int) -> dict[str, np.ndarray]:
    """First values of the state that is not weights: the optimizer's slots and counter, the key of random numbers."""
    if late := [name for name in names if not name.startswith(("optimizer.", "random."))]:
        raise GraphError(f"a layer asks for {late[0]!r} in training only, so that it has no first value; "
                         "call self.param before asking self.training")  # fmt: skip
    state = {name: np.zeros(program.state[name].shape, program.state[name].dtype) for name in names}
    if "optimizer.learning_rate" in state:
        state["optimizer.learning_rate"] += learning_rate
    if "random.key" in state:
        state["random.key"] = np.random.SeedSequence(seed).generate_state(2, np.uint32)
    return state


def evaluate(model: Model, parts: list[Arrays], batch_size: int | str | None = None) -> dict[str, float]:
    """Weighted means of the loss and the metrics over the samples of all parts."""
    sums: dict[str, float] = {}
    for arrays in parts:
        size = batch_size_for(batch_size, len(arrays["y"]))
        sums = _added(sums, model._compiled("evaluate", arrays).steps(model.state, arrays, None, size))
    return _means(sums)


def _added(sums: dict[str, float], more: dict[str, float]) -> dict[str, float]:
    return {name: sums.get(name, 0.0) + value for name, value in more.items()}


def _means(sums: dict[str, float]) -> dict[str, float]:
    weight = sums["weight"]
    return {name: total / weight if weight else float("nan") for name, total in sums.items() if name != "weight"}


def fit(
    model: Model,
    steps: list[Any],
    parts: list[Arrays],
    validation: list[Arrays] | None,
    batch: int,
    epochs: int,
    shuffle: bool,
    callbacks,
    show: Silent,
    augment: Callable | None = None,
    saved: Saved | None = None,
) -> History:
    """Train for some epochs and return the model's history; ``steps`` has the compiled step of each part.

    ``saved``: the checkpoint to go on from.
    """
    model.stop_training = False
    for c in callbacks:
        c.set_model(model)
        c.on_train_begin()
    place = saved.restore(model, callbacks) if saved else Place()
    keeper = keeper_of(callbacks)
    numbers = range(model.epochs, model.epochs + epochs - place.epoch)
    try:
        with show as progress, closing(epochs_of(parts, augment, model.seed, numbers, batch, shuffle)) as work:
            progress.on_resume(place.epoch)
            if keeper is not None and saved is None:
                keeper.write(place, callbacks)
            for epoch in range(place.epoch, epochs if not model.stop_training else 0):
                if not place.rows:
                    for c in callbacks:
                        c.on_epoch_begin(epoch)
                start = time.perf_counter()
                before = dict(model.state)
                try:
                    for _ in _epoch(model, steps, next(work), batch, progress.on_step, place, keeper):
                        if keeper is not None and keeper.due(place):
                            keeper.write(place, callbacks)
                except Exception:
                    model.state = before
                    raise
                model.epochs += 1
                logs = _means(place.sums)
                if validation is not None:
                    logs |= {f"val_{name}": value for name, value in evaluate(model, validation).items()}
                model.history.append(logs)
                progress.on_epoch(epoch, logs, time.perf_counter() - start)
                for c in callbacks:
                    c.on_epoch_end(epoch, logs)
                place = Place(epoch + 1, place.step, place.step)
                last = model.stop_training or place.epoch == epochs
                if keeper is not None and (last or keeper.due(place)):
                    keeper.write(place, callbacks)
                if model.stop_training:
                    break
    finally:
        for c in callbacks:
            c.on_train_end()
    return model.history


def _epoch(
    model: Model,
    steps: list[Any],
    pieces: Iterator[Piece],
    batch: int,
    on_step: Callable[[int], None],
    place: Place,
    keeper: Checkpoint | None,
) -> Iterator[None]:
    """Train on the pieces of an epoch, from a place in it; between two of them the place is told."""
    if keeper is not None:
        pieces = cut(pieces, batch, keeper.every, place.first, place.rows)
    for k, piece in enumerate(pieces):
        if k:
            yield
        try:
            found = steps[piece.part].steps(
                model.state, piece.arrays, piece.order, batch, "loss", lambda rows: on_step(place.rows + rows)
            )
        except NotFinite as failure:
            failure.step += place.step - place.first
            raise DivergedError(_why(model, piece.arrays, failure)) from None
        place.sums = _added(place.sums, found)
        place.rows, place.step = place.rows + piece.rows, place.step - (-piece.rows // batch)


def _why(model: Model, arrays: dict[str, np.ndarray], failure: NotFinite) -> str:
    """Where NaN or infinity began, and what to try."""
    inputs = {k: a for k, a in arrays.items() if k not in ("y", "weight")}
    x = {k.removeprefix("x."): a[failure.rows] for k, a in inputs.items()}
    given = x["x"] if model.how == "one" else tuple(x.values()) if model.how == "tuple" else x
    where = "the loss itself"
    for path, output in model.layer_outputs(given).items():
        if not np.isfinite(output).all():
            where = f"layer {path!r}"
            whole = path == type(model.net).__name__
            own = {k: v for k, v in model.parameters.items() if whole or k.startswith(f"{path}.")}
            bad = [k for k, v in own.items() if not np.isfinite(v).all()]
            if bad:
                where += f", whose parameter {bad[0]!r} is no longer finite"
            elif own:
                widest = max(own, key=lambda k: np.abs(own[k]).max(initial=0))
                where += f", whose parameter {widest!r} reaches {np.abs(own[widest]).max():.3g}"
            break
    rate = float(model.state["optimizer.learning_rate"])
    largest = max(float(np.abs(a).max()) for a in inputs.values())
    tries = [f"a smaller learning rate (now {rate:g})"]
    recurrent = any(v.primitive is scan_of for v in toposort([model._built().output]))
    if recurrent and not any(getattr(model.optimizer, name) for name in CLIPS):
        tries.append(f"clipped gradients, as in optim.{type(model.optimizer).__name__}(global_clipnorm=1.0)")
    if largest > 20:
        tries.append(f"inputs scaled to about -1..1 (the largest is {largest:.3g})")
    if model.loss.targets == "values" and np.abs(arrays["y"]).max() > 100:
        tries.append(f"scaled targets (the largest is {np.abs(arrays['y']).max():.3g})")
    return (f"the loss became NaN or infinite in epoch {model.epochs + 1}, step {failure.step + 1}. "
            f"It began in {where}. Try {', '.join(tries)}. The model is as it was before this epoch.")  # fmt: skip
