"""Python's indexing of Values, ``x[...]``, as slices, flips and reshapes."""

from __future__ import annotations

import numpy as np

from ..errors import ArgumentError, GraphError
from ..graph import Value
from .movement import flip, reshape, slice_of


def index(self: Value, key) -> Value:
    """``x[key]`` with whole numbers, slices, None and ``...``, on the axes of one sample.

    >>> from pellucid import input
    >>> x = input("x", (3, 4)); x[0].shape, x[:, ::2].shape, x[..., None].shape, x[::-1, -1].shape
    ((4,), (3, 2), (3, 4, 1), (3,))
    """
    keys = list(key) if isinstance(key, tuple) else [key]
    if sum(k is Ellipsis for k in keys) > 1:
        raise ArgumentError("an index can have only one '...'")
    used = sum(k is not None and k is not Ellipsis for k in keys)
    if used > self.ndim:
        raise GraphError(f"{used} indices for a value with {self.ndim} axes (of one sample), shape {self.shape}")
    at = next((i for i, k in enumerate(keys) if k is Ellipsis), len(keys))
    keys[at : at + 1] = [slice(None)] * (self.ndim - used)
    starts, stops, steps, flips, shape = [], [], [], [], []
    axis = 0
    for k in keys:
        if k is None:
            shape.append(1)
            continue
        n = self.shape[axis]
        if isinstance(k, (int, np.integer)) and not isinstance(k, bool):
            if not -n <= k < n:
                raise IndexError(f"index {k} is out of range for axis {axis} of length {n}")
            r = range(int(k) % n, int(k) % n + 1)
        elif isinstance(k, slice):
            try:
                r = range(n)[k]
            except (TypeError, ValueError) as error:
                raise GraphError(f"cannot index a Value with {k}: {error}") from None
            shape.append(len(r))
        else:
            raise GraphError(f"cannot index a Value with {type(k).__name__}; use take(x, rows) to gather")
        if r.step < 0:  # a reversed slice is a flip of a forward one
            flips.append(axis)
            r = r[::-1]
        starts.append(r.start if len(r) else 0)
        stops.append(r[-1] + 1 if len(r) else 0)
        steps.append(r.step)
        axis += 1
    part = self
    if any(r != (0, n, 1) for r, n in zip(zip(starts, stops, steps, strict=True), self.shape, strict=True)):
        part = slice_of(self, starts=tuple(starts), stops=tuple(stops), steps=tuple(steps))
    if flips:
        part = flip(part, flips)
    return reshape(part, shape)
