"""A perceptron's training on sparse samples: the first layer by scipy, the rest as machine code. Imports scipy.

Of a batch X (n, features), with few entries that are not 0, h = X W goes into the compiled step, and dC/dh comes out of
it; dC/dW = X^T dC/dh. The update of W (features, units) goes over all its rows, a block of them at a time that stays in
the processor's cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .mlp_programs import FIRST, SLOTS, Passes, Shape

SMALL_ARRAY = 1 << 20  # elements; such samples are faster as a dense array
DENSE = 3  # so are those of which one entry in three is not 0: they take no more memory
BLOCK = 1 << 14  # elements of W that are updated together


def stays_sparse(X: Any) -> bool:
    """Whether samples are trained on as they are; others become dense."""
    if not hasattr(X, "tocsr"):
        return False
    size = X.shape[0] * X.shape[1]
    return size > SMALL_ARRAY and X.nnz * DENSE < size


class SparseStep:
    """What is common to an epoch and to a gradient: the samples, and the compiled rest of the net."""

    def __init__(self, shape: Shape, what: tuple, arrays: Mapping[str, Any], batch: int) -> None:
        self.shape, self.x, self.n = shape, arrays["x"].tocsr(), arrays["x"].shape[0]
        self.given = {name: np.ascontiguousarray(a, shape.dtype) for name, a in arrays.items() if name != "x"}
        if self.x.dtype != shape.dtype:
            self.x = self.x.astype(shape.dtype)
        full = Passes(shape, what, {"y": self.given["y"][:0]}, batch).run
        self.runs = {batch: full, self.n % batch: full.another(full.threads)}  # each with memory for its batch
        self.rest = {name for name in full.program.state}

    def step(self, state: dict[str, np.ndarray], w: np.ndarray, x: Any, rows: Any) -> tuple[float, np.ndarray, float]:
        """The loss of some rows without what W adds to the penalty, dC/dh, and the sum of their weights."""
        given = {name: a[rows] for name, a in self.given.items()}
        n = x.shape[0]
        own = {name: state[name] for name in self.rest}
        out = self.runs[n if n in self.runs else min(self.runs)](own, given | {"h": x @ w})
        state |= own
        return float(out["loss"]), out["slope"], float(given["weight"].sum()) if "weight" in given else n


class SparsePasses(SparseStep):
    """An epoch of "sgd" or "adam" on sparse samples, as `Passes` is one on dense ones."""

    def __init__(self, shape: Shape, what: tuple, arrays: Mapping[str, Any], batch: int) -> None:
        super().__init__(shape, what, arrays, batch)
        self.solver, self.nesterov, self.batch = what[1], what[2], batch
        features, units = shape.units[:2]
        rows = max(1, BLOCK // units)
        self.blocks = [slice(i, min(i + rows, features)) for i in range(0, features, rows)]

    def __call__(self, state: dict[str, np.ndarray], order: np.ndarray) -> float:
        """The mean loss; ``state`` holds the new arrays, of the first layer as (features, units) in memory."""
        names = [FIRST, *(f"{slot}.{FIRST}" for slot in SLOTS[self.solver])]
        own = [np.array(state[name].T, order="C") for name in names]  # never those of another fit
        x, total = self.x[order], 0.0
        for start in range(0, self.n, self.batch):
            rows = order[start : start + self.batch]
            part = x[start : start + len(rows)]
            loss, slope, weight = self.step(state, own[0], part, rows)
            update = Update(self.solver, self.nesterov, state, weight, part.T @ slope)
            squares = sum(update(block, *(a[block] for a in own)) for block in self.blocks)
            total += loss + 0.5 * float(state["alpha"]) * squares / weight * len(rows)
        state |= {name: a.T for name, a in zip(names, own, strict=True)}
        return total / self.n


class Update:
    """A step's update of the first layer's weights and of what the solver remembers of them, in place."""

    def __init__(
        self,
        solver: str,
        nesterov: bool,
        state: Mapping[str, np.ndarray],
        weight: float,
        slope: np.ndarray,
    ) -> None:
        n = {name: float(state[name]) for name in ("alpha", "rate", "momentum", "beta_1", "beta_2", "epsilon", "step")}
        self.numbers, self.nesterov, self.decay = n, nesterov, n["alpha"] / weight
        self.slope = slope  # (features, units), which is used up
        self.solver = solver

    def __call__(self, block: slice, w: np.ndarray, *slots: np.ndarray) -> float:
        """Some rows of W; gives the sum of their squares before."""
        squares = _squares(w)
        g = self.slope[block]
        g += self.decay * w
        if self.solver == "sgd":
            self.sgd(w, g, *slots)
        else:
            self.adam(w, g, *slots)
        return squares

    def sgd(self, w: np.ndarray, g: np.ndarray, velocity: np.ndarray) -> None:
        n = self.numbers
        g *= n["rate"]
        velocity *= n["momentum"]
        velocity -= g
        if self.nesterov:
            w += n["momentum"] * velocity
            w -= g
        else:
            w += velocity

    def adam(self, w: np.ndarray, g: np.ndarray, m: np.ndarray, v: np.ndarray) -> None:
        n, step = self.numbers, self.numbers["step"]
        rate = n["rate"] * np.sqrt(1 - n["beta_2"] ** step) / (1 - n["beta_1"] ** step)
        m *= n["beta_1"]
        scaled = (1 - n["beta_1"]) * g
        m += scaled
        v *= n["beta_2"]
        g *= g
        g *= 1 - n["beta_2"]
        v += g
        np.sqrt(v, out=g)
        g += n["epsilon"]
        np.divide(m, g, out=scaled)
        scaled *= rate
        w -= scaled


class SparseGradient(SparseStep):
    """The loss of all samples and its gradients, as state: what L-BFGS asks for."""

    def __call__(self, state: dict[str, np.ndarray], order: np.ndarray) -> float:
        """The mean loss; ``state`` holds the slopes."""
        w, alpha = state[FIRST].T, float(state["alpha"])
        loss, slope, weight = self.step(state, w, self.x, slice(None))
        state[f"slope.{FIRST}"] = (self.x.T @ slope + alpha / weight * w).T
        return (loss + 0.5 * alpha * _squares(w) / weight * self.n) / self.n


def _squares(w: np.ndarray) -> float:
    """The sum of squares. (BLAS would wake its threads for each block.)"""
    return float(np.einsum("ij,ij->", w, w))
