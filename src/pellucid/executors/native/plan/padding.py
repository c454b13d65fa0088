"""A number around a value's memory: who reads the value padded reads the same memory. Imports graph and ops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ....graph import Value
from ....ops.movement import pad_with
from ....program import Program


@dataclass(frozen=True)
class Padding:
    """A number around a stored value: its memory has ``shape``, and it begins at ``low``."""

    low: tuple[int, ...]
    shape: tuple[int, ...]
    number: float


def absorbed_padding(
    program: Program, inner: Callable[[Value], bool], computed: Callable[[Value], bool]
) -> tuple[dict[Value, Padding], frozenset[Value]]:
    """Values that are computed and then padded, with the numbers around them; and the padded ones, now but views.

    ``inner``: whether a Value is seen by nobody outside; ``computed``: whether it gets memory of its own. Where one
    value is padded with several numbers, the least stands around it: zeros, if any.
    """
    pads: dict[Value, list[Value]] = {}
    for v in program.order:
        if v.primitive is pad_with and not any(v.attributes["interior"]):
            (x,) = v.inputs
            if inner(v) and inner(x) and computed(x) and x.primitive is not pad_with:  # which may be a view itself
                pads.setdefault(x, []).append(v)
    found, padded = {}, set()
    for x, each in pads.items():
        number = min((v.attributes["value"] for v in each), key=abs)
        alike = [v for v in each if v.attributes["value"] == number]
        low, high = (tuple(map(max, zip(*(v.attributes[end] for v in alike), strict=True))) for end in ("low", "high"))
        found[x] = Padding(low, tuple(n + a + b for n, a, b in zip(x.shape, low, high, strict=True)), number)
        padded.update(alike)
    return found, frozenset(padded)
