"""Figures of matplotlib that are seen: in a notebook as a cell's last value, in a script by `show`.

They do not belong to pyplot, so that no backend is chosen, none stays open, and a notebook shows each once.
Imports nothing of the package.
"""

from __future__ import annotations

import importlib
import io
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(caller: str, width: float, height: float) -> Figure:
    """An empty figure, its size in inches; raises `ImportError` that says how to get matplotlib if it is missing."""
    try:
        importlib.import_module("matplotlib.figure")
    except ImportError as error:
        raise ImportError(f"{caller} needs matplotlib: pip install 'pellucid[plot]'") from error
    return _shown_figure()(figsize=(width, height), layout="constrained")


def finished(figure: Figure, path: Any = None) -> Figure:
    """The figure, saved to ``path`` if given. Raises `TypeError` for what is no name of a file."""
    if not (path is None or isinstance(path, (str, os.PathLike)) or hasattr(path, "write")):
        hint = "; give axes to draw into as axes=" if hasattr(path, "plot") else ""
        raise TypeError(f"plot: path must be the name of a file, got {type(path).__name__}{hint}")
    if path is not None:
        figure.savefig(path, dpi=120)
    return figure


def _shown_figure() -> type[Figure]:
    global _kind
    if _kind is None:
        from matplotlib.figure import Figure

        class ShownFigure(Figure):
            """A figure that a notebook shows as a picture, and `show` in a window."""

            def _repr_png_(self) -> bytes:
                written = io.BytesIO()
                self.savefig(written, format="png")
                return written.getvalue()

            def __reduce__(self) -> tuple:
                return _bare_figure, (), self.__getstate__()

            def show(self, warn: bool = True) -> None:
                """Open a window with it and wait until it is closed; in a notebook, show it below the cell."""
                import matplotlib.pyplot as plt

                manager = plt.figure(figsize=self.get_size_inches()).canvas.manager
                manager.canvas.figure = self  # type: ignore[union-attr]
                self.set_canvas(manager.canvas)  # type: ignore[union-attr]
                plt.show()

        ShownFigure.__name__ = ShownFigure.__qualname__ = "Figure"
        _kind = ShownFigure
    return _kind


def _bare_figure() -> Figure:
    """For pickle, which finds no class that was made in a function."""
    kind = _shown_figure()
    return kind.__new__(kind)


_kind: type[Figure] | None = None
