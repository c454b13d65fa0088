"""One visit: all checks of a model on samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...data import Dataset
from ...data.dataset import taken_apart
from ..arrays import as_array, held_out
from ..inputs import arrays_of
from ..outputs import one_output
from .case import Case
from .course import check_course
from .findings import Diagnosis, Finding
from .net import check_net
from .rows import check_rows, leaks, missing

if TYPE_CHECKING:
    from ..model import Model


def diagnose(
    model: Model,
    x: Any,
    y: Any,
    sample_weight: Any,
    class_weight: Any,
    batch_size: int | None,
    others: Mapping[str, tuple | Dataset | None],
) -> Diagnosis:
    """See `Model.diagnose`; ``others``: "validation_data" and "test", where they are given."""
    one_output(model, "diagnose is")
    new = model.traced is None
    try:
        x, y, left, findings = missing(*taken_apart(x, y))
        if sample_weight is not None and left is not None:
            sample_weight = as_array(sample_weight, "sample_weight")[left]
        training = arrays_of(model, x, y, sample_weight, class_weight)
        case, held = Case(model, training, batch_size), None
        findings += check_rows(case)
        for name, given in others.items():
            if given is not None:
                other_x, other_y, _, bad = missing(*held_out(given, name)[:2])
                other = arrays_of(model, other_x, other_y, name=f"{name} ")
                findings += bad + list(leaks(training, other, name.removesuffix("_data")))
                held = Case(model, other) if name == "validation_data" else held
        findings += check_net(case)
        findings += check_course(case, held)
        return Diagnosis(once(findings))
    finally:
        if new:
            model.forget()


def once(findings: list[Finding]) -> list[Finding]:
    """The first of those with the same name and place, and of `learning_rate_too_high` the first."""
    kept: dict[tuple[str, str], Finding] = {}
    for f in findings:
        kept.setdefault((f.name, "" if f.name.startswith("learning_rate") else f.where), f)
    return list(kept.values())
