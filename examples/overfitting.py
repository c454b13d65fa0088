"""Overfit, then repair: too few and too many hidden units on thirty noisy points, and what helps.

    python examples/overfitting.py                # prints the table, writes overfitting.png and hidden_units.png

Thirty points of sin(2x) with noise 0.3 to learn from, thirty for validation, 4,000 for the test; nets of two layers of
tanh units, five seeds each. Nobody can have a mean squared error below that of the noise, about 0.09.
"""

import argparse
from pathlib import Path

import numpy as np

import pellucid as pel
from pellucid import nn, optim

EPOCHS, SEEDS = 3000, 5
UNITS = (1, 2, 3, 4, 8, 16, 32, 64, 128)
MANY = 64
WAYS = {  # name -> units, dropout, weight decay, patience
    "too few: 1 unit": (1, 0.0, None, None),
    f"too many: {MANY} units": (MANY, 0.0, None, None),
    f"{MANY}, early stopping": (MANY, 0.0, None, 300),
    f"{MANY}, dropout 0.05": (MANY, 0.05, None, None),
    f"{MANY}, weight decay 2": (MANY, 0.0, 2.0, None),
}


def points(n, seed):
    """x (n, 1) from -3 to 3, and sin(2x) with noise."""
    random = np.random.default_rng(seed)
    x = np.sort(random.uniform(-3, 3, n))[:, None]
    return x, np.sin(2 * x) + 0.3 * random.normal(size=x.shape)


TRAIN, VALIDATION, TEST = points(30, 0), points(30, 1), points(4000, 2)


def learn(units, dropout=0.0, decay=None, patience=None, seed=0, epochs=EPOCHS):
    """A trained model and its history."""
    layer = [nn.Dense(units), nn.tanh] + [nn.Dropout(dropout)] * (dropout > 0)
    again = [nn.Dense(units), nn.tanh] + [nn.Dropout(dropout)] * (dropout > 0)
    net = nn.Sequential(*layer, *again, nn.Dense(1))
    model = pel.Model(net, "mse", optim.Adam(0.01, weight_decay=decay), seed=seed)
    stop = [pel.EarlyStopping(patience=patience)] if patience else []
    history = model.fit(*TRAIN, batch_size=30, epochs=epochs, validation_data=VALIDATION, callbacks=stop, verbose=0)
    return model, history


def errors(model):
    """Mean squared errors on training, validation and test points."""
    return [model.evaluate(*part)["loss"] for part in (TRAIN, VALIDATION, TEST)]


def main(epochs=EPOCHS, seeds=SEEDS, units=UNITS):
    """The mean errors (training, validation, test) by number of units, those by way, and a model of each way."""
    by_units = {n: np.mean([errors(learn(n, seed=s, epochs=epochs)[0]) for s in range(seeds)], axis=0) for n in units}
    by_way, shown = {}, {}
    for name, options in WAYS.items():
        made = [learn(*options, seed=s, epochs=epochs) for s in range(seeds)]
        by_way[name], shown[name] = np.mean([errors(model) for model, _ in made], axis=0), made[0]
    return by_units, by_way, shown


def draw(by_units, shown, folder):
    """The two pictures."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(2, len(shown), figsize=(15, 5.8), sharey="row", layout="constrained")
    line = np.linspace(-3, 3, 400)[:, None]
    for (above, below), (name, (model, history)) in zip(panels.T, shown.items(), strict=True):
        above.plot(line, np.sin(2 * line), color="0.7", label="sin(2x)")
        above.plot(*TRAIN, "k.", label="training points")
        above.plot(line, model.predict(line), color="tab:red", label="the net")
        above.set(title=name, ylim=(-2.2, 2.2), xlabel="x")
        below.semilogy(history["loss"], label="training", linewidth=0.8)
        below.semilogy(history["val_loss"], label="validation", linewidth=0.8)
        below.set(xlabel="epoch")
    panels[1, 0].set_ylabel("mean squared error")
    for panel, place in ((panels[0, 0], "outside upper center"), (panels[1, 0], "outside lower center")):
        figure.legend(*panel.get_legend_handles_labels(), loc=place, ncols=3, frameon=False)  # it covers no curve
    figure.savefig(folder / "overfitting.png", dpi=80)

    figure, axes = plt.subplots(figsize=(5.5, 3.3), layout="constrained")
    for column, part in enumerate(("training", "validation", "test")):
        axes.loglog(list(by_units), [e[column] for e in by_units.values()], ".-", label=part)
    axes.axhline(0.09, color="0.6", linestyle="--", label="noise")
    axes.set(xlabel="hidden units in each of two layers", ylabel="mean squared error")
    axes.legend(fontsize=8)
    figure.savefig(folder / "hidden_units.png", dpi=90)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path())
    asked = parser.parse_args()
    by_units, by_way, shown = main()
    print(f"{'':24} training  validation  test   (mean squared error, mean of {SEEDS} seeds)")
    for name, (training, validation, test) in {**{f"{n} units": e for n, e in by_units.items()}, **by_way}.items():
        print(f"{name:24}    {training:.3f}       {validation:.3f}  {test:.3f}")
    draw(by_units, shown, asked.folder)
