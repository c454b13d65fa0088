"""Optimizers: from gradients to new weights, one class each. Imports graph, ops and schedules; never numpy."""

from .base import CLIPS, Optimizer
from .descend import AVERAGE, descend, slot_name, updates_of
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

__all__ = ["LBFGS", "OPTIMIZERS", "SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Lion", "Nadam", "Optimizer",
           "RMSprop", "as_optimizer", "descend", "lecture_momentum"]  # fmt: skip
