"""Rows for training, validation and test: at random, with the classes' proportions, by groups, or in time order.

Imports numpy; scikit-learn to draw.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ..deprecation import deprecated
from ..errors import DataError
from .dataset import Dataset, drawn, has_classes, no_targets, taken_apart
from .table import Table, refuse_streams

FEW = 20  # classes


class Split(NamedTuple):
    """A training, a validation and a test set; None where none was asked for."""

    train: Dataset
    validation: Dataset | None
    test: Dataset | None


@deprecated("test", "test_size", since="0.1")
@deprecated("validation", "validation_size", since="0.1")
def split(
    x: Any,
    y: Any = None,
    test_size: float | int = 0.2,
    validation_size: float | int = 0.1,
    *,
    stratify: bool | None = None,
    groups: Any = None,
    time_ordered: bool = False,
    seed: int = 0,
) -> Split:
    """Parts to train on, to choose with, and to test with, without overlap.

    - ``x``: an array, a DataFrame or a Table; ``y``: one target a sample. Or a Dataset as ``x``, whose names the
      parts have too.
    - ``test_size``, ``validation_size``: fractions of all samples, or numbers of them; 0 for none.
    - ``stratify``: each part has the classes in the proportions of the whole. By default it does where y holds classes
      (text, or whole numbers that come again and again), and there are neither groups nor a time order.
    - ``groups``: one label a sample, such as the patient; a group is in one part only. Fractions are of the groups.
    - ``time_ordered``: the first samples are to train on, the last to test with.

    Raises `DataError` where that is not possible: different lengths, a part without samples, a class of one sample.

    >>> train, validation, test = split(np.arange(20).reshape(10, 2), np.arange(10.0), time_ordered=True)
    >>> train.y, validation.y, test.y
    (array([0., 1., 2., 3., 4., 5., 6.]), array([7.]), array([8., 9.]))
    """
    whole = x if isinstance(x, Dataset) else None
    x, y = taken_apart(x, y)
    if y is None:
        raise no_targets(x, "split: ")
    for given, name in ((x, "x"), (y, "y"), (groups, "groups")):
        refuse_streams(given, name)
    labels = np.asarray(y)
    n = len(labels)
    if len(x) != n:
        raise DataError(f"split: x has {len(x)} samples and y has {n}; expected as many")
    if stratify and (groups is not None or time_ordered):
        raise DataError("split: stratify goes neither with groups nor with time_ordered")
    if groups is not None and time_ordered:
        raise DataError("split: give groups or time_ordered, not both")
    if groups is not None and len(groups) != n:
        raise DataError(f"split: groups has {len(groups)} labels for {n} samples")
    classes = _come_again(labels) if stratify is None else stratify
    units = n if groups is None else len(np.unique(np.asarray(groups)))
    sizes = [
        _size(name, size, units) for name, size in (("test_size", test_size), ("validation_size", validation_size))
    ]
    if sum(sizes) >= units:
        what = "samples" if groups is None else "groups"
        raise DataError(f"split: test_size={test_size} and validation_size={validation_size} of {units} {what} leave "
                        "none to train on")  # fmt: skip
    rows = np.arange(n)
    parts: list[Dataset | None] = []
    for size in sizes:
        if size == 0:
            parts.append(None)
            continue
        if time_ordered:
            rows, held = rows[:-size], rows[-size:]
        else:
            stratified = labels[rows] if classes and groups is None else None
            kept, out = drawn(len(rows), size, seed, stratified, None if groups is None else np.asarray(groups)[rows])
            rows, held = rows[kept], rows[out]
        parts.append(_dataset(whole, x, labels, held))
    return Split(_dataset(whole, x, labels, rows), parts[1], parts[0])


def _come_again(y: np.ndarray) -> bool:
    """Whether targets are classes rather than whole numbers to be told: few, or each ten times on average."""
    if not has_classes(y) or y.dtype.kind not in "iu":
        return has_classes(y)
    k = len(np.unique(y))
    return k * (2 if k <= FEW else 10) <= len(y)


def _size(name: str, asked: float | int, n: int) -> int:
    """How many samples (or groups) a part has."""
    whole = isinstance(asked, (int, np.integer)) and not isinstance(asked, bool)
    if not (whole and asked >= 0) and not 0 <= asked < 1:
        raise DataError(f"split: {name} must be a fraction between 0 and 1, or a number of samples, got {asked!r}")
    size = int(asked) if whole else round(asked * n)
    if asked and not size:
        raise DataError(f"split: {name}={asked} of {n} is less than one")
    return size


def _dataset(whole: Dataset | None, x: Any, y: np.ndarray, rows: np.ndarray) -> Dataset:
    """Some rows as a set of their own, which has the names of the whole one."""
    taken: Any = x.take(rows) if isinstance(x, Table) else x.iloc[rows] if hasattr(x, "iloc") else np.asarray(x)[rows]
    return Dataset(taken, y[rows]) if whole is None else replace(whole, x=taken, y=y[rows])
