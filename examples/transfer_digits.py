"""What was learnt of the digits 0-4 helps with 5-9: python examples/transfer_digits.py FOLDER, with MNIST's files.

Twenty examples of each new digit. Compared: a net from scratch; the old net's convolutions, frozen, with a new head;
and a support vector machine on the old net's features.
"""

import sys

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

import pellucid as pel
from pellucid import nn, optim

EACH = 20


def convolutions() -> list:
    return [nn.Conv(16, 3, padding="same"), nn.relu, nn.MaxPool(2), nn.Conv(32, 3, padding="same"), nn.relu,
            nn.MaxPool(2), nn.Flatten()]  # fmt: skip


def head() -> list:
    return [nn.Dense(64), nn.relu, nn.Dense(5)]


def main(folder: str, epochs: int = 3, seed: int = 0) -> dict[str, float]:
    """Accuracies on the test images of 5-9."""
    train, test = (pel.data.mnist(folder, part, images=True) for part in ("train", "test"))
    old = train.y < 5
    few = np.concatenate([np.flatnonzero(train.y == digit)[seed * EACH :][:EACH] for digit in range(5, 10)])
    x, y = train.x[few], train.y[few] - 5
    x_test, y_test = test.x[test.y >= 5], test.y[test.y >= 5] - 5

    base = pel.Model(nn.Sequential(*convolutions(), *head()), "cross_entropy", optim.Adam(0.001), seed=seed)
    base.fit(train.x[old], train.y[old], batch_size=64, epochs=epochs, verbose=0)
    scratch = pel.Model(nn.Sequential(*convolutions(), *head()), "cross_entropy", optim.Adam(0.001),
                        metrics=["accuracy"], seed=seed)  # fmt: skip
    transferred = base.transfer(nn.Sequential(*head()), keep=7, optimizer=optim.Adam(0.001), metrics=["accuracy"])
    found = {}
    for name, model in {"from scratch": scratch, "convolutions frozen": transferred}.items():
        model.fit(x, y, batch_size=20, epochs=60, verbose=0)
        found[name] = model.evaluate(x_test, y_test)["accuracy"]
    machine = make_pipeline(pel.FeatureExtractor(base, layer=6), SVC(C=10))
    found["features and SVM"] = machine.fit(x, y).score(x_test, y_test)
    for name, accuracy in found.items():
        print(f"{name}: {accuracy:.4f}")
    return found


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
