"""Sizes for each axis of space as users give them: of windows, strides, padding; whether they fit. Imports graph.

Shapes: x (channels, *space), with 1 to 3 axes of space.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from ..checks import flag, wholes, wrong
from ..errors import ArgumentError, GraphError
from ..graph import Shape

Sizes = tuple[int, ...]
MOST_TRIED = 1 << 16  # strides that a suggestion is looked for among
Widths = Sequence[tuple[int, int]]  # zeros (before, after) each axis


def window_count(n: int, kernel: int, stride: int, dilation: int) -> int:
    """How many windows fit along an axis of length n, the last one starting within stride of the end."""
    return (n - (kernel - 1) * dilation - 1) // stride + 1


def each_axis(given: int | Sequence[int], rank: int, name: str, least: int = 1) -> Sizes:
    """One number for all axes, or one for each; raises `ArgumentError` for anything else.

    >>> each_axis(2, 3, "strides"), each_axis((1, 2), 2, "strides")
    ((2, 2, 2), (1, 2))
    """
    with contextlib.suppress(ArgumentError):
        one = not isinstance(given, Sequence) and not getattr(given, "ndim", 0)
        sizes = wholes("", name, given, least=least) * (rank if one else 1)
        if len(sizes) == rank:
            return sizes
    raise wrong("", name, f"a whole number >= {least}, or {rank} of them", given)


def padding_widths(padding, space: Shape, kernel: Sizes, strides: Sizes, dilations: Sizes) -> list[tuple[int, int]]:
    """Zeros (before, after) each axis: "valid" none; "same" for ceil(n / stride) results; numbers, or pairs of them."""
    if isinstance(padding, str) and padding == "valid":
        return [(0, 0)] * len(space)
    if isinstance(padding, str) and padding == "same":
        totals = [max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
                  for n, k, s, d in zip(space, kernel, strides, dilations, strict=True)]  # fmt: skip
        return [(t // 2, t - t // 2) for t in totals]
    with contextlib.suppress(ArgumentError):
        each = padding if isinstance(padding, (tuple, list)) else (padding,) * len(space)
        pairs = [wholes("", "padding", p, least=0) * (1 if isinstance(p, (tuple, list)) else 2) for p in each]
        if [len(p) for p in pairs] == [2] * len(space):
            return [(a, b) for a, b in pairs]
    wanted = f"'valid', 'same', a number, or for each of {len(space)} axes a number or a pair (before, after)"
    raise wrong("", "padding", wanted, padding)


def check_fit(n: int, kernel: int, stride: int, dilation: int, widths: tuple[int, int], floor: bool) -> None:
    """Raise `GraphError` unless windows cover an axis exactly: (n - kernel + padding) / stride + 1 is whole.

    ``floor`` allows a rest that no window covers.

    >>> check_fit(7, 3, 3, 1, (0, 0), False)
    Traceback (most recent call last):
    pellucid.errors.GraphError: windows of 3 with stride 3 do not fit an axis of 7 with padding 0: (7 - 3 + 0)/3 + 1 = \
2.33. It fits with stride 1, 2 or 4, with padding 2 in all, or for an axis of 6 or 9; floor=True leaves the rest out
    """
    total, reach = sum(widths), (kernel - 1) * dilation + 1
    room = n + total - reach
    if room < 0:
        raise GraphError(f"windows of {reach} are larger than an axis of {n} with padding {total}; "
                         f"use a kernel of at most {(n + total - 1) // dilation + 1}, or padding='same'")  # fmt: skip
    if floor or room % stride == 0:
        return
    strides = [s for s in range(1, min(room, MOST_TRIED) + 1) if room % s == 0][:3]
    raise GraphError(
        f"windows of {reach} with stride {stride} do not fit an axis of {n} with padding {total}: "
        f"({n} - {reach} + {total})/{stride} + 1 = {room / stride + 1:.2f}. It fits with stride "
        f"{', '.join(map(str, strides[:-1]))}{' or ' * (len(strides) > 1)}{strides[-1]}, with padding "
        f"{total + stride - room % stride} in all, or for an axis of {n - room % stride} or "
        f"{n - room % stride + stride}; floor=True leaves the rest out"
    )


def fitted(space: Shape, kernel: Sizes, strides, padding, dilations, floor: bool) -> tuple[Sizes, Sizes, Widths]:
    """Strides, dilations and padding for each axis, where windows with them fit; else a `GraphError`."""
    floor = flag("", "floor", floor)
    strides = each_axis(strides, len(space), "strides")
    dilations = each_axis(dilations, len(space), "dilations")
    widths = padding_widths(padding, space, kernel, strides, dilations)
    loose = floor or (isinstance(padding, str) and padding == "same")
    for n, k, s, d, p in zip(space, kernel, strides, dilations, widths, strict=True):
        check_fit(n, k, s, d, p, loose)
    # a stride beyond the end is as good as one to the end; the way back has a part for each step of a stride
    strides = tuple(min(s, n + sum(p)) for s, n, p in zip(strides, space, widths, strict=True))
    return strides, dilations, tuple(widths)
