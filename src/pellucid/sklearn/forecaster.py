"""What comes next in a series: `NeuralForecaster`, a regressor on windows. Imports sklearn, numpy and the siblings."""

from __future__ import annotations

import math
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from ..data import DataError
from ..data.windows import windows
from .kinds import NeuralRegressor
from .nets import net_of


class NeuralForecaster(NeuralRegressor):
    """The next ``horizon`` values of a series from its last ``window`` ones.

    For scikit-learn it is a regressor whose rows are windows: `windows` makes X (n, window channels) and y of a series
    (N,) or (N, channels), so that pipelines, searches and `TimeSeriesSplit` work as always. `fit_series` trains on a
    series at once; `forecast` goes on where a series ends, for any number of steps, with its own predictions as input
    beyond the horizon. Given ``layers`` see each row as (window, channels), as recurrent layers want it. Other
    arguments as in `NeuralClassifier`.

    >>> wave = np.sin(np.arange(80) / 4)
    >>> net = NeuralForecaster(window=10, hidden_layer_sizes=(20,), solver="lbfgs", random_state=0)
    >>> ahead = net.fit_series(wave).forecast(wave, steps=5)
    >>> bool(np.abs(ahead - np.sin(np.arange(80, 85) / 4)).max() < 0.2)
    True
    """

    rows_overlap = True
    _parameter_constraints: ClassVar[dict] = NeuralRegressor._parameter_constraints | {
        "window": [Interval(Integral, 1, None, closed="left")],
        "horizon": [Interval(Integral, 1, None, closed="left")],
        "channels": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, window=10, horizon=1, channels=1, *, hidden_layer_sizes=(100,), activation="relu", layers=None,
                 dropout=0.0, loss=None, optimizer=None, solver="adam", alpha=0.0001, batch_size="auto",
                 learning_rate="constant", learning_rate_init=0.001, power_t=0.5, max_iter=200, shuffle=True,
                 random_state=None, tol=1e-4, verbose=False, warm_start=False, momentum=0.9, nesterovs_momentum=True,
                 early_stopping=False, validation_fraction=0.1, beta_1=0.9, beta_2=0.999, epsilon=1e-8,
                 n_iter_no_change=10, callbacks=(), scale=True, input_shape=None, restarts=1, executor=None,
                 threads=None):  # fmt: skip
        given = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        self.window, self.horizon, self.channels = (given.pop(name) for name in ("window", "horizon", "channels"))
        super().__init__(**given)

    def windows(self, series: Any) -> tuple[np.ndarray, np.ndarray]:
        """X (n, window channels), y (n,) or (n, horizon channels) of a series. Raises `DataError` if it is too short.

        >>> X, y = NeuralForecaster(window=2).windows([1.0, 2.0, 3.0, 4.0])
        >>> X.tolist(), y.tolist()
        ([[1.0, 2.0], [2.0, 3.0]], [3.0, 4.0])
        """
        x, y = windows(self._series(series), self.window, ahead=self.horizon)
        x, y = x.reshape(len(x), -1), y.reshape(len(y), -1)
        return x, y[:, 0] if y.shape[1] == 1 else y

    def fit_series(self, series: Any) -> NeuralForecaster:
        """Train on all windows of a series (N,) or (N, channels)."""
        return self.fit(*self.windows(series))

    def forecast(self, series: Any, steps: int = 1) -> np.ndarray:
        """The ``steps`` values after the end of a series: (steps,), or (steps, channels) for several channels."""
        check_is_fitted(self)
        known = self._series(series)
        if len(known) < self.window:
            raise DataError(f"forecast needs the last {self.window} values of the series, got {len(known)}")
        first = len(known)
        while len(known) < first + steps:
            row = known[-self.window :].reshape(1, -1)
            known = np.vstack([known, self.predict(row).reshape(-1, self.channels)])
        ahead = known[first : first + steps]
        return ahead[:, 0] if self.channels == 1 else ahead

    def _series(self, series: Any) -> np.ndarray:
        """(N, channels)."""
        s = np.asarray(series, np.float32 if getattr(series, "dtype", None) == np.float32 else np.float64)
        s = s[:, None] if s.ndim == 1 else s
        if s.ndim != 2 or s.shape[1] != self.channels:
            raise DataError(f"the series has shape {np.shape(series)}, expected (N,) or (N, channels) with "
                            f"channels={self.channels}")  # fmt: skip
        if (gone := np.flatnonzero(np.isnan(s).any(1))).size:
            raise DataError(f"the series is missing (NaN) at {len(gone)} of {len(s)} steps, the first is {gone[0]}; a "
                            "window needs a value at each: fill them, with what lies between their neighbours for "
                            "example, np.interp(steps, steps[known], series[known])")  # fmt: skip
        return s

    def _divided(self, t):
        """The last windows are held back, and those before whose targets are among theirs are left out."""
        first = len(t) - math.ceil(self.validation_fraction * len(t))
        return np.arange(max(first - self.horizon + 1, 0)), np.arange(first, len(t))

    def _net(self, outputs: int) -> Any:
        shape = self.input_shape
        if shape is None and self.layers is not None:
            shape = (self.n_features_in_ // self.channels, self.channels)
        return net_of(self, outputs, self.layers, self.hidden_layer_sizes, shape)
