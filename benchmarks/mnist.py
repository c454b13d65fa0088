"""MNIST to 0.98: the seconds that Pellucid and PyTorch take for the same net, batch, optimizer and epochs."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from . import rows
from .contest import reason, settle

RATE, EPOCHS = 0.05, 10
ROW = rows.Row("mnist", (784, 1024, 10), "relu", 64, "momentum", 60000, kind="fit", epochs=EPOCHS, fused=True)


def mnist(folder: str, threads: int, epochs: int, say) -> dict[str, dict]:
    """Seconds of training (compile time included) and test accuracy of each, from the same first weights."""
    import pellucid as pel

    train, test = pel.data.mnist(folder), pel.data.mnist(folder, "test")
    row = replace(ROW, epochs=epochs, samples=len(train.x))
    blank = rows.data(replace(row, samples=1))
    given = rows.Data(np.ascontiguousarray(train.x), train.y.astype(np.int32), blank.weights)
    usual, rows.OPTIMIZERS["momentum"] = rows.OPTIMIZERS["momentum"], {"rate": RATE, "momentum": 0.9}
    found: dict[str, dict] = {}
    try:
        for name, run in {"Pellucid": ours, "PyTorch eager": pytorch}.items():
            say(f"mnist: {name}")
            settle()
            try:
                seconds, probabilities = run(row, given, test.x, threads)
                right = float((probabilities.argmax(1) == test.y).mean())
                found[name] = {"epochs": epochs, "seconds": seconds, "accuracy": right}
            except Exception as error:
                found[name] = {"reason": reason(error)}
    finally:
        rows.OPTIMIZERS["momentum"] = usual
    return found


def ours(row, given, x_test, threads):
    from .contestants.ours import model

    m = model(row, given)
    start = time.perf_counter()
    m.fit(given.x, given.y, batch_size=row.batch, epochs=row.epochs, verbose=0)
    return time.perf_counter() - start, m.predict(x_test)


def pytorch(row, given, x_test, threads):
    import torch

    from .contestants import pytorch as contestant

    x, y = contestant.arrays(given, threads)
    module = contestant.net(row, given)
    start = time.perf_counter()
    contestant.train(row, module, x, y)
    seconds = time.perf_counter() - start
    with torch.no_grad():
        return seconds, module(torch.from_numpy(np.ascontiguousarray(x_test))).numpy()
