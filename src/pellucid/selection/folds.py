"""Dividing samples into folds: k-fold, repeated, stratified, grouped, time-ordered. Imports data and scikit-learn."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import KW_ONLY, dataclass, replace
from numbers import Integral
from typing import Any, TypeVar

import numpy as np
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    TimeSeriesSplit,
)

from ..checks import checked, flag, whole, wrong
from ..deprecation import converted
from ..errors import DataError

Split = tuple[np.ndarray, np.ndarray]  # numbers of the samples to learn from, and to test on
F = TypeVar("F", bound=Callable)


@dataclass(frozen=True, eq=False)
class Folds:
    """How samples are divided, by scikit-learn's splitters: `cross_validate` and its like take one as ``folds``.

    - ``folds``: how many; or a splitter of scikit-learn's, or pairs of rows (to learn from, to test on).
    - ``repeats``: divide this many times, each time in another way, drawn with ``seed``.
    - ``stratify``: every fold has the classes in the same shares; by default where y has classes (whole numbers or
      text, at most 20 or a tenth as many as samples).
    - ``groups``: one label a sample; those with the same label are never divided.
    - ``time_ordered``: samples are in the order of time, and each fold is later than what is learnt from.

    Raises `DataError` for what does not go together.

    >>> for train, test in Folds(2).split([0, 0, 1, 1]):
    ...     print(train, test)
    [0 3] [1 2]
    [1 2] [0 3]
    >>> for train, test in Folds(2, time_ordered=True).split([1.5, 2.5, 0.5]):
    ...     print(train, test)
    [0] [1]
    [0 1] [2]
    """

    folds: Any = 10
    _: KW_ONLY
    repeats: int = 1
    stratify: bool | None = None
    groups: Any = None
    time_ordered: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        checked(self, whole, "repeats")
        checked(self, whole, "seed", least=0)
        checked(self, flag, "time_ordered")
        if self.stratify is not None:
            checked(self, flag, "stratify")
        if self.groups is not None:
            object.__setattr__(self, "groups", np.asarray(self.groups))
        if self.counted:
            checked(self, whole, "folds", least=2, hint="each fold is tested on what the others learnt")
        elif self.repeats != 1 or self.time_ordered or self.stratify is not None:
            raise DataError("folds is a splitter or a list of rows already: repeats, stratify and time_ordered are "
                            "only for a number of folds")  # fmt: skip
        elif not hasattr(self.folds, "get_n_splits"):
            object.__setattr__(self, "folds", _pairs(self.folds))
        if self.time_ordered and self.repeats > 1:
            raise DataError(f"repeats={self.repeats}: time-ordered folds can be divided in one way only; use repeats=1")
        if self.time_ordered and (self.stratify or self.groups is not None):
            raise DataError("time_ordered goes with neither stratify nor groups: the order alone says what is tested")

    @property
    def counted(self) -> bool:
        """Whether ``folds`` is a number."""
        return isinstance(self.folds, Integral) and not isinstance(self.folds, bool)

    def of_rows(self, rows: np.ndarray) -> Folds:
        """The same of some of the samples."""
        return self if self.groups is None else replace(self, groups=self.groups[rows])

    def split(self, y: Any) -> list[Split]:
        """The folds of samples with these targets, as pairs (rows to learn from, rows to test on).

        Raises `DataError` for more folds than samples, members of a class or groups, and for a fold whose training part
        lacks a class.
        """
        y = np.asarray(y)
        classes = has_classes(y) if self.stratify is None else self.stratify
        if classes and y.ndim != 1:
            raise DataError(
                f"stratified folds need one class for each sample, y has shape {y.shape}; use stratify=False"
            )
        if self.groups is not None and self.groups.shape != (len(y),):
            raise DataError(
                f"groups has shape {self.groups.shape}, expected one label for each of the {len(y)} samples"
            )
        if self.counted:
            splits = self._drawn(y, classes)
        elif hasattr(self.folds, "get_n_splits"):
            splits = list(_pairs(self.folds.split(y, y, self.groups)))
        else:
            splits = list(self.folds)
        if classes:
            _check_classes(y, splits)
        return splits

    def _drawn(self, y: np.ndarray, classes: bool) -> list[Split]:
        n, folds, groups = len(y), self.folds, self.groups
        if folds > n - self.time_ordered:
            raise DataError(f"{folds} folds of {n} samples: use folds={max(2, n - self.time_ordered)} or fewer")
        if self.time_ordered:
            return list(TimeSeriesSplit(folds).split(y))
        if groups is not None and (there := len(np.unique(groups))) < folds:
            raise DataError(f"{folds} folds of {there} groups: a group is never divided; use folds={there} or fewer")
        if classes and groups is None:
            names, counts = np.unique(y, return_counts=True)
            if counts.min() < folds:
                few = names[counts.argmin()]
                raise DataError(f"class {few!s} has {counts.min()} samples, fewer than the {folds} folds: use folds="
                                f"{max(2, counts.min())} or fewer, stratify=False, or leave the class out")  # fmt: skip
        splitter: Any = {
            (False, False): KFold,
            (True, False): StratifiedKFold,
            (False, True): GroupKFold,
            (True, True): StratifiedGroupKFold,
        }[classes, groups is not None]
        rng = np.random.RandomState(self.seed)
        return [
            split
            for _ in range(self.repeats)
            for split in splitter(folds, shuffle=True, random_state=rng.randint(2**31 - 1)).split(y, y, groups)
        ]


def as_folds(folds: Any, seed: int = 0) -> Folds:
    """What is given as ``folds``: `Folds`, or its short forms, a number, drawn with ``seed``, a splitter, or pairs."""
    return folds if isinstance(folds, Folds) else Folds(folds, seed=seed)


def has_classes(y: np.ndarray) -> bool:
    """Whether targets look like classes: one whole number or text each, of few different ones."""
    if y.ndim != 1 or y.dtype.kind not in "biuUSO":
        return False
    return len(np.unique(y)) <= max(20, len(y) // 10)


def _pairs(folds: Any) -> tuple[Split, ...]:
    """Folds that are given, as rows."""
    if not isinstance(folds, Iterable) or isinstance(folds, str):
        raise wrong("Folds", "folds", "a whole number >= 2, a splitter of scikit-learn's, or pairs of rows", folds)
    splits = tuple((np.asarray(train), np.asarray(test)) for train, test in folds)
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


# ---- before there was `Folds` -------------------------------------------------------------------------------------

OLD = {"repeats": "repeats", "stratified": "stratify", "groups": "groups", "time_ordered": "time_ordered",
       "seed": "seed"}  # fmt: skip


def with_old_parameters(function: F) -> F:
    """A function of ``folds`` that takes the fields of `Folds` as arguments too, as it did before 0.1, with a warning.

    A ``seed`` that it has itself draws the folds too, as it does where ``folds`` is a number.
    """
    name, parameters = function.__name__, inspect.signature(function).parameters
    at, own_seed = list(parameters).index("folds"), "seed" in parameters
    names = [old for old in OLD if old not in parameters]

    def convert(args: list[Any], options: dict[str, Any]) -> Iterator[str]:
        if not (old := [n for n in names if n in options]):
            return
        given = {OLD[n]: options.pop(n) for n in old}
        folds = args.pop(at) if len(args) > at else options.get("folds", parameters["folds"].default)
        if isinstance(folds, Folds):
            raise TypeError(f"{name}: {', '.join(old)} and Folds are both given; put them into Folds(...)")
        seed = {"seed": options["seed"]} if own_seed and "seed" in options else {}
        options["folds"] = Folds(folds, **seed | given)
        yield (f"{name}: {', '.join(old)} moved to Folds in 0.1 and will be removed here; use folds="
               f"pellucid.selection.Folds(..., {', '.join(f'{n}=...' for n in given)})")  # fmt: skip

    return converted(function, convert)


@with_old_parameters
def split_folds(y: Any, folds: Any = 10) -> list[Split]:
    """The pairs (rows to learn from, rows to test on) of samples with these targets: ``as_folds(folds).split(y)``."""
    return as_folds(folds).split(y)
