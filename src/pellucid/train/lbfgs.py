"""Steps on all samples at once: L-BFGS on the compiled cost and gradients. Imports numpy, scipy and the optimizer."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import numpy as np

from ..executors import NotFinite
from ..graph import GraphError
from ..optim import LBFGS
from .programs import gradient_name

MOVES, CHANGES, COUNT = "optimizer.moves", "optimizer.gradient_changes", "optimizer.step"  # what L-BFGS remembers
MOVE, LAST = "optimizer.last_move", "optimizer.last_gradient"
RATE = "optimizer.learning_rate"
FLAT, TINY = 1e-10, 1e-300  # curvature under which a step teaches nothing; what is divided by at least


class WholeSteps:
    """Stands in the place of a compiled training step: ``steps`` is one of L-BFGS on all samples."""

    def __init__(self, run: Any, optimizer: LBFGS) -> None:
        self.run, self.program, self.optimizer = run, run.program, optimizer
        prefix = gradient_name("")
        self.names = [name.removeprefix(prefix) for name in run.program.outputs if name.startswith(prefix)]

    def expect(self, samples: int, batch: int) -> None:
        """How often it computes for this many samples shows only when it does."""

    def steps(
        self,
        state: MutableMapping[str, Any],
        arrays: Mapping[str, np.ndarray],
        rows: np.ndarray | None,
        batch_size: int,
        watch: str | None = None,
        on_step: Callable[[int], None] | None = None,
    ) -> dict[str, Any]:
        """One step; the sums are those before it. The order of the samples does not matter."""
        cost = Cost(self.run, self.names, state, arrays)
        p = flat([state[name] for name in self.names])
        value, g = cost(p), cost.gradient(p)
        if not (np.isfinite(value) and np.isfinite(g).all()):
            raise NotFinite(0, np.arange(rows_of(arrays)))
        sums, after = cost.sums, cost.after
        moves, changes = self.remembered(state, g)
        direction = -two_loops(g, moves, changes)
        if g @ direction >= 0:  # not downhill, by rounding: forget what was learnt
            moves, changes, direction = moves[:0], changes[:0], -g
        first = self.optimizer.first_numbers()[RATE]
        length = float(state.setdefault(RATE, np.asarray(first, state[self.names[0]].dtype)))
        if LAST not in state:
            length *= min(1.0, 1 / max(np.abs(g).sum(), TINY))
        if self.optimizer.line_search:
            length = searched(cost, p, direction, g, value, length, self.optimizer.max_evaluations)
        move = length * direction
        state.update(after | cost.arrays(p + move))
        state.update({MOVES: moves, CHANGES: changes, MOVE: move, LAST: g})
        state[COUNT] = np.asarray(state.get(COUNT, 0) + 1, np.int32)
        if on_step is not None:
            on_step(rows_of(arrays))
        return sums

    def remembered(self, state: MutableMapping[str, Any], g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The last moves (m, n), and how they changed the gradient; the very last one's change is known only now."""
        if LAST not in state or len(state[LAST]) != len(g):
            return np.empty((0, len(g))), np.empty((0, len(g)))
        moves, changes, move, change = state[MOVES], state[CHANGES], state[MOVE], g - state[LAST]
        if move @ change > FLAT:
            most = self.optimizer.history
            moves, changes = np.vstack([moves, move])[-most:], np.vstack([changes, change])[-most:]
        return moves, changes


def check_memory(state: Mapping[str, Any], n: int) -> None:
    """`GraphError` unless what L-BFGS remembers is that of a net of n weights, all of it or nothing."""
    there = {name: np.shape(state[name]) for name in (MOVES, CHANGES, MOVE, LAST) if name in state}
    if there and not (list(there.values()) == [(len(state.get(MOVES, ())), n)] * 2 + [(n,)] * 2
                      and all(state[name].dtype == np.float64 for name in there)):  # fmt: skip
        raise GraphError(f"what L-BFGS remembers does not fit a net of {n} weights: {there}")


class Cost:
    """The cost of all samples as a function of the flat weights, computed once for each point."""

    def __init__(self, run: Any, names: list[str], state: Mapping[str, Any], given: Mapping[str, np.ndarray]) -> None:
        self.run, self.names, self.state, self.given = run, names, dict(state), given
        self.point: np.ndarray | None = None

    def __call__(self, p: np.ndarray) -> float:
        self.at(p)
        return self.value

    def gradient(self, p: np.ndarray) -> np.ndarray:
        self.at(p)
        return self.slope

    def at(self, p: np.ndarray) -> None:
        if self.point is not None and np.array_equal(p, self.point):
            return
        state = self.state | self.arrays(p)
        before = dict(state)
        found = {k: np.asarray(a, np.float64) for k, a in self.run(state, self.given).items()}
        self.point, self.value = p.copy(), float(found.pop("cost"))
        self.slope = flat([found.pop(gradient_name(name)) for name in self.names])
        self.sums = {name: a if a.ndim else float(a) for name, a in found.items()}
        self.after = {k: a for k, a in state.items() if k not in self.names and a is not before[k]}

    def arrays(self, p: np.ndarray) -> dict[str, np.ndarray]:
        """The weights by name."""
        shapes = [self.state[name].shape for name in self.names]
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
        parts = np.split(p, ends[:-1])
        return {name: part.reshape(shape).astype(self.state[name].dtype)
                for name, part, shape in zip(self.names, parts, shapes, strict=True)}  # fmt: skip


def rows_of(arrays: Mapping[str, np.ndarray]) -> int:
    """The number of samples."""
    return len(next(iter(arrays.values()), ()))


def flat(arrays: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.ravel(a) for a in arrays]).astype(np.float64)


def two_loops(g: np.ndarray, moves: np.ndarray, changes: np.ndarray) -> np.ndarray:
    """H g for the inverse second derivatives H that the last moves s and gradient changes y tell.

    Nocedal and Wright, algorithm 7.4.

    >>> two_loops(np.array([4.0]), np.array([[1.0]]), np.array([[2.0]]))  # the second derivative is 2
    array([2.])
    """
    q, pairs = g.copy(), [(s, y, 1 / (s @ y)) for s, y in zip(moves, changes, strict=True)]
    shares = []
    for s, y, rho in reversed(pairs):
        shares.append(rho * (s @ q))
        q -= shares[-1] * y
    if pairs:
        s, y, rho = pairs[-1]
        q *= 1 / (rho * (y @ y))
    for (s, y, rho), share in zip(pairs, reversed(shares), strict=True):
        q += (share - rho * (y @ q)) * s
    return q


def searched(
    cost: Cost, p: np.ndarray, direction: np.ndarray, g: np.ndarray, value: float, first: float, most: int
) -> float:
    """A step length that fulfills the strong Wolfe conditions, or at least goes down; 0 where none was found.

    scipy's search begins at length 1, so it walks in units of the first.
    """
    from scipy.optimize import line_search

    along = first * direction
    found = None
    if along @ g < -TINY:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # that it did not converge
            found = line_search(cost, cost.gradient, p, along, g, value, maxiter=most)[0]
    if found is not None:
        return first * float(found)
    for _ in range(most):  # rounding hides the conditions: any way down
        if cost(p + first * direction) < value:
            return first
        first /= 4
    return 0.0
