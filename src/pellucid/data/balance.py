"""Classes of which there are many and few samples: how many, and rows with as many of each. Imports numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DataError
from .dataset import Dataset, class_of, listed
from .table import refuse_streams

UNEVEN = 3.0  # times as many samples of the largest class as of the smallest: worth a word


@dataclass(frozen=True)
class Balance:
    """How many samples each class has; prints as a sentence.

    ``names`` are the classes, ``counts`` their samples; ``ratio`` is that of the largest to the smallest.
    """

    names: tuple[str, ...]
    counts: tuple[int, ...]

    @property
    def ratio(self) -> float:
        return max(self.counts) / min(self.counts)

    @property
    def majority(self) -> float:
        """The accuracy of saying the largest class always."""
        return max(self.counts) / sum(self.counts)

    @property
    def uneven(self) -> bool:
        """Whether the largest class has more than three times the samples of the smallest."""
        return self.ratio > UNEVEN

    def __str__(self) -> str:
        n = sum(self.counts)
        each = [f"{name} {count} ({count / n:.0%})" for name, count in zip(self.names, self.counts, strict=True)]
        advice = (
            f"; always saying the largest is right for {self.majority:.0%}, so look at f1_macro or balanced_accuracy, "
            'and try class_weight="balanced" or data.oversample'
        )
        return f"classes: {listed(each, 10)}{advice if self.uneven else ''}"


def balance(y: Any, names: Sequence[str] | None = None) -> Balance:
    """How many samples each class has; ``y`` holds the classes, or is a Dataset.

    A label that is no place among ``names`` stands for itself.

    >>> print(balance(["cat", "dog", "cat"]))
    classes: cat 2 (67%), dog 1 (33%)
    """
    names = y.class_names if names is None and isinstance(y, Dataset) else names
    classes, counts = np.unique(_labels(y), return_counts=True)
    return Balance(tuple(str(class_of(c, names)) for c in classes), tuple(counts.tolist()))


def oversample(y: Any, seed: int = 0) -> np.ndarray:
    """Rows in which each class is as frequent as the largest: all rows, and some of the others again, shuffled.

    For the training samples only, after splitting: ``x[rows], y[rows]``.

    >>> y = np.array([0, 0, 0, 1])
    >>> np.bincount(y[oversample(y)]).tolist()
    [3, 3]
    """
    return _even(y, seed, max)


def undersample(y: Any, seed: int = 0) -> np.ndarray:
    """Rows in which each class is as rare as the smallest: some rows of each, shuffled.

    >>> y = np.array([0, 0, 0, 1])
    >>> np.bincount(y[undersample(y)]).tolist()
    [1, 1]
    """
    return _even(y, seed, min)


def _even(y: Any, seed: int, size: Any) -> np.ndarray:
    labels = _labels(y)
    random = np.random.default_rng(seed)
    of_class = [np.flatnonzero(labels == c) for c in np.unique(labels)]
    wanted = size(map(len, of_class))
    rows = []
    for own in of_class:
        whole, more = divmod(wanted, len(own))
        rows += [own] * whole + [random.choice(own, more, replace=False)]
    return random.permutation(np.concatenate(rows))


def _labels(y: Any) -> np.ndarray:
    y = y.y if isinstance(y, Dataset) else y
    refuse_streams(y, "y")
    labels = np.asarray(y)
    if labels.ndim != 1 or not len(labels):
        raise DataError(f"expected one class for each sample, got an array of shape {labels.shape}")
    if labels.dtype.kind == "f" and (labels != np.round(labels)).any():
        raise DataError(f"expected classes, got numbers that are not whole, such as {labels[labels % 1 != 0][0]:g}")
    return labels
