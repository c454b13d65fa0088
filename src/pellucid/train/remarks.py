"""Warnings about a fit, shown at the line of the user's that began it. Imports nn."""

from __future__ import annotations

import math
import sys
import warnings
from typing import TYPE_CHECKING

from ..nn import BinaryCrossEntropy, CrossEntropy

if TYPE_CHECKING:
    from .model import Model

EXPLODED = 10.0  # times the first epoch's loss: no training that goes well comes back there
ABSURD = 100.0  # times that of a net that knows nothing: first outputs cost 1 or 2, of inputs that are not scaled 10
PACKAGE = __name__.partition(".")[0]


def remark(text: str, kind: type[Warning] = UserWarning) -> None:
    """Warn, as the first caller outside this package."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == PACKAGE:
        level, frame = level + 1, frame.f_back
    warnings.warn(text, kind, stacklevel=level)


def remark_if_exploded(model: Model) -> None:
    """A warning at the end of a fit whose training loss is far above what it was at first, or what ignorance costs."""
    losses = model.history.columns.get("loss", [])
    if not losses or not math.isfinite(losses[-1]) or model.optimizer.maximize:
        return
    known = [(EXPLODED * losses[0], losses[0], "in the first epoch")] if len(losses) > 1 and losses[0] > 0 else []
    if type(model.loss) is CrossEntropy and (output := model.network.built().output.shape):
        ignorance = math.log(output[model.loss.class_axis(output)])
        known.append((ABSURD * ignorance, ignorance, "for a net that knows nothing"))
    elif type(model.loss) is BinaryCrossEntropy:
        known.append((ABSURD * math.log(2), math.log(2), "for a net that knows nothing"))
    most, usual, where = min(known, default=(math.inf, math.inf, ""))
    if losses[-1] > most:
        remark(f"the training loss is {losses[-1]:.3g} after {len(losses)} epoch{'s' * (len(losses) > 1)}; it is "
               f"{usual:.3g} {where}: learning_rate={model.learning_rate:g} is too large, or x is not scaled; "
               "model.clone().find_learning_rate(x, y) suggests one, model.diagnose(x, y) looks for other causes"
               )  # fmt: skip
