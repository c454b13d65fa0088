"""Optimizers: from gradients to new weights, one class each. Imports graph, ops and schedules; never numpy."""

from typing import TYPE_CHECKING

from ..checks import NoAttribute
from .base import CLIPS, Optimizer
from .descend import descend
from .rules import (
    LBFGS,
    OPTIMIZERS,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    Lion,
    Nadam,
    RMSprop,
    as_optimizer,
    lecture_momentum,
)
from .updates import AVERAGE, slot_name, updates_of

__all__ = ["LBFGS", "OPTIMIZERS", "SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Lion", "Nadam", "Optimizer",
           "RMSprop", "as_optimizer", "descend", "lecture_momentum"]  # fmt: skip

if not TYPE_CHECKING:  # so that checkers of types know what there is

    def __getattr__(name: str):
        raise NoAttribute(f"module {__name__!r}", "optim", name, __all__)
