"""Winter or summer, from a day's demand for power: python examples/power_demand.py TRAIN.tsv TEST.tsv

ItalyPowerDemand of the UCR archive: 67 days of 24 hours to learn from. Which net to take is found out on these alone.
"""

import sys
import time

import numpy as np
from sklearn.model_selection import StratifiedKFold

import pellucid as pel
from pellucid import nn, optim

NETS = {
    "LSTM": lambda: nn.Sequential(nn.LSTM(32), nn.Dropout(0.3), nn.Dense(2)),
    "GRU": lambda: nn.Sequential(nn.GRU(32), nn.Dropout(0.3), nn.Dense(2)),
    "convolution": lambda: nn.Sequential(
        nn.Conv1D(16, 5, padding="same"), nn.relu, nn.Dropout(0.3), nn.Flatten(), nn.Dense(2)
    ),
}


def read(file: str) -> tuple[np.ndarray, np.ndarray]:
    """Days (n, 24, 1) and their labels 0, 1, from rows of a label 1, 2 and the 24 numbers."""
    rows = np.loadtxt(file)
    return rows[:, 1:, None], rows[:, 0].astype(int) - 1


def trained(name: str, x: np.ndarray, y: np.ndarray, epochs: int, seed: int) -> pel.Model:
    model = pel.Model(NETS[name](), "cross_entropy", optim.Adam(0.003), metrics=["accuracy"], seed=seed)
    model.fit(x, y, batch_size=16, epochs=epochs, verbose=0)
    return model


def validated(name: str, x: np.ndarray, y: np.ndarray, epochs: int, repeats: int) -> float:
    """The mean loss on days that were left out, in five folds."""
    losses = []
    for seed in range(repeats):
        for fit, held in StratifiedKFold(5, shuffle=True, random_state=seed).split(x[:, :, 0], y):
            losses.append(trained(name, x[fit], y[fit], epochs, seed).evaluate(x[held], y[held])["loss"])
    return float(np.mean(losses))


def main(train: str, test: str, epochs: int = 100, repeats: int = 3, seeds: int = 10) -> float:
    """Choose a net, train it from several seeds, and give the mean accuracy on the test days."""
    (x, y), (x_test, y_test) = read(train), read(test)
    start = time.perf_counter()
    losses = {name: validated(name, x, y, epochs, repeats) for name in NETS}
    for name, loss in losses.items():
        print(f"{name}: cross-validated loss {loss:.3f}")
    best = min(losses, key=losses.__getitem__)
    found = [trained(best, x, y, epochs, seed).evaluate(x_test, y_test)["accuracy"] for seed in range(seeds)]
    print(f"{best}: test accuracy {np.mean(found):.4f}, {min(found):.4f} to {max(found):.4f} over {seeds} seeds, "
          f"{time.perf_counter() - start:.1f} s")  # fmt: skip
    return float(np.mean(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
