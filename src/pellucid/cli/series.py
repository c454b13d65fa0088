"""Series of values in time: reading them, training a forecaster, testing it beside the naive ways, going on.

Imports the package's face and its forecaster, and so scikit-learn.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from .. import Model
from ..errors import DataError
from ..sklearn.forecaster import NeuralForecaster
from ..sklearn.keeping import keep_in, restore
from . import files
from .reading import KEPT
from .recipes import Run
from .timeline import Series, read_series
from .train_options import SeriesOptions

SHARE = 0.2  # of the series, its end, for the test
SEASONS, LONG, USUAL = 2, 60, 24  # a window is of two seasons if these are short, and of 24 steps where it has none


def train(run: Run, path: str, options: SeriesOptions) -> None:
    """Train a forecaster on a series: test it on the end, beside the naive ways, train it on all, save and draw."""
    series = read_series(path, options.reading, options.target, options.date, options.fill)
    season, ahead, n = options.season or series.season, options.horizon or 1, len(series.values)
    test = max(round(SHARE * n), ahead)
    window = options.window or min(usual_window(season), max(2, (n - test) // 5))
    if n - test < window + ahead + 3:
        raise DataError(f"{path}: {n} values are too few for windows of {window} with {ahead} ahead and a test of "
                        f"{test}; give more values, or a smaller --window or --horizon")  # fmt: skip
    run.say(f"{path}: {n} values of {series.target!r}, {series.span}")
    for remark in series.remarks:
        run.say(f"note: {remark}")
    run.say(f"each forecast: the next {ahead if ahead > 1 else 'value'} from the last {window} values"
            + (f"; season: {season} steps" if season else ""))  # fmt: skip
    values = series.values.astype(run.dtype)
    net = fitted(run, values[: n - test], window, ahead, 1)
    lines, scores = comparison(net, values, season, n - test)
    run.say(f"\ntest, the last {test} values, {steps_text(ahead)}\n{lines}\n")
    whole = fitted(run, values, window, ahead, 0)
    run.say(f"the model saved was then trained on all {n} values")
    model = whole.model_
    model.notes |= {
        "kind": "series",
        "source": Path(path).name,
        "series": {"target": series.target, "date": series.date or "", "season": season or 0},
        "sha256": files.digest(path),
        "test": scores,
        "reading": {name: value for name, value in options.reading.items() if value and name in KEPT},
    }
    keep_in(model, whole)
    run.keep(model)
    if scores["RMSE"] > scores["as last RMSE"]:
        click.echo("note: the net is worse than saying the last value again; try another --window, or more values",
                   err=True)  # fmt: skip
    click.echo(f"test RMSE {scores['RMSE']:.6g}, as last {scores['as last RMSE']:.6g}")


def usual_window(season: int | None) -> int:
    """The past values of a forecast where nobody says."""
    if season is None:
        return USUAL
    return max(USUAL, SEASONS * season if season <= LONG else season)


def steps_text(ahead: int) -> str:
    return "1 step ahead" if ahead == 1 else f"1 to {ahead} steps ahead"


def fitted(run: Run, values: np.ndarray, window: int, ahead: int, verbose: int) -> Any:
    """A forecaster trained on values (N,), with its own recipe but for what was asked."""
    names = {"epochs": "max_iter", "learning_rate": "learning_rate_init", "hidden": "hidden_layer_sizes"}
    given = {names.get(name, name): value for name, value in run.asked.items() if value is not None}
    if run.batch_size is not None:
        given["batch_size"] = len(values) - window - ahead + 1 if run.batch_size == "all" else run.batch_size
    net = NeuralForecaster(window, ahead, random_state=run.seed, executor=run.executor, threads=run.threads,
                           verbose=0 if run.quiet else verbose, **given)  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the last epoch was reached: it is seen
        return net.fit_series(values)


def comparison(net: Any, values: np.ndarray, season: int | None, first: int) -> tuple[str, dict[str, float]]:
    """The errors of a forecaster where all that is forecast lies after ``first``, beside those of the naive ways."""
    x, y = net.windows(values)
    starts = np.arange(len(x)) + net.window  # of what is forecast
    chosen = starts >= first
    x, starts = x[chosen], starts[chosen]
    truth = y.reshape(len(y), -1)[chosen].astype(np.float64)  # (n, ahead)
    places = starts[:, None] + np.arange(truth.shape[1])
    ways = {"net": net.predict(x).reshape(truth.shape), "as last": values[starts - 1][:, None] + 0 * truth}
    if season and starts.min() >= season:
        back = (places - starts[:, None]) // season + 1
        ways[f"as {season} steps before"] = values[places - season * back]
    errors = {name: way.astype(np.float64) - truth for name, way in ways.items()}
    rows = {name: (float(abs(e).mean()), float(np.sqrt((e**2).mean()))) for name, e in errors.items()}
    width = max(map(len, rows))
    lines = [f"  {'':<{width}} {'MAE':>11} {'RMSE':>11}"]
    lines += [f"  {name:<{width}} {mae:>11.5g} {rmse:>11.5g}" for name, (mae, rmse) in rows.items()]
    scores = {"RMSE": rows["net"][1], "MAE": rows["net"][0]}
    scores |= {f"{name} RMSE": rmse for name, (_, rmse) in rows.items() if name != "net"}
    return "\n".join(lines), scores


def evaluate(model: Model, path: str, reading: dict[str, Any], target: str | None) -> None:
    """Tell a forecaster's errors on another series, beside the naive ways'."""
    series, net = for_model(model, path, reading, target), restore(model)
    if len(series.values) < net.window + net.horizon:
        raise DataError(f"{path} has {len(series.values)} values; the model forecasts {net.horizon} from the last "
                        f"{net.window}, so expected at least {net.window + net.horizon}")  # fmt: skip
    season = model.notes["series"]["season"] or None
    lines, scores = comparison(net, series.values.astype(model.dtype), season, net.window)
    click.echo(f"{len(series.values)} values, {steps_text(net.horizon)}\n{lines}\n")
    click.echo(f"RMSE {scores['RMSE']:.6g}, as last {scores['as last RMSE']:.6g}")


def predictions(
    model: Model, path: str, reading: dict[str, Any], steps: int | None
) -> tuple[str, list[str], str, np.ndarray]:
    """How a series goes on: the heading of the dates, these (or the steps' numbers), that of the values, and these."""
    series, net = for_model(model, path, reading, None), restore(model)
    steps = steps or net.horizon
    ahead = net.forecast(series.values.astype(model.dtype), steps)
    return series.date or "step", series.after(steps), series.target, np.asarray(ahead).reshape(steps, 1)


def for_model(model: Model, path: str, reading: dict[str, Any], target: str | None) -> Series:
    """A series for a model, read as the one it was trained on."""
    kept, own = model.notes.get("reading", {}), model.notes["series"]
    said = {name: value or kept.get(name) or value for name, value in reading.items()}
    series = read_series(path, said, target or own["target"], own["date"] or None, fill=False)
    return replace(series, target=own["target"])
