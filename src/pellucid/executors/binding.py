"""What every executor does before and after a program runs: arrays for its leaves, checked; and the failure they share.

Imports graph and ops.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import GraphError, PellucidError
from ..graph import Value
from ..ops.elementwise import FLOATS
from ..program import Program
from ..settings import MOST_THREADS


class NotFinite(PellucidError, ArithmeticError):
    """A watched output became NaN or infinite, at ``step`` of the run, on the samples ``rows``."""

    def __init__(self, step: int, rows: np.ndarray) -> None:
        super().__init__(f"not finite at step {step}")
        self.step, self.rows = step, rows


def as_threads(asked: Any, what: str = "threads") -> int | None:
    """A number of threads as someone asks for it, or None for the executor's choice; `GraphError` for anything else.

    >>> as_threads("2"), as_threads(None)
    (2, None)
    """
    if asked is None:
        return None
    number = int(asked) if isinstance(asked, str) and asked.strip().isdecimal() else asked
    if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or not 1 <= number <= MOST_THREADS:
        raise GraphError(f"{what} must be a whole number from 1 to {MOST_THREADS}, got {asked!r}")
    return int(number)


def bind(
    program: Program, state: Mapping[str, Any], inputs: Mapping[str, Any], batch: int | None
) -> tuple[dict[Value, np.ndarray], int | None]:
    """Arrays for the leaves, checked against their types; and the number of samples."""
    given, batch = bind_inputs(program, inputs, batch)
    values = {v: given[name] for name, v in program.inputs.items()}
    values |= {v: bind_state(program, state, name) for name, v in program.state.items()}
    if batch is None and program.needs_batch:
        raise GraphError("no sample input tells the number of samples: give batch_size=")
    return values, batch


def bind_inputs(
    program: Program, inputs: Mapping[str, Any], batch: int | None
) -> tuple[dict[str, np.ndarray], int | None]:
    """Arrays for the inputs by name, checked against their types; and their number of samples."""
    arrays = {}
    if unknown := inputs.keys() - program.inputs.keys():
        raise GraphError(f"no such input: {', '.join(map(repr, unknown))}; inputs are {list(program.inputs)}")
    for name, v in program.inputs.items():
        if name not in inputs:
            raise GraphError(f"input {name!r} ({v.type}) is missing")
        array = arrays[name] = as_leaf(inputs[name], v.dtype, f"input {name!r}")
        shape = array.shape
        if v.kind == "sample":
            if not shape or shape[1:] != v.shape or batch not in (None, shape[0]):
                n = "n" if batch is None else batch
                raise GraphError(f"input {name!r} has shape {shape}, expected {n} samples of shape {v.shape}")
            batch = shape[0]
        elif shape != v.shape:
            raise GraphError(f"input {name!r} has shape {shape}, expected shape {v.shape}")
    return arrays, batch


def bind_state(program: Program, state: Mapping[str, Any], name: str) -> np.ndarray:
    """The array for one of the program's state, checked against its type."""
    v = program.state[name]
    if name not in state:
        raise GraphError(f"state {name!r} ({v.type}) is missing")
    array = as_leaf(state[name], v.dtype, f"state {name!r}")
    if array.shape != v.shape:
        raise GraphError(f"state {name!r} has shape {array.shape}, expected {v.shape}")
    return array


def as_leaf(given: Any, dtype: str, what: str) -> np.ndarray:
    """An array in the dtype of its leaf; fractions for whole numbers, text, and numbers that do not fit are errors."""
    try:
        array = np.asarray(given)
    except ValueError:
        raise GraphError(f"{what} cannot become an array: its rows differ in length") from None
    if array.dtype == dtype:
        return array
    kinds = "biuf" if dtype in FLOATS else "b" if dtype == "bool" else "biu"
    if array.dtype.kind not in kinds:
        raise GraphError(f"{what} holds {array.dtype}, expected {dtype}")
    fitted = array.astype(dtype)
    if dtype not in FLOATS and (fitted != array).any():
        raise GraphError(f"{what} holds {array[fitted != array].flat[0]}, which is no {dtype}")
    return fitted


def order_of(arrays: Mapping[str, np.ndarray], rows: np.ndarray | None) -> np.ndarray:
    """The numbers of the rows to run on, checked: machine code reads where it is told."""
    lengths = {name: len(a) if a.ndim else -1 for name, a in arrays.items()}
    if not lengths or min(lengths.values()) != max(lengths.values()) or min(lengths.values()) < 0:
        raise GraphError(f"the arrays must have the same number of samples, got {lengths}")
    n = next(iter(lengths.values()))
    if rows is None:
        return np.arange(n, dtype=np.int64)
    order = np.asarray(rows)
    if order.dtype == bool or order.ndim != 1:
        order = np.arange(n)[order].reshape(-1)
    order = np.ascontiguousarray(order, np.int64)
    wrong = (order < -n) | (order >= n)
    if wrong.any():
        raise IndexError(f"row {order[wrong][0]} is outside the {n} samples")
    return np.where(order < 0, order + n, order) if len(order) and order.min() < 0 else order
