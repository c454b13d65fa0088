"""What the course of training and its result tell: the learning rate, overfitting, shuffled labels, a constant."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...schedules import Schedule
from . import thresholds as limits
from .case import Case, connection
from .findings import Finding
from .net import too_high
from .rows import neighbors_agree


def check_course(case: Case, held: Case | None) -> Iterator[Finding]:
    """``held``: samples of the validation."""
    if case.stateful:
        return
    shuffled = list(_shuffled(case, held))
    yield from shuffled
    if not case.trained:
        return
    high = list(_too_high(case))
    yield from high
    yield from _constant(case)
    if not shuffled:  # else they are learnt by heart, slowly, and nothing of it holds
        yield from () if high else _too_low(case)
        yield from _overfitting(case, held)


def losses(case: Case, name: str = "loss") -> np.ndarray:
    found = np.array(case.model.history.columns.get(name, []), float)
    return found[np.isfinite(found)]


def _too_high(case: Case) -> Iterator[Finding]:
    curve, scale = losses(case), case.baseline
    if len(curve) < 3 or scale is None:
        return
    end = curve[-max(1, len(curve) // 4) :].mean()
    if end > limits.RISE * curve[0] and end > limits.LEARNT * scale:
        yield too_high(case, "", end / curve[0],
                       f"The training loss rose from {curve[0]:.3g} in the first epoch to {end:.3g} in the last."
                       )  # fmt: skip
    elif curve[0] > limits.BURST * scale and end > limits.LEARNT * scale:
        yield too_high(case, "", curve[0] / scale,
                       f"The loss of the first epoch was {curve[0]:.3g}, {curve[0] / scale:.2g} times that of the best "
                       f"constant output, and is still {end:.3g}.")  # fmt: skip
    elif (swing := _swing(curve)) > limits.SWING and end > 0.1 * scale:
        yield too_high(case, "", swing,
                       f"With learning_rate={case.rate:g} the training loss swings by {swing:.0%} from epoch to epoch."
                       )  # fmt: skip
    elif end > limits.NOTHING * scale:
        yield from _slower_learns(case, min(float(end), case.loss))


def _swing(curve: np.ndarray) -> float:
    """The median change of the log loss between epochs, after the first third; 0 unless it goes up as well as down."""
    moves = np.diff(np.log(np.maximum(curve[len(curve) // 3 :], 1e-12)))
    return float(np.median(np.abs(moves))) if len(curve) >= 6 and (moves > 0).mean() > 1 / 3 else 0.0


def _slower_learns(case: Case, now: float) -> Iterator[Finding]:
    """Nothing is learnt, but would be from new weights at a smaller rate."""
    for slower in limits.SLOWER:
        trial = case.trial(limits.PATIENT_STEPS, slower, fresh=True)
        if trial is not None and trial.after < (1 - limits.FALL) * min(now, case.baseline or now):
            yield too_high(case, "", case.rate,
                           f"The training loss is {now:.3g}, no better than a constant output; in a trial of "
                           f"{limits.PATIENT_STEPS} steps from new weights, with a learning rate {1 / slower:.0f} "
                           f"times smaller, it became {trial.after:.3g}.")  # fmt: skip
            return


def _too_low(case: Case) -> Iterator[Finding]:
    curve, scale = losses(case), case.baseline
    if len(curve) < 3 or scale is None or isinstance(case.model.optimizer.learning_rate, Schedule):
        return
    last = curve[len(curve) // 2 :]
    if (np.diff(last) < 0).mean() < limits.STEADY or last[-1] < limits.LEARNT * scale:
        return
    own = case.trial(limits.PATIENT_STEPS)
    if own is None or (fall := max(own.before - own.after, 0.0)) > limits.LITTLE * own.before:
        return
    trials = {f: case.trial(limits.PATIENT_STEPS, f) for f in limits.FASTER}
    gains = {f: own.before - t.after for f, t in trials.items() if t is not None}
    faster, gain = max(gains.items(), key=lambda pair: pair[1])
    if gain > limits.FALL * own.before and gain > limits.GAIN * fall:
        rate = case.rate
        step = np.median(list(case.step_lengths.values()) or [0])
        yield Finding("learning_rate_too_low", "warning", "", rate,
                      f"The loss falls steadily by little: {curve[0]:.4g} to {curve[-1]:.4g} in {len(curve)} epochs "
                      f"(a step is {step:.1e} of the weights' length; 1e-3 is usual). In a trial of "
                      f"{limits.PATIENT_STEPS} steps it fell by {fall:.2g}, with a rate {faster:.0f} times as large "
                      f"by {gain:.2g}.",
                      f"learning_rate={rate * faster:.1g}")  # fmt: skip


def _constant(case: Case) -> Iterator[Finding]:
    if case.kind == "any":
        return
    p = case.prediction
    y = case.arrays["y"].reshape(len(p), -1).astype(float)
    if case.kind == "values":
        share = float((p.std(0) / np.where(y.std(0) > 0, y.std(0), 1)).max())
    else:
        share = float(p.std(0).max())
    if share < limits.CONSTANT and len(p) > 1 and case.targets.std(0).max() > 0:
        shown = ", ".join(f"{v:.3g}" for v in p.mean(0)[:4]) + ", ..." * (p.shape[1] > 4)
        yield Finding("constant_predictor", "error", "the net's output", share,
                      f"Whatever the input, the prediction is {shown} (deviation {p.std(0).max():.2g}).",
                      "look at the other findings first (dead units, gradients, learning rate, scale of inputs); then "
                      "train longer, or ask whether x tells anything of y")  # fmt: skip


def _shuffled(case: Case, held: Case | None) -> Iterator[Finding]:
    """Near rows have labels as far ones, and a trained net has learnt nothing that holds for other rows."""
    near = neighbors_agree(case)
    other = None
    if case.trained and held is not None and len(held.arrays["y"]) >= limits.FEWEST and case.kind != "any":
        other = connection(held.prediction, held.targets, held.random)
    learnt = case.trained and case.baseline is not None and case.loss < 0.9 * case.baseline
    if max(v for v in (near, other, -np.inf) if v is not None) >= limits.Z:
        return
    if near is not None and near < limits.AT_CHANCE and (other is None or other < limits.AT_CHANCE):
        told = f"Rows that are near have labels as if drawn by lot ({near:.1f} standard deviations from chance)"
        if other is not None:
            told += f", and so has what the net says of other rows ({other:.1f})"
        value = near
    elif near is None and other is not None and other < limits.AT_CHANCE and learnt:
        value = other
        told = (f"The training loss is {case.loss:.3g}, below the {case.baseline:.3g} of a constant, and on other rows "
                f"predictions have nothing to do with the labels ({other:.1f} standard deviations)")  # fmt: skip
    else:
        return
    yield Finding("shuffled_labels", "error", "y", float(value), f"{told}.",
                  "see whether x and y are in the same order: sorted, filtered or shuffled one without the other?"
                  )  # fmt: skip


def _overfitting(case: Case, held: Case | None) -> Iterator[Finding]:
    train, val = losses(case), losses(case, "val_loss")
    if case.baseline is None:
        return
    if len(val) > limits.PATIENCE and len(val) == len(train):
        found = _turned(case, held, train, val)
    elif held is not None and len(held.arrays["y"]) >= limits.FEWEST // 2:
        found = _gap(case, held)
    else:
        return
    if found:
        yield Finding("overfitting", "warning", "", *found,
                      "EarlyStopping(patience=5), dropout (nn.Dropout), weight decay, fewer units, more or augmented "
                      "data")  # fmt: skip


def _turned(case: Case, held: Case | None, train: np.ndarray, val: np.ndarray) -> tuple[float, str] | None:
    """The validation loss was best some epochs ago; now it is worse, while the training loss went on falling."""
    best, scale = int(val.argmin()), case.baseline or 0.0
    now = min(float(np.median(val[-limits.PATIENCE :])), held.loss if held is not None else np.inf)
    rise, noise = now - val[best], 2 * float(np.median(np.abs(np.diff(val))))
    learnt = max(scale - val[best], 0.1 * scale)
    late = len(val) - 1 - best >= limits.PATIENCE
    if not late or rise < max(limits.LOST * learnt, noise) or train[-1] >= train[best]:
        return None
    return rise, (f"The validation loss was best in epoch {best + 1}, {val[best]:.3g}, and has risen to {now:.3g}, "
                  f"while the training loss fell to {train[-1]:.3g}.")  # fmt: skip


def _gap(case: Case, held: Case) -> tuple[float, str] | None:
    """Without a course: much of what was learnt does not hold for other samples."""
    scale = case.baseline or 0.0
    learnt, gap = scale - case.loss, held.loss - case.loss
    if learnt < 0.1 * scale or gap < limits.GAP * learnt:
        return None
    return gap, (f"The loss is {case.loss:.3g} on training samples and {held.loss:.3g} on validation samples; a "
                 f"constant has {scale:.3g}: less than half of what was learnt holds for other samples.")  # fmt: skip
