"""Parts of values: slices of what was padded, and paddings added up, which back-propagation writes for slices.

Exact to the last bit, but for the sign of zeros. Imports graph and ops.
"""

from __future__ import annotations

from ..graph import Value
from ..ops.elementwise import add
from ..ops.movement import concatenate_of, fill_with, pad_with, slice_of
from ..ops.reduce import to_samples


def sliced(v: Value, x: Value) -> Value | None:
    """A slice of a padded value as a slice of what was padded; of a sum of such, if it needs no padding any more.

    None where it is none of these.
    """
    a = v.attributes
    if x.primitive is add and any(i.primitive is pad_with for i in x.inputs):
        found = [sliced(v, i) for i in x.inputs]
        parts = [f for f in found if f is not None and f.primitive is not pad_with]
        return add(*parts) if len(parts) == len(found) else None
    if x.primitive is not pad_with or any(s != 1 for s in a["steps"]) or any(x.attributes["interior"]):
        return None
    (y,), pads = x.inputs, x.attributes
    starts, stops, low, high = [], [], [], []
    for start, stop, before, n in zip(a["starts"], a["stops"], pads["low"], y.shape, strict=True):
        inside = max(start - before, 0), min(stop - before, n)
        if inside[0] >= inside[1]:  # nothing but padding
            zeros = fill_with(value=pads["value"], shape=v.shape, dtype=v.dtype)
            return zeros if v.kind == "shared" else to_samples(zeros)
        starts.append(inside[0])
        stops.append(inside[1])
        low.append(max(before - start, 0))
        high.append(max(stop - before - n, 0))
    if any(start or stop != n for start, stop, n in zip(starts, stops, y.shape, strict=True)):
        y = slice_of(y, starts=tuple(starts), stops=tuple(stops), steps=a["steps"])
    if any(low) or any(high):
        y = pad_with(y, low=tuple(low), high=tuple(high), interior=pads["interior"], value=pads["value"])
    return y


def joined(v: Value) -> Value | None:
    """A sum of values each padded with zeros to its own part of an axis, that fill it, as their concatenation."""
    parts, stack = [], [v]
    while stack:
        w = stack.pop()
        if w.primitive is add:
            stack += w.inputs
        elif w.primitive is pad_with and w.attributes["value"] == 0 and not any(w.attributes["interior"]):
            parts.append(w)
        else:
            return None
    axes = {k - v.ndim for w in parts for k in range(v.ndim) if w.shape[k] != w.inputs[0].shape[k]}
    if len(axes) != 1:
        return None
    (axis,) = axes
    parts.sort(key=lambda w: w.attributes["low"][axis])
    at = 0
    for w in parts:
        if w.attributes["low"][axis] != at:
            return None
        at += w.inputs[0].shape[axis]
    return concatenate_of(*(w.inputs[0] for w in parts), axis=axis) if at == v.shape[axis] else None
