"""Activation maximization: the input is the state of a program whose updates climb. Written on `grad` and `Program`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..autodiff import grad
from ..graph import GraphError, Shape, input, state
from ..nn import trace
from ..ops import maximum, minimum, sum
from ..optim import Optimizer, updates_of
from ..program import Program
from . import programs
from .loop import first_state
from .outputs import one_output

if TYPE_CHECKING:
    from .model import Model

INPUT = "activate.input"  # what the state that climbs is called


def maximize(
    model: Model,
    unit: int | tuple[int, ...],
    layer: str | None,
    steps: int,
    optimizer: Optimizer,
    l2: float,
    low: float | None,
    high: float | None,
    start: Any,
    seed: int,
) -> np.ndarray:
    """The input that excites a unit of a layer most; see `Model.activate`."""
    if layer is None:
        one_output(model, "activate without a layer is")
    if model.how != "one" or model._codes():
        takes = "whole numbers" if model.how == "one" else "several arrays"
        raise GraphError(f"activate looks for one array of continuous numbers, but the net takes {takes}")
    shape = model.specs["x"].shape
    if steps < 0 or l2 < 0:
        raise GraphError(f"activate: steps and l2 must be 0 or more, got {steps} and {l2}")
    program, output = climb(model, shape, layer, optimizer, l2, low, high)
    mask = np.zeros(output, model.dtype)
    try:
        mask[unit] = 1
    except IndexError:
        raise GraphError(f"{layer or 'the net'} has outputs of shape {output}, so there is no unit {unit}") from None
    x = np.random.default_rng(seed).normal(0, 0.01, shape) if start is None else np.asarray(start)
    if x.shape != shape:
        raise GraphError(f"activate: start has shape {x.shape}, expected {shape}, that of one sample")
    own = {name: a for name, a in model.state.items() if name in program.state and not name.startswith("optimizer.")}
    own[INPUT] = np.clip(x, low, high).astype(model.dtype)
    rest = [name for name in program.state if name not in own]
    memory = first_state(program, rest, optimizer, seed) | own
    run = model.executor.compile(program, model.threads)
    for _ in range(steps):
        run(memory, {"mask": mask / mask.sum()})
    return memory[INPUT]


def climb(
    model: Model,
    shape: Shape,
    layer: str | None,
    optimizer: Optimizer,
    l2: float,
    low: float | None,
    high: float | None,
) -> tuple[Program, Shape]:
    """One step of ascent on C = sum_i mask_i y_i - l2 sum_i x_i^2, for a layer's output y; and the shape of y."""
    x = state(INPUT, shape, model.dtype)
    y = programs.output_of(trace(model.net, x, dtype=model.dtype), layer)
    mask = input("mask", y.shape, model.dtype, kind="shared")
    slope = grad(sum(mask * y) - l2 * sum(x * x), x)
    updates = updates_of([(x, -slope)], optimizer, model.dtype)  # an optimizer goes down
    for bound, keep_to in ((low, maximum), (high, minimum)):
        if bound is not None:
            updates[x] = keep_to(updates[x], bound)
    return Program({"mask": mask}, {}, updates), y.shape
