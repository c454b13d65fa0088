"""Lowerings: what each operation that is not elementwise means in machine code. Imports graph.

``lowering(nest, v, index, block)`` gives the value of ``v`` at an index, by asking for its inputs at theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ....graph import Primitive

Lowering = Callable[..., Any]  # (Nest, Value, indices, block) -> Lanes
LOWERINGS: dict[Primitive, Lowering] = {}


def register_lowering(*primitives: Primitive) -> Callable[[Lowering], Lowering]:
    """Decorate the function that lowers these operations."""

    def register(lowering: Lowering) -> Lowering:
        LOWERINGS.update(dict.fromkeys(primitives, lowering))
        return lowering

    return register
