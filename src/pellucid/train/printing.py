"""A model as text and as HTML: what it is made of, its layers and its formulas."""

from __future__ import annotations

from ..formulas import Formula, aligned, call, symbol
from ..graph import sample_input, toposort
from ..nn.activations import linear
from ..nn.formulas import NetWriter
from ..reprs import html_table, html_text, laid_out
from .core import ModelCore
from .summary import summary_head, summary_rows, summary_text, totals_text


class Printed(ModelCore):
    """What `Model` tells of itself."""

    def summary(self) -> None:
        """Print each layer with its output shape and number of parameters, and totals."""
        print(summary_text(self))

    def __repr__(self) -> str:
        options = [("", self.net), ("loss=", self.loss), ("optimizer=", self.optimizer)]
        if any(self.metric_names):
            options.append(("metrics=", self.metric_names))
        options += [(f"{name}=", part) for name in ("regularizer", "constraint") if (part := getattr(self, name))]
        known = "no weights yet" if self.traced is None else totals_text(self)
        trained = f", trained for {self.epochs} epoch{'s' * (self.epochs != 1)}" if self.epochs else ""
        return f"{laid_out('Model', options)}  # {known}{trained}"

    def __str__(self) -> str:
        return repr(self) if self.traced is None else formulas_text(self)

    def latex(self) -> str:
        """The formulas that ``print(model)`` gives, in LaTeX: an ``aligned`` environment to stand between $$.

        >>> import pellucid as pel
        >>> net = pel.nn.Sequential(pel.nn.Dense(2), pel.nn.sigmoid, pel.nn.Dense(1))
        >>> print(pel.Model(net, "mse", input_shape=(2,)).latex())
        \\begin{aligned}
        h &= \\sigma\\left(W_{1} x + b_{1}\\right) \\\\
        y &= W_{2} h + b_{2}
        \\end{aligned}
        """
        return formulas_latex(self)

    def _repr_html_(self) -> str:
        if self.traced is None:
            return html_text(repr(self))
        table = html_table(summary_head(self), summary_rows(self), caption=totals_text(self))
        return table + html_text(formulas_text(self))


def formulas_text(model: ModelCore) -> str:
    """Each step of the net as a formula, with the shape of what it gives and the number of its parameters.

    >>> import pellucid as pel
    >>> net = pel.nn.Sequential(pel.nn.Dense(8), pel.nn.relu, pel.nn.Dense(3))
    >>> print(formulas_text(pel.Model(net, "cross_entropy", input_shape=(4,))))
    x                    (4,)
    h = relu(W1 x + b1)  (8,)  40 parameters
    y = W2 h + b2        (3,)  27 parameters
    prediction = softmax(y)
    """
    writer = writer_of(model)
    rows = [(name, str(v.shape), "") for name, v in writer.inputs.items()]
    for line, n in zip(writer.lines, writer.new_parameters(), strict=True):
        count = f"{n:,} parameter{'s' * (n != 1)}" if n else ""
        rows.append((f"{line.name.text} = {line.formula.text}", str(line.value.shape), count))
        rows += [(f"    {name.text} = {formula.text}", "", "") for name, formula in line.more]
    return "\n".join([*aligned(rows), *(f"{a.text} = {b.text}" for a, b in predictions(model))])


def formulas_latex(model: ModelCore) -> str:
    """See `Model.latex`."""
    pairs = []
    for line in writer_of(model).lines:
        pairs += [(line.name, line.formula), *line.more]
    lines = [f"{a.latex} &= {b.latex}" for a, b in [*pairs, *predictions(model)]]
    return "\n".join([r"\begin{aligned}", " \\\\\n".join(lines), r"\end{aligned}"])


def writer_of(model: ModelCore) -> NetWriter:
    traced = model.network.built()
    given = [v for v in toposort([traced.output]) if v.primitive is sample_input]
    return NetWriter(traced, {(v.name or "x").removeprefix("x."): v for v in given})


def predictions(model: ModelCore) -> list[tuple[Formula, Formula]]:
    """What `predict` makes of the net's output, where it changes it: softmax, or sigmoid."""
    link = getattr(model.loss, "link", linear)
    if link is linear:
        return []
    return [(symbol("prediction"), call(getattr(link, "__name__", "link"), symbol("y")))]
