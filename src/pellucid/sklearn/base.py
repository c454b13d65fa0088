"""`NeuralEstimator`: the arguments of estimators, and how they become a `pellucid.Model` that trains.

Imports sklearn, numpy and the siblings.
"""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from .. import nn, optim
from ..checks import hint_options
from ..data import Dataset
from ..data.dataset import no_targets
from ..deprecation import deprecated
from ..ensembles import restarts
from ..errors import DataError
from ..nn.losses import as_loss
from ..recipes import HELD
from ..schedules import Schedule
from ..train import Callback, EarlyStopping, Model, ReduceLROnPlateau
from ..train.remarks import remark
from ..train.unchanged import unchanged_on_error
from .choosing import chosen, recipe_net, recipe_of
from .features import Features, finite, refuse_streams, warn_of_target, weights_of
from .mlp_programs import worker_threads
from .networks import LOSS_NAMES, net_of
from .resuming import join, take_over, to_go_on

LIVE = frozenset([  # what each call of fit looks at anew; the rest makes the net and its optimizer
    "max_iter", "tol", "verbose", "warm_start", "alpha", "shuffle", "batch_size", "callbacks", "early_stopping",
    "power_t", "validation_fraction", "n_iter_no_change", "random_state", "class_weight", "n_restarts",
])  # fmt: skip
FIXED = ("scale",)  # what cannot change while the weights stay


class InverseScaling(Callback):
    """The learning rate that began as r is r / (t + 1)^power after t samples: scikit-learn's "invscaling".

    ``seen``: samples before this training.
    """

    def __init__(self, start: float, power: float, seen: int = 0) -> None:
        self.start, self.power, self.seen = start, power, seen

    def on_train_begin(self) -> None:
        self.first = self.model.epochs

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        assert self.model.training is not None
        seen = self.seen + (self.model.epochs - self.first) * self.model.training.samples
        self.model.learning_rate = self.start / (seen + 1) ** self.power


class NeuralEstimator(BaseEstimator):
    """Base of the estimators: their arguments, and how they become a `pellucid.Model`."""

    _parameter_constraints: ClassVar[dict] = {
        "hidden_layer_sizes": [StrOptions({"auto"}), "array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [str, callable],
        "layers": [None, list, tuple, callable],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "loss": [None, str, callable],
        "optimizer": [None, str, optim.Optimizer],
        "solver": [StrOptions({"adam", "sgd", "lbfgs"})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"auto", "constant", "invscaling", "adaptive"}), Schedule],
        "learning_rate_init": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": [StrOptions({"auto"}), "boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
        "callbacks": [list, tuple],
        "scale": ["boolean"],
        "input_shape": [None, tuple, list],
        "executor": [None, str],
        "n_restarts": [Interval(Integral, 1, None, closed="left")],
        "threads": [None, Interval(Integral, 1, None, closed="left")],
    }
    usual_loss, usual_targets = "", "y"
    rows_overlap = False
    rows_to_stop = HELD  # rows from which on some are held back to say when to stop

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        hint_options(cls, "estimator")
        deprecated("restarts", "n_restarts", since="0.1")(cls)

    def __init__(
        self,
        hidden_layer_sizes="auto",
        activation="relu",
        *,
        layers=None,
        dropout=0.0,
        loss=None,
        optimizer=None,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="auto",
        learning_rate_init="auto",
        power_t=0.5,
        max_iter="auto",
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping="auto",
        validation_fraction=0.15,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change="auto",
        callbacks=(),
        scale=True,
        input_shape=None,
        n_restarts=1,
        executor=None,
        threads=None,
    ):
        for name, value in list(locals().items()):
            if name not in ("self", "__class__"):
                setattr(self, name, value)

    # ---- arguments as Pellucid's ----------------------------------------------------------------------------------

    def _optimizer(self) -> optim.Optimizer:
        """The optimizer as given, or by its name, or scikit-learn's solver."""
        rate = self.learning_rate if isinstance(self.learning_rate, Schedule) else self.recipe_.rate
        if isinstance(self.optimizer, optim.Optimizer):
            return self.optimizer
        if self.optimizer is not None:
            return type(optim.as_optimizer(self.optimizer))(learning_rate=rate)
        if self.solver == "sgd":
            made: Any = optim.SGD  # mypy does not see the fields of dataclasses made by __init_subclass__
            return made(rate, float(self.momentum), bool(self.nesterovs_momentum and self.momentum))
        if self.solver == "adam":
            made = optim.Adam
            return made(rate, float(self.beta_1), float(self.beta_2), float(self.epsilon))
        return optim.LBFGS()

    def _loss(self) -> nn.Loss:
        loss = self.usual_loss if self.loss is None else self.loss
        return as_loss(LOSS_NAMES.get(loss, loss) if isinstance(loss, str) else loss)

    def _callbacks(self, watched: str, patience: float) -> list[Callback]:
        found = list(self.callbacks)
        if self.learning_rate == "invscaling":
            found.append(InverseScaling(self.recipe_.learning_rate, self.power_t, self.t_))
        if patience == np.inf:
            return found
        if self.learning_rate == "adaptive" and watched == "loss":
            found.append(ReduceLROnPlateau("loss", 0.2, 2, min_delta=self.tol, min_lr=1e-6))
        best = watched != "loss"
        return [*found, EarlyStopping(watched, self.tol, int(patience), "min", restore_best_weights=best)]

    def _net(self, outputs: int) -> Any:
        if chosen(self):
            return recipe_net(self, outputs)
        return net_of(self, outputs, self.layers, self.recipe_.hidden, self.input_shape)

    def _model(self, outputs: int, features: int, dtype: str, mean: float) -> Model:
        penalty = nn.L2(float(self.alpha) / 2 / mean, per_batch=True)
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        return Model(self._net(outputs), self._loss(), self._optimizer(), (), seed, dtype, self.executor, (features,),
                     self.threads or worker_threads(), regularizer=penalty)  # fmt: skip

    # ---- training -------------------------------------------------------------------------------------------------

    def _train(
        self, X: Any, y: Any, sample_weight: Any, validation_data: Any, goes_on: bool, partial: bool = False,
        **known: Any,
    ) -> Any:  # fmt: skip
        """`fit` and `partial_fit`: ``goes_on`` keeps the weights there are, ``partial`` the optimizer's memory too."""
        self._validate_params()
        if y is None and self.usual_targets == "y":
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        with unchanged_on_error(self):
            first = not (goes_on and hasattr(self, "model_"))
            features = Features(self.scale) if first else self.features_
            X = features.learn_columns(self, X) if first else features.read(self, X)
            y = X if self.usual_targets == "X" else y
            refuse_streams(y, "y")
            check_consistent_length(X, y)
            y = self._labels(y, first, **known)
            warn_of_target(X, y, getattr(self, "feature_names_in_", None))
            weight, own, mean = weights_of(sample_weight, getattr(self, "class_weight", None), y)
            rows = len(y) if first else self.rows_
            self.recipe_, self.rows_ = recipe_of(self, rows, partial), rows
            if first:
                features.pieces = self.recipe_.pieces
                features.learn(X, weight)
                self._learn_targets(y, weight)
            x = features.numbers(X)
            t = self._targets(y, x)
            x = self._inputs(x)
            self.features_ = features
            if first:
                self.n_outputs_, self.t_ = self._outputs(t), 0
            model = self._ready(x, t, mean, first, partial)
            model.in_parts = partial
            model.penalties = {"strength": self.alpha / 2 / mean}  # alpha / 2 ||W||^2 / the sum of weights
            self._epochs(
                model, x, t, weight, own, validation_data, 1 if partial else self.recipe_.epochs, partial, first
            )
        return self

    def _ready(self, x: np.ndarray, t: np.ndarray, mean: float, first: bool, partial: bool) -> Model:
        """The model to train: a new one, or the weights there are in a model by the arguments there are."""
        recipe = {name: list(v) if isinstance(v, list) else v
                  for name, v in self.get_params(deep=False).items() if name not in LIVE}  # fmt: skip
        recipe["the course of the learning rate"] = self.recipe_.falling
        changed = (
            []
            if first
            else [name for name, v in recipe.items() if not _same(v, getattr(self, "_recipe", recipe).get(name))]
        )
        self._recipe = recipe
        if fixed := [name for name in changed if name in FIXED]:
            raise ValueError(
                f"{fixed[0]} cannot change while the weights stay; use warm_start=False, or a new estimator"
            )
        if not first and not changed:
            return to_go_on(self.model_, fresh=not partial)
        model = self._model(self._outputs(t), x.shape[1], str(x.dtype) if first else self.model_.dtype, mean)
        if not first:
            take_over(model, self.model_, changed)
        return model

    def _epochs(
        self, model: Model, x: Any, t: Any, weight: Any, own: Any, validation_data: Any, epochs: int, partial: bool,
        first: bool,
    ) -> None:  # fmt: skip
        if validation_data is not None:
            validation_data = self._validation(*validation_data)
        elif self.recipe_.validation:
            if partial:
                raise ValueError("partial_fit does not support early_stopping=True")
            x, t, weight, validation_data = self._split(x, t, weight, own)
        watched = "val_loss" if self.recipe_.validation else "loss"
        before = model.epochs
        callbacks = self._callbacks(watched, np.inf if partial else self.recipe_.patience)
        given = {"batch_size": self._batch(model, len(x)), "epochs": epochs, "validation_data": validation_data,
                 "sample_weight": weight, "shuffle": bool(self.shuffle), "callbacks": callbacks,
                 "verbose": 2 if self.verbose is True else int(self.verbose)}  # fmt: skip
        if self.n_restarts > 1 and first and not partial:
            self.restarts_ = restarts(model, x, t, self.n_restarts, measure=watched, **given)
            model = self.restarts_.best
        else:
            model.fit(x, t, **given)
        if not all(np.isfinite(model.state[name]).all() for name in model.network.built().parameters):
            raise ValueError("Solver produced non-finite parameter weights. The input data may contain large values "
                             "and need to be preprocessed.")  # fmt: skip
        self.n_iter_ = model.epochs - before
        if not first and not before:
            join(self.model_, model)
        self.model_ = model
        self.t_ += self.n_iter_ * len(x)
        self.loss_curve_ = model.history["loss"]
        self.loss_, self.best_loss_ = self.loss_curve_[-1], min(self.loss_curve_)
        falls = self.recipe_.falling  # to 0 at the last epoch: that is how it is meant to end
        if not partial and self.n_iter_ == epochs and not model.stop_training and self.tol > 0 and not falls:
            remark(f"Maximum iterations ({epochs}) reached and the optimization hasn't converged yet.",
                   ConvergenceWarning)  # fmt: skip

    def _batch(self, model: Model, n: int) -> int | str:
        """The samples a step."""
        if isinstance(model.optimizer, optim.LBFGS):
            return "all"
        if self.batch_size == "auto":
            return min(self.recipe_.batch_size, n)
        if self.batch_size > n:
            remark(f"Got `batch_size` {self.batch_size}, larger than the {n} samples. It is going to be clipped")
        return min(self.batch_size, n)

    def _split(self, x: np.ndarray, t: np.ndarray, weight: Any, own: Any) -> tuple:
        """Training samples with their weights, and validation data for `Model.fit`, weighed by ``own`` weights."""
        training, held = self._divided(t)
        if len(held) < 2:
            raise DataError("The validation set is too small. Increase 'validation_fraction' or the size of your "
                            "dataset.")  # fmt: skip
        validation = (x[held], t[held]) if own is None else (x[held], t[held], own[held])
        return x[training], t[training], None if weight is None else weight[training], validation

    def _divided(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rows to learn from, and those held back: by chance."""
        drawn = check_random_state(self.random_state)
        training, held = train_test_split(np.arange(len(t)), test_size=self.validation_fraction, random_state=drawn)
        return training, held

    def _validation(self, X: Any, y: Any, sample_weight: Any = None) -> tuple:
        refuse_streams(y, "validation_data y")
        X = self.features_.read(self, X)
        y = X if self.usual_targets == "X" else y
        check_consistent_length(X, y)
        x = self.features_.numbers(X)
        t = self._targets(self._labels(y, first=False), x)
        held = self._inputs(x), t
        return held if sample_weight is None else (*held, sample_weight)

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, validation_data: tuple | None = None) -> Any:
        """Train; ``validation_data`` is (X, y) or (X, y, sample_weight), with ``early_stopping`` the one it watches."""
        if y is None and isinstance(X, Dataset):
            raise DataError("y is missing: X is a Dataset; unpack it into samples and targets, fit(*dataset)")
        if y is None and hasattr(X, "dataset"):
            raise no_targets(X)
        return self._train(X, y, sample_weight, validation_data, bool(self.warm_start))

    def _predicted(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        x = self._inputs(self.features_(self, X))
        with np.errstate(over="ignore"):
            return finite(self.model_.predict(x, finite=False))

    # ---- what the kinds of estimators differ in -------------------------------------------------------------------

    def _labels(self, y: Any, first: bool) -> np.ndarray:
        """y, checked; the classes, where there are some, are learnt the first time."""
        raise NotImplementedError

    def _learn_targets(self, y: np.ndarray, weight: np.ndarray | None) -> None:
        """What is learnt of y before training."""

    def _inputs(self, x: np.ndarray) -> np.ndarray:
        """What the model is given of the features, after `_targets` has seen them."""
        return x

    def _targets(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """What the model's loss takes as targets."""
        raise NotImplementedError

    def _outputs(self, t: np.ndarray) -> int:
        """How many outputs the net has."""
        return t.shape[1]


def _same(a: Any, b: Any) -> bool:
    """Whether two values of an argument are the same; where that cannot be told, they are not."""
    try:
        return a is b or bool(a == b)
    except ValueError:  # of arrays
        return False
