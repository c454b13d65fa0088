"""Receptive fields: which part of the input a unit sees, read from the graph. Imports graph, ops and the siblings.

Along each axis of the input a unit number p of a layer sees the places start + p stride .. start + p stride + size - 1;
a start below 0 is in the padding. Units of several ways (a residual block) see what any of them sees.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import ArgumentError
from ..graph import Value, input, sample_input, toposort
from ..ops.contract import contract_of, parse
from ..ops.conv import windows_of
from ..ops.movement import (
    broadcast,
    concatenate_of,
    pad_with,
    reshape_to,
    ruled,
    slice_of,
    transpose_of,
)
from ..ops.reduce import REDUCTIONS
from .layer import trace
from .scope import Traced


class Field(NamedTuple):
    """What a unit sees along an axis of the input: from ``start + p * stride``, ``size`` places."""

    size: int
    stride: int
    start: int


class Along(NamedTuple):
    """A field along an axis of an input: ``axis`` says which."""

    axis: tuple[str, int]
    field: Field


class Merged(NamedTuple):
    """Several axes as one, with their lengths, until they are parted again."""

    parts: tuple[tuple[int, Along | None], ...]


Axes = tuple["Along | Merged | None", ...]  # of a Value's axes; None: it sees all, or no one place


def receptive_fields(net: Any, shape: Sequence[int] | None = None) -> dict[str, tuple[Field, ...] | None]:
    """The receptive field of each layer's units, by the layer's name, one `Field` for each axis of space.

    ``net`` is a net, with the ``shape`` of one sample (channels, *space) or (T, channels), or what `trace` gave. None
    where there is none to say: what comes after a `Dense`, a global pool or a recurrent layer sees everything, and
    units of a `ConvTranspose` do not all see alike. Raises `GraphError` for a net without a shape.

    >>> from pellucid import nn
    >>> net = nn.Sequential(nn.Conv(6, 5), nn.MaxPool(2), nn.Conv(16, 3, padding=1), nn.Flatten(), nn.Dense(10))
    >>> for name, fields in receptive_fields(net, (1, 28, 28)).items():
    ...     print(name, fields and fields[0])
    layers.0 Field(size=5, stride=1, start=0)
    layers.1 Field(size=6, stride=2, start=0)
    layers.2 Field(size=10, stride=2, start=-2)
    layers.3 None
    layers.4 None
     None
    """
    if shape is None and not isinstance(net, Traced):
        raise ArgumentError("receptive_fields: give the shape of one sample, as in receptive_fields(net, (3, 32, 32))")
    traced = net if isinstance(net, Traced) else trace(net, input("x", tuple(shape or ())))
    calls = [c for c in traced.calls if not c.inner and isinstance(c.output, Value)]
    found, moved = axes_of([c.output for c in calls])
    return {c.path: fields_at(found.get(c.output), moved) for c in calls}


def fields_at(axes: Axes | None, moved: set[tuple[str, int]]) -> tuple[Field, ...] | None:
    """The fields along those axes of the input over which windows were moved; None unless all are there."""
    there = {a.axis: a.field for a in axes or () if isinstance(a, Along) and a.axis in moved}
    return tuple(there[axis] for axis in sorted(moved)) if moved and len(there) == len(moved) else None


def axes_of(outputs: Sequence[Value]) -> tuple[dict[Value, Axes], set[tuple[str, int]]]:
    """The axes of every Value that depends on an input; and those axes of inputs over which windows are moved."""
    found: dict[Value, Axes] = {}
    moved: set[tuple[str, int]] = set()
    order = toposort(outputs)
    reduced = {v.inputs[0] for v in order if v.primitive in REDUCTIONS}
    for n, v in enumerate(order):
        if v.primitive is sample_input or (v.primitive is reshape_to and v not in reduced and _is_input(found, v)):
            found[v] = tuple(Along((f"{n}", k), Field(1, 1, 0)) for k in range(v.ndim))  # a picture of its own
        elif any(i in found for i in v.inputs):
            rule = RULES.get(v.primitive, _elementwise if v.primitive.elementwise else None)
            found[v] = (None,) * v.ndim if rule is None else rule(v, [found.get(i) for i in v.inputs])
            own = found.get(v.inputs[0], ())
            if v.primitive is reshape_to and v not in reduced:  # no pool: an axis in parts has no one field
                parts = _split(v, own)
                found[v] = tuple(a if parts[k][1] == 1 else None for k, a in enumerate(found[v]))
            if v.primitive is windows_of:
                rank = len(v.attributes["kernel"])
                moved.update(a.axis for a in own[len(own) - rank :] if isinstance(a, Along))
            if v.primitive is reshape_to and v in reduced:
                moved.update(a.axis for a, b in _split(v, own) if isinstance(a, Along) and b > 1)
    return found, moved


def _is_input(found: Mapping[Value, Axes], v: Value) -> bool:
    """Whether what is reshaped is the input still, all of it."""
    own = found.get(v.inputs[0])
    return own is not None and all(isinstance(a, Along) and a.field == (1, 1, 0) for a in own)


# ---- what each operation does to an axis --------------------------------------------------------------------------


def _both(a: Along | Merged | None, b: Along | Merged | None) -> Along | Merged | None:
    """What units see that see what either of two sees."""
    if isinstance(a, Merged) and a == b:
        return a
    if not isinstance(a, Along) or not isinstance(b, Along) or a.axis != b.axis or a.field.stride != b.field.stride:
        return None
    start = min(a.field.start, b.field.start)
    end = max(a.field.start + a.field.size, b.field.start + b.field.size)
    return Along(a.axis, Field(end - start, a.field.stride, start))


def _wider(a: Along | Merged | None, size: int, stride: int = 1, dilation: int = 1) -> Along | Merged | None:
    """Windows of this many places, a stride apart."""
    if not isinstance(a, Along):
        return a if (size, stride) == (1, 1) else None
    n, jump, start = a.field
    return Along(a.axis, Field(n + (size - 1) * dilation * jump, jump * stride, start))


def _elementwise(v: Value, given: list[Axes | None]) -> Axes:
    there = [axes for axes in given if axes is not None]
    found = there[0]
    if any(len(axes) != v.ndim for axes in there):
        return (None,) * v.ndim
    for axes in there[1:]:
        found = tuple(_both(a, b) for a, b in zip(found, axes, strict=True))
    return found


def _windows(v: Value, given: list[Axes | None]) -> Axes:
    a, axes = v.attributes, given[0] or ()
    lead = len(axes) - len(a["kernel"])
    wide = zip(axes[lead:], a["kernel"], a["strides"], a["dilations"], strict=True)
    return (*axes[:lead], *(_wider(*w) for w in wide), *(None,) * len(a["kernel"]))


def _contract(v: Value, given: list[Axes | None]) -> Axes:
    left, right, out = parse(v.attributes["spec"])
    found: dict[str, Along | Merged | None] = {}
    for letters, axes in zip((left, right), given, strict=True):
        if axes is not None:
            for letter, a in zip(letters, axes, strict=True):
                found[letter] = _both(found[letter], a) if letter in found else a
    return tuple(found.get(letter) for letter in out)


def _split(v: Value, axes: Axes) -> list[tuple[Along | Merged | None, int]]:
    """Of each axis of a reshape's result: the axis that it is, and how many places of that each of its places has."""
    whole = [a.parts if isinstance(a, Merged) else ((n, a),) for n, a in zip(v.attributes["old"], axes, strict=True)]
    old, new = [(n, a) for parts in whole for n, a in parts if n != 1], list(v.attributes["shape"])
    result: list[tuple[Along | Merged | None, int]] = [(None, 1)] * len(new)
    i = j = 0
    while i < len(old) and j < len(new):
        if new[j] == 1:
            j += 1
            continue
        n, a = old[i]
        first, size, group, begin = j, new[j], n, i
        j, i = j + 1, i + 1
        while size != group:
            if size < group:
                if j == len(new):
                    return [(None, 1)] * len(new)
                size, j = size * new[j], j + 1
            elif i == len(old):
                return [(None, 1)] * len(new)
            else:
                group, i = group * old[i][0], i + 1
        if i == begin + 1:
            result[first] = (a, n // new[first])
        elif new[first] == group:
            result[first] = (Merged(tuple(old[begin:i])), 1)
    return result


def _reshape(v: Value, given: list[Axes | None]) -> Axes:
    return tuple(_wider(a, parts, parts) for a, parts in _split(v, given[0] or ()))


def _pad(v: Value, given: list[Axes | None]) -> Axes:
    a = v.attributes

    def moved(axis: Along | Merged | None, low: int, high: int, between: int) -> Along | Merged | None:
        if not isinstance(axis, Along) or between:
            return None if low or high or between else axis
        return Along(axis.axis, axis.field._replace(start=axis.field.start - low * axis.field.stride))

    return tuple(moved(*each) for each in zip(given[0] or (), a["low"], a["high"], a["interior"], strict=True))


def _slice(v: Value, given: list[Axes | None]) -> Axes:
    a = v.attributes

    def part(axis: Along | Merged | None, n: int, first: int, stop: int, step: int) -> Along | Merged | None:
        if not isinstance(axis, Along):
            return axis if (first, stop, step) == (0, n, 1) else None
        size, stride, start = axis.field
        return Along(axis.axis, Field(size, stride * step, start + first * stride))

    lengths = v.inputs[0].shape
    return tuple(part(*each) for each in zip(given[0] or (), lengths, a["starts"], a["stops"], a["steps"], strict=True))


def _reduce(v: Value, given: list[Axes | None]) -> Axes:
    axes = given[0] or ()
    gone = {a % len(axes) for a in v.attributes["axes"]}
    return tuple(a for k, a in enumerate(axes) if k not in gone)


def _transpose(v: Value, given: list[Axes | None]) -> Axes:
    axes = given[0] or ()
    return tuple(axes[a] for a in v.attributes["axes"])


def _broadcast(v: Value, given: list[Axes | None]) -> Axes:
    (x,), axes = v.inputs, given[0] or ()
    same = (a if n == m else None for a, n, m in zip(axes, x.shape, v.shape[v.ndim - x.ndim :], strict=True))
    return (*(None,) * (v.ndim - x.ndim), *same)


def _concatenate(v: Value, given: list[Axes | None]) -> Axes:
    found = _elementwise(v, given)
    return tuple(None if k == v.ndim + v.attributes["axis"] else a for k, a in enumerate(found))


def _first(v: Value, given: list[Axes | None]) -> Axes:
    return given[0] or (None,) * v.ndim


RULES: Mapping[Any, Callable[[Value, list[Axes | None]], Axes]] = {
    windows_of: _windows, contract_of: _contract, reshape_to: _reshape, pad_with: _pad, slice_of: _slice,
    **dict.fromkeys(REDUCTIONS, _reduce), transpose_of: _transpose, broadcast: _broadcast,
    concatenate_of: _concatenate, ruled: _first,
}  # fmt: skip


def field_text(fields: tuple[Field, ...] | None) -> str:
    """A field in a table: size, stride and start, once where all axes are alike.

    >>> field_text((Field(5, 2, -1), Field(5, 2, -1))), field_text((Field(5, 2, 0), Field(3, 1, -1))), field_text(None)
    ('5x5 / 2 from -1', '5x3 / 2x1 from 0, -1', '-')
    """
    if fields is None:
        return "-"

    def once(numbers: list[int], between: str) -> str:
        return str(numbers[0]) if len(set(numbers)) == 1 else between.join(map(str, numbers))

    size = "x".join(str(f.size) for f in fields)
    return f"{size} / {once([f.stride for f in fields], 'x')} from {once([f.start for f in fields], ', ')}"
