"""Healthy and sick trainings on real data, on none of which the doctor's thresholds were chosen.

A case is a function of `Data` that gives a model, fitted or not, and what `diagnose` is to be given. Thresholds were
chosen on scikit-learn's iris, wine, breast cancer, diabetes and ``make_*`` sets and on numbers drawn at random.
"""

from __future__ import annotations

import contextlib
import csv
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import pellucid as pel
from pellucid import nn, optim
from pellucid.nn import zoo

Pair = tuple[np.ndarray, np.ndarray]


class Visit(NamedTuple):
    model: pel.Model
    x: Any
    y: Any
    others: dict[str, Any]

    def diagnose(self) -> pel.Diagnosis:
        return self.model.diagnose(self.x, self.y, **self.others)


def parted(x: np.ndarray, y: np.ndarray, share: float = 0.75) -> tuple[Pair, Pair]:
    order = np.random.default_rng(0).permutation(len(x))
    k = round(share * len(x))
    return (x[order[:k]], y[order[:k]]), (x[order[k:]], y[order[k:]])


class Data:
    """The sets, each as (training, validation)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @functools.cached_property
    def mnist(self) -> tuple[Pair, Pair]:
        found = pel.data.idx(self.folder / "mnist" / "t10k-images-idx3-ubyte.gz")
        labels = pel.data.idx(self.folder / "mnist" / "t10k-labels-idx1-ubyte.gz")
        return parted((found[:2000, None] / 255).astype(np.float32), labels[:2000].astype(int))

    @functools.cached_property
    def cifar(self) -> tuple[Pair, Pair]:
        file = np.load(self.folder / "cifar10-subset" / "cifar10-subset.npz")
        x = file["x_train"].transpose(0, 3, 1, 2) / np.float32(255)
        x = (x - x.mean((0, 2, 3), keepdims=True)) / x.std((0, 2, 3), keepdims=True)
        chosen = np.random.default_rng(1).permutation(len(x))[:1600]
        return parted(x[chosen], file["y_train"][chosen].astype(int))

    @functools.cached_property
    def sketches(self) -> tuple[Pair, Pair]:
        file = np.load(self.folder / "quickdraw-3class" / "quickdraw-3class.npz")
        names = sorted(file.files)
        images = file[next(n for n in names if file[n].ndim == 3)]
        labels = file[next(n for n in names if file[n].ndim == 1 and len(file[n]) == len(images))]
        x, y = (images[:, None] / 255).astype(np.float32), labels.astype(int)
        chosen = np.random.default_rng(1).permutation(len(x))[:1600]
        return parted(x[chosen], y[chosen])

    @functools.cached_property
    def titanic_raw(self) -> tuple[Pair, Pair]:
        with (self.folder / "titanic" / "titanic.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        numbers = ("Pclass", "Age", "SibSp", "Parch", "Fare")
        columns = [[float(r[name] or "nan") for r in rows] for name in numbers]
        columns.append([float(r["Sex"] == "male") for r in rows])
        columns += [[float(r["Embarked"] == port) for r in rows] for port in "SCQ"]
        return parted(np.array(columns, np.float32).T, np.array([int(r["Survived"]) for r in rows]))

    @functools.cached_property
    def titanic(self) -> tuple[Pair, Pair]:
        (x, y), (vx, vy) = self.titanic_raw
        mean, spread = np.nanmean(x, 0), np.nanstd(x, 0)
        x, vx = (np.nan_to_num((a - mean) / spread) for a in (x, vx))
        return (x, y), (vx, vy)

    @functools.cached_property
    def power(self) -> tuple[Pair, Pair]:
        rows = np.loadtxt(self.folder / "ucr-italypowerdemand" / "ItalyPowerDemand_TEST.tsv")
        return parted(rows[:, 1:].astype(np.float32), rows[:, 0].astype(int) - 1)

    @functools.cached_property
    def degrees(self) -> np.ndarray:
        return pel.data.read_csv(self.folder / "daily-min-temperatures" / "daily-min-temperatures.csv")["Temp"]

    @functools.cached_property
    def temperatures(self) -> tuple[Pair, Pair]:
        d = ((self.degrees - self.degrees[:2920].mean()) / self.degrees[:2920].std()).astype(np.float32)
        x, y = pel.data.windows(d[:, None], 14)
        return (x[:2900], y[:2900]), (x[2920:], y[2920:])

    @functools.cached_property
    def digits(self) -> tuple[Pair, Pair]:
        found = pel.data.digits()
        return parted(found.x, found.y)

    @functools.cached_property
    def reviews(self) -> tuple[Pair, Pair]:
        """Film reviews as 24 word numbers, 0 for padding, and whether they are kind."""
        read = [
            (self.folder / "rt-polarity" / f"rt-polarity.{end}").read_text(encoding="utf-8") for end in ("neg", "pos")
        ]
        lines = [text.split("\n")[:1500] for text in read]
        words: dict[str, int] = {}
        rows = np.zeros((3000, 24), np.int32)
        for i, line in enumerate(lines[0] + lines[1]):
            numbers = [words.setdefault(w, len(words) + 1) for w in line.split()[:24]]
            rows[i, : len(numbers)] = numbers
        self.words = len(words) + 1
        return parted(rows, np.repeat([0, 1], 1500))

    @functools.cached_property
    def shakespeare(self) -> tuple[Pair, Pair]:
        text = (self.folder / "tinyshakespeare" / "input.txt").read_bytes()[:24000]
        known = sorted(set(text))
        code = np.array([known.index(c) for c in text])
        rows = np.eye(len(known), dtype=np.float32)[code]
        x = np.stack([rows[i : i + 24] for i in range(0, len(code) - 25, 24)])
        y = np.stack([code[i + 1 : i + 25] for i in range(0, len(code) - 25, 24)])
        k = len(x) * 3 // 4
        return (x[:k], y[:k]), (x[k:], y[k:])


def mlp(outputs: int, width: int = 64, act: Callable = nn.relu, hidden: int = 2, **first: Any) -> nn.Sequential:
    parts = [part for _ in range(hidden) for part in (nn.Dense(width, **first), act)]
    return nn.Sequential(nn.Flatten(), *parts, nn.Dense(outputs))


def trained(net, loss, optimizer, sets, epochs, batch=32, seed=0, **others) -> Visit:
    train, held = sets
    model = pel.Model(net, loss, optimizer, seed=seed)
    with contextlib.suppress(pel.DivergedError):
        model.fit(*train, epochs=epochs, batch_size=batch, validation_data=held, verbose=0)
    return Visit(model, *train, {"validation_data": held} | others)


def first(sets: tuple[Pair, Pair], n: int) -> tuple[Pair, Pair]:
    (x, y), held = sets
    return (x[:n], y[:n]), held


def changed(sets: tuple[Pair, Pair], x=lambda x: x, y=lambda y: y) -> tuple[Pair, Pair]:
    return tuple((x(a).astype(a.dtype), y(b)) for a, b in sets)  # type: ignore[return-value]


def times(factor: float):
    """First weights so many times as large as usual."""
    return lambda key, shape, dtype: nn.init.glorot_uniform(key, shape, dtype) * factor


def shuffled(y: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).permutation(y)


CE, BCE, MSE = "cross_entropy", "binary_cross_entropy", "mse"

HEALTHY: dict[str, Callable[[Data], Visit]] = {
    "mnist, ReLU, Adam": lambda d: trained(mlp(10), CE, optim.Adam(0.001), d.mnist, 8),
    "mnist, tanh, momentum": lambda d: trained(mlp(10, act=nn.tanh), CE, optim.SGD(0.02, 0.9), d.mnist, 8),
    "mnist, LeNet-5": lambda d: trained(zoo.lenet5(size=28, modern=True), CE, optim.Adam(0.001), d.mnist, 4),
    "mnist, autoencoder": lambda d: trained(
        nn.Sequential(nn.Flatten(), nn.Dense(32), nn.relu, nn.Dense(784), nn.sigmoid), MSE, optim.Adam(0.003),
        tuple((x, x.reshape(-1, 784)) for x, _ in d.mnist), 6,
    ),
    "mnist, three yes-or-no questions": lambda d: trained(
        mlp(3), BCE, optim.Adam(0.001),
        changed(d.mnist, y=lambda y: np.stack([y % 2, y > 4, np.isin(y, (0, 6, 8, 9))], 1).astype(np.float32)), 8,
    ),
    "cifar, convolution and batch normalization": lambda d: trained(
        nn.Sequential(nn.Conv(16, 3), nn.BatchNorm(), nn.relu, nn.MaxPool(2), nn.Conv(32, 3), nn.BatchNorm(), nn.relu,
                      nn.GlobalAvgPool(), nn.Dense(10)), CE, optim.Adam(0.003), d.cifar, 5,
    ),
    "cifar, dropout": lambda d: trained(
        nn.Sequential(nn.Flatten(), nn.Dense(64), nn.relu, nn.Dropout(0.5), nn.Dense(10)), CE, optim.Adam(0.0003),
        d.cifar, 6,
    ),
    "sketches, convolution": lambda d: trained(
        nn.Sequential(nn.Conv(8, 5), nn.relu, nn.MaxPool(2), nn.Flatten(), nn.Dense(3)), CE, optim.Adam(0.001),
        d.sketches, 5,
    ),
    "titanic, ReLU": lambda d: trained(mlp(1, 16), BCE, optim.Adam(0.003), d.titanic, 15),
    "titanic, logistic regression": lambda d: trained(nn.Dense(1), BCE, optim.SGD(0.1), d.titanic, 30),
    "power, LSTM": lambda d: trained(
        nn.Sequential(nn.Reshape((24, 1)), nn.LSTM(16), nn.Dense(2)), CE, optim.Adam(0.005), d.power, 12,
    ),
    "power, sigmoid": lambda d: trained(mlp(2, 16, nn.sigmoid, 1), CE, optim.Adam(0.01), d.power, 30),
    "temperatures, GRU": lambda d: trained(
        nn.Sequential(nn.GRU(16), nn.Dense(1)), MSE, optim.Adam(0.003), d.temperatures, 6,
    ),
    "temperatures, linear": lambda d: trained(
        nn.Sequential(nn.Flatten(), nn.Dense(1)), MSE, optim.SGD(0.01), d.temperatures, 10,
    ),
    "digits, dropout": lambda d: trained(
        nn.Sequential(nn.Dense(64), nn.relu, nn.Dropout(0.3), nn.Dense(10)), CE, optim.RMSprop(0.001), d.digits, 15,
    ),
    "digits, before training": lambda d: Visit(pel.Model(mlp(10), CE, optim.SGD(0.1)), *d.digits[0], {}),
    "reviews, embedding": lambda d: trained(
        nn.Sequential(nn.Embedding(*_words(d)), nn.GlobalAvgPool1D(), nn.Dense(2)), CE, optim.Adam(0.003), d.reviews, 5,
    ),
    "shakespeare, LSTM": lambda d: trained(
        nn.Sequential(nn.LSTM(32, return_sequences=True), nn.TimeDistributed(nn.Dense(d.shakespeare[0][0].shape[-1]))),
        CE, optim.Adam(0.01), d.shakespeare, 6,
    ),
}  # fmt: skip


def _words(d: Data) -> tuple[int, int]:
    _ = d.reviews
    return d.words, 16


def _copied(d: Data) -> Visit:
    visit = trained(mlp(1, 16), BCE, optim.Adam(0.003), d.titanic, 15)
    x, y = visit.others["validation_data"]
    return visit._replace(others={"test": (np.concatenate([x, visit.x[:20]]), np.concatenate([y, visit.y[:20]]))})


def _contradicting(d: Data) -> Visit:
    (x, y), held = d.power
    sets = ((np.concatenate([x, x[:60]]), np.concatenate([y, 1 - y[:60]])), held)
    return trained(mlp(2, 16), CE, optim.Adam(0.003), sets, 10)


def _rare(d: Data) -> Visit:
    def few(x, y):
        keep = (y != 8) | (np.cumsum(y == 8) % 40 == 1)
        return x[keep], y[keep]

    return trained(mlp(10), CE, optim.Adam(0.001), tuple(few(*pair) for pair in d.mnist), 5)


def _with_target(d: Data) -> tuple[Pair, Pair]:
    return tuple((np.column_stack([x, y]).astype(np.float32), y) for x, y in d.titanic)  # type: ignore[return-value]


def _tomorrow(d: Data) -> tuple[Pair, Pair]:
    return tuple((np.concatenate([x[:, :, 0], y], 1), y) for x, y in d.temperatures)  # type: ignore[return-value]


SICK: dict[str, tuple[str, Callable[[Data], Visit]]] = {
    "mnist, bytes": ("unscaled_inputs", lambda d: trained(
        mlp(10), CE, optim.SGD(0.01), changed(d.mnist, lambda x: x * 255), 5)),
    "titanic, raw columns": ("unscaled_inputs", lambda d: trained(
        mlp(1, 16), BCE, optim.Adam(0.003), changed(d.titanic_raw, np.nan_to_num), 15)),
    "digits, biases far below 0": ("dead_relus", lambda d: trained(
        nn.Sequential(nn.Dense(64, bias_init=lambda k, s, t: nn.init.zeros(k, s, t) - 8), nn.relu, nn.Dense(10)), CE,
        optim.Adam(0.001), d.digits, 5)),
    "cifar, dead convolutions": ("dead_relus", lambda d: trained(
        nn.Sequential(nn.Conv(16, 3, bias_init=lambda k, s, t: nn.init.zeros(k, s, t) - 20), nn.relu,
                      nn.GlobalAvgPool(), nn.Dense(10)), CE, optim.Adam(0.001), d.cifar, 3)),
    "mnist, ten layers of sigmoids": ("vanishing_gradients", lambda d: trained(
        mlp(10, 32, nn.sigmoid, 10), CE, optim.SGD(0.1), d.mnist, 5)),
    "temperatures, eight layers of sigmoids": ("vanishing_gradients", lambda d: trained(
        mlp(1, 24, nn.sigmoid, 8), MSE, optim.SGD(0.05), d.temperatures, 4)),
    "mnist, eight layers of large weights": ("exploding_gradients", lambda d: trained(
        mlp(10, 32, nn.relu, 8, weight_init=times(5)), CE, optim.SGD(1e-6), d.mnist, 3)),
    "power, large weights": ("saturated_units", lambda d: trained(
        mlp(2, 32, nn.tanh, 1, weight_init=times(40)), CE, optim.Adam(0.001), d.power, 5)),
    "digits, SGD(4)": ("learning_rate_too_high", lambda d: trained(mlp(10), CE, optim.SGD(4.0), d.digits, 10)),
    "mnist, Adam(0.5)": ("learning_rate_too_high", lambda d: trained(mlp(10), CE, optim.Adam(0.5), d.mnist, 6)),
    "temperatures, SGD(1)": ("learning_rate_too_high", lambda d: trained(
        mlp(1), MSE, optim.SGD(1.0), d.temperatures, 6)),
    "mnist, SGD(0.0001)": ("learning_rate_too_low", lambda d: trained(mlp(10), CE, optim.SGD(1e-4), d.mnist, 6)),
    "power, Adam(1e-6)": ("learning_rate_too_low", lambda d: trained(mlp(2), CE, optim.Adam(1e-6), d.power, 8)),
    "cifar, 300 images learnt by heart": ("overfitting", lambda d: trained(
        mlp(10, 128), CE, optim.Adam(0.001), first(d.cifar, 300), 60)),
    "titanic, 256 units": ("overfitting", lambda d: trained(
        mlp(1, 256), BCE, optim.Adam(0.003), first(d.titanic, 300), 100)),
    "mnist, shuffled labels": ("shuffled_labels", lambda d: trained(
        mlp(10), CE, optim.Adam(0.001), changed(d.mnist, y=shuffled), 10)),
    "temperatures, shuffled": ("shuffled_labels", lambda d: trained(
        nn.Sequential(nn.GRU(16), nn.Dense(1)), MSE, optim.Adam(0.003), changed(d.temperatures, y=shuffled), 4)),
    "reviews, shuffled labels": ("shuffled_labels", lambda d: trained(
        nn.Sequential(nn.Embedding(*_words(d)), nn.GlobalAvgPool1D(), nn.Dense(2)), CE, optim.Adam(0.01),
        changed(d.reviews, y=shuffled), 8)),
    "digits, nearly black": ("constant_predictor", lambda d: trained(
        mlp(10), CE, optim.Adam(0.001), changed(d.digits, lambda x: x * 1e-5), 8)),
    "titanic, copied rows": ("leaking_rows", _copied),
    "titanic, the answer among the questions": ("leaking_feature", lambda d: trained(
        mlp(1, 16), BCE, optim.Adam(0.003), _with_target(d), 8)),
    "temperatures, tomorrow among the days": ("leaking_feature", lambda d: trained(
        mlp(1, 16), MSE, optim.Adam(0.003), _tomorrow(d), 5)),
    "power, contradicting labels": ("contradicting_labels", _contradicting),
    "mnist, few eights": ("class_imbalance", _rare),
    "temperatures, thousandths of degrees": ("unscaled_targets", lambda d: trained(
        nn.Sequential(nn.GRU(16), nn.Dense(1)), MSE, optim.Adam(0.003), 
        changed(d.temperatures, y=lambda y: y * 4000), 4)),
    "titanic, missing ages": ("missing_values", lambda d: Visit(
        pel.Model(mlp(1, 16), BCE), *d.titanic_raw[0], {})),
    "sketches, softmax twice": ("squashed_outputs", lambda d: trained(
        nn.Sequential(mlp(3), nn.softmax), CE, optim.Adam(0.001), d.sketches, 5)),
    "digits, zeros": ("symmetric_units", lambda d: trained(
        nn.Sequential(nn.Dense(32, weight_init=nn.init.zeros), nn.tanh, nn.Dense(10, weight_init=nn.init.zeros)), CE,
        optim.SGD(0.1), d.digits, 5)),
    "power, batches of two": ("small_batch_norm", lambda d: trained(
        nn.Sequential(nn.Dense(16), nn.BatchNorm(), nn.relu, nn.Dense(2)), CE, optim.Adam(0.001), d.power, 2, batch=2,
        batch_size=2)),
}  # fmt: skip
