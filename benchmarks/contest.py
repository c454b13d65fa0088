"""Contestants in turn, round after round, so that what disturbs the machine disturbs all alike. Imports rows."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .rows import Data, Row

PROBE = 3  # steps after which the weights of all contestants must agree
AGREE = 0.02  # of the length of the way that the weights went
PAUSE, IDLE, LONGEST_PAUSE = 0.05, 0.1, 2.0


@dataclass
class Job:
    """What a contestant gives for a row. ``run(order)`` does it for the samples in this order, and waits until it is
    done. ``result()`` is what it has come to, as a vector: weights, or the last probabilities; None where it is not
    comparable."""

    run: Callable[[np.ndarray], Any]
    result: Callable[[], np.ndarray | None] = lambda: None


@dataclass
class Result:
    """Seconds of each round for one unit (a step, a fit, a prediction), or why there are none."""

    seconds: list[float] = field(default_factory=list)
    first: float = math.nan  # seconds of the making and the first call, in this process
    reason: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.seconds) if self.seconds else math.nan

    @property
    def spread(self) -> float:
        """Slowest round by fastest: far from 1 means that something else was running."""
        return max(self.seconds) / min(self.seconds) if self.seconds else math.nan


def settle() -> None:
    """Wait until no thread of this process spins any more (OpenMP's do for a while after their work)."""
    end = time.perf_counter() + LONGEST_PAUSE
    while True:
        wall, used = time.perf_counter(), time.process_time()
        time.sleep(PAUSE)
        wall, used = time.perf_counter() - wall, time.process_time() - used
        if used < IDLE * wall or time.perf_counter() > end:
            return


def compete(
    row: Row,
    given: Data,
    makers: Mapping[str, Callable[[Row, Data], Job]],
    rounds: int,
    seconds: float,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Result]:
    """Each contestant's seconds for one unit of the row. The others must agree with the first of ``makers``."""
    results, jobs, repeats = {}, {}, {}
    rng = np.random.default_rng(1)
    order = rng.permutation(row.samples)
    probe = order[: PROBE * row.batch] if row.kind == "step" else order
    expected = None
    for name, make in makers.items():
        results[name] = result = Result()
        say(f"{row.name}: {name}, first call")
        try:
            settle()
            start = time.perf_counter()
            job = make(row, given)
            job.run(probe)
            result.first = time.perf_counter() - start
            expected = agreed(row, given, job.result(), expected)
            job.run(order)
            start = time.perf_counter()
            job.run(order)
            repeats[name] = max(1, round(seconds / max(time.perf_counter() - start, 1e-9)))
            jobs[name] = job
        except Exception as error:  # a peer that is missing or fails is shown as such, whatever it says
            result.reason = reason(error)
    for k in range(rounds):
        order = rng.permutation(row.samples)
        names = list(jobs)
        for name in names[k % max(len(names), 1) :] + names[: k % max(len(names), 1)]:
            say(f"{row.name}: round {k + 1} of {rounds}, {name}")
            settle()
            gc.collect()
            try:
                start = time.perf_counter()
                for _ in range(repeats[name]):
                    jobs[name].run(order)
                results[name].seconds.append((time.perf_counter() - start) / repeats[name] / row.count)
            except Exception as error:
                results[name] = Result(reason=reason(error))
                del jobs[name]
    return results


class Disagrees(ArithmeticError):
    """A contestant did not compute what the first one did."""


def agreed(row: Row, given: Data, got: np.ndarray | None, expected: np.ndarray | None) -> np.ndarray | None:
    """What is expected of the next contestant; raises where this one did another work."""
    if got is None or row.kind == "fit":
        return expected
    if not np.isfinite(got).all():
        raise Disagrees("gives NaN or infinity")
    if expected is None:
        return got
    start = given.flat if row.kind == "step" else 0
    way = float(np.linalg.norm(expected - start))
    off = float(np.linalg.norm(got - expected)) / way
    if off > AGREE:
        raise Disagrees(f"another result: off by {off:.1%}")
    return expected


def reason(error: BaseException) -> str:
    """One line of why."""
    if isinstance(error, ImportError):
        return f"not installed ({error.name or error})"
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:120] if lines else ''}"
