"""Rows by number: gather, its adjoint scatter, and one-hot codes."""

from __future__ import annotations

import numpy as np

from ..checks import whole
from ..errors import GraphError
from ..graph import Sample, Type, Value, primitive
from .elementwise import cast, equal
from .movement import broadcast_to, expand_dims, iota
from .options import COUNT, LENGTH

INDICES = ("int32", "int64")


def _take_rule(table: Type, rows: Type, *, table_ndim, rows_ndim):
    if rows.dtype not in INDICES:
        raise GraphError(f"take: rows must be {' or '.join(INDICES)}, got {rows.dtype}; use cast(rows, dtype)")
    if (table_ndim, rows_ndim) != (len(table.shape), len(rows.shape)):
        raise GraphError(f"take: made for {table_ndim} and {rows_ndim} axes, got {table} and {rows}")
    if not table.shape:
        raise GraphError("take: a scalar has no rows")
    return rows.shape + table.shape[1:], table.dtype


def _checked(rows, size: int, name: str):
    bad = (rows < 0) | (rows >= size)
    if bad.any():
        raise IndexError(f"{name}: row {rows[bad].flat[0]} is outside 0..{size - 1} ({int(bad.sum())} such)")
    return rows


def _take(xp, table, rows, *, table_ndim, rows_ndim):
    table_batched, rows_batched = table.ndim > table_ndim, rows.ndim > rows_ndim
    rows = _checked(rows, table.shape[int(table_batched)], "take")
    if table_batched and rows_batched:  # sample i takes from its own table
        return table[np.arange(len(table)).reshape(-1, *[1] * rows_ndim), rows]
    return xp.take(table, rows, axis=int(table_batched))


def _take_vjp(g, y, table, rows, *, table_ndim, rows_ndim):
    return scatter_rows(g, rows, table.shape[0]), None


take_rows = primitive(
    "take",
    rule=_take_rule,
    forward=_take,
    vjp=_take_vjp,
    samples=(
        Sample(((4, 3), np.array([2, 0, 2])), {"table_ndim": 2, "rows_ndim": 1}),
        Sample(((4,), np.array(1)), {"table_ndim": 1, "rows_ndim": 0}),
    ),
    options={"table_ndim": COUNT, "rows_ndim": COUNT},
)


def take(table: Value, rows: Value) -> Value:
    """Rows of a table by number: shape ``rows.shape + table.shape[1:]``. A row outside the table is an error.

    >>> from pellucid import input, state
    >>> take(state("embedding", (100, 8)), input("words", (5,), "int32"))
    <take: sample float32 (5, 8)>
    """
    return take_rows(table, rows, table_ndim=table.ndim, rows_ndim=rows.ndim)


def _scatter_rule(values: Type, rows: Type, *, size, values_ndim, rows_ndim):
    given = len(values.shape), len(rows.shape)
    fit = values.shape[: given[1]] == rows.shape and given == (values_ndim, rows_ndim)
    if not fit or rows.dtype not in INDICES:
        raise GraphError(f"scatter_rows: values {values} and rows {rows} do not fit")
    return (size, *values.shape[len(rows.shape) :]), values.dtype


def _scatter(xp, values, rows, *, size, values_ndim, rows_ndim, summed=False):
    lead = np.broadcast_shapes(values.shape[: values.ndim - values_ndim], rows.shape[: rows.ndim - rows_ndim])
    own_values, own_rows = values.shape[values.ndim - values_ndim :], rows.shape[rows.ndim - rows_ndim :]
    values = np.broadcast_to(values, lead + own_values)
    rows = _checked(np.broadcast_to(rows, lead + own_rows), size, "scatter_rows")
    inner = own_values[rows_ndim:]
    if lead and not summed:
        out = np.zeros((*lead, size, *inner), values.dtype)
        np.add.at(out, (np.arange(lead[0]).reshape(-1, *[1] * rows_ndim), rows), values)
    else:
        out = np.zeros((size, *inner), values.dtype)
        np.add.at(out, rows, values)
    return out


scatter_of = primitive(
    "scatter_rows",
    rule=_scatter_rule,
    forward=_scatter,
    forward_summed=lambda xp, *inputs, **attributes: _scatter(xp, *inputs, **attributes, summed=True),
    vjp=lambda g, y, values, rows, **_: (take(g, rows), None),
    samples=(Sample(((3, 2), np.array([1, 4, 1])), {"size": 5, "values_ndim": 2, "rows_ndim": 1}),),
    options={"size": LENGTH, "values_ndim": COUNT, "rows_ndim": COUNT},
)


def scatter_rows(values: Value, rows: Value, size: int) -> Value:
    """A table of ``size`` rows of zeros to which each of ``values`` is added at its row: the adjoint of `take`."""
    return scatter_of(
        values, rows, size=whole("scatter_rows", "size", size), values_ndim=values.ndim, rows_ndim=rows.ndim
    )


def one_hot(labels: Value, k: int, like: Value | None = None) -> Value:
    """Numbers 0..k-1 as 0/1 codes along a new last axis, in the dtype of ``like`` (int32 without it).

    >>> from pellucid import input
    >>> one_hot(input("label", (), "int32"), 10)
    <cast: sample int32 (10,)>
    """
    k = whole("one_hot", "k", k, least=0)
    shape = (*labels.shape, k)
    codes = equal(broadcast_to(expand_dims(labels, -1), shape), broadcast_to(iota(k, labels.dtype), shape))
    return cast(codes, like.dtype if like is not None else "int32")
