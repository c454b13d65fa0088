"""Zeros around a value's memory: who reads the value padded reads the same memory. Imports graph and ops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...graph import Program, Value
from ...ops.movement import pad_with


@dataclass(frozen=True)
class Margin:
    """Zeros around a stored value: its memory has ``shape``, and it begins at ``low``."""

    low: tuple[int, ...]
    shape: tuple[int, ...]


def margins(
    program: Program, inner: Callable[[Value], bool], computed: Callable[[Value], bool]
) -> tuple[dict[Value, Margin], frozenset[Value]]:
    """Samples that are computed and then padded with zeros, with their margins; and the padded ones, now but views.

    ``inner``: whether a Value is seen by nobody outside; ``computed``: whether it gets memory of its own.
    """

    def fits(v: Value) -> bool:
        a, (x,) = v.attributes, v.inputs
        zeros = a["value"] == 0 and not any(a["interior"])
        return zeros and x.kind == "sample" and inner(v) and inner(x) and computed(x)

    pads = [v for v in program.order if v.primitive is pad_with and fits(v)]
    widths: dict[Value, list] = {}
    for v in pads:
        widths.setdefault(v.inputs[0], []).append((v.attributes["low"], v.attributes["high"]))
    found = {}
    for x, each in widths.items():
        low, high = (tuple(map(max, zip(*w, strict=True))) for w in zip(*each, strict=True))
        found[x] = Margin(low, tuple(n + a + b for n, a, b in zip(x.shape, low, high, strict=True)))
    return found, frozenset(pads)
