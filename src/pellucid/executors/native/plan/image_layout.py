"""Where convolutions of one image find it: copies of images that do not lie in memory as `image.py` reads them.

A copy has its zeros around it, and for strides (s, t) it holds s x t smaller images, each of every s-th row and t-th
column; so the windows of neighboring places are neighbors in memory whatever the strides. Imports graph and ops.
"""

from __future__ import annotations

from ....graph import Value
from ....ops.contract import parse
from ....ops.conv import is_zeros_around, padded, window_operand, windows_of
from ....ops.movement import reshape, transpose
from ....passes.rewrite import rewrite
from ....program import Program
from .classify import VIEWS, is_inline
from .layout_ops import copy
from .letters import SPACE_LETTERS


def with_image_layout(program: Program) -> Program:
    """The program with such copies; those who read them see the same values through views."""
    roots = {*program.outputs.values(), *program.updates.values()}
    inline: dict[Value, bool] = {}

    def over_copies(v: Value, inputs: tuple[Value, ...]) -> Value | None:
        is_inline(v, inline)
        view = image_windows(v)
        if view is None or is_readable(view, roots, inline):
            return None
        return v.primitive(*(over_copy(x) if i is view else x for i, x in zip(v.inputs, inputs, strict=True)),
                           **v.attributes)  # fmt: skip

    return rewrite(program, over_copies)


def image_windows(c: Value) -> Value | None:
    """The windows of a shared value that a contraction goes over: a convolution of one image. None for others."""
    view = window_operand(c) if c.kind == "shared" else None
    if view is None:
        return None
    out = parse(c.attributes["spec"])[2]
    return view if any(letter in SPACE_LETTERS for letter in out) else None  # there are places in the result


def is_readable(view: Value, roots: set[Value], inline: dict[Value, bool]) -> bool:
    """Whether windows go over a value that has memory of its own, perhaps with zeros around it, in steps of one."""
    (x,) = view.inputs
    if is_zeros_around(x) and x not in roots:
        (x,) = x.inputs
    return max(view.attributes["strides"]) == 1 and x not in roots and not inline.get(x) and x.primitive not in VIEWS


def over_copy(view: Value) -> Value:
    """The same windows, of a copy."""
    a, (x,) = view.attributes, view.inputs
    rank, pairs = len(a["kernel"]), list(zip(a["kernel"], a["strides"], strict=True))
    x = x[(..., *(slice(None, None, s if k == 1 else 1) for k, s in pairs))]  # not what lies between all windows
    strides = tuple(s if k > 1 else 1 for k, s in pairs)
    x = split_by_stride(x, rank, strides) if max(strides) > 1 else copy(x)
    return windows_of(x, kernel=a["kernel"], strides=strides, dilations=a["dilations"])


def split_by_stride(x: Value, rank: int, strides: tuple[int, ...]) -> Value:
    """A view of a copy that has (*lead, *residues, *counts) in memory: element q s + r of an axis at r, q."""
    lead, space = x.shape[: x.ndim - rank], x.shape[x.ndim - rank :]
    counts = [-(-n // s) for n, s in zip(space, strides, strict=True)]
    x = padded(x, [(0, q * s - n) for q, s, n in zip(counts, strides, space, strict=True)])
    whole, first = x.shape, len(lead)
    apart = [*range(first), *(first + 2 * k + 1 for k in range(rank)), *(first + 2 * k for k in range(rank))]
    together = [*range(first), *(first + k for r in range(rank) for k in (rank + r, r))]
    x = reshape(x, (*lead, *(n for pair in zip(counts, strides, strict=True) for n in pair)))
    x = reshape(transpose(copy(transpose(x, apart)), together), whole)
    return x[(..., *(slice(n) for n in space))]
