"""How optimizers walk: down Rosenbrock's banana, and along a ravine whose sides are 40 times as steep as its floor.

    python examples/optimizer_paths.py            # writes rosenbrock.png and ravine.png, and prints where each arrives

Each one has the learning rate, of 1, 2, 5 times a power of ten, that brings it down furthest within the picture.
"""

import argparse
from pathlib import Path

import numpy as np

import pellucid as pel
from pellucid import optim

FUNCTIONS = {
    "rosenbrock": (lambda x: (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2, (-1.2, 1.0), (1.0, 1.0), (2.0, 2.5)),
    "ravine": (lambda x: 0.5 * x[0] ** 2 + 20 * x[1] ** 2, (-4.0, 0.8), (0.0, 0.0), (4.2, 1.2)),
}
RATES = [m * 10.0**e for e in range(-4, 2) for m in (1, 2, 5)]
RULES = {
    "SGD": lambda rate: optim.SGD(rate),
    "momentum 0.9": lambda rate: optim.SGD(rate, momentum=0.9),
    "Nesterov 0.9": lambda rate: optim.SGD(rate, momentum=0.9, nesterov=True),
    "Adagrad": optim.Adagrad,
    "RMSprop": optim.RMSprop,
    "Adadelta": optim.Adadelta,
    "Adam": optim.Adam,
    "Nadam": optim.Nadam,
    "Lion": optim.Lion,
}


def best(function, start, rule, steps, limits):
    """The walk that ends lowest, and its learning rate."""
    walks = []
    with np.errstate(all="ignore"):
        for rate in RATES:
            walk = pel.minimize(function, start, rule(rate), steps)
            if np.isfinite(walk.values).all() and (np.abs(walk.points) < limits).all():
                walks.append((walk.values[-1], rate, walk))
    return min(walks, key=lambda w: (w[0], -w[1]))[1:]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--folder", type=Path, default=Path())
    asked = parser.parse_args()

    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    for name, (function, start, bottom, limits) in FUNCTIONS.items():
        walks = {rule: best(function, start, make, asked.steps, limits) for rule, make in RULES.items()}
        walks["L-BFGS"] = (1.0, pel.minimize(function, start, optim.LBFGS(), min(asked.steps, 40)))
        figure, panels = plt.subplots(2, 5, figsize=(14, 5.4), sharex=True, sharey=True, layout="constrained")
        points = np.concatenate([walk.points for _, walk in walks.values()])
        low, high = points.min(axis=0) - 0.3, points.max(axis=0) + 0.3
        grid = np.stack(np.meshgrid(np.linspace(low[0], high[0], 200), np.linspace(low[1], high[1], 200)))
        height = function(grid)
        levels = np.geomspace(max(height.min(), 1e-2), height.max(), 14)
        for panel, (rule, (rate, walk)) in zip(panels.flat, walks.items(), strict=True):
            panel.contour(*grid, height, levels=levels, colors="0.75", linewidths=0.7)
            panel.plot(*walk.points.T, ".-", linewidth=1, markersize=3)
            panel.plot(*bottom, "r*", markersize=10)
            length = "searched" if rule == "L-BFGS" else f"rate {rate:g}"
            panel.set_title(f"{rule}, {length}: {walk.values[-1]:.2g} after {len(walk.points) - 1}", fontsize=8)
            near = np.flatnonzero(walk.values < 1e-3)
            arrived = f"below 0.001 after {near[0]} steps" if len(near) else f"{walk.values[-1]:.2g} in the end"
            print(f"{name:10}  {rule:12}  {length:11}  {arrived}")
        figure.savefig(asked.folder / f"{name}.png", dpi=90)


if __name__ == "__main__":
    main()
