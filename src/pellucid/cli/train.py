"""``pellucid train``: its options, and the training on digits, MNIST and pictures. Imports click at the top."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from . import completion, files, options, sources
from .learning import RECIPES, Run

# ways to prepare a table's columns, with - for _ and none for None; tabular, which knows them, is slow to import
IMPUTE, SCALE = ["median", "mean", "most-frequent", "neighbours"], ["standard", "minmax", "robust", "none"]
ENCODE, CLIP = ["one-hot", "binary", "ordinal"], ["iqr", "robust-z"]


def whole_numbers(_: Any, __: Any, text: str | None) -> tuple[int, ...] | None:
    """--hidden: units of each hidden layer; "none" for a net without any."""
    if text is None:
        return None
    if text.strip().lower() in ("none", "0", ""):
        return ()
    try:
        units = tuple(int(part) for part in text.split(","))
    except ValueError:
        units = (0,)
    if min(units) < 1:
        raise click.BadParameter(f"expected whole numbers such as 64,32 (or none), got {text!r}")
    return units


def batch(_: Any, __: Any, text: str | None) -> int | str | None:
    """--batch-size: a whole number, or all."""
    if text is None or text == "all":
        return text
    if not text.isdecimal() or int(text) < 1:
        raise click.BadParameter(f"expected a whole number >= 1, or all, got {text!r}")
    return int(text)


def above_zero(_: Any, __: Any, value: float | None) -> float | None:
    """--learning-rate: a number > 0."""
    if value is not None and not 0 < value < float("inf"):
        raise click.BadParameter(f"expected a number > 0, got {value}")
    return value


def height_width(_: Any, __: Any, text: str | None) -> tuple[int, int] | None:
    """--size: 32, or 24x32 (height x width)."""
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() and int(part) for part in parts):
        raise click.BadParameter(f"expected pixels such as 32, or 24x32 (height x width), got {text!r}")
    return int(parts[0]), int(parts[-1])


@click.command("train", short_help="Train a net on digits, a CSV file, MNIST, pictures or a text.")
@click.argument("what", metavar="DATA", shell_complete=completion.path("file", "digits", "mnist"))
@click.option("--target", metavar="COLUMN", help="CSV: the column to predict.")
@click.option(
    "--task", type=click.Choice(["classification", "regression"]), help="CSV: instead of telling it from the target."
)
@click.option(
    "--target-type",
    type=click.Choice(["text", "number"]),
    help="CSV: whether 1, 01 and 1.0 are three classes or one. Default: told from the target.",
)
@click.option("--folds", type=click.IntRange(min=2), metavar="K", help="CSV: cross-validate instead of one test set.")
@click.option("--keep", multiple=True, metavar="COLUMN", help="CSV: use it though it looks useless; repeatable.")
@click.option("--drop", multiple=True, metavar="COLUMN", help="CSV: leave this column out; repeatable.")
@click.option("--impute", type=click.Choice(IMPUTE), help="CSV: what fills missing numbers. Default: median.")
@click.option("--scale", type=click.Choice(SCALE), help="CSV: how numbers are scaled. Default: standard.")
@click.option("--encode", type=click.Choice(ENCODE), help="CSV: categories as columns. Default: one-hot.")
@click.option("--clip", type=click.Choice(CLIP), help="CSV: move numbers far from the others nearer. Default: no.")
@options.reading
@click.option(
    "--data",
    "folder",
    metavar="FOLDER",
    shell_complete=completion.FOLDER,
    help="mnist: the folder of its four idx files.",
)
@click.option(
    "--size", callback=height_width, metavar="PIXELS", help="Pictures: scale to 32, or 24x32 (height x width)."
)
@click.option("--skip-bad", is_flag=True, help="Pictures: leave out files that cannot be read.")
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    help="Passes over the training samples, at most. Default: 60 digits, 10 mnist, 200 CSV, 100 pictures or text.",
)
@click.option("--batch-size", callback=batch, metavar="N|all", help="Samples a step.")
@click.option("--learning-rate", type=float, callback=above_zero, help="Adam's step size.")
@click.option(
    "--hidden",
    "--units",
    "hidden",
    callback=whole_numbers,
    metavar="64,32|none",
    help="Units of the hidden layers; of a text these are LSTM layers.",
)
@click.option(
    "--dropout", type=click.FloatRange(0, 1, max_open=True), help="Share of hidden values dropped in training, 0 to 1."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of all that is random.")
@click.option("--dtype", type=click.Choice(["float32", "float64"]), default="float32", show_default=True)
@options.executor
@options.threads
@click.option(
    "--output",
    "--model",
    "output",
    metavar="MODEL.pel",
    shell_complete=completion.FILE,
    help="Where to save the model. Default: the data's name, in this folder.",
)
@click.option(
    "--plot",
    metavar="FILE.png",
    shell_complete=completion.FILE,
    help="Where to draw the learning curves. Default: beside the model.",
)
@click.option(
    "--dump",
    "dump_folder",
    metavar="FOLDER",
    shell_complete=completion.FOLDER,
    help="Write the plan and the machine code there, to be read.",
)
@click.option(
    "--checkpoint",
    metavar="FOLDER",
    shell_complete=completion.FOLDER,
    help="Write the training there as it runs, every epoch or 10 minutes.",
)
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint, if there is one, to the same result.")
@click.option("--no-plot", is_flag=True, help="Draw nothing.")
@click.option("-q", "--quiet", is_flag=True, help="Print the last line alone.")
@options.debug
def command(
    what,
    folder,
    size,
    skip_bad,
    output,
    plot,
    no_plot,
    epochs,
    learning_rate,
    hidden,
    dropout,
    batch_size,
    seed,
    dtype,
    executor,
    threads,
    dump_folder,
    checkpoint,
    resume,
    quiet,
    reading,
    **table,
) -> None:
    """Train a net, test it on samples it has not seen, save it, and draw its learning curves.

    DATA is digits (scikit-learn's 8x8 digits), mnist, a CSV file, a folder of pictures with a subfolder for each
    class, or a text, FILE.txt, to learn to write like it, a character at a time. One fifth of the samples is the test
    set (MNIST has its own), which training never sees; of a text the last tenth says when to stop. The last line
    printed is the result.

    \b
    Examples:
      pellucid train digits
      pellucid train titanic.csv --target Survived --folds 5
      pellucid train mnist --data mnist/ --epochs 10
      pellucid train pictures/ --size 32 --hidden 128,64
      pellucid train shakespeare.txt --units 128,128
    """
    from .. import Checkpoint, DataError, executors

    if no_plot and plot:
        raise click.UsageError("give --plot FILE or --no-plot, not both")
    if resume and checkpoint is None:
        raise click.UsageError("--resume needs --checkpoint FOLDER, where the training was written to")
    if checkpoint is not None and table["folds"]:
        raise click.UsageError("--checkpoint does not go with --folds, which trains many nets")
    kind = kind_of(what, table["target"] is not None)
    misplaced = {"data": kind != "mnist" and folder, "size": kind != "images" and size}
    misplaced |= {"skip-bad": kind != "images" and skip_bad}
    misplaced |= table | reading if kind != "table" else {}
    if wrong := [name for name, value in misplaced.items() if value]:
        hint = "; if it is a table, give --target COLUMN too" if kind == "text" and wrong[0] in table else ""
        raise click.UsageError(f"--{wrong[0].replace('_', '-')} does not go with {what}{hint}")
    if kind == "mnist" and folder is None:
        raise click.UsageError("mnist needs --data FOLDER, the folder of its four idx files")
    computing = executors.get(executor)  # an unknown name is an error now
    if dump_folder is not None:
        executors.must_dump(computing)
        files.folder(dump_folder, "the plan and the machine code")
    kept = None if checkpoint is None else files.folder(checkpoint, "the checkpoints")
    if kept is not None and not resume and Checkpoint(kept).files():
        raise DataError(f"{checkpoint} holds checkpoints of an earlier training; go on with it by --resume, or give "
                        "another folder")  # fmt: skip
    name = kind if what in sources.WORDS else Path(options.unpacked_name(what)).resolve().stem
    model = files.output(output or f"{name}.pel", files.MODELS, "a model", [what])
    picture = None if no_plot else files.output(plot or model.with_suffix(".png"), files.PICTURES, "a picture", [what])
    recipe = RECIPES[kind].changed(epochs=epochs, learning_rate=learning_rate, hidden=hidden, dropout=dropout)
    run = Run(recipe, model, picture, batch_size, seed, dtype, executor, quiet, threads, dump_folder, kept, resume)
    if kind == "table":
        from .tables import train

        train(run, what, reading=reading, **table)
    elif kind == "text":
        from . import text

        text.train(run, what)
    elif kind == "digits":
        pixels(run, kind, *sources.digits_parts(), (1, 8, 8), 16)
    elif kind == "mnist":
        train_part, test_part = sources.mnist_parts(folder)
        side = round(train_part.x.shape[1] ** 0.5)
        if train_part.x.shape[1] != test_part.x.shape[1] or side * side != train_part.x.shape[1]:
            raise DataError(f"{folder}: the pictures are not square, or differ in size between training and test")
        pixels(run, kind, train_part, test_part, (1, side, side), 255)
    else:
        whole = sources.folder_of_classes(what, size, skip_bad, run.say)
        pixels(run, whole.name, *whole.split(0.2, seed=seed), whole.x.shape[1:], 255)


def kind_of(what: str, target: bool) -> str:
    """digits, mnist, images, text or table, from what the user names; a .txt file with a --target is a table."""
    from .. import DataError

    place = Path(what)
    if what in sources.WORDS:
        return what
    if place.is_dir():
        if any(place.glob("train-images*")):
            raise DataError(f"{what} holds idx files; did you mean: pellucid train mnist --data {what}")
        return "images"
    if not place.exists():
        words = " or ".join(f"{word} ({meaning})" for word, meaning in sources.WORDS.items())
        raise DataError(f"{what}: there is no such file or folder; DATA may also be {words}")
    suffix = Path(options.unpacked_name(what)).suffix.lower()
    if suffix == ".txt" and not target:
        return "text"
    if suffix not in (".csv", ".tsv", ".txt", ""):
        raise DataError(
            f"{what}: cannot train on a {place.suffix} file; give a CSV file, a text (.txt), a folder of pictures, "
            "digits or mnist"
        )
    return "table"


def pixels(run: Run, source: str, train, test, image: tuple[int, ...], scale: int) -> None:
    """Train on pixels in 0..1, test, save and draw."""
    from .. import DataError, report

    if len(train.class_names) < 2:
        raise DataError(f"{source}: one class only ({train.class_names[0]}), there is nothing to tell apart")
    run.say(f"{source}: {len(train)} training and {len(test)} test samples of {len(train.class_names)} classes")
    model = run.learn(train.x, train.y, len(train.class_names))
    predicted = model.predict(test.x).argmax(axis=1)
    accuracy = report.scores(test.y, predicted, classes=True)["accuracy"]
    run.say(f"\ntest set, {len(test)} samples\n{report.classes_text(test.y, predicted, train.class_names)}\n")
    model.notes |= sources.notes(source, train, image, scale) | {"test": {"accuracy": accuracy}}
    run.keep(model)
    click.echo(f"test accuracy {accuracy:.4f}")
