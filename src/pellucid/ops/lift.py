"""A function of one step applied to all steps at once: each operation over a further leading axis, that of time.

`lift` takes a graph that was written for one step. What depends on the step gets the axis, all else stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from string import ascii_letters
from typing import NamedTuple

from ..errors import GraphError
from ..graph import Primitive, Value, input, toposort
from . import reduce
from .contract import contract, contract_of, parse
from .conv import overlap_add_of, windows_of
from .elementwise import add, cast_to, negative, subtract
from .gather import scatter_of, scatter_rows, take, take_rows
from .loop import result_of, scan_of
from .movement import (
    broadcast,
    broadcast_to,
    concatenate_of,
    expand_dims,
    flip_axes,
    iota,
    pad_with,
    reshape,
    reshape_to,
    ruled,
    slice_of,
    stop_gradient,
    transpose_of,
)
from .reduce import REDUCTIONS, argmax_axis, batch_sum, to_samples


class Lifted(NamedTuple):
    """A Value of one step as a Value of all: ``stacked`` along a leading axis, or the same at every step."""

    value: Value
    stacked: bool

    def spread(self, n: int) -> Value:
        """With the leading axis in any case."""
        x = self.value
        return x if self.stacked else broadcast_to(expand_dims(x, 0), (n, *x.shape))


def vmap(function: Callable, *xs: Value) -> Value | tuple:
    """``function`` of one step, applied to all steps of sequences at once: ``xs[i]`` has a leading axis of time.

    The function takes as many Values, without that axis, and returns one or a tuple, which get it. Raises `GraphError`
    for sequences of different lengths, and for what cannot be done for several steps at once.

    >>> from pellucid import input, state
    >>> w, x = state("w", (2, 3)), input("x", (7, 3))
    >>> vmap(lambda step: contract(w, step, "ij,j->i"), x)
    <contract: sample float32 (7, 2)>
    """
    n = common_length("vmap", xs)
    leaves = [input(f"step{i}", x.shape[1:], x.dtype, x.kind) for i, x in enumerate(xs)]
    result = function(*leaves)
    several = result if isinstance(result, tuple) else (result,)
    known = {leaf: Lifted(x, True) for leaf, x in zip(leaves, xs, strict=True)}
    lifted = tuple(found.spread(n) for found in lift(several, known, n))
    return lifted if isinstance(result, tuple) else lifted[0]


def common_length(what: str, xs: Sequence[Value]) -> int:
    """The number of steps of sequences, which must be one."""
    for x in xs:
        if not isinstance(x, Value) or not x.ndim:
            raise GraphError(f"{what}: takes sequences, Values with a leading axis of time, got {x!r}")
    if len({x.shape[0] for x in xs}) != 1:
        raise GraphError(f"{what}: sequences must have one length, got {[x.shape[0] for x in xs] or 'none'}")
    if xs[0].shape[0] == 0:
        raise GraphError(f"{what}: a sequence of length 0 has no steps; shape {xs[0].shape}")
    return xs[0].shape[0]


def lift(wanted: Sequence[Value], known: Mapping[Value, Lifted], n: int) -> list[Lifted]:
    """The wanted Values of one step at all n steps, from those of them that are known."""
    found = dict(known)
    for v in toposort(wanted, known):
        if v not in found:
            found[v] = _lift(v, [found[i] for i in v.inputs], n)
    return [found[v] for v in wanted]


def summed(v: Value, known: Mapping[Value, Lifted], n: int) -> Value:
    """The sum of a Value over all n steps: of products, one contraction over the steps too."""
    p, a = v.primitive, v.attributes
    if v in known:
        return _total(known[v], n)
    if p in (batch_sum, negative) or (p in (reshape_to, transpose_of, broadcast, pad_with, slice_of) and not a.get(
            "value")):  # fmt: skip
        return p(summed(v.inputs[0], known, n), **a)
    if p in (add, subtract):
        return p(*(summed(i, known, n) for i in v.inputs))
    inputs = lift(v.inputs, known, n)
    if p in (contract_of, scatter_of) and all(i.stacked for i in inputs):
        x, y = (i.value for i in inputs)
        if p is scatter_of:
            return scatter_rows(x, y, a["size"])
        left, right, out = parse(a["spec"])
        t = _new_letter(left + right)
        return contract(x, y, f"{t}{left},{t}{right}->{out}")
    return _total(_lift(v, inputs, n), n)


def _total(x: Lifted, n: int) -> Value:
    return reduce.sum(x.value, 0) if x.stacked else x.value * n


def _lift(v: Value, inputs: list[Lifted], n: int) -> Lifted:
    values = [i.value for i in inputs]
    if not any(i.stacked for i in inputs):
        same = all(x is y for x, y in zip(values, v.inputs, strict=True))
        return Lifted(v if same else v.primitive(*values, **v.attributes), False)
    if v.primitive.elementwise or v.primitive in SPREAD:
        return Lifted(v.primitive(*(i.spread(n) for i in inputs), **v.attributes), True)
    if v.primitive in SAME:
        return Lifted(v.primitive(*values, **v.attributes), True)
    if v.primitive in (scan_of, result_of):
        raise GraphError("a loop over time (a recurrent layer) cannot itself be done for all steps of a sequence at "
                         "once, nor stand within another one (nn.Lateral and nn.Feedback: unroll=True)")  # fmt: skip
    if v.primitive not in RULES:
        raise GraphError(f"{v.primitive.name} cannot be done for all steps of a sequence at once")
    return Lifted(RULES[v.primitive](v, inputs, n), True)


def _new_letter(used: str) -> str:
    return next(letter for letter in reversed(ascii_letters) if letter not in used)


def _reshape(v, inputs, n):
    return reshape(inputs[0].value, (n, *v.shape))


def _transpose(v, inputs, n):
    return transpose_of(inputs[0].value, axes=(-v.ndim - 1, *v.attributes["axes"]))


def _broadcast(v, inputs, n):
    return broadcast(inputs[0].value, shape=(n, *v.shape))


def _slice(v, inputs, n):
    a = v.attributes
    return slice_of(inputs[0].value, starts=(0, *a["starts"]), stops=(n, *a["stops"]), steps=(1, *a["steps"]))


def _pad(v, inputs, n):
    a = v.attributes
    low, high, interior = ((0, *a[name]) for name in ("low", "high", "interior"))
    return pad_with(inputs[0].value, low=low, high=high, interior=interior, value=a["value"])


def _contract(v, inputs, n):
    left, right, out = parse(v.attributes["spec"])
    t = _new_letter(left + right)
    left, right = t * inputs[0].stacked + left, t * inputs[1].stacked + right
    return contract(inputs[0].value, inputs[1].value, f"{left},{right}->{t}{out}")


def _take(v, inputs, n):
    table, rows = inputs
    if table.stacked:
        raise GraphError("take: a table that differs from step to step cannot be used for all steps at once")
    return take(table.value, rows.value)


def _scatter(v, inputs, n):
    """All steps' tables as one, each at its own place."""
    values, rows = (i.spread(n) for i in inputs)
    size = v.attributes["size"]
    first = reshape(iota(n, rows.dtype), (n, *(1,) * (rows.ndim - 1))) * size
    return reshape(scatter_rows(values, rows + broadcast_to(first, rows.shape), size * n), (n, *v.shape))


def _ruled(v, inputs, n):
    """The derivative rule of one step, lifted too."""
    rule = v.attributes["rule"]

    def of_all(g: Value, y: Value, *xs: Value):
        leaves = [input("x", x.shape, x.dtype, x.kind) for x in (v, v, *v.inputs[1:])]
        parts = rule(*leaves)
        known = dict(zip(leaves, [Lifted(g, True), Lifted(y, True), *(Lifted(x, x.shape != i.shape)
                     for x, i in zip(xs, v.inputs[1:], strict=True))], strict=True))  # fmt: skip
        found = iter(lift([p for p in parts if p is not None], known, n))
        return tuple(None if p is None else next(found).spread(n) if x.shape != i.shape else summed(p, known, n)
                     for p, x, i in zip(parts, xs, v.inputs[1:], strict=True))  # fmt: skip

    of_all.__name__ = rule.__name__
    return ruled(inputs[0].spread(n), *(i.value for i in inputs[1:]), rule=of_all)


SPREAD = (concatenate_of,)  # with inputs that all have the axis, as they are: axes are counted from the right
SAME = (flip_axes, *REDUCTIONS, argmax_axis, windows_of, overlap_add_of, batch_sum, to_samples,
        cast_to, stop_gradient)  # fmt: skip
RULES: dict[Primitive, Callable[[Value, list[Lifted], int], Value]] = {
    reshape_to: _reshape,
    transpose_of: _transpose,
    broadcast: _broadcast,
    slice_of: _slice,
    pad_with: _pad,
    contract_of: _contract,
    take_rows: _take,
    scatter_of: _scatter,
    ruled: _ruled,
}
