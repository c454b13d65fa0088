"""What a derivative rule gives, checked. Imports graph."""

from __future__ import annotations

from typing import Any

from ..errors import GraphError
from ..graph import Value


def one_each(cotangents: Any, inputs: tuple[Value, ...], name: str) -> tuple[Value | None, ...]:
    """What the derivative rule called ``name`` gave, if that is one Value or None for each input."""
    if not isinstance(cotangents, (tuple, list)):
        got = f"gives {cotangents!r}, not a tuple"
    elif len(cotangents) != len(inputs):
        got = f"gives {len(cotangents)} derivatives"
    elif wrong := [c for c in cotangents if not (c is None or isinstance(c, Value))]:
        got = f"gives {wrong[0]!r}, neither a Value nor None"
    else:
        return tuple(cotangents)
    raise GraphError(f"the derivative rule of {name} {got}; expected one derivative for each of {len(inputs)} inputs")
