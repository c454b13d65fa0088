"""What can be wrong within the net: its inputs as it sees them, units, gradients, steps, and its output."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ... import nn
from . import thresholds as limits
from .case import Case, Probe, squasher
from .findings import Finding


def check_net(case: Case) -> Iterator[Finding]:
    if case.stateful:
        return
    yield from _inputs(case)
    yield from _output(case)
    yield from _batches(case)
    for i, probe in enumerate(case.graph[2]):
        yield from _units(probe, case.seen[str(i)], case.solved)
    yield from _gradients(case)
    yield from _steps(case)


def _inputs(case: Case) -> Iterator[Finding]:
    """Columns as the first weights see them: features of a vector, else what stands along the first or last axis."""
    if "first" not in case.seen:
        return
    a = np.asarray(case.seen["first"], np.float64)
    for axis in {1, a.ndim - 1} if a.ndim > 1 else ():
        yield from _columns(np.moveaxis(a, axis, -1).reshape(-1, a.shape[axis]))


def _columns(a: np.ndarray) -> Iterator[Finding]:
    a = a[:, a.std(0) > 0]
    if a.shape[1] == 0:
        return
    mean, spread = a.mean(0), a.std(0)
    size = np.sqrt(mean**2 + spread**2)
    dense = spread > limits.DENSE * np.abs(a - mean).max(0)
    apart = spread[dense].max() / spread[dense].min() if dense.any() else 1.0
    shifted = (np.abs(mean) > limits.SHIFT * spread) & (size > 1)
    if size.max() > limits.INPUT_LARGE:
        told, value = f"Inputs are as large as {size.max():.3g} (root mean square of a column)", size.max()
    elif size.max() < limits.INPUT_SMALL:
        told, value = f"Inputs are {size.max():.2g} at most (root mean square of a column)", size.max()
    elif apart > limits.COLUMNS_APART:
        told, value = f"Columns differ in size {apart:.0f} times", apart
    elif shifted.any():
        value = (np.abs(mean) / spread)[shifted].max()
        told = f"A column's mean is {value:.0f} times its deviation away from 0"
    else:
        return
    yield Finding("unscaled_inputs", "warning", "what the first weights see", float(value),
                  f"{told}; weights begin as suits columns of mean 0 and deviation 1, and learn at speeds that go with "
                  "the square of the size.",
                  "scale the columns (sklearn.preprocessing.StandardScaler; pixels: x / 255), or nn.BatchNorm() first",
                  )  # fmt: skip


def _units(probe: Probe, a: np.ndarray, solved: bool) -> Iterator[Finding]:
    a = a.reshape(*a.shape[:2], -1) if a.ndim > 1 else a[:, None, None]  # (samples, units or channels, positions)
    n = a.shape[1]
    if n < limits.SMALLEST_LAYER:
        return
    if probe.kind == "relu":
        dead = float((a <= 0).all((0, 2)).mean())
        if dead >= min(max(limits.DEAD, 0.5 + limits.DEAD_Z * 0.5 / np.sqrt(n)), 1):
            yield Finding("dead_relus", "warning" if dead < 1 else "error", probe.where, dead,
                          f"{dead:.0%} of {n} units are 0 for every sample, so that no gradient brings them back.",
                          "a smaller learning rate and scaled inputs, from new weights; nn.leaky_relu or nn.elu do not "
                          "die")  # fmt: skip
        return
    slope = 1 - a**2 if probe.kind == "tanh" else 4 * a * (1 - a)  # of the steepest
    flat = float((slope.mean((0, 2)) < limits.FLAT).mean())
    if flat >= limits.SATURATED and not solved:
        yield Finding("saturated_units", "warning", probe.where, flat,
                      f"{flat:.0%} of {n} {probe.kind} units are in their flat parts: on average less than "
                      f"{limits.FLAT:.0%} of a gradient passes them.",
                      "scaled inputs, smaller first weights or nn.BatchNorm() before the activation, a smaller "
                      "learning rate; or nn.relu")  # fmt: skip


def _gradients(case: Case) -> Iterator[Finding]:
    _, slopes = case.gradients
    sizes = {k: float(np.linalg.norm(slopes[k]) / (np.linalg.norm(w) or 1.0)) for k, w in case.weights.items()}
    yield from _symmetry(case, slopes)
    if not sizes or not np.isfinite(list(sizes.values())).all():
        return
    names = list(sizes)
    first, last = sizes[names[0]], sizes[names[-1]]
    most = max(sizes, key=lambda k: sizes[k])
    if sizes[most] > limits.EXPLODING or (last > 0 and first / last > limits.EXPLODING_RATIO and first > 1):
        yield Finding("exploding_gradients", "error", most, sizes[most],
                      f"The gradient is {sizes[most]:.3g} times as long as the weights it belongs to"
                      + (f" (first layer to last: {first / last:.2g})." if last else "."),
                      "weights that begin smaller (the default of nn.Dense and nn.Conv), nn.BatchNorm, scaled inputs "
                      "and targets, or clipped gradients: optim.Adam(global_clipnorm=1.0)")  # fmt: skip
    elif not case.solved and (sizes[most] < limits.NO_GRADIENT or (len(names) > 2 and first < limits.VANISHING * last)):
        yield Finding("vanishing_gradients", "error", names[0], first / last if last else 0.0,
                      f"Relative to their weights, gradients of the first layer are {first:.1e} long, of the last "
                      f"{last:.1e}: the first hardly learns.",
                      "nn.relu for sigmoid and tanh, nn.BatchNorm, shortcuts (nn.Residual), fewer layers; for long "
                      "sequences nn.LSTM or nn.GRU")  # fmt: skip


def _symmetry(case: Case, slopes: dict[str, np.ndarray]) -> Iterator[Finding]:
    """Units of a layer that are the same and learn the same, so that they stay one unit for ever."""
    for name, w in list(case.weights.items())[:-1]:
        if len(w) > 1 and np.ptp(w, axis=0).max() == 0:
            g = slopes[name]
            if np.ptp(g, axis=0).max() <= 1e-5 * np.abs(g).max():
                yield Finding("symmetric_units", "error", name, float(len(w)),
                              f"All {len(w)} units begin with the same weights and have the same gradient: they stay "
                              "one unit.",
                              "random first weights: leave weight_init at its default")  # fmt: skip
                return


def _steps(case: Case) -> Iterator[Finding]:
    lengths = case.step_lengths
    if not lengths:
        return
    name = max(lengths, key=lambda k: lengths[k] if np.isfinite(lengths[k]) else np.inf)
    rate = case.rate
    if not lengths[name] < limits.STEP:
        yield too_high(case, name, lengths[name],
                       f"One step with learning_rate={rate:g} is {lengths[name]:.2g} times as long as the weights "
                       "themselves; about 0.001 is usual.")  # fmt: skip
        return
    trial = case.trial(limits.TRIAL_STEPS)
    scale = case.baseline or (trial.before if trial else 0.0)
    if trial is not None and max(trial.after, trial.during) > max(trial.before, scale) + limits.JUMP * scale:
        yield too_high(case, "", trial.after,
                       f"A trial of at most {limits.TRIAL_STEPS} steps with learning_rate={rate:g} took the loss from "
                       f"{trial.before:.3g} to {trial.after:.3g}.")  # fmt: skip


def too_high(case: Case, where: str, value: float, sentence: str) -> Finding:
    return Finding("learning_rate_too_high", "error", where, float(value), sentence,
                   f"learning_rate={case.rate / 10:.1g}, or a schedule that begins small "
                   "(pellucid.schedules)")  # fmt: skip


def _output(case: Case) -> Iterator[Finding]:
    function = squasher(case.graph[0].output)
    y = case.arrays["y"]
    if case.kind in ("classes", "binary") and function in ("softmax", "sigmoid", "relu"):
        link = "softmax" if case.kind == "classes" else "sigmoid"
        told = (f"The net ends with {function}, and the loss {type(case.model.loss).__name__} takes raw outputs "
                f"(its own {link} follows): probabilities are squashed, and gradients small.")  # fmt: skip
    elif case.kind == "values" and function in ("sigmoid", "tanh", "relu"):
        low, high = {"sigmoid": (0, 1), "tanh": (-1, 1), "relu": (0, np.inf)}[function]
        out = float(((y < low) | (y > high)).mean())
        if out < 0.01:
            return
        told = f"The net ends with {function}, which cannot reach {out:.0%} of the targets."
    else:
        return
    yield Finding("squashed_outputs", "error", "the net's last activation", 1.0, told,
                  f"leave {function} out at the end")  # fmt: skip


def _batches(case: Case) -> Iterator[Finding]:
    norms = [c for c in case.graph[0].calls if isinstance(c.layer, nn.BatchNorm) and len(c.output.shape) == 1]
    if norms and case.asked < limits.SMALL_BATCH:
        yield Finding("small_batch_norm", "error", norms[0].path, float(case.asked),
                      f"BatchNorm takes mean and variance from batches of {case.asked}"
                      + ("; one sample has no variance, so that fit refuses to train with them."
                         if case.asked == 1 else ", which are hardly known from so few."),
                      "a larger batch_size, or nn.LayerNorm()")  # fmt: skip
