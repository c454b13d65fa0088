"""Dividing samples into folds: k-fold, repeated, stratified, grouped, time-ordered. Imports data and scikit-learn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    TimeSeriesSplit,
)

from ..checks import whole, wrong
from ..errors import DataError

Split = tuple[np.ndarray, np.ndarray]  # numbers of the samples to learn from, and to test on


def split_folds(
    y: Any,
    folds: Any = 10,
    repeats: int = 1,
    stratified: bool | None = None,
    groups: Any = None,
    time_ordered: bool = False,
    seed: int = 0,
) -> list[Split]:
    """The folds as pairs (rows to learn from, rows to test on), by scikit-learn's splitters.

    - ``folds``: how many, or a splitter of scikit-learn's, or the pairs themselves.
    - ``repeats``: so many times, each time divided in another way, drawn with ``seed``.
    - ``stratified``: every fold with the classes in the same shares; by default where y has classes (whole numbers or
      text, at most 20 or a tenth as many as samples).
    - ``groups``: one label a sample; those with the same label are never divided.
    - ``time_ordered``: samples are in the order of time, and each fold is later than what is learnt from.

    Raises `DataError` for more folds than samples, members of a class or groups, for a fold whose training part lacks
    a class, and for what does not go together.

    >>> for train, test in split_folds([0, 0, 1, 1], folds=2):
    ...     print(train, test)
    [0 3] [1 2]
    [1 2] [0 3]
    >>> for train, test in split_folds([1.5, 2.5, 0.5], folds=2, time_ordered=True):
    ...     print(train, test)
    [0] [1]
    [0 1] [2]
    """
    y = np.asarray(y)
    n, classes = len(y), has_classes(y) if stratified is None else stratified
    if classes and y.ndim != 1:
        raise DataError(f"stratified folds need one class for each sample, y has shape {y.shape}; use stratified=False")
    if groups is not None:
        groups = np.asarray(groups)
        if groups.shape != (n,):
            raise DataError(f"groups has shape {groups.shape}, expected one label for each of the {n} samples")
    if isinstance(folds, (int, np.integer)) and not isinstance(folds, bool):
        splits = _splits(y, n, int(folds), repeats, classes, stratified, groups, time_ordered, seed)
    else:
        if repeats != 1 or time_ordered or stratified is not None:
            raise DataError("folds is a splitter or a list of rows already: repeats, stratified and time_ordered are "
                            "only for a number of folds")  # fmt: skip
        splits = _given(folds, y, groups)
    if classes:
        _check_classes(y, splits)
    return splits


def has_classes(y: np.ndarray) -> bool:
    """Whether targets look like classes: one whole number or text each, of few different ones."""
    if y.ndim != 1 or y.dtype.kind not in "biuUSO":
        return False
    return len(np.unique(y)) <= max(20, len(y) // 10)


def _splits(y, n, folds, repeats, classes, stratified, groups, time_ordered, seed) -> list[Split]:
    folds = whole("", "folds", folds, least=2, hint="each is tested on what the others learnt")
    repeats = whole("", "repeats", repeats)
    if folds > n - time_ordered:
        raise DataError(f"{folds} folds of {n} samples: use folds={max(2, n - time_ordered)} or fewer")
    if time_ordered:
        if repeats > 1:
            raise DataError(f"repeats={repeats}: time-ordered folds can be divided in one way only; use repeats=1")
        if stratified or groups is not None:
            raise DataError("time_ordered goes with neither stratified nor groups: the order alone says what is tested")
        return list(TimeSeriesSplit(folds).split(y))
    if groups is not None and (there := len(np.unique(groups))) < folds:
        raise DataError(f"{folds} folds of {there} groups: a group is never divided; use folds={there} or fewer")
    if classes:
        names, counts = np.unique(y, return_counts=True)
        if groups is None and counts.min() < folds:
            few = names[counts.argmin()]
            raise DataError(f"class {few!s} has {counts.min()} samples, fewer than the {folds} folds: use folds="
                            f"{max(2, counts.min())} or fewer, stratified=False, or leave the class out")  # fmt: skip
    splitter: Any = {
        (False, False): KFold,
        (True, False): StratifiedKFold,
        (False, True): GroupKFold,
        (True, True): StratifiedGroupKFold,
    }[classes, groups is not None]
    rng = np.random.RandomState(seed)
    return [
        split
        for _ in range(repeats)
        for split in splitter(folds, shuffle=True, random_state=rng.randint(2**31 - 1)).split(y, y, groups)
    ]


def _given(folds: Any, y: np.ndarray, groups: Any) -> list[Split]:
    """The folds of a splitter, or those that are given."""
    pairs = folds.split(y, y, groups) if hasattr(folds, "get_n_splits") else folds
    if not isinstance(pairs, Iterable) or isinstance(pairs, str):
        raise wrong("", "folds", "a number, a splitter of scikit-learn's, or pairs of rows", folds)
    splits = [(np.asarray(train), np.asarray(test)) for train, test in pairs]
    for i, (train, test) in enumerate(splits, 1):
        if not len(train) or not len(test):
            raise DataError(f"fold {i} has {len(train)} samples to learn from and {len(test)} to test on")
    if not splits:
        raise DataError("there are no folds: folds is empty")
    return splits


def _check_classes(y: np.ndarray, splits: list[Split]) -> None:
    names = np.unique(y)
    for i, (train, _) in enumerate(splits, 1):
        if len(missing := np.setdiff1d(names, y[train])):
            number = np.sum(y == missing[0])
            raise DataError(f"fold {i} has no sample of class {missing[0]!s} to learn from (of {number} in all): use "
                            "fewer folds, other groups, shuffled samples, or leave the class out")  # fmt: skip
