"""A net that learns to give its input back through a narrow place: `Autoencoder`, a transformer."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from .. import nn
from ..train import Model
from .base import NeuralEstimator
from .features import finite
from .networks import Encoded, net_of


class Autoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, NeuralEstimator):
    """The code of each row: what n_components numbers tell of it, so that a net can make the row of them again.

    Encoder: the hidden layers, or ``layers``, and a dense layer of ``n_components``; decoder: the hidden layers
    backwards, or ``decoder``, a list of layers, and a dense layer. C = mean (x - decoder(encoder(x)))^2, of scaled x.
    ``noise``: the standard deviation of normal noise on the input in training (a denoising autoencoder; Vincent et al.,
    ICML 2008). Other arguments as in `NeuralClassifier`. Hinton and Salakhutdinov, Science 313, 2006.

    Fitted: ``model_``, ``reconstruction_err_`` (the mean squared error of scaled x), ``n_iter_``, ``loss_curve_``.

    >>> t = np.linspace(0, 1, 60)
    >>> X = np.stack([t, 2 * t - 1, 1 - t], 1)  # on a line
    >>> code = Autoencoder(1, (), solver="lbfgs", random_state=0).fit(X)
    >>> code.transform(X).shape, bool(np.abs(code.inverse_transform(code.transform(X)) - X).max() < 0.05)
    ((60, 1), True)
    """

    _parameter_constraints: ClassVar[dict] = NeuralEstimator._parameter_constraints | {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "decoder": [None, list, tuple],
        "noise": [Interval(Real, 0, None, closed="left")],
    }
    usual_loss, usual_targets = "mse", "X"

    def __init__(self, n_components=2, hidden_layer_sizes=(100,), activation="relu", *, layers=None, decoder=None,
                 noise=0.0, dropout=0.0, loss=None, optimizer=None, solver="adam", alpha=0.0, batch_size="auto",
                 learning_rate="constant", learning_rate_init=0.001, power_t=0.5, max_iter=200, shuffle=True,
                 random_state=None, tol=1e-4, verbose=False, warm_start=False, momentum=0.9, nesterovs_momentum=True,
                 early_stopping=False, validation_fraction=0.1, beta_1=0.9, beta_2=0.999, epsilon=1e-8,
                 n_iter_no_change=10, callbacks=(), scale=True, input_shape=None, n_restarts=1, executor=None,
                 threads=None):  # fmt: skip
        given = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        self.n_components, self.decoder, self.noise = (given.pop(n) for n in ("n_components", "decoder", "noise"))
        super().__init__(**given)

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, validation_data: Any = None) -> Autoencoder:
        """Train; y is not looked at, ``validation_data`` is an array like X."""
        held = None if validation_data is None else (validation_data, None)
        self._train(X, None, sample_weight, held, bool(self.warm_start))
        self.reconstruction_err_ = self.loss_
        return self

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Autoencoder:
        """One epoch over these samples. Scaling stays as it was."""
        return self._train(X, None, sample_weight, None, True, partial=True)

    def transform(self, X: Any) -> np.ndarray:
        """The code of each row, (n, n_components)."""
        check_is_fitted(self)
        return finite(self.model_.features(self.features_(self, X), "encoder"), "codes")

    def inverse_transform(self, X: Any) -> np.ndarray:
        """The rows that these codes mean, (n, features), before scaling."""
        check_is_fitted(self)
        names = {k.removeprefix("decoder."): v for k, v in self.model_.parameters.items() if k.startswith("decoder.")}
        codes = np.asarray(X, self.model_.dtype)
        net: Any = self.model_.net
        decoder = Model(net.decoder, "mse", dtype=self.model_.dtype, input_shape=codes.shape[1:])
        decoder.set_parameters(names)
        out = finite(decoder.predict(codes), "rows")
        scaler = self.features_.scaler
        return out if scaler is None else scaler.inverse_transform(out)

    def score(self, X: Any, y: Any = None) -> float:
        """Minus the mean squared error of X, scaled: the larger the better."""
        check_is_fitted(self)
        x = self.features_(self, X)
        return -float(((self.model_.predict(x) - x) ** 2).mean())

    @property
    def _n_features_out(self) -> int:
        return self.n_components

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _net(self, outputs: int) -> Any:
        sizes = self.hidden_layer_sizes
        sizes = list(sizes) if hasattr(sizes, "__iter__") else [sizes]
        noisy = [nn.GaussianNoise(self.noise)] * (self.noise > 0)
        encoder = net_of(self, self.n_components, self.layers, sizes, self.input_shape)
        decoder = net_of(self, outputs, self.decoder, sizes[::-1])
        return Encoded(nn.Sequential(*noisy, encoder), decoder)

    def _labels(self, y, first):
        return np.empty((len(y), 0))

    def _targets(self, y, x):
        return x
