"""The loop over epochs: shuffling, mini-batches, validation, callbacks, and what to say when training diverges."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import executors
from ..errors import DataError, PellucidError
from ..executors import NotFinite
from ..graph import GraphError, toposort
from ..graph import state as state_value
from ..ops.loop import scan_of
from ..optim import AVERAGE, CLIPS, Optimizer, slot_name
from ..optim.updates import LEFT, SUMS
from ..program import Program
from ..schedules import EPOCH_STEPS, EPOCHS, PER_EPOCH, Clock, Schedule
from . import programs
from .batch_sizes import sizes
from .batches import Piece, Place, cut, epochs_of, middle_of
from .checkpoint import Checkpoint, Saved, keeper_of
from .evaluation import added, batch_size_for, evaluate, numbers, of_epochs, of_targets
from .finite import bad_state
from .parts import Arrays, Part, as_part
from .progress import Silent
from .remarks import remark, remark_if_exploded
from .stopping import StoppingRule

if TYPE_CHECKING:
    from .callbacks import Callback
    from .history import History
    from .model import Model

log = logging.getLogger(__name__)
RATE = "optimizer.learning_rate"


class DivergedError(PellucidError, ArithmeticError):
    """The loss or a weight became NaN or infinite; the message says where, and what to try."""


def split(arrays: Arrays, fraction: float, seed: int) -> tuple[Part, Part]:
    """Training and validation samples, drawn with the seed and kept in their order, without a copy."""
    n = len(arrays["y"])
    if not isinstance(fraction, (float, np.floating)) or not 0 < fraction < 1:
        raise GraphError(f"validation_split must be between 0 and 1, got {fraction!r}")
    held = round(n * fraction)
    if held < 1 or held >= n:
        raise DataError(f"validation_split={fraction} of {n} samples leaves {held} for validation, "
                        f"{n - held} for training")  # fmt: skip
    order = np.random.Generator(np.random.Philox(key=[seed, 1 << 40])).permutation(n)
    validation, training = np.sort(order[:held]), np.sort(order[held:])
    return Part(arrays, training), Part(arrays, validation)


def enough(part: Part) -> Part:
    """Validation samples, with a warning for one sample with one target: its loss says little of others."""
    if part.samples == 1 and part["y"].size == 1:
        remark("one sample for validation says next to nothing of others; give more, the tenth part say")
    return part


def whole_batch(asked: int | str | None, parts: list[Part], augment: Callable | None) -> str:
    """All samples as one batch, which is what L-BFGS takes."""
    if asked not in (None, "all"):
        raise GraphError(f'optim.LBFGS takes all samples at once: leave batch_size out, or give "all", got {asked!r}')
    if augment is not None or len(parts) > 1:
        raise GraphError("optim.LBFGS takes all samples at once: no augment and no Buckets; use another optimizer")
    return "all"


def first_state(
    program: Program,
    names: list[str],
    optimizer: Optimizer,
    seed: int,
    known: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> dict[str, np.ndarray]:
    """First values of the state that is not weights: the optimizer's slots and numbers, the key of random numbers."""
    if late := [name for name in names if not name.startswith(("optimizer.", "random."))]:
        raise GraphError(f"a layer asks for {late[0]!r} in training only, so that it has no first value; "
                         "call self.param before asking self.training")  # fmt: skip
    average = slot_name(AVERAGE, "")  # it begins as the weight itself: outside training they have changed places
    state = {name: np.zeros(program.state[name].shape, program.state[name].dtype) for name in names}
    for name, value in optimizer.first_numbers().items():
        if name in state:
            state[name] += state[name].dtype.type(value)
    for name in state:
        if name.startswith(average) and name.removeprefix(average) in known:
            state[name] = known[name.removeprefix(average)].copy()
    if "random.key" in state:
        state["random.key"] = np.random.SeedSequence(seed).generate_state(2, np.uint32)
    return state


@dataclass(frozen=True)
class Training:
    """What `fit` was given, as arrays and compiled steps: `Model.training`, while it trains."""

    steps: list[Any]  # the compiled step of each part
    parts: list[Part]
    validation: list[Part] | None
    batches: list[int]  # how many samples a step takes of each part
    epochs: int
    shuffle: bool
    augment: Callable | None = None

    @property
    def unchanged(self) -> list[Part]:
        """The parts as a net evaluates them: without random changes, cut in the middle."""
        if self.augment is None:
            return self.parts
        return [part.having(x=middle_of(self.augment, part.whole["x"])) for part in self.parts]

    @property
    def samples(self) -> int:
        return sum(part.samples for part in self.parts)

    @property
    def steps_per_epoch(self) -> int:
        return sum(-(-part.samples // batch) for part, batch in zip(self.parts, self.batches, strict=True))

    @property
    def batch(self) -> int:
        """How many samples a step takes, of the part where they are most."""
        return max(self.batches)


def fit(
    model: Model, training: Training, callbacks: list[Callback], show: Silent, saved: Saved | None = None
) -> History:
    """Train for some epochs, or go on from a saved place among them, and return the model's history."""
    t, keeper, metrics = training, keeper_of(callbacks), of_epochs(model.metrics)
    model.stop_training, model.stopped, model.training = False, "", training
    diverged: dict[str, np.ndarray] | None = None  # the state before the epoch that did
    for c in callbacks:
        c.set_model(model)
        c.on_train_begin()
    try:
        place = saved.restore(model, callbacks) if saved else Place()
        if not any(isinstance(c, StoppingRule) for c in callbacks):  # the fit is as long as it is said to be
            for step, part, batch in zip(t.steps, t.parts, t.batches, strict=True):
                step.expect((t.epochs - place.epoch) * part.samples, batch)
        log.info("fit: %d samples, %d steps an epoch, epochs %d to %d", t.samples, t.steps_per_epoch,
                 model.epochs + 1, model.epochs + t.epochs - place.epoch)  # fmt: skip
        epochs = range(model.epochs, model.epochs + t.epochs - place.epoch)
        with show as progress, closing(epochs_of(t.parts, t.augment, model.seed, epochs, t.batches, t.shuffle)) as work:
            progress.on_resume(place.epoch)
            if keeper is not None and saved is None:
                keeper.write(place, callbacks)
            for epoch in range(place.epoch, 0 if model.stop_training else t.epochs):
                for c in callbacks if not place.rows else []:
                    c.on_epoch_begin(epoch)
                start = time.perf_counter()
                before = dict(model.state)
                try:
                    for _ in _epoch(model, t, next(work), progress.on_step, place, keeper):
                        if keeper is not None and keeper.due(place):
                            check_weights(model, t)
                            keeper.write(place, callbacks)
                    check_weights(model, t)
                except Exception as error:
                    model.state = before
                    diverged = dict(before) if isinstance(error, DivergedError) else None
                    log.warning("fit: ended in epoch %d by %s: %s", model.epochs + 1, type(error).__name__, error)
                    raise
                model.epochs, model._rate = model.epochs + 1, model.state.get(RATE)
                logs = numbers(place.sums, metrics)
                if t.validation is not None:
                    found = evaluate(model, t.validation, metrics=metrics)
                    if not np.isfinite(found["loss"]):
                        remark("the loss of the validation samples is NaN or infinite; model.evaluate says for which")
                    logs |= {f"val_{name}": v for name, v in found.items()}
                model.history.append(logs)
                log.debug("fit: epoch %d, %s", model.epochs, logs)
                progress.on_epoch(epoch, logs, time.perf_counter() - start)
                for c in callbacks:
                    c.on_epoch_end(epoch, logs)
                place = Place(epoch + 1, place.step, place.step)
                last = model.stop_training or place.epoch == t.epochs
                if keeper is not None and (last or keeper.due(place)):
                    keeper.write(place, callbacks)
                if model.stop_training:
                    break
            model.stopped = model.stopped or f"after {t.epochs} epochs, as asked"
            log.info("fit: ended %s", model.stopped)
    finally:
        for c in callbacks:
            c.on_train_end()
        model.training = None
        if diverged is not None:  # whatever callbacks have put in its place
            model.state = diverged
    remark_if_exploded(model)
    return model.history


def _epoch(
    model: Model,
    training: Training,
    pieces: Iterator[Piece],
    on_step: Callable[[int], None],
    place: Place,
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
            raise DivergedError(_why(model, piece.arrays, failure)) from None
        place.sums = added(place.sums, found, of_targets(model, model.metrics, piece.arrays, piece.order))
        place.rows, place.step = place.rows + piece.rows, place.step - (-piece.rows // batch)


def at_epoch(state: Mapping[str, Any], epoch: int, steps: int) -> dict[str, np.ndarray]:
    """The state that counts, as it is when an epoch of this many steps begins; nothing of the last one is left over."""
    found = {EPOCHS: epoch, EPOCH_STEPS: 0, PER_EPOCH: steps, LEFT: steps}
    counts = {name: np.full(np.shape(state[name]), n, np.int32) for name, n in found.items() if name in state}
    if np.any(state.get(f"{SUMS}_batches", 0)):  # of an epoch that was broken off
        counts |= {name: np.zeros_like(a) for name, a in state.items() if name.startswith(SUMS)}
    return counts


@contextlib.contextmanager
def trained_weights(model: Model) -> Iterator[None]:
    """Within, the state holds the weights that are trained; outside, with ``use_ema``, their moving averages."""
    if not model.optimizer.use_ema:
        yield
        return
    _swap(model.state)
    try:
        yield
    finally:
        _swap(model.state)


def _swap(state: dict[str, np.ndarray]) -> None:
    prefix = slot_name(AVERAGE, "")
    for slot in [name for name in state if name.startswith(prefix)]:
        name = slot.removeprefix(prefix)
        state[slot], state[name] = state[name], state[slot]


def base_rate(model: Model, rate: np.ndarray | None = None) -> float:
    """The learning rate that a schedule multiplies, as short as it can be written (0.1, not 0.10000000149)."""
    first = model.optimizer.first_numbers()[RATE]
    return float(str(np.asarray(model.state.get(RATE, first) if rate is None else rate).astype(model.dtype)))


def rate_used(model: Model) -> float:
    """At the end of an epoch: the learning rate of its last step, whatever callbacks have made of it since."""
    return base_rate(model, model._rate) * factor_of(model, back=1)


def factor_of(model: Model, back: int = 0) -> float:
    """What a schedule multiplies the base rate with at the next step, or at an earlier one; 1 without a schedule."""
    schedule = model.optimizer.learning_rate
    if not isinstance(schedule, Schedule):
        return 1.0
    program = Program([], {"factor": schedule.at(Clock(state_value("optimizer.step", (), "int32")))})
    known = {name: model.state.get(name, 0) for name in program.state}
    steps = max(1, int(known.get(PER_EPOCH, 1)))
    known |= at_epoch(known, model.epochs, steps)  # the next step is an epoch's first
    known |= {name: known[name] - back for name in ("optimizer.step", EPOCH_STEPS) if name in known}
    return float(executors.get("reference").compile(program)(known)["factor"])


def set_base_rate(model: Model, rate: float) -> None:
    """Change what a schedule multiplies, or the learning rate itself."""
    model.state[RATE] = np.asarray(rate, model.dtype)


def gradients(
    model: Model, given: Sequence[Part | Arrays], batch_size: int | str | None = None
) -> tuple[float, dict[str, np.ndarray]]:
    """The mean cost of samples and its gradient in every trained weight, some samples after the others."""
    parts = [as_part(arrays) for arrays in given]
    n = sum(part.samples for part in parts)
    total: dict[str, np.ndarray] = {}
    chunks = sizes(model, parts, batch_size_for(batch_size, n))
    for part, size in zip(parts, chunks, strict=True):
        run, rows = model._compiled("gradients", part.whole), part.samples
        names = [name for name in run.program.state if name not in model.state]
        memory = model.state | first_state(run.program, names, model.optimizer, model.seed)
        for start in range(0, rows, size):
            found = run(memory, part.some(slice(start, min(start + size, rows))))
            share = min(size, rows - start) / n
            for name, a in found.items():
                total[name] = total.get(name, 0) + share * np.asarray(a, np.float64)
    prefix = programs.gradient_name("")
    return float(total["cost"]), {name.removeprefix(prefix): a for name, a in total.items() if name.startswith(prefix)}


def update_statistics(model: Model, parts: Sequence[Part | Arrays], batches: list[int]) -> None:
    """One epoch in which only what layers update by themselves changes, such as batch normalization's statistics."""
    for part, batch in zip(map(as_part, parts), batches, strict=True):
        specs = model._specs_of(part.whole)
        program = programs.statistics(model.net, specs, model.how, model.dtype)
        if program.updates:
            given = {name: part.whole[name] for name in program.inputs}
            state = dict(model.state)
            model.executor.compile(program, model.threads).steps(state, given, part.rows, batch)
            model.state.update({v.name: state[v.name] for v in program.updates if v.name in model._built().parameters})


def check_weights(model: Model, training: Training) -> None:
    """`DivergedError` where a step left NaN or infinity in the weights, or in what the optimizer keeps of them.

    The loss is that before the step: of the last one it may be finite, and of one whose gradients are too large to be
    squared it is finite for ever.
    """
    name = bad_state(model.state)
    if name is None:
        return
    what = f"parameter {name!r}"
    if name.startswith("optimizer."):
        what = f"what the optimizer keeps, {name!r}: gradients are too large for it"
    raise DivergedError(
        f"the weights became NaN or infinite in epoch {model.epochs + 1}, though the loss was finite: "
        f"{what}. Try {_tries(model, training.parts[0].whole)}. The model is as it was before this epoch."
    )


def _why(model: Model, arrays: dict[str, np.ndarray], failure: NotFinite) -> str:
    """Where NaN or infinity began, and what to try."""
    inputs = {k: a for k, a in arrays.items() if k not in ("y", "weight")}
    x = {k.removeprefix("x."): a[failure.rows] for k, a in inputs.items()}
    given = x["x"] if model.how == "one" else tuple(x.values()) if model.how == "tuple" else x
    where = "the loss itself"
    for path, output in model.layer_outputs(given, finite=False).items():
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
    return (f"the loss became NaN or infinite in epoch {model.epochs + 1}, step {failure.step + 1}. It began in "
            f"{where}. Try {_tries(model, arrays)}. The model is as it was before this epoch.")  # fmt: skip


def _tries(model: Model, arrays: dict[str, np.ndarray]) -> str:
    """What may help training that diverges."""
    rate = float(model.state["optimizer.learning_rate"])
    largest = max(_size(a) for name, a in arrays.items() if name not in ("y", "weight"))
    tries = [f"a smaller learning rate (now {rate:g})"]
    recurrent = any(v.primitive is scan_of for v in toposort([model._built().output]))
    if recurrent and not any(getattr(model.optimizer, name) for name in CLIPS):
        tries.append(f"clipped gradients, as in optim.{type(model.optimizer).__name__}(global_clipnorm=1.0)")
    if largest > 20:
        tries.append(f"inputs scaled to about -1..1 (the largest is {largest:.3g})")
    if model.loss.targets == "values" and _size(arrays["y"]) > 100:
        tries.append(f"scaled targets (the largest is {_size(arrays['y']):.3g})")
    return ", ".join(tries)


def _size(a: np.ndarray) -> float:
    """The largest absolute value."""
    return max(abs(float(a.max())), abs(float(a.min())))
