"""Training that diverges: where NaN or infinity began, and what to try. Imports numpy, optim and its siblings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import PellucidError
from ..executors import NotFinite
from ..graph import toposort
from ..ops.loop import scan_of
from ..optim import CLIPS
from .finite import bad_state
from .parts import Arrays
from .training import Training

if TYPE_CHECKING:
    from .model import Model


class DivergedError(PellucidError, ArithmeticError):
    """The loss or a weight became NaN or infinite; the message says where, and what to try."""


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


def diverged_because(model: Model, arrays: Arrays, failure: NotFinite) -> str:
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


def _tries(model: Model, arrays: Arrays) -> str:
    """What may help training that diverges."""
    rate = float(model.state["optimizer.learning_rate"])
    largest = max(_size(a) for name, a in arrays.items() if name not in ("y", "weight"))
    tries = [f"a smaller learning rate (now {rate:g})"]
    recurrent = any(v.primitive is scan_of for v in toposort([model.network.built().output]))
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
