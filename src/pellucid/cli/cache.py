"""``pellucid cache``: the machine code that the native executor keeps on disk. Imports click at the top."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import click

from . import options


@click.command("cache", short_help="Show or delete the machine code kept on disk.")
@click.option("--clear", is_flag=True, help="Delete it; other files in the folder stay.")
@options.debug
def command(clear) -> None:
    """Show where machine code is kept, how much there is, and how old; --clear deletes it.

    A program that was compiled once, for this processor and this version of Pellucid, is not compiled again. The folder
    is the one that the environment's PELLUCID_CACHE names ("" for none), else pellucid in the user's cache folder.

    \b
    Example:
      pellucid cache --clear
    """
    from ..executors.native import machine

    try:
        folder = machine.cache_folder()
    except RuntimeError:
        click.echo("no cache: there is no home folder; PELLUCID_CACHE may name another")
        return
    if folder is None:
        click.echo("no cache: PELLUCID_CACHE is empty, so programs are compiled anew in each process")
        return
    (cleared if clear else show)(folder, machine)


def show(folder: Path, machine) -> None:
    """The folder, what is in it, and what it may hold."""
    found = machine.entries(folder)
    lines = [
        ("folder", str(folder) + remark(folder)),
        ("entries", f"{len(found)}, {sum(n for _, n, _ in found):,} bytes"),
    ]
    if found:
        lines += [("oldest", used(found[0][0])), ("newest", used(found[-1][0]))]
    lines.append(("limit", f"{machine.CACHE_BYTES:,} bytes; then those used longest ago are deleted"))
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


def cleared(folder: Path, machine) -> None:
    """Delete the entries, and what a process that was killed has left half-written."""
    count = freed = 0
    for _, size, path in machine.entries(folder):
        path.unlink(missing_ok=True)
        count, freed = count + 1, freed + size
    for path in folder.glob("pellucid-*.part"):
        with contextlib.suppress(OSError):
            size = path.stat().st_size
            path.unlink()
            freed += size
    click.echo(f"{count} {'entry' if count == 1 else 'entries'} deleted from {folder}, {freed:,} bytes")
