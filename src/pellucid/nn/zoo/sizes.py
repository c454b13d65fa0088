"""Numbers of filters and units, made smaller or larger by a width."""

from __future__ import annotations

from collections.abc import Callable

from ...checks import number


def widths(net: str, width: float) -> Callable[[int], int]:
    """The function n -> n times ``width``: rounded, even (so that two groups share it), and at least 2.

    >>> by = widths("vgg", 0.1)
    >>> by(64), by(512), widths("vgg", 1)(96)
    (6, 52, 96)
    """
    width = number(net, "width", width, above=0, hint="1 is the net as published, 0.5 half as wide")
    return lambda n: max(2, 2 * round(n * width / 2))
