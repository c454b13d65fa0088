"""What happened in training, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..figures import finished, new_figure

SHOWN = 5  # first and last epochs that a notebook shows of more than twice as many


class History(dict[str, list[float]]):
    """A table of numbers per epoch, a dict: ``history["val_loss"]`` is a list; ``history.epochs`` their number.

    >>> h = History(); h.append({"loss": 0.5}); h.append({"loss": 0.25}); h["loss"]
    [0.5, 0.25]
    >>> h
    <History: 2 epochs; last: loss 0.25>
    """

    def __init__(self, columns: Mapping[str, list[float]] | None = None) -> None:
        super().__init__(columns or {})

    @property
    def columns(self) -> dict[str, list[float]]:
        """The numbers by name: this dict itself."""
        return self

    @property
    def history(self) -> dict[str, list[float]]:
        """The numbers by name, as Keras calls them: this dict itself."""
        return self

    def append(self, logs: Mapping[str, float]) -> None:
        """Add an epoch; a number that is new since then is unknown (NaN) for the earlier epochs."""
        n = self.epochs
        for name in [*self, *(k for k in logs if k not in self)]:
            column = self.setdefault(name, [float("nan")] * n)
            column.append(float(logs.get(name, float("nan"))))

    @property
    def epochs(self) -> int:
        return max(map(len, self.values()), default=0)

    def __missing__(self, name: str) -> list[float]:
        raise KeyError(f"no {name!r} in the history; there are {', '.join(self) or 'no epochs yet'}")

    def __repr__(self) -> str:
        validated = any(k.startswith("val_") and c and not math.isnan(c[-1]) for k, c in self.items())  # last epoch
        told = {k: c[-1] for k, c in self.items() if c and (validated or not k.startswith("val_"))}
        n, last = self.epochs, ", ".join(f"{k} {value:.4g}" for k, value in told.items())
        return f"<History: {n} epoch{'s' * (n != 1)}{'; last: ' + last if last else ''}>"

    def _repr_html_(self) -> str:
        """A table of the first and the last epochs, with the curve of each number above it."""
        from ..reprs import html_table

        n = self.epochs
        rows: list[int | None] = [*range(n)]
        if n > 2 * SHOWN:
            rows = [*range(SHOWN), None, *range(n - SHOWN, n)]
        cells = [["…"] * (len(self) + 1) if i is None else [f"{i + 1}", *(f"{c[i]:.4g}" for c in self.values())]
                 for i in rows]  # fmt: skip
        return html_table(["epoch", *self], cells, curves=["", *map(curve, self.values())])

    def to_frame(self) -> Any:
        """A pandas DataFrame with one row an epoch, numbered from 1 (pandas: ``pip install 'pellucid[table]'``)."""
        try:
            import pandas
        except ImportError as error:
            raise ImportError("History.to_frame needs pandas: pip install 'pellucid[table]'") from error
        return pandas.DataFrame(dict(self), index=pandas.RangeIndex(1, self.epochs + 1, name="epoch"))

    def plot(self, path: Any = None) -> Any:
        """The learning curves as a matplotlib figure, one panel a measure, saved to ``path`` if given (``[plot]``).

        A notebook shows it as a cell's last value; in a script, ``history.plot().show()`` opens a window.
        """
        names = [k for k in self if not k.startswith("val_")]
        names += [k for k in self if k.startswith("val_") and k[4:] not in names]
        figure = new_figure("History.plot", 4.6 * max(len(names), 1), 3.4)
        epochs = range(1, self.epochs + 1)
        for panel, name in zip(figure.subplots(1, max(len(names), 1), squeeze=False)[0], names, strict=False):
            for key, label in ((name, "training"), (f"val_{name}", "validation")):
                if key in self:
                    panel.plot(epochs, self[key], label=label, marker="." if self.epochs < 30 else None)
            panel.set(xlabel="epoch", ylabel=name.replace("_", " "), title=name.replace("_", " "))
            panel.xaxis.get_major_locator().set_params(integer=True)
            panel.grid(alpha=0.3)
            panel.legend()
        return finished(figure, path)


def curve(numbers: list[float], width: int = 90, height: int = 24) -> str:
    """Numbers as a small line of SVG, from the lowest to the highest; without a picture where there are no two.

    >>> curve([1.0, 0.0, 0.5], 10, 10)[-76:]
    'stroke="#1f77b4" stroke-width="1.5" points="1.0,1.0 5.0,9.0 9.0,5.0"/></svg>'
    """
    numbers = numbers[:: max(1, len(numbers) // width)]  # as many as can be told apart
    there = [v for v in numbers if math.isfinite(v)]
    if len(there) < 2:
        return ""
    low, span = min(there), (max(there) - min(there)) or 1.0
    across, up = (width - 2) / (len(numbers) - 1), height - 2
    points = " ".join(f"{1 + i * across:.1f},{1 + up * (1 - (v - low) / span):.1f}"
                      for i, v in enumerate(numbers) if math.isfinite(v))  # fmt: skip
    return (f'<svg width="{width}" height="{height}"><polyline fill="none" stroke="#1f77b4" stroke-width="1.5" '
            f'points="{points}"/></svg>')  # fmt: skip
