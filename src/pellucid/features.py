"""A trained net as a transformer of scikit-learn's: its features go into pipelines. Imports train and scikit-learn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import _check_feature_names

from .errors import DataError
from .train import Model
from .train.transfer import name_of
from .train.unchanged import unchanged_on_error


class FeatureExtractor(TransformerMixin, BaseEstimator):
    """The outputs of one layer of a trained model as columns: (n, ...) -> (n, features).

    ``model`` is a `Model` with weights, which is used as it is: it is never trained here, and copies of this
    transformer (scikit-learn's `clone`) share it. ``layer`` is a layer's name, or its number in an `nn.Sequential`
    (-2: the last but one); ``batch_size`` how many samples are computed at a time. Samples may be flat, (n, size of
    one). The columns of a DataFrame are taken by name. Raises `GraphError` for a layer
    that the net does not have, `ValueError` for other columns than those of ``fit``.

    >>> import pellucid as pel
    >>> from pellucid import nn
    >>> model = pel.Model(nn.Sequential(nn.Dense(2), nn.tanh, nn.Dense(3)), loss="mse", input_shape=(4,))
    >>> features = FeatureExtractor(model, "layers.1").fit(np.ones((5, 4)))
    >>> features.transform(np.ones((5, 4))).shape, features.get_feature_names_out().tolist()
    ((5, 2), ['layers.1.0', 'layers.1.1'])
    """

    def __init__(self, model: Model, layer: str | int = -2, batch_size: int | None = None) -> None:
        self.model, self.layer, self.batch_size = model, layer, batch_size

    def fit(self, X: Any, y: Any = None) -> FeatureExtractor:
        """Check that the samples fit the net; nothing is learnt."""
        with unchanged_on_error(self):
            _check_feature_names(self, X, reset=True)
            self.layer_ = name_of(self.model, self.layer)
            self.n_features_out_ = self.transform(X[:1]).shape[1]
            self.n_features_in_ = math.prod(np.shape(X)[1:])
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The layer's outputs, one row a sample: (n, features)."""
        _check_feature_names(self, X, reset=False)
        x = self._in_shape(X)
        out = self.model.features(x, self.layer, batch_size=self.batch_size)
        return out.reshape(len(out), -1)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """One name for each column: the layer's, and a number."""
        return np.array([f"{self.layer_}.{i}" for i in range(self.n_features_out_)], dtype=object)

    def _in_shape(self, X: Any) -> Any:
        """Flat rows in the shape of the net's samples, where that is what they are."""
        if self.model.how != "one":
            raise DataError("FeatureExtractor takes one array, but the net takes several; use model.features(...)")
        shape, given = self.model.specs["x"].shape, np.shape(X)
        flat = len(given) == 2 and len(shape) != 1 and given[1] == math.prod(shape)
        return np.asarray(X).reshape(-1, *shape) if flat else X

    def __sklearn_clone__(self) -> FeatureExtractor:
        return type(self)(self.model, self.layer, self.batch_size)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "layer_")
