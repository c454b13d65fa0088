"""What is measured: the rows, their arithmetic and their data. Imports numpy only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np

OPTIMIZERS = {
    "SGD": {"rate": 0.01},
    "momentum": {"rate": 0.01, "momentum": 0.9},
    "Adam": {"rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8},
}


@dataclass(frozen=True)
class Row:
    """One net and what is done with it.

    ``kind``: "step" is a training step of a mini-batch, "fit" a whole training from the making of the net, "predict"
    one sample's probabilities. ``samples`` is the length of the arrays; ``wanted`` the ratio that the project
    promises, to the best peer, or to the one it is ``against``. ``fused``: PyTorch's fused optimizer, on where it is
    the faster (large weights).
    """

    name: str
    sizes: tuple[int, ...]
    activation: Literal["tanh", "relu"]
    batch: int
    optimizer: str
    samples: int
    kind: Literal["step", "fit", "predict"] = "step"
    epochs: int = 1
    wanted: float | None = None
    against: str | None = None
    fused: bool = False

    @property
    def net(self) -> str:
        return "-".join(map(str, self.sizes))

    @property
    def what(self) -> str:
        """The row in words."""
        if self.kind == "predict":
            return f"{self.net} {self.activation}, predict one row"
        words = f"{self.net} {self.activation}, batch {self.batch}, {self.optimizer}"
        return words if self.kind == "step" else f"{words}, {self.samples} rows, {self.epochs} epochs, whole fit"

    @property
    def count(self) -> int:
        """How many times the measured thing happens when a job is run over all samples."""
        return {"step": -(-self.samples // self.batch), "fit": 1, "predict": self.samples}[self.kind]


ROWS = (
    Row("2-8-8-2", (2, 8, 8, 2), "tanh", 32, "SGD", 32 * 1000, wanted=4),
    Row("784-10-10", (784, 10, 10), "tanh", 64, "SGD", 64 * 200, wanted=4),
    Row("784-1024-10", (784, 1024, 10), "relu", 64, "momentum", 64 * 60, wanted=1.2, fused=True),
    Row("784-1024-1024-10", (784, 1024, 1024, 10), "relu", 128, "Adam", 128 * 24, wanted=1.3, fused=True),
    Row("fit", (64, 64, 10), "relu", 32, "Adam", 1792, kind="fit", epochs=20, wanted=2, against="scikit-learn"),
    Row("predict", (784, 1024, 10), "relu", 1, "SGD", 200, kind="predict", wanted=1),
)

# two threads against one; the share of the peak is asked of the first and of 784-1024-1024-10 with batch 128
SCALING = (
    ROWS[2],
    replace(ROWS[3], wanted=None),
    replace(ROWS[3], name="784-1024-1024-10 batch 256", batch=256, samples=256 * 12),
)
SCALING_WANTED = {"784-1024-10": 1.6, "784-1024-1024-10 batch 256": 1.8}
SHARE_WANTED = {"784-1024-10": 0.8, "784-1024-1024-10": 0.8}


def flops(row: Row) -> int:
    """Arithmetic of one training step: 2 in out batch for each dense layer forward, the same for the gradient of its
    weight, and the same for that of its input except in the first layer. Of a prediction: forward only.

    >>> flops(Row("", (3, 5, 2), "relu", 10, "SGD", 10)) == 10 * (2 * 3 * 5 * 2 + 2 * 5 * 2 * 3)
    True
    """
    each = [2 * a * b * row.batch for a, b in pairwise(row.sizes)]
    return sum(each) if row.kind == "predict" else 3 * sum(each) - each[0]


def smaller(row: Row, samples: int) -> Row:
    """The same row on fewer samples, a whole number of batches; for tests."""
    return replace(row, samples=max(row.batch, samples // row.batch * row.batch), epochs=min(row.epochs, 2))


@dataclass(frozen=True)
class Data:
    """The same arrays and first weights for everybody: x (n, in), y (n,), and (out, in), (out,) for each layer."""

    x: np.ndarray
    y: np.ndarray
    weights: tuple[tuple[np.ndarray, np.ndarray], ...]

    @property
    def flat(self) -> np.ndarray:
        return flat(self.weights)


def flat(weights) -> np.ndarray:
    """All weights as one vector, weight and bias of each layer in order."""
    return np.concatenate([np.asarray(a, np.float32).ravel() for pair in weights for a in pair])


def data(row: Row, seed: int = 0) -> Data:
    """Normal inputs, classes that a linear map of them decides, and Glorot's first weights."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((row.samples, row.sizes[0]), dtype=np.float32)
    y = (x @ rng.standard_normal((row.sizes[0], row.sizes[-1]), dtype=np.float32)).argmax(1).astype(np.int32)
    weights = []
    for a, b in pairwise(row.sizes):
        limit = np.sqrt(6 / (a + b))
        weights.append((rng.uniform(-limit, limit, (b, a)).astype(np.float32), np.zeros(b, np.float32)))
    return Data(x, y, tuple(weights))
