"""What only a new process shows: import, the first step, a fit and compile time, with a cold cache and a warm one.

`measure` starts ``python -m benchmarks.fresh WHAT ROW`` with a cache folder of its own; that prints its seconds.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from . import rows

ROOT = Path(__file__).resolve().parent.parent


def import_time(rounds: int) -> float:
    """Seconds of `import pellucid` in a process that has only Python's own modules: the best of several."""
    code = "import time; t = time.perf_counter(); import pellucid; print(time.perf_counter() - t)"
    return min(float(child(["-c", code])) for _ in range(rounds))


def measure(what: str, row: rows.Row, rounds: int) -> dict[str, float]:
    """Medians of cold and warm seconds; the cold run of each round leaves the cache for the warm one."""
    found: dict[str, list[float]] = {"cold": [], "warm": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            for seconds in found.values():
                told = child(["-m", "benchmarks.fresh", what, json.dumps(vars(row))], PELLUCID_CACHE=folder)
                seconds.append(float(told))
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def child(arguments: list[str], **environment: str) -> str:
    """What a new process prints last. Python may keep its bytecode, as it does where a package is installed."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=kept | environment, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["a child failed"])[-1])
    return done.stdout.strip().splitlines()[-1]


# ---- in the new process -----------------------------------------------------------------------------------------


def first_step(row: rows.Row) -> float:
    """`fit` of one mini-batch, from the call to its return."""
    return whole_fit(replace(row, samples=row.batch, epochs=1))


def whole_fit(row: rows.Row) -> float:
    """Making a model and fitting it."""
    from .contestants import ours

    given = rows.data(row)
    start = time.perf_counter()
    ours.model(row).fit(given.x, given.y, batch_size=row.batch, epochs=row.epochs, verbose=0)
    return time.perf_counter() - start


def compile_time(row: rows.Row) -> float:
    """The training step (or the prediction) from the graph to machine code in memory."""
    from .contestants import ours

    given = rows.data(replace(row, samples=row.batch))
    model = ours.model(row, given)  # its first weights are made by machine code too: LLVM is awake now
    arrays = {"x": given.x} if row.kind == "predict" else {"x": given.x, "y": given.y}
    start = time.perf_counter()
    run = model.programs.compiled("predict" if row.kind == "predict" else "step", arrays)
    _ = run.built, run.function
    return time.perf_counter() - start


MEASURES = {"first_step": first_step, "whole_fit": whole_fit, "compile_time": compile_time}

if __name__ == "__main__":
    given_row = json.loads(sys.argv[2])
    print(MEASURES[sys.argv[1]](rows.Row(**given_row | {"sizes": tuple(given_row["sizes"])})))
