"""Labels that a loss over classes cannot take, and what to do with them: words that can be followed. Imports numpy.

A net knows classes by number, from 0. Labels that begin at 1, are -1 and 1, or text, are numbered by one line of NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

NUMBER = "classes, y = np.unique(y, return_inverse=True)"
BACK = "classes[numbers] are the labels again, np.searchsorted(classes, y) numbers those of other samples"
MANY = 1000  # different numbers that are not looked at as classes


def first_text(y: Any) -> str | None:
    """The first of targets that are text, as they are given; None for others.

    >>> first_text(["cat", "dog"]), first_text([0, 1])
    ('cat', None)
    """
    try:
        first = np.asarray(y).flat[0]
    except (ValueError, TypeError, RuntimeError, OverflowError, IndexError):
        return None
    if not isinstance(first, (str, bytes)):
        return None
    try:
        float(first)  # numbers written as text, of an array of objects, are numbers
    except ValueError:
        return str(first)
    return None if np.asarray(y).dtype == object else str(first)


def text_labels(first: str, name: str) -> str:
    """What to say of targets that are text or other objects, of which this is the first."""
    return (f"{name} holds text or objects, e.g. {first!r}, and a Model takes classes by number: {NUMBER}; {BACK}. "
            "Or pellucid.sklearn.NeuralClassifier takes labels as they are")  # fmt: skip


def outside(y: np.ndarray, wrong: np.ndarray, k: int, name: str, where: str = "") -> str:
    """What to say of whole numbers of which those ``wrong`` are no class of a net with k outputs.

    >>> y = np.array([1, 2, 3])
    >>> outside(y, y > 2, 3, "y").partition("; ")[0]
    'y has labels outside 0..2: 3 (1 such)'
    """
    there = np.unique(y)
    some = ", ".join(map(str, np.unique(y[wrong])[:5].tolist()))
    told = f"{name} has labels outside 0..{k - 1}: {some} ({int(wrong.sum())} such); "
    m, number = len(there), f"number them from 0: {NUMBER}; {BACK}"
    padded = there[0] == -1 and (there[1:] >= 0).all() and m > 1 and there[-1] < k and (m > k or y.ndim > 1)
    if padded:
        told += "if -1 means that there is no label, loss=nn.CrossEntropy(ignore_class=-1) leaves it out, else "
        if m <= k:
            return told + number
    if m <= k and (there[0] != 0 or there[-1] - there[0] < k):
        return f"{told}the net has {k} outputs{where} for the classes 0..{k - 1}; {number}"
    told += f"the net has {k} output{'s' * (k > 1)}{where}, the labels need "
    if there[0] >= 0 and m <= k:
        return f"{told}{int(there[-1]) + 1}, or {number}"
    told += f"{m}" if where else f"{m}: nn.Dense({m}) at its end"
    told += ", or with this net loss='binary_cross_entropy'" * (k == 1 and m == 2)
    return told if there[0] == 0 and there[-1] == m - 1 else f"{told}; and {number}"


def no_truth_values(y: np.ndarray, wrong: np.ndarray, kind: str, takes: str, name: str) -> str:
    """What to say of targets of which those ``wrong`` are not 0 or 1, for a loss that takes ``takes``."""
    told = f"{name} must be {takes} for {kind}, got {y[wrong].flat[0]} ({int(wrong.sum())} such)"
    if (y != np.floor(y)).any():
        return f"{told}; for values use loss='mse'"
    there = np.unique(y)
    if len(there) == 2:
        return f"{told}; number the two classes: {NUMBER}; {BACK}"
    if y.size == len(y) and len(there) < MANY and len(there) * 2 <= len(y):
        begins = there[0] == 0 and there[-1] == len(there) - 1
        return (f"{told}; y has {len(there)} classes: loss='cross_entropy' and nn.Dense({len(there)}) at the end"
                f"{'' if begins else f', numbered: {NUMBER}'}")  # fmt: skip
    return told
