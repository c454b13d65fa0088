"""Products with rows of a small table: made once for each row of the table, and then taken. Imports graph and ops.

The projection of embedded tokens, U e(token), is a row of the table U E^T. Where a batch has more tokens than the
table rows, that table is cheaper, and so are the gradients: slopes are first added up by token, then multiplied.
Exact up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from string import ascii_letters
from typing import NamedTuple

from ..graph import Value
from ..ops.contract import contract_of, parse
from ..ops.gather import scatter_of, scatter_rows, take, take_rows
from ..ops.movement import reshape, reshape_to, slice_of, transpose
from ..ops.reduce import batch_sum
from ..program import Program
from .rewrite import rewrite

GAIN = 2  # tokens for each row of the table, from which on that is done
LANES = 16  # samples that a batch is taken to have at least


Worth = Callable[[Value, int], bool]


def _many(rows: Value, size: int) -> bool:
    """Whether a batch has more tokens than a table of that size has rows."""
    return rows.kind == "sample" and rows.size * LANES >= GAIN * size


def with_tables(program: Program, worth: Worth = _many) -> Program:
    """The program with such products made of tables, where ``worth(rows, size of the table)``."""
    program = rewrite(program, _part_of_rows)
    new: dict[Value, Value] = {}
    sums: dict[tuple[Value, Value, int, tuple[int, ...]], Value] = {}

    def summed(g: Value, rows: Value, size: int, axes: tuple[int, ...]) -> Value:
        """The slopes of all samples and places, added up by their row of the table."""
        key = g, rows, size, axes
        if key not in sums:
            sums[key] = batch_sum(scatter_rows(ordered(new[g], axes), new[rows], size))
        return sums[key]

    def by_rows(v: Value, inputs: tuple[Value, ...]) -> Value | None:
        if (found := _taken(v, worth)) is not None:
            table = contract_of(new[found.w], new[found.table], spec=found.spec)
            return ordered(take(table, new[found.rows]), found.axes)
        if (slope := _slope_of_factor(v, worth) or _slope_of_table(v, worth)) is not None:
            total = summed(slope.g, slope.rows, slope.size, slope.axes)
            return contract_of(total, new[slope.other], spec=slope.spec)
        return None

    return rewrite(program, by_rows, new=new)


def _part_of_rows(v: Value, inputs: tuple[Value, ...]) -> Value | None:
    """For some of the rows that are taken, or another shape of them: just these rows, taken."""
    if v.primitive not in (slice_of, reshape_to) or inputs[0].primitive is not take_rows:
        return None
    table, rows = inputs[0].inputs
    inner, a = table.shape[1:], v.attributes
    if v.shape[v.ndim - len(inner) :] != inner or v.ndim < len(inner):
        return None
    if v.primitive is reshape_to:
        return take(table, reshape(rows, v.shape[: v.ndim - len(inner)]))
    n = rows.ndim
    return take(table, slice_of(rows, starts=a["starts"][:n], stops=a["stops"][:n], steps=a["steps"][:n]))


def ordered(x: Value, axes: tuple[int, ...]) -> Value:
    return x if axes == tuple(range(x.ndim)) else transpose(x, axes)


class Taken(NamedTuple):
    """A product of ``w`` with taken rows: ``spec`` makes the table of products, ``axes`` order what is taken."""

    w: Value
    table: Value
    rows: Value
    spec: str
    axes: tuple[int, ...]


class Slope(NamedTuple):
    """A product of ``other`` and the slopes ``g``, with ``axes`` in order, summed by row: letters as in ``spec``."""

    g: Value
    rows: Value
    size: int
    axes: tuple[int, ...]
    other: Value
    spec: str


def _takes(v: Value, worth: Worth) -> bool:
    """Whether v is rows of a shared table that are worth it."""
    return v.primitive is take_rows and v.inputs[0].kind == "shared" and worth(v.inputs[1], v.inputs[0].shape[0])


def _taken(v: Value, worth: Worth) -> Taken | None:
    """For a product of something shared with taken rows, summed over what is within a row."""
    if v.primitive is not contract_of:
        return None
    letters, out = parse(v.attributes["spec"])[:2], parse(v.attributes["spec"])[2]
    for k, x in enumerate(v.inputs):
        w, own, others = v.inputs[1 - k], letters[k], letters[1 - k]
        if not _takes(x, worth) or w.kind != "shared":
            continue
        places, inner = own[: x.inputs[1].ndim], own[x.inputs[1].ndim :]
        if set(places) & set(others) or not set(places) <= set(out) or not set(inner) - set(out):
            continue
        row = _letter(own + others)
        rest = "".join(c for c in out if c not in places)
        order = places + rest
        return Taken(w, x.inputs[0], x.inputs[1], f"{others},{row}{inner}->{row}{rest}",
                     tuple(order.index(c) for c in out))  # fmt: skip
    return None


def _slope_of_factor(v: Value, worth: Worth) -> Slope | None:
    """For the gradient of w: the sum over samples and places of slopes times taken rows."""
    c = v.inputs[0] if v.primitive is batch_sum else v
    if c is v or c.primitive is not contract_of:
        return None
    letters, out = parse(c.attributes["spec"])[:2], parse(c.attributes["spec"])[2]
    for k, x in enumerate(c.inputs):
        g, own, others = c.inputs[1 - k], letters[k], letters[1 - k]
        if not _takes(x, worth) or g.kind != "sample" or g is x:
            continue
        places, inner = own[: x.inputs[1].ndim], own[x.inputs[1].ndim :]
        if set(places) & set(out) or not set(places) <= set(others) or set(inner) & set(others):
            continue
        rest = "".join(c for c in others if c not in places)
        row = _letter(own + others)
        return Slope(g, x.inputs[1], x.inputs[0].shape[0], tuple(others.index(c) for c in places + rest),
                     x.inputs[0], f"{row}{rest},{row}{inner}->{out}")  # fmt: skip
    return None


def _slope_of_table(v: Value, worth: Worth) -> Slope | None:
    """For the gradient of the table: the sum over samples of w times slopes, added to their rows."""
    s = v.inputs[0] if v.primitive is batch_sum else v
    if s is v or s.primitive is not scatter_of or not worth(s.inputs[1], v.shape[0]):
        return None
    c, rows = s.inputs
    if c.primitive is not contract_of:
        return None
    letters, out = parse(c.attributes["spec"])[:2], parse(c.attributes["spec"])[2]
    places, inner = out[: rows.ndim], out[rows.ndim :]
    for k, g in enumerate(c.inputs):
        w, own, others = c.inputs[1 - k], letters[k], letters[1 - k]
        if w.kind != "shared" or g.kind != "sample" or set(places) & set(others) or not set(places) <= set(own):
            continue
        rest = "".join(c for c in own if c not in places)
        row = _letter(own + others)
        return Slope(g, rows, v.shape[0], tuple(own.index(c) for c in places + rest), w,
                     f"{row}{rest},{others}->{row}{inner}")  # fmt: skip
    return None


def _letter(used: str) -> str:
    return next(c for c in ascii_letters if c not in used)
