"""Single neurons as scikit-learn estimators: McCulloch-Pitts, Rosenblatt's perceptron, ADALINE.

Each rule is written once, for one sample, as a `Program`; an executor runs it sample by sample. Imports nn, executors,
report.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from . import executors, nn, ops
from .checks import number, whole
from .errors import ArgumentError, DataError
from .graph import Value, input, state
from .program import Program
from .report import aligned
from .train.unchanged import unchanged_on_error

__all__ = ["Adaline", "McCullochPitts", "Perceptron", "Step", "Steps"]

FLOAT = "float64"
SHOWN = 100  # steps at either end of a table of steps


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
            raise ArgumentError(f"McCullochPitts: weights must be one number for each input, got shape {weights.shape}")
        veto = np.zeros_like(weights)
        for i in self.inhibitory:
            if not 0 <= i < len(weights):
                raise ArgumentError(
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
            raise DataError(f"McCullochPitts has {len(self.weights)} weights, got X of shape {x.shape}")
        if not np.isin(x, (0, 1)).all():
            raise DataError(f"McCullochPitts takes inputs 0 or 1, got {x[~np.isin(x, (0, 1))].flat[0]}")
        return executors.get(self.executor).compile(program)({}, {"x": x})["y"].astype(int)

    def __sklearn_is_fitted__(self):
        return True


class Step(NamedTuple):
    """One sample as a learning rule meets it: what the unit makes of it, and its weights before and after the step.

    ``epoch`` and ``row`` (of X) count from 0; ``target`` is -1 or +1; ``net_input`` v = w.x + b, ``output`` +1 if
    v >= 0, else -1. ``coef``, ``intercept`` are the weights that the sample met, ``new_coef``, ``new_intercept`` those
    after its step. One unit: numbers, and weights (features,); several: (units,) and (units, features).
    """

    epoch: int
    row: int
    x: np.ndarray
    target: Any
    net_input: Any
    output: Any
    coef: np.ndarray
    intercept: Any
    new_coef: np.ndarray
    new_intercept: Any


class Steps(list[Step]):
    """The steps of a training in their order: ``print`` shows them as a table, and ``pandas.DataFrame`` takes them.

    Of more than 200 the first and the last 100 are printed.

    >>> print(Perceptron(epochs=1, shuffle=False, record=True).fit([[0, 1], [1, 1]], [0, 1]).steps_)
      epoch  sample    x  target  v = w.x + b  output  w; b before  w; b after
      1           1  0 1      -1            0      +1       0 0; 0    0 -2; -2
      1           2  1 1      +1           -4      -1     0 -2; -2      2 0; 0
    """

    def __str__(self) -> str:
        def weights(w: np.ndarray, b: Any) -> str:
            rows = zip(np.atleast_2d(w), np.atleast_1d(b), strict=True)
            return " | ".join(f"{_numbers(row)}; {_numbers(bias)}" for row, bias in rows)

        rows = [
            [str(s.epoch + 1), str(s.row + 1), _numbers(s.x), _numbers(s.target, "+"), _numbers(s.net_input),
             _numbers(s.output, "+"), weights(s.coef, s.intercept), weights(s.new_coef, s.new_intercept)]
            for s in self
        ]  # fmt: skip
        if len(rows) > 2 * SHOWN:
            rows[SHOWN:-SHOWN] = [["..."] + [""] * 7]
        heads = ["epoch", "sample", "x", "target", "v = w.x + b", "output", "w; b before", "w; b after"]
        return aligned(heads, rows)

    def __repr__(self) -> str:
        return f"<{len(self)} steps; print shows them as a table>"


def _numbers(values: Any, sign: str = "") -> str:
    return " ".join(f"{v:{sign}.4g}" for v in np.atleast_1d(values) + 0.0)  # no -0


class _LearningUnits(ClassifierMixin, BaseEstimator):
    """What perceptron and ADALINE share: targets as -1 and +1, one unit for two classes, else one for each."""

    curve: ClassVar[str]  # the attribute with a number for each epoch

    def program(self, features: int, units: int) -> Program:
        """One step of the learning rule: inputs ``x`` and ``t``, state ``w`` and ``b``, output ``error``."""
        raise NotImplementedError

    def fit(self, X, y, coef_init=None, intercept_init=None):
        """Learn from samples ``X`` and their classes ``y``.

        The first weights are 0, or ``coef_init``, (units, features), and ``intercept_init``, (units,); for the one unit
        of two classes (features,) and a number do as well. Raises `ValueError` for other shapes.
        """
        with unchanged_on_error(self):
            X, y = validate_data(self, X, y, dtype=np.float64)
            self._begin(y, X.shape[1], coef_init, intercept_init)
            self._learn(X, y, self.epochs)
        return self

    def partial_fit(self, X, y, classes=None):
        """One epoch over these samples, from the weights there are; at the first call ``classes`` says all classes.

        n calls with the same samples do what a fit of n epochs does. Raises `ValueError` for other classes.
        """
        first = not hasattr(self, "coef_")
        with unchanged_on_error(self):
            X, y = validate_data(self, X, y, dtype=np.float64, reset=first)
            if first and classes is None:
                raise ArgumentError(f"{type(self).__name__}: the first partial_fit needs all classes there will be: "
                                    "partial_fit(X, y, classes=[...])")  # fmt: skip
            if first:
                self._begin(classes, X.shape[1])
            elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
                raise DataError(f"{type(self).__name__}: classes are {np.unique(classes)}, in the calls before they "
                                f"were {self.classes_}; leave them out")  # fmt: skip
            self._learn(X, y, 1)
        return self

    def _begin(self, classes, features: int, coef=None, intercept=None) -> None:
        """Classes, first weights, and no epoch yet."""
        check_classification_targets(classes)
        self.classes_ = np.unique(classes)
        k = len(self.classes_)
        if k < 2:
            raise DataError(
                f"{type(self).__name__} needs two classes, got one class only: {self.classes_.tolist()[0]!r}"
            )
        units = 1 if k == 2 else k
        self.coef_ = self._first("coef_init", coef, (units, features))
        self.intercept_ = self._first("intercept_init", intercept, (units,))
        self.n_iter_ = 0
        setattr(self, self.curve, [])
        self.__dict__.pop("steps_", None)
        if self.record:
            self.steps_ = Steps()

    def _first(self, name: str, given: Any, shape: tuple[int, ...]) -> np.ndarray:
        """First weights: 0, or a copy of what is given."""
        if given is None:
            return np.zeros(shape)
        array = np.array(given, FLOAT)
        if array.shape != shape and not (shape[0] == 1 and array.shape == shape[1:]):
            without = f", or {shape[1:] or 'a number'}" if shape[0] == 1 else ""
            raise ArgumentError(f"{type(self).__name__}: {name} must have shape {shape}{without}, got {array.shape}")
        if not np.isfinite(array).all():
            raise ArgumentError(f"{type(self).__name__}: {name} must be finite, got {array[~np.isfinite(array)][0]}")
        return array.reshape(shape)

    def _learn(self, X: np.ndarray, y: np.ndarray, epochs: int) -> None:
        """Run the rule for some epochs more."""
        check_classification_targets(y)
        number(self, "learning_rate", self.learning_rate, above=0)
        whole(self, "epochs", self.epochs, least=0)
        whole(self, "seed", self.seed, least=0)
        if len(new := np.setdiff1d(y, self.classes_)):
            raise DataError(
                f"{type(self).__name__}: y has {new.tolist()[0]!r}, which is none of the classes {self.classes_}"
            )
        which = np.searchsorted(self.classes_, y)
        belongs = which[:, None] == (np.array([1]) if len(self.classes_) == 2 else np.arange(len(self.classes_)))
        arrays = {"x": X, "t": np.where(belongs, 1.0, -1.0)}
        step = executors.get(self.executor).compile(self.program(X.shape[1], belongs.shape[1]))
        weights = {"w": self.coef_.copy(), "b": self.intercept_.copy()}
        size = len(X) if self._batch() == "all" else self._batch()
        curve, steps = list(getattr(self, self.curve)), Steps(getattr(self, "steps_", ()))
        look = self._sums(*self.coef_.shape) if self.record else None
        for epoch in range(self.n_iter_, self.n_iter_ + epochs):
            order = np.random.default_rng([self.seed, epoch]).permutation(len(X)) if self.shuffle else np.arange(len(X))
            if self.record:
                error = sum(self._recorded(step, look, weights, arrays, order[i : i + size], epoch, steps)
                            for i in range(0, len(X), size))  # fmt: skip
            else:
                error = step.steps(weights, arrays, order, size)["error"]
            curve.append(self._measure(error, len(X)))
            if self._done(curve):
                break
        if not (np.isfinite(weights["w"]).all() and np.isfinite(weights["b"]).all()):
            raise ArithmeticError(f"{type(self).__name__}: the weights grew beyond all numbers; try a smaller "
                                  f"learning_rate (now {self.learning_rate:g}) or scaled inputs")  # fmt: skip
        self.coef_, self.intercept_, self.n_iter_ = weights["w"], weights["b"], len(curve)
        setattr(self, self.curve, curve)
        if self.record:
            self.steps_ = steps

    def _recorded(self, step, look, weights, arrays, rows, epoch: int, steps: Steps) -> float:
        """One step of the rule on these rows; what it did to each of them is added to ``steps``."""
        old = {name: a.copy() for name, a in weights.items()}
        v = look(old, {"x": arrays["x"][rows]})["v"]
        error = step.steps(weights, arrays, rows, len(rows))["error"]

        def plain(a: np.ndarray) -> Any:  # of one unit a number, or its weights
            return a.copy() if len(a) > 1 else a[0].copy() if a.ndim > 1 else float(a[0])

        for row, net in zip(rows.tolist(), v, strict=True):
            told = plain(arrays["t"][row]), plain(net), plain(np.where(net >= 0, 1.0, -1.0))
            before, after = ((plain(s["w"]), plain(s["b"])) for s in (old, weights))
            steps.append(Step(epoch, row, arrays["x"][row].copy(), *told, *before, *after))
        return error

    def _batch(self) -> Any:
        return 1

    def _measure(self, error: float, n: int) -> Any:
        raise NotImplementedError

    def _done(self, curve: list) -> bool:
        return False

    def _sums(self, units: int, features: int) -> Any:
        """What computes the net input: from state ``w`` and ``b``, and samples ``x``, to ``v``."""
        x, w, b = _leaves(features, units)
        return executors.get(self.executor).compile(Program([x], {"v": net_input(w, x, b)}))

    def decision_function(self, X):
        """The net input v = w.x + b, before the threshold: one number a sample, or one for each of several classes."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        v = self._sums(*self.coef_.shape)({"w": self.coef_, "b": self.intercept_}, {"x": X})["v"]
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
    whether the last had none; ``coef_`` and ``intercept_`` are the weights. With ``record=True`` ``steps_`` has every
    step: `Steps`. Rosenblatt, 1958; lectures 001, 002.

    >>> X = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> unit = Perceptron(shuffle=False).fit(X, [0, 0, 0, 1])      # AND
    >>> unit.predict(X).tolist(), unit.coef_.tolist(), unit.intercept_.tolist()
    ([0, 0, 0, 1], [[4.0, 2.0]], [-6.0])
    >>> unit.errors_
    [2, 3, 3, 2, 1, 0]
    >>> Perceptron(epochs=50).fit(X, [0, 1, 1, 0]).converged_      # XOR: no line separates it
    False
    """

    curve = "errors_"

    def __init__(self, learning_rate=1.0, epochs=100, seed=0, shuffle=True, executor=None, record=False):
        self.learning_rate, self.epochs, self.seed, self.shuffle = learning_rate, epochs, seed, shuffle
        self.executor, self.record = executor, record

    def program(self, features, units):
        x, w, b = _leaves(features, units)
        t = input("t", (units,), FLOAT)
        y = nn.step(net_input(w, x, b), a=-1, b=1)
        change = self.learning_rate * (t - y)
        mistakes = ops.sum(abs(t - y)) * 0.5  # t - y is 0 or +-2
        updates = {w: w + ops.batch_sum(ops.contract(change, x, "i,j->ij")), b: b + ops.batch_sum(change)}
        return Program([x, t], {"error": ops.batch_sum(mistakes)}, updates)

    def _measure(self, error, n):
        return round(error)

    def _done(self, curve):
        return curve[-1] == 0

    def _learn(self, X, y, epochs):
        super()._learn(X, y, epochs)
        self.converged_ = bool(self.errors_) and self.errors_[-1] == 0


class Adaline(_LearningUnits):
    """The Widrow-Hoff (delta, LMS) rule: w += eta (d - v) x, b += eta (d - v), with v = w.x + b before the threshold.

    Gradient descent on 1/2 (d - v)^2, so every sample changes the weights, not only mistakes. ``batch_size`` 1 is the
    rule as published; for n, or "all", the mean of the n changes is taken. Targets d are -1 and +1; for more than two
    classes one unit each, against the rest. ``loss_curve_`` has the mean of 1/2 (d - v)^2 of each epoch. Diverges where
    ``learning_rate`` is too large for the inputs' size: scale them. With ``record=True`` ``steps_`` has every step:
    `Steps`; in a batch, all samples meet the weights before it. Widrow and Hoff, 1960; lecture 003.

    >>> X = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> unit = Adaline(learning_rate=0.5, epochs=200, batch_size="all").fit(X, [0, 0, 0, 1])
    >>> unit.predict(X).tolist(), unit.coef_.round(3).tolist(), unit.intercept_.round(3).tolist()
    ([0, 0, 0, 1], [[1.0, 1.0]], [-1.5])
    """

    curve = "loss_curve_"

    def __init__(self, learning_rate=0.01, epochs=100, batch_size=1, seed=0, shuffle=True, executor=None, record=False):
        self.learning_rate, self.epochs, self.batch_size = learning_rate, epochs, batch_size
        self.seed, self.shuffle, self.executor, self.record = seed, shuffle, executor, record

    def program(self, features, units):
        x, w, b = _leaves(features, units)
        d = input("t", (units,), FLOAT)
        error = d - net_input(w, x, b)  # type: ignore[operator]
        change = self.learning_rate * error
        updates = {w: w + ops.batch_mean(ops.contract(change, x, "i,j->ij")), b: b + ops.batch_mean(change)}
        return Program([x, d], {"error": ops.batch_sum(ops.sum(error * error) * 0.5)}, updates)

    def _batch(self):
        size: Any = self.batch_size
        return size if size == "all" else whole("Adaline", "batch_size", size, hint="'all' takes all samples")

    def _measure(self, error, n):
        return error / n
