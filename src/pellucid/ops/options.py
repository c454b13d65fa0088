"""What options of operations may be: tests for a primitive's own, and whole numbers as users give them.

Imports graph. A primitive's options are exact: a bool is no number, a number of NumPy's no int, so that nothing after
them (an offset in memory, say) can be taken for something else.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import GraphError
from ..graph import DTYPES, Option

LIMITS = {"int32": (-(1 << 31), (1 << 31) - 1), "int64": (-(1 << 63), (1 << 63) - 1), "uint8": (0, 255),
          "uint32": (0, (1 << 32) - 1), "bool": (0, 1)}  # fmt: skip


def _whole(n: Any) -> bool:
    return type(n) is int


def _tuple_of(test):
    return lambda given: type(given) is tuple and all(map(test, given))


COUNT = Option("a whole number >= 0", lambda n: type(n) is int and n >= 0)
LENGTH = Option("a whole number >= 1", lambda n: type(n) is int and n >= 1)
COUNTS = Option("a tuple of whole numbers >= 0", _tuple_of(COUNT.test))
LENGTHS = Option("a tuple of whole numbers >= 1", _tuple_of(LENGTH.test))
AXIS = Option("an axis counted from the right, a whole number < 0", lambda n: type(n) is int and n < 0)
AXES = Option("a tuple of different axes counted from the right, whole numbers < 0",
              lambda given: _tuple_of(AXIS.test)(given) and len(set(given)) == len(given))  # fmt: skip
IN_ORDER = Option("a tuple of one or more axes counted from the right, whole numbers < 0 in ascending order",
                  lambda given: AXES.test(given) and given != () and list(given) == sorted(given))  # fmt: skip
FLAG = Option("True or False", lambda given: type(given) is bool)
NUMBER = Option("a number", lambda given: type(given) in (int, float, bool))
DTYPE = Option(f"one of {', '.join(DTYPES)}", lambda given: type(given) is str and given in DTYPES)
TEXT = Option("text", lambda given: type(given) is str)
FUNCTION = Option("a function", callable)


def fits(number: float, dtype: str) -> bool:
    """Whether a number can be an element of that dtype: whole and in its range, where that is no float.

    >>> fits(255, "uint8"), fits(256, "uint8"), fits(0.5, "int32"), fits(0.5, "float32")
    (True, False, False, True)
    """
    if dtype not in LIMITS:
        return True
    low, high = LIMITS[dtype]
    return math.isfinite(number) and low <= number <= high and int(number) == number


def whole(given: Any, what: str, least: int | None = None) -> int:
    """A whole number of Python's or NumPy's as an int; raises `GraphError` for anything else, bools too.

    >>> whole(3, "axis")
    3
    """
    try:
        n = None if isinstance(given, bool | np.bool_) else operator.index(given)
    except TypeError:
        n = None
    if n is None or (least is not None and n < least):
        bound = "" if least is None else f" >= {least}"
        raise GraphError(f"{what} must be a whole number{bound}, got {given!r}")
    return n


def flag(given: Any, what: str) -> bool:
    """True or False; raises `GraphError` for anything else."""
    if type(given) is not bool:
        raise GraphError(f"{what} must be True or False, got {given!r}")
    return given


def wholes(given: Any, what: str, least: int | None = None) -> tuple[int, ...]:
    """Several whole numbers, or one, as a tuple of ints; raises `GraphError` for anything else."""
    several = given if isinstance(given, Sequence | range) or getattr(given, "ndim", 0) == 1 else (given,)
    if isinstance(several, str):
        raise GraphError(f"{what} must be whole numbers, got {given!r}")
    return tuple(whole(n, what, least) for n in several)
