"""Sequences of different lengths as one array. Imports numpy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..errors import DataError
from .dataset import listed

SIDES = ("after", "before")


def pad_sequences(
    sequences: Iterable[Any],
    length: int | None = None,
    value: float = 0,
    side: str = "after",
    truncate: str | None = None,
    like: Iterable[Any] | None = None,
) -> np.ndarray:
    """Sequences (T_i, ...) as one array (n, length, ...), with ``value`` where a sequence has no more steps.

    - ``length``: by default that of the longest. ``side``: where the padding is, "after" or "before" the sequence.
    - ``truncate``: "after" or "before" cuts the end or the beginning off sequences that are longer than ``length``; by
      default they are an error.
    - ``like``: other sequences, each of which has as many steps as the one in its place here: labels for every step
      are padded with ``pad_sequences(labels, value=-1, like=words)``, and -1 is what `nn.CrossEntropy(ignore_class=-1)`
      leaves out.

    Whole numbers become int32, others float32. Raises `DataError` for a sequence of length 0, steps that differ in
    shape, text, a ``value`` that the numbers cannot hold, and labels that are longer or shorter than their inputs.

    >>> pad_sequences([[5, 2, 7], [4]])
    array([[5, 2, 7],
           [4, 0, 0]], dtype=int32)
    >>> pad_sequences([[1, 0, 2], [2, 1]], value=-1, like=[[5, 2, 7], [4]])
    Traceback (most recent call last):
    pellucid.errors.DataError: sequence 1 has 2 steps, but its input has 1; expected a label for each step
    """
    for name, given, allowed in (("side", side, SIDES), ("truncate", truncate, (*SIDES, None))):
        if given not in allowed:
            raise DataError(f"pad_sequences: {name} is {given!r}, expected {' or '.join(map(repr, allowed))}")
    arrays = as_sequences(sequences)
    if like is not None:
        check_alike(arrays, as_sequences(like, "like"))
    longest = max(range(len(arrays)), key=lambda i: len(arrays[i]))
    length = len(arrays[longest]) if length is None else length
    if not isinstance(length, (int, np.integer)) or length < 1:
        raise DataError(f"pad_sequences: length must be a whole number >= 1, got {length!r}")
    if truncate is None and len(arrays[longest]) > length:
        raise DataError(f"sequence {longest} has {len(arrays[longest])} steps, more than length={length}; give "
                        "truncate='after' to cut the ends off, or a greater length")  # fmt: skip
    return padded(arrays, int(length), value, side, truncate or "after")


def padded(
    arrays: list[np.ndarray], length: int, value: float = 0, side: str = "after", truncate: str = "after"
) -> np.ndarray:
    """Checked sequences as one array (n, length, ...)."""
    dtype = arrays[0].dtype
    if dtype.kind == "i" and not (float(value).is_integer() and abs(value) < 2**31):
        raise DataError(f"padding with {value!r} is not possible among whole numbers; give a whole number")
    out = np.full((len(arrays), length, *arrays[0].shape[1:]), value, dtype)
    for row, a in zip(out, arrays, strict=True):
        part = a[:length] if truncate == "after" else a[-length:]
        if side == "after":
            row[: len(part)] = part
        else:
            row[length - len(part) :] = part
    return out


def as_sequences(sequences: Iterable[Any], name: str = "sequence") -> list[np.ndarray]:
    """Each sequence as an array of one dtype, int32 or float32, with at least one step; ``name`` is for errors."""
    if isinstance(sequences, str):
        raise DataError(f"{name}s are expected, got one text; encode texts first: pellucid.data.Vocabulary")
    arrays = []
    for i, sequence in enumerate(sequences):
        try:
            a = np.asarray(sequence)
        except ValueError:
            raise DataError(f"{name} {i} cannot become an array: its steps differ in shape") from None
        if a.dtype.kind in "OUS":
            raise DataError(f"{name} {i} holds text or objects, expected numbers; encode text first: "
                            "pellucid.data.Vocabulary")  # fmt: skip
        if a.ndim == 0:
            raise DataError(f"{name} {i} is a single number, expected a sequence of them")
        arrays.append(a)
    if not arrays:
        raise DataError(f"there is no {name}; expected at least one")
    if empty := [i for i, a in enumerate(arrays) if not len(a)]:
        raise DataError(f"{name} {listed(empty)} {'has' if len(empty) == 1 else 'have'} length 0; leave out what is "
                        "empty, with its target")  # fmt: skip
    steps = arrays[0].shape[1:]
    if other := [i for i, a in enumerate(arrays) if a.shape[1:] != steps]:
        raise DataError(f"{name} {other[0]} has steps of shape {arrays[other[0]].shape[1:]}, {name} 0 of {steps}; "
                        "expected them alike")  # fmt: skip
    floats = any(a.dtype.kind == "f" for a in arrays)
    if not floats and (wide := [i for i, a in enumerate(arrays) if not _fits(a)]):
        raise DataError(f"{name} {wide[0]} has whole numbers that int32 cannot hold")
    return [a.astype("float32" if floats else "int32", copy=False) for a in arrays]


def _fits(a: np.ndarray) -> bool:
    """Whether whole numbers are in the range of int32."""
    info = np.iinfo(np.int32)
    return a.size == 0 or (info.min <= a.min() and a.max() <= info.max)


def check_alike(labels: list[np.ndarray], inputs: list[np.ndarray]) -> None:
    """`DataError` where labels for every step are not as many as their input's steps."""
    if len(labels) != len(inputs):
        raise DataError(f"there are {len(labels)} sequences of labels for {len(inputs)} inputs; expected as many")
    for i, (a, b) in enumerate(zip(labels, inputs, strict=True)):
        if len(a) != len(b):
            raise DataError(f"sequence {i} has {len(a)} steps, but its input has {len(b)}; expected a label for each "
                            "step")  # fmt: skip
