"""What happened in training, epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class History:
    """A table of numbers per epoch: ``history["val_loss"]`` is a list; ``history.epochs`` their number.

    >>> h = History(); h.append({"loss": 0.5}); h.append({"loss": 0.25}); h["loss"]
    [0.5, 0.25]
    """

    def __init__(self, columns: dict[str, list[float]] | None = None) -> None:
        self.columns: dict[str, list[float]] = columns or {}

    def append(self, logs: dict[str, float]) -> None:
        """Add an epoch; a number that is new since then is unknown (NaN) for the earlier epochs."""
        n = self.epochs
        for name in [*self.columns, *(k for k in logs if k not in self.columns)]:
            column = self.columns.setdefault(name, [float("nan")] * n)
            column.append(float(logs.get(name, float("nan"))))

    @property
    def epochs(self) -> int:
        return max((len(c) for c in self.columns.values()), default=0)

    def __getitem__(self, name: str) -> list[float]:
        if name not in self.columns:
            raise KeyError(f"no {name!r} in the history; there are {', '.join(self.columns) or 'no epochs yet'}")
        return self.columns[name]

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def keys(self):
        return self.columns.keys()

    def __repr__(self) -> str:
        last = ", ".join(f"{k} {c[-1]:.4g}" for k, c in self.columns.items() if c)
        return f"<History: {self.epochs} epochs{'; last: ' + last if last else ''}>"

    def to_frame(self) -> Any:
        """A pandas DataFrame with one row an epoch, numbered from 1 (pandas: ``pip install 'pellucid[table]'``)."""
        try:
            import pandas
        except ImportError as error:
            raise ImportError("History.to_frame needs pandas: pip install 'pellucid[table]'") from error
        return pandas.DataFrame(self.columns, index=pandas.RangeIndex(1, self.epochs + 1, name="epoch"))

    def plot(self, path: str | None = None) -> Any:
        """The learning curves as a matplotlib figure, one panel a measure, saved to ``path`` if given (``[plot]``)."""
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError("History.plot needs matplotlib: pip install 'pellucid[plot]'") from error
        names = [k for k in self.columns if not k.startswith("val_")]
        names += [k for k in self.columns if k.startswith("val_") and k[4:] not in names]
        figure = Figure(figsize=(4.6 * max(len(names), 1), 3.4), layout="constrained")
        epochs = range(1, self.epochs + 1)
        for panel, name in zip(figure.subplots(1, max(len(names), 1), squeeze=False)[0], names, strict=False):
            for key, label in ((name, "training"), (f"val_{name}", "validation")):
                if key in self.columns:
                    panel.plot(epochs, self.columns[key], label=label, marker="." if self.epochs < 30 else None)
            panel.set(xlabel="epoch", ylabel=name.replace("_", " "), title=name.replace("_", " "))
            panel.xaxis.get_major_locator().set_params(integer=True)
            panel.grid(alpha=0.3)
            panel.legend()
        if path is not None:
            figure.savefig(path, dpi=120)
        return figure
