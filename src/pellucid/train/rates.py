"""The learning rate of the next step, by the optimizer, its schedule and callbacks; and what counts steps.

Imports numpy, optim, schedules and executors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import executors
from ..graph import state as state_value
from ..optim.updates import LEFT, SUMS
from ..program import Program
from ..schedules import EPOCH_STEPS, EPOCHS, PER_EPOCH, Clock, Schedule
from .core import ModelCore

RATE = "optimizer.learning_rate"


def base_rate(model: ModelCore, rate: np.ndarray | None = None) -> float:
    """The learning rate that a schedule multiplies, as short as it can be written (0.1, not 0.10000000149)."""
    first = model.optimizer.first_numbers()[RATE]
    return float(str(np.asarray(model.state.get(RATE, first) if rate is None else rate).astype(model.dtype)))


def rate_used(model: ModelCore) -> float:
    """At the end of an epoch: the learning rate of its last step, whatever callbacks have made of it since."""
    return base_rate(model, model.last_rate) * factor_of(model, back=1)


def factor_of(model: ModelCore, back: int = 0) -> float:
    """What a schedule multiplies the base rate with at the next step, or ``back`` steps before; 1 without one."""
    schedule = model.optimizer.learning_rate
    if not isinstance(schedule, Schedule):
        return 1.0
    program = Program([], {"factor": schedule.at(Clock(state_value("optimizer.step", (), "int32")))})
    known = {name: model.state.get(name, 0) for name in program.state}
    steps = max(1, int(known.get(PER_EPOCH, 1)))
    known |= at_epoch(known, model.epochs, steps)  # the next step is an epoch's first
    known |= {name: known[name] - back for name in ("optimizer.step", EPOCH_STEPS) if name in known}
    return float(executors.get("reference").compile(program)(known)["factor"])


def set_base_rate(model: ModelCore, rate: float) -> None:
    """Change what a schedule multiplies, or the learning rate itself."""
    model.state[RATE] = np.asarray(rate, model.dtype)


def at_epoch(state: Mapping[str, Any], epoch: int, steps: int) -> dict[str, np.ndarray]:
    """The state that counts, as it is when an epoch of ``steps`` steps begins; nothing of the last one is left over."""
    found = {EPOCHS: epoch, EPOCH_STEPS: 0, PER_EPOCH: steps, LEFT: steps}
    counts = {name: np.full(np.shape(state[name]), n, np.int32) for name, n in found.items() if name in state}
    if np.any(state.get(f"{SUMS}_batches", 0)):  # of an epoch that was broken off
        counts |= {name: np.zeros_like(a) for name, a in state.items() if name.startswith(SUMS)}
    return counts
