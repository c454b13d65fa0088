"""What can be wrong with the samples themselves, whatever the net: checks of rows, columns and labels."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...data import DataError
from ..arrays import as_inputs
from ..finite import blocks
from ..parts import Arrays, Part, as_part
from . import thresholds as limits
from .case import Case, connection
from .findings import Finding
from .leaking import alone

COLUMNS = 3000  # of wide samples, for distances and correlations


def missing(x: Any, y: Any) -> tuple[Any, Any, np.ndarray | None, list[Finding]]:
    """The samples without those that have NaN or infinity, which are left, and what there is to say of these."""
    arrays, how = as_inputs(x)
    if y is None:
        raise DataError("diagnose needs y, the targets of the samples x")
    arrays = arrays | {"y": np.asarray(y)}
    bad = np.zeros(len(arrays["y"]), bool)
    columns: list[str] = []
    for name, a in arrays.items():
        if a.dtype.kind == "f" and len(a) == len(bad):
            wide = math.prod(a.shape[1:])
            in_column = np.zeros(wide, bool)
            for rows in blocks(a):
                wrong = ~np.isfinite(a[rows]).reshape(-1, wide)
                bad[rows] |= wrong.any(1)
                in_column |= wrong.any(0)
            columns += [f"{name}, column {j}" if wide > 1 else name for j in np.flatnonzero(in_column)]
    if not bad.any():
        return x, y, None, []
    if bad.all():
        raise DataError(f"all {len(bad)} samples hold NaN or infinity ({', '.join(columns[:3])}): nothing to look at")
    count = int(bad.sum())
    found = Finding("missing_values", "error", ", ".join(columns[:3]) + ", ..." * (len(columns) > 3), count / len(bad),
                    f"{count} of {len(bad)} samples hold NaN or infinity; the rest is looked at without them.",
                    "fill them (sklearn.impute.SimpleImputer, with an indicator column) or leave these samples out",
                    )  # fmt: skip
    left = {name: a[~bad] for name, a in arrays.items() if name != "y"}
    values = list(left.values())
    named = {name.split(".", 1)[-1]: a for name, a in left.items()}
    return {"one": values[0], "tuple": tuple(values), "named": named}[how], arrays["y"][~bad], ~bad, [found]


def check_rows(case: Case) -> Iterator[Finding]:
    """Inputs and targets of one set of samples."""
    yield from _targets(case)
    yield from _imbalance(case)
    yield from _contradictions(case)
    yield from _leaking_columns(case)


def _table(case: Case) -> np.ndarray | None:
    """Numeric inputs side by side, one row a sample, `COLUMNS` of them at most; None for tokens."""
    parts = [a.reshape(len(a), -1) for a in case.inputs.values() if a.dtype.kind == "f" or a.dtype == np.uint8]
    if not parts:
        return None
    columns = [(p, j) for p in parts for j in range(p.shape[1])] if len(parts) > 1 else []
    if columns:
        chosen = case.random.permutation(len(columns))[:COLUMNS]
        return np.stack([columns[i][0][:, columns[i][1]] for i in sorted(chosen)], 1).astype(np.float64)
    (table,) = parts
    if table.shape[1] > COLUMNS:
        table = table[:, np.sort(case.random.permutation(table.shape[1])[:COLUMNS])]
    return table.astype(np.float64)


def neighbors_agree(case: Case) -> float | None:
    """How far labels agree with those of the nearest rows, in standard deviations of chance; None: cannot be told."""
    table = _table(case)
    if table is None or len(table) < limits.FEWEST:
        return None
    spread = table.std(0)
    if not spread.any():
        return None
    table = (table - table.mean(0))[:, spread > 0] / spread[spread > 0]
    squares = (table**2).sum(1)
    distance = squares[:, None] + squares - 2 * table @ table.T
    np.fill_diagonal(distance, np.inf)
    near = np.argpartition(distance, limits.NEIGHBORS, axis=1)[:, : limits.NEIGHBORS]
    return connection(case.targets[near].mean(1), case.targets, case.random)


def _targets(case: Case) -> Iterator[Finding]:
    if case.kind != "values":
        return
    y = case.arrays["y"].reshape(len(case.arrays["y"]), -1).astype(np.float64)
    mean, spread = np.abs(y.mean(0)).max(), y.std(0).max()
    size = max(mean, spread)
    learnt = case.trained and case.baseline is not None and case.loss < limits.LEARNT * case.baseline
    if size > limits.TARGET_FAR and not learnt:
        yield Finding("unscaled_targets", "warning", "y", float(size),
                      f"Targets have mean {y.mean():.4g} and deviation {spread:.3g}; a new net's outputs are about -1 "
                      "to 1, so that errors, and with them gradients, are that large, and much of the training goes by "
                      "before the mean is met.",
                      "train on (y - mean) / deviation, and turn predictions back (TransformedTargetRegressor)",
                      )  # fmt: skip


def _imbalance(case: Case) -> Iterator[Finding]:
    if case.classes is None:
        return
    present, counts = np.unique(case.classes, return_counts=True)
    shares = np.bincount(case.classes, case.arrays.get("weight"))[present]  # with balanced weights, equal
    ratio = shares.max() / max(shares.min(), 1e-12)
    if len(present) < 2 or ratio < limits.IMBALANCE:
        return
    rare = present[counts.argmin()]
    if case.trained and (predicted := classes_predicted(case)) is not None:
        found = float((predicted[case.classes == rare] == rare).mean())
        if found >= limits.RARE_FOUND:
            return
        told = f", and the net finds {found:.0%} of them"
    else:
        told = ""
    yield Finding("class_imbalance", "warning", f"class {rare}", float(ratio),
                  f"Class {rare} has {counts.min()} of {len(case.classes)} samples looked at, 1 for {ratio:.0f} of the "
                  f"largest class{told}; accuracy hardly tells whether it is learnt.",
                  'fit(..., class_weight="balanced"), and look at recall by class (pellucid evaluate)')  # fmt: skip


def classes_predicted(case: Case) -> np.ndarray | None:
    p = case.prediction
    if case.classes is None:
        return None
    return p.argmax(1) if case.kind == "classes" else (p[:, 0] > (0.5 if p.min() >= 0 and p.max() <= 1 else 0)) + 0


def _contradictions(case: Case) -> Iterator[Finding]:
    """Equal inputs with different labels, as often as strangers have them: not the noise of a table of few values."""
    if case.classes is None or case.n < limits.FEWEST:
        return
    y = case.whole["y"]
    _, group = np.unique(row_keys(case.whole), return_inverse=True)
    _, label = np.unique(y.reshape(len(y), -1), axis=0, return_inverse=True)
    pairs, sizes = np.unique(np.stack([group, label.reshape(-1)], 1), axis=0, return_counts=True)
    every, most, squares = np.bincount(group), np.zeros(group.max() + 1, int), np.zeros(group.max() + 1)
    np.maximum.at(most, pairs[:, 0], sizes)
    np.add.at(squares, pairs[:, 0], sizes**2)
    lost, twins = int((every - most).sum()), int((every * (every - 1)).sum())  # twins: ordered pairs of them
    differ = float((every**2 - squares).sum()) / max(twins, 1)
    strangers = 1 - float(((np.bincount(label.reshape(-1)) / len(y)) ** 2).sum())
    if lost / len(y) > limits.CONTRADICTING and differ >= strangers:
        at = int(np.flatnonzero(group == (every - most).argmax())[0])
        yield Finding("contradicting_labels", "warning", f"row {at} and its likes", lost / len(y),
                      f"{int((every > most).sum())} inputs stand there several times with different labels: whatever "
                      f"the net does, {lost} of {len(y)} answers are wrong.",
                      "look at these rows; keep the label that is right, or the most frequent one")  # fmt: skip


def _leaking_columns(case: Case) -> Iterator[Finding]:
    """A column that is the target in other words."""
    table, y = _table(case), case.targets
    if table is None or table.shape[1] < 2 or len(table) < limits.FEWEST // 2:
        return
    if case.classes is not None:
        bad = alone(table, y, case.classes)[:, 0]
    elif case.kind == "values":
        same: Any = alone(table, y)
        if y.shape[1] > 1 and same.any(0)[y.std(0) > 0].all():  # an autoencoder
            return
        bad = same.any(1)
    else:
        return
    if bad.any() and not bad.all():
        j = int(np.flatnonzero(bad)[0])
        yield Finding("leaking_feature", "error", f"column {j}" if table.shape[1] < COLUMNS else "x", float(bad.sum()),
                      f"Column {j} of x alone gives the target without error: it is the target in other words, and "
                      "will not be known when the net is used.",
                      "leave the column out of x")  # fmt: skip


def leaks(training: Part | Arrays, other: Part | Arrays, name: str) -> Iterator[Finding]:
    """Rows of another set that stand in the training rows, more than twins within these lead to expect.

    Of all rows, and of the quarter whose values are rarest: there twins by accident are few.
    """
    from scipy.stats import binom

    training, other = as_part(training), as_part(other)
    found, inverse, counts = np.unique(row_keys(training), return_inverse=True, return_counts=True)
    twin, there = counts[inverse] > 1, np.isin(row_keys(other), found)
    n, count = len(there), int(there.sum())
    if count == 0:
        return
    own, others = (_rarity(training, arrays) if twin.any() else np.ones(k)
                   for arrays, k in ((training, len(twin)), (other, n)))  # fmt: skip
    for share in (0.0, limits.RAREST):
        low = np.quantile(own, share)
        natural = (int(twin[own >= low].sum()) + 1) / (int((own >= low).sum()) + 2)
        hits = there[others >= low]
        if hits.any() and binom.sf(hits.sum() - 1, len(hits), min(natural, 1.0)) < limits.LEAK:
            rows = ", ".join(map(str, np.flatnonzero(there)[:3]))
            told = f" ({twin.mean():.0%} of training rows have a twin there, so that some are to be expected)"
            yield Finding("leaking_rows", "error", f"{name} rows {rows}" + ", ..." * (count > 3), count / n,
                          f"{count} of {n} {name} samples are training samples too{told * bool(twin.any())}: what is "
                          "measured there is memory.",
                          "leave them out of one of the two; split before rows are copied or augmented")  # fmt: skip
            return


def _rarity(training: Part, part: Part) -> np.ndarray:
    """-log of each row's probability if its columns were independent, with the training rows' frequencies."""
    total = np.zeros(part.samples)
    for name, a in training.inputs.whole.items():
        wide = max(1, math.prod(a.shape[1:]))
        for j in range(0, wide, -(-wide // COLUMNS)):
            known, asked = (_column(p, name, j) for p in (training, part))
            values, counts = np.unique(known, return_counts=True)
            at = np.clip(np.searchsorted(values, asked), 0, len(values) - 1)
            total -= np.log(np.where(values[at] == asked, counts[at], 0.5) / len(known))
    return total


def _column(part: Part, name: str, j: int) -> np.ndarray:
    """The j-th number of each sample of an input."""
    a = part.whole[name]
    a = a.reshape(len(a), -1)[:, j]
    return a if part.rows is None else a[part.rows]


def row_keys(arrays: Part | Arrays) -> np.ndarray:
    """A number for each sample that depends on all its inputs: equal rows have equal numbers."""
    from hashlib import blake2b

    part = as_part(arrays)
    inputs = list(part.inputs.whole.values())
    rows = range(part.samples) if part.rows is None else part.rows
    keys = np.empty(part.samples, np.uint64)
    for k, i in enumerate(rows):
        digest = blake2b(digest_size=8)
        for a in inputs:
            digest.update(np.ascontiguousarray(a[i]).reshape(-1).view(np.uint8).data)
        keys[k] = int.from_bytes(digest.digest(), sys.byteorder)
    return keys
