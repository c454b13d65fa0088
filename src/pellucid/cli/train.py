"""``pellucid train``: what DATA is, and who trains on it. Imports click at the top."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ..data.files import unpacked_name
from . import completion, files, sources, train_options
from .recipes import RECIPES, Run

WAYS = {  # endings of files that are no tables, and what can be done with them
    ".npy": "an array has no targets beside it; in Python: pellucid.Model(...).fit(numpy.load(...), y)",
    ".npz": "in Python: pellucid.Model(...).fit(x, y) with its arrays; or, if it is CIFAR, pellucid train cifar --data",
    ".wav": "read sound in Python, scipy.io.wavfile.read, cut it by pellucid.data.windows, and fit a pellucid.Model",
    ".mp3": "convert it to wav, read it in Python by scipy.io.wavfile.read, and fit a pellucid.Model",
    ".json": "make it a table: pandas.read_json(...).to_csv(..., index=False)",
    ".jsonl": "make it a table: pandas.read_json(..., lines=True).to_csv(..., index=False)",
    ".pel": "it is a model; pellucid evaluate and pellucid predict take it",
    **dict.fromkeys(sources.PICTURE_SUFFIXES, "pictures lie in a folder with a subfolder for each class; give that"),
}


@click.command("train", short_help="Train a net on digits, a table, a series, pictures or a text.")
@click.argument("what", metavar="DATA", shell_complete=completion.path("file", *sources.WORDS))
@train_options.all_of_them
def command(what: str, **given: Any) -> None:
    """Train a net, test it on samples it has not seen, save it, and draw its learning curves.

    DATA is digits (scikit-learn's 8x8 digits), mnist or cifar, a table (CSV, also packed; Parquet, Excel, ARFF, .ts),
    with --forecast a series of values in time, a folder of pictures or of texts with a subfolder for each class, or a
    text, FILE.txt, to learn to write like it, a character at a time. One fifth of the samples is the test set (MNIST
    and CIFAR have their own, --test gives another), which training never sees; of a text the last tenth says when to
    stop. The last line printed is the result.

    \b
    Examples:
      pellucid train digits
      pellucid train titanic.csv --target Survived --folds 5
      pellucid train train.csv --target label --test test.csv --class-weight balanced
      pellucid train iris.data --no-header --target 5
      pellucid train temperatures.csv --forecast --target Temp --date Date --horizon 7
      pellucid train reviews/
      pellucid train mnist --data mnist/ --net lenet5 --epochs 10
      pellucid train pictures/ --size 32 --net resnet20
      pellucid train shakespeare.txt --units 128,128
    """
    must_go_together(given)
    kind = kind_of(what, given["target"] is not None, given["forecast"])
    train_options.check(kind, what, given | given["reading"])
    if kind in ("mnist", "cifar") and given["folder"] is None:
        raise click.UsageError(f"{kind} needs --data FOLDER, {sources.FOLDERS[kind]}")
    run = run_of(kind, what, given)
    if kind == "table":
        from . import tables

        tables.train(run, what, train_options.chosen(train_options.TableOptions, given))
    elif kind == "series":
        from . import series

        series.train(run, what, train_options.chosen(train_options.SeriesOptions, given))
    elif kind == "text":
        from . import text

        text.train(run, what)
    else:
        from . import pictures

        pictures.train(run, kind, what, train_options.chosen(train_options.PictureOptions, given))


def must_go_together(given: Mapping[str, Any]) -> None:
    """Raise the error for options that do not go with one another."""
    if given["no_plot"] and given["plot"]:
        raise click.UsageError("give --plot FILE or --no-plot, not both")
    if given["resume"] and given["checkpoint"] is None:
        raise click.UsageError("--resume needs --checkpoint FOLDER, where the training was written to")
    for one, other, why in (("folds", "test", ", which has the test set already"),
                            ("oversample", "class_weight", ": each makes small classes count as much")):  # fmt: skip
        if given[one] and given[other]:
            raise click.UsageError(f"--{one} does not go with --{other.replace('_', '-')}{why}")
    if given["checkpoint"] is not None and given["folds"]:
        raise click.UsageError("--checkpoint does not go with --folds, which trains many nets")


def run_of(kind: str, what: str, given: Mapping[str, Any]) -> Run:
    """What is asked for any kind of data: the recipe, the files to be written, and what computes."""
    from .. import executors

    computing = executors.get(given["executor"])  # an unknown name is an error now
    if given["dump_folder"] is not None:
        executors.must_dump(computing)
        files.folder(given["dump_folder"], "the plan and the machine code")
    kept = None if given["checkpoint"] is None else checkpoints(given["checkpoint"], given["resume"])
    name = kind if what in sources.WORDS else Path(unpacked_name(what)).resolve().stem
    inputs = [path for path in (what, given["test"]) if path]
    model = files.output(given["output"] or f"{name}.pel", files.MODELS, "a model", inputs)
    plot = given["plot"] or model.with_suffix(".png")
    picture = None if given["no_plot"] else files.output(plot, files.PICTURES, "a picture", inputs)
    asked = {name: given[name] for name in ("epochs", "learning_rate", "hidden", "dropout")}
    same = ("batch_size", "seed", "dtype", "executor", "quiet", "threads", "dump_folder", "resume", "class_weight",
            "oversample")  # fmt: skip
    return Run(RECIPES[kind].changed(**asked), model, picture, checkpoint=kept, asked=asked,
               **{name: given[name] for name in same})  # fmt: skip


def checkpoints(path: str, resume: bool) -> Path:
    """The folder of a training's checkpoints, which has none yet, or from which it is to go on."""
    from .. import Checkpoint, DataError

    kept = files.folder(path, "the checkpoints")
    if not resume and Checkpoint(kept).files():
        raise DataError(f"{path} holds checkpoints of an earlier training; go on with it by --resume, or give another "
                        "folder")  # fmt: skip
    return kept


def kind_of(what: str, target: bool, forecast: bool) -> str:
    """digits, mnist, cifar, images, text, series or table, from what the user names.

    A .txt file with a --target is a table, and so is a folder of texts.
    """
    from .. import DataError
    from ..data.tablefile import ENDINGS, OTHERS, ending
    from ..data.texts import text_files

    place = Path(what)
    if what in sources.WORDS:
        if forecast:
            raise click.UsageError(f"--forecast does not go with {what}; it takes a table with a column of values")
        return what
    if place.is_dir():
        if forecast:
            raise click.UsageError(f"--forecast takes a file, and {what} is a folder")
        if any(place.glob("train-images*")):
            raise DataError(f"{what} holds idx files; did you mean: pellucid train mnist --data {what}")
        if any(place.glob("data_batch*")):
            raise DataError(f"{what} holds CIFAR's files; did you mean: pellucid train cifar --data {what}")
        if any(place.glob("*/*.wav")):
            raise DataError(f"{what} holds sounds: {WAYS['.wav']}")
        texts = text_files(place)
        if texts and all(text.parent == place for text in texts) and not any(p.is_dir() for p in place.iterdir()):
            raise DataError(f"{what} has texts but no subfolders; expected one for each class")
        return "table" if texts and not any(map(sources.is_picture, place.glob("*/*"))) else "images"
    if not place.exists():
        words = " or ".join(f"{word} ({meaning})" for word, meaning in sources.WORDS.items())
        raise DataError(f"{what}: there is no such file or folder; DATA may also be {words}")
    suffix = ending(what)
    if suffix == ".txt" and not target and not forecast:
        return "text"
    if suffix not in ENDINGS:
        others = "give a table (.csv, .tsv, .parquet, .xlsx, .arff, .ts), a text (.txt), a folder of pictures or texts"
        way = (WAYS | OTHERS).get(suffix, f"{others}, digits, mnist or cifar")
        raise DataError(f"{what}: cannot train on a {suffix} file; {way}")
    return "series" if forecast else "table"
