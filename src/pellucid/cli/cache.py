"""``pellucid cache``: the machine code that the native executor keeps on disk. Imports click at the top."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import click

from ..executors import cache
from . import completion, options


@click.command("cache", short_help="Show, fill or delete the machine code kept on disk.")
@click.option("--clear", is_flag=True, help="Delete it; other files in the folder stay.")
@click.option(
    "--warm",
    "model_file",
    metavar="MODEL",
    shell_complete=completion.FILE,
    help="Compile what predictions of this model need, so that the first one does not wait.",
)
@click.option(
    "--batch",
    "batches",
    type=click.IntRange(min=1),
    multiple=True,
    metavar="N",
    help="With --warm: how many rows come at a time; may be given again. Default: 1 and 256.",
)
@options.debug
def command(clear, model_file, batches) -> None:
    """Show where machine code is kept, how much there is, and how old; --clear deletes it, --warm adds to it.

    A program that was compiled once, for this processor and this version of Pellucid, is not compiled again. The folder
    is the one that the environment's PELLUCID_CACHE names ("" for none), else pellucid in the user's cache folder.

    Code is made for this very processor, unless PELLUCID_TARGET names what many have: x86-64-v3 or x86-64-v4 (on
    other machines: generic). Under the same setting, what is compiled on one machine serves on others.

    \b
    Examples:
      pellucid cache --clear
      pellucid cache --warm titanic.pel
      PELLUCID_TARGET=x86-64-v3 pellucid cache --warm digits.pel --batch 1 --batch 64
    """
    if clear and model_file:
        raise click.UsageError("--clear deletes what --warm would add; give one of them")
    if batches and not model_file:
        raise click.UsageError("--batch goes with --warm MODEL")
    try:
        folder = cache.folder()
    except RuntimeError:
        click.echo("no cache: there is no home folder; PELLUCID_CACHE may name another")
        return
    if folder is None:
        click.echo("no cache: PELLUCID_CACHE is empty, so programs are compiled anew in each process")
        return
    if model_file:
        warm(model_file, batches, folder)
    else:
        (cleared if clear else show)(folder)


def warm(model_file: str, batches: tuple[int, ...], folder: Path) -> None:
    """Compile what a model's predictions need."""
    from .notes import load

    if folder.exists() and not os.access(folder, os.W_OK):
        raise click.ClickException(
            f"{folder} cannot be written to, so nothing would be kept; PELLUCID_CACHE names another"
        )
    before = {path for *_, path in cache.entries(folder)}
    model = load(model_file, executor="native")
    if model.notes.get("kind") == "text":
        import numpy as np

        model.stepper()(np.zeros((1, *next(iter(model.specs.values())).shape[1:]), np.int32))
        click.echo("one step of a text")
    else:
        for n, seconds in (model.warm(batches) if batches else model.warm()).items():
            click.echo(f"{n} row{'s' * (n > 1)} at a time: {seconds:.2f} s")
    new = len({path for *_, path in cache.entries(folder)} - before)
    click.echo(f"{new} new {'entry' if new == 1 else 'entries'} in {folder}, for {cache.processor()}")


def show(folder: Path) -> None:
    """The folder, what is in it, and what it may hold."""
    found = cache.entries(folder)
    lines = [
        ("folder", str(folder) + remark(folder)),
        ("entries", f"{len(found)}, {sum(n for _, n, _ in found):,} bytes"),
    ]
    if found:
        lines += [("oldest", used(found[0][0])), ("newest", used(found[-1][0]))]
    lines.append(("limit", f"{cache.limit():,} bytes; then those used longest ago are deleted"))
    for name, text in lines:
        click.echo(f"{name:<8} {text}")


def remark(folder: Path) -> str:
    """What keeps a folder from being used, if anything does."""
    if not folder.exists():
        return " (not there yet: the first program that is compiled makes it)"
    if not folder.is_dir():
        return " (is a file, so nothing is kept)"
    return "" if os.access(folder, os.W_OK) else " (cannot be written to, so nothing new is kept)"


def used(moment: float) -> str:
    return f"last used {time.strftime('%Y-%m-%d %H:%M', time.localtime(moment))}"


def cleared(folder: Path) -> None:
    """Delete the entries, and what a process that was killed has left half-written."""
    count = freed = 0
    for _, size, path in cache.entries(folder):
        path.unlink(missing_ok=True)
        count, freed = count + 1, freed + size
    for path in folder.glob("pellucid-*.part"):
        with contextlib.suppress(OSError):
            size = path.stat().st_size
            path.unlink()
            freed += size
    click.echo(f"{count} {'entry' if count == 1 else 'entries'} deleted from {folder}, {freed:,} bytes")
