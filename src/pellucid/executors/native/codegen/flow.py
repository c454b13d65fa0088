"""Where the code of a nest goes: loops, branches, and the scopes in which computed values are known.

A value is computed once and then recalled, as long as the code that needs it can only be reached through the code that
computed it: so a loop, a branch and whatever stands under a mask is a `scope` of its own. Imports the IR.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..llvm import ir
from ..llvm.affine import I64, Index, Variable
from ..llvm.lanes import Lanes


class Flow:
    """The builder of a function, what it knows at this point, and which lanes exist here."""

    def __init__(self, builder: ir.IRBuilder, width: int) -> None:
        self.builder = builder
        self.width = width  # lanes of a sample value
        self.feature_width = width  # lanes of a shared value along its last axis; 1 where they are not neighbors
        self.memo: list[dict] = [{}]  # what is known, from the outermost scope to this one
        self.mask: ir.Value | None = None  # of the lanes that exist, in the last vector of a row of features
        self.valid = width  # how many they are

    # ---- scopes -------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def scope(self, known: dict | None = None) -> Iterator[None]:
        """What is computed meanwhile is known until the end of the block only; ``known`` is so from its beginning."""
        self.memo.append({} if known is None else known)
        yield
        self.memo.pop()

    @contextlib.contextmanager
    def masked(self, count: int) -> Iterator[None]:
        """A scope in which only the first ``count`` lanes of a vector of features exist."""
        before = self.mask, self.valid
        if count < self.feature_width:
            self.mask, self.valid = lane_mask(self.feature_width, count), count
        with self.scope():
            yield
        self.mask, self.valid = before

    @contextlib.contextmanager
    def only(self, lanes: Lanes | None) -> Iterator[None]:
        """A scope in which memory is used in these lanes of features alone; None: in all."""
        if lanes is None:
            yield
            return
        mask = self.mask
        self.mask = lanes.value if mask is None else self.builder.and_(mask, lanes.value)
        with self.scope():
            yield
        self.mask = mask

    @contextlib.contextmanager
    def unmasked(self) -> Iterator[None]:
        """Meanwhile memory is used in all lanes: those of samples, of which each feature's lane needs the sum."""
        mask, self.mask = self.mask, None
        yield
        self.mask = mask

    @contextlib.contextmanager
    def lanes(self, count: int) -> Iterator[None]:
        """Meanwhile vectors of features have ``count`` lanes."""
        before, self.feature_width = self.feature_width, count
        yield
        self.feature_width = before

    def scalar(self) -> contextlib.AbstractContextManager[None]:
        """Meanwhile features are computed one by one: neighbors along the last axis are not neighbors here."""
        return self.lanes(1)

    def without_lanes(self) -> None:
        """The same from here to the end of the nest."""
        self.feature_width = 1

    def recall(self, key: Any) -> Any:
        """What is known under a key, or None."""
        for scope in reversed(self.memo):
            if key in scope:
                return scope[key]
        return None

    # ---- loops --------------------------------------------------------------------------------------------------

    def loop(
        self, lo, hi, carried: Sequence[Lanes], body: Callable, step: int = 1, extent: int = 1 << 40
    ) -> list[Lanes]:
        """``for i in range(lo, hi, step): carried = body(i, carried)``; gives the last carried."""
        b = self.builder
        known = range(lo, hi, step) if isinstance(lo, int) and isinstance(hi, int) else ()
        lo = I64(lo) if isinstance(lo, int) else lo
        hi = I64(hi) if isinstance(hi, int) else hi
        before, head = b.block, b.append_basic_block("head")
        inside, after = b.append_basic_block("body"), b.append_basic_block("after")
        b.branch(head)
        b.position_at_end(head)
        i = b.phi(I64)
        phis = [b.phi(c.value.type) for c in carried]
        i.add_incoming(lo, before)
        for phi, c in zip(phis, carried, strict=True):
            phi.add_incoming(c.value, before)
        b.cbranch(b.icmp_signed("<", i, hi), inside, after)
        b.position_at_end(inside)
        now = [Lanes(b, phi, c.dtype, c.width) for phi, c in zip(phis, carried, strict=True)]
        with self.scope():
            new = body(Variable(i, extent, ends=(known[0], known[-1]) if known else None), now) or []
        i.add_incoming(b.add(i, I64(step)), b.block)
        for phi, c in zip(phis, new, strict=True):
            phi.add_incoming(c.value, b.block)
        b.branch(head)
        b.position_at_end(after)
        return now

    def over(self, lengths: Sequence[int], carried: Sequence[Lanes], body: Callable) -> list[Lanes]:
        """Nested loops over a static space: ``body(index, carried)`` with one Index per length."""

        def inner(done: list[Index], rest: Sequence[int], carried):
            if not rest:
                return body(done, carried)
            if rest[0] == 1:
                return inner([*done, Index()], rest[1:], carried)
            return self.loop(0, rest[0], carried, lambda v, c: inner([*done, Index.of(v)], rest[1:], c), extent=rest[0])

        return inner([], list(lengths), list(carried)) or []

    def chunks(self, extent: int, size: int, body: Callable, carried: Sequence[Lanes] = ()) -> list[Lanes]:
        """``carried = body(start, count, carried)`` for chunks of an axis, one after the other; gives the last carried.

        First a loop over whole chunks, ``size`` long, then what is left.
        """
        carried, whole = list(carried), extent - extent % size
        if whole:
            carried = self.loop(0, whole, carried, lambda v, now: body(Index.of(v), size, now), step=size,
                                extent=extent)  # fmt: skip
        if extent > whole:
            with self.scope():
                carried = body(Index(whole), extent - whole, carried) or []
        return carried

    def last_or_not(self, number: Index, count: int, last: Callable, other: Callable) -> None:
        """``last()`` where number is count - 1, else ``other()``."""
        if count == 1:
            last()
            return
        with self.builder.if_else(self.builder.icmp_signed("==", number.emit(self.builder), I64(count - 1))) as both:
            for branch, body in zip(both, (last, other), strict=True):
                with branch, self.scope():
                    body()

    def vectors(self, columns: int, body: Callable[[Index, int], Any], wide: int = 1) -> None:
        """``body(start, count)`` for the vectors of a row of ``columns`` features, ``count`` of them side by side.

        First as many as there are whole tiles of ``wide`` vectors, then whole vectors that are left, then the last,
        incomplete one, in which only the lanes that exist are used. ``start`` is the index of the first, in lanes where
        a vector has more than one.
        """
        width, step = self.feature_width, wide * self.feature_width

        def start(first: ir.Value) -> Index:
            return Index.of(Variable(first, columns, lane=width > 1))

        whole = columns - columns % width
        tiled = whole - whole % step
        if tiled:
            self.loop(0, tiled, [], lambda v, _: body(start(v.value), wide), step=step, extent=columns)
        if whole > tiled:
            with self.scope():
                body(start(I64(tiled)), (whole - tiled) // width)
        if columns > whole:
            with self.masked(columns - whole):
                body(start(I64(whole)), 1)


def lane_index(first: ir.Value, extent: int) -> Index:
    """The index of a vector of neighbors, the first of which is given."""
    return Index.of(Variable(first, extent, lane=True))


def lane_mask(width: int, count: int) -> ir.Constant:
    """The first ``count`` lanes."""
    return ir.Constant(ir.VectorType(ir.IntType(1), width), [int(k < count) for k in range(width)])
