"""Tables: `read_csv` beside pandas, `tabular.Preprocessor` beside scikit-learn's ColumnTransformer.

    python -m benchmarks.tables [--rows 100000] [--rounds 7]

In one process, one after another, round after round; the shortest time of each, of processor time, counts: a machine
that does something else makes both slower, not by the same factor. Wanted: at most 2 times pandas, 1.5 times the
ColumnTransformer. Results are compared first.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from pellucid.data import read_csv
from pellucid.tabular import Preprocessor

COLUMNS = 20


def frames(n: int) -> dict[str, pd.DataFrame]:
    """Tables of n rows and 20 columns."""
    rng = np.random.default_rng(0)
    names = [f"c{j}" for j in range(COLUMNS)]
    full = pd.DataFrame(rng.normal(size=(n, COLUMNS)), columns=names)
    rounded = full.round(6)
    mixed = rounded.copy()
    for j, name in enumerate(names[:8]):
        mixed[name] = rng.choice(["red", "green", "blue", "dark grey"], n) if j < 4 else rng.integers(0, 1000, n)
    mixed["c9"] = mixed["c9"].mask(rng.random(n) < 0.1)
    return {"6 decimals": rounded, "17 digits": full, "4 of text, 4 of integers, 1 with gaps": mixed}


def transformer(frame: pd.DataFrame) -> ColumnTransformer:
    """What the Preprocessor does, of scikit-learn's parts."""
    text = [name for name in frame if frame[name].dtype.kind not in "if"]
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    words = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="(missing)"), OneHotEncoder(sparse_output=False)
    )
    return ColumnTransformer([("numbers", numbers, [n for n in frame if n not in text]), ("text", words, text)])


def fastest(rounds: int, **calls: Callable[[], Any]) -> dict[str, float]:
    """The least processor time of each call."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            begin = time.process_time()
            call()
            times[name].append(time.process_time() - begin)
    return {name: min(found) for name, found in times.items()}


def row(what: str, times: dict[str, float], wanted: float) -> None:
    """A line of the table."""
    ours, theirs = times["ours"], times["theirs"]
    print(f"| {what} | {ours * 1e3:.0f} | {theirs * 1e3:.0f} | {ours / theirs:.2f} (wanted {wanted:g}) |", flush=True)


def main() -> None:
    """Measure, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    print(f"| {given.rows:,} x {COLUMNS} | ours, ms | theirs, ms | ours / theirs |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        for name, frame in frames(given.rows).items():
            frame.to_csv(path, index=False)
            table = read_csv(path)
            for column in frame:
                expected = frame[column].to_numpy()
                assert np.array_equal(table[column], expected, equal_nan=table.kind(column) == "numbers")
            times = fastest(given.rounds, ours=lambda: read_csv(path), theirs=lambda: pd.read_csv(path))
            row(f"read_csv, {name}", times, 2)
    frame = frames(given.rows)["4 of text, 4 of integers, 1 with gaps"]
    ours, theirs = Preprocessor(), transformer(frame)
    assert np.isclose(ours.fit_transform(frame).sum(), theirs.fit_transform(frame).sum())
    times = fastest(given.rounds, ours=lambda: ours.fit(frame).transform(frame),
                    theirs=lambda: theirs.fit(frame).transform(frame))  # fmt: skip
    row("Preprocessor, fit and transform", times, 1.5)


if __name__ == "__main__":
    main()
