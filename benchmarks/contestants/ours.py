"""Pellucid: its `Model`, and the compiled step that `fit` runs for an epoch."""

from __future__ import annotations

import pellucid as pel
from pellucid import nn, optim

from ..contest import Job
from ..rows import OPTIMIZERS, Data, Row, flat

OPTIM = {
    "SGD": lambda o: optim.SGD(o["rate"]),
    "momentum": lambda o: optim.SGD(o["rate"], momentum=o["momentum"]),
    "Adam": lambda o: optim.Adam(o["rate"], o["beta_1"], o["beta_2"], o["epsilon"]),
}


def model(row: Row, data: Data | None = None) -> pel.Model:
    layers: list = []
    for size in row.sizes[1:-1]:
        layers += [nn.Dense(size), getattr(nn, row.activation)]
    net = nn.Sequential(*layers, nn.Dense(row.sizes[-1]))
    optimizer = OPTIM[row.optimizer](OPTIMIZERS[row.optimizer])
    if data is None:
        return pel.Model(net, "cross_entropy", optimizer, executor="native")
    made = pel.Model(net, "cross_entropy", optimizer, executor="native", input_shape=(row.sizes[0],))
    made.set_parameters(dict(zip(made.parameters, (a for pair in data.weights for a in pair), strict=True)))
    return made


def step(row: Row, data: Data, threads: int, automatic: bool = True) -> Job:
    """``automatic``: up to PELLUCID_THREADS, fewer where a step is too small to share; else just so many."""
    m = model(row, data)
    m.fit(data.x, data.y, batch_size=row.batch, epochs=0, verbose=0)  # the optimizer's state
    arrays = {"x": data.x, "y": data.y}
    compiled = m.programs.compiled("step", arrays)
    _ = compiled.function  # fast code from the first round on, as a long training has it
    if not automatic:
        compiled.threads = threads
    return Job(
        lambda order: compiled.steps(m.state, arrays, order, row.batch, "loss"),
        lambda: flat([m.parameters.values()]),
    )


def fit(row: Row, data: Data, threads: int) -> Job:
    """A new model each time; its machine code comes from the cache on disk."""

    def run(order):
        model(row).fit(data.x, data.y, batch_size=row.batch, epochs=row.epochs, verbose=0)

    return Job(run)


def predict(row: Row, data: Data, threads: int) -> Job:
    m = model(row, data)
    last = []

    def run(order):
        for i in order.tolist():
            y = m.predict(data.x[i : i + 1])
        last[:] = [y]

    return Job(run, lambda: last[0].ravel())
