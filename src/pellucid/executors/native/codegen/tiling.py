"""Register tiles: how an output space is cut into tiles, and how a tile is finished. Imports nests."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ....graph import Value
from ..llvm.affine import Index
from ..plan.planner import Group
from .nest import Nest


def divisor_tile(extent: int, most: int) -> int:
    """The tile along an axis: its largest divisor up to ``most``, if that is not much less; else ``most``.

    >>> divisor_tile(1024, 12), divisor_tile(10, 12), divisor_tile(101, 12)
    (8, 10, 12)
    """
    if extent <= most:
        return extent
    best = max(d for d in range(1, most + 1) if extent % d == 0)
    return best if 2 * best >= most else most


def tiled(nest: Nest, extent: int, tile: int, body) -> None:
    """``body(start, length)`` over an axis in tiles, and for what is left."""
    whole = extent - extent % tile
    if whole == tile:
        body(Index(), tile)
    elif whole:
        count = whole // tile
        nest.loop(0, count, [], lambda v, _: body(Index.of(v) * tile, tile), extent=count)
    if extent % tile:
        with nest.scope():
            body(Index(whole), extent % tile)


def finish(nest: Nest, group: Group, core: Value, index: list[Index], block: Index | None, result) -> None:
    """The epilogue: with the contraction's result known at an index, what the group stores there."""
    nest.memo[-1][(core, tuple(i.key for i in index), block.key if block is not None else None)] = result
    nest.store_all(group.stores, index, block)


def cheapest(shapes: Iterable[tuple[int, int]], cost: Callable[[int, int], float]) -> tuple[int, int]:
    return min(shapes, key=lambda s: cost(*s))


def pieces(extent: int, tile: int) -> list[tuple[int, int]]:
    """(length, how often) of the tiles of an axis.

    >>> pieces(10, 4)
    [(4, 2), (2, 1)]
    """
    found = [(tile, extent // tile), (extent % tile, 1)]
    return [(n, often) for n, often in found if n and often]


def cycles(products: float, loads: float) -> float:
    """Of a step of a tile, roughly: two multiplications or two loads a cycle, and what each load and loop costs."""
    return max(products / 2, loads / 2) + loads / 4 + 0.5
