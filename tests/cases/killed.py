"""A fit that is killed with SIGKILL at random moments and goes on, again and again, until it ends.

Run as a program, it is the training that is killed: ``python killed.py CASE FOLDER``. `trial` does the killing.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import pellucid as pel
from pellucid import nn, optim, schedules


def dense(folder, **often):
    """Dropout, batch normalization, validation, a rate that falls on a plateau, early stopping, best weights."""
    digits = pel.data.digits()
    net = nn.Sequential(nn.Dense(48), nn.BatchNorm(), nn.relu, nn.Dropout(0.3), nn.Dense(10))
    callbacks = [
        pel.Checkpoint(folder, **(often or {"steps": 7}), best="val_loss"),
        pel.ReduceLROnPlateau(patience=2, factor=0.5),
        pel.EarlyStopping(patience=6),
    ]
    model = pel.Model(net, "cross_entropy", optim.Adam(0.02), ["accuracy"], seed=1)
    return model, (digits.x[:900], digits.y[:900]), {"epochs": 25, "validation_split": 0.2, "callbacks": callbacks}


def augmented(folder, **often):
    """Pictures that are changed anew in each epoch; a schedule, and averaged weights."""
    digits = pel.data.digits(images=True)
    net = nn.Sequential(nn.Conv(4, 3), nn.relu, nn.Flatten(), nn.Dense(10))
    callbacks = [pel.Checkpoint(folder, **(often or {"steps": 11}))]
    model = pel.Model(
        net, "cross_entropy", optim.SGD(schedules.Cosine(0.05, epochs=8), momentum=0.9, use_ema=True), seed=2
    )
    return model, (digits.x[:600], digits.y[:600]), {
        "epochs": 8, "augment": pel.data.Augment(shift=1, rotation=10), "callbacks": callbacks, "batch_size": 16,
    }  # fmt: skip


def buckets(folder, **often):
    """Sequences of different lengths, in buckets."""
    rng = np.random.default_rng(0)
    x = [rng.integers(1, 9, size=n).astype("int32") for n in rng.integers(3, 20, size=300)]
    y = np.array([int((sequence == 3).sum() > 1) for sequence in x])
    net = nn.Sequential(nn.Embedding(9, 6), nn.GRU(8), nn.Dense(2))
    callbacks = [pel.Checkpoint(folder, **(often or {"steps": 4}))]
    model = pel.Model(net, "cross_entropy", optim.Adam(0.01), seed=3)
    return model, (pel.data.Buckets(x, y, boundaries=[8, 19], batch_size=8),), {"epochs": 5, "callbacks": callbacks}


def stateful(folder, **often):
    """A recurrent net that carries its state from batch to batch."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(160, 6, 3)).astype("float32")
    net = nn.Sequential(nn.LSTM(5, stateful=8), nn.Dense(1))
    callbacks = [pel.Checkpoint(folder, **(often or {"minutes": 1e-4}))]
    model = pel.Model(net, "mse", optim.Adam(0.01), seed=4)
    return model, (x, x.sum(axis=(1, 2))[:, None]), {
        "epochs": 30, "callbacks": callbacks, "shuffle": False, "batch_size": 8,
    }  # fmt: skip


CASES = {f.__name__: f for f in (dense, augmented, buckets, stateful)}


def train(case: str, folder: Path) -> None:
    """Go on with the fit in a folder, and put what it ends with into end.npz; says when it begins, and its seconds."""
    model, data, options = CASES[case](folder)
    log = pel.CSVLogger(folder / "log.csv")
    print("begun", flush=True)
    start = time.perf_counter()
    model.fit(*data, verbose=0, resume=True, **options | {"callbacks": [*options["callbacks"], log]})
    seconds = time.perf_counter() - start
    history = np.frombuffer(json.dumps(model.history.columns).encode(), np.uint8)
    part = folder / "end.part.npz"
    np.savez(part, history=history, **model.state)
    os.replace(part, folder / "end.npz")
    print(seconds)


def run(case: str, folder: Path, seconds: float | None = None) -> float | None:
    """Train in a process of its own; how long that took, or None if it was killed, so many seconds after it began."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, __file__, case, str(folder)], **pipes) as process:
        assert process.stdout.readline() == "begun\n", process.stderr.read()
        try:
            words, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            return None
    assert process.returncode == 0 and "damaged" not in errors, errors
    return float(words)


def end(folder: Path) -> dict[str, bytes]:
    """Everything a fit ended with, byte by byte."""
    with np.load(folder / "end.npz") as file:
        found = {name: file[name].tobytes() for name in file.files}
    return found | {"log": (folder / "log.csv").read_bytes()}


def trial(case: str, folder: Path, kills: int, seed: int) -> int:
    """Compare an undisturbed fit with one killed so many times, at moments drawn with the seed; how often it was."""
    draw = random.Random(seed)
    whole, killed = folder / "whole", folder / "killed"
    for place in (whole, killed):
        place.mkdir(parents=True)
    run(case, whole)  # it fills the cache of machine code
    for path in whole.iterdir():
        path.unlink()
    seconds, done = run(case, whole), 0
    for _ in range(20 * kills):
        if run(case, killed, draw.uniform(0, seconds)) is None:
            done += 1
            for path in killed.glob("step-*.pel"):
                pel.load(path)
        else:  # it came to the end: from the beginning again
            assert end(killed) == end(whole)
            for path in killed.iterdir():
                path.unlink()
        if done == kills:
            break
    run(case, killed)
    assert end(killed) == end(whole)
    return done


if __name__ == "__main__":
    train(sys.argv[1], Path(sys.argv[2]))
