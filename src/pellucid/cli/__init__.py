"""The command line: ``pellucid train | predict | evaluate | sample | summary | filter | cache``, one file per command.

May import anything below. Commands are imported when they are asked for, and the slow packages inside the functions
that need them. Errors that the user can mend are one line on stderr and exit code 2; Ctrl-C is exit code 130;
``--debug`` shows the traceback.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from typing import Any

import click

from .. import DivergedError, __version__
from ..errors import ArgumentError, DataError, GraphError

COMMANDS = ("train", "evaluate", "predict", "sample", "summary", "filter", "cache")
MENDABLE = (ArgumentError, DataError, GraphError, DivergedError, OSError, ImportError)

ELSEWHERE = {  # options of other programs, and what they are here
    "--lr": "--learning-rate", "--rate": "--learning-rate", "--layers": "--hidden", "--layer": "--hidden",
    "--optimizer": "Adam is used; others in Python, pellucid.Model(net, loss, optimizer)",
}  # fmt: skip


def one_line(error: BaseException) -> str:
    """An error as one line: the system's with the name of the file, click's with where to look."""
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    elif isinstance(error, click.ClickException):
        where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else ""
        said = error.format_message()
        if isinstance(error, click.NoSuchOption) and (known := ELSEWHERE.get(error.option_name)):
            said = f"no option {error.option_name}; " + (f"did you mean {known}?" if known[0] == "-" else known)
        text = said + (f" (see {where} --help)" if where else "")
    else:
        text = str(error)
    return " ".join(text.split())


class Commands(click.Group):
    """The commands, each imported when it is used, and what happens to errors."""

    def list_commands(self, ctx):
        return list(COMMANDS)

    def get_command(self, ctx, cmd_name):
        return importlib.import_module(f".{cmd_name}", __name__).command if cmd_name in COMMANDS else None

    def resolve_command(self, ctx, args):
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], COMMANDS, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(COMMANDS)}"
            raise click.UsageError(f"no command {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # click ends quietly: the reader of our output has gone
        except MENDABLE as error:
            if ctx.meta.get("pellucid.debug"):
                raise
            raise click.ClickException(one_line(error)) from error

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        if not standalone_mode:
            return super().main(*args, standalone_mode=False, **extra)  # type: ignore[call-overload]
        try:
            result = super().main(*args, standalone_mode=False, **extra)  # type: ignore[call-overload]
        except click.Abort:
            click.echo("stopped by Ctrl-C", err=True)
            sys.exit(130)
        except click.exceptions.NoArgsIsHelpError as asked:
            asked.show()
            sys.exit(2)
        except click.ClickException as error:
            click.echo(f"error: {one_line(error)}", err=True)
            sys.exit(2)
        sys.exit(result if isinstance(result, int) else 0)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="pellucid")
def cli() -> None:
    """Neural networks you can see through: train, test and use them.

    \b
    Example:
      pellucid train digits
      pellucid predict digits.pel digits
    """


def main() -> None:
    """The entry point ``pellucid``."""
    cli(prog_name="pellucid")
