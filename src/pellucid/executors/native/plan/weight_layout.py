"""Weights that many products read across their rows: which are transposed once, before they are read."""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Iterable

from ....graph import Value, input
from ....ops.contract import contract_of, parse
from ....ops.conv import window_operand
from ....ops.loop import Body, rebuilt
from ....ops.movement import transpose_of
from ....passes.rewrite import rewrite
from ....program import Program
from .layout_ops import copy, packed_rows

MIN_COLUMNS = 8  # columns of the other factor, with which that is worth it outside of loops


def with_weight_layout(program: Program) -> Program:
    """The program with transposed copies of such weights."""
    made: dict[tuple, Value] = {}

    def unique(v: Value) -> Value:
        """The copy, or one like it that there is already."""
        (x,) = v.inputs
        key = (v.primitive, x.inputs, x.attributes["axes"]) if x.primitive is transpose_of else (v.primitive, x)
        return made.setdefault(key, v)

    def of_loop(v: Value, inputs: tuple[Value, ...], wanted: Iterable[Value]) -> tuple[Value, dict[Value, Value]]:
        body = v.attributes["body"]
        leaves = {leaf: axes for leaf, axes in read_across(body.order, 0).items() if leaf in body.consts}
        matrices = read_by_rows(body, leaves)
        given = list(inputs)
        for k, leaf in enumerate(body.leaves):
            x = transpose_of(inputs[k], axes=leaves[leaf]) if leaf in leaves else inputs[k]
            if leaf in matrices:
                given[k] = unique(packed_rows(x))
            elif leaf in leaves:
                given[k] = unique(copy(x))
        return rebuilt(v, tuple(given), wanted, functools.partial(with_transposed_constants, leaves=leaves))

    def of_product(v: Value, inputs: tuple[Value, ...]) -> Value | None:
        if v.primitive is not contract_of or not (found := read_across([v], MIN_COLUMNS)):
            return None
        pairs = zip(v.inputs, inputs, strict=True)
        factors = tuple(unique(copy(transpose_of(x, axes=found[w]))) if w in found else x for w, x in pairs)
        return product(v, factors, {k: found[w] for k, w in enumerate(v.inputs) if w in found})

    return rewrite(program, of_product, of_loop)


def read_by_rows(body: Body, transposed: Collection[Value]) -> list[Value]:
    """Constants of a loop over samples that are but matrices times vectors in it, with sums along their last axis."""
    found: dict[Value, bool] = {}
    for v in body.order:
        for k, w in enumerate(v.inputs):
            found[w] = (
                found.get(w, True) and w in body.consts and w.ndim == 2 and multiplies_vector(v, k, w in transposed)
            )
    return [w for w, good in found.items() if good]


def multiplies_vector(v: Value, k: int, transposed: bool) -> bool:
    if v.primitive is not contract_of or v.inputs[k].kind == "sample" or v.inputs[1 - k].kind == "shared":
        return False
    *both, out = parse(v.attributes["spec"])
    letters = both[k][::-1] if transposed else both[k]
    return both[1 - k] == letters[1:] and out == letters[:1]


def read_across(order, least: int) -> dict[Value, tuple[int, ...]]:
    """Shared factors of contractions with samples, and the order of axes in which their sums run along the last one.

    ``least``: numbers of the other factor that each number meets, at least. A factor that is also used otherwise is
    none.
    """
    found: dict[Value, tuple[int, ...]] = {}
    other: set[Value] = set()
    for v in order:
        for k, w in enumerate(v.inputs):
            axes = _axes(v, k, least)
            if axes is None or found.setdefault(w, axes) != axes:
                other.add(w)
    return {w: axes for w, axes in found.items() if w not in other or len(order) == 1}


def _axes(v: Value, k: int, least: int) -> tuple[int, ...] | None:
    """The order of axes of a contraction's factor in which it would be read in order; None where it is already."""
    w = v.inputs[k]
    if v.primitive is not contract_of or w.kind == "sample" or window_operand(v) is not None:
        return None
    *both, out = parse(v.attributes["spec"])
    letters, others = both[k], both[1 - k]
    own, inner = [c for c in letters if c in out], [c for c in letters if c not in out]
    columns = math.prod(n for c, n in zip(others, v.inputs[1 - k].shape, strict=True) if c in out and c not in letters)
    if not own or not inner or columns < least or set(own) & set(others):
        return None
    if v.kind == "sample":  # sums run along the last axis
        order, needed = own + inner, letters[-1] in own
    else:  # neighbors of the result are neighbors in one factor
        order, needed = inner + own, bool(least) and own == [out[-1]] and letters[-1] == others[-1:]
    return tuple(letters.index(c) - len(letters) for c in order) if needed else None


def product(v: Value, factors: tuple[Value, ...], transposed: dict[int, tuple[int, ...]]) -> Value:
    """The contraction of factors of which some are transposed, with their axes in that order."""
    a, b, out = parse(v.attributes["spec"])
    letters = [a, b]
    for k, axes in transposed.items():
        letters[k] = "".join(letters[k][i] for i in axes)
    return contract_of(*factors, spec=f"{letters[0]},{letters[1]}->{out}")


def with_transposed_constants(body: Program, leaves: dict[Value, tuple[int, ...]]) -> Program:
    """The body of a loop that is given some of its constants transposed."""

    def of_transposed(v: Value, inputs: tuple[Value, ...]) -> Value | None:
        if v in leaves:
            return input(v.name or "", tuple(v.shape[a] for a in leaves[v]), v.dtype, v.kind)
        axes = {k: leaves[i] for k, i in enumerate(v.inputs) if i in leaves}
        return product(v, inputs, axes) if axes else None

    return rewrite(body, of_transposed)
