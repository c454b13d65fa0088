"""Predictions many times over, with units dropped at random: how sure a net is of them. Imports numpy and graph."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..graph import GraphError
from .finite import check_inputs
from .outputs import one_output

ROWS = 256  # rows predicted together; the random numbers of a row depend on its place among them


class Interval(NamedTuple):
    """The mean of sampled predictions, and between which bounds the asked share of them lies; each (n, ...)."""

    mean: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


class Sampling:
    """The methods of `Model` for Monte-Carlo dropout."""

    def predict_samples(self: Any, x: Any, samples: int = 100, seed: int = 0) -> np.ndarray:
        """What `predict` gives, with units dropped as in training, many times: (samples, n, *output).

        Batch normalization is as in `predict`, and noise on inputs is left out. The same seed gives the same numbers,
        for any number of threads; each sample and row has draws of its own. Raises `GraphError` for a net that drops
        nothing, and `DataError` for samples that are not finite. Gal and Ghahramani, "Dropout as a Bayesian
        approximation", ICML 2016.

        >>> import pellucid as pel
        >>> from pellucid import nn
        >>> net = nn.Sequential(nn.Dense(8), nn.tanh, nn.Dropout(0.5), nn.Dense(2))
        >>> model = pel.Model(net, "mse", input_shape=(3,))
        >>> model.predict_samples(np.ones((5, 3)), samples=10).shape
        (10, 5, 2)
        """
        self._built()
        one_output(self, "predict_samples is")
        if isinstance(samples, bool) or not isinstance(samples, (int, np.integer)) or samples < 1:
            raise GraphError(f"samples must be a whole number >= 1, got {samples!r}")
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
            raise GraphError(f"seed must be a whole number, 0 or more, got {seed!r}")
        arrays, _ = self._inputs(x)
        run = self._compiled("sample", arrays)
        if "random.key" not in run.program.state:
            raise GraphError("the net drops nothing, so that all samples would be the same; put nn.Dropout(0.2) or the "
                             "like between its layers")  # fmt: skip
        check_inputs(arrays, self.dtype, way_out="")
        n = len(next(iter(arrays.values())))
        found = np.empty((samples, n, *run.program.outputs["prediction"].shape), self.dtype)
        for start in range(0, n, ROWS):
            part = {name: a[start : start + ROWS] for name, a in arrays.items()}
            keys = np.random.SeedSequence([seed, start // ROWS]).generate_state(2 * samples).reshape(samples, 2)
            for i, key in enumerate(keys):
                found[i, start : start + ROWS] = run(self.state | {"random.key": key}, part)["prediction"]
        return found

    def predict_interval(self: Any, x: Any, level: float = 0.95, samples: int = 100, seed: int = 0) -> Interval:
        """Mean, lower and upper of `predict_samples`: between the bounds lies the share ``level`` of the predictions.

        It tells how far the net's opinion varies (it grows where there was no data), not the noise of the targets. The
        bounds are quantiles: take more samples for a level near 1. Raises `GraphError` for a level outside (0, 1).
        """
        if not isinstance(level, (int, float)) or not 0 < level < 1:
            raise GraphError(f"level must be between 0 and 1, for example 0.95, got {level!r}")
        drawn = self.predict_samples(x, samples, seed)
        lower, upper = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0).astype(drawn.dtype)
        return Interval(drawn.mean(0), lower, upper)
