"""Which inputs of a net need whole numbers, because its graph uses them as codes; and arrays checked for that.

Imports graph, ops, nn and data.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data import DataError
from ..errors import ArgumentError, GraphError
from ..graph import Value, sample_input, toposort
from ..nn.layer import Traced
from ..ops import elementwise, movement
from ..ops.elementwise import FLOATS
from ..ops.gather import scatter_of, take_rows
from ..ops.loop import result_of, scan_of
from .arrays import CHUNK, Spec

INT32 = np.iinfo(np.int32)
SAME = (movement.reshape_to, movement.transpose_of, movement.broadcast, movement.slice_of, movement.flip_axes,
        movement.stop_gradient, elementwise.cast_to)  # fmt: skip
EXACT = (elementwise.equal, elementwise.bit_xor, elementwise.shift_right, elementwise.threefry, scan_of, result_of)


@dataclass(frozen=True)
class Codes:
    """An input whose numbers are codes; where they are rows of a table, its name and how many it has."""

    table: str = ""
    rows: int | None = None


def codes_of(traced: Traced) -> dict[str, Codes]:
    """The inputs of whole numbers that a graph uses as codes: as rows of a table, as bits, or to be equal to something.

    All else (arithmetic, comparisons by size, a cast to floats) means the same for numbers with fractions.
    """
    found: dict[str, Codes] = {}
    origin: dict[Value, tuple[frozenset[str], bool]] = {}  # inputs that it is made of, and whether it is one, moved
    for v in toposort([traced.output]):
        used = {i: origin[i] for i in v.inputs if i in origin}
        for i, (names, same) in used.items():
            if v.primitive is take_rows and i is v.inputs[1]:
                table = Codes(v.inputs[0].name or "", v.inputs[0].shape[0]) if same else Codes()
                found |= {name: _narrower(table, found.get(name)) for name in names}
            elif v.primitive in EXACT or (v.primitive is scatter_of and i is v.inputs[1]):
                found = {name: Codes() for name in names} | found
        if v.dtype in FLOATS or v.dtype == "bool":
            continue
        if v.primitive is sample_input:
            origin[v] = frozenset([str(v.name)]), True
        elif used:
            names = frozenset().union(*(names for names, _ in used.values()))
            origin[v] = names, v.primitive in SAME and all(same for _, same in used.values())
    return found


def _narrower(new: Codes, known: Codes | None) -> Codes:
    """Of two tables that the same numbers are rows of, the one with fewer."""
    if known is None or known.rows is None:
        return new
    return known if new.rows is None or known.rows <= new.rows else new


def first_specs(
    trace: Callable[[dict[str, Spec]], Traced], arrays: Mapping[str, np.ndarray], dtype: str
) -> tuple[dict[str, Spec], dict[str, Codes]]:
    """What a net is built for by its first arrays, and its codes: these are whole numbers, all others are floats.

    Bytes stay bytes, where the net takes them. Raises the `GraphError` of the arrays as they were given, where the net
    takes them in no form.
    """
    first, tried = None, []
    for specs in _forms(arrays, dtype):
        if specs in tried:
            continue
        tried.append(specs)
        try:
            codes = codes_of(trace(specs))
        except (ArgumentError, GraphError) as error:
            first = first or error
            continue
        needed = {k: s if k in codes or s.dtype != "int32" else Spec(s.shape, dtype) for k, s in specs.items()}
        if needed != specs:
            try:
                trace(needed)
                return needed, codes
            except (ArgumentError, GraphError):  # inputs that must have one dtype
                pass
        return specs, codes
    assert first is not None
    raise first


def _forms(arrays: Mapping[str, np.ndarray], dtype: str) -> Iterator[dict[str, Spec]]:
    """The dtypes in which a net may take arrays, the likeliest first."""
    for whole_floats in (False, True):
        options: list[tuple[str, ...]] = []
        for a in arrays.values():
            if a.dtype.char in "B?":
                options.append(("uint8", "int32", dtype))
            elif a.dtype.kind in "iu":
                options.append(("int32", dtype))
            else:
                options.append((dtype, "int32") if whole_floats and is_whole(a) else (dtype,))
        alike = [tuple(o[min(i, len(o) - 1)] for o in options) for i in range(3)]
        for chosen in itertools.product(*options) if len(options) <= 3 else alike:
            yield {k: Spec(a.shape[1:], d) for (k, a), d in zip(arrays.items(), chosen, strict=True)}


def is_whole(a: np.ndarray) -> bool:
    """Whether numbers have no fractions.

    >>> is_whole(np.array([1.0, 2.0])), is_whole(np.array([1.0, 2.5]))
    (True, False)
    """
    return a.dtype.kind in "iub" or all((part == np.floor(part)).all() for _, part in _blocks(a))


def check_codes(a: np.ndarray, codes: Codes, name: str) -> np.ndarray:
    """Codes as whole numbers; `DataError` for fractions, and for what is beyond int32 or the rows of the table."""
    low, high = (INT32.min, INT32.max) if codes.rows is None else (0, codes.rows - 1)
    of = f", the rows of {codes.table!r}" if codes.table else ""
    for start, part in _blocks(a):
        if part.dtype.kind == "f" and not is_whole(part):
            _refuse(name, part, part != np.floor(part), start, f"but the net takes whole numbers there{of}")
        if part.size and part.dtype.kind != "b" and (part.min() < low or part.max() > high):
            _refuse(name, part, (part < low) | (part > high), start, f"expected whole numbers {low}..{high}{of}")
    return a.astype(np.int32) if a.dtype.kind == "f" else a


def _blocks(a: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Some rows after the others, each with the number of its first, so that a memory map is not read whole."""
    return ((start, a[start : start + CHUNK]) for start in range(0, len(a), CHUNK))


def _refuse(name: str, part: np.ndarray, wrong: np.ndarray, start: int, expected: str) -> None:
    row = int(np.flatnonzero(wrong.reshape(len(part), -1).any(axis=1))[0])
    raise DataError(f"{name} holds {part[row][wrong[row]].flat[0]} (row {start + row}), {expected}")


def specs_of_shapes(shapes: Any, dtype: str) -> tuple[dict[str, Spec], str]:
    """The inputs of a net from the shapes of one sample, and how the net is called."""
    if isinstance(shapes, dict):
        return {f"x.{k}": Spec(tuple(s), dtype) for k, s in shapes.items()}, "named"
    if isinstance(shapes, int):
        raise ArgumentError(f"input_shape must be a tuple, for example ({shapes},)")
    if shapes and isinstance(shapes[0], (tuple, list)):
        return {f"x.{i}": Spec(tuple(s), dtype) for i, s in enumerate(shapes)}, "tuple"
    return {"x": Spec(tuple(shapes), dtype)}, "one"
