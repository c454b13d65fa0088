"""More healthy and sick trainings, on sets that are in neither the first table nor those the thresholds come from.

The first table (`doctor_cases`) was run once before anything was changed, and some checks were changed by what it
showed; this one after that, and nothing was changed by it. `docs/doctor.md` tells both results.
"""

from __future__ import annotations

import functools
import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
from doctor_cases import BCE, CE, MSE, Pair, Visit, changed, first, mlp, parted, shuffled, times, trained

import pellucid as pel
from pellucid import nn, optim


def scaled(sets: tuple[Pair, Pair], target: bool = False) -> tuple[Pair, Pair]:
    (x, y), (vx, vy) = sets
    mean, spread = x.mean(0), x.std(0)
    out = [((a - mean) / np.where(spread > 0, spread, 1)).astype(np.float32) for a in (x, vx)]
    goals = [((b - y.mean(0)) / y.std(0)).astype(np.float32) for b in (y, vy)] if target else [y, vy]
    return (out[0], goals[0]), (out[1], goals[1])


class MoreData:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @functools.cached_property
    def sentences(self) -> tuple[list[str], np.ndarray]:
        """English and German sentences, and which is which."""
        files = [self.folder / "multi30k-en-de" / f"val.{end}.gz" for end in ("en", "de")]
        lines = [gzip.decompress(file.read_bytes()).decode().split("\n")[:800] for file in files]
        return lines[0] + lines[1], np.repeat([0, 1], 800)

    @functools.cached_property
    def letters_raw(self) -> tuple[Pair, Pair]:
        lines, y = self.sentences
        counts = [[t.lower().count(c) for c in "abcdefghijklmnopqrstuvwxyz"] for t in lines]
        return parted(np.array(counts, np.float32), y)

    @functools.cached_property
    def letters(self) -> tuple[Pair, Pair]:
        return scaled(self.letters_raw)

    @functools.cached_property
    def characters(self) -> tuple[Pair, Pair]:
        lines, y = self.sentences
        codes = [[min(ord(c), 255) for c in t[:32]] for t in lines]
        return parted(np.array([c + [0] * (32 - len(c)) for c in codes], np.int32), y)

    @functools.cached_property
    def tags(self) -> tuple[Pair, Pair]:
        """Sentences of up to 12 words as numbers, and their universal tags, -1 behind the end."""
        text = gzip.decompress((self.folder / "ud-english-ewt" / "en_ewt-ud-dev.conllu.gz").read_bytes()).decode()
        words: dict[str, int] = {}
        tags: dict[str, int] = {}
        x, y = np.zeros((1200, 12), np.int32), np.full((1200, 12), -1, np.int32)
        for i, block in enumerate(text.split("\n\n")[:1200]):
            rows = [line.split("\t") for line in block.split("\n") if line and line[0] != "#"]
            for j, row in enumerate([r for r in rows if r[0].isdigit()][:12]):
                x[i, j] = words.setdefault(row[1].lower(), len(words) + 1)
                y[i, j] = tags.setdefault(row[3], len(tags))
        self.words, self.kinds = len(words) + 1, len(tags)
        return parted(x, y)

    @functools.cached_property
    def strokes(self) -> tuple[Pair, Pair]:
        """Eight points (dx, dy, pen lifted) of a drawing, and the ninth."""
        file = np.load(self.folder / "omniglot-strokes" / "omniglot-strokes.npz")
        name = next(n for n in file.files if "valid" in n and file[n].ndim == 2)
        points = file[name][:20000].astype(np.float32)
        points[:, :2] /= points[:, :2].std()
        x, y = pel.data.windows(points, 8)
        return parted(x[::10][:1800], y[::10][:1800])

    @functools.cached_property
    def hastie(self) -> tuple[Pair, Pair]:
        from sklearn.datasets import make_hastie_10_2

        x, y = make_hastie_10_2(1600, random_state=0)
        return parted(x.astype(np.float32), (y > 0).astype(int))

    @functools.cached_property
    def quantiles(self) -> tuple[Pair, Pair]:
        from sklearn.datasets import make_gaussian_quantiles

        x, y = make_gaussian_quantiles(n_samples=1200, n_features=6, n_classes=4, random_state=0)
        return parted(x.astype(np.float32), y)

    @functools.cached_property
    def friedman1(self) -> tuple[Pair, Pair]:
        from sklearn.datasets import make_friedman1

        x, y = make_friedman1(1000, noise=1.0, random_state=0)
        return scaled(parted(x, y[:, None]), target=True)

    @functools.cached_property
    def friedman2_raw(self) -> tuple[Pair, Pair]:
        from sklearn.datasets import make_friedman2

        x, y = make_friedman2(1000, noise=50.0, random_state=0)
        return parted(x.astype(np.float32), y[:, None].astype(np.float32))

    @functools.cached_property
    def roll(self) -> tuple[Pair, Pair]:
        from sklearn.datasets import make_swiss_roll

        x, y = make_swiss_roll(1000, noise=0.2, random_state=0)
        return scaled(parted(x, y[:, None]), target=True)


def tagger(d: MoreData, body: Callable) -> nn.Sequential:
    _ = d.tags
    return nn.Sequential(nn.Embedding(d.words, 16), body, nn.TimeDistributed(nn.Dense(d.kinds)))


def pen(sets: tuple[Pair, Pair]) -> tuple[Pair, Pair]:
    return tuple((x, y[:, 2:]) for x, y in sets)  # type: ignore[return-value]


def to_point(sets: tuple[Pair, Pair]) -> tuple[Pair, Pair]:
    return tuple((x, y[:, :2]) for x, y in sets)  # type: ignore[return-value]


TAGS = nn.CrossEntropy(ignore_class=-1)

HEALTHY: dict[str, Callable[[MoreData], Visit]] = {
    "letters, ReLU": lambda d: trained(mlp(2, 32), CE, optim.Adam(0.001), d.letters, 10),
    "letters, linear with hinge loss": lambda d: trained(nn.Dense(2), "hinge", optim.SGD(0.05), d.letters, 15),
    "characters, convolution": lambda d: trained(
        nn.Sequential(nn.Embedding(256, 8), nn.Conv1D(16, 3), nn.relu, nn.GlobalMaxPool1D(), nn.Dense(2)), CE,
        optim.Adam(0.003), d.characters, 6),
    "tags, LSTM": lambda d: trained(tagger(d, nn.LSTM(24, return_sequences=True)), TAGS, optim.Adam(0.01), d.tags, 5),
    "tags, dense": lambda d: trained(
        tagger(d, nn.TimeDistributed(nn.Dense(24))), TAGS, optim.Adam(0.01), d.tags, 4),
    "strokes, GRU": lambda d: trained(
        nn.Sequential(nn.GRU(24), nn.Dense(2)), "huber", optim.Adam(0.003), to_point(d.strokes), 8),
    "strokes, pen": lambda d: trained(mlp(1, 24), BCE, optim.Adam(0.002), pen(d.strokes), 8),
    "hastie, ReLU": lambda d: trained(mlp(2, 32), CE, optim.Adam(0.003), d.hastie, 12),
    "hastie, tanh, Nesterov": lambda d: trained(
        mlp(1, 24, nn.tanh, 1), BCE, optim.SGD(0.02, 0.9, nesterov=True), d.hastie, 15),
    "quantiles, batch normalization": lambda d: trained(
        nn.Sequential(nn.Dense(32), nn.BatchNorm(), nn.relu, nn.Dense(4)), CE, optim.Adam(0.003), d.quantiles, 15),
    "friedman 1, AdamW": lambda d: trained(
        mlp(1, 32), MSE, optim.AdamW(0.002, weight_decay=0.05), d.friedman1, 20),
    "friedman 2, L-BFGS": lambda d: trained(
        mlp(1, 8, nn.tanh, 1), MSE, optim.LBFGS(), scaled(d.friedman2_raw, True), 15, batch="all"),
    "swiss roll, sigmoid": lambda d: trained(mlp(1, 32, nn.sigmoid, 1), MSE, optim.Adam(0.02), d.roll, 25),
    "swiss roll, residual": lambda d: trained(
        nn.Sequential(nn.Dense(24), nn.relu, nn.Residual(nn.Sequential(nn.Dense(24), nn.relu)), nn.Dense(1)), MSE,
        optim.Adam(0.003), d.roll, 20),
}  # fmt: skip


def _copied(d: MoreData) -> Visit:
    visit = trained(mlp(2, 32), CE, optim.Adam(0.001), d.letters, 5)
    x, y = visit.others["validation_data"]
    more = np.concatenate([x, visit.x[:9]]), np.concatenate([y, visit.y[:9]])
    return visit._replace(others={"validation_data": more})


def _contradicting(d: MoreData) -> Visit:
    (x, y), held = d.quantiles
    train = np.concatenate([x, x[:40]]), np.concatenate([y, (y[:40] + 1) % 4])
    return trained(mlp(4), CE, optim.Adam(0.001), (train, held), 5)


def _rare(d: MoreData) -> Visit:
    sets = tuple((x[keep], y[keep]) for x, y in d.quantiles for keep in [(y != 1) | (np.cumsum(y == 1) % 25 == 1)])
    return trained(mlp(4, 8), CE, optim.Adam(0.001), sets, 5)


def _holes(d: MoreData) -> Visit:
    (x, y), _ = d.friedman1
    x = x.copy()
    x[::30, 4] = np.inf
    return Visit(pel.Model(mlp(1), MSE), x, y, {})


def _answer(d: MoreData) -> tuple[Pair, Pair]:
    return tuple((np.column_stack([x, 3 * y + 1]).astype(np.float32), y) for x, y in d.friedman1)  # type: ignore


SICK: dict[str, tuple[str, Callable[[MoreData], Visit]]] = {
    "friedman 2, raw columns": ("unscaled_inputs", lambda d: trained(
        mlp(1, 32), MSE, optim.Adam(0.001), tuple((x, (y - 450) / 380) for x, y in d.friedman2_raw), 8)),
    "hastie, biases far below 0": ("dead_relus", lambda d: trained(
        mlp(2, 32, hidden=1, bias_init=lambda k, s, t: nn.init.zeros(k, s, t) - 15), CE, optim.Adam(0.001),
        d.hastie, 4)),
    "letters, nine layers of sigmoids": ("vanishing_gradients", lambda d: trained(
        mlp(2, 24, nn.sigmoid, 9), CE, optim.SGD(0.1, 0.9), d.letters, 4)),
    "friedman 1, seven layers of large weights": ("exploding_gradients", lambda d: trained(
        mlp(1, 32, nn.relu, 7, weight_init=times(4)), MSE, optim.SGD(1e-9), d.friedman1, 3)),
    "swiss roll, large weights": ("saturated_units", lambda d: trained(
        mlp(1, 32, nn.sigmoid, 2, weight_init=times(60)), MSE, optim.Adam(0.001), d.roll, 5)),
    "letters, Adam(2)": ("learning_rate_too_high", lambda d: trained(mlp(2, 32), CE, optim.Adam(2.0), d.letters, 8)),
    "strokes, SGD(8)": ("learning_rate_too_high", lambda d: trained(
        nn.Sequential(nn.GRU(24), nn.Dense(2)), MSE, optim.SGD(8.0), to_point(d.strokes), 5)),
    "hastie, SGD(0.0002)": ("learning_rate_too_low", lambda d: trained(mlp(2, 32), CE, optim.SGD(2e-4), d.hastie, 6)),
    "tags, Adam(1e-6)": ("learning_rate_too_low", lambda d: trained(
        tagger(d, nn.LSTM(24, return_sequences=True)), TAGS, optim.Adam(1e-6), d.tags, 4)),
    "hastie, 150 rows learnt by heart": ("overfitting", lambda d: trained(
        mlp(2, 128), CE, optim.Adam(0.002), first(d.hastie, 150), 60)),
    "friedman 1, 60 rows learnt by heart": ("overfitting", lambda d: trained(
        mlp(1, 128), MSE, optim.Adam(0.003), first(d.friedman1, 60), 120)),
    "letters, shuffled labels": ("shuffled_labels", lambda d: trained(
        mlp(2, 32), CE, optim.Adam(0.001), changed(d.letters, y=shuffled), 10)),
    "characters, shuffled labels": ("shuffled_labels", lambda d: trained(
        nn.Sequential(nn.Embedding(256, 8), nn.Flatten(), nn.Dense(32), nn.relu, nn.Dense(2)), CE, optim.Adam(0.003),
        changed(d.characters, y=shuffled), 10)),
    "quantiles, nearly 0": ("constant_predictor", lambda d: trained(
        mlp(4), CE, optim.Adam(0.001), changed(d.quantiles, lambda x: x * 1e-5), 8)),
    "letters, nine copied rows": ("leaking_rows", _copied),
    "friedman 1, the answer among the questions": ("leaking_feature", lambda d: trained(
        mlp(1, 16), MSE, optim.Adam(0.003), _answer(d), 5)),
    "quantiles, contradicting labels": ("contradicting_labels", _contradicting),
    "quantiles, a rare class": ("class_imbalance", _rare),
    "friedman 2, raw targets": ("unscaled_targets", lambda d: trained(
        mlp(1, 32), MSE, optim.Adam(0.001), scaled(d.friedman2_raw), 8)),
    "friedman 1, holes": ("missing_values", _holes),
    "strokes, sigmoid twice": ("squashed_outputs", lambda d: trained(
        nn.Sequential(mlp(1, 24), nn.sigmoid), BCE, optim.Adam(0.002), pen(d.strokes), 5)),
    "letters, zeros": ("symmetric_units", lambda d: trained(
        nn.Sequential(nn.Dense(16, weight_init=nn.init.zeros), nn.relu, nn.Dense(2, weight_init=nn.init.zeros)), CE,
        optim.SGD(0.1), d.letters, 4)),
}  # fmt: skip
