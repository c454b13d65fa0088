"""The search for a learning rate: a few steps with one that rises, and where the loss falls fastest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..executors import NotFinite
from ..figures import finished, new_figure
from ..graph import GraphError
from ..optim import LBFGS
from ..schedules import Schedule, start_of
from .batches import Arrays, order_of

if TYPE_CHECKING:
    from .model import Model

MEMORY = 0.9  # of the moving average of losses
TOO_MUCH = 4.0  # times the lowest loss so far: the end
MARGIN = 10.0  # the suggestion is that much below where the loss is lowest


@dataclass(frozen=True, eq=False)
class RateSearch:
    """What `Model.find_learning_rate` saw: ``rates`` and the smoothed ``losses`` after each.

    ``suggestion`` is a tenth of the rate at which the smoothed loss was lowest: there it still falls fast, with room to
    where training diverges. Where that is below all rates tried it is None: the loss has hardly fallen, as that of a
    model that is ``trained``; of one, the fall must also be larger than how much the loss varies at the smallest rates.
    ``why`` says either in words.
    """

    rates: np.ndarray
    losses: np.ndarray
    trained: bool = False

    @property
    def suggestion(self) -> float | None:
        """A rate to train with, or None."""
        rate = self.rates[int(np.argmin(self.losses))] / MARGIN
        if rate < self.rates[0] or (self.trained and not self._falls):
            return None
        rounded = float(np.format_float_positional(rate, precision=2, fractional=False))
        return rounded if rounded >= self.rates[0] else float(rate)

    @property
    def why(self) -> str:
        """The suggestion in words, or why there is none."""
        if self.suggestion is not None:
            return f"suggestion {self.suggestion:g}"
        if self.trained:
            return ("no suggestion: the loss hardly falls at any rate, as this model is trained; search with new "
                    "weights, model.clone().find_learning_rate(...)")  # fmt: skip
        lowest = self.rates[int(np.argmin(self.losses))]
        return (f"no suggestion: the loss is lowest at {lowest:.3g}, too near to the smallest rate; search from a "
                "smaller low=")  # fmt: skip

    @property
    def _falls(self) -> bool:
        """Whether the loss falls by more than it varies at the smallest quarter of the rates."""
        early = self.losses[: max(2, len(self.losses) // 4)]
        return bool(early.min() - self.losses.min() > np.ptp(early))

    def plot(self, path: Any = None, *, axes: Any = None) -> Any:
        """The loss against the rate as a matplotlib figure, saved to ``path`` if given (``[plot]``).

        ``axes``: matplotlib's, to draw into; the figure is then theirs.
        """
        figure = new_figure("RateSearch.plot", 5.2, 3.6) if axes is None else axes.figure.figure  # of a subfigure: all
        axes = figure.subplots() if axes is None else axes
        axes.plot(self.rates, self.losses)
        if self.suggestion is not None:
            axes.axvline(self.suggestion, color="tab:red", linestyle="--", label=self.why)
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss, smoothed")
        if self.suggestion is not None:
            axes.legend()
        return finished(figure, path)

    def __repr__(self) -> str:
        return (f"<RateSearch: {len(self.rates)} steps from {self.rates[0]:.3g} to {self.rates[-1]:.3g}; "
                f"{self.why}>")  # fmt: skip


def search_rates(model: Model, arrays: Arrays, low: float, high: float, steps: int, batch: int) -> RateSearch:
    """See `Model.find_learning_rate`."""
    if not 0 < low < high:
        raise GraphError(f"find_learning_rate: 0 < low < high is expected, got low={low!r}, high={high!r}")
    if steps < 10:
        raise GraphError(f"find_learning_rate: steps must be 10 or more, got {steps!r}")
    if isinstance(model.optimizer, LBFGS):
        raise GraphError("find_learning_rate: optim.LBFGS finds the length of its steps by itself")
    from .loop import RATE, at_epoch, first_state, trained_weights

    rate, k = start_of(model.optimizer.learning_rate), model.optimizer.gradient_accumulation_steps
    if isinstance(model.optimizer.learning_rate, Schedule) or k:  # which would multiply the rates, and keep steps back
        optimizer = replace(model.optimizer, learning_rate=rate, gradient_accumulation_steps=None)
        own, model = model, model.clone(optimizer=optimizer)
        model._build(own.specs, own.how)
        model.state = dict(own.state)
    trained = model.epochs > 0
    kept, run = dict(model.state), model._compiled("step", arrays)
    names = [name for name in run.program.state if name not in model.state]
    try:
        model.state |= first_state(run.program, names, model.optimizer, model.seed, model.state)
        model.state = {name: np.array(a) for name, a in model.state.items()}
        rates, losses, mean, n = [], [], 0.0, len(arrays["y"])
        model.state |= at_epoch(model.state, model.epochs, steps)
        rows = np.concatenate([order_of(model.seed, e, n, True) for e in range(-(-steps * batch // n))])  # type: ignore[misc]
        for k, rate in enumerate(np.geomspace(low, high, steps)):
            model.state[RATE] = np.asarray(rate, model.dtype)
            try:
                with trained_weights(model):
                    sums = run.steps(model.state, arrays, rows[k * batch : (k + 1) * batch], batch, "loss")
            except NotFinite:
                break
            mean = MEMORY * mean + (1 - MEMORY) * sums["loss"] / sums["weight"]
            smooth = mean / (1 - MEMORY ** (k + 1))
            rates.append(rate)
            losses.append(smooth)
            if smooth > TOO_MUCH * min(losses):
                break
    finally:
        model.state = kept
    if not losses:
        raise GraphError(
            f"find_learning_rate: the loss is not finite even at {low:g}; look at the data, or begin lower"
        )
    return RateSearch(np.array(rates), np.array(losses), trained)
