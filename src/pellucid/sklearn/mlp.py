"""scikit-learn's `MLPClassifier` and `MLPRegressor`, as machine code. Imports sklearn, numpy, the siblings."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import sklearn.neural_network
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils.metaestimators import available_if

from .. import nn
from ..train import Model
from ..train.unchanged import unchanged_on_error
from .features import refuse_streams
from .mlp_programs import ACTIVATIONS, NUMBERS, Passes, Shape, first_state
from .sparse import SparseGradient, SparsePasses, stays_sparse

LOSSES = {"softmax": "cross_entropy", "logistic": "binary_cross_entropy", "identity": "half_squared_error",
          "exp": "poisson"}  # fmt: skip


class Solver:
    """What a stochastic solver remembers between epochs, and between calls of ``partial_fit``."""

    def __init__(self, mlp: Any, state: dict[str, np.ndarray]) -> None:
        self.mlp_solver, self.state = mlp.solver, state
        self.learning_rate_init = self.learning_rate = float(mlp.learning_rate_init)
        self.schedule, self.power_t = mlp.learning_rate if mlp.solver == "sgd" else "constant", mlp.power_t

    def epoch_ends(self, t: int) -> None:
        """After ``t`` samples: the learning rate of the schedule "invscaling"."""
        if self.schedule == "invscaling":
            self.learning_rate = self.learning_rate_init / (t + 1) ** self.power_t

    def stops(self, why: str, verbose: bool) -> bool:
        """Whether training that does not improve ends; with the schedule "adaptive" only when the rate is small."""
        more = " Stopping."
        if self.schedule == "adaptive" and self.learning_rate > 1e-6:
            self.learning_rate /= 5
            more = f" Setting learning rate to {self.learning_rate:f}"
        elif self.schedule == "adaptive":
            more = " Learning rate too small. Stopping."
        if verbose:
            print(why + more)
        return not more.startswith(" Setting")


class Compiled:
    """What a `BaseMultilayerPerceptron` does in training, in machine code; all else is scikit-learn's."""

    def _fit(self: Any, X: Any, y: Any, *others: Any, **more: Any) -> Any:
        refuse_streams(X, "X")
        refuse_streams(y, "y")
        with unchanged_on_error(self):
            if isinstance(getattr(self, "_optimizer", None), Solver):
                self._optimizer = copy.copy(self._optimizer)
            self._check_depth(bool(others and others[-1]) or more.get("incremental", False))
            return super()._fit(X, y, *others, **more)  # type: ignore[misc]

    def _check_depth(self: Any, incremental: bool) -> None:
        """Training goes on with the weights there are: as in scikit-learn, not with more layers or fewer."""
        sizes = self.hidden_layer_sizes
        hidden = len(sizes) if hasattr(sizes, "__len__") else 1
        if (self.warm_start or incremental) and hasattr(self, "coefs_") and len(self.coefs_) != hidden + 1:
            raise ValueError(f"hidden_layer_sizes={sizes} has {hidden} layers, but the net that goes on has "
                             f"{len(self.coefs_) - 1}; use warm_start=False, or a new estimator")  # fmt: skip

    def _shape(self: Any, X: Any, weighted: bool) -> Shape:
        units = (self.coefs_[0].shape[0], *(c.shape[1] for c in self.coefs_))
        dtype = "float64" if self.solver == "lbfgs" else str(np.result_type(X.dtype, self.coefs_[0].dtype))
        return Shape(units, self.activation, self.out_activation_, dtype, weighted, stays_sparse(X))

    def _weights(self: Any, shape: Shape) -> dict[str, np.ndarray]:
        """scikit-learn's (in, out) as Pellucid's (out, in), by the names of a program's state."""
        turned = [c.T if shape.sparse and i == 0 else np.ascontiguousarray(c.T) for i, c in enumerate(self.coefs_)]
        return dict(zip(shape.names, [*turned, *(i.copy() for i in self.intercepts_)], strict=True))

    def _take(self: Any, shape: Shape, state: dict[str, np.ndarray]) -> None:
        """The other way round."""
        layers = len(self.coefs_)
        self.coefs_ = [np.ascontiguousarray(state[name].T) for name in shape.names[:layers]]
        self.intercepts_ = [state[name] for name in shape.names[layers:]]

    def _fit_stochastic(self: Any, X: Any, y: Any, sample_weight: Any, *others: Any) -> None:
        """scikit-learn's loop with an epoch as one call; the same draws, the same rules of stopping."""
        *_, incremental = others
        if self.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        held: tuple = (None, None, None)
        if self.early_stopping:
            X, y, sample_weight, held = self._without_validation(X, y, sample_weight)
        n = X.shape[0]
        if self.batch_size != "auto" and self.batch_size > n:
            warnings.warn(f"Got `batch_size` {self.batch_size}, larger than the {n} samples. It is going to be clipped",
                          stacklevel=4)  # fmt: skip
        batch = min(200 if self.batch_size == "auto" else self.batch_size, n)
        shape = self._shape(X, sample_weight is not None)
        known = getattr(self, "_optimizer", None)
        if not (incremental and isinstance(known, Solver) and known.mlp_solver == self.solver):
            numbers = {name: getattr(self, name, 0.0) for name in NUMBERS}
            self._optimizer = Solver(self, first_state(shape, self.solver, numbers))
        solver = self._optimizer
        state = solver.state | {"alpha": np.asarray(self.alpha, X.dtype)} | self._weights(shape)
        nesterov = bool(self.nesterovs_momentum) and self.solver == "sgd"
        kind = SparsePasses if shape.sparse else Passes
        epoch = kind(shape, ("epoch", self.solver, nesterov), _arrays(X, y, sample_weight, shape.sparse), batch)
        try:
            self._epochs(epoch, shape, solver, state, held, incremental)
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=4)
        solver.state = {name: a for name, a in state.items() if name not in shape.names}
        self._take(shape, state)
        if self.early_stopping:
            self.coefs_, self.intercepts_ = self._best_coefs, self._best_intercepts

    def _epochs(
        self: Any, epoch: Any, shape: Shape, solver: Solver, state: dict, held: tuple, incremental: bool
    ) -> None:
        order, random, n = np.arange(epoch.n), self._random_state, epoch.n
        unimproved = "Validation score" if self.early_stopping else "Training loss"
        self.n_iter_ = 0
        while self.n_iter_ < self.max_iter:
            if self.shuffle:  # as sklearn.utils.shuffle draws
                drawn = np.arange(n)
                random.shuffle(drawn)
                order = order[drawn]
            state["rate"] = np.asarray(solver.learning_rate, shape.dtype)
            self.loss_ = np.float64(epoch(state, order))
            if not (self.early_stopping or np.isfinite(self.loss_) or _finite(state[name] for name in shape.names)):
                raise ValueError("Solver produced non-finite parameter weights. The input data may contain large "
                                 "values and need to be preprocessed.")  # fmt: skip
            self.n_iter_ += 1
            self.t_ += n
            self.loss_curve_.append(self.loss_)
            if self.verbose:
                print(f"Iteration {self.n_iter_}, loss = {self.loss_:.8f}")
            if self.early_stopping:
                self._take(shape, state)
            self._update_no_improvement_count(self.early_stopping, *held)
            solver.epoch_ends(self.t_)
            if self._no_improvement_count > self.n_iter_no_change:
                why = (f"{unimproved} did not improve more than tol={self.tol:f} for {self.n_iter_no_change} "
                       "consecutive epochs.")  # fmt: skip
                if solver.stops(why, self.verbose):
                    break
                self._no_improvement_count = 0
            if incremental:
                break
            if self.n_iter_ == self.max_iter:
                warnings.warn(f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the "
                              "optimization hasn't converged yet.", ConvergenceWarning, stacklevel=6)  # fmt: skip

    def _without_validation(self: Any, X: Any, y: Any, weight: Any) -> tuple:
        """Training samples, and (X, y, sample_weight) held back for early stopping, drawn as scikit-learn does."""
        stratify = y if is_classifier(self) and self.n_outputs_ == 1 else None
        given = [X, y] if weight is None else [X, y, weight]
        parts = train_test_split(
            *given, random_state=self._random_state, test_size=self.validation_fraction, stratify=stratify
        )
        training, held = [*parts[::2], None][:3], [*parts[1::2], None][:3]
        if held[0].shape[0] < 2:
            raise ValueError("The validation set is too small. Increase 'validation_fraction' or the size of your "
                             "dataset.")  # fmt: skip
        if is_classifier(self):
            held[1] = self._label_binarizer.inverse_transform(held[1])
        return (*training, tuple(held))

    def _fit_lbfgs(self: Any, X: Any, y: Any, sample_weight: Any, *others: Any) -> None:
        """scipy's L-BFGS-B, as in scikit-learn, on a compiled objective."""
        shape = self._shape(X, sample_weight is not None)
        slopes = {f"slope.{name}": np.zeros(p.shape, shape.dtype) for name, p in shape.parameters().items()}
        slopes["alpha"] = np.asarray(self.alpha, shape.dtype)
        kind = SparseGradient if shape.sparse else Passes
        passes = kind(shape, ("gradient",), _arrays(X, y, sample_weight, shape.sparse), X.shape[0])
        self._objective = shape, slopes, passes, np.arange(X.shape[0])
        try:
            super()._fit_lbfgs(X, y, sample_weight, *others)  # type: ignore[misc]
        finally:
            del self._objective

    def _loss_grad_lbfgs(self: Any, packed: np.ndarray, *others: Any) -> tuple[float, np.ndarray]:
        shape, state, passes, order = self._objective
        self._unpack(packed)
        state |= self._weights(shape)
        loss = np.float64(passes(state, order))
        if not np.isfinite(loss):
            return np.float64(np.inf), np.zeros_like(packed)
        return loss, np.concatenate([state[f"slope.{name}"].T.ravel() for name in shape.names]).astype(np.float64)

    def as_model(self: Any) -> Model:
        """The trained net as a `pellucid.Model`: to save, to look into, to train further."""
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self)
        names: list[str] = []
        layers: list[Any] = []
        for i, c in enumerate(self.coefs_):
            names.append(f"layers.{len(layers)}")
            layers.append(nn.Dense(c.shape[1]))
            if i < len(self.coefs_) - 1:
                layers.append(ACTIVATIONS[self.activation])
        dtype = str(self.coefs_[0].dtype)
        net, shape = nn.Sequential(*layers), (self.coefs_[0].shape[0],)
        model = Model(net, LOSSES[self.out_activation_], dtype=dtype, input_shape=shape)
        model.set_parameters({f"{name}.weight": c.T for name, c in zip(names, self.coefs_, strict=True)})
        model.set_parameters({f"{name}.bias": b for name, b in zip(names, self.intercepts_, strict=True)})
        return model


class MLPClassifier(Compiled, sklearn.neural_network.MLPClassifier):
    """scikit-learn's `MLPClassifier` with training in machine code: its parameters, attributes, draws and rules.

    The loss of n samples is C = 1/n (sum_r L_r + alpha/2 ||W||^2), L the log loss. For the same ``random_state`` the
    result is scikit-learn's, to rounding. Sparse X stays sparse. `as_model` gives the net as a `pellucid.Model`.

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> mlp = MLPClassifier((8,), solver="lbfgs", random_state=0).fit(X, y)
    >>> [c.shape for c in mlp.coefs_], mlp.out_activation_, mlp.score(X, y) > 0.9
    ([(4, 8), (8, 3)], 'softmax', True)
    """

    @available_if(lambda mlp: mlp._check_solver())
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> MLPClassifier:
        """One epoch over these samples; ``classes``: all there will be, at the first call."""
        with unchanged_on_error(self):
            return super().partial_fit(X, y, sample_weight, classes)


class MLPRegressor(Compiled, sklearn.neural_network.MLPRegressor):
    """scikit-learn's `MLPRegressor` with training in machine code: see `MLPClassifier`; L is half the squared error.

    >>> import numpy as np
    >>> x = np.linspace(-1, 1, 50)[:, None]
    >>> y = x[:, 0] ** 2
    >>> net = MLPRegressor(hidden_layer_sizes=(8,), activation="tanh", solver="lbfgs", random_state=0)
    >>> bool(net.fit(x, y).score(x, y) > 0.99)
    True
    """


def _finite(arrays: Iterable[np.ndarray]) -> bool:
    return all(np.isfinite(a).all() for a in arrays)


def _arrays(X: Any, y: np.ndarray, weight: np.ndarray | None, sparse: bool) -> dict[str, Any]:
    """The samples by the names of a program's inputs."""
    arrays = {"x": X.toarray() if hasattr(X, "toarray") and not sparse else X, "y": y}
    return arrays if weight is None else arrays | {"weight": weight}
