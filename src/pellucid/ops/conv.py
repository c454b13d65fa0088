"""Convolution of any rank: a view of windows, and the contraction of that with a kernel.

`windows` is a mere view: element (..., y, i) of it is element y * stride + i * dilation of its input, along each axis.
So cross-correlation is one contraction over channels and places in the window, its gradient in the kernel another one,
and its gradient in the input (`correlate_transposed`) one for each residue of the position by the stride.

Shapes: x (channels, *space), kernel (filters, channels / groups, *size), result (filters, *space).
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import GraphError
from ..graph import Sample, Shape, Type, Value, primitive
from .composite import with_vjp
from .contract import contract, contract_of, parse
from .movement import concatenate, fill, flip, pad, pad_with, reshape, transpose
from .options import LENGTHS, whole, wholes
from .sizes import Sizes, Widths, each_axis, fitted, padding_widths, window_count

# ---- windows and their adjoint ----------------------------------------------------------------------------------


def _windows_rule(x: Type, *, kernel, strides, dilations):
    rank = len(kernel)
    if not len(strides) == len(dilations) == rank <= len(x.shape) or not rank:
        raise GraphError(f"windows: {kernel}, strides {strides} and dilations {dilations} do not fit shape {x.shape}")
    lead, space = x.shape[: len(x.shape) - rank], x.shape[len(x.shape) - rank :]
    counts = tuple(map(window_count, space, kernel, strides, dilations))
    if min(counts) < 1:
        reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))
        raise GraphError(f"windows of {reach} are larger than the input, {space}")
    return (*lead, *counts, *kernel), x.dtype


def _windows(xp, x, *, kernel, strides, dilations):
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))
    view: Any = np.lib.stride_tricks.sliding_window_view(x, reach, tuple(range(-len(kernel), 0)))
    return view[(..., *(slice(None, None, s) for s in (*strides, *dilations)))]


windows_of = primitive(
    "windows",
    rule=_windows_rule,
    forward=_windows,
    vjp=lambda g, y, x, *, kernel, strides, dilations: (overlap_add(g, x.shape[-len(kernel) :], strides, dilations),),
    samples=(
        Sample(((2, 7),), {"kernel": (3,), "strides": (2,), "dilations": (1,)}),
        Sample(((2, 6, 5),), {"kernel": (2, 3), "strides": (1, 2), "dilations": (2, 1)}),
    ),
    options={"kernel": LENGTHS, "strides": LENGTHS, "dilations": LENGTHS},
)


def _overlap_add_rule(x: Type, *, size, strides, dilations):
    rank = len(size)
    counts, kernel = x.shape[len(x.shape) - 2 * rank : len(x.shape) - rank], x.shape[len(x.shape) - rank :]
    if (
        not len(strides) == len(dilations) == rank <= len(x.shape) // 2
        or not rank
        or counts != tuple(map(window_count, size, kernel, strides, dilations))
    ):
        raise GraphError(f"overlap_add: {x.shape} does not hold the windows of an input of size {size}")
    return (*x.shape[: len(x.shape) - 2 * rank], *size), x.dtype


def _overlap_add(xp, x, *, size, strides, dilations):
    rank = len(size)
    counts, kernel = x.shape[x.ndim - 2 * rank : x.ndim - rank], x.shape[x.ndim - rank :]
    out = xp.zeros((*x.shape[: x.ndim - 2 * rank], *size), x.dtype)
    for place in itertools.product(*map(range, kernel)):
        where = [slice(i * d, i * d + (n - 1) * s + 1, s)
                 for i, n, s, d in zip(place, counts, strides, dilations, strict=True)]  # fmt: skip
        out[(..., *where)] += x[(..., *place)]
    return out


overlap_add_of = primitive(
    "overlap_add",  # the adjoint of windows: what lies in several windows is added up
    rule=_overlap_add_rule,
    forward=_overlap_add,
    vjp=lambda g, y, x, *, size, strides, dilations: (
        windows_of(g, kernel=x.shape[-len(size) :], strides=strides, dilations=dilations),
    ),
    samples=(
        Sample(((2, 3, 3),), {"size": (7,), "strides": (2,), "dilations": (1,)}),
        Sample(((2, 4, 2, 2, 3),), {"size": (6, 5), "strides": (1, 2), "dilations": (2, 1)}),
        Sample(((2, 2, 2),), {"size": (6,), "strides": (3,), "dilations": (1,)}),
    ),
    options={"size": LENGTHS, "strides": LENGTHS, "dilations": LENGTHS},
)


def windows(x: Value, kernel: Sizes, strides: Sizes | None = None, dilations: Sizes | None = None) -> Value:
    """All windows over the last axes: (..., *space) to (..., *counts, *kernel).

    >>> from pellucid import input
    >>> windows(input("x", (3, 8, 8)), (5, 5)).shape
    (3, 4, 4, 5, 5)
    """
    kernel = wholes(kernel, "windows: kernel", 1)
    one = (1,) * len(kernel)
    strides, dilations = (one if g is None else wholes(g, f"windows: {name}", 1)
                          for name, g in (("strides", strides), ("dilations", dilations)))  # fmt: skip
    return windows_of(x, kernel=kernel, strides=strides, dilations=dilations)


def overlap_add(x: Value, size: Sizes, strides: Sizes, dilations: Sizes) -> Value:
    """The adjoint of `windows`: (..., *counts, *kernel) to (..., *size), what overlaps added up."""
    size, strides, dilations = (wholes(g, f"overlap_add: {name}", 1) for name, g in (
        ("size", size), ("strides", strides), ("dilations", dilations)))  # fmt: skip
    return overlap_add_of(x, size=size, strides=strides, dilations=dilations)


# ---- cross-correlation ------------------------------------------------------------------------------------------


def _letters(rank: int, grouped: bool) -> tuple[str, str, str]:
    """Letters of the places, of the window, and of the group."""
    return "xyz"[:rank], "ijk"[:rank], "g" * grouped


def _view(x: Value, kernel: Sizes, strides: Sizes, dilations: Sizes, widths: Widths) -> Value:
    return windows(padded(x, widths), kernel, strides, dilations)


def _kernel_gradient(g: Value, x: Value, kernel: Shape, *, strides, dilations, widths) -> Value:
    rank = len(strides)
    p, k, group = _letters(rank, len(kernel) == rank + 3)
    view = _view(x, kernel[-rank:], strides, dilations, widths)
    return contract(g, view, f"{group}o{p},{group}c{p}{k}->{group}oc{k}")


def _correlate_vjp(g, y, x, w, **options):
    size = x.shape[-len(options["strides"]) :]
    return _transposed(g, w, size=size, **options), _kernel_gradient(g, x, w.shape, **options)


@with_vjp(_correlate_vjp)
def _correlated(x: Value, w: Value, *, strides, dilations, widths) -> Value:
    """x ([groups,] channels, *space), w ([groups,] filters, channels, *kernel) -> ([groups,] filters, *counts)."""
    rank = len(strides)
    p, k, group = _letters(rank, w.ndim == rank + 3)
    view = _view(x, w.shape[-rank:], strides, dilations, widths)
    return contract(w, view, f"{group}oc{k},{group}c{p}{k}->{group}o{p}")


def _transposed_vjp(g, y, x, w, *, size, widths, **options):
    g, widths = _reached(g, x.shape[-len(size) :], w.shape[-len(size) :], widths=widths, **options)
    return _correlated(g, w, widths=widths, **options), _kernel_gradient(x, g, w.shape, widths=widths, **options)


def _reached(x: Value, counts: Sizes, kernel: Sizes, *, strides, dilations, widths: Widths) -> tuple[Value, Widths]:
    """x and its padding, without what would be in a window after that many."""
    parts, left = [], []
    for n, c, k, s, d, (before, after) in zip(
        x.shape[-len(counts) :], counts, kernel, strides, dilations, widths, strict=True
    ):
        end = (c - 1) * s + (k - 1) * d + 1 - before  # of the last window, as a place of x
        more = n + after - end >= s
        parts.append(slice(min(n, max(end, 0))) if more else slice(n))
        left.append((min(before, before + end), max(end - n, 0)) if more else (before, after))
    return x[(..., *parts)], tuple(left)


@with_vjp(_transposed_vjp)
def _transposed(g: Value, w: Value, *, strides, dilations, widths, size) -> Value:
    """The adjoint of `_correlated` in x, for an x of that size: ([groups,] filters, *counts) -> (..., channels, *size).

    Element p of x, p + padding = s q + r, is reached by those i of the kernel with i d = r (mod s): for each residue r
    that is a cross-correlation of stride 1 with every t-th element of the kernel, reversed.
    """
    rank, lead = len(strides), w.ndim - len(strides) - 2
    w = transpose(w, (*range(lead), lead + 1, lead, *range(lead + 2, w.ndim)))  # channels before filters
    counts = tuple(-(-n // s) for n, s in zip(size, strides, strict=True))
    parts = []
    for residues in itertools.product(*map(range, strides)):
        starts = tuple(r + before for r, (before, _) in zip(residues, widths, strict=True))
        parts.append(_residue(g, w, starts, strides, dilations, counts))
    y = parts[0]
    if len(parts) > 1:  # (*residues, ..., channels, *counts) -> (..., channels, *(count, residue))
        y = reshape(concatenate([reshape(p, (1, *p.shape)) for p in parts]), (*strides, *y.shape))
        own = y.ndim - rank
        places = [a for k in range(rank) for a in (own + k, k)]
        y = transpose(y, (*range(rank, own), *places))
        y = reshape(y, (*y.shape[: y.ndim - 2 * rank], *(n * s for n, s in zip(counts, strides, strict=True))))
    return y[(..., *(slice(n) for n in size))]


def _residue(g: Value, w: Value, starts, strides, dilations, counts) -> Value:
    """Positions start, start + s, ... along each axis, of the padded x; w has channels before filters."""
    rank = len(strides)
    zeros = fill(0, (*w.shape[: w.ndim - rank - 1], *counts), g.dtype)
    taps, steps, widths, crop = [], [], [], []
    for r, s, d, n, k, m in zip(starts, strides, dilations, counts, w.shape[-rank:], g.shape[-rank:], strict=True):
        common = math.gcd(s, d)
        first = next((i for i in range(min(k, s // common)) if (i * d - r) % s == 0), None)
        if first is None:
            return zeros
        tap = range(first, k, s // common)
        low = (r - first * d) // s - (len(tap) - 1) * (d // common)  # the first and last elements of g that count
        high = (r - first * d) // s + n
        if high <= 0 or low >= m:
            return zeros
        taps.append(slice(first, None, s // common))
        steps.append(d // common)
        widths.append((max(0, -low), max(0, high - m)))
        crop.append(slice(max(0, low), min(m, high)))
    w = flip(w[(..., *taps)], tuple(range(-rank, 0)))
    return _correlated(g[(..., *crop)], w, strides=(1,) * rank, dilations=tuple(steps), widths=tuple(widths))


SPECS = re.compile(r"(g?)oc(i?j?k?),\1c(x?y?z?)\2->\1o\3|(g?)o(x?y?z?),\4c\5(i?j?k?)->\4oc\6")


def window_operand(c: Value) -> Value | None:
    """The `windows` that a contraction goes over in one of the forms above; None for other contractions."""
    if c.primitive is not contract_of or [i.primitive for i in c.inputs].count(windows_of) != 1:
        return None
    a, b, out = parse(c.attributes["spec"])
    other, view = c.inputs
    if other.primitive is windows_of:
        a, b, view = b, a, other
    return view if SPECS.fullmatch(f"{a},{b}->{out}") else None


def over_windows(c: Value) -> bool:
    """Whether a contraction goes over windows of a sample: a convolution, or the gradient of its kernel."""
    view = window_operand(c)
    return view is not None and view.kind == "sample"


def gives_places(c: Value) -> bool:
    """Whether such a contraction is a convolution: its result has a number for each window."""
    view = window_operand(c) if over_windows(c) else None
    return view is not None and parse(c.attributes["spec"])[2][-1] in "xyz"


# ---- what users call --------------------------------------------------------------------------------------------


def padded(x: Value, widths: Widths, value: float = 0) -> Value:
    """``x`` with its last axes padded; in one padding, where x is padded with that value already."""
    if not any(map(any, widths)):
        return x
    pairs = [(0, 0)] * (x.ndim - len(widths)) + [tuple(w) for w in widths]
    a = x.attributes
    if x.primitive is pad_with and a["value"] == value and not any(a["interior"]):
        pairs = [(p + low, q + high) for (p, q), low, high in zip(pairs, a["low"], a["high"], strict=True)]
        (x,) = x.inputs
    return pad(x, pairs, value)


def is_zeros_around(x: Value) -> bool:
    """Whether x is another value with zeros around it."""
    return x.primitive is pad_with and x.attributes["value"] == 0 and not any(x.attributes["interior"])


def split_groups(x: Value, groups: int) -> Value:
    """(channels, ...) as (groups, channels / groups, ...); as it is for one group."""
    return x if groups == 1 else reshape(x, (groups, x.shape[0] // groups, *x.shape[1:]))


def correlate(
    x: Value, w: Value, strides: int | Sequence[int] = 1, padding="valid", dilations: int | Sequence[int] = 1,
    groups: int = 1, floor: bool = False,
) -> Value:  # fmt: skip
    """Cross-correlation, what networks call convolution: y[o, p] = sum over c, i of w[o, c, i] x[c, p s + i d].

    Shapes: x (channels, *space), w (filters, channels / groups, *kernel), result (filters, *places) of rank 1, 2 or 3;
    an axis of n gives (n - kernel + padding) / stride + 1 places, and raises `GraphError` where that is not whole,
    unless ``floor``. Lectures 000, 001 and 003.

    >>> from pellucid import input, state
    >>> correlate(input("x", (3, 32, 32)), state("w", (6, 3, 5, 5))).shape
    (6, 28, 28)
    """
    rank, groups = w.ndim - 2, whole(groups, "correlate: groups", 1)
    if not 1 <= rank <= 3 or x.ndim != rank + 1:
        raise GraphError(f"correlate: a kernel of shape {w.shape} (filters, channels, *size) needs an input of shape "
                         f"(channels, *space) with {rank} axes of space, got {x.shape}")  # fmt: skip
    if x.shape[0] != w.shape[1] * groups or w.shape[0] % groups:
        raise GraphError(f"correlate: {x.shape[0]} channels in {groups} groups do not fit a kernel of shape {w.shape}: "
                         f"{w.shape[0]} filters for {w.shape[1]} channels each")  # fmt: skip
    space, kernel = x.shape[1:], w.shape[2:]
    strides, dilations, widths = fitted(space, kernel, strides, padding, dilations, floor)
    x, w_grouped = split_groups(x, groups), split_groups(w, groups)
    y = _correlated(x, w_grouped, strides=strides, dilations=dilations, widths=widths)
    return y if groups == 1 else reshape(y, (w.shape[0], *y.shape[2:]))


def convolve(x: Value, w: Value, *arguments, **options) -> Value:
    """True convolution: `correlate` with the kernel reversed along all its axes."""
    return correlate(x, flip(w, range(2, w.ndim)), *arguments, **options)


def correlate_transposed(
    x: Value, w: Value, strides: int | Sequence[int] = 1, padding="valid", dilations: int | Sequence[int] = 1,
    groups: int = 1, output_padding: int | Sequence[int] = 0,
) -> Value:  # fmt: skip
    """The adjoint of `correlate` in its input, also called deconvolution: it undoes the change of shape.

    Shapes: x (filters, *places), w (filters, channels / groups, *kernel), result (channels, *space) with
    (n - 1) stride + kernel - padding + output_padding elements for n places; "same" gives n * stride.

    >>> from pellucid import input, state
    >>> correlate_transposed(input("x", (6, 14, 14)), state("w", (6, 3, 2, 2)), strides=2).shape
    (3, 28, 28)
    """
    rank, groups = w.ndim - 2, whole(groups, "correlate_transposed: groups", 1)
    if not 1 <= rank <= 3 or x.ndim != rank + 1 or x.shape[0] != w.shape[0] or x.shape[0] % groups:
        raise GraphError(f"correlate_transposed: an input of shape {x.shape} (filters, *places) in {groups} groups "
                         f"does not fit a kernel of shape {w.shape} (filters, channels, *size)")  # fmt: skip
    strides, dilations = each_axis(strides, rank, "strides"), each_axis(dilations, rank, "dilations")
    more = each_axis(output_padding, rank, "output_padding", least=0)
    reach = [(k - 1) * d + 1 for k, d in zip(w.shape[2:], dilations, strict=True)]
    full = tuple((n - 1) * s + r + m for n, s, r, m in zip(x.shape[1:], strides, reach, more, strict=True))
    if isinstance(padding, str) and padding == "same":
        totals = [r + m - s for r, m, s in zip(reach, more, strides, strict=True)]
        if min(totals) < 0:
            raise GraphError(f"correlate_transposed: padding='same' needs a kernel at least as large as the strides, "
                             f"got {w.shape[2:]} and {strides}")  # fmt: skip
        widths = [(t // 2, t - t // 2) for t in totals]
    else:
        widths = padding_widths(padding, full, w.shape[2:], strides, dilations)
    if any(m >= max(s, d) for m, s, d in zip(more, strides, dilations, strict=True)):
        raise GraphError(
            f"correlate_transposed: output_padding must be less than the stride or the dilation, got {output_padding}"
        )
    size = tuple(n - a - b for n, (a, b) in zip(full, widths, strict=True))
    if min(size) < 1:
        raise GraphError(f"correlate_transposed: padding {padding!r} leaves nothing of {full}")
    strides = tuple(min(s, m + before) if n == 1 else s  # of one place: the result has a part for each step of a stride
                    for s, n, m, (before, _) in zip(strides, x.shape[1:], size, widths, strict=True))  # fmt: skip
    x, w_grouped = split_groups(x, groups), split_groups(w, groups)
    y = _transposed(x, w_grouped, strides=strides, dilations=dilations, widths=tuple(widths), size=size)
    return y if groups == 1 else reshape(y, (w.shape[1] * groups, *y.shape[2:]))
