"""One visit: all checks of a model on samples."""

from __future__ import annotations

from typing import Any

from ...data import Dataset
from ...data.dataset import taken_apart
from ..arrays import as_array, held_out
from ..outputs import one_output
from .case import Case
from .course import check_course
from .findings import Diagnosis, Finding
from .net import check_net
from .rows import check_rows, leaks, missing


class Examined:
    """The doctor among the methods of `Model`."""

    def diagnose(
        self: Any,
        x: Any,
        y: Any = None,
        *,
        validation_data: tuple | Dataset | None = None,
        test: tuple | Dataset | None = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        batch_size: int | None = None,
    ) -> Diagnosis:
        """Look for what is wrong with the samples, the net and its training; changes nothing, and prints as text.

        ``x``, ``y``: training samples, or a Dataset as ``x``. ``validation_data`` and ``test``: others, by which
        overfitting and rows that leak are found. ``sample_weight``, ``class_weight``, ``batch_size``: as `fit` had
        them. See `pellucid.train.doctor`. Raises `DataError` for arrays that do not fit the net or the loss.

        >>> from pellucid import Model, data, nn
        >>> train = data.digits()
        >>> Model(nn.Dense(10), loss="cross_entropy").diagnose(train.x, train.y)
        healthy: nothing found
        """
        one_output(self, "diagnose is")
        new = self.traced is None
        try:
            x, y, left, findings = missing(*taken_apart(x, y))
            if sample_weight is not None and left is not None:
                sample_weight = as_array(sample_weight, "sample_weight")[left]
            training = self._arrays(x, y, sample_weight, class_weight)
            case, held = Case(self, training, batch_size), None
            findings += check_rows(case)
            for name, given in (("validation_data", validation_data), ("test", test)):
                if given is not None:
                    other_x, other_y, _, bad = missing(*held_out(given, name)[:2])
                    other = self._arrays(other_x, other_y, name=f"{name} ")
                    findings += bad + list(leaks(training, other, name.removesuffix("_data")))
                    held = Case(self, other) if name == "validation_data" else held
            findings += check_net(case)
            findings += check_course(case, held)
            return Diagnosis(once(findings))
        finally:
            if new:
                self._forget()


def once(findings: list[Finding]) -> list[Finding]:
    """The first of those with the same name and place, and of `learning_rate_too_high` the first."""
    kept: dict[tuple[str, str], Finding] = {}
    for f in findings:
        kept.setdefault((f.name, "" if f.name.startswith("learning_rate") else f.where), f)
    return list(kept.values())
