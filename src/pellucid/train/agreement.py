"""Arguments of a fit that cannot do together what they say: refused, or said once, before training begins.

Imports graph and the sibling modules.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..errors import ArgumentError
from ..metrics import Scored
from ..nn.penalties import PENALTY
from .callbacks import AverageWeights, Callback, Monitor, ReduceLROnPlateau
from .checkpoint import Checkpoint
from .evaluation import of_epochs
from .rates import base_rate
from .remarks import remark
from .stopping import AllOf, Combined, EarlyStopping, Epochs
from .training import Training

if TYPE_CHECKING:
    from .model import Model


def check_agreement(model: Model, training: Training, callbacks: Sequence[Callback]) -> None:
    """`GraphError` for a callback that cannot do what it is for in this training; a warning for what comes to nothing.

    What a callback watches is looked at where all callbacks are this package's: others may report numbers of their own.
    """
    if training.epochs == 0:
        return
    every = list(_each(callbacks))
    if all(type(c).__module__.partition(".")[0] == __name__.partition(".")[0] for c in every):
        reported = _reported(model, training)
        for c in every:
            if isinstance(monitor := getattr(c, "monitor", None), Monitor) and monitor.name:
                monitor.value(dict.fromkeys(reported, 0.0))  # refuses what is not there
    for c in every:
        _check(c, model, training)
    ends = [
        c for c in every if isinstance(c, AverageWeights) or (isinstance(c, EarlyStopping) and c.restore_best_weights)
    ]
    if len({type(c) for c in ends}) > 1:
        remark(f"{' and '.join(type(c).__name__ for c in ends)} both put weights into the model at the end of fit; "
               f"those of {type(ends[-1]).__name__}, which is the last in the list, stay")  # fmt: skip
    k, steps = model.optimizer.gradient_accumulation_steps or 1, training.steps_per_epoch
    if k > steps:
        remark(f"gradient_accumulation_steps={k}, but an epoch has {steps} mini-batch{'es' * (steps > 1)}: the weights "
               "change once an epoch; use smaller batches for windows that are full")  # fmt: skip


def _each(callbacks: Sequence[Callback]) -> Iterator[Callback]:
    """The callbacks, and those that are combined in them."""
    for c in callbacks:
        yield c
        if isinstance(c, Combined):
            yield from _each(c.rules)


def _reported(model: Model, training: Training) -> list[str]:
    """The names of an epoch's numbers."""
    metrics = of_epochs(model.metrics)
    names = ["loss", *(name for name, metric in metrics.items() if not isinstance(metric, Scored))]
    names += [PENALTY] if PENALTY in training.steps[0].program.outputs else []
    return names + ([f"val_{name}" for name in ("loss", *metrics)] if training.validation is not None else [])


def _check(c: Callback, model: Model, training: Training) -> None:
    epochs, name = training.epochs, type(c).__name__
    if isinstance(c, AverageWeights) and c.start >= epochs:
        raise ArgumentError(f"AverageWeights(start={c.start}) would begin after the last of {epochs} epochs (the first "
                            f"is 0), so that nothing is averaged; give a start below {epochs}, or more epochs"
                            )  # fmt: skip
    if isinstance(c, EarlyStopping) and c.start_from_epoch >= epochs:
        remark(f"{name}(start_from_epoch={c.start_from_epoch}) looks at none of {epochs} epochs (the first is 0)")
    if isinstance(c, ReduceLROnPlateau) and c.min_lr >= base_rate(model):
        remark(f"{name}(min_lr={c.min_lr:g}) cannot reduce the learning rate, which is {base_rate(model):g}")
    if isinstance(c, AllOf):
        late = [rule for rule in c.rules if isinstance(rule, Epochs) and rule.epochs > epochs]
        if late:
            remark(f"the rule {c.describe()!r} is not met within {epochs} epochs")
    if isinstance(c, Checkpoint):
        steps = training.steps_per_epoch * epochs
        rare = [
            f"{k}={n}" for k, n, most in (("steps", c.steps, steps), ("epochs", c.epochs, epochs)) if n and n > most
        ]
        if rare and len(rare) == (c.steps is not None) + (c.epochs is not None) and c.minutes is None:
            remark(f"{name}({', '.join(rare)}): the fit has {steps} steps in {epochs} epochs, so that only its "
                   "beginning and its end are written")  # fmt: skip
