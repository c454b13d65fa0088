"""``pellucid predict``: a model's predictions as CSV. Imports click at the top."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import click

from . import completion, files, options, sources


@click.command("predict", short_help="Write a model's predictions as CSV.")
@click.argument("model_file", metavar="MODEL", shell_complete=completion.FILE)
@click.argument("what", metavar="DATA", shell_complete=completion.path("file", "digits"))
@click.option(
    "--output", metavar="FILE.csv", shell_complete=completion.FILE, help="Where to write. Default: the terminal."
)
@click.option("--steps", type=click.IntRange(1, 100_000), metavar="N",
              help="Forecasts: how many values to add to the series. Default: the horizon of training.")  # fmt: skip
@options.reading
@options.invert
@options.executor
@options.threads
@options.debug
def command(model_file, what, output, steps, invert, executor, threads, reading) -> None:
    """Predict each sample of DATA, as lines of CSV: the class, its probability and those of all classes; or a value.

    DATA is a CSV file for a model of a table (columns are found by name, those that the model does not need are
    ignored; it is read as the file of the training was), a folder of texts, or one, for a model of texts, the series
    that is to go on, for a model that forecasts, else a .npy array, an idx file, a picture, a folder of pictures, or
    digits (its test set).

    \b
    Examples:
      pellucid predict titanic.pel passengers.csv --output survival.csv
      pellucid predict reviews.pel new-reviews/
      pellucid predict temperatures.pel temperatures.csv --steps 14
      pellucid predict digits.pel scan.png --invert
    """
    from .. import DataError, nn
    from .notes import load

    path = files.output(output, files.TABLES, "predictions", [model_file, what]) if output else None
    model = load(model_file, executor=executor, threads=threads)
    names = model.notes.get("class_names") or []
    if model.notes.get("kind") == "text":
        raise DataError(f"{model_file} is a model of a text, which writes: pellucid sample {model_file} --prompt TEXT")
    if steps is not None and model.notes.get("kind") != "series":
        raise click.UsageError("--steps is for a model that forecasts (pellucid train FILE.csv --forecast)")
    if model.notes.get("kind") == "series":
        from . import series

        heading, rows, column, result = series.predictions(model, what, reading, steps)
    elif model.notes.get("kind") == "table":
        from .. import tabular
        from .reading import read_for

        preprocessing, target = tabular.restore(model)
        table = read_for(model, what, reading)
        x = preprocessing.transform(table).astype(model.dtype)
        result = sources.predicted(model, x, preprocessing.feature_names())
        for remark in preprocessing.unseen(table):
            click.echo(f"note: {remark}", err=True)
        if not names:
            result = target.decode(result)[:, None]
        folder = Path(what).is_dir()
        rows = table["file"].tolist() if folder else [str(i) for i in range(1, len(table) + 1)]
        heading, column = "file" if folder else "row", target.name
    else:
        samples = sources.read(model, what, invert=invert)
        names = sources.class_names(model)
        result = sources.by_class(model, sources.predicted(model, samples.x), names)
        heading, rows, column = samples.heading, samples.names, "prediction"
    share = model.loss.link in (nn.softmax, nn.sigmoid)
    text = as_csv(heading, rows, column, result.reshape(len(result), -1), names, share)
    if path is None:
        click.echo(text, nl=False)
        return
    with files.whole(path) as part:
        Path(part).write_text(text, encoding="utf-8", newline="")
    click.echo(f"{len(rows)} predictions written to {path}")


def as_csv(heading: str, rows: list[str], column: str, result, names: list[str], share: bool = True) -> str:
    """Predictions as CSV: the classes' probabilities (or scores, of a loss without) by name, else the net's values."""
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n").writerow
    if names:
        what, short = ("probability", "p") if share else ("score", "score")
        write([heading, column, what, *(f"{short}({name})" for name in names)])
        for row, p in zip(rows, result.tolist(), strict=True):
            best = p.index(max(p))
            write([row, names[best], f"{p[best]:.6f}", *(f"{v:.6f}" for v in p)])
    else:
        several = result.shape[1] > 1
        write([heading, *([f"{column} {j + 1}" for j in range(result.shape[1])] if several else [column])])
        for row, values in zip(rows, result.tolist(), strict=True):
            write([row, *(f"{v:.8g}" for v in values)])
    return out.getvalue()
