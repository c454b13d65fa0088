"""Tomorrow's lowest temperature in Melbourne, from the last two weeks: python examples/temperatures.py FILE.csv

Ten years of daily minima, of which the last two are the test. A GRU is compared with "as today", and with linear
autoregressions that fit the same windows best: of the temperatures alone, and of the time of the year as well.
"""

import sys
import time

import numpy as np

import pellucid as pel
from pellucid import nn, optim, schedules

DAYS, YEAR = 14, 365  # the file leaves 29 February out
TEST = 2 * YEAR


def linear(x: np.ndarray, y: np.ndarray, x_test: np.ndarray) -> np.ndarray:
    """Predictions for (m, k) by the linear function that fits (n, k) to (n,) best."""
    with_one = [np.column_stack([a, np.ones(len(a))]) for a in (x, x_test)]
    return with_one[1] @ np.linalg.lstsq(with_one[0], y)[0]


def main(file: str, epochs: int = 20, seed: int = 0) -> dict[str, float]:
    """Train, and give the root mean square errors on the test years, in degrees."""
    degrees = pel.data.read_csv(file)["Temp"]
    mean, deviation = degrees[:-TEST].mean(), degrees[:-TEST].std()
    angle = 2 * np.pi * np.arange(len(degrees)) / YEAR
    days = np.column_stack([(degrees - mean) / deviation, np.sin(angle), np.cos(angle)])  # (n, 3): temperature, season
    x, following = pel.data.windows(days, DAYS)  # (n - 14, 14, 3), (n - 14, 3)
    y = following[:, 0]
    train, test = slice(None, -TEST), slice(-TEST, None)

    net = nn.Sequential(nn.GRU(32), nn.Dropout(0.2), nn.Dense(1))
    model = pel.Model(net, "mse", optim.Adam(schedules.Step(0.003, 0.85, epochs=1)), seed=seed)
    start = time.perf_counter()
    model.fit(x[train], y[train, None], epochs=epochs, verbose=0)
    seconds = time.perf_counter() - start

    past = x[:, :, 0]
    season = np.column_stack([past, x[:, -1, 1:]])
    predictions = {
        "as today": past[test, -1],
        "linear": linear(past[train], y[train], past[test]),
        "linear, with the season": linear(season[train], y[train], season[test]),
        "GRU": model.predict(x[test])[:, 0],
    }
    found = {name: float(deviation * np.sqrt(np.mean((p - y[test]) ** 2))) for name, p in predictions.items()}
    for name, error in found.items():
        print(f"{name}: {error:.3f} degrees; the GRU {found['GRU'] / error - 1:+.1%}")
    print(f"{epochs} epochs, {seconds:.1f} s")
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
