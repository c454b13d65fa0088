"""The options of ``pellucid train``, and the kinds of data that each goes with. Imports click."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar

import click

from . import completion, options

# ways to prepare a table's columns, with - for _ and none for None; tabular, which knows them, is slow to import
IMPUTE, SCALE = ["median", "mean", "most-frequent", "neighbors"], ["standard", "minmax", "robust", "pieces", "none"]
ENCODE, CLIP = ["one-hot", "binary", "ordinal"], ["iqr", "robust-z"]
NETS = ["dense", "lenet5", "resnet20"]


class Impute(click.Choice):
    """Its words, and the one that was spelled otherwise before."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "neighbours":
            click.echo("note: --impute neighbours is now spelled neighbors; the old word will be removed", err=True)
            value = "neighbors"
        return super().convert(value, param, ctx)


PIXELS, TABLE, SERIES = ("digits", "mnist", "cifar", "images"), ("table",), ("series",)
GROUPS = (  # of options that go with some kinds of data alone; others go with all
    (TABLE, ("task", "target_type", "folds", "keep", "drop", "text", "impute", "scale", "encode", "clip", "categorical",
             "numeric")),
    ((*TABLE, *SERIES), ("target", "sep", "no_header", "no_quotes", "dates", "missing", "decimal", "thousands")),
    ((*TABLE, "images"), ("test",)),
    ((*TABLE, *PIXELS), ("class_weight", "oversample")),
    (SERIES, ("date", "horizon", "window", "season", "fill")),
    (("mnist", "cifar"), ("folder",)),
    (("images",), ("size", "skip_bad")),
    (PIXELS, ("net", "class_names")),
    ((*TABLE, *PIXELS, "text"), ("checkpoint", "resume")),
)  # fmt: skip
KINDS = {option: kinds for kinds, group in GROUPS for option in group}
CALLED = {"folder": "data"}  # where the option has another name


@dataclass(frozen=True)
class TableOptions:
    """What was asked for a table: `OF_TABLES`; ``reading`` has the options that say how the file is read."""

    reading: dict[str, Any]
    target: str | None
    task: Literal["classification", "regression"] | None
    target_type: str | None
    test: str | None
    folds: int | None
    keep: tuple[str, ...]
    drop: tuple[str, ...]
    text: tuple[str, ...]
    impute: str | None
    scale: str | None
    encode: str | None
    clip: str | None


@dataclass(frozen=True)
class SeriesOptions:
    """What was asked for a series of values: `OF_SERIES`; ``reading`` as for a table."""

    reading: dict[str, Any]
    target: str | None
    date: str | None
    horizon: int | None
    window: int | None
    season: int | None
    fill: bool


@dataclass(frozen=True)
class PictureOptions:
    """What was asked for pictures: `OF_PICTURES`."""

    folder: str | None
    net: str | None
    size: tuple[int, int] | None
    skip_bad: bool
    class_names: str | None
    test: str | None


Options = TypeVar("Options", TableOptions, SeriesOptions, PictureOptions)


def chosen(kind: type[Options], given: Mapping[str, Any]) -> Options:
    """Those of all options that a kind of data has."""
    return kind(**{f.name: given[f.name] for f in fields(kind)})


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


OF_TABLES = (
    click.option("--target", metavar="COLUMN", help="CSV: the column to predict; of a series, the one to continue."),
    click.option("--task", type=click.Choice(["classification", "regression"]),
                 help="CSV: instead of telling it from the target."),
    click.option("--target-type", type=click.Choice(["text", "number"]),
                 help="CSV: whether 1, 01 and 1.0 are three classes or one. Default: told from the target."),
    click.option("--test", metavar="FILE", shell_complete=completion.FILE,
                 help="CSV, pictures: test on these, in place of a fifth of DATA."),
    click.option("--folds", type=click.IntRange(min=2), metavar="K",
                 help="CSV: cross-validate instead of one test set."),
    click.option("--keep", multiple=True, metavar="COLUMN", help="CSV: use it though it looks useless; repeatable."),
    click.option("--drop", multiple=True, metavar="COLUMN", help="CSV: leave this column out; repeatable."),
    click.option("--text", multiple=True, metavar="COLUMN", help="CSV: learn from the words in it; repeatable."),
    click.option("--impute", type=Impute(IMPUTE), help="CSV: what fills missing numbers. Default: median."),
    click.option("--scale", type=click.Choice(SCALE), help="CSV: how numbers are scaled. Default: by the rows."),
    click.option("--encode", type=click.Choice(ENCODE), help="CSV: categories as columns. Default: one-hot."),
    click.option("--clip", type=click.Choice(CLIP), help="CSV: move numbers far from the others nearer. Default: no."),
    click.option("--class-weight", type=click.Choice(["balanced"]),
                 help="Classes: errors in small classes weigh as much as those in large ones."),
    click.option("--oversample", is_flag=True,
                 help="Classes: repeat training samples of small classes until all are as large."),
)  # fmt: skip

OF_SERIES = (
    click.option("--forecast", is_flag=True, help="CSV: learn how the values of --target go on in time."),
    click.option("--date", metavar="COLUMN", help="Forecast: the column of dates. Default: the only one."),
    click.option("--horizon", type=click.IntRange(1, 10_000), metavar="N",
                 help="Forecast: steps ahead that are learnt together. Default: 1."),
    click.option("--window", type=click.IntRange(1, 100_000), metavar="N",
                 help="Forecast: past values that each forecast is made of. Default: by the season."),
    click.option("--season", type=click.IntRange(2, 100_000), metavar="N",
                 help="Forecast: steps until a pattern repeats. Default: by the dates, 12 for months, 7 for days."),
    click.option("--fill", is_flag=True, help="Forecast: take what lies between the neighbors of missing values."),
)  # fmt: skip

OF_PICTURES = (
    click.option("--data", "folder", metavar="FOLDER", shell_complete=completion.FOLDER,
                 help="mnist: the folder of its four idx files; cifar: that of its binary files, or an archive."),
    click.option("--net", type=click.Choice(NETS),
                 help="Pictures: dense layers (--hidden), or a convolutional net. Default: lenet5 up to 32 x 32, gray "
                 "or fewer than 2000, resnet20 for others, dense below 12 x 12."),
    click.option("--size", callback=height_width, metavar="PIXELS",
                 help="Pictures: scale to 32, or 24x32 (height x width)."),
    click.option("--skip-bad", is_flag=True, help="Pictures: leave out files that cannot be read."),
    click.option("--class-names", metavar="A,B,...|FILE", shell_complete=completion.FILE,
                 help="Pictures: what the classes 0, 1, ... are called; or a file with one name a line."),
)  # fmt: skip

OF_TRAINING = (
    click.option("--epochs", type=click.IntRange(min=1),
                 help="Passes over the training samples, at most. Default: 60 digits, 10 mnist, 30 resnet20, 200 CSV, "
                 "100 pictures or text."),
    click.option("--batch-size", callback=batch, metavar="N|all", help="Samples a step."),
    click.option("--learning-rate", type=float, callback=above_zero, help="Adam's step size."),
    click.option("--hidden", "--units", "hidden", callback=whole_numbers, metavar="64,32|none",
                 help="Units of the hidden layers; of a text these are LSTM layers."),
    click.option("--dropout", type=click.FloatRange(0, 1, max_open=True),
                 help="Share of hidden values dropped in training, 0 to 1."),
    click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of all that is random."),
    click.option("--dtype", type=click.Choice(["float32", "float64"]), default="float32", show_default=True),
    options.executor,
    options.threads,
    click.option("--output", "--model", "output", metavar="MODEL.pel", shell_complete=completion.FILE,
                 help="Where to save the model. Default: the data's name, in this folder."),
    click.option("--plot", metavar="FILE.png", shell_complete=completion.FILE,
                 help="Where to draw the learning curves. Default: beside the model."),
    click.option("--dump", "dump_folder", metavar="FOLDER", shell_complete=completion.FOLDER,
                 help="Write the plan and the machine code there, to be read."),
    click.option("--checkpoint", metavar="FOLDER", shell_complete=completion.FOLDER,
                 help="Write the training there as it runs, every epoch or 10 minutes."),
    click.option("--resume", is_flag=True,
                 help="Go on from the last checkpoint, if there is one, to the same result."),
    click.option("--no-plot", is_flag=True, help="Draw nothing."),
    click.option("-q", "--quiet", is_flag=True, help="Print the last line alone."),
    options.debug,
)  # fmt: skip


def all_of_them(command: Callable) -> Callable:
    """The options of `train`, in groups by what they are for."""
    for option in reversed(OF_SERIES + OF_PICTURES + OF_TRAINING):
        command = option(command)
    command = options.reading(command)
    for option in reversed(OF_TABLES):
        command = option(command)
    return command


def check(kind: str, what: str, given: dict[str, Any]) -> None:
    """Raise the error for an option that does not go with this kind of data, and say what it goes with."""
    for name, value in given.items():
        if value and kind not in KINDS.get(name, (kind,)):
            option = f"--{CALLED.get(name, name).replace('_', '-')}"
            hint = ""
            if KINDS[name] == SERIES and kind == "table":
                hint = "; for a series of values in time give --forecast too"
            elif kind == "text" and "table" in KINDS[name]:
                hint = "; if it is a table, give --target COLUMN too"
            elif kind == "series" and "table" in KINDS[name]:
                hint = " with --forecast"
            raise click.UsageError(f"{option} does not go with {what}{hint}")
