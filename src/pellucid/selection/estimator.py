"""A `Model`, or a function that makes one, as an estimator of scikit-learn's, for its tools. Imports train."""

from __future__ import annotations

import copy
import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, is_classifier
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils.validation import _check_feature_names, check_is_fitted

from ..errors import DataError, GraphError
from ..hints import hint
from ..train import Model
from ..train.arrays import held_out
from ..train.outputs import one_output
from ..train.unchanged import unchanged_on_error

FIT = [name for name in inspect.signature(Model.fit).parameters if name not in ("self", "x", "y", "sample_weight")]


class ModelEstimator(BaseEstimator):
    """A model for scikit-learn's tools: each ``fit`` trains a new one.

    - ``model``: a `Model`, which is never trained itself, or a function that makes one: ``build(hidden=8)``.
    - ``options``: arguments of `Model.fit` (``epochs``, ``batch_size``, ...), of the function, of `Model` (``seed``) or
      of its optimizer (``learning_rate``). They are the estimator's parameters, for ``set_params`` and for searches.

    A model with a loss for classes is a classifier, with labels of any kind; ``predict_proba`` gives its probabilities.
    After ``fit``, ``model_`` is the trained model. Raises `GraphError` for an option that nobody takes.

    >>> from pellucid import nn, optim
    >>> model = Model(nn.Dense(2), loss="cross_entropy", optimizer=optim.Adam(0.1))
    >>> estimator = ModelEstimator(model, epochs=40)
    >>> estimator.fit([[0.0], [1.0]], ["no", "yes"]).predict([[-1.0], [2.0]]).tolist()
    ['no', 'yes']
    >>> estimator.set_params(learning_rate=0.01).get_params()["learning_rate"]
    0.01
    """

    def __init__(self, model: Model | Callable[..., Model], **options: Any) -> None:
        if not (isinstance(model, Model) or callable(model)):
            raise GraphError(f"expected a pellucid.Model or a function that makes one, got {model!r}")
        self.model, self.options = model, options
        self._check(options)
        self._targets: str | None = None

    # ---- scikit-learn's protocol --------------------------------------------------------------------------------

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The model and every option."""
        return {"model": self.model, **self.options}

    def set_params(self, **params: Any) -> ModelEstimator:
        """Change options; raises `GraphError` for one that nobody takes."""
        self.model = params.pop("model", self.model)
        self._check(params)
        self.options, self._targets = self.options | params, None
        return self

    def __sklearn_clone__(self) -> ModelEstimator:
        return type(self)(self.model, **self.options)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __sklearn_tags__(self):
        from sklearn.utils import ClassifierTags, RegressorTags

        tags = super().__sklearn_tags__()
        if self.targets in ("classes", "binary"):
            tags.estimator_type, tags.classifier_tags = "classifier", ClassifierTags()
        else:
            tags.estimator_type, tags.regressor_tags = "regressor", RegressorTags()
        return tags

    @classmethod
    def trained(cls, model: Model, classes: Any = None) -> ModelEstimator:
        """A model that is trained already as a fitted estimator: for scikit-learn's scores, pictures and inspection.

        ``classes``: the labels of its classes in their order, by default their numbers. `fit` still trains a new one.
        Raises `GraphError` for a model without weights or of several inputs or outputs, `DataError` for another number
        of classes than the net has.

        >>> from pellucid import nn
        >>> model = Model(nn.Dense(2), loss="cross_entropy", input_shape=(1,))
        >>> estimator = ModelEstimator.trained(model, classes=["no", "yes"])
        >>> estimator.predict_proba([[0.0], [1.0]]).shape, set(estimator.predict([[0.0]])) <= {"no", "yes"}
        ((2, 2), True)
        """
        one_output(model, "an estimator is")
        output = model._built().output.shape
        if model.how != "one":
            raise GraphError(f"an estimator takes one array of samples, but the net takes {len(model.specs)}")
        made = cls(model)
        made.model_, made._flat = model, len(output) < 2 and (made.targets != "binary" or output in ((), (1,)))
        if made.labeled:
            k = 2 if made.targets == "binary" and made._flat else output[-1] if output else 1
            made.classes_ = np.arange(k) if classes is None else np.asarray(classes)
            if made.classes_.shape != (k,):
                raise DataError(f"classes must be the labels of the net's {k} classes, got {classes!r:.200}")
        made.n_features_in_ = int(np.prod(model.specs["x"].shape))
        if "x" in model.columns:
            made.feature_names_in_ = np.array(model.columns["x"], dtype=object)
        return made

    # ---- learning -----------------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any, sample_weight: Any = None, **more: Any) -> ModelEstimator:
        """Train a new model; ``more`` are further arguments of `Model.fit`, for this time."""
        with unchanged_on_error(self):
            _check_feature_names(self, X, reset=True)
            self.model_, fit = self.build()
            self._flat = np.ndim(y) == 1
            if self.labeled and self._flat:
                self.classes_, y = np.unique(np.asarray(y), return_inverse=True)
            elif self.labeled:
                self.classes_ = np.arange(np.shape(y)[1])  # each a label of its own
            if self._flat and self.targets == "binary" and len(self.classes_) > 2:
                raise DataError(f"{type(self.model_.loss).__name__} takes two classes, y has {len(self.classes_)}; "
                                "use loss='cross_entropy' and one output for each class")  # fmt: skip
            if "validation_data" in more:
                vx, vy, weight = held_out(more["validation_data"])
                more["validation_data"] = vx, self._numbers(vy), weight
            callbacks = [
                copy.copy(c) for c in (*fit.pop("callbacks", ()), *more.pop("callbacks", ()))
            ]  # others may run now
            options = {"verbose": 0} | fit | more
            self.model_.fit(X, y, sample_weight=sample_weight, callbacks=callbacks, **options)
            self.n_features_in_ = int(np.prod(np.shape(X)[1:]))
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest class of each sample, or the values; of several outputs with 0/1 targets, which are 1."""
        y = self._predicted(X)
        if self.targets == "classes" and self._flat:
            return self.classes_[y[:, : len(self.classes_)].argmax(axis=1)]
        if self.targets == "binary":
            return self.classes_[(y.reshape(len(y)) > 0.5).astype(int)] if self._flat else (y > 0.5).astype(int)
        return y.reshape(len(y)) if self._flat and y[0].size == 1 else y

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class, (n, classes), in the order of ``classes_``."""
        check_is_fitted(self)
        if not self.labeled:
            raise AttributeError(f"{type(self.model_.loss).__name__} gives values, no probabilities")
        y = self._predicted(X)
        if self.targets == "binary" and self._flat:
            y = y.reshape(len(y))
            return np.stack([1 - y, y], axis=1)
        return y[:, : len(self.classes_)] if self._flat else y

    def _predicted(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        _check_feature_names(self, X, reset=False)
        return self.model_.predict(X)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy of a classifier, R2 of values."""
        measure = accuracy_score if is_classifier(self) else r2_score
        return float(measure(y, self.predict(X), sample_weight=sample_weight))

    # ---- below --------------------------------------------------------------------------------------------------

    def build(self) -> tuple[Model, dict[str, Any]]:
        """A new model with the options that are its own, and those of `Model.fit`."""
        options = dict(self.options)
        if isinstance(self.model, Model):
            base = self.model
        else:
            taken = _arguments(self.model)
            base = self.model(**{k: options.pop(k) for k in list(options) if k in taken})
            if not isinstance(base, Model):
                raise GraphError(f"{self.model!r} must make a pellucid.Model, it made {type(base).__name__}")
        fit = {k: options.pop(k) for k in list(options) if k in FIT}
        fields = {f.name for f in dataclasses.fields(base.optimizer) if f.init}
        changed = {k: options.pop(k) for k in list(options) if k in fields}
        if changed:
            options["optimizer"] = dataclasses.replace(options.get("optimizer", base.optimizer), **changed)
        return base.clone(**options), fit

    def _check(self, names: Any) -> None:
        """`GraphError` for an option that nobody takes."""
        known = [] if isinstance(self.model, Model) else _arguments(self.model)
        own = [name for name in inspect.signature(Model).parameters if name not in ("net", "input_shape")]
        for name in names:
            if name in known or name in FIT or name in own:
                continue
            optimizer = self._example.optimizer
            fields = [f.name for f in dataclasses.fields(optimizer) if f.init]
            if name not in fields:
                there = ", ".join(dict.fromkeys([*known, *fields, *FIT, *own]))
                raise GraphError(f"nobody takes the option {name!r}"
                                 f"{hint(('Model', 'fit', 'optimizer option'), name)}; there are {there}")  # fmt: skip

    @property
    def _example(self) -> Model:
        """A model to ask for its loss and optimizer."""
        if isinstance(self.model, Model):
            return self.model
        taken = _arguments(self.model)
        return self.model(**{k: v for k, v in self.options.items() if k in taken})

    @property
    def targets(self) -> str:
        """What the model's loss takes: "classes", "binary", "values" or "any"."""
        if self._targets is None:
            self._targets = self._example.loss.targets
        return self._targets

    @property
    def labeled(self) -> bool:
        return self.targets in ("classes", "binary")

    def _numbers(self, y: Any) -> Any:
        """Labels as the model has them: 0, 1, ..."""
        return np.searchsorted(self.classes_, y) if self.labeled and self._flat else y


def _arguments(build: Callable) -> list[str]:
    return [p.name for p in inspect.signature(build).parameters.values() if p.kind in (p.POSITIONAL_OR_KEYWORD,
            p.KEYWORD_ONLY)]  # fmt: skip


def as_estimator(model: Any, options: dict[str, Any]) -> Any:
    """An estimator of scikit-learn's as it is; a `Model`, or a function that makes one, as a `ModelEstimator`."""
    if hasattr(model, "fit") and hasattr(model, "get_params"):
        if options:
            raise GraphError(f"{', '.join(map(repr, options))}: an estimator of scikit-learn's has its options itself; "
                             f"give them to {type(model).__name__}(...)")  # fmt: skip
        return model
    return ModelEstimator(model, **options)
