"""Neural nets of any layers as scikit-learn estimators: `NeuralClassifier`, `NeuralRegressor`, `NeuralMultiLabel`.

Written on `pellucid.Model`. Imports sklearn, numpy and the siblings.
"""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import LabelBinarizer, StandardScaler
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels
from sklearn.utils.validation import _check_y, check_consistent_length, check_is_fitted, column_or_1d

from .. import nn, optim
from ..data import DataError
from ..schedules import Schedule
from ..train import Callback, EarlyStopping, Model, ReduceLROnPlateau
from .inputs import Features, checked, warn_of_target, weights_of
from .nets import LOSS_NAMES, Penalised, net_of

SOLVERS = {"adam": ("beta_1", "beta_2", "epsilon"), "sgd": ("momentum",), "lbfgs": ()}


class InverseScaling(Callback):
    """The learning rate that began as r is r / (t + 1)^power after t samples: scikit-learn's "invscaling"."""

    def __init__(self, start: float, power: float) -> None:
        self.start, self.power = start, power

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        seen = self.model.epochs * sum(len(arrays["y"]) for arrays in self.model.training.parts)  # type: ignore[union-attr]
        self.model.learning_rate = self.start / (seen + 1) ** self.power


class NeuralEstimator(BaseEstimator):
    """Base of the estimators: their arguments, and how they become a `pellucid.Model`."""

    _parameter_constraints: ClassVar[dict] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [str, callable],
        "layers": [None, list, tuple, callable],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "loss": [None, str, callable],
        "optimizer": [None, str, optim.Optimizer],
        "solver": [StrOptions(set(SOLVERS))],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"}), Schedule],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
        "callbacks": [list, tuple],
        "scale": ["boolean"],
        "input_shape": [None, tuple, list],
        "executor": [None, str],
        "threads": [None, Interval(Integral, 1, None, closed="left")],
    }
    usual_loss = ""

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        layers=None,
        dropout=0.0,
        loss=None,
        optimizer=None,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        callbacks=(),
        scale=True,
        input_shape=None,
        executor=None,
        threads=None,
    ):
        for name, value in list(locals().items()):
            if name not in ("self", "__class__"):
                setattr(self, name, value)

    # ---- arguments as Pellucid's ----------------------------------------------------------------------------------

    def _optimizer(self) -> optim.Optimizer:
        """The optimizer as given, or by its name, or scikit-learn's solver."""
        rate = self.learning_rate if isinstance(self.learning_rate, Schedule) else self.learning_rate_init
        if isinstance(self.optimizer, optim.Optimizer):
            return self.optimizer
        if self.optimizer is not None:
            known = type(optim.as_optimizer(self.optimizer))
            return known(learning_rate=rate)
        numbers = {name: float(getattr(self, name)) for name in SOLVERS[self.solver]}
        if self.solver == "sgd":
            return optim.SGD(rate, nesterov=bool(self.nesterovs_momentum and self.momentum), **numbers)
        return optim.LBFGS() if self.solver == "lbfgs" else optim.Adam(rate, **numbers)

    def _callbacks(self, watched: str, patience: float) -> list[Callback]:
        found = list(self.callbacks)
        if self.learning_rate == "invscaling":
            found.append(InverseScaling(self.learning_rate_init, self.power_t))
        if patience == np.inf:
            return found
        if self.learning_rate == "adaptive" and watched == "loss":
            found.append(ReduceLROnPlateau("loss", 0.2, 2, min_delta=self.tol, min_lr=1e-6))
        best = watched != "loss"
        return [*found, EarlyStopping(watched, self.tol, int(patience), "min", restore_best_weights=best)]

    def _model(self, outputs: int, features: int, dtype: str) -> Model:
        loss = LOSS_NAMES.get(self.loss, self.loss) if isinstance(self.loss, str) else self.loss
        net = Penalised(net_of(self, outputs, features))
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        return Model(net, loss or self.usual_loss, self._optimizer(), (), seed, dtype, self.executor,
                     (features,), self.threads)  # fmt: skip

    # ---- training -------------------------------------------------------------------------------------------------

    def _train(
        self, X: Any, y: Any, sample_weight: Any, validation_data: Any, epochs: int, goes_on: bool, **known: Any
    ) -> Any:
        """`fit` and `partial_fit`: ``goes_on`` keeps the weights there are."""
        self._validate_params()
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        first = not (goes_on and hasattr(self, "model_"))
        X = checked(self, X, reset=first)
        check_consistent_length(X, y)
        y = self._labels(y, first, **known)
        warn_of_target(X, y)
        weight, mean = weights_of(sample_weight, getattr(self, "class_weight", None), y)
        if first:
            self.features_ = Features(self, X, weight, self.scale)
            self._learn_targets(y, weight)
        x, t = self.features_(self, X), self._targets(y)
        if first:
            self.n_outputs_ = self._outputs(t)
            self.model_ = self._model(self.n_outputs_, x.shape[1], str(x.dtype))
            self.t_ = 0
        self.model_.state["alpha"] = np.asarray(self.alpha / mean, self.model_.dtype)  # ||W||^2 / sum of weights
        self._epochs(x, t, weight, validation_data, epochs, goes_on and epochs == 1)
        return self

    def _epochs(self, x: Any, t: Any, weight: Any, validation_data: Any, epochs: int, partial: bool) -> None:
        if validation_data is not None:
            validation_data = self._validation(*validation_data)
        elif self.early_stopping:
            if partial:
                raise ValueError("partial_fit does not support early_stopping=True")
            x, t, weight, validation_data = self._split(x, t, weight)
        watched = "val_loss" if self.early_stopping else "loss"
        model, before = self.model_, self.model_.epochs
        batch: Any = "all" if isinstance(model.optimizer, optim.LBFGS) else min(
            200 if self.batch_size == "auto" else self.batch_size, len(x))  # fmt: skip
        model.fit(x, t, batch_size=batch, epochs=epochs, validation_data=validation_data, shuffle=bool(self.shuffle),
                  sample_weight=weight, callbacks=self._callbacks(watched, np.inf if partial else self.n_iter_no_change),
                  verbose=2 if self.verbose is True else int(self.verbose))  # fmt: skip
        self.n_iter_ = model.epochs - before
        self.t_ += self.n_iter_ * len(x)
        self.loss_curve_ = model.history["loss"]
        self.loss_, self.best_loss_ = self.loss_curve_[-1], min(self.loss_curve_)
        if not partial and self.n_iter_ == epochs and not model.stop_training and self.tol > 0:
            warnings.warn(f"Maximum iterations ({epochs}) reached and the optimization hasn't converged yet.",
                          ConvergenceWarning, stacklevel=4)  # fmt: skip

    def _split(self, x: np.ndarray, t: np.ndarray, weight: Any) -> tuple:
        """Training samples, and validation data for `Model.fit`."""
        drawn = check_random_state(self.random_state)
        classes = t if t.dtype.kind == "i" and t.ndim == 1 else None
        given = [x, t] if weight is None else [x, t, weight]
        parts = train_test_split(*given, test_size=self.validation_fraction, random_state=drawn, stratify=classes)
        x, t, weight, *_ = [*parts[::2], None]
        held = tuple(parts[1::2])
        self._enough(held[0])
        return x, t, weight, held

    def _validation(self, X: Any, y: Any, sample_weight: Any = None) -> tuple:
        X = checked(self, X, reset=False)
        check_consistent_length(X, y)
        self._enough(X)
        held = self.features_(self, X), self._targets(self._labels(y, first=False))
        return held if sample_weight is None else (*held, sample_weight)

    @staticmethod
    def _enough(X: Any) -> None:
        if len(X) < 2:
            raise DataError("The validation set is too small: 1 sample says nothing. Increase 'validation_fraction' or "
                            "the size of your dataset, or give more validation_data.")  # fmt: skip

    def fit(self, X: Any, y: Any, sample_weight: Any = None, validation_data: tuple | None = None) -> Any:
        """Train; ``validation_data`` is (X, y) or (X, y, sample_weight), with ``early_stopping`` the one it watches."""
        return self._train(X, y, sample_weight, validation_data, self.max_iter, bool(self.warm_start))

    def _predicted(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        X = checked(self, X, reset=False)
        return self.model_.predict(self.features_(self, X))

    def as_model(self) -> Model:
        """The trained net as a `pellucid.Model` of its own: to save, to look into. It takes what `features_` makes of X.

        ``model_``, in which it was trained, has a penalty on weights around it.
        """
        check_is_fitted(self)
        model = self.model_
        plain = Model(model.net.net, model.loss, model.optimizer, (), model.seed, model.dtype,
                      model.executor.__name__.rpartition(".")[2], model.specs["x"].shape, model.threads)  # fmt: skip
        weights = {k.removeprefix("net."): v for k, v in model.parameters.items() if k != "alpha"}
        plain.set_parameters(weights)
        return plain

    # ---- what the kinds of estimators differ in -------------------------------------------------------------------

    def _labels(self, y: Any, first: bool) -> np.ndarray:
        """y, checked; the classes, where there are some, are learnt the first time."""
        raise NotImplementedError

    def _learn_targets(self, y: np.ndarray, weight: np.ndarray | None) -> None:
        """What is learnt of y before training."""

    def _targets(self, y: np.ndarray) -> np.ndarray:
        """y as the model's loss takes it."""
        raise NotImplementedError

    def _outputs(self, t: np.ndarray) -> int:
        """How many outputs the net has."""
        return t.shape[1]


def _has_probabilities(estimator: Any) -> bool:
    loss = estimator.loss if not hasattr(estimator, "model_") else estimator.model_.loss
    if loss is None or isinstance(loss, str):
        loss = nn.LOSSES.get(LOSS_NAMES.get(loss, loss) or estimator.usual_loss, nn.Loss)
    if getattr(loss, "link", None) not in (nn.softmax, nn.sigmoid):
        raise AttributeError(f"the loss {estimator.loss!r} gives no probabilities; cross_entropy does")
    return True


class NeuralClassifier(ClassifierMixin, NeuralEstimator):
    """A neural net that tells classes apart.

    The arguments are those of scikit-learn's `MLPClassifier`, and

    - ``layers``: a list of layers in the place of the hidden ones (the output layer is added), or a whole net;
      ``input_shape``: what each row of X is for them, for example (1, 8, 8). ``dropout``: behind each hidden layer.
    - ``loss``: a name or a function of (output, target); by default "cross_entropy".
    - ``optimizer``: a name, with ``learning_rate_init``, or a `pellucid.optim.Optimizer`, in the place of ``solver``.
    - ``learning_rate`` may be a `pellucid.schedules.Schedule`; ``callbacks`` are Pellucid's.
    - ``class_weight``: {class: weight} or "balanced".
    - ``scale``: X to mean 0 and variance 1. DataFrames with categories become columns of numbers.
    - ``executor``, ``threads``: as in `pellucid.Model`. The net computes in the dtype of X, float32 or float64.

    Fitted: ``model_`` (the `pellucid.Model`), ``classes_``, ``n_iter_``, ``loss_``, ``best_loss_``, ``loss_curve_``,
    ``n_features_in_``. Training ends when the loss (with ``early_stopping``, that of held back samples) has not
    improved by ``tol`` for ``n_iter_no_change`` epochs, or after ``max_iter``, with a `ConvergenceWarning`.

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = NeuralClassifier((16,), learning_rate_init=0.05, max_iter=50, tol=0, random_state=0).fit(X, y)
    >>> clf.score(X, y) > 0.95, clf.predict_proba(X[:2]).shape
    (True, (2, 3))
    """

    _parameter_constraints: ClassVar[dict] = NeuralEstimator._parameter_constraints | {
        "class_weight": [None, StrOptions({"balanced"}), dict]
    }
    usual_loss = "cross_entropy"

    def __init__(self, hidden_layer_sizes=(100,), activation="relu", *, layers=None, dropout=0.0, loss=None,
                 optimizer=None, solver="adam", alpha=0.0001, batch_size="auto", learning_rate="constant",
                 learning_rate_init=0.001, power_t=0.5, max_iter=200, shuffle=True, random_state=None, tol=1e-4,
                 verbose=False, warm_start=False, momentum=0.9, nesterovs_momentum=True, early_stopping=False,
                 validation_fraction=0.1, beta_1=0.9, beta_2=0.999, epsilon=1e-8, n_iter_no_change=10, callbacks=(),
                 scale=True, input_shape=None, executor=None, threads=None, class_weight=None):  # fmt: skip
        given = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        self.class_weight = given.pop("class_weight")
        super().__init__(**given)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> NeuralClassifier:
        """One epoch over these samples; ``classes``: all there will be, at the first call. Scaling stays as it was."""
        return self._train(X, y, sample_weight, None, 1, True, classes=classes)

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each sample."""
        out = self._predicted(X)
        return self.classes_[out.argmax(1) if out.shape[1] > 1 else (out[:, 0] > self._middle()).astype(int)]

    @available_if(_has_probabilities)
    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class, (n, classes)."""
        out = self._predicted(X)
        return out if out.shape[1] > 1 else np.hstack([1 - out, out])

    @available_if(_has_probabilities)
    def predict_log_proba(self, X: Any) -> np.ndarray:
        """The logarithm of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def _middle(self) -> float:
        return 0.5 if self.model_.loss.link is nn.sigmoid else 0.0

    def _labels(self, y, first, classes=None):
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        if first:
            self.classes_ = unique_labels(y) if classes is None else unique_labels(np.asarray(classes))
            if len(self.classes_) < 2:
                raise ValueError(f"y has one class only, {self.classes_[0]!r}: there is nothing to tell apart")
        elif self.warm_start and set(unique_labels(y)) != set(self.classes_) and classes is None:
            raise ValueError(f"warm_start needs the classes of the call before, {self.classes_}; y has "
                             f"{unique_labels(y)}")  # fmt: skip
        if len(new := np.setdiff1d(y, self.classes_)):
            raise ValueError(f"y has classes that were not there before: {new[:5]}; known are {self.classes_}")
        return y

    def _targets(self, y):
        found = np.searchsorted(self.classes_, y).astype(np.int32)
        model = getattr(self, "model_", None)
        return found[:, None] if model is not None and model.loss.targets == "binary" else found

    def _outputs(self, t):
        loss = LOSS_NAMES.get(self.loss, self.loss) if isinstance(self.loss, str) else self.loss
        one = loss in ("binary_cross_entropy", "binary_hinge") or isinstance(loss, (nn.BinaryCrossEntropy, nn.BinaryHinge))
        if one and len(self.classes_) > 2:
            raise ValueError(f"the loss {self.loss!r} tells two classes apart, y has {len(self.classes_)}; use "
                             "'cross_entropy'")  # fmt: skip
        return 1 if one else len(self.classes_)


class NeuralRegressor(RegressorMixin, NeuralEstimator):
    """A neural net that gives numbers, one or several for each sample; arguments as in `NeuralClassifier`.

    ``loss`` is by default the squared error. With ``scale``, targets too are brought to mean 0 and variance 1 for
    training, and predictions back; ``loss_`` is that of scaled targets.

    >>> X = np.linspace(-1, 1, 100)[:, None]
    >>> net = NeuralRegressor((20,), "tanh", learning_rate_init=0.02, random_state=0, max_iter=300, tol=0)
    >>> bool(net.fit(X, 1000 + 500 * X[:, 0] ** 2).score(X, 1000 + 500 * X[:, 0] ** 2) > 0.99)
    True
    """

    usual_loss = "mse"

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> NeuralRegressor:
        """One epoch over these samples. Scaling stays as it was."""
        return self._train(X, y, sample_weight, None, 1, True)

    def predict(self, X: Any) -> np.ndarray:
        """The values of each sample: (n,), or (n, outputs) for several."""
        out = self._predicted(X)
        if self.target_scaler_ is not None:
            out = self.target_scaler_.inverse_transform(out)
        return out[:, 0] if self.n_outputs_ == 1 and not self._columns else out

    def _labels(self, y, first):
        y = _check_y(y, multi_output=True, y_numeric=True, estimator=self)
        y = column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y
        if first:
            self._columns = y.ndim > 1
        return y

    def _learn_targets(self, y, weight):
        loss = LOSS_NAMES.get(self.loss, self.loss) if isinstance(self.loss, str) else self.loss
        counts = loss == "poisson" or isinstance(loss, nn.Poisson)
        if counts and (y < 0).any():
            raise ValueError("the loss 'poisson' needs y >= 0")
        scaled = self.scale and not counts
        self.target_scaler_ = StandardScaler().fit(y.reshape(len(y), -1), sample_weight=weight) if scaled else None

    def _targets(self, y):
        y = y.reshape(len(y), -1).astype(np.float64)
        return y if self.target_scaler_ is None else self.target_scaler_.transform(y)


class NeuralMultiLabel(ClassifierMixin, NeuralEstimator):
    """A neural net that says of each label whether it holds; arguments as in `NeuralClassifier`.

    y is (n, labels) of 0 and 1. Plain class labels (n,) are taken as well: one label each, the most probable wins.

    >>> X = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]] * 10)
    >>> net = NeuralMultiLabel((8,), learning_rate_init=0.05, max_iter=100, random_state=0).fit(X, X.astype(int))
    >>> net.predict([[1.0, 0.0], [1.0, 1.0]]).tolist()
    [[1, 0], [1, 1]]
    """

    usual_loss = "binary_cross_entropy"

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> NeuralMultiLabel:
        """One epoch over these samples; ``classes``: all there will be, at the first call. Scaling stays as it was."""
        return self._train(X, y, sample_weight, None, 1, True, classes=classes)

    def predict(self, X: Any) -> np.ndarray:
        """Labels that are more probable than not: (n, labels) of 0 and 1; for plain classes the most probable one."""
        out = self._predicted(X)
        if not self.binarizer_.y_type_.startswith("multilabel") and out.shape[1] > 1:
            return self.classes_[out.argmax(1)]
        return self.binarizer_.inverse_transform(out, threshold=0.5)

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each label by itself, (n, labels); for plain classes their shares, which sum to 1."""
        out = self._predicted(X)
        if self.binarizer_.y_type_.startswith("multilabel"):
            return out
        out = out if out.shape[1] > 1 else np.hstack([1 - out, out])
        return out / np.maximum(out.sum(1, keepdims=True), np.finfo(out.dtype).tiny)

    def _labels(self, y, first, classes=None):
        y = np.asarray(y)
        if not type_of_target(y, input_name="y").startswith("multilabel"):
            y = column_or_1d(y, warn=True)
            check_classification_targets(y)
        if first:
            self.binarizer_ = LabelBinarizer().fit(y if classes is None or y.ndim == 2 else classes)
            self.classes_ = self.binarizer_.classes_
            if len(self.classes_) < 2 and y.ndim == 1:
                raise ValueError(f"y has one class only, {self.classes_[0]!r}: there is nothing to tell apart")
        elif y.ndim == 1 and len(new := np.setdiff1d(y, self.classes_)):
            raise ValueError(f"y has classes that were not there before: {new[:5]}; known are {self.classes_}")
        return y

    def _targets(self, y):
        found = self.binarizer_.transform(y)
        return (found.toarray() if hasattr(found, "toarray") else found).astype(np.float32)
