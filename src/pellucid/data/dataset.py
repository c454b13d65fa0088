"""A `Dataset`: arrays of samples and their targets, with names. Imports numpy; scikit-learn to split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import DataError
from ..reprs import html_table

WIDEST, MOST_CLASSES = 12, 30  # of what a notebook shows of a set


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Samples ``x`` (n, ...) and their targets ``y`` (n, ...); unpacks as ``x, y = dataset``.

    ``class_names`` are the names of the labels 0..k-1 where y holds classes, ``feature_names`` those of x's columns.
    Raises `DataError` where x and y have different lengths.

    >>> Dataset(np.zeros((3, 2), "float32"), np.array([0, 1, 1]), class_names=("no", "yes"), name="tiny")
    Dataset 'tiny': x (3, 2) float32, y (3,) int64, 2 classes
    """

    x: np.ndarray
    y: np.ndarray
    class_names: Sequence[str] | None = None
    feature_names: Sequence[str] | None = None
    name: str = ""

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise DataError(f"{self._title}: x has {len(self.x)} samples and y has {len(self.y)}; expected as many")

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter((self.x, self.y))

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        classes = f", {len(self.class_names)} classes" if self.class_names is not None else ""
        x = (
            f"{self.x.shape} {self.x.dtype}"
            if hasattr(self.x, "dtype")
            else f"{type(self.x).__name__} of {len(self)} rows"
        )
        return f"{self._title}: x {x}, y {self.y.shape} {self.y.dtype}{classes}"

    def _repr_html_(self) -> str:
        """What it is, its first samples where they are rows of numbers, and how many each class has."""
        tables = []
        if isinstance(self.x, np.ndarray) and self.x.ndim == 2 and self.x.shape[1]:
            names = [*map(str, self.feature_names if self.feature_names is not None else range(self.x.shape[1]))]
            rows = [[f"{i}", *few(f"{v:.5g}" if self.x.dtype.kind == "f" else f"{v}" for v in self.x[i]),
                     f"{self._class_of(self.y[i])}"] for i in range(min(len(self), 5))]  # fmt: skip
            tables.append(html_table(["sample", *few(names), "y"], rows))
        classes, counts = np.unique(self.y, return_counts=True) if has_classes(self.y) else ((), ())
        if 0 < len(classes) <= MOST_CLASSES:
            tables.append(html_table(["class", *(str(self._class_of(c)) for c in classes)],
                                     [["samples", *map(str, counts)]]))  # fmt: skip
        return html_table([repr(self)], []) + "".join(tables)

    def _class_of(self, label: Any) -> Any:
        return class_of(label, self.class_names)

    def split(self, test_size: float | int = 0.2, seed: int = 0, stratify: bool = True) -> tuple[Dataset, Dataset]:
        """A training and a test set, drawn at random without overlap.

        ``test_size`` is a fraction, or a number of samples. With ``stratify`` both parts have the classes in the
        proportions of the whole (where y holds whole numbers or names; other targets are drawn plainly). Raises
        `DataError` where that is not possible: a class of one sample, or a part smaller than the number of classes.

        >>> from pellucid.data import digits
        >>> train, test = digits().split(test_size=0.25, seed=1)
        >>> len(train), len(test)
        (1347, 450)
        """
        classes = self.y if stratify and has_classes(self.y) else None
        parts = drawn(len(self), test_size, seed, classes, name=self._title)
        train, test = (replace(self, x=self.x[rows], y=self.y[rows]) for rows in parts)
        return train, test

    @property
    def _title(self) -> str:
        return f"Dataset {self.name!r}" if self.name else "Dataset"


def few(cells: Iterable[str]) -> list[str]:
    """The cells of a row, or the first and last of them where there are many."""
    cells = [*cells]
    half = WIDEST // 2
    return cells if len(cells) <= WIDEST else [*cells[:half], "…", *cells[-half:]]


def taken_apart(x: Any, y: Any = None, name: str = "") -> tuple[Any, Any]:
    """Samples and targets, where ``x`` may be a `Dataset` that has both; one place for all that takes x and y.

    Raises `DataError` for a `Dataset` beside targets, or in their place. ``name``: before x and y in the words.

    >>> x, y = taken_apart(Dataset(np.zeros((3, 2)), np.array([0, 1, 1])))
    >>> x.shape, y.tolist()
    ((3, 2), [0, 1, 1])
    """
    if isinstance(y, Dataset):
        raise DataError(
            f"{name}y is a Dataset, which has samples and targets; give it alone, or its targets alone, y.y"
        )
    if not isinstance(x, Dataset):
        return x, y
    if y is not None:
        raise DataError(f"{name}x is a Dataset, which has its own targets; leave {name}y out")
    return x.x, x.y


def no_targets(x: Any, owner: str = "") -> DataError:
    """The error for samples without targets: what was given instead of both, and how to part it."""
    told = f"{owner}y is missing: expected the targets of the samples x, or a Dataset that has both"
    try:
        pair = isinstance(x, (tuple, list)) and len(x) == 2 and len(x[0]) == len(x[1])
    except TypeError:
        pair = False
    if pair:
        told += "; did you mean (*x), a pair unpacked into x and y?"
    elif hasattr(x, "batch_size") and hasattr(x, "dataset"):  # of torch
        told += "; a DataLoader gives batches, but fit makes its own: give arrays, x, y = map(torch.cat, zip(*loader))"
    elif hasattr(x, "tensors"):
        told += "; a TensorDataset has its arrays in x, y = dataset.tensors"
    elif isinstance(x, Iterator):
        told += f"; a {type(x).__name__} gives one thing after another: give whole arrays"
    return DataError(told)


def has_classes(y: np.ndarray) -> bool:
    """Whether targets are classes: one whole number, truth value or text for each sample."""
    return y.ndim == 1 and y.dtype.kind in "biuOUST"


def drawn(
    n: int,
    size: float | int,
    seed: int,
    classes: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    name: str = "split",
) -> tuple[np.ndarray, np.ndarray]:
    """Rows that are kept and rows that are held out, at random; ``size`` of the rows, or of the groups, are held out.

    With ``classes`` both have these in the same proportions; with ``groups`` none of these is in both.

    >>> [rows.tolist() for rows in drawn(6, 2, seed=0, groups=np.array([1, 1, 2, 2, 3, 3]))]
    [[0, 1], [2, 3, 4, 5]]
    """
    from sklearn.model_selection import GroupShuffleSplit, train_test_split

    try:
        if groups is not None:
            splitter = GroupShuffleSplit(1, test_size=size, random_state=seed)
            ((kept, held),) = splitter.split(np.empty(n), groups=groups)
        else:
            kept, held = train_test_split(np.arange(n), test_size=size, random_state=seed, stratify=classes)
    except ValueError as error:
        hint = "" if classes is None else " (stratify=False draws without regard to the classes)"
        raise DataError(f"{name}: cannot split {n} samples, test_size={size}: {error}{hint}") from None
    return kept, held


def digit_names(k: int = 10) -> tuple[str, ...]:
    """Class names "0", "1", ... of sets whose labels are their names."""
    return tuple(str(i) for i in range(k))


def listed(items: Iterable[object], most: int = 5) -> str:
    """Items for an error message, the first few spelt out."""
    texts = [str(item) for item in items]
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def check_pixel_type(caller: str, dtype: str) -> None:
    """`DataError` for anything else than the two forms in which pixels are given."""
    if dtype not in ("float32", "uint8"):
        raise DataError(f"{caller}: dtype is {dtype!r}, expected 'float32' (0..1) or 'uint8' (0..255)")


def as_pixels(array: np.ndarray, dtype: str) -> np.ndarray:
    """Bytes 0..255 as they are, or as float32 in 0..1."""
    return array if dtype == "uint8" else array / np.float32(255)


def class_of(label: Any, names: Sequence[str] | None) -> Any:
    """The name of a class, or the label itself where it is no place among the names."""
    known = names is not None and isinstance(label, np.integer) and 0 <= label < len(names)
    return names[label] if known else label  # type: ignore[index]
