"""Training on a table: the target, the columns, one test set or several folds. Imports tabular, and so scikit-learn."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click
import numpy as np

from .. import DataError, Model, data, report, tabular
from ..data.csvfile import header
from ..data.dataset import drawn
from ..data.reading import MISSING, Reading
from . import files
from .learning import Run
from .options import separator
from .sources import predicted


def train(
    run: Run, path: str, target: str | None, task, folds: int | None, keep, drop, target_type: str | None,
    reading: dict[str, Any], **how,
) -> None:  # fmt: skip
    """Train on a CSV file: say what is done and why, test, save and draw.

    ``reading`` has the options that say how the file is read, ``how`` the fields of `tabular.Preparation`, as the
    command line writes them.
    """
    given = {name: word.replace("-", "_") for name, word in how.items() if word}
    words: dict[str, Any] = {name: None if word == "none" else word for name, word in given.items()}
    prepare = tabular.Preparation(**words)
    if target is None:
        raise click.UsageError(
            "a CSV file needs --target COLUMN, the column to predict, one of "
            f"{tabular.listed(header(path, separator(path, reading['sep'])))}"
        )
    if clash := [name for name in ("categorical", "numeric", "dates") if target in reading[name]]:
        raise click.UsageError(f"--{clash[0]} is for other columns than the target; give --target-type text or number")
    table = read(path, reading, target)
    features = table.drop(target)
    if unknown := [name for name in (*keep, *drop) if name == target]:
        raise click.UsageError(f"--keep and --drop are for other columns than the target {unknown[0]!r}")
    table, written = tabular.target_as_numbers(table, target, how_read(reading), target_type)
    aim = tabular.read_target(table, target, task, written)
    columns = tabular.choose_columns(features, keep, drop)
    table, dropped = tabular.with_target(table, target)
    describe(run, path, table, dropped, columns, aim, prepare)
    if folds:
        last = cross_validate(run, table, columns, aim, prepare, folds)
        model, _, _ = fitted(run, table, columns, aim, prepare)
        run.say(f"the model saved is the last one, trained on all {len(table)} rows without a test set")
    else:
        rows, test_rows = one_split(table, aim, run.seed)
        run.say(f"{len(rows)} training and {len(test_rows)} test rows")
        model, preprocessing, known = fitted(run, table.take(rows), columns, aim, prepare)
        test = table.take(test_rows)
        truth, found = tried(model, preprocessing, known, test)
        run.say(f"\ntest set, {len(test)} rows\n{result_text(truth, found, aim)}\n")
        scores = report.scores(truth, found, bool(aim.class_names))
        model.notes["test"] = scores
        name, score = next(iter(scores.items()))
        last = f"test {name} {score:.4f}"
    model.notes["sha256"] = files.digest(path)
    model.notes["reading"] = {name: value for name, value in reading.items() if value and name in KEPT}
    run.keep(model)
    click.echo(last)


KEPT = ("sep", "dates", "missing", "decimal", "thousands")  # of the options, for the files that a model reads later


def how_read(reading: dict[str, Any]) -> Reading:
    """The options as what they mean for entries."""
    words = {name: value for name, value in reading.items() if value and name != "sep"}
    return Reading(**words)


def read(path: str, reading: dict[str, Any], target: str | None = None) -> data.Table:
    """A CSV file, its target as text; one that seems to have another separator is an error that says so."""
    sep = separator(path, reading["sep"])
    words = {name: value for name, value in reading.items() if value and name != "sep"}
    names = header(path, sep)
    if len(names) == 1 and (found := [c for c in ";\t|" if c in names[0]]):
        option = "tab" if found[0] == "\t" else repr(found[0])
        raise DataError(f"{path} has one column, {names[0]!r}; is its separator another? Give --sep {option}")
    if target is not None:
        words["categorical"] = [*reading["categorical"], target]
    return data.read_csv(path, sep, **words)


def read_for(model: Model, path: str, reading: dict[str, Any], target: str | None = None) -> data.Table:
    """A CSV file for a model of a table: read as the one it was trained on, but for what the options say."""
    kinds, kept = model.notes["columns"], model.notes.get("reading", {})
    said = {name: value or kept.get(name) for name, value in reading.items()}
    formats = dict(said["dates"] or {})
    there = header(path, separator(path, said["sep"]))
    known = {kind: [c for c in kinds.get(kind, ()) if c in there] for kind in tabular.PARTS}
    dates = dict.fromkeys(known["dates"], "") | {c: form for c, form in formats.items() if c in there}
    texts = [*known["ordered"], *known["categories"], *known["texts"]]
    others = {*dates, *reading["categorical"], *reading["numeric"], target}
    said["dates"] = dates
    said["numeric"] = [*reading["numeric"], *(c for c in known["numbers"] if c not in others)]
    said["categorical"] = [*reading["categorical"], *(c for c in texts if c not in others)]
    return read(path, said, target)


def describe(
    run: Run,
    path: str,
    table: data.Table,
    dropped: int,
    columns: tabular.Columns,
    aim: tabular.Target,
    prepare: tabular.Preparation,
) -> None:
    """What is learnt, from which columns, how they become numbers, and what is left out."""
    run.say(f"{path}: {len(table)} rows" + (f" ({dropped} more without a target, left out)" if dropped else ""))
    run.say(aim.sentence)
    for remark in table.remarks:
        run.say(f"note: {remark}")
    if words := [name for name in aim.class_names if name in MISSING and not aim.class_values]:
        run.say(f"note: {', '.join(map(repr, words))} is taken as a class of {aim.name!r}; "
                f"--missing {words[0]} says that it means missing")  # fmt: skip
    for kind in tabular.PARTS:
        if names := getattr(columns, kind):
            run.say(f"{kind}: {tabular.listed(names, 30)}")
    for name, reason in columns.left_out.items():
        run.say(f"left out: {name}, {reason}")
    for remark in columns.remarks:
        run.say(f"note: {remark}")
    if aim.class_names:
        run.say(str(data.balance(aim.encode(table[aim.name]), aim.class_names)))
    if text := prepare.filled(table, columns):
        run.say(text)
    numbers = data.Table({name: table[name] for name in columns.numbers}, table.source)
    for far in data.outliers(numbers, prepare.clip or "iqr").columns:
        run.say(f"outliers, {'clipped' if prepare.clip else 'kept'}: {far.sentence}")


def fitted(
    run: Run, table: data.Table, columns, aim, prepare: tabular.Preparation, verbose: int = 1
) -> tuple[Model, tabular.Preprocessing, tabular.Target]:
    """A model fitted to rows, with the transformers and the target's scale learnt from the same rows, kept in it."""
    preprocessing = tabular.Preprocessing.fit(table, columns, prepare)
    aim = aim.scaled_on(table[aim.name])
    x, y = preprocessing.transform(table), aim.encode(table[aim.name])
    model = run.learn(x.astype(run.dtype), y, len(aim.class_names) or None, verbose)
    tabular.keep_in(model, preprocessing, aim)
    return model, preprocessing, aim


def tried(model: Model, preprocessing, aim: tabular.Target, table: data.Table) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted class numbers, or values in the target's units."""
    output = predicted(model, preprocessing.transform(table).astype(model.dtype), preprocessing.feature_names())
    if aim.class_names:
        return aim.encode(table[aim.name]), output.argmax(axis=1)
    return table[aim.name], aim.decode(output)


def result_text(truth: np.ndarray, predicted: np.ndarray, aim: tabular.Target) -> str:
    """The report on a test set."""
    if aim.class_names:
        return report.classes_text(truth, predicted, aim.class_names)
    return "\n".join(f"  {name:<4} {value:.6g}" for name, value in report.scores(truth, predicted, False).items())


def one_split(table: data.Table, aim: tabular.Target, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Training rows and one fifth as test rows, with the classes in the same proportions."""
    classes = aim.encode(table[aim.name]) if aim.class_names else None
    counts = Counter(classes.tolist()) if classes is not None else {}
    if rare := [aim.class_names[i] for i, count in counts.items() if count < 2]:
        raise DataError(
            f"{table.source}: the class {rare[0]!r} of {aim.name!r} occurs only once; at least two rows are "
            "needed, one to learn from and one for the test"
        )
    try:
        rows, test_rows = drawn(len(table), 0.2, seed, classes)
    except DataError as error:
        raise DataError(
            f"{table.source}: {len(table)} rows are too few for a training and a test set ({error})"
        ) from None
    return np.sort(rows), np.sort(test_rows)


def cross_validate(run: Run, table: data.Table, columns, aim: tabular.Target, prepare, folds: int) -> str:
    """Each fold in turn is the test set of a model that learns from the others; the last line of the result."""
    from sklearn.model_selection import KFold, StratifiedKFold

    classes = aim.encode(table[aim.name]) if aim.class_names else None
    counts = Counter(classes.tolist() if classes is not None else range(len(table)))
    if classes is not None and min(counts.values()) < folds:
        rare = aim.class_names[min(counts, key=lambda i: counts[i])]
        raise DataError(f"--folds {folds}: the class {rare!r} has only {min(counts.values())} rows; use fewer folds")
    if len(table) < 2 * folds:
        raise DataError(f"--folds {folds}: {len(table)} rows are too few; use fewer folds")
    splitter = (KFold if classes is None else StratifiedKFold)(folds, shuffle=True, random_state=run.seed)
    all_scores, truths, predictions = [], [], []
    for number, (rows, test_rows) in enumerate(splitter.split(np.zeros(len(table)), classes), 1):
        model, preprocessing, known = fitted(run, table.take(rows), columns, aim, prepare, verbose=0)
        truth, found = tried(model, preprocessing, known, table.take(test_rows))
        scores = report.scores(truth, found, classes is not None)
        run.say(
            f"fold {number}/{folds}  "
            + "  ".join(f"{k} {v:.4g}" for k, v in scores.items())
            + f"  ({model.epochs} epochs)"
        )
        all_scores.append(scores)
        truths.append(truth)
        predictions.append(found)
    if classes is not None:
        text = result_text(np.concatenate(truths), np.concatenate(predictions), aim)
        run.say(f"\nall folds together, {len(table)} rows\n{text}\n")
    lines = []
    for name in all_scores[0]:
        values = np.array([scores[name] for scores in all_scores])
        lines.append(f"{folds}-fold {name} {values.mean():.4f}, standard deviation {values.std(ddof=1):.4f}")
    for line in lines[1:]:
        run.say(line)
    return lines[0]
