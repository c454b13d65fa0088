"""A table of columns to arrays, by scikit-learn's transformers, which stay inside the model. Imports data, sklearn.

Numbers: the median where missing, a column that says so, mean 0 and deviation 1. Categories: one column for each, rare
ones together. What the target is, which columns are used, and why not the others, is decided here, and said.
The fitted transformers are kept in the model's file by skops, which reads only types on a list: never pickle.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Literal
from zipfile import ZIP_DEFLATED

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from .data import DataError, Table

if TYPE_CHECKING:
    from .train import Model

Task = Literal["classification", "regression"]

FEW = 20  # whole numbers of at most so many values, each five times on average, are classes
MOST_CATEGORIES = 40  # of one column; the rarest are taken together
BLOB = "preprocessing"
TRUSTED = ["numpy.dtype"]  # types in our files beyond those of NumPy and scikit-learn that skops knows to be harmless
PARTS = {"numbers": (SimpleImputer, StandardScaler), "categories": (SimpleImputer, OneHotEncoder)}


# ---- the target ------------------------------------------------------------------------------------------------


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

    @property
    def sentence(self) -> str:
        """What is done and why."""
        into = f" into {len(self.class_names)} classes" if self.class_names else ""
        return f"{self.task}{into}, because {self.reason}"

    def encode(self, column: np.ndarray) -> np.ndarray:
        """Class numbers (n,), -1 where missing; or scaled numbers (n,). Raises `DataError` for an unknown class."""
        if self.task == "regression":
            return (numbers_of(column, f"column {self.name!r}") - self.mean) / self.scale
        number = {name: i for i, name in enumerate(self.class_names)} | {"": -1}
        texts = texts_of(column)
        for row, text in enumerate(texts, 1):
            if text not in number:
                known = listed(self.class_names)
                raise DataError(f"column {self.name!r} holds {text!r} in row {row}, none of the classes {known}")
        return np.array([number[text] for text in texts], np.int64)

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


def read_target(table: Table, name: str, task: Task | None = None) -> Target:
    """Classification or regression, told from the target unless ``task`` says it.

    Text, two values, or few whole numbers are classes; other numbers are values. Raises `DataError` for a target of
    one value only, for text where regression is asked, and for text that differs in almost every row.
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
    return Target(name, "classification", reason, tuple(in_order(column)))


# ---- the columns -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Columns:
    """The columns that are used, by kind; the others with the reason; and what else should be said."""

    numbers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    left_out: dict[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All columns that are used."""
        return self.numbers + self.categories


def choose_columns(table: Table, keep: Iterable[str] = (), drop: Iterable[str] = ()) -> Columns:
    """The columns of a table (without its target) to learn from.

    Left out, unless in ``keep``: what is empty or constant, text that differs in almost every row, and whole numbers
    that number the rows. ``drop`` are left out as asked. Raises `DataError` where no column is left, and where a column
    would be numbers but for a few entries of text.

    >>> n = np.arange(1.0, 7)
    >>> columns = choose_columns(Table({"id": n, "age": n * 7 % 4, "name": np.array(list("abcdef"), object)}))
    >>> columns.numbers, columns.left_out["id"]
    (('age',), 'numbers the rows')
    >>> columns.left_out["name"]
    'text that differs in almost every row (6 different in 6)'
    """
    keep, drop = set(keep), set(drop)
    for name in sorted(keep | drop):
        table[name]  # an unknown name is an error
    used: dict[str, list[str]] = {"numbers": [], "categories": []}
    left_out, remarks = {}, []
    for name, column in table.columns.items():
        reason = "as asked" if name in drop else None if name in keep else useless(column, name)
        if reason:
            left_out[name] = reason
            continue
        kind = table.kind(name)
        if kind == "numbers":
            finite(table, name)
        elif remark := stray_text(table, name, f", or leave the column out (--drop {name})"):
            remarks.append(remark)
        used[kind].append(name)
    if not (used["numbers"] or used["categories"]):
        why = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise DataError(f"{table.source} has no column to learn from besides the target ({why or 'there are none'})")
    return Columns(tuple(used["numbers"]), tuple(used["categories"]), left_out, tuple(remarks))


def useless(column: np.ndarray, name: str) -> str | None:
    """Why nothing can be learnt from a column, or None."""
    gone, n = missing(column), len(column)
    if gone.all():
        return "empty in every row"
    if column.dtype.kind == "f":
        values = np.unique(column[~gone])
        if len(values) == n and n > 2 and (values == np.round(values)).all():
            counter = values[0] in (0, 1) and values[-1] <= 1.5 * n
            if counter or re.search(r"(^|[^a-zA-Z])(id|ID|Id)$|[a-z](Id|ID)$", name):
                return "numbers the rows" if counter else "an identifier, different in every row"
    else:
        counts = Counter(column)
        values = np.array(sorted(key for key in counts if key is not None), object)
        own = sum(count == 1 for count in counts.values())
        if own > n / 2 and n > 2 and mostly_numbers(column) < 0.9:
            return f"text that differs in almost every row ({len(values)} different in {n})"
    if len(values) == 1 and not gone.any():
        return f"{texts_of(values)[0]!r} in every row"
    return None


def stray_text(table: Table, name: str, way_out: str = "") -> str | None:
    """A text column of numbers but for a few entries is an error if it has many values, else a remark."""
    column = table[name]
    if mostly_numbers(column) < 0.9:
        return None
    row = next(i for i, text in enumerate(column, 1) if text is not None and not is_number(text))
    if len(set(column)) > FEW or sum(count == 1 for count in Counter(column).values()) > len(column) / 2:
        raise DataError(
            f"{table.source}: column {name!r} holds numbers, but {column[row - 1]!r} in row {row}; correct it, "
            f"leave it empty if it is missing{way_out}"
        )
    return f"{name} is taken as categories: most are numbers, but row {row} holds {column[row - 1]!r}"


# ---- the transformers ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Preprocessing:
    """Fitted transformers of the used columns: a table to an array (n, features), numbers first."""

    columns: Columns
    steps: dict[str, Pipeline]

    @classmethod
    def fit(cls, table: Table, columns: Columns) -> Preprocessing:
        """Learn medians, means, deviations and categories from the training rows."""
        steps = {}
        if columns.numbers:
            impute = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
            steps["numbers"] = Pipeline([("impute", impute), ("scale", StandardScaler())])
        if columns.categories:
            rare = max(2, round(0.01 * len(table)))  # fewer rows say nothing of a category
            impute = SimpleImputer(missing_values=None, strategy="constant", fill_value="(missing)")
            grouped = {"min_frequency": rare, "max_categories": MOST_CATEGORIES}
            encode = OneHotEncoder(handle_unknown="infrequent_if_exist", sparse_output=False, **grouped)
            steps["categories"] = Pipeline([("impute", impute), ("encode", encode)])
        made = cls(columns, steps)
        for kind, step in steps.items():
            step.fit(made.matrix(table, kind))
        return made

    def transform(self, table: Table) -> np.ndarray:
        """The features of each row (n, features), float64.

        Raises `DataError` for missing columns, and for text in a column of numbers. Other columns are ignored.
        """
        if lacking := [name for name in self.columns.names if name not in table.names]:
            what = f"the column{'s' * (len(lacking) > 1)} {listed(lacking)}, which the model needs"
            raise DataError(f"{table.source} lacks {what}; its columns are {listed(table.names)}")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Found unknown categories", UserWarning)  # `unseen` says it
            return np.hstack([step.transform(self.matrix(table, kind)) for kind, step in self.steps.items()])

    def unseen(self, table: Table) -> list[str]:
        """A sentence for each column with categories that the training rows did not have."""
        found = []
        known = self.steps["categories"].named_steps["encode"].categories_ if self.columns.categories else ()
        for name, categories in zip(self.columns.categories, known, strict=True):
            texts = texts_of(table[name])
            new = set(texts) - set(categories) - {""}
            if new:
                row = next(i for i, text in enumerate(texts, 1) if text in new)
                found.append(
                    f"{name} has {len(new)} value{'s' * (len(new) > 1)} not seen in training, such as "
                    f"{texts[row - 1]!r} in row {row}"
                )
        return found

    def matrix(self, table: Table, kind: str) -> np.ndarray:
        """The columns of a kind (n, columns): float64 with NaN, or text with None, where missing."""
        if kind == "numbers":
            return np.stack([finite(table, name) for name in self.columns.numbers], axis=1)
        texts = [[text or None for text in texts_of(table[name])] for name in self.columns.categories]
        return np.array(texts, object).T


def keep_in(model: Model, preprocessing: Preprocessing, target: Target) -> None:
    """Put the fitted transformers and the description of columns and target into a model, to be saved with it."""
    import skops.io

    model.blobs[BLOB] = np.frombuffer(skops.io.dumps(preprocessing.steps, compression=ZIP_DEFLATED), np.uint8)
    model.notes |= {
        "kind": "table",
        "task": target.task,
        "class_names": list(target.class_names),
        "target": asdict(target),
        "columns": {kind: list(getattr(preprocessing.columns, kind)) for kind in PARTS},
        "left_out": preprocessing.columns.left_out,
    }


def restore(model: Model) -> tuple[Preprocessing, Target]:
    """The transformers and the target that `keep_in` put into a model.

    Raises `DataError` where there are none, where they are damaged, or where they hold types that are not ours.
    """
    import skops.io

    if BLOB not in model.blobs:
        raise DataError("the model was not trained on a table: it holds no preprocessing")
    try:
        steps = skops.io.loads(model.blobs[BLOB].tobytes(), trusted=TRUSTED)
        target = model.notes["target"]
        numbers, categories = (tuple(model.notes["columns"][kind]) for kind in PARTS)
        columns = Columns(numbers, categories, model.notes["left_out"])
        found = Preprocessing(columns, steps), Target(**target | {"class_names": tuple(target["class_names"])})
        genuine = steps.keys() == {k for k in PARTS if getattr(columns, k)} and all(
            type(step) is Pipeline and tuple(type(part) for _, part in step.steps) == PARTS[kind]
            for kind, step in steps.items()
        )
    except Exception as error:  # a damaged or foreign file may fail anywhere in there
        raise DataError(f"the model's preprocessing is damaged or not Pellucid's ({error})") from None
    if not genuine:
        raise DataError("the model's preprocessing is not Pellucid's: it holds other transformers")
    return found


# ---- columns as texts and numbers --------------------------------------------------------------------------------


def missing(column: np.ndarray) -> np.ndarray:
    """Where a column has no entry (n,)."""
    return np.isnan(column) if column.dtype.kind == "f" else np.array([entry is None for entry in column], bool)


def texts_of(column: np.ndarray) -> list[str]:
    """Entries as text, whole numbers without a point, "" where missing.

    >>> texts_of(np.array([1.0, 2.5, np.nan]))
    ['1', '2.5', '']
    """
    if column.dtype.kind == "f":
        return ["" if v != v else str(int(v)) if v.is_integer() else repr(v) for v in column.tolist()]
    return ["" if entry is None else entry for entry in column]


def numbers_of(column: np.ndarray, where: str, consequence: str = "expected a number") -> np.ndarray:
    """Entries as float64, NaN where missing; the first text is an error that names column and row."""
    if column.dtype.kind == "f":
        return column
    for row, entry in enumerate(column, 1):
        if entry is not None and not is_number(entry):
            raise DataError(f"{where} holds {entry!r} in row {row}, {consequence}")
    return np.array([np.nan if entry is None else float(entry) for entry in column])


def finite(table: Table, name: str) -> np.ndarray:
    """A column as float64, if it holds neither text nor infinity."""
    where = f"{table.source}: column {name!r}"
    column = numbers_of(table[name], where)
    if (bad := np.flatnonzero(np.isinf(column))).size:
        raise DataError(
            f"{where} is infinite in {len(bad)} row{'s' * (len(bad) > 1)} (row {bad[0] + 1}); "
            "correct it, or leave it empty"
        )
    return column


def is_number(text: str) -> bool:
    try:
        return "_" not in text and float(text) is not None
    except ValueError:
        return False


def mostly_numbers(column: np.ndarray) -> float:
    """The share of numbers among the entries of a text column."""
    given = [text for text in column if text is not None]
    return sum(map(is_number, given)) / max(len(given), 1)


def in_order(column: np.ndarray) -> list[str]:
    """The different entries as text, numbers by size."""
    return texts_of(np.unique(column)) if column.dtype.kind == "f" else sorted(set(texts_of(column)))


def listed(names: Sequence[str], most: int = 12) -> str:
    """Names for a sentence, the first few spelt out."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
