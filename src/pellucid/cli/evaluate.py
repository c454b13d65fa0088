"""``pellucid evaluate``: a saved model on data whose answers are known. Imports click at the top."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from . import completion, files, options, sources


@click.command("evaluate", short_help="Test a model on data whose answers are known.")
@click.argument("model_file", metavar="MODEL", shell_complete=completion.FILE)
@click.argument("what", metavar="DATA", shell_complete=completion.path("file", "digits"))
@click.option(
    "--target",
    metavar="COLUMN|FILE",
    shell_complete=completion.FILE,
    help="CSV: the column of answers, if not named as in training. Arrays: a .npy or idx file of classes.",
)
@options.reading
@options.invert
@options.executor
@options.threads
@options.debug
def command(model_file, what, target, invert, executor, threads, reading) -> None:
    """Compare a model's predictions with the known answers.

    DATA as for predict; for a model of a text, another text; for one that forecasts, another series. Pictures and texts
    lie in a subfolder for each class; a folder of MNIST's files and the word digits stand for their test sets. Where
    classes are unequal, balanced_accuracy and f1_macro are printed too. The last line printed is the result.

    \b
    Examples:
      pellucid evaluate digits.pel digits
      pellucid evaluate titanic.pel more-passengers.csv
      pellucid evaluate mnist.pel t10k-images-idx3-ubyte.gz --target t10k-labels-idx1-ubyte.gz
    """
    from .. import DataError, data, report
    from .notes import load

    model = load(model_file, executor=executor, threads=threads)
    if "sha256" in model.notes and Path(what).is_file() and files.digest(what) == model.notes["sha256"]:
        click.echo("note: this is the file that the model was trained on; on a new one it will do less well", err=True)
    if model.notes.get("kind") == "text":
        from . import text

        if target:
            raise click.UsageError("--target does not go with a model of a text")
        text.evaluate(model, model_file, what)
        return
    if model.notes.get("kind") == "series":
        from . import series

        series.evaluate(model, what, reading, target)
        return
    if model.notes.get("kind") == "table":
        truth, predicted = on_table(model, what, target, reading)
        names = model.notes["class_names"]
    else:
        samples = sources.read(model, what, target, invert)
        if samples.y is None:
            raise DataError(
                f"{what} does not say the classes of its samples; give --target FILE, "
                "or pictures in a subfolder for each class of the model"
            )
        names = sources.class_names(model)
        result = sources.by_class(model, sources.predicted(model, samples.x), names)
        truth, predicted = samples.y, result.argmax(axis=-1) if names else result
    click.echo(f"{len(truth)} samples")
    if names:
        click.echo(f"{report.classes_text(truth, predicted, names)}\n")
        if data.balance(truth).uneven:
            for name, score in report.uneven_scores(truth, predicted, len(names)).items():
                click.echo(f"{name} {score:.4f}")
        click.echo(f"accuracy {report.scores(truth, predicted, True)['accuracy']:.4f}")
        return
    columns = list(zip(truth.reshape(len(truth), -1).T, predicted.reshape(len(truth), -1).T, strict=True))
    for j, (own, found) in enumerate(columns, 1):
        scores = report.scores(own, found, False)
        of = f"output {j}: " if len(columns) > 1 else ""
        click.echo("\n".join(f"{of}{name} {scores[name]:.6g}" for name in ("MAE", "RMSE", "R2")))


def on_table(model, what: str, target: str | None, reading: dict[str, Any]):
    """True and predicted classes or values of the rows of a CSV file whose target is known."""
    from dataclasses import replace

    from .. import tabular
    from .reading import how_read, read_for
    from .tables import tried

    preprocessing, aim = tabular.restore(model)
    aim = replace(aim, name=target or aim.name)
    table = read_for(model, what, reading, aim.name)
    kept = {name: value or model.notes.get("reading", {}).get(name) for name, value in reading.items()}
    table = tabular.as_in_training(table, aim, how_read(kept))
    preprocessing.transform(table), aim.encode(table[aim.name])  # errors count rows as the file does
    table, dropped = tabular.with_target(table, aim.name)
    for remark in preprocessing.unseen(table):
        click.echo(f"note: {remark}", err=True)
    if dropped:
        click.echo(f"note: {dropped} rows without {aim.name!r} are left out", err=True)
    return tried(model, preprocessing, aim, table)
