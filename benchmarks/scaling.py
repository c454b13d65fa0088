"""Two threads against one, and the share of the machine's peak. Imports peak and Pellucid's contestant."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import peak, rows
from .contest import Result, reason, settle


def scaling(table: Sequence[rows.Row], most: int, rounds: int, seconds: float, say: Callable) -> dict[str, Any]:
    """For each row Pellucid's seconds a step with one thread and with two, the peak measured between them.

    A peak is the best round; a step is the median one.
    """
    counts = [1, 2] if most >= 2 else [1]
    best = dict.fromkeys(counts, 0.0)
    results: dict[str, tuple[rows.Row, dict[int, Result]]] = {}
    for row in table:
        say(f"scaling: {row.name}")
        results[row.name] = row, {t: Result() for t in counts}
        try:
            one_row(row, results[row.name][1], best, rounds, seconds)
        except Exception as error:
            results[row.name] = row, {t: Result(reason=reason(error)) for t in counts}
    return {"peak": best, "loop": peak.loop()[2], "rows": results}


def one_row(row: rows.Row, results: dict[int, Result], best: dict[int, float], rounds: int, seconds: float) -> None:
    from .contestants import ours

    given, rng = rows.data(row), np.random.default_rng(1)
    jobs = {t: ours.step(row, given, t, automatic=False) for t in results}
    order = rng.permutation(row.samples)
    repeats = {}
    for t, job in jobs.items():
        job.run(order)
        start = time.perf_counter()
        job.run(order)
        repeats[t] = max(1, round(seconds / (time.perf_counter() - start)))
    for _ in range(rounds):
        order = rng.permutation(row.samples)
        for t, job in jobs.items():
            settle()
            best[t] = max(best[t], peak.peak(t))
            start = time.perf_counter()
            for _ in range(repeats[t]):
                job.run(order)
            results[t].seconds.append((time.perf_counter() - start) / repeats[t] / row.count)


def share(row: rows.Row, result: Result, best: float) -> float:
    """The part of the peak that a row's arithmetic reaches."""
    return rows.flops(row) / result.median / best
