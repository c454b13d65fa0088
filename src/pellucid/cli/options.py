"""Options that several commands have. Imports click."""

from __future__ import annotations

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
delimiter = click.option(
    "--delimiter",
    default=None,
    metavar="CHAR",
    help="What separates the fields of a CSV file. Default: a comma; a tab for .tsv.",
)
invert = click.option(
    "--invert", is_flag=True, help="Pictures: turn dark on bright into bright on dark, as digits are."
)


def separator(path: str, given: str | None) -> str:
    """The separator of a table's fields, as given or by the file's name."""
    if given is None:
        return "\t" if path.lower().endswith(".tsv") else ","
    given = {"\\t": "\t", "tab": "\t"}.get(given, given)
    if len(given) != 1 or given in '"\r\n':
        raise click.BadParameter(f"--delimiter takes one character (or tab), got {given!r}")
    return given
