"""A pen that learnt to write, from strokes: python examples/sketches.py FILE [EPOCHS], with FILE omniglot-strokes.npz.

The decoder of Sketch-RNN (Ha and Eck, 2018): an LSTM reads where the pen moved and says, as a mixture of Gaussians,
where it moves next, and whether it is lifted then, or the drawing ends. Characters that it makes up go to sketches.png.
"""

import sys
import time

import numpy as np

import pellucid as pel
from pellucid import nn, optim, schedules

COMPONENTS = 20
DOWN, LIFTED, END = range(3)  # what the pen does after a move
START = (0.0, 0.0, DOWN)  # the first row of every drawing: its first stroke begins here
RASTER = 6  # the drawings' points lie on a raster of about so many units


def read(path: str, part: str, scale: float | None = None) -> tuple[list[np.ndarray], float]:
    """Drawings (T, 3), each row a move (dx, dy) and what the pen does then; and the scale that moves were divided by.

    Moves are whole steps of a raster, and a density would be infinite there: noise spreads them over its cells.
    """
    with np.load(path) as arrays:
        rows, ends = arrays[f"{part}_points"].astype("float32"), arrays[f"{part}_offsets"]
    rows[:, :2] += np.random.default_rng(0).uniform(-RASTER / 2, RASTER / 2, (len(rows), 2))
    scale = scale or float(rows[:, :2].std())
    rows[:, :2] /= scale
    rows[ends[1:] - 1, 2] = END
    rows[ends[:-1]] = START
    return np.split(rows, ends[1:-1]), scale


def buckets(drawings: list[np.ndarray], boundaries=None) -> pel.data.Buckets:
    """Each move as the input, the next one as the target."""
    moves, following = [d[:-1] for d in drawings], [d[1:] for d in drawings]
    return pel.data.Buckets(moves, following, boundaries, batch_size=64, target_value=-1)


def baseline(train: list[np.ndarray], valid: list[np.ndarray]) -> float:
    """The loss of always saying the same: one Gaussian, and how often the pen does what."""
    rows = np.concatenate([d[1:] for d in train])
    mean, covariance = rows[:, :2].mean(0), np.cov(rows[:, :2].T)
    chances = np.bincount(rows[:, 2].astype(int)) / len(rows)

    def loss(d):
        z = d[:, :2] - mean
        distance = np.einsum("ti,ij,tj->t", z, np.linalg.inv(covariance), z)
        density = -0.5 * distance - np.log(2 * np.pi) - 0.5 * np.log(np.linalg.det(covariance))
        return -(density + np.log(chances[d[:, 2].astype(int)])).mean()

    return float(np.mean([loss(d[1:]) for d in valid]))


def draw(p: np.ndarray, random: np.random.Generator, temperature: float) -> np.ndarray:
    """A move (dx, dy, pen) for each row of what the net predicts; a low temperature takes fewer chances."""
    chosen = pel.decode.draw(p[:, :COMPONENTS], random, temperature)
    parts = p[:, : 6 * COMPONENTS].reshape(len(p), 6, COMPONENTS)
    _, mu_1, mu_2, s_1, s_2, rho = parts[np.arange(len(p)), :, chosen].T
    a, b = random.normal(scale=temperature**0.5, size=(2, len(p)))
    dx, dy = mu_1 + s_1 * a, mu_2 + s_2 * (rho * a + np.sqrt(1 - rho**2) * b)
    return np.stack([dx, dy, pel.decode.draw(p[:, 6 * COMPONENTS :], random, temperature)], -1)


def write(model: pel.Model, n: int, temperature: float, longest: int = 150) -> list[np.ndarray]:
    """n drawings of the net's own, side by side, each move its next input."""
    random, stepper = np.random.default_rng(0), model.stepper()
    moves = [np.tile(START, (n, 1))]
    while len(moves) < longest and not all((np.array(moves)[..., 2] == END).any(0)):
        moves.append(draw(stepper(moves[-1]), random, temperature))
    steps = np.array(moves)  # (T, n, 3)
    ends = [int(np.argmax(pen == END)) or len(pen) for pen in steps[..., 2].T]
    return [steps[: end + 1, i] for i, end in enumerate(ends)]


def picture(rows: list[list[np.ndarray]], titles: list[str], path: str) -> None:
    """A sheet of drawings, one row of them under each title."""
    import matplotlib.pyplot as plt

    sheets = plt.figure(figsize=(len(rows[0]), 1.4 * len(rows))).subfigures(len(rows), 1)
    for row, title, sheet in zip(rows, titles, sheets, strict=True):
        sheet.suptitle(title, fontsize=9)
        for drawing, ax in zip(row, sheet.subplots(1, len(row)), strict=True):
            points = drawing[:, :2].cumsum(0)
            for stroke in np.split(points, np.flatnonzero(drawing[:, 2]) + 1):
                ax.plot(*stroke.T, "k." if len(stroke) == 1 else "k-", linewidth=1, markersize=2)
            ax.set(aspect="equal")
            ax.invert_yaxis()
            ax.axis("off")
    plt.savefig(path, dpi=100)
    plt.close()


def main(path: str, epochs: int = 12, drawings: int | None = None, units: int = 256) -> dict[str, float]:
    """Train, and give the loss on the validation drawings: -log density of a move, in nats, beside the baseline's."""
    train, scale = read(path, "train")
    valid, _ = read(path, "valid", scale)
    train = train[:drawings]
    net = nn.Sequential(
        nn.LSTM(units, return_sequences=True), nn.TimeDistributed(nn.Dense(6 * COMPONENTS + 3)),
    )  # fmt: skip
    rate = schedules.Step(0.005, 0.02 ** (1 / max(1, epochs - 1)), epochs=1)  # a fiftieth in the last epoch
    model = pel.Model(net, nn.MixtureDensity(COMPONENTS, classes=3, ignore_class=-1), optim.Adam(rate))
    seen = buckets(train)
    start, cpu = time.perf_counter(), time.process_time()
    model.fit(seen, epochs=epochs, validation_data=buckets(valid, seen.boundaries))
    found = {"loss": model.history["val_loss"][-1], "baseline": baseline(train, valid)}
    print(f"loss of a move {found['loss']:.3f} nats, baseline {found['baseline']:.3f}; "
          f"{time.perf_counter() - start:.0f} s, {time.process_time() - cpu:.0f} s of processor time")  # fmt: skip
    temperatures = (0.2, 0.5, 1.0)
    sheets = [valid[:12], *(write(model, 12, t) for t in temperatures)]
    picture(sheets, ["drawn by people", *(f"by the net, temperature {t}" for t in temperatures)], "sketches.png")
    return found


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
