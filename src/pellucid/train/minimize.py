"""An optimizer's way down a function, to look at: the point is the state of a program. Written on `grad`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import executors
from ..autodiff import grad
from ..errors import ArgumentError
from ..graph import GraphError, Value, state
from ..optim import LBFGS, as_optimizer, updates_of
from ..optim.updates import LEFT
from ..program import Program
from .lbfgs import WholeSteps
from .programs import gradient_name
from .rates import at_epoch
from .stepping import first_state


class Walk(NamedTuple):
    """The points (steps + 1, n) and the values (steps + 1,) of the function there."""

    points: np.ndarray
    values: np.ndarray

    def __repr__(self) -> str:
        first, last = self.values[0], self.values[-1]
        return f"<Walk: {len(self.values) - 1} steps; value {first:.4g} at first, {last:.4g} at last>"


def minimize(
    function: Callable[[Value], Value],
    start: Any,
    optimizer: Any = "adam",
    steps: int = 100,
    *,
    dtype: str = "float64",
    executor: str | None = None,
) -> Walk:
    """Every point on an optimizer's way from ``start``, for a function of a Value that gives one number.

    With a schedule, each step is an epoch. Raises `GraphError` where the function gives no number.

    >>> from pellucid import optim
    >>> walk = minimize(lambda x: (x - 3) ** 2, 0.0, optim.SGD(0.25), steps=2)  # half the way with each step
    >>> walk.points.tolist(), walk.values.tolist()
    ([0.0, 1.5, 2.25], [9.0, 2.25, 0.5625])
    """
    if steps < 0:
        raise ArgumentError(f"minimize: steps must be 0 or more, got {steps!r}")
    first, rule = np.array(start, dtype), as_optimizer(optimizer)
    x = state("x", first.shape, dtype)
    cost = function(x)
    if not isinstance(cost, Value) or cost.shape != ():
        got = f"shape {cost.shape}" if isinstance(cost, Value) else repr(cost)
        raise GraphError(f"minimize: the function must give one number, got {got}; use ops.sum or ops.mean")
    slope, maker = grad(cost, x), executors.get(executor)
    value = maker.compile(Program([], {"cost": cost}))
    program = (
        Program([], {"cost": cost, gradient_name("x"): slope})
        if isinstance(rule, LBFGS)
        else Program([], {"cost": cost}, updates_of([(x, slope)], rule, dtype))
    )
    run: Any = maker.compile(program)
    names = [name for name in program.state if name != "x"]
    memory: dict[str, Any] = first_state(program, names, rule, 0, {"x": first}) | {"x": first}
    step = WholeSteps(run, rule) if isinstance(rule, LBFGS) else None
    memory |= at_epoch(memory, 0, 1) | {LEFT: np.asarray(steps, np.int32)}
    points = [first]
    for _ in range(steps):
        if step is not None:
            step.steps(memory, {}, None, 1)
        else:
            run(memory)
        points.append(np.array(memory["x"]))
    return Walk(np.array(points), np.array([float(value({"x": p})["cost"]) for p in points]))
