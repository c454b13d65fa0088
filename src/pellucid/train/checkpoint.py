"""Checkpoints: a fit written to a folder while it runs, so that after an interruption it goes on to the same result.

Imports numpy, data, graph and the sibling modules.
"""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..checks import number, whole
from ..data import DataError
from ..errors import ArgumentError
from ..graph import GraphError
from ..program import Program
from . import saving
from .batches import FitPosition
from .callbacks import Callback, Monitor
from .fingerprint import KINDS, Fingerprint, check_same, fingerprint
from .history import History
from .serialization import decode, encode, fits

if TYPE_CHECKING:
    from .model import Model
    from .training import Training

LOOK = 500  # steps after which the clock is looked at: a constant, so that no time decides how sums are added up
NAME = re.compile(r"step-(\d+)\.pel")


class Checkpoint(Callback):
    """Write the fit to a folder as it runs; ``fit(..., resume=True)`` then goes on to the bit-identical result.

    - ``steps``, ``minutes``, ``epochs``: how often; several may be given, without any it is every epoch. One is written
      before the first step and one at the end, too.
    - ``keep``: how many of the last ones stay in the folder, ``step-000000120.pel`` and so on; None keeps all.
    - ``best``: a measure such as "val_loss"; the model that is best in it is kept in ``best.pel``. ``mode`` is "min",
      "max" or "auto", as for `EarlyStopping`.

    A file appears whole or not at all, and is a model that `pellucid.load` reads; what it needs besides to go on, it
    has: the optimizer's and the random numbers' state, the history, the place in the epoch, and what callbacks
    remember (``Callback.remembers``). Each fit needs a folder of its own. Raises `GraphError` for intervals that
    cannot be, and `DataError` where the folder holds another fit.

    >>> import tempfile
    >>> Checkpoint(tempfile.mkdtemp(), steps=100, best="val_loss").every
    [100]
    """

    remembers = ("best_value",)

    def __init__(
        self,
        folder: Any,
        steps: int | None = None,
        minutes: float | None = None,
        epochs: int | None = None,
        keep: int | None = 3,
        best: str | None = None,
        mode: str = "auto",
    ) -> None:
        for name, value in (("steps", steps), ("epochs", epochs), ("keep", keep)):
            whole(self, name, value, optional=True)
        number(self, "minutes", minutes, above=0, optional=True)
        self.folder, self.steps, self.minutes, self.keep, self.best = Path(folder), steps, minutes, keep, best
        self.epochs = 1 if steps is minutes is epochs is None else epochs
        self.monitor = Monitor(self, "" if best is None else best, mode, called="best")
        self.mode = mode
        self.every = [n for n in (steps, LOOK if minutes else None) if n]
        self.best_value = float("inf")
        self.fit: Fingerprint = {}  # of the fit that is written

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.written, self.best_value = time.monotonic(), float("inf")
        self.folder.mkdir(parents=True, exist_ok=True)
        for left in self.folder.glob(".*.part"):  # by a fit that was killed while it wrote
            left.unlink(missing_ok=True)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.best is None:
            return
        value = self.monitor.value(logs)
        if self.monitor.improved(value, self.best_value):
            try:
                self.model.save(self.folder / "best.pel")
            except (OSError, saving.NotFiniteError) as error:
                warnings.warn(f"{str(self.folder / 'best.pel')!r} could not be written ({error}); training goes on",
                              stacklevel=3)  # fmt: skip
            else:
                self.best_value = value

    def due(self, place: FitPosition) -> bool:
        """Whether the fit is to be written at this place, which is between two epochs if ``rows`` is 0."""
        by_steps = self.steps is not None and place.step % self.steps == 0
        by_epochs = self.epochs is not None and not place.rows and place.epoch % self.epochs == 0
        by_clock = self.minutes is not None and time.monotonic() - self.written >= 60 * self.minutes
        return by_steps or by_epochs or by_clock

    def files(self) -> list[Path]:
        """The checkpoints in the folder, the last one first."""
        found = [path for path in self.folder.glob("step-*.pel") if NAME.fullmatch(path.name)]
        return sorted(found, key=lambda path: int(path.stem.partition("-")[2]), reverse=True)

    def write(self, place: FitPosition, callbacks: Sequence[Callback]) -> None:
        """Write the fit as it is at a place between two steps, and remove what is no longer kept."""
        model = self.model
        arrays: dict[str, np.ndarray] = {}
        try:
            description: dict[str, Any] = saving.describe(model, arrays)
        except GraphError as error:  # there is code in the net that has no name; `resume` does not need it
            arrays, description = {}, {"unsaved": str(error)}
        path = self.folder / f"step-{place.step:09d}.pel"
        try:
            record = {
                "place": encode(vars(place), arrays),
                "epochs": model.epochs,
                "history": model.history.columns,
                "stopping": [model.stop_training, model.stopped],
                "callbacks": [[type(c).__name__, encode(s, arrays)] for c in callbacks if (s := c.state_dict())],
                "fit": self.fit,
            }
            saving.must_be_finite(model, model.state)
            saving.write(path, saving.tensors_of(model, arrays), description | {"checkpoint": record})
        except (OSError, saving.NotFiniteError) as error:
            if isinstance(error, OSError) and not self.files():
                raise
            last = self.files()[0].name if self.files() else "there is none before it"
            warnings.warn(f"the checkpoint {str(path)!r} could not be written ({error}); training goes on, and "
                          f"the last checkpoint is {last}", stacklevel=4)  # fmt: skip
        self.written = time.monotonic()
        for old in self.files()[self.keep :] if self.keep else []:
            old.unlink(missing_ok=True)


class Saved(NamedTuple):
    """A checkpoint, read and found to be of this fit."""

    path: Path
    tensors: dict[str, np.ndarray]
    record: dict[str, Any]

    def restore(self, model: Model, callbacks: Sequence[Callback]) -> FitPosition:
        """Bring model and callbacks to where the fit was, and say where that is."""
        theirs = self.record["callbacks"]
        ours = [c for c in callbacks if c.state_dict()]
        then, now = [name for name, _ in theirs], [type(c).__name__ for c in ours]
        if then != now:
            raise GraphError(f"the checkpoint {str(self.path)!r} is of a fit with the callbacks {then} (of those that "
                             f"remember something), this one has {now}; give the same in the same order")  # fmt: skip
        for c, (_, state) in zip(ours, theirs, strict=True):
            c.load_state_dict(state)
        model.state = {k[6:]: np.array(a) for k, a in self.tensors.items() if k.startswith("state.")}
        model.history, model.epochs = History(self.record["history"]), self.record["epochs"]
        model.stop_training, model.stopped = self.record["stopping"]
        return self.record["place"]


def keeper_of(callbacks: Sequence[Callback]) -> Checkpoint | None:
    """The Checkpoint among callbacks."""
    found = [c for c in callbacks if isinstance(c, Checkpoint)]
    if len(found) > 1:
        raise ArgumentError("there are two Checkpoints among the callbacks; give one, with both intervals")
    return found[0] if found else None


def find(model: Model, training: Training, callbacks: Sequence[Callback], resume: bool) -> Saved | None:
    """The checkpoint to go on from, if that was asked for and there is one."""
    keeper, t = keeper_of(callbacks), training
    if keeper is None:
        if resume:
            raise ArgumentError("resume=True goes on from a checkpoint: give callbacks=[pellucid.Checkpoint(folder)]")
        return None
    arguments = {
        "batch_size": t.batch if len({*t.batches}) == 1 else t.batches,
        "shuffle": t.shuffle,
        "augment": t.augment,
    }
    keeper.fit = fingerprint(model, t.steps[0].program, t.parts, t.validation, **arguments)
    files = keeper.files()
    if files and not resume:
        raise DataError(f"{str(keeper.folder)!r} holds checkpoints of an earlier fit; go on with it by resume=True, or "
                        "give Checkpoint another folder")  # fmt: skip
    damaged = []
    for path in files:
        try:
            tensors, record = _read(path)
        except DataError as error:
            damaged.append(path)
            warnings.warn(f"{error}; going back to the checkpoint before it", stacklevel=3)
            continue
        check_same(record["fit"], keeper.fit, path)
        if misfit := _misfit(tensors, t.steps[0].program):
            damaged.append(path)
            warnings.warn(f"{str(path)!r} is damaged: {misfit}; going back to the checkpoint before it", stacklevel=3)
            continue
        done = record["place"].epoch
        if done > t.epochs or (done == t.epochs and record["place"].rows):
            raise GraphError(f"the checkpoint {str(path)!r} is in epoch {done + 1} of its fit, but epochs={t.epochs}; "
                             "with resume=True these are the epochs of the whole fit")  # fmt: skip
        if model.epochs < record["epochs"] - done:
            raise GraphError(f"the checkpoint {str(path)!r} is of a later fit: that began after "
                             f"{record['epochs'] - done} epochs of the model, this one after {model.epochs}; each fit "
                             "needs a folder of its own")  # fmt: skip
        for old in damaged:  # out of the way of those to come, which have its name
            old.replace(old.with_suffix(".damaged"))
        return Saved(path, tensors, record)
    if damaged:
        raise DataError(f"all {len(damaged)} checkpoints in {str(keeper.folder)!r} are damaged; delete them to begin "
                        "anew")  # fmt: skip
    return None


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """A checkpoint's arrays and record; `DataError` where it is not as it was written."""
    tensors, description = saving.read(path)
    if "checkpoint" not in description:
        raise DataError(f"{str(path)!r} is a model, but not a checkpoint")
    with saving.damage(path, description.get("version")):
        record = description["checkpoint"]
        good = isinstance(record, dict) and all(fits(record[name], kind) for name, kind in RECORD.items())
        if not (good and record["fit"].keys() >= KINDS.keys()):
            raise DataError("it is not the record of a fit")
        place = FitPosition(**decode(record["place"], tensors, {}))
        if not all(fits(getattr(place, f), int) and getattr(place, f) >= 0 for f in ("epoch", "step", "first", "rows")):
            raise DataError(f"no fit can be at {place}")
        states = [[fits(name, str) and name, decode(state, tensors, {})] for name, state in record["callbacks"]]
    return tensors, record | {"place": place, "callbacks": states}


def _misfit(tensors: dict[str, np.ndarray], step: Program) -> str | None:
    """What of a training step's state is not in a checkpoint, or is of another type."""
    for name, v in step.state.items():
        a = tensors.get(f"state.{name}")
        if a is None or (a.shape, str(a.dtype)) != (v.shape, v.dtype):
            return f"its {name!r} is {'missing' if a is None else f'{a.dtype} {a.shape}'}, expected {v.dtype} {v.shape}"
    return None


RECORD = {"epochs": int, "history": dict[str, list[float]], "stopping": tuple[bool, str], "callbacks": list[list],
          "fit": dict[str, dict[str, Any]]}  # fmt: skip
