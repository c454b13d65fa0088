"""What comes next in a series: `NeuralForecaster`, a regressor on windows. Imports sklearn, numpy and the siblings."""

from __future__ import annotations

import math
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .. import nn
from ..data.windows import windows
from ..errors import DataError
from .choosing import by_batches, chosen
from .estimators import NeuralRegressor
from .features import finite
from .networks import net_of

LONGEST = 24  # values of a window, where nobody says: two years of months, a day of hours
ONE_PENALTY = 0.01  # of the line's squared weights, for each window


class NeuralForecaster(NeuralRegressor):
    """The next ``horizon`` values of a series from its last ``window`` ones: by a line, and a net for what is left.

    The line is a ridge regression of the change from the last value on the changes within the window (its penalty by
    leave-one-out, from 50 windows on); the net, that of `pellucid.recipes.for_table`, learns what the line leaves over,
    from the same changes and the last value. Of the net's part counts the share, 0 to 1, that is best on the windows
    held back, none where there are fewer than 50 windows. With ``layers`` or ``hidden_layer_sizes`` of the user's, or
    L-BFGS, the net
    is all.

    For scikit-learn it is a regressor whose rows are windows: `windows` makes X (n, window channels) and y of a series
    (N,) or (N, channels), so that pipelines, searches and `TimeSeriesSplit` work as always. ``window``: "auto"
    is 24, of short series a fifth of their length. `fit_series` trains on a series at once; `forecast` goes on where a
    series ends, for any number of steps, with its own predictions as input beyond the horizon. Given ``layers`` see
    each row as (window, channels), as recurrent layers want it. Other arguments as in `NeuralClassifier`.

    >>> wave = np.sin(np.arange(80) / 4)
    >>> net = NeuralForecaster(window=10, hidden_layer_sizes=(20,), solver="lbfgs", random_state=0)
    >>> ahead = net.fit_series(wave).forecast(wave, steps=5)
    >>> bool(np.abs(ahead - np.sin(np.arange(80, 85) / 4)).max() < 0.2)
    True
    """

    rows_overlap = True
    rows_to_stop = 50
    _parameter_constraints: ClassVar[dict] = NeuralRegressor._parameter_constraints | {
        "window": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "horizon": [Interval(Integral, 1, None, closed="left")],
        "channels": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, window="auto", horizon=1, channels=1, *, hidden_layer_sizes="auto", activation="relu",
                 layers=None, dropout=0.0, loss=None, optimizer=None, solver="adam", alpha=0.0001, batch_size="auto",
                 learning_rate="auto", learning_rate_init="auto", power_t=0.5, max_iter="auto", shuffle=True,
                 random_state=None, tol=1e-4, verbose=False, warm_start=False, momentum=0.9, nesterovs_momentum=True,
                 early_stopping="auto", validation_fraction=0.15, beta_1=0.9, beta_2=0.999, epsilon=1e-8,
                 n_iter_no_change="auto", callbacks=(), scale=True, input_shape=None, n_restarts=1, executor=None,
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
        known = self._series(series)
        window = min(LONGEST, max(2, len(known) // 5)) if self.window == "auto" else self.window
        x, y = windows(known, window, ahead=self.horizon)
        x, y = x.reshape(len(x), -1), y.reshape(len(y), -1)
        return x, y[:, 0] if y.shape[1] == 1 else y

    def fit_series(self, series: Any) -> NeuralForecaster:
        """Train on all windows of a series (N,) or (N, channels)."""
        return self.fit(*self.windows(series))

    def forecast(self, series: Any, steps: int = 1) -> np.ndarray:
        """The ``steps`` values after the end of a series: (steps,), or (steps, channels) for several channels."""
        check_is_fitted(self)
        known, window = self._series(series), self.n_features_in_ // self.channels
        if len(known) < window:
            raise DataError(f"forecast needs the last {window} values of the series, got {len(known)}")
        first = len(known)
        while len(known) < first + steps:
            row = known[-window:].reshape(1, -1)
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
                            "window needs a value at each: fill them, with what lies between their neighbors for "
                            "example, np.interp(steps, steps[known], series[known])")  # fmt: skip
        return s

    def _divided(self, t):
        """The last windows are held back, and those before whose targets are among theirs are left out."""
        first = len(t) - math.ceil(self.validation_fraction * len(t))
        return np.arange(max(first - self.horizon + 1, 0)), np.arange(first, len(t))

    def _net(self, outputs: int) -> Any:
        if chosen(self):
            return super()._net(outputs)
        shape = self.input_shape
        if shape is None and self.layers is not None:
            shape = (self.n_features_in_ // self.channels, self.channels)
        return net_of(self, outputs, self.layers, self.recipe_.hidden, shape)

    # ---- the line, and what it leaves to the net --------------------------------------------------------------------

    def _learn_targets(self, y, weight):
        super()._learn_targets(y, weight)
        self.line_, self.share_ = None, 1.0
        self._weight = weight  # until the line is drawn

    def _targets(self, y, x):
        t = super()._targets(y, x)
        if self.line_ is None:
            self.line_ = self._line(x, t)
            del self._weight
        return (t - self._ahead(x, t.shape[1])) / self.line_["rest"] if self.line_ else t

    def _line(self, x: np.ndarray, t: np.ndarray) -> dict[str, np.ndarray]:
        """Weights (outputs, changes) and biases of the line, what it leaves over, and the size of changes; {} for none.

        x (n, window channels) and t (n, outputs) are scaled.
        """
        plain = chosen(self) and self.scale and by_batches(self) and isinstance(self._loss(), nn.MeanSquaredError)
        if not plain or x.shape[1] <= self.channels or t.shape[1] % self.channels:
            return {}
        past, start = self._changes(x), self._last(x, t.shape[1])
        size = past.std(axis=0)
        size[size == 0] = 1.0
        # few windows, or weighted ones, of which none can be left out as a whole one: one penalty
        tried = self._weight is None and len(x) >= self.rows_to_stop
        ridge = RidgeCV(np.logspace(-3, 3, 13)) if tried else Ridge(ONE_PENALTY * len(x))
        found = ridge.fit(past, t - start, self._weight)
        weights = np.asarray(found.coef_, x.dtype).reshape(t.shape[1], -1)
        biases = np.broadcast_to(np.asarray(found.intercept_, x.dtype), t.shape[1]).copy()
        rest = (t - start - past @ weights.T - biases).std(axis=0)
        rest[rest == 0] = 1.0
        return {"weights": weights, "biases": biases, "rest": rest.astype(x.dtype), "size": size}

    def _changes(self, x: np.ndarray) -> np.ndarray:
        """From each value of a window to its last one, (n, (window - 1) channels)."""
        steps = x.reshape(len(x), -1, self.channels)
        return (steps[:, :-1] - steps[:, -1:]).reshape(len(x), -1)

    def _last(self, x: np.ndarray, outputs: int) -> np.ndarray:
        """The last value of each window, for each step ahead: (n, outputs)."""
        return np.tile(x[:, -self.channels :], outputs // self.channels)

    def _ahead(self, x: np.ndarray, outputs: int) -> np.ndarray:
        """What the line says, (n, outputs)."""
        line: Any = self.line_
        return self._last(x, outputs) + self._changes(x) @ line["weights"].T + line["biases"]

    def _inputs(self, x):
        if not self.line_:
            return x
        return np.hstack([self._changes(x) / self.line_["size"], x[:, -self.channels :]])

    def _epochs(self, model, x, t, *rest):
        super()._epochs(model, x, t, *rest)
        if not self.line_:
            return
        self.share_ = 0.0
        if self.recipe_.validation:
            _, held = self._divided(t)
            said = self.model_.predict(x[held], finite=False)
            self.share_ = float(np.clip((said * t[held]).sum() / max((said**2).sum(), 1e-30), 0, 1))

    def _predicted(self, X):
        out = super()._predicted(X)
        if not self.line_:
            return out
        x = self.features_(self, X)
        return finite(self._ahead(x, out.shape[1]) + self.share_ * self.line_["rest"] * out)
