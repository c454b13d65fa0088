"""Single neurons with scikit-learn's names of arguments: `Perceptron` and `Adaline`. Imports neurons and sklearn."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from .. import neurons


class _SklearnNames:
    """The arguments of a learning unit, by which its rule asks for them."""

    eta0: float
    max_iter: int
    random_state: Any

    @property
    def learning_rate(self) -> float:
        return self.eta0

    @property
    def epochs(self) -> int:
        return self.max_iter

    @property
    def seed(self) -> int:
        if isinstance(self.random_state, (int, np.integer)):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))


class Perceptron(_SklearnNames, neurons.Perceptron):
    """`pellucid.neurons.Perceptron` with scikit-learn's arguments: ``eta0``, ``max_iter``, ``random_state``.

    >>> X = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> Perceptron(shuffle=False).fit(X, [0, 0, 0, 1]).predict(X).tolist()
    [0, 0, 0, 1]
    """

    def __init__(self, *, eta0=1.0, max_iter=100, shuffle=True, random_state=0, executor=None, record=False):
        self.eta0, self.max_iter, self.shuffle, self.random_state = eta0, max_iter, shuffle, random_state
        self.executor, self.record = executor, record


class Adaline(_SklearnNames, neurons.Adaline):
    """`pellucid.neurons.Adaline` with scikit-learn's arguments: ``eta0``, ``max_iter``, ``random_state``.

    >>> X = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> Adaline(eta0=0.5, max_iter=200, batch_size="all").fit(X, [0, 0, 0, 1]).predict(X).tolist()
    [0, 0, 0, 1]
    """

    def __init__(
        self, *, eta0=0.01, max_iter=100, batch_size=1, shuffle=True, random_state=0, executor=None, record=False
    ):
        self.eta0, self.max_iter, self.batch_size, self.shuffle = eta0, max_iter, batch_size, shuffle
        self.random_state, self.executor, self.record = random_state, executor, record
