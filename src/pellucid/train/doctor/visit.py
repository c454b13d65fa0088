"""One visit: all checks of a model on samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...data import DataError
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
    y: Any = None,
    *,
    validation_data: tuple | None = None,
    test: tuple | None = None,
    batch_size: int | None = None,
) -> Diagnosis:
    """See `Model.diagnose`."""
    if y is None:
        raise DataError("diagnose needs y, the targets of the samples x")
    new = model.traced is None
    try:
        x, y, findings = missing(x, y)
        training = model._arrays(x, y)
        case, held = Case(model, training, batch_size), None
        findings += check_rows(case)
        for name, given in (("validation_data", validation_data), ("test", test)):
            if given is not None:
                if not isinstance(given, (tuple, list)) or len(given) != 2:
                    raise DataError(f"{name} must be (x, y)")
                ox, oy, bad = missing(*given)
                other = model._arrays(ox, oy, name=f"{name} ")
                findings += bad + list(leaks(training, other, name.removesuffix("_data")))
                if name == "validation_data":
                    held = Case(model, other)
        findings += check_net(case)
        findings += check_course(case, held)
        return Diagnosis(once(findings))
    finally:
        if new:
            model._forget()


def once(findings: list[Finding]) -> list[Finding]:
    """The first of those with the same name and place, and of `learning_rate_too_high` the first."""
    kept: dict[tuple[str, str], Finding] = {}
    for f in findings:
        kept.setdefault((f.name, "" if f.name.startswith("learning_rate") else f.where), f)
    return list(kept.values())
