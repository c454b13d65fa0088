"""Digits with wrong labels: what keeps a net from learning the wrong ones by heart, each way on its own and together.

    python examples/regularization.py

400 of scikit-learn's digits to learn from, a fifth of them with a wrong label, the other 1,397 for the test with the
right ones; a net of 64-128-128-10 relu units, 150 epochs of Adam, the mean over ten splits and first weights.
"""

import argparse

import numpy as np

import pellucid as pel
from pellucid import nn, optim
from pellucid.data import Mixup

LEARN, EPOCHS, SEEDS = 400, 150, 10
DIGITS = pel.data.digits()


def net(*between, first=(), around=lambda layer: layer):
    hidden = [part for _ in range(2) for part in (around(nn.Dense(128)), nn.relu, *between)]
    return nn.Sequential(*first, *hidden, nn.Dense(10))


WAYS = {  # name -> net, arguments of Model, arguments of fit
    "nothing": (net(), {}, {}),
    "nn.L1(1e-3)": (net(), {"regularizer": nn.L1(1e-3)}, {}),
    "nn.L2(1e-2)": (net(), {"regularizer": nn.L2(1e-2)}, {}),
    "weight decay 1": (net(), {"optimizer": optim.AdamW(0.002, weight_decay=1.0)}, {}),
    "nn.MaxNorm(1)": (net(), {"constraint": nn.MaxNorm(1)}, {}),
    "nn.Dropout(0.5)": (net(nn.Dropout(0.5)), {}, {}),
    "nn.WeightDrop(layer, 0.5)": (net(around=lambda layer: nn.WeightDrop(layer, 0.5)), {}, {}),
    "nn.GaussianNoise(0.2)": (net(first=[nn.GaussianNoise(0.2)]), {}, {}),
    "label smoothing 0.1": (net(), {"loss": nn.CrossEntropy(label_smoothing=0.1)}, {}),
    "data.Mixup(1.0)": (net(), {}, {"augment": Mixup(1.0)}),
    "dropout, noise, MaxNorm": (
        net(nn.Dropout(0.5), first=[nn.GaussianNoise(0.2)]), {"constraint": nn.MaxNorm(1)}, {}),
}  # fmt: skip


def samples(seed):
    """x and labels to learn from, of which a fifth are wrong, and x and labels for the test."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(DIGITS.x))
    learn, test = order[:LEARN], order[LEARN:]
    labels = DIGITS.y[learn].copy()
    labels[: LEARN // 5] += random.integers(1, 10, LEARN // 5)
    return (DIGITS.x[learn], labels % 10), (DIGITS.x[test], DIGITS.y[test])


def accuracies(way, seed=0, epochs=EPOCHS):
    """Of a model trained in this way: on what it learnt from, wrong labels included, and on the test."""
    made, options, fit = WAYS[way]
    learn, test = samples(seed)
    given = {"loss": "cross_entropy", "optimizer": optim.Adam(0.002), "metrics": ["accuracy"], "seed": seed} | options
    model = pel.Model(made, **given)
    model.fit(*learn, epochs=epochs, verbose=0, **fit)
    return model.evaluate(*learn)["accuracy"], model.evaluate(*test)["accuracy"]


def main(seeds=SEEDS, epochs=EPOCHS, ways=tuple(WAYS)):
    """Print a line for each way; the accuracies by way, (seeds, 2)."""
    found = {}
    for way in ways:
        found[way] = each = np.array([accuracies(way, seed, epochs) for seed in range(seeds)])
        error = each[:, 1].std() / np.sqrt(seeds)
        print(f"| {way} | {each[:, 0].mean():.3f} | {each[:, 1].mean():.3f} ± {error:.3f} |")
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    main(parser.parse_args().seeds)
