"""`Doctor`, a callback that warns while a model trains."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

from ...checks import whole
from ..batches import middle_of
from ..callbacks import Callback
from ..parts import Part
from ..training import Training
from . import thresholds as limits
from .case import Case
from .course import check_course
from .findings import Finding
from .net import check_net
from .rows import check_rows, leaks


class DoctorWarning(UserWarning):
    """What `Doctor` warns of: a finding as text."""


class Doctor(Callback):
    """Warn of a sickness while the model trains, once for each, with what to do: see `Model.diagnose`.

    The samples are looked at before the first epoch, the net and the learning curves after every ``every`` epochs and
    the last, on ``rows`` samples. ``findings`` are those of the last training. Warnings are `DoctorWarning`.

    >>> import pellucid as pel
    >>> from pellucid import nn
    >>> train = pel.data.digits()
    >>> model = pel.Model(nn.Dense(10), "cross_entropy", pel.optim.SGD(0.001))
    >>> doctor = Doctor()
    >>> import warnings; warnings.simplefilter("ignore")
    >>> history = model.fit(train.x * 1000, train.y, callbacks=[doctor], verbose=0)
    >>> [f.name for f in doctor.findings][:1]
    ['unscaled_inputs']
    """

    def __init__(self, every: int = 5, rows: int = limits.ROWS) -> None:
        self.every, self.rows = whole(self, "every", every), whole(self, "rows", rows, least=2)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.findings: list[Finding] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if epoch == 0:
            t = self.training
            part = self.part()
            self.report(check_rows(Case(self.model, part, t.batch)))
            for held in t.validation or ():
                self.report(leaks(part, held, "validation"))
            self.look()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if (epoch + 1) % self.every == 0 or epoch + 1 == self.training.epochs:
            self.look((epoch + 1) * self.training.steps_per_epoch >= limits.STEPS)

    @property
    def training(self) -> Training:
        assert self.model.training is not None
        return self.model.training

    def part(self) -> Part:
        """The training samples, or the most of one shape, as they are without random changes."""
        part, augment = largest(self.training.parts), self.training.augment
        return part if augment is None else part.having(x=middle_of(augment, part.whole["x"]))

    def look(self, course: bool = False) -> None:
        """Look at the net on some samples, and at the course of training."""
        t = self.training
        case = Case(self.model, self.part(), t.batch, self.rows)
        self.report(check_net(case))
        if course:
            held = Case(self.model, largest(t.validation), t.batch, self.rows) if t.validation else None
            self.report(check_course(case, held))

    def report(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            if finding.name not in {f.name for f in self.findings}:
                self.findings.append(finding)
                warnings.warn(str(finding), DoctorWarning, stacklevel=4)


def largest(parts: list[Part]) -> Part:
    return max(parts, key=lambda part: part.samples)
