"""Whether a training came to nothing: a model that is no better on its own training samples than a constant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...schedules import Schedule
from .case import Case
from .thresholds import NOTHING

if TYPE_CHECKING:
    from ..model import Model


def nothing_learnt(model: Model, x: Any, y: Any) -> str:
    """What to say of a model that does no better than the best constant output on samples it learnt from; else "".

    A learning rate that promises more is looked for by `Model.find_learning_rate`, with new weights.
    """
    case = Case(model, model._arrays(x, y))
    if case.baseline is None or case.loss <= NOTHING * case.baseline:
        return ""
    told = (f"nothing was learnt: the loss of the training samples is {case.loss:.3g}, that of the best constant "
            f"output {case.baseline:.3g}")  # fmt: skip
    rate = model.optimizer.learning_rate
    if isinstance(rate, Schedule):
        return f"{told}; look at the columns and the learning rate"
    suggested = model.clone().find_learning_rate(x, y).suggestion
    if suggested is not None and not suggested / 3 <= rate <= suggested * 3:
        return f"{told}; the learning rate was {rate:g}, try {suggested:g}"
    return f"{told}; take more epochs, or samples that tell more of the target"
