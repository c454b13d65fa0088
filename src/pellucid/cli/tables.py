"""Training on a table: the target, the columns, one test set or several folds. Imports tabular, and so scikit-learn."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click
import numpy as np

from .. import DataError, Model, data, report, tabular
from ..data.dataset import drawn
from . import files
from .learning import Run
from .options import separator


def train(
    run: Run, path: str, target: str | None, task, folds: int | None, keep, drop, delimiter: str | None, **how
) -> None:
    """Train on a CSV file: say what is done and why, test, save and draw.

    ``how`` has the fields of `tabular.Preparation`, as the command line writes them.
    """
    given = {name: word.replace("-", "_") for name, word in how.items() if word}
    words: dict[str, Any] = {name: None if word == "none" else word for name, word in given.items()}
    prepare = tabular.Preparation(**words)
    table = read(path, delimiter)
    if target is None:
        raise click.UsageError(
            f"a CSV file needs --target COLUMN, the column to predict, one of {tabular.listed(table.names)}"
        )
    features = table.drop(target)
    if unknown := [name for name in (*keep, *drop) if name == target]:
        raise click.UsageError(f"--keep and --drop are for other columns than the target {unknown[0]!r}")
    aim = tabular.read_target(table, target, task)
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
        truth, predicted = tried(model, preprocessing, known, test)
        run.say(f"\ntest set, {len(test)} rows\n{result_text(truth, predicted, aim)}\n")
        scores = report.scores(truth, predicted, bool(aim.class_names))
        model.notes["test"] = scores
        name, score = next(iter(scores.items()))
        last = f"test {name} {score:.4f}"
    model.notes["sha256"] = files.digest(path)
    run.keep(model)
    click.echo(last)


def read(path: str, delimiter: str | None) -> data.Table:
    """A CSV file; one that seems to have another separator is an error that says so."""
    table = data.read_csv(path, separator(path, delimiter))
    if len(table.names) == 1 and (found := [c for c in ";\t|" if c in table.names[0]]):
        option = "tab" if found[0] == "\t" else repr(found[0])
        raise DataError(
            f"{path} has one column, {table.names[0]!r}; is its separator another? Give --delimiter {option}"
        )
    return table


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
    output = model.predict(preprocessing.transform(table).astype(model.dtype))
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
        truth, predicted = tried(model, preprocessing, known, table.take(test_rows))
        scores = report.scores(truth, predicted, classes is not None)
        run.say(
            f"fold {number}/{folds}  "
            + "  ".join(f"{k} {v:.4g}" for k, v in scores.items())
            + f"  ({model.epochs} epochs)"
        )
        all_scores.append(scores)
        truths.append(truth)
        predictions.append(predicted)
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
