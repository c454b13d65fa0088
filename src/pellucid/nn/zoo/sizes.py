"""What the nets have in common: numbers of filters and units made smaller or larger, images of one size alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field

from ...checks import checked, number, text, whole
from ...errors import GraphError
from ...graph import Value
from ..conv import Conv


def widths(net: str, width: float) -> Callable[[int], int]:
    """The function n -> n times ``width``: rounded, even (so that two groups share it), and at least 2.

    >>> by = widths("vgg", 0.1)
    >>> by(64), by(512), widths("vgg", 1)(96)
    (6, 52, 96)
    """
    width = number(net, "width", width, above=0, hint="1 is the net as published, 0.5 half as wide")
    return lambda n: max(2, 2 * round(n * width / 2))


class FirstConv(Conv):
    """The first convolution of a net that is made for images of one size: (C, size, size). Others are a `GraphError`.

    Without it another size would fail in a later layer, or give a net of other sizes than was asked for.
    """

    size: int = field(kw_only=True)
    net: str = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, whole, "size")
        text(self, "net", self.net)

    def __call__(self, x: Value) -> Value:
        if x.ndim == 3 and x.shape[1:] != (self.size, self.size):
            square = f"use {self.net}(size={x.shape[1]})" if x.shape[1] == x.shape[2] else "make them square"
            raise GraphError(f"{self.net} was made for images of {self.size} x {self.size}, got {x.shape}; {square}")
        return super().__call__(x)
