"""Numbers that are not finite: looked for in one pass and in blocks, so that a memory map is not read whole.

Imports numpy and data.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..data import DataError

BLOCK = 1 << 16  # numbers looked at together: they stay in the cache
SHORT = 1 << 13  # numbers of which BLAS finds the sum of squares on one thread; others would wait and disturb ours
LONG = 1 << 20  # numbers of one sum of squares


def blocks(array: np.ndarray) -> Iterator[slice]:
    """Rows of an array, about `BLOCK` numbers at a time."""
    rows = max(1, BLOCK // max(1, array[:1].size))
    return (slice(start, start + rows) for start in range(0, len(array), rows))


def is_finite(array: np.ndarray, dtype: str = "float64") -> bool:
    """Whether there is neither NaN nor infinity, nor a number beyond ``dtype``.

    >>> is_finite(np.array([1.0, 1e300])), is_finite(np.array([1e300]), "float32"), is_finite(np.array([np.nan]))
    (True, False, False)
    """
    kind = array.dtype.char
    if kind == "f" or (kind == "d" and dtype == "float64"):  # a sum of squares is quick, but may overflow
        if array.size <= SHORT:
            if math.isfinite(np.vdot(array, array)):
                return True
        elif array.flags.c_contiguous:
            flat = array.reshape(-1)
            if all(math.isfinite(np.einsum("i,i", a, a)) for a in map(flat.__getitem__, _slices(flat.size))):
                return True
    elif array.dtype.kind != "f":
        return True
    if array.ndim == 0:
        return bool(_fits(array, dtype))
    most = np.finfo(dtype).max
    return all(-most <= a.min() and a.max() <= most for a in map(array.__getitem__, blocks(array)) if a.size)


def _slices(n: int) -> Iterator[slice]:
    return (slice(start, start + LONG) for start in range(0, n, LONG))


def _fits(array: np.ndarray, dtype: str) -> np.ndarray:
    return np.isfinite(array) if np.finfo(dtype).max >= np.finfo(array.dtype).max else (
        np.abs(array) <= np.finfo(dtype).max)  # fmt: skip


def first_bad(array: np.ndarray, dtype: str = "float64") -> tuple[int, tuple[int, ...], Any] | None:
    """The first row with a number that is not finite, where in the row it is, and the number."""
    for part in blocks(array) if array.dtype.kind == "f" else ():
        bad = np.argwhere(~_fits(array[part], dtype))
        if len(bad):
            row, *place = map(int, bad[0])
            return part.start + row, tuple(place), array[part][tuple(bad[0])]
    return None


def check_inputs(
    inputs: Mapping[str, np.ndarray],
    dtype: str,
    rows: np.ndarray | None = None,
    way_out: str = ", or say finite=False to have it as it is",
) -> None:
    """`DataError` that names row and column of a number in the samples to predict that is not finite."""
    for name, array in inputs.items():
        if not is_finite(array, dtype) and (found := first_bad(array, dtype)):
            row, place, number = found
            beyond = f", beyond {dtype}" if np.isfinite(number) else ""
            raise DataError(
                f"{name} has {number:g}{beyond} in row {row if rows is None else rows[row]}"
                f"{_column(place)}: fill it (sklearn.impute.SimpleImputer){',' if way_out else ' or'} leave the row "
                f"out{way_out}"
            )


def check_prediction(prediction: np.ndarray, start: int = 0, rows: np.ndarray | None = None) -> None:
    """`DataError` that names the first row of which the prediction is not finite."""
    if found := first_bad(prediction):
        row, place, number = found
        row = start + row
        raise DataError(f"the prediction for row {row if rows is None else rows[row]} is not finite ({number:g}"
                        f"{_column(place).replace('column', 'output')}), though its inputs are: they are far from "
                        "those of the training, or the weights are; layer_outputs(x) shows where it begins, and "
                        "predict(..., finite=False) gives it as it is")  # fmt: skip


def bad_state(state: Mapping[str, Any]) -> str | None:
    """The name of the first array of a model's state with a number that is not finite: weights before others."""
    bad = (name for name, a in state.items() if not is_finite(np.asarray(a)))
    return min(bad, key=lambda name: name.startswith("optimizer."), default=None)


def _column(place: tuple[int, ...]) -> str:
    return f", column {place[0] if len(place) == 1 else place}" if place else ""
