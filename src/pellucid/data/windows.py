"""One long sequence as many short ones, with what comes next: language models and forecasting. Imports numpy."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DataError


def windows(
    sequence: Any, length: int, step: int | None = None, ahead: int = 1, shifted: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Windows of ``length`` steps of a sequence s, a new one every ``step`` steps, and what comes after each.

    Forecasting: x[i] = s[i step], ..., s[i step + length - 1], and y[i] the one that follows, or with ``ahead`` the
    next so many, in an axis of their own. Language models, ``shifted=True``: y[i, t] is the one ``ahead`` steps after
    x[i, t], for every step of the window.

    Shapes: s (N, ...) gives x (n, length, ...) and y (n, ...), (n, ahead, ...), or shifted (n, length, ...). ``step``
    is 1 by default; shifted it is ``length``, so that the windows lie side by side. What is left over at the end is
    not used. Both are views of the sequence that take no memory, and cannot be written to. Raises `DataError` for a
    sequence that is too short.

    >>> x, y = windows([1, 2, 3, 4, 5, 6], length=3)
    >>> x.tolist(), y.tolist()
    ([[1, 2, 3], [2, 3, 4], [3, 4, 5]], [4, 5, 6])
    >>> x, y = windows([1, 2, 3, 4, 5, 6, 7], length=3, shifted=True)
    >>> x.tolist(), y.tolist()
    ([[1, 2, 3], [4, 5, 6]], [[2, 3, 4], [5, 6, 7]])
    """
    step = (length if shifted else 1) if step is None else step
    s = _checked("windows", sequence, length=length, step=step, ahead=ahead)
    if len(s) < length + ahead:
        raise DataError(f"windows of {length} steps with {ahead} ahead need {length + ahead} steps, the sequence has "
                        f"{len(s)}")  # fmt: skip
    x = _sliding(s[:-ahead], length, step)
    if shifted:
        return x, _sliding(s[ahead:], length, step)
    y = _sliding(s[length:], ahead, step)
    return x, y[:, 0] if ahead == 1 else y


def streams(sequence: Any, batch: int, length: int, ahead: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """A long sequence as ``batch`` streams side by side, cut into chunks of ``length`` steps, for stateful training.

    The sequence is cut into ``batch`` equal parts, the streams. Sample ``k batch + i`` is chunk k of stream i, so that
    in batches of ``batch`` samples, in their order, sample i of a batch goes on where sample i of the batch before it
    ended: truncated backpropagation through time with ``fit(x, y, batch_size=batch, shuffle=False)``. y[j, t] is what
    comes ``ahead`` steps after x[j, t].

    Shapes: (N, ...) gives x and y (chunks batch, length, ...) with chunks = (N - ahead) // (batch length); what is left
    over at the end is not used. Raises `DataError` for a sequence that is too short.

    >>> x, y = streams([1, 2, 3, 4, 5, 6, 7, 8, 9], batch=2, length=2)
    >>> x.tolist(), y.tolist()
    ([[1, 2], [5, 6], [3, 4], [7, 8]], [[2, 3], [6, 7], [4, 5], [8, 9]])
    """
    s = _checked("streams", sequence, batch=batch, length=length, ahead=ahead)
    chunks = (len(s) - ahead) // (batch * length)
    if chunks < 1:
        raise DataError(f"{batch} streams of {length} steps with {ahead} ahead need {batch * length + ahead} steps, "
                        f"the sequence has {len(s)}")  # fmt: skip

    def cut(part: np.ndarray) -> np.ndarray:
        side_by_side = part[: batch * chunks * length].reshape(batch, chunks, length, *s.shape[1:])
        return side_by_side.swapaxes(0, 1).reshape(chunks * batch, length, *s.shape[1:])

    return cut(s), cut(s[ahead:])


def _checked(caller: str, sequence: Any, **numbers: Any) -> np.ndarray:
    """The sequence as an array; an error for anything else, and for numbers that are not whole numbers from 1."""
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise DataError(f"{caller}: {name} must be a whole number >= 1, got {value!r}")
    s = np.asarray(sequence)
    if s.ndim == 0 or s.dtype.kind not in "fiub":
        hint = "; encode text first: pellucid.data.Vocabulary" if s.dtype.kind in "US" else ""
        raise DataError(f"{caller} takes a sequence of numbers (N, ...), got {s.dtype} of shape {s.shape}{hint}")
    return s


def _sliding(s: np.ndarray, length: int, step: int) -> np.ndarray:
    """(N, ...) to (n, length, ...), a view."""
    return np.moveaxis(np.lib.stride_tricks.sliding_window_view(s, length, axis=0)[::step], -1, 1)
