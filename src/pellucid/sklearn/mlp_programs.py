"""What scikit-learn's MLP computes, compiled: an epoch of mini-batches, and loss and gradients for L-BFGS.

The formulas are scikit-learn's, of which two differ from Pellucid's own: the penalty 0.5 alpha ||W||^2 is divided by
the number of samples in the mini-batch (by the sum of their weights), and Adam's epsilon is added before the correction
of the start at zero. All numbers are state of the programs, so that other ones compile nothing again.
"""

from __future__ import annotations

import functools
import itertools
import multiprocessing
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from operator import add
from typing import Any

import numpy as np

from .. import executors, nn, ops, settings
from ..autodiff import grad
from ..executors import MANY
from ..graph import Value, input, state
from ..ops import batch_sum, fast_divide, fast_sqrt
from ..program import Program
from ..train.program_cache import kept

ACTIVATIONS = {"identity": nn.linear, "logistic": nn.sigmoid, "tanh": nn.tanh, "relu": nn.relu}
SLOTS = {"sgd": ("velocity",), "adam": ("m", "v")}
SMALL = 20_000_000  # multiplications in a step that a second thread does not pay for (64-100-10, batch 200: 0.14 ms)
FIRST = "coefs.0"
NUMBERS = ("alpha", "rate", "momentum", "beta_1", "beta_2", "epsilon")


@dataclass(frozen=True)
class Shape:
    """What a program of these depends on: nets with the same share their machine code."""

    units: tuple[int, ...]  # of every layer, inputs and outputs among them
    activation: str
    output: str  # its activation: "softmax", "logistic", "identity" or "exp"
    dtype: str
    weighted: bool
    sparse: bool = False  # the first layer's products are given, as input "h"

    @property
    def names(self) -> list[str]:
        """The state that holds the weights, as scikit-learn orders them: all coefs_, then all intercepts_."""
        layers = range(len(self.units) - 1)
        return [f"coefs.{i}" for i in layers] + [f"intercepts.{i}" for i in layers]

    @property
    def sizes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of weights (out, in) and biases (out,)."""
        sizes = list(zip(self.units[1:], self.units[:-1], strict=True))
        return dict(zip(self.names, [*sizes, *((out,) for out, _ in sizes)], strict=True))

    def parameters(self) -> dict[str, Value]:
        """The weights that a program holds, as Values."""
        return {name: state(name, s, self.dtype) for name, s in self.sizes.items() if not self.sparse or name != FIRST}


def objective(shape: Shape) -> tuple[dict[str, Value], dict[str, Value], Value, Value]:
    """Inputs, weights, the cost C = (sum_r w_r L_r + alpha/2 ||W||^2) / sum_r w_r, and what is reported of it.

    scikit-learn reports the squared error's mean over the outputs, but descends along the slope of the sum.
    """
    dtype, layers, outputs = shape.dtype, len(shape.units) - 1, shape.units[-1]
    given, t = ("h", 1) if shape.sparse else ("x", 0), input("y", (outputs,), dtype)
    y = input(given[0], (shape.units[given[1]],), dtype)
    inputs, p = {given[0]: y, "y": t}, shape.parameters()
    for i in range(layers):
        product = y if shape.sparse and i == 0 else ops.contract(p[f"coefs.{i}"], y, "ij,j->i")  # (out, in) x (in,)
        y = product + p[f"intercepts.{i}"]
        y = ACTIVATIONS[shape.activation](y) if i < layers - 1 else y
    told = 1.0
    if shape.output == "softmax":
        each = nn.CrossEntropy()(y, t)
    elif shape.output == "logistic":
        each = nn.BinaryCrossEntropy()(y, t) * outputs
    elif shape.output == "exp":
        each = nn.Poisson()(y, t) * outputs + ops.sum(t * ops.log(ops.maximum(t, 1e-30)) - t)
    else:
        each, told = nn.HalfSquaredError()(y, t), 1 / outputs
    n = ops.batch_size(dtype)
    if shape.weighted:
        inputs["weight"] = input("weight", (), dtype)
        each = inputs["weight"] * each
    squares = functools.reduce(add, [ops.sum(v * v) for name, v in p.items() if name.startswith("coefs")] or [0.0])
    penalty, total = 0.5 * state("alpha", (), dtype) * squares, batch_sum(inputs["weight"]) if shape.weighted else n
    loss = batch_sum(each)
    reported = (loss * told + penalty) / total * n  # times the samples: means of batches are added up
    return inputs, p, (loss + penalty) / total, reported


def epoch_program(shape: Shape, solver: str, nesterov: bool) -> Program:
    """A step of "sgd" or "adam" on a mini-batch."""
    inputs, parameters, cost, reported = objective(shape)
    n = {name: state(name, (), shape.dtype) for name in NUMBERS}
    counter = state("step", (), "int32")
    step = ops.cast(counter + 1, shape.dtype)
    updates = {counter: counter + 1} if solver == "adam" else {}
    slopes, told = slopes_of(shape, cost, inputs, parameters)
    for (name, p), g in zip(parameters.items(), slopes, strict=True):
        slots = [state(f"{slot}.{name}", p.shape, shape.dtype) for slot in SLOTS[solver]]
        if solver == "sgd":
            v = n["momentum"] * slots[0] - n["rate"] * g
            new = [v]
            updates[p] = p + (n["momentum"] * v - n["rate"] * g if nesterov else v)
        else:
            new = [n["beta_1"] * slots[0] + (1 - n["beta_1"]) * g, n["beta_2"] * slots[1] + (1 - n["beta_2"]) * (g * g)]
            rate = n["rate"] * ops.sqrt(1 - n["beta_2"] ** step) / (1 - n["beta_1"] ** step)
            updates[p] = p - fast_divide(rate * new[0], fast_sqrt(new[1]) + n["epsilon"])
        updates |= dict(zip(slots, new, strict=True))
    return Program(inputs, {"loss": reported} | told, updates)


def slopes_of(
    shape: Shape, cost: Value, inputs: dict[str, Value], parameters: dict[str, Value]
) -> tuple[list[Value], dict[str, Value]]:
    """The cost's gradients in the weights; where the first layer is not among them, that in its products as output."""
    wrt = [*parameters.values(), *([inputs["h"]] if shape.sparse else [])]
    slopes = list(grad(cost, wrt))
    return slopes[: len(parameters)], {"slope": slopes[-1]} if shape.sparse else {}


def gradient_program(shape: Shape) -> Program:
    """The loss of all samples; and its gradients, as state."""
    inputs, parameters, cost, reported = objective(shape)
    slopes, told = slopes_of(shape, cost, inputs, parameters)
    found = {state(f"slope.{name}", p.shape, shape.dtype): g
             for (name, p), g in zip(parameters.items(), slopes, strict=True)}  # fmt: skip
    return Program(inputs, {"loss": reported} | told, found)


def worker_threads() -> int | None:
    """In a worker process of joblib's, as many threads as it grants each; elsewhere None, the executor's choice."""
    granted = os.environ.get("OMP_NUM_THREADS", "")
    alone = multiprocessing.parent_process() is None or settings.THREADS.is_set
    return None if alone or not granted.isdecimal() else max(1, int(granted))


class Passes:
    """A program on some arrays again and again; its state is a dict of arrays by name."""

    def __init__(self, shape: Shape, what: tuple, arrays: Mapping[str, np.ndarray], batch: int) -> None:
        make = gradient_program if what == ("gradient",) else epoch_program
        native = executors.get()

        units = shape.units
        if shape.sparse:
            shape, units = replace(shape, units=(0, *units[1:])), units[1:]  # the number of inputs does not matter

        def compiled() -> Any:
            return native.compile(make(shape, *what[1:]))

        products = 3 * batch * sum(a * b for a, b in itertools.pairwise(units))
        threads = worker_threads() or (1 if products < SMALL else None)
        self.run = kept((Passes, native.__name__, shape, what), compiled).another(threads)
        self.run.expect(MANY, batch)  # folds and searches fit again and again: fast code from the first
        given = {name: np.ascontiguousarray(a, shape.dtype) for name, a in arrays.items()}
        self.arrays, self.batch, self.n = given, batch, len(given["y"])

    def __call__(self, state: dict[str, np.ndarray], order: np.ndarray) -> float:
        """The mean loss; ``state`` holds the new arrays."""
        return self.run.steps(state, self.arrays, order, self.batch)["loss"] / self.n


def first_state(shape: Shape, solver: str, numbers: Mapping[str, float]) -> dict[str, np.ndarray]:
    """The state of a step but for the weights: numbers, and slots of zeros."""
    found = {name: np.asarray(value, shape.dtype) for name, value in numbers.items()}
    for name, size in shape.sizes.items():
        found |= {f"{slot}.{name}": np.zeros(size, shape.dtype) for slot in SLOTS[solver]}
    return found | {"step": np.zeros((), np.int32)}
