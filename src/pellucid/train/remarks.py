"""Warnings about a fit, shown at the line of the user's that began it."""

from __future__ import annotations

import sys
import warnings

PACKAGE = __name__.partition(".")[0]


def remark(text: str, kind: type[Warning] = UserWarning) -> None:
    """Warn, as the first caller outside this package."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == PACKAGE:
        level, frame = level + 1, frame.f_back
    warnings.warn(text, kind, stacklevel=level)
