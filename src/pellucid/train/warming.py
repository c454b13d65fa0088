"""Machine code made before the first request: what `Model.predict` needs, for one row and for several.

Imports numpy and the sibling modules.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import numpy as np

from ..checks import whole
from ..executors import MANY
from .core import ModelCore
from .evaluation import EVALUATE_BATCH, in_batches


class Warming(ModelCore):
    """The method of `Model` that compiles ahead of time."""

    def warm(self, batch_sizes: int | Iterable[int] = (1, EVALUATE_BATCH)) -> dict[int, float]:
        """Compile what `predict` needs for these numbers of rows at a time, and keep it on disk; the seconds of each.

        One row and several are different machine code; which of them a few rows take depends on the net. A process
        that finds the code on disk does not compile it again. ``pellucid cache --warm MODEL`` is the same. Raises
        `GraphError` for a model without weights.

        >>> import pellucid as pel
        >>> from pellucid import nn
        >>> model = pel.Model(nn.Dense(2), "mse", input_shape=(3,))
        >>> list(model.warm([1, 8]))
        [1, 8]
        """
        self.network.built()
        found = {}
        for n in batch_sizes if isinstance(batch_sizes, Iterable) else [batch_sizes]:
            n = whole("warm", "batch_sizes", n, hint="they are numbers of rows")
            rows = {name: np.zeros((n, *s.shape), s.dtype) for name, s in self.specs.items()}
            start, predict = time.perf_counter(), self.programs.compiled("predict", rows)
            predict.expect(MANY, int(n))  # fast code from the first, not what is compiled quickly
            in_batches(self, predict, rows, int(n))
            found[int(n)] = time.perf_counter() - start
        return found
