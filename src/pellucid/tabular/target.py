"""The column to predict: what it is, classes or values, and its entries as numbers. Imports data."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ..data import Table
from ..data.reading import Reading
from ..errors import DataError
from .cells import finite, in_order, listed, missing, numbers_of, texts_of
from .columns import FEW, stray_text

Task = Literal["classification", "regression"]


@dataclass(frozen=True)
class Target:
    """The column to predict: as class numbers 0..k-1, or as numbers of mean 0 and deviation 1.

    >>> table = Table({"y": np.array([3.0, 5.0, 3.0, 5.0])})
    >>> target = read_target(table, "y")
    >>> target.sentence
    "classification into 2 classes, because the target 'y' has two values: 3, 5"
    >>> target.encode(table["y"])
    array([0, 1, 0, 1])
    """

    name: str
    task: Task
    reason: str
    class_names: tuple[str, ...] = ()
    mean: float = 0.0
    scale: float = 1.0
    class_values: tuple[float, ...] = ()  # of classes that are numbers; their names are as they were written

    @property
    def sentence(self) -> str:
        """What is done and why."""
        into = f" into {len(self.class_names)} classes" if self.class_names else ""
        return f"{self.task}{into}, because {self.reason}"

    def encode(self, column: np.ndarray) -> np.ndarray:
        """Class numbers (n,), -1 where missing; or scaled numbers (n,). Raises `DataError` for an unknown class."""
        if self.task == "regression":
            return (numbers_of(column, f"column {self.name!r}") - self.mean) / self.scale
        if self.class_values and column.dtype.kind == "f":
            return self._of_values(column)
        number = {name: i for i, name in enumerate(self.class_names)} | {"": -1}
        texts = texts_of(column)
        for row, text in enumerate(texts, 1):
            if text not in number:
                known = listed(self.class_names)
                raise DataError(f"column {self.name!r} holds {text!r} in row {row}, none of the classes {known}")
        return np.array([number[text] for text in texts], np.int64)

    def _of_values(self, column: np.ndarray) -> np.ndarray:
        number = {value: i for i, value in enumerate(self.class_values)}
        found = np.array([-1 if v != v else number.get(v, -2) for v in column.tolist()], np.int64)
        if (unknown := np.flatnonzero(found == -2)).size:
            text, known = texts_of(column[unknown[:1]])[0], listed(self.class_names)
            raise DataError(f"column {self.name!r} holds {text!r} in row {unknown[0] + 1}, none of the classes {known}")
        return found

    def decode(self, output: np.ndarray) -> np.ndarray:
        """A net's output (n, 1) as numbers (n,) in the units of the target."""
        return output.reshape(len(output)).astype(np.float64) * self.scale + self.mean

    def scaled_on(self, column: np.ndarray) -> Target:
        """This target, a regression's scaled to the mean and deviation of the training rows."""
        if self.task == "classification":
            return self
        return replace(self, mean=float(column.mean()), scale=float(column.std()) or 1.0)


def with_target(table: Table, name: str) -> tuple[Table, int]:
    """The rows whose target is known, and the number of the others. Raises `DataError` where there are none."""
    known = ~missing(table[name])
    if not known.any():
        raise DataError(f"{table.source}: the target {name!r} is missing in all {len(table)} rows")
    return table.take(np.flatnonzero(known)), int((~known).sum())


def target_as_numbers(
    table: Table, name: str, how: Reading, kind: str | None = None
) -> tuple[Table, np.ndarray | None]:
    """A table whose target was read as text: that as numbers where it holds numbers, and then how they were written.

    ``kind`` "text" leaves it as text, "number" makes numbers of text with leading zeros too, and raises `DataError`
    for what is no number.
    """
    written = table[name]
    if kind == "text":
        return table, None
    texts = texts_of(written)
    values = how.numbers(texts, keep=kind != "number")
    if values is None and kind == "number":
        row = next(row for row, text in enumerate(texts, 1) if how.numbers([text], keep=False) is None)
        raise DataError(f"{table.source}: column {name!r} holds {texts[row - 1]!r} in row {row}, expected a number")
    if values is None or (kind is None and np.isnan(values).all()):  # NA and null alone are classes
        return table, None
    return Table(table.columns | {name: values}, table.source, table.remarks), written


def as_in_training(table: Table, target: Target, how: Reading) -> Table:
    """A table whose target was read as text, with that as what it was in training."""
    if target.task == "classification" and not target.class_values:
        return table
    return target_as_numbers(table, target.name, how, "number")[0]


def read_target(table: Table, name: str, task: Task | None = None, written: np.ndarray | None = None) -> Target:
    """Classification or regression, told from the target unless ``task`` says it.

    ``written`` are the entries of a target of numbers as text, by which its classes are called. Text, two values, or
    few whole numbers are classes; other numbers are values. Raises `DataError` for a target of one value only, for
    text where regression is asked, and for text that differs in almost every row.
    """
    known, _ = with_target(table, name)
    column, n = known[name], len(known)
    counts = Counter(texts_of(column))
    if len(counts) == 1:
        raise DataError(
            f"{table.source}: the target {name!r} is {next(iter(counts))!r} in all {n} rows: "
            "one class only, there is nothing to tell apart"
        )
    is_text = column.dtype.kind != "f"
    if not is_text:
        finite(table, name)
    elif task == "regression":
        numbers_of(table[name], f"{table.source}: column {name!r}", "so that it is no target for a regression")
    else:
        stray_text(table, name)
    whole = not is_text and bool((column == np.round(column)).all())
    few = whole and len(counts) <= FEW and n >= 5 * len(counts)
    if task:
        decided, reason = task, "--task says so"
    elif is_text:
        decided, reason = "classification", f"the target {name!r} is text: {listed(sorted(counts))}"
    elif len(counts) == 2 or few:
        how_many = "two values" if len(counts) == 2 else f"few whole numbers ({len(counts)} different ones)"
        decided, reason = "classification", f"the target {name!r} has {how_many}: {listed(in_order(column))}"
    else:
        what = "whole numbers" if whole else "numbers that are not whole"
        decided, reason = "regression", f"the target {name!r} has {len(counts)} different {what}"
    if decided == "regression":
        return Target(name, "regression", reason)
    if len(counts) > n / 2 and len(counts) > 2:
        raise DataError(
            f"{table.source}: the target {name!r} has {len(counts)} different values in {n} rows, "
            "too many to learn classes from" + ("" if is_text else "; --task regression takes it as a number")
        )
    if is_text:
        return Target(name, "classification", reason, tuple(in_order(column)))
    values, first = np.unique(table[name], return_index=True)  # NaN last
    values, first = values[: len(counts)], first[: len(counts)]
    names = texts_of(values) if written is None else [str(written[i]) for i in first]
    return Target(name, "classification", reason, tuple(names), class_values=tuple(values.tolist()))
