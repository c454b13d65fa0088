"""Nets of several outputs: their targets in one array, the sums of each output, and predictions taken apart.

Imports numpy, data, graph, metrics, nn and the sibling modules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data import DataError
from ..graph import GraphError, Shape, Value
from ..metrics import Metric, Scored, as_metrics
from ..nn import Loss, Losses
from ..nn.layer import Traced
from ..nn.loss import places_of
from ..nn.outputs import in_order
from ..ops import cast, reshape
from .arrays import as_targets

if TYPE_CHECKING:
    from .core import ModelCore


@dataclass(frozen=True)
class Output:
    """One of several outputs: its loss, where it lies in predictions (n, ...) and where in targets (n, ...)."""

    name: str
    loss: Loss
    weight: float
    shape: Shape
    start: int
    target: Shape
    first: int  # where its targets begin

    @property
    def classes(self) -> bool:
        return self.loss.targets == "classes"

    def target_of(self, t: Value) -> Value:
        """Its targets in the graph, of those of all outputs."""
        own = reshape(t[self.first : self.first + prod(self.target)], self.target)
        return cast(own, "int32") if self.classes else own

    def targets_in(self, y: np.ndarray) -> np.ndarray:
        """Its targets among those of all outputs, (n, ...)."""
        own = y[:, self.first : self.first + prod(self.target)].reshape(len(y), *self.target)
        return own.astype(np.int32) if self.classes else own

    def prediction_in(self, p: np.ndarray) -> np.ndarray:
        """Its predictions among those of all outputs, (n, ...)."""
        return p[:, self.start : self.start + prod(self.shape)].reshape(len(p), *self.shape)


def outputs_of(loss: Losses, traced: Traced) -> list[Output]:
    """The outputs of a net. Raises `GraphError` where the loss is for others."""
    if set(loss.names) != set(traced.outputs):
        returns = f"the outputs {', '.join(traced.outputs)}" if traced.outputs else "one output"
        raise GraphError(f"the net returns {returns}, but loss= is for {', '.join(loss.names)}; give a loss for each, "
                         "as a dict by the names of a dict that the net returns, as a tuple for a tuple")  # fmt: skip
    found, start, first = [], 0, 0
    starts = {}
    for name, (y, _) in traced.outputs.items():
        starts[name], start = start, start + y.size
    for name, own, weight in zip(loss.names, loss.losses, loss.weights, strict=True):
        shape = traced.outputs[name][0].shape
        target = places_of(shape, own.class_axis(shape)) if own.targets == "classes" and shape else shape
        found.append(Output(name, own, weight, shape, starts[name], target, first))
        first += prod(target)
    return found


def check_outputs(loss: Loss, traced: Traced) -> None:
    """`GraphError` where a net of several outputs has one loss, or the reverse."""
    if isinstance(loss, Losses):
        outputs_of(loss, traced)
    elif traced.outputs:
        names = list(traced.outputs)
        form = "(" + ", ".join("..." for _ in names) + ")" if names[0] == "output_0" else (
            "{" + ", ".join(f"{name!r}: ..." for name in names) + "}")  # fmt: skip
        raise GraphError(f"the net returns the outputs {', '.join(names)}: give a loss for each, loss={form}")


def one_output(model: ModelCore, what: str) -> None:
    """`GraphError` for what is for nets of one output alone."""
    if isinstance(model.loss, Losses):
        raise GraphError(f"{what} for nets of one output; this one has {', '.join(model.loss.names)}")


def several_targets(
    y: Any, loss: Losses, traced: Traced, n: int, dtype: str, fitting: bool, name: str = "y"
) -> np.ndarray:
    """The targets of all outputs side by side, (n, numbers), checked; class numbers are numbers among them."""
    outputs = outputs_of(loss, traced)
    if not isinstance(y, Mapping if loss.named else (tuple, list)):
        form = "a dict by the names" if loss.named else "a tuple, in the order"
        raise DataError(f"{name} must be {form} of the net's outputs, {', '.join(loss.names)}, got {type(y).__name__}")
    try:
        given = in_order(y, loss.names, name, None)
    except GraphError as error:
        raise DataError(str(error)) from None
    columns = []
    for o in outputs:
        which = f"{name}[{o.name!r}]" if loss.named else f"{name}[{loss.names.index(o.name)}]"
        if given[o.name] is None:
            raise DataError(f"{which} is missing: expected the targets of this output")
        own = as_targets(given[o.name], o.loss, o.shape, n, dtype, fitting, which)
        if o.classes and own.dtype.kind == "f":
            axis = o.loss.class_axis(o.shape) + 1
            if ((own != 0) & (own != 1)).any():
                raise DataError(f"{which} holds probabilities; of several outputs give class numbers or one-hot rows")
            own = own.argmax(axis=axis)
        if [d for d in own.shape[1:] if d != 1] != [d for d in o.target if d != 1]:  # a column for a vector is fine
            raise DataError(f"{which} has shape {own.shape[1:]} for each sample, expected {o.target}")
        columns.append(own.reshape(n, -1).astype(dtype, copy=False))
    return np.concatenate(columns, axis=1)


def apart(loss: Losses, traced: Traced, prediction: np.ndarray) -> Any:
    """Predictions of all outputs (n, numbers) as a tuple or dict of arrays, as the net returns them."""
    found = {o.name: o.prediction_in(prediction) for o in outputs_of(loss, traced)}
    return found if loss.named else tuple(found.values())


# ---- metrics ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OfOutput(Metric):
    """A metric of one of several outputs, or without a metric its loss."""

    output: str
    metric: Metric | None = None

    def finish(self, sums: Mapping[str, Any]) -> Any:
        own = {k.removeprefix(f"{self.output}."): v for k, v in sums.items() if k.startswith(f"{self.output}.")}
        if self.metric is not None:
            return self.metric.finish(own)
        return own["loss"] / own["weight"] if own["weight"] else float("nan")


def is_scored(metric: Metric) -> bool:
    """Whether a metric needs all predictions at once."""
    return isinstance(metric.metric if isinstance(metric, OfOutput) else metric, Scored)


def metrics_for(loss: Loss, given: Any) -> tuple[tuple, dict[str, Metric]]:
    """Metrics as they are kept, and by their names in a history: of several outputs ``<output>_<metric>``."""
    if not isinstance(loss, Losses):
        found = as_metrics(given)
        return tuple(given), found
    by_output = {name: as_list(own) for name, own in in_order(given or None, loss.names, "metrics", ()).items()}
    metrics: dict[str, Metric] = {}
    for name, own in by_output.items():
        metrics[f"{name}_loss"] = OfOutput(f"{name}_loss", name)
        for short, metric in as_metrics(own).items():
            if metric.array:
                raise GraphError(f"{short} gives an array, which is for nets of one output")
            metrics[f"{name}_{short}"] = OfOutput(f"{name}_{short}", name, metric)
    return tuple(by_output.values()), metrics


def as_list(given: Any) -> tuple:
    """One metric, several or none, as a tuple."""
    if given is None:
        return ()
    return tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else (given,)


def of_one(metrics: Mapping[str, Metric], output: str) -> dict[str, Metric]:
    """The metrics of an output by itself."""
    return {
        name: m.metric for name, m in metrics.items() if isinstance(m, OfOutput) and m.output == output and m.metric
    }
