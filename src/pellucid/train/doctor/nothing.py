"""Whether a training came to nothing: a model that is no better on its own training samples than a constant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...schedules import Schedule
from ..inputs import arrays_of
from .case import Case
from .thresholds import NOTHING, TRIED, WORSE

if TYPE_CHECKING:
    from ..model import Model


def nothing_learnt(model: Model, x: Any, y: Any, class_weight: Any = None) -> str:
    """What to say of a model that does no better than the best constant output on samples it learnt from; else "".

    ``class_weight``: as in `Model.fit`, so that net and constant are measured by what was minimized. A learning rate
    is looked for by `Model.find_learning_rate`, with new weights, and advised where `TRIED` steps with it do better
    than the constant.
    """
    arrays = arrays_of(model, x, y, class_weight=class_weight)
    case = Case(model, arrays)
    if case.baseline is None or case.loss <= NOTHING * case.baseline:
        return ""
    told = (f"nothing was learnt: the loss of the training samples is {case.loss:.3g}, that of the best constant "
            f"output {case.baseline:.3g}")  # fmt: skip
    rate = model.optimizer.learning_rate
    worse = not case.loss <= WORSE * case.baseline
    if isinstance(rate, Schedule):
        return f"{told}; " + (
            "the learning rate is too large" if worse else "look at the columns and the learning rate"
        )
    suggested = model.clone().find_learning_rate(x, y, sample_weight=arrays.get("weight")).suggestion
    if suggested is not None:
        trial = case.trial(TRIED, suggested / rate, fresh=True)
        if trial is None or not trial.after < case.baseline:
            suggested = None
    if worse:
        smaller = suggested if suggested is not None and suggested < rate else None
        return f"{told}; the learning rate was {rate:g}, too large, try {rate / 10 if smaller is None else smaller:g}"
    if suggested is not None and not suggested / 3 <= rate <= suggested * 3:
        return f"{told}; the learning rate was {rate:g}, try {suggested:g}"
    return f"{told}; take more epochs, or samples that tell more of the target"
