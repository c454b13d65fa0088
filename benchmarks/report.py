"""The whole run: which sections, on what machine, as text and as JSON. Imports every room here."""

from __future__ import annotations

import datetime
import importlib.metadata
import math
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import contest, contestants, fresh, images, mnist, peak, rows, scaling, sequences, table

SECTIONS = ("scaling", "compile", "start")
CHOICES = (*(r.name for r in (*rows.ROWS, *images.ROWS, *sequences.ROWS)), *SECTIONS)
NAMES = tuple(dict.fromkeys((*contestants.NAMES, *contestants.IMAGE_NAMES, *contestants.SEQUENCE_NAMES)))
LIBRARIES = ("pellucid", "torch", "jax", "scikit-learn", "numpy", "llvmlite")


def say(text: str) -> None:
    """What is going on, on the screen only."""
    print(text, file=sys.stderr, flush=True)


def run(
    chosen: Sequence[str],
    threads: int,
    rounds: int,
    seconds: float,
    names: Sequence[str] = NAMES,
    mnist_folder: str | None = None,
    epochs: int = mnist.EPOCHS,
    table_rows: Sequence[rows.Row] = rows.ROWS,
    scaling_rows: Sequence[rows.Row] = rows.SCALING,
    image_rows: Sequence[images.ImageRow] = images.ROWS,
    sequence_rows: Sequence[sequences.SequenceRow] = sequences.ROWS,
    say=say,
) -> dict[str, Any]:
    """Everything that was asked for; sections that were not are absent."""
    found: dict[str, Any] = {"about": about(threads, rounds)}
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > 0.5:
        say(f"other programs are running (load {load:.1f}): the figures will not be right")
    found["rows"] = {}
    for row in table_rows:
        if row.name in chosen:
            makers = contestants.makers(row.kind, names, threads)
            found["rows"][row.name] = (row, contest.compete(row, rows.data(row), makers, rounds, seconds, say))
    for section, module, section_rows, places in (
        ("images", images, image_rows, contestants.IMAGE_PLACES),
        ("sequences", sequences, sequence_rows, contestants.SEQUENCE_PLACES),
    ):
        if any(row.name in chosen for row in section_rows):
            found[section] = {"rows": {}, "peak": max(peak.peak(threads) for _ in range(rounds))}
        for row in section_rows:
            if row.name in chosen:
                makers = contestants.makers(row.kind, names, threads, places)
                result = contest.compete(row, module.data(row), makers, rounds, seconds, say)
                found[section]["rows"][row.name] = row, result
                found[section]["peak"] = max(found[section]["peak"], *(peak.peak(threads) for _ in range(rounds)))
    if "scaling" in chosen:
        found["scaling"] = scaling.scaling(scaling_rows, threads, rounds, seconds, say)
    again = max(1, rounds // 2)
    if "compile" in chosen:
        found["compile"] = {}
        for row in table_rows:
            say(f"compile time: {row.name}")
            found["compile"][row.what] = fresh.measure("compile_time", row, again)
    if "start" in chosen:
        row = next(r for r in table_rows if r.kind == "fit")
        say("start: new processes")
        found["start"] = {
            "import": fresh.import_time(max(3, rounds)),
            "first_step": fresh.measure("first_step", row, again),
            "whole_fit": fresh.measure("whole_fit", row, again),
        }
    if mnist_folder:
        found["mnist"] = mnist.mnist(mnist_folder, threads, epochs, say)
    found["about"]["load"] = [load, os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0]
    return found


def about(threads: int, rounds: int) -> dict[str, Any]:
    """The machine, the day and the versions."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "machine": processor(),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "processors": os.cpu_count(),
        "date": datetime.date.today().isoformat(),
        "versions": versions,
        "threads": threads,
        "rounds": rounds,
    }


def processor() -> str:
    """The processor's name, and LLVM's name for its kind."""
    import llvmlite.binding as llvm

    path, name = Path("/proc/cpuinfo"), platform.processor()
    if path.exists():
        named = [
            line.split(":", 1)[1].strip() for line in path.read_text().splitlines() if line.startswith("model name")
        ]
        name = named[0] if named else name
    return f"{name or platform.machine()} ({llvm.get_host_cpu_name()})"


def text(found: dict[str, Any]) -> str:
    """The run as Markdown."""
    a = found["about"]
    versions = ", ".join(f"{name} {version}" for name, version in a["versions"].items())
    parts = [
        f"{a['machine']}, {a['threads']} of {a['processors']} processors, {a['system']}; {a['date']}; {versions}. "
        f"Medians of {a['rounds']} rounds; load before and after "
        f"{' and '.join(f'{x:.1f}' for x in a.get('load', []))}."
    ]
    if found["rows"]:
        parts += [table.contest_table(found["rows"]), table.reasons(found["rows"])]
    if "images" in found:
        parts += [table.image_table(found["images"]), table.reasons(found["images"]["rows"])]
    if "sequences" in found:
        parts += [table.sequence_table(found["sequences"]), table.reasons(found["sequences"]["rows"])]
    if "scaling" in found:
        parts.append(table.scaling_table(found["scaling"]))
    if "compile" in found:
        parts.append(table.compile_table(found["compile"]))
    if "start" in found:
        fits = [results for row, results in found["rows"].values() if row.kind == "fit"]
        beside = fits[0]["scikit-learn"].median if fits and "scikit-learn" in fits[0] else math.nan
        parts.append(table.start_table(found["start"], beside))
    if "mnist" in found:
        parts.append(table.mnist_table(found["mnist"]))
    return "\n\n".join(part for part in parts if part)


def plain(value: Any) -> Any:
    """The run as what JSON can hold."""
    counts = {rows.Row: rows.flops, images.ImageRow: images.flops, sequences.SequenceRow: sequences.flops}
    if isinstance(value, (*counts, contest.Result)):
        counted = counts.get(type(value))
        more = {"flops": counted(value)} if counted else {"median": value.median}
        return plain(vars(value) | more)
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
