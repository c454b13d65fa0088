"""Neural nets of any layers as scikit-learn estimators: `NeuralClassifier`, `NeuralRegressor`, `NeuralMultiLabel`.

Imports sklearn, numpy and the siblings.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import LabelBinarizer, StandardScaler
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels
from sklearn.utils.validation import _check_y, column_or_1d

from .. import nn
from ..train.remarks import remark
from .base import NeuralEstimator
from .features import finite, refuse_overflow


def _has_probabilities(estimator: Any) -> bool:
    if estimator._loss().link not in (nn.softmax, nn.sigmoid):
        raise AttributeError(f"the loss {estimator.loss!r} gives no probabilities; cross_entropy does")
    return True


class NeuralClassifier(ClassifierMixin, NeuralEstimator):
    """A neural net that tells classes apart.

    As it comes, the net and its training are chosen by the rows (`pellucid.recipes.for_table`; ``recipe_`` has what
    was chosen): eight nets of two layers of 64 units, as one, numbers in pieces from 1,000 rows on, a falling learning
    rate, early stopping. What is not "auto" is taken as it is said; with ``layers`` or ``hidden_layer_sizes`` the net
    is that, and training as scikit-learn's, with early stopping from 100 rows on.

    The arguments are those of scikit-learn's `MLPClassifier`, and

    - ``layers``: a list of layers in the place of the hidden ones (the output layer is added), or a whole net;
      ``input_shape``: what each row of X is for them, for example (1, 8, 8). ``dropout``: after each hidden layer.
    - ``loss``: a name or a function of (output, target); by default "cross_entropy".
    - ``optimizer``: a name, with ``learning_rate_init``, or a `pellucid.optim.Optimizer`, in the place of ``solver``.
    - ``learning_rate`` may be a `pellucid.schedules.Schedule`; ``callbacks`` are Pellucid's.
    - ``class_weight``: {class: weight} or "balanced".
    - ``scale``: X to mean 0 and variance 1. DataFrames with categories become columns of numbers.
    - ``n_restarts``: train this many times from other first weights and keep the best; ``restarts_`` has the mean, the
      spread and all of them (`pellucid.Restarts`).
    - ``executor``, ``threads``: as in `pellucid.Model`. The net computes in the dtype of X, float32 or float64.

    Fitted: ``model_`` (the `pellucid.Model`), ``recipe_``, ``classes_``, ``n_iter_``, ``loss_``, ``best_loss_``,
    ``loss_curve_``, ``n_features_in_``. Training ends when the loss (with ``early_stopping``, that of the rows held
    back) has not improved by ``tol`` for ``n_iter_no_change`` epochs, or after ``max_iter``, with a warning.

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

    def __init__(self, hidden_layer_sizes="auto", activation="relu", *, layers=None, dropout=0.0, loss=None,
                 optimizer=None, solver="adam", alpha=0.0001, batch_size="auto", learning_rate="auto",
                 learning_rate_init="auto", power_t=0.5, max_iter="auto", shuffle=True, random_state=None, tol=1e-4,
                 verbose=False, warm_start=False, momentum=0.9, nesterovs_momentum=True, early_stopping="auto",
                 validation_fraction=0.15, beta_1=0.9, beta_2=0.999, epsilon=1e-8, n_iter_no_change="auto",
                 callbacks=(), scale=True, input_shape=None, n_restarts=1, executor=None, threads=None,
                 class_weight=None):  # fmt: skip
        given = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        self.class_weight = given.pop("class_weight")
        super().__init__(**given)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> NeuralClassifier:
        """One epoch over these samples; ``classes``: all there will be, at the first call. Scaling stays as it was."""
        return self._train(X, y, sample_weight, None, True, partial=True, classes=classes)

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
                raise ValueError(f"y has one class only, {self.classes_.tolist()[0]!r}: there is nothing to tell apart")
        elif self.warm_start and set(unique_labels(y)) != set(self.classes_) and classes is None:
            raise ValueError(f"warm_start needs the classes of the call before, {self.classes_}; y has "
                             f"{unique_labels(y)}")  # fmt: skip
        if len(new := np.setdiff1d(y, self.classes_)):
            raise ValueError(f"y has classes that were not there before: {new[:5]}; known are {self.classes_}")
        return y

    def _targets(self, y, x):
        return np.searchsorted(self.classes_, y).astype(np.int32)

    def _divided(self, t):
        """By chance, the classes in equal shares where there are enough of each; a class of one is learnt from."""
        rows, number = np.arange(len(t)), np.bincount(t, minlength=len(self.classes_))
        rare = np.flatnonzero(number == 1)
        if len(rare):
            more = f" and {len(rare) - 1} other classes" * (len(rare) > 1)
            label = self.classes_[rare[0]]
            label = label.item() if isinstance(label, np.generic) else label
            remark(f"class {label!r} has one sample, which is learnt from: early stopping is judged "
                   f"without it{more}")  # fmt: skip
        alone = np.isin(t, rare)
        rows, several = rows[~alone], len(np.unique(t[~alone]))
        held = math.ceil(self.validation_fraction * len(rows))
        shares = min(held, len(rows) - held) >= several
        if not shares:
            fraction = self.validation_fraction
            remark(f"validation_fraction={fraction} holds {held} of {len(rows)} samples back, too few for a share of "
                   f"each of the {several} classes")  # fmt: skip
        if len(rows) < 2:
            return np.flatnonzero(alone), rows
        drawn = check_random_state(self.random_state)
        training, validation = train_test_split(
            rows, test_size=self.validation_fraction, random_state=drawn, stratify=t[rows] if shares else None
        )
        return np.concatenate([training, np.flatnonzero(alone)]), validation

    def _outputs(self, t):
        one = self._loss().targets == "binary"
        if one and len(self.classes_) > 2:
            raise ValueError(f"the loss {self.loss!r} tells two classes apart, y has {len(self.classes_)}; use "
                             "'cross_entropy'")  # fmt: skip
        return 1 if one else len(self.classes_)


class NeuralRegressor(RegressorMixin, NeuralEstimator):
    """A neural net that gives numbers, one or several for each sample; arguments as in `NeuralClassifier`.

    ``loss`` is by default the squared error. With ``scale``, targets too are brought to mean 0 and variance 1 for
    training, and predictions back; ``loss_`` is that of scaled targets.

    >>> X = np.linspace(-1, 1, 100)[:, None]
    >>> net = NeuralRegressor((20,), "tanh", solver="lbfgs", random_state=0)
    >>> bool(net.fit(X, 1000 + 500 * X[:, 0] ** 2).score(X, 1000 + 500 * X[:, 0] ** 2) > 0.99)
    True
    """

    usual_loss = "mse"

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> NeuralRegressor:
        """One epoch over these samples. Scaling stays as it was."""
        return self._train(X, y, sample_weight, None, True, partial=True)

    def predict(self, X: Any) -> np.ndarray:
        """The values of each sample: (n,), or (n, outputs) for several."""
        out = self._predicted(X)
        if self.target_scaler_ is not None:
            out = finite(self.target_scaler_.inverse_transform(out))
        return out[:, 0] if self.n_outputs_ == 1 and not self._columns else out

    def _labels(self, y, first):
        y = _check_y(y, multi_output=True, y_numeric=True, estimator=self)
        y = column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y
        if first:
            self._columns = y.ndim > 1
        return y

    def _learn_targets(self, y, weight):
        self.target_scaler_ = None
        if self.scale and not self._counts():
            with np.errstate(over="ignore", invalid="ignore"):
                self.target_scaler_ = StandardScaler().fit(y.reshape(len(y), -1), sample_weight=weight)
            refuse_overflow(self.target_scaler_, "y")

    def _counts(self) -> bool:
        return isinstance(self._loss(), nn.Poisson)

    def _targets(self, y, x):
        if self._counts() and (y < 0).any():
            raise ValueError("the loss 'poisson' needs y >= 0")
        if self.scale and self._counts() != (self.target_scaler_ is None):
            raise ValueError("the loss cannot change between 'poisson', whose targets are not scaled, and others while "
                             "the weights stay; use warm_start=False, or a new estimator")  # fmt: skip
        y = y.reshape(len(y), -1).astype(np.float64)
        if (np.abs(y) > np.finfo(x.dtype).max).any():
            raise ValueError(f"y reaches {np.abs(y).max():g}, more than {x.dtype} can hold; give it in other units")
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
        return self._train(X, y, sample_weight, None, True, partial=True, classes=classes)

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
                raise ValueError(f"y has one class only, {self.classes_.tolist()[0]!r}: there is nothing to tell apart")
        elif y.ndim == 1 and len(new := np.setdiff1d(y, self.classes_)):
            raise ValueError(f"y has classes that were not there before: {new[:5]}; known are {self.classes_}")
        return y

    def _targets(self, y, x):
        found = self.binarizer_.transform(y)
        return (found.toarray() if hasattr(found, "toarray") else found).astype(np.float32)
