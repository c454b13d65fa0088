"""Options that several commands have. Imports click."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click


def _set_debug(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    ctx.meta["pellucid.debug"] = value


debug = click.option("--debug", is_flag=True, expose_value=False, callback=_set_debug, help="Show errors in full.")
executor = click.option(
    "--executor",
    metavar="NAME",
    help="What computes, native or reference. Default: the environment's PELLUCID_EXECUTOR, or native.",
)
threads = click.option(
    "--threads",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="How many compute. Default: as many as are useful; the environment's PELLUCID_THREADS, if set, at most.",
)


def reading(command: Callable) -> Callable:
    """The options that say how a table's file is read; the command gets them as one mapping, ``reading``."""

    @functools.wraps(command)
    def with_reading(**given: Any) -> Any:
        return command(reading={name: given.pop(name) for name in NAMES}, **given)

    made: Callable = with_reading
    for option in reversed(READING):
        made = option(made)
    return made


def _columns_and_formats(_: Any, __: Any, given: tuple[str, ...]) -> dict[str, str]:
    """--dates: COLUMN, or COLUMN=FORMAT."""
    return {column: form for column, _, form in (text.partition("=") for text in given)}


NAMES = ("sep", "no_header", "no_quotes", "categorical", "numeric", "dates", "missing", "decimal", "thousands")
READING = (
    click.option(
        "--sep",
        "--delimiter",
        "sep",
        default=None,
        metavar="CHAR",
        help="CSV: what separates the fields. Default: a comma; a tab for .tsv; what a first line sep=; says.",
    ),
    click.option("--no-header", is_flag=True, help="CSV: the first line is data; the columns are called 1, 2, ..."),
    click.option("--no-quotes", is_flag=True, help="CSV: double quotes are signs like any other."),
    click.option("--categorical", multiple=True, metavar="COLUMN", help="CSV: text, though it may look like numbers."),
    click.option("--numeric", multiple=True, metavar="COLUMN", help="CSV: numbers; other text in it is an error."),
    click.option(
        "--dates",
        multiple=True,
        callback=_columns_and_formats,
        metavar="COLUMN[=FORMAT]",
        help="CSV: dates, in a format such as %d.%m.%Y if not ISO 8601.",
    ),
    click.option("--missing", multiple=True, metavar="WORD", help="CSV: means missing, in every column; repeatable."),
    click.option("--decimal", type=click.Choice([".", ","]), help="CSV: the decimal sign. Default: a point."),
    click.option("--thousands", metavar="CHAR", help="CSV: the sign between thousands. Default: none."),
)
invert = click.option(
    "--invert", is_flag=True, help="Pictures: turn dark on bright into bright on dark, as digits are."
)


def separator(path: str, given: str | None) -> str | None:
    """The separator of a table's fields as given; None: the file or its name says it."""
    if given is None:
        return None
    given = {"\\t": "\t", "tab": "\t"}.get(given, given)
    if len(given) != 1 or given in '"\r\n':
        raise click.BadParameter(f"--sep takes one character (or tab), got {given!r}")
    return given
