"""Single neurons as scikit-learn estimators: McCulloch-Pitts, Rosenblatt's perceptron, ADALINE. Imports nn, executors.

Each rule is written once, for one sample, as a `Program`; an executor runs it sample by sample.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from . import executors, nn, ops
from .graph import GraphError, Program, Value, input, state
from .train.unchanged import unchanged_on_error

__all__ = ["Adaline", "McCullochPitts", "Perceptron"]

FLOAT = "float64"


class McCullochPitts(ClassifierMixin, BaseEstimator):
    """The logic unit: y = 1 if sum_i w_i x_i >= threshold, else 0; any active inhibitory input forces 0.

    Inputs are 0 or 1; the weights are given, not learnt. ``inhibitory`` holds the positions of inputs with a veto,
    which have no part in the sum. Raises `ValueError` for other inputs. McCulloch and Pitts, 1943; lecture 003.

    >>> table = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> McCullochPitts([1, -1], threshold=1).predict(table).tolist()                 # x1 AND NOT x2
    [0, 0, 1, 0]
    >>> McCullochPitts([1, 1], threshold=1, inhibitory=[1]).predict(table).tolist()  # the same, by a veto
    [0, 0, 1, 0]
    """

    def __init__(self, weights=(1.0,), threshold=1.0, inhibitory=(), executor=None):
        self.weights, self.threshold, self.inhibitory, self.executor = weights, threshold, inhibitory, executor

    def program(self) -> Program:
        """The unit as a graph: from the sample ``x`` to ``y``."""
        weights = np.asarray(self.weights, FLOAT)
        if weights.ndim != 1:
            raise GraphError(f"McCullochPitts: weights must be one number for each input, got shape {weights.shape}")
        veto = np.zeros_like(weights)
        for i in self.inhibitory:
            if not 0 <= i < len(weights):
                raise GraphError(
                    f"McCullochPitts: inhibitory input {i} does not exist; inputs are 0..{len(weights) - 1}"
                )
            veto[i] = 1
        x = input("x", weights.shape, FLOAT)
        excited = nn.step(ops.dot(x, ops.constant(weights * (1 - veto))), c=self.threshold)
        return Program([x], {"y": ops.where(ops.dot(x, ops.constant(veto)) > 0, 0, excited)})

    def fit(self, X, y=None):
        """Nothing to learn; here for scikit-learn's pipelines."""
        self.program()
        return self

    def predict(self, X):
        """0 or 1 for each sample."""
        x = np.asarray(X, FLOAT)
        program = self.program()
        if x.shape[1:] != program.inputs["x"].shape:
            raise ValueError(f"McCullochPitts has {len(self.weights)} weights, got X of shape {x.shape}")
        if not np.isin(x, (0, 1)).all():
            raise ValueError(f"McCullochPitts takes inputs 0 or 1, got {x[~np.isin(x, (0, 1))].flat[0]}")
        return executors.get(self.executor).compile(program)({}, {"x": x})["y"].astype(int)

    def __sklearn_is_fitted__(self):
        return True


class _LearningUnits(ClassifierMixin, BaseEstimator):
    """What perceptron and ADALINE share: targets as -1 and +1, one unit for two classes, else one for each."""

    def program(self, features: int, units: int) -> Program:
        """One step of the learning rule: inputs ``x`` and ``t``, state ``w`` and ``b``, output ``error``."""
        raise NotImplementedError

    def _train(self, X, y, batch_size) -> tuple[list[float], int]:
        """Run the rule for some epochs; the summed ``error`` of each, and the number of samples."""
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        if not self.learning_rate > 0:
            raise ValueError(f"{type(self).__name__}: learning_rate must be > 0, got {self.learning_rate!r}")
        self.classes_, number = np.unique(y, return_inverse=True)
        k = len(self.classes_)
        if k < 2:
            raise ValueError(f"{type(self).__name__} needs two classes, y has one class only: {self.classes_[0]!r}")
        belongs = number[:, None] == (np.array([1]) if k == 2 else np.arange(k))
        arrays = {"x": X, "t": np.where(belongs, 1.0, -1.0)}
        n, units = len(X), belongs.shape[1]
        step = executors.get(self.executor).compile(self.program(X.shape[1], units))
        weights = {"w": np.zeros((units, X.shape[1])), "b": np.zeros(units)}
        errors: list[float] = []
        for epoch in range(self.epochs):
            order = np.random.default_rng([self.seed, epoch]).permutation(n) if self.shuffle else np.arange(n)
            errors.append(step.steps(weights, arrays, order, n if batch_size == "all" else batch_size)["error"])
            if self._done(errors):
                break
        self.coef_, self.intercept_, self.n_iter_ = weights["w"], weights["b"], len(errors)
        return errors, n

    def _done(self, errors: list[float]) -> bool:
        return False

    def decision_function(self, X):
        """The net input v = w.x + b, before the threshold: one number a sample, or one for each of several classes."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        x, w, b = _leaves(*self.coef_.shape[::-1])
        run = executors.get(self.executor).compile(Program([x], {"v": net_input(w, x, b)}))
        v = run({"w": self.coef_, "b": self.intercept_}, {"x": X})["v"]
        return v[:, 0] if len(self.classes_) == 2 else v

    def predict(self, X):
        """The class of each sample: by the sign of v, or the largest v of several classes."""
        v = self.decision_function(X)
        return self.classes_[(v >= 0).astype(int) if v.ndim == 1 else v.argmax(axis=1)]


def _leaves(features: int, units: int) -> tuple[Value, Value, Value]:
    return input("x", (features,), FLOAT), state("w", (units, features), FLOAT), state("b", (units,), FLOAT)


def net_input(w: Value, x: Value, b: Value) -> Value:
    """v = w x + b, for each unit."""
    return ops.dot(w, x) + b  # type: ignore[operator]


class Perceptron(_LearningUnits):
    """Rosenblatt's rule, sample by sample: w += eta (t - y) x, b += eta (t - y), with y = +1 if w.x + b >= 0, else -1.

    Targets t are -1 and +1 for the two classes in order; for more classes one unit each, against the rest. Only
    mistakes change the weights, which start at 0. Training stops after an epoch without a mistake, which comes for sure
    if a line separates the classes, or after ``epochs``. ``errors_`` has the mistakes of each epoch, ``converged_``
    whether the last had none; ``coef_`` and ``intercept_`` are the weights. Rosenblatt, 1958; lectures 001, 002.

    >>> X = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> unit = Perceptron(shuffle=False).fit(X, [0, 0, 0, 1])      # AND
    >>> unit.predict(X).tolist(), unit.coef_.tolist(), unit.intercept_.tolist()
    ([0, 0, 0, 1], [[4.0, 2.0]], [-6.0])
    >>> unit.errors_
    [2, 3, 3, 2, 1, 0]
    >>> Perceptron(epochs=50).fit(X, [0, 1, 1, 0]).converged_      # XOR: no line separates it
    False
    """

    def __init__(self, learning_rate=1.0, epochs=100, seed=0, shuffle=True, executor=None):
        self.learning_rate, self.epochs, self.seed, self.shuffle = learning_rate, epochs, seed, shuffle
        self.executor = executor

    def program(self, features, units):
        x, w, b = _leaves(features, units)
        t = input("t", (units,), FLOAT)
        y = nn.step(net_input(w, x, b), a=-1, b=1)
        change = self.learning_rate * (t - y)
        mistakes = ops.sum(abs(t - y)) * 0.5  # t - y is 0 or +-2
        updates = {w: w + ops.batch_sum(ops.contract(change, x, "i,j->ij")), b: b + ops.batch_sum(change)}
        return Program([x, t], {"error": ops.batch_sum(mistakes)}, updates)

    def fit(self, X, y):
        """Learn from samples ``X`` and their classes ``y``."""
        with unchanged_on_error(self):
            errors, _ = self._train(X, y, batch_size=1)
            self.errors_ = [round(e) for e in errors]
            self.converged_ = bool(self.errors_) and self.errors_[-1] == 0
        return self

    def _done(self, errors):
        return errors[-1] == 0


class Adaline(_LearningUnits):
    """The Widrow-Hoff (delta, LMS) rule: w += eta (d - v) x, b += eta (d - v), with v = w.x + b before the threshold.

    Gradient descent on 1/2 (d - v)^2, so every sample changes the weights, not only mistakes. ``batch_size`` 1 is the
    rule as published; for n, or "all", the mean of the n changes is taken. Targets d are -1 and +1; for more than two
    classes one unit each, against the rest. ``loss_curve_`` has the mean of 1/2 (d - v)^2 of each epoch. Diverges where
    ``learning_rate`` is too large for the inputs' size: scale them. Widrow and Hoff, 1960; lecture 003.

    >>> X = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> unit = Adaline(learning_rate=0.5, epochs=200, batch_size="all").fit(X, [0, 0, 0, 1])
    >>> unit.predict(X).tolist(), unit.coef_.round(3).tolist(), unit.intercept_.round(3).tolist()
    ([0, 0, 0, 1], [[1.0, 1.0]], [-1.5])
    """

    def __init__(self, learning_rate=0.01, epochs=100, batch_size=1, seed=0, shuffle=True, executor=None):
        self.learning_rate, self.epochs, self.batch_size = learning_rate, epochs, batch_size
        self.seed, self.shuffle, self.executor = seed, shuffle, executor

    def program(self, features, units):
        x, w, b = _leaves(features, units)
        d = input("t", (units,), FLOAT)
        error = d - net_input(w, x, b)  # type: ignore[operator]
        change = self.learning_rate * error
        updates = {w: w + ops.batch_mean(ops.contract(change, x, "i,j->ij")), b: b + ops.batch_mean(change)}
        return Program([x, d], {"error": ops.batch_sum(ops.sum(error * error) * 0.5)}, updates)

    def fit(self, X, y):
        """Learn from samples ``X`` and their classes ``y``."""
        size: Any = self.batch_size
        if size != "all" and not (isinstance(size, (int, np.integer)) and size >= 1):
            raise ValueError(f"Adaline: batch_size must be a whole number >= 1 or 'all', got {size!r}")
        with unchanged_on_error(self):
            errors, n = self._train(X, y, size)
            self.loss_curve_ = [e / n for e in errors]
            if not np.isfinite(self.coef_).all():
                raise ArithmeticError(f"Adaline: the weights grew beyond all numbers; try a smaller learning_rate (now "
                                      f"{self.learning_rate:g}) or scaled inputs")  # fmt: skip
        return self
