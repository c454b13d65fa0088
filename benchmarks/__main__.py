"""`python -m benchmarks`: see --help and README.md."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path


def processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Pellucid beside other libraries.",
                                     epilog="example: python -m benchmarks --quick --rows 2-8-8-2,scaling")  # fmt: skip
    parser.add_argument("--rows", help="names of rows and sections, with commas between; --rows help lists them")
    parser.add_argument("--quick", action="store_true", help="few short rounds: to see that it works")
    parser.add_argument(
        "--threads", type=int, help="threads of everybody, each on a processor (default: 2, or all if fewer)"
    )
    parser.add_argument("--contestants", help="names of contestants, with commas between (default: all)")
    parser.add_argument("--mnist", metavar="FOLDER", help="train MNIST too, from the folder of its four files")
    parser.add_argument("--json", metavar="FILE", help="write all figures, each round's too")
    parser.add_argument("--write", action="store_true", help="put the tables into benchmarks/README.md")
    asked = parser.parse_args(arguments)
    threads = min(asked.threads or 2, processors())
    if threads < 1:
        parser.error("--threads must be 1 or more")
    prepare(threads)

    from . import report, table  # only now: the libraries read the environment when they are imported

    chosen = asked.rows.split(",") if asked.rows else list(report.CHOICES)
    names = asked.contestants.split(",") if asked.contestants else list(report.NAMES)
    for given, known in ((chosen, report.CHOICES), (names, report.NAMES)):
        if unknown := [x for x in given if x not in known]:
            parser.error(f"{unknown[0]!r} is not one of {', '.join(known)}")
    if asked.rows is None and asked.mnist is None:
        report.say("without --mnist FOLDER, MNIST is left out")
    rounds, seconds, epochs = (3, 0.1, 1) if asked.quick else (9, 0.4, report.mnist.EPOCHS)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PELLUCID_CACHE"] = folder  # this run's own: cold at first, and the user's is left alone
        found = report.run(chosen, threads, rounds, seconds, names, asked.mnist, epochs)
    print(report.text(found))
    if asked.json:
        Path(asked.json).write_text(json.dumps(report.plain(found), indent=1))
    if asked.write:
        table.write(Path(__file__).with_name("README.md"), report.text(found))


def prepare(threads: int) -> None:
    """The same processors and as many threads for everybody, before any of them is imported."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PELLUCID_THREADS"):
        os.environ[name] = str(threads)
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ["PELLUCID_EARLY"] = "0"  # the rows are of long runs; what a first fit takes is in cold.py


if __name__ == "__main__":
    sys.exit(main())
