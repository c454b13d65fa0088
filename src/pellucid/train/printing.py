"""A model as text and as HTML: what it is made of, its layers and its formulas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..reprs import html_table, html_text, laid_out
from .summary import summary_rows, summary_text, totals_text

if TYPE_CHECKING:
    from .model import Model


class Printed:
    """What `Model` tells of itself."""

    def summary(self: Model) -> None:  # type: ignore[misc]
        """Print each layer with its output shape and number of parameters, and totals."""
        print(summary_text(self))

    def __repr__(self: Model) -> str:  # type: ignore[misc]
        options = [("", self.net), ("loss=", self.loss), ("optimizer=", self.optimizer)]
        if self.metric_names:
            options.append(("metrics=", self.metric_names))
        options += [(f"{name}=", part) for name in ("regularizer", "constraint") if (part := getattr(self, name))]
        known = "no weights yet" if self.traced is None else totals_text(self)
        trained = f", trained for {self.epochs} epoch{'s' * (self.epochs != 1)}" if self.epochs else ""
        return f"{laid_out('Model', options)}  # {known}{trained}"

    def _repr_html_(self: Model) -> str:  # type: ignore[misc]
        if self.traced is None:
            return html_text(repr(self))
        return html_table(("layer", "output", "parameters"), summary_rows(self), caption=totals_text(self))
