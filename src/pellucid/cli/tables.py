"""Training on a table: the target, the columns, one test set or several folds. Imports tabular, and so scikit-learn."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from .. import Model, data, report, tabular
from ..data.dataset import drawn
from ..data.reading import MISSING
from ..errors import DataError
from ..recipes import for_table
from . import files
from .reading import KEPT, KINDS, first_line_is_data, how_read, in_own_words, names, read, read_like
from .recipes import Run
from .sources import predicted
from .train_options import TableOptions

FAR = 10.0  # interquartile ranges beyond the quartiles: such values decide how a column is scaled


def train(run: Run, path: str, options: TableOptions) -> None:
    """Train on a table: say what is done and why, test, save and draw."""
    reading, target = options.reading, options.target
    how = {name: getattr(options, name) for name in ("impute", "scale", "encode", "clip")}
    given = {name: word.replace("-", "_") for name, word in how.items() if word}
    words: dict[str, Any] = {name: None if word == "none" else word for name, word in given.items()}
    prepare = tabular.PreprocessingSpec(**words)
    run = replace(run, asked={**run.asked, "scale": words.get("scale", "")})
    target = the_target(path, reading, target)
    if clash := [name for name in ("categorical", "numeric", "dates") if target in reading[name]]:
        raise click.UsageError(f"--{clash[0]} is for other columns than the target; give --target-type text or number")
    if unknown := [name for name in (*options.keep, *options.drop, *options.text) if name == target]:
        raise click.UsageError(f"--keep, --drop and --text are for other columns than the target {unknown[0]!r}")
    table = read(path, reading, target)
    features = table.drop(target).drop("file") if Path(path).is_dir() else table.drop(target)
    table, written = tabular.target_as_numbers(table, target, how_read(reading), options.target_type)
    aim = tabular.read_target(table, target, options.task, written)
    if (run.class_weight or run.oversample) and not aim.class_names:
        option = "--oversample" if run.oversample else "--class-weight"
        raise click.UsageError(f"{option} is for classes, but this is a {aim.sentence}; --task decides otherwise")
    try:
        columns = tabular.choose_columns(features, options.keep, options.drop, options.text)
    except DataError as error:
        if "no column to learn from" in str(error) and not aim.class_names:
            raise DataError(f"{error}. If it is a series of values in time, give --forecast") from None
        raise
    table, dropped = tabular.with_target(table, target)
    test = None if options.test is None else other_file(options.test, reading, columns, aim)
    describe(run, path, table, dropped, columns, aim, prepare)
    if options.folds:
        last = cross_validate(run, table, columns, aim, prepare, options.folds)
        model, _, _ = fitted(run, table, columns, aim, prepare)
        run.say(f"the model saved is the last one, trained on all {len(table)} rows without a test set")
    else:
        if test is None:
            rows, test_rows = one_split(table, aim, run.seed)
            table, test, where = table.take(rows), table.take(test_rows), "test set"
        else:
            where = str(options.test)
            if again := in_both(table, test, [*columns.names, aim.name]):
                run.say(f"note: {again} of {len(test)} test rows are among the training rows; of new rows the result "
                        "may be worse")  # fmt: skip
        run.say(f"{len(table)} training and {len(test)} test rows")
        model, preprocessing, known = fitted(run, table, columns, aim, prepare)
        truth, found = tried(model, preprocessing, known, test)
        run.say(f"\n{where}, {len(test)} rows\n{result_text(truth, found, aim)}\n")
        scores = scores_of(truth, found, aim, table)
        model.notes["test"] = scores
        for name, score in [*scores.items()][1:] if aim.class_names else ():
            run.say(f"test {name} {score:.4f}")
        name, score = next(iter(scores.items()))
        last = f"test {name} {score:.4f}"
    if not Path(path).is_dir():
        model.notes["sha256"] = files.digest(path)
    model.notes["reading"] = {name: value for name, value in reading.items() if value and name in KEPT}
    run.keep(model)
    click.echo(last)


def the_target(path: str, reading: dict[str, Any], target: str | None) -> str:
    """The column to predict; where none is given, that of a kind of file that says it, else the error that asks."""
    there = names(path, reading)
    if target is not None:
        if target not in there and first_line_is_data(path, reading):
            raise DataError(f"{path} has no column {target!r}, and its first line ({tabular.listed(there)}) looks like "
                            f"data; give --no-header, and the columns are called 1 to {len(there)}")  # fmt: skip
        return target
    if (Path(path).is_dir() or path.lower().endswith(".ts")) and (
        own := [n for n in ("class", "target") if n in there]
    ):
        return own[0]
    hint = f"one of {tabular.listed(there)}"
    if first_line_is_data(path, reading):
        hint = (f"but the first line ({tabular.listed(there)}) looks like data: give --no-header too, and the columns "
                f"are called 1 to {len(there)}")  # fmt: skip
    raise click.UsageError(f"a table needs --target COLUMN, the column to predict, {hint}; or, if it is a series of "
                           "values in time, --forecast")  # fmt: skip


def other_file(path: str, reading: dict[str, Any], columns: tabular.Columns, aim: tabular.Target) -> data.Table:
    """The rows of a test file whose target is known, read as the file of the training was."""
    kinds = {kind: getattr(columns, kind) for kind in KINDS}
    table = tabular.as_in_training(read_like(path, reading, kinds, aim.name), aim, how_read(reading))
    if lacking := [name for name in columns.names if name not in table.names]:
        raise DataError(f"{path} lacks the column{'s' * (len(lacking) > 1)} {tabular.listed(lacking)}, which the "
                        "training file has")  # fmt: skip
    aim.encode(table[aim.name])  # errors count rows as the file does
    return tabular.with_target(table, aim.name)[0]


def in_both(table: data.Table, test: data.Table, columns: list[str]) -> int:
    """How many rows of a test are rows of the training, in those columns."""
    seen, asked = (zip(*(map(str, t[name].tolist()) for name in columns), strict=True) for t in (table, test))
    known = set(seen)
    return sum(row in known for row in asked)


def describe(
    run: Run,
    path: str,
    table: data.Table,
    dropped: int,
    columns: tabular.Columns,
    aim: tabular.Target,
    prepare: tabular.PreprocessingSpec,
) -> None:
    """What is learnt, from which columns, how they become numbers, and what is left out."""
    run.say(f"{path}: {len(table)} rows" + (f" ({dropped} more without a target, left out)" if dropped else ""))
    run.say(aim.sentence)
    for remark in table.remarks:
        run.say(f"note: {in_own_words(remark)}")
    if words := [name for name in aim.class_names if name in MISSING and not aim.class_values]:
        run.say(f"note: {', '.join(map(repr, words))} is taken as a class of {aim.name!r}; "
                f"--missing {words[0]} says that it means missing")  # fmt: skip
    for kind in tabular.PARTS:
        if there := getattr(columns, kind):
            run.say(f"{kind}: {tabular.listed(there, 30)}")
    for name, reason in columns.left_out.items():
        run.say(f"left out: {name}, {reason}")
    for remark in columns.remarks:
        run.say(f"note: {remark}")
    if not aim.class_names and columns.names == columns.dates:
        run.say("note: there are but dates to learn from; if the next values of a series are to be forecast, give "
                "--forecast")  # fmt: skip
    if aim.class_names:
        run.say(balance_text(data.balance(aim.encode(table[aim.name]), aim.class_names), run))
    if text := prepare.filled(table, columns):
        run.say(text)
    if text := far_values(table, columns, prepare.clip):
        run.say(text)
    for text, of in tabular.leaks(table, columns, aim):
        drop = " ".join(f"--drop {name}" for name in of)
        run.say(f"note: {text}; if that is not known when the model is used, leave it out: {drop}")


def balance_text(balance: data.Balance, run: Run) -> str:
    """How large the classes are; where they are unequal, what is done, or can be done."""
    text = str(balance).split("; ")[0]
    if not balance.uneven:
        return text
    text += f"; always saying the largest is right for {balance.majority:.0%}: look at balanced_accuracy and f1_macro"
    if run.class_weight:
        return f"{text}; errors in small classes weigh more (--class-weight {run.class_weight})"
    if run.oversample:
        return f"{text}; training rows of small classes are repeated (--oversample)"
    return f"{text}; --class-weight balanced or --oversample makes small classes count as much"


def far_values(table: data.Table, columns: tabular.Columns, clip: str | None) -> str:
    """One line on the values that are so far from the others that they matter, or that are clipped."""
    numbers = data.Table({name: table[name] for name in columns.numbers}, table.source)
    found = data.outliers(numbers, clip or "iqr", None if clip else FAR).columns
    if not found:
        return ""
    text = "; ".join(far.sentence for far in found[:3])
    more = f"; and {len(found) - 3} more columns" if len(found) > 3 else ""
    advice = "" if clip else " (--clip iqr moves such values nearer)"
    return f"outliers, {'clipped' if clip else 'kept'}: {text}{more}{advice}"


def fitted(
    run: Run, table: data.Table, columns, aim, prepare: tabular.PreprocessingSpec, verbose: int = 1
) -> tuple[Model, tabular.FittedPreprocessing, tabular.Target]:
    """A model fitted to rows, with the transformers and the target's scale learnt from the same rows, kept in it."""
    run, prepare = by_size(run, prepare, len(table), columns)
    preprocessing = tabular.FittedPreprocessing.fit(table, columns, prepare)
    aim = aim.scaled_on(table[aim.name])
    x, y = preprocessing.transform(table), aim.encode(table[aim.name])
    outputs, columns = len(aim.class_names) or None, preprocessing.in_pieces()
    model = run.learn(x.astype(run.dtype), y, outputs, verbose, columns)
    tabular.keep_in(model, preprocessing, aim)
    return model, preprocessing, aim


def by_size(
    run: Run, prepare: tabular.PreprocessingSpec, rows: int, columns: tabular.Columns
) -> tuple[Run, tabular.PreprocessingSpec]:
    """The recipe for a table of that size, and columns in its pieces, unless the user asked for layers or scales.

    Words make thousands of inputs, for which several nets take four times as long and are no better.
    """
    asked = dict(run.asked)
    scale = asked.pop("scale", "")
    if columns.texts or asked.get("hidden") is not None or asked.get("dropout") is not None:
        return run, prepare
    recipe = for_table(rows, len(columns.names)).changed(**asked)
    recipe = replace(recipe, validation=recipe.validation or run.recipe.validation)
    if recipe.pieces and scale == "":
        prepare = replace(prepare, scale="pieces")
    return replace(run, recipe=recipe), prepare


def tried(model: Model, preprocessing, aim: tabular.Target, table: data.Table) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted class numbers, or values in the target's units."""
    output = predicted(model, preprocessing.transform(table).astype(model.dtype), preprocessing.feature_names())
    if aim.class_names:
        return aim.encode(table[aim.name]), output.argmax(axis=1)
    return table[aim.name], aim.decode(output)


def scores_of(truth: np.ndarray, found: np.ndarray, aim: tabular.Target, table: data.Table) -> dict[str, float]:
    """The scores of a test; of classes that are unequal among the training rows also those that accuracy hides."""
    scores = report.scores(truth, found, bool(aim.class_names))
    if aim.class_names and data.balance(aim.encode(table[aim.name])).uneven:
        scores |= report.uneven_scores(truth, found, len(aim.class_names))
    return scores


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
        scores = scores_of(truth, found, aim, table)
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
